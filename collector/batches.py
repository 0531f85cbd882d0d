"""One batch of journal records as bytes and back: a JSON header of columns, then the payloads end to end.

Rule: what many records share stands once: texts, topics and the time of receiving.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

import orjson

from telemetry.envelope import Envelope
from telemetry.records import Journaled, Record, Started, Tick
from telemetry.told import Told
from telemetry.topics import Topic

_LENGTH = struct.Struct(">I")
_TICK, _STARTED = 1, 2


Tell = Callable[[bytes], Told | None]


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
    messages = [record for record in records if isinstance(record, Journaled)]
    topics: dict[Topic, int] = {}
    words: dict[str, int] = {}
    places = [message.envelope for message in messages if message.envelope is not None]
    header = orjson.dumps(
        {
            "marks": [
                (index, _TICK if isinstance(record, Tick) else _STARTED, record.at_ms)
                for index, record in enumerate(records)
                if not isinstance(record, Journaled)
            ],
            "topic": [topics.setdefault(message.topic, len(topics)) for message in messages],
            "size": [len(message.payload) for message in messages],
            "received": [
                (at_ms, len(tuple(same))) for at_ms, same in groupby(m.received_ms for m in messages)
            ],
            "event": [message.event_ms for message in messages],
            "corrected": [index for index, message in enumerate(messages) if message.corrected],
            "refusal": [
                (index, message.refusal) for index, message in enumerate(messages) if message.refusal
            ],
            "again": [index for index, message in enumerate(messages) if message.again],
            "alone": [index for index, message in enumerate(messages) if message.envelope is None],
            "stream": [words.setdefault(place.stream, len(words)) for place in places],
            "seq": [place.seq for place in places],
            "boot": [words.setdefault(place.boot, len(words)) for place in places],
            "mono": [place.mono_ms for place in places],
            "topics": [tuple(topic) for topic in topics],
            "words": tuple(words),
        }
    )
    return b"".join((_LENGTH.pack(len(header)), header, *[message.payload for message in messages]))


def decode(blob: bytes, *, first: int, tell: Tell) -> tuple[Record, ...]:
    """The records of a batch that begins at position `first`, each with what `tell` says of its payload."""
    (length,) = _LENGTH.unpack_from(blob)
    body = _LENGTH.size + length
    header = orjson.loads(memoryview(blob)[_LENGTH.size : body])
    words = header["words"]
    topics = [Topic(*parts) for parts in header["topics"]]
    count = len(header["topic"])
    alone = frozenset(header["alone"])
    places = zip(header["stream"], header["seq"], header["boot"], header["mono"], strict=True)
    corrected, refusals = frozenset(header["corrected"]), dict(header["refusal"])
    again = frozenset(header["again"])
    marks = {index: (mark, at_ms) for index, mark, at_ms in header["marks"]}
    positions = [first + index for index in range(count + len(marks)) if index not in marks]
    ends = list(accumulate(header["size"], initial=body))
    received = [at_ms for at_ms, times in header["received"] for _ in range(times)]
    records: list[Record] = []
    for index, (position, topic, received_ms, event_ms, start, end) in enumerate(
        zip(positions, header["topic"], received, header["event"], ends[:-1], ends[1:], strict=True)
    ):
        place = None
        if index not in alone:
            stream, seq, boot, mono_ms = next(places)
            place = Envelope(words[stream], seq, words[boot], mono_ms)
        payload, refusal = blob[start:end], refusals.get(index, "")
        records.append(
            Journaled(
                position,
                topics[topic],
                place,
                received_ms,
                event_ms,
                index in corrected,
                payload,
                refusal,
                None if refusal else tell(payload),
                index in again,
            )
        )
    for index in sorted(marks):
        mark, at_ms = marks[index]
        records.insert(index, (Tick if mark == _TICK else Started)(first + index, at_ms))
    return tuple(records)
