"""The adapter host: all devices of one settings file over one outbox and one publisher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from random import Random

from adapters.contract import ProtocolFile, SerialLine
from adapters.host.device_health import DeviceHealth
from adapters.host.devices import Device
from adapters.host.host_check import check
from adapters.host.host_settings import DeviceSettings, HostSettings
from adapters.host.letterbox import Letterbox, LetterboxHealth, Port
from adapters.host.link import Link
from adapters.host.mllp import Gateway, gateway
from adapters.host.mllp_health import GatewayHealth
from adapters.host.outbox import Outbox, open_outbox
from adapters.host.publisher import Publisher, PublisherHealth
from adapters.host.transports import Transport
from adapters.host.ways import Listen, Replay, SerialPort, Tcp, Udp
from telemetry.clock import Clock
from telemetry.errors import SettingsError

__all__ = [
    "DeviceSettings",
    "Host",
    "HostHealth",
    "HostSettings",
    "Listen",
    "Port",
    "Replay",
    "SerialPort",
    "Tcp",
    "Udp",
    "open_host",
    "transport_of",
]


@dataclass(frozen=True, slots=True)
class HostHealth:
    """How the host stands."""

    publisher: PublisherHealth
    devices: tuple[DeviceHealth, ...]
    gateways: tuple[GatewayHealth, ...] = ()
    letterboxes: tuple[LetterboxHealth, ...] = ()


class Host:
    """A running adapter host; made by `open_host`."""

    def __init__(
        self,
        *,
        publisher: Publisher,
        devices: tuple[Device, ...],
        gateways: tuple[Gateway, ...] = (),
        letterboxes: tuple[Letterbox, ...] = (),
        outbox: Outbox,
    ) -> None:
        self._publisher = publisher
        self._devices = devices
        self._gateways = gateways
        self._letterboxes = letterboxes
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
            tuple(box.health for box in self._letterboxes),
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
    check(settings, protocols)
    async with open_outbox(
        settings.outbox, machine=machine, clock=clock, rng=rng, room=settings.room
    ) as outbox:
        publisher = Publisher(settings.publisher, outbox, link, clock, rng, settings.pace)
        ports = dict.fromkeys(one.reached.port for one in settings.devices if isinstance(one.reached, Listen))
        boxes = {port: Letterbox(port) for port in ports}
        devices = tuple(
            _device(
                one,
                protocols[one.protocol],
                publisher=settings.publisher,
                boxes=boxes,
                outbox=outbox,
                clock=clock,
                rng=rng,
            )
            for one in settings.devices
        )
        gateways = tuple(gateway(one, outbox=outbox, clock=clock) for one in settings.gateways)
        yield Host(
            publisher=publisher,
            devices=devices,
            gateways=gateways,
            letterboxes=tuple(boxes.values()),
            outbox=outbox,
        )


def _device(
    settings: DeviceSettings,
    protocol: ProtocolFile,
    *,
    publisher: str,
    boxes: Mapping[Port, Letterbox],
    outbox: Outbox,
    clock: Clock,
    rng: Random,
) -> Device:
    poll_s = protocol.info.poll_s if settings.poll_s is None else settings.poll_s
    return Device(
        name=settings.name,
        protocol=settings.protocol,
        poll_s=poll_s,
        transport=transport_of(settings, protocol.info.line, boxes),
        make=partial(settings.options or protocol.adapter, period_s=poll_s),
        outbox=outbox,
        clock=clock,
        rng=rng,
        answer_s=settings.answer_s,
        publisher=publisher,
        has_units=protocol.info.units,
    )


def transport_of(
    settings: DeviceSettings, usual: SerialLine | None, boxes: Mapping[Port, Letterbox]
) -> Transport:
    """The way to a device; raises SettingsError where its protocol is not spoken over a serial port."""
    match settings.reached:
        case SerialPort() as port:
            if usual is None:
                raise SettingsError(
                    where=f"device {settings.name!r}",
                    found=f"protocol {settings.protocol!r} is not spoken over a serial port",
                    expected="host and port",
                )
            return port.transport(usual)
        case Listen() as listen:
            return listen.transport(boxes[listen.port])
        case Replay() as replay:
            return replay.transport(settings.protocol)
        case way:
            return way.transport()
