"""SDC over real sockets: the library's own provider found, heard, cut off and found again; up to a ticket."""

from __future__ import annotations

import asyncio
import random
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sdc11073.certloader import SSLContextContainer, mk_ssl_contexts

from adapters import registry
from adapters.contract import Heard, Outcome, Refusal
from adapters.host import mqtt as host_mqtt
from adapters.host.host import DeviceSettings, HostSettings, open_host
from adapters.host.mqtt import MqttLink
from adapters.host.sdc_link import SdcPeer
from adapters.host.transports import Connection
from adapters.protocols import sdc
from adapters.sdc_talk import Talk
from adapters.simulators.sdc_mdib import BATTERY_LOW, MANUFACTURER, SATURATION_LOW
from adapters.simulators.sdc_provider import LOOPBACK, VITAL_VALUE, Activation, ventilator
from desk.broker import Broker
from desk.clock import system_clock
from telemetry.errors import SettingsError, Unavailable
from telemetry.messages import Usage
from tests.adapters.ventilators import bodies, edges
from tests.system.conftest import need
from tests.system.servers import password
from tests.system.stand import DEMO_RULES, PUBLISHER, Stand, until
from tests.system.test_mqtt import certificate

pytestmark = pytest.mark.system

SERIAL = "SIM-S-7"
PATIENT = "Nguyễn Thị Hồng Nhung"
RULE = """
id: sdc-battery
title: Battery of an SDC ventilator low
scope: {device_type: ventilator}
any:
  - alarm: {codes: ["196802"], kind: technical}
kind: repair
priority: P3
action: Charge the device and test its battery by the manual.
checklist: [Mains cable]
source: {document: IEEE 11073-10101 MDC_EVT_BATT_LO, status: P, note: for tests}
confirmed_by: {name: Test, date: 2026-11-22, manual: none}
stories:
  - name: a low battery opens
    shows: opens
    timeline:
      - alarm: {code: "196802", phase: start}
      - expect: {tickets: 1}
  - name: use opens nothing
    shows: quiet
    timeline:
      - use: 1h
      - expect: {tickets: 0}
  - name: the work done closes it
    shows: resolves
    timeline:
      - alarm: {code: "196802", phase: start}
      - close: {}
      - expect: {tickets: 0}
"""


class Listening:
    """One link and all that its adapter has said."""

    def __init__(self, link: Connection) -> None:
        self.link = link
        self.talk: Talk = sdc.adapter(period_s=60)
        self.said: list[Outcome] = [*self.talk.connected()]

    async def ask(self) -> None:
        """Poll and take the answer in."""
        await self.link.write(self.talk.poll())
        await self.hear(lambda: any(isinstance(one, Heard) for one in self.said))

    async def hear(self, enough: Callable[[], bool]) -> None:
        """Take in what comes until that is enough."""
        async with asyncio.timeout(10):
            while not enough():
                self.said += self.talk.feed(await self.link.read())

    async def next(self) -> Outcome:
        """What the next document says."""
        said = self.talk.feed(await self.link.read())
        self.said += said
        return said[0]


@asynccontextmanager
async def listening(peer: SdcPeer) -> AsyncIterator[Listening]:
    """A link to the peer, its first answer heard."""
    link = await peer.transport().connect()
    try:
        one = Listening(link)
        await one.ask()
        yield one
    finally:
        await link.close()


async def test_changes_garbage_and_a_clock_wrong_by_years_come_at_once_and_a_closed_link_leaves_nothing() -> (
    None
):
    with ventilator(SERIAL) as device:
        threads = threading.active_count()
        async with listening(SdcPeer(device.address)) as link, asyncio.timeout(20):
            device.alert(BATTERY_LOW, is_present=True)
            device.work(Activation.STANDBY, hours=9121)
            await link.next()
            await link.next()
            device.babble(b"<" + PATIENT.encode())
            assert isinstance(await link.next(), Refusal)
            device.set_clock(timedelta(days=-9131))
            heard = await link.next()
            assert isinstance(heard, Heard)
            assert heard.device_time is not None
            wrong = datetime.now(UTC).replace(tzinfo=None) - heard.device_time
            assert timedelta(days=9130) < wrong < timedelta(days=9132)
        assert [edge[:2] for edge in edges(link.said)] == [("196802", "start")]
        usages = [body for body in bodies(link.said) if isinstance(body, Usage)]
        assert [(one.state, one.meters[0].value) for one in usages] == [("in_use", 9120), ("standby", 9121)]

        async def is_let_go() -> bool:
            return not device.subscriptions and threading.active_count() <= threads

        await until(is_let_go, within_s=10, what="unsubscribed, its threads ended")


async def test_the_loss_of_a_device_is_told_and_a_device_that_is_gone_is_weather() -> None:
    with ventilator(SERIAL) as device:
        link = await SdcPeer(device.address).transport().connect()
    try:
        await link.read()  # who it is, which came before the loss
        await link.write(sdc.adapter(period_s=60).poll())
        async with asyncio.timeout(20):
            with pytest.raises(Unavailable):
                await link.read()
    finally:
        await link.close()
    with pytest.raises(Unavailable, match="Connection refused; check its address"):
        await SdcPeer(device.address).transport().connect()
    nobody = SdcPeer(uuid.UUID(int=1).urn, our_address=LOOPBACK)
    with pytest.raises(Unavailable, match=r"not found within 4 s on 127\.0\.0\.1"):
        await nobody.transport().connect()


async def test_with_tls_both_sides_must_know_each_other(tmp_path: Path) -> None:
    need("openssl")
    own, other = await certificate(tmp_path, "own"), await certificate(tmp_path, "other")

    def contexts() -> SSLContextContainer:
        return mk_ssl_contexts(own.key, own.chain, own.chain)

    def peer(address: str, authority: Path, chain: Path = own.chain, key: Path = own.key) -> SdcPeer:
        return SdcPeer(address, certificate=chain, key=key, authority=authority)

    with ventilator(SERIAL, contexts=contexts()) as device:
        assert device.address.startswith("https://")
        async with listening(peer(device.address, own.chain)) as link:
            device.alert(SATURATION_LOW, is_present=True)
            await link.next()
            assert [edge[0] for edge in edges(link.said)] == ["196670"]
        with pytest.raises(Unavailable, match="TLS: its certificate is not accepted"):
            await peer(device.address, other.chain).transport().connect()
        with pytest.raises(Unavailable):
            await peer(device.address, own.chain, other.chain, other.key).transport().connect()
        with pytest.raises(SettingsError, match="no such file"):
            await peer(device.address, tmp_path / "none.pem").transport().connect()


def _site(folder: Path, broker: Broker) -> Stand:
    """A collector whose rules know the alarm, and the device as an asset."""
    stand = Stand(folder, broker, None, assets=[])
    rules = folder / "rules"
    rules.mkdir()
    (rules / "sdc-battery.yaml").write_text(RULE.lstrip())
    settings = folder / "collector.toml"
    told = settings.read_text().replace(str(DEMO_RULES), str(rules))
    alias = f'{{protocol = "sdc", namespace = "{MANUFACTURER}", identifier = "{SERIAL}"}}'
    asset = f'[[asset]]\nid = "HN01-0001"\nward = "ICU"\ndevice_type = "ventilator"\naliases = [{alias}]\n'
    settings.write_text(told + asset)
    return stand


@asynccontextmanager
async def _host(folder: Path, broker: Broker, endpoint: uuid.UUID) -> AsyncIterator[None]:
    """An adapter host that knows the device by its endpoint reference."""
    reached = SdcPeer(endpoint.urn, our_address=LOOPBACK)
    async with open_host(
        HostSettings(PUBLISHER, folder / "outbox.db", (DeviceSettings("sdc-1", "sdc", reached, poll_s=1),)),
        link=MqttLink(
            host_mqtt.Broker(LOOPBACK, broker.port, PUBLISHER, password(PUBLISHER)), publisher=PUBLISHER
        ),
        protocols=registry.protocols(),
        clock=system_clock(),
        rng=random.SystemRandom(),
        machine="",
    ) as host:
        running = asyncio.create_task(host.run())
        try:
            yield
        finally:
            host.stop()
            await running


async def test_found_by_its_endpoint_it_opens_a_ticket_and_is_compared_after_a_restart(
    tmp_path: Path, mosquitto: Broker
) -> None:
    endpoint = uuid.uuid4()
    stand = _site(tmp_path, mosquitto)

    async def stored(kind: str, count: int) -> bool:
        line = (await stand.accounting()).kinds.get(kind)
        return line is not None and line.stored >= count

    try:
        await stand.part("run", "collector.toml").start()
        await stand.collecting()
        async with _host(tmp_path, mosquitto, endpoint):
            with ventilator(SERIAL, endpoint=endpoint, is_announced=True) as device:
                device.admit(PATIENT)
                device.alert(BATTERY_LOW, is_present=True)
                await until(lambda: stored("alarm", 1), within_s=60, what="the battery's alarm")
            await until(lambda: stored("status", 2 + 1), within_s=60, what="the word that it is offline")
            with ventilator(SERIAL, endpoint=endpoint, is_announced=True) as device:
                device.admit(PATIENT)
                device.work(Activation.IN_USE, hours=3)
                await until(lambda: stored("alarm", 2), within_s=60, what="its end, seen after the restart")
        (ticket,) = await stand.read("tickets", "list")
        assert (ticket["asset"], ticket["rule"], ticket["occurrences"]) == ("HN01-0001", "sdc-battery", 1)
        _holds_nobody(tmp_path)
    finally:
        await stand.end()


def _holds_nobody(folder: Path) -> None:
    """Fail if any file holds a word of the patient, or the vital value."""
    words = [word.encode() for word in (*PATIENT.split(), VITAL_VALUE)]
    for file in folder.rglob("*"):
        if file.is_file():
            held = file.read_bytes()
            assert not any(word in held for word in words), file
