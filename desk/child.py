"""A server that runs as a child process: started, awaited until it answers, stopped by its own process id."""

from __future__ import annotations

import asyncio
import signal
import socket
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable
from pathlib import Path

from telemetry.errors import Unavailable

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on now."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def listens(port: int) -> bool:
    """Whether something accepts connections on that port of the loopback address."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


class Child:
    """One server process, in a session of its own so that Ctrl-C reaches it only through us."""

    def __init__(
        self,
        argv: tuple[str, ...],
        *,
        log: Path,
        ready: Callable[[], Awaitable[bool]],
        ready_within_s: float = 20.0,
    ) -> None:
        self._argv = argv
        self._log = log
        self._ready = ready
        self._ready_within_s = ready_within_s
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it and return once it answers. Raises Unavailable with the last line that it logged."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=DEVNULL, stdout=log, stderr=STDOUT, start_new_session=True
            )
        try:
            async with asyncio.timeout(self._ready_within_s):
                await self._until_ready()
        except TimeoutError:
            await self.kill()
            raise self._failed(f"does not answer within {self._ready_within_s:g} s") from None
        except asyncio.CancelledError:
            await self.kill()
            raise
        if self.pid is None:
            raise self._failed(f"ended at once with exit code {self._process.returncode}")

    async def stop(self) -> None:
        """Ask it to end, and insist after ten seconds. One that has ended is fine."""
        try:
            async with asyncio.timeout(10):
                await self._end(signal.SIGTERM)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        await self._end(signal.SIGKILL)

    async def _until_ready(self) -> None:
        while self.pid:
            if await self._ready():
                return
            await asyncio.sleep(0.02)

    async def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(how)
        await self._process.wait()

    def _failed(self, why: str) -> Unavailable:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return Unavailable(
            Path(self._argv[0]).name,
            why=f"{why}: {lines[-1] if lines else 'no word'}",
            advice=f"see {self._log}",
        )
