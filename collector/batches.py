"""One batch of journal records as bytes and back: a JSON header, then the payloads end to end."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from telemetry.envelope import Envelope
from telemetry.records import Journaled, Record, Started, Tick
from telemetry.topics import Topic

_LENGTH = struct.Struct(">I")
_MESSAGE, _TICK, _STARTED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Extent:
    """The span of one stream's numbers that a batch holds, so that a duplicate finds its first copy."""

    publisher: str
    stream: str
    first_seq: int
    last_seq: int


def kinds(records: Sequence[Record]) -> Mapping[str, int]:
    """Messages per kind in a batch; ticks and starts are not messages."""
    return Counter(record.topic.kind for record in records if isinstance(record, Journaled))


def extents(records: Sequence[Record]) -> tuple[Extent, ...]:
    """One extent per stream of the batch."""
    spans: dict[tuple[str, str], tuple[int, int]] = {}
    for record in records:
        if isinstance(record, Journaled) and record.envelope is not None:
            key, seq = (record.topic.publisher, record.envelope.stream), record.envelope.seq
            low, high = spans.get(key, (seq, seq))
            spans[key] = (min(low, seq), max(high, seq))
    return tuple(Extent(*key, *span) for key, span in spans.items())


def encode(records: Sequence[Record]) -> bytes:
    """The batch's bytes; its positions are consecutive from the first record's."""
    words: dict[str, int] = {}
    rows: list[tuple[object, ...]] = []
    payloads: list[bytes] = []

    def word(text: str) -> int:
        return words.setdefault(text, len(words))

    for record in records:
        if isinstance(record, Journaled):
            envelope = record.envelope
            payloads.append(record.payload)
            rows.append(
                (
                    _MESSAGE,
                    len(record.payload),
                    word(record.topic.publisher),
                    word(record.topic.device),
                    word(record.topic.kind),
                    record.received_ms,
                    record.event_ms,
                    record.corrected,
                    record.refusal,
                    *(
                        (word(envelope.stream), envelope.seq, word(envelope.boot), envelope.mono_ms)
                        if envelope
                        else ()
                    ),
                )
            )
        else:
            rows.append((_TICK if isinstance(record, Tick) else _STARTED, record.at_ms))
    header = orjson.dumps((tuple(words), rows))
    return b"".join((_LENGTH.pack(len(header)), header, *payloads))


def decode(blob: bytes, *, first: int) -> tuple[Record, ...]:
    """The records of a batch that begins at position `first`."""
    (length,) = _LENGTH.unpack_from(blob)
    at = _LENGTH.size + length
    words, rows = orjson.loads(memoryview(blob)[_LENGTH.size : at])
    records: list[Record] = []
    for position, row in enumerate(rows, first):
        if row[0] == _TICK:
            records.append(Tick(position, row[1]))
            continue
        if row[0] == _STARTED:
            records.append(Started(position, row[1]))
            continue
        _, size, publisher, device, kind, received_ms, event_ms, corrected, refusal, *rest = row
        envelope = Envelope(words[rest[0]], rest[1], words[rest[2]], rest[3]) if rest else None
        topic = Topic(words[publisher], words[device], words[kind])
        payload = blob[at : at + size]
        at += size
        records.append(
            Journaled(position, topic, envelope, received_ms, event_ms, corrected, payload, refusal)
        )
    return tuple(records)
