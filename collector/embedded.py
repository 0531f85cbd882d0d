"""History in a SQLite file of its own, for a site without InfluxDB: the same points, rules and refusals.

Every write is one transaction, on disk before it returns; all work runs in one thread beside the event loop.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from collector.history import MARKER, FieldValue, Marker, Misconfigured, Point, Refused
from collector.lineprotocol import encode
from telemetry.errors import MessageError, Unavailable

_P = ParamSpec("_P")
_T = TypeVar("_T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, measurement TEXT NOT NULL, tags TEXT NOT NULL, UNIQUE (measurement, tags));
CREATE TABLE IF NOT EXISTS field (
    measurement TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL,
    PRIMARY KEY (measurement, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS point (
    series INTEGER NOT NULL REFERENCES series, time_ns INTEGER NOT NULL, fields TEXT NOT NULL,
    PRIMARY KEY (series, time_ns)) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS entry AS
    SELECT measurement, tags, fields, time_ns, series FROM point JOIN series ON series.id = point.series;
"""
_UPSERT = """
INSERT INTO point VALUES (?, ?, ?)
ON CONFLICT (series, time_ns) DO UPDATE SET fields = json_patch(fields, excluded.fields)
"""
_MARKER = """
SELECT fields FROM entry WHERE measurement = ? AND tags = ?
ORDER BY json_extract(fields, '$.position') DESC LIMIT 1
"""
_LATEST = """
SELECT measurement, tags, fields, time_ns FROM entry WHERE measurement = ? AND time_ns =
    (SELECT max(time_ns) FROM point AS other WHERE other.series = entry.series) ORDER BY tags
"""
_RANGE = """
SELECT measurement, tags, fields, time_ns FROM entry
WHERE measurement = ? AND time_ns >= ? AND time_ns < ? ORDER BY time_ns, tags LIMIT ?
"""


class EmbeddedHistory:
    """A history in one file, opened by the first call that needs it."""

    def __init__(self, path: Path) -> None:
        self._store = _Store(path)
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

    async def close(self) -> None:
        """Let running work end, then close the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()


@dataclass(slots=True)
class _Store:
    """The file; all of it in one thread."""

    path: Path
    db: sqlite3.Connection | None = None

    def weathered(self, work: Callable[[], _T]) -> _T:
        """Disk trouble in the operator's words; everything else passes as it is."""
        where = f"history {self.path}"
        try:
            return work()
        except (sqlite3.OperationalError, OSError) as error:
            raise Unavailable(where, why=str(error), advice="check folder, disk space and disk") from error
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise
            raise Misconfigured(
                where=where,
                found=str(error),
                expected="move the file away: what the journal holds is written again",
            ) from error

    def open(self) -> sqlite3.Connection:
        """The open file, made with its folder and tables if it is new."""
        if self.db is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, isolation_level=None, timeout=10.0)
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")
                db.executescript(_SCHEMA)
            except sqlite3.DatabaseError:
                db.close()
                raise
            self.db = db
        return self.db

    def close(self) -> None:
        if self.db is not None:
            self.db.close()
            self.db = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self.open()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    def write(self, points: Sequence[Point]) -> tuple[Refused, ...]:
        refused: list[Refused] = []
        with self._transaction() as db:
            types = {(m, n): t for m, n, t in db.execute("SELECT measurement, name, type FROM field")}
            known = dict(types)
            rows: list[tuple[int, int, str]] = []
            series: dict[tuple[str, str], int] = {}
            for index, point in enumerate(points):
                try:
                    encode(point)
                    types.update(_typed(point, types))
                except MessageError as error:
                    refused.append(Refused(index, error.reason))
                    continue
                key = (point.measurement, json.dumps(sorted(point.tags)))
                if key not in series:
                    series[key] = _series(db, key)
                rows.append((series[key], point.time_ns, json.dumps(dict(point.fields))))
            db.executemany(_UPSERT, rows)
            db.executemany(
                "INSERT INTO field VALUES (?, ?, ?)",
                ((*name, types[name]) for name in types.keys() - known.keys()),
            )
        return tuple(refused)

    def marker(self, epoch: str) -> Marker | None:
        key = (MARKER, json.dumps([("epoch", epoch)]))
        row = self.open().execute(_MARKER, key).fetchone()
        if row is None:
            return None
        fields = json.loads(row[0])
        return Marker(epoch, fields["position"], fields["at_ms"])

    def count(self, measurement: str) -> int:
        statement = "SELECT count(*) FROM entry WHERE measurement = ?"
        (count,) = self.open().execute(statement, (measurement,)).fetchone()
        return int(count)

    def latest(self, measurement: str) -> tuple[Point, ...]:
        return tuple(map(_point, self.open().execute(_LATEST, (measurement,))))

    def range(self, measurement: str, *, from_ns: int, to_ns: int, limit: int) -> tuple[Point, ...]:
        return tuple(map(_point, self.open().execute(_RANGE, (measurement, from_ns, to_ns, limit))))


def _typed(point: Point, known: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Types of the point's fields. Raises MessageError, in InfluxDB's words, if one is known otherwise."""
    types: dict[tuple[str, str], str] = {}
    for name, value in point.fields:
        field, kind = (point.measurement, name), _type(value)
        if known.get(field, kind) != kind:
            raise MessageError(
                f'field type conflict: input field "{name}" on measurement "{point.measurement}"'
                f" is type {kind}, already exists as type {known[field]}"
            )
        types[field] = kind
    return types


def _type(value: FieldValue) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return "float" if isinstance(value, float) else "string"


def _series(db: sqlite3.Connection, key: tuple[str, str]) -> int:
    db.execute("INSERT INTO series (measurement, tags) VALUES (?, ?) ON CONFLICT DO NOTHING", key)
    (number,) = db.execute("SELECT id FROM series WHERE measurement = ? AND tags = ?", key).fetchone()
    return int(number)


def _point(row: tuple[str, str, str, int]) -> Point:
    measurement, tags, fields, time_ns = row
    return Point(
        measurement,
        tuple((name, value) for name, value in json.loads(tags)),
        tuple(json.loads(fields).items()),
        time_ns,
    )
