"""Messages in over MQTT 5: one connection at a time, one lasting session with the broker."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import mqtt5

from collector import mqtt_settings
from collector.inbound import Received, Session
from collector.mqtt_claim import Claim
from collector.mqtt_link import CONNECT, Link
from collector.mqtt_settings import PACKET_LIMIT, MqttSettings
from telemetry import topics
from telemetry.errors import Unavailable

_SUBSCRIBE_ID = 1
_PUBLISHING_AT_ONCE = 32


class MqttInbound:
    """The broker of one set of settings."""

    def __init__(self, settings: MqttSettings, *, run: str, tls: ssl.SSLContext | None = None) -> None:
        """`run` names this start of the collector; names of later starts sort after it."""
        self._settings = settings
        self._claim = Claim(user=settings.user, run=run)
        self._tls = tls

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Session]:
        """Connect and subscribe, once.

        Raises Unavailable (try again), SettingsError (refused for good), TakenOver (another has our session).
        """
        link = Link(self._settings, claim=self._claim)
        session = MqttSession(link, settings=self._settings, claim=self._claim)
        try:
            try:
                async with asyncio.timeout(self._settings.connect_within_s):
                    await self._reach(link)
                    await session.open()
            except TimeoutError:
                raise Unavailable(
                    self._settings.broker, why=f"no answer within {self._settings.connect_within_s:g} s"
                ) from None
            yield session
        finally:
            await link.close()

    async def _reach(self, link: Link) -> None:
        host, port = self._settings.host, self._settings.port
        try:
            await asyncio.get_running_loop().create_connection(lambda: link, host, port, ssl=self._tls)
        except OSError as error:  # ssl.SSLError is one
            raise mqtt_settings.unreachable(self._settings, error) from error


class MqttSession:
    """The session of one connection, from CONNECT on."""

    def __init__(self, link: Link, *, settings: MqttSettings, claim: Claim) -> None:
        self.session_present = False
        self._link = link
        self._settings = settings
        self._claim = claim
        self._packet_id = _SUBSCRIBE_ID
        self._publishing = asyncio.Semaphore(_PUBLISHING_AT_ONCE)

    async def open(self) -> None:
        """Say CONNECT and SUBSCRIBE. Raises SettingsError, Unavailable."""
        settings = self._settings
        welcome = await self._link.ask(
            CONNECT,
            mqtt5.ConnectPacket(
                settings.client_id,
                username=settings.user,
                password=settings.password.encode(),
                clean_start=False,
                keep_alive=max(1, round(settings.keep_alive_s)),
                session_expiry_interval=settings.session_expiry_s,
                receive_max=settings.window,
                max_packet_size=PACKET_LIMIT,
            ),
        )
        if not isinstance(welcome, mqtt5.ConnAckPacket):
            raise self._link.fault(f"answers CONNECT with a {type(welcome).__name__}")
        if welcome.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise mqtt_settings.connect_refused(settings, welcome)
        self.session_present = welcome.session_present
        self._publishing = asyncio.Semaphore(min(_PUBLISHING_AT_ONCE, welcome.receive_max))
        self._link.keep_alive(welcome.server_keep_alive or settings.keep_alive_s)
        await self._subscribe()
        self._link.bound()

    async def receive(self) -> Sequence[Received]:
        """All messages that have come in, in order, at least one.

        Raises Unavailable when the link is lost: what was not handed over is delivered again. Raises
        TakenOver when another client has our session, SettingsError when the subscription is refused.
        """
        return await self._link.receive()

    def acknowledge(self, received: Sequence[Received]) -> None:
        """Tell the broker that these, the next in order, are safe. On a link already lost it does nothing."""
        self._link.acknowledge(received)

    async def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Publish with QoS 1 and return when the broker has it. Raises Unavailable, SettingsError (ACL).

        Await it in a task of its own, never between `receive` and `receive`: while the window is full its
        answer stands behind messages that we do not read.
        """
        async with self._publishing:
            self._packet_id = max(_SUBSCRIBE_ID, self._packet_id % 0xFFFF) + 1
            packet_id = self._packet_id
            answer = await self._link.ask(
                packet_id,
                mqtt5.PublishPacket(
                    topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=retain, packet_id=packet_id
                ),
            )
        if not isinstance(answer, mqtt5.PubAckPacket):
            raise self._link.fault(f"answers PUBLISH with a {type(answer).__name__}")
        if refused := mqtt_settings.publish_refused(self._settings, topic, answer):
            raise refused

    async def _subscribe(self) -> None:
        packet = mqtt5.SubscribePacket(
            _SUBSCRIBE_ID,
            [
                mqtt5.TopicFilter(
                    topics.EVERYTHING,
                    max_qos=mqtt5.QoS.AT_LEAST_ONCE,
                    retain_as_published=True,
                    retain_handling=mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS,
                ),
                mqtt5.TopicFilter(self._claim.topic, max_qos=mqtt5.QoS.AT_MOST_ONCE),
            ],
        )
        if not (self._claim.stands and self.session_present):
            self._link.write(self._claim.packet())
        if self.session_present:
            # the answer stands behind all that the broker kept for us; a refusal ends the link when it comes
            self._link.write(packet.write())
        else:
            await self._link.ask(_SUBSCRIBE_ID, packet)
