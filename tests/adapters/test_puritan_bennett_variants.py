"""SNDA, the 980 and the port set to Philips: what each tells, and what it leaves untold."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Heard, Outcome, Refusal
from adapters.protocols.puritan_bennett import adapter
from adapters.puritan_bennett_reports import LAYOUTS, PHILIPS, SNDA, SNDF, Layout, frame_of, report_of
from telemetry.messages import Alarm, AlarmKind, Fault, Identity, OperatingState, Priority, Usage
from tests.adapters.ventilators import bodies, edges, hear, quiet, refusals, report, short_report

AS_980 = MappingProxyType({6: "980 35B1700042", 160: "NORMAL", **dict.fromkeys(range(146, 154), "")})


def said_of(*reports: bytes) -> tuple[Outcome, ...]:
    return hear(adapter(period_s=30.0), reports)


def philips(fields: Mapping[int, str] = MappingProxyType({})) -> bytes:
    return frame_of({**quiet(PHILIPS), **fields}, layout=PHILIPS)


@pytest.mark.parametrize(("layout", "size"), [(SNDF, 1225), (PHILIPS, 1229), (SNDA, 706)])
def test_a_layout_is_as_long_as_its_header_says(layout: Layout, size: int) -> None:
    frame = frame_of({}, layout=layout)
    assert layout.body == size == frame.index(b"\x03") - frame.index(b"\x02") - 1
    _, length, count, _ = frame[: len(layout.header)].split(b",")
    assert (int(length), int(count)) == (layout.body, len(layout.fields)) == (size, frame.count(b",") - 3)
    assert layout.size == len(frame)


@pytest.mark.parametrize(
    ("layout", "wide"),
    [
        (SNDF, {6: 18, 7: 12, 8: 9, 50: 9, 53: 18, 55: 9, 66: 9}),
        (PHILIPS, {6: 18, 7: 12, 8: 9, 50: 9, 53: 18, 55: 9, 66: 9}),
        (SNDA, {6: 18, 8: 12, 62: 12, 100: 9}),
    ],
)
def test_every_field_but_these_is_six_bytes_wide(layout: Layout, wide: dict[int, int]) -> None:
    assert {
        field: width for field, width in zip(layout.fields, layout.widths, strict=True) if width != 6
    } == wide


def test_a_field_that_there_is_not_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="SNDA has no field 102"):
        frame_of({102: "x"}, layout=SNDA)


# -- SNDA ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "code", "kind"),
    [
        (48, "110", AlarmKind.PHYSIOLOGICAL),
        (51, "SNDA-51", AlarmKind.PHYSIOLOGICAL),
        (52, "118", AlarmKind.PHYSIOLOGICAL),
        (53, "112", AlarmKind.PHYSIOLOGICAL),
        (54, "122", AlarmKind.TECHNICAL),
        (55, "121", AlarmKind.TECHNICAL),
        (57, "106", AlarmKind.PHYSIOLOGICAL),
        (94, "106", AlarmKind.PHYSIOLOGICAL),
        (95, "SNDA-95", AlarmKind.PHYSIOLOGICAL),
    ],
)
def test_an_alarm_of_snda_has_the_code_of_its_condition_and_no_priority(
    field: int, code: str, kind: AlarmKind
) -> None:
    (alarm,) = (body for body in bodies(said_of(short_report({field: "ALARM"}))) if isinstance(body, Alarm))
    assert (alarm.code, alarm.alarm_kind, alarm.priority) == (code, kind, Priority.UNKNOWN)


def test_snda_tells_identity_use_and_clock_and_nothing_of_what_it_lacks() -> None:
    said = said_of(short_report())
    assert [type(body) for body in bodies(said)] == [Identity, Usage]
    (heard,) = said
    assert isinstance(heard, Heard)
    assert heard.alias.identifier == "3510000001"
    assert heard.device_time is not None
    assert heard.device_time.isoformat() == "2024-01-09T07:30:00"


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, OperatingState.IN_USE),
        ({34: "0", 36: "0.00"}, OperatingState.IDLE),
        ({9: ""}, OperatingState.UNKNOWN),
        ({34: "", 36: ""}, OperatingState.UNKNOWN),
        ({34: "14", 36: "0.00"}, OperatingState.UNKNOWN),
    ],
)
def test_use_is_judged_alike_by_snda(fields: dict[int, str], state: OperatingState) -> None:
    (usage,) = (body for body in bodies(said_of(short_report(fields))) if isinstance(body, Usage))
    assert usage.state == state


def test_the_words_of_one_report_are_unknown_in_the_other() -> None:
    assert edges(said_of(short_report({54: "LOW"}))) == (("122", "update", "unknown", "LOW"),)
    assert edges(said_of(report({122: "ALARM"}))) == (("122", "update", "unknown", "ALARM"),)


def test_apnoea_told_in_either_field_is_one_alarm() -> None:
    said = said_of(
        short_report({57: "ALARM", 94: "ALARM"}), short_report({57: "RESET", 94: "ALARM"}), short_report()
    )
    assert edges(said) == (("106", "present", "active", "ALARM"), ("106", "end", "inactive", "NORMAL"))


def test_a_condition_that_both_reports_tell_goes_on_under_one_key() -> None:
    said = said_of(report({122: "LOW"}), short_report({54: "ALARM"}), short_report({54: "RESET"}))
    assert edges(said) == (
        ("122", "present", "active", "LOW"),
        ("122", "update", "active", "ALARM"),
        ("122", "end", "inactive", "RESET"),
    )
    assert len({body.key for body in bodies(said) if isinstance(body, Alarm)}) == 1


def test_what_snda_does_not_tell_is_unknown_once_and_resolved_by_sndf() -> None:
    ventilator = adapter(period_s=30.0)
    before = hear(ventilator, [report({113: "HIGH", 140: "HIGH"}), short_report(), short_report()])
    after = hear(ventilator, [report({140: "HIGH"})])
    assert edges(before) == (
        ("113", "present", "active", "HIGH"),
        ("A20", "present", "active", "HIGH"),
        ("113", "update", "unknown", ""),
        ("A20", "update", "unknown", ""),
    )
    assert edges(after) == (("113", "end", "inactive", "NORMAL"), ("A20", "update", "active", "HIGH"))


def test_what_only_snda_tells_is_present_when_it_is_first_told() -> None:
    said = said_of(report(), short_report({51: "ALARM", 55: "ALARM"}))
    assert set(edges(said)) == {
        ("SNDA-51", "present", "active", "ALARM"),
        ("121", "start", "active", "ALARM"),
    }


def test_no_figure_of_a_patient_leaves_snda() -> None:
    looked_at = {5, 6, 8, 9, 34, 36, 48, 51, 52, 53, 54, 55, 57, 94, 95}
    marked = dict.fromkeys(set(SNDA.fields) - looked_at, "XQ")
    said = said_of(short_report({**marked, 34: "23.97", 36: "8.397"}))
    text = "".join(body.model_dump_json() for body in bodies(said))
    assert not any(figure in text for figure in ("XQ", "23.97", "8.397"))


def test_the_poll_falls_back_to_snda_remembers_it_and_begins_with_sndf_on_a_new_link() -> None:
    ventilator = adapter(period_s=30.0)
    ventilator.connected()
    asked = []
    for _ in range(7):
        asked.append(ventilator.poll())
        if asked[-1] == b"SNDA\r":
            ventilator.feed(short_report())
    assert b"".join(asked) == b"SNDF\rSNDF\rSNDA\rSNDF\rSNDA\rSNDA\rSNDA\r"
    ventilator.connected()
    assert ventilator.poll() == b"SNDF\r"


def test_noise_and_refused_reports_are_no_answer() -> None:
    ventilator = adapter(period_s=30.0)
    ventilator.connected()
    asked = []
    for _ in range(3):
        asked.append(ventilator.poll())
        ventilator.feed(report({6: ""}) + b"noise")
    assert asked == [b"SNDF\r", b"SNDF\r", b"SNDA\r"]


# -- 980 ----------------------------------------------------------------------------------------------------


def test_a_980_has_the_lengths_of_an_840_and_its_own_model() -> None:
    said = said_of(report(AS_980), philips(AS_980), short_report({6: AS_980[6]}))
    assert [one.alias.namespace for one in said if isinstance(one, Heard)] == ["980"] * 3
    assert [(body.model, body.serial) for body in bodies(said) if isinstance(body, Identity)] == [
        ("980", "35B1700042")
    ]


def test_the_loss_of_power_of_a_980_is_called_inadvertent_power_off() -> None:
    texts = [
        body.text
        for fields in ({116: "HIGH"}, {**AS_980, 116: "HIGH"})
        for body in bodies(said_of(report(fields)))
        if isinstance(body, Alarm)
    ]
    assert texts == ["loss of power", "inadvertent power off"]


def test_the_carbon_dioxide_of_a_980_is_not_looked_at() -> None:
    assert bodies(said_of(report({**AS_980, 161: "38.6"}))) == bodies(said_of(report(AS_980)))


def test_a_malfunction_field_that_a_980_should_leave_blank_is_kept_as_unmapped() -> None:
    (fault,) = (b for b in bodies(said_of(report({**AS_980, 150: "HIGH"}))) if isinstance(b, Fault))
    assert (fault.code, fault.mapped) == ("150", False)


# -- Philips ------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 169), min_size=4, max_size=4), st.sampled_from(["NORMAL", "LOW", "HIGH"]))
def test_wherever_the_four_further_bytes_stand_the_same_is_heard(places: list[int], word: str) -> None:
    """Behind any four fields, or behind the last comma: no document tells."""
    plain = report({122: word, **AS_980})
    body = plain[len(SNDF.header) : -2]
    *fields, _ = body.split(b",")
    wider = [text + b" " * places.count(index) for index, text in enumerate(fields)]
    tail = b" " * places.count(len(fields))
    told = said_of(PHILIPS.header + b",".join(wider) + b"," + tail + b"\x03\r")
    assert [replace_offset(one) for one in told] == [replace_offset(one) for one in said_of(plain)]


def replace_offset(one: Outcome) -> tuple[object, ...]:
    assert isinstance(one, Heard)
    return one.alias, one.device_time, one.bodies


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (philips().replace(b" ,\x03", b"  ,\x03"), "no ETX and CR after 1229 bytes"),
        (philips().replace(b",\x03", b" \x03"), "168 fields instead of 169"),
        (report().replace(b"1225", b"1229"), "body of 1225 bytes instead of 1229"),
        (philips().replace(b"1229", b"1225"), "no ETX and CR after 1225 bytes"),
        (PHILIPS.header + report()[len(SNDF.header) : -2] + b"FOUR\x03\r", "bytes behind the last field"),
    ],
)
def test_a_report_that_contradicts_its_length_is_refused(frame: bytes, reason: str) -> None:
    said = said_of(frame + report())
    assert any(isinstance(one, Heard) for one in said)
    (refused,) = refusals(said)
    assert reason in refused.reason


# -- whatever a line does to the bytes ----------------------------------------------------------------------

ALL = tuple(frame_of({**quiet(layout)}, layout=layout) for layout in LAYOUTS)
STREAM = b"".join(ALL)
ENDS = tuple(sum(map(len, ALL[: index + 1])) for index in range(len(ALL)))


@given(st.integers(0, len(STREAM)))
def test_a_prefix_of_all_kinds_says_what_the_whole_said_so_far_and_refuses_the_rest(length: int) -> None:
    said = said_of(STREAM[:length])
    sound = sum(end <= length for end in ENDS)
    assert said[:sound] == said_of(STREAM)[:sound]
    assert len(refusals(said)) == len(said) - sound == (0 if length in {0, *ENDS} else 1)


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255))
def test_a_flipped_byte_costs_at_most_the_report_that_holds_it(place: int, mask: int) -> None:
    flipped = bytearray(STREAM)
    flipped[place] ^= mask
    said = said_of(bytes(flipped))
    struck = sum(end <= place for end in ENDS)
    heard = {sum(end <= one.offset for end in ENDS) for one in said if isinstance(one, Heard)}
    assert heard >= {0, 1, 2} - {struck}
    assert all(sum(end <= one.offset for end in ENDS) == struck for one in refusals(said))
    assert len(refusals(said)) <= 1


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_how_reports_of_all_kinds_are_cut_changes_nothing(places: list[int]) -> None:
    ends = sorted(places)
    pieces = [STREAM[a:b] for a, b in zip([0, *ends], [*ends, len(STREAM)], strict=True)]
    assert said_of(*pieces) == said_of(STREAM)


@given(
    st.integers(0, 2),
    st.integers(0, len(ALL[1])),
    st.integers(0, 2),
    st.binary(max_size=40),
    st.integers(0, 2),
)
def test_a_report_cut_short_costs_no_whole_one_behind_it(
    cut: int, length: int, after: int, noise: bytes, last: int
) -> None:
    said = said_of(ALL[cut][:length] + noise + ALL[after] + ALL[last])
    heard = [one.offset for one in said if isinstance(one, Heard)]
    begin = len(ALL[cut][:length]) + len(noise)
    assert {begin, begin + len(ALL[after])} <= set(heard)
    assert all(isinstance(one, Heard | Refusal) for one in said)


@given(st.sampled_from(LAYOUTS), st.data())
def test_what_is_built_is_read_back(layout: Layout, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(layout.fields))
    width = layout.widths[field - 5]
    text = data.draw(st.text(st.sampled_from("AZ09./:+-"), max_size=width))
    read = report_of(frame_of({field: text}, layout=layout))
    assert read.layout is layout
    assert {number: told for number, told in read.fields.items() if told} == ({field: text} if text else {})
