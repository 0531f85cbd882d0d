"""Receives, journals, acknowledges, confirms: the collector's front, from one link to the next.

Rule 1: a message is acknowledged only when it is in the journal on disk.
Rule 2: weather is waited out, with one line when it begins and one when it ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from collector.clocks import Tolerance
from collector.inbound import Inbound, Received, Session
from collector.intake import Intake
from collector.journal import Journal
from collector.together import together
from telemetry import topics
from telemetry.clock import Clock
from telemetry.errors import Unavailable

log = logging.getLogger(__name__)

TICK_S = 1.0
GATHER_S = 0.05
"""How long to wait for company after a small batch: a fsync and a write to the broker serve all of it."""
SMALL = 2_000
CONFIRM_S = 0.05
"""Least time between two rounds of confirmations."""
LONGEST_WAIT_S = 30.0
PRUNE_EVERY_TICKS = 10
PRUNE_STEPS = 200
"""Steps of pruning in a row at most: more batches than can come in meanwhile, other writes in between."""
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How real time is waited out; tests and the demo give their own."""

    sleep: Callable[[float], Awaitable[None]]
    random: Callable[[], float]
    """A number in [0, 1)."""

    async def before(self, attempt: int) -> None:
        """Wait before a further attempt: doubling from half a second to 30 s, with full jitter."""
        await self.sleep(min(LONGEST_WAIT_S, 0.5 * 2 ** min(attempt, 10)) * (0.5 + self.random() / 2))


@dataclass(slots=True)
class Ingest:
    """The collector's receiving side over one journal."""

    journal: Journal
    inbound: Inbound
    clock: Clock
    patience: Patience
    retention_days: float
    tolerance: Tolerance = Tolerance()
    sessions_lost: int = 0
    """How often the broker had forgotten our session although we had one."""
    stopped: str = ""
    """Why nothing is acknowledged now; empty while all is well."""

    async def run(self) -> None:
        """Work until cancelled. Raises SettingsError when the broker refuses us for good."""
        intake = await self.journal.write(Intake, self.journal.store, tolerance=self.tolerance)
        await self._until_on_disk(lambda: self.journal.write(intake.started, self.clock.now_ms()))
        await together(self._tick(intake), self._receive(intake))

    # -- the journal's own clock --------------------------------------------------------------------------

    async def _tick(self, intake: Intake) -> None:
        ticks = 0
        while True:
            await self.patience.sleep(TICK_S)
            ticks += 1
            try:
                await self.journal.write(intake.tick, self.clock.now_ms())
            except Unavailable as error:
                self._stop(error)
            else:
                self._go_on()
            if ticks % PRUNE_EVERY_TICKS == 0:
                await self._prune()

    async def _prune(self) -> None:
        before_ms = self.clock.now_ms() - int(self.retention_days * DAY_MS)
        try:
            for _ in range(PRUNE_STEPS):
                if not await self.journal.prune(before_ms=before_ms):
                    return
        except Unavailable as error:
            self._stop(error)

    def _stop(self, error: Unavailable) -> None:
        if not self.stopped:
            log.error("not acknowledging: %s", error)
        self.stopped = str(error)

    def _go_on(self) -> None:
        if self.stopped:
            log.warning("acknowledging again")
        self.stopped = ""

    async def _until_on_disk(self, attempt: Callable[[], Awaitable[object]]) -> None:
        """Try until the disk takes it; the broker waits meanwhile."""
        while True:
            try:
                await attempt()
            except Unavailable as error:
                self._stop(error)
                await self.patience.sleep(TICK_S)
            else:
                self._go_on()
                return

    # -- receiving ----------------------------------------------------------------------------------------

    async def _receive(self, intake: Intake) -> None:
        attempt = 0
        had_session = False
        while True:
            try:
                async with self.inbound.connect() as session:
                    log.log(logging.WARNING if attempt else logging.INFO, "broker: connected")
                    if had_session and not session.session_present:
                        self.sessions_lost += 1
                        log.warning(
                            "broker: it has lost our session; publishers send again what is unconfirmed"
                        )
                    had_session, attempt = True, 0
                    await self._serve(intake, session)
            except Unavailable as error:
                if attempt == 0:
                    log.warning("broker: %s; trying again", error)
                await self.patience.before(attempt)
                attempt += 1

    async def _serve(self, intake: Intake, session: Session) -> None:
        dirty: set[str] = set(await self.journal.write(intake.confirmations))
        something = asyncio.Event()
        something.set()

        async def receive() -> None:
            while True:
                batch = await session.receive()
                await self._until_on_disk(partial(self._take, intake, batch, dirty))
                session.acknowledge(batch)
                something.set()
                if len(batch) < SMALL:
                    await asyncio.sleep(GATHER_S)

        async def confirm() -> None:
            while True:
                await something.wait()
                something.clear()
                told = frozenset(dirty)
                dirty.clear()
                marks = await self.journal.write(intake.confirmations)
                for publisher in sorted(told & marks.keys()):
                    payload = marks[publisher].model_dump_json().encode()
                    await session.publish(topics.confirmed(publisher), payload, retain=True)
                await asyncio.sleep(CONFIRM_S)

        await together(receive(), confirm())

    async def _take(self, intake: Intake, batch: Sequence[Received], dirty: set[str]) -> None:
        taken = await self.journal.write(intake.take, batch, received_ms=self.clock.now_ms())
        dirty.update(taken.publishers)
