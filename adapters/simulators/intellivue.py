"""Simulated IntelliVue monitors over UDP: connect indications to a port, and sessions at one of their own.

`python -m adapters.simulators.intellivue --help` runs one until it is told to stop.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from adapters.intellivue_layout import Alert
from adapters.simulators.intellivue_monitor import Event, Monitor
from adapters.simulators.serving import RealClock, until_stopped
from telemetry.clock import Clock
from telemetry.times import from_ms

LOOPBACK: Final = "127.0.0.1"
Spoil = Callable[[bytes], Sequence[bytes]]
"""What the network makes of a datagram that the monitor sends."""


def unspoilt(data: bytes) -> Sequence[bytes]:
    """A network that carries everything."""
    return (data,)


@dataclass(slots=True)
class _Session(asyncio.DatagramProtocol):
    """The monitor's end of its port."""

    monitor: Monitor
    clock: Clock
    spoil: Spoil
    transport: asyncio.DatagramTransport | None = field(default=None, init=False)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answers = self.monitor.answer(
            data, client=addr, now=from_ms(self.clock.now_ms()), mono_ms=self.clock.mono_ms()
        )
        for answer in answers:
            for piece in self.spoil(answer):
                if self.transport is not None:
                    self.transport.sendto(piece, addr)


@asynccontextmanager
async def serve(
    monitor: Monitor, *, clock: Clock, spoil: Spoil = unspoilt, host: str = LOOPBACK, port: int = 0
) -> AsyncIterator[int]:
    """The port at which this monitor takes sessions, a free one for 0."""
    transport, session = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Session(monitor, clock, spoil), local_addr=(host, port)
    )
    session.transport = transport
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@asynccontextmanager
async def indicating(
    monitor: Monitor,
    *,
    clock: Clock,
    to: tuple[str, int],
    period_s: float,
    spoil: Spoil = unspoilt,
    host: str = LOOPBACK,
) -> AsyncIterator[None]:
    """This monitor sends its connect indication there from that address of its own, each period.

    Not while somebody has a session with it.
    """
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=(host, 0), remote_addr=to
    )

    async def indicate() -> None:
        while True:
            if not monitor.is_associated:
                for piece in spoil(monitor.indication(clock.mono_ms())):
                    transport.sendto(piece)
            await clock.sleep(period_s)

    task = asyncio.create_task(indicate())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))
        transport.close()
        if not task.cancelled():
            task.result()


def scripted(serial: str, *, start: datetime) -> Monitor:
    """A monitor whose battery is low from a minute after `start` (aware) on for ten minutes."""
    battery = Event(Alert(4105, 194, 2, 0), start + timedelta(minutes=1), start + timedelta(minutes=11))
    return Monitor(serial, (battery,))


async def _run(options: argparse.Namespace) -> None:
    clock = RealClock()
    monitor = scripted(options.serial, start=from_ms(clock.now_ms()))
    to = (options.to, options.to_port)
    async with (
        serve(monitor, clock=clock, port=options.port) as port,
        indicating(monitor, clock=clock, to=to, period_s=options.period_s),
    ):
        await until_stopped([port], seconds=options.seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a monitor on 127.0.0.1 until SIGTERM, SIGINT or the end of the time given."""
    parser = argparse.ArgumentParser(description="Run a simulated IntelliVue monitor.")
    parser.add_argument("--serial", default="SIM0000001")
    parser.add_argument("--to", default=LOOPBACK, help="where indications go")
    parser.add_argument("--to-port", type=int, default=24005, help="and to which port")
    parser.add_argument("--port", type=int, default=24105, help="for sessions; 0 lets the system choose")
    parser.add_argument("--period-s", type=float, default=5.0, help="seconds between two indications")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after this time")
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
