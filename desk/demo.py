"""The demo: simulated devices through the whole line, on one fast clock, in a folder of its own."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr
from rich.console import Console
from rich.live import Live
from rich.table import Table

from adapters.simulators.hl7_gateway_fleet import Fleet
from adapters.simulators.pb_ventilator import Ventilator, fleet
from adapters.simulators.puritan_bennett import serve
from adapters.simulators.served import Record
from collector.journal_file import lock
from collector.ledger import Ledger, open_ledger
from desk import demo_gateway, reading
from desk.broker import COLLECTOR, Broker, find_mosquitto
from desk.child import free_port
from desk.clock import DemoClock, demo_clock, system_clock
from desk.compose import Part, Site, site_of
from desk.compose import run as run_site
from desk.settings import Settings
from telemetry.errors import SettingsError
from telemetry.messages import MeterName
from telemetry.times import from_ms, iso

PUBLISHER = "DEMO-host"
BAUD = 38_400
POLL_S = 600
"""Ten minutes of the devices' time."""
START_BEFORE_MS = 400 * 86_400_000
"""How far in the past the demo begins, so that it never runs into the future."""
INTERVAL_H = 250
FIRST_DUE_H = 3.0
BETWEEN_DUE_H = 1.5
MARK = "DEMO"
PLAIN_EVERY_S = 5.0
WARDS = MappingProxyType({"icu": "ICU", "step-down": "Step-down", "theatre": "Theatre", "reserve": "Reserve"})


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the person chose."""

    seconds: float | None
    """Real seconds until it stops by itself; None: at a signal."""
    rate: float
    ventilators: int
    folder: Path
    port: int
    quiet: bool
    """Whether standard output belongs to the summary alone."""


async def run(options: DemoOptions, stopping: asyncio.Event) -> dict[str, object]:
    """Run until stopped, and sum up. Raises SettingsError, Unavailable."""
    _make_folder(options.folder)
    start_ms = system_clock().now_ms() - START_BEFORE_MS
    clock = demo_clock(boot=secrets.token_hex(8), start_ms=start_ms, rate=options.rate)
    async with AsyncExitStack() as stack:
        ventilators = fleet(options.ventilators, seed=1, start=from_ms(start_ms))
        record = Record()
        ports = [
            await stack.enter_async_context(serve(one, clock=clock, record=record, baud=BAUD))
            for one in ventilators
        ]
        wards = demo_gateway.behind(seed=1, start=from_ms(start_ms))
        gateway_port = free_port()
        broker = await stack.enter_async_context(_broker(options.folder))
        settings = _settings(options, ventilators, ports, broker, wards=wards, gateway_port=gateway_port)
        await stack.enter_async_context(demo_gateway.pushed(wards, port=gateway_port, clock=clock))
        (options.folder / "hourmeter.toml").write_text(_as_toml(settings))
        site = site_of(settings, clock, frozenset(Part))
        site.note, site.clock_rate = "demo", options.rate
        await _play(site, options, stopping, broker, clock)
        return await _sum_up(settings, clock)


def _make_folder(folder: Path) -> None:
    """An empty folder that is marked as a demo's; only such a one is ever emptied."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise SettingsError(
            where=f"--folder {folder}",
            found="holds something that is not a demo's",
            expected="give a folder that is empty, new, or of an earlier demo",
        )
    if folder.exists():
        with lock(folder / "journal"):
            shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).write_text("This folder belongs to `hourmeter demo`, which empties it at each start.\n")


@asynccontextmanager
async def _broker(folder: Path) -> AsyncIterator[Broker | None]:
    """A broker of our own where Mosquitto is installed."""
    if find_mosquitto() is None:
        yield None
        return
    accounts = {user: secrets.token_urlsafe(18) for user in (COLLECTOR, PUBLISHER)}
    broker = Broker((folder / "broker").resolve(), accounts=accounts)
    (folder / "broker").mkdir()
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


def _settings(
    options: DemoOptions,
    ventilators: tuple[Ventilator, ...],
    ports: list[int],
    broker: Broker | None,
    *,
    wards: Fleet,
    gateway_port: int,
) -> Settings:
    folder = options.folder.resolve()
    host: dict[str, object] = {"publisher": PUBLISHER, "outbox": folder / "outbox.db"}
    data: dict[str, object] = {
        "journal": {"folder": folder / "journal", "disk_reserve_mib": 64},
        "history": {"file": folder / "history.db"},
        "ledger": {"file": folder / "ledger.db"},
        "rules": {"folders": (Path(__file__).parent / "demo_rules",)},
        "desk": {"port": options.port, "refresh_s": 1},
        "host": host,
        "gateway": [demo_gateway.settings_of(gateway_port)],
        "device": [
            {
                "name": f"vent-{index:02}",
                "protocol": "puritan-bennett",
                "host": "127.0.0.1",
                "port": port,
                "poll_s": POLL_S,
            }
            for index, port in enumerate(ports, 1)
        ],
        "asset": [
            *(_asset(index, one) for index, one in enumerate(ventilators, 1)),
            *(
                demo_gateway.asset_of(index, one, ward=WARDS[one.routine.ward])
                for index, one in enumerate(wards.equipment, 1)
            ),
            demo_gateway.own_asset(ward=WARDS["icu"]),
            *map(_by_hand, range(1, 3)),
        ],
    }
    if broker is not None:
        data["broker"] = {
            "host": "127.0.0.1",
            "port": broker.port,
            "user": COLLECTOR,
            "password": SecretStr(broker.accounts[COLLECTOR]),
        }
        host["password"] = SecretStr(broker.accounts[PUBLISHER])
    return Settings.model_validate(data)


def _asset(index: int, ventilator: Ventilator) -> dict[str, object]:
    """An asset whose service is due after some hours of use, one after the other."""
    to_due_h = FIRST_DUE_H + BETWEEN_DUE_H * index
    cycles = 20 + index
    done = float(INTERVAL_H * cycles)
    return {
        "id": f"DEMO-{index:04}",
        "label": f"TTB-{2019 + index % 5}-{index:03}",
        "ward": WARDS[ventilator.routine.ward],
        "device_type": "ventilator",
        "manufacturer": "Puritan Bennett",
        "model": ventilator.model,
        "serial": ventilator.serial,
        "aliases": [
            {
                "protocol": "puritan-bennett",
                "namespace": ventilator.model,
                "identifier": ventilator.serial,
            }
        ],
        "baselines": [
            {
                "meter": MeterName.VENTILATION_H,
                "reading": round(done + INTERVAL_H - to_due_h, 1),
                "last_done": done,
            }
        ],
    }


def _by_hand(number: int) -> dict[str, object]:
    """An asset that nothing listens to, as most of a fleet: people write down its readings."""
    return {
        "id": f"DEMO-S{number:03}",
        "label": f"Suction {number}",
        "ward": WARDS["theatre"],
        "device_type": "suction pump",
        "manufacturer": "Yuwell",
        "model": "7A-23D",
        "baselines": [{"meter": MeterName.OPERATING_CYCLES, "reading": 4_120 * number, "last_done": 0}],
    }


def _as_toml(settings: Settings) -> str:
    """Settings with which other commands look at the demo while it runs, as `hourmeter tickets list`."""
    return (
        f"[journal]\nfolder = {json.dumps(str(settings.journal.folder))}\n"
        f"[history]\nfile = {json.dumps(str(settings.history.file))}\n"
        f"[ledger]\nfile = {json.dumps(str(settings.ledger.file))}\n"
    )


async def _play(
    site: Site, options: DemoOptions, stopping: asyncio.Event, broker: Broker | None, clock: DemoClock
) -> None:
    """Run the site and show how it goes, until stopped."""
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    site.on_ready, site.stopping, site.drain_s = address.set_result, stopping, 10.0
    work = asyncio.ensure_future(run_site(site, frozenset(Part)))
    shown = asyncio.ensure_future(_show(site.settings, options, clock, address, broker))
    try:
        await asyncio.wait((work, shown), timeout=options.seconds, return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        await work
        if shown.done():
            shown.result()
    finally:
        for task in (work, shown):
            task.cancel()
        await asyncio.gather(work, shown, return_exceptions=True)


async def _show(
    settings: Settings,
    options: DemoOptions,
    clock: DemoClock,
    address: asyncio.Future[str],
    broker: Broker | None,
) -> None:
    """Say where to look, then how it goes: a live table in a terminal, else a line now and then."""
    out = sys.stderr if options.quiet else sys.stdout
    carrier = (
        "Mosquitto, our own child process" if broker else "the bus within the process (no mosquitto here)"
    )
    where = await address
    out.write(
        f"hourmeter demo: look at {where} - {options.ventilators} simulated ventilators,"
        f" {demo_gateway.MONITORS} monitors and {demo_gateway.PUMPS} pumps over {carrier};"
        f" {options.rate / 3600:g} h pass each second; Ctrl-C stops.\n"
    )
    out.flush()
    async with open_ledger(reading.ledger_place(settings)) as ledger:
        if out.isatty():
            with Live(console=Console(file=out), refresh_per_second=4, transient=True) as live:
                while True:
                    live.update(_drawn(await _figures(settings, ledger, clock)))
                    await asyncio.sleep(0.5)
        while True:
            await asyncio.sleep(PLAIN_EVERY_S)
            figures = await _figures(settings, ledger, clock)
            out.write("  ".join(f"{name} {value}" for name, value in figures.items()) + "\n")
            out.flush()


async def _figures(settings: Settings, ledger: Ledger, clock: DemoClock) -> dict[str, str]:
    found = await reading.accounting_with(settings, ledger)
    tickets = await ledger.tickets()
    return {
        "time": iso(clock.now_ms())[:16],
        "received": str(found.total.received),
        "stored": str(found.total.stored),
        "pending": str(found.total.pending),
        "tickets": str(len(tickets)),
        "newest": f"{tickets[-1].id} {tickets[-1].title}" if tickets else "-",
    }


def _drawn(figures: dict[str, str]) -> Table:
    drawn = Table(*figures, box=None, header_style="bold")
    drawn.add_row(*figures.values())
    return drawn


async def _sum_up(settings: Settings, clock: DemoClock) -> dict[str, object]:
    """What the demo has done, once everything has stopped."""
    found = await reading.accounting(settings)
    tickets = await reading.tickets(settings, closed_too=True)
    return {
        "demo": True,
        "ended": iso(clock.now_ms()),
        "messages": found.total.received,
        "stored": found.total.stored,
        "tickets": [
            {"id": one.id, "kind": one.kind, "priority": one.priority, "asset": one.asset, "title": one.title}
            for one in tickets
        ],
        "accounting": asdict(found) | {"unaccounted": found.total.unaccounted},
    }
