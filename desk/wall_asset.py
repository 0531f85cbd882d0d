"""From the ledger to the page of one asset."""

from __future__ import annotations

from typing import Final

from desk import views
from rules.inputs import alias_key
from rules.state import Device, State
from telemetry.messages import AlarmKind

_EQUIPMENT: Final = frozenset({None, AlarmKind.TECHNICAL, AlarmKind.ADVISORY})
"""Faults, and the alarms that are about a device and not about who is treated with it."""


def asset_view(
    row: views.DeviceRow, state: State, *, tickets: tuple[views.TicketRow, ...]
) -> views.AssetView:
    """Everything on record of an asset."""
    asset = state.assets[row.asset]
    keys = tuple(map(alias_key, asset.aliases))
    devices = tuple(state.devices[key] for key in keys if key in state.devices)
    return views.AssetView(
        row=row,
        device_type=asset.device_type,
        aliases=tuple(" ".join(filter(None, key)) for key in keys),
        heard_as=tuple(f"{device.publisher}/{device.name}" for device in devices),
        adjustments=tuple(
            sorted(
                (
                    views.AdjustmentRow(name, made)
                    for device in devices
                    for name, meter in device.derived.items()
                    for made in meter.adjustments
                ),
                key=lambda one: -one.made.at_ms,
            )
        ),
        standings=_standings(row.asset, state),
        episodes=_episodes(devices),
        tickets=tickets,
    )


def _standings(asset: str, state: State) -> tuple[views.StandingRow, ...]:
    found = []
    for standing in state.rule_states.values():
        active = state.rules.get(standing.rule)
        if standing.asset != asset or active is None or active.rule.meter is None:
            continue
        due_h = None if standing.last_done is None else standing.last_done + active.rule.meter.every_h
        found.append(
            views.StandingRow(active.rule.title, standing.meter.name, standing.standing, standing.why, due_h)
        )
    return tuple(sorted(found, key=lambda row: row.title))


def _episodes(devices: tuple[Device, ...]) -> tuple[views.EpisodeRow, ...]:
    """Newest first; of alarms only those of the equipment."""
    rows = (
        views.EpisodeRow(one.kind, one.code, one.text, one.life, one.began_ms, one.last_ms)
        for device in devices
        for one in device.episodes.values()
        if one.alarm_kind in _EQUIPMENT
    )
    return tuple(sorted(rows, key=lambda row: -row.last_ms))
