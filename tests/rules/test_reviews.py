"""An import opens one review and no storm; readings take assets off it, and what is due later still opens."""

from __future__ import annotations

from rules.engine import Engine
from rules.explain import sentences
from rules.inputs import AliasFrom, Baseline, CloseTicket, NewAsset
from rules.overview import fleet_rows
from rules.state import State
from rules.words import TicketKind, TicketState
from telemetry.messages import Alias, MeterName
from tests.rules.scene import HOUR, Journal, open_tickets, rules_in_force, usage
from tests.rules.test_registry import amend, enter, new


def vent(number: int) -> Alias:
    return Alias(protocol="puritan-bennett", namespace="840", identifier=f"{number}")


def read(reading: float, last_done: float) -> Baseline:
    return Baseline(meter=MeterName.VENTILATION_H, reading=reading, last_done=last_done)


def fleet_list(count: int, *baselines: Baseline) -> tuple[NewAsset, ...]:
    return tuple(
        new(f"V-{number}", AliasFrom(alias=vent(number))).model_copy(update={"baselines": baselines})
        for number in range(count)
    )


def run(engine: Engine, journal: Journal, hours: int, count: int) -> None:
    for _ in range(hours):
        engine.apply(journal.tick(HOUR))
        for number in range(count):
            engine.apply(journal.say(usage(), alias=vent(number), device=f"pb-{number}"))


def started() -> tuple[Engine, Journal]:
    engine = Engine(State())
    engine.take(rules_in_force())
    return engine, Journal()


def test_fifty_devices_heard_for_long_and_overdue_become_one_review_and_work_that_falls_due_later_opens() -> (
    None
):
    engine, journal = started()
    run(engine, journal, 300, 50)
    assert engine.take(enter(*fleet_list(50), at_ms=journal.now_ms)) == ""
    (review,) = open_tickets(engine)
    assert (review.cause, review.kind, review.asset) == ("baseline_review:first", TicketKind.DATA, "")
    assert sentences(review)[:3] == (
        "T-1 asks for a word on the registry: First readings wanted after the import first.",
        "50 of 50 assets of the import first are left to look up.",
        "V-0: no reading of ventilation_h; due by the reading entered: service.",
    )
    run(engine, journal, 5, 50)
    for _ in range(60):
        engine.apply(journal.tick(HOUR))
    assert len(open_tickets(engine)) == 1
    assert (
        engine.take(CloseTicket(at_ms=journal.now_ms, ticket=review.id, by="An", note="as they come")) == ""
    )
    assert {ticket.kind for ticket in open_tickets(engine)} == {TicketKind.PM}
    assert len(open_tickets(engine)) == 50


def test_silence_asks_for_no_reading_of_an_asset_on_a_review_but_hours_that_fall_due_are_not_kept_quiet() -> (
    None
):
    engine, journal = started()
    assert engine.take(enter(*fleet_list(2))) == ""
    run(engine, journal, 100, 2)
    for _ in range(200):
        engine.apply(journal.tick(HOUR))
    assert [ticket.cause for ticket in open_tickets(engine)] == ["baseline_review:first"]
    assert {s.why for s in fleet_rows(engine.state)[0].standings} == {"T-1 asks for its first reading"}
    run(engine, journal, 150, 1)
    assert [ticket.cause for ticket in open_tickets(engine)] == ["baseline_review:first", "pm:V-0:service:1"]


def test_readings_take_assets_off_the_review_and_the_last_one_closes_it() -> None:
    engine, journal = started()
    engine.take(enter(*fleet_list(2)))
    (review,) = open_tickets(engine)
    at_ms = journal.now_ms + HOUR
    assert engine.take(amend(asset="V-0", at_ms=at_ms, baselines=(read(5_000, 4_900),))) == ""
    (review,) = open_tickets(engine)
    assert sentences(review)[1:3] == (
        "1 of 2 assets of the import first are left to look up.",
        "V-1: no reading of ventilation_h.",
    )
    engine.take(amend(asset="V-1", at_ms=at_ms, baselines=(read(10, 0),)))
    assert not open_tickets(engine)
    assert engine.state.tickets[review.id].state is TicketState.CLOSED
    run(engine, journal, 2, 2)
    assert [row.meters[0].low_h for row in fleet_rows(engine.state)] == [5_001, 11]


def test_an_import_whose_readings_show_work_overdue_is_one_review_too() -> None:
    engine, journal = started()
    engine.take(enter(*fleet_list(20, read(9_000, 1_000))))
    run(engine, journal, 5, 20)
    (review,) = open_tickets(engine)
    assert sentences(review)[2] == "V-0: due by the reading entered: service."


def test_an_import_with_every_reading_opens_nothing() -> None:
    engine, journal = started()
    engine.take(enter(*fleet_list(20, read(9_000, 8_900))))
    run(engine, journal, 5, 20)
    assert not open_tickets(engine)
