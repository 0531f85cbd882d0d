"""A publisher that knows only MQTT 3.1.1 and JSON: counted, stored as unsequenced, concluded; its limits."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from collector.accounting import Line
from desk.broker import Broker
from desk.child import LOOPBACK
from telemetry.messages import MAX_PAYLOAD_BYTES
from tests.house.tree import ROOT
from tests.system.conftest import need
from tests.system.servers import Influx, password
from tests.system.stand import PUBLISHER, Stand, until

pytestmark = pytest.mark.system

SERIAL = "3510072467"
TOPIC = f"hourmeter/1/{PUBLISHER}/vent-1"
NOWHERE = Line(0, 0, 0, 0, 0, 0, 0)


def said(body: dict[str, object], **more: object) -> bytes:
    """A payload as somebody would write it who has read the schemas."""
    alias = {"protocol": "puritan-bennett", "namespace": "840", "identifier": SERIAL}
    return json.dumps({"alias": alias, **more, "body": body}).encode()


def usage(hours: float) -> bytes:
    meter = {"meter": "power_on_h", "provenance": "reported", "value": hours}
    return said({"kind": "usage", "state": "in_use", "period_s": 60, "meters": [meter]})


def alarm(phase: str, condition: str) -> bytes:
    return said(
        {
            "kind": "alarm",
            "key": "122/1",
            "code": "122",
            "text": "low O2 supply",
            "alarm_kind": "technical",
            "priority": "low",
            "phase": phase,
            "condition": condition,
        }
    )


class Site:
    """A collector at work, and what the third party does."""

    def __init__(self, stand: Stand, influx: Influx, port: int) -> None:
        self.stand = stand
        self.influx = influx
        self.port = port

    @asynccontextmanager
    async def client(
        self, protocol: aiomqtt.ProtocolVersion = aiomqtt.ProtocolVersion.V311
    ) -> AsyncIterator[aiomqtt.Client]:
        """A plain client of the third party's user."""
        async with aiomqtt.Client(
            LOOPBACK, self.port, username=PUBLISHER, password=password(PUBLISHER), protocol=protocol
        ) as client:
            yield client

    async def line(self, kind: str) -> Line:
        """Where all messages of a kind are."""
        found = await self.stand.accounting()
        assert found.total.unaccounted == 0
        return found.kinds.get(kind, NOWHERE)

    async def settled(self, kind: str, *, received: int) -> Line:
        """Where they are once so many have come in, and history and rules have passed them."""

        async def have_passed() -> bool:
            return (await self.line(kind)).received >= received and not (
                await self.stand.accounting()
            ).is_pending

        await until(have_passed, within_s=60, what=f"{received} of {kind} passed")
        return await self.line(kind)


@pytest.fixture
async def site(tmp_path: Path, mosquitto: Broker, influx: Influx) -> AsyncIterator[Site]:
    """A collector with InfluxDB and rules, connected."""
    stand = Stand(tmp_path, mosquitto, influx, assets=[SERIAL])
    try:
        yield await _running(stand, influx, mosquitto)
    finally:
        await stand.end()


async def _running(stand: Stand, influx: Influx, mosquitto: Broker) -> Site:
    await stand.part("run", "collector.toml").start()
    await stand.collecting()

    async def has_looked() -> bool:
        return (stand.folder / "data/ledger.db").exists() and (await stand.accounting()).rules is not None

    await until(has_looked, within_s=60, what="journal and ledger")
    return Site(stand, influx, mosquitto.port)


async def test_plain_json_is_counted_stored_as_unsequenced_and_concluded(site: Site) -> None:
    async with site.client() as client:
        for qos in (0, 1):
            await client.publish(f"{TOPIC}/usage", usage(100 + qos), qos=qos)
            await site.settled("usage", received=1 + qos)
        await client.publish(f"{TOPIC}/alarm", alarm("start", "active"), qos=1)
        await client.publish(f"{TOPIC}/alarm", alarm("start", "active"), qos=1)
        await client.publish(f"{TOPIC}/alarm", alarm("end", "inactive"), qos=1)
    told = await site.settled("usage", received=2)
    assert (told.received, told.stored) == (2, 2)
    assert (await site.settled("alarm", received=3)).stored == 3
    rows = await site.influx.query('SELECT sequenced, state, alias_identifier FROM "usage"')
    assert [(row["sequenced"], row["state"], row["alias_identifier"]) for row in rows] == [
        (False, "in_use", SERIAL)
    ] * 2
    meters = await site.influx.query('SELECT value FROM "meter"')
    assert [row["value"] for row in meters] == [100, 101]
    (asset,) = (await site.stand.read("devices"))["assets"]
    (ticket,) = await site.stand.read("tickets", "list")
    assert (ticket["asset"], ticket["rule"], ticket["occurrences"]) == (
        asset["asset"],
        "demo-o2-supply-low",
        1,
    )
    assert "101" in json.dumps(asset["meters"])


async def test_a_retained_state_told_again_is_a_duplicate_and_a_repeated_message_counts_twice(
    site: Site,
) -> None:
    identity = said({"kind": "identity", "manufacturer": "Puritan Bennett", "model": "840"})
    observed = said({"kind": "usage", "state": "idle", "period_s": 60}, observed_at="2026-11-22T04:30:00Z")
    async with site.client() as client:
        for _ in range(2):
            await client.publish(f"{TOPIC}/identity", identity, qos=1, retain=True)
            await client.publish(f"{TOPIC}/usage", observed, qos=1)
    line = await site.settled("identity", received=2)
    assert (line.received, line.stored, line.duplicate) == (2, 1, 1)
    line = await site.settled("usage", received=2)
    assert (line.stored, line.duplicate) == (2, 0)
    assert len(await site.influx.query('SELECT state FROM "usage"')) == 1, "it overwrites itself"


async def test_what_is_wrong_is_a_dead_letter_that_says_what_would_be_right(site: Site) -> None:
    part = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho has no types here
    part.UserProperty = [("stream", "a"), ("seq", "1")]
    async with site.client(aiomqtt.ProtocolVersion.V5) as client:
        await client.publish(f"{TOPIC}/usage", usage(1), qos=1, properties=part)
    async with site.client() as client:
        await client.publish(f"{TOPIC}/usage", b"12.5", qos=1)
        await client.publish(f"{TOPIC}/usage", said({"kind": "usage", "state": "busy", "period_s": 1}), qos=1)
        await client.publish(f"{TOPIC}/alarm", usage(1), qos=1)
        await client.publish(f"{TOPIC}/usage", b" " * (MAX_PAYLOAD_BYTES + 1), qos=1)
        await client.publish(f"{TOPIC}/spo2", b"97", qos=1)
        await client.publish(f"{TOPIC}/usage", usage(2), qos=1)
    line = await site.settled("usage", received=5)
    assert (line.received, line.stored, line.dead_lettered) == (5, 1, 4)
    assert (await site.settled("other", received=1)).privacy == 1
    assert (await site.settled("alarm", received=1)).dead_lettered == 1
    reasons = [one["reason"] for one in await site.stand.read("dead", "list")]
    for expected in (
        "envelope lacks boot, mono_ms",
        "payload: Input should be",
        "body.usage.state: Input should be 'in_use'",
        "body is of kind usage, its topic says alarm",
        f"payload of {MAX_PAYLOAD_BYTES + 1} bytes; at most {MAX_PAYLOAD_BYTES} are allowed",
    ):
        assert [reason for reason in reasons if expected in reason], (expected, reasons)


async def test_nobody_speaks_for_another_and_nothing_is_confirmed(site: Site) -> None:
    async with site.client() as client:
        await client.subscribe("hourmeter/1/+/confirmed", qos=1)
        await client.publish("hourmeter/1/host-b/vent-1/usage", usage(1), qos=1)
        await client.publish(f"hourmeter/1/{PUBLISHER}/confirmed", b"{}", qos=1, retain=True)
        await client.publish(f"{TOPIC}/usage", usage(2), qos=1)
        line = await site.settled("usage", received=1)
        assert (line.received, line.stored) == (1, 1)
        assert len(client.messages) == 0
    rows = await site.influx.query('SELECT state, publisher FROM "usage"')
    assert [row["publisher"] for row in rows] == [PUBLISHER]


def blocks(language: str) -> list[str]:
    """The page's blocks in a language."""
    page = (ROOT / "docs/publishers.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def _as_here(text: str, port: int) -> str:
    """The example with this test's broker and user in the place of the page's."""
    for told, here in (
        ("broker.hospital.example", LOOPBACK),
        ("-p 1883", f"-p {port}"),
        ("HN01-lab", PUBLISHER),
        ("the password", password(PUBLISHER)),
    ):
        assert told in text
        text = text.replace(told, here)
    return text


async def test_the_example_of_the_page_works_as_it_stands(
    tmp_path: Path, mosquitto: Broker, influx: Influx
) -> None:
    need("mosquitto_pub")
    stand = Stand(tmp_path, mosquitto, influx, assets=[])
    (asset,) = blocks("toml")
    settings = tmp_path / "collector.toml"
    settings.write_text(settings.read_text() + asset)
    script = "set -eu\n" + _as_here("".join(blocks("sh")), mosquitto.port)
    try:
        site = await _running(stand, influx, mosquitto)
        shell = await asyncio.create_subprocess_exec(
            "bash", "-c", script, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        )
        assert await shell.wait() == 0
        assert (tmp_path / ".config/mosquitto_pub").stat().st_mode & 0o077 == 0
        assert (await site.settled("usage", received=1)).stored == 1
        assert (await site.settled("fault", received=1)).stored == 1
        (row,) = (await stand.read("devices"))["assets"]
        assert (row["asset"], row["ward"], row["operating"]) == ("HN01-0815", "ICU", "in_use")
        assert "1042.5" in json.dumps(row["meters"])
        (fault,) = await influx.query('SELECT code, effect, sequenced FROM "fault"')
        assert (fault["code"], fault["effect"], fault["sequenced"]) == ("E12", "service_soon", False)
    finally:
        await stand.end()
