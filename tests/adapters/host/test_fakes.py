"""The fakes do what the tests rely on."""

from __future__ import annotations

import asyncio

import pytest

from adapters.host.link import Will
from telemetry.control import StreamSync, Sync, read_confirmed
from telemetry.errors import Unavailable
from tests.adapters.host.fakes import (
    FakeBroker,
    FakeCollector,
    FakeLine,
    FakeTransport,
    Published,
    StillClock,
)

WILL = Will("hourmeter/1/h/_link/status", b"gone")


def _message(seq: int, payload: bytes = b"x") -> Published:
    return Published(
        "hourmeter/1/h/d/usage",
        payload,
        (("stream", "b-1"), ("seq", str(seq)), ("boot", "b"), ("mono_ms", "1")),
        False,
    )


async def test_the_clock_wakes_sleepers_only_when_their_time_has_come() -> None:
    clock = StillClock()
    early, late = asyncio.create_task(clock.sleep(1)), asyncio.create_task(clock.sleep(3))
    await asyncio.sleep(0)
    clock.move(2)
    await early
    assert not late.done()
    clock.move(1)
    await late


def test_the_collector_confirms_up_to_the_first_hole_and_counts_duplicates() -> None:
    collector = FakeCollector("e")
    for seq in (1, 2, 4, 2):
        collector.take(_message(seq))
    assert (collector.marks(), collector.duplicates) == ({"b-1": 2}, 1)


def test_the_collector_takes_no_other_payload_under_a_number() -> None:
    collector = FakeCollector("e")
    collector.take(_message(1))
    with pytest.raises(AssertionError):
        collector.take(_message(1, b"another"))


def test_the_collector_does_not_wait_for_what_is_no_longer_held() -> None:
    collector = FakeCollector("e")
    sync = Sync(
        boot="b", mono_ms=1, clock_ms=1, streams=(StreamSync(stream="b-1", held_from=5, sent_through=5),)
    )
    collector.take(Published("hourmeter/1/h/_link/sync", sync.model_dump_json().encode(), (), False))
    collector.take(_message(5))
    assert read_confirmed(collector.confirmation()).streams == {"b-1": 5}


async def test_the_broker_gives_the_retained_confirmation_and_fails_what_is_cut_off() -> None:
    broker = FakeBroker()
    broker.confirm(b"old")
    async with broker.connect(WILL) as connection:
        heard = connection.confirmations()
        assert await anext(heard) == b"old"
        broker.cut()
        with pytest.raises(Unavailable):
            await anext(heard)
        with pytest.raises(Unavailable):
            await connection.publish("t", b"", properties=(), retain=False)
    assert broker.spoken_wills == [WILL]


async def test_the_broker_acknowledges_what_it_loses() -> None:
    broker = FakeBroker(collector=FakeCollector("e"), loses=lambda _: True)
    async with broker.connect(WILL) as connection:
        message = _message(1)
        await connection.publish(message.topic, b"x", properties=message.properties, retain=False)
    assert broker.collector is not None
    assert broker.published
    assert not broker.collector.streams


async def test_the_transport_gives_its_links_and_then_none() -> None:
    line = FakeLine()
    transport = FakeTransport(line)
    assert await transport.connect() is line
    line.incoming.put_nowait(b"h")
    assert await line.read() == b"h"
    with pytest.raises(Unavailable):
        await transport.connect()
