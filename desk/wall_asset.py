"""From the ledger to the page of one asset."""

from __future__ import annotations

from typing import Final

from desk import views, views_asset
from rules.assets import Asset
from rules.attributes import Attribute
from rules.inputs import alias_key
from rules.overview import life_of
from rules.registry import is_weak
from rules.state import Device, State
from telemetry.messages import AlarmKind

_EQUIPMENT: Final = frozenset({None, AlarmKind.TECHNICAL, AlarmKind.ADVISORY})
"""Faults, and the alarms that are about a device and not about who is treated with it."""
_FACTS: Final = (
    Attribute.SERIAL,
    Attribute.OWNER,
    Attribute.ACQUIRED,
    Attribute.WARRANTY_END,
    Attribute.CONTRACT_END,
    Attribute.SUPPLIER,
    Attribute.FUNDING,
)
"""What stands in a list of its own; the others stand at the head of the page."""


def asset_view(
    row: views.DeviceRow, state: State, *, tickets: tuple[views.TicketRow, ...]
) -> views_asset.AssetView:
    """Everything on record of an asset."""
    asset = state.assets[row.asset]
    keys = tuple(map(alias_key, asset.aliases))
    devices = tuple(state.devices[key] for key in keys if key in state.devices)
    return views_asset.AssetView(
        row=row,
        device_type=asset.device_type,
        aliases=_aliases(asset, state),
        heard_as=tuple(f"{device.publisher}/{device.name}" for device in devices),
        adjustments=tuple(
            sorted(
                (
                    views_asset.AdjustmentRow(name, made)
                    for (owner, name), meter in state.meters.items()
                    if owner == row.asset
                    for made in meter.adjustments
                ),
                key=lambda one: -one.made.at_ms,
            )
        ),
        standings=_standings(row.asset, state),
        episodes=_episodes(devices, state),
        tickets=tickets,
        facts=tuple((one, asset.values[one]) for one in _FACTS if asset.values.get(one)),
        wards=_wards(asset),
        changes=_changes(asset),
    )


def _aliases(asset: Asset, state: State) -> tuple[views_asset.AliasRow, ...]:
    """Open ones first."""
    rows = (
        views_asset.AliasRow(
            name=" ".join(filter(None, alias_key(held.alias))),
            is_weak=is_weak(held.alias, state.devices.get(alias_key(held.alias))),
            from_ms=held.from_ms,
            to_ms=held.to_ms,
            confirmed_by=held.confirmed_by or "",
        )
        for held in asset.held
    )
    return tuple(sorted(rows, key=lambda row: row.to_ms is not None))


def _wards(asset: Asset) -> tuple[views_asset.WardRow, ...]:
    """Where it has been, as it is known today; the latest first."""
    begins = {change.from_ms for change in asset.standing_changes if change.attribute is Attribute.WARD}
    found: list[views_asset.WardRow] = []
    for begin_ms in sorted(begins):
        ward = asset.value_at(Attribute.WARD, begin_ms)
        if not found or found[-1].ward != ward:
            found.append(views_asset.WardRow(ward, begin_ms))
    return tuple(reversed(found))


def _changes(asset: Asset) -> tuple[views_asset.ChangeRow, ...]:
    counting = {change.number for change in asset.standing_changes}
    return tuple(
        views_asset.ChangeRow(
            attribute=change.attribute,
            before=change.before,
            value=change.value,
            from_ms=change.from_ms,
            by=change.said.by,
            reason=change.said.reason,
            counts=change.number in counting or change.undoes is not None,
        )
        for change in reversed(asset.changes)
    )


def _standings(asset: str, state: State) -> tuple[views_asset.StandingRow, ...]:
    found = []
    for standing in state.rule_states.values():
        active = state.rules.get(standing.rule)
        if standing.asset != asset or active is None or active.rule.meter is None:
            continue
        due_h = None if standing.last_done is None else standing.last_done + active.rule.meter.every_h
        found.append(
            views_asset.StandingRow(
                active.rule.title, standing.meter.name, standing.standing, standing.why, due_h
            )
        )
    return tuple(sorted(found, key=lambda row: row.title))


def _episodes(devices: tuple[Device, ...], state: State) -> tuple[views_asset.EpisodeRow, ...]:
    """Newest first; of alarms only those of the equipment."""
    rows = (
        views_asset.EpisodeRow(
            one.kind, one.code, one.text, life_of(state, device, one), one.began_ms, one.last_ms
        )
        for device in devices
        for one in device.episodes.values()
        if one.alarm_kind in _EQUIPMENT
    )
    return tuple(sorted(rows, key=lambda row: -row.last_ms))
