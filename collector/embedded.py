"""History in a SQLite file of its own, for a site without InfluxDB: the same points, rules and refusals.

All work runs in one thread beside the event loop. Points are kept for some hundred days, their daily roll-ups
(embedded_days.py) for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from collector.daily import Day
from collector.embedded_store import EmbeddedStore
from collector.history import Marker, Point, Refused
from telemetry.clock import Clock

_P = ParamSpec("_P")
_T = TypeVar("_T")


class EmbeddedHistory:
    """A history in one file, opened by the first call that needs it."""

    def __init__(self, path: Path, *, clock: Clock | None = None, raw_days: int = 90) -> None:
        """Points are kept for `raw_days` of the clock, and for ever without one."""
        self._store = EmbeddedStore(path, clock, raw_days)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")

    async def _run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        work = partial(self._store.weathered, partial(function, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def prepare(self) -> None:
        """Create file and tables if they are missing."""
        await self._run(self._store.open)

    async def write(self, points: Sequence[Point]) -> tuple[Refused, ...]:
        """Store points in one transaction."""
        return await self._run(self._store.write, points)

    async def marker(self, epoch: str) -> Marker | None:
        """The furthest marker of that journal epoch."""
        return await self._run(self._store.marker, epoch)

    async def count(self, measurement: str) -> int:
        """Points of a measurement."""
        return await self._run(self._store.count, measurement)

    async def latest(self, measurement: str) -> tuple[Point, ...]:
        """The newest point of each series of a measurement."""
        return await self._run(self._store.latest, measurement)

    async def range(self, measurement: str, *, from_ns: int, to_ns: int, limit: int) -> tuple[Point, ...]:
        """At most `limit` points with from_ns <= time < to_ns, oldest first."""
        return await self._run(self._store.range, measurement, from_ns=from_ns, to_ns=to_ns, limit=limit)

    async def daily(
        self, *, first: date, last: date, publisher: str | None = None, device: str | None = None
    ) -> tuple[Day, ...]:
        """What each device did on each UTC day from `first` through `last`, by day, publisher and device."""
        return await self._run(self._store.daily, first=first, last=last, publisher=publisher, device=device)

    async def close(self) -> None:
        """Let running work end, then close the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()
