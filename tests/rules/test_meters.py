"""Derived hours: never more than there were, never counted twice, and honest about what was not seen."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rules.assets import EVER_MS, NEVER_MS
from rules.hours import Span, derived_level
from rules.meters import (
    AssetMeter,
    Count,
    DerivedMeter,
    Level,
    ReportedMeter,
    Sample,
    elapsed_ms,
    trailing_ms,
)
from rules.state import Device
from rules.words import HOUR_MS
from telemetry.messages import Alias, MeterName, OperatingState

PERIOD = 60_000
STATES = (OperatingState.IN_USE, OperatingState.STANDBY, OperatingState.OFF, OperatingState.UNKNOWN)


@dataclass(frozen=True)
class Heard:
    """What was heard of a device, and how long it was truly in use."""

    samples: tuple[Sample, ...]
    true_use_ms: int


def run(samples: tuple[Sample, ...]) -> DerivedMeter:
    meter = DerivedMeter(since_ms=samples[0].event_ms, last_ms=samples[0].event_ms)
    last = samples[0]
    for sample in samples[1:]:
        length = elapsed_ms(last, sample)
        if length > 0:
            meter.add(last, sample, length)
            last = sample
    return meter


def level_of(meter: DerivedMeter, last: Sample, *, written: AssetMeter | None = None) -> Level:
    """The level of an asset for which one device has always spoken."""
    alias = Alias(protocol="any", identifier="1")
    device = Device(alias, "host", "any", first_ms=0, heard_ms=last.event_ms, last=last)
    device.derived[MeterName.VENTILATION_H] = meter
    spans = (Span(EVER_MS, NEVER_MS, device, provisional=False),)
    level = derived_level(MeterName.VENTILATION_H, spans, written, now_ms=None)
    assert level is not None
    return level


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
    level = level_of(run(case.samples), case.samples[-1])
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


def test_a_reading_is_counted_on_from_and_late_time_before_it_is_not_counted_again() -> None:
    written = AssetMeter(1000 * HOUR_MS, since_ms=HOUR_MS, adjustments=())
    one, two = (Sample(at, "b", at, OperatingState.IN_USE, HOUR_MS) for at in (0, 2 * HOUR_MS))
    meter = DerivedMeter(since_ms=0, last_ms=0)
    assert meter.pin(HOUR_MS)
    meter.add(one, two, 2 * HOUR_MS)
    level = level_of(meter, two, written=written)
    assert (level.low_h, level.high_h, level.coverage) == (1001, 1001, 1)


@given(heard(), st.lists(st.integers(-HOUR_MS, 20 * HOUR_MS), max_size=6), st.integers(0, 40))
def test_what_is_cut_out_between_any_times_adds_up_to_all_that_was_counted(
    case: Heard, cuts: list[int], asked_at: int
) -> None:
    """Whether the times are asked for before the device comes to them, or afterwards."""
    meter = DerivedMeter(since_ms=case.samples[0].event_ms, last_ms=case.samples[0].event_ms)
    last = case.samples[0]
    for number, sample in enumerate(case.samples[1:]):
        if number == asked_at:
            for cut in cuts:
                meter.pin(cut)
        meter.add(last, sample, elapsed_ms(last, sample))
        last = sample
    ends = sorted(cuts)
    stood = [meter.at(at) for at in ends]
    parts = [later.minus(earlier) for earlier, later in pairwise([Count(), *stood, meter.total])]
    assert Count(*map(sum, zip(*parts, strict=True))) == meter.total
    assert all(figure >= 0 for part in parts for figure in part)


def test_what_stood_at_a_time_stays_once_it_was_asked_for_though_days_are_thinned_out() -> None:
    day = 24 * HOUR_MS
    meter = DerivedMeter(since_ms=0, last_ms=0)
    samples = [
        Sample(at, "b", at, OperatingState.IN_USE if at // day % 3 else OperatingState.OFF, HOUR_MS)
        for at in range(0, 400 * day, HOUR_MS)
    ]
    stood = Count()
    for earlier, later in pairwise(samples):
        meter.add(earlier, later, HOUR_MS)
        if later.event_ms == 50 * day:
            meter.pin(40 * day + 5 * HOUR_MS)
            stood = meter.at(40 * day + 5 * HOUR_MS)
    assert stood.counted_ms == (13 * 47 + 5) * HOUR_MS
    assert meter.at(40 * day + 5 * HOUR_MS) == stood
    assert len(meter.days) <= 100 + 2 * 28 + 12


def test_midnights_of_the_last_hundred_days_are_told_exactly_and_older_ones_once_in_28_days() -> None:
    day = 24 * HOUR_MS
    meter = DerivedMeter(since_ms=0, last_ms=0)

    def state(at: int) -> OperatingState:
        """Another length of use on each day of the week, less the hour in which it ends."""
        return OperatingState.IN_USE if at % day < at // day % 7 * HOUR_MS else OperatingState.OFF

    samples = [Sample(at, "b", at, state(at), HOUR_MS) for at in range(0, 250 * day, HOUR_MS)]
    for earlier, later in pairwise(samples):
        meter.add(earlier, later, HOUR_MS)
    used = [sum(max(0, number % 7 - 1) for number in range(until)) * HOUR_MS for until in range(250)]
    told = [meter.at(number * day).counted_ms for number in range(250)]
    assert told[150:] == used[150:]
    assert told[28:150:28] == used[28:150:28]
    assert told[:112] != used[:112], "in between it is taken to have run evenly"


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
