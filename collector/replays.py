"""Which dead letters a person wants to go again, and which ones have gone: table `replay` of the journal.

A row is a position; `again` is the position that its message has got besides, NULL while that is asked for.

Rule 1: a dead letter that went again is a new record; its counters move in the commit that journals it.
Rule 2: the position that it had counts no more: a history that is written anew passes over it.
Rule 3: all of it goes when the batch of that position is pruned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from collector.journal_file import JournalFile

REPLAYED = "replayed"
"""The counter of messages that were journaled once more."""


def ask(file: JournalFile, letters: Iterable[tuple[int, str]]) -> None:
    """Note, within the caller's transaction, positions and kinds of dead letters that shall go again."""
    file.db.executemany("INSERT OR IGNORE INTO replay VALUES (?,?,NULL)", letters)


def asked(file: JournalFile, *, at_most: int) -> tuple[int, ...]:
    """Positions of dead letters that a person wants to go again, oldest first."""
    rows = file.db.execute(
        "SELECT position FROM replay JOIN dead USING (position)"
        " WHERE again IS NULL ORDER BY position LIMIT ?",
        (at_most,),
    )
    return tuple(position for (position,) in rows)


def done(file: JournalFile, again: Sequence[tuple[int, int]]) -> None:
    """Note, within the caller's transaction, which positions have become which: no dead letters any more."""
    file.db.executemany("UPDATE replay SET again=?2 WHERE position=?1", again)
    file.db.executemany("DELETE FROM dead WHERE position=?", ((position,) for position, _ in again))


def replaced(file: JournalFile, first: int, *, before: int | None = None) -> Mapping[int, str]:
    """Kinds of the messages from a position on that stand elsewhere too, by position."""
    rows = file.db.execute(
        "SELECT position, kind FROM replay WHERE again IS NOT NULL AND position>=?1"
        " AND (?2 IS NULL OR position<?2)",
        (first, before),
    )
    return dict(rows.fetchall())


def replaced_kinds(file: JournalFile, first: int) -> Counter[str]:
    """How many messages of each kind from a position on stand elsewhere too."""
    return Counter(replaced(file, first).values())


def rewound(file: JournalFile, position: int) -> None:
    """Forget, within the caller's transaction, what was asked from a position on: it is pending anyway."""
    file.db.execute("DELETE FROM replay WHERE again IS NULL AND position>=?", (position,))


def pruned(file: JournalFile, first: int) -> None:
    """Forget, within the caller's transaction, what stood before the first position kept."""
    file.db.execute("DELETE FROM replay WHERE position<?", (first,))
