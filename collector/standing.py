"""How a journal and its consumers stand, in figures that cost little to ask for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from collector.consumers import Consumers
from collector.journal_file import CONSUMERS
from collector.store import Store


@dataclass(frozen=True, slots=True)
class Behind:
    """What a consumer has before it."""

    records: int
    """Records of the journal, ticks among them."""
    since_ms: int | None
    """When the oldest message that it has not passed was received; None: it has passed them all."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The journal's own figures, all of one moment."""

    head: int
    """The position that the next record will get."""
    first: int
    """The oldest position kept."""
    used_bytes: int
    disk_free_bytes: int
    dead_letters: int
    """Dead letters kept now."""
    behind: Mapping[str, Behind]
    """By consumer."""


def standing(store: Store) -> Standing:
    """How the journal stands now. Raises Unavailable."""
    file = store.file
    with file.snapshot():
        head = file.head()
        (dead,) = file.db.execute("SELECT count(*) FROM dead").fetchone()
        return Standing(
            head=head,
            first=file.first(),
            used_bytes=file.size(),
            disk_free_bytes=shutil.disk_usage(file.path.parent).free,
            dead_letters=dead,
            behind={name: _behind(store, name, head=head) for name in CONSUMERS},
        )


def _behind(store: Store, consumer: str, *, head: int) -> Behind:
    position = Consumers(store).cursor_position(consumer)
    oldest = store.file.db.execute(
        "SELECT at_ms FROM batch WHERE first >= (SELECT coalesce(max(first), 0) FROM batch WHERE first <= ?1)"
        " AND first + size > ?1 AND kinds <> '{}' ORDER BY first LIMIT 1",
        (position,),
    ).fetchone()
    return Behind(max(0, head - position), None if oldest is None else int(oldest[0]))
