"""Monitors behind a simulated Mindray eGateway, through a real socket into the gateway of a host."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from adapters.host import mllp_settings
from adapters.host.mllp import gateway
from adapters.simulators.hl7_gateway_line import Network, Pusher, Record
from adapters.simulators.hl7_gateway_messages import PERSON_NAME, PERSON_NUMBER, VITAL_VALUE
from adapters.simulators.hl7_gateway_mindray import egateway
from desk.broker import Broker
from desk.child import LOOPBACK, free_port
from desk.clock import system_clock
from desk.compose import Part
from telemetry.messages import Alarm
from tests.adapters.host.gateways import FakeOutbox
from tests.system.in_process import in_process

MONITORS = 12
BEGIN = datetime(2026, 1, 8, 2, 50, tzinfo=UTC)
HALF = timedelta(minutes=30)
RULE = """
id: monitor-battery
title: Battery of a monitor is low
any:
  - alarm: {codes: ["196802"], kind: technical}
kind: repair
priority: P3
action: Put the monitor on mains, and test its battery by the manual.
checklist: [Mains cable, Battery test]
source: {document: IHE Devices TF Rev 10.0, status: P, note: for tests}
confirmed_by: {name: Test, date: 2026-11-22, manual: none}
stories:
  - name: a battery that is low opens
    shows: opens
    timeline:
      - alarm: {code: "196802", phase: start}
      - expect: {tickets: 1}
  - name: an electrode that came off is work for the ward
    shows: quiet
    timeline:
      - alarm: {code: "196670", phase: start}
      - expect: {tickets: 0}
  - name: the work done closes it
    shows: resolves
    timeline:
      - alarm: {code: "196802", phase: start}
      - close: {}
      - expect: {tickets: 0}
"""
ASSETS = """
[[asset]]
id = "HN01-0001"
ward = "ICU"
device_type = "monitor"
manufacturer = "Mindray"
aliases = [{protocol = "hl7", namespace = "mindray.com", identifier = "F0000001EX"}]
"""


@pytest.mark.system
async def test_over_a_bad_network_each_monitor_keeps_its_alerts_and_each_message_is_answered() -> None:
    devices = egateway(monitors=MONITORS, start=BEGIN)
    said = [one for n in range(14) for one in devices.said(BEGIN + HALF * n, BEGIN + HALF * (n + 1))]
    outbox, record = FakeOutbox(), Record()
    listener = gateway(
        mllp_settings.GatewaySettings("monitors", free_port()), outbox=outbox, clock=system_clock()
    )
    listening = asyncio.create_task(listener.run())
    await listener.listening.wait()
    rng = Random(3)  # noqa: S311 - the faults of a network
    network = Network(lost_answers=0.03, piece_bytes=256, piece_s=0.0002, cuts_after=(90,))
    pusher = Pusher(LOOPBACK, listener.settings.port, rng, record, network, window=8, answer_s=1.0)
    pushing = asyncio.create_task(pusher.run())
    try:
        pusher.push(said)
        async with asyncio.timeout(30):
            await pusher.all_answered()
        assert (record.unanswered, listener.health.tally.refusals) == (0, 0)
        assert len(record.messages) == listener.health.tally.heard == len(said)
    finally:
        for task in (pushing, listening):
            task.cancel()
        await asyncio.gather(pushing, listening, return_exceptions=True)
    edges = Counter(
        (one.alias.identifier, one.body.code, str(one.body.phase))
        for one in outbox.said()
        if isinstance(one.body, Alarm)
        and one.alias is not None
        and one.body.raw.startswith(("stands", "not"))
    )
    serials = sorted({identifier for identifier, _, _ in edges})
    assert len(serials) == MONITORS
    assert all(
        edges[serial, "MNDRY_EVT_LEAD_OFF", phase] == 1 for serial in serials for phase in ("start", "end")
    )
    assert sum(count for (_, code, _), count in edges.items() if code == "196802") == 2
    carried = b"".join(one.payload for one in outbox.held)
    assert not any(word.encode() in carried for word in (PERSON_NAME, PERSON_NUMBER, VITAL_VALUE))


@pytest.mark.system
async def test_a_battery_low_for_hours_of_a_wrong_clock_is_one_ticket(
    tmp_path: Path, mosquitto: Broker
) -> None:
    """Told as an alert and in each report that it stands, over a link that is cut, seven years behind."""
    start = BEGIN - timedelta(days=7 * 365)
    devices = egateway(monitors=2, start=start)
    said = [one for n in range(14) for one in devices.said(start + HALF * n, start + HALF * (n + 1))]
    port = free_port()
    gateways = f'[[gateway]]\nname = "monitors"\nport = {port}\n'
    async with in_process(tmp_path, mosquitto, devices=gateways, assets=ASSETS, rules=RULE) as site:
        await site.start("host.toml", frozenset({Part.ADAPT}))
        record, rng = Record(), Random(5)  # noqa: S311 - the faults of a network
        network = Network(piece_bytes=64, cuts_after=(10,))
        pusher = Pusher(LOOPBACK, port, rng, record, network, window=8, answer_s=2.0)
        pushing = asyncio.create_task(pusher.run())
        try:
            pusher.push(said)
            async with asyncio.timeout(30):
                await pusher.all_answered()
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)

        async def is_open() -> bool:
            return bool(await site.tickets())

        await site.until(is_open, what="a ticket")
        await site.stop("host.toml")
        found = await site.concluded()
        (ticket,) = await site.tickets()
        assert (ticket.asset, ticket.rule) == ("HN01-0001", "monitor-battery")
        assert [row.alias[2] for row in await site.unclaimed()] == ["F0000002EX"]
        assert found.total.received == found.total.stored
        assert found.kinds["alarm"].stored > 0
    site.holds_none_of((PERSON_NAME, PERSON_NUMBER, VITAL_VALUE))
