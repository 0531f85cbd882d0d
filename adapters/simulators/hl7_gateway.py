"""A gateway that pushes what simulated monitors and infusion pumps say, over a bad network if it is asked to.

`python -m adapters.simulators.hl7_gateway --help` pushes some of them until it is told to stop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Protocol

from adapters.simulators.hl7_gateway_fleet import Said, fleet
from adapters.simulators.hl7_gateway_line import Network, Pusher, Record
from adapters.simulators.hl7_gateway_mindray import egateway
from telemetry.clock import Clock
from telemetry.times import from_ms


class Speaking(Protocol):
    """Devices behind a gateway."""

    def said(self, since: datetime, now: datetime) -> Iterable[Said]:
        """What happened after `since` and until `now`, and how all devices stand then."""


async def speak(devices: Speaking, *, pusher: Pusher, clock: Clock, period_s: float) -> None:
    """Push what the devices say each period of the clock, until cancelled."""
    since = from_ms(clock.now_ms())
    while True:
        await clock.sleep(period_s)
        now = from_ms(clock.now_ms())
        pusher.push(devices.said(since, now))
        since = now


@asynccontextmanager
async def gateway(devices: Speaking, *, pusher: Pusher, clock: Clock, period_s: float) -> AsyncIterator[None]:
    """A gateway at work, with these devices behind it."""
    tasks = (
        asyncio.create_task(pusher.run()),
        asyncio.create_task(speak(devices, pusher=pusher, clock=clock, period_s=period_s)),
    )
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _RealClock:
    """The clock of a simulator that is a process of its own."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def boot(self) -> str:
        return "simulator"

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    start, prefix = datetime.now(UTC), f"S{int(time.time()) % 1_000_000:06}N"
    devices: Speaking = (
        egateway(monitors=options.monitors, start=start, prefix=prefix)
        if options.egateway
        else fleet(
            monitors=options.monitors, pumps=options.pumps, seed=options.seed, start=start, prefix=prefix
        )
    )
    with ExitStack() as stack:
        log = stack.enter_context(options.log.open("a")) if options.log else None
        pusher = Pusher(
            options.host,
            options.port,
            Random(options.seed),  # noqa: S311 - reproducible, not secret
            Record(log=log),
            Network(
                lost_answers=options.lose_answers,
                reorder=options.reorder,
                piece_bytes=options.piece_bytes,
                piece_s=options.piece_s,
                cuts_after=tuple(options.cut_after),
            ),
            window=options.window,
            answer_s=options.answer_s,
        )
        async with gateway(devices, pusher=pusher, clock=_RealClock(), period_s=options.period_s):
            with suppress(TimeoutError):  # its time is over, as was asked
                async with asyncio.timeout(options.seconds):
                    await stop.wait()
        record = pusher.record
    found = {
        "messages": len(record.messages),
        "unanswered": record.unanswered,
        "repetitions": record.repetitions,
        "connections": record.connections,
        "slowest_answer_s": round(record.slowest_s, 3),
    }
    sys.stdout.write(json.dumps(found) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Push until SIGTERM, SIGINT or the end of the time given; then print what was pushed."""
    parser = argparse.ArgumentParser(description="Push simulated monitors and pumps to an HL7 listener.")
    parser.add_argument("--host", default="127.0.0.1", help="where the listener is")
    parser.add_argument("--port", type=int, default=2575, help="its port")
    parser.add_argument("--monitors", type=int, default=3)
    parser.add_argument("--pumps", type=int, default=5)
    parser.add_argument(
        "--egateway", action="store_true", help="speak as a Mindray eGateway does, with monitors only"
    )
    parser.add_argument(
        "--period-s", type=float, default=60.0, help="seconds between two reports of a device"
    )
    parser.add_argument("--window", type=int, default=1, help="messages that wait for answers at a time")
    parser.add_argument("--answer-s", type=float, default=10.0, help="send again without an answer after")
    parser.add_argument("--lose-answers", type=float, default=0.0, help="share of the answers that are lost")
    parser.add_argument("--reorder", type=int, default=1, help="any of so many waiting messages is the next")
    parser.add_argument("--piece-bytes", type=int, default=0, help="drip so many bytes at a time")
    parser.add_argument("--piece-s", type=float, default=0.0, help="with this pause before each")
    parser.add_argument(
        "--cut-after", type=int, nargs="*", default=(), help="cut the connection after so many messages"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the devices and the network")
    parser.add_argument("--log", type=Path, help="append each message as a JSON line; one log for each run")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after this time")
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
