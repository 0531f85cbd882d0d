"""Listening to a link against a timer, without losing what arrives as the timer ends."""

from __future__ import annotations

import asyncio

from adapters.host.transports import Connection


class Ear:
    """Keeps one read waiting for as long as a link is open: a read is never cancelled half-way."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reading: asyncio.Task[bytes] | None = None

    async def hear(self, timer: asyncio.Future[None]) -> bytes | None:
        """What came before the timer ended, b"" if nothing did; None at the end of all input.

        Raises Unavailable when the link is lost.
        """
        if self._reading is None:
            self._reading = asyncio.create_task(self._connection.read())
        await asyncio.wait((self._reading, timer), return_when=asyncio.FIRST_COMPLETED)
        if not self._reading.done():
            return b""
        reading, self._reading = self._reading, None
        return reading.result() or None

    async def close(self) -> None:
        """Stop listening."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
