"""Serves simulated MEDIBUS devices, over TCP as behind a serial-device server or at a pseudo-terminal.

`python -m adapters.simulators.medibus --help` serves some of them until it is told to stop. A device lives on
while nobody is connected: it counts the silence, as at a cable that was pulled.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from adapters.host.transports import Incoming, Outgoing
from adapters.simulators.medibus_device import AT_WORK, KINDS, Device
from adapters.simulators.serial_line import serial_line
from adapters.simulators.serving import RealClock, tcp_server, until_stopped
from telemetry.clock import Clock
from telemetry.times import from_ms

LEAST_S: Final = 0.001


@dataclass(frozen=True, slots=True)
class Wire:
    """What the line does to the bytes of the device."""

    piece_bytes: int | None = None
    """Most bytes that go out together, in pieces of any length up to it; None: as the device sends them."""
    garbage: bytes = b""
    """What stands before all that the device sends at once, as of a line that hums."""
    seed: int = 0


@dataclass(slots=True)
class Served:
    """One device and whoever is connected to it."""

    device: Device
    clock: Clock
    wire: Wire = field(default_factory=Wire)
    connections: int = 0
    _writer: Outgoing | None = field(default=None, init=False)
    _passed_ms: int = field(init=False)
    _woken: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _rng: Random = field(init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    """What the device sends at one time goes out before what it sends at the next."""

    def __post_init__(self) -> None:
        """Begin to count time."""
        self._passed_ms = self.clock.mono_ms()
        self._rng = Random(self.wire.seed)  # noqa: S311 - a line that can be repeated, not a secret

    async def live(self) -> None:
        """Let its time pass, whether somebody is connected or not; until cancelled."""
        while True:
            self._woken.clear()
            with suppress(TimeoutError):  # nothing came: something is due
                async with asyncio.timeout(max(self.device.due_s(), LEAST_S)):
                    await self._woken.wait()
            async with self._turn:
                await self._pass_time()

    async def talk(self, reader: Incoming, writer: Outgoing) -> None:
        """Be connected to one host until it closes."""
        self.connections += 1
        self._writer = writer
        try:
            while data := await reader.read(4096):
                async with self._turn:
                    await self._pass_time()
                    await self._write(self.device.feed(data))
                self._woken.set()
        finally:
            if self._writer is writer:
                self._writer = None

    def cut(self) -> None:
        """Lose whoever is connected, as a network does."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def _pass_time(self) -> None:
        before_ms, self._passed_ms = self._passed_ms, self.clock.mono_ms()
        await self._write(self.device.elapsed((self._passed_ms - before_ms) / 1000))

    async def _write(self, data: bytes) -> None:
        if data:
            data = self.wire.garbage + data
        while data and self._writer is not None:
            size = len(data) if self.wire.piece_bytes is None else self._rng.randint(1, self.wire.piece_bytes)
            piece, data = data[:size], data[size:]
            with suppress(OSError):  # the host went away: its business, not an error of the device
                self._writer.write(piece)
                await self._writer.drain()
            if data:
                await asyncio.sleep(0)


@asynccontextmanager
async def serve(served: Served, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """A serial-device server with this device behind it; gives the port, a free one for 0."""
    living = asyncio.create_task(served.live())
    try:
        async with tcp_server(served.talk, one_client=True, host=host, port=port) as bound:
            yield bound
    finally:
        await _end(living)


@asynccontextmanager
async def serve_serial(served: Served) -> AsyncIterator[Path]:
    """A serial port with this device behind it; gives its path."""
    async with serial_line() as (path, reader, writer):
        tasks = (asyncio.create_task(served.talk(reader, writer)), asyncio.create_task(served.live()))
        try:
            yield path
        finally:
            await _end(*tasks)


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _run(options: argparse.Namespace) -> None:
    clock = RealClock()
    async with AsyncExitStack() as stack:
        ports: list[int | Path] = []
        for index in range(options.devices):
            device = Device(
                KINDS[index % len(KINDS)],
                shows=lambda _: AT_WORK,
                rng=Random(index),  # noqa: S311 - a device that can be repeated, not a secret
                clock=from_ms(clock.now_ms()).replace(tzinfo=None),
            )
            served = Served(device, clock)
            if options.serial_port:
                ports.append(await stack.enter_async_context(serve_serial(served)))
            else:
                at = options.port + index if options.port else 0
                ports.append(await stack.enter_async_context(serve(served, port=at)))
        await until_stopped(ports, seconds=options.seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve devices on 127.0.0.1 or at pseudo-terminals until SIGTERM, SIGINT or the end of the time."""
    parser = argparse.ArgumentParser(
        description="Serve simulated MEDIBUS devices, one model after the other."
    )
    parser.add_argument("--devices", type=int, default=1, choices=range(1, 257), metavar="1..256")
    parser.add_argument("--port", type=int, default=0, help="port of the first; 0 lets the system choose")
    parser.add_argument("--serial-port", action="store_true", help="at a pseudo-terminal each")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after this time")
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
