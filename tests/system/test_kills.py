"""Nothing is lost and nothing doubled, whatever is killed: counted against the frames that were served."""

from __future__ import annotations

import json
import random
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.host.outbox import open_outbox
from adapters.simulators.served import Served, followed, read_log
from collector.accounting import Accounting
from desk.broker import Broker
from desk.clock import system_clock
from desk.compose import machine
from tests.adapters.ventilators import twin_of_capture
from tests.system.servers import Influx
from tests.system.stand import ROOT, Part, Stand, until

FIRST_SERIAL = 3510070001
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Load:
    """How long and how hard."""

    ventilators: int
    frames: int
    """Served at least."""
    collector_kills: int
    host_kills: int
    influx_kills: int
    seed: int


SHORT = Load(ventilators=20, frames=5_300, collector_kills=10, host_kills=2, influx_kills=1, seed=20261122)
LONG = Load(ventilators=40, frames=60_000, collector_kills=60, host_kills=20, influx_kills=6, seed=4)


@asynccontextmanager
async def _ventilators(folder: Path, count: int) -> AsyncIterator[tuple[tuple[int, ...], Path]]:
    """Looped ventilators in a process of their own: their ports, and the log of what they served."""
    capture, log = folder / "capture.bin", folder / "served.jsonl"
    capture.write_bytes(twin_of_capture())
    log.touch()
    arguments = ["--ventilators", str(count), "--capture", str(capture), "--serial", str(FIRST_SERIAL)]
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "adapters.simulators.puritan_bennett"),
        *(*arguments, "--advance-clock", "--log", str(log)),
        stdout=PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        yield tuple(json.loads(await process.stdout.readline())["ports"]), log
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()


def _served(log: Path) -> tuple[Served, ...]:
    return read_log(log.read_text().splitlines())


async def _blows(stand: Stand, load: Load, collector: Part, host: Part, log: Path, influx: Influx) -> None:
    """Kill and start again, in an order and at moments drawn from the seed, spread over the frames."""
    broker = stand.broker
    rng = random.Random(load.seed)  # noqa: S311 - a schedule that can be run again
    blows = (
        ["collector"] * load.collector_kills
        + ["host"] * load.host_kills
        + ["influx"] * load.influx_kills
        + ["broker", "broker wiped"]
    )
    rng.shuffle(blows)
    moments = sorted(rng.uniform(0.03, 0.9) * load.frames for _ in blows)
    for blow, moment in zip(blows, moments, strict=True):

        async def reached(moment: float = moment) -> bool:
            collector.check()
            host.check()
            return len(_served(log)) >= moment

        await until(reached, within_s=300, what=f"{moment:.0f} frames, before {blow}")
        match blow:
            case "collector":
                await collector.kill()
                await collector.start()
            case "host":
                await host.kill()
                await host.start()
            case "influx":
                await influx.kill()
                await influx.start()
            case _:
                await broker.kill()
                if blow == "broker wiped":
                    broker.wipe()
                await broker.start()


async def _run(stand: Stand, load: Load, influx: Influx) -> None:
    async with _ventilators(stand.folder, load.ventilators) as (ports, log):
        stand.write_host(ports, poll_s=POLL_S)
        collector, host = stand.part("run", "collector.toml"), stand.part("adapt", "host.toml")
        await collector.start()
        await stand.collecting()
        await host.start()
        await _blows(stand, load, collector, host, log, influx)

        async def enough() -> bool:
            return len(_served(log)) >= load.frames

        await until(enough, within_s=300, what=f"{load.frames} frames")
        await _caught_up(stand, log)
        assert await host.stop() == 0
        assert await _left_in_outbox(stand) == 0
        await _settled(stand)
        assert await collector.stop() == 0
        served = _served(log)
    await _compare(served, await stand.accounting(), stand, influx)


async def _caught_up(stand: Stand, log: Path) -> None:
    """Wait until what the host had heard by now is stored, while it goes on hearing."""
    asked = len(followed(_served(log)))

    async def is_caught_up() -> bool:
        return await stand.usage("stored") >= asked

    await until(is_caught_up, within_s=120, what=f"{asked} usage messages stored")


async def _left_in_outbox(stand: Stand) -> int:
    """What the host, now stopped, still had to send."""
    outbox = open_outbox(
        stand.folder / "data/outbox.db", machine=machine(), clock=system_clock(), rng=random.SystemRandom()
    )
    async with outbox as held:
        return held.unconfirmed


async def _settled(stand: Stand) -> None:
    """Wait until everything in the journal is stored and concluded."""

    async def is_settled() -> bool:
        accounting = await stand.accounting()
        return not accounting.is_pending and accounting.missing == 0

    await until(is_settled, within_s=60, what="everything stored and concluded")


async def _compare(served: tuple[Served, ...], accounting: Accounting, stand: Stand, influx: Influx) -> None:
    """Hold what is in InfluxDB and in the ledger against what the ventilators served."""
    rows = await influx.query('SELECT device_time, alias_identifier, corrected FROM "usage"')
    stored = Counter((str(row["alias_identifier"]), str(row["device_time"])[:16]) for row in rows)
    sent = Counter((frame.serial, frame.device_time) for frame in served)
    certain = {(frame.serial, frame.device_time) for frame in followed(served)}
    assert len(rows) >= 5_000
    assert not [frame for frame, count in stored.items() if count > 1], "points doubled"
    assert not certain - stored.keys(), "frames lost"
    assert not stored.keys() - sent.keys(), "points of frames that were never served"
    for kind, line in accounting.kinds.items():
        (row,) = await influx.query(f'SELECT count(corrected) FROM "{kind}"')  # noqa: S608 - names of ours
        assert row["count"] == line.stored, f"points of {kind}"
    total = accounting.total
    assert total.unaccounted == accounting.lost == total.dead_lettered == total.quarantined == 0
    assert total.stored == total.received - total.duplicate
    tickets = await stand.read("tickets", "list", "--all")
    assert Counter((ticket["asset"], ticket["rule"]) for ticket in tickets) == Counter(
        (f"HN01-{number:04}", "demo-o2-supply-low") for number in range(1, len(stand.assets) + 1)
    )


async def _play(load: Load, folder: Path, broker: Broker, influx: Influx) -> None:
    serials = [str(FIRST_SERIAL + number) for number in range(load.ventilators)]
    stand = Stand(folder, broker, influx, assets=serials)
    try:
        await _run(stand, load, influx)
    finally:
        await stand.end()


@pytest.mark.system
async def test_kills_of_everything_lose_and_double_nothing(
    tmp_path: Path, mosquitto: Broker, influx: Influx
) -> None:
    await _play(SHORT, tmp_path, mosquitto, influx)


@pytest.mark.system
@pytest.mark.soak
async def test_kills_of_everything_for_a_long_time(tmp_path: Path, mosquitto: Broker, influx: Influx) -> None:
    await _play(LONG, tmp_path, mosquitto, influx)
