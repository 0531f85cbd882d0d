"""What is on record of assets, as lines for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any, Final

from desk.asset_beside import day
from rules.assets import Asset, Change, HeldAlias
from rules.attributes import Attribute
from rules.inputs import AliasKey, alias_key
from rules.overview import FleetRow, MeterRow, UnclaimedRow
from rules.registry import is_weak
from rules.state import Device
from rules.tickets import Ticket
from telemetry.messages import Strength
from telemetry.times import iso

COLUMNS: Final = ("asset", "label", "ward", "state", "type", "model", "serial", "link", "meters", "tickets")
UNCLAIMED: Final = (
    "protocol",
    "namespace",
    "identifier",
    "kind",
    "model",
    "first heard",
    "last heard",
    "meters",
)


def named(key: AliasKey) -> str:
    """An alias as a person reads it."""
    return " ".join(filter(None, key))


def meters_of(meters: Sequence[MeterRow]) -> str:
    """What the meters of a device show."""
    return ", ".join(
        f"{meter.name} {meter.low_h:.1f} ({meter.provenance}{', provisional' if meter.provisional else ''})"
        for meter in meters
    )


def line_of(row: FleetRow, asset: Asset) -> list[str]:
    """One asset under COLUMNS."""
    return [
        row.asset,
        row.label,
        row.ward,
        row.life_cycle,
        asset.device_type,
        " ".join(filter(None, (row.manufacturer, row.model))),
        row.serial,
        (row.link or "never heard") if asset.aliases else "no adapter",
        meters_of(row.meters),
        " ".join(row.open_tickets),
    ]


def unclaimed_line(row: UnclaimedRow) -> list[str]:
    """One unclaimed device under UNCLAIMED."""
    return [
        *row.alias,
        row.strength,
        " ".join(filter(None, (row.manufacturer, row.model))),
        iso(row.first_ms)[:16],
        iso(row.heard_ms)[:16],
        meters_of(row.meters),
    ]


def attributes_of(asset: Asset) -> tuple[tuple[str, str], ...]:
    """What is on record of an asset today, in the order of a life sheet; what is not known is left out."""
    told = {"asset": asset.id} | {attribute.value: asset.values.get(attribute, "") for attribute in Attribute}
    told["life_cycle"] = asset.life_cycle
    return tuple((name, value) for name, value in told.items() if value)


def claim_command(row: UnclaimedRow) -> str:
    """The command by which somebody claims an unclaimed device; ASSET and DAY are theirs to fill in."""
    protocol, namespace, identifier = (quote(part) for part in row.alias)
    weak = " --from DAY --confirmed" if row.strength is Strength.WEAK else ""
    return f"hourmeter assets claim ASSET {protocol} {namespace} {identifier}{weak}"


def held_line(held: HeldAlias, devices: Mapping[AliasKey, Device]) -> list[str]:
    """An interval of an alias: name, kind, from, to, who stands for it."""
    weak = is_weak(held.alias, devices.get(alias_key(held.alias)))
    sure = f"confirmed by {held.confirmed_by}" if held.confirmed_by else "not confirmed" if weak else ""
    until = day(held.to_ms) if held.to_ms is not None else ""
    kind = Strength.WEAK if weak else Strength.STRONG
    return [named(alias_key(held.alias)), kind, day(held.from_ms), until, sure]


def change_line(change: Change, *, counts: bool) -> list[str]:
    """An entry on an attribute: number, since when, what, who said it, when and why."""
    what = f"{change.attribute}: {change.before or '(nothing)'} → {change.value or '(nothing)'}"
    if change.undoes is not None:
        what = f"{what} (undoes {change.undoes})"
    elif not counts:
        what = f"{what} (undone)"
    said = change.said
    return [str(change.number), day(change.from_ms), what, said.by, iso(said.at_ms)[:16], said.reason]


def facts_of(row: FleetRow, asset: Asset, tickets: Sequence[Ticket]) -> dict[str, Any]:
    """Everything on record of an asset, for JSON."""
    counting = {change.number for change in asset.standing_changes}
    return {
        "id": asset.id,
        **{attribute.value: asset.values.get(attribute, "") for attribute in Attribute},
        "life_cycle": asset.life_cycle,
        "link": row.link,
        "heard": None if row.heard_ms is None else iso(row.heard_ms),
        "provisional": row.provisional,
        "meters": [meter_facts(meter) for meter in row.meters],
        "aliases": [held_facts(held) for held in asset.held],
        "baselines": [base.model_dump(mode="json") for base in asset.baselines],
        "changes": [
            change.model_dump(mode="json") | {"counts": change.number in counting} for change in asset.changes
        ],
        "tickets": [
            {"id": one.id, "priority": one.priority, "kind": one.kind, "title": one.title} for one in tickets
        ],
    }


def meter_facts(meter: MeterRow) -> dict[str, Any]:
    """One meter."""
    return {
        "meter": meter.name,
        "provenance": meter.provenance,
        "low_h": meter.low_h,
        "high_h": meter.high_h,
        "coverage": meter.coverage,
        "provisional": meter.provisional,
    }


def held_facts(held: HeldAlias) -> dict[str, Any]:
    """One interval of an alias."""
    return {
        **held.alias.model_dump(mode="json"),
        "from": None if held.from_ms is None else iso(held.from_ms),
        "to": None if held.to_ms is None else iso(held.to_ms),
        "confirmed_by": held.confirmed_by,
        "said": {"at": iso(held.said.at_ms), "by": held.said.by, "reason": held.said.reason},
    }


def unclaimed_facts(row: UnclaimedRow) -> dict[str, Any]:
    """One unclaimed device."""
    protocol, namespace, identifier = row.alias
    return {
        "protocol": protocol,
        "namespace": namespace,
        "identifier": identifier,
        "strength": row.strength,
        "publisher": row.publisher,
        "device": row.device,
        "manufacturer": row.manufacturer,
        "model": row.model,
        "serial": row.serial,
        "first_heard": iso(row.first_ms),
        "last_heard": iso(row.heard_ms),
        "operating": row.operating,
        "meters": [meter_facts(meter) for meter in row.meters],
        "claim": claim_command(row),
    }
