"""Serves a simulated B. Braun Space station over TCP, to one client at a time as the real one.

`python -m adapters.simulators.bbraun_bcc --help` serves one until it is told to stop.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from adapters.host.transports import Incoming, Outgoing
from adapters.simulators.bcc_station import CYCLE_S, FIRST_SERIAL, Station, station
from adapters.simulators.serving import RealClock, tcp_server, until_stopped
from telemetry.clock import Clock
from telemetry.times import from_ms


async def talk(
    reader: Incoming, writer: Outgoing, *, station: Station, clock: Clock, cycle_s: float | None = None
) -> None:
    """Talk to one client until it closes; with `cycle_s` push all values so often, once it has spoken."""
    station.connected()
    pushing: asyncio.Task[None] | None = None
    try:
        while data := await reader.read(256):
            for frame in station.hear(data, now=from_ms(clock.now_ms()), mono_s=clock.mono_ms() / 1000):
                writer.write(frame)
            await writer.drain()
            if cycle_s is not None and pushing is None:
                pushing = asyncio.create_task(_push(writer, station=station, clock=clock, cycle_s=cycle_s))
    finally:
        if pushing is not None:
            pushing.cancel()
            await asyncio.wait((pushing,))


async def _push(writer: Outgoing, *, station: Station, clock: Clock, cycle_s: float) -> None:
    while True:
        await clock.sleep(cycle_s)
        for frame in station.push(now=from_ms(clock.now_ms()), mono_s=clock.mono_ms() / 1000):
            writer.write(frame)
        await writer.drain()


@asynccontextmanager
async def serve(
    station: Station, *, clock: Clock, cycle_s: float | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """The station at a port, a free one for 0."""

    async def meet(reader: Incoming, writer: Outgoing) -> None:
        await talk(reader, writer, station=station, clock=clock, cycle_s=cycle_s)

    async with tcp_server(meet, one_client=True, host=host, port=port) as bound:
        yield bound


async def _run(options: argparse.Namespace) -> None:
    clock = RealClock()
    simulated = station(
        options.pumps,
        seed=options.seed,
        start=from_ms(clock.now_ms()),
        first_serial=options.serial,
        stuffing=options.stuffing,
    )
    cycle_s = CYCLE_S if options.cyclic else None
    async with serve(simulated, clock=clock, cycle_s=cycle_s, port=options.port) as port:
        await until_stopped([port], seconds=options.seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a station on 127.0.0.1 until SIGTERM, SIGINT or the end of the time."""
    parser = argparse.ArgumentParser(description="Serve a simulated B. Braun Space station.")
    parser.add_argument("--pumps", type=int, default=6, choices=range(73), metavar="0..72")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument("--serial", type=int, default=FIRST_SERIAL, help="of the first pump")
    parser.add_argument("--stuffing", action="store_true", help="set to character stuffing")
    parser.add_argument("--cyclic", action="store_true", help=f"push all values every {CYCLE_S:g} s")
    parser.add_argument("--seed", type=int, default=0, help="of the pumps' use")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after this time")
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
