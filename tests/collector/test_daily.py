"""Daily roll-ups follow from the messages alone: late, repeated, across midnight, and after pruning."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.daily import DAY_MS, Day, DayAlias, LastMeter
from collector.embedded import EmbeddedHistory
from collector.embedded_store import EmbeddedStore
from collector.history import Marker, Point, marker_point
from collector.points import points
from rules.meters import DerivedMeter, Sample
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Body,
    Condition,
    Effect,
    Fault,
    Message,
    MeterName,
    MeterReading,
    OperatingState,
    Phase,
    Priority,
    Provenance,
    Usage,
)
from tests.collector.histories import record

DAY0 = 20_000
"""2024-10-04, as days from 1970-01-01."""
FIRST_DAY = date(2024, 10, 4)
FIRST, LAST = date(2024, 9, 1), date(2024, 12, 31)
MINUTE_MS = 60_000
IN_USE, STANDBY, UNKNOWN = OperatingState.IN_USE, OperatingState.STANDBY, OperatingState.UNKNOWN


@dataclass
class _Clock:
    """A clock that stands still until it is moved."""

    ms: int = DAY0 * DAY_MS

    def now_ms(self) -> int:
        return self.ms

    def mono_ms(self) -> int:
        return self.ms

    def boot(self) -> str:
        return "boot1"

    async def sleep(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


@dataclass(frozen=True)
class Told:
    """A message of device vent1 at a time, in milliseconds from the beginning of day 0."""

    at_ms: int
    body: Body
    serial: str = "A"

    def points(self, seq: int) -> tuple[Point, ...]:
        """What the history is given of it."""
        alias = Alias(protocol="p", namespace="840", identifier=self.serial)
        message = Message(alias=alias, body=self.body)
        entry = record(message, seq=seq, event_ms=DAY0 * DAY_MS + self.at_ms)
        return points(entry)


def usage(state: OperatingState, *, period_s: float = 60, hours: float | None = None) -> Usage:
    """A usage message, with an hour meter if a figure is given."""
    meter = MeterReading(meter=MeterName.POWER_ON_H, provenance=Provenance.REPORTED, value=hours or 0)
    return Usage(state=state, period_s=period_s, meters=() if hours is None else (meter,))


def alarm(key: str, *, kind: AlarmKind = AlarmKind.TECHNICAL, phase: Phase = Phase.START) -> Alarm:
    return Alarm(
        key=key,
        code="122",
        text="",
        alarm_kind=kind,
        priority=Priority.LOW,
        phase=phase,
        condition=Condition.ACTIVE,
    )


def fault(key: str, code: str, *, phase: Phase = Phase.START) -> Fault:
    return Fault(key=key, code=code, text="", effect=Effect.INFO, phase=phase, condition=Condition.ACTIVE)


def written(told: Sequence[Told]) -> EmbeddedStore:
    """A history in memory that holds these messages, numbered as they stand."""
    store = EmbeddedStore(Path(":memory:"))
    for seq, one in enumerate(told, 1):
        assert store.write(one.points(seq)) == ()
    return store


def read(store: EmbeddedStore) -> tuple[Day, ...]:
    return store.daily(first=FIRST, last=LAST, publisher=None, device=None)


# -- facts, one by one ------------------------------------------------------------------------------------


def test_time_between_readings_of_one_state_counts_and_a_change_of_state_is_unknown() -> None:
    told = [
        Told(0, usage(IN_USE)),
        Told(MINUTE_MS, usage(IN_USE)),
        Told(2 * MINUTE_MS, usage(STANDBY)),
        Told(5 * MINUTE_MS, usage(STANDBY)),
        Told(8 * MINUTE_MS + 1, usage(STANDBY)),
        Told(9 * MINUTE_MS, usage(UNKNOWN)),
        Told(10 * MINUTE_MS, usage(UNKNOWN)),
    ]
    (day,) = read(written(told))
    assert day.state_s == (("in_use", 60.0), ("standby", 180.0))
    assert day.observed_s == 240
    assert (day.publisher, day.device, day.alias) == ("hn01-a", "vent1", DayAlias("p", "840", "A"))


def test_an_interval_over_midnight_is_cut_there() -> None:
    told = [Told(DAY_MS - 20_000, usage(IN_USE)), Told(DAY_MS + 40_000, usage(IN_USE))]
    assert [(day.day, day.state_s) for day in read(written(told))] == [
        (date(2024, 10, 4), (("in_use", 20.0),)),
        (date(2024, 10, 5), (("in_use", 40.0),)),
    ]


def test_a_day_without_any_message_is_known_where_readings_are_days_apart() -> None:
    told = [Told(0, usage(STANDBY, period_s=86_400)), Told(2 * DAY_MS, usage(STANDBY, period_s=86_400))]
    assert [day.observed_s for day in read(written(told))] == [86_400, 86_400, 0]


def test_readings_of_two_devices_on_one_port_are_kept_apart() -> None:
    told = [
        Told(at * MINUTE_MS, usage(IN_USE, hours=hours), serial)
        for at, serial, hours in ((0, "A", 10.0), (1, "A", 11.0), (2, "B", 500.0), (3, "B", 501.0))
    ]
    days = read(written(told))
    assert [(day.alias.identifier, day.observed_s, day.meters[0].value) for day in days] == [
        ("A", 60.0, 11.0),
        ("B", 60.0, 501.0),
    ]


def test_alarms_count_once_by_key_and_ends_and_updates_do_not_count() -> None:
    told = [
        Told(0, alarm("a")),
        Told(1, alarm("a", phase=Phase.UPDATE)),
        Told(2, alarm("a", phase=Phase.END)),
        Told(3, alarm("a", phase=Phase.PRESENT)),
        Told(4, alarm("b", kind=AlarmKind.PHYSIOLOGICAL)),
        Told(5, fault("c", "XB0069")),
        Told(6, fault("d", "XB0069")),
        Told(7, fault("e", "A5", phase=Phase.END)),
        Told(DAY_MS, alarm("a", phase=Phase.END)),
    ]
    (day,) = read(written(told))
    assert day.alarms == (("physiological", 1), ("technical", 1))
    assert day.faults == (("XB0069", 2),)


def test_the_last_figure_of_a_meter_is_kept_with_its_provenance_and_time() -> None:
    told = [Told(at, usage(IN_USE, hours=hours)) for at, hours in ((0, 7.0), (9, 8.5), (5, 8.0))]
    (day,) = read(written(told))
    assert day.meters == (LastMeter("power_on_h", "reported", 8.5, DAY0 * DAY_MS + 9),)


def test_only_the_device_and_the_days_that_were_asked_for_are_told() -> None:
    store = written([Told(day * DAY_MS, usage(IN_USE)) for day in range(4)])
    one = store.daily(first=date(2024, 10, 5), last=date(2024, 10, 6), publisher=None, device="vent1")
    assert [day.day.day for day in one] == [5, 6]
    assert store.daily(first=FIRST, last=LAST, publisher=None, device="vent2") == ()
    assert store.daily(first=FIRST, last=LAST, publisher="hn01-b", device=None) == ()


def test_a_late_reading_changes_the_day_before_too() -> None:
    clock = _Clock()
    store = EmbeddedStore(Path(":memory:"), clock)
    early = Told(DAY_MS - 60_000, usage(IN_USE)), Told(DAY_MS + 60_000, usage(IN_USE))
    clock.ms += 10 * DAY_MS
    for seq, one in enumerate(early):
        store.write(one.points(seq))
        store.write(())
    assert [day.state_s for day in read(store)] == [(("in_use", 60.0),)] * 2
    store.write(Told(DAY_MS + 30_000, usage(STANDBY)).points(9))
    for _ in range(3):
        assert [day.observed_s for day in read(store)] == [0, 0]
        store.write(())


def test_days_that_are_over_are_rolled_up_by_later_writes_and_read_without_their_points() -> None:
    clock = _Clock()
    store = EmbeddedStore(Path(":memory:"), clock)
    for at in range(100):
        store.write(Told(at * MINUTE_MS, usage(IN_USE)).points(at))
    clock.ms += DAY_MS
    store.write(())
    store.open().execute("DELETE FROM point")
    (day,) = read(store)
    assert day.observed_s == 99 * 60


def test_one_day_is_told_as_it_is_though_only_the_points_of_its_neighbours_changed(tmp_path: Path) -> None:
    clock = _Clock(DAY0 * DAY_MS + 30 * DAY_MS)
    store = EmbeddedStore(tmp_path / "history.db", clock)
    for seq, of_day in enumerate((0, 3), 1):
        store.write(Told(of_day * DAY_MS, usage(IN_USE, period_s=86_400)).points(seq))
    for _ in range(4):
        store.write(())
    store.close()
    store = EmbeddedStore(tmp_path / "history.db")
    store.write(Told(DAY_MS + DAY_MS // 2, usage(STANDBY, period_s=86_400)).points(3))
    for day in (FIRST_DAY + timedelta(days=number) for number in range(3)):
        found = store.daily(first=day, last=day, publisher=None, device=None)
        assert sum(one.observed_s for one in found) == 0
    store.write(Told(5 * DAY_MS, usage(IN_USE, period_s=86_400)).points(4))
    (one,) = store.daily(
        first=FIRST_DAY + timedelta(days=4), last=FIRST_DAY + timedelta(days=4), publisher=None, device=None
    )
    assert one.observed_s == 86_400
    store.close()


def test_reading_writes_nothing(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "history.db")
    store.write(Told(0, usage(IN_USE)).points(1))
    before = store.open().total_changes
    assert len(read(store)) == 1
    assert store.open().total_changes == before
    store.close()


# -- as the rules count -----------------------------------------------------------------------------------

STATES = st.sampled_from([IN_USE, IN_USE, STANDBY, OperatingState.OFF, UNKNOWN])
PERIODS = st.sampled_from([1.0, 60.0, 300.0, 3_600.0, 86_400.0])
AT_MS = st.integers(0, 12 * DAY_MS - 1) | st.integers(0, 12 * 24).map(lambda hour: hour * 3_600_000)


@settings(max_examples=60)
@given(
    rows=st.lists(
        st.tuples(AT_MS, STATES, PERIODS), min_size=2, max_size=40, unique_by=lambda row: row[0]
    ).map(sorted)
)
def test_observed_time_is_what_the_rules_count(
    rows: list[tuple[int, OperatingState, float]],
) -> None:
    samples = [
        Sample(DAY0 * DAY_MS + at_ms, "", 0, state, round(period_s * 1000)) for at_ms, state, period_s in rows
    ]
    meter = DerivedMeter(since_ms=samples[0].event_ms, last_ms=samples[0].event_ms)
    for earlier, later in pairwise(samples):
        meter.add(earlier, later, later.event_ms - earlier.event_ms)
    days = read(written([Told(at_ms, usage(state, period_s=period)) for at_ms, state, period in rows]))
    in_use = sum(seconds for day in days for state, seconds in day.state_s if state == "in_use")
    assert round(in_use * 1000) == meter.counted_ms
    assert round(sum(day.observed_s for day in days) * 1000) == meter.known_ms


# -- any order, any repetition, any pruning -----------------------------------------------------------------


def reference(told: Iterable[Told]) -> tuple[Day, ...]:
    """The same in one pass over the messages in order of time, each day by itself."""
    ordered = sorted(told, key=lambda one: one.at_ms)
    days: dict[tuple[int, str], _Sum] = {}
    readings = [(one.at_ms, one.serial, one.body) for one in ordered if isinstance(one.body, Usage)]
    for (at_ms, serial, body), (next_ms, next_serial, next_body) in pairwise(readings):
        known = (serial, body.state) == (next_serial, next_body.state) and body.state is not UNKNOWN
        if known and next_ms - at_ms <= 3_000 * body.period_s:
            for day in range(at_ms // DAY_MS, (next_ms - 1) // DAY_MS + 1):
                part = min(next_ms, (day + 1) * DAY_MS) - max(at_ms, day * DAY_MS)
                days.setdefault((day, serial), _Sum()).state_ms[body.state.value] += part
    for one in ordered:
        if isinstance(one.body, Alarm | Fault) and one.body.phase not in {Phase.START, Phase.PRESENT}:
            continue
        own = days.setdefault((one.at_ms // DAY_MS, one.serial), _Sum())
        match one.body:
            case Usage(meters=meters):
                for meter in meters:
                    event_ms = DAY0 * DAY_MS + one.at_ms
                    own.meter = (LastMeter(meter.meter, meter.provenance, meter.value, event_ms),)
            case Alarm():
                own.alarms.add((one.body.alarm_kind.value, one.body.key))
            case Fault():
                own.faults.add((one.body.code, one.body.key))
    return tuple(
        Day(
            "hn01-a",
            "vent1",
            DayAlias("p", "840", serial),
            date(1970, 1, 1) + timedelta(days=DAY0 + day),
            tuple((state, ms / 1000) for state, ms in sorted(own.state_ms.items())),
            tuple(sorted(Counter(what for what, _ in own.alarms).items())),
            tuple(sorted(Counter(what for what, _ in own.faults).items())),
            own.meter,
        )
        for (day, serial), own in sorted(days.items())
    )


@dataclass
class _Sum:
    state_ms: Counter[str] = field(default_factory=Counter)
    alarms: set[tuple[str, str]] = field(default_factory=set)
    faults: set[tuple[str, str]] = field(default_factory=set)
    meter: tuple[LastMeter, ...] = ()


BODIES: st.SearchStrategy[Body] = st.one_of(
    st.builds(usage, STATES, period_s=PERIODS, hours=st.none() | st.floats(0, 1e6)),
    st.builds(usage, STATES, period_s=PERIODS),
    st.builds(alarm, st.sampled_from("abc"), kind=st.sampled_from(AlarmKind), phase=st.sampled_from(Phase)),
    st.builds(fault, st.sampled_from("abc"), st.sampled_from(["A5", "XB0069"]), phase=st.sampled_from(Phase)),
)
TOLD = st.lists(
    st.builds(Told, AT_MS, BODIES, st.sampled_from("AAAB")), max_size=30, unique_by=lambda one: one.at_ms
)
Act = tuple[int, int]
"""Hours by which the clock goes on, and the message that is then written."""


@settings(max_examples=150)
@given(
    told=TOLD.filter(bool),
    order=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 29)), max_size=60),
    raw_days=st.integers(1, 4) | st.just(400),
)
@example(
    told=[Told(DAY_MS - 1, usage(IN_USE)), Told(DAY_MS + 1, usage(IN_USE)), Told(4 * DAY_MS, usage(IN_USE))],
    order=[(0, 0), (24, 1), (120, 2), (0, 2), (24, 2), (24, 2), (24, 2), (24, 0), (24, 1)],
    raw_days=1,
)
def test_any_order_and_repetition_gives_what_one_pass_gives_pruned_or_not(
    told: list[Told], order: list[Act], raw_days: int
) -> None:
    clock = _Clock()
    store = EmbeddedStore(Path(":memory:"), clock, raw_days)
    taken: set[int] = set()
    for hours, index in [*order, *((0, index) for index in reversed(range(len(told))))]:
        clock.ms += hours * 3_600_000
        number = index % len(told)
        refused = store.write(told[number].points(number))
        assert refused or clock.ms // DAY_MS - told[number].at_ms // DAY_MS - DAY0 >= -12
        if not refused:
            taken.add(number)
        assert read(store) == reference(told[number] for number in taken)
    for _ in range(20):
        clock.ms += DAY_MS
        store.write(())
        assert read(store) == reference(told[number] for number in taken)
    store.close()


HALF_DAYS = st.integers(0, 23).map(lambda half: half * DAY_MS // 2)
SELDOM = st.builds(
    Told, HALF_DAYS, st.builds(usage, st.sampled_from([IN_USE, IN_USE, STANDBY]), period_s=st.just(86_400.0))
)


@settings(max_examples=300)
@given(
    told=st.lists(SELDOM, min_size=2, max_size=16, unique_by=lambda one: one.at_ms),
    order=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 15)), min_size=4, max_size=30),
    raw_days=st.integers(1, 3),
)
def test_readings_days_apart_are_counted_from_points_that_are_still_there(
    told: list[Told], order: list[Act], raw_days: int
) -> None:
    """The longest reach of a reading, and a clock that goes on as fast as pruning allows."""
    clock = _Clock()
    store = EmbeddedStore(Path(":memory:"), clock, raw_days)
    taken: set[int] = set()
    for days, index in order:
        clock.ms += days * DAY_MS
        number = index % len(told)
        if not store.write(told[number].points(number)):
            taken.add(number)
        expected = reference(told[number] for number in taken)
        for day in (FIRST_DAY + timedelta(days=number) for number in range(15)):
            of_day = store.daily(first=day, last=day, publisher=None, device=None)
            assert of_day == tuple(one for one in expected if one.day == day)
        for _ in range(8):
            store.write(())
            assert read(store) == expected
    store.close()


# -- pruning ----------------------------------------------------------------------------------------------


@pytest.fixture
def pruned() -> Iterator[tuple[EmbeddedStore, _Clock]]:
    """Forty days of a reading an hour, kept for ten days, each day written when it is due."""
    clock = _Clock()
    store = EmbeddedStore(Path(":memory:"), clock, 10)
    for hour in range(40 * 24):
        clock.ms = DAY0 * DAY_MS + hour * 3_600_000
        told = Told(hour * 3_600_000, usage(IN_USE, period_s=3_600, hours=hour))
        assert store.write((*told.points(hour), marker_point(Marker("e1", hour, clock.ms)))) == ()
    yield store, clock
    store.close()


def test_old_points_go_and_their_roll_ups_and_all_markers_stay(pruned: tuple[EmbeddedStore, _Clock]) -> None:
    store, _ = pruned
    assert 10 * 24 <= store.count("usage") <= 18 * 24
    assert store.count("meter") == store.count("usage")
    assert store.count("hourmeter_marker") == 40 * 24
    days = read(store)
    assert [day.observed_s for day in days] == [86_400] * 39 + [23 * 3_600]
    assert [day.meters[0].value for day in days] == [24 * day + 23.0 for day in range(40)]


def test_a_point_of_a_pruned_day_is_refused_with_its_reason(pruned: tuple[EmbeddedStore, _Clock]) -> None:
    store, _ = pruned
    before = read(store)
    (refused,) = store.write(Told(3, usage(STANDBY)).points(3))
    assert (refused.index, "history.raw_days" in refused.reason) == (0, True)
    closed = 39 - 10
    assert len(store.write(Told(closed * DAY_MS - 1, usage(STANDBY)).points(1))) == 1
    assert read(store) == before
    assert store.write(Told(closed * DAY_MS, usage(IN_USE, period_s=3_600)).points(closed * 24)) == ()
    assert read(store) == before


def test_a_clock_that_goes_back_opens_no_pruned_day(pruned: tuple[EmbeddedStore, _Clock]) -> None:
    store, clock = pruned
    before = read(store)
    clock.ms -= 30 * DAY_MS
    assert len(store.write(Told(3, usage(STANDBY)).points(3))) == 1
    assert read(store) == before


def test_many_points_are_deleted_in_small_steps() -> None:
    clock = _Clock()
    store = EmbeddedStore(Path(":memory:"), clock, 1)
    store.write(tuple(p for at in range(5_000) for p in Told(at * 1_000, usage(IN_USE)).points(at)))
    clock.ms += 30 * DAY_MS
    left = [store.count("usage")]
    for _ in range(6):
        store.write(())
        left.append(store.count("usage"))
    assert left == [5_000, 5_000, 5_000, 3_000, 1_000, 0, 0]
    store.close()


# -- a file from before there were roll-ups ------------------------------------------------------------------


async def test_points_written_before_there_were_roll_ups_are_rolled_up(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    history = EmbeddedHistory(file)
    told = [Told(at * MINUTE_MS, usage(IN_USE, hours=1.0)) for at in range(10)]
    for seq, one in enumerate(told):
        await history.write(one.points(seq))
    expected = await history.daily(first=FIRST, last=LAST)
    await history.close()
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        for table in ("source", "touched", "day", "care"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version = 0")
    history = EmbeddedHistory(file)
    assert await history.daily(first=FIRST, last=LAST) == expected == reference(told)
    await history.close()
