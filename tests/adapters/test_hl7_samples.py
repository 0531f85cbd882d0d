"""IHE's printed examples yield what the samples' README says, in frames and as bare files."""

from __future__ import annotations

import json

import pytest

from adapters.contract import Heard
from adapters.decode import LineKind, decode
from telemetry.messages import Alarm, AlarmKind, Condition, Identity, OperatingState, Phase, Priority, Usage
from tests.adapters.hl7_messages import SAMPLES, bodies, codes, heard, told

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the folder of samples is not here")
NAMES = (
    "ihe_pcd01_e11_physio_monitor.hl7",
    "ihe_pcd04_e31_spo2_low_start.hl7",
    "ihe_pcd04_e32_occlusion_start.hl7",
    "ihe_pcd04_e32_occlusion_end.hl7",
    "ihe_pcd04_e32_occlusion_start.AS_PRINTED.txt",
)
VALUES = ("Hon", "HO2009", "Coburn", "Surgery", "West", '"88"', '"117"', '"360"', "SINUS", "Low SpO2")


def sent(name: str, *, end: bytes = b"\r") -> bytes:
    return (SAMPLES / name).read_bytes().replace(b"\n", end)


def alarm(name: str) -> Alarm:
    (body,) = bodies(told(sent(name)))
    assert isinstance(body, Alarm)
    return body


def test_the_monitor_tells_who_it_is_and_no_use_and_nothing_of_its_ten_metrics() -> None:
    (one,) = heard(told(sent(NAMES[0])))
    assert (one.alias.namespace, one.alias.identifier) == (
        "PAT_DEVICE_PHILIPS_C",
        "e86c094f-f751-4acf-92b2-38f11c1f6f57-Device",
    )
    identity, usage = one.bodies
    assert isinstance(identity, Identity)
    assert identity.device_type == 69965
    assert isinstance(usage, Usage)
    assert (usage.state, usage.meters) == (OperatingState.UNKNOWN, ())


def test_the_physiological_alarm_is_counted_with_priority_medium_and_no_value() -> None:
    body = alarm(NAMES[1])
    assert (body.alarm_kind, body.priority) == (AlarmKind.PHYSIOLOGICAL, Priority.MEDIUM)
    assert (body.code, body.reference_id, body.text) == ("196670", "MDC_EVT_LO", "MDC_EVT_LO")
    assert (body.phase, body.condition) == (Phase.START, Condition.ACTIVE)
    (one,) = heard(told(sent(NAMES[1])))
    assert (one.alias.namespace, one.alias.identifier) == ("mindray.com", "F1519EFX")


@pytest.mark.parametrize("start", [NAMES[2], NAMES[4]])
def test_the_occlusion_starts_and_ends_as_one_occurrence_of_the_pump(start: str) -> None:
    first, last = alarm(start), alarm(NAMES[3])
    assert first.key == last.key == "E0001_27&PAT_DEVICE_BBRAUN&0012211839000001&EUI-64"
    assert (first.phase, last.phase) == (Phase.START, Phase.END)
    assert {first.code, last.code} == {"196940"}
    assert {first.alarm_kind, last.alarm_kind} == {AlarmKind.TECHNICAL}
    assert {first.text, last.text} == {"Occlusion"}
    said = heard(told(sent(start), sent(NAMES[3])))
    assert {(one.alias.namespace, one.alias.identifier) for one in said} == {("0012210000000000", "P6013")}
    began, ended = (one.device_time for one in said)
    assert began is not None
    assert ended is not None
    assert (ended - began).total_seconds() == 9


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_is_heard_once_and_accepted(name: str) -> None:
    said = told(sent(name))
    assert [type(one).__name__ for one in said] == ["Heard", "Answer"]
    assert codes(said)[0].startswith("CA|")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_a_bare_file_says_the_same_as_a_frame_whatever_ends_its_lines(name: str, end: bytes) -> None:
    lines = list(decode("hl7", [sent(name, end=end)]))
    assert {line.kind for line in lines} == {LineKind.BODY}
    expected = [body.model_dump(mode="json", exclude_none=True) for body in bodies(told(sent(name)))]
    assert [json.loads(line.text) for line in lines] == expected


def test_a_file_of_all_samples_one_behind_the_other_is_read_message_by_message() -> None:
    data = b"".join(sent(name, end=b"\n") for name in NAMES)
    lines = list(decode("hl7", (data[at : at + 100] for at in range(0, len(data), 100))))
    assert [line.kind for line in lines].count(LineKind.BODY) == 6
    assert not [line for line in lines if line.kind is LineKind.REFUSAL]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_person_or_of_a_vital_value_is_left(name: str) -> None:
    said = told(sent(name))
    text = "".join(
        f"{one.alias.model_dump_json()}{body.model_dump_json()}"
        for one in said
        if isinstance(one, Heard)
        for body in one.bodies
    )
    assert not [value for value in VALUES if value in text]
