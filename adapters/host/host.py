"""The adapter host: all devices of one settings file over one outbox and one publisher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random

from adapters.contract import Parity, ProtocolFile, SerialLine
from adapters.host import serial_port, transports
from adapters.host.devices import Device, DeviceHealth
from adapters.host.lanes import Room
from adapters.host.link import Link
from adapters.host.mllp import Gateway, gateway
from adapters.host.mllp_health import GatewayHealth
from adapters.host.mllp_settings import GatewaySettings
from adapters.host.outbox import Outbox, open_outbox
from adapters.host.pace import Pace
from adapters.host.publisher import Publisher, PublisherHealth
from adapters.host.transports import Transport
from telemetry import topics
from telemetry.clock import Clock
from telemetry.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Tcp:
    """A device behind a serial-device server, or one that listens on TCP."""

    host: str
    port: int
    connect_timeout_s: float = 5.0

    def transport(self) -> Transport:
        """The way there."""
        return transports.tcp(self.host, self.port, connect_timeout_s=self.connect_timeout_s)


@dataclass(frozen=True, slots=True)
class Replay:
    """A capture file, played once."""

    path: Path

    def transport(self) -> Transport:
        """The way there."""
        return transports.replay(self.path)


@dataclass(frozen=True, slots=True)
class SerialPort:
    """A device at a serial port of this machine; what is None is set as its protocol says."""

    path: Path
    baud_rate: int | None = None
    data_bits: int | None = None
    parity: Parity | None = None
    stop_bits: int | None = None

    def transport(self, usual: SerialLine) -> Transport:
        """The way there."""
        line = replace(
            usual,
            baud_rate=self.baud_rate or usual.baud_rate,
            data_bits=self.data_bits or usual.data_bits,
            parity=self.parity or usual.parity,
            stop_bits=self.stop_bits or usual.stop_bits,
        )
        return serial_port.serial(self.path, line)


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """One device as the operator describes it."""

    name: str
    """Names the device in topics: A-Z a-z 0-9 _ -, not beginning with `_`."""
    protocol: str
    reached: Tcp | Replay | SerialPort
    poll_s: float | None = None
    """Seconds between polls; the protocol's own figure if None."""
    answer_s: float = 5.0
    """Real seconds within which a poll is answered."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """One adapter host."""

    publisher: str
    """Its MQTT user, site code included."""
    outbox: Path
    devices: tuple[DeviceSettings, ...]
    gateways: tuple[GatewaySettings, ...] = ()
    room: Room = field(default_factory=Room)
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class HostHealth:
    """How the host stands."""

    publisher: PublisherHealth
    devices: tuple[DeviceHealth, ...]
    gateways: tuple[GatewayHealth, ...] = ()


class Host:
    """A running adapter host; made by `open_host`."""

    def __init__(
        self,
        *,
        publisher: Publisher,
        devices: tuple[Device, ...],
        gateways: tuple[Gateway, ...] = (),
        outbox: Outbox,
    ) -> None:
        self._publisher = publisher
        self._devices = devices
        self._gateways = gateways
        self._outbox = outbox
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def health(self) -> HostHealth:
        """How everything stands now."""
        return HostHealth(
            self._publisher.health,
            tuple(device.health for device in self._devices),
            tuple(one.health for one in self._gateways),
        )

    async def run(self) -> None:
        """Hear the devices and publish what they say, until stopped or cancelled.

        Raises SettingsError: the broker refuses us for good, or the outbox is beyond use.
        """
        hearing = asyncio.create_task(self._hear(), name="devices")
        stopping = asyncio.create_task(self._until_stopped(), name="stopping")
        listening = asyncio.create_task(self._until_listening(), name="listening")
        tasks = [hearing, stopping, listening]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():  # a port that is not to be had, before anything is said to the broker
                hearing.result()
            publishing = asyncio.create_task(self._publisher.run(), name="publisher")
            tasks.append(publishing)
            await asyncio.wait((publishing, hearing, stopping), return_when=asyncio.FIRST_COMPLETED)
            for task in (publishing, hearing):
                if task.done():
                    task.result()
            hearing.cancel()
            await asyncio.wait((hearing,))
            with suppress(TimeoutError):  # what is not confirmed by then stays in the outbox
                async with asyncio.timeout(self._publisher.pace.goodbye_s):
                    await self._outbox.settled.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """Let `run` end: first the devices, then the publisher, with a last word from each."""
        self._stopping.set()

    async def ended(self) -> None:
        """Wait until the input of every device has ended and all that it said is confirmed."""
        await self._ended.wait()
        await self._outbox.settled.wait()

    async def _hear(self) -> None:
        """All devices and gateways; one device that fails fails alone, an outbox beyond use ends them all."""
        running = [asyncio.create_task(device.run(), name=device.name) for device in self._devices]
        running += [asyncio.create_task(one.run(), name=one.label) for one in self._gateways]
        try:
            await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        self._ended.set()
        await self._stopping.wait()

    async def _until_listening(self) -> None:
        for one in self._gateways:
            await one.listening.wait()

    async def _until_stopped(self) -> None:
        await self._stopping.wait()


@asynccontextmanager
async def open_host(
    settings: HostSettings,
    *,
    link: Link,
    protocols: Mapping[str, ProtocolFile],
    clock: Clock,
    rng: Random,
    machine: str,
) -> AsyncIterator[Host]:
    """A host with its outbox open, to be `run`.

    `rng` must be unpredictable in earnest (random.SystemRandom): it names streams and connections.
    `machine` names this machine, so that a copied outbox is told apart. Raises SettingsError, Unavailable.
    """
    _check(settings, protocols)
    async with open_outbox(
        settings.outbox, machine=machine, clock=clock, rng=rng, room=settings.room
    ) as outbox:
        publisher = Publisher(settings.publisher, outbox, link, clock, rng, settings.pace)
        devices = tuple(
            _device(one, protocols[one.protocol], outbox=outbox, clock=clock, rng=rng)
            for one in settings.devices
        )
        gateways = tuple(gateway(one, outbox=outbox, clock=clock) for one in settings.gateways)
        yield Host(publisher=publisher, devices=devices, gateways=gateways, outbox=outbox)


def _device(
    settings: DeviceSettings, protocol: ProtocolFile, *, outbox: Outbox, clock: Clock, rng: Random
) -> Device:
    poll_s = protocol.info.poll_s if settings.poll_s is None else settings.poll_s
    return Device(
        name=settings.name,
        protocol=settings.protocol,
        poll_s=poll_s,
        transport=_transport(settings, protocol.info.line),
        make=partial(protocol.adapter, period_s=poll_s),
        outbox=outbox,
        clock=clock,
        rng=rng,
        answer_s=settings.answer_s,
    )


def _transport(settings: DeviceSettings, usual: SerialLine | None) -> Transport:
    if not isinstance(settings.reached, SerialPort):
        return settings.reached.transport()
    if usual is None:
        raise SettingsError(
            where=f"device {settings.name!r}",
            found=f"protocol {settings.protocol!r} is not spoken over a serial port",
            expected="host and port",
        )
    return settings.reached.transport(usual)


def _check(settings: HostSettings, protocols: Mapping[str, ProtocolFile]) -> None:
    def refuse(where: str, found: str, expected: str) -> None:
        raise SettingsError(where=where, found=found, expected=expected)

    if not topics.is_name(settings.publisher):
        refuse("publisher", repr(settings.publisher), "must be 1 to 64 of A-Z a-z 0-9 _ -")
    names = [device.name for device in settings.devices]
    for one in settings.gateways:
        where = f"gateway {one.name!r}"
        if not topics.is_name(one.name) or one.name.startswith("_") or len(one.name) > 32:
            refuse(
                where, "is no name for a gateway", "must be 1 to 32 of A-Z a-z 0-9 _ -, not beginning with _"
            )
        others = (*names, *(other.name for other in settings.gateways if other is not one))
        if taken := next((name for name in others if f"{name}-".startswith(f"{one.name}-")), ""):
            refuse(where, f"begins the name {taken!r}", "must be a name that begins no other on this host")
    for device in settings.devices:
        where = f"device {device.name!r}"
        if not topics.is_name(device.name) or device.name.startswith("_"):
            refuse(
                where, "is no name for a topic", "must be 1 to 64 of A-Z a-z 0-9 _ -, not beginning with _"
            )
        if names.count(device.name) > 1:
            refuse(where, "is named twice", "must be a name of its own for every device")
        if device.protocol not in protocols:
            refuse(where, f"protocol {device.protocol!r} is not known", f"use one of: {', '.join(protocols)}")
        if device.poll_s is not None and device.poll_s <= 0:
            refuse(where, f"poll_s is {device.poll_s:g}", "must be more than 0 seconds")
