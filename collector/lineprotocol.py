r"""Line protocol of InfluxDB: one point, one line, or a refusal.

Rule 1: whatever is encoded is read back as it was, by InfluxDB 1.x, 2.x and 3 alike.
Rule 2: what InfluxDB would drop in silence (a comment, a field `time`, a name told twice) is refused here.
Rule 3: names and tags have no escape for line breaks and none for a backslash before a separator, so control
characters and backslashes are refused there, and quotes in names of fields; texts of fields keep every
character, line breaks included.

Source: InfluxData, "InfluxDB line protocol reference", and InfluxDB 1.6.7 as measured by the tests.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from collector.history import FieldValue, Point
from telemetry.errors import MessageError

MIN_TIME_NS = -(2**63) + 2
MAX_TIME_NS = 2**63 - 2
"""What InfluxDB can hold: 1677-09-21 to 2262-04-11."""
MAX_KEY_BYTES = 65_535
"""Longest measurement with tags, escapes included."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:/+-]+")
_REFUSED = re.compile(r"[\x00-\x1f\x7f\\]")
_RESERVED = frozenset({"time", "_field", "_measurement"})


def encode(point: Point) -> bytes:
    """One line in UTF-8 without its line break, tags in order of their names, time in nanoseconds.

    Raises MessageError for a point that InfluxDB would refuse, drop or change.
    """
    if point.line:
        return point.line
    names = [name for name, _ in point.tags] + [name for name, _ in point.fields]
    words = [point.measurement, *names, *[value for _, value in point.tags]]
    if not (_PLAIN.fullmatch("".join(words)) and all(words)):
        return _line(_escaped(point, words), point.measurement, names)
    return _line(point, point.measurement, names)


def _line(point: Point, measurement: str, names: Sequence[str]) -> bytes:
    """The line of a point whose words are escaped; the other arguments are as the caller gave them."""
    if len(set(names)) != len(names) or not _RESERVED.isdisjoint(names):
        raise MessageError(f"{measurement!r} has a name twice, or one of {', '.join(sorted(_RESERVED))}")
    if not point.fields:
        raise MessageError(f"a point of {measurement!r} has no field")
    if not MIN_TIME_NS <= point.time_ns <= MAX_TIME_NS:
        raise MessageError(f"time of {point.time_ns} ns is outside of the years 1678 to 2261")
    tags = "".join([f",{name}={value}" for name, value in sorted(point.tags)])
    fields = ",".join([f"{name}={_value(name, value)}" for name, value in point.fields])
    try:
        key = (point.measurement + tags).encode()
        line = b"%b %b %d" % (key, fields.encode(), point.time_ns)
    except UnicodeEncodeError:
        raise MessageError(f"a text of {measurement!r} is not Unicode") from None
    if len(key) > MAX_KEY_BYTES:
        raise MessageError(f"measurement and tags take {len(key)} bytes; at most {MAX_KEY_BYTES} are allowed")
    return line


def _escaped(point: Point, words: Sequence[str]) -> Point:
    """The point with measurement, names and tags as they stand in a line."""
    for word in words:
        if not word or _REFUSED.search(word):
            raise MessageError(f"{word!r} is empty or holds a backslash or control character")
    for name, _ in point.fields:
        if '"' in name:
            raise MessageError(f"the field name {name!r} would begin a text")
    if point.measurement.startswith("#"):
        raise MessageError(f"measurement {point.measurement!r} would be read as a comment")
    return Point(
        point.measurement.replace(",", "\\,").replace(" ", "\\ "),
        tuple((_escape(name), _escape(value)) for name, value in point.tags),
        tuple((_escape(name), value) for name, value in point.fields),
        point.time_ns,
    )


def _escape(word: str) -> str:
    return word.replace(",", "\\,").replace(" ", "\\ ").replace("=", "\\=")


def _value(name: str, value: FieldValue) -> str:
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise MessageError(f"field {name!r} is {value}, which is not a figure")
        return repr(value)
    if not -(2**63) <= value < 2**63:
        raise MessageError(f"field {name!r} of {value.bit_length()} bits is more than 64 bits hold")
    return f"{value}i"
