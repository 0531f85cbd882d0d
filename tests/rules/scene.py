"""What the tests of rules share: a rule, an asset, and records as a host would make them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rules.documents import Rule, load
from rules.engine import Engine
from rules.inputs import AliasKey, Baseline, RegisteredAsset, Registry, RuleSet, rule_set
from rules.lint import RuleFile
from rules.state import Changes, Device, State, read_device, read_engineering, write_days, write_device
from rules.tickets import Ticket, TicketEvent
from telemetry.envelope import Envelope
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Body,
    Condition,
    Effect,
    Fault,
    Message,
    MeterName,
    MeterReading,
    OperatingState,
    Phase,
    Priority,
    Usage,
    encode,
)
from telemetry.records import Journaled, Tick
from telemetry.topics import Topic

HOUR = 3_600_000
BEGIN = 1_767_225_600_000
ALIAS = Alias(protocol="puritan-bennett", namespace="840", identifier="3510072467")

SERVICE = """
id: service
title: Service every 250 hours
scope: {device_type: ventilator}
any:
  - meter: {name: ventilation_h, provenance: derived, every_h: 250, lead_h: 10}
kind: pm
priority: P3
action: Service it
source: {document: made up, status: P}
confirmed_by: {name: A. Tester, date: 2026-01-01}
stories:
  - {name: opens, shows: opens, timeline: [{use: 240h}, {expect: {tickets: 1}}]}
  - {name: quiet, shows: quiet, timeline: [{idle: 240h}, {expect: {tickets: 0}}]}
  - name: resolves
    shows: resolves
    timeline: [{use: 240h}, {close: {reading: 240}}, {expect: {tickets: 0}}]
"""
OXYGEN = """
id: oxygen
title: Oxygen supply low
any:
  - alarm: {codes: ["122"]}
  - fault: {codes: [A5]}
kind: repair
priority: P2
action: Look at the hose
source: {document: made up, status: P}
confirmed_by: {name: A. Tester, date: 2026-01-01}
stories:
  - {name: opens, shows: opens, timeline: [{alarm: {code: "122"}}, {expect: {tickets: 1}}]}
  - {name: quiet, shows: quiet, timeline: [{alarm: {code: "123"}}, {expect: {tickets: 0}}]}
  - {name: resolves, shows: resolves, timeline: [{alarm: {code: "122"}}, {close: {}}, {expect: {tickets: 0}}]}
"""


def service_rule() -> Rule:
    return load(SERVICE, "service.yaml")


def oxygen_rule() -> Rule:
    return load(OXYGEN, "oxygen.yaml")


def files() -> tuple[RuleFile, ...]:
    return RuleFile("service.yaml", SERVICE), RuleFile("oxygen.yaml", OXYGEN)


def registry(*, at_ms: int = BEGIN, aliases: tuple[Alias, ...] = (ALIAS,), **baseline: float) -> Registry:
    baselines = (Baseline(meter=MeterName.VENTILATION_H, **baseline),) if baseline else ()
    asset = RegisteredAsset(
        id="V-1", device_type="ventilator", model="840", ward="ICU", aliases=aliases, baselines=baselines
    )
    return Registry(at_ms=at_ms, assets=(asset,))


def rules_in_force(*, at_ms: int = BEGIN) -> RuleSet:
    return rule_set((service_rule(), oxygen_rule()), at_ms=at_ms)


@dataclass
class Journal:
    """Makes the records of one host, one after the other."""

    position: int = 0
    now_ms: int = BEGIN
    boot: str = "boot-1"

    def tick(self, after_ms: int = 0) -> Tick:
        """The clock of the collector, that much later."""
        self.now_ms += after_ms
        self.position += 1
        return Tick(self.position - 1, self.now_ms)

    def say(
        self, body: Body, *, after_ms: int = 0, alias: Alias | None = ALIAS, device: str = "pb-1"
    ) -> Journaled:
        """A message, observed that much later."""
        self.now_ms += after_ms
        self.position += 1
        return Journaled(
            position=self.position - 1,
            topic=Topic("host", device, body.kind),
            envelope=Envelope("b-1", self.position, self.boot, self.now_ms - BEGIN),
            received_ms=self.now_ms,
            event_ms=self.now_ms,
            corrected=False,
            payload=encode(Message(alias=alias, body=body)),
        )


def usage(
    state: OperatingState = OperatingState.IN_USE, *meters: MeterReading, period_s: float = 3600
) -> Usage:
    return Usage(state=state, period_s=period_s, meters=meters)


def alarm(
    code: str = "122",
    phase: Phase = Phase.START,
    *,
    key: str = "122/x/1",
    kind: AlarmKind = AlarmKind.TECHNICAL,
    condition: Condition | None = None,
) -> Alarm:
    return Alarm(
        key=key,
        code=code,
        text="low O2 supply",
        alarm_kind=kind,
        priority=Priority.LOW,
        phase=phase,
        condition=condition or (Condition.INACTIVE if phase is Phase.END else Condition.ACTIVE),
    )


def fault(code: str = "A5", phase: Phase = Phase.START, *, key: str = "A5/x/1") -> Fault:
    ended = phase is Phase.END
    return Fault(
        key=key,
        code=code,
        text="technical malfunction",
        effect=Effect.REMOVAL_ADVISED,
        phase=phase,
        condition=Condition.INACTIVE if ended else Condition.ACTIVE,
    )


def open_tickets(engine: Engine) -> list[Ticket]:
    tickets = sorted(engine.state.tickets.values(), key=lambda ticket: ticket.number)
    return [ticket for ticket in tickets if ticket.is_open]


def ready() -> Engine:
    engine = Engine(State())
    assert engine.take(rules_in_force()) == ""
    assert engine.take(registry()) == ""
    return engine


class Kept:
    """A ledger in memory: gives back a state made only of what changes said."""

    def __init__(self) -> None:
        self.state = State()
        self.days: dict[AliasKey, str] = {}
        self.tickets: dict[str, Ticket] = {}
        self.events: list[TicketEvent] = []

    def keep(self, changes: Changes) -> None:
        """Write changes down."""
        state = self.state
        state.engineering = read_engineering(changes.engineering)
        for asset in changes.assets:
            state.assets[asset.id] = asset
        for gone in changes.gone:
            state.assets.pop(gone, None)
            state.meters = {key: meter for key, meter in state.meters.items() if key[0] != gone}
        for owner, name, meter in changes.meters:
            state.meters[owner, name] = meter
        for port_name, port in changes.ports:
            state.ports[port_name] = port
        if changes.rules is not None:
            state.rules = {active.rule.id: active for active in changes.rules}
        for device in changes.devices:
            if device.days is not None:
                self.days[device.key] = device.days
            state.devices[device.key] = read_device(device.document, self.days.get(device.key, ""))
        for host in changes.publishers:
            state.publishers[host.name] = replace(host)
        for standing in changes.rule_states:
            state.rule_states[standing.asset, standing.rule] = standing
        for ticket in changes.tickets:
            state.tickets[ticket.id] = self.tickets[ticket.id] = ticket
        self.events.extend(changes.events)

    def restart(self) -> Engine:
        """An engine over a copy of what was written down."""
        copy = State(
            engineering=replace(self.state.engineering, counters=dict(self.state.engineering.counters)),
            assets=dict(self.state.assets),
            rules=dict(self.state.rules),
            meters=dict(self.state.meters),
            ports=dict(self.state.ports),
            devices={key: _copy(device) for key, device in self.state.devices.items()},
            publishers={name: replace(host) for name, host in self.state.publishers.items()},
            rule_states=dict(self.state.rule_states),
            tickets=dict(self.state.tickets),
        )
        return Engine(copy)


def _copy(device: Device) -> Device:
    return read_device(write_device(device), write_days(device))
