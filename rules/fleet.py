"""The engine's working set: state, look-ups and book of tickets, and a list of what was touched."""

from __future__ import annotations

from collections.abc import Iterable

from rules.book import TicketBook
from rules.inputs import ActiveRule, AliasKey, RegisteredAsset
from rules.meters import DerivedMeter
from rules.registry import Directory, baseline_of, first_standing
from rules.state import Changes, RuleState, State, StoredDevice, write_device
from rules.words import Standing
from telemetry.messages import MeterName, Provenance


class Fleet:
    """One state under work; every change goes through here, so that none is forgotten."""

    def __init__(self, state: State, book: TicketBook) -> None:
        self.state = state
        self.book = book
        self.directory = Directory(state)
        self._devices: dict[AliasKey, None] = {}
        self._publishers: dict[str, None] = {}
        self._rule_states: dict[tuple[str, str], None] = {}
        self._registry_changed = False
        self._rules_changed = False

    @property
    def has_news(self) -> bool:
        """Whether tickets, the registry or the rules in force have changed."""
        return self.book.has_news or self._registry_changed or self._rules_changed

    def touch(self, key: AliasKey) -> None:
        """Remember that a device changed."""
        self._devices[key] = None

    def touch_publisher(self, name: str) -> None:
        """Remember that a host's link changed."""
        self._publishers[name] = None

    def stand(self, rule_state: RuleState) -> None:
        """Keep how a rule stands for an asset."""
        key = (rule_state.asset, rule_state.rule)
        if self.state.rule_states.get(key) != rule_state:
            self.state.rule_states[key] = rule_state
            self._rule_states[key] = None

    def register(self, assets: Iterable[RegisteredAsset], *, at_ms: int) -> None:
        """Put a new registry in force: devices change hands, baselines that are new re-base their meters."""
        before = dict(self.state.assets)
        owners = {key: self.directory.asset_of(key) for key in self.state.devices}
        self.state.assets.clear()
        self.state.assets.update({asset.id: asset for asset in sorted(assets, key=lambda asset: asset.id)})
        self._registry_changed = True
        self.directory = Directory(self.state)
        for key, device in self.state.devices.items():
            asset = self.directory.asset_of(key)
            if asset != owners[key]:
                self.touch(key)
            for name, meter in device.derived.items():
                if asset is not None and (
                    asset != owners[key]
                    or baseline_of(before.get(asset), name, Provenance.DERIVED)
                    != self.directory.baseline(asset, name, Provenance.DERIVED)
                ):
                    self.touch(key)
                    self.write_down(asset, name, meter, at_ms=at_ms)
        self._stand_anew(before)

    def activate(self, rules: Iterable[ActiveRule]) -> None:
        """Put a new set of rules in force; how a rule stood before it was turned off is kept."""
        self.state.rules.clear()
        self.state.rules.update({active.rule.id: active for active in rules})
        self._rules_changed = True
        self.directory = Directory(self.state)
        self._stand_anew(self.state.assets)

    def write_down(self, asset: str, name: MeterName, meter: DerivedMeter, *, at_ms: int) -> None:
        """Re-base a meter to what the registry says it showed, if it says so."""
        if (baseline := self.directory.baseline(asset, name, Provenance.DERIVED)) is not None:
            meter.rebase(baseline.reading, at_ms=at_ms, reason="reading in the registry")

    def _stand_anew(self, before: dict[str, RegisteredAsset]) -> None:
        in_force: set[tuple[str, str]] = set()
        for asset in self.state.assets:
            for active in self.directory.metered_of(asset):
                key = (asset, active.rule.id)
                in_force.add(key)
                self._stand_one(active, key, before.get(asset))
        for key, known in list(self.state.rule_states.items()):
            if key not in in_force:
                self.stand(known.model_copy(update={"standing": Standing.OFF, "why": "not in force"}))

    def _stand_one(self, active: ActiveRule, key: tuple[str, str], before: RegisteredAsset | None) -> None:
        condition = active.rule.meter
        if condition is None:
            return
        baseline = self.directory.baseline(key[0], condition.name, condition.provenance)
        known = self.state.rule_states.get(key)
        if known is None:
            self.stand(first_standing(*key, condition, baseline))
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
            assets=tuple(state.assets.values()) if self._registry_changed else None,
            rules=tuple(state.rules.values()) if self._rules_changed else None,
            devices=tuple(
                StoredDevice(key, self.directory.asset_of(key), write_device(state.devices[key]))
                for key in self._devices
            ),
            publishers=tuple(state.publishers[name] for name in self._publishers),
            rule_states=tuple(state.rule_states[key] for key in self._rule_states),
            tickets=tickets,
            events=events,
        )
        self._devices.clear()
        self._publishers.clear()
        self._rule_states.clear()
        self._registry_changed = self._rules_changed = False
        return changes
