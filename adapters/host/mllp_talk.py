"""One connection of a gateway: what it says is taken in, and every HL7 message is answered within its limit.

Rule 1: answers go out in the order of the messages: each when all that was said before it is in the outbox,
or when its time is up, whatever happens behind; while the outbox takes nothing, at once.
Rule 2: under `withhold` an answer means that its message is in the outbox; one whose time is up before is
taken back whole, and forgotten, so that it is heard when the sender repeats it.
Rule 3: nothing that the other side does or omits holds memory, or this connection, for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapters.contract import Adapter, Answer, Heard, Outcome, Refusal, Skipped
from adapters.host.mllp_intake import Intake, Taken
from adapters.host.mllp_settings import Overflow, Times
from adapters.host.transports import Incoming, Outgoing

log = logging.getLogger(__name__)

PIECE_BYTES = 32 * 1024
MOST_OWED = 4096
"""Answers that one connection may wait for; beyond it nothing more is read from it."""
MOST_REFUSED = 100
"""Refusals without a message between them after which a connection is closed."""
SHARE_OF_LIMIT = 0.9
"""An answer that would be late goes out when so much of its time is up: the rest is for the way."""
_BLANK = b"\r\n \t\0"
_FRAME_END = b"\x1c"


class Memory(Protocol):
    """What all connections of a gateway remember of messages, to know a repetition."""

    @property
    def newest(self) -> bytes | None:
        """The mark of the message remembered last."""

    def forget(self, mark: bytes) -> None:
        """Hear that message anew when it is repeated."""


@dataclass(frozen=True, slots=True)
class _Owed:
    """An answer that waits for its time."""

    answer: bytes
    taken: Taken
    mark: bytes | None
    """By which it is remembered; None if it is a repetition, or never remembered."""
    heard_at: float
    """When the end of its message was read, in loop time."""


@dataclass(slots=True, eq=False)
class Talk:
    """One connection."""

    peer: str
    reader: Incoming
    writer: Outgoing
    adapter: Adapter
    intake: Intake
    overflow: Overflow
    times: Times
    memory: Memory
    heard_at: float = field(default=float("-inf"), init=False)
    """When it said a whole message last, in loop time."""
    _begun_at: float | None = field(default=None, init=False)
    """When the message began that has not ended yet, in loop time."""
    _owed: asyncio.Queue[_Owed] = field(default_factory=lambda: asyncio.Queue(MOST_OWED), init=False)
    _refused: int = field(default=0, init=False)
    """Refusals since the last whole message."""
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def stop(self) -> None:
        """Hear nothing more; what is owed is still answered in its time."""
        self._stopping.set()

    async def run(self) -> None:
        """Listen and answer until the other side is gone or takes too long, or this is stopped.

        Raises nothing that the other side could cause.
        """
        answering = asyncio.create_task(self._answer())
        listening = asyncio.create_task(self._listen())
        stopping = asyncio.create_task(self._stopping.wait())
        tasks: tuple[asyncio.Task[Any], ...] = (answering, listening, stopping)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            await asyncio.wait((listening,))
            await self._pay(answering)
            for task in (listening, answering):
                if task.done() and not task.cancelled():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()

    async def _pay(self, answering: asyncio.Task[None]) -> None:
        """Wait until everything owed is answered, or can no longer be."""
        paid = asyncio.create_task(self._owed.join())
        try:
            await asyncio.wait(
                (paid, answering),
                timeout=self.times.answer_s + self.times.take_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            paid.cancel()
            await asyncio.gather(paid, return_exceptions=True)

    async def _close(self) -> None:
        """Let go of the link, with what was written still on its way."""
        self.writer.transport.close()
        with suppress(OSError):  # that the link is lost has been said by read or write
            try:
                async with asyncio.timeout(self.times.take_s):
                    await self.writer.wait_closed()
            finally:
                self.writer.transport.abort()

    # -- what is heard ------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        await self._digest(self.adapter.connected())
        while self._refused <= MOST_REFUSED and (data := await self._read()):
            for piece in _pieces(data):
                before = self.memory.newest
                outcomes = self.adapter.feed(piece)
                after = self.memory.newest
                await self._digest(outcomes, mark=None if after == before else after)
                await asyncio.sleep(0)  # a connection that always has more must not keep the others waiting
        await self._digest(self.adapter.closed())

    async def _read(self) -> bytes:
        """The next bytes; none when the link is at its end, or a message takes too long."""
        due = None if self._begun_at is None else self._begun_at + self.times.message_s
        try:
            async with asyncio.timeout_at(due):
                data = await self.reader.read(PIECE_BYTES)
        except OSError as error:  # a timeout is one too
            log.info("%s: %s: %s", self.intake.name, self.peer, error or "no end of a message in time")
            return b""
        rest = data.rpartition(_FRAME_END)[2].strip(_BLANK)
        if _FRAME_END in data:
            self._begun_at = None
        if rest and self._begun_at is None:
            self._begun_at = _now()
        return data

    async def _digest(self, outcomes: tuple[Outcome, ...], *, mark: bytes | None = None) -> None:
        """Take in what was said: of one HL7 message at most."""
        heard: tuple[Heard, ...] = ()
        for outcome in outcomes:
            match outcome:
                case Heard():
                    heard = (*heard, outcome)
                case Answer():
                    await self._owe(outcome.data, heard, mark)
                    heard = ()
                case Skipped():
                    self.intake.tally.skipped += 1
                case Refusal():
                    self._refuse(outcome)
        if heard:
            self.intake.settle(self.intake.take(heard))

    def _refuse(self, refusal: Refusal) -> None:
        self.intake.tally.refusals += 1
        self._refused += 1
        if self._refused <= MOST_REFUSED:
            name, at = self.intake.name, refusal.offset
            log.info("%s: %s: refused at byte %d: %s", name, self.peer, at, refusal.reason)

    async def _owe(self, answer: bytes, heard: tuple[Heard, ...], mark: bytes | None) -> None:
        now = self.heard_at = _now()
        self._refused = 0
        taken = self.intake.take(heard)
        if taken.stay is None and self.overflow is Overflow.WITHHOLD:
            self._withhold(mark)
            return
        if taken.stay is None:
            self.intake.settle(taken)  # a repetition of it would not be heard again
        await self._owed.put(_Owed(answer, taken, mark, now))

    def _withhold(self, mark: bytes | None) -> None:
        self.intake.withhold()
        if mark is not None:
            self.memory.forget(mark)

    # -- what is answered ---------------------------------------------------------------------------------

    async def _answer(self) -> None:
        """Answer until the link is lost."""
        while True:
            owed = await self._owed.get()
            if not await self._is_due(owed):
                self._withhold(owed.mark)
            elif not await self._write(owed):
                return
            self._owed.task_done()

    async def _is_due(self, owed: _Owed) -> bool:
        """Wait for the moment of an answer; False if there must be none."""
        stay, room = owed.taken.stay, self.intake.room
        if stay is None:
            return True
        if self.overflow is Overflow.ACKNOWLEDGE and (room.stalled or room.is_late):
            return True  # a sender that speaks again only when answered must not wait its limit each time
        if not stay.kept.done():
            due = owed.heard_at + self.times.answer_s * SHARE_OF_LIMIT
            await asyncio.wait((stay.kept,), timeout=max(0.0, due - _now()))
            room.is_late = room.is_late or not stay.kept.done()
        if self.overflow is Overflow.ACKNOWLEDGE:
            return not stay.kept.done() or stay.kept.result()
        if not stay.kept.done() and room.take_back(stay):
            return False
        # what only waited for those before it is a repetition: of one that was taken back, perhaps
        return await stay.kept and (owed.taken.bodies > 0 or stay.behind == room.taken_back)

    async def _write(self, owed: _Owed) -> bool:
        """Send an answer; False when the link is lost."""
        tally = self.intake.tally
        self.writer.write(owed.answer)
        if not owed.taken.is_final:
            self.intake.settle(owed.taken)
        tally.answered += 1
        tally.slowest_answer_s = max(tally.slowest_answer_s, _now() - owed.heard_at)
        try:
            async with asyncio.timeout(self.times.take_s):
                await self.writer.drain()
        except OSError as error:  # a timeout is one too
            log.info("%s: %s: %s", self.intake.name, self.peer, error or "takes no answer")
            return False
        return True


def _pieces(data: bytes) -> Iterator[bytes]:
    """The bytes up to each end of a frame, and the rest: no piece completes more than one message."""
    start = 0
    while (end := data.find(_FRAME_END, start) + 1) > 0:
        yield data[start:end]
        start = end
    if start < len(data):
        yield data[start:]


def _now() -> float:
    return asyncio.get_running_loop().time()
