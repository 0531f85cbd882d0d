"""What monitors behind a Mindray eGateway send: devices by OBX-18 or PRT, alerts embedded in reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from adapters.contract import Heard, Outcome
from adapters.hl7_adapter import Hl7Adapter
from adapters.hl7_mllp import framed
from adapters.hl7_standing import MISSED, MOST_STANDING
from adapters.protocols.hl7 import redactor
from adapters.simulators.hl7_gateway_messages import PERSON_NAME, PERSON_NUMBER, VITAL_VALUE
from adapters.simulators.hl7_gateway_mindray import egateway
from telemetry.messages import Alarm, AlarmKind, Identity, Phase, Priority, Strength
from tests.adapters.hl7_messages import (
    alarms,
    alert,
    bodies,
    facets,
    header,
    heard,
    message,
    row,
    told,
)

MONITOR = "69952^^MDC"
NAMED = "F1519EFX^SHENZHEN_DEVICE^mindray.com^DNS"
BATTERY = "196802^MDC_EVT_BATT_LO^MDC^^^^^^Battery low"
OBR = f"OBR|1||R1|{MONITOR}|||20260109073000"


def standing(
    event: str = BATTERY, *, flags: str = "H~PM~ST", place: str = "1.0.0.9", result: str = "R"
) -> str:
    """A row that says that an alert stands."""
    return row("68012^MDC_ATTR_AL_COND^MDC", place, event, kind="CWE", flags=flags, result=result)


def report(*rows: str, number: int = 1, device: str = NAMED) -> str:
    """A report of a monitor."""
    head = header(number=str(number), time=f"2026010907{number:02}00+0700")
    mds = row(MONITOR, "1.0.0.0", result="X", device=device)
    return message(OBR, mds, *rows, head=head)


def edges(*texts: str) -> list[tuple[str, str, str]]:
    return [(one.code, one.phase, one.raw) for one in alarms(*texts)]


def alias(*rows: str) -> tuple[str, str]:
    """Whose report these segments behind an OBR without a device are."""
    (one,) = heard(told(message(OBR, *rows)))
    assert one.alias.strength is Strength.STRONG
    return one.alias.namespace, one.alias.identifier


def test_a_monitor_is_known_by_its_serial_and_never_by_its_gateway() -> None:
    (one,) = heard(told(report()))
    assert (one.alias.namespace, one.alias.identifier) == ("mindray.com", "F1519EFX")
    (identity,) = [body for body in one.bodies if isinstance(body, Identity)]
    assert (identity.serial, identity.device_type) == ("F1519EFX", 69952)


def test_two_monitors_in_one_message_keep_their_alerts_apart() -> None:
    second = NAMED.replace("F1519EFX", "F2")
    text = message(
        OBR,
        row(MONITOR, "1.0.0.0", result="X", device=NAMED),
        standing(),
        row(MONITOR, "2.0.0.0", result="X", device=second),
    )
    told_by = {one.alias.identifier: bodies((one,)) for one in heard(told(text))}
    assert sorted(told_by) == ["F1519EFX", "F2"]
    assert [isinstance(body, Alarm) for body in told_by["F2"]] == [False, False]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (("OBX", f"PRT||UC||EQUIP||||||{NAMED}"), ("mindray.com", "F1519EFX")),
        ((f"PRT||UC||EQUIP||||||{NAMED}", "OBX"), ("mindray.com", "F1519EFX")),
        (("OBX", f"PRT||UC||EQUIP^Equipment^HL70912||||||{NAMED}~X^Y"), ("mindray.com", "F1519EFX")),
        (("OBX", f"PRT||UC||EQUIP||||||^SHENZHEN^mindray.com^DNS{'|' * 10}F7"), ("mindray.com", "F7")),
        (("OBX", f"PRT||UC||EQUIP{'|' * 16}F7"), ("00AB", "F7")),
        (("OBX", "PRT||UC||RO|N1^Nguyen^Van", f"PRT||UC||EQUIP||||||{NAMED}"), ("mindray.com", "F1519EFX")),
        (("OBX", "PRT||D||EQUIP||||||OLD^^x", f"PRT||UC||EQUIP||||||{NAMED}"), ("mindray.com", "F1519EFX")),
    ],
)  # fmt: skip
def test_prt_names_the_device_where_obx_18_does_not(
    segments: Sequence[str], expected: tuple[str, str]
) -> None:
    bare = row(MONITOR, "1.0.0.0", result="X")
    assert alias(*(bare if one == "OBX" else one for one in segments)) == expected


def test_obx_18_outranks_prt() -> None:
    other = "PRT||UC||EQUIP||||||OTHER^^mindray.com^DNS"
    assert alias(row(MONITOR, "1.0.0.0", result="X", device=NAMED), other) == ("mindray.com", "F1519EFX")


@pytest.mark.parametrize(
    "prt", ["PRT||UC||RO||||||N1^Nguyen", "PRT||UC|||N1^Nguyen", "PRT", "PRT||UC||EQUIP"]
)
def test_prt_of_a_person_names_no_device(prt: str) -> None:
    outcomes = told(message(OBR, row(MONITOR, "1.0.0.0", result="X"), prt))
    assert not heard(outcomes)
    assert "Nguyen" not in repr(outcomes[0])


def test_an_alert_that_stands_in_the_first_report_is_present_and_later_ones_start() -> None:
    other = standing("196804^MDC_EVT_BATT_MALF^MDC", place="1.0.0.10")
    texts = (report(standing()), report(standing(), number=2), report(standing(), other, number=3))
    assert edges(*texts) == [("196802", "present", "stands"), ("196804", "start", "stands")]


def test_it_is_over_when_three_reports_in_a_row_do_not_repeat_it() -> None:
    gaps = [report(standing()), report(number=2), report(number=3), report(standing(), number=4)]
    after = [report(number=4 + gone) for gone in range(1, MISSED + 1)]
    assert edges(*gaps, *after[:-1]) == [("196802", "present", "stands")]
    assert edges(*gaps, *after) == [("196802", "present", "stands"), ("196802", "end", "not repeated")]


def test_an_occurrence_has_one_key_and_the_next_one_another() -> None:
    over = [report(number=number) for number in (2, 3, 4)]
    found = alarms(report(standing()), *over, report(standing(), number=5))
    assert [one.phase for one in found] == [Phase.PRESENT, Phase.END, Phase.START]
    assert found[0].key == found[1].key != found[2].key


def test_priority_and_type_come_from_its_own_row_and_a_change_is_an_update() -> None:
    first, second = alarms(report(standing()), report(standing(flags="PH~SA"), number=2))
    assert (first.alarm_kind, first.priority, first.text) == (
        AlarmKind.TECHNICAL,
        Priority.MEDIUM,
        "Battery low",
    )
    assert (second.phase, second.alarm_kind, second.priority) == ("update", "advisory", "high")


def test_a_physiological_alert_that_stands_is_its_code_alone() -> None:
    (one,) = alarms(report(standing("196670^MDC_EVT_LO^MDC^^^^^^SpO2 low 88", flags="PM~SP")))
    assert (one.code, one.text, one.alarm_kind) == ("196670", "MDC_EVT_LO", "physiological")


def test_a_number_that_is_not_that_of_its_reference_id_is_flagged_and_the_id_believed() -> None:
    assert edges(report(standing("1968020^MDC_EVT_BATT_LO^MDC"))) == [
        ("196802", "present", "stands code 1968020")
    ]


@pytest.mark.parametrize("result", ["W", "D", "I"])
def test_a_row_that_is_wrong_deleted_or_pending_is_let_pass(result: str) -> None:
    assert edges(report(standing(result=result))) == []


def test_an_alert_without_a_code_is_told_as_such_and_costs_nothing_of_its_report() -> None:
    outcomes = told(report(standing("Tran Van")))
    assert [body.code for body in bodies(outcomes) if isinstance(body, Alarm)] == ["untold"]
    assert "usage" in {body.kind for body in bodies(outcomes)}


def test_more_alerts_than_a_device_can_have_are_let_pass() -> None:
    many = [standing(f"{197000 + n}^^MDC", place="1.0.0.9") for n in range(MOST_STANDING + 9)]
    assert len(alarms(report(*many))) == MOST_STANDING


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ("0^MNDRY_EVT_LEAD_OFF^MDC", "MNDRY_EVT_LEAD_OFF"),
        ("30002^MNDRY_EVT_STAT_MODE_DEV^MNDRY", "MNDRY_EVT_STAT_MODE_DEV"),
        ("0^MDCX_EVT_MALF^MDC", "MDCX_EVT_MALF"),
        ("10047^^99MNDRY", "99MNDRY:10047"),
    ],
)
def test_an_event_of_the_makers_own_is_told_by_the_name_that_it_has(event: str, code: str) -> None:
    assert [one.code for one in alarms(alert(*facets(event=event)))] == [code]
    assert [one.code for one in alarms(report(standing(event)))] == [code]


def test_facets_with_their_old_provisional_numbers_are_known_by_their_reference_ids() -> None:
    old = {"68481": "68165", "68482": "68166", "68484": "68168", "68485": "68169"}
    rows = [
        "".join((text[:8], text[8:].replace(number, provisional, 1)))
        for text in facets(event=BATTERY)
        for number, provisional in [next(((n, p) for n, p in old.items() if f"|{n}^" in text), ("", ""))]
    ]
    assert rows != list(facets(event=BATTERY))
    assert alarms(alert(*rows)) == alarms(alert(*facets(event=BATTERY)))


def test_what_may_be_kept_of_them_is_heard_the_same_and_names_nobody() -> None:
    person = "PRT||UC||RO|N1^NGUYENTHIHOA^Van"
    device = f"PRT||UC||EQUIP||||||{NAMED}"
    texts = [
        message(
            OBR, row(MONITOR, "1.0.0.0", result="X"), device, person, standing(), head=header(number="1")
        ),
        report(standing("196804^MDC_EVT_BATT_MALF^MDC^^^^^^Planted cable"), number=2),
    ]
    frames = b"".join(framed(text.encode()) for text in texts)
    keeping = redactor()
    kept = keeping.feed(frames) + keeping.closed()
    assert not any(word in kept for word in (b"NGUYENTHIHOA", b"Planted"))

    def said(data: bytes) -> list[Outcome]:
        adapter = Hl7Adapter(period_s=60)
        return [one for one in adapter.feed(data) if isinstance(one, Heard)]

    def plain(outcomes: Sequence[Outcome]) -> list[object]:
        return [(one.alias, one.bodies) for one in outcomes if isinstance(one, Heard)]

    assert plain(said(kept)) == plain(said(frames)) != []


def test_a_place_with_a_long_number_is_another_device_in_what_is_kept_too() -> None:
    battery = row("67996^MDC_ATTR_VAL_BATT_CHARGE^MDC", "7719358123", "64", device="D2^^ns")
    text = message(
        OBR, row(MONITOR, "1.0.0.0", device="D1^^ns", result="X"), battery, head=header(number="1")
    )
    keeping = redactor()
    kept = keeping.feed(framed(text.encode())) + keeping.closed()
    assert b"7719358123" not in kept
    names = [one.alias.identifier for one in Hl7Adapter(period_s=60).feed(kept) if isinstance(one, Heard)]
    assert names == ["D1", "D2"]


@pytest.mark.parametrize("place", [9, 11, 12, 15, 16, 21])
def test_a_name_in_a_wrong_field_of_the_header_or_in_obx_4_is_not_kept(place: int) -> None:
    fields = header(number="1").split("|")
    fields += [""] * (21 - len(fields))
    fields[place - 1] = "ORU^R01^ZYXANHTHU" if place == 9 else "^^ZYXANHTHU" if place == 21 else "ZYXANHTHU"
    battery = row("67996^MDC_ATTR_VAL_BATT_CHARGE^MDC", "1.ZYXANH.3", "64", unit="262688^MDC_DIM_PERCENT^MDC")
    text = message(OBR, row(MONITOR, "1.0.0.0", device="D1^^ns", result="X"), battery, head="|".join(fields))
    keeping = redactor()
    kept = keeping.feed(framed(text.encode())) + keeping.closed()
    assert b"ZYXANH" in text.encode()
    assert b"ZYXANH" not in kept

    def said(data: bytes) -> list[object]:
        found = Hl7Adapter(period_s=60).feed(data)
        return [(one.alias, one.bodies) for one in found if isinstance(one, Heard)]

    assert said(kept) == said(framed(text.encode())) != []


def test_the_simulated_gateway_says_what_is_heard_and_nobody_is_named() -> None:
    begin, hour = datetime(2026, 1, 8, tzinfo=UTC), timedelta(hours=1)
    devices = egateway(monitors=3, start=begin)
    said = [one for n in range(16) for one in devices.said(begin + hour * n / 2, begin + hour * (n + 1) / 2)]
    outcomes = told(*(one.data for one in said))
    assert len(heard(outcomes)) == len(said)
    found = [body for body in bodies(outcomes) if isinstance(body, Alarm)]
    technical = [(one.code, str(one.phase)) for one in found if one.alarm_kind == "technical"]
    by_facets = [one for one in found if one.raw.endswith(" enabled")]
    embedded = [one for one in found if one not in by_facets]
    assert technical.count(("196802", "start")) == technical.count(("196802", "end")) == 2
    assert [one.code for one in embedded if one.phase == "start"].count("MNDRY_EVT_LEAD_OFF") == 3
    assert len([one for one in by_facets if one.phase == "start"]) == 7
    words = (PERSON_NAME, PERSON_NUMBER, VITAL_VALUE)
    assert all(any(word.encode() in one.data for one in said) for word in words)
    assert not any(word in repr(body) for body in bodies(outcomes) for word in words)
