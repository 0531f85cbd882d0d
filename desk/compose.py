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

from fastapi import APIRouter

from adapters import registry
from adapters.host import mqtt as host_mqtt
from adapters.host.host import Host, HostSettings, open_host
from adapters.host.lanes import Room
from adapters.host.link import Link
from adapters.host.pace import Pace
from collector.clocks import Tolerance
from collector.conclude import conclude, sync_registry
from collector.inbound import Inbound
from collector.ingest import Ingest, Patience
from collector.journal import Journal, open_journal
from collector.journal_file import Limits, lock
from collector.keep import Keeper
from collector.ledger import Ledger
from collector.mqtt import MqttInbound
from collector.mqtt_settings import MqttSettings
from collector.together import together
from desk import health, page, reading, wall
from desk.bus import Bus, BusInbound, BusLink
from desk.clock import system_clock
from desk.devices import device_of
from desk.fleet import registry_of, rules_of
from desk.gateways import gateway_of
from desk.histories import check_days, history_of
from desk.journal_clock import clock_behind, newest_ms
from desk.ledgers import opened_ledger
from desk.live_stream import Readers
from desk.server import serve
from desk.settings import Settings
from desk.vitals import Running, Watch, Watched
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
    keeper: Keeper | None = None
    """The history consumer likewise."""
    inbound: Watched | None = None
    """The collector's connection likewise."""
    ledger: Ledger | None = None
    """The ledger while rules or page of this process have it open."""
    adapters: Host | None = None
    """The adapter host while it runs in this process."""

    @property
    def not_acknowledging(self) -> str:
        """Why the collector takes nothing; empty when all is well, or it is another process."""
        return self.ingest.stopped if self.ingest else ""

    @property
    def history_trouble(self) -> str:
        """Why nothing is stored; empty likewise."""
        return self.keeper.trouble if self.keeper else ""


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


def broker_tls(settings: Settings) -> ssl.SSLContext | None:
    """Whom the broker's certificate must be signed by; None without TLS. Raises SettingsError."""
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
        tls=broker_tls(site.settings),
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


# -- the parts ----------------------------------------------------------------------------------------------


async def collect(site: Site, journal: Journal) -> None:
    """Receive, journal, acknowledge; and carry into history."""
    check_days(site.settings)
    await _look_at_clock(site, journal)
    history = history_of(site.settings.history, clock=site.clock)
    site.inbound = Watched(_inbound(site))
    site.ingest = ingest = Ingest(
        journal,
        site.inbound,
        site.clock,
        patience(site),
        retention_days=site.settings.journal.retention_days,
        tolerance=Tolerance().at_rate(site.clock_rate),
    )
    site.keeper = keeper = Keeper(journal, history, site.clock, patience(site))
    try:
        await together(ingest.run(), keeper.run())
    finally:
        await history.close()


async def _look_at_clock(site: Site, journal: Journal) -> None:
    """Say when the clock stands before what was journaled; the collector takes all that it can meanwhile."""
    newest = await journal.write(newest_ms, journal.store)
    folder = site.settings.journal.folder
    if newest and (behind := clock_behind(newest, now_ms=site.clock.now_ms(), journal=folder)):
        log.error("%s", behind)


async def conclude_tickets(site: Site, journal: Journal) -> None:
    """Let the rules conclude tickets from the journal."""

    async def say(ledger: Ledger) -> None:
        now_ms = site.clock.now_ms()
        await sync_registry(
            ledger, registry_of(site.settings, at_ms=now_ms), rules_of(site.settings, at_ms=now_ms)
        )

    async with opened_ledger(site.settings, patience(site), first=say) as ledger:
        site.ledger = site.ledger or ledger
        await conclude(
            journal, ledger, clock=system_clock(), rng=site.rng, passed=partial(journal.passed, "rules")
        )


def _health(site: Site, parts: frozenset[Part]) -> APIRouter:
    """How those who watch over this process see it."""
    by_part = {Part.COLLECT: "ingest", Part.CONCLUDE: "ledger", Part.DESK: "ledger"}
    expected = {name for part, name in by_part.items() if part in parts} or {"host"}
    watch = Watch(
        site.settings,
        lambda: Running(site.ingest, site.inbound, site.keeper, site.ledger, site.adapters),
        keeps_journal=parts != {Part.ADAPT},
        expected=tuple(sorted(expected)),
        now_ms=site.clock.now_ms,
        clock_rate=site.clock_rate,
    )
    return health.router(watch, lag_s=site.settings.health.lag_s)


async def be_watched(site: Site, parts: frozenset[Part], *, port: int) -> None:
    """Answer those who watch over a process that has no page."""
    await serve(
        health.app(_health(site, parts)),
        host=site.settings.health.host,
        port=port,
        on_ready=lambda address: log.warning("health is told at %shealthz, readyz and metrics", address),
        table="health",
    )


async def show(site: Site, parts: frozenset[Part]) -> None:
    """Serve the page."""
    settings = site.settings
    async with opened_ledger(settings, patience(site)) as ledger:
        site.ledger = ledger
        readers = Readers()
        source = wall.source(
            settings,
            ledger,
            clock=site.clock,
            clock_rate=site.clock_rate,
            note=site.note,
            troubles=lambda: wall.Troubles(site.not_acknowledging, site.history_trouble),
        )
        await serve(
            page.app(
                source,
                refresh_s=settings.desk.refresh_s,
                readers=readers,
                routers=(_health(site, parts),),
            ),
            host=settings.desk.host,
            port=settings.desk.port,
            on_ready=site.on_ready,
            on_stop=readers.ending.set,
        )


async def adapt(site: Site) -> None:
    """Read the devices until the site stops."""
    settings = site.settings
    if not settings.device and not settings.gateway:
        raise SettingsError(
            where="device", found="none is set", expected="a [[device]] for each to be read, or a [[gateway]]"
        )
    protocols = registry.protocols()
    publisher = settings.host.publisher
    if site.bus is None:
        publisher = _required(publisher, "host.publisher", "the MQTT user of this adapter host")
    async with open_host(
        HostSettings(
            publisher=publisher or "local",
            outbox=settings.host.outbox,
            devices=tuple(device_of(one, protocols) for one in settings.device),
            gateways=tuple(map(gateway_of, settings.gateway)),
            room=Room(max_bytes=settings.host.outbox_cap_mib * MIB, tail_hours=settings.host.tail_hours),
            pace=Pace(window=settings.host.window),
        ),
        link=_link(site, publisher or "local"),
        protocols=protocols,
        clock=site.clock,
        rng=site.rng,
        machine=machine(),
    ) as host:
        site.adapters = host
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
            work.append(show(site, parts))
        elif site.settings.health.port is not None:
            work.append(be_watched(site, parts, port=site.settings.health.port))
        await _until_stopped_or_failed(site, parts, work)


async def _until_stopped_or_failed(site: Site, parts: frozenset[Part], work: list[Awaitable[None]]) -> None:
    adapts = Part.ADAPT in parts and (site.settings.device or site.settings.gateway or parts == {Part.ADAPT})
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
