"""What the desk shows of the engine's memory: the fleet, what nobody has claimed, and how rules stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rules.assets import EVER_MS, NEVER_MS
from rules.attributes import LifeCycle
from rules.episodes import Episode, Life
from rules.hours import Span, derived_level
from rules.inputs import AliasKey
from rules.meters import Level, reported_key
from rules.registry import Directory, reported_level
from rules.state import Device, State
from rules.words import Standing
from telemetry.messages import AlarmKind, LinkState, MeterName, OperatingState, Provenance, Strength

_RANK: Final = (LinkState.OFFLINE, LinkState.MUTE, LinkState.ONLINE)
_EQUIPMENT: Final = frozenset({None, AlarmKind.TECHNICAL, AlarmKind.ADVISORY})
"""Faults, and the alarms that are about a device and not about who is treated with it."""


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One meter: at least, at most, and the share of time that was observed."""

    name: MeterName
    provenance: Provenance
    low_h: float
    high_h: float
    coverage: float
    anomalies: int
    provisional: bool = False
    """Whether hours in it wait for someone who confirms device and port."""


@dataclass(frozen=True, slots=True)
class StandingRow:
    """How one meter rule stands; `due_h` is None where no completed work is on record."""

    rule: str
    standing: Standing
    why: str
    due_h: float | None


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One asset as it stands now; `heard_ms` and `link` are None when nothing was ever heard."""

    asset: str
    label: str
    ward: str
    manufacturer: str
    model: str
    heard_ms: int | None
    link: LinkState | None
    operating: OperatingState
    meters: tuple[MeterRow, ...]
    standings: tuple[StandingRow, ...]
    open_tickets: tuple[str, ...]
    owner: str = ""
    serial: str = ""
    life_cycle: LifeCycle = LifeCycle.IN_SERVICE
    provisional: bool = False
    """Whether a device speaks for it under a weak alias that nobody stands for."""
    open_alarms: int = 0
    """Alarms and faults of the equipment that stand, as far as it is heard."""
    unknown_alarms: int = 0
    """Those that stood when the link was lost: whether they have ended is not known."""


@dataclass(frozen=True, slots=True)
class UnclaimedRow:
    """A device that no asset claims, with what it says of itself; everything it said is kept."""

    alias: AliasKey
    publisher: str
    device: str
    manufacturer: str
    model: str
    first_ms: int
    heard_ms: int
    operating: OperatingState
    meters: tuple[MeterRow, ...]
    serial: str = ""
    """As the device tells it."""
    strength: Strength = Strength.STRONG
    open_alarms: int = 0
    unknown_alarms: int = 0


def link_of(state: State, device: Device) -> LinkState:
    """A device is online when it and the host that speaks for it are."""
    host = state.publishers.get(device.publisher)
    links = (device.link, host.link if host else LinkState.ONLINE)
    return min(links, key=_RANK.index)


def _operating(state: State, device: Device) -> OperatingState:
    last = device.last
    overdue = last is None or state.engineering.now_ms - last.event_ms > last.gap_ms
    if overdue or link_of(state, device) is not LinkState.ONLINE:
        return OperatingState.UNKNOWN
    return device.state


def life_of(state: State, device: Device, episode: Episode) -> Life:
    """Whether an episode stands: of a device that cannot be heard that is unknown, and not ended."""
    if episode.life is Life.ACTIVE and link_of(state, device) is not LinkState.ONLINE:
        return Life.UNKNOWN
    return episode.life


def _lives(state: State, devices: Iterable[Device]) -> Counter[Life]:
    return Counter(
        life_of(state, device, episode)
        for device in devices
        for episode in device.episodes.values()
        if episode.alarm_kind in _EQUIPMENT
    )


def _reported(spans: Sequence[Span]) -> list[tuple[MeterName, Provenance]]:
    names = {name for span in spans for name in span.device.reported}
    names |= {former.name for span in spans for former in span.device.former}
    found = [name.split("/") for name in sorted(names)]
    return [(MeterName(name), Provenance(provenance)) for name, provenance in found]


def _meters(state: State, asset: str | None, spans: Sequence[Span]) -> tuple[MeterRow, ...]:
    rows = []
    for name in MeterName:
        written = state.meters.get((asset or "", name))
        level = derived_level(name, spans, written, now_ms=state.engineering.now_ms)
        if level is not None:
            rows.append(_row(name, Provenance.DERIVED, level, anomalies=0))
    for name, provenance in _reported(spans):
        key = reported_key(name, provenance)
        level = reported_level(key, spans)
        anomalies = sum(meter.anomalies for span in spans for meter in span.device.told(key))
        if level is not None:
            rows.append(_row(name, provenance, level, anomalies=anomalies))
    return tuple(rows)


def _row(name: MeterName, provenance: Provenance, level: Level, *, anomalies: int) -> MeterRow:
    return MeterRow(name, provenance, level.low_h, level.high_h, level.coverage, anomalies, level.provisional)


def _heard_ms(spans: Iterable[Span]) -> int | None:
    """When a device was last heard for the asset."""
    heard = [
        min(span.device.heard_ms, span.end_ms - 1) for span in spans if span.device.heard_ms >= span.begin_ms
    ]
    return max(heard, default=None)


def fleet_rows(state: State) -> tuple[FleetRow, ...]:
    """All assets by id; of several devices of an asset the one heard last speaks for it now."""
    directory = Directory(state)
    tickets: dict[str, list[str]] = {}
    for ticket in sorted(state.tickets.values(), key=lambda ticket: ticket.number):
        if ticket.is_open:
            tickets.setdefault(ticket.asset, []).append(ticket.id)
    standings: dict[str, list[StandingRow]] = {}
    for rule_state in state.rule_states.values():
        active = state.rules.get(rule_state.rule)
        condition = active.rule.meter if active else None
        done = rule_state.last_done
        due_h = done + condition.every_h if done is not None and condition is not None else None
        row = StandingRow(rule_state.rule, rule_state.standing, rule_state.why, due_h)
        standings.setdefault(rule_state.asset, []).append(row)
    rows = []
    for asset in sorted(state.assets.values(), key=lambda asset: asset.id):
        devices = [device for _, device in directory.devices_of(asset.id)]
        spans = [span for _, span in directory.spans_of(asset.id)]
        lives = _lives(state, devices)
        device = max(devices, key=lambda device: device.heard_ms, default=None)
        rows.append(
            FleetRow(
                asset=asset.id,
                label=asset.label,
                ward=asset.ward,
                manufacturer=asset.manufacturer,
                model=asset.model,
                heard_ms=_heard_ms(spans),
                link=link_of(state, device) if device else None,
                operating=_operating(state, device) if device else OperatingState.UNKNOWN,
                meters=_meters(state, asset.id, spans),
                standings=tuple(sorted(standings.get(asset.id, ()), key=lambda row: row.rule)),
                open_tickets=tuple(tickets.get(asset.id, ())),
                owner=asset.owner,
                serial=asset.serial,
                life_cycle=asset.life_cycle,
                provisional=any(span.provisional and span.end_ms == NEVER_MS for span in spans),
                open_alarms=lives[Life.ACTIVE],
                unknown_alarms=lives[Life.UNKNOWN],
            )
        )
    return tuple(rows)


def unclaimed_rows(state: State) -> tuple[UnclaimedRow, ...]:
    """All devices that spoke and that no asset claims, by alias.

    A port of which only its host has spoken is no device yet.
    """
    directory = Directory(state)
    rows = []
    for key, device in sorted(state.devices.items()):
        if not device.has_spoken or directory.asset_of(key, device.heard_ms) is not None:
            continue
        if directory.holder_of(key) is not None:  # since a day on which it has not spoken yet
            continue
        lives = _lives(state, (device,))
        rows.append(
            UnclaimedRow(
                alias=key,
                publisher=device.publisher,
                device=device.name,
                manufacturer=device.manufacturer,
                model=device.model,
                first_ms=device.first_ms,
                heard_ms=device.heard_ms,
                operating=_operating(state, device),
                meters=_meters(state, None, _unclaimed_spans(directory, key, device)),
                serial=device.serial,
                strength=device.alias.strength,
                open_alarms=lives[Life.ACTIVE],
                unknown_alarms=lives[Life.UNKNOWN],
            )
        )
    return tuple(rows)


def _unclaimed_spans(directory: Directory, key: AliasKey, device: Device) -> tuple[Span, ...]:
    """The time of a device that nobody claims."""
    spans = []
    begin_ms = EVER_MS
    for holder in directory.holders(key):
        if holder.begin_ms > begin_ms:
            spans.append(Span(begin_ms, holder.begin_ms, device, provisional=False))
        begin_ms = max(begin_ms, holder.end_ms)
    if begin_ms < NEVER_MS:
        spans.append(Span(begin_ms, NEVER_MS, device, provisional=False))
    return tuple(spans)
