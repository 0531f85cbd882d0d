"""Reports, use, alarms and privacy of the V60 adapter, and what its simulator says; no capture is known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from adapters.asking import LOST
from adapters.contract import UNTOLD, Answer, Evidence, Heard, Outcome, Refusal
from adapters.protocols import v60
from adapters.protocols.v60 import INFO, adapter, redactor, snda, vrpt
from adapters.puritan_bennett_reports import Layout, frame_of
from adapters.simulators.v60 import VOLUME, Count, Ventilator, scripted, talk
from adapters.v60_reports import SNDA, VRPT, VRPT_COMMAS, v60_report
from telemetry.messages import Alarm, AlarmKind, Identity, Usage
from tests.adapters.streams import FakeClock, FakeReader, FakeWriter
from tests.adapters.test_simulator import ALWAYS, NEVER
from tests.adapters.ventilators import bodies, edges, hear, refusals, short_report

START = datetime(2024, 1, 8, tzinfo=UTC)
PATIENT_MARK = "61.97"


def said_of(*reports: bytes) -> tuple[Outcome, ...]:
    return hear(adapter(period_s=30.0), reports)


def states(*reports: bytes) -> list[str]:
    return [str(body.state) for body in bodies(said_of(*reports)) if isinstance(body, Usage)]


def test_the_reports_have_the_bytes_and_fields_that_their_headers_tell() -> None:
    assert (SNDA.body, len(SNDA.fields)) == (706, 97)
    assert (VRPT.body, len(VRPT.fields)) == (988, 133)
    assert (VRPT_COMMAS.body, VRPT_COMMAS.size) == (988, VRPT.size + 2)


def test_nothing_is_known_from_a_device_or_a_capture() -> None:
    assert {model.evidence for model in INFO.models} == {Evidence.MANUAL}


def test_snda_is_asked_first_and_vrpt_when_it_has_come() -> None:
    one = adapter(period_s=30.0)
    assert one.connected() == ()
    assert one.poll() == b"SNDA\r"
    heard, answer = one.feed(snda())
    assert isinstance(heard, Heard)
    assert answer == Answer(b"VRPT\r")
    (heard,) = one.feed(vrpt())
    assert isinstance(heard, Heard)
    assert one.poll() == b"SNDA\r"


def test_software_that_answers_vrpt_alone_is_asked_for_that_and_tells_use_by_it() -> None:
    one = adapter(period_s=30.0)
    one.connected()
    asked: list[bytes] = []
    said: list[Outcome] = []
    for _ in range(8):
        asked.append(one.poll())
        if asked[-1] == b"VRPT\r":
            said += one.feed(vrpt())
    assert asked == [b"SNDA\r"] * 2 + [b"VRPT\r", b"SNDA\r"] + [b"VRPT\r"] * 4
    assert [str(body.state) for body in bodies(said) if isinstance(body, Usage)] == ["in_use"] * 5


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "in_use"),
        ({9: "PPV"}, "in_use"),
        ({9: "STDBY"}, "standby"),
        ({34: "0", 36: "0.0"}, "idle"),
        ({34: "0"}, "unknown"),
        ({34: ""}, "unknown"),
        ({9: ""}, "unknown"),
        ({9: "CMV"}, "unknown"),
        ({36: "*****"}, "unknown"),
    ],
)
def test_use_takes_a_known_mode_a_rate_and_a_volume(fields: Mapping[int, str], state: str) -> None:
    assert states(snda(fields)) == [state]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "in_use"),
        ({57: "", 58: "AVAPS"}, "in_use"),
        ({57: "AVAPS", 58: "AVAPS"}, "in_use"),
        ({57: "S/T", 58: "PCV"}, "unknown"),
        ({57: "", 58: "STDBY"}, "standby"),
        ({57: "4.5"}, "unknown"),
    ],
)
def test_the_mode_of_vrpt_is_looked_for_in_two_fields(fields: Mapping[int, str], state: str) -> None:
    assert states(vrpt(fields)) == [state]


def test_vrpt_tells_no_use_beside_snda() -> None:
    assert states(snda(), vrpt({57: ""}), snda({9: "STDBY"}), vrpt()) == ["in_use", "standby"]


@pytest.mark.parametrize("layout", [VRPT, VRPT_COMMAS])
def test_every_alarm_field_of_vrpt_is_told(layout: Layout) -> None:
    technical = {107, 108, 109, 110, 114, 115, 117, 127}
    for field in (*range(106, 116), 117, 119, 122, 123, 125, 127, 129, 130, 131):
        report = vrpt({field: "ALARM"}, layout=layout)
        (alarm,) = (body for body in bodies(said_of(report)) if isinstance(body, Alarm))
        wanted = AlarmKind.TECHNICAL if field in technical else AlarmKind.PHYSIOLOGICAL
        assert (alarm.code, alarm.alarm_kind, alarm.phase) == (str(field), wanted, "present")


SHARED = {48: "111", 49: "113", 51: "SNDA-51", 52: "119", 53: "125", 54: "117", 56: "108", 95: "SNDA-95"}


@pytest.mark.parametrize(("field", "code"), SHARED.items())
def test_every_alarm_field_of_snda_has_the_code_of_the_same_condition(field: int, code: str) -> None:
    (alarm,) = (body for body in bodies(said_of(snda({field: "ALARM"}))) if isinstance(body, Alarm))
    assert (alarm.code, alarm.raw) == (code, "ALARM")


def test_a_condition_that_both_tell_is_one_and_ends_when_both_are_quiet() -> None:
    said = said_of(
        snda(), vrpt(), snda({56: "ALARM"}), vrpt({108: "ALARM"}), snda({56: "RESET"}), vrpt({108: "RESET"})
    )
    assert edges(said) == (("108", "start", "active", "ALARM"), ("108", "end", "inactive", "RESET"))


def test_what_vrpt_tells_first_is_present_although_snda_was_quiet_about_it() -> None:
    said = said_of(snda(), vrpt({117: "ALARM"}), snda(), vrpt({127: "ALARM"}))
    assert [edge[:2] for edge in edges(said)] == [("117", "present"), ("117", "end"), ("127", "start")]


def test_a_report_that_is_lost_once_does_not_make_it_old_software() -> None:
    one = adapter(period_s=30.0)
    one.connected()
    for _ in range(5):
        assert one.poll() == b"SNDA\r"
        one.feed(snda() + vrpt())
    assert [one.poll() for _ in range(3)] == [b"SNDA\r", b"SNDA\r", b"VRPT\r"]


def test_an_unknown_word_is_said_once_and_never_quoted() -> None:
    said = said_of(snda(), vrpt({117: "Lan"}), vrpt({117: "7.20"}), vrpt({117: "ALARM"}), vrpt())
    assert edges(said) == (
        ("117", "update", "unknown", "(no word)"),
        ("117", "present", "active", "ALARM"),
        ("117", "end", "inactive", "NORMAL"),
    )


def test_what_only_a_report_told_that_does_not_come_any_more_is_unknown_once() -> None:
    one = adapter(period_s=30.0)
    one.connected()
    said: list[Outcome] = []
    for number in range(LOST + 4):
        one.poll()
        said += one.feed(snda())
        if number < 2:
            said += one.feed(vrpt({127: "ALARM"}))
    one.poll()
    said += (*one.feed(snda()), *one.feed(vrpt({127: "ALARM"})))
    assert edges(said) == (
        ("127", "present", "active", "ALARM"),
        ("127", "update", "unknown", ""),
        ("127", "update", "active", "ALARM"),
    )


def test_after_a_lost_link_alarms_are_compared_again() -> None:
    one = adapter(period_s=30.0)
    before = hear(one, [snda({54: "ALARM", 56: "ALARM"})])
    after = hear(one, [snda({54: "ALARM", 48: "ALARM"})])
    assert [edge[:2] for edge in edges(before)] == [("108", "present"), ("117", "present")]
    assert [edge[:2] for edge in edges(after)] == [("108", "end"), ("111", "present")]
    assert sum(isinstance(body, Identity) for body in bodies((*before, *after))) == 1


def test_nobody_is_named_and_the_clock_is_that_of_snda() -> None:
    short, long = (one for one in said_of(snda({8: "FEB 01 1996"}), vrpt()) if isinstance(one, Heard))
    assert (short.alias, long.alias, long.device_time) == (UNTOLD, UNTOLD, None)
    assert short.device_time == datetime(1996, 2, 1, 7, 30)  # noqa: DTZ001 - the ventilator tells no zone


def test_what_vrpt_alone_tells_has_another_key_in_another_run() -> None:
    """A key that came before is taken for late news of what is over."""
    runs = [said_of(snda({5: time}), vrpt({127: "ALARM"})) for time in ("07:30", "09:31")]
    keys = [body.key for said in runs for body in bodies(said) if isinstance(body, Alarm)]
    assert keys == ["127/2024-01-09T07:30/1", "127/2024-01-09T09:31/1"]


def test_without_snda_occurrences_are_named_by_the_clock_of_vrpt_in_recordings_too() -> None:
    fields = vrpt({127: "ALARM"}).split(b",")
    fields[6], fields[7] = b"FEB 01 2026", fields[7][2:]
    data = b",".join(fields)
    blots = redactor()
    kept = blots.feed(data) + blots.closed()
    for came in (data, kept):
        (heard,) = (one for one in said_of(came) if isinstance(one, Heard))
        assert heard.device_time is None
        assert [body.key for body in heard.bodies if isinstance(body, Alarm)] == ["127/2026-02-01T07:30/1"]


def test_a_puritan_bennett_ventilator_is_refused_with_the_name_of_its_protocol() -> None:
    (refused,) = (one for one in said_of(short_report()) if isinstance(one, Refusal))
    assert refused.reason.endswith("puritan-bennett")


def test_reports_split_anywhere_say_the_same() -> None:
    data = b"\xff" + snda({54: "ALARM"}) + b"noise\r" + vrpt({127: "ALARM"}, layout=VRPT_COMMAS)
    whole = said_of(data)
    assert len(refusals(whole)) == 2
    assert all(said_of(data[:place], data[place:]) == whole for place in range(0, len(data), 3))


def marked(layout: Layout, quiet: Mapping[int, str]) -> bytes:
    """A report whose every field that is not read carries a figure of a patient."""
    return frame_of({**dict.fromkeys(layout.fields, PATIENT_MARK), **quiet}, layout=layout)


@pytest.mark.parametrize("layout", [SNDA, VRPT, VRPT_COMMAS])
def test_no_figure_of_a_patient_leaves_the_adapter_or_the_redactor(layout: Layout) -> None:
    quiet = v60.QUIET_SNDA if layout is SNDA else v60.QUIET_VRPT
    place = 36 if layout is SNDA else 83
    data = marked(layout, {**quiet, place: VOLUME})
    blots = redactor()
    kept = blots.feed(data) + blots.closed()
    said = said_of(data)
    assert [one.bodies for one in said_of(kept) if isinstance(one, Heard)] == [
        one.bodies for one in said if isinstance(one, Heard)
    ]
    assert len(kept) == len(data)
    for figure in (PATIENT_MARK, VOLUME, "8.40"):
        assert figure not in repr(said)
        assert figure.encode() not in kept


# -- the simulator ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("commas", [False, True])
def test_a_day_of_a_scripted_ventilator_is_heard_as_it_is_scripted(*, commas: bool) -> None:
    ventilator = scripted("v60", seed=1, start=START, commas=commas)
    one = adapter(period_s=300.0)
    one.connected()
    said: list[Outcome] = []
    used = []
    for minute in range(0, 14 * 60, 5):
        now = START + timedelta(minutes=minute)
        used.append(ventilator.is_in_use(now))
        command = one.poll()
        for outcome in one.feed(ventilator.answer(command[:-1], now) or b""):
            said.append(outcome)
            if isinstance(outcome, Answer):
                said += one.feed(ventilator.answer(outcome.data[:-1], now) or b"")
    assert refusals(said) == ()
    assert [edge[:2] for edge in edges(said)] == [
        ("117", "start"),
        ("117", "end"),
        ("127", "start"),
        ("127", "end"),
    ]
    told = [str(body.state) for body in bodies(said) if isinstance(body, Usage)]
    assert told == ["in_use" if is_used else "standby" for is_used in used]


async def test_the_simulator_answers_what_its_software_understands_and_nothing_else() -> None:
    writer, count = FakeWriter(), Count()
    await talk(
        FakeReader([b"RSET\rSN", b"DA\rSNDF\rVRPT\r", b"x" * 250, b"\rSNDA\r"]),
        writer,
        ventilator=Ventilator("v60", ALWAYS, commands=frozenset({b"SNDA"})),
        clock=FakeClock(),
        count=count,
    )
    assert count.by_command == {b"SNDA": 2}
    assert states(b"".join(writer.pieces)) == ["in_use"] * 2


def test_a_clock_that_is_years_ahead_is_told_as_it_is() -> None:
    answer = Ventilator("v60", NEVER, ahead=timedelta(days=9131)).answer(b"SNDA", START)
    assert answer is not None
    told = v60_report(answer).device_time
    assert told == datetime(2049, 1, 7, 7, 0)  # noqa: DTZ001 - the ventilator tells no zone
    assert states(answer) == ["standby"]
