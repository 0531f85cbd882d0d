"""Roll-ups of a device's days made from its points in the file of the embedded history; reads only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, product

import orjson

from collector.daily import DAY_MS, REACH_DAYS, Day, DayAlias, LastMeter, Occurrence, Said, Sample, roll_up

ROLLED = frozenset({"usage", "meter", "alarm", "fault"})
"""The measurements that roll-ups are made from."""
DAY_NS = 86_400_000_000_000
_MS_NS = 1_000_000
_ONSETS = frozenset({"start", "present"})
SCHEMA = """
CREATE TABLE IF NOT EXISTS source (
    series INTEGER PRIMARY KEY, measurement TEXT NOT NULL, tags TEXT NOT NULL,
    publisher TEXT NOT NULL, device TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS source_device ON source (publisher, device, measurement);
"""
"""Whose series it is, for the series that roll-ups are made from."""
_NEWEST = """
SELECT time_ns, fields FROM point WHERE series = ? AND time_ns >= ? AND time_ns < ?
    ORDER BY time_ns DESC LIMIT ?
"""
_SAMPLES = """
SELECT time_ns, fields FROM point WHERE series = ? AND time_ns >= ? AND time_ns < ? ORDER BY time_ns
"""


def reached(db: sqlite3.Connection, publisher: str, device: str, day: int) -> range:
    """The days in which the points of a device on one day may have a part: to the readings around them."""
    around = [
        sample.event_ms // DAY_MS
        for series in _usage_series(db, publisher, device)
        for sample in (*_sample_before(db, series, day), *_sample_after(db, series, day))
    ]
    return range(min(day, *around, day), max(day, *around, day) + 1)


def made(db: sqlite3.Connection, publisher: str, device: str, first: int, last: int) -> tuple[Day, ...]:
    """Roll-ups of successive days from all points that have a part in them."""
    from_ns, to_ns = first * DAY_NS, (last + 1) * DAY_NS
    samples: list[Sample] = []
    for series in _usage_series(db, publisher, device):
        samples += _sample_before(db, series, first)
        samples += (_sample(*row) for row in db.execute(_SAMPLES, (series, from_ns, to_ns)))
        samples += _sample_after(db, series, last)
    aliases: dict[int, set[DayAlias]] = {}
    for sample in samples:
        aliases.setdefault(sample.event_ms // DAY_MS, set()).add(sample.alias)
    said = Said(
        samples,
        alarms=tuple(_occurrences(db, publisher, device, "alarm", "alarm_kind", from_ns, to_ns)),
        faults=tuple(_occurrences(db, publisher, device, "fault", "code", from_ns, to_ns)),
        meters=tuple(_meters(db, publisher, device, aliases)),
    )
    return roll_up(publisher, device, said, first=first, last=last)


def _usage_series(db: sqlite3.Connection, publisher: str, device: str) -> list[int]:
    """None or one: usage has no tags but whose it is."""
    rows = db.execute(
        "SELECT series FROM source WHERE publisher = ? AND device = ? AND measurement = 'usage'",
        (publisher, device),
    )
    return [series for (series,) in rows]


def _sample_before(db: sqlite3.Connection, series: int, day: int) -> Sequence[Sample]:
    rows = db.execute(
        "SELECT time_ns, fields FROM point WHERE series = ? AND time_ns < ? AND time_ns >= ?"
        " ORDER BY time_ns DESC LIMIT 1",
        (series, day * DAY_NS, (day - REACH_DAYS) * DAY_NS),
    )
    return [_sample(*row) for row in rows]


def _sample_after(db: sqlite3.Connection, series: int, day: int) -> Sequence[Sample]:
    rows = db.execute(
        "SELECT time_ns, fields FROM point WHERE series = ? AND time_ns >= ? AND time_ns < ?"
        " ORDER BY time_ns LIMIT 1",
        (series, (day + 1) * DAY_NS, (day + 1 + REACH_DAYS) * DAY_NS),
    )
    return [_sample(*row) for row in rows]


def _sample(time_ns: int, text: str) -> Sample:
    fields = orjson.loads(text)
    return Sample(time_ns // _MS_NS, fields["state"], round(fields["period_s"] * 1000), _alias(fields))


def _alias(fields: Mapping[str, str]) -> DayAlias:
    return DayAlias(
        fields.get("alias_protocol", ""),
        fields.get("alias_namespace", ""),
        fields.get("alias_identifier", ""),
    )


def _occurrences(
    db: sqlite3.Connection, publisher: str, device: str, measurement: str, tag: str, from_ns: int, to_ns: int
) -> Iterator[tuple[int, Occurrence]]:
    rows = db.execute(
        "SELECT tags, time_ns, fields FROM source JOIN point ON point.series = source.series"
        " WHERE publisher = ? AND device = ? AND measurement = ? AND time_ns >= ? AND time_ns < ?",
        (publisher, device, measurement, from_ns, to_ns),
    )
    for tags, time_ns, text in rows:
        fields = orjson.loads(text)
        if fields["phase"] in _ONSETS:
            what = dict(orjson.loads(tags))[tag]
            yield time_ns // DAY_NS, Occurrence(_alias(fields), what, fields["key"])


def _meters(
    db: sqlite3.Connection, publisher: str, device: str, aliases: Mapping[int, set[DayAlias]]
) -> Iterator[tuple[int, DayAlias, LastMeter]]:
    """The last figures of each day; all of them where more than one alias spoke."""
    series = db.execute(
        "SELECT series, tags FROM source WHERE publisher = ? AND device = ? AND measurement = 'meter'",
        (publisher, device),
    ).fetchall()
    for day, (number, tags) in product(aliases, series):
        words = dict(orjson.loads(tags))
        limit = 1 if len(aliases[day]) == 1 else -1
        rows = db.execute(_NEWEST, (number, day * DAY_NS, (day + 1) * DAY_NS, limit)).fetchall()
        for time_ns, text in reversed(rows):
            fields = orjson.loads(text)
            meter = LastMeter(words["meter"], words["provenance"], fields["value"], time_ns // _MS_NS)
            yield day, _alias(fields), meter


def runs(days: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Successive days as (first, last)."""
    ordered = sorted(days)
    edges = [place for place, (one, next_one) in enumerate(pairwise(ordered), 1) if next_one > one + 1]
    for start, end in zip([0, *edges], [*edges, len(ordered)], strict=True):
        if start < end:
            yield ordered[start], ordered[end - 1]
