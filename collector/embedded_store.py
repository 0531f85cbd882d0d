"""The file of the embedded history: SQLite, every write one transaction, on disk before it returns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeVar

from collector import embedded_days, embedded_rollup
from collector.daily import DAY_MS, Day
from collector.embedded_rollup import DAY_NS
from collector.history import MARKER, FieldValue, Marker, Misconfigured, Point, Refused
from collector.lineprotocol import encode
from telemetry.clock import Clock
from telemetry.errors import MessageError, Unavailable

Tags = tuple[tuple[str, str], ...]
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
_KNOWN_AT_MOST = 100_000
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


@dataclass(slots=True)
class EmbeddedStore:
    """The file; all of it in one thread."""

    path: Path
    clock: Clock | None = None
    raw_days: int = 90
    db: sqlite3.Connection | None = None
    known: dict[tuple[str, Tags], int] = field(default_factory=dict)
    """Series whose number has been looked up."""

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
                db.executescript(_SCHEMA + embedded_rollup.SCHEMA + embedded_days.SCHEMA)
                with _transaction(db):
                    if db.execute("PRAGMA user_version").fetchone() == (0,):
                        embedded_days.adopt(db)
                        db.execute("PRAGMA user_version = 1")
            except sqlite3.DatabaseError:
                db.close()
                raise
            self.db = db
        return self.db

    def close(self) -> None:
        """Close the file; everything in it is on disk."""
        if self.db is not None:
            self.db.close()
            self.db = None

    def write(self, points: Sequence[Point]) -> tuple[Refused, ...]:
        """Store points and take a step of what is due, in one transaction."""
        with _transaction(self.open()) as db:
            types = {(m, n): t for m, n, t in db.execute("SELECT measurement, name, type FROM field")}
            known = len(types)
            good, refused = self._sorted_out(points, types, closed=embedded_days.closed(db))
            new: dict[tuple[str, Tags], int] = {}
            rows: list[tuple[int, int, str]] = []
            for point in good:
                key = (point.measurement, point.tags)
                series = self.known.get(key) or new.get(key)
                if series is None:
                    series = new[key] = _series(db, point)
                rows.append((series, point.time_ns, json.dumps(dict(point.fields))))
            db.executemany(_UPSERT, rows)
            db.executemany(
                "INSERT INTO field VALUES (?, ?, ?)",
                ((*name, kind) for name, kind in list(types.items())[known:]),
            )
            embedded_days.touch(db, {(time_ns // DAY_NS, series) for series, time_ns, _ in rows})
            if self.clock is not None:
                embedded_days.tend(db, today=self.clock.now_ms() // DAY_MS, raw_days=self.raw_days)
        self._remember(new)
        return refused

    def _sorted_out(
        self, points: Sequence[Point], types: dict[tuple[str, str], str], *, closed: int
    ) -> tuple[list[Point], tuple[Refused, ...]]:
        """The points that can be stored, and those that cannot; new fields are added to the types."""
        good: list[Point] = []
        refused: list[Refused] = []
        for index, point in enumerate(points):
            try:
                encode(point)
                if point.measurement != MARKER:
                    _check_day(point, closed=closed)
                types.update(_typed(point, types))
            except MessageError as error:
                refused.append(Refused(index, error.reason))
            else:
                good.append(point)
        return good, tuple(refused)

    def _remember(self, found: Mapping[tuple[str, Tags], int]) -> None:
        """Keep numbers of series that are on disk; those of a fleet, not those of whoever makes names up."""
        if len(self.known) + len(found) > _KNOWN_AT_MOST:
            self.known.clear()
        self.known.update(found)

    def daily(self, *, first: date, last: date, publisher: str | None, device: str | None) -> tuple[Day, ...]:
        """Roll-ups from `first` through `last`, as one moment saw them."""
        db = self.open()
        db.execute("BEGIN")
        try:
            return embedded_days.daily(db, first=first, last=last, publisher=publisher, device=device)
        finally:
            db.execute("COMMIT")

    def marker(self, epoch: str) -> Marker | None:
        """The furthest marker of that journal epoch."""
        key = (MARKER, json.dumps([("epoch", epoch)]))
        row = self.open().execute(_MARKER, key).fetchone()
        if row is None:
            return None
        fields = json.loads(row[0])
        return Marker(epoch, fields["position"], fields["at_ms"])

    def count(self, measurement: str) -> int:
        """Points of a measurement."""
        statement = "SELECT count(*) FROM entry WHERE measurement = ?"
        (count,) = self.open().execute(statement, (measurement,)).fetchone()
        return int(count)

    def latest(self, measurement: str) -> tuple[Point, ...]:
        """The newest point of each series of a measurement."""
        return tuple(map(_point, self.open().execute(_LATEST, (measurement,))))

    def range(self, measurement: str, *, from_ns: int, to_ns: int, limit: int) -> tuple[Point, ...]:
        """At most `limit` points with from_ns <= time < to_ns, oldest first."""
        return tuple(map(_point, self.open().execute(_RANGE, (measurement, from_ns, to_ns, limit))))


def _check_day(point: Point, *, closed: int) -> None:
    """Raises MessageError for a point of a day whose roll-up may be final."""
    if point.time_ns // DAY_NS < closed:
        raise MessageError("it is of a day whose points are no longer kept (history.raw_days)")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


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


def _series(db: sqlite3.Connection, point: Point) -> int:
    """The number of the point's series, a new one if need be."""
    tags = json.dumps(sorted(point.tags))
    key = (point.measurement, tags)
    made = db.execute(
        "INSERT INTO series (measurement, tags) VALUES (?, ?) ON CONFLICT DO NOTHING", key
    ).rowcount
    (number,) = db.execute("SELECT id FROM series WHERE measurement = ? AND tags = ?", key).fetchone()
    if made:
        embedded_days.know(db, series=number, measurement=point.measurement, tags=tags)
    return int(number)


def _point(row: tuple[str, str, str, int]) -> Point:
    measurement, tags, fields, time_ns = row
    return Point(
        measurement,
        tuple((name, value) for name, value in json.loads(tags)),
        tuple(json.loads(fields).items()),
        time_ns,
    )
