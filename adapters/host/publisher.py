"""Sends what the outbox holds until the collector has confirmed it, from one connection to the next.

Rule 1: urgent before bulk; within a lane in order; at most a window of messages beyond the confirmed mark.
Rule 2: a PUBACK proves nothing but that the broker is there: only a confirmation lets a message go.
Rule 3: weather is waited out in real time, with one line when it begins and one when it ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from random import Random

from adapters.host.link import Link, Will
from adapters.host.outbox import Outbox
from adapters.host.pace import Pace, Tally, backoff_s
from adapters.host.session import Session
from telemetry import topics
from telemetry.clock import Clock
from telemetry.errors import SettingsError, Unavailable
from telemetry.messages import LinkState, Message, Status, encode
from telemetry.times import from_ms
from telemetry.topics import Topic

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PublisherHealth:
    """How the publisher stands, and what it has done since it started."""

    connected: bool
    trouble: str
    """Why there is no connection; empty while there is one."""
    unconfirmed: int
    confirmed: int
    """Messages confirmed since the outbox was opened."""
    tally: Tally
    """A copy: it does not go on counting."""


@dataclass(slots=True)
class Publisher:
    """The publisher of one adapter host."""

    name: str
    """The MQTT user; first level of its topics."""
    outbox: Outbox
    link: Link
    clock: Clock
    rng: Random
    pace: Pace = field(default_factory=Pace)
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits before a further attempt to connect."""
    _tally: Tally = field(default_factory=Tally, init=False)
    _connected: bool = field(default=False, init=False)
    _accepted: bool = field(default=False, init=False)
    _trouble: str = field(default="not connected yet", init=False)

    @property
    def health(self) -> PublisherHealth:
        """How it stands now."""
        return PublisherHealth(
            self._connected,
            self._trouble,
            self.outbox.unconfirmed,
            self.outbox.confirmed,
            replace(self._tally),
        )

    async def run(self) -> None:
        """Connect, send and connect again until cancelled; then say goodbye.

        Raises SettingsError when the broker refuses us for good and never accepted us before. Later, a
        refusal is waited out: what devices say is kept meanwhile.
        """
        attempt = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._serve()
            except Unavailable as error:
                if self._connected or attempt == 0:
                    log.warning("publisher: %s; trying again", error)
                self._trouble = str(error)
            finally:
                self._connected = False
            if asyncio.get_running_loop().time() - began > self.pace.backoff_most_s:
                attempt = 0
            wait_s = backoff_s(
                attempt, first_s=self.pace.backoff_first_s, most_s=self.pace.backoff_most_s, rng=self.rng
            )
            await self.pause(wait_s)
            attempt += 1

    async def _serve(self) -> None:
        connection_id = f"{self.rng.getrandbits(48):012x}"

        def state(link: LinkState, *, reason: str = "", is_known: bool = True) -> bytes:
            observed_at = from_ms(self.clock.now_ms()) if is_known else None
            body = Status(link=link, connection=connection_id, reason=reason)
            return encode(Message(observed_at=observed_at, body=body))

        topic = str(Topic(self.name, topics.LINK, "status"))
        will = Will(topic, state(LinkState.OFFLINE, reason="connection lost", is_known=False))
        async with AsyncExitStack() as leaving:
            try:
                connection = await leaving.enter_async_context(self.link.connect(will))
            except SettingsError as error:
                if not self._accepted:
                    raise
                raise Unavailable("publisher", why=str(error)) from error
            self._accepted = True
            session = Session(
                self.name,
                connection=connection,
                outbox=self.outbox,
                clock=self.clock,
                pace=self.pace,
                tally=self._tally,
            )
            try:
                await session.run(birth=state(LinkState.ONLINE), connected=self._note_connection)
            except asyncio.CancelledError:
                with suppress(Unavailable, TimeoutError):  # the will speaks for us if we cannot
                    async with asyncio.timeout(self.pace.goodbye_s):
                        last = state(LinkState.OFFLINE, reason="stopped")
                        await connection.publish(topic, last, properties=(), retain=True)
                raise

    def _note_connection(self) -> None:
        if self._tally.connections:
            log.warning("publisher: connected again")
        self._tally.connections += 1
        self._connected = True
        self._trouble = ""
