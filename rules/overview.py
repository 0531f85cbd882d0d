"""What the desk shows of the engine's memory: the fleet, what nobody has claimed, and how rules stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rules.inputs import AliasKey
from rules.registry import Directory, level_of
from rules.state import Device, State
from rules.words import Standing
from telemetry.messages import LinkState, MeterName, OperatingState, Provenance

_RANK: Final = (LinkState.OFFLINE, LinkState.MUTE, LinkState.ONLINE)


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One meter: at least, at most, and the share of time that was observed."""

    name: MeterName
    provenance: Provenance
    low_h: float
    high_h: float
    coverage: float
    anomalies: int


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


def _meters(device: Device, *, now_ms: int) -> tuple[MeterRow, ...]:
    names = [(name, Provenance.DERIVED) for name in device.derived]
    for told in device.reported:
        name, provenance = told.split("/")
        names.append((MeterName(name), Provenance(provenance)))
    rows = []
    for meter, provenance in names:
        level = level_of(device, meter, provenance, now_ms=now_ms)
        if level is None:
            continue
        told_meter = device.reported.get(f"{meter}/{provenance}")
        anomalies = told_meter.anomalies if told_meter else 0
        rows.append(MeterRow(meter, provenance, level.low_h, level.high_h, level.coverage, anomalies))
    return tuple(rows)


def fleet_rows(state: State) -> tuple[FleetRow, ...]:
    """All assets by id; of several devices of an asset the one heard last speaks for it."""
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
        device = max(devices, key=lambda device: device.heard_ms, default=None)
        rows.append(
            FleetRow(
                asset=asset.id,
                label=asset.label,
                ward=asset.ward,
                manufacturer=asset.manufacturer,
                model=asset.model,
                heard_ms=device.heard_ms if device else None,
                link=link_of(state, device) if device else None,
                operating=_operating(state, device) if device else OperatingState.UNKNOWN,
                meters=_meters(device, now_ms=state.engineering.now_ms) if device else (),
                standings=tuple(sorted(standings.get(asset.id, ()), key=lambda row: row.rule)),
                open_tickets=tuple(tickets.get(asset.id, ())),
            )
        )
    return tuple(rows)


def unclaimed_rows(state: State) -> tuple[UnclaimedRow, ...]:
    """All devices that spoke and that no asset claims, by alias.

    A port of which only its host has spoken is no device yet.
    """
    directory = Directory(state)
    return tuple(
        UnclaimedRow(
            alias=key,
            publisher=device.publisher,
            device=device.name,
            manufacturer=device.manufacturer,
            model=device.model,
            first_ms=device.first_ms,
            heard_ms=device.heard_ms,
            operating=_operating(state, device),
            meters=_meters(device, now_ms=state.engineering.now_ms),
        )
        for key, device in sorted(state.devices.items())
        if directory.asset_of(key) is None and device.has_spoken
    )
