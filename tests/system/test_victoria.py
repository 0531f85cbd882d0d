"""The write half of a history against a real server that takes InfluxDB 2's write API.

VictoriaMetrics drops what it cannot read with a 204 and forgets in a kill what it acknowledged: it proves
what goes over the wire, never that a point is durable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from collector.history import Misconfigured, Point
from collector.influx2 import Influx2History, Influx2Settings
from collector.lineprotocol import encode
from collector.points import points
from telemetry.errors import Unavailable
from telemetry.messages import Message
from tests.collector.histories import MESSAGES, T0_MS, record
from tests.system.servers import Victoria

pytestmark = pytest.mark.system

MOMENTS = count(T0_MS)
"""A millisecond for each message: VictoriaMetrics keeps no more of a time."""


@asynccontextmanager
async def history_in(server: Victoria) -> AsyncIterator[Influx2History]:
    history = Influx2History(Influx2Settings(2, server.url, "hourmeter", "any", org="any", batch_points=500))
    try:
        yield history
    finally:
        await history.close()


def held(found: list[Point]) -> set[tuple[str, frozenset[tuple[str, str]], int]]:
    """Each field of each point as VictoriaMetrics knows it, but for texts: it has no word for them."""
    return {
        (f"{point.measurement}_{name}", frozenset(point.tags), point.time_ns // 1_000_000)
        for point in found
        for name, value in point.fields
        if not isinstance(value, str)
    }


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate],  # a server that keeps every example allows no shrinking
)
@given(messages=st.lists(MESSAGES, min_size=1, max_size=10))
async def test_every_message_of_the_language_is_read_as_it_was_written(
    victoria: Victoria, messages: list[Message]
) -> None:
    records = [record(message, event_ms=next(MOMENTS)) for message in messages]
    everything = [point for entry in records for point in points(entry)]
    found = [point for point in everything if b"\n" not in encode(point)]  # which this server does not read
    async with history_in(victoria) as history:
        assert await history.write(found) == ()
    samples = [one for kind in {p.measurement for p in found} for one in await victoria.samples(kind)]
    seen = {
        (
            metric["__name__"],
            frozenset((name, value) for name, value in metric.items() if name != "__name__"),
            ms,
        )
        for metric, ms, _ in samples
    }
    assert held(found) <= seen
    assert await victoria.invalid_lines() == 0


async def test_a_large_write_is_all_there_and_written_again_it_is_there_once(victoria: Victoria) -> None:
    found = [
        Point("m", (("device", f"v{n % 7}"),), (("n", float(n)),), (T0_MS + n) * 1_000_000)
        for n in range(6_000)
    ]
    async with history_in(victoria) as history:
        for _ in range(2):
            assert await history.write(found) == ()
    samples = await victoria.samples("m")
    assert sorted(value for _, _, value in samples) == [float(n) for n in range(6_000)]
    assert {(int(value) % 7, metric["device"]) for metric, _, value in samples} == {
        (n, f"v{n}") for n in range(7)
    }


async def test_it_is_ready_to_be_written_to_and_not_to_be_read(victoria: Victoria) -> None:
    async with history_in(victoria) as history:
        await history.prepare()
        with pytest.raises(Misconfigured, match="not as InfluxDB does"):
            await history.marker("e1")


async def test_a_killed_server_is_weather_and_what_is_written_again_is_there(victoria: Victoria) -> None:
    found = [Point("m", (), (("n", 1.0),), T0_MS * 1_000_000)]
    async with history_in(victoria) as history:
        assert await history.write(found) == ()
        await victoria.kill()
        with pytest.raises(Unavailable):
            await history.write(found)
        await victoria.start()
        assert await history.write(found) == ()
    assert len(await victoria.samples("m")) == 1
