"""Our part of the talk with a BCC station, in virtual time: its waits, repeats, and what is complete."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.bcc_talk import ANSWER_S, LOST, MOST_REPEATS
from adapters.contract import Answer, Conversing, Heard, Refusal
from adapters.protocols.bbraun_bcc import OPTIONS, adapter, pump
from adapters.simulators.bcc_station import CYCLE_S, station
from telemetry.messages import Alarm, Status, Usage
from tests.adapters.stations import START, Line, block, heard, line


def answers(made: Line) -> list[bytes]:
    return [one.data for one in made.said if isinstance(one, Answer)]


def units(made: Line) -> list[str]:
    return [one.unit for one in made.said if isinstance(one, Heard)]


def gone(made: Line) -> list[tuple[str, str]]:
    told = ((one.unit, body) for one in made.said if isinstance(one, Heard) for body in one.bodies)
    return [(unit, body.reason) for unit, body in told if isinstance(body, Status)]


def test_a_station_is_greeted_by_bed_1_asked_its_version_and_then_for_the_list_by_its_own_bed_id() -> None:
    made = line(station(2, seed=1, start=START))
    made.poll()
    made.run(5.0)
    sent = answers(made)
    assert isinstance(made.adapter, Conversing)
    assert [b"1/1/1>ADMIN:ALIVE" in sent[0], b"ICU-bedside/1/1>ADMIN:VERSION" in sent[1]] == [True, True]
    assert sent[2:] == [b"\x06"]
    assert units(made) == ["50100", "50111", "50112"]
    assert made.station.manners == []
    assert made.station.lists == 1


@pytest.mark.parametrize(
    ("pumps", "delay_s"), [(0, 0.0), (1, 0.03), (9, 0.0), (24, 0.4), (9, 1.5), (72, 0.03)]
)
def test_a_day_of_polls_breaks_no_manners_and_misses_no_pump(pumps: int, delay_s: float) -> None:
    made = line(station(pumps, seed=2, start=START))
    made.delay_s = delay_s
    for _ in range(20):
        made.poll()
        made.run(180.0)
    assert made.station.manners == []
    assert (made.station.lists, gone(made)) == (20 if pumps else 0, [])
    assert [units(made).count(unit) for unit in sorted(set(units(made)))] == [20] * (pumps + 1)
    assert not any(isinstance(one, Refusal) for one in made.said)


def test_polls_faster_than_the_station_allows_become_as_many_as_it_allows() -> None:
    made = line(station(2, seed=1, start=START))
    lists = made.station.lists
    for _ in range(200):
        made.poll()
        made.run(0.05)
    assert made.station.manners == []
    assert 15 <= made.station.lists - lists <= 20


@pytest.mark.parametrize("stuffing", [False, True])
def test_spoilt_blocks_are_asked_for_again(*, stuffing: bool) -> None:
    simulated = station(12, seed=3, start=START, stuffing=stuffing)
    simulated.spoils = 5
    made = line(simulated)
    for _ in range(10):
        made.poll()
        made.run(30.0)
    assert simulated.naks > 10
    assert simulated.manners == []
    assert sum(isinstance(one, Refusal) for one in made.said) == simulated.naks
    assert {units(made).count(unit) for unit in set(units(made))} == {10}
    assert gone(made) == []


def test_a_station_with_another_stuffing_than_set_is_not_understood_and_says_so() -> None:
    made = Line(station(2, seed=1, start=START, stuffing=True), OPTIONS()(period_s=30.0))
    made.connect()
    made.poll()
    made.run(20.0)
    assert units(made) == []
    assert set(made.station.manners) == {"a request that cannot be read"}


def test_a_pump_taken_out_of_its_rack_is_offline_with_its_alarms_unknown_and_comes_back() -> None:
    simulated = station(3, seed=1, start=START)
    first = simulated.pumps[0]
    away = (START + timedelta(hours=12.2), START + timedelta(hours=12.5))
    simulated.pumps = (replace(first, away=(away,)), *simulated.pumps[1:])
    made = line(simulated)
    for hour in (11.0, 12.1, 12.3, 12.6, 13.5):
        made.run(hour * 3600 - made.now_s)
        made.poll()
        made.run(10.0)
    # the third pump is away from 10 h to 20 h by the script: never known, so never gone
    assert gone(made) == [("50111", "not in the station's list")]
    alarms = [body for one in heard(tuple(made.said)) for body in one.bodies if isinstance(body, Alarm)]
    edges = [(one.code, str(one.phase), str(one.condition)) for one in alarms if one.code == "INA11"]
    assert edges == [
        ("INA11", "start", "active"),
        ("INA11", "update", "unknown"),
        ("INA11", "present", "active"),
        ("INA11", "end", "inactive"),
    ]
    assert units(made).count("50111") == 5


def test_a_block_that_never_comes_is_asked_for_and_then_the_answer_is_given_up_with_nobody_gone() -> None:
    made = line(station(3, seed=1, start=START))
    made.poll()
    made.run(10.0)
    before = len(answers(made))
    told = len(units(made))
    made.station.pumps = made.station.pumps[:2]
    made.poll()
    made.run(2 * made.delay_s)
    made.delay_s = 1e9
    made.run(10 * ANSWER_S)
    assert answers(made)[before:] == [b"\x06", *([b"\x15"] * MOST_REPEATS)]
    assert units(made)[told:] == ["50100", "50111"]
    assert gone(made) == []


def test_a_station_that_answers_nothing_is_greeted_anew_after_some_lists() -> None:
    made = line(station(1, seed=1, start=START))
    sent: list[bytes] = []
    for _ in range(LOST + 1):
        made.adapter.elapsed(0.0)
        sent.append(made.adapter.poll())
        made.adapter.elapsed(30.0)
    assert [b"ALIVE" in one for one in sent] == [False] * LOST + [True]


def test_a_station_that_says_no_is_asked_once_more() -> None:
    made = line(station(1, seed=1, start=START))
    request = made.adapter.poll()
    assert b"MEM:GET" in request
    assert made.adapter.feed(b"\x15") == ()
    assert made.adapter.elapsed(0.05) == ()
    assert made.adapter.elapsed(0.5) == (Answer(request),)


def test_a_cyclic_station_is_greeted_and_acknowledged_and_never_polled() -> None:
    made = line(station(3, seed=1, start=START), cyclic=True, period_s=30.0)
    for _ in range(12):
        made.poll()
        for frame in made.station.push(now=made.at(), mono_s=made.now_s):
            made.arrive(frame)
        made.run(CYCLE_S)
    assert not any(b"MEM:GET" in sent for sent in answers(made))
    assert answers(made).count(b"\x06") == 24
    assert units(made).count("50113") == 12
    use = [body for one in heard(tuple(made.said)) for body in one.bodies if isinstance(body, Usage)]
    assert 2 * 3 <= len([body for body in use if str(body.state) != "unknown"]) <= 3 * 3


def test_what_a_station_pushes_is_never_taken_for_a_complete_list() -> None:
    made = line(station(3, seed=1, start=START))
    made.poll()
    made.run(5.0)
    made.arrive(block(b"300,50100,FMSTAT,00051", pump("50111", seconds=300)))
    made.run(5.0)
    made.poll()
    made.to_come.clear()
    made.arrive(block(b"310,50100,FMSTAT,00051", pump("50111", seconds=310)))
    made.run(5.0)
    assert [reason for _, reason in gone(made)] == ["another pump in its place"]


def test_a_complete_list_with_a_spoilt_frame_in_it_lets_nobody_go() -> None:
    made = line(station(2, seed=1, start=START))
    made.poll()
    made.run(5.0)
    made.station.pumps = made.station.pumps[:1]
    made.poll()
    made.to_come.insert(0, (made.now_s + 0.01, b"\xff\xfe"))
    made.run(5.0)
    assert gone(made) == []
    made.poll()
    made.run(5.0)
    assert gone(made) == [("50112", "not in the station's list")]


@pytest.mark.parametrize(("code", "is_gone"), [(b"68", False), (b"999", False), (b"11", True)])
def test_an_error_in_the_place_of_the_list_lets_nobody_go_unless_it_says_that_nobody_is_there(
    code: bytes,
    is_gone: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    one = adapter(period_s=30.0)
    one.connected()
    one.feed(block(b"206,50100,GNACK,0"))
    one.elapsed(0.2)
    one.feed(block(b"207,50100,V3.30"))
    for answer in (pump(), b"244,50100,GNERR," + code):
        one.elapsed(30.0)
        assert b"MEM:GET" in one.poll()
        said = one.feed(block(answer))
    assert bool([found for found in said if isinstance(found, Heard)]) is is_gone


def test_a_link_that_comes_back_finds_the_same_alarm_and_repeats_nothing() -> None:
    made = line(station(1, seed=1, start=START))
    made.run(12.2 * 3600 - made.now_s)
    for _ in range(3):
        made.poll()
        made.run(10.0)
        made.connect()
        made.run(2.0)
    alarms = [body for one in heard(tuple(made.said)) for body in one.bodies if isinstance(body, Alarm)]
    assert [(one.code, str(one.phase)) for one in alarms] == [("INA11", "present")]


def test_time_that_leaps_and_calls_at_odd_moments_do_no_harm() -> None:
    bcc = adapter(period_s=30.0)
    assert bcc.elapsed(3e7) == ()
    bcc.connected()
    for seconds in (0.0, 3e7, 0.0, 0.1, 1e9):
        bcc.elapsed(seconds)
        bcc.poll()
        due_s = bcc.due_s()
        assert due_s is None or due_s >= 0
    assert bcc.farewell() == b""


def test_the_second_client_of_a_station_begins_anew() -> None:
    simulated = station(2, seed=1, start=START)
    first = line(simulated)
    first.poll()
    second = line(simulated)
    second.poll()
    second.run(5.0)
    assert units(second) == ["50100", "50111", "50112"]
    assert gone(second) == []
