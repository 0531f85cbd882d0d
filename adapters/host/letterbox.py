"""A port of ours to which devices send datagrams unasked: one socket for all of them, told apart by address.

Rule 1: what comes from an address that is no device of this host is counted and dropped; the first few such
addresses are said, so that an operator can configure them.
Rule 2: what is written to a device goes to where its last datagram came from.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from adapters.host.datagrams import Letters
from adapters.host.transports import Connection, Transport, words_of
from telemetry.errors import SettingsError, Unavailable

log = logging.getLogger(__name__)

STRANGERS: Final = 8
"""Addresses that are no device of this host and are said."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Port:
    """Where datagrams are listened for."""

    host: str
    """Address of this machine; 0.0.0.0 for all, which hears broadcasts too."""
    port: int
    group: str = ""
    """Multicast group that is joined at that address; empty: none."""

    @property
    def family(self) -> socket.AddressFamily:
        """The kind of addresses that are heard there."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def __str__(self) -> str:
        """Name it as an operator knows it."""
        return f"UDP port {self.port} of {self.group or self.host}"


@dataclass(frozen=True, slots=True)
class LetterboxHealth:
    """How a port stands, and what came that is of no device."""

    place: str
    unknown: int
    """Datagrams from addresses that are no device of this host."""
    strangers: tuple[str, ...]
    """The first few of these addresses."""


Lookup = Callable[[str, socket.AddressFamily], Awaitable[str]]


async def _look_up(host: str, family: socket.AddressFamily) -> str:
    """The address of a name, of the kind that the port hears. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, family=family, type=socket.SOCK_DGRAM)
    return str(found[0][4][0])


def _bound(port: Port) -> socket.socket:
    """A socket at that port. Raises OSError."""
    bound = socket.socket(port.family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        if port.group:  # others on this machine may hear the same group
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            joined = socket.inet_aton(port.group) + socket.inet_aton(port.host)
            bound.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        bound.bind((port.group or port.host, port.port))
    except OSError:
        bound.close()
        raise
    return bound


async def _open(box: Letterbox, port: Port) -> asyncio.DatagramTransport:
    bound = _bound(port)
    try:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Ends(box), sock=bound
        )
    except OSError:
        bound.close()
        raise
    return transport


Open = Callable[["Letterbox", Port], Awaitable[asyncio.DatagramTransport]]


class Letterbox:
    """One port; open while a device that sends there is connected."""

    def __init__(self, port: Port, *, open_port: Open = _open, look_up: Lookup = _look_up) -> None:
        self._port = port
        self._open = open_port
        self._look_up = look_up
        self._transport: asyncio.DatagramTransport | None = None
        self._turn = asyncio.Lock()
        self._links: dict[Address, _Link] = {}
        self._known: set[Address] = set()
        self._unknown = 0
        self._strangers: list[str] = []

    @property
    def health(self) -> LetterboxHealth:
        """How it stands now."""
        return LetterboxHealth(str(self._port), self._unknown, tuple(self._strangers))

    def device(self, host: str) -> Transport:
        """The way to hear a device that sends from that address, or from that of this name."""
        return _Sender(self, host)

    async def take_up(self, sender: _Sender) -> Connection:
        """Begin to hear a device. Raises Unavailable, SettingsError."""
        address = await self._address(sender)
        async with self._turn:
            if address in self._links:
                raise SettingsError(
                    where=sender.place,
                    found=f"another device has {address}",
                    expected="one device for each address",
                )
            if self._transport is None:
                self._transport = await self._opened()
            self._known.add(address)
            link = self._links[address] = _Link(self, address, sender)
            return link

    async def attempt(self, host: str) -> None:
        """Find a device, open the port and let go of it at once, before anybody else can want it.

        Raises Unavailable, SettingsError.
        """
        await self._address(_Sender(self, host))
        try:
            _bound(self._port).close()
        except OSError as error:
            raise self._refused(error) from error

    async def let_go(self, address: Address) -> None:
        """Hear a device no more."""
        async with self._turn:
            self._links.pop(address, None)
            if not self._links and self._transport is not None:
                self._transport.close()
                self._transport = None

    async def _opened(self) -> asyncio.DatagramTransport:
        try:
            return await self._open(self, self._port)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> SettingsError:
        return SettingsError(
            where=str(self._port),
            found=words_of(error),
            expected="a port that is free at an address of this machine, and a group of IPv4 if any",
        )

    async def _address(self, sender: _Sender) -> Address:
        try:
            return _plain(await self._look_up(sender.host, self._port.family))
        except OSError as error:
            raise Unavailable(sender.place, why=words_of(error), advice="check its address") from error

    def received(self, data: bytes, source: tuple[str, int]) -> None:
        """A datagram has come."""
        address = _plain(source[0])
        link = self._links.get(address)
        if link is not None:
            link.source = source
            link.sender.letters.put(data)
        elif address not in self._known:
            self._unknown += 1
            self._note(str(address))

    def _note(self, stranger: str) -> None:
        if stranger not in self._strangers and len(self._strangers) < STRANGERS:
            self._strangers.append(stranger)
            log.warning("%s: %s sends here and is no device of this host", self._port, stranger)

    def send(self, data: bytes, link: _Link) -> None:
        """Send to where the device's last datagram came from. Raises Unavailable."""
        if self._transport is None or self._transport.is_closing() or link.source is None:
            raise Unavailable(link.sender.place, why="it has not sent anything to be answered")
        self._transport.sendto(data, link.source)

    def failed(self, error: OSError) -> None:
        """The socket is lost."""
        self._transport = None
        for link in self._links.values():
            link.sender.letters.fail(error)


class _Ends(asyncio.DatagramProtocol):
    """What the event loop calls."""

    def __init__(self, box: Letterbox) -> None:
        self._box = box

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._box.received(data, addr)

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, OSError):
            self._box.failed(exc)


class _Sender:
    """One device that sends to the port."""

    def __init__(self, box: Letterbox, host: str) -> None:
        self.host = host
        self.letters = Letters()
        self._box = box
        self._lost = 0

    @property
    def place(self) -> str:
        return f"{self.host} to {self._box.health.place}"

    @property
    def lost(self) -> int:
        return self._lost + self.letters.lost

    async def connect(self) -> Connection:
        self._lost, self.letters = self.lost, Letters()
        return await self._box.take_up(self)


class _Link:
    """A device that is heard now."""

    def __init__(self, box: Letterbox, address: Address, sender: _Sender) -> None:
        self.sender = sender
        self.source: tuple[str, int] | None = None
        self._box = box
        self._address = address

    async def read(self) -> bytes:
        try:
            return await self.sender.letters.take()
        except OSError as error:
            raise Unavailable(self.sender.place, why=words_of(error)) from error

    async def write(self, data: bytes) -> None:
        self._box.send(data, self)

    async def close(self) -> None:
        await self._box.let_go(self._address)


def _plain(address: str) -> Address:
    """The address without a zone, as IPv4 where it is one."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found
