"""Who is who: which asset a device speaks for at a time, which rules speak of an asset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from rules.assets import Asset, HeldAlias
from rules.attributes import ENDED
from rules.conditions import in_scope
from rules.documents import MeterCondition
from rules.hours import Span, derived_level
from rules.inputs import ActiveRule, AliasKey, Baseline, alias_key
from rules.meters import Level, reported_key
from rules.state import Device, RuleState, State
from rules.tickets import MeterRef
from rules.words import Standing
from telemetry.messages import Alias, MeterName, Provenance, Strength

PORT_NAMESPACE: Final = "port"
"""Namespace of the aliases that a host gives to devices whose protocol tells no identity."""


class Holder(NamedTuple):
    """An interval in which an alias belongs to an asset."""

    begin_ms: int
    end_ms: int
    asset: str
    held: HeldAlias


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What follows for one asset."""

    keys: tuple[AliasKey, ...]
    """Every alias that it holds or held, in the order in which they were said."""
    rules: tuple[ActiveRule, ...]
    metered: tuple[ActiveRule, ...]


class Directory:
    """The look-ups that follow from registry and rule set, kept in step with each asset that changes."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._holders: dict[AliasKey, tuple[Holder, ...]] = {}
        self._spoken: dict[str, _Spoken] = {}
        self._rules = sorted(state.rules.values(), key=lambda active: active.rule.id)
        for asset in state.assets.values():
            self.update(asset)

    def update(self, asset: Asset) -> None:
        """Follow what changed of an asset."""
        self.forget(asset.id)
        keys = dict.fromkeys(alias_key(held.alias) for held in asset.held)
        for held in asset.held:
            key = alias_key(held.alias)
            holder = Holder(held.begin_ms, held.end_ms, asset.id, held)
            self._holders[key] = tuple(sorted((*self._holders.get(key, ()), holder), key=_begin))
        ended = asset.life_cycle in ENDED
        rules = () if ended else tuple(one for one in self._rules if in_scope(one.rule.scope, asset))
        metered = tuple(active for active in rules if active.rule.meter is not None)
        self._spoken[asset.id] = _Spoken(tuple(keys), rules, metered)

    def forget(self, asset: str) -> None:
        """An asset is on record no longer, or is about to be told anew."""
        known = self._spoken.pop(asset, None)
        for key in known.keys if known else ():
            self._holders[key] = tuple(one for one in self._holders[key] if one.asset != asset)
            if not self._holders[key]:
                del self._holders[key]

    def asset_of(self, key: AliasKey, event_ms: int) -> str | None:
        """The asset that a device spoke for at a time, None if nobody claims that."""
        for holder in self._holders.get(key, ()):
            if holder.begin_ms <= event_ms < holder.end_ms:
                return holder.asset
        return None

    def holder_of(self, key: AliasKey) -> Holder | None:
        """To whom an alias belongs until further notice."""
        return next((one for one in self.holders(key) if one.held.to_ms is None), None)

    def holders(self, key: AliasKey) -> tuple[Holder, ...]:
        """All to whom an alias belongs or belonged, in order of time."""
        return self._holders.get(key, ())

    def rules_of(self, asset: str) -> tuple[ActiveRule, ...]:
        """The active rules that speak of an asset, by id."""
        known = self._spoken.get(asset)
        return known.rules if known else ()

    def metered_of(self, asset: str) -> tuple[ActiveRule, ...]:
        """Those of its rules that count on a meter."""
        known = self._spoken.get(asset)
        return known.metered if known else ()

    def devices_of(self, asset: str) -> tuple[tuple[AliasKey, Device], ...]:
        """The devices heard that speak for an asset until further notice, in the order of its aliases."""
        devices = self._state.devices
        return tuple(
            (key, devices[key])
            for key in self._keys_of(asset)
            if key in devices
            and any(one.asset == asset and one.held.to_ms is None for one in self._holders[key])
        )

    def spans_of(self, asset: str) -> tuple[tuple[AliasKey, Span], ...]:
        """All that devices said for an asset, whenever that was."""
        devices = self._state.devices
        return tuple(
            (key, Span(one.begin_ms, one.end_ms, devices[key], is_provisional(devices[key], one.held)))
            for key in self._keys_of(asset)
            if key in devices
            for one in self._holders[key]
            if one.asset == asset
        )

    def _keys_of(self, asset: str) -> tuple[AliasKey, ...]:
        known = self._spoken.get(asset)
        return known.keys if known else ()

    def boundaries(self, key: AliasKey) -> set[int]:
        """The times at which what a device counted has to be known: claims begin or end, readings begin."""
        holders = self._holders.get(key, ())
        ends = {end for one in holders for end in (one.held.from_ms, one.held.to_ms) if end is not None}
        owners = {one.asset for one in holders}
        meters = self._state.meters
        ends.update(
            meters[asset, name].since_ms for asset in owners for name in MeterName if (asset, name) in meters
        )
        return ends

    def level(self, asset: str, condition: MeterCondition, *, now_ms: int | None) -> Level | None:
        """The asset's meter: of devices that speak at the same time the one that shows most, never a sum.

        With `now_ms` the time since the last reading counts as unknown; without, it is not judged.
        """
        return self.meter(asset, condition.name, condition.provenance, now_ms=now_ms)

    def meter(
        self, asset: str, name: MeterName, provenance: Provenance, *, now_ms: int | None
    ) -> Level | None:
        """One meter of an asset, None if nothing is known of it."""
        spans = [span for _, span in self.spans_of(asset)]
        if provenance is Provenance.DERIVED:
            return derived_level(name, spans, self._state.meters.get((asset, name)), now_ms=now_ms)
        return reported_level(reported_key(name, provenance), spans)

    def baseline(self, asset: str, meter: MeterName, provenance: Provenance) -> Baseline | None:
        """What people say of a meter when it was written down."""
        known = self._state.assets.get(asset)
        return baseline_of(known, meter, provenance)


def _begin(holder: Holder) -> tuple[int, int]:
    return holder.begin_ms, holder.end_ms


def is_weak(alias: Alias, device: Device | None) -> bool:
    """Whether an alias is a port or a bed and not a serial number, as it is said or as it was heard."""
    heard = device is not None and device.alias.strength is Strength.WEAK
    return heard or alias.strength is Strength.WEAK or alias.namespace == PORT_NAMESPACE


def is_provisional(device: Device | None, held: HeldAlias) -> bool:
    """Whether hours under a held alias wait for someone who stands for device and port."""
    if not is_weak(held.alias, device):
        return False
    doubted_ms = device.doubted_ms if device else None
    if held.confirmed_ms is None or doubted_ms is None:
        return held.confirmed_ms is None
    return held.confirmed_ms < doubted_ms < held.end_ms


def reported_level(name: str, spans: Iterable[Span]) -> Level | None:
    """A figure that devices told while they spoke for an asset: of several the one that shows most."""
    told = (
        (meter, span)
        for span in spans
        for meter in span.device.told(name)
        if span.begin_ms <= meter.event_ms < span.end_ms
    )
    best = max(told, key=lambda one: one[0].value, default=None)
    return best[0].level(provisional=best[1].provisional) if best else None


def baseline_of(asset: Asset | None, meter: MeterName, provenance: Provenance) -> Baseline | None:
    """The baseline of an asset for one meter."""
    baselines = asset.baselines if asset else ()
    return next((b for b in baselines if b.meter is meter and b.provenance is provenance), None)


def first_standing(
    asset: str, rule: str, condition: MeterCondition, baseline: Baseline | None, *, donated: bool
) -> RuleState:
    """How a rule stands for an asset before anything is judged.

    A derived meter without a baseline counts from the first message, which is said on every ticket. A
    reported one cannot be judged without: counting from its first figure could hide that work is overdue.
    Nor can any meter of a donated device, which has run elsewhere before.
    """
    from_zero = condition.provenance is Provenance.DERIVED and not donated
    counted_from = 0.0 if from_zero else None
    return RuleState(
        asset=asset,
        rule=rule,
        meter=MeterRef(name=condition.name, provenance=condition.provenance),
        standing=Standing.UNKNOWN,
        why="nothing has been heard",
        last_done=baseline.last_done if baseline else counted_from,
        last_done_known=baseline is not None,
    )
