"""One connection to the broker: welcome and refusals, window, confirmations, pulse and loss."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import mqtt5
import pytest

from collector.mqtt import MqttSession
from collector.mqtt_claim import Claim
from collector.mqtt_link import Link
from collector.mqtt_settings import MqttSettings, TakenOver
from telemetry.errors import HourmeterError, SettingsError, Unavailable
from tests.collector.wire import RUN, SETTINGS, Wire

GRANTED_0 = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE
CODE = mqtt5.ConnAckReasonCode
LARGE = b"x" * 10_000
"""With eleven of these a read is not small, and no rest follows it."""
Replies = Callable[[mqtt5.Packet], bytes]


def broker(
    *,
    welcome: mqtt5.ConnAckPacket | None = None,
    granted: mqtt5.SubAckReasonCode = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE,
    puback: mqtt5.PubAckReasonCode | None = mqtt5.PubAckReasonCode.SUCCESS,
    pings: bool = True,
) -> Replies:
    """What a broker replies to each packet."""

    def reply(packet: mqtt5.Packet) -> bytes:
        match packet:
            case mqtt5.ConnectPacket():
                return (welcome or mqtt5.ConnAckPacket()).write()
            case mqtt5.SubscribePacket():
                return mqtt5.SubAckPacket(packet.packet_id, [granted, GRANTED_0]).write()
            case mqtt5.PublishPacket(packet_id=int(packet_id)) if puback is not None:
                return mqtt5.PubAckPacket(packet_id, reason_code=puback).write()
            case mqtt5.PingReqPacket() if pings:
                return mqtt5.PingRespPacket().write()
        return b""

    return reply


def message(packet_id: int, *, payload: bytes = b"{}") -> bytes:
    """The frame of one message."""
    return mqtt5.PublishPacket(
        "hourmeter/1/h/v1/usage", payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id
    ).write()


async def opened(replies: Replies, *, settings: MqttSettings = SETTINGS) -> tuple[MqttSession, Link, Wire]:
    """A session on a wire, connected and subscribed."""
    claim = Claim(user=settings.user, run=RUN)
    link = Link(settings, claim=claim)
    session = MqttSession(link, settings=settings, claim=claim)
    wire = Wire(link, replies=replies)
    async with asyncio.timeout(5):
        await session.open()
    return session, link, wire


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that the event loop brings about."""
    async with asyncio.timeout(5):
        while True:
            if condition():
                return
            await asyncio.sleep(0)


async def test_the_session_is_asked_to_last_and_the_subscription_to_spare_retained_messages() -> None:
    session, link, wire = await opened(broker())
    connect, claim, subscribe = wire.said
    assert isinstance(claim, mqtt5.PublishPacket)
    assert (claim.topic, claim.payload, claim.retain) == (
        "hourmeter/1/collector/confirmed",
        RUN.encode(),
        True,
    )
    assert isinstance(connect, mqtt5.ConnectPacket)
    assert not connect.clean_start
    assert connect.client_id == "hourmeter-collector"
    assert connect.session_expiry_interval == 7 * 24 * 3600
    assert connect.receive_max == SETTINGS.window
    assert connect.max_packet_size is not None
    assert connect.max_packet_size > 256 * 1024
    assert (connect.username, connect.password) == ("collector", b"secret")
    assert isinstance(subscribe, mqtt5.SubscribePacket)
    wanted, own = subscribe.topic_filters
    assert (own.pattern, own.max_qos) == (claim.topic, mqtt5.QoS.AT_MOST_ONCE)
    assert wanted.pattern == "hourmeter/1/+/+/+"
    assert wanted.max_qos == mqtt5.QoS.AT_LEAST_ONCE
    assert wanted.retain_handling == mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS
    assert not session.session_present
    await link.close()
    farewell = wire.said[-1]
    assert isinstance(farewell, mqtt5.DisconnectPacket)
    assert farewell.session_expiry_interval is None


async def test_a_kept_session_opens_even_if_more_than_the_window_stands_before_the_suback() -> None:
    queue = b"".join(message(n) for n in range(1, 31))
    replies = broker(welcome=mqtt5.ConnAckPacket(session_present=True))

    def reply(packet: mqtt5.Packet) -> bytes:
        return replies(packet) + (queue if isinstance(packet, mqtt5.ConnectPacket) else b"")

    session, link, wire = await opened(reply, settings=replace(SETTINGS, window=10))
    assert session.session_present
    assert not wire.reading
    received = await session.receive()
    assert [m.token for m in received] == list(range(1, 31))
    session.acknowledge(received)
    await until(lambda: wire.reading)
    await link.close()


@pytest.mark.parametrize(
    ("welcome", "kind", "words"),
    [
        (CODE.BAD_USER_NAME_OR_PASSWORD, SettingsError, r"refuses user 'collector' .*broker.password"),
        (CODE.NOT_AUTHORIZED, SettingsError, "refuses user 'collector'"),
        (CODE.UNSUPPORTED_PROTOCOL_VERSION, SettingsError, "speaks no MQTT 5"),
        (CODE.CLIENT_ID_NOT_VALID, SettingsError, "client_id: 'hourmeter-collector' is refused"),
        (CODE.SERVER_MOVED, SettingsError, "broker.host and broker.port"),
        (CODE.SERVER_BUSY, Unavailable, "server busy"),
        (CODE.QUOTA_EXCEEDED, Unavailable, "quota exceeded"),
    ],
)
async def test_a_refusal_is_one_line_that_says_what_to_do(
    welcome: mqtt5.ConnAckReasonCode, kind: type[HourmeterError], words: str
) -> None:
    with pytest.raises(kind, match=words) as raised:
        await opened(broker(welcome=mqtt5.ConnAckPacket(reason_code=welcome)))
    assert "broker:1883" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


async def test_a_refusal_in_the_words_of_mqtt_3_is_known_as_such() -> None:
    with pytest.raises(SettingsError, match="speaks no MQTT 5"):
        await opened(lambda _: b"\x20\x02\x00\x01")


async def test_a_bare_close_before_the_welcome_is_weather_with_advice() -> None:
    claim = Claim(user=SETTINGS.user, run=RUN)
    link = Link(SETTINGS, claim=claim)
    wire = Wire(link)
    asyncio.get_running_loop().call_soon(wire.lose)
    with pytest.raises(Unavailable, match="does it speak MQTT 5"):
        await MqttSession(link, settings=SETTINGS, claim=claim).open()


async def test_another_packet_in_place_of_a_welcome_ends_the_link() -> None:
    def reply(packet: mqtt5.Packet) -> bytes:
        return mqtt5.SubAckPacket(1, []).write() if isinstance(packet, mqtt5.ConnectPacket) else b""

    with pytest.raises(Unavailable, match="against the protocol"):
        await opened(reply)


@pytest.mark.parametrize(
    "granted", [mqtt5.SubAckReasonCode.NOT_AUTHORIZED, mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE]
)
@pytest.mark.parametrize("kept", [False, True])
async def test_a_subscription_refused_or_granted_without_acknowledgements_names_the_acl(
    granted: mqtt5.SubAckReasonCode, *, kept: bool
) -> None:
    async def subscribe_and_receive() -> None:
        session, _, _ = await opened(
            broker(welcome=mqtt5.ConnAckPacket(session_present=kept), granted=granted)
        )
        await session.receive()

    with pytest.raises(SettingsError, match=r"ACL\) needs `topic read hourmeter/1/\+/\+/\+`"):
        await subscribe_and_receive()


@pytest.mark.parametrize(
    "settings",
    [replace(SETTINGS, window=10), replace(SETTINGS, window_bytes=10 * len(message(1, payload=LARGE)))],
)
async def test_reading_stops_beyond_the_window_and_resumes_at_half_of_it(settings: MqttSettings) -> None:
    session, link, wire = await opened(broker(), settings=settings)
    wire.feed(b"".join(message(n, payload=LARGE) for n in range(1, 12)))
    received = await session.receive()
    session.acknowledge(received[:5])
    assert not wire.reading
    session.acknowledge(received[5:6])
    assert wire.reading
    await link.close()


async def test_after_a_small_read_more_may_gather_before_the_next() -> None:
    session, link, wire = await opened(broker())
    wire.feed(message(1))
    assert not wire.reading
    assert len(await session.receive()) == 1
    await until(lambda: wire.reading)
    await link.close()


async def test_acknowledgements_go_out_in_order_and_after_a_loss_not_at_all() -> None:
    session, _, wire = await opened(broker())
    wire.feed(message(7) + message(3) + message(5))
    received = await session.receive()
    session.acknowledge(received[:2])
    wire.lose(ConnectionResetError(104, "reset"))
    session.acknowledge(received[2:])
    assert [p.packet_id for p in wire.said if isinstance(p, mqtt5.PubAckPacket)] == [7, 3]
    with pytest.raises(Unavailable, match="reset"):
        await session.receive()


async def test_a_confirmation_returns_when_the_broker_has_it() -> None:
    session, link, wire = await opened(broker(puback=None))
    publishing = asyncio.ensure_future(session.publish("hourmeter/1/h/confirmed", b"{}", retain=True))
    await until(lambda: isinstance(wire.said[-1], mqtt5.PublishPacket))
    sent = wire.said[-1]
    assert isinstance(sent, mqtt5.PublishPacket)
    assert sent.retain
    assert sent.qos == mqtt5.QoS.AT_LEAST_ONCE
    assert not publishing.done()
    wire.feed(mqtt5.PubAckPacket(sent.packet_id or 0).write())
    await publishing
    await link.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (mqtt5.PubAckReasonCode.NOT_AUTHORIZED, SettingsError),
        (mqtt5.PubAckReasonCode.QUOTA_EXCEEDED, Unavailable),
    ],
)
async def test_a_refused_confirmation_is_told(
    code: mqtt5.PubAckReasonCode, kind: type[HourmeterError]
) -> None:
    session, link, _ = await opened(broker(puback=code))
    with pytest.raises(kind, match="hourmeter/1/h/confirmed"):
        await session.publish("hourmeter/1/h/confirmed", b"", retain=True)
    await link.close()


async def test_a_confirmation_that_nobody_subscribed_to_is_with_the_broker() -> None:
    session, link, _ = await opened(broker(puback=mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS))
    await session.publish("hourmeter/1/h/confirmed", b"", retain=True)
    await link.close()


async def test_no_more_is_in_flight_than_the_broker_takes_and_a_loss_ends_every_wait() -> None:
    session, _, wire = await opened(broker(welcome=mqtt5.ConnAckPacket(receive_max=3), puback=None))
    waiting = [
        asyncio.ensure_future(session.publish("hourmeter/1/h/confirmed", b"", retain=True)) for _ in range(9)
    ]
    receiving = asyncio.ensure_future(session.receive())
    await until(lambda: len(wire.said) == 6)
    await asyncio.sleep(0)
    assert len(wire.said) == 6
    assert len({p.packet_id for p in wire.said if isinstance(p, mqtt5.PublishPacket) and p.packet_id}) == 3
    wire.lose()
    results = await asyncio.gather(*waiting, receiving, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 10
    assert len(wire.said) == 6


async def test_a_broker_that_no_longer_answers_is_dead() -> None:
    session, link, wire = await opened(broker(pings=False), settings=replace(SETTINGS, keep_alive_s=0.1))
    with pytest.raises(Unavailable, match="does not answer a ping"):
        async with asyncio.timeout(5):
            await session.receive()
    assert any(isinstance(p, mqtt5.PingReqPacket) for p in wire.said)
    await link.close()


async def test_a_broker_that_answers_pings_lives_and_the_interval_is_the_brokers_if_it_names_one() -> None:
    _, link, wire = await opened(broker(), settings=replace(SETTINGS, keep_alive_s=0.02))
    await until(lambda: sum(isinstance(p, mqtt5.PingReqPacket) for p in wire.said) > 5)
    await link.close()
    named = broker(welcome=mqtt5.ConnAckPacket(server_keep_alive=1))
    _, link, wire = await opened(named, settings=replace(SETTINGS, keep_alive_s=3600))
    await until(lambda: any(isinstance(p, mqtt5.PingReqPacket) for p in wire.said))
    await link.close()


async def test_silence_means_nothing_while_we_do_not_read() -> None:
    settings = replace(SETTINGS, keep_alive_s=0.02, window=1)
    session, link, wire = await opened(broker(pings=False), settings=settings)
    wire.feed(message(1) + message(2))
    received = await session.receive()
    await until(lambda: sum(isinstance(p, mqtt5.PingReqPacket) for p in wire.said) > 5)
    session.acknowledge(received)
    assert isinstance(wire.said[-1], mqtt5.PubAckPacket)
    await link.close()


async def test_a_session_taken_over_is_never_a_reason_to_reconnect() -> None:
    session, _, wire = await opened(broker())
    code = mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
    wire.feed(mqtt5.DisconnectPacket(reason_code=code).write())
    with pytest.raises(TakenOver, match="took over the session"):
        await session.receive()


async def test_a_broker_that_shuts_down_is_weather() -> None:
    session, _, wire = await opened(broker())
    code = mqtt5.DisconnectReasonCode.SERVER_SHUTTING_DOWN
    wire.feed(mqtt5.DisconnectPacket(reason_code=code).write())
    with pytest.raises(Unavailable, match="server shutting down"):
        await session.receive()


@pytest.mark.parametrize(
    "wrong", [{"session_expiry_s": 0}, {"session_expiry_s": 2**32 - 1}, {"window": 0}, {"window": 65_536}]
)
def test_a_session_that_could_not_be_kept_or_would_never_end_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match=r"session_days|window"):
        MqttSettings("broker", 1883, "collector", "secret", **wrong)  # type: ignore[arg-type] # one key at a time


def test_the_password_is_not_among_what_settings_tell_of_themselves() -> None:
    assert "secret" not in repr(SETTINGS)


def claim_found(run: str) -> bytes:
    """The retained claim of a run as the broker tells it."""
    return mqtt5.PublishPacket("hourmeter/1/collector/confirmed", run.encode(), retain=True).write()


async def test_a_later_runs_claim_ends_ours_once_it_stood() -> None:
    session, _, wire = await opened(broker())
    wire.feed(claim_found(RUN))
    wire.feed(claim_found("0002-b"))
    with pytest.raises(TakenOver):
        await session.receive()


async def test_a_claim_of_a_former_run_with_a_clock_ahead_does_not_end_one_that_never_stood() -> None:
    session, link, wire = await opened(broker())
    wire.feed(claim_found("0002-b") + message(1))
    assert [m.token for m in await session.receive()] == [1]
    await link.close()


async def test_an_earlier_claim_found_later_is_made_again_and_reaches_no_journal() -> None:
    session, link, wire = await opened(broker())
    wire.feed(claim_found(RUN) + claim_found("0000-z") + message(1))
    again = wire.said[-1]
    assert isinstance(again, mqtt5.PublishPacket)
    assert again.payload == RUN.encode()
    assert [m.token for m in await session.receive()] == [1]
    await link.close()
