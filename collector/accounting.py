"""Where every message is: received = stored + pending + dead-lettered + duplicate + quarantined + private.

Stored and dead-lettered are counted where they are committed, pending by reading what lies before the
cursor; so the sum is a check and not a definition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from collector.consumers import Consumers
from collector.cursors import Cursor
from collector.journal_file import Tally
from collector.replays import REPLAYED
from collector.store import Store

COUNTED = ("stored", "pending", "dead_lettered", "duplicate", "quarantined", "privacy")


@dataclass(frozen=True, slots=True)
class Line:
    """The places of all messages of one kind."""

    received: int
    stored: int
    pending: int
    dead_lettered: int
    duplicate: int
    quarantined: int
    privacy: int

    @property
    def unaccounted(self) -> int:
        """Zero, or there is a bug."""
        kept = self.stored + self.pending + self.dead_lettered
        return self.received - kept - self.duplicate - self.quarantined - self.privacy


@dataclass(frozen=True, slots=True)
class Conclusions:
    """The identity of the rules: journaled = concluded + pending + failed; what went again counts twice."""

    journaled: int
    concluded: int
    pending: int
    failed: int

    @property
    def unaccounted(self) -> int:
        """Zero, or there is a bug."""
        return self.journaled - self.concluded - self.pending - self.failed


@dataclass(frozen=True, slots=True)
class Accounting:
    """The whole of one journal."""

    epoch: str
    total: Line
    kinds: Mapping[str, Line]
    missing: int
    """Sent, not here, still held by their publishers: asked for again."""
    lost: int
    """Final."""
    rules: Conclusions | None

    @property
    def is_pending(self) -> bool:
        """Whether a consumer still has messages before it."""
        return self.total.pending > 0 or (self.rules is not None and self.rules.pending > 0)


def journaled(tallies: Mapping[Tally, int]) -> Counter[str]:
    """Messages of each kind that the journal was ever given: those that went again twice."""
    signs = {"received": 1, REPLAYED: 1, "duplicate": -1, "quarantined": -1, "privacy": -1}
    counts: Counter[str] = Counter()
    for (what, kind), count in tallies.items():
        counts[kind] += signs.get(what, 0) * count
    return counts


def account(
    store: Store, *, rules_cursor: Cursor | None, concluded: Mapping[str, int], failed: Mapping[str, int]
) -> Accounting:
    """The accounting as of now; `concluded` and `failed` are the ledger's counters per kind.

    Raises CursorError if the rules stand in another epoch, where nothing can be compared.
    """
    consumers = Consumers(store)
    if rules_cursor is not None:
        consumers.check("rules", rules_cursor)
    with store.file.snapshot():
        tallies = store.tallies()
        kinds = sorted({kind for _, kind in tallies})
        pending = consumers.pending(consumers.cursor_position("history"))
        streams = store.streams()
        for_rules = None if rules_cursor is None else store.pending(rules_cursor.position)

    def line(of: tuple[str, ...]) -> Line:
        def sum_of(what: str) -> int:
            return sum(tallies.get((what, kind), 0) for kind in of)

        return Line(
            received=sum_of("received"),
            pending=sum(pending.get(kind, 0) for kind in of),
            **{what: sum_of(what) for what in COUNTED if what != "pending"},
        )

    total = line(tuple(kinds))
    return Accounting(
        epoch=store.file.epoch,
        total=total,
        kinds={kind: line((kind,)) for kind in kinds},
        missing=sum(stream.missing for stream in streams if not stream.superseded),
        lost=sum(stream.lost for stream in streams),
        rules=None
        if for_rules is None
        else Conclusions(
            journaled=sum(journaled(tallies).values()),
            concluded=sum(concluded.values()),
            pending=sum(for_rules.values()),
            failed=sum(failed.values()),
        ),
    )
