"""The registry of the settings file beside what people say at the desk.

Rule 1: only what differs from what the settings said before takes effect, said by "settings".
Rule 2: it never undoes what people said: an attribute of theirs gives way only to an edit of that attribute;
an alias that people gave to another asset stays there, and one ticket tells of the conflict.
Rule 3: an alias that moves from one asset to another in the settings never was the former's; one that is
taken out ends then.
Rule 4: an asset that is taken out stays on record with all it holds; only one of which nothing was ever
heard or said elsewhere is dropped, being a slip of the pen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rules.assets import SETTINGS, Asset, Said, amended, changed, claimed, released
from rules.attributes import Attribute, Value
from rules.book import Work, own_origin
from rules.fleet import Fleet
from rules.inputs import AliasKey, RegisteredAsset, Registry, alias_key
from rules.judging import take_back
from rules.registry import Holder, is_weak
from rules.reviews import follow
from rules.tickets import ConflictEvidence
from rules.words import TicketKind, TicketPriority
from telemetry.messages import Alias

ORIGIN: Final = "settings-conflict"
_FIELDS: Final = (
    Attribute.LABEL,
    Attribute.DEVICE_TYPE,
    Attribute.MANUFACTURER,
    Attribute.MODEL,
    Attribute.SERIAL,
    Attribute.WARD,
)


def take_registry(fleet: Fleet, registry: Registry) -> None:
    """Let what changed in the settings take effect."""
    said = Said(at_ms=registry.at_ms, by=SETTINGS, reason="the settings file")
    told = {asset.id: asset for asset in registry.assets}
    given = {alias_key(alias): asset.id for asset in registry.assets for alias in asset.aliases}
    for asset in [fleet.state.assets[name] for name in sorted(fleet.state.assets)]:
        if asset.settings is None:
            continue
        if asset.id not in told and _is_slip(fleet, asset):
            fleet.drop(asset)
        else:
            _give_up(fleet, asset, told.get(asset.id), given, said=said)
    for name in sorted(told):
        _take(fleet, told[name], said=said)


def _is_slip(fleet: Fleet, asset: Asset) -> bool:
    said = (*(change.said for change in asset.changes), *(held.said for held in asset.spoken))
    return (
        all(one.by == SETTINGS for one in said)
        and not asset.batch
        and not fleet.directory.spans_of(asset.id)
        and not any(ticket.asset == asset.id for ticket in fleet.state.tickets.values())
    )


def _give_up(
    fleet: Fleet,
    asset: Asset,
    told: RegisteredAsset | None,
    given: dict[AliasKey, str],
    *,
    said: Said,
) -> None:
    """Release what the settings gave to the asset and give to another, or to none."""
    before = _keys(asset.settings)
    kept = _keys(told) if told is not None else before
    after = asset
    for key, alias in before.items():
        if all(held.said.by != SETTINGS for held in asset.holds(alias)):
            continue
        if given.get(key, asset.id) != asset.id:
            after = released(after, alias, to_ms=None, said=said)
        elif key not in kept:
            after = released(after, alias, to_ms=said.at_ms, said=said)
    if after is not asset:
        fleet.keep(after, at_ms=said.at_ms)
        take_back(fleet, asset.id, at_ms=said.at_ms)


def _take(fleet: Fleet, told: RegisteredAsset, *, said: Said) -> None:
    known = fleet.state.assets.get(told.id)
    asset = amended(known or Asset(id=told.id), _news(known, told), said=said)
    before = _keys(known.settings if known else None)
    for key, alias in _keys(told).items():
        if key not in before:
            asset = _hold(fleet, asset, alias, said=said)
    old = known.settings.baselines if known and known.settings else ()
    news = tuple(base for base in told.baselines if base not in old)
    if news:
        read = {(base.meter, base.provenance) for base in news}
        kept = tuple(base for base in asset.baselines if (base.meter, base.provenance) not in read)
        asset = changed(asset, baselines=(*kept, *news))
    if known is None or asset is not known or known.settings != told:
        fleet.keep(changed(asset, settings=told), at_ms=said.at_ms)
    if news:
        follow(fleet, told.id, at_ms=said.at_ms, who=SETTINGS)
        take_back(fleet, told.id, at_ms=said.at_ms)


def _news(known: Asset | None, told: RegisteredAsset) -> Iterable[Value]:
    """The attributes that changed in the settings, or are on record nowhere else."""
    before = known.settings if known else None
    for attribute in _FIELDS:
        value = " ".join(getattr(told, attribute).split())
        if before is None:
            is_news = value and not (known and known.values.get(attribute))
        else:
            is_news = getattr(told, attribute) != getattr(before, attribute)
        if is_news:
            yield Value.model_construct(attribute=attribute, value=value, from_ms=None)


def _hold(fleet: Fleet, asset: Asset, alias: Alias, *, said: Said) -> Asset:
    """The asset with an alias that is new in its settings, for the time that nobody else held it."""
    if any(held.to_ms is None for held in asset.holds(alias)):
        return asset
    key = alias_key(alias)
    others = [one for one in fleet.directory.holders(key) if one.asset != asset.id]
    if others and others[-1].held.to_ms is None:
        _tell_conflict(fleet, asset.id, alias, others[-1], at_ms=said.at_ms)
        return asset
    from_ms = others[-1].held.to_ms if others else None
    if is_weak(alias, fleet.state.devices.get(key)):
        from_ms = said.at_ms
    return claimed(asset, alias, from_ms=from_ms, to_ms=None, confirmed_by=None, said=said)


def _tell_conflict(fleet: Fleet, asset: str, alias: Alias, holder: Holder, *, at_ms: int) -> None:
    name = " ".join(filter(None, alias_key(alias)))
    fleet.book.want(
        Work(
            cause=f"settings:{asset}:{name}"[:256],
            kind=TicketKind.DATA,
            priority=TicketPriority.P4,
            asset=asset,
            origin=own_origin(ORIGIN),
            title="Settings and desk disagree on a device",
            action="Take the alias out of the settings, or release it at the desk and claim it here.",
            evidence=(
                ConflictEvidence(alias=name, held_by=holder.asset, said_by=holder.held.said.by, at_ms=at_ms),
            ),
            at_ms=at_ms,
        )
    )


def _keys(told: RegisteredAsset | None) -> dict[AliasKey, Alias]:
    return {alias_key(alias): alias for alias in told.aliases} if told else {}
