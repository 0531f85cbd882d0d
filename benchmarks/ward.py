"""What a host costs that reads a whole ward, and how late its polls come: `python -m benchmarks.ward`.

Simulated devices of every protocol over real sockets and pseudo-terminals, some of which do what none should;
real Mosquitto, `hourmeter collect` and `hourmeter adapt` as processes of their own. Exit code 1 if a good
device is not heard, a poll comes later than by its period, or a device shows a communication error; 3 if a
server is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import aiohttp

from benchmarks import machine
from desk.child import LOOPBACK, free_port
from tests.system import servers
from tests.system.stand import PUBLISHER, Part, Stand
from tests.system.wards import Ward, settings_file, ward

WARM_UP_PERIODS = 3
LOOK_S = 0.2
READY_S = 60.0


@dataclass(slots=True)
class Found:
    """What was measured; times in seconds, memory in MiB."""

    links: int
    protocols: dict[str, int]
    poll_s: float
    seconds: float
    load_before: float = 0.0
    load_after: float = 0.0
    """The machine's load average over a minute: its devices, broker and collector among it."""
    cpu_share: float = 0.0
    """Of one core, the host alone."""
    memory_mib: float = 0.0
    memory_highest_mib: float = 0.0
    polls: int = 0
    late_s: dict[str, float] = field(default_factory=dict)
    """p50, p99 and max of all polls that were seen to come, and of the device whose worst is the worst."""
    heard: float = 0.0
    """Frames that the host read."""
    not_online: list[str] = field(default_factory=list)
    """Good devices that were not heard in the end."""
    communication_errors: int = 0
    """That MEDIBUS devices showed."""
    lost: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether nothing went wrong."""
        in_time = bool(self.late_s) and self.late_s["max"] < self.poll_s
        return in_time and not self.not_online and not self.communication_errors and not self.lost


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _late(made: Ward) -> dict[str, float]:
    ordered = made.late_s()
    worst = max(
        (
            (max(later - earlier for earlier, later in pairwise(moments)) - made.poll_s, name)
            for name, moments in made.asked_s.items()
            if len(moments) > 1
        ),
        default=(0.0, ""),
    )
    moments = made.asked_s[worst[1]] if worst[1] else []
    own = sorted(later - earlier - made.poll_s for earlier, later in pairwise(moments))
    return {
        "p50": _percentile(ordered, 0.5),
        "p99": _percentile(ordered, 0.99),
        "max": _percentile(ordered, 1.0),
        "worst device p50": _percentile(own, 0.5),
        "worst device p99": _percentile(own, 0.99),
    }


async def _figures(port: int) -> dict[tuple[str, ...], float]:
    """What the host tells at /metrics, by name and labels."""
    async with aiohttp.ClientSession() as http, http.get(f"http://{LOOPBACK}:{port}/metrics") as answer:
        text = await answer.text()
    found: dict[tuple[str, ...], float] = {}
    for line in text.splitlines():
        if line.startswith("hourmeter_device"):
            name, _, value = line.rpartition(" ")
            name, _, labels = name.partition("{")
            found[name, *(part.partition("=")[2].strip('"}') for part in labels.split(","))] = float(value)
    return found


def _not_online(figures: dict[tuple[str, ...], float], made: Ward) -> list[str]:
    names = [str(one["name"]) for one in made.devices]
    online = {key[1] for key, value in figures.items() if key[0] == "hourmeter_device_link" and value}
    online &= {key[1] for key, value in figures.items() if key[-1] == "online" and value}
    return [name for name in names if name not in made.bad and name not in online]


async def _until_online(made: Ward, host: Part, port: int) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        host.check()
        try:
            if not _not_online(await _figures(port), made):
                return
        except aiohttp.ClientError:
            pass  # it has not begun to listen
        await asyncio.sleep(LOOK_S)
    raise AssertionError(f"not online within {READY_S:g} s: {_not_online(await _figures(port), made)}")


async def _measure(made: Ward, host: Part, port: int, found: Found) -> None:
    await _until_online(made, host, port)
    await asyncio.sleep(WARM_UP_PERIODS * made.poll_s)
    process = host.process
    if process is None:
        raise AssertionError("the host does not run")
    for moments in made.asked_s.values():
        moments.clear()
    for tally in made.medibus.values():
        tally.communication_errors = 0
    before = await _figures(port)
    found.load_before = os.getloadavg()[0]
    cpu_s, began = machine.cpu_s(process.pid), time.monotonic()
    await asyncio.sleep(found.seconds)
    found.cpu_share = (machine.cpu_s(process.pid) - cpu_s) / (time.monotonic() - began)
    found.load_after = os.getloadavg()[0]
    memory = machine.memory(process.pid)
    found.memory_mib, found.memory_highest_mib = memory.now_mib, memory.highest_mib
    after = await _figures(port)
    found.polls = sum(map(len, made.asked_s.values()))
    found.late_s = _late(made)
    heard = {key: value for key, value in after.items() if key[0] == "hourmeter_device_heard_total"}
    found.heard = sum(value - before.get(key, 0.0) for key, value in heard.items())
    found.lost = sum(value for key, value in after.items() if key[0] == "hourmeter_device_lost_total")
    found.not_online = _not_online(after, made)
    found.communication_errors = sum(one.communication_errors for one in made.medibus.values())


def _ward(given: argparse.Namespace) -> AbstractAsyncContextManager[Ward]:
    return ward(
        poll_s=given.poll_s, of_each=given.of_each, sdc=given.sdc, misbehaving=not given.without_bad_ones
    )


async def _run(given: argparse.Namespace) -> int:
    if sentence := servers.missing("mosquitto"):
        sys.stderr.write(f"{sentence}\n")
        return 3
    with tempfile.TemporaryDirectory(prefix="hourmeter-ward-") as name:
        folder, port = Path(name), free_port()
        facts = machine.facts(folder)
        broker = servers.mosquitto(folder / "mosquitto")
        await broker.start()
        stand = Stand(folder, broker, None, ())
        try:
            async with _ward(given) as made:
                head = (
                    f'[broker]\nhost = "{LOOPBACK}"\nport = {broker.port}\n[health]\nport = {port}\n'
                    f'[host]\npublisher = "{PUBLISHER}"\npassword_file = "{PUBLISHER}.password"\n'
                )
                settings_file(folder, made, head=head)
                for command, file in (("collect", "collector.toml"), ("adapt", "host.toml")):
                    await stand.part(command, file).start()
                found = Found(made.links, dict(made.protocols), given.poll_s, given.minutes * 60)
                await _measure(made, stand.parts[-1], port, found)
                await stand.parts[-1].stop()
        finally:
            await stand.end()
            await broker.stop()
    sys.stdout.write(json.dumps(asdict(found)) + "\n" if given.json else _show(found, facts, given))
    return 0 if found.is_good else 1


def _show(found: Found, facts: tuple[str, ...], given: argparse.Namespace) -> str:
    def ms(*names: str) -> str:
        return ", ".join(f"{name.rpartition(' ')[2]} {found.late_s[name] * 1000:.1f} ms" for name in names)

    protocols = ", ".join(f"{number} {name}" for name, number in sorted(found.protocols.items()))
    rows = (
        ("links, the gateway among them", f"{found.links}"),
        ("devices that do as they should", protocols),
        ("CPU of the host", f"{found.cpu_share:.1%} of one core"),
        (
            "resident memory of the host, at most",
            f"{found.memory_mib:.0f} MiB, {found.memory_highest_mib:.0f}",
        ),
        ("frames heard", f"{found.heard:,.0f}, {found.heard / found.seconds:.1f}/s"),
        ("polls seen to come", f"{found.polls:,}"),
        ("later than the period", ms("p50", "p99", "max")),
        ("the same of the device with the latest poll", ms("worst device p50", "worst device p99", "max")),
        ("communication errors at the bedside (MEDIBUS)", f"{found.communication_errors}"),
        ("good devices not online in the end", ", ".join(found.not_online) or "none"),
        ("messages lost", f"{found.lost:.0f}"),
    )
    options = (
        f"--of-each {given.of_each} --sdc {given.sdc} --poll-s {given.poll_s:g} --minutes {given.minutes:g}"
    )
    load = f"load of the machine {found.load_before:.1f} before, {found.load_after:.1f} after"
    head = "".join(f"- {line}\n" for line in (f"`python -m benchmarks.ward {options}`", *facts, load))
    width = max(len(name) for name, _ in rows)
    table = "".join(f"| {name:{width}} | {value} |\n" for name, value in rows)
    return f"{head}\n| {'':{width}} | |\n|{'-' * (width + 2)}|---|\n{table}"


def main() -> None:
    """Measure and tell."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--of-each", type=int, default=10, help="devices of each other protocol")
    options.add_argument(
        "--sdc",
        type=int,
        default=2 if find_spec("sdc11073") else 0,
        help="devices of SDC; needs hourmeter[sdc]",
    )
    options.add_argument("--poll-s", type=float, default=10.0, help="seconds between two polls of a device")
    options.add_argument("--minutes", type=float, default=3.0, help="for which it is measured")
    options.add_argument(
        "--without-bad-ones", action="store_true", help="no device that misbehaves, to compare with"
    )
    options.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    given = options.parse_args()
    if given.of_each < 1 or given.poll_s <= 0 or given.minutes <= 0:
        options.error("every figure must be more than 0")
    sys.exit(asyncio.run(_run(given)))


if __name__ == "__main__":
    main()
