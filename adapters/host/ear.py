"""Listening to a link against timers, without losing what arrives as one ends.

Rule: who sends more than any device does is read more slowly, so that the other devices have their turn.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from adapters.host.transports import Connection

BYTES_PER_S: Final = 256 * 1024
"""Read of one link in the long run; a serial line at 115,200 baud carries 11.5 KiB/s."""
BURST_S: Final = 4.0
"""How far a link may be ahead of that."""


class Ear:
    """Keeps one read waiting for as long as a link is open: a read is never cancelled half-way."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reading: asyncio.Task[bytes] | None = None
        self._paid_s = 0.0
        """When what was read is due, in time of the event loop."""

    async def hear(self, *timers: asyncio.Future[None]) -> bytes | None:
        """What came before the first of the timers ended, b"" if nothing did; None at the end of all input.

        Raises Unavailable when the link is lost.
        """
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        waited: tuple[asyncio.Future[Any], ...] = (self._reading, *timers)
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not self._reading.done():
            return b""
        reading, self._reading = self._reading, None
        return reading.result() or None

    async def _read(self) -> bytes:
        now_s = asyncio.get_running_loop().time()
        if (ahead_s := self._paid_s - now_s) > BURST_S:
            await asyncio.sleep(ahead_s - BURST_S)
        data = await self._connection.read()
        self._paid_s = max(self._paid_s, now_s) + len(data) / BYTES_PER_S
        return data

    async def close(self) -> None:
        """Stop listening."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
