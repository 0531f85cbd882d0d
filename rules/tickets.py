"""Tickets, what fired them, and their events, as values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rules.documents import Source
from rules.words import FINAL_STATES, Stated, TicketKind, TicketPriority, TicketState
from telemetry.messages import AlarmKind, Effect, MeterName, Phase, Priority, Provenance


class MeterEvidence(Stated):
    """What a meter showed when it was judged."""

    about: Literal["meter"] = "meter"
    meter: MeterName
    provenance: Provenance
    low_h: float
    """Observed, at least."""
    high_h: float
    """Observed and unknown, at most."""
    coverage: float
    since_ms: int
    """When the reading in force was written down, or counting began."""
    at_ms: int
    last_done_h: float
    last_done_known: bool
    """False when no completed work is on record and counting began with the first message."""
    every_h: float
    lead_h: float
    due_h: float
    cycle: int
    provisional: bool = False
    """Whether hours in it wait for someone who confirms device and port."""


class EpisodeEvidence(Stated):
    """The occurrence of an alarm or fault that fired a rule."""

    about: Literal["episode"] = "episode"
    what: Literal["alarm", "fault"]
    code: str
    text: str
    alarm_kind: AlarmKind | None
    priority: Priority | None
    effect: Effect | None
    mapped: bool
    phase: Phase
    began_ms: int
    device: str
    """Publisher and device as named in its topic."""


class IdentityEvidence(Stated):
    """Another device speaks where one spoke before."""

    about: Literal["identity"] = "identity"
    where: str
    """The port, as publisher and device of its topic, or the weak alias."""
    before: str
    after: str
    before_ms: int
    """When the former was heard last."""
    since_ms: int
    """When the other was heard first."""
    provisional: bool
    """Whether hours of an asset can no longer be told from those of the other device."""


class ToReview(Stated):
    """An asset of an import of which something has to be looked up."""

    asset: str
    meters: tuple[MeterName, ...]
    """Those on which rules count and that nobody has read."""
    due: tuple[str, ...]
    """Rules whose work is due, or may be, by the readings that were entered."""
    donated: bool
    """Whether it ran elsewhere before, and nobody has said how long."""


class BaselineEvidence(Stated):
    """The assets of an import of which readings are missing still."""

    about: Literal["baselines"] = "baselines"
    batch: str
    missing: tuple[ToReview, ...]
    of: int
    """How many there were at first."""


class ConflictEvidence(Stated):
    """The settings give an alias to an asset, people gave it to another."""

    about: Literal["conflict"] = "conflict"
    alias: str
    held_by: str
    said_by: str
    at_ms: int


Evidence = Annotated[
    MeterEvidence | EpisodeEvidence | IdentityEvidence | BaselineEvidence | ConflictEvidence,
    Field(discriminator="about"),
]


class MeterRef(Stated):
    """The meter that a ticket is about; closing takes its reading."""

    name: MeterName
    provenance: Provenance


class Ticket(Stated):
    """One piece of work for technicians, with everything that explains it."""

    id: str
    number: int
    cause: str
    """One open ticket for each cause."""
    kind: TicketKind
    priority: TicketPriority
    asset: str
    """Empty where it is about the registry of the site."""
    rule: str
    version: str
    title: str
    action: str
    checklist: tuple[str, ...]
    parts: tuple[str, ...]
    source: Source
    state: TicketState
    opened_ms: int
    """Event time of what opened it."""
    opened_tick_ms: int
    """The collector's clock when it was opened."""
    last_seen_ms: int
    occurrences: int = 1
    reopened: int = 0
    missed_cycles: int = 0
    cleared_ms: int | None = None
    """When the fault went away by itself; the ticket stays."""
    closed_ms: int | None = None
    reading: float | None = None
    meter: MeterRef | None = None
    evidence: tuple[Evidence, ...]
    events: int = 0
    """How many events it has had: its version, for whoever changes it."""

    @property
    def is_open(self) -> bool:
        """Whether it still wants something of someone."""
        return self.state not in FINAL_STATES


class TicketEvent(Stated):
    """One change of a ticket, never changed itself; `number` counts from 1 within the ticket."""

    ticket: str
    number: int
    at_ms: int
    who: str
    from_state: TicketState | None
    to_state: TicketState
    note: str


ENGINE: Literal["hourmeter"] = "hourmeter"
"""Who acts when no person does."""
