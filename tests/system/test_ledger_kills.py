"""PostgreSQL is killed while the rules conclude: the same tickets follow, and none twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from collector.conclude import Concluder, resume
from collector.ingest import Patience
from collector.ledger import Ledger, open_ledger
from desk.ledgers import opened_ledger
from desk.settings import Settings
from telemetry.errors import Unavailable
from tests.collector.test_conclude import RECORDS, FakeJournal, outcome, prepared
from tests.system.conftest import need
from tests.system.postgresql import ROLE, Postgresql, running_postgresql

pytestmark = pytest.mark.system
KILLS = 8
BATCH = 10
"""Records a commit: there are more commits than kills."""
LONGEST_COMMIT = 300
"""Turns of the event loop in which a commit has surely begun, and most have ended."""
_T = TypeVar("_T")


async def persist(act: Callable[[], Awaitable[_T]]) -> tuple[_T, bool]:
    """Act until the server is there; whether it ever was not."""
    troubled = False
    async with asyncio.timeout(30):
        while True:
            try:
                return await act(), troubled
            except Unavailable:
                troubled = True
                await asyncio.sleep(0.02)


async def kill_session(server: Postgresql) -> None:
    """Kill the process that serves the ledger; the server begins anew with all its sessions."""
    for (pid,) in await server.ask(f"SELECT pid FROM pg_stat_activity WHERE usename = '{ROLE}'"):  # noqa: S608 - ours
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)


async def kill_server(server: Postgresql) -> None:
    """Kill the server as a whole and start it again."""
    await server.kill()
    await server.start()


async def commit_under_fire(concluder: Concluder, kill: Callable[[], Awaitable[None]], *, turns: int) -> bool:
    """Commit while the server is killed; whether the first attempt failed."""
    committing = asyncio.ensure_future(concluder.settle())
    for _ in range(turns):
        await asyncio.sleep(0)
    await kill()
    (failed,) = await asyncio.gather(committing, return_exceptions=True)
    if failed is None:
        return False
    assert isinstance(failed, Unavailable), repr(failed)
    await persist(concluder.settle)
    return True


async def conclude_all(ledger: Ledger, server: Postgresql | None, rng: random.Random) -> int:
    """Conclude every record in small commits, killing meanwhile; how many commits were cut."""
    kills = cut = 0
    concluder, _ = await persist(lambda: resume(FakeJournal(), ledger, mono_ms=lambda: 0, batch=BATCH))
    while concluder.progress.cursor.position < len(RECORDS):
        await persist(concluder.step)
        if server is not None and kills < KILLS and rng.random() < 0.3:
            kill = rng.choice((kill_session, kill_server))
            kills += 1
            cut += await commit_under_fire(
                concluder, partial(kill, server), turns=rng.choice((0, 0, rng.randint(0, LONGEST_COMMIT)))
            )
            if rng.random() < 0.3:  # and the concluder with it
                concluder, _ = await persist(
                    lambda: resume(FakeJournal(), ledger, mono_ms=lambda: 0, batch=BATCH)
                )
        else:
            await persist(concluder.settle)
    assert kills == (KILLS if server else 0)
    return cut


async def test_killed_at_any_moment_postgresql_holds_the_same_tickets(tmp_path: Path) -> None:
    need("postgres")
    rng = random.Random(11)  # noqa: S311 - when to kill is no secret
    async with open_ledger(tmp_path / "whole.sqlite") as ledger:
        await prepared(ledger)
        await conclude_all(ledger, None, rng)
        expected, expected_state = await outcome(ledger), (await ledger.load())[0]
    assert len(expected[0]) >= 2
    async with (
        running_postgresql(durable=True) as server,
        open_ledger(await server.create("killed")) as ledger,
    ):
        await prepared(ledger)
        cut = await conclude_all(ledger, server, rng)
        assert cut >= KILLS // 4, "the kills come too late to meet a commit"
        (found, _), (state, _) = await persist(lambda: outcome(ledger)), (await ledger.load())
    assert found == expected
    assert state == expected_state


async def test_a_site_waits_for_a_server_that_is_away_when_it_starts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    need("postgres")
    async with running_postgresql() as server:
        place = await server.create("later")
        await server.kill()
        settings = Settings.model_validate({"ledger": {"url": place.url, "password": place.password}})
        waits: list[float] = []

        async def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                await server.start()

        async with opened_ledger(
            settings, Patience(sleep=wait, random=lambda: 0.5), first=prepared
        ) as ledger:
            assert len(await ledger.inputs_after(0, limit=10)) == 2
    assert len(waits) >= 2
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"], "one line at each end"
