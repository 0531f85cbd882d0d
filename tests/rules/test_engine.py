"""The engine: what opens, what counts, what stays quiet, and what it refuses."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rules.documents import load
from rules.engine import Engine
from rules.inputs import AcknowledgeTicket, CloseTicket, RegisteredAsset, Registry, RuleSet, rule_set
from rules.overview import fleet_rows, unclaimed_rows
from rules.state import State
from rules.words import Standing, TicketKind, TicketState
from telemetry.messages import (
    AlarmKind,
    Condition,
    LinkState,
    MeterName,
    MeterReading,
    OperatingState,
    Phase,
    Provenance,
    Status,
)
from telemetry.records import Started
from tests.rules.scene import (
    ALIAS,
    BEGIN,
    HOUR,
    SERVICE,
    Journal,
    alarm,
    fault,
    open_tickets,
    ready,
    registry,
    rules_in_force,
    service_rule,
    usage,
)


def run_hours(engine: Engine, journal: Journal, hours: int) -> None:
    for _ in range(hours):
        engine.apply(journal.tick(HOUR))
        engine.apply(journal.say(usage()))


def test_only_technical_and_advisory_alarms_open_tickets() -> None:
    engine, journal = ready(), Journal()
    engine.apply(journal.say(alarm(kind=AlarmKind.PHYSIOLOGICAL)))
    engine.apply(journal.say(alarm(phase=Phase.END, kind=AlarmKind.PHYSIOLOGICAL), after_ms=1))
    engine.apply(journal.say(alarm(key="b", kind=AlarmKind.UNKNOWN), after_ms=1))
    assert not open_tickets(engine)
    (device,) = engine.state.devices.values()
    assert device.physiological == 1
    engine.apply(journal.say(alarm(key="c", kind=AlarmKind.ADVISORY), after_ms=1))
    assert [ticket.id for ticket in open_tickets(engine)] == ["T-1"]


def test_an_occurrence_seen_again_by_a_restarted_host_is_not_counted_again() -> None:
    engine, journal = ready(), Journal()
    engine.apply(journal.say(alarm(phase=Phase.PRESENT, key="122/first/1")))
    engine.apply(journal.say(alarm(phase=Phase.PRESENT, key="122/second/1"), after_ms=5))
    engine.apply(
        journal.say(alarm(phase=Phase.UPDATE, key="122/third/1", condition=Condition.UNKNOWN), after_ms=5)
    )
    engine.apply(journal.say(alarm(phase=Phase.PRESENT, key="122/third/1"), after_ms=5))
    (ticket,) = open_tickets(engine)
    assert (ticket.occurrences, ticket.cleared_ms) == (1, None)
    engine.apply(journal.say(alarm(phase=Phase.END, key="122/third/1"), after_ms=5))
    engine.apply(journal.say(alarm(phase=Phase.START, key="122/third/2"), after_ms=5))
    (ticket,) = open_tickets(engine)
    assert ticket.occurrences == 2


def test_a_doubtful_alarm_counts_once_it_is_read_as_active() -> None:
    engine, journal = ready(), Journal()
    engine.apply(journal.say(alarm(phase=Phase.UPDATE, condition=Condition.UNKNOWN)))
    assert not open_tickets(engine)
    engine.apply(journal.say(alarm(phase=Phase.PRESENT), after_ms=1))
    assert len(open_tickets(engine)) == 1


def test_repeated_and_late_words_of_an_occurrence_change_nothing() -> None:
    engine, journal = ready(), Journal()
    start = journal.say(alarm())
    end = journal.say(alarm(phase=Phase.END), after_ms=5)
    for record in (start, start, end, start, end):
        engine.apply(record)
    (ticket,) = open_tickets(engine)
    assert (ticket.occurrences, ticket.cleared_ms) == (1, end.event_ms)


def test_a_fault_under_a_new_key_counts_though_the_clock_stepped_back() -> None:
    engine, journal = ready(), Journal()
    engine.apply(journal.say(fault(key="A5/x/1"), after_ms=HOUR))
    engine.apply(journal.say(fault(phase=Phase.END, key="A5/x/1"), after_ms=1))
    engine.apply(journal.say(fault(key="A5/y/1"), after_ms=-HOUR))
    (ticket,) = open_tickets(engine)
    assert ticket.occurrences == 2


def test_a_cause_reopens_within_72_hours_and_is_a_new_ticket_later() -> None:
    for hours, expected in ((72, ("T-1", 1)), (73, ("T-2", 0))):
        engine, journal = ready(), Journal()
        engine.apply(journal.say(fault()))
        assert engine.take(CloseTicket(at_ms=journal.now_ms, ticket="T-1", by="An")) == ""
        engine.apply(journal.say(fault(key="A5/x/2"), after_ms=hours * HOUR))
        (ticket,) = open_tickets(engine)
        assert (ticket.id, ticket.reopened) == expected


def test_what_happened_before_the_closing_but_came_later_only_counts() -> None:
    engine, journal = ready(), Journal()
    engine.apply(journal.say(fault()))
    engine.take(CloseTicket(at_ms=journal.now_ms + HOUR, ticket="T-1", by="An"))
    engine.apply(journal.say(fault(key="A5/x/2"), after_ms=60_000))
    assert not open_tickets(engine)
    assert engine.state.tickets["T-1"].occurrences == 2


def test_an_unclaimed_device_opens_nothing_and_brings_its_past_when_claimed() -> None:
    engine, journal = Engine(State()), Journal()
    engine.take(rules_in_force())
    engine.take(Registry(at_ms=BEGIN, assets=()))
    run_hours(engine, journal, 242)
    engine.apply(journal.say(fault()))
    assert not engine.state.tickets
    (row,) = unclaimed_rows(engine.state)
    assert row.alias == ("puritan-bennett", "840", "3510072467")
    assert row.meters[0].low_h == 241
    engine.take(registry(at_ms=journal.now_ms))
    assert [(ticket.kind, ticket.asset) for ticket in open_tickets(engine)] == [
        (TicketKind.PM, "V-1"),
        (TicketKind.REPAIR, "V-1"),
    ]
    assert not unclaimed_rows(engine.state)
    engine.take(registry(at_ms=journal.now_ms))
    assert [ticket.occurrences for ticket in open_tickets(engine)] == [1, 1]


def test_a_port_of_which_only_its_host_has_spoken_is_no_unclaimed_device() -> None:
    engine, journal = Engine(State()), Journal()
    engine.apply(journal.say(Status(link=LinkState.MUTE)))
    assert not unclaimed_rows(engine.state)
    engine.apply(journal.say(usage()))
    assert len(unclaimed_rows(engine.state)) == 1


def test_a_pm_ticket_closes_with_its_reading_only_and_counts_on_from_it() -> None:
    engine, journal = ready(), Journal()
    run_hours(engine, journal, 241)
    (ticket,) = open_tickets(engine)
    assert ticket.cause == "pm:V-1:service:1"
    refusal = engine.take(CloseTicket(at_ms=journal.now_ms, ticket="T-1", by="An"))
    assert refusal == "T-1 closes with a reading of ventilation_h"
    assert engine.take(CloseTicket(at_ms=journal.now_ms, ticket="T-1", by="An", reading=12_000)) == ""
    assert engine.take(CloseTicket(at_ms=journal.now_ms, ticket="T-1", by="An", reading=1)) != ""
    run_hours(engine, journal, 239)
    assert not open_tickets(engine)
    run_hours(engine, journal, 1)
    (ticket,) = open_tickets(engine)
    assert ticket.cause == "pm:V-1:service:2"
    (meter,) = fleet_rows(engine.state)[0].meters
    assert meter.low_h == 12_240


def two_services() -> RuleSet:
    text = SERVICE.replace("id: service", "id: overhaul").replace("every_h: 250", "every_h: 500")
    return rule_set((service_rule(), load(text, "overhaul.yaml")), at_ms=BEGIN)


def test_a_reading_of_another_meter_keeps_the_use_since_the_last_work_of_other_rules() -> None:
    engine, journal = Engine(State()), Journal()
    engine.take(two_services())
    engine.take(registry())
    run_hours(engine, journal, 241)
    engine.take(CloseTicket(at_ms=journal.now_ms, ticket="T-1", by="An", reading=12_000))
    assert not open_tickets(engine), "the display starts from elsewhere: 240 h since overhaul, not 12,000"
    assert [standing.due_h for standing in fleet_rows(engine.state)[0].standings] == [12_260, 12_250]


def test_a_reading_within_what_the_meter_may_show_corrects_it_for_every_rule() -> None:
    engine, journal = Engine(State()), Journal()
    engine.take(two_services())
    engine.take(registry())
    run_hours(engine, journal, 231)
    engine.apply(journal.tick(40 * HOUR))
    (ask,) = open_tickets(engine)
    engine.take(CloseTicket(at_ms=journal.now_ms, ticket=ask.id, by="An", reading=249))
    assert [ticket.kind for ticket in open_tickets(engine)] == [TicketKind.PM]
    row = fleet_rows(engine.state)[0]
    assert [standing.due_h for standing in row.standings] == [500, 250]
    assert (row.meters[0].low_h, row.meters[0].high_h) == (249, 249)


def test_a_missing_reading_is_asked_for_once_and_the_due_work_takes_its_place() -> None:
    engine, journal = ready(), Journal()
    run_hours(engine, journal, 231)
    for _ in range(40):
        engine.apply(journal.tick(HOUR))
    (ask,) = open_tickets(engine)
    assert (ask.kind, ask.occurrences) == (TicketKind.DATA, 1)
    run_hours(engine, journal, 11)
    (due,) = open_tickets(engine)
    assert due.kind is TicketKind.PM
    assert engine.state.tickets[ask.id].state is TicketState.CANCELLED


def test_hours_that_come_in_late_end_the_request_for_a_reading() -> None:
    engine, journal = ready(), Journal()
    run_hours(engine, journal, 220)
    late = Journal(position=10_000, now_ms=journal.now_ms)
    for _ in range(31):
        engine.apply(journal.tick(HOUR))
    assert [ticket.kind for ticket in open_tickets(engine)] == [TicketKind.DATA]
    for _ in range(10):
        engine.apply(late.say(usage(OperatingState.OFF), after_ms=HOUR))
    assert not open_tickets(engine)


def test_silence_is_not_judged_in_the_first_hour_after_a_start() -> None:
    engine, journal = ready(), Journal()
    run_hours(engine, journal, 231)
    engine.apply(Started(journal.position, journal.now_ms + 100 * HOUR))
    engine.apply(journal.tick(100 * HOUR + HOUR - 1000))
    assert not open_tickets(engine)
    engine.apply(journal.tick(1000))
    assert [ticket.kind for ticket in open_tickets(engine)] == [TicketKind.DATA]


def test_poor_coverage_asks_once_use_could_have_reached_the_interval() -> None:
    engine, journal = ready(), Journal()
    for _ in range(60):
        engine.apply(journal.say(usage(OperatingState.STANDBY), after_ms=HOUR))
        engine.apply(journal.say(usage(OperatingState.STANDBY), after_ms=HOUR))
        engine.apply(journal.say(usage(OperatingState.UNKNOWN), after_ms=HOUR))
    assert not open_tickets(engine)
    for _ in range(25):
        engine.apply(journal.say(usage(OperatingState.STANDBY), after_ms=HOUR))
        engine.apply(journal.say(usage(OperatingState.STANDBY), after_ms=HOUR))
        engine.apply(journal.say(usage(OperatingState.UNKNOWN), after_ms=HOUR))
    (ask,) = open_tickets(engine)
    assert ask.kind is TicketKind.DATA


def test_a_baseline_of_the_registry_tells_reading_and_last_work() -> None:
    engine, journal = Engine(State()), Journal()
    engine.take(rules_in_force())
    engine.take(registry(reading=4238, last_done=4000))
    run_hours(engine, journal, 2)
    assert not open_tickets(engine)
    run_hours(engine, journal, 1)
    assert len(open_tickets(engine)) == 1


def test_what_cannot_be_judged_is_said() -> None:
    engine = ready()
    (row,) = fleet_rows(engine.state)
    assert row.heard_ms is None
    assert [(s.standing, s.why) for s in row.standings] == [
        (Standing.UNKNOWN, "no derived ventilation_h has been heard")
    ]


def test_a_payload_that_cannot_be_read_is_counted_as_failed_and_skipped() -> None:
    engine, journal = ready(), Journal()
    good = journal.say(usage())
    engine.apply(good._replace(payload=b"{"))
    engine.apply(good._replace(refusal="masked"))
    engine.apply(journal.say(usage())._replace(topic=good.topic._replace(kind="alarm")))
    engine.apply(good._replace(topic=good.topic._replace(kind="whatever"), payload=b""))
    engine.apply(journal.say(usage(), alias=None))
    engine.apply(good)
    assert engine.state.engineering.counters == {
        "failed:usage": 3,
        "failed:alarm": 1,
        "failed:other": 1,
        "concluded:usage": 1,
    }


def test_a_device_is_online_when_it_and_its_host_are() -> None:
    engine, journal = ready(), Journal()
    engine.apply(journal.say(Status(link=LinkState.ONLINE, connection="c2"), alias=None, device="_link"))
    engine.apply(journal.say(usage()))
    assert fleet_rows(engine.state)[0].link is LinkState.ONLINE
    engine.apply(journal.say(Status(link=LinkState.OFFLINE, connection="c1"), alias=None, device="_link"))
    assert fleet_rows(engine.state)[0].link is LinkState.ONLINE, "the will of an older connection"
    engine.apply(journal.say(Status(link=LinkState.OFFLINE, connection="c2"), alias=None, device="_link"))
    row = fleet_rows(engine.state)[0]
    assert (row.link, row.operating) == (LinkState.OFFLINE, OperatingState.UNKNOWN)


def test_a_reported_meter_never_mixes_with_the_derived_one() -> None:
    engine, journal = ready(), Journal()
    told = MeterReading(meter=MeterName.VENTILATION_H, provenance=Provenance.REPORTED, value=9000)
    engine.apply(journal.say(usage(OperatingState.IN_USE, told)))
    engine.apply(journal.say(usage(OperatingState.IN_USE, told), after_ms=HOUR))
    meters = {m.provenance: m.low_h for m in fleet_rows(engine.state)[0].meters}
    assert meters == {Provenance.DERIVED: 1, Provenance.REPORTED: 9000}
    assert not open_tickets(engine)


def test_acknowledging_is_for_open_tickets_and_every_change_is_an_event() -> None:
    engine, journal = ready(), Journal()
    engine.changes()
    engine.apply(journal.say(fault()))
    said = AcknowledgeTicket(at_ms=journal.now_ms, ticket="T-1", by="An", note="on my way")
    assert engine.take(said) == ""
    assert engine.take(said) == "T-1 is acknowledged already"
    assert engine.take(said.model_copy(update={"ticket": "T-9"})) == "T-9 is not an open ticket"
    events = engine.changes().events
    assert [(e.number, e.who, e.from_state, e.to_state, e.note) for e in events] == [
        (1, "hourmeter", None, TicketState.OPEN, "rule oxygen"),
        (2, "An", TicketState.OPEN, TicketState.ACKNOWLEDGED, "on my way"),
    ]


def test_a_registry_cannot_give_one_alias_to_two_assets() -> None:
    asset = RegisteredAsset(id="V-1", aliases=(ALIAS,))
    with pytest.raises(ValidationError, match="belongs to two assets"):
        Registry(at_ms=BEGIN, assets=(asset, asset.model_copy(update={"id": "V-2"})))
