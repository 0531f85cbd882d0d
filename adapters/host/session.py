"""One connection's worth of sending: birth, sync, messages in order, and again what is not confirmed."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from adapters.host.lanes import Held, Lane
from adapters.host.link import Connection
from adapters.host.outbox import Outbox
from adapters.host.pace import Pace, Tally
from adapters.host.together import together
from telemetry import topics
from telemetry.clock import Clock
from telemetry.control import Confirmed, StreamSync, Sync, read_confirmed
from telemetry.envelope import Envelope
from telemetry.errors import MessageError, Unavailable
from telemetry.topics import Topic

log = logging.getLogger(__name__)

_NOWHERE = ("", 0)
SYNC_EXPIRES_S = 30
"""A `sync` that waited longer in the broker would make our clock look late by as much."""


@dataclass(slots=True)
class _Out:
    """What of a lane is out on this connection."""

    place: tuple[str, int] = _NOWHERE
    """Stream and number of the last message handed over."""
    turn: int = 0
    """How often the lane was turned back to its mark."""
    still_since: float = 0.0
    """When its mark moved last or its first message went out, in loop time."""
    fruitless: int = 0
    """How often it was sent again in vain: a collector that is away, or busy with copies, gets no more."""


class Session:
    """The sending side of one connection."""

    def __init__(
        self, name: str, *, connection: Connection, outbox: Outbox, clock: Clock, pace: Pace, tally: Tally
    ) -> None:
        self._name = name
        self._connection = connection
        self._outbox = outbox
        self._clock = clock
        self._pace = pace
        self._tally = tally
        self._out = {lane: _Out() for lane in Lane}
        self._heard_at = self._now()
        """When a confirmation came last, in loop time."""
        self._latest: Confirmed | None = None
        self._news = asyncio.Event()
        """Set when a confirmation waits to be taken."""
        self._heard = asyncio.Event()
        """Set when a confirmation has been taken on this connection."""

    async def run(self, *, birth: bytes, connected: Callable[[], None]) -> None:
        """Work until cancelled. `connected` is called when the broker has our birth. Raises Unavailable."""
        await together(self._listen(), self._follow(), self._speak(birth, connected))

    async def _speak(self, birth: bytes, connected: Callable[[], None]) -> None:
        topic = str(Topic(self._name, topics.LINK, "status"))
        await self._connection.publish(topic, birth, properties=(), retain=True)
        await self._sync()
        connected()
        with suppress(TimeoutError):  # a collector that is away confirms later
            async with asyncio.timeout(self._pace.greet_s):
                await self._heard.wait()
        await together(self._send(), self._watch(), self._keep_in_sync())

    # -- what is heard ------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        async for payload in self._connection.confirmations():
            try:
                self._latest = read_confirmed(payload)
            except MessageError as error:
                self._tally.refused_confirmations += 1
                log.warning("publisher: %s", error)
            else:
                self._news.set()
        raise Unavailable("publisher", why="the link ended")

    async def _follow(self) -> None:
        """Take the latest confirmation; it says all that earlier ones said, so these may be skipped."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._latest is not None:
                await self._confirm(self._latest.epoch, self._latest.streams)
            self._heard.set()
            self._outbox.news.set()

    async def _confirm(self, epoch: str, marks: dict[str, int]) -> None:
        before = self._outbox.standing
        told = await self._outbox.confirm(epoch, marks)
        after = self._outbox.standing
        behind = [
            one.stream for one in before.values() if marks.get(one.stream, one.confirmed) < one.confirmed
        ]
        if behind and not told.renewed:
            log.error(
                "publisher: the journal holds less of %s than it confirmed; if it was restored from a backup,"
                " `hourmeter restored` must tell so",
                ", ".join(behind),
            )
        was_silent = self._now() - self._heard_at > self._pace.resend_s
        self._heard_at = self._now()
        for lane, out in self._out.items():
            has_moved = after[lane].confirmed != before[lane].confirmed
            if has_moved:
                out.still_since = self._now()
            if has_moved or was_silent:
                out.fruitless = 0
        if told.superseded:
            self._tally.refused_confirmations += 1
            log.error(
                "publisher: more of %s is confirmed than was sent: another copy of this outbox has spoken;"
                " going on under a new name with all that is not confirmed",
                ", ".join(told.superseded),
            )
        if told.renewed:
            self._tally.renewals += 1
            log.warning("publisher: the collector has another journal; sending again what it lacks")
            for out in self._out.values():
                self._turn_back(out)
        if told.renewed or told.superseded:
            await self._sync()

    # -- what is said -------------------------------------------------------------------------------------

    async def _send(self) -> None:
        """Hand over whatever may be handed over."""
        flying: deque[asyncio.Task[None]] = deque()
        try:
            while True:
                self._outbox.news.clear()
                messages = await self._next()
                for message in messages:
                    if len(flying) >= self._pace.in_flight:
                        await flying[0]
                        flying.popleft()
                    # tasks begin in the order in which they are made, and publishes keep the order of calls
                    flying.append(asyncio.create_task(self._hand_over(message)))
                if not messages:
                    while flying:
                        await flying[0]
                        flying.popleft()
                    await self._outbox.news.wait()
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    async def _next(self) -> tuple[Held, ...]:
        """The next messages, urgent before bulk."""
        for lane, out in self._out.items():
            messages = await self._next_of(lane, out)
            if messages:
                return messages
        return ()

    async def _next_of(self, lane: Lane, out: _Out) -> tuple[Held, ...]:
        while True:
            turn, is_first = out.turn, not self._is_out(lane)
            sent_before = self._outbox.standing[lane]
            messages = await self._outbox.take(
                lane, after=out.place, window=self._pace.window, limit=self._pace.in_flight
            )
            if turn != out.turn:
                continue  # the lane was turned back meanwhile: what follows the old place must wait
            if messages:
                last = messages[-1]
                out.place = (last.stream, last.seq)
                if is_first:
                    out.still_since = self._now()
                self._tally.sent += len(messages)
                self._tally.resent += sum(
                    message.stream == sent_before.stream and message.seq <= sent_before.sent
                    for message in messages
                )
            return messages

    async def _hand_over(self, message: Held) -> None:
        topic = str(Topic(self._name, message.device, message.kind))
        place = Envelope(message.stream, message.seq, message.boot, message.mono_ms)
        await self._connection.publish(
            topic, message.payload, properties=place.properties(), retain=message.retain
        )

    # -- what is sent again -------------------------------------------------------------------------------

    def _is_out(self, lane: Lane) -> bool:
        """Whether something of the lane is handed over and not confirmed."""
        standing, (stream, seq) = self._outbox.standing[lane], self._out[lane].place
        return stream == standing.stream and seq > standing.start

    def _turn_back(self, out: _Out) -> None:
        out.place = _NOWHERE
        out.turn += 1

    async def _watch(self) -> None:
        """Send again what is out when the confirmed mark stands still."""
        while True:
            await asyncio.sleep(self._pace.resend_s / 4)
            again = False
            for lane, out in self._out.items():
                patience_s = min(
                    self._pace.resend_most_s, self._pace.resend_s * 2.0 ** min(out.fruitless, 20)
                )
                if self._is_out(lane) and self._now() - out.still_since >= patience_s:
                    out.fruitless += 1
                    self._turn_back(out)
                    again = True
            if again:
                self._tally.standstills += 1
                log.warning(
                    "publisher: nothing is confirmed, sending it again; does the collector run, and does the"
                    " broker's access list let us publish?"
                )
                await self._sync()
                self._outbox.news.set()

    async def _keep_in_sync(self) -> None:
        while True:
            await asyncio.sleep(self._pace.sync_s)
            await self._sync()

    async def _sync(self) -> None:
        """Say what is held, what was sent, and what the clock shows."""
        sync = Sync(
            boot=self._clock.boot(),
            mono_ms=self._clock.mono_ms(),
            clock_ms=self._clock.now_ms(),
            streams=tuple(
                StreamSync(
                    stream=standing.stream,
                    held_from=standing.held_from,
                    sent_through=standing.sent,
                    supersedes=standing.supersedes,
                )
                for standing in self._outbox.standing.values()
            ),
        )
        topic = str(Topic(self._name, topics.LINK, topics.SYNC))
        payload = sync.model_dump_json(exclude_none=True).encode()
        await self._connection.publish(topic, payload, properties=(), retain=False, expires_s=SYNC_EXPIRES_S)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
