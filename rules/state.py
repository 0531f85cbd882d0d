"""Everything the engine remembers, and what of it changed: plain data that a ledger can keep.

Rule 1: the state after a record depends only on the state before it and the record.
Rule 2: whatever is not written down by `Changes` does not influence a conclusion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from rules.assets import Asset
from rules.episodes import Episode
from rules.inputs import ActiveRule, AliasKey
from rules.meters import AssetMeter, DerivedMeter, Mark, ReportedMeter, Sample
from rules.tickets import MeterRef, Ticket, TicketEvent
from rules.words import HOUR_MS, Standing, Stated
from telemetry.messages import Alias, LinkState, MeterName, OperatingState


class FormerMeter(NamedTuple):
    """A figure that a device reported last before it spoke for another."""

    name: str
    meter: ReportedMeter


FORMER_KEPT: Final = 32
"""Figures of former holders kept for each device."""


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
    serial: str = ""
    """As the device tells it of itself."""
    last: Sample | None = None
    derived: dict[MeterName, DerivedMeter] = field(default_factory=dict)
    reported: dict[str, ReportedMeter] = field(default_factory=dict)
    episodes: dict[str, Episode] = field(default_factory=dict)
    physiological: int = 0
    """Physiological alarms heard: counted, never ticketed."""
    late: int = 0
    """Messages that came late or twice and changed nothing."""
    former: list[FormerMeter] = field(default_factory=list)
    """What it reported while it spoke for another asset, or was another device."""
    displaced: bool = False
    """Whether another strong alias has spoken at its port since."""
    doubted_ms: int | None = None
    """Since when another device may speak under this weak alias; who confirms it later knows better."""

    def told(self, name: str) -> tuple[ReportedMeter, ...]:
        """Its figures of one name, of all for whom it has spoken."""
        former = tuple(one.meter for one in self.former if one.name == name)
        return (*former, self.reported[name]) if name in self.reported else former

    def put_aside(self, names: tuple[str, ...]) -> None:
        """Begin these figures anew: those so far are of another."""
        self.former.extend(FormerMeter(name, self.reported.pop(name)) for name in names)
        del self.former[:-FORMER_KEPT]

    @property
    def has_spoken(self) -> bool:
        """Whether anything was heard but the host's word on its link."""
        return bool(self.last or self.manufacturer or self.model or self.episodes or self.physiological)


class Port(NamedTuple):
    """The strong alias that speaks at a topic, and since when."""

    key: AliasKey
    since_ms: int


PortName = tuple[str, str]
"""Publisher and device of a topic."""


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
    assets: dict[str, Asset] = field(default_factory=dict)
    meters: dict[tuple[str, MeterName], AssetMeter] = field(default_factory=dict)
    """What meters of assets were written down to be."""
    ports: dict[PortName, Port] = field(default_factory=dict)
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
    days: str | None = None
    """What it had counted at past midnights; None: as before."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What became different since the last taking out; None means as before."""

    engineering: str
    assets: tuple[Asset, ...]
    gone: tuple[str, ...]
    """Assets that are on record no longer."""
    meters: tuple[tuple[str, MeterName, AssetMeter], ...]
    ports: tuple[tuple[PortName, Port], ...]
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
_DAYS: TypeAdapter[dict[MeterName, list[Mark]]] = TypeAdapter(dict[MeterName, list[Mark]])
_METER: TypeAdapter[AssetMeter] = TypeAdapter(AssetMeter)
_ENGINEERING: TypeAdapter[Engineering] = TypeAdapter(Engineering)


def write_device(device: Device) -> str:
    """The device as JSON text, but for what it had counted at past midnights."""
    return _DEVICE.dump_json(device).decode()


def write_days(device: Device) -> str:
    """What the device had counted at past midnights, as JSON text: so much that it is written once a day."""
    return _DAYS.dump_json({name: meter.days for name, meter in device.derived.items()}).decode()


def read_device(text: str, days: str) -> Device:
    """The device of texts that `write_device` and `write_days` wrote."""
    device = _DEVICE.validate_json(text)
    if days:
        for name, marks in _DAYS.validate_json(days).items():
            device.derived[name].days = marks
    return device


def write_meter(meter: AssetMeter) -> str:
    """An asset's meter as JSON text."""
    return _METER.dump_json(meter).decode()


def read_meter(text: str) -> AssetMeter:
    """The meter of a text that `write_meter` wrote."""
    return _METER.validate_json(text)


def write_engineering(engineering: Engineering) -> str:
    """Clock and counters as JSON text."""
    return _ENGINEERING.dump_json(engineering).decode()


def read_engineering(text: str) -> Engineering:
    """Clock and counters of a text that `write_engineering` wrote."""
    return _ENGINEERING.validate_json(text)
