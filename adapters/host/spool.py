"""The outbox on disk: two lanes of numbered messages in one SQLite file, the same after a kill at any point.

Rule 1: what changes, changes in one transaction and is on disk on return, or nothing has changed.
Rule 2: a stream holds every number from `held_from` to `assigned`; only confirmed ones leave, oldest first.
Rule 3: `sent` is on disk before a message leaves; so a mark beyond it tells of another copy of this outbox.
Rule 4: what is not confirmed may be renumbered into the stream that supersedes its own, never dropped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from adapters.host import rows
from adapters.host.disk import PRAGMAS, SCHEMA, free_bytes
from adapters.host.lanes import Held, Lane, Room, Standing, Told, Unsent
from adapters.host.rows import Stream
from telemetry.errors import SettingsError, Unavailable
from telemetry.messages import RETAINED_KINDS

MINUTE_MS = 60_000
PRUNE_STEP = 500
"""Messages that one step of pruning deletes, so that a waiting put never waits long."""
VACUUM_ABOVE_PAGES = 2048
"""Empty pages kept for new messages; more are given back to the disk."""


@dataclass(slots=True)
class Spool:
    """The open file. Lives in one thread; the disk's troubles come out as sqlite3.DatabaseError."""

    path: Path
    room: Room
    rng: Random
    """Names streams; must be unpredictable in earnest, as two outboxes must never choose the same name."""
    mono_ms: int
    """Monotonic time of opening; the tail ages by running time, as civil clocks of small boxes jump."""
    _db: sqlite3.Connection

    def settle_in(self, machine: str, *, empty: bool) -> None:
        """Make the tables of an empty file; start new streams on another machine than before."""
        with self._change():
            for statement in SCHEMA if empty else ():
                self._db.execute(statement)
            if rows.fact(self._db, "machine") != machine:
                rows.set_fact(self._db, "machine", machine)
                for lane in Lane:
                    self._begin_stream(lane)

    def close(self) -> None:
        """Close the file; everything is on disk already."""
        self._db.close()

    def standing(self) -> dict[Lane, Standing]:
        """How both lanes stand."""
        return {stream.lane: stream.standing for stream in rows.streams(self._db) if stream.current}

    # -- messages in and out ------------------------------------------------------------------------------

    def put(self, groups: Sequence[Sequence[Unsent]]) -> tuple[bool, ...]:
        """Append groups, each whole or not at all; False for a group that has no room."""
        if (free := free_bytes(self.path)) < self.room.reserve_bytes:
            raise Unavailable(
                f"outbox {self.path}",
                why=f"only {free // 1_000_000} MB are free on its disk",
                advice=f"free at least {self.room.reserve_bytes // 1_000_000} MB there",
            )
        with self._change():
            lanes = {stream.lane: stream for stream in rows.streams(self._db) if stream.current}
            fits: list[bool] = []
            for group in groups:
                pending = sum(stream.pending_bytes for stream in lanes.values())
                fits.append(pending + sum(message.size for message in group) <= self.room.max_bytes)
                if fits[-1]:
                    for message in group:
                        lanes[message.lane] = self._append(lanes[message.lane], message)
            for stream in lanes.values():
                rows.save(self._db, stream)
        return tuple(fits)

    def _append(self, stream: Stream, message: Unsent) -> Stream:
        seq, kind, size = stream.assigned + 1, message.kind, message.size
        self._db.execute(
            "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(stream.id, seq, message.device, kind, message.payload, kind in RETAINED_KINDS),
                *(message.boot, message.mono_ms, size),
            ),
        )
        return replace(stream, assigned=seq, pending_bytes=stream.pending_bytes + size)

    def take(self, lane: Lane, *, after: tuple[str, int], window: int, limit: int) -> tuple[Held, ...]:
        """The next messages to send after that place: in order, at most `limit`, `window` beyond the mark.

        A place in another stream than the current one counts as none. They count as sent from now on.
        """
        stream = rows.current(self._db, lane)
        start = stream.standing.start
        begin = max(start, after[1]) if after[0] == stream.name else start
        end = min(begin + limit, start + window, stream.assigned)
        if end <= begin:
            return ()
        if end > stream.sent:
            with self._change():
                rows.save(self._db, replace(stream, sent=end))
        found = self._db.execute(
            "SELECT seq, device, kind, payload, retain, boot, mono_ms FROM message"
            " WHERE stream = ? AND seq > ? AND seq <= ? ORDER BY seq",
            (stream.id, begin, end),
        )
        return tuple(
            Held(stream.name, seq, device, kind, payload, bool(retain), boot, mono_ms)
            for seq, device, kind, payload, retain, boot, mono_ms in found
        )

    # -- confirmation -------------------------------------------------------------------------------------

    def confirm(self, epoch: str, marks: Mapping[str, int], *, mono_ms: int) -> Told:
        """Take a confirmation: everything up to a mark is safe in the journal of that epoch."""
        known = {stream.name: stream.confirmed for stream in rows.streams(self._db) if stream.current}
        if rows.fact(self._db, "epoch") == epoch and all(
            marks.get(n, 0) <= mark for n, mark in known.items()
        ):
            return Told(0)
        with self._change():
            before = rows.fact(self._db, "epoch")
            renewed = before is not None and before != epoch
            rows.set_fact(self._db, "epoch", epoch)
            ran_ms = int(rows.fact(self._db, "ran_ms") or 0) + max(0, mono_ms - self.mono_ms)
            rows.set_fact(self._db, "ran_ms", str(ran_ms))
            confirmed = 0
            superseded: list[str] = []
            for stream in rows.streams(self._db):
                mark = marks.get(stream.name, 0 if renewed else stream.confirmed)
                if not stream.current:
                    continue
                if mark > stream.sent:
                    superseded.append(stream.name)
                    self._begin_stream(stream.lane)
                elif mark > stream.confirmed or (renewed and mark < stream.confirmed):
                    confirmed += max(0, mark - stream.standing.start)
                    self._set_mark(stream, mark, ran_ms)
            if renewed:
                self._revive_tails(marks)
        self.mono_ms = mono_ms
        return Told(confirmed, renewed, tuple(superseded))

    def _set_mark(self, stream: Stream, mark: int, ran_ms: int) -> None:
        """Move the boundary between the confirmed tail and what is not confirmed, up or down."""
        low, high = sorted((stream.confirmed, mark))
        moved = rows.size(self._db, stream, above=low, through=high) * (1 if mark > stream.confirmed else -1)
        self._db.execute("DELETE FROM confirmation WHERE stream = ? AND mark > ?", (stream.id, mark))
        self._db.execute(
            "INSERT OR REPLACE INTO confirmation VALUES (?, ?, ?)", (stream.id, ran_ms // MINUTE_MS, mark)
        )
        rows.save(
            self._db,
            replace(
                stream,
                confirmed=mark,
                pending_bytes=stream.pending_bytes - moved,
                tail_bytes=stream.tail_bytes + moved,
            ),
        )

    def _begin_stream(self, lane: Lane) -> None:
        """Start a stream that supersedes the lane's current one and takes over what is not confirmed.

        All of it, although a journal may have some already: nothing may be lost when two copies of an
        outbox have spoken under one name. A stream of which nothing was sent is nowhere known: its own
        predecessor is named instead.
        """
        old = next((s for s in rows.streams(self._db) if s.lane == lane and s.current), None)
        supersedes = None if old is None else old.name if old.sent else old.supersedes
        name = f"{lane}-{self.rng.getrandbits(48):012x}"
        key = self._db.execute(
            "INSERT INTO stream VALUES (NULL, ?, ?, ?, TRUE, 1, 0, 0, 0, 0, 0)", (lane, name, supersedes)
        ).lastrowid
        if old is not None:
            start = old.standing.start
            self._db.execute(
                "UPDATE message SET stream = ?, seq = seq - ? WHERE stream = ? AND seq > ?",
                (key, start, old.id, start),
            )
            self._db.execute(
                "UPDATE stream SET assigned = ?, pending_bytes = ? WHERE id = ?",
                (old.assigned - start, old.pending_bytes, key),
            )
            rows.save(self._db, replace(old, current=False, assigned=start, pending_bytes=0))
            rows.forget_empty(self._db)

    def _revive_tails(self, marks: Mapping[str, int]) -> None:
        """After a change of epoch, carry over what the journal lacks of the tails of superseded streams.

        A collector does not list a stream that it knows to be superseded; so one that is not listed is in
        the journal, unless that journal knows nothing of what followed either: then it was made anew.
        Carried messages are not retained, lest an old state stand as the latest.
        """
        for old in rows.streams(self._db):
            if old.current:
                continue
            current = rows.current(self._db, old.lane)
            made_anew = marks.get(current.name, 0) < current.held_from
            start = max(marks.get(old.name, 0 if made_anew else old.assigned), old.held_from - 1)
            if start >= old.assigned:
                continue
            size = rows.size(self._db, old, above=start, through=old.assigned)
            self._db.execute(
                "UPDATE message SET stream = ?, seq = seq - ? + ?, retain = FALSE"
                " WHERE stream = ? AND seq > ?",
                (current.id, start, current.assigned, old.id, start),
            )
            count = old.assigned - start
            pending_bytes = current.pending_bytes + size
            rows.save(
                self._db, replace(current, assigned=current.assigned + count, pending_bytes=pending_bytes)
            )
            rows.save(
                self._db, replace(old, assigned=start, confirmed=start, tail_bytes=old.tail_bytes - size)
            )
        rows.forget_empty(self._db)

    # -- the confirmed tail -------------------------------------------------------------------------------

    def prune(self) -> bool:
        """Do one step: delete of the tail what is too old or too much, or shrink the file; whether it did."""
        ran_ms = int(rows.fact(self._db, "ran_ms") or 0)
        oldest_minute = (ran_ms - self.room.tail_hours * 60 * MINUTE_MS) // MINUTE_MS
        streams = rows.streams(self._db)
        excess = sum(stream.tail_bytes for stream in streams) - self.room.tail_bytes
        for stream in streams:
            aged = self._db.execute(
                "SELECT coalesce(max(mark), 0) FROM confirmation WHERE stream = ? AND minute < ?",
                (stream.id, oldest_minute),
            ).fetchone()[0]
            bound = stream.confirmed if excess > 0 and stream.tail_bytes else min(aged, stream.confirmed)
            through = min(bound, stream.held_from - 1 + PRUNE_STEP)
            if through < stream.held_from:
                continue
            with self._change():
                size = rows.size(self._db, stream, above=0, through=through)
                self._db.execute("DELETE FROM message WHERE stream = ? AND seq <= ?", (stream.id, through))
                self._db.execute(
                    "DELETE FROM confirmation WHERE stream = ? AND mark <= ? AND minute < ?",
                    (stream.id, through, oldest_minute),
                )
                rows.save(
                    self._db, replace(stream, held_from=through + 1, tail_bytes=stream.tail_bytes - size)
                )
                rows.forget_empty(self._db)
            return True
        if self._db.execute("PRAGMA freelist_count").fetchone()[0] > VACUUM_ABOVE_PAGES:
            self._db.execute("PRAGMA incremental_vacuum(1000)").fetchall()
            return True
        return False

    # -- rows ---------------------------------------------------------------------------------------------

    @contextmanager
    def _change(self) -> Iterator[None]:
        """One transaction, on disk when it ends."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def open_spool(path: Path, *, machine: str, mono_ms: int, rng: Random, room: Room) -> Spool:
    """Open or create; on another machine than before, every lane starts a new stream.

    Raises SettingsError when the file is of another version.
    """
    with ExitStack() as undo:
        db = sqlite3.connect(path, isolation_level=None)
        undo.callback(db.close)
        for pragma in PRAGMAS:
            db.execute(pragma)
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, 1}:
            raise SettingsError(
                where=f"outbox {path}",
                found=f"is of version {version}",
                expected="version 1 is what this program reads: start the newer program, or use another file",
            )
        spool = Spool(path, room, rng, mono_ms, db)
        spool.settle_in(machine, empty=version == 0)
        undo.pop_all()
        return spool
