"""Everything the engine remembers, and what of it changed: plain data that a ledger can keep.

Rule 1: the state after a record depends only on the state before it and the record.
Rule 2: whatever is not written down by `Changes` does not influence a conclusion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter

from rules.episodes import Episode
from rules.inputs import ActiveRule, AliasKey, RegisteredAsset
from rules.meters import DerivedMeter, ReportedMeter, Sample
from rules.tickets import MeterRef, Ticket, TicketEvent
from rules.words import HOUR_MS, Standing, Stated
from telemetry.messages import Alias, LinkState, MeterName, OperatingState


@dataclass(slots=True)
class Device:
    """What is known of one device, by its alias."""

    alias: Alias
    publisher: str
    name: str
    """Its name in the settings of its host."""
    first_ms: int
    heard_ms: int
    link: LinkState = LinkState.ONLINE
    state: OperatingState = OperatingState.UNKNOWN
    model: str = ""
    manufacturer: str = ""
    last: Sample | None = None
    derived: dict[MeterName, DerivedMeter] = field(default_factory=dict)
    reported: dict[str, ReportedMeter] = field(default_factory=dict)
    episodes: dict[str, Episode] = field(default_factory=dict)
    physiological: int = 0
    """Physiological alarms heard: counted, never ticketed."""
    late: int = 0
    """Messages that came late or twice and changed nothing."""

    @property
    def has_spoken(self) -> bool:
        """Whether anything was heard but the host's word on its link."""
        return bool(self.last or self.manufacturer or self.model or self.episodes or self.physiological)


@dataclass(slots=True)
class Publisher:
    """The link of an adapter host, keyed by its connection so that a late will is told apart."""

    name: str
    link: LinkState
    connection: str
    at_ms: int


class RuleState(Stated):
    """How one meter rule stands for one asset."""

    asset: str
    rule: str
    meter: MeterRef
    standing: Standing
    why: str = ""
    """What keeps it from being evaluated."""
    cycle: int = 1
    last_done: float | None = None
    last_done_known: bool = False


@dataclass(slots=True)
class Engineering:
    """The engine's own clock and counters, as last ticked."""

    now_ms: int = 0
    settled_ms: int = 0
    """From when on silence is judged: hosts need time to catch up after a start of the collector."""
    swept_hour: int = 0
    next_ticket: int = 1
    counters: dict[str, int] = field(default_factory=dict)
    """`concluded:kind` and `failed:kind`, in messages."""


@dataclass(slots=True)
class State:
    """The engine's memory; a ledger gives back what it was given, tickets closed for good left out."""

    engineering: Engineering = field(default_factory=Engineering)
    assets: dict[str, RegisteredAsset] = field(default_factory=dict)
    rules: dict[str, ActiveRule] = field(default_factory=dict)
    devices: dict[AliasKey, Device] = field(default_factory=dict)
    publishers: dict[str, Publisher] = field(default_factory=dict)
    rule_states: dict[tuple[str, str], RuleState] = field(default_factory=dict)
    tickets: dict[str, Ticket] = field(default_factory=dict)
    """Every open ticket, and those that ended since `kept_from_ms`."""


@dataclass(frozen=True, slots=True)
class StoredDevice:
    """A device as the ledger keeps it; without an asset it is unclaimed."""

    key: AliasKey
    asset: str | None
    document: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What became different since the last taking out; None means as before."""

    engineering: str
    assets: tuple[RegisteredAsset, ...] | None
    rules: tuple[ActiveRule, ...] | None
    devices: tuple[StoredDevice, ...]
    publishers: tuple[Publisher, ...]
    rule_states: tuple[RuleState, ...]
    tickets: tuple[Ticket, ...]
    events: tuple[TicketEvent, ...]


REOPEN_MS: Final = 72 * HOUR_MS
"""A cause that comes back within that time of closing reopens its ticket (DESIGN, Tickets)."""
_KEPT_MS: Final = 2 * REOPEN_MS


def kept_from_ms(engineering: Engineering) -> int:
    """Tickets that ended earlier are no longer in memory: late words can no longer reopen them."""
    return engineering.swept_hour * HOUR_MS - _KEPT_MS


_DEVICE: TypeAdapter[Device] = TypeAdapter(Device)
_ENGINEERING: TypeAdapter[Engineering] = TypeAdapter(Engineering)


def write_device(device: Device) -> str:
    """The device as JSON text."""
    return _DEVICE.dump_json(device).decode()


def read_device(text: str) -> Device:
    """The device of a text that `write_device` wrote."""
    return _DEVICE.validate_json(text)


def write_engineering(engineering: Engineering) -> str:
    """Clock and counters as JSON text."""
    return _ENGINEERING.dump_json(engineering).decode()


def read_engineering(text: str) -> Engineering:
    """Clock and counters of a text that `write_engineering` wrote."""
    return _ENGINEERING.validate_json(text)
