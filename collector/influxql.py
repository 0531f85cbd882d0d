"""InfluxQL as InfluxDB 1.x, 2.x and 3 share it: the little that is read of a history, and how it is answered.

Values stand in the statement as literals: InfluxDB 3 takes bound parameters only in some of its versions.
Source: InfluxData, "Influx Query Language (InfluxQL) reference", strings and identifiers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from collector.history import Marker

_T = TypeVar("_T")
Rows = list[list[Any]]


class QueryError(Exception):
    """InfluxDB's own words on why it does not answer a statement."""


def quoted(name: str) -> str:
    """An identifier."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def text(value: str) -> str:
    """A string."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def select_marker(source: str, epoch: str) -> str:
    """The statement that `marker_of` reads."""
    return f"SELECT max(position), at_ms FROM {source} WHERE epoch = {text(epoch)}"  # noqa: S608 - quoted


def marker_of(rows: Rows, epoch: str) -> Marker | None:
    """The furthest marker of that journal epoch."""
    return Marker(epoch, int(rows[0][1]), int(rows[0][2])) if rows else None


def select_count(source: str) -> str:
    """The statement that `count_of` reads."""
    return f"SELECT count(*) FROM {source}"  # noqa: S608 - quoted


def count_of(rows: Rows) -> int:
    """The count of the field that most points have."""
    return max(map(int, rows[0][1:])) if rows else 0


def names_of(rows: Rows) -> frozenset[str]:
    """What `SHOW DATABASES` lists."""
    return frozenset(str(row[0]) for row in rows)


def read(body: bytes, reading: Callable[[Rows], _T]) -> _T:
    """What one statement was answered with, from the rows of its first series.

    Raises QueryError with InfluxDB's words, ValueError for what is no answer of InfluxDB.
    """
    try:
        result = json.loads(body)["results"][0]
        error = result.get("error")
        if not error:
            series = result.get("series") or [{}]
            return reading(series[0].get("values", []))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as unlike:
        raise ValueError("answers a query, but not as InfluxDB does") from unlike
    raise QueryError(str(error))
