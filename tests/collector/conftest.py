"""Where the ledgers of tests are kept: everything that one store promises is asked of both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from collector.ledger_server import LedgerDatabase
from tests.system.conftest import need
from tests.system.postgresql import Postgresql, running_postgresql

Place = Path | LedgerDatabase
Places = Callable[[], Awaitable[Place]]
"""Makes a place for a new ledger, each time another one."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgresql() -> AsyncIterator[Postgresql]:
    """A running PostgreSQL for all tests of this run; each test has databases of its own."""
    need("postgres")
    async with running_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    """Places in a SQLite file, and in a database of a real PostgreSQL."""
    numbers = count(1)
    if request.param == "sqlite":

        async def file() -> Place:
            return tmp_path / f"data{next(numbers)}" / "ledger.sqlite"

        return file
    server: Postgresql = request.getfixturevalue("postgresql")
    name = f"t{abs(hash(request.node.nodeid))}"

    async def database() -> Place:
        return await server.create(f"{name}_{next(numbers)}")

    return database


@pytest.fixture
async def place(places: Places) -> Place:
    """A place for one ledger."""
    return await places()
