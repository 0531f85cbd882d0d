"""What the collector knows of the publishers' clocks, boot by boot: pure."""

from __future__ import annotations

from dataclasses import dataclass

HOUR_MS = 3_600_000
FLOOR_MS = 946_684_800_000
"""2000-01-01: no device of ours spoke before, so a clock that says so has not been set."""
CEILING_MS = 7_258_118_400_000
"""2200-01-01: the latest time that is kept of a message put aside."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far clocks may be apart, in milliseconds of the collector's clock."""

    correct_beyond_ms: int = 120_000
    """A publisher's civil clock further off than this is not believed."""
    ahead_ms: int = 300_000
    """A message that is still this far ahead of the collector is quarantined."""

    def at_rate(self, rate: float) -> Tolerance:
        """The same for a clock that runs faster, whose every delay on the way counts for more."""
        return Tolerance(int(self.correct_beyond_ms * rate), int(self.ahead_ms * rate))


@dataclass(frozen=True, slots=True)
class Heard:
    """One `sync` of a boot: the publisher's monotonic time at a time of the collector."""

    publisher: str
    boot: str
    received_ms: int
    mono_ms: int


def better(known: Heard | None, heard: Heard) -> Heard:
    """Of two comparisons of one boot the one with less delay on the way.

    A delay can only make the collector's time look later. One older than an hour gives way, because
    monotonic clocks drift by seconds a day.
    """
    if known is None or heard.received_ms - known.received_ms > HOUR_MS:
        return heard
    return min(known, heard, key=lambda one: one.received_ms - one.mono_ms)


def event_time(
    observed_ms: int | None,
    mono_ms: int | None,
    *,
    received_ms: int,
    sync: Heard | None,
    tolerance: Tolerance,
) -> tuple[int, bool]:
    """The time of an event in milliseconds, and whether it was corrected.

    The publisher's civil clock is believed within the tolerance of what its monotonic clock, compared at the
    last `sync` of the same boot, says. Without a time that can be, an event is of when it was received.
    """
    if observed_ms is None:
        return received_ms, False
    best_ms = observed_ms
    if sync is not None and mono_ms is not None:
        estimated_ms = sync.received_ms - (sync.mono_ms - mono_ms)
        if abs(estimated_ms - observed_ms) > tolerance.correct_beyond_ms:
            best_ms = estimated_ms
    if best_ms < FLOOR_MS:
        best_ms = received_ms
    return best_ms, best_ms != observed_ms
