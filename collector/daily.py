"""What a device did on a day, from its points: time in each state, alarms, faults and last meters. Pure.

Rule 1: time counts as rules/meters.py counts it: only between two readings of the same known state, of the
same alias, at most three periods apart; an interval over midnight is cut there. The rest of a day is unknown.
Rule 2: what a day shows follows from the points alone: in whatever order they came, and however often.
Rule 3: a point tells of the days within REACH_DAYS of it, and of no other: no period is longer than a day.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from rules.meters import GAP_PERIODS
from telemetry.messages import OperatingState

DAY_MS = 86_400_000
REACH_DAYS = GAP_PERIODS
"""Two readings further apart than so many days observe nothing between them (telemetry.messages.Usage)."""
_FIRST = date(1970, 1, 1)


class DayAlias(NamedTuple):
    """The name under which the device spoke; empty words where it told none."""

    protocol: str = ""
    namespace: str = ""
    identifier: str = ""


class Sample(NamedTuple):
    """One usage message."""

    event_ms: int
    state: str
    period_ms: int
    alias: DayAlias


class Occurrence(NamedTuple):
    """One alarm or fault that began, or was found present."""

    alias: DayAlias
    what: str
    """The kind of an alarm, the code of a fault."""
    key: str


class LastMeter(NamedTuple):
    """The last figure of a meter on a day, in hours or cycles by its name."""

    meter: str
    provenance: str
    value: float
    event_ms: int


@dataclass(frozen=True, slots=True)
class Said:
    """What the points of one device say."""

    samples: Sequence[Sample] = ()
    """In order of time, with the last before the days in question and the first after them."""
    alarms: Sequence[tuple[int, Occurrence]] = ()
    """Each with its day."""
    faults: Sequence[tuple[int, Occurrence]] = ()
    meters: Sequence[tuple[int, DayAlias, LastMeter]] = ()
    """In order of time for each meter."""


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day of one device under one alias."""

    publisher: str
    device: str
    alias: DayAlias
    day: date
    state_s: tuple[tuple[str, float], ...] = ()
    """Observed seconds in each state, by name."""
    alarms: tuple[tuple[str, int], ...] = ()
    """Occurrences by kind of alarm: each key once that began or was found present on this day."""
    faults: tuple[tuple[str, int], ...] = ()
    """Occurrences by code, counted likewise."""
    meters: tuple[LastMeter, ...] = ()

    @property
    def observed_s(self) -> float:
        """Seconds of the day in any known state; the others are unknown."""
        return sum(seconds for _, seconds in self.state_s)


@dataclass(slots=True)
class _Tally:
    state_ms: Counter[str] = field(default_factory=Counter)
    alarms: set[Occurrence] = field(default_factory=set)
    faults: set[Occurrence] = field(default_factory=set)
    meters: dict[tuple[str, str], LastMeter] = field(default_factory=dict)


def number(day: date) -> int:
    """Days from 1970-01-01 to that day."""
    return (day - _FIRST).days


def roll_up(publisher: str, device: str, said: Said, *, first: int, last: int) -> tuple[Day, ...]:
    """The days from `first` through `last` on which the device told its state or a meter, was known, or an
    alarm or fault began; by day and alias.

    Days are numbered from 1970-01-01.
    """
    spoken = {(sample.event_ms // DAY_MS, sample.alias) for sample in said.samples}
    tally = defaultdict(_Tally, ((key, _Tally()) for key in spoken))
    for day, alias, state, length_ms in _observed(said.samples):
        tally[day, alias].state_ms[state] += length_ms
    for day, alarm in said.alarms:
        tally[day, alarm.alias].alarms.add(alarm)
    for day, fault in said.faults:
        tally[day, fault.alias].faults.add(fault)
    for day, alias, meter in said.meters:
        tally[day, alias].meters[meter.meter, meter.provenance] = meter
    return tuple(
        Day(
            publisher,
            device,
            alias,
            _FIRST + timedelta(days=day),
            state_s=tuple((state, ms / 1000) for state, ms in sorted(found.state_ms.items())),
            alarms=_counted(found.alarms),
            faults=_counted(found.faults),
            meters=tuple(found.meters[name] for name in sorted(found.meters)),
        )
        for (day, alias), found in sorted(tally.items(), key=itemgetter(0))
        if first <= day <= last
    )


def _observed(samples: Sequence[Sample]) -> Iterable[tuple[int, DayAlias, str, int]]:
    """Day, alias, state and milliseconds of each piece of observed time."""
    for earlier, later in pairwise(samples):
        length_ms = later.event_ms - earlier.event_ms
        longest_ms = min(GAP_PERIODS * earlier.period_ms, REACH_DAYS * DAY_MS)
        same = (earlier.state, earlier.alias) == (later.state, later.alias)
        if not same or later.state == OperatingState.UNKNOWN or length_ms > longest_ms:
            continue
        at_ms = earlier.event_ms
        while at_ms < later.event_ms:
            day = at_ms // DAY_MS
            until_ms = min(later.event_ms, (day + 1) * DAY_MS)
            yield day, later.alias, later.state, until_ms - at_ms
            at_ms = until_ms


def _counted(occurrences: Iterable[Occurrence]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(one.what for one in occurrences).items()))
