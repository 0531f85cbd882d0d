"""What a device's meters say: hours derived from its observed state, and figures that it reports itself.

Rule 1: time counts only between two readings of the same state that are at most three periods apart
(devices.md section 10); anything else, and any end in state *unknown*, is unknown time.
Rule 2: lengths come from the host's monotonic time within one boot, else from event time.
Rule 3: *low* is what was observed, *high* adds what is unknown: low <= truth <= high.
Rule 4: time before the last written-down reading is in that reading, and is never counted again.
Rule 5: only *in use* counts, and only for ventilation_h; test, service and demo time is known and not use.
Their wear belongs to blower_h, which is not derived yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rules.words import HOUR_MS
from telemetry.messages import MeterReading, OperatingState

GAP_PERIODS: Final = 3
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
class Level:
    """What a meter shows, at least and at most; since when, and how much of that time was observed."""

    low_h: float
    high_h: float
    coverage: float
    since_ms: int
    elapsed_h: float


@dataclass(slots=True)
class DerivedMeter:
    """Hours counted from observed state: effective = counted + offset."""

    since_ms: int
    """When the reading in force was written down, or the device was first heard."""
    offset_ms: int = 0
    counted_ms: int = 0
    """All observed use; never falls."""
    known_ms: int = 0
    """Observed time in any state since `since_ms`."""
    unknown_ms: int = 0
    """Unobserved time since `since_ms`."""
    adjustments: list[Adjustment] = field(default_factory=list)

    def level(self, *, trailing_ms: int) -> Level:
        """The level now, `trailing_ms` being the time without a reading that stands until now."""
        low_ms = self.counted_ms + self.offset_ms
        unknown_ms = self.unknown_ms + trailing_ms
        elapsed_ms = self.known_ms + unknown_ms
        return Level(
            low_h=low_ms / HOUR_MS,
            high_h=(low_ms + unknown_ms) / HOUR_MS,
            coverage=self.known_ms / elapsed_ms if elapsed_ms else 1.0,
            since_ms=self.since_ms,
            elapsed_h=elapsed_ms / HOUR_MS,
        )

    def add(self, earlier: Sample, later: Sample, length_ms: int) -> None:
        """Count the time between two successive readings of the device."""
        length_ms = min(length_ms, later.event_ms - self.since_ms)
        if length_ms <= 0:
            return
        same = earlier.state is later.state and later.state is not OperatingState.UNKNOWN
        if not same or length_ms > earlier.gap_ms:
            self.unknown_ms += length_ms
            return
        self.known_ms += length_ms
        if later.state is OperatingState.IN_USE:
            self.counted_ms += length_ms

    def rebase(self, reading_h: float, *, at_ms: int, reason: str) -> None:
        """Show `reading_h` from then on; what was unknown is answered by the reading."""
        was_h = (self.counted_ms + self.offset_ms) / HOUR_MS
        self.adjustments.append(Adjustment(at_ms, was_h, reading_h, reason))
        self.offset_ms = round(reading_h * HOUR_MS) - self.counted_ms
        self.known_ms = self.unknown_ms = 0
        self.since_ms = at_ms


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

    def level(self) -> Level:
        """The level as last told."""
        return Level(self.value, self.value, 1.0, self.since_ms, 0.0)

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


def reported_name(reading: MeterReading) -> str:
    """The name by which a told figure is kept: figures of different provenance are never mixed."""
    return f"{reading.meter}/{reading.provenance}"
