"""The registry at the desk: what is entered, amended, claimed and retired, and what is refused and why."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rules.attributes import Attribute, Funding, LifeCycle, Value
from rules.engine import Engine
from rules.inputs import (
    AliasFrom,
    AmendAsset,
    Baseline,
    ClaimAlias,
    ConfirmAlias,
    DeskInput,
    EnterAssets,
    NewAsset,
    ReleaseAlias,
    RetireAsset,
    read_input,
    write_input,
)
from rules.meters import GAP_PERIODS
from rules.overview import fleet_rows, unclaimed_rows
from rules.state import State
from rules.words import Standing, TicketKind, TicketState
from telemetry.messages import (
    Alias,
    LinkState,
    MeterName,
    MeterReading,
    OperatingState,
    Provenance,
    Status,
    Strength,
)
from tests.rules.scene import (
    ALIAS,
    BEGIN,
    HOUR,
    Journal,
    alarm,
    fault,
    open_tickets,
    rules_in_force,
    usage,
)

PORT = Alias(protocol="medibus", namespace="port", identifier="bed-1", strength=Strength.WEAK)
DAY = 24 * HOUR


def new(asset: str = "V-1", *aliases: AliasFrom, **values: str) -> NewAsset:
    """An asset to be entered: a ventilator of the intensive care unit unless said otherwise."""
    said = {"device_type": "ventilator", "model": "840", "ward": "ICU"} | values
    return NewAsset(
        id=asset,
        values=tuple(Value(attribute=Attribute(name), value=value) for name, value in said.items()),
        aliases=aliases,
    )


def enter(*assets: NewAsset, at_ms: int = BEGIN, batch: str = "first") -> EnterAssets:
    return EnterAssets(at_ms=at_ms, by="An", reason="fleet list", batch=batch, assets=assets)


def claim(
    alias: Alias = ALIAS, asset: str = "V-1", *, at_ms: int = BEGIN + 90 * DAY, **more: object
) -> ClaimAlias:
    said = {"at_ms": at_ms, "by": "An", "reason": "plate", "asset": asset, "alias": alias, **more}
    return ClaimAlias.model_validate(said)


def amend(*values: Value, asset: str = "V-1", at_ms: int = BEGIN + 90 * DAY, **more: object) -> AmendAsset:
    said = {"at_ms": at_ms, "by": "An", "reason": "seen", "asset": asset, "values": values, **more}
    return AmendAsset.model_validate(said)


def ward(name: str, from_ms: int | None = None) -> Value:
    return Value(attribute=Attribute.WARD, value=name, from_ms=from_ms)


def desk(*said: DeskInput) -> Engine:
    engine = Engine(State())
    assert engine.take(rules_in_force()) == ""
    for one in said:
        assert engine.take(one) == ""
    return engine


def run(engine: Engine, journal: Journal, hours: int, *, alias: Alias = ALIAS, device: str = "pb-1") -> None:
    for _ in range(hours):
        engine.apply(journal.tick(HOUR))
        engine.apply(journal.say(usage(), alias=alias, device=device))


def hours(engine: Engine, asset: str = "V-1") -> float:
    rows = {row.asset: row for row in fleet_rows(engine.state)}
    return sum(meter.low_h for meter in rows[asset].meters)


def test_which_ward_held_an_asset_at_a_time_can_be_answered_after_moves_corrections_and_undoing() -> None:
    engine = desk(enter(new()))
    engine.take(amend(ward("ER", BEGIN + 10 * DAY)))
    engine.take(amend(ward("OR", BEGIN + 5 * DAY)))

    def wards() -> list[str]:
        asset = engine.state.assets["V-1"]
        return [asset.value_at(Attribute.WARD, BEGIN + day * DAY) for day in (-1, 0, 4, 5, 9, 10, 50)]

    assert wards() == ["", "ICU", "ICU", "OR", "OR", "ER", "ER"]
    moved = [c for c in engine.state.assets["V-1"].changes if c.attribute is Attribute.WARD]
    assert [(c.before, c.value, c.said.by, c.said.reason) for c in moved] == [
        ("", "ICU", "An", "fleet list"),
        ("ICU", "ER", "An", "seen"),
        ("ICU", "OR", "An", "seen"),
    ]
    assert engine.take(amend(undoes=(moved[1].number,))) == ""
    assert wards() == ["", "ICU", "ICU", "OR", "OR", "OR", "OR"]
    undoing = engine.state.assets["V-1"].changes[-1]
    assert (undoing.before, undoing.value, undoing.undoes) == ("ER", "OR", moved[1].number)
    assert engine.take(amend(undoes=(undoing.number,))) == ""
    assert wards() == ["", "ICU", "ICU", "OR", "OR", "ER", "ER"]
    assert len([c for c in engine.state.assets["V-1"].changes if c.attribute is Attribute.WARD]) == 5


def test_a_strong_alias_is_claimed_back_to_the_first_message_and_a_weak_one_from_the_date_given() -> None:
    engine, journal = desk(enter(new(), new("V-2"))), Journal()
    for _ in range(240):
        engine.apply(journal.tick(HOUR))
        engine.apply(journal.say(usage()))
        engine.apply(journal.say(usage(), alias=PORT, device="bed-1"))
    assert {row.strength for row in unclaimed_rows(engine.state)} == {Strength.STRONG, Strength.WEAK}
    assert engine.take(claim()) == ""
    assert hours(engine) == 239
    refusal = engine.take(claim(PORT, "V-2"))
    why = "is a port or a bed and no serial number: say since when the device is there"
    assert refusal == f"medibus port bed-1 {why}"
    assert engine.take(claim(PORT, "V-2", from_ms=BEGIN + 4 * DAY)) == ""
    assert hours(engine, "V-2") == 239 - 95
    assert not unclaimed_rows(engine.state)
    run(engine, journal, 1, alias=PORT, device="bed-1")
    assert hours(engine, "V-2") == 240 - 95


def test_what_people_cannot_say_is_refused_as_a_whole_with_a_sentence() -> None:
    engine = desk(enter(new(), new("V-2")), claim())
    before = dict(engine.state.assets)
    at_ms = BEGIN + 90 * DAY
    later = at_ms + DAY
    future = "2026-04-02 00:00 UTC lies in the future"
    held = "puritan-bennett 840 3510072467 belongs to V-1 since its first message; release it there first"
    nobody = {"at_ms": at_ms, "by": "An", "reason": "?", "asset": "V-9"}
    mine = nobody | {"asset": "V-1"}
    refusals: tuple[tuple[DeskInput, str], ...] = (
        (claim(asset="V-2"), held),
        (claim(asset="V-9"), "V-9 is not on record"),
        (claim(asset="V-2", from_ms=later), future),
        (claim(from_ms=5, to_ms=5), "the claim ends before it begins"),
        (amend(ward("ER", later)), future),
        (amend(ward("ICU")), "V-1 says that already"),
        (amend(undoes=(9,)), "V-1 has no change 9"),
        (amend(ward("ER"), asset="V-9"), "V-9 is not on record"),
        (
            amend(Value(attribute=Attribute.LIFE_CYCLE, value=LifeCycle.LOST)),
            "retire an asset that is disposed or lost",
        ),
        (ConfirmAlias.model_validate(mine | {"alias": PORT}), "V-1 does not hold medibus port bed-1"),
        (ConfirmAlias.model_validate(nobody | {"alias": PORT}), "V-9 is not on record"),
        (ReleaseAlias.model_validate(mine | {"alias": PORT}), "V-1 does not hold medibus port bed-1"),
        (ReleaseAlias.model_validate(mine | {"alias": ALIAS, "to_ms": later}), future),
        (ReleaseAlias.model_validate(nobody | {"alias": ALIAS}), "V-9 is not on record"),
        (RetireAsset.model_validate(nobody), "V-9 is not on record"),
        (RetireAsset.model_validate(mine | {"from_ms": later}), future),
        (enter(new("V-3"), batch="first", at_ms=at_ms), "the batch first has been entered already"),
        (enter(new("V-3"), new("V-2"), batch="two", at_ms=at_ms), "V-2 is on record already"),
        (enter(new("V-3"), new("V-4", AliasFrom(alias=ALIAS)), batch="two", at_ms=at_ms), f"V-4: {held}"),
        (enter(new("V-3", life_cycle="lost"), batch="two"), "V-3: retire an asset that is disposed or lost"),
    )
    for said, why in refusals:
        assert engine.take(said) == why
        assert engine.state.assets == before
    assert engine.take(claim(asset="V-2", from_ms=5, to_ms=9)) == held


@pytest.mark.parametrize(
    ("attribute", "value", "why"),
    [
        ("warranty_end", "31.12.2027", "warranty_end is a date as 2026-11-22"),
        ("acquired", "20261122", "acquired is a date as 2026-11-22"),
        ("life_cycle", "", "life_cycle is one of received"),
        ("life_cycle", "broken", "life_cycle is one of received"),
        ("funding", "gift", "funding is one of budget"),
        ("label", " 12 ", "label is one line"),
        ("label", "1\n2", "label is one line"),
    ],
)
def test_a_value_that_its_attribute_cannot_have_is_no_input(attribute: str, value: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Value(attribute=Attribute(attribute), value=value)


def test_an_asset_or_alias_given_twice_is_no_input() -> None:
    with pytest.raises(ValidationError, match="asset V-1 is given twice"):
        enter(new(), new())
    with pytest.raises(ValidationError, match="alias puritan-bennett 840 3510072467 is given twice"):
        enter(new("V-1", AliasFrom(alias=ALIAS)), new("V-2", AliasFrom(alias=ALIAS)))


def test_an_alias_moves_to_another_asset_by_release_and_claim_and_its_hours_with_it() -> None:
    engine, journal = desk(enter(new(), new("V-2")), claim()), Journal()
    run(engine, journal, 97)
    released = {"at_ms": journal.now_ms, "by": "An", "reason": "swapped", "asset": "V-1", "alias": ALIAS}
    assert engine.take(ReleaseAlias.model_validate(released | {"to_ms": BEGIN + 49 * HOUR})) == ""
    assert (hours(engine, "V-1"), hours(engine, "V-2")) == (48, 0)
    assert engine.take(claim(asset="V-2", at_ms=journal.now_ms, from_ms=BEGIN + 49 * HOUR)) == ""
    assert (hours(engine, "V-1"), hours(engine, "V-2")) == (48, 48)
    run(engine, journal, 3)
    assert (hours(engine, "V-1"), hours(engine, "V-2")) == (48, 51)
    spoken = engine.state.assets["V-1"].spoken
    assert [(one.what, one.from_ms, one.to_ms, one.replaces) for one in spoken] == [
        ("claimed", None, None, ()),
        ("released", None, BEGIN + 49 * HOUR, (1,)),
    ]


def test_a_message_belongs_to_whoever_held_the_alias_at_its_time_however_late_it_comes() -> None:
    engine, journal = desk(enter(new(), new("V-2")), claim()), Journal()
    run(engine, journal, 10)
    cut = BEGIN + 20 * HOUR
    released = {"at_ms": cut, "by": "An", "reason": "swapped", "asset": "V-1", "alias": ALIAS, "to_ms": cut}
    assert engine.take(ReleaseAlias.model_validate(released)) == ""
    assert engine.take(claim(asset="V-2", at_ms=cut, from_ms=cut)) == ""
    late = Journal(position=5_000, now_ms=journal.now_ms)
    for _ in range(30):
        engine.apply(late.say(usage(), after_ms=HOUR))
    engine.apply(late.say(fault(), after_ms=-25 * HOUR))
    assert (hours(engine, "V-1"), hours(engine, "V-2")) == (19, 20)
    assert [t.asset for t in open_tickets(engine) if t.kind is TicketKind.REPAIR] == ["V-1"]


def test_two_names_of_one_asset_that_speak_at_once_are_never_summed_and_one_after_the_other_they_are() -> (
    None
):
    short = Alias(protocol="bbraun-bcc", identifier="51559")
    long = short.model_copy(update={"identifier": "I51559"})
    engine, journal = desk(enter(new("P-1", AliasFrom(alias=short), AliasFrom(alias=long)))), Journal()
    run(engine, journal, 10, alias=short, device="a")
    run(engine, journal, 10, alias=long, device="b")
    assert hours(engine, "P-1") == 18
    for _ in range(5):
        engine.apply(journal.say(usage(), alias=short, device="a", after_ms=HOUR))
        engine.apply(journal.say(usage(), alias=long, device="b"))
    assert hours(engine, "P-1") == 14, "from then on both tell of the same time: the one that shows most"


def test_what_stands_when_a_device_is_claimed_is_judged_and_counts_once() -> None:
    engine, journal = desk(enter(new(), new("V-2"))), Journal()
    engine.apply(journal.say(fault()))

    def repairs() -> list[tuple[str, int]]:
        return [(t.asset, t.occurrences) for t in open_tickets(engine) if t.kind is TicketKind.REPAIR]

    assert not repairs()
    assert engine.take(claim()) == ""
    assert repairs() == [("V-1", 1)]
    back = {"at_ms": journal.now_ms, "by": "An", "reason": "wrong", "asset": "V-1", "alias": ALIAS}
    assert engine.take(ReleaseAlias.model_validate(back)) == ""
    assert engine.take(claim(asset="V-2")) == ""
    assert repairs() == [("V-1", 1), ("V-2", 1)]
    assert engine.take(ReleaseAlias.model_validate(back | {"asset": "V-2"})) == ""
    assert engine.take(claim()) == ""
    assert repairs() == [("V-1", 1), ("V-2", 1)]


def test_work_that_was_due_by_the_hours_of_another_device_is_taken_back() -> None:
    engine, journal = desk(enter(new())), Journal()
    engine.take(
        amend(baselines=(Baseline(meter=MeterName.VENTILATION_H, reading=0, last_done=0),), at_ms=BEGIN)
    )
    run(engine, journal, 242)
    assert not open_tickets(engine)
    engine.take(claim(at_ms=journal.now_ms))
    (due,) = open_tickets(engine)
    assert due.kind is TicketKind.PM
    back = {"at_ms": journal.now_ms, "by": "An", "reason": "wrong", "asset": "V-1", "alias": ALIAS}
    engine.take(ReleaseAlias.model_validate(back))
    assert not open_tickets(engine)
    assert engine.state.tickets[due.id].state is TicketState.CANCELLED
    engine.take(claim(at_ms=journal.now_ms))
    assert [ticket.cause for ticket in open_tickets(engine)] == [due.cause]


def test_hours_under_a_weak_alias_are_provisional_until_someone_confirms_device_and_port() -> None:
    engine, journal = desk(enter(new())), Journal()
    reading = Baseline(meter=MeterName.VENTILATION_H, reading=0, last_done=0, read_ms=BEGIN)
    engine.take(amend(baselines=(reading,), at_ms=BEGIN))
    engine.take(claim(PORT, from_ms=BEGIN))
    run(engine, journal, 242, alias=PORT, device="bed-1")
    (row,) = fleet_rows(engine.state)
    assert row.provisional
    assert [meter.provisional for meter in row.meters] == [True]
    (due,) = open_tickets(engine)
    assert [one.provisional for one in due.evidence if one.about == "meter"] == [True]
    seen = {"at_ms": journal.now_ms, "by": "Bình", "reason": "stood before it", "asset": "V-1", "alias": PORT}
    assert engine.take(ConfirmAlias.model_validate(seen)) == ""
    (row,) = fleet_rows(engine.state)
    assert (row.provisional, row.meters[0].provisional) == (False, False)
    (held,) = engine.state.assets["V-1"].held
    assert (held.confirmed_by, held.from_ms) == ("Bình", BEGIN)


def test_a_claim_by_who_stood_before_the_device_is_not_provisional_nor_is_a_serial_number() -> None:
    engine, journal = desk(enter(new(), new("V-2")), claim(asset="V-2")), Journal()
    engine.take(claim(PORT, from_ms=BEGIN, confirmed_by="Bình"))
    run(engine, journal, 2)
    run(engine, journal, 2, alias=PORT, device="bed-1")
    assert [row.provisional for row in fleet_rows(engine.state)] == [False, False]


def test_what_a_device_reported_for_one_asset_is_not_told_of_the_next() -> None:
    engine, journal = desk(enter(new(), new("V-2")), claim()), Journal()

    def report(value: float) -> None:
        told = MeterReading(meter=MeterName.POWER_ON_H, provenance=Provenance.REPORTED, value=value)
        engine.apply(journal.say(usage(OperatingState.IN_USE, told), after_ms=HOUR))

    report(9000)
    cut = journal.now_ms + 1
    engine.take(ReleaseAlias(at_ms=cut, by="An", reason="swapped", asset="V-1", alias=ALIAS, to_ms=cut))
    engine.take(claim(asset="V-2", at_ms=cut, from_ms=cut))
    report(12)
    told = {
        row.asset: [meter.low_h for meter in row.meters if meter.name is MeterName.POWER_ON_H]
        for row in fleet_rows(engine.state)
    }
    assert told == {"V-1": [9000], "V-2": [12]}


def test_retiring_ends_aliases_cancels_tickets_and_silences_rules() -> None:
    engine, journal = desk(enter(new(), batch="b"), claim()), Journal()
    run(engine, journal, 5)
    engine.apply(journal.say(fault()))
    assert len(open_tickets(engine)) == 2
    end = RetireAsset(at_ms=journal.now_ms, by="An", reason="beyond repair", asset="V-1")
    assert engine.take(end) == ""
    assert not open_tickets(engine)
    assert {t.state for t in engine.state.tickets.values()} == {TicketState.CLOSED, TicketState.CANCELLED}
    assert [s.standing for s in fleet_rows(engine.state)[0].standings] == [Standing.OFF]
    assert engine.take(end) == "V-1 is disposed already"
    assert engine.take(claim()) == "V-1 is disposed; no device speaks for it any more"
    run(engine, journal, 2)
    engine.apply(journal.say(fault(key="A5/x/9")))
    assert not open_tickets(engine)
    assert len(unclaimed_rows(engine.state)) == 1
    assert hours(engine) == 4


def test_silence_of_an_asset_in_store_on_loan_or_away_asks_for_nothing() -> None:
    for state in (LifeCycle.IN_STORE, LifeCycle.ON_LOAN, LifeCycle.AT_VENDOR, LifeCycle.OUT_OF_SERVICE):
        engine, journal = desk(enter(new()), claim()), Journal()
        read = Baseline(meter=MeterName.VENTILATION_H, reading=0, last_done=0, read_ms=BEGIN)
        engine.take(amend(baselines=(read,), at_ms=BEGIN))
        run(engine, journal, 231)
        put = Value(attribute=Attribute.LIFE_CYCLE, value=state)
        assert engine.take(amend(put, at_ms=journal.now_ms)) == ""
        for _ in range(100):
            engine.apply(journal.tick(HOUR))
        assert not open_tickets(engine)
        back = Value(attribute=Attribute.LIFE_CYCLE, value=LifeCycle.IN_SERVICE)
        engine.take(amend(back, at_ms=journal.now_ms))
        engine.apply(journal.tick(HOUR))
        assert [ticket.kind for ticket in open_tickets(engine)] == [TicketKind.DATA]


def test_alarms_of_a_device_that_cannot_be_heard_are_unknown_and_not_ended() -> None:
    engine, journal = desk(enter(new(), batch="b"), claim()), Journal()
    engine.apply(journal.say(Status(link=LinkState.ONLINE, connection="c"), alias=None, device="_link"))
    engine.apply(journal.say(alarm()))
    count = len(open_tickets(engine))

    def alarms() -> tuple[int, int]:
        row = fleet_rows(engine.state)[0]
        return row.open_alarms, row.unknown_alarms

    assert alarms() == (1, 0)
    engine.apply(journal.say(Status(link=LinkState.MUTE), after_ms=1))
    assert alarms() == (0, 1)
    engine.apply(journal.say(Status(link=LinkState.ONLINE), after_ms=1))
    assert alarms() == (1, 0)
    engine.apply(journal.say(Status(link=LinkState.OFFLINE, connection="c"), alias=None, device="_link"))
    assert alarms() == (0, 1)
    assert len(open_tickets(engine)) == count
    assert all(ticket.cleared_ms is None for ticket in open_tickets(engine))


def test_a_donated_asset_starts_with_unknown_meters_and_a_reading_asked_for() -> None:
    engine, journal = desk(enter(new(funding=Funding.DONATION)), claim()), Journal()
    run(engine, journal, 245)
    (review,) = open_tickets(engine)
    assert (review.kind, review.cause, review.asset) == (TicketKind.DATA, "baseline_review:first", "")
    (standing,) = fleet_rows(engine.state)[0].standings
    assert (standing.standing, standing.due_h) == (Standing.UNKNOWN, None)
    read = Baseline(meter=MeterName.VENTILATION_H, reading=7_000, last_done=6_800)
    assert engine.take(amend(baselines=(read,), at_ms=journal.now_ms)) == ""
    assert not open_tickets(engine), "answered: the review has closed, and 200 of 250 h are gone"
    run(engine, journal, 40)
    assert [ticket.kind for ticket in open_tickets(engine)] == [TicketKind.PM]


def test_every_input_is_given_back_by_its_text() -> None:
    at = {"at_ms": 5, "by": "An", "reason": "plate", "asset": "V-1"}
    said: tuple[DeskInput, ...] = (
        enter(new("V-1", AliasFrom(alias=PORT, from_ms=1, confirmed_by="An"))),
        amend(ward("ER", 5), undoes=(3,)),
        claim(PORT, from_ms=3, to_ms=4, confirmed_by="An"),
        ConfirmAlias.model_validate(at | {"alias": PORT}),
        ReleaseAlias.model_validate(at | {"alias": PORT, "to_ms": 5}),
        RetireAsset.model_validate(at | {"life_cycle": LifeCycle.LOST}),
    )
    for one in said:
        assert read_input(write_input(one)) == one


def test_an_alarm_heard_just_before_a_claim_begins_stands_in_whatever_order_both_arrive() -> None:
    """At a first start assets of the settings and first words of a host race; an alarm is told once only."""
    told_first, said_first = desk(enter(new())), desk(enter(new()))
    journal = Journal()
    word = journal.say(alarm(), alias=PORT, device="bed-1")
    ours = claim(PORT, from_ms=BEGIN + HOUR, at_ms=BEGIN + HOUR)
    for engine, order in ((told_first, (word, ours)), (said_first, (ours, word))):
        for one in order:
            if isinstance(one, ClaimAlias):
                assert engine.take(one) == ""
            else:
                engine.apply(one)
    for engine in (told_first, said_first):
        (ticket,) = (one for one in open_tickets(engine) if one.rule == "oxygen")
        assert (ticket.asset, ticket.occurrences) == ("V-1", 1)


def test_a_fault_that_stands_asks_for_repair_again_once_a_retirement_is_undone() -> None:
    engine, journal = desk(enter(new()), claim(at_ms=BEGIN)), Journal()
    engine.apply(journal.say(fault(), after_ms=HOUR))
    by = {"at_ms": journal.now_ms, "by": "An", "reason": "wrong asset", "asset": "V-1"}
    assert engine.take(RetireAsset.model_validate(by)) == ""
    assert not [t for t in open_tickets(engine) if t.asset == "V-1"]
    retirement = engine.state.assets["V-1"].changes[-1].number
    assert engine.take(amend(undoes=(retirement,))) == ""
    assert engine.take(claim()) == ""
    assert [t.asset for t in open_tickets(engine) if t.kind is TicketKind.REPAIR] == ["V-1"]


def test_nobody_ends_a_life_by_undoing() -> None:
    """Its tickets would stay open, and its devices would speak on."""
    engine = desk(enter(new()))
    retire = RetireAsset(at_ms=BEGIN, by="An", reason="worn", asset="V-1")
    assert engine.take(retire) == ""
    retirement = engine.state.assets["V-1"].changes[-1].number
    assert engine.take(amend(undoes=(retirement,))) == ""
    before = engine.state.assets["V-1"]
    assert engine.take(amend(undoes=(retirement + 1,))) == "retire an asset that is disposed or lost"
    assert engine.state.assets["V-1"] is before


def test_a_device_claimed_since_today_that_has_not_spoken_yet_is_no_longer_unclaimed() -> None:
    engine, journal = desk(enter(new())), Journal()
    engine.apply(journal.say(usage(), alias=PORT, device="bed-1"))
    assert unclaimed_rows(engine.state)
    today = journal.now_ms + DAY
    assert engine.take(claim(PORT, at_ms=today, from_ms=today)) == ""
    assert not unclaimed_rows(engine.state)


def test_of_names_that_overlap_in_part_what_the_other_one_heard_alone_is_unknown_and_not_nothing() -> None:
    """A new adapter beside the old one for some hours, then instead of it: low <= truth <= high."""
    other = ALIAS.model_copy(update={"identifier": "new"})
    engine, journal = desk(enter(new("V-1", AliasFrom(alias=ALIAS), AliasFrom(alias=other)))), Journal()
    run(engine, journal, 100)
    for _ in range(10):
        engine.apply(journal.say(usage(), after_ms=HOUR))
        engine.apply(journal.say(usage(), alias=other, device="pb-2"))
    for truth_h in range(110, 310):
        engine.apply(journal.tick(HOUR))
        engine.apply(journal.say(usage(), alias=other, device="pb-2"))
        (meter,) = fleet_rows(engine.state)[0].meters
        assert meter.low_h <= truth_h <= meter.high_h + GAP_PERIODS
