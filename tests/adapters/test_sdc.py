"""An SDC device: what its MDIB and reports say of equipment, across restarts, links and demo mode."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import UNTOLD, Answer, Heard, Outcome, Skipped
from adapters.protocols import sdc
from adapters.sdc_states import MOST_HOURS
from adapters.sdc_talk import GET_MDIB
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Fault,
    Identity,
    MeterName,
    Metrics,
    OperatingState,
    Priority,
    Quantity,
    Strength,
    Usage,
)
from tests.adapters.sdc_documents import (
    ALERT,
    BATTERY,
    MDS,
    SIGNAL,
    STATES,
    TYPE,
    device,
    mdib,
    metadata,
    report,
)
from tests.adapters.ventilators import bodies, edges, hear, refusals

LOW = 'xsi:type="pm:AlertConditionState" Presence="true"/'
NOT_LOW = STATES[ALERT]
SECOND = "urn:uuid:second"
LOW_ID = "MDC_EVT_BATT_LO"
OWN = '<pm:Type Code="7" CodingSystem="urn:oid:1.2"><pm:Translation Code="196804"/></pm:Type>'
SYMBOL = '<pm:Type Code="100" SymbolicCodeName="MDC_OWN"/>'


def said(*documents: bytes, on_is_use: bool = True) -> tuple[Outcome, ...]:
    """What a fresh adapter says of these documents."""
    return hear(sdc.SdcOptions(on_is_use=on_is_use)(period_s=60), documents)


def usages(outcomes: tuple[Outcome, ...]) -> list[Usage]:
    return [body for body in bodies(outcomes) if isinstance(body, Usage)]


def state(told: str, *, kind: str = "70001", on_is_use: bool = True) -> OperatingState:
    """The state of a device whose MdsState tells this."""
    document = mdib({MDS: f'xsi:type="pm:MdsState" {told}/'}, described=device(kind=kind))
    (usage,) = usages(said(document, on_is_use=on_is_use))
    return usage.state


def metrics(states: Mapping[str, str], described: str = "") -> dict[Quantity, float]:
    told = [body for body in bodies(said(mdib(states, described=described))) if isinstance(body, Metrics)]
    return {metric.quantity: metric.value for body in told for metric in body.values}


def identity(*documents: bytes) -> tuple[Identity, Heard]:
    (heard,) = [one for one in said(*documents) if isinstance(one, Heard)]
    first = heard.bodies[0]
    assert isinstance(first, Identity)
    return first, heard


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ('ActivationState="On"', OperatingState.IN_USE),
        ('ActivationState="On" OperatingMode="Nml"', OperatingState.IN_USE),
        ("", OperatingState.UNKNOWN),
        ('ActivationState="StndBy"', OperatingState.STANDBY),
        ('ActivationState="NotRdy"', OperatingState.IDLE),
        ('ActivationState="Off"', OperatingState.OFF),
        ('ActivationState="Shtdn"', OperatingState.IDLE),
        ('ActivationState="Fail"', OperatingState.IDLE),
        ('ActivationState="Nguyen"', OperatingState.UNKNOWN),
        ('ActivationState="On" OperatingMode="Srv"', OperatingState.SERVICE),
        ('ActivationState="On" OperatingMode="Mtn"', OperatingState.SERVICE),
        ('ActivationState="On" OperatingMode="Dmo"', OperatingState.DEMO),
        ('ActivationState="On" OperatingMode="Hoa"', OperatingState.UNKNOWN),
    ],
)
def test_only_an_on_that_is_told_in_normal_mode_is_use(told: str, expected: OperatingState) -> None:
    assert state(told) is expected


def test_on_is_no_use_of_a_monitor_nor_of_a_device_set_so() -> None:
    assert state('ActivationState="On"', kind="69965") is OperatingState.UNKNOWN
    assert state('ActivationState="On"', on_is_use=False) is OperatingState.UNKNOWN
    assert state('ActivationState="StndBy"', kind="69965", on_is_use=False) is OperatingState.STANDBY


@given(st.integers(-5, 2**33))
def test_hours_and_cycles_are_told_as_reported_or_not_at_all(count: int) -> None:
    told = f'xsi:type="pm:MdsState" OperatingHours="{count}" OperatingCycles="{count}"/'
    (usage,) = usages(said(mdib({MDS: told})))
    expected = {MeterName.POWER_ON_H: count, MeterName.OPERATING_CYCLES: count}
    assert {one.meter: one.value for one in usage.meters} == (expected if 0 <= count <= MOST_HOURS else {})


def test_of_two_batteries_the_first_speaks_and_either_may_run_the_device() -> None:
    second = '<pm:Battery Handle="bat2"/>'
    volts = '<pm:Voltage MeasuredValue="{}"><pm:MeasurementUnit Code="{}"/></pm:Voltage>'
    told = 'xsi:type="pm:BatteryState" ActivationState="{}" ChargeCycles="{}">'
    states = {
        BATTERY: told.format("StndBy", 7) + volts.format(12.5, "V"),
        "bat2": told.format("On", 9) + volts.format(11, "V"),
    }
    described = device(parts=second)
    assert metrics(states, described) == {Quantity.BATTERY_VOLTAGE_V: 12.5, Quantity.ON_MAINS_BOOL: 0.0}
    (usage,) = usages(said(mdib(states, described=described)))
    assert {one.meter: one.value for one in usage.meters}[MeterName.BATTERY_CYCLES] == 9


@pytest.mark.parametrize(
    ("element", "value", "unit", "expected"),
    [
        ("Temperature", "31.5", "268192", {Quantity.TEMPERATURE_C: 31.5}),
        ("Temperature", "31.5", "268160", {}),
        ("Temperature", "3150", "268192", {}),
        ("Voltage", "12000", "266418", {Quantity.BATTERY_VOLTAGE_V: 12.0}),
        ("CapacityRemaining", "64", "262688", {Quantity.BATTERY_CHARGE_PCT: 64.0}),
        ("CapacityRemaining", "2600", "268242", {}),
        ("RemainingBatteryTime", "2", "264384", {Quantity.BATTERY_REMAINING_MIN: 120.0}),
        ("RemainingBatteryTime", "NaN", "264384", {}),
    ],
)
def test_a_figure_is_told_in_a_known_unit_and_within_reason_only(
    element: str, value: str, unit: str, expected: dict[Quantity, float]
) -> None:
    told = f'<pm:{element} MeasuredValue="{value}"><pm:MeasurementUnit Code="{unit}"/></pm:{element}>'
    assert metrics({BATTERY: f'xsi:type="pm:BatteryState">{told}'}) == expected


def test_a_battery_that_only_implies_on_does_not_say_that_mains_failed() -> None:
    assert metrics({BATTERY: 'xsi:type="pm:BatteryState"/'}) == {}


def test_the_serial_number_is_the_alias_or_else_the_endpoint_weakly_or_else_nobody() -> None:
    reference = "urn:uuid:1c0ffee0-0000-4000-8000-00000000a001"
    about = "<pm:SerialNumber/><pm:SerialNumber>A-1</pm:SerialNumber><pm:SerialNumber>B-2</pm:SerialNumber>"
    told, heard = identity(metadata(reference=reference), mdib(described=device(about=about)))
    assert (heard.alias.namespace, heard.alias.identifier) == ("Acme", "A-1")
    assert heard.alias.strength is Strength.STRONG
    assert told.unique_ids == (f"EPR {reference}", "serial B-2")
    _, heard = identity(metadata(reference=reference, serial="D-3"), mdib(described=device(about="")))
    assert heard.alias.identifier == "D-3"
    _, heard = identity(metadata(reference=reference), mdib(described=device(about="")))
    assert (heard.alias.identifier, heard.alias.strength) == (reference, Strength.WEAK)
    _, heard = identity(mdib(described=device(about="")))
    assert heard.alias == UNTOLD


def test_udi_and_english_names_are_told() -> None:
    about = (
        "<pm:Udi><pm:HumanReadableForm>(01)0401(21)S-1</pm:HumanReadableForm></pm:Udi>"
        '<pm:ModelName Lang="vi">Máy thở</pm:ModelName><pm:ModelName Lang="en-US">Air</pm:ModelName>'
        "<pm:SerialNumber>S-1</pm:SerialNumber>"
    )
    told, _ = identity(mdib(described=device(about=about)))
    assert (told.model, told.unique_ids) == ("Air", ("UDI (01)0401(21)S-1",))


def test_another_device_at_the_same_address_is_told_anew_and_its_alarms_are_its_own() -> None:
    other = device(about="<pm:SerialNumber>S-2</pm:SerialNumber>")
    outcomes = said(mdib({ALERT: LOW}), mdib({ALERT: LOW}, version=2, described=other))
    assert [one.serial for one in bodies(outcomes) if isinstance(one, Identity)] == ["S-1", "S-2"]
    assert [phase for _, phase, _, _ in edges(outcomes)] == ["present", "present"]


@pytest.mark.parametrize(
    ("alert", "code", "text", "kind", "priority"),
    [
        (f'Kind="Tec" Priority="Hi">{TYPE}', "196802", "Battery low", AlarmKind.TECHNICAL, Priority.HIGH),
        (f'Kind="Oth" Priority="None">{TYPE}', "196802", LOW_ID, AlarmKind.UNKNOWN, Priority.INFO),
        (f'Kind="Phy" Priority="Lo">{TYPE}', "196802", LOW_ID, AlarmKind.PHYSIOLOGICAL, Priority.LOW),
        ('Kind="Van" Priority="Hoa">', "untyped", "untyped", AlarmKind.UNKNOWN, Priority.UNKNOWN),
        (f'Kind="Tec">{OWN}', "196804", "MDC_EVT_BATT_MALF", AlarmKind.TECHNICAL, Priority.UNKNOWN),
        (f'Kind="Tec" Priority="Lo">{SYMBOL}', "100", "MDC_OWN", AlarmKind.TECHNICAL, Priority.LOW),
    ],
)
def test_an_alert_has_code_kind_and_priority_of_its_descriptor(
    alert: str, code: str, text: str, kind: AlarmKind, priority: Priority
) -> None:
    (alarm,) = [
        body
        for body in bodies(said(mdib({ALERT: LOW}, described=device(alert=alert))))
        if isinstance(body, Alarm)
    ]
    assert (alarm.code, alarm.text, alarm.alarm_kind, alarm.priority) == (code, text, kind, priority)


def test_a_code_that_is_no_word_is_told_by_a_digest() -> None:
    alert = 'Kind="Tec"><pm:Type Code="lọc bẩn" CodingSystem="x"/>'
    (edge,) = edges(said(mdib({ALERT: LOW}, described=device(alert=alert))))
    assert edge[0].startswith("private-")
    assert edge[0].isascii()


def test_a_signal_latched_before_the_first_reading_is_present_and_over_with_the_signal() -> None:
    latched = 'xsi:type="pm:AlertSignalState" Presence="Latch"/'
    outcomes = said(mdib({SIGNAL: latched}), report({SIGNAL: STATES[SIGNAL]}, version=2))
    assert [edge[1:] for edge in edges(outcomes)] == [
        ("present", "latched", "absent Latch"),
        ("end", "inactive", "absent"),
    ]


def test_a_presence_that_is_no_word_of_the_standard_is_unknown_and_not_quoted() -> None:
    outcomes = said(mdib(), report({ALERT: LOW.replace("true", "Nguyen")}, version=2))
    assert [edge[1:] for edge in edges(outcomes)] == [("update", "unknown", "(no word)")]


def test_the_priority_of_the_moment_outranks_the_described_one() -> None:
    escalated = LOW.replace("/", ' ActualPriority="Hi"/')
    outcomes = said(mdib({ALERT: LOW}), report({ALERT: escalated}, version=2))
    alarms = [body for body in bodies(outcomes) if isinstance(body, Alarm)]
    assert [(one.phase, one.priority) for one in alarms] == [("present", "medium"), ("update", "high")]


def test_a_periodic_report_repeats_and_says_nothing_new() -> None:
    outcomes = said(mdib({ALERT: LOW}), report({ALERT: LOW}, version=1, kind="PeriodicAlertReport"))
    assert len(edges(outcomes)) == 1
    assert isinstance(outcomes[-1], Heard)


def test_demo_alarms_and_figures_are_not_told_and_what_was_open_is_unknown_until_demo_ends() -> None:
    demo = 'xsi:type="pm:MdsState" OperatingMode="Dmo" OperatingHours="99999"/'
    outcomes = said(
        mdib({ALERT: LOW}),
        report({MDS: demo}, version=2, kind="EpisodicComponentReport"),
        report({ALERT: NOT_LOW}, version=3),
        report({MDS: STATES[MDS]}, version=4, kind="EpisodicComponentReport"),
    )
    assert [edge[1:3] for edge in edges(outcomes)] == [
        ("present", "active"),
        ("update", "unknown"),
        ("end", "inactive"),
    ]
    assert usages(outcomes)[1].meters == ()


def test_an_alert_that_a_new_description_leaves_out_is_unknown_not_ended() -> None:
    names = "<pm:Manufacturer>Acme</pm:Manufacturer><pm:SerialNumber>S-1</pm:SerialNumber>"
    bare = f'<pm:Mds Handle="{MDS}"><pm:MetaData>{names}</pm:MetaData></pm:Mds>'
    outcomes = said(mdib({ALERT: LOW}), mdib(version=2, described=bare), mdib(version=3, described=bare))
    assert [(code, phase, condition) for code, phase, condition, _ in edges(outcomes)] == [
        ("196802", "present", "active"),
        ("196802", "update", "unknown"),
    ]


def test_a_device_that_failed_is_advised_to_be_removed_and_said_to_be_well_again() -> None:
    failed = 'xsi:type="pm:MdsState" ActivationState="Fail"/'
    outcomes = said(
        mdib(),
        report({MDS: failed}, version=2, kind="EpisodicComponentReport"),
        report({MDS: STATES[MDS]}, version=3, kind="EpisodicComponentReport"),
    )
    faults = [body for body in bodies(outcomes) if isinstance(body, Fault)]
    assert [(one.phase, one.effect) for one in faults] == [
        ("start", "removal_advised"),
        ("end", "removal_advised"),
    ]


def test_on_a_new_link_what_stands_is_not_repeated_what_is_gone_ends_and_what_came_is_present() -> None:
    talk = sdc.adapter(period_s=60)
    talk.connected()
    first = talk.feed(mdib({ALERT: LOW}))
    talk.connected()
    again = talk.feed(mdib({ALERT: LOW}, version=5))
    talk.connected()
    gone = talk.feed(mdib(version=9, sequence=SECOND))
    talk.connected()
    back = talk.feed(mdib({ALERT: LOW}, version=2, sequence=SECOND))
    assert [[edge[1] for edge in edges(one)] for one in (first, again, gone, back)] == [
        ["present"],
        [],
        ["end"],
        ["present"],
    ]
    keys = [body.key for one in (first, back) for body in bodies(one) if isinstance(body, Alarm)]
    assert len(set(keys)) == 2


def test_a_report_of_another_start_asks_once_for_the_description_and_changes_nothing() -> None:
    stray = report({ALERT: LOW}, version=1, sequence=SECOND)
    outcomes = said(mdib(), stray, stray, mdib({ALERT: LOW}, version=2, sequence=SECOND))
    assert [one for one in outcomes if isinstance(one, Answer)] == [Answer(GET_MDIB)]
    assert [edge[1] for edge in edges(outcomes)] == ["present"]


def test_a_report_that_names_what_is_not_described_asks_for_the_description() -> None:
    outcomes = said(mdib(), report({"new": LOW}, version=2))
    assert outcomes[-1] == Answer(GET_MDIB)


def test_versions_count_and_what_comes_late_is_passed_over() -> None:
    outcomes = said(mdib(version=10), mdib({ALERT: LOW}, version=9), report({ALERT: LOW}, version=9))
    assert [type(one) for one in outcomes] == [Heard, Skipped, Skipped]
    assert edges(outcomes) == ()


def test_another_instance_of_the_same_sequence_is_a_new_start() -> None:
    anew = mdib({ALERT: LOW}).replace(b'SequenceId="', b'InstanceId="2" SequenceId="')
    outcomes = said(mdib(version=10), anew)
    assert [edge[1] for edge in edges(outcomes)] == ["present"]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("0", datetime(1970, 1, 1)),  # noqa: DTZ001 - as the device tells it
        ("978307200000", datetime(2001, 1, 1)),  # noqa: DTZ001 - as the device tells it
        ("999999999999999", None),
        ("-1", None),
        ("", None),
    ],
)
def test_the_clock_is_told_however_wrong_and_an_impossible_one_not(
    told: str, expected: datetime | None
) -> None:
    described = device(parts='<pm:Clock Handle="clk"/>')
    clock = f'xsi:type="pm:ClockState" DateAndTime="{told}"/'
    _, heard = identity(mdib({"clk": clock}, described=described))
    assert heard.device_time == expected


def test_nothing_of_a_patient_is_left_in_what_is_heard_or_kept() -> None:
    person = (
        '<pm:State xsi:type="pm:PatientContextState" DescriptorHandle="pc" Handle="NGUYENVANTAM">'
        "<pm:CoreData><pm:Givenname>NGUYENVANTAM</pm:Givenname></pm:CoreData></pm:State>"
        '<pm:State xsi:type="pm:LocationContextState"><pm:LocationDetail Bed="NGUYENVANTAM"/></pm:State>'
        '<pm:State xsi:type="pm:StringMetricState"><pm:MetricValue Value="NGUYENVANTAM"/></pm:State>'
    )
    alert = (
        'Kind="Tec"><pm:Type Code="9"><pm:ConceptDescription>NGUYENVANTAM</pm:ConceptDescription></pm:Type>'
    )
    document = mdib({ALERT: LOW}, described=device(alert=alert), more=person)
    outcomes = said(document)
    assert "NGUYENVANTAM" in document.decode()
    assert "NGUYENVANTAM" not in repr(outcomes)
    assert [edge[0] for edge in edges(outcomes)] == ["9"]
    redactor = sdc.redactor()
    kept = redactor.feed(document) + redactor.closed()
    assert b"NGUYENVANTAM" not in kept
    assert bodies(said(kept)) == bodies(outcomes)


@pytest.mark.parametrize(
    ("name", "text"),
    [("Lê An", "Le An disconnected"), ("Vũ Hà", "V\u0169 H\u00e0 off"), ("Đỗ Vy", "sensor of Do Vy")],
)
def test_short_names_are_known_again_however_their_accents_are_written(name: str, text: str) -> None:
    person = (
        '<pm:State xsi:type="pm:PatientContextState" DescriptorHandle="pc">'
        f"<pm:CoreData><pm:Givenname>{name}</pm:Givenname></pm:CoreData></pm:State>"
    )
    alert = f'Kind="Tec"><pm:Type Code="9"><pm:ConceptDescription>{text}</pm:ConceptDescription></pm:Type>'
    outcomes = said(mdib({ALERT: LOW}, described=device(alert=alert), more=person))
    assert [body.text for body in bodies(outcomes) if isinstance(body, Alarm)] == ["9"]


def test_words_and_figures_in_wrong_places_are_in_no_recording() -> None:
    words = '<pm:ConceptDescription Lang="ZYXANHTHU">ZYXANHTHU 83</pm:ConceptDescription>'
    alert = f'Kind="Phy" Priority="ZYXANHTHU"><pm:Type Code="9">{words}</pm:Type>ZYXANHTHU'
    told = 'xsi:type="pm:AlertConditionState" Presence="ZYXANHTHU" OperatingHours="ZYXANHTHU">ZYXANHTHU'
    kind = f'70001">{words}</pm:Type><pm:Type Code="1'
    document = mdib({ALERT: told}, described=device(kind=kind, alert=alert))
    redactor = sdc.redactor()
    kept = redactor.feed(document) + redactor.closed()
    assert document.count(b"ZYXANHTHU") > 5
    assert b"ZYXANHTHU" not in kept
    assert bodies(said(kept)) == bodies(said(document)) != ()


def test_a_type_beyond_all_codes_is_no_type() -> None:
    told, _ = identity(mdib(described=device(kind="123456789012")))
    assert told.device_type is None


def test_signals_without_end_of_conditions_without_end_cost_no_more_than_their_number() -> None:
    condition, signal = (
        f'<pm:AlertCondition Handle="{ALERT}"/>',
        f'<pm:AlertSignal Handle="s" ConditionSignaled="{ALERT}"/>',
    )
    parts = 40_000 * condition + 40_000 * signal
    begun = process_time()
    said(mdib(described=device(parts=f'<pm:AlertSystem Handle="many">{parts}</pm:AlertSystem>')))
    assert process_time() - begun < 5.0


def test_what_cannot_be_read_is_kept_as_a_blot_that_is_refused_as_well() -> None:
    redactor = sdc.redactor()
    kept = redactor.feed(b"Tran <\0" + mdib() + b"<a") + redactor.closed()
    assert b"Tran" not in kept
    outcomes = said(kept)
    assert (len(refusals(outcomes)), len(usages(outcomes))) == (2, 1)


def test_the_protocol_file_needs_no_library() -> None:
    code = "import sys; sys.modules['sdc11073'] = None; import adapters.protocols.sdc, adapters.host.ways"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_alert_that_came_up_in_demo_mode_and_stands_after_it_is_present() -> None:
    demo = 'xsi:type="pm:MdsState" OperatingMode="Dmo"/'
    outcomes = said(
        mdib(),
        report({MDS: demo}, version=2, kind="EpisodicComponentReport"),
        report({ALERT: LOW}, version=3),
        report({MDS: STATES[MDS]}, version=4, kind="EpisodicComponentReport"),
    )
    assert [edge[1] for edge in edges(outcomes)] == ["present"]


def test_each_new_start_is_asked_for_its_description() -> None:
    third = report({ALERT: LOW}, version=1, sequence="urn:uuid:third")
    outcomes = said(
        mdib(), report({ALERT: LOW}, version=1, sequence=SECOND), mdib(sequence=SECOND), third, third
    )
    assert [type(one) for one in outcomes].count(Answer) == 2


def test_an_acknowledged_alert_that_is_over_is_just_absent() -> None:
    acknowledged = 'xsi:type="pm:AlertSignalState" Presence="Ack"/'
    outcomes = said(mdib({ALERT: LOW, SIGNAL: acknowledged}), report({ALERT: NOT_LOW}, version=2))
    assert [edge[3] for edge in edges(outcomes)] == ["present Ack", "absent"]
