"""Derived hours: never more than there were, never counted twice, and honest about what was not seen."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from rules.meters import DerivedMeter, ReportedMeter, Sample, elapsed_ms, trailing_ms
from rules.words import HOUR_MS
from telemetry.messages import OperatingState

PERIOD = 60_000
STATES = (OperatingState.IN_USE, OperatingState.STANDBY, OperatingState.OFF, OperatingState.UNKNOWN)


@dataclass(frozen=True)
class Heard:
    """What was heard of a device, and how long it was truly in use."""

    samples: tuple[Sample, ...]
    true_use_ms: int


def run(samples: tuple[Sample, ...]) -> DerivedMeter:
    meter = DerivedMeter(since_ms=samples[0].event_ms)
    last = samples[0]
    for sample in samples[1:]:
        length = elapsed_ms(last, sample)
        if length > 0:
            meter.add(last, sample, length)
            last = sample
    return meter


@st.composite
def heard(draw: st.DrawFn) -> Heard:
    """A device whose states last longer than the longest gap, polled with losses and reboots of its host."""
    pieces = draw(
        st.lists(st.tuples(st.sampled_from(STATES[:3]), st.integers(4, 40)), min_size=1, max_size=12)
    )
    truth = [state for state, periods in pieces for _ in range(periods)]
    rng = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311 - losses, not secrets
    samples = []
    boot, booted = 0, 0
    for index, state in enumerate(truth):
        if rng.random() < 0.03:
            boot, booted = boot + 1, index
        if index == 0 or rng.random() < 0.7:
            at = index * PERIOD
            samples.append(Sample(at, f"boot-{boot}", at - booted * PERIOD, state, PERIOD))
    seen = samples[-1].event_ms // PERIOD
    true_use = sum(PERIOD for state in truth[:seen] if state is OperatingState.IN_USE)
    return Heard(tuple(samples), true_use)


@given(heard())
def test_low_is_at_most_the_truth_and_high_at_least(case: Heard) -> None:
    level = run(case.samples).level(trailing_ms=0)
    assert level.low_h <= case.true_use_ms / HOUR_MS + 1e-9
    assert level.high_h >= case.true_use_ms / HOUR_MS - 1e-9


@given(heard())
def test_known_and_unknown_time_make_up_exactly_what_elapsed(case: Heard) -> None:
    meter = run(case.samples)
    assert meter.known_ms + meter.unknown_ms == case.samples[-1].event_ms - case.samples[0].event_ms
    assert meter.counted_ms <= meter.known_ms


@given(heard(), st.integers(0, 2**32))
def test_duplicates_and_late_readings_change_nothing(case: Heard, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - disorder, not secrets
    noisy: list[Sample] = []
    for sample in case.samples:
        noisy.append(sample)
        if rng.random() < 0.3:
            noisy.append(noisy[int(rng.random() * len(noisy))])
    # A reading of an earlier boot is told from a newer one by event time alone, which only rises here.
    assert run(tuple(noisy)) == run(case.samples)


@given(
    st.lists(
        st.tuples(st.integers(-HOUR_MS, HOUR_MS), st.integers(0, 3), st.sampled_from(STATES)), min_size=2
    )
)
def test_counted_hours_never_exceed_elapsed_monotonic_time(
    steps: list[tuple[int, int, OperatingState]],
) -> None:
    """Event times may jump as they like while the host stays up."""
    event, mono, samples = 0, 0, []
    for jump, periods, state in steps:
        event, mono = event + jump, mono + periods * PERIOD
        samples.append(Sample(event, "boot", mono, state, PERIOD))
    assert run(tuple(samples)).counted_ms <= mono


def test_a_gap_of_three_periods_counts_and_a_longer_one_is_unknown() -> None:
    def two(gap: int) -> DerivedMeter:
        return run(tuple(Sample(at, "b", at, OperatingState.IN_USE, PERIOD) for at in (0, gap)))

    assert two(3 * PERIOD).counted_ms == 3 * PERIOD
    assert two(3 * PERIOD + 1).counted_ms == 0
    assert two(3 * PERIOD + 1).unknown_ms == 3 * PERIOD + 1


def test_test_service_and_demo_time_is_known_and_not_use() -> None:
    for state in (OperatingState.TEST, OperatingState.SERVICE, OperatingState.DEMO):
        meter = run(tuple(Sample(at, "b", at, state, PERIOD) for at in (0, PERIOD)))
        assert (meter.counted_ms, meter.known_ms, meter.unknown_ms) == (0, PERIOD, 0)


def test_a_reading_rebases_and_late_time_before_it_is_not_counted_again() -> None:
    meter = DerivedMeter(since_ms=0)
    one, two = (Sample(at, "b", at, OperatingState.IN_USE, HOUR_MS) for at in (0, 2 * HOUR_MS))
    meter.rebase(1000, at_ms=HOUR_MS, reason="reading")
    meter.add(one, two, 2 * HOUR_MS)
    level = meter.level(trailing_ms=0)
    assert (level.low_h, level.high_h, level.coverage) == (1001, 1001, 1)
    assert [(a.was_h, a.now_h, a.reason) for a in meter.adjustments] == [(0, 1000, "reading")]


def test_time_without_a_reading_is_judged_only_when_the_next_one_is_overdue() -> None:
    last = Sample(0, "b", 0, OperatingState.OFF, PERIOD)
    assert trailing_ms(None, now_ms=HOUR_MS, since_ms=0) == 0
    assert trailing_ms(last, now_ms=3 * PERIOD, since_ms=0) == 0
    assert trailing_ms(last, now_ms=HOUR_MS, since_ms=0) == HOUR_MS
    assert trailing_ms(last, now_ms=HOUR_MS, since_ms=HOUR_MS - 5) == 5


def test_a_reported_meter_that_falls_keeps_its_figure_and_is_recorded_once() -> None:
    meter = ReportedMeter(100.0, event_ms=1, since_ms=1)
    assert meter.tell(101.0, event_ms=2)
    assert not meter.tell(7.0, event_ms=3)
    assert not meter.tell(7.0, event_ms=4)
    assert not meter.tell(500.0, event_ms=2)
    assert (meter.value, meter.anomalies, meter.fell_to) == (101.0, 1, 7.0)
    assert meter.tell(102.0, event_ms=5)
    assert (meter.value, meter.fell_to) == (102.0, None)
