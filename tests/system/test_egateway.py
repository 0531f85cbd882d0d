"""Monitors behind a simulated Mindray eGateway, through a real socket into the gateway of a host."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from adapters.host import mllp_settings
from adapters.host.mllp import gateway
from adapters.simulators.hl7_gateway_line import Network, Pusher, Record
from adapters.simulators.hl7_gateway_messages import PERSON_NAME, PERSON_NUMBER, VITAL_VALUE
from adapters.simulators.hl7_gateway_mindray import egateway
from desk.child import LOOPBACK, free_port
from desk.clock import system_clock
from telemetry.messages import Alarm
from tests.adapters.host.gateways import FakeOutbox

MONITORS = 12
BEGIN = datetime(2026, 1, 8, 2, 50, tzinfo=UTC)
HALF = timedelta(minutes=30)


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
