"""Rounds of the benchmark: a load through the line, the same through the bare client, alarms to tickets."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import LOOK_S, WITHIN_S, Bench, Counts, seconds_since
from benchmarks.machine import cpu_s

TICKET_LOOK_S = 0.005
ALARM_RATE = 2_000
TECHNICAL_EVERY = 50
"""One device in so many has technical alarms in the rounds: still more tickets than in any fleet."""
ALARM_EVERY = 191
"""An alarm each 95.5 ms: out of step with every pause on the way."""


@dataclass(frozen=True, slots=True)
class Case:
    """A load to be measured: so many messages a round at a rate, 0 for as fast as the broker takes them."""

    name: str
    rate: float
    messages: int


@dataclass(frozen=True, slots=True)
class Round:
    """One round through the line: seconds from the first message on, CPU seconds of each process."""

    counts: Counts
    published_s: float
    acknowledged_s: float
    stored_s: float
    concluded_s: float
    cpu: dict[str, float]
    batches: int
    """Commits of the journal that took them in."""


@dataclass(frozen=True, slots=True)
class BareRound:
    """One round through the bare client."""

    messages: int
    acknowledged_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from an alarm handed to the socket to its ticket committed in the ledger."""

    name: str
    expected: int
    ms: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """The smallest of them that so large a share does not exceed."""
        return sorted(self.ms)[max(0, math.ceil(share * len(self.ms)) - 1)] if self.ms else math.nan

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.ms) if self.ms else math.nan


def _batches(bench: Bench) -> int:
    (count,) = bench.store.file.db.execute("SELECT count(*) FROM batch WHERE kinds <> '{}'").fetchone()
    return int(count)


async def _when(fact: Callable[[], bool], *, began_ns: int) -> float:
    """Seconds from the beginning until the fact holds; infinite if it does not in time."""
    while seconds_since(began_ns) < WITHIN_S:
        if fact():
            return seconds_since(began_ns)
        await asyncio.sleep(LOOK_S)
    return math.inf


def _pids(bench: Bench) -> dict[str, int]:
    found = {} if bench.line.process is None else {"hourmeter": bench.line.process.pid}
    servers = {"broker": bench.stand.broker.pid, "influxd": bench.influx.pid}
    return found | {name: pid for name, pid in servers.items() if pid is not None}


async def through_the_line(bench: Bench, case: Case, *, devices: int) -> Round:
    """Publish, and wait until everything is acknowledged, stored and concluded."""
    counted, batches, pids = await bench.counts(), _batches(bench), _pids(bench)
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    report = await bench.publish(
        case.messages,
        rate=case.rate,
        options=("--devices", str(devices), "--technical-every", str(TECHNICAL_EVERY)),
    )
    began_ns, head = int(report["began_ns"]), bench.store.file.head()
    stored_s, concluded_s = await asyncio.gather(
        _when(bench.is_stored, began_ns=began_ns),
        _when(lambda: bench.is_concluded(head), began_ns=began_ns),
    )
    spent = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
    bench.line.check()
    return Round(
        counts=await bench.counts() - counted,
        published_s=report["seconds"],
        acknowledged_s=(report["confirmed_ns"] - began_ns) / 1e9,
        stored_s=stored_s,
        concluded_s=concluded_s,
        cpu=spent,
        batches=_batches(bench) - batches,
    )


async def through_the_bare_client(bench: Bench, case: Case) -> BareRound:
    """The same load, received and acknowledged only."""
    report = await bench.bare(case.messages, rate=case.rate)
    return BareRound(case.messages, (report["ended_ns"] - report["began_ns"]) / 1e9, report["cpu_s"])


async def alarms_to_tickets(bench: Bench, name: str, *, devices: range, folder: Path) -> Latency:
    """The first alarm of each device, one after another, among other messages at a modest rate."""
    stamps = folder / "stamps"
    known = max((number for number, _ in bench.new_tickets(0)), default=0)
    seen: dict[str, int] = {}
    options = ("--first-device", str(devices.start), "--devices", str(len(devices)), "--stamps", str(stamps))
    publishing = asyncio.ensure_future(
        bench.publish(
            len(devices) * ALARM_EVERY,
            rate=ALARM_RATE,
            options=(*options, "--alarm-every", str(ALARM_EVERY)),
        )
    )
    last_look = time.monotonic() + WITHIN_S
    while time.monotonic() < last_look and len(seen) < len(devices):
        for number, asset in bench.new_tickets(known):
            known = max(known, number)
            seen[asset] = time.monotonic_ns()
        if publishing.done():
            last_look = min(last_look, time.monotonic() + 10)
        await asyncio.sleep(TICKET_LOOK_S)
    await publishing
    asset_of = {alias.identifier: asset.id for asset in bench.settings.asset for alias in asset.aliases}
    sent = [line.split() for line in stamps.read_text().splitlines()]
    took = tuple(
        (seen[asset_of[device]] - int(at_ns)) / 1e6 for device, at_ns in sent if asset_of[device] in seen
    )
    return Latency(name, len(devices), took)
