"""An alert is read by the terms of its rows, in any order and in its old forms, and tells of nobody."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.messages import Alarm, AlarmKind, Condition, Phase, Priority
from tests.adapters.hl7_messages import alarms, alert, bodies, codes, facets, heard, reasons, row, told

BATTERY = "196802^MDC_EVT_BATT_LO^MDC^^^^^^Battery low"


def only(text: str) -> Alarm:
    (body,) = alarms(text)
    return body


@given(st.permutations(facets(event=BATTERY)))
def test_the_order_of_rows_means_nothing(rows: list[str]) -> None:
    assert alarms(alert(*rows)) == alarms(alert(*facets(event=BATTERY)))


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("start", Phase.START),
        ("start_only", Phase.START),
        ("present", Phase.PRESENT),
        ("continue", Phase.UPDATE),
        ("update", Phase.UPDATE),
        ("escalate", Phase.UPDATE),
        ("deescalate", Phase.UPDATE),
        ("acknowledged", Phase.UPDATE),
        ("inactivate", Phase.UPDATE),
        ("START", Phase.START),
    ],
)
def test_every_phase_of_a_standing_alert_has_its_word(phase: str, expected: Phase) -> None:
    body = only(alert(*facets(phase=phase)))
    assert (body.phase, body.condition) == (expected, Condition.ACTIVE)
    assert body.raw == f"{phase.lower()} active"


@pytest.mark.parametrize("phase", ["end", "stop", "reset"])
def test_every_phase_that_ends_an_alert_is_an_end(phase: str) -> None:
    body = only(alert(*facets(phase=phase, state="inactive")))
    assert (body.phase, body.condition) == (Phase.END, Condition.INACTIVE)


def test_a_reset_of_an_alert_that_stays_active_is_no_end() -> None:
    assert only(alert(*facets(phase="reset", state="latched"))).phase is Phase.UPDATE


def test_a_moment_starts_and_ends_at_once_under_one_key() -> None:
    began, ended = alarms(alert(*facets(phase="tpoint", state="")))
    assert (began.phase, began.condition) == (Phase.START, Condition.ACTIVE)
    assert (ended.phase, ended.condition) == (Phase.END, Condition.INACTIVE)
    assert began.key == ended.key


@pytest.mark.parametrize(
    ("phase", "state", "expected"),
    [
        ("start", "", (Phase.START, Condition.ACTIVE)),
        ("end", "", (Phase.END, Condition.INACTIVE)),
        ("end", "latched", (Phase.END, Condition.LATCHED)),
        ("update", "", (Phase.UPDATE, Condition.UNKNOWN)),
        ("", "active", (Phase.PRESENT, Condition.ACTIVE)),
        ("", "off", (Phase.END, Condition.OFF)),
        ("", "", (Phase.UPDATE, Condition.UNKNOWN)),
        ("strange", "odd", (Phase.UPDATE, Condition.UNKNOWN)),
    ],
)
def test_what_is_left_out_or_strange_is_not_made_up(
    phase: str, state: str, expected: tuple[Phase, Condition]
) -> None:
    body = only(alert(*facets(phase=phase, state=state)))
    assert (body.phase, body.condition) == expected
    assert "strange" not in body.raw
    assert "odd" not in body.raw


@pytest.mark.parametrize(
    ("flags", "kind", "priority"),
    [
        ("L~PM~SP", AlarmKind.PHYSIOLOGICAL, Priority.MEDIUM),
        ("ST~PH", AlarmKind.TECHNICAL, Priority.HIGH),
        ("SA~PL", AlarmKind.ADVISORY, Priority.LOW),
        ("ST~PN", AlarmKind.TECHNICAL, Priority.UNKNOWN),
        ("", AlarmKind.UNKNOWN, Priority.UNKNOWN),
    ],
)
def test_the_old_form_tells_priority_and_type_in_obx_8(
    flags: str, kind: AlarmKind, priority: Priority
) -> None:
    event = row("196616^MDC_EVT_ALARM^MDC", "1.0.0.0.1", BATTERY, flags=flags)
    body = only(alert(event, *facets(event="", kind="", priority="")))
    assert (body.alarm_kind, body.priority) == (kind, priority)


def test_rows_of_their_own_win_over_obx_8() -> None:
    event = row("196616^MDC_EVT_ALARM^MDC", "1.0.0.0.1", BATTERY, flags="SP~PL")
    body = only(alert(event, *facets(event="", kind="ST", priority="PH")))
    assert (body.alarm_kind, body.priority) == (AlarmKind.TECHNICAL, Priority.HIGH)


def test_facets_are_known_by_reference_id_under_their_old_and_under_wrong_numbers() -> None:
    numbers = iter(("68165", "68166", "68481", "0", "999"))
    old = tuple(
        row(f"{next(numbers)}^{term}^MDC", f"1.0.0.0.{place}", value)
        for place, (term, value) in enumerate(
            (
                ("MDC_ATTR_EVENT_PHASE", "end"),
                ("MDC_ATTR_ALARM_STATE", "inactive"),
                ("MDC_ATTR_ALARM_PRIORITY", "PH"),
                ("MDC_ATTR_ALERT_TYPE", "SA"),
            ),
            2,
        )
    )
    body = only(alert(row("196616^MDC_EVT_ALARM^MDC", "1.0.0.0.1", BATTERY), *old))
    assert (body.phase, body.priority, body.alarm_kind) == (Phase.END, Priority.HIGH, AlarmKind.ADVISORY)


def test_a_facet_without_reference_id_is_known_by_its_number() -> None:
    assert only(alert(*facets(phase=""), row("68481", "1.0.0.0.3", "end"))).phase is Phase.END


@pytest.mark.parametrize(
    ("event", "code", "reference_id", "raw"),
    [
        ("196802^MDC_EVT_BATT_LO^MDC", "196802", "MDC_EVT_BATT_LO", ""),
        ("196802^MDC_EVT_BATT_LO", "196802", "MDC_EVT_BATT_LO", ""),
        ("196671^MDC_EVT_BATT_LO^MDC", "196802", "MDC_EVT_BATT_LO", " code 196671"),
        ("196802", "196802", "", ""),
        ("0^MDCX_EVT_FILTER_DIRTY^MDC", "MDCX_EVT_FILTER_DIRTY", "MDCX_EVT_FILTER_DIRTY", ""),
        ("200000^MDC_EVT_NEW^MDC", "200000", "MDC_EVT_NEW", ""),
        ("E-12^Fan^99ACME", "99ACME:E-12", "", ""),
        ("E-12^Fan^99ACME^196802^MDC_EVT_BATT_LO^MDC", "196802", "MDC_EVT_BATT_LO", ""),
        ("Battery is low", "196616", "MDC_EVT_ALARM", ""),
    ],
)
def test_an_event_is_known_by_reference_id_first_and_a_wrong_number_is_kept_beside_it(
    event: str, code: str, reference_id: str, raw: str
) -> None:
    body = only(alert(*facets(event=event)))
    assert (body.code, body.reference_id, body.raw) == (code, reference_id, f"start active{raw}")


def test_an_event_that_is_the_term_of_its_row_is_read_too() -> None:
    body = only(
        alert(row("196670^MDC_EVT_LO^MDC", "1.3.1.1.1", "Low SpO2", flags="SP"), *facets(event="", kind=""))
    )
    assert (body.code, body.text) == ("196670", "MDC_EVT_LO")


@pytest.mark.parametrize("kind", ["SP", ""])
def test_a_physiological_or_untold_alert_says_only_its_code(kind: str) -> None:
    rows = facets(event="196670^MDC_EVT_LO^MDC^^^^^^SpO2 low 88", kind=kind)
    source = row("150456^MDC_PULS_OXIM_SAT_O2^MDC", "1.0.0.0.2", "88", unit="262688^MDC_DIM_PERCENT^MDC")
    text = row("68546^MDC_ATTR_ALERT_TEXT^MDC", "1.0.0.0.8", "SpO2 low 88")
    body = only(alert(*rows, source, text))
    assert "88" not in body.model_dump_json()
    assert body.text == "MDC_EVT_LO"


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("Battery low", "Battery low"),
        ("Ắc quy yếu", "Ắc quy yếu"),
        ("Battery low: planted", "MDC_EVT_BATT_LO"),
        ("PN-4711 battery", "MDC_EVT_BATT_LO"),
        ("alba", "MDC_EVT_BATT_LO"),
        ("", "MDC_EVT_BATT_LO"),
    ],
)
def test_a_technical_alert_carries_its_phrase_unless_it_shares_a_word_with_a_person(
    phrase: str, text: str
) -> None:
    body = only(alert(*facets(event=f"196802^MDC_EVT_BATT_LO^MDC^^^^^^{phrase}")))
    assert body.text == text


@pytest.mark.parametrize(
    ("name", "phrase"), [("Lê^An", "Le An cable off"), ("Vũ^Hà", "Vu\u0303 off"), ("Do^Vy", "Đỗ Vỹ off")]
)
def test_short_names_are_known_again_however_their_accents_are_written(name: str, phrase: str) -> None:
    text = alert(*facets(event=f"196802^MDC_EVT_BATT_LO^MDC^^^^^^{phrase}"))
    assert "Planted^Alba^Mae" in text
    assert only(text.replace("Planted^Alba^Mae", name)).text == "MDC_EVT_BATT_LO"


@pytest.mark.parametrize(
    ("phrase", "is_kept"), [("Sensor 88", False), ("Error 401, 8.8", True), ("88.5", True)]
)
def test_a_technical_phrase_never_carries_a_measured_value(phrase: str, is_kept: bool) -> None:  # noqa: FBT001 - a column
    value = row("150456^MDC_PULS_OXIM_SAT_O2^MDC", "1.0.0.0.2", "88", kind="NM")
    body = only(alert(*facets(event=f"196802^MDC_EVT_BATT_LO^MDC^^^^^^{phrase}"), value))
    assert (body.text == phrase) is is_kept


def test_free_text_is_never_read() -> None:
    text = row("68546^MDC_ATTR_ALERT_TEXT^MDC", "1.0.0.0.8", "Bed 7 battery")
    assert "Bed 7" not in only(alert(*facets(), text)).model_dump_json()


# -- which occurrence -------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["start", "start_only", "present"])
@pytest.mark.parametrize("onset", ["", "^A27&GW&00AB&EUI-64", "^OTHER&GW&00AB&EUI-64"])
def test_an_onset_is_named_by_obr_3_whatever_stands_in_obr_29(phase: str, onset: str) -> None:
    assert only(alert(*facets(phase=phase), onset=onset)).key == "A27&GW&00AB&EUI-64"


@pytest.mark.parametrize("phase", ["end", "update", "continue", "acknowledged"])
def test_every_other_phase_is_named_by_the_onset_in_obr_29(phase: str) -> None:
    body = only(alert(*facets(phase=phase), id_="A34^GW^00AB^EUI-64", onset="^A27&GW&00AB&EUI64"))
    assert body.key == "A27&GW&00AB&EUI-64"


def test_an_end_that_names_no_onset_is_told_under_its_own_id() -> None:
    assert only(alert(*facets(phase="end", state="inactive"), id_="A34")).key == "A34"


def test_a_long_id_keeps_apart_what_differs_at_its_end() -> None:
    one, two = (only(alert(*facets(), id_="x" * 300 + end)).key for end in "ab")
    assert len(one) == len(two) == 128
    assert one != two


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (alert(*facets(event="")), "alert without an event"),
        (alert(*facets(), id_=""), "alert without an id in OBR-3 or OBR-29"),
        (alert(*facets(event="a b^Fan^99ACME")), "event without a code"),
    ],
)
def test_an_alert_that_cannot_be_used_is_refused_and_accepted(text: str, reason: str) -> None:
    said = told(text)
    assert reasons(said) == (reason,)
    assert codes(said) == ("CA|1",)


def test_a_keep_alive_is_skipped() -> None:
    said = told(alert(*facets(event="196614^MDC_EVT_ACTIVE^MDC")))
    assert (bodies(said), codes(said)) == ((), ("CA|1",))
    assert reasons(said) == ("a sign of life without an alert",)


# -- whose ------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.permutations(["P1^NS^UNI^DNS", "P2", "P3^NS"]))
def test_each_device_of_a_message_is_heard_under_its_own_name(devices: list[str]) -> None:
    text = alert(*facets()).replace("\rOBX|1|ST|69985", "\rNTE|1|ST|69985")
    begin = text[: text.index("OBR")]
    groups = "".join(
        "OBR|1||A" + str(number) + "|196616^MDC_EVT_ALARM^MDC\r"
        + "\r".join((*facets(), row("69985^MDC_DEV_PUMP_INFUS_MDS^MDC", "1.0.0.0", device=device))) + "\r"
        for number, device in enumerate(devices)
    )  # fmt: skip
    said = told(begin + groups)
    names = {"P1": "UNI", "P2": "00AB", "P3": "NS"}
    assert [(one.alias.identifier, one.alias.namespace) for one in heard(said)] == [
        (device[:2], names[device[:2]]) for device in devices
    ]
    assert [body.key for body in bodies(said) if isinstance(body, Alarm)] == ["A0", "A1", "A2"]
    assert len(codes(said)) == 1


def test_every_pair_of_phase_and_state_is_an_alarm() -> None:
    phases = (
        "tpoint",
        "start",
        "start_only",
        "continue",
        "end",
        "present",
        "update",
        "escalate",
        "stop",
        "?",
    )
    for phase, state in itertools.product(phases, ("active", "inactive", "latched", "off", "?")):
        assert alarms(alert(*facets(phase=phase, state=state)))
