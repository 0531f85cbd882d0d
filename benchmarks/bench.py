"""A site at work for measuring: servers and hourmeter's parts as processes, and what each has done."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from collector.consumers import Consumers
from collector.ledger import Ledger, open_ledger
from collector.store import Store
from desk import reading
from desk.broker import COLLECTOR, Broker
from desk.settings import Settings, load
from tests.system import servers
from tests.system.stand import PUBLISHER, ROOT, Part, Stand

LOOK_S = 0.02
WITHIN_S = 300.0
"""Longest time for one round; what has not come by then counts as lost."""
KINDS = ("usage", "alarm")


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages by how far they have come, each counted where it happens."""

    published: int = 0
    """Sent by the publisher and acknowledged to it by the broker."""
    received: int = 0
    """Counted by the collector's intake."""
    journaled: int = 0
    """In the journal's batches."""
    acknowledged: int = 0
    """Confirmed to the publisher by the collector: on its disk."""
    stored: int = 0
    """Counted by InfluxDB."""
    concluded: int = 0
    """Counted by the ledger."""

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(Counts)))

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))

    @property
    def are_equal(self) -> bool:
        """Whether every message has come all the way, once."""
        return len({getattr(self, f.name) for f in fields(Counts)}) == 1


@dataclass(slots=True)
class Bench:
    """The line, and beside it a broker for the bare client whose load the collector does not see."""

    stand: Stand
    influx: servers.Influx
    bare_broker: Broker
    settings: Settings
    line: Part
    """`hourmeter run`: collector, rules and page in one process."""
    store: Store
    ledger: Ledger
    published: int = 0
    acknowledged: int = 0
    runs: int = 0

    async def counts(self) -> Counts:
        """How far all messages have come until now."""
        tallies = self.store.tallies()
        stored = 0
        for kind in KINDS:
            for row in await self.influx.query(f'SELECT count(corrected) FROM "{kind}"'):  # noqa: S608 - names of ours
                stored += int(row["count"] or 0)
        counters = await self.ledger.counters()
        return Counts(
            published=self.published,
            received=sum(count for (what, _), count in tallies.items() if what == "received"),
            journaled=sum(self.store.pending(0).values()),
            acknowledged=self.acknowledged,
            stored=stored,
            concluded=sum(count for name, count in counters.items() if name.startswith("concluded:")),
        )

    def is_stored(self) -> bool:
        """Whether history has settled all that was received."""
        settled = 0
        for (what, _), count in self.store.tallies().items():
            settled += -count if what == "received" else count
        return settled == 0

    def is_concluded(self, head: int) -> bool:
        """Whether the rules have committed everything before a position of the journal."""
        return Consumers(self.store).cursor_position("rules") >= head

    async def publish(
        self, count: int, *, rate: float = 0.0, options: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Let a publisher of its own process send; what it reports once the collector has confirmed all."""
        self.runs += 1
        before = ("--supersedes", f"run-{self.runs - 1}") if self.runs > 1 else ()
        report = await self.load(
            self.stand.broker,
            count,
            rate=rate,
            options=("--stream", f"run-{self.runs}", "--confirmed", *before, *options),
        )
        self.published += report["acknowledged"]
        self.acknowledged += report["confirmed"]
        return report

    async def load(
        self, broker: Broker, count: int, *, rate: float, options: tuple[str, ...]
    ) -> dict[str, Any]:
        """Run benchmarks/load.py against a broker; its report."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.load", "--port", str(broker.port), "--user", PUBLISHER),
            *("--count", str(count), "--rate", str(rate), "--within", str(WITHIN_S), *options),
            stdout=PIPE,
            cwd=ROOT,
            env=os.environ | {"LOAD_PASSWORD": servers.password(PUBLISHER)},
        )
        return await _report(process)

    async def bare(self, count: int, *, rate: float) -> dict[str, Any]:
        """The same load for the bare client: its CPU seconds, and seconds until it had acknowledged all."""
        sent = count + 1  # the publisher's sync is a message too
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.bare", "--port", str(self.bare_broker.port)),
            *("--user", COLLECTOR, "--count", str(sent)),
            stdout=PIPE,
            cwd=ROOT,
            env=os.environ | {"BARE_PASSWORD": servers.password(COLLECTOR)},
        )
        if process.stdout is None or await process.stdout.readline() != b"ready\n":
            raise AssertionError("the bare client does not get ready")
        self.runs += 1
        load = await self.load(self.bare_broker, count, rate=rate, options=("--stream", f"bare-{self.runs}"))
        return load | await _report(process)

    async def settled(self) -> None:
        """Return once everything received is stored and concluded, or not in time."""
        head = self.store.file.head()
        began_ns = time.monotonic_ns()
        while not (self.is_stored() and self.is_concluded(head)) and seconds_since(began_ns) < WITHIN_S:
            await asyncio.sleep(LOOK_S)

    def new_tickets(self, after: int) -> tuple[tuple[int, str], ...]:
        """Number and asset of each ticket with a higher number that is committed."""
        with sqlite3.connect(f"file:{self.settings.ledger.file}?mode=ro", uri=True) as ledger:
            return tuple(ledger.execute("SELECT number, asset FROM tickets WHERE number > ?", (after,)))


async def _report(process: asyncio.subprocess.Process) -> dict[str, Any]:
    try:
        async with asyncio.timeout(WITHIN_S + 30):
            out, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise AssertionError("a client of the benchmark does not end") from None
    if process.returncode:
        raise AssertionError(f"a client of the benchmark ended with {process.returncode}")
    report: dict[str, Any] = json.loads(out)
    return report


async def _until_there(path: Path, part: Part) -> None:
    async with asyncio.timeout(30):
        while not path.exists():  # noqa: ASYNC240 - a stat of a local file
            part.check()
            await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def open_bench(folder: Path, *, devices: int) -> AsyncIterator[Bench]:
    """Servers and the line at work in a folder, all stopped at the end."""
    broker, bare_broker = (
        servers.mosquitto(folder / name, publishers=(PUBLISHER,)) for name in ("mosquitto", "mosquitto-bare")
    )
    influx = servers.Influx(folder / "influx")
    stand: Stand | None = None
    try:
        for server in (broker, bare_broker, influx):
            await server.start()
        stand = Stand(folder, broker, influx, assets=[f"{PUBLISHER}-{number}" for number in range(devices)])
        settings = load(folder / "collector.toml")
        line = stand.part("run", "collector.toml")
        await line.start()
        await _until_there(settings.journal.folder / "journal.db", line)
        await _until_there(settings.ledger.file, line)
        async with open_ledger(settings.ledger.file) as ledger:
            with reading.open_store(settings) as store:
                yield Bench(stand, influx, bare_broker, settings, line, store, ledger)
    finally:
        if stand is not None:
            await stand.end()
        for server in (influx, bare_broker, broker):
            await server.stop()


def seconds_since(began_ns: int) -> float:
    """Seconds since a time of the machine's monotonic clock."""
    return (time.monotonic_ns() - began_ns) / 1e9
