"""A gateway: where HL7 senders connect over MLLP, and all that is heard through them.

Rule 1: a new connection of an allowed peer is always taken; at the bound the one silent longest has to go.
Rule 2: the gateway's link is up while a connection is open, and for a period after the last: many senders
open one for each message.
Rule 3: a bug met by one connection ends that one, with its traceback; the others and the listener live.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from adapters.contract import Adapter
from adapters.hl7_adapter import Hl7Adapter, Seen
from adapters.hl7_devices import Devices
from adapters.host.mllp_health import GatewayHealth
from adapters.host.mllp_intake import Intake
from adapters.host.mllp_links import Behind, Links, Turn
from adapters.host.mllp_room import Shelf, WaitingRoom
from adapters.host.mllp_settings import Certificate, GatewaySettings
from adapters.host.mllp_talk import Memory, Talk
from adapters.host.together import together
from telemetry.clock import Clock
from telemetry.errors import SettingsError
from telemetry.messages import Alias, LinkState, Status, Strength

log = logging.getLogger(__name__)

LOOKS_A_PERIOD = 4
"""How often in a period it is looked whether devices have fallen silent."""
HANDSHAKE_S = 10.0
"""Real time that a TLS handshake may take."""
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""A peer that is gone without a word is noticed after two minutes, where the system can be told so."""


class Server(Protocol):
    """The part of asyncio.Server that a gateway uses."""

    @property
    def sockets(self) -> Sequence[Any]:
        """What it listens on."""

    def close(self) -> None:
        """Listen no more."""


def gateway(settings: GatewaySettings, *, outbox: Shelf, clock: Clock) -> Gateway:
    """A gateway of HL7 senders; all its connections share what it remembers of messages and devices."""
    seen, devices = Seen(), Devices(period_s=settings.period_s)
    make = partial(Hl7Adapter, sender=settings.sender, seen=seen, devices=devices, period_s=settings.period_s)
    return Gateway(settings, "hl7", make, seen, outbox, clock)


@dataclass(slots=True)
class Gateway:
    """One listener and the connections that it has."""

    settings: GatewaySettings
    protocol: str
    make: Callable[[], Adapter]
    """An adapter for one connection."""
    memory: Memory
    """Shared by the adapters of all connections."""
    outbox: Shelf
    clock: Clock
    serve: Callable[..., Awaitable[Server]] = asyncio.start_server
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits in real time before a further try to reach the outbox."""
    port: int = field(default=0, init=False)
    """Where it listens; 0 while it does not."""
    listening: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set once it listens for the first time."""
    _intake: Intake = field(init=False)
    _talks: dict[asyncio.Task[None], Talk] = field(default_factory=dict, init=False)
    _leaving: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    """Connections that had to go and are not quite gone."""
    _self: Behind = field(init=False)
    _gone_ms: int | None = field(init=False)
    """Since when there is no connection, in monotonic time; None while there is one."""

    def __post_init__(self) -> None:
        """Nobody has connected."""
        chosen = self.settings
        room = WaitingRoom(
            self.label, self.outbox, most=chosen.room, most_bytes=chosen.room_bytes, pause=self.pause
        )
        links = Links(chosen.name, period_ms=round(chosen.period_s * 1000), most=chosen.most_devices)
        self._intake = Intake(self.label, links, room, self.clock)
        self._gone_ms = self.clock.mono_ms()
        alias = Alias(
            protocol=self.protocol, namespace="gateway", identifier=chosen.name, strength=Strength.WEAK
        )
        self._self = Behind(chosen.name, alias, self._gone_ms)

    @property
    def label(self) -> str:
        """What it is called in the log."""
        return f"gateway {self.settings.name}"

    @property
    def health(self) -> GatewayHealth:
        """How it stands now."""
        room, links = self._intake.room, self._intake.links
        return GatewayHealth(
            name=self.settings.name,
            place=f"{self.settings.host}:{self.port or self.settings.port}",
            link=self._self.told,
            connections=len(self._talks),
            devices=len(links),
            online=links.online,
            waiting=room.waiting,
            stalled=room.stalled,
            tally=replace(self._intake.tally),
        )

    async def run(self) -> None:
        """Listen until cancelled; then what is owed is answered, and what waits is kept if it can be.

        Raises SettingsError when it cannot listen there, and what the outbox raises when it is beyond use.
        """
        server = await self._listen()
        moving = asyncio.create_task(self._intake.room.run())
        try:
            await together(_watched(moving), self._look_after())
        finally:
            await self._close(server, moving)

    async def _close(self, server: Server, moving: asyncio.Task[None]) -> None:
        server.close()
        self.port = 0
        for talk in self._talks.values():
            talk.stop()
        if tasks := {*self._talks, *self._leaving}:
            await asyncio.wait(tasks)
        self._tell_gone("host stopped")
        self._intake.room.close()
        await asyncio.wait((moving,))
        moving.result()
        if lost := self._intake.room.give_up():
            log.error("%s: %d messages could not be kept as the host stopped", self.label, lost)

    # -- connections --------------------------------------------------------------------------------------

    async def _listen(self) -> Server:
        chosen = self.settings
        where = f"gateway {chosen.name!r}"
        tls = None if chosen.certificate is None else _tls(chosen.certificate, where=where)
        try:
            server = await self.serve(
                self._accept,
                chosen.host,
                chosen.port,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_S if tls else None,
            )
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                raise SettingsError(
                    where=f"{where}: port",
                    found=f"{chosen.port}: {why}",
                    expected="a port that is free and that this user may listen on",
                ) from error
            raise SettingsError(
                where=f"{where}: host", found=f"{chosen.host!r}: {why}", expected="an address of this machine"
            ) from error
        self.port = server.sockets[0].getsockname()[1]
        self.listening.set()
        return server

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tally = self._intake.tally
        peer = writer.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if not self._is_allowed(address):
            tally.turned_away += 1
            level = logging.WARNING if tally.turned_away == 1 else logging.INFO
            log.log(level, "%s: %s is not among its peers; turned away", self.label, address)
            writer.transport.abort()
            return
        tally.accepted += 1
        if len(self._talks) >= self.settings.most_connections:
            self._displace()
        if (link := writer.get_extra_info("socket")) is not None:
            _keep_alive(link)
        talk = Talk(
            address,
            reader,
            writer,
            adapter=self.make(),
            intake=self._intake,
            overflow=self.settings.overflow,
            times=self.settings.times,
            memory=self.memory,
        )
        task = asyncio.create_task(talk.run(), name=f"{self.label} {address}")
        self._talks[task] = talk
        task.add_done_callback(self._ended)
        self._gone_ms = None
        if self._self.told is not LinkState.ONLINE:
            log.info("%s: connected", self.label)
            self._intake.tell((Turn(self._self, Status(link=LinkState.ONLINE)),))

    def _is_allowed(self, address: str) -> bool:
        if not self.settings.peers:
            return True
        found = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self.settings.peers)

    def _displace(self) -> None:
        """Close the connection that was silent longest; those that never said a whole message go first."""
        task, talk = min(self._talks.items(), key=lambda one: one[1].heard_at)
        log.warning("%s: too many connections; that of %s is closed", self.label, talk.peer)
        self._intake.tally.displaced += 1
        del self._talks[task]
        self._leaving.add(task)
        talk.writer.transport.abort()
        task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._talks.pop(task, None)
        self._leaving.discard(task)
        if not self._talks:
            self._gone_ms = self.clock.mono_ms()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._intake.tally.faults += 1
            log.error("%s: fault of ours; a connection is closed", self.label, exc_info=error)

    # -- links --------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """Tell of devices that fall silent, until cancelled."""
        while True:
            await self.clock.sleep(self.settings.period_s / LOOKS_A_PERIOD)
            self._look()

    def _look(self) -> None:
        now_ms = self.clock.mono_ms()
        if self._gone_ms is None:
            if self._self.told is not LinkState.ONLINE:
                self._intake.tell((Turn(self._self, Status(link=LinkState.ONLINE)),))
            self._intake.tell(tuple(self._intake.links.silent(mono_ms=now_ms)))
        elif now_ms - self._gone_ms >= self.settings.period_s * 1000:
            if self._self.told is LinkState.ONLINE:
                log.warning("%s: nobody is connected", self.label)
            self._tell_gone(f"gateway {self.settings.name} is not connected")
        self._intake.look()

    def _tell_gone(self, reason: str) -> None:
        if self._self.told is not LinkState.OFFLINE:
            self._intake.tell((Turn(self._self, Status(link=LinkState.OFFLINE, reason=reason)),))
        self._intake.tell(tuple(self._intake.links.gone(reason)))


async def _watched(task: asyncio.Task[None]) -> None:
    """Fail when that task fails; it is not cancelled with us."""
    await asyncio.shield(task)


def _tls(certificate: Certificate, *, where: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate.cert, certificate.key)
    except OSError as error:  # an ssl.SSLError is one too
        raise SettingsError(
            where=f"{where}: cert_file, key_file",
            found=f"{certificate.cert}, {certificate.key}: {error.strerror or error}",
            expected="PEM files of a certificate and its key that this user may read",
        ) from error
    return context


def _keep_alive(link: socket.socket) -> None:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if (option := getattr(socket, name, None)) is not None:
            link.setsockopt(socket.IPPROTO_TCP, option, value)
