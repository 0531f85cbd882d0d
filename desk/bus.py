"""A bus within the process, for the demo without a broker and for a single machine: both ends of the line.

Rule 1: it keeps nothing: what is not acknowledged when a session ends comes again from the outbox.
Rule 2: it is bounded: a publisher waits when the collector is behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from adapters.host.link import Will
from collector.inbound import Received
from telemetry import topics

ROOM = 2_000
"""Messages on the bus at which publishers wait."""


class Bus:
    """Carries messages to one collector and confirmations back to any number of publishers."""

    def __init__(self) -> None:
        self._waiting: list[Received] = []
        self._retained: dict[str, bytes] = {}
        self._changed = asyncio.Condition()

    async def send(self, message: Received) -> None:
        """Put a message on the bus, waiting for room."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._waiting) < ROOM)
            self._waiting.append(message)
            self._changed.notify_all()

    async def take(self) -> Sequence[Received]:
        """All messages on the bus, at least one."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._waiting))
            taken, self._waiting = self._waiting, []
            self._changed.notify_all()
            return taken

    async def retain(self, topic: str, payload: bytes) -> None:
        """Set the retained payload of a topic."""
        async with self._changed:
            self._retained[topic] = payload
            self._changed.notify_all()

    def _has_news(self, topic: str, last: bytes | None) -> bool:
        return self._retained.get(topic) not in (None, last)

    async def follow(self, topic: str) -> AsyncIterator[bytes]:
        """Each payload that is retained for a topic, the present one first."""
        last: bytes | None = None
        while True:
            async with self._changed:
                await self._changed.wait_for(partial(self._has_news, topic, last))
                last = self._retained[topic]
            yield last


@dataclass(frozen=True, slots=True)
class BusInbound:
    """The collector's end of the bus."""

    bus: Bus

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[_BusSession]:
        """A session; there is only one collector on a bus."""
        yield _BusSession(self.bus)


@dataclass(frozen=True, slots=True)
class _BusSession:
    bus: Bus
    session_present: bool = True

    async def receive(self) -> Sequence[Received]:
        return await self.bus.take()

    def acknowledge(self, received: Sequence[Received]) -> None:
        """The bus keeps nothing that could be let go."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        if retain:
            await self.bus.retain(topic, payload)


@dataclass(frozen=True, slots=True)
class BusLink:
    """A publisher's end of the bus."""

    bus: Bus
    publisher: str

    @asynccontextmanager
    async def connect(self, will: Will) -> AsyncIterator[_BusConnection]:  # noqa: ARG002 - the process is the link
        """A connection; it ends with the process, so nobody is left to hear a will."""
        yield _BusConnection(self.bus, self.publisher)


@dataclass(frozen=True, slots=True)
class _BusConnection:
    bus: Bus
    publisher: str

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        properties: Sequence[tuple[str, str]],
        retain: bool,
        expires_s: int | None = None,  # noqa: ARG002 - nothing waits long on the bus
    ) -> None:
        await self.bus.send(Received(topic, payload, tuple(properties), retain=retain, token=None))

    def confirmations(self) -> AsyncIterator[bytes]:
        return self.bus.follow(topics.confirmed(self.publisher))
