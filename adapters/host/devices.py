"""One configured device: connected, talked to and supervised, whatever happens to the others.

Rule 1: what was heard is never dropped: without room in the outbox the device waits, unpolled, and says so.
Rule 2: a device that must not be kept waiting is talked to all the same; what it says meanwhile waits in
memory within bounds, and what is lost beyond them is counted. Then it is heard anew, with a new adapter, so
that what became of its alarms is compared and not guessed.
Rule 3: links and retries are real, whatever the clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from adapters.contract import Adapter, Conversing
from adapters.host.device_health import DeviceHealth
from adapters.host.device_intake import Intake
from adapters.host.mllp_room import Shelf
from adapters.host.pace import backoff_s
from adapters.host.talk import Talk
from adapters.host.together import together
from adapters.host.transports import Lossy, Transport
from adapters.host.units import REASON_CHARACTERS, Units
from telemetry.clock import Clock
from telemetry.errors import SettingsError, Unavailable

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Device:
    """One device of the host."""

    name: str
    protocol: str
    poll_s: float
    transport: Transport
    make: Callable[[], Adapter]
    outbox: Shelf
    clock: Clock
    rng: Random
    answer_s: float = 5.0
    """Real time within which a polled device answers."""
    backoff_most_s: float = 60.0
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits in real time before a further attempt."""
    publisher: str = field(kw_only=True)
    """Whose device it is."""
    has_units: bool = False
    """Whether several devices may speak behind its link."""
    _adapter: Adapter = field(init=False)
    _intake: Intake = field(init=False)

    def __post_init__(self) -> None:
        """Begin with an adapter, and the port as the only name known."""
        adapter = self.make()
        self._intake = Intake(
            self.name,
            Units(self.publisher, self.name, self.protocol, self.has_units),
            self.outbox,
            self.clock,
            pause=self.pause,
            must_talk=isinstance(adapter, Conversing),
        )
        self._begin(adapter)

    def _begin(self, adapter: Adapter) -> None:
        """Let that adapter speak from here on."""
        self._adapter = adapter
        self._intake.units.life = f"{self.rng.getrandbits(40):010x}"

    @property
    def health(self) -> DeviceHealth:
        """How it stands now."""
        tally, room, link = self._intake.tally, self._intake.room, self._intake.units.link
        return DeviceHealth(
            name=self.name,
            place=self.transport.place,
            protocol=self.protocol,
            state=link.link,
            trouble=link.reason,
            stalled=room.stalled,
            since_ms=link.since_ms,
            last_heard_ms=link.last_heard_ms,
            links=tally.links,
            polls=tally.polls,
            heard=tally.heard,
            refusals=tally.refusals,
            skipped=tally.skipped,
            stalls=room.stalls,
            lost=tally.lost + (self.transport.lost if isinstance(self.transport, Lossy) else 0),
            faults=tally.faults,
            units=tuple(unit.health for unit in self._intake.units.behind),
        )

    async def run(self) -> None:
        """Keep the device heard until cancelled, or until its input has ended for good.

        Raises only what the outbox raises when it is beyond use.
        """
        moving = asyncio.create_task(self._intake.room.run(), name=f"{self.name} into the outbox")
        try:
            await together(_watched(moving), self._keep_heard())
        finally:
            self._tell_gone("host stopped")
            self._intake.room.close()
            await asyncio.wait((moving,))
            if lost := self._intake.room.give_up():
                log.error("%s: %d messages could not be kept as the host stopped", self.name, lost)
            moving.result()

    async def _keep_heard(self) -> None:
        attempt = 0
        while True:
            heard_before = self._intake.tally.heard
            trouble = ""
            try:
                await self._keep_link()
            except (Unavailable, SettingsError) as error:
                trouble = str(error)
            except Exception:  # the one supervisor: a bug in one adapter must not silence the other devices
                log.exception("%s: fault of ours; beginning anew with this device", self.name)
                trouble = "fault in hourmeter"
                self._intake.tally.faults += 1
                self._begin(self.make())
                if _is_stopping():  # it was met on the way out, and took the place of the cancellation
                    raise asyncio.CancelledError from None
            if trouble and trouble[:REASON_CHARACTERS] != self._intake.units.link.reason:
                log.warning("%s: %s; trying again", self.name, trouble)
            if self._intake.begin_anew():
                self._begin(self.make())
            self._tell_gone(trouble or "end of input")
            if not trouble:
                return await self._intake.kept()
            attempt = 0 if self._intake.tally.heard > heard_before else attempt
            await self.pause(backoff_s(attempt, first_s=1.0, most_s=self.backoff_most_s, rng=self.rng))
            attempt += 1

    async def _keep_link(self) -> None:
        """Connect and talk; returns at the end of all input. Raises Unavailable."""
        connection = await self.transport.connect()
        try:
            self._intake.tally.links += 1
            await Talk(
                self.transport.place,
                connection,
                self._adapter,
                self._intake,
                self.clock,
                self.poll_s,
                self.answer_s,
            ).run()
        finally:
            await connection.close()

    def _tell_gone(self, reason: str) -> None:
        self._intake.tell(self._intake.units.gone(reason, at_ms=self.clock.now_ms()))


def _is_stopping() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _watched(task: asyncio.Task[None]) -> None:
    """Fail when that task fails; it is not cancelled with us."""
    await asyncio.shield(task)
