"""Ways to reach a device: TCP to a serial-device server, and the replay of a capture file.

A serial port of this machine stands in `adapters.host.serial_port`, datagrams in `adapters.host.udp`.

Rule 1: `read` returns b"" only when no byte will ever come again; a link that is lost raises Unavailable.
Rule 2: where pieces have bounds of their own, as datagrams, `read` returns one of them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, Protocol, runtime_checkable

from adapters.capture import Played
from telemetry.errors import SettingsError, Unavailable

PIECE_BYTES = 4096
"""Most bytes returned by one read of a stream."""
_KEEPALIVE: Final = MappingProxyType({"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4})
"""A device that speaks by itself and is gone without a word is noticed after two minutes."""


class Connection(Protocol):
    """One open link to a device."""

    async def read(self) -> bytes:
        """The next bytes; b"" at the end of all input. Raises Unavailable when the link is lost."""

    async def write(self, data: bytes) -> None:
        """Send bytes to the device. Raises Unavailable when the link is lost."""

    async def close(self) -> None:
        """Let go of the link; never raises for a link that is lost already."""


class Transport(Protocol):
    """Where a device is to be found."""

    @property
    def place(self) -> str:
        """The place in words that an operator knows, for errors and status."""

    async def connect(self) -> Connection:
        """Open a link. Raises Unavailable, to be tried again."""


@runtime_checkable
class Lossy(Transport, Protocol):
    """A transport that cannot keep its device waiting."""

    @property
    def lost(self) -> int:
        """Pieces that came and found no room, since the host started."""


class Incoming(Protocol):
    """The part of asyncio.StreamReader that a link uses."""

    async def read(self, n: int) -> bytes:
        """Up to n bytes, b"" when the other side has closed."""


class Outgoing(Protocol):
    """The part of asyncio.StreamWriter that a link uses."""

    def write(self, data: bytes) -> None:
        """Queue bytes."""

    async def drain(self) -> None:
        """Wait until the queue has room."""

    @property
    def transport(self) -> asyncio.WriteTransport:
        """What can be aborted without waiting for bytes that nobody takes."""

    async def wait_closed(self) -> None:
        """Wait until it is closed."""


Dial = Callable[[str, int], Awaitable[tuple[Incoming, Outgoing]]]


async def _dial(host: str, port: int) -> tuple[Incoming, Outgoing]:
    """A connection whose loss is noticed although nothing is sent."""
    reader, writer = await asyncio.open_connection(host, port)
    link = writer.get_extra_info("socket")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if (option := getattr(socket, name, None)) is not None:
            link.setsockopt(socket.IPPROTO_TCP, option, value)
    return reader, writer


def tcp(host: str, port: int, *, connect_timeout_s: float, dial: Dial = _dial) -> Transport:
    """A serial-device server (or a device) that listens on TCP."""
    return _Tcp(host, port, connect_timeout_s, dial)


def stream(place: str, reader: Incoming, writer: Outgoing) -> Connection:
    """A link over an open pair of streams; the other side closing is a lost link."""
    return _Stream(place, reader, writer)


def replay(path: Path, *, protocol: str = "", piece_bytes: int = PIECE_BYTES) -> Transport:
    """What a device of that protocol sent, fed in pieces once, as fast as it is taken.

    A file of its bytes, or a capture of `hourmeter record`. What is written to it is let go.
    """
    return _Replay(path, protocol, piece_bytes)


@dataclass(frozen=True, slots=True)
class _Tcp:
    host: str
    port: int
    connect_timeout_s: float
    dial: Dial

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    async def connect(self) -> Connection:
        try:
            async with asyncio.timeout(self.connect_timeout_s):
                reader, writer = await self.dial(self.host, self.port)
        except TimeoutError as error:
            raise Unavailable(
                self.place,
                why=f"no answer within {self.connect_timeout_s:g} s",
                advice="check its power and network",
            ) from error
        except OSError as error:
            raise Unavailable(self.place, why=words_of(error), advice="check its address and port") from error
        return _Stream(self.place, reader, writer)


@dataclass(frozen=True, slots=True)
class _Stream:
    place: str
    reader: Incoming
    writer: Outgoing

    async def read(self) -> bytes:
        try:
            data = await self.reader.read(PIECE_BYTES)
        except OSError as error:
            raise Unavailable(self.place, why=words_of(error)) from error
        if not data:
            raise Unavailable(self.place, why="the other side closed the link")
        return data

    async def write(self, data: bytes) -> None:
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError as error:
            raise Unavailable(self.place, why=words_of(error)) from error

    async def close(self) -> None:
        self.writer.transport.abort()
        with suppress(OSError):  # the link is let go; that it was lost has been said by read or write
            await self.writer.wait_closed()


@dataclass(frozen=True, slots=True)
class _Replay:
    path: Path
    protocol: str
    piece_bytes: int

    @property
    def place(self) -> str:
        return str(self.path)

    async def connect(self) -> Connection:
        try:
            await asyncio.to_thread(self._check)
            file = await asyncio.to_thread(self.path.open, "rb")
        except OSError as error:
            raise SettingsError(
                where="replay", found=f"{self.path}: {words_of(error)}", expected="name a capture file"
            ) from error
        return _Capture(self.place, file, self.piece_bytes, Played(self.protocol, where=self.place))

    def _check(self) -> None:
        """Read it once to its end: what is wrong far behind must not let the rest be heard at each retry."""
        played = Played(self.protocol, where=self.place)
        with self.path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                played.feed(piece)
        played.close()


@dataclass(frozen=True, slots=True)
class _Capture:
    place: str
    file: BinaryIO
    piece_bytes: int
    played: Played

    async def read(self) -> bytes:
        while piece := await self._piece():
            if data := self.played.feed(piece):
                return data
        return self.played.close()

    async def _piece(self) -> bytes:
        try:
            return await asyncio.to_thread(self.file.read, self.piece_bytes)
        except OSError as error:
            raise Unavailable(self.place, why=words_of(error)) from error

    async def write(self, data: bytes) -> None:
        """Nobody listens."""

    async def close(self) -> None:
        self.file.close()


def words_of(error: OSError) -> str:
    """The system's words for an error, or those of a library where it has better ones."""
    if error.errno and str(error.strerror).startswith("Connect call failed"):  # asyncio, and the place again
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__
