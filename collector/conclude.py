"""The rules consumer: journal and desk inputs through the engine into the ledger.

Rule 1: pending inputs take effect before the next record to be read, and the ledger says before which.
Rule 2: engine and ledger never part: what the engine concluded is committed before it goes on; a process
that dies in between begins again from the ledger and concludes the same.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from collector.cursors import Cursor, CursorError
from collector.ledger import Applied, Ledger, LedgerInput, Progress
from rules.engine import Engine
from rules.inputs import DeskInput, Registry, RuleSet
from rules.state import Changes, State
from telemetry.clock import Clock
from telemetry.errors import Unavailable
from telemetry.records import Record

_LOG: Final = logging.getLogger(__name__)
BATCH: Final = 500
"""Records a commit: few enough to leave the event loop free for others within some 20 ms."""
_INPUTS: Final = 100
_LONGEST_S: Final = 30.0


class ReadableJournal(Protocol):
    """The journal as this consumer reads it."""

    @property
    def epoch(self) -> str:
        """Name of this journal's life; another after it was recreated or restored."""

    async def read(self, position: int, *, limit: int) -> tuple[Record, ...]:
        """Records from that position on, in order, at most `limit`."""

    async def head(self) -> int:
        """The position that the next record will get."""

    async def first(self) -> int:
        """The oldest position kept."""

    async def wait(self, position: int) -> None:
        """Return once a record stands at that position."""


class ConcludingLedger(Protocol):
    """The ledger as this consumer uses it."""

    async def load(self) -> tuple[State, Progress | None]:
        """What was last committed, and where."""

    async def inputs_after(self, last: int, *, limit: int) -> tuple[LedgerInput, ...]:
        """Inputs beyond that id."""

    async def commit(
        self,
        changes: Changes,
        *,
        expected: Progress | None,
        progress: Progress,
        applied: tuple[Applied, ...],
    ) -> None:
        """Write changes and cursors in one transaction."""


Passed = Callable[[Cursor], Awaitable[None]]
"""Told after each commit what the rules no longer need of the journal."""


class Concluder:
    """An engine with its place in journal and inputs; made by `resume`."""

    def __init__(
        self,
        journal: ReadableJournal,
        ledger: ConcludingLedger,
        *,
        engine: Engine,
        stored: Progress | None,
        progress: Progress,
        batch: int = BATCH,
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._engine = engine
        self._stored = stored
        self._progress = progress
        self._batch = batch
        self._uncommitted: tuple[Changes, Progress, tuple[Applied, ...]] | None = None

    @property
    def progress(self) -> Progress:
        """Where the ledger stands, once the last step has returned."""
        return self._progress

    async def step(self) -> bool:
        """Take the next inputs and records and commit them; False if there are none.

        Raises Unavailable: then the next step commits what this one concluded. Raises AnotherConcluderError.
        """
        if self._uncommitted is None:
            self._uncommitted = await self._conclude()
        if self._uncommitted is None:
            return False
        changes, progress, applied = self._uncommitted
        await self._ledger.commit(changes, expected=self._stored, progress=progress, applied=applied)
        self._stored = self._progress = progress
        self._uncommitted = None
        return True

    async def _conclude(self) -> tuple[Changes, Progress, tuple[Applied, ...]] | None:
        position, last = self._progress.cursor.position, self._progress.input
        inputs = await self._ledger.inputs_after(last, limit=_INPUTS)
        records = await self._journal.read(position, limit=self._batch)
        if not inputs and not records:
            return None
        applied = tuple(Applied(line.id, position, self._take(line.said)) for line in inputs)
        for record in records:
            self._engine.apply(record)
        progress = Progress(
            Cursor(self._progress.cursor.epoch, position + len(records)), inputs[-1].id if inputs else last
        )
        return self._engine.changes(), progress, applied

    def _take(self, said: DeskInput) -> str:
        return self._engine.take(said)


async def resume(journal: ReadableJournal, ledger: ConcludingLedger, *, batch: int = BATCH) -> Concluder:
    """A concluder that goes on where the ledger stands.

    Raises CursorError where the journal is of another epoch or no longer reaches back that far.
    """
    state, stored = await ledger.load()
    first, head = await journal.first(), await journal.head()
    progress = stored or Progress(Cursor(journal.epoch, first), 0)
    cursor = progress.cursor
    if cursor.epoch != journal.epoch or not first <= cursor.position <= head:
        raise CursorError(consumer="rules", cursor=cursor, epoch=journal.epoch, first=first)
    return Concluder(journal, ledger, engine=Engine(state), stored=stored, progress=progress, batch=batch)


async def sync_registry(ledger: Ledger, *said: Registry | RuleSet) -> None:
    """Append what the settings say of assets and rules where it differs from what they said last."""
    for desk_input in said:
        await ledger.append_if_changed(desk_input)


async def conclude(
    journal: ReadableJournal,
    ledger: ConcludingLedger,
    *,
    clock: Clock,
    rng: random.Random,
    passed: Passed,
) -> None:
    """Conclude until cancelled; a ledger that is not to be had is tried again with jitter.

    Raises CursorError, AnotherConcluderError.
    """
    concluder = await resume(journal, ledger)
    pause_s = 0.5
    while True:
        try:
            if await concluder.step():
                await passed(concluder.progress.cursor)
            else:
                await journal.wait(concluder.progress.cursor.position)
        except Unavailable as weather:
            _LOG.warning("%s", weather)
            await clock.sleep(rng.uniform(0, pause_s))
            pause_s = min(_LONGEST_S, pause_s * 2)
        else:
            pause_s = 0.5
