"""Another device at a port: asked of a person once, never merged unseen; known devices may come and go."""

from __future__ import annotations

from adapters.host.mllp_links import topic_name
from adapters.host.units import Units
from rules.engine import Engine
from rules.explain import sentences
from rules.inputs import (
    ClaimAlias,
    ConfirmAlias,
    DeskInput,
    RegisteredAsset,
    Registry,
    ReleaseAlias,
    RetireAsset,
)
from rules.overview import fleet_rows
from rules.words import TicketKind, TicketState
from telemetry.messages import (
    Alias,
    Identity,
    LinkState,
    MeterName,
    MeterReading,
    OperatingState,
    Provenance,
    Status,
    Strength,
)
from tests.rules.scene import ALIAS, BEGIN, HOUR, Journal, Kept, open_tickets, usage
from tests.rules.test_registry import PORT, claim, desk, enter, new

OTHER = ALIAS.model_copy(update={"identifier": "3510099999"})


def plate(serial: str = "", model: str = "Evita V500") -> Identity:
    return Identity(manufacturer="Dräger", model=model, serial=serial)


def identity_tickets(engine: Engine) -> list[tuple[str, str, int]]:
    return [
        (ticket.asset, ticket.cause, ticket.occurrences)
        for ticket in open_tickets(engine)
        if ticket.rule == "identity-change"
    ]


def fleet(*said: DeskInput) -> Engine:
    return desk(enter(new(), new("V-2")), *said)


def test_another_serial_number_at_a_port_raises_one_ticket_that_tells_both_and_since_when() -> None:
    engine, journal = fleet(claim()), Journal()
    engine.apply(journal.say(usage()))
    for alias in (OTHER, OTHER, ALIAS, OTHER):
        engine.apply(journal.say(usage(), alias=alias, after_ms=HOUR))
    assert identity_tickets(engine) == [("V-1", "identity:host/pb-1", 3)]
    (ticket,) = (one for one in open_tickets(engine) if one.rule == "identity-change")
    assert ticket.kind is TicketKind.DATA
    assert sentences(ticket)[:3] == (
        f"{ticket.id} asks for a word on V-1: Another device speaks at this port.",
        "At host/pb-1 spoke puritan-bennett 840 3510072467, last on 2026-01-01 00:00 UTC.",
        "Since 2026-01-01 01:00 UTC puritan-bennett 840 3510099999 speaks there.",
    )


def test_what_was_held_back_and_comes_late_is_no_change_of_identity() -> None:
    engine, journal = fleet(claim()), Journal()
    engine.apply(journal.say(usage()))
    held_back = journal.say(usage(), after_ms=HOUR)
    engine.apply(journal.say(usage(), alias=OTHER, after_ms=HOUR))
    engine.apply(held_back)
    assert identity_tickets(engine) == [("V-1", "identity:host/pb-1", 1)]


def test_unknown_devices_that_take_turns_at_a_port_ask_nobody_until_one_is_claimed() -> None:
    engine, journal = fleet(), Journal()
    for alias in (ALIAS, OTHER, ALIAS):
        engine.apply(journal.say(usage(), alias=alias, after_ms=HOUR))
    assert not identity_tickets(engine)
    engine.take(claim(OTHER, "V-2"))
    engine.apply(journal.say(usage(), alias=OTHER, after_ms=HOUR))
    assert identity_tickets(engine) == [("V-2", "identity:host/pb-1", 1)]


def test_devices_on_record_that_change_places_ask_nothing() -> None:
    engine, journal = fleet(claim(), claim(OTHER, "V-2")), Journal()
    engine.apply(journal.say(usage(), device="slot-1"))
    engine.apply(journal.say(usage(), alias=OTHER, device="slot-2"))
    engine.apply(journal.say(usage(), device="slot-2", after_ms=HOUR))
    engine.apply(journal.say(usage(), alias=OTHER, device="slot-1"))
    assert not identity_tickets(engine)


def test_devices_behind_a_gateway_speak_at_topics_of_their_own_and_ask_nothing() -> None:
    """By the very names that the host gives them."""
    engine, journal = fleet(), Journal()
    aliases = [
        Alias(protocol="hl7", namespace=namespace, identifier=identifier)
        for namespace in ("", "ACDE48234567ABCD", "x" * 64)
        for identifier in ("1", "2", "1 2", "1_2", "9" * 64)
    ]
    for number, alias in enumerate(aliases):
        assert engine.take(enter(new(f"M-{number}"), batch=f"b-{number}")) == ""
        assert engine.take(claim(alias, f"M-{number}")) == ""
    for _ in range(3):
        for alias in aliases:
            engine.apply(journal.say(usage(), alias=alias, device=topic_name("gw", alias), after_ms=60_000))
    assert not identity_tickets(engine)


def test_another_serial_under_a_weak_alias_makes_its_hours_provisional_until_it_is_confirmed() -> None:
    engine, journal = fleet(claim(PORT, from_ms=BEGIN, confirmed_by="Bình", at_ms=BEGIN)), Journal()

    def say(identity: Identity) -> None:
        engine.apply(journal.say(identity, alias=PORT, device="bed-1", after_ms=HOUR))

    for identity in (plate(), plate("ASAB-1"), plate("ASAB-1"), plate()):
        say(identity)
        engine.apply(journal.say(usage(), alias=PORT, device="bed-1"))
    assert not identity_tickets(engine)
    assert not fleet_rows(engine.state)[0].provisional
    say(plate("ASAB-2"))
    say(plate("ASAB-2"))
    assert identity_tickets(engine) == [("V-1", "identity:medibus port bed-1", 1)]
    row = fleet_rows(engine.state)[0]
    assert (row.provisional, row.meters[0].provisional) == (True, True)
    seen = ConfirmAlias(
        at_ms=journal.now_ms + 1, by="An", reason="the board was changed", asset="V-1", alias=PORT
    )
    assert engine.take(seen) == ""
    assert not identity_tickets(engine)
    assert not fleet_rows(engine.state)[0].provisional
    say(plate("ASAB-2", model="Savina 300"))
    assert identity_tickets(engine) == [("V-1", "identity:medibus port bed-1", 2)]
    assert fleet_rows(engine.state)[0].provisional, "what was confirmed was the other device"


def test_figures_of_another_device_under_a_weak_alias_are_not_taken_for_a_counter_that_fell() -> None:
    engine, journal = fleet(claim(PORT, from_ms=BEGIN, at_ms=BEGIN)), Journal()

    def report(value: float) -> None:
        told = MeterReading(meter=MeterName.POWER_ON_H, provenance=Provenance.REPORTED, value=value)
        said = usage(OperatingState.IN_USE, told)
        engine.apply(journal.say(said, alias=PORT, device="bed-1", after_ms=HOUR))

    engine.apply(journal.say(plate("ASAB-1"), alias=PORT, device="bed-1"))
    report(9_000)
    engine.apply(journal.say(plate("ASAB-2"), alias=PORT, device="bed-1", after_ms=1))
    report(12)
    (told,) = (m for m in fleet_rows(engine.state)[0].meters if m.name is MeterName.POWER_ON_H)
    assert (told.anomalies, told.provisional) == (0, True)


def test_a_weak_alias_that_comes_from_another_port_is_doubted() -> None:
    engine, journal = fleet(claim(PORT, from_ms=BEGIN, confirmed_by="Bình", at_ms=BEGIN)), Journal()
    engine.apply(journal.say(usage(), alias=PORT, device="bed-1"))
    engine.apply(journal.say(usage(), alias=PORT, device="bed-7", after_ms=HOUR))
    assert identity_tickets(engine) == [("V-1", "identity:medibus port bed-1", 1)]
    assert fleet_rows(engine.state)[0].provisional


def test_who_speaks_at_a_port_is_remembered_across_a_restart() -> None:
    engine, journal, kept = fleet(claim()), Journal(), Kept()
    engine.apply(journal.say(usage()))
    kept.keep(engine.changes())
    again = kept.restart()
    again.apply(journal.say(usage(), alias=OTHER, after_ms=HOUR))
    assert identity_tickets(again) == [("V-1", "identity:host/pb-1", 1)]


def test_a_weak_alias_of_the_settings_counts_from_when_they_first_said_so() -> None:
    said = PORT.model_copy(update={"strength": Strength.STRONG})
    engine, journal = desk(), Journal()
    for _ in range(10):
        engine.apply(journal.say(usage(), alias=PORT, device="bed-1", after_ms=HOUR))
    asset = RegisteredAsset(id="V-1", aliases=(said,))
    engine.take(Registry(at_ms=BEGIN + 5 * HOUR, assets=(asset,)))
    (row,) = fleet_rows(engine.state)
    assert (row.provisional, row.meters[0].low_h) == (True, 5)


def test_claiming_the_other_device_answers_what_was_asked_of_a_weak_alias() -> None:
    engine, journal = fleet(claim(PORT, from_ms=BEGIN, at_ms=BEGIN)), Journal()
    engine.apply(journal.say(plate("ASAB-1"), alias=PORT, device="bed-1"))
    engine.apply(journal.say(plate("ASAB-2"), alias=PORT, device="bed-1", after_ms=HOUR))
    (ticket,) = (one for one in open_tickets(engine) if one.rule == "identity-change")
    again = ClaimAlias(
        at_ms=journal.now_ms,
        by="An",
        reason="the same device, its board was changed",
        asset="V-1",
        alias=PORT,
        from_ms=BEGIN,
        confirmed_by="An",
    )
    assert engine.take(again) == ""
    assert engine.state.tickets[ticket.id].state is TicketState.CLOSED


def test_two_names_of_one_asset_that_take_turns_at_a_port_ask_nothing() -> None:
    """A pump that tells its serial number with and without a letter before it."""
    engine, journal = fleet(claim(), claim(OTHER)), Journal()
    for alias in (ALIAS, OTHER, ALIAS):
        engine.apply(journal.say(usage(), alias=alias, after_ms=HOUR))
    assert not identity_tickets(engine)


def test_pumps_that_change_places_in_a_rack_ask_nothing_claimed_or_not() -> None:
    """By the very names that the host gives to a link and to what is behind it."""
    engine, journal = fleet(claim()), Journal()
    rack = Units("host", "rack-1", ALIAS.protocol, has_units=True)
    place = rack.find("50111")
    assert place is not None
    engine.apply(journal.say(Status(link=LinkState.ONLINE), alias=rack.link.alias, device=rack.link.name))
    for alias in (ALIAS, OTHER, ALIAS):
        engine.apply(journal.say(usage(), alias=alias, device=place.name, after_ms=HOUR))
    assert not identity_tickets(engine)
    for alias in (ALIAS, OTHER):
        engine.apply(journal.say(usage(), alias=alias, device="rack-2-50111", after_ms=HOUR))
    assert len(identity_tickets(engine)) == 1


def test_what_a_new_host_says_of_a_port_is_of_the_device_heard_there_last() -> None:
    """Killed and begun anew, with the device off meanwhile, it knows no other name than the port's."""
    engine, journal = fleet(claim()), Journal()
    engine.apply(journal.say(Status(link=LinkState.ONLINE)))
    engine.apply(journal.say(usage()))
    port = Units("host", "pb-1", ALIAS.protocol, has_units=False).link
    assert fleet_rows(engine.state)[0].link is LinkState.ONLINE
    engine.apply(
        journal.say(Status(link=LinkState.OFFLINE), alias=port.alias, device=port.name, after_ms=1000)
    )
    assert fleet_rows(engine.state)[0].link is LinkState.OFFLINE
    engine.apply(journal.say(Status(link=LinkState.ONLINE), after_ms=1000))
    assert fleet_rows(engine.state)[0].link is LinkState.ONLINE
    late = journal.say(Status(link=LinkState.OFFLINE), alias=port.alias, device=port.name)
    engine.apply(journal.say(usage(), after_ms=1000))
    engine.apply(late)
    assert fleet_rows(engine.state)[0].link is LinkState.ONLINE


def test_an_empty_port_says_nothing_of_the_device_that_has_moved_to_another() -> None:
    engine, journal = fleet(claim()), Journal()
    engine.apply(journal.say(usage(), device="pb-1"))
    engine.apply(journal.say(usage(), device="pb-2", after_ms=HOUR))
    port = Units("host", "pb-1", ALIAS.protocol, has_units=False).link
    engine.apply(
        journal.say(Status(link=LinkState.OFFLINE), alias=port.alias, device=port.name, after_ms=1000)
    )
    assert fleet_rows(engine.state)[0].link is LinkState.ONLINE


def test_a_port_whose_name_begins_like_another_is_no_place_of_a_rack() -> None:
    engine, journal = fleet(claim()), Journal()
    for name in ("icu", "icu-2"):
        port = Units("host", name, ALIAS.protocol, has_units=False).link
        engine.apply(journal.say(Status(link=LinkState.OFFLINE), alias=port.alias, device=name))
    engine.apply(journal.say(usage(), device="icu-2"))
    engine.apply(journal.say(usage(), alias=OTHER, device="icu-2", after_ms=HOUR))
    assert identity_tickets(engine) == [("V-1", "identity:host/icu-2", 1)]


def test_what_speaks_in_the_place_of_a_retired_asset_asks_nothing_of_it() -> None:
    engine, journal = fleet(claim(at_ms=BEGIN)), Journal()
    engine.apply(journal.say(usage(), after_ms=HOUR))
    retire = RetireAsset(at_ms=journal.now_ms + 1, by="An", reason="worn", asset="V-1")
    assert engine.take(retire) == ""
    engine.apply(journal.say(usage(), alias=OTHER, after_ms=HOUR))
    assert not identity_tickets(engine)


def test_hours_that_someone_stands_for_are_not_doubted_by_what_changes_after_them() -> None:
    first = claim(PORT, from_ms=BEGIN, confirmed_by="Bình", at_ms=BEGIN)
    engine, journal = fleet(first), Journal()
    for _ in range(5):
        engine.apply(journal.say(usage(), alias=PORT, device="bed-1", after_ms=HOUR))
    engine.apply(journal.say(plate("ASAB-1"), alias=PORT, device="bed-1"))
    end = journal.now_ms + 1
    by = {"at_ms": end, "by": "An", "reason": "moved", "asset": "V-1", "alias": PORT, "to_ms": end}
    assert engine.take(ReleaseAlias.model_validate(by)) == ""
    assert engine.take(claim(PORT, "V-2", from_ms=end, confirmed_by="Bình", at_ms=end)) == ""
    for _ in range(5):
        engine.apply(journal.say(usage(), alias=PORT, device="bed-1", after_ms=HOUR))
    engine.apply(journal.say(plate("ASAB-2"), alias=PORT, device="bed-1", after_ms=HOUR))
    assert [row.meters[0].provisional for row in fleet_rows(engine.state)] == [False, True]
