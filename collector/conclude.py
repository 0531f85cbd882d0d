"""The rules consumer: journal and desk inputs through the engine into the ledger.

Rule 1: pending inputs take effect before the next record to be read, and the ledger says before which.
Rule 2: what people act on is committed at once, or with its like a few times a second; meters and states
every few seconds, and when a second has passed without a message. The cursors go with each commit: a process
that dies in between begins again from the ledger and concludes the same.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from collector.cursors import Cursor, CursorError
from collector.ledger import Applied, Ledger, LedgerInput, Progress
from rules.engine import Engine
from rules.inputs import Registry, RuleSet
from rules.state import Changes, State
from telemetry.clock import Clock
from telemetry.errors import Unavailable
from telemetry.records import Record, Tick

_LOG: Final = logging.getLogger(__name__)
BATCH: Final = 2_000
"""Records at once: few enough to leave the event loop free for others within some 20 ms."""
CHECKPOINT_MS: Final = 5_000
"""Time between two commits while no ticket changes."""
NEWS_MS: Final = 250
"""Time between two commits while tickets change: a storm of them is committed a few times a second."""
INPUTS_MS: Final = 200
"""Time between two looks at what people say."""
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


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """What one commit writes."""

    changes: Changes
    progress: Progress
    applied: tuple[Applied, ...]


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
        mono_ms: Callable[[], int],
        batch: int = BATCH,
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._engine = engine
        self._stored = stored
        self._progress = progress
        self._mono_ms = mono_ms
        self._batch = batch
        self._applied: tuple[Applied, ...] = ()
        self._last: tuple[Record, ...] = ()
        """The last two records, to know when a second has passed without any message."""
        self._checkpoint: _Checkpoint | None = None
        self._checkpoint_ms = self._inputs_ms = mono_ms() - CHECKPOINT_MS

    @property
    def stored(self) -> Progress | None:
        """Where the ledger stands, None in a new one."""
        return self._stored

    @property
    def progress(self) -> Progress:
        """How far the engine has come; the ledger is there once `settle` has returned."""
        return self._progress

    async def step(self) -> bool:
        """Take the next inputs and records, and commit if that is due; False if there was nothing to take.

        Raises Unavailable: then the next step commits what was concluded. Raises AnotherConcluderError.
        """
        if self._checkpoint is not None:
            await self.settle()
        went_on = await self._conclude()
        if self.owes_ms <= 0:
            await self.settle()
        return went_on

    @property
    def owes_ms(self) -> int:
        """Time until the next commit is due: soon if people act on it, or if nothing more comes."""
        is_quiet = len(self._last) == 2 and all(isinstance(record, Tick) for record in self._last)
        soon = is_quiet or bool(self._applied) or self._engine.has_news
        return self._checkpoint_ms + (NEWS_MS if soon else CHECKPOINT_MS) - self._mono_ms()

    async def settle(self) -> None:
        """Commit what was concluded since the last commit. Raises Unavailable, AnotherConcluderError."""
        if self._checkpoint is None:
            if self._progress == self._stored:
                self._checkpoint_ms = self._mono_ms()
                return
            self._checkpoint = _Checkpoint(self._engine.changes(), self._progress, self._applied)
            self._applied = ()
        held = self._checkpoint
        await self._ledger.commit(
            held.changes, expected=self._stored, progress=held.progress, applied=held.applied
        )
        self._stored, self._checkpoint = held.progress, None
        self._checkpoint_ms = self._mono_ms()

    async def _conclude(self) -> bool:
        cursor, last = self._progress.cursor, self._progress.input
        inputs = await self._inputs(last)
        records = await self._journal.read(cursor.position, limit=self._batch)
        if not inputs and not records:
            return False
        self._applied += tuple(
            Applied(line.id, cursor.position, self._engine.take(line.said)) for line in inputs
        )
        for record in records:
            self._engine.apply(record)
        self._last = (*self._last, *records[-2:])[-2:]
        self._progress = Progress(
            Cursor(cursor.epoch, cursor.position + len(records)), inputs[-1].id if inputs else last
        )
        return True

    async def _inputs(self, last: int) -> tuple[LedgerInput, ...]:
        """What people have said since; they are asked a few times a second."""
        if self._mono_ms() - self._inputs_ms < INPUTS_MS:
            return ()
        inputs = await self._ledger.inputs_after(last, limit=_INPUTS)
        self._inputs_ms = self._mono_ms()
        return inputs


async def resume(
    journal: ReadableJournal, ledger: ConcludingLedger, *, mono_ms: Callable[[], int], batch: int = BATCH
) -> Concluder:
    """A concluder that goes on where the ledger stands.

    Raises CursorError where the journal is of another epoch or no longer reaches back that far.
    """
    state, stored = await ledger.load()
    first, head = await journal.first(), await journal.head()
    progress = stored or Progress(Cursor(journal.epoch, first), 0)
    cursor = progress.cursor
    if cursor.epoch != journal.epoch or not first <= cursor.position <= head:
        raise CursorError(consumer="rules", cursor=cursor, epoch=journal.epoch, first=first)
    return Concluder(
        journal,
        ledger,
        engine=Engine(state),
        stored=stored,
        progress=progress,
        mono_ms=mono_ms,
        batch=batch,
    )


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
    concluder: Concluder | None = None
    told: Progress | None = None
    pause_s = 0.5
    while True:
        try:
            if concluder is None:
                concluder = await resume(journal, ledger, mono_ms=clock.mono_ms)
            went_on = await concluder.step()
            if (stored := concluder.stored) != told and stored is not None:
                await passed(stored.cursor)
                told = stored
            if not went_on:
                with suppress(TimeoutError):  # then it is time to commit
                    async with asyncio.timeout(max(concluder.owes_ms, 1) / 1000):
                        await journal.wait(concluder.progress.cursor.position)
        except Unavailable as weather:
            _LOG.warning("%s", weather)
            await clock.sleep(rng.uniform(0, pause_s))
            pause_s = min(_LONGEST_S, pause_s * 2)
        else:
            pause_s = 0.5
