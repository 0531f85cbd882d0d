"""The publisher's link on a real Mosquitto: order, wills, refusals, kills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiomqtt
import pytest

from adapters.host.lanes import Lane, Unsent
from adapters.host.link import Will
from adapters.host.mqtt import Broker, MqttLink, Tls
from adapters.host.outbox import Outbox, open_outbox
from adapters.host.pace import Pace
from adapters.host.publisher import Publisher
from desk.broker import COLLECTOR
from desk.broker import Broker as Mosquitto
from telemetry import topics
from telemetry.control import Confirmed
from telemetry.errors import SettingsError, Unavailable
from tests.adapters.host.fakes import FakeCollector, Published, StillClock, dice, until
from tests.system import servers
from tests.system.conftest import need

pytestmark = pytest.mark.system
WILL = Will("hourmeter/1/host-a/_link/status", b'"gone"')


@pytest.fixture
async def mosquitto(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    need("mosquitto")
    broker = servers.mosquitto(tmp_path / "mosquitto")
    await broker.start()
    yield broker
    await broker.stop()


def link(broker: Mosquitto, publisher: str = "host-a", **change: object) -> MqttLink:
    given = {
        "host": "127.0.0.1",
        "port": broker.port,
        "username": publisher,
        "password": servers.password(publisher),
        "timeout_s": 5.0,
        **change,
    }
    return MqttLink(Broker(**given), publisher=publisher)  # type: ignore[arg-type] # fields by name


@asynccontextmanager
async def observer(broker: Mosquitto, **options: object) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client(
        "127.0.0.1",
        broker.port,
        username=COLLECTOR,
        password=servers.password(COLLECTOR),
        protocol=aiomqtt.ProtocolVersion.V5,
        **options,  # type: ignore[arg-type] # options of the client by name
    ) as client:
        await client.subscribe(topics.EVERYTHING, qos=1)
        yield client


async def heard(client: aiomqtt.Client) -> Published:
    message = await anext(client.messages)
    properties = getattr(message.properties, "UserProperty", [])
    assert isinstance(message.payload, bytes)
    return Published(str(message.topic), message.payload, tuple(properties), message.retain)


async def test_publishes_keep_the_order_of_calls_beyond_the_receive_maximum(mosquitto: Mosquitto) -> None:
    topic = "hourmeter/1/host-a/vent/usage"
    async with observer(mosquitto) as ear, link(mosquitto).connect(WILL) as connection, asyncio.timeout(20):
        async with asyncio.TaskGroup() as group:
            for n in range(500):
                properties = [("stream", "b-1"), ("seq", str(n))]
                group.create_task(connection.publish(topic, b"%d" % n, properties=properties, retain=False))
        received = [await heard(ear) for _ in range(500)]
    assert [int(one.payload) for one in received] == list(range(500))
    assert received[7].properties == (("stream", "b-1"), ("seq", "7"))


async def test_the_retained_confirmation_comes_first_and_then_each_new_one(mosquitto: Mosquitto) -> None:
    async with observer(mosquitto) as collector, asyncio.timeout(20):
        await collector.publish(topics.confirmed("host-a"), b"old", qos=1, retain=True)
        async with link(mosquitto).connect(WILL) as connection:
            confirmations = connection.confirmations()
            assert await anext(confirmations) == b"old"
            await collector.publish(topics.confirmed("host-a"), b"new", qos=1, retain=True)
            assert await anext(confirmations) == b"new"


async def test_leaving_in_peace_speaks_no_will_and_a_takeover_does(mosquitto: Mosquitto) -> None:
    async with observer(mosquitto) as ear, asyncio.timeout(20):
        async with link(mosquitto).connect(WILL):
            pass
        async with link(mosquitto).connect(WILL) as first:
            confirmations = first.confirmations()
            async with link(mosquitto).connect(Will(WILL.topic, b'"second"')) as second:
                with pytest.raises(Unavailable):
                    await anext(confirmations)
                await second.publish(WILL.topic, b'"born"', properties=(), retain=True)
                spoken = [(await heard(ear)).payload for _ in range(2)]
    assert spoken == [b'"gone"', b'"born"']


async def test_a_refused_password_says_what_to_check(mosquitto: Mosquitto) -> None:
    with pytest.raises(SettingsError, match=r"refuses user 'host-a'.*check host.publisher, the password"):
        async with link(mosquitto, password=servers.password("another")).connect(WILL):
            pass


async def test_a_broker_that_is_away_is_weather(mosquitto: Mosquitto) -> None:
    await mosquitto.stop()
    with pytest.raises(Unavailable, match="refused"):
        async with link(mosquitto).connect(WILL):
            pass


async def test_a_killed_broker_ends_listening_and_publishing(mosquitto: Mosquitto) -> None:
    async with asyncio.timeout(20):
        async with link(mosquitto).connect(WILL) as connection:
            await mosquitto.kill()
            with pytest.raises(Unavailable):
                await anext(connection.confirmations())
            with pytest.raises(Unavailable):
                await connection.publish(WILL.topic, b"", properties=(), retain=False)


async def test_nobody_confirms_for_the_collector(mosquitto: Mosquitto) -> None:
    """The broker's access list drops a forged confirmation of another publisher, and of the same one."""
    async with (
        asyncio.timeout(20),
        observer(mosquitto) as collector,
        link(mosquitto).connect(WILL) as connection,
        link(mosquitto, "host-b").connect(Will("hourmeter/1/host-b/_link/status", b"")) as other,
    ):
        for forger in (other, connection):
            await forger.publish(topics.confirmed("host-a"), b"forged", properties=(), retain=True)
        await collector.publish(topics.confirmed("host-a"), b"true", qos=1, retain=True)
        assert await anext(connection.confirmations()) == b"true"


async def closing_server(answer: bytes) -> asyncio.Server:
    """A server that reads the greeting, says that, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


async def test_a_broker_that_closes_without_a_word_is_named_after_three_times() -> None:
    async with await closing_server(b"") as server:
        one = MqttLink(Broker("127.0.0.1", port_of(server), timeout_s=0.2), publisher="host-a")
        for _ in range(2):
            with pytest.raises(Unavailable, match="closed the connection without a word"):
                async with one.connect(WILL):
                    pass
        with pytest.raises(SettingsError, match="must be a broker that speaks MQTT 5"):
            async with one.connect(WILL):
                pass


@pytest.mark.parametrize("connack", [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00"])
async def test_a_broker_without_mqtt_5_is_named(connack: bytes) -> None:
    async with await closing_server(connack) as server:
        one = MqttLink(Broker("127.0.0.1", port_of(server), timeout_s=0.5), publisher="host-a")
        with pytest.raises(SettingsError, match="must be a broker that speaks MQTT 5"):
            async with one.connect(WILL):
                pass


async def test_a_server_that_never_answers_is_weather_and_leaves_no_socket_open() -> None:
    closed = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal closed
        await reader.read()
        writer.close()
        await writer.wait_closed()
        closed += 1

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        one = MqttLink(Broker("127.0.0.1", port_of(server), timeout_s=0.2), publisher="host-a")
        for _ in range(4):
            with pytest.raises(Unavailable):
                async with one.connect(WILL):
                    pass
        await until(lambda: closed == 4)


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for ca in (tmp_path / "ca.pem", tmp_path / "none.pem"):
        with pytest.raises(SettingsError, match=ca.name):
            MqttLink(Broker("broker", tls=Tls(ca)), publisher="host-a")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho's half-open socket
async def test_a_plain_port_that_is_spoken_to_in_tls_is_weather(mosquitto: Mosquitto) -> None:
    with pytest.raises(Unavailable):
        async with link(mosquitto, tls=Tls()).connect(WILL):
            pass


async def collect(broker: Mosquitto, collector: FakeCollector) -> None:
    """A collector on the real broker, with a session that the broker keeps."""
    while True:
        with suppress(aiomqtt.MqttError):
            async with observer(broker, identifier="collector", timeout=1) as client:
                while True:
                    collector.take(await heard(client))
                    if len(client.messages):
                        continue
                    payload = Confirmed(epoch=collector.epoch, streams=collector.marks()).model_dump_json()
                    await client.publish(topics.confirmed("host-a"), payload.encode(), qos=1, retain=True)
        await asyncio.sleep(0.05)


@asynccontextmanager
async def at_work(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def put(outbox: Outbox, *, first: int, count: int) -> None:
    await outbox.put_many(
        [
            Unsent("vent", "alarm" if n % 7 == 0 else "usage", b"%d" % n, "boot-1", n)
            for n in range(first, first + count)
        ]
    )


async def test_nothing_is_lost_when_the_broker_is_killed_and_wiped(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """1,000 messages through two kills of the broker; its store is kept once and deleted once."""
    collector = FakeCollector("e")
    pace = Pace(resend_s=1.0, greet_s=0.3, backoff_first_s=0.05, backoff_most_s=0.2)
    clock = StillClock()
    async with (
        asyncio.timeout(60),
        open_outbox(tmp_path / "outbox", machine="m", clock=clock, rng=dice(1)) as outbox,
    ):
        publisher = Publisher("host-a", outbox, link(mosquitto), clock, dice(2), pace)
        async with at_work(collect(mosquitto, collector)), at_work(publisher.run()):
            await put(outbox, first=0, count=300)
            await until(lambda: publisher.health.confirmed > 50)
            await mosquitto.kill()
            await put(outbox, first=300, count=400)
            await mosquitto.start()
            await until(lambda: publisher.health.confirmed > 350)
            await mosquitto.kill()
            mosquitto.wipe()
            await put(outbox, first=700, count=300)
            await mosquitto.start()
            await outbox.settled.wait()
        assert outbox.standing[Lane.BULK].unconfirmed == 0
    assert sorted(map(int, collector.payloads())) == list(range(1_000))
