"""What a device's meters say: hours derived from its observed state, and figures that it reports itself.

Rule 1: time counts only between two readings of the same state that are at most three periods apart
(devices.md section 10); anything else, and any end in state *unknown*, is unknown time.
Rule 2: lengths come from the host's monotonic time within one boot, else from event time.
Rule 3: *low* is what was observed, *high* adds what is unknown: low <= truth <= high.
Rule 4: a device counts all its life; what of it is whose is cut out between two times. What stood at a time
is kept for good once anyone asked for it, and for each midnight (UTC) of the last hundred days; in between
it is taken to have run evenly.
Rule 5: only *in use* counts, and only for ventilation_h; test, service and demo time is known and not use.
Their wear belongs to blower_h, which is not derived yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, NamedTuple

from pydantic import Field

from rules.words import HOUR_MS
from telemetry.messages import MeterName, OperatingState, Provenance

GAP_PERIODS: Final = 3
DAY_MS: Final = 24 * HOUR_MS
_DAILY_FOR: Final = 100
"""Days of which each midnight is marked."""
_THIN_MS: Final = 28 * DAY_MS
"""So often midnights older than that are thinned out to one in that time."""
ROUNDING_H: Final = 1.0
"""A person's reading may differ that much from what was observed and still be the same meter."""


class Sample(NamedTuple):
    """One usage message, reduced to what lengths are measured with."""

    event_ms: int
    boot: str
    mono_ms: int
    state: OperatingState
    period_ms: int

    @property
    def gap_ms(self) -> int:
        """Longest time to the next reading that is still observed time."""
        return GAP_PERIODS * self.period_ms


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One re-basing: the meter showed `was_h` and shows `now_h` from then on, for that reason."""

    at_ms: int
    was_h: float
    now_h: float
    reason: str


@dataclass(frozen=True, slots=True)
class AssetMeter:
    """What an asset's meter was last written down to be, by people at the device: hours count on from it."""

    reading_ms: int
    since_ms: int
    """When it showed that."""
    adjustments: tuple[Adjustment, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """What a meter shows, at least and at most; since when, and how much of that time was observed."""

    low_h: float
    high_h: float
    coverage: float
    since_ms: int
    elapsed_h: float
    provisional: bool = False
    """Whether hours in it were heard under a weak alias that nobody stands for."""


class Count(NamedTuple):
    """Time of a device until a moment, since it was first heard."""

    counted_ms: int = 0
    """Observed use."""
    known_ms: int = 0
    """Observed time in any state."""
    unknown_ms: int = 0
    """Unobserved time."""

    def minus(self, earlier: Count) -> Count:
        """The time since an earlier moment."""
        return Count(
            self.counted_ms - earlier.counted_ms,
            self.known_ms - earlier.known_ms,
            self.unknown_ms - earlier.unknown_ms,
        )


class Mark(NamedTuple):
    """What a device had counted at a time."""

    at_ms: int
    stood: Count


@dataclass(slots=True)
class DerivedMeter:
    """Hours of a device, counted from its observed state since it was first heard; none of it ever falls."""

    since_ms: int
    """When the device first told its state."""
    last_ms: int
    """The latest time at which it did."""
    counted_ms: int = 0
    """Observed use."""
    known_ms: int = 0
    unknown_ms: int = 0
    pins: dict[int, Count] = field(default_factory=dict)
    """What stood at the times that someone asked for: ends of claims, written-down readings."""
    awaited: list[int] = field(default_factory=list)
    """Times asked for that the device has not come to yet."""
    days: Annotated[list[Mark], Field(exclude=True)] = field(default_factory=list)
    """What stood at past midnights; written down apart from the rest (rules/state.py)."""

    @property
    def total(self) -> Count:
        """All that was counted."""
        return Count(self.counted_ms, self.known_ms, self.unknown_ms)

    def at(self, at_ms: int) -> Count:
        """What stood at a time."""
        if at_ms >= self.last_ms:
            return self.pins.get(at_ms) or self.total
        if at_ms <= self.since_ms:
            return Count()
        return self.pins.get(at_ms) or self._between(at_ms)

    def pin(self, at_ms: int) -> bool:
        """Keep what stands at a time for good; True if that is news."""
        if at_ms <= self.since_ms or at_ms in self.pins or at_ms in self.awaited:
            return False
        if at_ms > self.last_ms:
            self.awaited.append(at_ms)
        else:
            self.pins[at_ms] = self.at(at_ms)
        return True

    def add(self, earlier: Sample, later: Sample, length_ms: int) -> bool:
        """Count the time between two successive readings of the device; True if a midnight lay between."""
        event_ms, state, last_ms = later.event_ms, later.state, self.last_ms
        is_new_day = last_ms // DAY_MS < event_ms // DAY_MS
        before = Mark(last_ms, self.total) if is_new_day or self.awaited else None
        if earlier.state is not state or state is OperatingState.UNKNOWN or length_ms > earlier.gap_ms:
            self.unknown_ms += length_ms
        else:
            self.known_ms += length_ms
            if state is OperatingState.IN_USE:
                self.counted_ms += length_ms
        if event_ms > last_ms:
            self.last_ms = event_ms
        if before is not None:
            self._come_to(before)
        if is_new_day and before is not None:
            self._mark_days(before)
        return is_new_day

    def _come_to(self, earlier: Mark) -> None:
        """Pin the awaited times that the last reading has passed."""
        later = Mark(self.last_ms, self.total)
        for at_ms in [at_ms for at_ms in self.awaited if at_ms <= self.last_ms]:
            self.awaited.remove(at_ms)
            self.pins[at_ms] = _evenly(earlier, later, at_ms)

    def _mark_days(self, earlier: Mark) -> None:
        """Mark the first and the last midnight since the reading before; thin out what is old."""
        later = Mark(self.last_ms, self.total)
        first = (earlier.at_ms // DAY_MS + 1) * DAY_MS
        last = self.last_ms // DAY_MS * DAY_MS
        self.days.extend(Mark(at_ms, _evenly(earlier, later, at_ms)) for at_ms in sorted({first, last}))
        if earlier.at_ms // _THIN_MS != self.last_ms // _THIN_MS:
            young_ms = self.last_ms - _DAILY_FOR * DAY_MS
            self.days = [m for m in self.days if m.at_ms >= young_ms or m.at_ms % _THIN_MS == 0]

    def _between(self, at_ms: int) -> Count:
        """What stood between two marks."""
        marks = [
            Mark(self.since_ms, Count()),
            *self.days,
            *(Mark(pin_ms, stood) for pin_ms, stood in self.pins.items()),
            Mark(self.last_ms, self.total),
        ]
        earlier = max((mark for mark in marks if mark.at_ms <= at_ms), key=lambda mark: mark)
        later = min((mark for mark in marks if mark.at_ms >= at_ms), key=lambda mark: mark)
        return _evenly(earlier, later, at_ms)


def _evenly(earlier: Mark, later: Mark, at_ms: int) -> Count:
    """What stood at a time between two marks, as if all had run evenly."""
    width_ms = later.at_ms - earlier.at_ms
    if width_ms <= 0:
        return later.stood
    part_ms = at_ms - earlier.at_ms
    gone = later.stood.minus(earlier.stood)
    return Count(*(was + ran * part_ms // width_ms for was, ran in zip(earlier.stood, gone, strict=True)))


@dataclass(slots=True)
class ReportedMeter:
    """A figure that a device or a person tells, as last told; it never falls in effect."""

    value: float
    event_ms: int
    since_ms: int
    anomalies: int = 0
    """How often the figure fell; what that means is a person's to say (maintenance.md G2)."""
    fell_to: float | None = None
    """The last figure below `value`, until the device tells one that is not."""

    def level(self, *, provisional: bool) -> Level:
        """The level as last told."""
        return Level(self.value, self.value, 1.0, self.since_ms, 0.0, provisional)

    def tell(self, value: float, *, event_ms: int) -> bool:
        """Take the next figure; False if it is late or falls, and thus changes nothing in effect."""
        if event_ms <= self.event_ms:
            return False
        self.event_ms = event_ms
        if value < self.value:
            if value != self.fell_to:
                self.anomalies += 1
            self.fell_to = value
            return False
        self.value = value
        self.fell_to = None
        return True


def elapsed_ms(earlier: Sample, later: Sample) -> int:
    """Time from one reading to the next; zero or less says that `later` is a duplicate or late."""
    if later.boot and earlier.boot == later.boot:
        return later.mono_ms - earlier.mono_ms
    return later.event_ms - earlier.event_ms


def trailing_ms(last: Sample | None, *, now_ms: int, since_ms: int) -> int:
    """Time without a reading that stands until now: none while the next reading is not overdue."""
    if last is None or now_ms - last.event_ms <= last.gap_ms:
        return 0
    return max(0, now_ms - max(last.event_ms, since_ms))


def reported_key(meter: MeterName, provenance: Provenance) -> str:
    """The name by which a told figure is kept: figures of different provenance are never mixed."""
    return f"{meter}/{provenance}"
