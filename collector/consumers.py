"""The journal's consumers: where they stand, what they leave behind, and what may go once all have passed.

Rule: batches are pruned whole, oldest first, and only when every consumer has passed them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from collector import replays
from collector.cursors import Cursor, CursorError, DeadLetter
from collector.store import Store


class Consumers:
    """Cursors, dead letters and pruning over one open journal."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._file = store.file
        self._db = store.file.db

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

    def check(self, consumer: str, cursor: Cursor) -> None:
        """Raises CursorError unless the journal can answer from this cursor on."""
        if cursor.epoch != self._file.epoch or not self._file.first() <= cursor.position <= self._file.head():
            raise CursorError(
                consumer=consumer, cursor=cursor, epoch=self._file.epoch, first=self._file.first()
            )

    def passed(self, consumer: str, cursor: Cursor) -> None:
        """Remember that a consumer, which keeps its own cursor, no longer needs what lies before it."""
        with self._file.transaction():
            self._move(consumer, cursor)

    def _move(self, consumer: str, cursor: Cursor) -> None:
        self._db.execute(
            "UPDATE consumer SET epoch=?, position=? WHERE name=?", (cursor.epoch, cursor.position, consumer)
        )

    def commit_history(
        self, *, cursor: Cursor, stored: Mapping[str, int], dead: Sequence[DeadLetter]
    ) -> None:
        """Move the history cursor together with its counters and dead letters.

        A message that stands elsewhere too counts there: written again here, it has overwritten itself.
        """
        with self._file.transaction():
            again = replays.replaced(self._file, self.cursor_position("history"), before=cursor.position)
            fell = {letter.position for letter in dead}
            dead = [letter for letter in dead if letter.position not in again]
            tallies = Counter({("stored", kind): count for kind, count in stored.items()})
            tallies.subtract(("stored", kind) for position, kind in again.items() if position not in fell)
            tallies.update(("dead_lettered", letter.kind) for letter in dead)
            self._move("history", cursor)
            self._file.count(tallies)
            self._db.executemany(
                "INSERT OR REPLACE INTO dead VALUES (?,?,?,?,?)",
                ((d.position, d.topic, d.kind, d.payload, d.reason) for d in dead),
            )

    def rewind(self, consumer: str, position: int) -> int:
        """Set a consumer back, at most to the first position kept; the position taken is returned.

        History never goes forward by it, which would leave messages out. Its counters go back with it: what
        will be written again is pending, not stored.
        """
        with self._file.transaction():
            first = self._file.first()
            position = min(max(position, first), self._file.head())
            if consumer == "history":
                position = min(position, max(first, self.cursor_position("history")))
                self._uncount(position)
            self._move(consumer, Cursor(self._file.epoch, position))
        return position

    def pending(self, position: int) -> Counter[str]:
        """Messages per kind that history has before it at a position."""
        pending = Counter(self._store.pending(position))
        pending.subtract(replays.replaced_kinds(self._file, position))
        return pending

    def _uncount(self, position: int) -> None:
        (old,) = self._db.execute("SELECT position FROM consumer WHERE name='history'").fetchone()
        again = self.pending(position)
        again.subtract(self.pending(max(old, position)))
        dead = Counter(
            kind for (kind,) in self._db.execute("SELECT kind FROM dead WHERE position>=?", (position,))
        )
        self._db.execute("DELETE FROM dead WHERE position>=?", (position,))
        replays.rewound(self._file, position)
        self._file.count({("stored", kind): dead[kind] - count for kind, count in again.items()})
        self._file.count({("dead_lettered", kind): -count for kind, count in dead.items()})

    def prune(self, *, before_ms: int, batches_at_most: int) -> int:
        """Delete old batches that every consumer has passed; their number is returned.

        Over nine tenths of the size cap, age no longer matters.
        """
        passed = min(
            (position if epoch == self._file.epoch else 0)
            for epoch, position in self._db.execute("SELECT epoch, position FROM consumer")
        )
        crowded = self._file.size() > self._file.limits.size_cap * 9 // 10
        with self._file.transaction():
            rows = self._db.execute(
                "SELECT first FROM batch WHERE first + size <= ? AND (at_ms < ? OR ?) ORDER BY first LIMIT ?",
                (passed, before_ms, crowded, batches_at_most),
            ).fetchall()
            self._db.executemany("DELETE FROM extent WHERE batch=?", rows)
            self._db.executemany("DELETE FROM batch WHERE first=?", rows)
            if rows:
                first = self._file.first()
                self._db.execute("DELETE FROM dead WHERE position < ?", (first,))
                replays.pruned(self._file, first)
        if rows:
            self._db.execute(f"PRAGMA incremental_vacuum({16 * len(rows)})").fetchall()
        return len(rows)
