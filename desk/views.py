"""What the page shows, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from rules.attributes import ENDED, SPEAKING, LifeCycle
from rules.tickets import Evidence
from rules.words import Standing, TicketKind, TicketPriority, TicketState
from telemetry.messages import LinkState, MeterName, OperatingState, Provenance


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One meter of a device, in hours or cycles by its name."""

    name: MeterName
    provenance: Provenance
    low_h: float
    """Observed, at least."""
    high_h: float
    """Observed and unknown, at most."""
    coverage: float
    """Share of time that was observed, 0 to 1."""
    due_h: float | None
    """The reading at which work is due; None if no rule counts on this meter."""
    standing: Standing | None
    """How its rule stands; None if no rule counts on this meter."""
    done_h: float = 0.0
    """The reading at which work was last completed: where the bar begins."""
    is_provisional: bool = False
    """Whether hours in it wait for someone who confirms device and port."""

    @property
    def is_overdue(self) -> bool:
        """Whether even the least that it can show is past due."""
        return self.due_h is not None and self.low_h >= self.due_h

    @property
    def wants_someone(self) -> bool:
        """Whether work or a reading is asked for, or may be due for all that is known."""
        maybe = self.due_h is not None and self.high_h >= self.due_h
        return maybe or self.standing in {Standing.DUE, Standing.ASKED}

    def share(self, reading_h: float) -> float:
        """How much of the interval a reading has used up, 0 to 1."""
        if self.due_h is None or self.due_h <= self.done_h:
            return 1.0
        return min(1.0, max(0.0, (reading_h - self.done_h) / (self.due_h - self.done_h)))


class Only(StrEnum):
    """What a reader may narrow the devices down to."""

    IN_USE = "in_use"
    SILENT = "silent"
    OVERDUE = "overdue"
    NO_ADAPTER = "no_adapter"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One asset and what was last heard of it.

    Rows are equal when they say the same; when it was heard is told apart, for it is another one each time.
    """

    asset: str
    label: str
    ward: str
    manufacturer: str
    model: str
    link: LinkState | None
    """None if nothing was ever heard."""
    state: OperatingState
    """As last heard."""
    heard_ms: int | None = field(compare=False)
    meters: tuple[MeterRow, ...]
    has_adapter: bool = True
    """Whether it is heard by machine at all; without, people write down its readings."""
    owner: str = ""
    life_cycle: LifeCycle = LifeCycle.IN_SERVICE
    unknown_alarms: int = 0
    """Alarms and faults that stood when it was last heard: whether they have ended is not known."""

    @property
    def is_present(self) -> bool:
        """Whether its state is that of now, and not that of when it was last heard."""
        return self.link is LinkState.ONLINE

    @property
    def is_silent(self) -> bool:
        """Whether it should be heard and is not; one without an adapter, or in store, never should."""
        return self.has_adapter and self.life_cycle in SPEAKING and not self.is_present

    @property
    def is_ended(self) -> bool:
        """Whether it is disposed of or lost: on record, and no longer one of the fleet."""
        return self.life_cycle in ENDED

    @property
    def is_overdue(self) -> bool:
        """Whether work on it is past due by any of its meters."""
        return any(meter.is_overdue for meter in self.meters)

    def is_one(self, only: Only) -> bool:
        """Whether it is one of that sort."""
        match only:
            case Only.IN_USE:
                return self.is_present and self.state is OperatingState.IN_USE
            case Only.SILENT:
                return self.is_silent
            case Only.OVERDUE:
                return self.is_overdue
            case Only.NO_ADAPTER:
                return not self.has_adapter
            case Only.ENDED:
                return self.is_ended


@dataclass(frozen=True, slots=True)
class UnclaimedRow:
    """A device that speaks and belongs to no asset."""

    alias: str
    """Protocol, namespace and identifier, as a person reads them."""
    publisher: str
    device: str
    """Its name in the settings of its host."""
    heard_ms: int = field(compare=False)
    state: OperatingState
    model: str = ""
    """Manufacturer and model, as it says."""
    serial: str = ""
    is_weak: bool = False
    """Whether it is known by a port or a bed only."""
    first_ms: int | None = None
    meters: tuple[MeterRow, ...] = ()
    """What it has run so far."""
    open_alarms: int = 0
    unknown_alarms: int = 0
    command: str = ""
    """What claims it."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One change of a ticket."""

    at_ms: int
    who: str
    state: TicketState
    note: str


@dataclass(frozen=True, slots=True)
class TicketRow:
    """One open ticket."""

    id: str
    kind: TicketKind
    priority: TicketPriority
    asset: str
    label: str
    ward: str
    title: str
    state: TicketState
    opened_ms: int
    last_seen_ms: int
    occurrences: int
    explanation: tuple[str, ...]
    """Sentences: what, on what grounds, by which rule."""
    checklist: tuple[str, ...] = ()
    events: tuple[EventRow, ...] = ()
    """Oldest first; only where one ticket is asked for."""
    evidence: tuple[Evidence, ...] = ()
    """What fired it, in figures."""
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where every message is; named as in collector.accounting."""

    received: int
    stored: int
    pending: int
    dead_lettered: int
    duplicate: int
    quarantined: int
    privacy: int
    missing: int
    lost: int


@dataclass(frozen=True, slots=True)
class Health:
    """How the line behind the page does."""

    not_acknowledging: str = ""
    """Why the collector takes nothing more; empty when all is well, or when it is another process."""
    history_trouble: str = ""
    """Why nothing is stored; empty likewise."""
    journaled_ms: int | None = None
    """When the collector last wrote into the journal, as it does each second; None: never."""
    concluded_ms: int | None = None
    """Up to when the rules have concluded; None: never."""
    silent_after_ms: int = 60_000
    """After so long without a word from them, what they said last is not of now."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All that the page shows, as of one moment."""

    now_ms: int
    """The clock that ages are told by."""
    site_note: str
    """What must be said of the whole site, as `demo`; empty for a site at work."""
    devices: tuple[DeviceRow, ...]
    unclaimed: tuple[UnclaimedRow, ...]
    tickets: tuple[TicketRow, ...]
    """Open tickets only."""
    numbers: Numbers
    health: Health
    clock_rate: float = 1.0
    """Seconds of the clock per real second: other than 1 in a demo."""

    @property
    def no_data_since_ms(self) -> int | None:
        """Since when nothing is known: collector or rules stand still; None while both go on, 0: ever."""
        said = (self.health.journaled_ms or 0, self.health.concluded_ms or 0)
        return min(said) if self.now_ms - min(said) > self.health.silent_after_ms else None
