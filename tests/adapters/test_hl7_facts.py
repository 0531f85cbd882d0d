"""Reports tell who a device is, whether it is in use and how its battery stands; nothing is made up."""

from __future__ import annotations

import pytest

from telemetry.messages import (
    Identity,
    LinkState,
    MeterName,
    MeterReading,
    Metrics,
    OperatingState,
    Provenance,
    Quantity,
    Status,
    Strength,
    Usage,
)
from tests.adapters.hl7_messages import bodies, codes, header, heard, message, reasons, report, row, told

VENTILATOR = "70001^MDC_DEV_SYS_PT_VENT_MDS^MDC"
PUMP = "69985^MDC_DEV_PUMP_INFUS_MDS^MDC"
MONITOR = "69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC"
RATE = "151562^MDC_RESP_RATE^MDC"
VOLUME = "192527^MDC_VOL_AWAY_MINUTE_EXP^MDC"
INFUSING = "184519^MDC_PUMP_INFUSING_STATUS^MDC"
DELIVERY = "158005^MDC_DEV_PUMP_CURRENT_DELIVERY_STATUS^MDC"
MODE = "67910^MDC_ATTR_MODE_OP^MDC"
CHARGE = "67996^MDC_ATTR_VAL_BATT_CHARGE^MDC"
PERCENT = "262688^MDC_DIM_PERCENT^MDC"


def device(kind: str = VENTILATOR, *, time: str = "") -> str:
    return row(kind, "1.0.0.0", device="D-1^NS", result="X", time=time)


def state(*rows: str, kind: str = VENTILATOR) -> OperatingState:
    (usage,) = [
        body for body in bodies(told(report(device(kind), *rows, about=kind))) if isinstance(body, Usage)
    ]
    return usage.state


def metrics(*rows: str) -> dict[Quantity, float]:
    found = [body for body in bodies(told(report(device(), *rows))) if isinstance(body, Metrics)]
    return {metric.quantity: metric.value for body in found for metric in body.values}


def meters(*rows: str) -> tuple[MeterReading, ...]:
    said = bodies(told(report(device(), *rows)))
    return tuple(meter for body in said if isinstance(body, Usage) for meter in body.meters)


def identity(*rows: str) -> Identity:
    (found,) = [body for body in bodies(told(report(*rows))) if isinstance(body, Identity)]
    return found


# -- in use -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "volume", "expected"),
    [
        ("14", "7.1", OperatingState.IN_USE),
        ("14", "", OperatingState.IN_USE),
        ("0", "7.1", OperatingState.IN_USE),
        ("14", "0", OperatingState.IN_USE),
        ("0", "0.0", OperatingState.IDLE),
        ("0", "", OperatingState.UNKNOWN),
        ("", "", OperatingState.UNKNOWN),
        ("high", "0", OperatingState.UNKNOWN),
        ("1e9", "", OperatingState.UNKNOWN),
        ("-3", "", OperatingState.UNKNOWN),
    ],
)
def test_a_ventilator_is_in_use_by_a_figure_above_zero_and_idle_by_zeros_only(
    rate: str, volume: str, expected: OperatingState
) -> None:
    assert state(row(RATE, "1.1.2.1", rate), row(VOLUME, "1.1.2.2", volume)) is expected


def test_a_set_rate_in_the_ventilators_own_channel_is_no_evidence() -> None:
    channel = row("70003^MDC_DEV_SYS_PT_VENT_CHAN^MDC", "1.1.1.0", result="X")
    assert state(channel, row(RATE, "1.1.1.1", "14")) is OperatingState.UNKNOWN
    assert state(channel, row(RATE, "1.1.1.1", "14"), row(RATE, "1.1.2.1", "12")) is OperatingState.IN_USE


@pytest.mark.parametrize(
    ("own", "mds", "expected"),
    [
        ("20260109072730", "", OperatingState.IN_USE),
        ("20260109072640", "", OperatingState.UNKNOWN),
        ("20260109003000+0000", "", OperatingState.IN_USE),
        ("20260109072730+0000", "", OperatingState.UNKNOWN),
        ("", "20260109060000", OperatingState.UNKNOWN),
        ("", "20260109073000", OperatingState.IN_USE),
        ("20260109073000", "20260109060000", OperatingState.IN_USE),
        ("noon", "", OperatingState.UNKNOWN),
    ],
)
def test_a_figure_counts_while_it_is_fresh_by_its_own_time_or_that_of_its_device(
    own: str, mds: str, expected: OperatingState
) -> None:
    rows = (device(time=mds), row(RATE, "1.1.2.1", "14", time=own))
    (usage,) = [body for body in bodies(told(report(*rows))) if isinstance(body, Usage)]
    assert usage.state is expected


@pytest.mark.parametrize("result", ["W", "D", "I"])
def test_a_wrong_deleted_or_pending_row_is_let_pass(result: str) -> None:
    assert state(row(RATE, "1.1.2.1", "14", result=result)) is OperatingState.UNKNOWN
    assert metrics(row(CHARGE, "1.0.0.1", "50", unit=PERCENT, result=result)) == {}


def test_a_breath_rate_on_a_monitor_is_a_vital_value_and_no_use() -> None:
    assert state(row(RATE, "1.1.2.1", "14"), kind=MONITOR) is OperatingState.UNKNOWN


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(INFUSING, "^pump-status-infusing")], OperatingState.IN_USE),
        ([(INFUSING, "^pump-status-not-infusing")], OperatingState.IDLE),
        ([(INFUSING, "pump-status-standby")], OperatingState.STANDBY),
        ([(INFUSING, "^pump-status-odd")], OperatingState.UNKNOWN),
        ([(DELIVERY, "^pump-delivery-status-not-delivering"), (DELIVERY, "^pump-delivery-status-delivering")],
         OperatingState.IN_USE),
        ([(DELIVERY, "^pump-delivery-status-transitioning")], OperatingState.UNKNOWN),
        ([(INFUSING, "^pump-status-not-infusing"), (DELIVERY, "^pump-delivery-status-delivering")],
         OperatingState.IDLE),
        ([], OperatingState.UNKNOWN),
    ],
)  # fmt: skip
def test_a_pump_is_in_use_when_it_says_so(rows: list[tuple[str, str]], expected: OperatingState) -> None:
    told_rows = [row(term, f"1.1.1.{place}", value) for place, (term, value) in enumerate(rows)]
    assert state(*told_rows, kind=PUMP) is expected


@pytest.mark.parametrize(
    ("term", "value", "expected"),
    [
        (MODE, "demo", OperatingState.DEMO),
        (MODE, "service(4)", OperatingState.SERVICE),
        (MODE, "maintenance", OperatingState.SERVICE),
        (MODE, "test", OperatingState.TEST),
        (MODE, "standby", OperatingState.STANDBY),
        (MODE, "normal", OperatingState.IN_USE),
        ("0^MDCX_DMC_ATTR_POWER_STATE^MDC", "^OFF", OperatingState.OFF),
        ("0^MDCX_DMC_ATTR_POWER_STATE^MDC", "0^MDCX_DMC_ATTR_POWER_STATE_OFF^MDC", OperatingState.OFF),
        ("0^MDCX_DMC_ATTR_POWER_STATE^MDC", "0^MDCX_DMC_ATTR_POWER_STATE_ON^MDC", OperatingState.IN_USE),
        ("68007^MDC_ATTR_VMS_MDS_STAT^MDC", "disconnected", OperatingState.UNKNOWN),
        ("68007^MDC_ATTR_VMS_MDS_STAT^MDC", "operating", OperatingState.IN_USE),
    ],
)
def test_demo_service_test_and_power_off_outweigh_a_running_figure(
    term: str, value: str, expected: OperatingState
) -> None:
    assert state(row(term, "1.0.0.1", value), row(RATE, "1.1.2.1", "14")) is expected


def test_a_pump_that_infuses_in_a_demonstration_or_for_nobody_is_not_in_use() -> None:
    infusing = row(INFUSING, "1.1.1.1", "^pump-status-infusing")
    assert state(row(MODE, "1.0.0.1", "demo"), infusing, kind=PUMP) is OperatingState.DEMO
    lost = row("68007^MDC_ATTR_VMS_MDS_STAT^MDC", "1.0.0.1", "disconnected")
    assert state(lost, infusing, kind=PUMP) is OperatingState.UNKNOWN


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("197288^MDC_EVT_PUMP_DELIV_START^MDC", OperatingState.IN_USE),
        ("197288", OperatingState.IN_USE),
        ("197290^MDC_EVT_PUMP_DELIV_STOP^MDC", OperatingState.IDLE),
        ("197288^MDC_EVT_PUMP_DELIV_STOP^MDC", OperatingState.IDLE),
        ("197292^MDC_EVT_PUMP_DELIV_COMP^MDC", OperatingState.IDLE),
        ("0^MDC_EVT_COMM_STATUS_CHANGE^MDC", None),
    ],
)
def test_events_of_a_pump_tell_its_use_and_others_tell_none(
    event: str, expected: OperatingState | None
) -> None:
    rows = (device(PUMP), row("68487^MDC_ATTR_EVT_COND^MDC", "1.0.0.2", event))
    said = bodies(told(report(*rows, about=PUMP, head=header("ORU^R42^ORU_R01"))))
    found = [body.state for body in said if isinstance(body, Usage)]
    assert found == ([expected] if expected else [])


def test_a_delivery_that_stops_into_a_slow_flow_is_still_in_use() -> None:
    """IPEC: the infusing status tells what the pump does behind the event."""
    event = row("68487^MDC_ATTR_EVT_COND^MDC", "1.0.0.2", "197292^MDC_EVT_PUMP_DELIV_COMP^MDC")
    assert state(event, row(INFUSING, "1.1.1.1", "^pump-status-infusing"), kind=PUMP) is OperatingState.IN_USE


# -- meters and metrics -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "value", "unit", "expected"),
    [
        (CHARGE, "64", PERCENT, {Quantity.BATTERY_CHARGE_PCT: 64}),
        (CHARGE, "64", "%^^UCUM", {Quantity.BATTERY_CHARGE_PCT: 64}),
        (CHARGE, "64", "", {Quantity.BATTERY_CHARGE_PCT: 64}),
        (CHARGE, "101", PERCENT, {}),
        (CHARGE, "64", "264352^MDC_DIM_MIN^MDC", {}),
        (CHARGE, "full", PERCENT, {}),
        (CHARGE, "9" * 400, PERCENT, {}),
        ("67976^MDC_ATTR_TIME_BATT_REMAIN^MDC", "120.5", "264352^MDC_DIM_MIN^MDC",
         {Quantity.BATTERY_REMAINING_MIN: 120.5}),
        ("67976^MDC_ATTR_VAL_BATT_REMAIN^MDC", "2", "h^^UCUM", {Quantity.BATTERY_REMAINING_MIN: 120}),
        ("68023^MDC_ATTR_CAPAC_BATT_FULL^MDC", "3900", "268242^MDC_DIM_X^MDC",
         {Quantity.BATTERY_CAPACITY_MAH: 3900}),
        ("68021^MDC_ATTR_BATT_VOLT^MDC", "12000", "mV^^UCUM", {Quantity.BATTERY_VOLTAGE_V: 12}),
        ("67925^MDC_ATTR_POWER_STAT^MDC", "onMains(0)", "", {Quantity.ON_MAINS_BOOL: 1}),
        ("0^MDCX_DMC_ATTR_POWER_SOURCE^MDC", "1^OnBattery", "", {Quantity.ON_MAINS_BOOL: 0}),
        ("67925^MDC_ATTR_POWER_STAT^MDC", "chargingOff", "", {}),
        ("67996^MDC_PULS_OXIM_SAT_O2^MDC", "97", PERCENT, {}),
        ("150456^MDC_PULS_OXIM_SAT_O2^MDC", "97", PERCENT, {}),
    ],
)  # fmt: skip
def test_equipment_figures_are_carried_in_their_unit_and_others_are_not(
    term: str, value: str, unit: str, expected: dict[Quantity, float]
) -> None:
    assert metrics(row(term, "1.0.0.1", value, unit=unit)) == expected


def test_of_two_batteries_the_first_is_carried() -> None:
    assert metrics(row(CHARGE, "1.2.0.1", "40"), row(CHARGE, "1.3.0.1", "90")) == {
        Quantity.BATTERY_CHARGE_PCT: 40
    }


@pytest.mark.parametrize(
    ("term", "value", "unit", "expected"),
    [
        ("68018^MDC_ATTR_BATT_CHARGE_CYCLES^MDC", "311", "", (MeterName.BATTERY_CYCLES, 311)),
        ("184195^MDC_TIME_PD_MAINTENANCE_TO_NEXT_SERVICE^MDC", "90", "h^^UCUM",
         (MeterName.HOURS_TO_NEXT_SERVICE, 90)),
        ("184195^MDC_TIME_PD_MAINTENANCE_TO_NEXT_SERVICE^MDC", "90", "264352^MDC_DIM_MIN^MDC",
         (MeterName.HOURS_TO_NEXT_SERVICE, 1.5)),
    ],
)  # fmt: skip
def test_a_meter_that_a_device_tells_is_reported(
    term: str, value: str, unit: str, expected: tuple[MeterName, float]
) -> None:
    (meter,) = meters(row(term, "1.0.0.1", value, unit=unit))
    assert (meter.meter, meter.value) == expected
    assert meter.provenance is Provenance.REPORTED


@pytest.mark.parametrize(
    ("value", "unit"), [("-4", "h^^UCUM"), ("90", "d^^UCUM"), ("soon", "h^^UCUM"), ("9" * 12, "h^^UCUM")]
)
def test_a_meter_that_cannot_be_read_is_not_made_up(value: str, unit: str) -> None:
    assert (
        meters(row("184195^MDC_TIME_PD_MAINTENANCE_TO_NEXT_SERVICE^MDC", "1.0.0.1", value, unit=unit)) == ()
    )


def test_a_running_ventilator_tells_no_hours() -> None:
    assert (
        meters(
            row(RATE, "1.1.2.1", "14"),
            row("0^MDCX_PUMP_MAINTENANCE_STATUS^MDC", "1.0.0.2", "TimeInService=7"),
        )
        == ()
    )


# -- who --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "manufacturer", "model"),
    [
        ("manufacturer=Acme model=Air 3", "Acme", "Air 3"),
        ('manufacturer="Philips"model="IntelliVue MP70"', "Philips", "IntelliVue MP70"),
        ("B Braun SpacePlus Perfusor", "", "B Braun SpacePlus Perfusor"),
    ],
)
def test_the_model_may_stand_with_its_manufacturer_or_alone(
    value: str, manufacturer: str, model: str
) -> None:
    found = identity(device(), row("67880^MDC_ATTR_ID_MODEL^MDC", "1.0.0.1", value))
    assert (found.manufacturer, found.model, found.serial) == (manufacturer, model, "D-1")
    assert found.device_type == 70001


@pytest.mark.parametrize(("number", "expected"), [("4294967295", 4294967295), ("4294967296", 70001)])
def test_a_type_that_no_code_can_be_is_none(number: str, expected: int) -> None:
    """Then OBR-4 tells it."""
    assert identity(row(f"{number}^MDC_DEV_NEW^MDC", "1.0.0.0", device="D-1")).device_type == expected


def test_revisions_and_ids_are_told_with_the_identity() -> None:
    found = identity(
        device(PUMP),
        row("531970^MDC_ID_MODEL_MANUFACTURER^MDC", "1.0.0.1", "Acme"),
        row("531969^MDC_ID_MODEL_NUMBER^MDC", "1.0.0.2", "P 9"),
        row("531975^MDC_ID_PROD_SPEC_SW^MDC", "1.0.0.3", "1.2"),
        row("531976^MDC_ID_PROD_SPEC_FW^MDC", "1.0.0.4", "F7"),
        row("67972^MDC_ATTR_SYS_ID^MDC", "1.0.0.5", "3107c7c4"),
        row("67886^MDC_ATTR_ID_SOFT^MDC", "1.0.0.6", "INV-12"),
    )
    assert (found.manufacturer, found.model) == ("Acme", "P 9")
    assert (found.software_revision, found.firmware_revision) == ("1.2", "F7")
    assert found.unique_ids == ("MDC_ATTR_SYS_ID 3107c7c4", "MDC_ATTR_ID_SOFT INV-12")


def test_an_identity_is_told_once_and_again_when_something_in_it_is_new() -> None:
    model, software = row("67880^MDC_ATTR_ID_MODEL^MDC", "1.0.0.1", "M"), "531975^MDC_ID_PROD_SPEC_SW^MDC"
    texts = [
        report(*rows, head=header(number=str(number)))
        for number, rows in enumerate(
            (
                (device(), model),
                (device(), model),
                (device(),),
                (device(), row(software, "1.0.0.2", "1.1")),
                (device(), model),
                (device(), model, row(software, "1.0.0.2", "1.2")),
            )
        )
    ]
    found = [body for body in bodies(told(*texts)) if isinstance(body, Identity)]
    assert [(one.model, one.software_revision) for one in found] == [("M", ""), ("M", "1.1"), ("M", "1.2")]


@pytest.mark.parametrize(
    ("rows", "namespace", "identifier", "strength"),
    [
        ([row(PUMP, "1.0.0.0", device="P1^NS^UNI^DNS")], "UNI", "P1", Strength.STRONG),
        ([row(PUMP, "1.0.0.0", device="P1^NS")], "NS", "P1", Strength.STRONG),
        ([row(PUMP, "1.0.0.0", device="P1")], "00AB", "P1", Strength.STRONG),
        ([row(PUMP, "1.0.0.0", device="^^UNI^EUI-64")], "UNI", "UNI", Strength.STRONG),
        (
            [row(PUMP, "1.1.0.0", device="VMD"), row(PUMP, "1.0.0.0", device="MDS")],
            "00AB",
            "MDS",
            Strength.STRONG,
        ),
        ([row(PUMP, "1.0.0.0"), row(PUMP, "1.1.0.0", device="VMD")], "00AB", "VMD", Strength.STRONG),
        (
            [row(PUMP, "1.0.0.0"), row("67972^MDC_ATTR_SYS_ID^MDC", "1.1.0.9", "3107")],
            "00AB",
            "3107",
            Strength.STRONG,
        ),
        (
            [row(PUMP, "1.0.0.0"), row("67870^MDC_ATTR_BED_LABEL^MDC", "1.0.0.9", "B7")],
            "00AB",
            "B7",
            Strength.WEAK,
        ),
        ([row(PUMP, "1.0.0.0", device="x" * 70)], "00AB", "x" * 47 + "#", Strength.STRONG),
        ([row(PUMP, "LOC", device="P1")], "00AB", "P1", Strength.STRONG),
    ],
)
def test_a_device_is_named_by_obx_18_or_its_system_id_or_weakly_by_its_bed(
    rows: list[str], namespace: str, identifier: str, strength: Strength
) -> None:
    (one,) = heard(told(report(*rows)))
    assert one.alias.namespace == namespace
    assert one.alias.identifier.startswith(identifier)
    assert one.alias.strength is strength


def test_a_row_without_a_place_belongs_to_the_first_device() -> None:
    rows = (row(CHARGE, "LOC", "11"), row(PUMP, "1.0.0.0", device="P1"), row(PUMP, "2.0.0.0", device="P2"))
    said = heard(told(report(*rows)))
    charged = [one.alias.identifier for one in said for body in one.bodies if isinstance(body, Metrics)]
    assert ([one.alias.identifier for one in said], charged) == (["P1", "P2"], ["P1"])


def test_a_report_beyond_a_limit_costs_no_other() -> None:
    good, bad = row(PUMP, "1.0.0.0", device="P1"), row(PUMP, "2.0.0.0", device="P2" + "^" * 200)
    worse = row("67880^MDC_ATTR_ID_MODEL^MDC", "3.0.0.1", "^" * 200, device="P3")
    said = told(report(good, bad, worse))
    assert [one.alias.identifier for one in heard(said)] == ["P1"]
    assert reasons(said) == ("a field with more than 100 components",) * 2


def test_two_devices_under_one_obr_are_two() -> None:
    rows = (
        row(PUMP, "1.0.0.0", device="P1"),
        row(CHARGE, "1.0.0.1", "11"),
        row(PUMP, "2.0.0.0", device="P2"),
        row(CHARGE, "2.0.0.1", "22"),
    )
    one, two = heard(told(report(*rows)))
    assert [one.alias.identifier, two.alias.identifier] == ["P1", "P2"]
    charges = [
        metric.value
        for said in (one, two)
        for body in said.bodies
        if isinstance(body, Metrics)
        for metric in body.values
    ]
    assert charges == [11, 22]


def test_a_device_without_a_name_costs_its_report_and_no_other() -> None:
    rows = (row(PUMP, "1.0.0.0"), row(PUMP, "2.0.0.0", device="P2"))
    said = told(report(*rows))
    assert [one.alias.identifier for one in heard(said)] == ["P2"]
    assert reasons(said) == ("no device is named: neither OBX-18, nor a system id, nor a bed",)
    assert codes(said) == ("CA|1",)


@pytest.mark.parametrize(
    ("obr", "mds", "expected"),
    [
        ("20260109073005", "", "2026-01-09T07:30:05"),
        ("20260109073005", "20260109072959", "2026-01-09T07:29:59"),
        ("", "", "2026-01-09T07:30:00"),
        ("2026010907", "", None),
    ],
)
def test_the_devices_clock_is_its_own_row_or_obr_7_or_msh_7(obr: str, mds: str, expected: str | None) -> None:
    text = message(f"OBR|1||R1|{VENTILATOR}|||{obr}", device(time=mds))
    (one,) = heard(told(text))
    assert (one.device_time.isoformat() if one.device_time else None) == expected


def test_a_device_that_its_gateway_has_lost_is_mute_until_it_is_back() -> None:
    words = ("operating", "disconnected", "disconnected", "operating")
    texts = [
        report(
            device(), row("68007^MDC_ATTR_VMS_MDS_STAT^MDC", "1.0.0.1", word), head=header(number=str(number))
        )
        for number, word in enumerate(words)
    ]
    found = [body.link for body in bodies(told(*texts)) if isinstance(body, Status)]
    assert found == [LinkState.MUTE, LinkState.ONLINE]


# -- kinds of messages ------------------------------------------------------------------------------------


def test_management_reports_make_up_no_state() -> None:
    rows = (row(PUMP, "1.0.0.0", device="P1"), row(CHARGE, "1.0.0.1", "50"))
    by_obr = told(report(*rows, about="69135^MDC_OBS_MEM^MDC"))
    head = header() + "|||IHE_PCD_015^IHE PCD^1.3.6.1.4.1.19376.1.6.4.15^ISO"
    by_profile = told(report(*rows, about=PUMP, head=head))
    for said in (by_obr, by_profile):
        assert [type(body).__name__ for body in bodies(said)] == ["Identity", "Metrics"]


@pytest.mark.parametrize("kind", ["ADT^A01^ADT_A01", "ORU^R30^ORU_R30", "ACK", "", "QRY^R02"])
def test_other_kinds_are_skipped_and_accepted(kind: str) -> None:
    said = told(report(device(), head=header(kind)))
    assert reasons(said) == ("a kind of message that tells nothing of equipment",)
    assert codes(said) == ("CA|1",)


def test_an_alert_is_known_by_obr_4_under_another_trigger_too() -> None:
    rows = (row("196616^MDC_EVT_ALARM^MDC", "1.0.0.0.1", "196802^MDC_EVT_BATT_LO^MDC", device="P1"),)
    said = bodies(told(report(*rows, about="196616^MDC_EVT_ALARM^MDC")))
    assert [body.kind for body in said] == ["alarm"]


def test_a_message_without_observations_is_skipped() -> None:
    assert reasons(told(message())) == ("no observations",)
