"""The publisher's link over MQTT 5.

Rule 1: a new client for each connection, with a clean start: what is sent again is the outbox's business.
Rule 2: publishes of one connection keep their order: paho numbers, queues and sends in the order of calls.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
from aiomqtt.exceptions import MqttCodeError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from adapters.host.link import Connection, Will
from telemetry import topics
from telemetry.errors import SettingsError, Unavailable

IN_FLIGHT = 20
"""Publishes without PUBACK: Mosquitto's receive maximum, which paho does not read from the CONNACK."""
_BARE_CLOSES = 3
"""Closes without a word, one after the other, that mean that the broker does not speak MQTT 5.

One may be a broker that is just being stopped; RabbitMQ 3.10 answers MQTT 5 in this way.
"""
_VERSION_CODES = frozenset({0x01, 0x84})
"""Unacceptable protocol version: MQTT 3.1.1 section 3.2.2.3, MQTT 5 section 3.2.2.2."""
_USER_CODES = frozenset({0x86, 0x87, 0x8A, 0x8C})
"""Bad user name or password, not authorised, banned, bad authentication method: MQTT 5 section 3.2.2.2."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for an encrypted link, PEM."""

    ca: Path | None = None
    """Who signs the broker's certificate; the system's authorities if None."""
    certificate: Path | None = None
    """Our certificate, where the broker tells publishers apart by certificates."""
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Broker:
    """The MQTT broker as an adapter host reaches it."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: Tls | None = None
    keepalive_s: int = 30
    timeout_s: float = 10.0
    """For CONNACK, SUBACK and every PUBACK."""

    @property
    def place(self) -> str:
        """Where it is, for errors."""
        return f"broker {self.host}:{self.port}"


class MqttLink:
    """The link of one publisher; its name is the MQTT user that the broker's rules know."""

    def __init__(self, broker: Broker, *, publisher: str) -> None:
        self._broker = broker
        self._publisher = publisher
        self._tls = None if broker.tls is None else _context(broker.tls)
        self._bare_closes = 0

    @asynccontextmanager
    async def connect(self, will: Will) -> AsyncIterator[Connection]:
        """Connect and subscribe to the confirmations. Raises Unavailable, SettingsError."""
        client = self._client(will)
        place = self._broker.place
        with _weather(place):
            await self._enter(client)
        try:
            with _weather(place):
                granted = await client.subscribe(topics.confirmed(self._publisher), qos=1)
            if any(isinstance(code, ReasonCode) and code.is_failure for code in granted):
                raise self._refused(f"does not let user {self._broker.username!r} read its confirmations")
            yield _MqttConnection(client, place)
        finally:
            with suppress(aiomqtt.MqttError):  # a lost link cannot be left in peace, and needs no goodbye
                await client.__aexit__(None, None, None)
            _note_why_it_ended(client)

    def _client(self, will: Will) -> aiomqtt.Client:
        broker = self._broker
        paho_log = logging.getLogger(f"{__name__}.paho")
        paho_log.setLevel(logging.CRITICAL)  # what goes wrong is raised, and said once by the publisher
        client = aiomqtt.Client(
            broker.host,
            broker.port,
            identifier=f"hourmeter-{self._publisher}",
            username=broker.username,
            password=broker.password,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=True),
            logger=paho_log,
            keepalive=broker.keepalive_s,
            timeout=broker.timeout_s,
            tls_context=self._tls,
            max_inflight_messages=IN_FLIGHT,
        )
        client.pending_calls_threshold = 10 * IN_FLIGHT
        return client

    async def _enter(self, client: aiomqtt.Client) -> None:
        """Connect; a refusal is told apart from weather."""
        paho = client._client  # noqa: SLF001 - aiomqtt leaves the socket of a failed attempt open for ever
        entered = False
        try:
            await client.__aenter__()
            entered = True
        except MqttCodeError as error:
            code = error.rc.value if isinstance(error.rc, ReasonCode) else error.rc
            if code in _VERSION_CODES:
                raise self._no_mqtt5("refuses MQTT 5") from error
            if code in _USER_CODES:
                raise self._refused(f"refuses user {self._broker.username!r}: {error.rc}") from error
            raise
        except aiomqtt.MqttError as error:
            if str(error) != "Operation timed out" or paho.socket() is not None:
                self._bare_closes = 0
                raise
            self._bare_closes += 1
            if self._bare_closes >= _BARE_CLOSES:
                raise self._no_mqtt5("closes the connection without a word") from error
            raise aiomqtt.MqttError("closed the connection without a word") from error
        finally:
            if not entered:
                paho.disconnect()
        self._bare_closes = 0

    def _refused(self, found: str) -> SettingsError:
        return SettingsError(
            where=self._broker.place,
            found=found,
            expected="check host.publisher, the password in host.password_file, "
            "and that the broker's password file and access list know them",
        )

    def _no_mqtt5(self, found: str) -> SettingsError:
        return SettingsError(
            where=self._broker.place,
            found=found,
            expected="must be a broker that speaks MQTT 5; check broker.host, broker.port and broker.tls",
        )


@dataclass(frozen=True, slots=True)
class _MqttConnection:
    """One connection of aiomqtt."""

    client: aiomqtt.Client
    place: str

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        properties: Sequence[tuple[str, str]],
        retain: bool,
        expires_s: int | None = None,
    ) -> None:
        """Publish with QoS 1 and wait for the PUBACK; what it says is not told by aiomqtt."""
        carried = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho leaves it untyped
        if properties:
            carried.UserProperty = list(properties)
        if expires_s is not None:
            carried.MessageExpiryInterval = expires_s
        with _weather(self.place):
            await self.client.publish(topic, payload, qos=1, retain=retain, properties=carried)

    async def confirmations(self) -> AsyncIterator[bytes]:
        """Payloads of our confirmed topic."""
        with _weather(self.place):
            async for message in self.client.messages:
                if isinstance(message.payload, bytes):
                    yield message.payload


def _note_why_it_ended(client: aiomqtt.Client) -> None:
    """Look at the reason, which publishing or listening has told, lest asyncio log it as never looked at."""
    ended = client._disconnected  # noqa: SLF001 - nothing public tells it without waiting
    if ended.done() and not ended.cancelled():
        ended.exception()


@contextmanager
def _weather(place: str) -> Iterator[None]:
    try:
        yield
    except aiomqtt.MqttError as error:
        raise Unavailable(place, why=str(error)) from error


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            where="TLS",
            found=f"{tls.ca or ''} {tls.certificate or ''}: {error.strerror or error}".strip(),
            expected="name readable PEM files of the authority, the certificate and its key",
        ) from error
    return context
