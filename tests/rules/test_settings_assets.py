"""Settings beside the desk: what changed in the file takes effect, nothing that people said is undone."""

from __future__ import annotations

from rules.attributes import Attribute, Value
from rules.engine import Engine
from rules.explain import sentences
from rules.inputs import Baseline, RegisteredAsset, Registry
from rules.overview import fleet_rows, unclaimed_rows
from telemetry.messages import Alias, MeterName
from tests.rules.scene import ALIAS, BEGIN, HOUR, Journal, open_tickets
from tests.rules.test_registry import amend, claim, desk, enter, hours, new, run

LATER = BEGIN + 200 * HOUR


def told(asset: str = "V-1", *aliases: Alias, label: str = "", ward: str = "ICU") -> RegisteredAsset:
    return RegisteredAsset(
        id=asset, label=label, device_type="ventilator", model="840", ward=ward, aliases=aliases
    )


def settings(*assets: RegisteredAsset, at_ms: int = BEGIN) -> Registry:
    return Registry(at_ms=at_ms, assets=assets)


def wards(engine: Engine) -> dict[str, str]:
    return {row.asset: row.ward for row in fleet_rows(engine.state)}


def test_an_edit_of_one_field_amends_that_field_and_leaves_what_people_said() -> None:
    engine = desk(settings(told(label="Vent 1")))
    engine.take(amend(Value(attribute=Attribute.WARD, value="ER"), at_ms=BEGIN + HOUR))
    engine.take(settings(told(label="Vent 01"), at_ms=LATER))
    asset = engine.state.assets["V-1"]
    assert (asset.label, asset.ward) == ("Vent 01", "ER")
    assert [(c.attribute, c.before, c.value, c.said.by) for c in asset.changes[-2:]] == [
        ("ward", "ICU", "ER", "An"),
        ("label", "Vent 1", "Vent 01", "settings"),
    ]
    engine.take(settings(told(label="Vent 01", ward="OR"), at_ms=LATER + HOUR))
    assert wards(engine) == {"V-1": "OR"}, "an edit of that very field is the newest word"


def test_settings_said_again_change_nothing() -> None:
    engine = desk(settings(told("V-1", ALIAS)))
    before = engine.state.assets["V-1"]
    engine.changes()
    engine.take(settings(told("V-1", ALIAS), at_ms=LATER))
    assert engine.state.assets["V-1"] is before
    assert not engine.has_news


def test_an_asset_that_leaves_the_settings_stays_with_its_devices_unless_it_never_was() -> None:
    engine, journal = desk(settings(told("V-1", ALIAS), told("V-2"), told("V-3"))), Journal()
    run(engine, journal, 5)
    engine.take(amend(Value(attribute=Attribute.OWNER, value="Sở Y tế"), asset="V-3", at_ms=BEGIN + HOUR))
    engine.take(settings(at_ms=journal.now_ms))
    assert sorted(engine.state.assets) == ["V-1", "V-3"]
    assert hours(engine) == 4
    assert not unclaimed_rows(engine.state)


def test_an_alias_taken_out_of_the_settings_ends_then_and_one_given_to_another_never_was() -> None:
    engine, journal = desk(settings(told("V-1", ALIAS), told("V-2"))), Journal()
    run(engine, journal, 5)
    engine.take(settings(told("V-1"), told("V-2"), at_ms=journal.now_ms))
    run(engine, journal, 5)
    assert hours(engine) == 4
    assert len(unclaimed_rows(engine.state)) == 1
    engine.take(settings(told("V-1", ALIAS), told("V-2"), at_ms=journal.now_ms))
    engine.take(settings(told("V-1"), told("V-2", ALIAS), at_ms=journal.now_ms))
    assert (hours(engine, "V-1"), hours(engine, "V-2")) == (0, 9)


def test_an_alias_that_moves_within_the_settings_takes_all_its_hours_with_it() -> None:
    engine, journal = desk(settings(told("V-1", ALIAS))), Journal()
    run(engine, journal, 5)
    engine.take(settings(told("V-2", ALIAS), at_ms=journal.now_ms))
    assert hours(engine, "V-2") == 4
    assert hours(engine, "V-1") == 0


def test_an_alias_that_people_gave_to_another_asset_stays_there_and_one_ticket_says_so() -> None:
    engine = desk(enter(new("V-9")), claim(asset="V-9", at_ms=BEGIN))
    for at_ms in (LATER, LATER + HOUR):
        engine.take(settings(told("V-1", ALIAS), at_ms=at_ms))
    assert engine.state.assets["V-9"].aliases == (ALIAS,)
    assert engine.state.assets["V-1"].aliases == ()
    (ticket,) = (one for one in open_tickets(engine) if one.rule == "settings-conflict")
    assert (ticket.asset, ticket.occurrences) == ("V-1", 1)
    assert "belongs to V-9 as An said; there it stays." in sentences(ticket)[1]


def test_an_asset_entered_at_the_desk_takes_from_the_settings_only_what_is_not_on_record() -> None:
    engine = desk(enter(new(ward="ER")))
    engine.take(settings(told("V-1", label="Vent 1", ward="ICU"), at_ms=LATER))
    asset = engine.state.assets["V-1"]
    assert (asset.ward, asset.label) == ("ER", "Vent 1")


def test_a_reading_of_the_settings_that_changes_counts_from_then_on() -> None:
    def with_reading(reading: float, last_done: float, at_ms: int) -> Registry:
        base = Baseline(meter=MeterName.VENTILATION_H, reading=reading, last_done=last_done)
        asset = told("V-1", ALIAS).model_copy(update={"baselines": (base,)})
        return settings(asset, at_ms=at_ms)

    engine, journal = desk(with_reading(100, 0, BEGIN)), Journal()
    run(engine, journal, 5)
    assert hours(engine) == 104
    engine.take(with_reading(100, 0, journal.now_ms))
    assert hours(engine) == 104
    engine.take(with_reading(500, 400, journal.now_ms))
    run(engine, journal, 2)
    assert hours(engine) == 502
    made = engine.state.meters["V-1", MeterName.VENTILATION_H].adjustments
    assert [(one.was_h, one.now_h) for one in made] == [(0, 100), (104, 500)]


def test_an_alias_that_people_stand_for_stays_when_it_is_taken_out_of_the_settings() -> None:
    engine, journal = desk(settings(told("V-1", ALIAS))), Journal()
    assert engine.take(claim(at_ms=BEGIN + HOUR)) == ""
    engine.take(settings(told("V-1"), at_ms=LATER))
    run(engine, journal, 3)
    assert engine.state.assets["V-1"].aliases == (ALIAS,)
    assert hours(engine) == 2


def test_work_that_is_due_by_hours_of_a_device_that_the_settings_give_to_another_goes_with_them() -> None:
    engine, journal = desk(settings(told("V-1", ALIAS), told("V-2"))), Journal()
    run(engine, journal, 245)
    assert [ticket.asset for ticket in open_tickets(engine)] == ["V-1"]
    engine.take(settings(told("V-1"), told("V-2", ALIAS), at_ms=journal.now_ms))
    assert [ticket.asset for ticket in open_tickets(engine)] == ["V-2"]
