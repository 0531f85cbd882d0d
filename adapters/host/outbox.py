"""The durable outbox: what is put here is on disk on return and stays until the collector has it.

Puts that wait at the same time share one fsync. All disk work runs in one thread of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from adapters.host.disk import locked, troubles
from adapters.host.lanes import Held, Lane, Room, Standing, Told, Unsent
from adapters.host.spool import Spool, open_spool
from telemetry.clock import Clock
from telemetry.errors import Unavailable

_T = TypeVar("_T")


class OutboxFull(Unavailable):
    """No room for these messages until older ones are confirmed: whoever reads devices stops reading."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        super().__init__(
            f"outbox {path}",
            why=f"is full ({max_bytes // 1_000_000} MB wait to be confirmed)",
            advice="check the broker and the collector, or allow it more room",
        )


class Outbox:
    """The outbox of one adapter host; made by `open_outbox`."""

    def __init__(
        self, spool: Spool, *, standing: Mapping[Lane, Standing], clock: Clock, disk: ThreadPoolExecutor
    ) -> None:
        self.news = asyncio.Event()
        """Set when messages have been put; whoever sends clears it."""
        self.settled = asyncio.Event()
        """Set while nothing waits to be confirmed."""
        self.confirmed = 0
        """Messages confirmed since the outbox was opened."""
        self._spool = spool
        self._clock = clock
        self._disk = disk
        self._working: set[asyncio.Task[Any]] = set()
        self._turn = asyncio.Lock()
        self._groups: list[Sequence[Unsent]] = []
        self._batch: asyncio.Task[tuple[bool, ...]] | None = None
        self._standing = standing
        self._settle()

    @property
    def standing(self) -> Mapping[Lane, Standing]:
        """How the lanes stood after the last change."""
        return self._standing

    @property
    def unconfirmed(self) -> int:
        """Messages of both lanes that are not confirmed."""
        return sum(lane.unconfirmed for lane in self._standing.values())

    async def put_many(self, messages: Sequence[Unsent]) -> None:
        """Append all of them in order and return when they are on disk.

        Raises OutboxFull or Unavailable: then none is held. If the caller is cancelled they may be held.
        """
        if self._batch is None:
            self._groups = []
            self._batch = asyncio.create_task(self._write(), name="outbox writes")
        place = len(self._groups)
        self._groups.append(messages)
        fits = await asyncio.shield(self._batch)
        if not fits[place]:
            raise OutboxFull(self._spool.path, max_bytes=self._spool.room.max_bytes)

    async def _write(self) -> tuple[bool, ...]:
        """Write together all that is put until the batch before is on disk."""
        async with self._turn:
            groups, self._batch = tuple(self._groups), None
            fits = await self._on_disk(self._spool.put, groups)
            self.news.set()
            return fits

    async def take(self, lane: Lane, *, after: tuple[str, int], window: int, limit: int) -> tuple[Held, ...]:
        """The next messages of a lane after that place (stream and number), now counted as sent.

        In order, at most `limit`, none further than `window` beyond the confirmed mark. A place in another
        stream than the lane's current one counts as none. Raises Unavailable.
        """
        return await self._on_disk(lambda: self._spool.take(lane, after=after, window=window, limit=limit))

    async def confirm(self, epoch: str, marks: Mapping[str, int]) -> Told:
        """Take a confirmation of the collector. Raises Unavailable; then it is as if it never came."""
        mono_ms = self._clock.mono_ms()
        told = await self._on_disk(lambda: self._spool.confirm(epoch, marks, mono_ms=mono_ms))
        while await self._on_disk(self._spool.prune):
            pass
        return told

    async def _on_disk(self, work: Callable[..., _T], *given: object) -> _T:
        """Run in the disk's thread; work that has begun is finished even if the caller is cancelled."""
        task = asyncio.create_task(self._work(work, *given))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return await asyncio.shield(task)

    async def _work(self, work: Callable[..., _T], *given: object) -> _T:
        def both() -> tuple[_T, dict[Lane, Standing]]:
            with troubles(self._spool.path):
                return work(*given), self._spool.standing()

        result, self._standing = await asyncio.get_running_loop().run_in_executor(self._disk, both)
        if isinstance(result, Told):
            self.confirmed += result.confirmed
        self._settle()
        return result

    def _settle(self) -> None:
        if self.unconfirmed:
            self.settled.clear()
        else:
            self.settled.set()

    async def finish(self) -> None:
        """Wait for what has begun."""
        while tasks := {*self._working, *([self._batch] if self._batch else [])}:
            await asyncio.wait(tasks)


@asynccontextmanager
async def open_outbox(
    path: Path, *, machine: str, clock: Clock, rng: Random, room: Room | None = None
) -> AsyncIterator[Outbox]:
    """Open or create the outbox in that file, for one host only.

    `machine` names this machine: on another one than before new streams are started, as the file may have
    been copied. Raises SettingsError (in use, damaged, not writable) and Unavailable (disk).
    """
    loop = asyncio.get_running_loop()
    mono_ms = clock.mono_ms()

    def begin() -> tuple[Spool, Mapping[Lane, Standing]]:
        with troubles(path):
            spool = open_spool(path, machine=machine, mono_ms=mono_ms, rng=rng, room=room or Room())
            return spool, spool.standing()

    with locked(path), ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox") as disk:
        spool, standing = await loop.run_in_executor(disk, begin)
        outbox = Outbox(spool, standing=standing, clock=clock, disk=disk)
        try:
            yield outbox
        finally:
            try:
                await outbox.finish()
            finally:
                await loop.run_in_executor(disk, spool.close)
