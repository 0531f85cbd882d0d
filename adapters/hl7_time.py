"""Reads HL7 times (DTM): any precision from the year to fractions of a second, with or without a zone.

    YYYY[MM[DD[HH[MM[SS[.S...]]]]]][+/-ZZZZ]      HL7 v2.6 chapter 2A, DTM

Rule 1: a time without a zone takes that of its report where the report tells one; else it stays without.
Rule 2: zeros stand for no time; what cannot be a time is none, and never raises.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final, NamedTuple

_LONGEST: Final = 64
_DTM: Final = re.compile(
    r"([0-9]{4})([0-9]{2})?(?:(?<=[0-9]{6})([0-9]{2}))?(?:(?<=[0-9]{8})([0-9]{2}))?"
    r"(?:(?<=[0-9]{10})([0-9]{2}))?(?:(?<=[0-9]{12})([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r" *(?:([+-]) *([0-9]{2})([0-9]{2}))?"
)


class Moment(NamedTuple):
    """A time as it was told."""

    clock: datetime
    """What the clock of whoever tells it shows, without a zone."""
    zone: timezone | None
    to_the_minute: bool
    """False when only a year, month, day or hour was told."""


def read(text: str) -> Moment | None:
    """The time of a DTM; None if there is none or it cannot be one. Blanks around the zone are let pass."""
    return _read(text.strip()) if len(text) <= _LONGEST else None


@lru_cache(maxsize=256)
def _read(text: str) -> Moment | None:
    """Rows of one message tell the same few times."""
    found = _DTM.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, zone_h, zone_min = found.groups()
    try:
        clock = datetime(  # noqa: DTZ001 - the zone stands beside it, if there is one
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "")[:6].ljust(6, "0")),
        )
        zone = None
        if sign:
            length = timedelta(hours=int(zone_h), minutes=int(zone_min))
            zone = timezone(-length if sign == "-" else length)
    except ValueError:
        return None
    return Moment(clock, zone, to_the_minute=minute is not None)


def in_zone_of(moment: Moment | None, *reports: Moment | None) -> Moment | None:
    """The time with the zone of the first report that tells one, if it tells none itself."""
    if moment is None or moment.zone is not None:
        return moment
    zones = (report.zone for report in reports if report is not None and report.zone is not None)
    return moment._replace(zone=next(zones, None))


def seconds_between(earlier: Moment, later: Moment) -> float:
    """How much later; by the clocks alone unless both tell their zone."""
    passed = later.clock - earlier.clock
    if earlier.zone is not None and later.zone is not None:
        passed += earlier.zone.utcoffset(None) - later.zone.utcoffset(None)
    return passed.total_seconds()
