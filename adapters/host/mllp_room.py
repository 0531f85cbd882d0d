"""The waiting room between a gateway and the outbox: bounded, in order, patient with a disk that is not.

Rule 1: what has entered leaves into the outbox in the order in which it came, unless it is taken back.
Rule 2: a room that is full takes nothing more and says so at once; whoever asks decides what that means.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from adapters.host.lanes import Unsent
from telemetry.errors import Unavailable

log = logging.getLogger(__name__)

STALL_S = 1.0
"""Real time between two tries to put into an outbox that has no room."""
BATCH = 256
"""Stays that are put into the outbox together at most."""


class Shelf(Protocol):
    """The part of the outbox that a gateway uses."""

    async def put_many(self, messages: Sequence[Unsent]) -> None:
        """Keep all of them, in order, and return when they are on disk. Raises Unavailable: then none is."""


@dataclass(slots=True, eq=False)
class Stay:
    """Messages in the room."""

    messages: tuple[Unsent, ...]
    kept: asyncio.Future[bool]
    """Whether they got into the outbox, once that is known."""
    behind: int
    """How many stays had been taken back when this one began."""

    @property
    def size(self) -> int:
        """Bytes that it is counted with."""
        return sum(message.size for message in self.messages)


@dataclass(slots=True)
class WaitingRoom:
    """The room of one gateway; `run` empties it into the outbox."""

    name: str
    outbox: Shelf
    most: int
    """Messages that may wait."""
    most_bytes: int
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits in real time before a further try."""
    waiting: int = field(default=0, init=False)
    """Messages in the room."""
    taken_back: int = field(default=0, init=False)
    """Stays that were taken back so far."""
    stalled: str = field(default="", init=False)
    """Why the outbox takes nothing now."""
    is_late: bool = field(default=False, init=False)
    """Whether somebody waited in vain since the outbox last took something."""
    stalls: int = field(default=0, init=False)
    """Tries that the outbox refused."""
    _bytes: int = field(default=0, init=False)
    _stays: deque[Stay] = field(default_factory=deque, init=False)
    _moving: int = field(default=0, init=False)
    """Stays at the front of the queue that are on their way into the outbox."""
    _news: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _closing: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @property
    def is_roomy(self) -> bool:
        """Whether at least half of the room is free."""
        return self.waiting * 2 <= self.most and self._bytes * 2 <= self.most_bytes

    def enter(self, messages: Sequence[Unsent]) -> Stay | None:
        """Let messages wait together; None if there is no room. No messages at all always have room.

        Their stay ends after all that entered before has left.
        """
        stay = Stay(tuple(messages), asyncio.get_running_loop().create_future(), self.taken_back)
        is_full = self.waiting + len(messages) > self.most or self._bytes + stay.size > self.most_bytes
        if self._closing.is_set() or (messages and is_full):
            return None
        self._stays.append(stay)
        self.waiting += len(stay.messages)
        self._bytes += stay.size
        self._news.set()
        return stay

    def take_back(self, stay: Stay) -> bool:
        """Let a stay end without being kept; False if it is on its way into the outbox, or there already."""
        if stay.kept.done() or stay in islice(self._stays, self._moving):
            return False
        self._stays.remove(stay)
        self._left(stay, kept=False)
        self.taken_back += 1
        return True

    async def run(self) -> None:
        """Move what waits into the outbox, until closed. Raises what makes the outbox unusable."""
        size = BATCH
        while True:
            if not self._stays:
                if self._closing.is_set():
                    return
                self._news.clear()
                await self._news.wait()
                continue
            batch = tuple(islice(self._stays, size))
            if not await self._move(batch):
                if size == 1 and self._closing.is_set():
                    return
                if size == 1:
                    await self._rest()
                size = max(1, size // 4)  # less may still fit
            else:
                size = min(BATCH, size * 2)

    def close(self) -> None:
        """Let nothing more in; `run` tries once more what waits and ends."""
        self._closing.set()
        self._news.set()

    def give_up(self) -> int:
        """End all stays that are left, not kept; how many messages they were."""
        lost = self.waiting
        while self._stays:
            self._left(self._stays.popleft(), kept=False)
        return lost

    async def _move(self, batch: tuple[Stay, ...]) -> bool:
        """Put a batch from the front of the queue into the outbox; False if it has no room now."""
        self._moving = len(batch)
        messages = [message for stay in batch for message in stay.messages]
        try:
            if messages:
                await self.outbox.put_many(messages)
        except Unavailable as error:
            if not self.stalled:
                log.error("%s: %s; what is heard waits in memory", self.name, error)
            self.stalls += 1
            self.stalled = str(error)
            return False
        finally:
            self._moving = 0
        if messages and self.stalled:
            log.warning("%s: the outbox takes what is heard again", self.name)
        if messages:
            self.stalled, self.is_late = "", False
        for stay in batch:
            self._stays.popleft()
            self._left(stay, kept=True)
        return True

    def _left(self, stay: Stay, *, kept: bool) -> None:
        self.waiting -= len(stay.messages)
        self._bytes -= stay.size
        if not stay.kept.done():
            stay.kept.set_result(kept)

    async def _rest(self) -> None:
        """Wait before a further try, not longer than until the room is closed."""
        pausing = asyncio.ensure_future(self.pause(STALL_S))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait((pausing, closing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pausing, closing):
                task.cancel()
            await asyncio.gather(pausing, closing, return_exceptions=True)
