"""The journal's file: SQLite in WAL mode, every commit on disk before it returns.

Rule 1: what belongs together commits together: records, stream states, counters, quarantine.
Rule 2: below the disk reserve or above the size cap nothing is appended, so nothing is acknowledged.
Rule 3: batches are pruned whole, oldest first, and only when every consumer has passed them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from collector import batches
from collector.clocks import Heard
from collector.cursors import Cursor, CursorError, DeadLetter
from collector.streams import Stream
from telemetry.envelope import Envelope
from telemetry.errors import SettingsError, Unavailable
from telemetry.records import Journaled, Record
from telemetry.topics import Topic

Tally = tuple[str, str]
"""What was counted, and of which kind of message."""

CONSUMERS = ("history", "rules")

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE batch (
    first INTEGER PRIMARY KEY, size INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    kinds TEXT NOT NULL, crc INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE TABLE stream (
    publisher TEXT NOT NULL, name TEXT NOT NULL, through INTEGER NOT NULL, beyond TEXT NOT NULL,
    gone TEXT NOT NULL, elsewhere TEXT NOT NULL, sent_through INTEGER NOT NULL, known INTEGER NOT NULL,
    superseded INTEGER NOT NULL, PRIMARY KEY (publisher, name)) WITHOUT ROWID;
CREATE TABLE extent (
    publisher TEXT NOT NULL, stream TEXT NOT NULL, first_seq INTEGER NOT NULL, batch INTEGER NOT NULL,
    last_seq INTEGER NOT NULL, PRIMARY KEY (publisher, stream, first_seq, batch)) WITHOUT ROWID;
CREATE INDEX extent_batch ON extent (batch);
CREATE TABLE clock (
    publisher TEXT NOT NULL, boot TEXT NOT NULL, received_ms INTEGER NOT NULL, mono_ms INTEGER NOT NULL,
    PRIMARY KEY (publisher, boot)) WITHOUT ROWID;
CREATE TABLE retained (topic TEXT PRIMARY KEY, crcs TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tally (
    what TEXT NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (what, kind)) WITHOUT ROWID;
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY, reason TEXT NOT NULL, publisher TEXT NOT NULL, device TEXT NOT NULL,
    kind TEXT NOT NULL, stream TEXT, seq INTEGER, boot TEXT, mono_ms INTEGER, received_ms INTEGER NOT NULL,
    event_ms INTEGER NOT NULL, payload BLOB NOT NULL, release INTEGER NOT NULL DEFAULT 0);
CREATE TABLE dead (
    position INTEGER PRIMARY KEY, topic TEXT NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL,
    reason TEXT NOT NULL);
CREATE TABLE consumer (name TEXT PRIMARY KEY, epoch TEXT NOT NULL, position INTEGER NOT NULL) WITHOUT ROWID;
"""


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
    streams: tuple[Stream, ...] = ()
    tallies: Mapping[Tally, int] = field(default_factory=dict)
    quarantined: tuple[Quarantined, ...] = ()
    released: tuple[int, ...] = ()
    clocks: tuple[Heard, ...] = ()
    retained: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Checksums of retained messages without an envelope, by topic."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much disk the journal may use, and how much it leaves free, in bytes."""

    size_cap: int
    disk_reserve: int


class Store:
    """One open journal file. Not for use by two threads at once."""

    def __init__(self, folder: Path, *, limits: Limits, new_epoch: Callable[[], str]) -> None:
        self._folder = folder
        self._path = folder / "journal.db"
        self._limits = limits
        self._new_epoch = new_epoch
        with self._weather("cannot be opened"):
            folder.mkdir(parents=True, exist_ok=True)
            fresh = not self._path.exists() or self._path.stat().st_size == 0
            if fresh:
                self._check_disk(1 << 20)
            self._db = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=10.0
            )
            self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._create()
        self.epoch = self._meta("epoch")

    def close(self) -> None:
        """Close the file; everything in it is on disk already."""
        self._db.close()

    def _create(self) -> None:
        """Lay the tables out unless another process has."""
        with self._transaction():
            if self._db.execute("SELECT 1 FROM sqlite_master WHERE name='meta'").fetchone():
                return
            for statement in filter(str.strip, _SCHEMA.split(";")):
                self._db.execute(statement)
            epoch = self._new_epoch()
            self._db.executemany(
                "INSERT INTO meta VALUES (?,?)", (("epoch", epoch), ("head", "0"), ("layout", "1"))
            )
            self._db.executemany("INSERT INTO consumer VALUES (?,?,0)", ((name, epoch) for name in CONSUMERS))

    def _meta(self, name: str) -> str:
        (value,) = self._db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return str(value)

    @contextmanager
    def _weather(self, what: str) -> Iterator[None]:
        """Disk trouble in the operator's words; everything else passes as it is."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise Unavailable(
                f"journal {self._path}", why=f"{what} ({error})", advice="free disk space or mend the disk"
            ) from error
        except OSError as error:
            raise Unavailable(
                f"journal {self._path}", why=f"{what} ({error.strerror})", advice="check the folder and disk"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._weather("cannot be written"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _check_disk(self, wanted: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free - wanted < self._limits.disk_reserve:
            raise Unavailable(
                f"journal {self._path}",
                why=f"its disk has {free >> 20} MiB free, reserve {self._limits.disk_reserve >> 20} MiB",
                advice="nothing more is acknowledged until space is freed",
            )

    def _check_room(self, wanted: int) -> None:
        self._check_disk(wanted)
        if self.size() + wanted > self._limits.size_cap:
            raise Unavailable(
                f"journal {self._path}",
                why=f"it has reached its cap of {self._limits.size_cap >> 20} MiB",
                advice="nothing more is acknowledged until consumers catch up or journal.size_cap_mib grows",
            )

    def size(self) -> int:
        """Bytes in use by the journal's pages."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (page,) = self._db.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * page)

    # -- writing ------------------------------------------------------------------------------------------

    def append(self, append: Append) -> None:
        """Put one commit on disk. Raises Unavailable, and then nothing of it is there."""
        blob = batches.encode(append.records)
        self._check_room(2 * len(blob))
        with self._transaction():
            if append.records:
                self._put_batch(append, blob)
            self._put_streams(append.streams)
            self.count(append.tallies)
            self._put_aside(append)
            self._db.executemany(
                "INSERT OR REPLACE INTO clock VALUES (?,?,?,?)",
                ((c.publisher, c.boot, c.received_ms, c.mono_ms) for c in append.clocks),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO retained VALUES (?,?)",
                ((topic, orjson.dumps(crcs).decode()) for topic, crcs in append.retained),
            )

    def _put_batch(self, append: Append, blob: bytes) -> None:
        first, head = append.records[0].position, self.head()
        if first != head:
            raise SettingsError(
                where=f"journal {self._path}",
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
            (
                (e.publisher, e.stream, e.first_seq, first, e.last_seq)
                for e in batches.extents(append.records)
            ),
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

    def count(self, tallies: Mapping[Tally, int]) -> None:
        """Add to the counters, within the caller's transaction."""
        self._db.executemany(
            "INSERT INTO tally VALUES (?,?,?)"
            " ON CONFLICT (what, kind) DO UPDATE SET count=count+excluded.count",
            ((what, kind, count) for (what, kind), count in tallies.items() if count),
        )

    # -- reading ------------------------------------------------------------------------------------------

    def head(self) -> int:
        """The position that the next record will get."""
        return int(self._meta("head"))

    def first(self) -> int:
        """The oldest position kept; the head if none is."""
        (first,) = self._db.execute("SELECT min(first) FROM batch").fetchone()
        return self.head() if first is None else int(first)

    def _batch(self, first: int, crc: int, blob: bytes) -> tuple[Record, ...]:
        if zlib.crc32(blob) != crc:
            raise Unavailable(
                f"journal {self._path}",
                why=f"the batch at position {first} fails its checksum",
                advice="the disk is damaged: restore the journal from its backup",
            )
        return batches.decode(blob, first=first)

    def read(self, position: int, *, limit: int) -> tuple[Record, ...]:
        """At most `limit` records from a position on, in order, possibly from within a batch."""
        found: list[Record] = []
        with self._weather("cannot be read"):
            rows = self._db.execute(
                "SELECT first, crc, blob FROM batch WHERE first + size > ? AND first >="
                " (SELECT coalesce(max(first), 0) FROM batch WHERE first <= ?) ORDER BY first",
                (position, position),
            )
            for first, crc, blob in rows:
                found.extend(self._batch(first, crc, blob)[max(0, position - first) :])
                if len(found) >= limit:
                    break
        return tuple(found[:limit])

    def copy_of(self, publisher: str, stream: str, seq: int) -> bytes | None:
        """The journaled payload of a sequence number, None if it has been pruned or was put aside."""
        rows = self._db.execute(
            "SELECT batch.first, crc, blob FROM extent JOIN batch ON batch.first = extent.batch"
            " WHERE publisher=? AND stream=? AND first_seq<=? AND last_seq>=?",
            (publisher, stream, seq, seq),
        )
        for first, crc, blob in rows:
            for record in self._batch(first, crc, blob):
                if (
                    isinstance(record, Journaled)
                    and record.envelope is not None
                    and (record.topic.publisher, record.envelope.stream, record.envelope.seq)
                    == (publisher, stream, seq)
                ):
                    return record.payload
        return None

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
        with self._transaction():
            return self._db.execute("UPDATE quarantine SET release=1 WHERE id=?", (number,)).rowcount == 1

    # -- consumers ----------------------------------------------------------------------------------------

    def cursor(self, consumer: str) -> Cursor:
        """Where a consumer stands. Raises CursorError where the journal cannot answer from there."""
        epoch, position = self._db.execute(
            "SELECT epoch, position FROM consumer WHERE name=?", (consumer,)
        ).fetchone()
        cursor = Cursor(epoch, position)
        self.check(consumer, cursor)
        return cursor

    def cursor_position(self, consumer: str) -> int:
        """The position at which a consumer stands, whatever its epoch."""
        (position,) = self._db.execute("SELECT position FROM consumer WHERE name=?", (consumer,)).fetchone()
        return int(position)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads within see the same state."""
        with self._weather("cannot be read"):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    def check(self, consumer: str, cursor: Cursor) -> None:
        """Raises CursorError unless the journal can answer from this cursor on."""
        if cursor.epoch != self.epoch or not self.first() <= cursor.position <= self.head():
            raise CursorError(consumer=consumer, cursor=cursor, epoch=self.epoch, first=self.first())

    def passed(self, consumer: str, cursor: Cursor) -> None:
        """Remember that a consumer, which keeps its own cursor, no longer needs what lies before it."""
        with self._transaction():
            self._move(consumer, cursor)

    def _move(self, consumer: str, cursor: Cursor) -> None:
        self._db.execute(
            "UPDATE consumer SET epoch=?, position=? WHERE name=?", (cursor.epoch, cursor.position, consumer)
        )

    def commit_history(
        self, *, cursor: Cursor, stored: Mapping[str, int], dead: Sequence[DeadLetter]
    ) -> None:
        """Move the history cursor together with its counters and dead letters."""
        tallies = Counter({("stored", kind): count for kind, count in stored.items()})
        tallies.update(("dead_lettered", letter.kind) for letter in dead)
        with self._transaction():
            self._move("history", cursor)
            self.count(tallies)
            self._db.executemany(
                "INSERT OR REPLACE INTO dead VALUES (?,?,?,?,?)",
                ((d.position, d.topic, d.kind, d.payload, d.reason) for d in dead),
            )

    def rewind(self, consumer: str, position: int) -> int:
        """Set a consumer back, at most to the first position kept; the position taken is returned.

        History's counters go back with it: what will be written again is pending, not stored.
        """
        with self._transaction():
            position = min(max(position, self.first()), self.head())
            if consumer == "history":
                self._uncount(position)
            self._move(consumer, Cursor(self.epoch, position))
        return position

    def _uncount(self, position: int) -> None:
        (old,) = self._db.execute("SELECT position FROM consumer WHERE name='history'").fetchone()
        again = Counter(self.pending(position))
        again.subtract(self.pending(max(old, position)))
        dead = Counter(
            kind for (kind,) in self._db.execute("SELECT kind FROM dead WHERE position>=?", (position,))
        )
        self._db.execute("DELETE FROM dead WHERE position>=?", (position,))
        self.count({("stored", kind): dead[kind] - count for kind, count in again.items()})
        self.count({("dead_lettered", kind): -count for kind, count in dead.items()})

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """All dead letters by position."""
        rows = self._db.execute("SELECT position, topic, kind, payload, reason FROM dead ORDER BY position")
        return tuple(DeadLetter(*row) for row in rows)

    def renew_epoch(self) -> str:
        """Begin a new epoch, as after a restore: publishers send their confirmed tails again."""
        epoch = self._new_epoch()
        with self._transaction():
            self._db.execute("UPDATE meta SET value=? WHERE name='epoch'", (epoch,))
            self._db.execute("UPDATE consumer SET epoch=? WHERE name='history'", (epoch,))
        self.epoch = epoch
        return epoch

    def prune(self, *, before_ms: int, batches_at_most: int) -> int:
        """Delete old batches that every consumer has passed; their number is returned.

        Over nine tenths of the size cap, age no longer matters.
        """
        passed = min(
            (position if epoch == self.epoch else 0)
            for epoch, position in self._db.execute("SELECT epoch, position FROM consumer")
        )
        crowded = self.size() > self._limits.size_cap * 9 // 10
        with self._transaction():
            rows = self._db.execute(
                "SELECT first FROM batch WHERE first + size <= ? AND (at_ms < ? OR ?) ORDER BY first LIMIT ?",
                (passed, before_ms, crowded, batches_at_most),
            ).fetchall()
            self._db.executemany("DELETE FROM extent WHERE batch=?", rows)
            self._db.executemany("DELETE FROM batch WHERE first=?", rows)
        if rows:
            self._db.execute(f"PRAGMA incremental_vacuum({16 * len(rows)})").fetchall()
        return len(rows)


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


def lock(folder: Path) -> int:
    """Take the journal for this process alone and return the lock's file descriptor.

    Raises SettingsError if another collector has it. The lock goes with the process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "journal.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SettingsError(
            where=f"journal {folder}",
            found="another collector is using it",
            expected="run one collector per journal",
        ) from None
    return descriptor
