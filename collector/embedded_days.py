"""Daily roll-ups in the file of the embedded history, and the pruning of the points behind them.

Rule 1: a write marks the days that it touched, in its own transaction; a roll-up is made again from all
points of the day and never added to, so late and repeated points cannot count twice.
Rule 2: a touched day that is over is rolled up by a later write, one a write; whoever reads before that is
answered from the points themselves. Reading writes nothing.
Rule 3: days before `closed` take no more points. A roll-up REACH_DAYS before it is final, for no point that
is still taken reaches it; points are deleted when they are out of reach of those that are not.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from collector.daily import REACH_DAYS, Day, DayAlias, LastMeter, number
from collector.embedded_rollup import DAY_NS, ROLLED, made, reached, runs
from collector.history import MARKER

_EVER = -110_000
"""A day before any that nanoseconds in 64 bits can tell."""
_SWEPT_AT_ONCE = 2_000
"""Points deleted by a write at most: some milliseconds."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS touched (
    day INTEGER NOT NULL, series INTEGER NOT NULL, PRIMARY KEY (day, series)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS day (
    day INTEGER NOT NULL, publisher TEXT NOT NULL, device TEXT NOT NULL, alias TEXT NOT NULL,
    said TEXT NOT NULL, PRIMARY KEY (day, publisher, device, alias)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS care (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_WHOSE = "AND publisher = ifnull(:publisher, publisher) AND device = ifnull(:device, device)"
_ADOPT_SERIES = """
INSERT OR IGNORE INTO source SELECT id, measurement, tags,
    (SELECT json_extract(value, '$[1]') FROM json_each(tags) WHERE json_extract(value, '$[0]') = 'publisher'),
    (SELECT json_extract(value, '$[1]') FROM json_each(tags) WHERE json_extract(value, '$[0]') = 'device')
FROM series WHERE measurement IN ('usage', 'meter', 'alarm', 'fault')
"""
_ADOPT_DAYS = """
INSERT OR IGNORE INTO touched SELECT DISTINCT time_ns / ?, point.series
FROM point JOIN source ON source.series = point.series
"""
_TOUCHED = f"""
SELECT DISTINCT day, publisher, device FROM touched JOIN source ON source.series = touched.series
WHERE day BETWEEN :first AND :last {_WHOSE}
"""  # noqa: S608 - a constant
_ROLLED_UP = f"""
SELECT day, publisher, device, alias, said FROM day WHERE day BETWEEN :first AND :last {_WHOSE}
"""  # noqa: S608 - a constant


def adopt(db: sqlite3.Connection) -> None:
    """Take in a file whose points were written before there were roll-ups."""
    db.execute(_ADOPT_SERIES)
    db.execute(_ADOPT_DAYS, (DAY_NS,))


def know(db: sqlite3.Connection, *, series: int, measurement: str, tags: str) -> None:
    """Remember whose series a new one is."""
    words = dict(json.loads(tags))
    if measurement in ROLLED and {"publisher", "device"} <= words.keys():
        db.execute(
            "INSERT OR IGNORE INTO source VALUES (?, ?, ?, ?, ?)",
            (series, measurement, tags, words["publisher"], words["device"]),
        )


def closed(db: sqlite3.Connection) -> int:
    """The first day that still takes points, numbered from 1970-01-01."""
    return _care(db, "closed")


def touch(db: sqlite3.Connection, days: Iterable[tuple[int, int]]) -> None:
    """Mark (day, series) as changed; of series that roll-ups know."""
    db.executemany(
        "INSERT OR IGNORE INTO touched SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM source WHERE series = ?2)",
        days,
    )


def tend(db: sqlite3.Connection, *, today: int, raw_days: int) -> None:
    """One step of what is due: roll up a day that is over, else close old days, else delete some points."""
    row = db.execute(
        "SELECT series, day FROM touched WHERE day < ? ORDER BY day LIMIT 1", (today,)
    ).fetchone()
    if row is not None:
        _settle(db, *row)
    elif today - raw_days > closed(db):
        db.executemany(
            "INSERT OR REPLACE INTO care VALUES (?, ?)", (("closed", today - raw_days), ("swept", 0))
        )
    else:
        _sweep(db)


def daily(
    db: sqlite3.Connection, *, first: date, last: date, publisher: str | None, device: str | None
) -> tuple[Day, ...]:
    """Roll-ups from `first` through `last`, touched days as they are at this moment; within a snapshot."""
    from_day, to_day = number(first), number(last)
    whose = {"publisher": publisher, "device": device}
    found: dict[tuple[int, str, str, str], Day] = {}
    for row in db.execute(
        f"SELECT day, publisher, device, alias, said FROM day WHERE day BETWEEN :first AND :last {_WHOSE}",  # noqa: S608 - a constant
        {"first": from_day, "last": to_day, **whose},
    ):
        found[row[:4]] = _read(*row)
    for who, days in _changed(db, from_day, to_day, whose).items():
        for start, end in runs(days & set(range(from_day, to_day + 1))):
            for key in [key for key in found if key[1:3] == who and start <= key[0] <= end]:
                del found[key]
            found.update((_key(one), one) for one in made(db, *who, start, end))
    return tuple(found[key] for key in sorted(found))


def _changed(
    db: sqlite3.Connection, first: int, last: int, whose: Mapping[str, str | None]
) -> dict[tuple[str, str], set[int]]:
    """By publisher and device, the days whose roll-ups are to be made again."""
    changed: dict[tuple[str, str], set[int]] = {}
    for day, publisher, device in db.execute(
        _TOUCHED,
        {"first": first - REACH_DAYS, "last": last + REACH_DAYS, **whose},
    ).fetchall():
        changed.setdefault((publisher, device), set()).update(reached(db, publisher, device, day))
    return changed


# -- making a roll-up ----------------------------------------------------------------------------------------


def _settle(db: sqlite3.Connection, series: int, day: int) -> None:
    """Make the roll-ups again that the points of a device on that day have a part in."""
    publisher, device = db.execute(
        "SELECT publisher, device FROM source WHERE series = ?", (series,)
    ).fetchone()
    for start, end in runs(reached(db, publisher, device, day)):
        db.execute(
            "DELETE FROM day WHERE day BETWEEN ? AND ? AND publisher = ? AND device = ?",
            (start, end, publisher, device),
        )
        db.executemany(
            "INSERT INTO day VALUES (?, ?, ?, ?, ?)",
            ((*_key(one), _written(one)) for one in made(db, publisher, device, start, end)),
        )
    db.execute(
        "DELETE FROM touched WHERE day = ? AND series IN"
        " (SELECT series FROM source WHERE publisher = ? AND device = ?)",
        (day, publisher, device),
    )


# -- keeping and deleting ------------------------------------------------------------------------------------


def _key(one: Day) -> tuple[int, str, str, str]:
    return number(one.day), one.publisher, one.device, json.dumps(one.alias)


def _written(one: Day) -> str:
    return json.dumps((one.state_s, one.alarms, one.faults, one.meters))


def _read(day: int, publisher: str, device: str, alias: str, said: str) -> Day:
    states, alarms, faults, meters = json.loads(said)
    return Day(
        publisher,
        device,
        DayAlias(*json.loads(alias)),
        date(1970, 1, 1) + timedelta(days=day),
        state_s=tuple(map(tuple, states)),
        alarms=tuple(map(tuple, alarms)),
        faults=tuple(map(tuple, faults)),
        meters=tuple(LastMeter(*meter) for meter in meters),
    )


def _care(db: sqlite3.Connection, name: str) -> int:
    row = db.execute("SELECT value FROM care WHERE name = ?", (name,)).fetchone()
    return _EVER if row is None else int(row[0])


def _sweep(db: sqlite3.Connection) -> None:
    """Delete some points that no open day can need: of the next series that have any, in order of series."""
    before_ns = (closed(db) - 2 * REACH_DAYS) * DAY_NS
    swept, room = _care(db, "swept"), _SWEPT_AT_ONCE
    if swept == _EVER:
        return
    rows = db.execute(
        "SELECT id FROM series WHERE id > ? AND measurement <> ? ORDER BY id LIMIT 50", (swept, MARKER)
    ).fetchall()
    for (series,) in rows:
        room -= db.execute(
            "DELETE FROM point WHERE series = ?1 AND time_ns IN"
            " (SELECT time_ns FROM point WHERE series = ?1 AND time_ns < ?2 ORDER BY time_ns LIMIT ?3)",
            (series, before_ns, room),
        ).rowcount
        if room <= 0:
            break
        swept = series
    db.execute("UPDATE care SET value = ? WHERE name = 'swept' AND value <> ?", (swept, swept))
