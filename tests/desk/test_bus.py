"""The bus carries in order, waits when full, and tells each publisher its confirmations."""

from __future__ import annotations

import asyncio

from adapters.host.link import Link, Will
from collector.inbound import Inbound
from desk.bus import ROOM, Bus, BusInbound, BusLink

NO_WILL = Will("hourmeter/1/a/_link/status", b"")


async def test_both_ends_have_the_shapes_of_mqtt() -> None:
    link: Link = BusLink(Bus(), "a")
    inbound: Inbound = BusInbound(Bus())
    assert link
    assert inbound


async def test_messages_arrive_in_order_with_their_properties() -> None:
    bus = Bus()
    async with BusLink(bus, "a").connect(NO_WILL) as connection, BusInbound(bus).connect() as session:
        for n in range(3):
            await connection.publish(f"t{n}", b"x", properties=[("seq", str(n))], retain=n == 1)
        received = await session.receive()
    assert [(r.topic, r.properties, r.retain) for r in received] == [
        (f"t{n}", (("seq", str(n)),), n == 1) for n in range(3)
    ]


async def test_a_publisher_hears_the_retained_confirmation_and_each_change_of_its_own_only() -> None:
    bus = Bus()
    async with BusInbound(bus).connect() as session:
        await session.publish("hourmeter/1/b/confirmed", b"other", retain=True)
        await session.publish("hourmeter/1/a/confirmed", b"1", retain=True)
        async with asyncio.timeout(5), BusLink(bus, "a").connect(NO_WILL) as connection:
            heard = connection.confirmations()
            assert await anext(heard) == b"1"
            await session.publish("hourmeter/1/a/confirmed", b"2", retain=True)
            assert await anext(heard) == b"2"


async def test_a_publisher_waits_while_the_collector_is_behind() -> None:
    bus = Bus()
    async with BusLink(bus, "a").connect(NO_WILL) as connection, BusInbound(bus).connect() as session:
        for _ in range(ROOM):
            await connection.publish("t", b"", properties=(), retain=False)
        one_more = asyncio.ensure_future(connection.publish("t", b"", properties=(), retain=False))
        done, _ = await asyncio.wait([one_more], timeout=0)
        assert not done
        assert len(await session.receive()) == ROOM
        async with asyncio.timeout(5):
            await one_more
