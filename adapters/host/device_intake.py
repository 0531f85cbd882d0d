"""From what a device's adapter makes of bytes to messages that wait for the outbox, and all that is counted.

Rule 1: what was heard waits in order, and is never dropped for a device that can be kept waiting.
Rule 2: a device that must be talked to is not kept waiting: what finds no room is lost, counted and said.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from adapters.contract import Heard, Outcome, Refusal, Skipped
from adapters.host.device_health import DeviceTally
from adapters.host.lanes import Unsent
from adapters.host.mllp_room import Shelf, Stay, WaitingRoom
from adapters.host.units import Said, Units
from telemetry.clock import Clock
from telemetry.errors import MessageError
from telemetry.messages import Message, encode
from telemetry.times import from_ms

log = logging.getLogger(__name__)

MOST_WAITING: Final = 2_000
"""Messages of a device that must be talked to that may wait in memory."""
MOST_WAITING_BYTES: Final = 4 << 20


@dataclass(slots=True)
class Intake:
    """What one device says, on its way into the outbox."""

    name: str
    units: Units
    outbox: Shelf
    clock: Clock
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits in real time before a further try to reach the outbox."""
    must_talk: bool = False
    """Whether the device must be talked to whatever happens behind."""
    tally: DeviceTally = field(default_factory=DeviceTally, init=False)
    has_gap: bool = field(default=False, init=False)
    """Whether something was lost since the device was last heard from the beginning."""
    room: WaitingRoom = field(init=False)

    def __post_init__(self) -> None:
        """Nothing waits."""
        most = (MOST_WAITING, MOST_WAITING_BYTES) if self.must_talk else (sys.maxsize, sys.maxsize)
        self.room = WaitingRoom(self.name, self.outbox, most=most[0], most_bytes=most[1], pause=self.pause)

    def take(self, outcomes: Iterable[Outcome], *, at_ms: int, mono_ms: int) -> Stay | None:
        """Count what was made of bytes and let what was said wait; None if it was lost."""
        said: list[Unsent] = []
        refused: list[Refusal] = []
        for outcome in outcomes:
            match outcome:
                case Refusal():
                    refused.append(outcome)
                case Skipped():
                    self.tally.skipped += 1
                case Heard():
                    self.tally.heard += 1
                    said += self._heard(outcome, at_ms=at_ms, mono_ms=mono_ms)
        self._refused(refused)
        return self._enter(said)

    def tell(self, said: Iterable[Said]) -> Stay | None:
        """Let what the host noticed by itself wait; None if it was lost."""
        at_ms, mono_ms = self.clock.now_ms(), self.clock.mono_ms()
        return self._enter([one for each in said for one in self._unsent(each, at_ms=at_ms, mono_ms=mono_ms)])

    def begin_anew(self) -> bool:
        """Whether something was lost and there is room again: then the device is to be heard anew."""
        if not self.has_gap or not self.room.is_roomy:
            return False
        self.has_gap = False
        self.units.untell()
        return True

    async def kept(self) -> None:
        """Wait until all that was said is in the outbox."""
        if (stay := self.room.enter(())) is not None:
            await stay.kept

    def _heard(self, heard: Heard, *, at_ms: int, mono_ms: int) -> Sequence[Unsent]:
        unit = self.units.find(heard.unit)
        if unit is None:
            self.tally.refusals += 1
            log.warning("%s: too many units; what unit %s says is dropped", self.name, heard.unit)
            return ()
        said = self.units.heard(heard, unit, at_ms=at_ms)
        return [
            one
            for each in said
            for one in self._unsent(each, at_ms=at_ms, mono_ms=mono_ms, device_time=heard.device_time)
        ]

    def _refused(self, refused: Sequence[Refusal]) -> None:
        self.tally.refusals += len(refused)
        for first in refused[:1]:  # a flood of garbage is no flood of lines
            more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
            log.info("%s: refused at byte %d: %s%s", self.name, first.offset, first.reason, more)

    def _unsent(
        self, said: Said, *, at_ms: int, mono_ms: int, device_time: datetime | None = None
    ) -> Sequence[Unsent]:
        """The message as bytes; none if it is too large to be carried."""
        kind = said.body.kind
        message = Message(
            alias=said.unit.alias, observed_at=from_ms(at_ms), device_time=device_time, body=said.body
        )
        try:
            return (Unsent(said.unit.name, kind, encode(message), self.clock.boot(), mono_ms),)
        except MessageError as error:
            self.tally.refusals += 1
            log.info("%s: %s: %s", self.name, kind, error)
            return ()

    def _enter(self, messages: Sequence[Unsent]) -> Stay | None:
        if (stay := self.room.enter(messages)) is not None:
            return stay
        self.tally.lost += len(messages)
        if not self.has_gap:
            log.error("%s: no room for what it says; it is talked to, and messages are lost", self.name)
        self.has_gap = True
        return None
