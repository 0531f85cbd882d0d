"""What the journal holds: appended as one commit, read in order.

Rule: what belongs together commits together: records, stream states, counters, quarantine.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from collector import batches, replays
from collector.at_hand import AtHand
from collector.batches import Tell
from collector.clocks import Heard
from collector.journal_file import JournalFile, Tally
from collector.streams import Stream
from telemetry.envelope import Envelope
from telemetry.errors import SettingsError, Unavailable
from telemetry.records import Journaled, Record
from telemetry.topics import Topic

_READ_LAST = 16
"""Batches whose payloads are kept at hand to recognise duplicates."""
_READERS = 4
"""Readers of one store for which the rest of a batch is kept at hand."""
_AT_HAND = 30_000
_AT_HAND_BYTES = 12 << 20
"""Records, and bytes of their payloads, for consumers that keep up: some seconds of a busy province."""
_QUARANTINED = "reason, publisher, device, kind, stream, seq, boot, mono_ms, received_ms, event_ms, payload"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message kept aside: confirmed, counted, released by a person."""

    reason: str
    message: Journaled


@dataclass(frozen=True, slots=True)
class Append:
    """Everything that one commit of the collector puts into the journal."""

    records: tuple[Record, ...]
    at_ms: int
    extents: tuple[batches.Extent, ...] = ()
    """Of each stream the span of its numbers that stands in the records."""
    streams: tuple[Stream, ...] = ()
    tallies: Mapping[Tally, int] = field(default_factory=dict)
    quarantined: tuple[Quarantined, ...] = ()
    released: tuple[int, ...] = ()
    replayed: tuple[tuple[int, int], ...] = ()
    """Dead letters that go again: the position before, the position now."""
    clocks: tuple[Heard, ...] = ()
    retained: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Checksums of retained messages without an envelope, by topic."""


def _untold(_: bytes) -> None:
    """Read no payload."""


class Store:
    """Records, streams and quarantine in one open journal file."""

    def __init__(self, file: JournalFile) -> None:
        self.file = file
        self._db = file.db
        self.written = AtHand(records=_AT_HAND, size_bytes=_AT_HAND_BYTES)
        """What was appended last, as it was read when it came in."""
        self._left: dict[int, tuple[Record, ...]] = {}
        self._read_last: dict[int, Mapping[tuple[str, str, int], bytes]] = {}

    # -- writing ------------------------------------------------------------------------------------------

    def append(self, append: Append) -> None:
        """Put one commit on disk. Raises Unavailable, and then nothing of it is there."""
        blob = batches.encode(append.records)
        self.file.check_room(2 * len(blob))
        with self.file.transaction():
            if append.records:
                self._put_batch(append, blob)
            self._put_streams(append.streams)
            self.file.count(append.tallies)
            self._put_aside(append)
            replays.done(self.file, append.replayed)
            self._db.executemany(
                "INSERT OR REPLACE INTO clock VALUES (?,?,?,?)",
                ((c.publisher, c.boot, c.received_ms, c.mono_ms) for c in append.clocks),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO retained VALUES (?,?)",
                ((topic, orjson.dumps(crcs).decode()) for topic, crcs in append.retained),
            )
        self.written.add(append.records)

    def _put_batch(self, append: Append, blob: bytes) -> None:
        first, head = append.records[0].position, self.file.head()
        if first != head:
            raise SettingsError(
                where=f"journal {self.file.path}",
                found=f"another process has appended up to {head}",
                expected="one collector per journal: stop the other one",
            )
        self._db.execute(
            "INSERT INTO batch VALUES (?,?,?,?,?,?)",
            (
                first,
                len(append.records),
                append.at_ms,
                orjson.dumps(batches.kinds(append.records)).decode(),
                zlib.crc32(blob),
                blob,
            ),
        )
        self._db.execute("UPDATE meta SET value=? WHERE name='head'", (str(first + len(append.records)),))
        self._db.executemany(
            "INSERT INTO extent VALUES (?,?,?,?,?)",
            ((e.publisher, e.stream, e.first_seq, first, e.last_seq) for e in append.extents),
        )

    def _put_streams(self, streams: Iterable[Stream]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO stream VALUES (?,?,?,?,?,?,?,?,?)",
            (
                (
                    s.publisher,
                    s.name,
                    s.through,
                    orjson.dumps(s.beyond).decode(),
                    orjson.dumps(s.gone).decode(),
                    orjson.dumps(s.elsewhere).decode(),
                    s.sent_through,
                    s.known,
                    s.superseded,
                )
                for s in streams
            ),
        )

    def _put_aside(self, append: Append) -> None:
        self._db.executemany("DELETE FROM quarantine WHERE id=?", ((id_,) for id_ in append.released))
        self._db.executemany(
            f"INSERT INTO quarantine ({_QUARANTINED}) VALUES (?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 - constant columns
            (
                (
                    q.reason,
                    q.message.topic.publisher,
                    q.message.topic.device,
                    q.message.topic.kind,
                    *_envelope_columns(q.message),
                    q.message.received_ms,
                    q.message.event_ms,
                    q.message.payload,
                )
                for q in append.quarantined
            ),
        )

    # -- reading ------------------------------------------------------------------------------------------

    def _batch(self, first: int, crc: int, blob: bytes, tell: Tell = _untold) -> tuple[Record, ...]:
        if zlib.crc32(blob) != crc:
            raise Unavailable(
                f"journal {self.file.path}",
                why=f"the batch at position {first} fails its checksum",
                advice="the disk is damaged: restore the journal from its backup",
            )
        return batches.decode(blob, first=first, tell=tell)

    def read(self, position: int, *, limit: int, tell: Tell = _untold) -> tuple[Record, ...]:
        """At most `limit` records from a position on, in order, possibly from within a batch.

        What a batch holds beyond the limit is kept for the reader that goes on there.
        """
        found = list(self._left.pop(position, ()))
        position += len(found)
        with self.file.weather("cannot be read"):
            rows = self._db.execute(
                "SELECT first, crc, blob FROM batch WHERE first + size > ? AND first >="
                " (SELECT coalesce(max(first), 0) FROM batch WHERE first <= ?) ORDER BY first",
                (position, position),
            )
            while len(found) < limit and (row := rows.fetchone()):
                first, crc, blob = row
                found.extend(self._batch(first, crc, blob, tell)[max(0, position - first) :])
        if rest := tuple(found[limit:]):
            if len(self._left) >= _READERS:
                del self._left[min(self._left)]
            self._left[rest[0].position] = rest
        return tuple(found[:limit])

    def copy_of(self, publisher: str, stream: str, seq: int) -> bytes | None:
        """The journaled payload of a sequence number, None if it has been pruned or was put aside."""
        rows = self._db.execute(
            "SELECT batch FROM extent WHERE publisher=? AND stream=? AND first_seq<=? AND last_seq>=?",
            (publisher, stream, seq, seq),
        )
        found = (self._payloads(batch).get((publisher, stream, seq)) for (batch,) in rows.fetchall())
        return next((payload for payload in found if payload is not None), None)

    def _payloads(self, first: int) -> Mapping[tuple[str, str, int], bytes]:
        """Payloads of a batch by publisher, stream and number; those read last are at hand.

        What is sent again comes in order: a storm of duplicates reads each batch about once.
        """
        if first not in self._read_last:
            crc, blob = self._db.execute("SELECT crc, blob FROM batch WHERE first=?", (first,)).fetchone()
            while len(self._read_last) >= _READ_LAST:
                self._read_last.pop(next(iter(self._read_last)))
            self._read_last[first] = {
                (record.topic.publisher, record.envelope.stream, record.envelope.seq): record.payload
                for record in self._batch(first, crc, blob)
                if isinstance(record, Journaled) and record.envelope is not None
            }
        return self._read_last[first]

    def streams(self) -> tuple[Stream, ...]:
        """The state of every stream of this epoch."""
        rows = self._db.execute("SELECT * FROM stream")
        return tuple(
            Stream(
                publisher, name, through, _spans(a), _spans(b), _spans(c), sent, bool(known), bool(superseded)
            )
            for publisher, name, through, a, b, c, sent, known, superseded in rows
        )

    def clocks(self) -> tuple[Heard, ...]:
        """The last `sync` of every boot."""
        return tuple(Heard(*row) for row in self._db.execute("SELECT * FROM clock"))

    def retained(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Checksums of the retained messages that came without an envelope, by topic."""
        rows = self._db.execute("SELECT topic, crcs FROM retained")
        return tuple((topic, tuple(orjson.loads(crcs))) for topic, crcs in rows)

    def tallies(self) -> Mapping[Tally, int]:
        """All counters."""
        rows = self._db.execute("SELECT what, kind, count FROM tally")
        return {(what, kind): count for what, kind, count in rows}

    def pending(self, position: int) -> Mapping[str, int]:
        """Messages per kind from a position on, counted from what is there."""
        total: Counter[str] = Counter()
        for first, size, kinds, crc, blob in self._db.execute(
            "SELECT first, size, kinds, crc, CASE WHEN first < ?1 THEN blob END FROM batch"
            " WHERE first + size > ?1",
            (position,),
        ):
            if first >= position:
                total.update(orjson.loads(kinds))
            elif first + size > position:
                total.update(batches.kinds(self._batch(first, crc, blob)[position - first :]))
        return total

    def quarantined(self, *, released_only: bool = False) -> tuple[tuple[int, Quarantined], ...]:
        """Messages put aside with their numbers, oldest first."""
        rows = self._db.execute(
            f"SELECT id, {_QUARANTINED} FROM quarantine WHERE release>=? ORDER BY id",  # noqa: S608 - constant columns
            (int(released_only),),
        )
        return tuple((row[0], Quarantined(row[1], _message(row[2:]))) for row in rows)

    def release(self, number: int) -> bool:
        """Ask the collector to journal a quarantined message; False if there is none of that number."""
        with self.file.transaction():
            return self._db.execute("UPDATE quarantine SET release=1 WHERE id=?", (number,)).rowcount == 1


def _spans(text: str) -> tuple[tuple[int, int], ...]:
    return tuple((first, last) for first, last in orjson.loads(text))


def _envelope_columns(message: Journaled) -> tuple[str | int | None, ...]:
    envelope = message.envelope
    if envelope is None:
        return (None, None, None, None)
    return (envelope.stream, envelope.seq, envelope.boot, envelope.mono_ms)


def _message(row: tuple[str, str, str, str | None, int, str, int, int, int, bytes]) -> Journaled:
    publisher, device, kind, stream, seq, boot, mono_ms, received_ms, event_ms, payload = row
    envelope = Envelope(stream, seq, boot, mono_ms) if stream is not None else None
    topic = Topic(publisher, device, kind)
    return Journaled(0, topic, envelope, received_ms, event_ms, corrected=False, payload=payload)
