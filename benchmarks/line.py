"""The line measured: what comes through, how fast, at what cost; beside a client that only acknowledges.

Real Mosquitto, real InfluxDB 1.x, and `hourmeter run` as a process of its own, all on the loopback address.
Exit code 1 if a message is lost or the accounting does not add up, 3 if a server is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import machine, report, stages
from benchmarks.bare import left_over
from benchmarks.bench import Bench, open_bench
from benchmarks.report import Measured
from benchmarks.rounds import Case, alarms_to_tickets, through_the_bare_client, through_the_line
from collector.influx import InfluxHistory, InfluxSettings
from desk import reading
from desk.broker import COLLECTOR
from tests.system import servers

DEVICES = 2_000
"""A province's."""
ALARMED, LEAST_ALARMED = 200, 30
"""Devices whose first alarms are timed, for each way of running; fewer where a round is short."""
ROUNDS = 3
STEADY_S = 4
"""How long a round at a rate lasts."""
MOST_MESSAGES = 400_000
"""The broker of the tests queues no more than 500,000."""
_STAGED = 20_000
_TURNS = 100
"""Messages of each device in the stages: what is new of a device is new once."""


def _cases(messages: int) -> tuple[Case, ...]:
    steady = tuple(Case(f"{rate:,}/s", rate, min(messages, rate * STEADY_S)) for rate in (2_000, 10_000))
    return (*steady, Case("flat out", 0.0, messages))


async def _measure(bench: Bench, folder: Path, *, messages: int, step: Callable[[str], None]) -> Measured:
    """Everything, one after another; the line is empty between rounds."""
    cases, measured = _cases(messages), Measured(devices=DEVICES)
    step("warming up")
    warm = Case("warm-up", 0.0, min(messages, 2_000))
    measured.warm_up = await through_the_line(bench, warm, devices=DEVICES)
    await through_the_bare_client(bench, warm)
    for number in range(ROUNDS):
        for case in cases:
            step(f"{case.name}, round {number + 1} of {ROUNDS}, through the line")
            measured.line.setdefault(case.name, []).append(
                await through_the_line(bench, case, devices=DEVICES)
            )
            step(f"{case.name}, round {number + 1} of {ROUNDS}, bare client")
            measured.bare.setdefault(case.name, []).append(await through_the_bare_client(bench, case))
    if bench.line.process is not None:
        measured.memory["hourmeter"] = machine.memory(bench.line.process.pid)
    step("alarms to tickets, one process")
    alarmed = min(ALARMED, max(LEAST_ALARMED, messages // 100))
    first = range(DEVICES, DEVICES + alarmed)
    measured.latencies.append(
        await alarms_to_tickets(bench, "hourmeter run, one process", devices=first, folder=folder)
    )
    await bench.settled()
    await bench.line.stop()
    measured.left_over = left_over(
        bench.stand.broker.port,
        user=COLLECTOR,
        password=servers.password(COLLECTOR),
        client_id=bench.settings.broker.client_id,
    )
    step("alarms to tickets, two processes")
    apart = [bench.stand.part(name, "collector.toml") for name in ("collect", "conclude")]
    for part in apart:
        await part.start()
    second = range(first.stop, first.stop + alarmed)
    measured.latencies.append(
        await alarms_to_tickets(bench, "collect and conclude apart", devices=second, folder=folder)
    )
    await bench.settled()
    for part in apart:
        await part.stop()
    measured.counts = await bench.counts()
    measured.accounting = await reading.accounting(bench.settings)
    step("stages")
    await bench.influx.create("stages")
    history = InfluxHistory(InfluxSettings(url=bench.influx.url, database="stages"))
    try:
        measured.stages = await stages.measure(
            bench.settings,
            history,
            folder,
            count=min(messages, _STAGED),
            devices=min(DEVICES, messages // _TURNS + 1),
            batch=measured.batch_size,
            start_ms=time.time_ns() // 1_000_000,
        )
    finally:
        await history.close()
    return measured


async def _run(given: argparse.Namespace) -> int:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    missing = [sentence for name in ("mosquitto", "influxd") if (sentence := servers.missing(name))]
    if missing:
        sys.stderr.write("".join(f"{sentence}\n" for sentence in missing))
        return 3
    messages = min(given.messages, MOST_MESSAGES)
    steps = 4 + 2 * ROUNDS * len(_cases(messages))
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with tempfile.TemporaryDirectory(prefix="hourmeter-line-") as name, bar:
        folder = Path(name)
        shown = bar.add_task("starting", total=steps)
        facts = machine.facts(folder)
        async with open_bench(folder, devices=DEVICES + 2 * ALARMED) as bench:
            measured = await _measure(
                bench,
                folder,
                messages=messages,
                step=lambda what: bar.update(shown, advance=1, description=what),
            )
    command = f"python -m benchmarks.line --messages {messages}"
    if given.json:
        sys.stdout.write(json.dumps(report.as_json(measured, facts=facts, command=command)) + "\n")
    else:
        report.show(measured, facts=facts, command=command, date=given.date)
    return 0 if measured.adds_up else 1


def main() -> None:
    """Measure and tell."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=30_000, help="a round flat out; at a rate at most")
    options.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    options.add_argument("--date", default="", help="printed in the header, as 2026-11-22")
    given = options.parse_args()
    if given.messages < 1:
        options.error("--messages: at least 1")
    sys.exit(asyncio.run(_run(given)))


if __name__ == "__main__":
    main()
