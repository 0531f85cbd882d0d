"""A line that does what lines do: splits bytes, one by one if asked, and puts garbage between frames."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import count

from adapters.host.transports import Outgoing

_ALONE = 60

Cut = Callable[[bytes], Iterable[bytes]]
"""How a frame is split on its way."""


def one_by_one(data: bytes) -> Iterator[bytes]:
    """Each byte alone at both ends of a frame; its middle, which takes long, in a few pieces."""
    middle = data[_ALONE:-_ALONE]
    yield from (bytes([byte]) for byte in data[:_ALONE])
    yield from (middle[start : start + _ALONE] for start in range(0, len(middle), _ALONE))
    yield from (bytes([byte]) for byte in data[max(_ALONE, len(data) - _ALONE) :])


def rotating() -> Cut:
    """In two, at another point each time."""
    places = count(1)

    def cut(data: bytes) -> tuple[bytes, bytes]:
        place = next(places) * 7 % len(data)
        return data[:place], data[place:]

    return cut


class BadWriter:
    """What a simulated device writes to, over such a line."""

    def __init__(self, writer: Outgoing, *, cut: Cut, garbage: bytes = b"") -> None:
        self._writer = writer
        self._cut = cut
        self._garbage = garbage
        self._frames: list[bytes] = []

    def write(self, data: bytes) -> None:
        """A frame, sent with the next `drain`."""
        self._frames.append(data)

    async def drain(self) -> None:
        """Send what was written, piece by piece, so that each may be read alone."""
        frames, self._frames = self._frames, []
        for frame in frames:
            if self._garbage:
                self._writer.write(self._garbage)
            for piece in self._cut(frame):
                self._writer.write(piece)
                await self._writer.drain()
                await asyncio.sleep(0)

    @property
    def transport(self) -> asyncio.WriteTransport:
        """The line's own."""
        return self._writer.transport

    async def wait_closed(self) -> None:
        """Until the line is closed."""
        await self._writer.wait_closed()
