"""One connection to the broker: bytes into batches of messages, acknowledgements into bytes.

Rule 1: nothing is done per message that can be done per read or per batch.
Rule 2: what was received and is not acknowledged is bounded; beyond that we stop reading, and TCP tells the
broker. Receive Maximum alone is no bound: Mosquitto 2.0.11 breaks it (performance.md section 2).
Rule 3: while we do not read, the broker's answers wait too, and its silence means nothing.
Rule 4: a link is lost once, with one reason, and everyone who waits on it gets that reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import mqtt5

from collector import mqtt_codec
from collector.inbound import Received
from collector.mqtt_claim import Claim
from collector.mqtt_codec import FramingError, Unreadable, is_publish
from collector.mqtt_settings import (
    PACKET_LIMIT,
    MqttSettings,
    TakenOver,
    disconnected,
    no_mqtt5,
    subscribe_refused,
)
from collector.mqtt_window import Window
from telemetry.errors import HourmeterError, Unavailable

CONNECT = 0
"""What CONNACK answers, which carries no packet identifier."""
_REST_S = 0.01
"""Pause after a small read, in which more gathers: Mosquitto sends every message by itself, and a wake-up
costs more than a message (performance.md section 2)."""
_SMALL_READ_BYTES = 64 * 1024
_V3_REFUSAL = b"\x20\x02\x00\x01"
"""CONNACK of MQTT 3.1.1: unacceptable protocol version."""


class Link(asyncio.BufferedProtocol):
    """The connection, from its first byte to its loss."""

    def __init__(self, settings: MqttSettings, *, claim: Claim) -> None:
        self._settings = settings
        self._claim = claim
        self._transport: asyncio.Transport | None = None
        self._frames = mqtt_codec.Frames(limit=PACKET_LIMIT)
        self._inbox: list[Received] = []
        self._window = Window(messages=settings.window, size_bytes=settings.window_bytes)
        self._arrived = asyncio.Event()
        self._closed = asyncio.Event()
        self._lost: HourmeterError | None = None
        self._answers: dict[int, asyncio.Future[mqtt5.Packet]] = {}
        self._bounded = False
        self._full = False
        self._rest: asyncio.TimerHandle | None = None
        self._heard = True
        self._pulse: asyncio.TimerHandle | None = None

    async def receive(self) -> Sequence[Received]:
        """All messages that have come in, in order, at least one. Raises what the link was lost with."""
        while not self._inbox:
            self._check()
            self._arrived.clear()
            await self._arrived.wait()
        self._check()
        batch, self._inbox = self._inbox, []
        return batch

    def acknowledge(self, received: Sequence[Received]) -> None:
        """Tell the broker that these, the next in order, are safe. On a link already lost it does nothing."""
        if self._lost:
            return
        self.write(
            mqtt_codec.pubacks([message.token for message in received if isinstance(message.token, int)])
        )
        self._window.drop(len(received))
        self._heed_reading()

    async def ask(self, key: int, packet: mqtt5.Packet) -> mqtt5.Packet:
        """Send a packet and return its answer: the key is its packet identifier, or CONNECT."""
        self._check()
        answer: asyncio.Future[mqtt5.Packet] = asyncio.get_running_loop().create_future()
        self._answers[key] = answer
        self.write(packet.write())
        try:
            return await answer
        finally:
            del self._answers[key]

    def write(self, data: bytes) -> None:
        """Send bytes; nothing on a link already lost."""
        if self._transport and data and not self._lost:
            self._transport.write(data)

    def bound(self) -> None:
        """From now on the window holds: not before SUBACK, which may stand behind retained messages."""
        self._bounded = True
        self._heed_reading()

    def keep_alive(self, interval_s: float) -> None:
        """From now on a broker that is silent for so long is dead. It is asked twice in that time."""
        self._heard = True
        self._next_beat(interval_s / 2)

    def fault(self, why: str) -> Unavailable:
        """Lose the link because the broker broke the protocol; the error is also returned."""
        error = Unavailable(self._settings.broker, why=f"it {why}, against the protocol")
        farewell = mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.PROTOCOL_ERROR)
        self.write(farewell.write())
        self._lose(error)
        return error

    async def close(self) -> None:
        """Part from the broker, which keeps our session; return when the connection is gone.

        The broker is the one to close: when it does, it has read all our acknowledgements. A next connection
        of ours would make Mosquitto throw away what it has not read of this one.
        """
        if self._transport is None:
            return
        self.write(mqtt5.DisconnectPacket().write())
        self._give_up(Unavailable(self._settings.broker, why="we closed the connection"))
        self._transport.resume_reading()
        try:
            async with asyncio.timeout(1):
                await self._closed.wait()
        except TimeoutError:
            self._transport.abort()
            await self._closed.wait()

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(type(transport).__name__)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where the next bytes go; never empty."""
        return self._frames.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Take apart what has come in: whole frames now, the last when more of it is here."""
        self._heard = True
        inbox, sizes, read = self._inbox, list[int](), mqtt_codec.read_frame
        try:
            for frame in self._frames.cut(nbytes):
                packet = read(frame)
                message: Received | None
                if type(packet) is mqtt5.PublishPacket and packet.packet_id != 0 and is_publish(frame[0]):
                    message = Received(
                        packet.topic,
                        packet.payload,
                        tuple(packet.user_properties),
                        packet.retain,
                        packet.packet_id,
                    )
                else:
                    message = self._other(frame, packet)
                    if self._lost:
                        return
                    if message is None:
                        continue
                if message.token is None and message.topic == self._claim.topic:
                    self._heed_claim(message.payload)
                    continue
                inbox.append(message)
                sizes.append(len(frame))
        except FramingError as error:
            self.fault(f"sends a {error}")
            return
        finally:
            self._window.add(sizes)
        if self._inbox:
            self._arrived.set()
            if nbytes < _SMALL_READ_BYTES and self._rest is None:
                self._rest = asyncio.get_running_loop().call_later(_REST_S, self._end_rest)
            self._heed_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the loss, with what may be wrong if the broker never welcomed us."""
        self._lose(
            Unavailable(
                self._settings.broker,
                why=f"the connection was lost ({exc})" if exc else "it closed the connection",
                advice="is it still starting, is TLS expected (or not) on this port, does it speak MQTT 5?"
                if CONNECT in self._answers
                else "",
            )
        )
        self._closed.set()

    # What a frame means

    def _other(self, frame: memoryview, packet: mqtt5.Packet | Unreadable) -> Received | None:
        """What is no readable message: a message all the same, or a packet of the protocol's own."""
        if is_publish(frame[0]):
            return mqtt_codec.salvage(bytes(frame))
        self._control(packet)
        return None

    def _control(self, packet: mqtt5.Packet | Unreadable) -> None:
        match packet:
            case mqtt5.PingRespPacket():
                pass
            case mqtt5.ConnAckPacket():
                self._answer(CONNECT, packet)
            case mqtt5.PubAckPacket():
                self._answer(packet.packet_id, packet)
            case mqtt5.SubAckPacket(reason_codes=[_, _]):
                if refused := subscribe_refused(self._settings, packet):
                    self._lose(refused)
                self._answer(packet.packet_id, packet)
            case mqtt5.DisconnectPacket():
                self._lose(disconnected(self._settings, packet))
            case Unreadable(frame=frame) if frame == _V3_REFUSAL:
                self._lose(no_mqtt5(self._settings))
            case Unreadable(reason=reason):
                self.fault(f"sends a packet that cannot be read ({reason})")
            case _:
                self.fault(f"sends a {type(packet).__name__}")

    def _heed_claim(self, found: bytes) -> None:
        if self._claim.is_lost_to(found):
            self._lose(TakenOver(self._settings))
        elif self._claim.is_missing_from(found):
            self.write(self._claim.packet())

    def _answer(self, key: int, packet: mqtt5.Packet) -> None:
        answer = self._answers.get(key)
        if answer and not answer.done():
            answer.set_result(packet)

    # Window, rest, pulse, loss

    def _end_rest(self) -> None:
        self._rest = None
        self._heed_reading()

    def _heed_reading(self) -> None:
        was_full, self._full = self._full, self._bounded and self._window.is_full()
        self._heard = self._heard or was_full
        if self._transport is None or self._lost:
            return
        if self._full or self._rest:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _next_beat(self, half_s: float) -> None:
        self._pulse = asyncio.get_running_loop().call_later(half_s, self._beat, half_s)

    def _beat(self, half_s: float) -> None:
        if not (self._heard or self._full):
            self._lose(Unavailable(self._settings.broker, why=f"does not answer a ping within {half_s:g} s"))
            return
        self._heard = False
        self.write(mqtt5.PingReqPacket().write())
        self._next_beat(half_s)

    def _lose(self, error: HourmeterError) -> None:
        self._give_up(error)
        if self._transport:
            self._transport.close()

    def _give_up(self, error: HourmeterError) -> None:
        if self._lost:
            return
        self._lost = error
        for timer in (self._rest, self._pulse):
            if timer:
                timer.cancel()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
        self._arrived.set()

    def _check(self) -> None:
        if self._lost:
            raise self._lost
