"""Edges, identity, framing and privacy of the Puritan Bennett adapter."""

from __future__ import annotations

import pytest

from adapters.contract import Answer, Heard, Outcome, Refusal
from adapters.protocols.puritan_bennett import PuritanBennett, adapter
from adapters.puritan_bennett_reports import SNDF, frame_of, report_of
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Fault,
    Identity,
    Metrics,
    OperatingState,
    Priority,
    Quantity,
    Usage,
)
from tests.adapters.ventilators import CAPTURE, bodies, edges, hear, refusals, report, twin_of_capture


def fresh() -> PuritanBennett:
    return adapter(period_s=30.0)


def said_of(*reports: bytes) -> tuple[Outcome, ...]:
    return hear(fresh(), reports)


def states(*reports: bytes) -> list[OperatingState]:
    return [body.state for body in bodies(said_of(*reports)) if isinstance(body, Usage)]


def check_capture(data: bytes) -> None:
    said = said_of(data)
    heard = [one for one in said if isinstance(one, Heard)]
    assert len(heard) == len(said) == 33
    assert {one.alias.identifier for one in heard} == {"3510072467"}
    times = {one.device_time.isoformat() for one in heard if one.device_time}
    assert times == {"2023-04-04T16:01:00", "2023-04-04T16:02:00"}
    told = bodies(said)
    assert [body.serial for body in told if isinstance(body, Identity)] == ["3510072467"]
    assert [body.state for body in told if isinstance(body, Usage)] == [OperatingState.IN_USE] * 33
    (metric,) = (one for body in told if isinstance(body, Metrics) for one in body.values)
    assert (metric.quantity, metric.value) == (Quantity.O2_SENSOR_ENABLED_BOOL, 0.0)
    (alarm,) = (body for body in told if isinstance(body, Alarm))
    assert (alarm.code, alarm.text, alarm.phase, alarm.priority) == ("122", "low O2 supply", "present", "low")
    assert not any(isinstance(body, Fault) for body in told)


@pytest.mark.skipif(not CAPTURE.exists(), reason="the recorded capture is beside the project, not in it")
def test_the_recorded_capture_yields_one_present_and_33_times_in_use() -> None:
    check_capture(CAPTURE.read_bytes())


def test_a_self_made_twin_of_the_capture_yields_the_same() -> None:
    check_capture(twin_of_capture())


@pytest.mark.skipif(not CAPTURE.exists(), reason="the recorded capture is beside the project, not in it")
def test_our_frame_builder_writes_the_recorded_bytes() -> None:
    recorded = CAPTURE.read_bytes()[: SNDF.size]
    assert frame_of(report_of(recorded).fields) == recorded


def test_first_the_input_is_cleared_and_then_the_report_asked_for() -> None:
    ventilator = fresh()
    assert ventilator.connected() == (Answer(b"RSET\r"),)
    assert ventilator.poll() == b"SNDF\r"


def test_an_alarm_starts_changes_and_ends_once_each_under_one_key() -> None:
    said = said_of(
        report(),
        report({114: "MEDIUM"}),
        report({114: "MEDIUM"}),
        report({114: "HIGH"}),
        report({114: "NORMAL"}),
        report(),
    )
    assert edges(said) == (
        ("114", "start", "active", "MEDIUM"),
        ("114", "update", "active", "HIGH"),
        ("114", "end", "inactive", "NORMAL"),
    )
    alarms = [body for body in bodies(said) if isinstance(body, Alarm)]
    assert len({alarm.key for alarm in alarms}) == 1
    assert [alarm.priority for alarm in alarms] == [Priority.MEDIUM, Priority.HIGH, Priority.HIGH]


def test_the_next_occurrence_within_the_same_minute_has_another_key() -> None:
    said = said_of(*[report({114: word}) for word in ("NORMAL", "LOW", "RESET", "LOW")])
    starts = [body.key for body in bodies(said) if isinstance(body, Alarm) and body.phase == "start"]
    assert len(starts) == len(set(starts)) == 2


def test_reset_and_blank_end_an_alarm_and_keep_the_word() -> None:
    assert edges(said_of(report({115: "LOW"}), report({115: "RESET"})))[1] == (
        "115",
        "end",
        "inactive",
        "RESET",
    )
    assert edges(said_of(report({115: "LOW"}), report({115: ""})))[1] == ("115", "end", "inactive", "")


def test_an_unknown_word_is_said_once_as_unknown_and_doubt_is_resolved() -> None:
    said = said_of(
        *[report({123: word}) for word in ("NORMAL", "BROKEN", "BROKEN", "HIGH", "BROKEN", "HIGH", "NORMAL")]
    )
    assert edges(said) == (
        ("123", "update", "unknown", "BROKEN"),
        ("123", "present", "active", "HIGH"),
        ("123", "update", "unknown", "BROKEN"),
        ("123", "update", "active", "HIGH"),
        ("123", "end", "inactive", "NORMAL"),
    )
    assert len({body.key for body in bodies(said) if isinstance(body, Alarm)}) == 1


def test_an_unknown_word_that_is_no_word_is_not_quoted() -> None:
    """A figure in an alarm field could be a patient's."""
    assert edges(said_of(report({123: "7.200"}))) == (("123", "update", "unknown", "(no word)"),)


def test_after_a_lost_link_alarms_are_compared_again() -> None:
    ventilator = fresh()
    before = hear(ventilator, [report({113: "HIGH", 122: "LOW"})])
    after = hear(ventilator, [report({122: "LOW", 120: "MEDIUM"}), report({121: "LOW", 122: "LOW"})])
    assert edges(before) == (("113", "present", "active", "HIGH"), ("122", "present", "active", "LOW"))
    assert edges(after) == (
        ("113", "end", "inactive", "NORMAL"),
        ("120", "present", "active", "MEDIUM"),
        ("120", "end", "inactive", "NORMAL"),
        ("121", "start", "active", "LOW"),
    )
    assert not any(isinstance(body, Identity | Metrics) for body in bodies(after))


def test_a_report_cut_by_a_lost_link_is_refused_and_does_not_spoil_the_next() -> None:
    ventilator = fresh()
    ventilator.connected()
    assert ventilator.feed(report()[:700]) == ()
    assert ventilator.connected() == (
        Refusal(0, "unfinished frame: it ends after 700 bytes"),
        Answer(b"RSET\r"),
    )
    (heard,) = ventilator.feed(report())
    assert isinstance(heard, Heard)
    assert heard.offset == 700


def test_another_device_on_the_same_link_starts_anew() -> None:
    said = said_of(
        report({122: "LOW"}), report({6: "840 3510000002", 122: "LOW"}), report({6: "840 3510000002"})
    )
    assert [body.serial for body in bodies(said) if isinstance(body, Identity)] == [
        "3510000001",
        "3510000002",
    ]
    assert [edge[:2] for edge in edges(said)] == [("122", "present"), ("122", "present"), ("122", "end")]
    first, second, end = (body.key for body in bodies(said) if isinstance(body, Alarm))
    assert first != second == end
    assert sum(isinstance(body, Metrics) for body in bodies(said)) == 2


def test_a_device_that_comes_back_within_a_minute_does_not_reuse_a_key() -> None:
    said = said_of(*[report({6: f"840 {serial}", 122: "LOW"}) for serial in (11, 12, 11)])
    keys = [body.key for body in bodies(said) if isinstance(body, Alarm)]
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, OperatingState.IN_USE),
        ({70: "0.0", 72: "0.000"}, OperatingState.IDLE),
        ({9: "", 70: "0.0", 72: "0.000"}, OperatingState.IDLE),
        ({9: ""}, OperatingState.UNKNOWN),
        ({9: "", 70: "", 72: ""}, OperatingState.UNKNOWN),
        ({70: "", 72: ""}, OperatingState.UNKNOWN),
        ({70: "14.0", 72: "0.000"}, OperatingState.UNKNOWN),
        ({70: "0.0", 72: "7.2"}, OperatingState.UNKNOWN),
        ({70: "-1.0"}, OperatingState.UNKNOWN),
        ({70: "inf"}, OperatingState.UNKNOWN),
        ({70: "*****"}, OperatingState.UNKNOWN),
    ],
)
def test_use_takes_rate_volume_and_mode_and_idle_takes_readable_zeros(
    fields: dict[int, str], state: OperatingState
) -> None:
    assert states(report(fields)) == [state]


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        *[(field, AlarmKind.TECHNICAL) for field in (113, 114, 115, 116, 120, 121, 122, 123)],
        *[(field, AlarmKind.PHYSIOLOGICAL) for field in (*range(106, 113), 117, 118, 119)],
        *[(field, AlarmKind.PHYSIOLOGICAL) for field in (124, 125, 126, *range(128, 137))],
        (127, AlarmKind.ADVISORY),
    ],
)
def test_fields_106_to_136_are_alarms_of_the_right_kind(field: int, kind: AlarmKind) -> None:
    (alarm,) = (body for body in bodies(said_of(report({field: "HIGH"}))) if isinstance(body, Alarm))
    assert (alarm.code, alarm.alarm_kind, alarm.priority) == (str(field), kind, Priority.HIGH)
    assert alarm.text


def test_fields_137_to_153_are_the_malfunctions_a5_to_a85() -> None:
    said = said_of(report(dict.fromkeys(range(137, 154), "HIGH")))
    faults = [body for body in bodies(said) if isinstance(body, Fault)]
    assert [fault.code for fault in faults] == [f"A{number}" for number in range(5, 90, 5)]
    assert {fault.effect for fault in faults} == {"removal_advised"}


def test_a_980_with_blank_malfunctions_is_quiet() -> None:
    blank = dict.fromkeys(range(146, 154), "")
    assert edges(said_of(report({6: "980 35B1700042", **blank}))) == ()


def test_on_a_980_the_last_fields_mean_something_else() -> None:
    said = said_of(report({6: "980 35B1700042", 145: "HIGH", 146: "LOW", 153: "HIGH", 160: "LOW"}))
    told = {body.code: body for body in bodies(said) if isinstance(body, Alarm | Fault)}
    assert sorted(told) == ["146", "153", "160", "A45"]
    unmapped, carbon_dioxide, proximal = told["146"], told["153"], told["160"]
    assert isinstance(unmapped, Fault)
    assert (unmapped.mapped, unmapped.effect) == (False, "service_high")
    assert isinstance(carbon_dioxide, Alarm)
    assert carbon_dioxide.alarm_kind == AlarmKind.PHYSIOLOGICAL
    assert isinstance(proximal, Alarm)
    assert proximal.alarm_kind == AlarmKind.TECHNICAL
    assert edges(said_of(report({160: "LOW"}))) == ()


def test_the_o2_sensor_is_told_first_and_when_it_changes() -> None:
    said = said_of(*[report({55: word}) for word in ("Enabled", "Enabled", "", "Enabled", "Disabled")])
    values = [one.value for body in bodies(said) if isinstance(body, Metrics) for one in body.values]
    assert values == [1.0, 0.0]


@pytest.mark.parametrize(
    ("time", "date"),
    [
        ("25:00", "JAN 09 2024"),
        ("07:30", "THG 09 2024"),
        ("07:30", "FEB 30 2024"),
        ("", ""),
        ("0730", "JAN 09 2024"),
        ("07:30", "JAN 09 0000"),
    ],
)
def test_an_impossible_clock_is_no_device_time_and_no_refusal(time: str, date: str) -> None:
    (heard,) = said_of(report({5: time, 7: date}))
    assert isinstance(heard, Heard)
    assert heard.device_time is None


def test_every_month_is_read() -> None:
    months = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
    said = said_of(*[report({7: f"{month} 05 2024"}) for month in months])
    told = [one.device_time.month for one in said if isinstance(one, Heard) and one.device_time]
    assert told == list(range(1, 13))


def test_no_figure_of_a_patient_leaves_the_adapter() -> None:
    """Every field that is not looked at carries a mark, and figures in use have values of their own."""
    marked = dict.fromkeys((*range(10, 55), *range(56, 70), 71, *range(73, 105), *range(154, 174)), "XQ")
    said = said_of(report({**marked, 60: "61.97", 70: "23.97", 72: "8.397"}))
    text = "".join(body.model_dump_json() for body in bodies(said))
    assert not any(figure in text for figure in ("XQ", "61.97", "23.97", "8.397"))


def test_garbage_between_reports_is_refused_once_where_it_begins() -> None:
    garbage = b"\xff\x00MISC \r\n" * 900
    said = said_of(report() + garbage, garbage + report() + b"x" + report())
    assert [(one.offset, type(one)) for one in said if not isinstance(one, Answer)] == [
        (0, Heard),
        (SNDF.size, Refusal),
        (SNDF.size + 2 * len(garbage), Heard),
        (2 * SNDF.size + 2 * len(garbage), Refusal),
        (2 * SNDF.size + 2 * len(garbage) + 1, Heard),
    ]


def test_each_faulty_report_is_refused_where_it_begins() -> None:
    faulty = report().replace(b"1225", b"1228").replace(b"\x03", b"   \x03")
    said = said_of(report() + faulty + faulty + report())
    assert [one.offset for one in refusals(said)] == [SNDF.size, SNDF.size + len(faulty)]
    assert sum(isinstance(one, Heard) for one in said) == 2


def test_hostile_starts_of_frames_are_not_refused_one_by_one() -> None:
    hostile = b"MISCF,1225,169 ,\x02" * 5000
    assert len(refusals(said_of(hostile))) <= len(hostile) // SNDF.size + 2


def test_a_cut_report_is_refused_as_soon_as_the_next_one_begins() -> None:
    ventilator = fresh()
    ventilator.connected()
    assert ventilator.feed(report()[:600]) == ()
    (refused,) = ventilator.feed(report()[:17])
    assert isinstance(refused, Refusal)
    (heard,) = ventilator.feed(report()[17:])
    assert isinstance(heard, Heard)


def test_alarms_go_on_across_a_refused_report() -> None:
    bad = report({122: "LOW"}).replace(b"\x03", b" ")
    assert edges(said_of(report({122: "LOW"}), bad, report({122: "LOW"}))) == (
        ("122", "present", "active", "LOW"),
    )


def test_a_text_that_does_not_fit_its_field_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="field 122 holds 6 bytes"):
        report({122: "TOOLONG"})
