"""InfluxDB is away while the line goes on, and comes back: what waited, what it cost, how fast it caught up.

Real Mosquitto, real InfluxDB 1.x that is killed and started again, `hourmeter run` as a process of its own.
While it catches up, what is stored is looked at again and again: it must be a beginning of what was sent,
nothing left out. Exit code 1 if a message is lost, doubled or out of order, 3 if a server is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import machine
from benchmarks.bench import Bench, Counts, open_bench
from desk import reading
from tests.system import servers

DEVICES = 2_000
HOUR_MESSAGES = 7_200_000
"""An hour at 2,000/s."""
PIECE = 60_000
"""Messages that the publisher holds ready at once."""
LOOK_S = 2.0
_LONGEST_S = 3_600.0
_WATCHED = (0, 1, 999)
"""Devices whose messages are looked at for their order."""
_NEVER = 1_000_000_000


@dataclass(slots=True)
class Absence:
    """What was measured; times in seconds, memory in MiB."""

    messages: int
    rate: float
    away_s: float = 0.0
    """From the first message to the last one confirmed."""
    caught_up_s: float = 0.0
    """From the start of InfluxDB until everything was stored."""
    cpu_away_us: float = 0.0
    """CPU a message while InfluxDB was away."""
    cpu_catching_up_us: float = 0.0
    memory_before_mib: float = 0.0
    memory_away_mib: float = 0.0
    memory_highest_mib: float = 0.0
    journal_mib: float = 0.0
    stored_away: int = 0
    """Messages that were counted as stored while there was no InfluxDB: none."""
    looks: int = 0
    """How often the order was looked at while catching up."""
    gaps: list[str] = field(default_factory=list)
    """What was missing from the beginning of a device's messages, where something was."""
    counts: Counts = field(default_factory=Counts)
    adds_up: bool = False


async def _gaps(bench: Bench) -> list[str]:
    """Devices of whose messages something is stored although something earlier is not.

    The last six digits of a point's time are those of the message's number, which begin anew with each piece.
    """
    found: list[str] = []
    for device in _WATCHED:
        query = f"SELECT corrected FROM usage WHERE device = 'v{device}'"  # noqa: S608 - names of ours
        numbers = [int(row["time"] or 0) % 1_000_000 for row in await bench.influx.query(query)]
        first = device + 1
        last = {first, PIECE - DEVICES + first}
        """The number with which a piece ends: that of warming up is one turn long."""
        for before, after in zip((first, *numbers), numbers, strict=False):
            if not (after == before + DEVICES or (after == first and before in last)):
                found.append(f"v{device}: {after} follows {before}")
    return found


async def _publish(bench: Bench, absence: Absence, bar: Progress) -> None:
    sending = bar.add_task("InfluxDB is away", total=absence.messages)
    left = absence.messages
    while left:
        piece = min(left, PIECE)
        await bench.publish(
            piece, rate=absence.rate, options=("--devices", str(DEVICES), "--alarm-every", str(_NEVER))
        )
        left -= piece
        bar.update(sending, advance=piece)


async def _catch_up(bench: Bench, absence: Absence, bar: Progress) -> None:
    storing = bar.add_task("catching up", total=absence.messages)
    began = time.monotonic()
    while not bench.is_stored() and time.monotonic() - began < _LONGEST_S:
        stored = sum(count for (what, _), count in bench.store.tallies().items() if what == "stored")
        bar.update(storing, completed=stored)
        absence.gaps += await _gaps(bench)
        absence.looks += 1
        bench.line.check()
        await asyncio.sleep(LOOK_S)
    absence.caught_up_s = time.monotonic() - began
    absence.gaps += await _gaps(bench)
    bar.update(storing, completed=absence.messages)


async def _measure(bench: Bench, absence: Absence, bar: Progress) -> None:
    process = bench.line.process
    if process is None:
        raise AssertionError("the line does not run")
    await bench.publish(DEVICES, options=("--devices", str(DEVICES), "--alarm-every", str(_NEVER)))
    await bench.settled()
    absence.memory_before_mib = machine.memory(process.pid).now_mib
    before, cpu = await bench.counts(), machine.cpu_s(process.pid)
    await bench.influx.kill()
    began = time.monotonic()
    await _publish(bench, absence, bar)
    absence.away_s = time.monotonic() - began
    absence.memory_away_mib = machine.memory(process.pid).now_mib
    absence.journal_mib = bench.store.file.size() / (1 << 20)
    absence.stored_away = (
        sum(count for (what, _), count in bench.store.tallies().items() if what == "stored") - before.stored
    )
    cpu, spent = machine.cpu_s(process.pid), machine.cpu_s(process.pid) - cpu
    absence.cpu_away_us = spent / absence.messages * 1e6
    await bench.influx.start()
    await _catch_up(bench, absence, bar)
    absence.cpu_catching_up_us = (machine.cpu_s(process.pid) - cpu) / absence.messages * 1e6
    absence.memory_highest_mib = machine.memory(process.pid).highest_mib
    await bench.settled()
    absence.counts = await bench.counts() - before
    accounting = await reading.accounting(bench.settings)
    absence.adds_up = (
        absence.counts == Counts(*[absence.messages] * 6)
        and not absence.gaps
        and absence.stored_away == 0
        and accounting.total.unaccounted == accounting.missing == accounting.lost == 0
        and accounting.total.dead_lettered == accounting.total.duplicate == 0
    )


def _show(absence: Absence, facts: tuple[str, ...]) -> str:
    rows = (
        ("messages while InfluxDB was away", f"{absence.messages:,}"),
        (
            "published and confirmed",
            f"{absence.messages / absence.away_s:,.0f}/s for {absence.away_s:,.0f} s",
        ),
        ("stored meanwhile", f"{absence.stored_away:,}"),
        ("journal on disk", f"{absence.journal_mib:,.0f} MiB"),
        ("caught up in", f"{absence.caught_up_s:,.0f} s, {absence.messages / absence.caught_up_s:,.0f}/s"),
        ("CPU µs/message, InfluxDB away", f"{absence.cpu_away_us:.1f}"),
        ("CPU µs/message, catching up", f"{absence.cpu_catching_up_us:.1f}"),
        (
            "resident memory, before, away, at most",
            ", ".join(
                f"{mib:.0f}"
                for mib in (absence.memory_before_mib, absence.memory_away_mib, absence.memory_highest_mib)
            )
            + " MiB",
        ),
        ("looks at the order while catching up", f"{absence.looks}, {len(absence.gaps)} gaps"),
        ("counts", ", ".join(f"{name} {count:,}" for name, count in asdict(absence.counts).items())),
        ("adds up", "yes" if absence.adds_up else "NO: " + "; ".join(absence.gaps[:5])),
    )
    command = f"python -m benchmarks.absence --messages {absence.messages} --rate {absence.rate:g}"
    head = "".join(f"- {line}\n" for line in (f"`{command}`", *facts))
    width = max(len(name) for name, _ in rows)
    table = "".join(f"| {name:{width}} | {value} |\n" for name, value in rows)
    return f"{head}\n| {'':{width}} | |\n|{'-' * (width + 2)}|---|\n{table}"


async def _run(given: argparse.Namespace) -> int:
    missing = [sentence for name in ("mosquitto", "influxd") if (sentence := servers.missing(name))]
    if missing:
        sys.stderr.write("".join(f"{sentence}\n" for sentence in missing))
        return 3
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    absence = Absence(given.messages, given.rate)
    with tempfile.TemporaryDirectory(prefix="hourmeter-absence-") as name, bar:
        facts = machine.facts(Path(name))
        async with open_bench(Path(name), devices=DEVICES) as bench:
            await _measure(bench, absence, bar)
    sys.stdout.write(json.dumps(asdict(absence)) + "\n" if given.json else _show(absence, facts))
    return 0 if absence.adds_up else 1


def main() -> None:
    """Measure and tell."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=HOUR_MESSAGES, help="while InfluxDB is away")
    options.add_argument("--rate", type=float, default=2_000.0, help="messages a second; 0: flat out")
    options.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    given = options.parse_args()
    if given.messages < 1:
        options.error("--messages: at least 1")
    sys.exit(asyncio.run(_run(given)))


if __name__ == "__main__":
    main()
