"""What the collector knows of the publishers' clocks, boot by boot: pure."""

from __future__ import annotations

from dataclasses import dataclass

CORRECT_BEYOND_MS = 120_000
"""A publisher's civil clock further off than this is not believed."""
AHEAD_MS = 300_000
"""A message that is still this far ahead of the collector is quarantined."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One `sync` of a boot: the publisher's monotonic time at a time of the collector."""

    publisher: str
    boot: str
    received_ms: int
    mono_ms: int


def event_time(
    *, observed_ms: int | None, mono_ms: int | None, received_ms: int, sync: Heard | None
) -> tuple[int, bool]:
    """The time of an event in milliseconds, and whether it was corrected.

    The publisher's civil clock is believed within two minutes of what its monotonic clock, compared at the
    last `sync` of the same boot, says. Without any time of its own an event is of when it was received.
    """
    if observed_ms is None:
        return received_ms, False
    if sync is None or mono_ms is None:
        return observed_ms, False
    estimated_ms = sync.received_ms - (sync.mono_ms - mono_ms)
    if abs(estimated_ms - observed_ms) <= CORRECT_BEYOND_MS:
        return observed_ms, False
    return estimated_ms, True
