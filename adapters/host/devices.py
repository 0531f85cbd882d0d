"""One configured device: connected, polled, heard and supervised, whatever happens to the others.

Rule 1: a poll is sent only after all that the one before brought is on disk in the outbox.
Rule 2: what was heard is never dropped: without room in the outbox the device waits, unpolled, and says so.
Rule 3: polls follow the given clock; answers, links and retries are real.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random

from adapters.contract import UNTOLD, Adapter, Answer, Heard, Outcome, Refusal, Skipped
from adapters.host.ear import Ear
from adapters.host.lanes import Unsent
from adapters.host.outbox import Outbox
from adapters.host.pace import backoff_s
from adapters.host.transports import Connection, Transport
from telemetry.clock import Clock
from telemetry.errors import MessageError, SettingsError, Unavailable
from telemetry.messages import Alias, Body, LinkState, Message, Status, Strength, encode
from telemetry.times import from_ms

log = logging.getLogger(__name__)

MUTE_AFTER = 3
"""Polls, or periods of a device that speaks by itself, without a reading before it is mute."""
STALL_S = 1.0
"""Real time between two tries to put into an outbox that has no room."""


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """How a device stands, and what it has done since the host started."""

    name: str
    place: str
    protocol: str
    state: LinkState | None = None
    """None before anything is known."""
    trouble: str = ""
    """Why it is not online."""
    stalled: str = ""
    """Why what it said cannot be put into the outbox now; it is not polled meanwhile."""
    last_heard_ms: int | None = None
    links: int = 0
    polls: int = 0
    heard: int = 0
    """Frames that could be read."""
    refusals: int = 0
    skipped: int = 0
    """Messages that were read and are not carried on purpose."""
    stalls: int = 0
    """Times that the outbox had no room."""
    faults: int = 0
    """Bugs of ours that ended a link."""


@dataclass(slots=True)
class Device:
    """One device of the host."""

    name: str
    protocol: str
    poll_s: float
    transport: Transport
    make: Callable[[], Adapter]
    outbox: Outbox
    clock: Clock
    rng: Random
    answer_s: float = 5.0
    """Real time within which a polled device answers."""
    backoff_most_s: float = 60.0
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits in real time before a further attempt."""
    _adapter: Adapter = field(init=False)
    _port: Alias = field(init=False)
    _alias: Alias = field(init=False)
    _health: DeviceHealth = field(init=False)

    def __post_init__(self) -> None:
        """Begin with an adapter, and the port as the only name known."""
        self._adapter = self.make()
        self._port = Alias(
            protocol=self.protocol, namespace="port", identifier=self.name, strength=Strength.WEAK
        )
        self._alias = self._port
        self._health = DeviceHealth(self.name, self.transport.place, self.protocol)

    @property
    def health(self) -> DeviceHealth:
        """How it stands now."""
        return self._health

    async def run(self) -> None:
        """Keep the device heard until cancelled, or until its input has ended for good.

        Raises only what the outbox raises when it is beyond use.
        """
        attempt = 0
        while True:
            heard_before = self._health.heard
            trouble = ""
            try:
                await self._keep_link()
            except (Unavailable, SettingsError) as error:
                trouble = str(error)
            except asyncio.CancelledError:
                with suppress(Unavailable):  # the host's own status says that nothing is heard
                    await self.outbox.put_many(self._turned(LinkState.OFFLINE, "host stopped"))
                raise
            except Exception:  # the one supervisor: a bug in one adapter must not silence the other devices
                log.exception("%s: fault of ours; beginning anew with this device", self.name)
                trouble = "fault in hourmeter"
                self._count(faults=1)
                self._adapter = self.make()
            if trouble and trouble != self._health.trouble:
                log.warning("%s: %s; trying again", self.name, trouble)
            await self._commit(self._turned(LinkState.OFFLINE, trouble or "end of input"))
            if not trouble:
                return
            attempt = 0 if self._health.heard > heard_before else attempt
            await self.pause(backoff_s(attempt, first_s=1.0, most_s=self.backoff_most_s, rng=self.rng))
            attempt += 1

    # -- one link -----------------------------------------------------------------------------------------

    async def _keep_link(self) -> None:
        """Connect, poll and listen; returns at the end of all input. Raises Unavailable."""
        connection = await self.transport.connect()
        ear = Ear(connection)
        try:
            self._count(links=1)
            await self._digest(self._adapter.connected(), connection)
            await self._poll_until_the_end(connection, ear)
            await self._digest(self._adapter.closed(), connection)
        except Unavailable:
            await self._digest(self._adapter.closed(), None)
            raise
        finally:
            await ear.close()
            await connection.close()

    async def _poll_until_the_end(self, connection: Connection, ear: Ear) -> None:
        silent = 0
        goes_on = True
        while goes_on:
            heard_before = self._health.heard
            began_ms = self.clock.mono_ms()
            if request := self._adapter.poll():
                await connection.write(request)
                self._count(polls=1)
                answer = asyncio.sleep(self.answer_s)
                goes_on = await self._listen(connection, ear, until=answer, heard_before=heard_before)
            if goes_on:
                rest_s = self.poll_s - (self.clock.mono_ms() - began_ms) / 1000
                goes_on = await self._listen(connection, ear, until=self.clock.sleep(max(0.0, rest_s)))
            silent = 0 if self._health.heard > heard_before else silent + 1
            if goes_on and silent == MUTE_AFTER:
                await self._commit(self._turned(LinkState.MUTE, "does not answer"))

    async def _listen(
        self, connection: Connection, ear: Ear, *, until: Awaitable[None], heard_before: int | None = None
    ) -> bool:
        """Take in what comes until then, or until more than that count is heard; whether input goes on."""
        timer = asyncio.ensure_future(until)
        try:
            while not timer.done():
                data = await ear.hear(timer)
                if data is None:
                    return False
                await self._digest(self._adapter.feed(data), connection)
                if heard_before is not None and self._health.heard > heard_before:
                    return True
            timer.result()
            return True
        finally:
            timer.cancel()

    # -- what was heard -----------------------------------------------------------------------------------

    async def _digest(self, outcomes: tuple[Outcome, ...], connection: Connection | None) -> None:
        """Answer what must be answered, then put everything said into the outbox."""
        now_ms, mono_ms = self.clock.now_ms(), self.clock.mono_ms()
        said: list[Message] = []
        lost: Unavailable | None = None
        for outcome in outcomes:
            match outcome:
                case Answer():
                    try:
                        if connection is not None:
                            await connection.write(outcome.data)
                    except Unavailable as error:  # raised when what was heard is safe
                        lost = error
                case Refusal():
                    self._count(refusals=1)
                    log.info("%s: refused at byte %d: %s", self.name, outcome.offset, outcome.reason)
                case Skipped():
                    self._count(skipped=1)
                case Heard():
                    self._count(heard=1)
                    self._health = replace(self._health, last_heard_ms=now_ms)
                    self._alias = self._port if outcome.alias == UNTOLD else outcome.alias
                    said.extend(
                        self._message(body, at_ms=now_ms, device_time=outcome.device_time)
                        for body in (*self._changed(LinkState.ONLINE, ""), *outcome.bodies)
                    )
        await self._commit(self._unsent(said, mono_ms=mono_ms))
        if lost is not None:
            raise lost

    def _changed(self, state: LinkState, reason: str) -> tuple[Status, ...]:
        """The status to be told if the link's state is another one than before."""
        before, self._health = self._health.state, replace(self._health, state=state, trouble=reason)
        return () if state == before else (Status(link=state, reason=reason[:256]),)

    def _turned(self, state: LinkState, reason: str) -> tuple[Unsent, ...]:
        """The message of a change that the host noticed by itself."""
        said = [self._message(status, at_ms=self.clock.now_ms()) for status in self._changed(state, reason)]
        return self._unsent(said, mono_ms=self.clock.mono_ms())

    def _message(self, body: Body, *, at_ms: int, device_time: datetime | None = None) -> Message:
        return Message(alias=self._alias, observed_at=from_ms(at_ms), device_time=device_time, body=body)

    def _unsent(self, said: Sequence[Message], *, mono_ms: int) -> tuple[Unsent, ...]:
        """The messages as bytes, without those that are too large to be carried."""
        messages: list[Unsent] = []
        for message in said:
            kind = message.body.kind
            try:
                messages.append(Unsent(self.name, kind, encode(message), self.clock.boot(), mono_ms))
            except MessageError as error:
                self._count(refusals=1)
                log.info("%s: %s: %s", self.name, kind, error)
        return tuple(messages)

    async def _commit(self, messages: Sequence[Unsent]) -> None:
        """Put into the outbox, waiting for room as long as it takes."""
        while messages:
            try:
                await self.outbox.put_many(messages)
            except Unavailable as error:
                if not self._health.stalled:
                    log.error("%s: %s; not polled meanwhile", self.name, error)
                self._count(stalls=1)
                self._health = replace(self._health, stalled=str(error))
                await self.pause(STALL_S)
            else:
                self._health = replace(self._health, stalled="")
                return

    def _count(self, **more: int) -> None:
        self._health = replace(
            self._health, **{name: getattr(self._health, name) + n for name, n in more.items()}
        )
