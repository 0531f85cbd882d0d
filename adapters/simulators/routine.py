"""When a simulated device is in use: the daily routine of a ward, drawn anew for each day from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random


@dataclass(frozen=True, slots=True)
class Routine:
    """On which share of days a device is taken into use, from when, and for how long."""

    ward: str
    days_share: float
    first_hour: float
    """Use begins between this hour of the day and three hours later."""
    shortest_h: float
    longest_h: float
    """At most 24 h, so that use reaches into the next day at most."""
    off_when_unused: bool = False
    """Switched off when not in use, instead of standing by on a shelf."""


ROUTINES = (
    Routine("icu", days_share=0.95, first_hour=0.0, shortest_h=20.0, longest_h=24.0),
    Routine("step-down", days_share=0.7, first_hour=18.0, shortest_h=8.0, longest_h=14.0),
    Routine("theatre", days_share=0.7, first_hour=7.0, shortest_h=3.0, longest_h=9.0),
    Routine("reserve", days_share=0.15, first_hour=6.0, shortest_h=6.0, longest_h=18.0, off_when_unused=True),
)


def is_in_use(routine: Routine, *, at: datetime, seed: str) -> bool:
    """Whether use that began today or yesterday still goes on at that local time."""
    return any(
        begin <= at < end
        for day in (at.date(), at.date() - timedelta(days=1))
        for begin, end in _use(routine, day=day, seed=seed)
    )


def _use(routine: Routine, *, day: date, seed: str) -> tuple[tuple[datetime, datetime], ...]:
    draw = Random(f"{seed}/{day.isoformat()}")  # noqa: S311 - a reproducible ward, not a secret
    if draw.random() >= routine.days_share:
        return ()
    begin = datetime.combine(day, time()) + timedelta(hours=routine.first_hour + draw.uniform(0, 3))
    return ((begin, begin + timedelta(hours=draw.uniform(routine.shortest_h, routine.longest_h))),)
