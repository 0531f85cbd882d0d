"""The ledger: gives back what was committed, refuses a second concluder, and keeps inputs in order."""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import IntegrityError

from collector.cursors import Cursor
from collector.ledger import AnotherConcluderError, Applied, Ledger, Progress, open_ledger
from collector.ledger_tables import INPUTS, METADATA
from rules.engine import Engine
from rules.inputs import AcknowledgeTicket, CloseTicket
from rules.state import State
from rules.words import TicketState
from telemetry.errors import SettingsError, Unavailable
from telemetry.messages import Alias, LinkState, Status
from tests.collector.conftest import Place
from tests.rules.scene import HOUR, Journal, alarm, fault, ready, registry, rules_in_force, usage

ONE = Progress(Cursor("epoch", 10), 2)
TWO = Progress(Cursor("epoch", 20), 2)


STRANGER = Alias(protocol="puritan-bennett", namespace="980", identifier="2")


@pytest.fixture
async def ledger(place: Place) -> AsyncIterator[Ledger]:
    async with open_ledger(place) as opened:
        yield opened


def busy_engine() -> tuple[Engine, Journal]:
    engine, journal = ready(), Journal()
    engine.apply(journal.say(Status(link=LinkState.ONLINE, connection="c"), alias=None, device="_link"))
    for _ in range(242):
        engine.apply(journal.tick(HOUR))
        engine.apply(journal.say(usage()))
    engine.apply(journal.say(alarm()))
    engine.apply(journal.say(fault(), alias=STRANGER, device="pb-2"))
    return engine, journal


async def test_what_was_committed_is_given_back_after_reopening(place: Place) -> None:
    engine, _ = busy_engine()
    async with open_ledger(place) as ledger:
        assert await ledger.load() == (State(), None)
        await ledger.commit(engine.changes(), expected=None, progress=ONE)
    async with open_ledger(place) as ledger:
        state, progress = await ledger.load()
    assert progress == ONE
    assert state == engine.state


async def test_a_commit_without_changes_moves_the_cursor_and_keeps_the_rest(ledger: Ledger) -> None:
    engine, _ = busy_engine()
    await ledger.commit(engine.changes(), expected=None, progress=ONE)
    await ledger.commit(engine.changes(), expected=ONE, progress=TWO)
    state, progress = await ledger.load()
    assert (progress, state) == (TWO, engine.state)


async def test_a_second_concluder_is_refused_and_writes_nothing(ledger: Ledger) -> None:
    engine, journal = busy_engine()
    await ledger.commit(engine.changes(), expected=None, progress=ONE)
    before, _ = await ledger.load()
    for expected in (None, TWO, replace(ONE, input=1), replace(ONE, cursor=Cursor("other", 10))):
        engine.apply(journal.say(usage(), after_ms=HOUR))
        with pytest.raises(AnotherConcluderError, match="run one"):
            await ledger.commit(engine.changes(), expected=expected, progress=TWO)
    assert await ledger.load() == (before, ONE)


async def test_a_commit_that_fails_half_way_leaves_nothing_behind(ledger: Ledger) -> None:
    engine, journal = busy_engine()
    await ledger.commit(engine.changes(), expected=None, progress=ONE)
    before, _ = await ledger.load()
    engine.apply(journal.say(usage(), after_ms=HOUR))
    changes = engine.changes()
    (ticket, *_) = engine.state.tickets.values()
    twin = ticket.model_copy(update={"id": "T-99", "number": 99})
    with pytest.raises(IntegrityError):
        await ledger.commit(replace(changes, tickets=(twin,)), expected=ONE, progress=TWO)
    assert await ledger.load() == (before, ONE), "one open ticket a cause, and all or nothing"


async def test_inputs_are_kept_in_order_with_where_they_were_applied(place: Place) -> None:
    said = AcknowledgeTicket(at_ms=1, ticket="T-1", by="An")
    async with open_ledger(place) as desk, open_ledger(place) as concluder:
        assert [await desk.append_input(said), await desk.append_input(registry())] == [1, 2]
        first, second = await concluder.inputs_after(0, limit=10)
        assert (first.said, first.applied_at, second.said) == (said, None, registry())
        assert [line.id for line in await concluder.inputs_after(1, limit=10)] == [2]
        await concluder.commit(
            Engine(State()).changes(),
            expected=None,
            progress=ONE,
            applied=(Applied(1, 7, "T-1 is not an open ticket"), Applied(2, 7)),
        )
        line = await desk.input(1)
        assert line is not None
        assert (line.applied_at, line.refused) == (Cursor("epoch", 7), "T-1 is not an open ticket")
        assert await desk.input(3) is None


async def test_settings_are_appended_only_when_they_say_something_new(ledger: Ledger) -> None:
    assert await ledger.append_if_changed(registry()) == 1
    assert await ledger.append_if_changed(registry(at_ms=99)) is None
    assert await ledger.append_if_changed(rules_in_force()) == 2
    assert await ledger.append_if_changed(rules_in_force(at_ms=99)) is None
    assert await ledger.append_if_changed(registry(at_ms=99, reading=5, last_done=1)) == 3
    assert await ledger.append_if_changed(registry()) == 4


async def test_the_desk_sees_tickets_events_fleet_and_unclaimed_devices(ledger: Ledger) -> None:
    engine, journal = busy_engine()
    engine.take(CloseTicket(at_ms=journal.now_ms, ticket="T-2", by="An", note="hose"))
    await ledger.commit(engine.changes(), expected=None, progress=ONE)
    assert [ticket.id for ticket in await ledger.tickets()] == ["T-1"]
    assert [ticket.id for ticket in await ledger.tickets(open_only=False)] == ["T-1", "T-2"]
    found = await ledger.ticket("T-2")
    assert found is not None
    assert [(event.who, event.to_state, event.note) for event in found[1]] == [
        ("hourmeter", TicketState.OPEN, "rule oxygen"),
        ("An", TicketState.CLOSED, "hose"),
    ]
    assert await ledger.ticket("T-3") is None
    (row,) = await ledger.fleet()
    assert (row.asset, row.ward, row.link, row.open_tickets) == ("V-1", "ICU", LinkState.ONLINE, ("T-1",))
    assert [(meter.low_h, meter.high_h, meter.coverage) for meter in row.meters] == [(241, 241, 1)]
    assert [device.alias for device in await ledger.unclaimed()] == [("puritan-bennett", "980", "2")]
    assert await ledger.counters() == {
        "concluded:usage": 242,
        "concluded:alarm": 1,
        "concluded:fault": 1,
        "concluded:status": 1,
    }


async def test_rewinding_moves_the_cursor_and_keeps_tickets(ledger: Ledger) -> None:
    engine, _ = busy_engine()
    await ledger.commit(engine.changes(), expected=None, progress=ONE)
    await ledger.rewind(Cursor("new", 0), counters={})
    assert await ledger.progress() == Progress(Cursor("new", 0), 2)
    assert await ledger.counters() == {}
    assert len(await ledger.tickets()) == 2


async def test_writing_the_same_changes_again_is_writing_them_once(ledger: Ledger) -> None:
    engine, _ = busy_engine()
    changes = engine.changes()
    await ledger.commit(changes, expected=None, progress=ONE)
    await ledger.commit(changes, expected=ONE, progress=TWO)
    assert (await ledger.load())[0] == engine.state
    found = await ledger.ticket("T-2")
    assert found is not None
    assert [event.number for event in found[1]] == [1]


async def test_what_a_device_may_call_itself_is_kept_to_the_letter(ledger: Ledger) -> None:
    names = (
        "a\0b",
        "a\\0b",
        "\\\0",
        "\0\\",
        "\\",
        "Máy thở số 1 (tầng 2, phòng hồi sức tích cực), \u202e mới nhất 2026",
    )
    engine, journal = busy_engine()
    for name in names:
        stranger = Alias(protocol="puritan-bennett", namespace=name[:64], identifier=name[:64])
        engine.apply(journal.say(fault(), alias=stranger))
    engine.take(CloseTicket(at_ms=journal.now_ms, ticket="T-2", by="An", note="a\0b"))
    await ledger.commit(engine.changes(), expected=None, progress=ONE)
    state, _ = await ledger.load()
    assert state == engine.state
    found = await ledger.ticket("T-2")
    assert found is not None
    assert found[1][-1].note == "a\0b"


async def test_a_summary_counts_what_is_there(ledger: Ledger) -> None:
    engine, _ = busy_engine()
    assert (await ledger.summary()).progress is None
    await ledger.commit(engine.changes(), expected=None, progress=ONE)
    found = await ledger.summary()
    assert (found.progress, found.counters) == (ONE, await ledger.counters())
    assert found.open_tickets == {("P2", "repair"): 1, ("P3", "pm"): 1}
    assert found.links == {"online": 1}


async def test_a_writer_waits_for_the_one_before_and_readers_for_none(place: Place) -> None:
    """So what people say is numbered in the order in which it can be read: nothing is passed over."""
    said = AcknowledgeTicket(at_ms=1, ticket="T-1", by="An")
    async with open_ledger(place) as one, open_ledger(place) as other, open_ledger(place) as reader:
        with one._store.transaction("write"):  # noqa: SLF001 - a writer that takes its time
            writing = asyncio.ensure_future(other.append_input(said))
            await asyncio.wait([writing], timeout=0.2)
            assert not writing.done()
            assert await reader.inputs_after(0, limit=10) == ()
        async with asyncio.timeout(10):
            assert await writing == 1


async def test_a_reader_sees_one_moment_of_everything(place: Place) -> None:
    said = AcknowledgeTicket(at_ms=1, ticket="T-1", by="An")
    count = select(func.count()).select_from(INPUTS)
    async with open_ledger(place) as reader, open_ledger(place) as writer:
        with reader._store.transaction("read") as connection:  # noqa: SLF001 - a reader that takes its time
            before = connection.execute(count).scalar_one()
            await writer.append_input(said)
            assert connection.execute(count).scalar_one() == before == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.sqlite"


async def test_migrations_lead_to_exactly_the_tables_of_the_code(path: Path) -> None:
    async with open_ledger(path) as ledger:
        assert await ledger.load() == (State(), None)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), METADATA)
    engine.dispose()
    assert differences == []


async def test_a_locked_ledger_is_weather(path: Path) -> None:
    async with open_ledger(path, busy_ms=1) as ledger:
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            await ledger.append_input(registry())
        blocker.execute("ROLLBACK")
        blocker.close()
        assert await ledger.append_input(registry()) == 1


async def test_a_file_that_is_not_a_ledger_is_the_operators_to_mend(tmp_path: Path) -> None:
    foreign = tmp_path / "ledger.sqlite"
    foreign.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(SettingsError, match="not a database"):
        async with open_ledger(foreign):
            pass
    with pytest.raises(SettingsError, match="folder"):
        async with open_ledger(foreign / "inside.sqlite"):
            pass


async def test_a_ledger_of_a_newer_version_is_refused(path: Path) -> None:
    async with open_ledger(path):
        pass
    file = sqlite3.connect(path)
    file.execute("UPDATE alembic_version SET version_num='9999'")
    file.commit()
    file.close()
    with pytest.raises(SettingsError, match="another version"):
        async with open_ledger(path):
            pass


async def test_a_ledger_is_opened_by_one_after_the_other(tmp_path: Path) -> None:
    async def look() -> int:
        async with open_ledger(tmp_path / "ledger.db") as ledger:
            return len(await ledger.tickets())

    with (tmp_path / "ledger.db.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        looking = asyncio.gather(*(look() for _ in range(4)))
        await asyncio.wait([looking], timeout=0.2)
        assert not (tmp_path / "ledger.db").exists()
    async with asyncio.timeout(20):
        assert await looking == [0] * 4


async def test_what_is_said_at_once_is_kept_whole_or_not_at_all(place: Place) -> None:
    said = AcknowledgeTicket(at_ms=1, ticket="T-1", by="An")
    unwritable = said.model_copy(update={"at_ms": None})
    async with open_ledger(place) as ledger:
        with pytest.raises(IntegrityError):
            await ledger.append_inputs((said, said, unwritable))
        assert await ledger.inputs_after(0, limit=10) == ()
        first, second = await ledger.append_inputs((said, registry()))
        kept = await ledger.inputs_after(0, limit=10)
        assert [(one.id, one.said) for one in kept] == [(first, said), (second, registry())]
