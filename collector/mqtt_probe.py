"""Tries a broker without taking part in anything: is it there, trusted, does it know the user, and let it.

Rule 1: a client id of its own, a clean start and no session: no session is taken over, and none is left.
Rule 2: what is published is not retained, and its topic has no reader.
Rule 3: Mosquitto grants every subscription, and keeps back what the access list forbids: only a message that
arrives proves that reading is allowed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import mqtt5

from collector import mqtt_settings
from collector.mqtt_codec import Frames, FramingError, Unreadable, read_frame
from collector.mqtt_settings import PACKET_LIMIT, MqttSettings
from telemetry.errors import Unavailable

_ADVICE = "is it still starting, is TLS expected (or not) on this port, does it speak MQTT 5?"
_ID = 1
_HEARD_AT_MOST = 16
"""Messages that the broker may send before the first is acknowledged, which none is."""


async def probe(
    settings: MqttSettings, *, read: str, write: str = "", tls: ssl.SSLContext | None = None
) -> int:
    """Connect, publish nothing of weight to `write`, subscribe `read`; how many messages came of it.

    The settings' client id must be nobody's session. Raises SettingsError where the broker refuses,
    Unavailable where it is not to be had within the settings' time.
    """
    try:
        async with asyncio.timeout(settings.connect_within_s):
            try:
                reader, writer = await asyncio.open_connection(settings.host, settings.port, ssl=tls)
            except OSError as error:
                raise mqtt_settings.unreachable(settings, error) from error
            try:
                return await _talk(settings, reader, writer, read=read, write=write)
            except OSError as error:
                raise Unavailable(
                    settings.broker, why=f"the connection was lost ({error})", advice=_ADVICE
                ) from error
            finally:
                writer.write(mqtt5.DisconnectPacket().write())
                writer.close()
    except TimeoutError:
        raise Unavailable(
            settings.broker,
            why=f"no answer within {settings.connect_within_s:g} s",
            advice="does it speak MQTT 5, and are broker.host, broker.port and broker.tls right?",
        ) from None


async def _talk(
    settings: MqttSettings,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    read: str,
    write: str,
) -> int:
    said = _packets(settings, reader)
    writer.write(
        mqtt5.ConnectPacket(
            settings.client_id,
            username=settings.user,
            password=settings.password.encode(),
            clean_start=True,
            session_expiry_interval=0,
            receive_max=_HEARD_AT_MOST,
        ).write()
    )
    welcome = await anext(said)
    if not isinstance(welcome, mqtt5.ConnAckPacket):
        raise mqtt_settings.no_mqtt5(settings)
    if welcome.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
        raise mqtt_settings.connect_refused(settings, welcome)
    if write:
        writer.write(mqtt5.PublishPacket(write, b"", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=_ID).write())
        while not isinstance(answer := await anext(said), mqtt5.PubAckPacket):
            continue
        if refused := mqtt_settings.publish_refused(settings, write, answer):
            raise refused
    writer.write(
        mqtt5.SubscribePacket(_ID, [mqtt5.TopicFilter(read, max_qos=mqtt5.QoS.AT_LEAST_ONCE)]).write()
    )
    writer.write(mqtt5.PingReqPacket().write())
    heard = 0
    async for packet in said:
        match packet:
            case mqtt5.SubAckPacket(reason_codes=[code]):
                if code != mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE:
                    raise mqtt_settings.reading_refused(settings, read, code, packet.reason_str)
            case mqtt5.PublishPacket() | Unreadable():
                heard += 1
            case mqtt5.PingRespPacket():
                break
    return heard


async def _packets(
    settings: MqttSettings, reader: asyncio.StreamReader
) -> AsyncIterator[mqtt5.Packet | Unreadable]:
    """What the broker sends. Raises Unavailable, SettingsError when it parts from us."""
    frames = Frames(limit=PACKET_LIMIT)
    while data := await reader.read(16_384):
        while data:
            room = frames.room()
            size = min(len(room), len(data))
            room[:size], data = data[:size], data[size:]
            try:
                for frame in frames.cut(size):
                    packet = read_frame(frame)
                    if isinstance(packet, mqtt5.DisconnectPacket):
                        raise mqtt_settings.disconnected(settings, packet)
                    yield packet
            except FramingError as error:
                raise mqtt_settings.no_mqtt5(settings) from error
    raise Unavailable(
        settings.broker,
        why="it closed the connection",
        advice=_ADVICE,
    )
