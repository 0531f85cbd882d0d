"""The composition root: the parts of one settings file, wired to real clocks, disks and networks.

Rule: adapters stop first and the collector last, so that a last word is still carried.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from adapters import registry
from adapters.host import mqtt as host_mqtt
from adapters.host.host import DeviceSettings, Host, HostSettings, Replay, Tcp, open_host
from adapters.host.lanes import Room
from adapters.host.link import Link
from adapters.host.pace import Pace
from collector.clocks import Tolerance
from collector.conclude import conclude, sync_registry
from collector.embedded import EmbeddedHistory
from collector.history import History
from collector.inbound import Inbound
from collector.influx import InfluxHistory, InfluxSettings
from collector.ingest import Ingest, Patience
from collector.journal import Journal, open_journal
from collector.journal_file import Limits, lock
from collector.keep import Keeper
from collector.ledger import open_ledger
from collector.mqtt import MqttInbound
from collector.mqtt_settings import MqttSettings
from collector.together import together
from desk import page, reading, wall
from desk.bus import Bus, BusInbound, BusLink
from desk.clock import system_clock
from desk.fleet import registry_of, rules_of
from desk.settings import Device, Settings
from desk.views import Fleet
from telemetry.clock import Clock
from telemetry.errors import SettingsError

log = logging.getLogger(__name__)

MIB = 1 << 20
DAY_S = 86_400
DRAIN_LOOK_S = 0.1
GARBAGE_THRESHOLDS = (50_000, 20, 100)
"""A batch makes tens of thousands of values that live for a moment: at Python's own thresholds looking for
cycles among them takes a fifth of the collector's time (benchmarks/line.py)."""
_MACHINE_ID = Path("/etc/machine-id")


class Part(StrEnum):
    """What can run as a process of its own."""

    COLLECT = "collect"
    CONCLUDE = "conclude"
    DESK = "desk"
    ADAPT = "adapt"


def _told(address: str) -> None:
    """Say where the page is."""
    log.warning("the page is at %s", address)


@dataclass(slots=True)
class Site:
    """One settings file at work."""

    settings: Settings
    clock: Clock
    bus: Bus | None
    """The bus within the process; None where there is a broker."""
    rng: random.Random = field(default_factory=random.SystemRandom)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to end the work in order."""
    on_ready: Callable[[str], None] = _told
    """Called with the address of the page once it is served."""
    clock_rate: float = 1.0
    """Seconds of the clock per real second."""
    note: str = ""
    """What the page says of this site beside its name, as "demo"."""
    drain_s: float = 0.0
    """Real seconds for which the collector goes on after the adapters, to carry what is pending."""
    ingest: Ingest | None = None
    """The collector's receiving side while it runs in this process, and after it has ended."""

    @property
    def not_acknowledging(self) -> str:
        """Why the collector takes nothing; empty when all is well, or it is another process."""
        return self.ingest.stopped if self.ingest else ""


def patience(site: Site) -> Patience:
    """Retries wait in real time."""
    return Patience(sleep=asyncio.sleep, random=site.rng.random)


def journal_of(settings: Settings) -> Journal:
    """The journal of a site, opened."""
    limits = Limits(
        size_cap=settings.journal.size_cap_mib * MIB, disk_reserve=settings.journal.disk_reserve_mib * MIB
    )
    return open_journal(settings.journal.folder, limits=limits, new_epoch=lambda: secrets.token_hex(6))


@contextlib.asynccontextmanager
async def _open_journal(settings: Settings) -> AsyncIterator[Journal]:
    journal = journal_of(settings)
    try:
        yield journal
    finally:
        journal.close()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    broker = settings.broker
    if not broker.tls:
        return None
    try:
        return ssl.create_default_context(cafile=broker.ca_file)
    except OSError as error:
        raise SettingsError(
            where="broker.ca_file", found=f"{broker.ca_file}: {error}", expected="a PEM file of the authority"
        ) from error


def _inbound(site: Site) -> Inbound:
    broker = site.settings.broker
    if site.bus is not None:
        return BusInbound(site.bus)
    return MqttInbound(
        MqttSettings(
            host=_required(broker.host, "broker.host", "the broker's name or address"),
            port=broker.port,
            user=broker.user,
            password=broker.secret("broker") or "",
            password_from="broker.password_file",  # noqa: S106 - where it stands
            client_id=broker.client_id,
            session_expiry_s=int(broker.session_days * DAY_S),
        ),
        run=f"{system_clock().now_ms():014}-{secrets.token_hex(4)}",
        tls=_tls(site.settings),
    )


def _link(site: Site, publisher: str) -> Link:
    broker = site.settings.broker
    if site.bus is not None:
        return BusLink(site.bus, publisher)
    return host_mqtt.MqttLink(
        host_mqtt.Broker(
            host=_required(broker.host, "broker.host", "the broker's name or address"),
            port=broker.port,
            username=publisher,
            password=site.settings.host.secret("host"),
            tls=host_mqtt.Tls(ca=broker.ca_file) if broker.tls else None,
        ),
        publisher=publisher,
    )


def _required(value: str | None, where: str, expected: str) -> str:
    if not value:
        raise SettingsError(where=where, found="is not set", expected=expected)
    return value


def _history(settings: Settings) -> History:
    if settings.history.store == "embedded":
        return EmbeddedHistory(settings.history.file)
    return InfluxHistory(
        InfluxSettings(
            url=settings.history.url,
            database=settings.history.database,
            user=settings.history.user,
            password=settings.history.secret("history") or "",
        )
    )


# -- the parts ----------------------------------------------------------------------------------------------


async def collect(site: Site, journal: Journal) -> None:
    """Receive, journal, acknowledge; and carry into history."""
    history = _history(site.settings)
    site.ingest = ingest = Ingest(
        journal,
        _inbound(site),
        site.clock,
        patience(site),
        retention_days=site.settings.journal.retention_days,
        tolerance=Tolerance().at_rate(site.clock_rate),
    )
    keeper = Keeper(journal, history, site.clock, patience(site))
    try:
        await together(ingest.run(), keeper.run())
    finally:
        await history.close()


async def conclude_tickets(site: Site, journal: Journal) -> None:
    """Let the rules conclude tickets from the journal."""
    async with open_ledger(site.settings.ledger.file) as ledger:
        now_ms = site.clock.now_ms()
        await sync_registry(
            ledger, registry_of(site.settings, at_ms=now_ms), rules_of(site.settings, at_ms=now_ms)
        )
        await conclude(
            journal, ledger, clock=system_clock(), rng=site.rng, passed=partial(journal.passed, "rules")
        )


async def show(site: Site) -> None:
    """Serve the page."""
    settings = site.settings
    async with open_ledger(settings.ledger.file) as ledger:

        async def fleet() -> Fleet:
            return await wall.fleet(
                settings,
                ledger,
                now_ms=site.clock.now_ms(),
                note=site.note,
                not_acknowledging=site.not_acknowledging,
            )

        await page.serve(
            page.app(fleet, refresh_s=settings.desk.refresh_s),
            host=settings.desk.host,
            port=settings.desk.port,
            on_ready=site.on_ready,
        )


async def adapt(site: Site) -> None:
    """Read the devices until the site stops."""
    settings = site.settings
    if not settings.device:
        raise SettingsError(where="device", found="none is set", expected="a [[device]] for each to be read")
    publisher = settings.host.publisher
    if site.bus is None:
        publisher = _required(publisher, "host.publisher", "the MQTT user of this adapter host")
    async with open_host(
        HostSettings(
            publisher=publisher or "local",
            outbox=settings.host.outbox,
            devices=tuple(map(_device, settings.device)),
            room=Room(max_bytes=settings.host.outbox_cap_mib * MIB, tail_hours=settings.host.tail_hours),
            pace=Pace(window=settings.host.window),
        ),
        link=_link(site, publisher or "local"),
        protocols=registry.protocols(),
        clock=site.clock,
        rng=site.rng,
        machine=machine(),
    ) as host:
        await _until_stopped(site, host)


def machine() -> str:
    """What this machine is called for good; empty where nobody says."""
    return _MACHINE_ID.read_text().strip() if _MACHINE_ID.exists() else ""


async def _until_stopped(site: Site, host: Host) -> None:
    async def stop() -> None:
        await site.stopping.wait()
        host.stop()

    stopper = asyncio.ensure_future(stop())
    try:
        await host.run()
    finally:
        stopper.cancel()


def _device(device: Device) -> DeviceSettings:
    if device.replay is None and not (device.host and device.port):
        raise SettingsError(
            where=f"device {device.name!r}",
            found="has neither host and port nor replay",
            expected="host and port of the device or its serial-device server, or replay of a capture file",
        )
    reached = Tcp(device.host, device.port) if device.replay is None else Replay(device.replay)
    return DeviceSettings(device.name, device.protocol, reached, device.poll_s)


async def run(site: Site, parts: frozenset[Part]) -> None:
    """Run parts until the site stops or one of them fails. Raises what it failed with."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    async with contextlib.AsyncExitStack() as opened:
        work: list[Awaitable[None]] = []
        if Part.COLLECT in parts:
            opened.enter_context(lock(site.settings.journal.folder))
        if parts & {Part.COLLECT, Part.CONCLUDE}:
            journal = await opened.enter_async_context(_open_journal(site.settings))
            if Part.COLLECT in parts:
                work.append(collect(site, journal))
            if Part.CONCLUDE in parts:
                work.append(conclude_tickets(site, journal))
        if Part.DESK in parts:
            work.append(show(site))
        await _until_stopped_or_failed(site, parts, work)


async def _until_stopped_or_failed(site: Site, parts: frozenset[Part], work: list[Awaitable[None]]) -> None:
    adapts = Part.ADAPT in parts and (site.settings.device or parts == {Part.ADAPT})
    front = asyncio.ensure_future(adapt(site) if adapts else site.stopping.wait())
    back = asyncio.ensure_future(together(*work) if work else front)
    try:
        await asyncio.wait((front, back), return_when=asyncio.FIRST_COMPLETED)
        for task in (front, back):
            if task.done():
                task.result()
        if site.drain_s and not back.done():
            await _drain(site, back)
    finally:
        for task in (front, back):
            task.cancel()
        await asyncio.gather(front, back, return_exceptions=True)


async def _drain(site: Site, back: asyncio.Future[Any]) -> None:
    """Give the consumers time to carry what the journal holds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(site.drain_s):
            while not back.done() and (await reading.accounting(site.settings)).is_pending:
                await asyncio.sleep(DRAIN_LOOK_S)


def site_of(settings: Settings, clock: Clock, parts: frozenset[Part]) -> Site:
    """A site; collector and adapters of one process share a bus if no broker is named."""
    alone = not settings.broker.host and {Part.COLLECT, Part.ADAPT} <= parts
    return Site(settings, clock, Bus() if alone else None)
