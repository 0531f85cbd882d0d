"""Mindray PDS: whose a message is, edges of full lists, use by evidence, heartbeats, and nobody's name."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import UNTOLD, Answer, Conversing, Heard, Skipped
from adapters.hl7_mllp import framed
from adapters.mindray_pds_link import HEARTBEAT_S, MOST_UNITS
from adapters.mindray_pds_messages import (
    HEARTBEAT,
    INVALID,
    LIMIT_BYTES,
    QUERY,
    Kind,
    Listed,
    alarm_of,
    figure_of,
    label_of,
    message_of,
    place_of,
    read,
)
from adapters.mindray_pds_monitor import UNKNOWN_TEXT, state_of, text_of
from adapters.protocols.mindray_pds import OPTIONS, adapter, redactor
from telemetry.messages import Alarm, Condition, Identity, OperatingState, Phase, Strength, Usage
from tests.adapters.ventilators import bodies, edges, hear, refusals

PLACE = message_of(Kind.PLACE, place_of("192.168.8.188"))
NAMES = ("Nguyễn Thị Hồng Nhung", "BN20260001", "Dobutamine", "83.7")


def listed(kind: Kind, *codes: str, onset: datetime | None = None) -> bytes:
    return message_of(kind, *(alarm_of(kind, Listed(code, "1", "ECG Lead Off", onset)) for code in codes))


def numerics(**figures: float) -> bytes:
    return message_of(Kind.PERIODIC, *(figure_of(code[1:], value) for code, value in figures.items()))


def usages(said: object) -> list[str]:
    assert isinstance(said, tuple)
    return [body.state.value for body in bodies(said) if isinstance(body, Usage)]


# -- messages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "address"),
    [
        ("3232237756", "192.168.8.188"),
        ("1", "0.0.0.1"),
        ("0", ""),
        ("4294967296", ""),
        ("", ""),
        ("-1", ""),
        ("٣", ""),
    ],
)
def test_an_address_is_a_number_of_32_bits_the_highest_byte_first(number: str, address: str) -> None:
    message = read(message_of(Kind.PLACE, f"PV1||I|^^ICU&1&{number}&4601&&1")[1:-2])
    assert message is not None
    assert message.address == address


@pytest.mark.parametrize(
    ("name", "label"),
    [("M0001", "M0001"), ("ICU-12", "ICU-12"), ("7", "7"), ("Hong Nhung", ""), ("Nguyễn 1", ""), ("", "")],
)
def test_a_monitor_s_name_is_letters_and_a_number_or_it_is_not_told(name: str, label: str) -> None:
    said = hear(adapter(period_s=60.0), [message_of(Kind.ONLINE, place_of("10.0.0.1"), label_of(name))])
    (identity,) = [body for body in bodies(said) if isinstance(body, Identity)]
    assert identity.unique_ids == ((f"monitor name {label}",) if label else ())


def test_the_alias_is_the_address_and_weak_and_outlives_the_link() -> None:
    one = adapter(period_s=60.0)
    (first,) = [said for said in hear(one, [PLACE]) if isinstance(said, Heard)]
    assert (first.alias.namespace, first.alias.identifier) == ("ip", "192.168.8.188")
    assert first.alias.strength is Strength.WEAK
    (again,) = [said for said in hear(one, [numerics(f101=60)]) if isinstance(said, Heard)]
    assert again.alias == first.alias


def test_another_address_after_a_new_link_is_another_device_and_the_first_is_known_again() -> None:
    one = adapter(period_s=60.0)
    hear(one, [PLACE + listed(Kind.TECHNICAL, "205")])
    other = message_of(Kind.PLACE, place_of("192.168.8.189"))
    assert edges(hear(one, [other + listed(Kind.TECHNICAL, "205")])) == (
        ("205", Phase.PRESENT, Condition.ACTIVE, "level 1"),
    )
    assert edges(hear(one, [PLACE + listed(Kind.TECHNICAL, "205")])) == ()


def test_a_link_cannot_bring_monitors_without_end() -> None:
    one = adapter(period_s=60.0)
    for number in range(MOST_UNITS + 5):
        said = hear(one, [message_of(Kind.PLACE, place_of(f"10.0.{number // 200}.{number % 200 + 1}"))])
    assert "more than 256" in refusals(said)[0].reason


def test_a_kind_that_is_not_known_is_skipped_and_an_unread_one_refused() -> None:
    said = hear(adapter(period_s=60.0), [message_of(1203), framed(b"MSH|^~\\&|||||||ORU^R01||P|2.3.1|\r")])
    assert isinstance(said[0], Skipped)
    assert [one.reason for one in refusals(said)] == ["MSH-10 is no kind of message"]


def test_a_message_without_end_is_refused_once_and_the_next_one_is_heard() -> None:
    said = hear(adapter(period_s=60.0), [b"\x0bMSH|" + b"A" * (2 * LIMIT_BYTES) + b"\x1c\r" + PLACE])
    assert [type(one).__name__ for one in said] == ["Refusal", "Heard"]


# -- alarms -------------------------------------------------------------------------------------------------


def test_each_list_is_all_that_is_active_and_the_two_lists_do_not_mix() -> None:
    said = hear(
        adapter(period_s=60.0),
        [
            PLACE,
            listed(Kind.TECHNICAL, "205", "5"),
            listed(Kind.PHYSIOLOGICAL, "205"),
            listed(Kind.TECHNICAL, "5"),
            listed(Kind.PHYSIOLOGICAL),
            listed(Kind.TECHNICAL, "205", "5"),
        ],
    )
    assert [edge[:2] for edge in edges(said)] == [
        ("205", Phase.PRESENT),
        ("5", Phase.PRESENT),
        ("P205", Phase.PRESENT),
        ("205", Phase.END),
        ("P205", Phase.END),
        ("205", Phase.START),
    ]
    keys = {body.key for body in bodies(said) if isinstance(body, Alarm)}
    assert len(keys) == 4


def test_after_a_link_lost_what_stays_is_not_repeated_what_is_gone_ends_and_what_came_is_present() -> None:
    one = adapter(period_s=60.0)
    hear(one, [PLACE + listed(Kind.TECHNICAL, "1", "2")])
    said = hear(one, [listed(Kind.TECHNICAL, "2", "3")])
    assert [edge[:2] for edge in edges(said)] == [("1", Phase.END), ("3", Phase.PRESENT)]


def test_the_clock_is_told_by_an_alarm_that_begins_and_not_by_one_that_stands() -> None:
    """An onset of hours ago would look like a clock that is late by hours."""
    long_ago = datetime(2013, 1, 6, 19, 31, 45)  # noqa: DTZ001 - the monitor tells no zone
    at = datetime(2013, 1, 7, 3, 0, 1)  # noqa: DTZ001 - nor this one
    said = hear(
        adapter(period_s=60.0),
        [
            PLACE,
            listed(Kind.PHYSIOLOGICAL, "10033", onset=long_ago),
            listed(Kind.PHYSIOLOGICAL, "10033", "10044", onset=at),
            listed(Kind.PHYSIOLOGICAL, "10033", "10044", onset=at),
        ],
    )
    assert [one.device_time for one in said if isinstance(one, Heard)] == [None, None, at, None]


def test_an_impossible_onset_is_none() -> None:
    row = "OBX||CE|2|1|10033^**SpO2 TOO HIGH||||||F|||00000000000000|"
    said = hear(
        adapter(period_s=60.0), [PLACE + message_of(Kind.PHYSIOLOGICAL) + message_of(Kind.PHYSIOLOGICAL, row)]
    )
    assert [one.device_time for one in said if isinstance(one, Heard)] == [None, None, None]
    assert [edge[:2] for edge in edges(said)] == [("P10033", Phase.START)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SpO2 Sensor Off", "SpO2 Sensor Off"),
        ("**ECG Lead V1 Off", "ECG Lead V1 Off"),
        ("Battery Low", "Battery Low"),
        ("Nguyễn Văn An", UNKNOWN_TEXT),
        ("Lead Off Hong Nhung", UNKNOWN_TEXT),
        ("V1", UNKNOWN_TEXT),
        ("12345678 Off", UNKNOWN_TEXT),
        ("Temp 38 high|PID", UNKNOWN_TEXT),
        ("SpO2 85 low", UNKNOWN_TEXT),
        ("Temp 38.5 high", UNKNOWN_TEXT),
        ("Pressure 95/60 low", UNKNOWN_TEXT),
        ("off " * 20, UNKNOWN_TEXT),
        ("", UNKNOWN_TEXT),
    ],
)
def test_a_text_is_carried_if_all_its_words_are_of_equipment(text: str, told: str) -> None:
    assert text_of(Listed("1", "", text, None)) == told


def test_a_level_of_two_figures_may_be_a_measurement_and_is_not_told() -> None:
    said = hear(
        adapter(period_s=60.0),
        [PLACE + message_of(Kind.TECHNICAL, alarm_of(Kind.TECHNICAL, Listed("205", "85", "", None)))],
    )
    assert [edge[3] for edge in edges(said)] == [""]


# -- use ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figures", "state"),
    [
        ({"101": 60.0}, OperatingState.IN_USE),
        ({"151": 12.0, "101": INVALID}, OperatingState.IN_USE),
        ({"101": INVALID, "160": INVALID}, OperatingState.IDLE),
        ({"101": INVALID}, OperatingState.UNKNOWN),
        ({"101": 0.0, "160": INVALID}, OperatingState.UNKNOWN),
        ({}, OperatingState.UNKNOWN),
    ],
)
def test_use_takes_a_figure_above_zero_and_idle_takes_all_invalid(
    figures: dict[str, float], state: OperatingState
) -> None:
    assert state_of(figures) is state


def test_the_state_is_told_at_once_when_use_begins_and_else_once_a_period() -> None:
    one = adapter(period_s=60.0)
    hear(one, [PLACE])
    one.connected()
    none = numerics(f101=INVALID, f160=INVALID)
    told = []
    for seconds, data in (
        (1, none),
        (1, none),
        (1, numerics(f101=61)),
        (50, none),
        (10, HEARTBEAT),
        (60, HEARTBEAT),
    ):
        one.elapsed(seconds)
        told += [usages(one.feed(data))]
    assert told == [["idle"], [], ["in_use"], [], ["idle"], ["unknown"]]


@pytest.mark.parametrize("value", ["", "nan", "inf", "1e9", "---", "6O", "99999999999"])
def test_what_is_no_figure_is_no_evidence(value: str) -> None:
    row = f"OBX||NM|101^HR|2101|{value}||||||F"
    said = hear(adapter(period_s=60.0), [PLACE + message_of(Kind.PERIODIC, row)])
    assert usages(said) == []
    assert refusals(said) == ()


# -- what is sent -------------------------------------------------------------------------------------------


def test_a_monitor_is_asked_once_for_four_figures_and_all_alarms_and_once_more_at_its_first_heartbeat() -> (
    None
):
    one = adapter(period_s=60.0)
    assert one.connected() == (Answer(QUERY), Answer(HEARTBEAT))
    assert QUERY.split(b"\r")[2:5] == [
        b"QRF|MON||||0&0^1^1^0^101&151&160&161",
        b"QRF|MON||||0&0^3^1^1^",
        b"QRF|MON||||0&0^4^1^1^",
    ]
    answers = [said for said in one.feed(3 * HEARTBEAT) if isinstance(said, Answer)]
    assert answers == [Answer(QUERY)]


@given(st.lists(st.floats(0, 5), max_size=60))
def test_a_heartbeat_goes_out_each_second_however_time_is_told(steps: list[float]) -> None:
    one = adapter(period_s=60.0)
    assert isinstance(one, Conversing)
    one.connected()
    silent_s = 0.0
    for step in steps:
        told = min(step, one.due_s())
        silent_s += told
        assert silent_s <= HEARTBEAT_S + 1e-6
        if one.elapsed(told):
            silent_s = 0.0
    assert one.farewell() == b""


# -- a central station --------------------------------------------------------------------------------------


def test_the_monitors_of_a_central_station_are_units_by_their_addresses() -> None:
    central = OPTIONS(central=True)(period_s=60.0)
    assert central.connected() == (Answer(HEARTBEAT),)
    said = central.feed(
        PLACE
        + message_of(Kind.PLACE, place_of("192.168.8.189"))
        + HEARTBEAT
        + listed(Kind.TECHNICAL, "205")
        + PLACE
    )
    heard = [one for one in said if isinstance(one, Heard)]
    assert [(one.unit, one.alias.identifier) for one in heard] == [
        ("192-168-8-188", "192.168.8.188"),
        ("192-168-8-189", "192.168.8.189"),
        ("", UNTOLD.identifier),
        ("192-168-8-188", "192.168.8.188"),
    ]
    assert [one.reason for one in refusals(said)] == ["does not tell which monitor it is of"]
    assert not [one for one in said if isinstance(one, Answer)]


# -- nobody -------------------------------------------------------------------------------------------------


def test_names_numbers_and_figures_of_people_are_in_no_body_no_reason_and_no_recording() -> None:
    name, number, drug, vital = NAMES
    place = place_of("192.168.8.188", ward=name, bed=number)
    person = f"PID|||{number}||{name}||19610101|F"
    stream = b"".join((
        message_of(Kind.PLACE, person, place, f"OBX||ST|2308^BedNoStr||{name}||||||F", f"NTE||{drug}"),
        message_of(Kind.ONLINE, person, place, label_of(name), event="ADT^A01"),
        message_of(Kind.PERIODIC, f"OBX||NM|101^{name}|{drug}|{vital}||||||F"),
        message_of(Kind.APERIODIC, f"OBX||NM|170^Sys|2105|{vital}||||||F||APERIODIC|20260109073000"),
        message_of(Kind.TECHNICAL, f"OBX||CE|4|{drug}|205^{name}||||||F|"),
        message_of(Kind.PHYSIOLOGICAL, f"OBX||CE|2|1|10002^**HR {vital}||||||F|||20260109073000|"),
        message_of(Kind.PHYSIOLOGICAL, f"OBX||CE|2|1|{name}||||||F|"),
        message_of(9999, person),
        framed(name.encode()),
        name.encode(),
    ))  # fmt: skip
    made = redactor()
    kept = made.feed(stream) + made.closed()
    said, again = hear(adapter(period_s=60.0), [stream]), hear(adapter(period_s=60.0), [kept])
    for word in (*name.split(), number, drug, vital):
        assert word.encode() in stream
        assert word.encode() not in kept
        assert word not in repr(said)
    assert bodies(again) == bodies(said)
    assert [edge[0] for edge in edges(said)] == ["205", "P10002"]


@given(st.binary(max_size=400))
def test_a_recording_of_anything_holds_none_of_its_letters_but_known_ones(data: bytes) -> None:
    """Whatever is no message is blotted out, byte by byte."""
    made = redactor()
    kept = made.feed(data) + made.closed()
    assert set(kept) <= set(b"x\r\n")
