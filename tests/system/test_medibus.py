"""MEDIBUS over TCP and a serial port, the line bad: device, adapter host, broker, collector, tickets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from adapters import registry
from adapters.host import mqtt as host_mqtt
from adapters.host.host import Host, open_host
from adapters.host.link import Link
from adapters.host.mqtt import MqttLink
from adapters.simulators.medibus import Served, Wire, serve, serve_serial
from adapters.simulators.medibus_device import AT_WORK, EVITA_4, SAVINA, Device, Habits, Kind, Shows
from desk.broker import Broker
from desk.child import LOOPBACK
from desk.clock import system_clock
from desk.settings import load
from telemetry.messages import LinkState, decode
from telemetry.topics import parse
from tests.adapters.host.fakes import FakeBroker
from tests.system.servers import password
from tests.system.stand import DEMO_RULES, PUBLISHER, Stand, until
from tests.system.test_ward import host_settings

pytestmark = pytest.mark.system

NAME = "NGUYEN"
VALUE = "7.31"
RULES = {
    "medibus-device": 'fault: {codes: ["CP1-9F", "CP2-94"], effect: service_high}',
    "medibus-battery": 'alarm: {codes: ["CP1-4B", "CP2-5A", "CP2-5C"], kind: technical}',
}
RULE = """
id: {id}
title: {id}
scope: {{manufacturer: Draeger}}
any:
  - {condition}
kind: repair
priority: P2
action: Look at the device.
checklist: [Mains cable]
source: {{document: Draeger 9028329, status: P, note: for tests}}
confirmed_by: {{name: Test, date: 2026-11-22, manual: none}}
stories:
  - name: it opens
    shows: opens
    timeline:
      - {event}: {{code: {code}, phase: start{more}}}
      - expect: {{tickets: 1}}
  - name: use opens nothing
    shows: quiet
    timeline:
      - use: 1h
      - expect: {{tickets: 0}}
  - name: the work done closes it
    shows: resolves
    timeline:
      - {event}: {{code: {code}, phase: start{more}}}
      - close: {{}}
      - expect: {{tickets: 0}}
"""
QUIET = Shows(values=(*AT_WORK.values[:1], ("B9", VALUE)), texts=(("60", NAME), ("61", NAME)))
ON_BATTERY = Shows(values=QUIET.values, texts=QUIET.texts, alarms_2=((6, "5A", "INT BATT ON"),))
BROKEN = Shows(alarms_1=((31, "9F", "EVITA ERR"), (30, "10", "PAW HIGH")), texts=QUIET.texts)
STANDBY = Shows(alarms_2=((31, "95", "EVITA STDBY"),), texts=(("1E", "STANDBY"),))


class Bed:
    """A simulated device at a line, and what it shows now."""

    def __init__(self, name: str, kind: Kind, *, shows: Shows, wire: Wire, clock: datetime) -> None:
        self.name = name
        self.shows = shows
        self.device = Device(
            kind,
            shows=lambda _: self.shows,
            rng=Random(len(name)),  # noqa: S311 - a device that can be repeated
            clock=clock,
            habits=Habits(slowest_s=0.02, embeds=0.3, realtime=0.3),
        )
        self.served = Served(self.device, system_clock(), wire)


def _beds() -> tuple[Bed, Bed, Bed]:
    """One byte by byte, one with garbage between frames, one at a serial port; clocks wrong by years."""
    long_ago, far_off = datetime(2003, 1, 9, 7, 30), datetime(2041, 1, 9, 7, 30)  # noqa: DTZ001 - no zone
    return (
        Bed("savina", SAVINA, shows=ON_BATTERY, wire=Wire(piece_bytes=1), clock=long_ago),
        Bed("evita", EVITA_4, shows=QUIET, wire=Wire(piece_bytes=7, garbage=b"?noise\r"), clock=far_off),
        Bed("serial", SAVINA, shows=STANDBY, wire=Wire(piece_bytes=3), clock=far_off),
    )


@asynccontextmanager
async def served(beds: tuple[Bed, Bed, Bed]) -> AsyncIterator[str]:
    """The devices at their lines; gives them as settings."""
    async with AsyncExitStack() as stack:
        lines = []
        for bed in beds:
            if bed.name == "serial":
                where = f'serial = "{await stack.enter_async_context(serve_serial(bed.served))}"'
            else:
                port = await stack.enter_async_context(serve(bed.served))
                where = f'host = "{LOOPBACK}"\nport = {port}'
            lines.append(
                f'[[device]]\nname = "{bed.name}"\nprotocol = "medibus"\n{where}\npoll_s = 0.3\n'
                'sole_reader_confirmed_by = "An"\n'
            )
        yield "".join(lines)


def _site(folder: Path, broker: Broker, devices: str) -> Stand:
    """A site with the rules of this test and the devices as assets, known by their ports."""
    stand = Stand(folder, broker, None, assets=[])
    (folder / "rules").mkdir()
    for name, condition in RULES.items():
        event, more = ("fault", ", effect: service_high") if "fault" in condition else ("alarm", "")
        code = "CP1-9F" if event == "fault" else "CP2-5A"
        text = RULE.format(id=name, condition=condition, event=event, code=code, more=more)
        (folder / "rules" / f"{name}.yaml").write_text(text.lstrip())
    settings = folder / "collector.toml"
    assets = "".join(
        f'[[asset]]\nid = "HN01-{name}"\nmanufacturer = "Draeger"\n'
        f'aliases = [{{protocol = "medibus", namespace = "port", identifier = "{PUBLISHER}/{name}"}}]\n'
        for name in ("savina", "evita", "serial")
    )
    settings.write_text(settings.read_text().replace(str(DEMO_RULES), str(folder / "rules")) + assets)
    (folder / "host.toml").write_text(
        f'[broker]\nhost = "{LOOPBACK}"\nport = {broker.port}\n'
        f'[host]\npublisher = "{PUBLISHER}"\npassword_file = "{PUBLISHER}.password"\n{devices}'
    )
    return stand


async def test_faults_and_battery_alarms_become_tickets_and_the_bedside_hears_nothing(
    tmp_path: Path, mosquitto: Broker
) -> None:
    beds = _beds()
    savina, evita, serial = beds
    async with served(beds) as devices:
        stand = _site(tmp_path, mosquitto, devices)

        async def stored(kind: str, count: int) -> bool:
            line = (await stand.accounting()).kinds.get(kind)
            return line is not None and line.stored >= count

        try:
            await stand.part("run", "collector.toml").start()
            await stand.collecting()
            link = MqttLink(
                host_mqtt.Broker(LOOPBACK, mosquitto.port, PUBLISHER, password(PUBLISHER)),
                publisher=PUBLISHER,
            )
            async with _host(tmp_path, link) as (host, running):
                await until(lambda: stored("alarm", 1), within_s=30, what="the battery's alarm")
                evita.shows = BROKEN
                await until(lambda: stored("fault", 1), within_s=20, what="the fault")
                savina.served.cut()
                await until(lambda: stored("status", 6), within_s=20, what="offline and online again")
                savina.shows = QUIET
                await until(lambda: stored("alarm", 3), within_s=20, what="the end of the battery's alarm")
                host.stop()
                await running
            await until(lambda: stored("status", 9), within_s=20, what="all three offline")
            tickets = {(one["asset"], one["rule"]): one for one in await stand.read("tickets", "list")}
            assert tickets.keys() == {("HN01-evita", "medibus-device"), ("HN01-savina", "medibus-battery")}
            assert {one["occurrences"] for one in tickets.values()} == {1}
            accounting = await stand.accounting()
            assert accounting.kinds["identity"].stored == 3
            assert (accounting.missing, accounting.lost) == (0, 0)
        finally:
            await stand.end()
    for bed in beds:
        tally = bed.device.tally
        assert (tally.communication_errors, tally.why, tally.stops) == (0, [], 1), bed.name
    assert (savina.served.connections, evita.served.connections, serial.served.connections) == (2, 1, 1)
    _holds_nobody(tmp_path)


def _holds_nobody(folder: Path) -> None:
    """Fail if any file holds the name that the devices show, or a value that they measure."""
    for file in folder.rglob("*"):
        held = file.read_bytes() if file.is_file() else b""
        assert not any(word.encode() in held for word in (NAME, VALUE)), file


async def test_a_clock_wrong_by_years_is_told_as_it_is_and_a_host_that_is_cancelled_says_stop(
    tmp_path: Path,
) -> None:
    beds = _beds()
    broker = FakeBroker()
    async with served(beds) as devices:
        (tmp_path / "host.toml").write_text(f'[host]\npublisher = "{PUBLISHER}"\n{devices}')
        async with _host(tmp_path, broker) as (host, running):
            await until(lambda: _online(host), within_s=15, what="all three online")
            await until(lambda: _told(broker, "savina"), within_s=15, what="what the Savina measures")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        messages = [decode(one.payload) for one in broker.sequenced() if parse(one.topic).device == "savina"]
        assert {one.device_time.year for one in messages if one.device_time} == {2003}
        assert [bed.device.tally.stops for bed in beds] == [1, 1, 1]
    assert [bed.device.tally.communication_errors for bed in beds] == [0, 0, 0]


@asynccontextmanager
async def _host(folder: Path, link: Link) -> AsyncIterator[tuple[Host, asyncio.Task[None]]]:
    async with open_host(
        host_settings(load(folder / "host.toml"), folder),
        link=link,
        protocols=registry.protocols(),
        clock=system_clock(),
        rng=random.SystemRandom(),
        machine="",
    ) as host:
        running = asyncio.create_task(host.run())
        try:
            yield host, running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def _online(host: Host) -> bool:
    return all(one.state is LinkState.ONLINE for one in host.health.devices)


async def _told(broker: FakeBroker, name: str) -> bool:
    topics = [parse(one.topic) for one in broker.sequenced()]
    return any((topic.device, topic.kind) == (name, "usage") for topic in topics)
