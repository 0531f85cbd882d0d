"""Messages in through a real Mosquitto: sessions, acknowledgements, access, TLS, back-pressure, poison."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import mqtt5
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from collector.inbound import Received, Session
from collector.mqtt import MqttInbound
from collector.mqtt_settings import MqttSettings, TakenOver
from desk.broker import COLLECTOR, Broker, Certificate
from desk.child import LOOPBACK
from telemetry.errors import SettingsError, Unavailable
from tests.system import servers
from tests.system.conftest import need

pytestmark = pytest.mark.system

RUN = "0001-a"
TOPIC = "hourmeter/1/host-a/v1/usage"


def settings(port: int, *, user: str = COLLECTOR, typed: str = "", window: int = 10_000) -> MqttSettings:
    """Settings of one user of the tests' broker; the client id is the user's."""
    secret = typed or servers.password(user)
    return MqttSettings(LOOPBACK, port, user, secret, client_id=user, window=window)


@asynccontextmanager
async def session(port: int, *, user: str = COLLECTOR, window: int = 10_000) -> AsyncIterator[Session]:
    """A session of one user, within a deadline for all that is done in it."""
    async with (
        asyncio.timeout(30),
        MqttInbound(settings(port, user=user, window=window), run=RUN).connect() as found,
    ):
        yield found


async def send(
    publisher: Session, payloads: Sequence[bytes], *, topic: str = TOPIC, retain: bool = False
) -> None:
    """Publish, and return when the broker has all."""
    await asyncio.gather(*(publisher.publish(topic, payload, retain=retain) for payload in payloads))


async def receive(collector: Session, count: int) -> list[Received]:
    """So many messages, in order."""
    received: list[Received] = []
    while len(received) < count:
        received.extend(await collector.receive())
    return received


async def until_lost(collector: Session) -> None:
    """Receive until that raises."""
    while True:
        await collector.receive()


def payloads(received: Sequence[Received]) -> list[bytes]:
    """What the messages carry."""
    return [message.payload for message in received]


async def test_what_was_not_acknowledged_comes_again_in_order_and_what_was_does_not(
    mosquitto: Broker,
) -> None:
    numbers = [str(n).encode() for n in range(30)]
    async with session(mosquitto.port, user="host-a") as publisher:
        async with session(mosquitto.port) as collector:
            assert not collector.session_present
            await send(publisher, numbers)
            received = await receive(collector, 30)
            assert payloads(received) == numbers
            collector.acknowledge(received[:5])
        async with session(mosquitto.port) as collector:
            assert collector.session_present
            again = await receive(collector, 25)
            assert payloads(again) == numbers[5:]
            collector.acknowledge(again)
        await send(publisher, [b"next"])
        async with session(mosquitto.port) as collector:
            assert payloads(await receive(collector, 1)) == [b"next"]


async def test_user_properties_arrive_in_order_and_qos_0_is_delivered_too(mosquitto: Broker) -> None:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho has no types here
    properties.UserProperty = [("stream", "u-1"), ("seq", "4"), ("ghi chú", "máy thở")]
    async with (
        session(mosquitto.port) as collector,
        aiomqtt.Client(
            LOOPBACK,
            mosquitto.port,
            username="host-b",
            password=servers.password("host-b"),
            protocol=aiomqtt.ProtocolVersion.V5,
        ) as publisher,
    ):
        await publisher.publish("hourmeter/1/host-b/v1/alarm", b"a", qos=1, properties=properties)
        await publisher.publish("hourmeter/1/host-b/v1/alarm", b"b", qos=0)
        received = await receive(collector, 2)
        assert [m.topic for m in received] == ["hourmeter/1/host-b/v1/alarm"] * 2
        assert received[0].properties == (("stream", "u-1"), ("seq", "4"), ("ghi chú", "máy thở"))
        collector.acknowledge(received)
        await publisher.publish("hourmeter/1/host-b/v1/alarm", b"c", qos=1)
        collector.acknowledge(await receive(collector, 1))


async def test_retained_messages_come_once_to_a_new_session_and_live_ones_are_marked_too(
    mosquitto: Broker,
) -> None:
    async with session(mosquitto.port, user="host-a") as publisher:
        await send(publisher, [b"stored"], retain=True)
        async with session(mosquitto.port) as collector:
            (stored,) = await receive(collector, 1)
            assert (stored.payload, stored.retain) == (b"stored", True)
            await send(publisher, [b"live"], retain=True)
            (live,) = await receive(collector, 1)
            assert (live.payload, live.retain) == (b"live", True)
            collector.acknowledge([stored, live])
        async with session(mosquitto.port) as collector:
            await send(publisher, [b"next"])
            assert payloads(await receive(collector, 1)) == [b"next"]


async def test_a_message_of_the_brokers_limit_is_received(mosquitto: Broker) -> None:
    large = b"x" * 250_000
    async with session(mosquitto.port) as collector, session(mosquitto.port, user="host-a") as publisher:
        await send(publisher, [large])
        assert payloads(await receive(collector, 1)) == [large]


async def test_a_killed_broker_is_weather_until_it_returns(mosquitto: Broker) -> None:
    async with session(mosquitto.port) as collector:
        await mosquitto.kill()
        with pytest.raises(Unavailable):
            await collector.receive()
        with pytest.raises(Unavailable):
            await collector.publish("hourmeter/1/host-a/confirmed", b"", retain=True)
    with pytest.raises(Unavailable, match="does it run"):
        await MqttInbound(settings(mosquitto.port), run=RUN).connect().__aenter__()
    mosquitto.wipe()
    await mosquitto.start()
    async with session(mosquitto.port) as collector:
        assert not collector.session_present


async def test_a_refused_password_is_one_line_that_says_what_to_check(mosquitto: Broker) -> None:
    refused = MqttInbound(settings(mosquitto.port, typed="wrong"), run=RUN).connect()
    with pytest.raises(SettingsError, match=r"refuses user 'collector'.*broker.password") as raised:
        await refused.__aenter__()
    assert "\n" not in str(raised.value)
    assert "wrong" not in str(raised.value)


async def test_a_host_that_takes_connections_and_says_nothing_is_given_up() -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(listen, LOOPBACK, 0)
    port = silent.sockets[0].getsockname()[1]
    inbound = MqttInbound(MqttSettings(LOOPBACK, port, COLLECTOR, "secret", connect_within_s=0.1), run=RUN)
    with pytest.raises(Unavailable, match="no answer within"):
        await inbound.connect().__aenter__()
    silent.close()


async def test_the_broker_lets_the_collector_alone_confirm(mosquitto: Broker) -> None:
    async with (
        session(mosquitto.port) as collector,
        session(mosquitto.port, user="host-a") as publisher,
        aiomqtt.Client(
            LOOPBACK,
            mosquitto.port,
            username="host-a",
            password=servers.password("host-a"),
            protocol=aiomqtt.ProtocolVersion.V5,
        ) as listener,
    ):
        await listener.subscribe("hourmeter/1/host-a/confirmed", qos=1)
        with pytest.raises(SettingsError, match=r"not authorized.*ACL"):
            await publisher.publish("hourmeter/1/host-a/confirmed", b"forged", retain=True)
        await collector.publish("hourmeter/1/host-a/confirmed", b"true", retain=True)
        heard = await anext(listener.messages)
        assert heard.payload == b"true"


async def test_the_broker_lets_nobody_speak_for_another(mosquitto: Broker) -> None:
    async with session(mosquitto.port) as collector, session(mosquitto.port, user="host-b") as publisher:
        with pytest.raises(SettingsError, match="not authorized"):
            await publisher.publish(TOPIC, b"forged", retain=False)
        await publisher.publish("hourmeter/1/host-b/v1/usage", b"own", retain=False)
        assert payloads(await receive(collector, 1)) == [b"own"]


async def test_a_second_collector_ends_the_first_for_good(mosquitto: Broker) -> None:
    """Mosquitto 2.0.11 closes the first without a word: it learns from the claim why, and stays away."""
    former = MqttInbound(settings(mosquitto.port), run="0001-a")
    later = MqttInbound(settings(mosquitto.port), run="0002-b")
    async with asyncio.timeout(30), session(mosquitto.port, user="host-a") as publisher:
        async with former.connect() as first:
            await send(publisher, [b"1"])
            await receive(first, 1)
            async with later.connect() as second:
                assert second.session_present
                with pytest.raises(Unavailable):
                    await first.receive()
                await send(publisher, [b"2"])
                await receive(second, 2)
        async with former.connect() as first:
            with pytest.raises(TakenOver, match="stop one of the two"):
                await until_lost(first)
        async with later.connect() as second:
            await send(publisher, [b"3"])
            assert payloads(await receive(second, 3)) == [b"1", b"2", b"3"]


async def test_with_a_consumer_that_does_not_read_what_is_held_stays_bounded(mosquitto: Broker) -> None:
    sent = [n.to_bytes(4) + b"x" * 1000 for n in range(5000)]
    async with (
        session(mosquitto.port, window=100) as collector,
        session(mosquitto.port, user="host-a") as publisher,
    ):
        await send(publisher, sent)
        received: list[Received] = []
        while len(received) < len(sent):
            batch = await collector.receive()
            assert len(batch) <= 100 + 256
            collector.acknowledge(batch)
            received.extend(batch)
        assert payloads(received) == sent


async def certificate(folder: Path, name: str) -> Certificate:
    """A certificate for the loopback address that signs itself."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    process = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{LOOPBACK}"),
        *("-keyout", str(made.key), "-out", str(made.chain)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    return made


async def test_tls_works_with_the_right_authority_and_is_refused_with_a_clear_line_without(
    tmp_path: Path,
) -> None:
    need("mosquitto")
    need("openssl")
    own, other = await certificate(tmp_path, "own"), await certificate(tmp_path, "other")
    broker = servers.mosquitto(tmp_path / "mosquitto", certificate=own)
    try:
        await broker.start()
        trusted = MqttInbound(
            settings(broker.port), run=RUN, tls=ssl.create_default_context(cafile=own.chain)
        )
        publisher = MqttInbound(
            settings(broker.port, user="host-a"), run=RUN, tls=ssl.create_default_context(cafile=own.chain)
        )
        sent = [n.to_bytes(4) + b"x" * 2000 for n in range(1000)]
        async with asyncio.timeout(30), trusted.connect() as session, publisher.connect() as sender:
            await send(sender, sent)
            received = await receive(session, len(sent))
            assert payloads(received) == sent
            session.acknowledge(received)
        stranger = MqttInbound(
            settings(broker.port), run=RUN, tls=ssl.create_default_context(cafile=other.chain)
        )
        with pytest.raises(SettingsError, match=r"certificate is not trusted.*ca_file"):
            await stranger.connect().__aenter__()
        with pytest.raises(Unavailable, match="is TLS expected"):
            await MqttInbound(settings(broker.port), run=RUN).connect().__aenter__()
    finally:
        await broker.stop()


async def test_tls_to_a_port_without_it_says_so(mosquitto: Broker) -> None:
    inbound = MqttInbound(settings(mosquitto.port), run=RUN, tls=ssl.create_default_context())
    with pytest.raises(Unavailable, match=r"(?i)tls"):
        await inbound.connect().__aenter__()


class PoisonousBroker:
    """Speaks just enough MQTT 5 to deliver frames, and delivers again what was not acknowledged."""

    def __init__(self, frames: dict[int, bytes]) -> None:
        self.unacknowledged = dict(frames)
        self.acknowledged = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        data = b""
        while chunk := await reader.read(65_536):
            data += chunk
            while data and len(data) >= 2 + data[1]:
                packet, used = mqtt5.read(memoryview(data))
                data = data[used:]
                self._answer(packet, writer)
        writer.close()

    def _answer(self, packet: mqtt5.Packet, writer: asyncio.StreamWriter) -> None:
        match packet:
            case mqtt5.ConnectPacket():
                writer.write(mqtt5.ConnAckPacket().write())
            case mqtt5.SubscribePacket():
                granted = [
                    mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE,
                    mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE,
                ]
                writer.write(mqtt5.SubAckPacket(packet.packet_id, granted).write())
                writer.write(b"".join(self.unacknowledged.values()))
            case mqtt5.PubAckPacket():
                del self.unacknowledged[packet.packet_id]
                if not self.unacknowledged:
                    self.acknowledged.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_poison_packet_is_handed_over_once_acknowledged_and_never_in_the_way() -> None:
    """Whatever a broker lets through, one unreadable packet must not be delivered for ever."""
    good = mqtt5.PublishPacket(TOPIC, b"good", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1).write()
    evil = mqtt5.PublishPacket(TOPIC, b"evil", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=2).write()
    poison = evil.replace(b"host-a", b"\xff\xfe\xfd\xfc\xfb\xfa")
    broker = PoisonousBroker({2: poison, 1: good})
    server = await asyncio.start_server(broker.serve, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with session(port) as collector:
        received = await receive(collector, 2)
        assert payloads(received) == [poison, b"good"]
        assert [m.topic for m in received] == ["", TOPIC]
    async with session(port) as collector:
        collector.acknowledge(await receive(collector, 2))
        await broker.acknowledged.wait()
    server.close()
    await server.wait_closed()
