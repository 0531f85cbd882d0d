"""The history consumer: reads the journal, writes points, and moves its cursor when they are durable.

Rule 1: points first, then the cursor with counters and dead letters; a crash writes the same points again.
Rule 2: weather and faults of settings are waited out, with one line when they begin and one when they end.
Rule 3: each minute the marker in the history is read before a new one is written; one that stands further
back than the last one written means that the history was dropped or restored, and the cursor goes back there.
At the start and after trouble even what was written behind the marker is in doubt, and is written again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Never, Protocol, TypeVar

from collector.cursors import Cursor, CursorError, DeadLetter
from collector.history import History, Marker, Misconfigured, Point, Refused, marker_point
from collector.ingest import Patience
from collector.points import Points, points
from telemetry.clock import Clock
from telemetry.errors import MessageError, Unavailable
from telemetry.records import Journaled, Record

log = logging.getLogger(__name__)

_T = TypeVar("_T")

SECOND_MS = 1_000
MINUTE_MS = 60_000
NOWHERE = -1
"""Where a history without a marker stands."""
RECORDS_AT_ONCE = 5_000
"""Journal records a write: enough for InfluxDB to be quick, few enough not to hold up the event loop."""
FEW = 500
GATHER_S = 0.1
"""How long to wait for company after few records: a post and a commit serve all of it."""


class JournalReading(Protocol):
    """What the history consumer needs of the journal; all of it raises Unavailable."""

    @property
    def epoch(self) -> str:
        """The identity of the journal since it was created or restored."""

    async def read(self, position: int, *, limit: int) -> tuple[Record, ...]:
        """At most `limit` records from a position on, in order."""

    async def first(self) -> int:
        """The oldest position kept."""

    async def wait(self, position: int) -> None:
        """Return once there is a record at this position."""

    async def history_cursor(self) -> Cursor:
        """Where history stands. Raises CursorError where the journal cannot answer from there."""

    async def commit_history(
        self, *, cursor: Cursor, stored: Mapping[str, int], dead: Sequence[DeadLetter]
    ) -> None:
        """Move the history cursor together with its counters and dead letters."""

    async def rewind_history(self, position: int) -> None:
        """Set history back to a position, its counters with it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages as points, each with the place of its message, and the messages that cannot become points."""

    messages: tuple[Journaled, ...]
    points: tuple[Point, ...]
    owners: tuple[int, ...]
    """For each point the index of its message."""
    faults: Mapping[int, str]
    """Why a message, by its index, cannot be stored."""


def sort_out(records: Sequence[Record], make: Callable[[Journaled], tuple[Point, ...]] = points) -> Batch:
    """The messages among records as points; ticks and starts are passed over."""
    messages = tuple(record for record in records if isinstance(record, Journaled))
    found: list[Point] = []
    owners: list[int] = []
    faults: dict[int, str] = {}
    for index, record in enumerate(messages):
        try:
            own = make(record)
        except MessageError as error:
            faults[index] = error.reason
        else:
            found += own
            owners += (index,) * len(own)
    return Batch(messages, tuple(found), tuple(owners), faults)


def settle(batch: Batch, refused: Sequence[Refused]) -> tuple[Counter[str], tuple[DeadLetter, ...]]:
    """Messages stored per kind, and the dead letters: one refused point makes one of its whole message."""
    faults = dict(batch.faults)
    for one in refused:
        faults.setdefault(batch.owners[one.index], f"history refused it: {one.reason}")
    stored = Counter([m.topic.kind for m in batch.messages])
    stored.subtract(batch.messages[index].topic.kind for index in faults)
    dead = (
        DeadLetter(m.position, str(m.topic), m.topic.kind, m.payload, faults[index])
        for index, m in enumerate(batch.messages)
        if index in faults
    )
    return stored, tuple(dead)


@dataclass(slots=True)
class Keeper:
    """The history consumer of one journal; `run` is its whole life."""

    journal: JournalReading
    history: History
    clock: Clock
    patience: Patience
    records_at_once: int = RECORDS_AT_ONCE
    rewinds: int = 0
    """How often the history was found to have lost what had been written into it."""
    trouble: str = ""
    """Why nothing is stored now; empty while all is well."""
    _points: Points = field(default_factory=Points)
    _marked: int | None = None
    """Where the last marker stands that was written or accepted; None: not yet looked at."""
    _trusted: bool = False
    """Whether nothing has failed since then."""
    _mark_ms: int = 0
    """When the marker is due again."""
    _calm_ms: int = 0
    """Until then, a minute after the start or trouble, it is due each second: going back stays short."""

    async def run(self) -> Never:
        """Work until cancelled. Raises CursorError when the journal cannot answer from the cursor on."""
        self._doubt()
        await self._persist(self.history.prepare)
        position = (await self._persist(self.journal.history_cursor)).position
        while True:
            if not self._mark_ms - MINUTE_MS <= self.clock.now_ms() < self._mark_ms:
                position = await self._mark(position)
            records = await self._persist(partial(self._read, position))
            if records:
                position = await self._carry(records)
                if len(records) < FEW:
                    await self.patience.sleep(GATHER_S)
            else:
                await self._persist(partial(self.journal.wait, position))

    async def _read(self, position: int) -> tuple[Record, ...]:
        records = await self.journal.read(position, limit=self.records_at_once)
        if records and records[0].position != position:
            cursor, first = Cursor(self.journal.epoch, position), records[0].position
            raise CursorError(consumer="history", cursor=cursor, epoch=cursor.epoch, first=first)
        return records

    async def _carry(self, records: Sequence[Record]) -> int:
        """Store messages and move the cursor behind them; ticks alone move it with the next marker."""
        batch = sort_out(records, self._points.of)
        position = records[-1].position + 1
        if batch.messages:
            refused = await self._persist(partial(self.history.write, batch.points))
            stored, dead = settle(batch, refused)
            if dead:
                first = dead[0]
                log.error(
                    "%d dead letters, see `hourmeter dead list`; the first: %s: %s",
                    len(dead),
                    first.topic,
                    first.reason,
                )
            await self._commit(position, stored=stored, dead=dead)
        return position

    async def _commit(self, position: int, *, stored: Mapping[str, int], dead: Sequence[DeadLetter]) -> None:
        cursor = Cursor(self.journal.epoch, position)
        await self._persist(partial(self.journal.commit_history, cursor=cursor, stored=stored, dead=dead))

    # -- the marker ---------------------------------------------------------------------------------------

    def _doubt(self) -> None:
        """Look at the marker before anything else is read."""
        self._trusted, self._mark_ms, self._calm_ms = False, 0, self.clock.now_ms() + MINUTE_MS

    async def _mark(self, position: int) -> int:
        """Set the marker to a position, or go back to where a history stands that may have lost something."""
        while behind := await self._persist(partial(self._try_to_mark, position)):
            position = await self._go_back(behind, position)
        await self._commit(position, stored={}, dead=())
        return position

    async def _try_to_mark(self, position: int) -> Marker | None:
        """Write the marker if the history stands where it must; otherwise answer with the one that it has."""
        now_ms, epoch = self.clock.now_ms(), self.journal.epoch
        found = await self.history.marker(epoch) or Marker(epoch, NOWHERE, 0)
        must = self._marked if self._trusted and self._marked is not None else position or NOWHERE
        if found.position < must:
            return found
        refused = await self.history.write((marker_point(Marker(epoch, position, now_ms)),))
        if refused:
            raise Misconfigured(
                where="history",
                found=f"it refuses even our marker: {refused[0].reason}",
                expected="mend that first",
            )
        self._marked, self._trusted = position, True
        self._mark_ms = now_ms + (MINUTE_MS if now_ms >= self._calm_ms else SECOND_MS)
        return None

    async def _go_back(self, found: Marker, position: int) -> int:
        """Set the cursor back to a marker, or to the first record kept if that is later."""
        first = await self._persist(self.journal.first)
        stands = max(found.position, 0)
        target = min(max(stands, first), position)
        if await self._has_lost(found, position):
            self.rewinds += 1
            log.error(
                "history: it holds records up to %d although %d were written (a database dropped, restored or"
                " new, or a journal restored): writing again from %d",
                stands,
                position,
                target,
            )
            if target > stands:
                log.error("history: %d records are no longer in the journal", target - stands)
        await self._persist(partial(self.journal.rewind_history, target))
        self._marked, self._trusted = found.position, True
        return target

    async def _has_lost(self, found: Marker, position: int) -> bool:
        """Whether a marker is further behind than by being written once a minute."""
        if self._marked is not None:
            return found.position < self._marked
        return not await self._persist(partial(self._is_fresh, found, position))

    async def _is_fresh(self, found: Marker, position: int) -> bool:
        """Whether a marker is behind the cursor only because it is written once a minute."""
        last = await self.journal.read(position - 1, limit=1)
        return any(
            record.position == position - 1 and _time_ms(record) <= found.at_ms + 2 * MINUTE_MS
            for record in last
        )

    # -- weather ------------------------------------------------------------------------------------------

    async def _persist(self, act: Callable[[], Awaitable[_T]]) -> _T:
        """Act until it succeeds; the marker is looked at after any trouble."""
        attempt = 0
        trouble: type[Exception] | None = None
        while True:
            try:
                result = await act()
            except (Unavailable, Misconfigured) as error:
                if type(error) is not trouble:
                    log.error("history: nothing is stored: %s; trying again", error)
                trouble, self.trouble = type(error), str(error)
                self._doubt()
                await self.patience.before(attempt)
                attempt += 1
            else:
                if trouble:
                    log.warning("history: storing again")
                    self.trouble = ""
                return result


def _time_ms(record: Record) -> int:
    return record.received_ms if isinstance(record, Journaled) else record.at_ms
