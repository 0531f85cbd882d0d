"""The registry in the ledger: given back as it was by both databases, and from one of the first version."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine, inspect, make_url, select, table
from sqlalchemy import column as named

from collector.cursors import Cursor
from collector.ledger import Progress, open_ledger
from collector.ledger_tables import ALIASES, DEVICES
from rules.engine import Engine
from rules.inputs import CloseTicket, ReleaseAlias, RetireAsset
from rules.overview import fleet_rows, unclaimed_rows
from rules.state import State
from telemetry.messages import Alias, LinkState, MeterName, Provenance
from telemetry.records import Tick
from tests.collector.conftest import Place
from tests.rules.scene import ALIAS, BEGIN, HOUR, Journal, registry, usage
from tests.rules.test_identity import OTHER, plate
from tests.rules.test_registry import PORT, claim, desk, enter, new, run

ONE = Progress(Cursor("epoch", 10), 2)
TWO = Progress(Cursor("epoch", 20), 2)
FIRST: Final = Path(__file__).with_name("ledger_0001.sql")
"""A ledger as the first version wrote it: two assets that speak, one that does not, a device of nobody."""


def lived_through() -> tuple[Engine, Journal]:
    """Everything that a registry keeps: claims that ended, readings, midnights, ports, a review, a slip."""
    engine, journal = desk(enter(new(), new("V-2")), claim(), registry()), Journal()
    run(engine, journal, 60)
    run(engine, journal, 3, alias=OTHER)
    engine.apply(journal.say(plate("1"), alias=PORT, device="bed-1"))
    engine.apply(journal.say(plate("2"), alias=PORT, device="bed-1", after_ms=HOUR))
    cut = BEGIN + 30 * HOUR
    for said in (
        ReleaseAlias(at_ms=journal.now_ms, by="An", reason="moved", asset="V-1", alias=ALIAS, to_ms=cut),
        claim(asset="V-2", at_ms=journal.now_ms, from_ms=cut),
        claim(PORT, at_ms=journal.now_ms, from_ms=cut),
    ):
        assert engine.take(said) == ""
    return engine, journal


async def test_a_registry_with_all_its_history_is_given_back_and_goes_on_from_there(place: Place) -> None:
    engine, journal = lived_through()
    assert engine.state.ports
    assert any(
        meter.days and meter.pins for one in engine.state.devices.values() for meter in one.derived.values()
    )
    async with open_ledger(place) as ledger:
        await ledger.commit(engine.changes(), expected=None, progress=ONE)
        assert (await ledger.load())[0] == engine.state
        run(engine, journal, 30)
        end = RetireAsset(at_ms=journal.now_ms, by="An", reason="beyond repair", asset="V-1")
        assert engine.take(end) == ""
        await ledger.commit(engine.changes(), expected=ONE, progress=TWO)
    async with open_ledger(place) as ledger:
        state, _ = await ledger.load()
        with ledger._store.transaction("read") as connection:  # noqa: SLF001 - what stands in a table
            held = connection.execute(select(ALIASES.c.identifier, ALIASES.c.asset)).all()
            owners = connection.execute(select(DEVICES.c.identifier, DEVICES.c.asset)).all()
    assert state == engine.state
    assert [tuple(row) for row in held] == [(ALIAS.identifier, "V-2")]
    assert {tuple(row) for row in owners} == {
        (ALIAS.identifier, "V-2"),
        (OTHER.identifier, None),
        ("bed-1", "V-1"),
    }


async def test_an_asset_that_is_dropped_is_gone_from_the_ledger(place: Place) -> None:
    engine = Engine(State())
    engine.take(registry(reading=5, last_done=1))
    async with open_ledger(place) as ledger:
        await ledger.commit(engine.changes(), expected=None, progress=ONE)
        engine.take(registry(at_ms=BEGIN + 1).model_copy(update={"assets": ()}))
        await ledger.commit(engine.changes(), expected=ONE, progress=TWO)
        state, _ = await ledger.load()
    assert (state.assets, state.meters) == ({}, {})
    assert state == engine.state


def _url(place: Place) -> URL:
    if isinstance(place, Path):
        place.parent.mkdir(parents=True)
        return make_url(f"sqlite:///{place}")
    return make_url(place.url).set(drivername="postgresql+psycopg", password=place.password)


def first_version(place: Place) -> None:
    """Make a ledger of the first version, with what stood in it."""
    old = sqlite3.connect(":memory:")
    old.row_factory = sqlite3.Row
    old.executescript(FIRST.read_text())
    engine = create_engine(_url(place))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", "collector:migrations")
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        names = inspect(connection).get_table_names()
        for name in sorted(
            set(names) - {"alembic_version"}, key=lambda name: (name != "assets", name != "tickets")
        ):
            rows = [dict(row) for row in old.execute(f"SELECT * FROM {name}")]  # noqa: S608 - our own tables
            if rows:
                connection.execute(table(name, *map(named, rows[0])).insert(), rows)
    engine.dispose()
    old.close()


async def test_a_ledger_of_the_first_version_tells_the_same_of_every_asset(place: Place) -> None:
    first_version(place)
    async with open_ledger(place) as ledger:
        state, progress = await ledger.load()
        said = await ledger.inputs_after(0, limit=10)
    assert progress == Progress(Cursor("epoch", 100), 3)
    assert [line.said.kind for line in said] == ["rule_set", "registry", "close_ticket"]
    one, two, three = fleet_rows(state)
    assert (one.asset, one.label, one.ward, one.model) == ("V-1", "Máy thở 1", "ICU", "840")
    assert one.heard_ms == state.devices["puritan-bennett", "840", ALIAS.identifier].heard_ms
    assert [(m.name, m.low_h, m.high_h, m.coverage) for m in one.meters] == [
        (MeterName.VENTILATION_H, 4219.5, 4219.5, 1.0)
    ]
    assert [s.due_h for s in one.standings] == [4420.0]
    assert [(m.provenance, m.low_h) for m in two.meters] == [
        (Provenance.DERIVED, 209 + 1 / 60),
        (Provenance.REPORTED, 9000),
    ]
    assert (two.open_tickets, two.open_alarms, two.link) == (("T-2",), 1, LinkState.ONLINE)
    assert (three.asset, three.ward, three.heard_ms, three.meters) == ("V-3", "ER", None, ())
    (free,) = unclaimed_rows(state)
    assert (free.alias[2], [(m.low_h, m.high_h) for m in free.meters]) == ("Máy 9", [(159.0, 209.0)])
    assert [(a.was_h, a.now_h) for a in state.meters["V-1", MeterName.VENTILATION_H].adjustments] == [
        (0, 4000),
        (4159, 4170),
    ]


async def test_a_ledger_of_the_first_version_goes_on_counting_and_counts_no_alarm_twice(place: Place) -> None:
    first_version(place)
    async with open_ledger(place) as ledger:
        state, _ = await ledger.load()
    engine = Engine(state)
    journal = Journal(position=1_000, now_ms=state.engineering.now_ms + 60_000)
    second = Alias(protocol="puritan-bennett", namespace="980", identifier="2")
    tickets = {ticket.id: ticket.occurrences for ticket in state.tickets.values()}
    engine.apply(Tick(1, journal.now_ms))
    for _ in range(3):
        engine.apply(journal.say(usage(), after_ms=HOUR))
        engine.apply(journal.say(usage(), alias=second, device="pb-2"))
    one, two, _ = fleet_rows(state)
    assert one.meters[0].low_h == 4219.5 + 3 + 1 / 60
    assert two.meters[0].low_h == 209 + 1 / 60 + 3
    engine.take(registry(at_ms=journal.now_ms))
    assert {ticket.id: ticket.occurrences for ticket in state.tickets.values()} == tickets
    assert sorted(state.assets) == ["V-1", "V-2"], "the one that never was is dropped, the others stay"
    close = CloseTicket(at_ms=journal.now_ms, ticket="T-2", by="An")
    assert engine.take(close) == ""
    back = ReleaseAlias(at_ms=journal.now_ms, by="An", reason="never was", asset="V-1", alias=ALIAS)
    assert engine.take(back) == ""
    assert [row.meters[0].low_h for row in unclaimed_rows(state) if row.alias[2] == ALIAS.identifier] == [
        209 - 0.5 + 3 + 1 / 60
    ], "but for the half hour before the reading that the first version did not keep"
