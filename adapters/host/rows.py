"""The rows of the outbox's file: streams, sizes of messages, and single facts."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass

from adapters.host.lanes import Lane, Standing


@dataclass(frozen=True, slots=True)
class Stream:
    """One row of table `stream`: a lane's current stream, or an older one of which a tail is left."""

    id: int
    lane: Lane
    name: str
    supersedes: str | None
    current: bool
    held_from: int
    confirmed: int
    sent: int
    assigned: int
    pending_bytes: int
    tail_bytes: int

    @property
    def standing(self) -> Standing:
        """What of it others may know."""
        return Standing(
            stream=self.name,
            supersedes=self.supersedes,
            held_from=self.held_from,
            confirmed=self.confirmed,
            sent=self.sent,
            assigned=self.assigned,
            pending_bytes=self.pending_bytes,
        )


def streams(db: sqlite3.Connection) -> tuple[Stream, ...]:
    """All streams, the older ones of a lane before its current one."""
    rows = db.execute(
        "SELECT id, lane, name, supersedes, current, held_from, confirmed, sent, assigned,"
        " pending_bytes, tail_bytes FROM stream ORDER BY id"
    )
    return tuple(
        Stream(key, Lane(lane), name, supersedes, bool(current), *figures)
        for key, lane, name, supersedes, current, *figures in rows
    )


def current(db: sqlite3.Connection, lane: Lane) -> Stream:
    """The stream that a lane writes to."""
    return next(stream for stream in streams(db) if stream.lane == lane and stream.current)


def save(db: sqlite3.Connection, stream: Stream) -> None:
    """Write a stream's row."""
    db.execute("INSERT OR REPLACE INTO stream VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(stream))


def forget_empty(db: sqlite3.Connection) -> None:
    """Delete superseded streams of which no message is left."""
    for stream in streams(db):
        if not stream.current and stream.held_from > stream.assigned:
            db.execute("DELETE FROM confirmation WHERE stream = ?", (stream.id,))
            db.execute("DELETE FROM stream WHERE id = ?", (stream.id,))


def size(db: sqlite3.Connection, stream: Stream, *, above: int, through: int) -> int:
    """Bytes that the messages of a range are counted with."""
    found: int = db.execute(
        "SELECT coalesce(sum(size), 0) FROM message WHERE stream = ? AND seq > ? AND seq <= ?",
        (stream.id, above, through),
    ).fetchone()[0]
    return found


def fact(db: sqlite3.Connection, name: str) -> str | None:
    """The value of a single fact, None if it is not known."""
    row = db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def set_fact(db: sqlite3.Connection, name: str, value: str) -> None:
    """Note a single fact."""
    db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))
