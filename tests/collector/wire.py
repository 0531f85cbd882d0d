"""A transport without a network: what the link writes is kept, what the broker would say is fed to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import mqtt5

from collector.mqtt_link import Link
from collector.mqtt_settings import MqttSettings

RUN = "0001-a"
SETTINGS = MqttSettings("broker", 1883, "collector", "secret")


class Wire(asyncio.Transport):
    """Plays the broker for one link: `replies` turns each packet of the link into the broker's bytes."""

    def __init__(self, link: Link, *, replies: Callable[[mqtt5.Packet], bytes] = lambda _: b"") -> None:
        super().__init__()
        self.reading = True
        self.said: list[mqtt5.Packet] = []
        self._link = link
        self._replies = replies
        self._closing = False
        link.connection_made(self)

    def feed(self, data: bytes, *, piece: int | None = None) -> None:
        """Let bytes come in, at once or in pieces of that size."""
        view = memoryview(data)
        while view:
            room = self._link.get_buffer(-1)
            taken = min(len(room), len(view), piece or len(view))
            room[:taken] = view[:taken]
            self._link.buffer_updated(taken)
            view = view[taken:]

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep the packets, and let the broker reply."""
        view = memoryview(data)
        while view:
            packet, used = mqtt5.read(view)
            self.said.append(packet)
            if isinstance(packet, mqtt5.DisconnectPacket):
                self.close()
            view = view[used:]
            if reply := self._replies(packet):
                asyncio.get_running_loop().call_soon(self.feed, reply)

    def lose(self, error: Exception | None = None) -> None:
        """Break the connection."""
        self._closing = True
        self._link.connection_lost(error)

    def close(self) -> None:
        """Close as asyncio does: the link hears of it later."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._link.connection_lost, None)

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._closing

    def abort(self) -> None:
        """Close at once."""
        self.close()

    def pause_reading(self) -> None:
        """Note that the link does not want to read."""
        self.reading = False

    def resume_reading(self) -> None:
        """Note that the link reads again."""
        self.reading = True
