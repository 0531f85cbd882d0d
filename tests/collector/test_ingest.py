"""Nothing is acknowledged that is not on disk, and weather is waited out without a loss."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from collector.cursors import Cursor
from collector.inbound import Received
from collector.ingest import DAY_MS, PRUNE_EVERY_TICKS, Ingest, Patience
from collector.intake import Intake
from collector.journal import Journal, open_journal
from collector.journal_file import Limits
from telemetry.control import read_confirmed
from telemetry.errors import SettingsError, Unavailable
from telemetry.records import Journaled, Started, Tick
from tests.collector.journals import T0_MS, usage


@dataclass
class _Clock:
    """Stands still."""

    def now_ms(self) -> int:
        return T0_MS

    def mono_ms(self) -> int:
        return 0

    def boot(self) -> str:
        return "boot"

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"the collector waits in real time, not for {seconds} s of its clock")


@dataclass
class _Broker:
    """Gives scripted batches, redelivering what was not acknowledged when a session ends."""

    batches: list[Sequence[Received]]
    drop_after: int = 1_000_000
    """Sessions are lost after so many batches."""
    refusal: Exception | None = None
    session_present: bool = True
    acknowledged: list[Received] = field(default_factory=list)
    published: list[tuple[str, bytes, bool]] = field(default_factory=list)
    sessions: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[_Session]:
        if self.refusal:
            raise self.refusal
        self.sessions += 1
        yield _Session(self, self.drop_after, session_present=self.session_present)


@dataclass
class _Session:
    broker: _Broker
    left: int
    session_present: bool
    given: list[Sequence[Received]] = field(default_factory=list)

    async def receive(self) -> Sequence[Received]:
        if self.left == 0:
            raise Unavailable("broker", why="connection lost")
        if not self.broker.batches:
            await asyncio.Event().wait()
        self.left -= 1
        return self.broker.batches[0]

    def acknowledge(self, received: Sequence[Received]) -> None:
        self.broker.acknowledged.extend(received)
        self.broker.batches.pop(0)
        self.broker.news.set()

    async def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        self.broker.published.append((topic, payload, retain))
        self.broker.news.set()


async def _never_slow(_seconds: float) -> None:
    await asyncio.sleep(0)


def _ingest(journal: Journal, broker: _Broker) -> Ingest:
    patience = Patience(sleep=_never_slow, random=lambda: 0.5)
    return Ingest(journal, broker, _Clock(), patience, retention_days=30)


def _journal(folder: Path, *, reserve: int = 0) -> Journal:
    names = count(1)
    return open_journal(
        folder, limits=Limits(size_cap=1 << 30, disk_reserve=reserve), new_epoch=lambda: f"e{next(names)}"
    )


async def _run_until(ingest: Ingest, broker: _Broker, through: int) -> None:
    """Let it work until the confirmation says so."""
    work = asyncio.ensure_future(ingest.run())
    async with asyncio.timeout(20):
        while not any(read_confirmed(p).streams.get("b-1") == through for _, p, _ in broker.published):
            broker.news.clear()
            await broker.news.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_messages_are_journaled_then_acknowledged_then_confirmed(tmp_path: Path) -> None:
    broker = _Broker([[usage(1), usage(2)], [usage(3)]])
    journal = _journal(tmp_path)
    await _run_until(_ingest(journal, broker), broker, 3)
    records = await journal.read(0, limit=10_000)
    assert isinstance(records[0], Started)
    messages = [record for record in records if isinstance(record, Journaled)]
    assert [m.payload for m in messages] == [r.payload for r in broker.acknowledged]
    assert any(isinstance(record, Tick) for record in records)
    topic, _, retain = broker.published[-1]
    assert (topic, retain) == ("hourmeter/1/hn01-a/confirmed", True)
    journal.close()


async def test_a_lost_connection_costs_nothing(tmp_path: Path) -> None:
    broker = _Broker([[usage(n)] for n in range(1, 6)], drop_after=2)
    journal = _journal(tmp_path)
    await _run_until(_ingest(journal, broker), broker, 5)
    assert len(broker.acknowledged) == 5
    assert broker.sessions >= 3
    journal.close()


async def test_a_session_that_the_broker_forgot_is_counted(tmp_path: Path) -> None:
    broker = _Broker([[usage(n)] for n in range(1, 4)], drop_after=1, session_present=False)
    journal = _journal(tmp_path)
    ingest = _ingest(journal, broker)
    await _run_until(ingest, broker, 3)
    assert ingest.sessions_lost == broker.sessions - 1 > 0
    journal.close()


async def test_with_a_full_disk_nothing_is_acknowledged_and_one_line_says_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _journal(tmp_path).close()
    journal = _journal(tmp_path, reserve=1 << 60)
    broker = _Broker([[usage(1)]])
    tried = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        tried.set()
        await asyncio.sleep(0)

    ingest = Ingest(journal, broker, _Clock(), Patience(sleep=sleep, random=lambda: 0.5), retention_days=30)
    with caplog.at_level(logging.WARNING):
        work = asyncio.ensure_future(ingest.run())
        async with asyncio.timeout(20):
            await tried.wait()
        assert ingest.stopped
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert broker.acknowledged == []
    (line,) = [record.getMessage() for record in caplog.records]
    assert "not acknowledging" in line
    assert "until space is freed" in line
    journal.close()


async def test_pruning_keeps_up_with_many_small_batches(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    intake, long_ago_ms = Intake(journal.store), T0_MS - 40 * DAY_MS
    for n in range(1, 301):
        intake.take([usage(n, observed_ms=long_ago_ms)], received_ms=long_ago_ms)
    for consumer in ("history", "rules"):
        await journal.passed(consumer, Cursor(journal.epoch, 300))
    pruned = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        if await journal.first() >= 300:
            pruned.set()
        await asyncio.sleep(0)

    patience = Patience(sleep=sleep, random=lambda: 0.5)
    ingest = Ingest(journal, _Broker([[usage(301)]]), _Clock(), patience, retention_days=30)
    work = asyncio.ensure_future(ingest.run())
    async with asyncio.timeout(20):
        await pruned.wait()
    ticks = sum(isinstance(record, Tick) for record in await journal.read(300, limit=1000))
    assert ticks < 2 * PRUNE_EVERY_TICKS, "not within the first round of pruning"
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    journal.close()


async def test_a_refusal_by_the_broker_ends_the_collector(tmp_path: Path) -> None:
    refusal = SettingsError(where="broker", found="bad password", expected="the right one")
    journal = _journal(tmp_path)
    with pytest.raises(SettingsError, match="bad password"):
        await _ingest(journal, _Broker([], refusal=refusal)).run()
    journal.close()
