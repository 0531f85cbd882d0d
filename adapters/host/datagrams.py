"""What a socket of datagrams brings, kept for one reader within bounds."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

MOST_WAITING: Final = 256
"""Datagrams that wait for a reader."""
MOST_WAITING_BYTES: Final = 1 << 20


class Letters:
    """Datagrams that wait to be read, in the order in which they came."""

    def __init__(self) -> None:
        self.lost = 0
        """Datagrams that found no room."""
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._trouble: OSError | None = None
        self._news = asyncio.Event()

    def put(self, data: bytes) -> None:
        """One has come; an empty one says nothing."""
        if not data:
            return
        if len(self._waiting) >= MOST_WAITING or self._bytes + len(data) > MOST_WAITING_BYTES:
            self.lost += 1
            return
        self._waiting.append(data)
        self._bytes += len(data)
        self._news.set()

    def fail(self, trouble: OSError) -> None:
        """No more will come."""
        self._trouble = trouble
        self._news.set()

    async def take(self) -> bytes:
        """The next one. Raises OSError once no more will come."""
        while not self._waiting:
            if self._trouble is not None:
                raise self._trouble
            self._news.clear()
            await self._news.wait()
        data = self._waiting.popleft()
        self._bytes -= len(data)
        return data
