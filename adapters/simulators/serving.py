"""What simulators that are processes of their own share: a TCP port, a clock, and the end of their time."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from adapters.host.transports import Incoming, Outgoing

TalkTo = Callable[[Incoming, Outgoing], Awaitable[None]]
"""A device's part of the talk with one client, until that closes."""


@asynccontextmanager
async def tcp_server(
    talk: TalkTo, *, one_client: bool = False, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """A port at which the device answers, a free one for 0.

    With `one_client` who comes while another is there is shown the door.
    """
    talks: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):  # the client went away: its business, not an error of the device
                await talk(reader, writer)
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if one_client and any(not task.done() for task in talks):
            writer.close()
            return
        talks.add(asyncio.create_task(meet(reader, writer)))

    server = await asyncio.start_server(accept, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        if talks:
            await asyncio.wait(talks)
        for task in talks:
            if not task.cancelled():
                task.result()


class RealClock:
    """The clock of a simulator that is a process of its own."""

    def now_ms(self) -> int:
        """Civil time."""
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        """Monotonic time."""
        return time.monotonic_ns() // 1_000_000

    def boot(self) -> str:
        """A boot of its own."""
        return "simulator"

    async def sleep(self, seconds: float) -> None:
        """Let real time pass."""
        await asyncio.sleep(seconds)


async def until_stopped(ports: Sequence[int | Path], *, seconds: float) -> None:
    """Tell where it serves, and return at SIGTERM, SIGINT or the end of the time."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    sys.stdout.write(json.dumps({"ports": ports}, default=str) + "\n")
    sys.stdout.flush()
    with suppress(TimeoutError):  # its time is over, as was asked
        async with asyncio.timeout(seconds):
            await stop.wait()
