"""The conversation with a device over one link: its words in time, its polls, and what it says.

Rule 1: a poll is sent only after all that the one before brought is on disk in the outbox.
Rule 2: an adapter that owes its device words in time is tended whatever happens behind: only polls wait.
Rule 3: polls and the time that adapters are told follow the given clock; answers are awaited in real time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from adapters.contract import Adapter, Answer, Conversing, Outcome
from adapters.host.device_intake import Intake
from adapters.host.ear import Ear
from adapters.host.transports import Connection
from telemetry.clock import Clock
from telemetry.errors import Unavailable

TAKE_S: Final = 5.0
"""Real time within which the other side takes what is written."""
FAREWELL_S: Final = 0.25
"""Real time for which a link stays open after the last words, so that they arrive."""
LEAST_S: Final = 0.001
"""What a clock can tell apart: an adapter that is due at once is called no more often."""


@dataclass(slots=True)
class Talk:
    """One link's conversation."""

    place: str
    connection: Connection
    adapter: Adapter
    intake: Intake
    clock: Clock
    poll_s: float
    answer_s: float
    _ear: Ear = field(init=False)
    _passed_ms: int = field(default=0, init=False)
    """Monotonic time of which the adapter was told."""

    async def run(self) -> None:
        """Talk until the end of all input. Raises Unavailable; when cancelled, ends in order first."""
        self._ear = Ear(self.connection)
        try:
            await self._talk()
        except Unavailable:
            await self._take(self.adapter.closed(), answers=False)
            raise
        except asyncio.CancelledError:
            await self._bid_farewell()
            raise
        finally:
            await self._ear.close()

    async def _talk(self) -> None:
        self.intake.units.begun()
        self._passed_ms = self.clock.mono_ms()
        await self._take(self.adapter.connected())
        while await self._round():
            self.intake.tell(self.intake.units.round_over(at_ms=self.clock.now_ms()))
        await self._take(self.adapter.closed())

    async def _round(self) -> bool:
        """Ask for a reading and listen for a period; whether input goes on."""
        if self.intake.room.waiting and not await self._listen(until=self.intake.kept()):
            return False
        if self.intake.has_gap:
            await self._bid_farewell()
            raise Unavailable(self.place, why="what it said found no room and was lost; it is heard anew")
        heard_before = self.intake.tally.heard
        began_ms = self.clock.mono_ms()
        await self._take(self._time_passed())
        if request := self.adapter.poll():
            await self._write(request)
            self.intake.tally.polls += 1
            answer = asyncio.sleep(self.answer_s)
            if not await self._listen(until=answer, enough=lambda: self.intake.tally.heard > heard_before):
                return False
        rest_s = self.poll_s - (self.clock.mono_ms() - began_ms) / 1000
        return await self._listen(until=self.clock.sleep(max(0.0, rest_s)))

    async def _listen(self, *, until: Awaitable[None], enough: Callable[[], bool] = lambda: False) -> bool:
        """Take in what comes until then, or until that is enough; whether input goes on."""
        timer = asyncio.ensure_future(until)
        try:
            while not timer.done() and not enough():
                data = await self._hear(timer)
                if data is None:
                    return False
                if data:  # all of it is heard, even if a word that is due cannot be sent any more
                    await self._take((*self._time_passed(), *self.adapter.feed(data)))
            if timer.done():
                timer.result()
            return True
        finally:
            timer.cancel()

    async def _hear(self, timer: asyncio.Future[None]) -> bytes | None:
        """What came before the timer ended or the adapter was due, as `Ear.hear`."""
        due_s = self.adapter.due_s() if isinstance(self.adapter, Conversing) else None
        if due_s is None:
            return await self._ear.hear(timer)
        waking = asyncio.ensure_future(self.clock.sleep(max(due_s, LEAST_S)))
        try:
            data = await self._ear.hear(timer, waking)
        finally:
            waking.cancel()
        if data == b"" and waking.done():
            await self._take(self._time_passed())
        return data

    def _time_passed(self) -> tuple[Outcome, ...]:
        """Tell the adapter how much time has passed, if it wants to know; what it makes of that."""
        if not isinstance(self.adapter, Conversing):
            return ()
        before_ms, self._passed_ms = self._passed_ms, self.clock.mono_ms()
        return self.adapter.elapsed((self._passed_ms - before_ms) / 1000)

    async def _take(self, outcomes: tuple[Outcome, ...], *, answers: bool = True) -> None:
        """Answer what must be answered, then let everything said wait for the outbox.

        Only an adapter that owes nothing in time waits with it. Raises Unavailable when that is done.
        """
        at_ms, mono_ms = self.clock.now_ms(), self.clock.mono_ms()
        lost: Unavailable | None = None
        for outcome in outcomes:
            if isinstance(outcome, Answer) and answers and lost is None:
                try:
                    await self._write(outcome.data)
                except Unavailable as error:  # raised when what was heard is safe
                    lost = error
        stay = self.intake.take(outcomes, at_ms=at_ms, mono_ms=mono_ms)
        if stay is not None and not self.intake.must_talk:
            await stay.kept
        if lost is not None:
            raise lost

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(TAKE_S):
                await self.connection.write(data)
        except TimeoutError as error:
            raise Unavailable(
                self.place, why=f"takes nothing for {TAKE_S:g} s", advice="check its power and network"
            ) from error

    async def _bid_farewell(self) -> None:
        """Say the last words, if any are owed, and give them time to arrive."""
        words = self.adapter.farewell() if isinstance(self.adapter, Conversing) else b""
        if not words:
            return
        with suppress(Unavailable, TimeoutError):  # lost: nobody is there to be told; or the time is over
            await self._write(words)
            async with asyncio.timeout(FAREWELL_S):
                while await self._ear.hear() is not None:
                    pass
