"""The engine's working set: state, look-ups and book of tickets, and a list of what was touched."""

from __future__ import annotations

from collections.abc import Iterable

from rules.assets import Asset
from rules.attributes import Funding
from rules.book import TicketBook
from rules.inputs import ActiveRule, AliasKey, alias_key
from rules.meters import Adjustment, AssetMeter, DerivedMeter
from rules.registry import Directory, baseline_of, first_standing
from rules.state import (
    Changes,
    Device,
    Port,
    PortName,
    RuleState,
    State,
    StoredDevice,
    write_days,
    write_device,
)
from rules.words import HOUR_MS, Standing
from telemetry.messages import MeterName, Provenance


class Fleet:
    """One state under work; every change goes through here, so that none is forgotten."""

    def __init__(self, state: State, book: TicketBook) -> None:
        self.state = state
        self.book = book
        self.directory = Directory(state)
        self._devices: dict[AliasKey, None] = {}
        self._days: set[AliasKey] = set()
        self._publishers: dict[str, None] = {}
        self._rule_states: dict[tuple[str, str], None] = {}
        self._assets: dict[str, None] = {}
        self._meters: dict[tuple[str, MeterName], None] = {}
        self._ports: dict[PortName, None] = {}
        self._rules_changed = False

    @property
    def has_news(self) -> bool:
        """Whether tickets, the registry or the rules in force have changed."""
        return self.book.has_news or bool(self._assets) or self._rules_changed

    def touch(self, key: AliasKey) -> None:
        """Remember that a device changed."""
        self._devices[key] = None

    def touch_days(self, key: AliasKey) -> None:
        """Remember that a device came to another day."""
        self._days.add(key)

    def touch_publisher(self, name: str) -> None:
        """Remember that a host's link changed."""
        self._publishers[name] = None

    def set_port(self, name: PortName, port: Port) -> None:
        """Keep who speaks at a topic."""
        self.state.ports[name] = port
        self._ports[name] = None

    def stand(self, rule_state: RuleState) -> None:
        """Keep how a rule stands for an asset."""
        key = (rule_state.asset, rule_state.rule)
        if self.state.rule_states.get(key) != rule_state:
            self.state.rule_states[key] = rule_state
            self._rule_states[key] = None

    def keep(self, asset: Asset, *, at_ms: int) -> None:
        """Put an asset in force as it is by now: devices change hands, new readings re-base its meters."""
        before = self.state.assets.get(asset.id)
        keys = {alias_key(held.alias) for held in (*(before.held if before else ()), *asset.held)}
        self.state.assets[asset.id] = asset
        self._assets[asset.id] = None
        self.directory.update(asset)
        for key in sorted(keys & self.state.devices.keys()):
            self.touch(key)
            self._pin(key)
        for base in asset.baselines:
            known = baseline_of(before, base.meter, base.provenance)
            if base.provenance is Provenance.DERIVED and base != known:
                read_ms = at_ms if base.read_ms is None else base.read_ms
                self.write_down(
                    asset.id, base.meter, base.reading, at_ms=read_ms, reason="reading in the registry"
                )
        self._stand_anew(asset, before)

    def drop(self, asset: Asset) -> None:
        """Forget an asset that never was: nothing spoke for it and nobody said anything of it."""
        del self.state.assets[asset.id]
        self._assets[asset.id] = None
        self.directory.forget(asset.id)
        for name in [name for name in MeterName if (asset.id, name) in self.state.meters]:
            del self.state.meters[asset.id, name]
        for key, known in list(self.state.rule_states.items()):
            if key[0] == asset.id:
                self.stand(known.model_copy(update={"standing": Standing.OFF, "why": "not in force"}))

    def activate(self, rules: Iterable[ActiveRule]) -> None:
        """Put a new set of rules in force; how a rule stood before it was turned off is kept."""
        self.state.rules.clear()
        self.state.rules.update({active.rule.id: active for active in rules})
        self._rules_changed = True
        self.directory = Directory(self.state)
        for asset in self.state.assets.values():
            self._stand_anew(asset, asset)
        for key, known in list(self.state.rule_states.items()):
            if key[1] not in self.state.rules:
                self._turn_off(known)

    def write_down(self, asset: str, name: MeterName, reading_h: float, *, at_ms: int, reason: str) -> None:
        """Let an asset's meter show `reading_h` from then on; an older reading changes nothing."""
        known = self.state.meters.get((asset, name))
        if known is not None and at_ms < known.since_ms:
            return
        level = self.directory.meter(asset, name, Provenance.DERIVED, now_ms=None)
        made = Adjustment(at_ms, level.low_h if level else 0.0, reading_h, reason)
        self._write(
            asset,
            name,
            AssetMeter(round(reading_h * HOUR_MS), at_ms, (*(known.adjustments if known else ()), made)),
        )

    def begin(self, key: AliasKey, device: Device, name: MeterName, *, at_ms: int) -> None:
        """A device tells its state for the first time."""
        asset = self.directory.asset_of(key, at_ms)
        known = self.state.meters.get((asset or "", name))
        if asset is not None and known is not None and known.since_ms > at_ms:
            level = self.directory.meter(asset, name, Provenance.DERIVED, now_ms=None)
            if level is None or not level.elapsed_h:  # the reading is of a device that was yet to be heard
                self._write(asset, name, AssetMeter(known.reading_ms, at_ms, known.adjustments))
        device.derived[name] = DerivedMeter(since_ms=at_ms, last_ms=at_ms)
        self._pin(key)

    def _write(self, asset: str, name: MeterName, meter: AssetMeter) -> None:
        self.state.meters[asset, name] = meter
        self._meters[asset, name] = None
        for key, _ in self.directory.spans_of(asset):
            self._pin(key)

    def _pin(self, key: AliasKey) -> None:
        device = self.state.devices[key]
        for meter in device.derived.values():
            for at_ms in sorted(self.directory.boundaries(key)):
                if meter.pin(at_ms):
                    self.touch(key)

    def _stand_anew(self, asset: Asset, before: Asset | None) -> None:
        metered = {active.rule.id: active for active in self.directory.metered_of(asset.id)}
        for active in metered.values():
            self._stand_one(active, asset, before)
        for rule in self.state.rules:
            known = self.state.rule_states.get((asset.id, rule))
            if known is not None and rule not in metered:
                self._turn_off(known)

    def _turn_off(self, known: RuleState) -> None:
        self.stand(known.model_copy(update={"standing": Standing.OFF, "why": "not in force"}))

    def _stand_one(self, active: ActiveRule, asset: Asset, before: Asset | None) -> None:
        condition = active.rule.meter
        if condition is None:
            return
        baseline = baseline_of(asset, condition.name, condition.provenance)
        known = self.state.rule_states.get((asset.id, active.rule.id))
        if known is None:
            donated = asset.funding == Funding.DONATION
            self.stand(first_standing(asset.id, active.rule.id, condition, baseline, donated=donated))
            return
        if known.standing is Standing.OFF:
            known = known.model_copy(update={"standing": Standing.UNKNOWN, "why": "not judged yet"})
        if baseline is not None and baseline != baseline_of(before, condition.name, condition.provenance):
            known = known.model_copy(update={"last_done": baseline.last_done, "last_done_known": True})
        self.stand(known)

    def take_changes(self, engineering: str) -> Changes:
        """What was touched since the last call, as values."""
        state = self.state
        tickets, events = self.book.take_changes()
        changes = Changes(
            engineering=engineering,
            assets=tuple(state.assets[asset] for asset in self._assets if asset in state.assets),
            gone=tuple(asset for asset in self._assets if asset not in state.assets),
            meters=tuple(
                (*key, meter) for key in self._meters if (meter := state.meters.get(key)) is not None
            ),
            ports=tuple((name, state.ports[name]) for name in self._ports),
            rules=tuple(state.rules.values()) if self._rules_changed else None,
            devices=tuple(self._stored(key) for key in self._devices),
            publishers=tuple(state.publishers[name] for name in self._publishers),
            rule_states=tuple(state.rule_states[key] for key in self._rule_states),
            tickets=tickets,
            events=events,
        )
        for touched in (self._devices, self._days, self._publishers, self._rule_states):
            touched.clear()
        for others in (self._assets, self._meters, self._ports):
            others.clear()
        self._rules_changed = False
        return changes

    def _stored(self, key: AliasKey) -> StoredDevice:
        device = self.state.devices[key]
        asset = self.directory.asset_of(key, device.heard_ms)
        days = write_days(device) if key in self._days else None
        return StoredDevice(key, asset, write_device(device), days)
