"""What the connections of one gateway have in common: its devices, the way into the outbox, and the count.

Rule 1: what cannot be kept is counted, and said when that begins and when it has ended; nothing is dropped
in silence.
Rule 2: a status that did not arrive counts as not told, and is told again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from adapters.contract import Heard
from adapters.host.lanes import Unsent
from adapters.host.mllp_health import GatewayTally
from adapters.host.mllp_links import Behind, Links, Turn
from adapters.host.mllp_room import Stay, WaitingRoom
from telemetry.clock import Clock
from telemetry.errors import MessageError
from telemetry.messages import Body, Message, encode
from telemetry.times import from_ms

log = logging.getLogger(__name__)

Told = Sequence[tuple[Behind, tuple[Body, ...]]]
"""What was said of which device, in order."""


@dataclass(slots=True, eq=False)
class Taken:
    """One HL7 message as it was taken in."""

    stay: Stay | None
    """Its stay in the waiting room; None if there was no room."""
    bodies: int
    """What it says, in messages of ours."""
    is_final: bool = False
    """Whether it is answered, or wants no answer: if it is not kept then, it is lost."""


@dataclass(slots=True)
class Intake:
    """The way from what is heard into the outbox."""

    name: str
    links: Links
    room: WaitingRoom
    clock: Clock
    tally: GatewayTally = field(default_factory=GatewayTally)
    _before: GatewayTally | None = field(default=None, init=False)
    """The count when there was no room any more; None while there is."""

    def take(self, heard: Sequence[Heard]) -> Taken:
        """Put what one HL7 message says into the waiting room."""
        now_ms, mono_ms = self.clock.now_ms(), self.clock.mono_ms()
        said: list[Unsent] = []
        told: list[tuple[Behind, tuple[Body, ...]]] = []
        for one in heard:
            device = self.links.find(one.alias, mono_ms=mono_ms)
            if device is None:
                self._say_beyond()
                continue
            bodies = device.completed(one.bodies)
            told.append((device, bodies))
            said.extend(self._unsent(device, bodies, one.device_time, now_ms=now_ms, mono_ms=mono_ms))
        self.tally.heard += bool(heard)
        taken = Taken(self.room.enter(said), len(said))
        if taken.stay is None:
            self._not_kept(taken, told)
        elif said:
            taken.stay.kept.add_done_callback(partial(self._left, taken, told))
        return taken

    def settle(self, taken: Taken) -> None:
        """It is answered, or wants no answer: from here on it is ours to lose."""
        taken.is_final = True
        if taken.stay is None or (taken.stay.kept.done() and not taken.stay.kept.result()):
            self._lost(taken)

    def withhold(self) -> None:
        """An answer is not given, so that the sender keeps its message."""
        self._note_want()
        self.tally.withheld += 1

    def tell(self, turns: Iterable[Turn]) -> None:
        """Say that links have changed; what finds no room is left to be said again."""
        now_ms, mono_ms = self.clock.now_ms(), self.clock.mono_ms()
        for turn in turns:
            device = turn.device
            said = self._unsent(device, (turn.status,), None, now_ms=now_ms, mono_ms=mono_ms)
            stay = self.room.enter(tuple(said))
            if stay is not None:
                device.told = turn.status.link
                stay.kept.add_done_callback(partial(_left_untold, turn))

    def look(self) -> None:
        """Say that there is room again, once there is."""
        before = self._before
        if before is None or not self.room.is_roomy:
            return
        self._before = None
        log.error(
            "%s: there is room again for what is heard; meanwhile %d HL7 messages were acknowledged and lost"
            " (%d messages of ours), %d were not answered",
            self.name,
            self.tally.lost - before.lost,
            self.tally.lost_bodies - before.lost_bodies,
            self.tally.withheld - before.withheld,
        )

    def _unsent(
        self,
        device: Behind,
        bodies: Iterable[Body],
        device_time: datetime | None,
        *,
        now_ms: int,
        mono_ms: int,
    ) -> Iterator[Unsent]:
        """The bodies as bytes, without those that are too large to be carried."""
        for body in bodies:
            message = Message(
                alias=device.alias, observed_at=from_ms(now_ms), device_time=device_time, body=body
            )
            try:
                yield Unsent(device.name, body.kind, encode(message), self.clock.boot(), mono_ms)
            except MessageError as error:
                self.tally.refusals += 1
                log.info("%s: %s of %s: %s", self.name, body.kind, device.name, error)

    def _left(self, taken: Taken, told: Told, kept: asyncio.Future[bool]) -> None:
        if kept.result():
            self.look()
        else:
            self._not_kept(taken, told)

    def _not_kept(self, taken: Taken, told: Told) -> None:
        for device, bodies in told:
            device.untell(bodies)
        if taken.is_final:
            self._lost(taken)

    def _lost(self, taken: Taken) -> None:
        if not taken.bodies:
            return
        self._note_want()
        self.tally.lost += 1
        self.tally.lost_bodies += taken.bodies

    def _note_want(self) -> None:
        """Remember, and say, that there is no room."""
        if self._before is None:
            self._before = replace(self.tally)
            log.error(
                "%s: no room in memory for what is heard (%d messages wait); it is counted",
                self.name,
                self.room.waiting,
            )

    def _say_beyond(self) -> None:
        self.tally.beyond += 1
        if self.tally.beyond == 1:
            log.error(
                "%s: more than %d devices; others are answered and counted, not told of; see max_devices",
                self.name,
                self.links.most,
            )


def _left_untold(turn: Turn, kept: asyncio.Future[bool]) -> None:
    if not kept.result():
        turn.device.untell((turn.status,))
