"""A device that is asked by datagrams: we send to its port, and hear what comes from there and nothing else.

Rule: datagrams make no link. It is up as soon as there is a way there, and lost when the network says so;
a device that is off is mute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from adapters.host.datagrams import Letters
from adapters.host.transports import Connection, Transport, words_of
from telemetry.errors import Unavailable


class Ends(asyncio.DatagramProtocol):
    """What the event loop calls."""

    def __init__(self) -> None:
        self.letters = Letters()

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        """From the device: the kernel lets nothing else through."""
        del addr
        self.letters.put(data)

    def error_received(self, exc: Exception) -> None:
        """The network says that what was sent did not arrive."""
        if isinstance(exc, OSError):
            self.letters.fail(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self.letters.fail(exc if isinstance(exc, OSError) else OSError("the socket is closed"))


Meet = Callable[[str, int], Awaitable[tuple[asyncio.DatagramTransport, Ends]]]


async def _meet(host: str, port: int) -> tuple[asyncio.DatagramTransport, Ends]:
    loop = asyncio.get_running_loop()
    return await loop.create_datagram_endpoint(Ends, remote_addr=(host, port))


def udp(host: str, port: int, *, connect_timeout_s: float = 5.0, meet: Meet = _meet) -> Transport:
    """A device that answers datagrams at that port."""
    return _Udp(host, port, connect_timeout_s, meet)


class _Udp:
    def __init__(self, host: str, port: int, connect_timeout_s: float, meet: Meet) -> None:
        self._host = host
        self._port = port
        self._timeout_s = connect_timeout_s
        self._meet = meet
        self._lost = 0
        self._letters: Letters | None = None

    @property
    def place(self) -> str:
        return f"{self._host}:{self._port} (UDP)"

    @property
    def lost(self) -> int:
        return self._lost + (self._letters.lost if self._letters else 0)

    async def connect(self) -> Connection:
        try:
            async with asyncio.timeout(self._timeout_s):  # a name is looked up
                transport, ends = await self._meet(self._host, self._port)
        except TimeoutError as error:
            raise Unavailable(
                self.place, why="its name is not found in time", advice="check the name server"
            ) from error
        except OSError as error:
            raise Unavailable(self.place, why=words_of(error), advice="check its address") from error
        self._lost, self._letters = self.lost, ends.letters
        return _Link(self.place, transport, ends.letters)


class _Link:
    def __init__(self, place: str, transport: asyncio.DatagramTransport, letters: Letters) -> None:
        self._place = place
        self._transport = transport
        self._letters = letters

    async def read(self) -> bytes:
        try:
            return await self._letters.take()
        except OSError as error:
            raise Unavailable(self._place, why=words_of(error)) from error

    async def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise Unavailable(self._place, why="the socket is closed")
        self._transport.sendto(data)

    async def close(self) -> None:
        self._transport.close()
