"""Who is who: which asset a device speaks for, which rules speak of an asset; and what changes with it."""

from __future__ import annotations

from collections.abc import Mapping

from rules.conditions import in_scope
from rules.documents import MeterCondition
from rules.inputs import ActiveRule, AliasKey, Baseline, RegisteredAsset, alias_key
from rules.meters import Level, trailing_ms
from rules.state import Device, RuleState, State
from rules.tickets import MeterRef
from rules.words import Standing
from telemetry.messages import MeterName, Provenance


class Directory:
    """The look-ups that follow from registry and rule set; made anew when either changes."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._asset_of: Mapping[AliasKey, str] = {
            alias_key(alias): asset.id for asset in state.assets.values() for alias in asset.aliases
        }
        self._keys: Mapping[str, tuple[AliasKey, ...]] = {
            asset.id: tuple(alias_key(alias) for alias in asset.aliases) for asset in state.assets.values()
        }
        ordered = sorted(state.rules.values(), key=lambda active: active.rule.id)
        self._rules: Mapping[str, tuple[ActiveRule, ...]] = {
            asset.id: tuple(active for active in ordered if in_scope(active.rule.scope, asset))
            for asset in state.assets.values()
        }
        self._metered = {
            asset: tuple(active for active in rules if active.rule.meter is not None)
            for asset, rules in self._rules.items()
        }

    def asset_of(self, key: AliasKey) -> str | None:
        """The asset that a device speaks for, None if nobody has claimed it."""
        return self._asset_of.get(key)

    def rules_of(self, asset: str) -> tuple[ActiveRule, ...]:
        """The active rules that speak of an asset, by id."""
        return self._rules.get(asset, ())

    def metered_of(self, asset: str) -> tuple[ActiveRule, ...]:
        """Those of its rules that count on a meter."""
        return self._metered.get(asset, ())

    def devices_of(self, asset: str) -> tuple[tuple[AliasKey, Device], ...]:
        """The devices heard that speak for an asset, in the order of its aliases."""
        devices = self._state.devices
        return tuple((key, devices[key]) for key in self._keys.get(asset, ()) if key in devices)

    def level(self, asset: str, condition: MeterCondition, *, now_ms: int | None) -> Level | None:
        """The asset's meter: of several devices the one that shows most, never a sum.

        With `now_ms` the time since the last reading counts as unknown; without, it is not judged.
        """
        levels = [
            level
            for _, device in self.devices_of(asset)
            if (level := level_of(device, condition.name, condition.provenance, now_ms=now_ms)) is not None
        ]
        return max(levels, key=lambda level: level.low_h, default=None)

    def baseline(self, asset: str, meter: MeterName, provenance: Provenance) -> Baseline | None:
        """What the registry says of a meter when it was written down."""
        return baseline_of(self._state.assets.get(asset), meter, provenance)


def level_of(device: Device, meter: MeterName, provenance: Provenance, *, now_ms: int | None) -> Level | None:
    """One meter of one device, None if it has said nothing of it."""
    if provenance is Provenance.DERIVED:
        derived = device.derived.get(meter)
        if derived is None:
            return None
        trailing = 0
        if now_ms is not None:
            trailing = trailing_ms(device.last, now_ms=now_ms, since_ms=derived.since_ms)
        return derived.level(trailing_ms=trailing)
    reported = device.reported.get(f"{meter}/{provenance}")
    return reported.level() if reported else None


def baseline_of(asset: RegisteredAsset | None, meter: MeterName, provenance: Provenance) -> Baseline | None:
    """The baseline of a registered asset for one meter."""
    baselines = asset.baselines if asset else ()
    return next((b for b in baselines if b.meter is meter and b.provenance is provenance), None)


def first_standing(asset: str, rule: str, condition: MeterCondition, baseline: Baseline | None) -> RuleState:
    """How a rule stands for an asset before anything is judged.

    A derived meter without a baseline counts from the first message, which is said on every ticket. A
    reported one cannot be judged without: counting from its first figure could hide that work is overdue.
    """
    counted_from = 0.0 if condition.provenance is Provenance.DERIVED else None
    return RuleState(
        asset=asset,
        rule=rule,
        meter=MeterRef(name=condition.name, provenance=condition.provenance),
        standing=Standing.UNKNOWN,
        why="nothing has been heard",
        last_done=baseline.last_done if baseline else counted_from,
        last_done_known=baseline is not None,
    )
