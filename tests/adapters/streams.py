"""Stand-ins for asyncio's streams and for a clock, so that unit tests open no socket and wait for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class FakeReader:
    """Gives these pieces one by one, an error where one stands, and then the end."""

    def __init__(self, pieces: Iterable[bytes | OSError]) -> None:
        self._pieces = list(pieces)

    async def read(self, n: int) -> bytes:
        """The next piece."""
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if isinstance(piece, OSError):
            raise piece
        assert len(piece) <= n
        return piece


class FakeTransport(asyncio.WriteTransport):
    """Only knows whether it was aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def abort(self) -> None:
        """Let go."""
        self.aborted = True


class FakeWriter:
    """Keeps what is written, in pieces; fails to drain or to close with the error given."""

    def __init__(self, error: OSError | None = None) -> None:
        self.pieces: list[bytes] = []
        self.error = error
        self.transport = FakeTransport()

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.pieces.append(data)

    async def drain(self) -> None:
        """Fail if told so."""
        if self.error:
            raise self.error

    async def wait_closed(self) -> None:
        """Fail if told so; only an aborted stream is ever closed."""
        assert self.transport.aborted
        if self.error:
            raise self.error


class FakeClock:
    """A clock that moves only by sleeping, and does that at once."""

    def __init__(self, ms: int = 1_700_000_000_000) -> None:
        self.ms = ms
        self.slept: list[float] = []

    def now_ms(self) -> int:
        """Civil time."""
        return self.ms

    def mono_ms(self) -> int:
        """The same figure serves as monotonic time."""
        return self.ms

    def boot(self) -> str:
        """One boot for ever."""
        return "boot"

    async def sleep(self, seconds: float) -> None:
        """Move on."""
        self.slept.append(seconds)
        self.ms += round(seconds * 1000)
