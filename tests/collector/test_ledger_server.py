"""The ledger in PostgreSQL: what only a server can do: go away, refuse, be killed in the middle."""

from __future__ import annotations

import asyncio
import builtins
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url

from collector.cursors import Cursor
from collector.ledger import AnotherConcluderError, Ledger, Progress, open_ledger
from collector.ledger_server import LedgerDatabase
from collector.ledger_tables import METADATA
from rules.engine import Engine
from rules.inputs import AcknowledgeTicket
from rules.state import State
from telemetry.errors import SettingsError, Unavailable
from tests.system.postgresql import ROLE, Postgresql
from tests.system.servers import password

ONE = Progress(Cursor("epoch", 10), 0)
TWO = Progress(Cursor("epoch", 20), 0)
SAID = AcknowledgeTicket(at_ms=1, ticket="T-1", by="An")
NOWHERE = LedgerDatabase("postgresql://hourmeter@127.0.0.1:9/hourmeter")


@pytest.fixture
async def database(postgresql: Postgresql, request: pytest.FixtureRequest) -> LedgerDatabase:
    return await postgresql.create(f"s{abs(hash(request.node.nodeid))}")


@pytest.fixture
async def ledger(database: LedgerDatabase) -> AsyncIterator[Ledger]:
    async with open_ledger(database) as opened:
        yield opened


def name_of(database: LedgerDatabase) -> str:
    name = make_url(database.url).database
    assert name is not None
    return name


async def cut(server: Postgresql, database: LedgerDatabase) -> None:
    """Cut every connection to a database, and wait until they are gone."""
    sessions = f"FROM pg_stat_activity WHERE datname = '{name_of(database)}'"
    await server.ask(f"SELECT pg_terminate_backend(pid) {sessions}")
    async with asyncio.timeout(10):
        while await server.ask(f"SELECT pid {sessions}"):
            await asyncio.sleep(0.01)


async def refused(database: LedgerDatabase) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        async with open_ledger(database):
            pass
    assert "secret" not in str(caught.value)
    return caught.value


@pytest.mark.system
async def test_migrations_lead_to_exactly_the_tables_of_the_code(
    ledger: Ledger, database: LedgerDatabase
) -> None:
    assert await ledger.load() == (State(), None)
    engine = create_engine(
        make_url(database.url).set(drivername="postgresql+psycopg", password=database.password)
    )
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), METADATA)
    engine.dispose()
    assert differences == []


@pytest.mark.system
async def test_many_open_a_new_ledger_at_once(database: LedgerDatabase) -> None:
    async def look() -> int:
        async with open_ledger(database) as ledger:
            return len(await ledger.tickets())

    async with asyncio.timeout(30):
        assert await asyncio.gather(*(look() for _ in range(4))) == [0] * 4


@pytest.mark.system
async def test_a_ledger_of_a_newer_version_is_refused(
    postgresql: Postgresql, database: LedgerDatabase
) -> None:
    async with open_ledger(database):
        pass
    await postgresql.ask("UPDATE alembic_version SET version_num='9999'", database=name_of(database))
    assert "another version" in str(await refused(database))


@pytest.mark.system
async def test_the_role_is_no_master_of_the_server(postgresql: Postgresql) -> None:
    (row,) = await postgresql.ask(
        "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles"
        " WHERE rolcanlogin AND rolname <> 'admin'"
    )
    assert row == (ROLE, False, False, False)


@pytest.mark.system
async def test_what_is_committed_is_on_disk_whatever_the_database_would_do(
    postgresql: Postgresql, database: LedgerDatabase
) -> None:
    await postgresql.ask(f"ALTER DATABASE {name_of(database)} SET synchronous_commit TO off")
    async with open_ledger(database) as ledger:
        with ledger._store.transaction("write") as connection:  # noqa: SLF001 - the session it uses
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"


@pytest.mark.system
async def test_a_lock_that_another_writer_holds_is_weather(database: LedgerDatabase) -> None:
    async with open_ledger(database) as other, open_ledger(database, busy_ms=50) as ledger:
        with other._store.transaction("write"):  # noqa: SLF001 - a writer that stands still
            with pytest.raises(Unavailable, match="lock timeout"):
                await ledger.append_input(SAID)
            assert await ledger.tickets() == (), "readers never wait"
        assert await ledger.append_input(SAID) == 1


@pytest.mark.system
async def test_a_connection_that_was_cut_is_made_anew(
    postgresql: Postgresql, database: LedgerDatabase, ledger: Ledger
) -> None:
    assert await ledger.append_input(SAID) == 1
    await cut(postgresql, database)
    assert await ledger.append_input(SAID) == 2


@pytest.mark.system
async def test_a_commit_of_which_nobody_heard_is_recognised_and_written_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to COMMIT is lost: asked again, nothing is written twice, nobody is taken for another."""
    changes = Engine(State()).changes()
    await ledger.commit(changes, expected=None, progress=ONE)
    run = ledger._run  # noqa: SLF001 - the answer is lost between store and ledger

    async def lose(intent: object, work: object) -> None:
        await run(intent, work)  # type: ignore[arg-type] # handed on as it comes
        raise Unavailable("ledger", why="server closed the connection unexpectedly")

    monkeypatch.setattr(ledger, "_run", lose)
    with pytest.raises(Unavailable):
        await ledger.commit(changes, expected=ONE, progress=TWO)
    monkeypatch.undo()
    assert await ledger.progress() == TWO
    three = replace(TWO, cursor=Cursor("epoch", 30))
    await ledger.commit(changes, expected=ONE, progress=three)
    assert await ledger.progress() == three
    with pytest.raises(AnotherConcluderError):
        await ledger.commit(changes, expected=ONE, progress=three)


@pytest.mark.system
async def test_a_server_that_is_away_is_weather_and_what_it_refuses_is_to_be_mended(
    postgresql: Postgresql, database: LedgerDatabase
) -> None:
    with pytest.raises(Unavailable, match=r"9/hourmeter: .*refused.*; .*ledger\.url"):
        async with open_ledger(NOWHERE):
            pass
    assert str(await refused(postgresql.database(name_of(database), said="wrong secret"))).startswith(
        "ledger.password_file (ledger postgresql://hourmeter@"
    )
    assert "ledger.password_file" in str(await refused(replace(database, password="")))
    unknown = await refused(postgresql.database("nowhere"))
    assert "ledger.url" in unknown.where
    assert '"nowhere" does not exist' in unknown.found
    assert "createdb" in unknown.expected
    assert "sslmode" in (await refused(replace(database, url=f"{database.url}?sslmode=verify-full"))).expected
    assert "libpq" in (await refused(replace(database, url=f"{database.url}?colour=red"))).expected


@pytest.mark.system
async def test_a_database_in_which_the_role_may_not_create_tables_is_to_be_mended(
    postgresql: Postgresql, database: LedgerDatabase
) -> None:
    await postgresql.ask(f"ALTER DATABASE {name_of(database)} OWNER TO admin")
    error = await refused(database)
    assert "permission denied for schema public" in error.found
    assert "ledger.url" in error.where


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("hourmeter", "is no URL"),
        ("mysql://u@h/d", "begins with mysql://"),
        ("postgresql://u:secret@h/d", "holds a password"),
        ("postgresql://u@h/d?password=secret", "holds a password"),
        ("postgresql://u@h", "names no database"),
    ],
)
async def test_a_url_that_cannot_be_is_named_without_its_secret(url: str, found: str) -> None:
    error = await refused(LedgerDatabase(url))
    assert error.where == "ledger.url"
    assert found in error.found


async def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    importing = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.partition(".")[0] == "psycopg":
            raise ImportError("no module psycopg")
        return importing(name, *rest, **more)  # type: ignore[arg-type] # handed on as it comes

    for name in [one for one in sys.modules if one.partition(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    assert "hourmeter[postgresql]" in (await refused(NOWHERE)).expected


def test_a_password_is_in_no_description_of_its_place() -> None:
    assert password(ROLE) not in repr(LedgerDatabase("postgresql://u@h/d", password(ROLE)))
