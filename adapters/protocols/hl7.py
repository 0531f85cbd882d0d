r"""HL7 v2 from gateways and devices: IHE PCD-01, PCD-04, PCD-10 and PCD-15 over MLLP.

    0B  MSH|^~\&|gateway|...|time||ORU^R40^ORU_R40|number|P|2.6|||AL|NE CR
        PID, PV1 ...            whoever the device is used for: never read
        OBR|1||id|type|||time ... CR
        OBX|1|CWE|code^REFERENCE_ID^MDC|MDS.VMD.CHANNEL.METRIC.FACET|value|unit ...|||||||device CR
    1C 0D

Rule 1: this file joins the parts; they stand in `adapters.hl7*`, each with its own rules.
Rule 2: whatever comes is answered as MSH-15 and MSH-16 ask.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from adapters.contract import Evidence, Example, Model, ProtocolInfo, Table, Way
from adapters.hl7_adapter import Hl7Adapter
from adapters.hl7_alerts import facet_rows
from adapters.hl7_codes import term_rows
from adapters.hl7_facts import figure_rows
from adapters.hl7_mllp import framed
from adapters.hl7_redactor import Hl7Redactor
from adapters.hl7_use import state_rows
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Condition,
    Identity,
    MeterName,
    MeterReading,
    Metric,
    Metrics,
    OperatingState,
    Phase,
    Priority,
    Provenance,
    Quantity,
    Usage,
)

INFO: Final = ProtocolInfo(
    id="hl7",
    manufacturer="",
    title="HL7 v2 over MLLP (IHE PCD-01, PCD-04, PCD-10, PCD-15)",
    source=(
        "IHE Devices TF Rev 10.0 with its printed examples; the IPEC supplement rev 1.5; names of PCD-15"
        " terms as two vendors use them"
    ),
    poll_s=60.0,
    ways=(Way.GATEWAY,),
    usual_port=2575,
    models=(
        Model(
            "PCD-01, PCD-04",
            Evidence.MANUAL,
            "the examples that IHE prints (appendix E), their misprints included, and messages of our own",
        ),
        Model("PCD-10", Evidence.MANUAL, "the IPEC supplement (rev 1.5, 2015) and messages of our own"),
        Model(
            "PCD-15",
            Evidence.MANUAL,
            "the names of its terms as two vendors use them; the text of the supplement (MEM DMC) was"
            " not at hand",
        ),
        Model(
            "Mindray eGateway",
            Evidence.MANUAL,
            "the alert of one that IHE prints, code tables, and messages of our own simulator",
        ),
    ),
    sends=(
        (
            "An acknowledgement of each message whose `MSH` can be read: `CA` as MSH-15 asks, `AA` as"
            " MSH-16 asks or where both are empty (AL always, ER errors only, SU success only, NE never)."
            " It has the separators of its message, its MSH-7 (the reader has no clock) and an id made from"
            " MSH-3 and MSH-10."
        ),
        (
            'What cannot be used is accepted and counted (`refused = "accept"`), because many senders'
            " repeat a refused message for ever, and nothing behind it arrives; with `error` it is CE or"
            " AE, and CR or AR for what is too long. `answers` sets `auto`, `commit` (CA), `application`"
            " (AA) or `none` whatever is asked."
        ),
        (
            "Tests (MSH-11 T or D) are answered and not counted. A repetition is answered again and not"
            " heard again: same MSH-3, MSH-10 and everything behind MSH, among the last 10,000. A gateway"
            " that numbers from 1 again after a restart is heard. Other kinds of messages (ADT ...) are"
            " answered and skipped."
        ),
    ),
    bedside=(
        "A sender that gets no answer keeps its messages and says so on its own screen, or stands still: a"
        " destination for clinical alarms must never be hourmeter alone. What a gateway shows is its"
        " maker's matter and was not tried."
    ),
    notes=(
        "### What is read",
        (
            "No gateway is claimed to work: there is no capture of a device or gateway. `hourmeter decode"
            " hl7 FILE` takes frames, and bare messages with LF, CR or CRLF, and shows what would be heard."
            " Take patients out of a recording before you pass it on."
        ),
        (
            "`MSH`, `OBR`, `OBX` and `PRT` of equipment are read; no other segment. Of `OBX`, only the "
            "terms below, known by their reference id first and their number second. Vital values, "
            "settings, drugs, names and free text are not read, or (a ventilator's breath rate and "
            "exhaled minute volume) looked at and dropped. Rows marked wrong, deleted or pending (OBX-11 "
            "W, D, I) are let pass, and figures in units that are not known."
        ),
        (
            "The alias is OBX-18 of the row nearest to the MDS, or else the system id (67972), or else the"
            " bed label (67870, weak). Its namespace is OBX-18.3, or else OBX-18.2, or else MSH-3, which"
            " is the gateway and never a device. The device type is that of OBX-3 of the MDS, or of OBR-4."
            " An identity is told once and when it changes."
        ),
        (
            "Times take what they do not tell, and their zone, from OBX-14 of the parts above them, then"
            " OBR-7, then MSH-7."
        ),
        "### Use",
        (
            "No hours are told by these messages, so none are made up: hours come from the operating"
            " state. A periodic report (PCD-01) without evidence is *unknown*, a monitor's always; PCD-15,"
            " and events that say nothing of use, tell no state. A state counts from when it is heard:"
            " reports that come late in a burst count for nothing but the last of them."
        ),
        (
            "A ventilator is in use if its breath rate (151562) or its exhaled minute volume (192527) is"
            " above zero, idle if all are zero; only while fresh: at most three periods from the time of"
            " the report. A breath rate in the ventilator's own channel (70003) is a setting and no"
            " evidence."
        ),
        "### Alarms (PCD-04)",
        (
            "Rows may stand in any order. Priority and type are read from rows of their own, or else from"
            " OBX-8 of the event (`L~PM~SP`). A type that is not told is unknown, and opens no ticket, as a"
            " physiological one. The end of start_only is never told; tpoint is start and end together; a"
            " reset that stays active is an update. Where the state is not told it is active at an onset,"
            " inactive at an end, else unknown. Event 196614 (keep-alive) is nothing."
        ),
        (
            "The code is the number of the event, of its reference id where the two disagree (then the"
            " number told stands in `raw`); a private event has its reference id as code, an event of"
            " another code system `SYSTEM:CODE`. The key is OBR-3 at an onset, the onset in OBR-29.2 else."
            " Text: the phrase of the event (CWE.9, or text alone) of technical and advisory alerts only,"
            " and only if it shares no word with any segment about a person and no figure with a measured"
            " value; else, and for all other alerts, the reference id. `MDC_ATTR_ALERT_TEXT` is never read."
        ),
        "### Alerts in reports, and PRT",
        (
            "Some gateways (Mindray eGateway among them) repeat in each report what stands: rows"
            " `MDC_ATTR_AL_COND` (68012), the event in OBX-5, priority and type in OBX-8. The first report of"
            " a device tells them as present, later ones as started; an alert is over when three reports of"
            " the device in a row do not repeat it, as no document says that each message carries all. A"
            " gateway that sends the same alert as PCD-04 too makes two occurrences of it: let it send one"
            " of the two."
        ),
        (
            "Where OBX-18 is empty, a PRT segment behind the row (or behind OBR, for the first row) names"
            " the device: PRT-10, or else PRT-20, and only with role EQUIP; all other PRT are persons and"
            " not read. An event by its maker's own name (`0^MNDRY_EVT_...`) has that name as code."
        ),
        "### Frames and limits",
        (
            "A frame ends at 1C; the 0D is not waited for. More than 1 MiB (`max_message_mib`), 5,000"
            " segments, 400 fields in a segment that is read or 100 repetitions are one refusal, and"
            " reading goes on at the next frame. Separators are those of MSH. A line that begins no segment"
            " goes on with the one before. Text is read in the `encoding` that is set, else that of"
            " MSH-18, then UTF-8, then Latin-1."
        ),
    ),
)

_TF: Final = "IHE Devices TF Rev 10.0, TF-3 table 3.5-1 and chapter 7"
TABLES: Final = (
    Table("Terms that are read", _TF, ("number", "reference id", "tells"), term_rows()),
    Table("Figures and words of equipment", _TF, ("told", "becomes", "in the units"), figure_rows()),
    Table("Words of use", f"{_TF}; IPEC supplement rev 1.5", ("word", "state"), state_rows()),
    Table(
        "Facets of an alert", "IHE Devices TF Rev 10.0, TF-2 3.4", ("facet", "word", "becomes"), facet_rows()
    ),
)


def adapter(*, period_s: float) -> Hl7Adapter:
    """An adapter for one connection of a sender whose devices report every `period_s` seconds."""
    return Hl7Adapter(period_s=period_s)


def file_adapter(*, period_s: float) -> Hl7Adapter:
    """An adapter for a file of messages, with or without frames."""
    return Hl7Adapter(period_s=period_s, is_file=True)


def redactor() -> Hl7Redactor:
    """A redactor for one connection of a sender."""
    return Hl7Redactor()


_GATEWAY: Final = "GATEWAY^0012211839000001^EUI-64"
_PERSON: Final = ("PID|||HO2009001^^^^MR||Hon^Albert^^^^L||19610101|M", "PV1||I|HO Surgery^OR^1")
_AT: Final = datetime(2026, 1, 9, 7, 30)  # noqa: DTZ001 - as the device's clock shows it


def _message(kind: str, number: str, *segments: str, mode: str = "P") -> str:
    """A message of a gateway at 07:30 in Vietnam, as enhanced mode sends it."""
    header = f"MSH|^~\\&|{_GATEWAY}|WARD|HM|SITE|20260109073000+0700||{kind}|{number}|{mode}|2.6|||AL|NE"
    return "".join(f"{segment}\r" for segment in (f"{header}||UNICODE UTF-8", *_PERSON, *segments))


def _sent(*messages: str) -> bytes:
    return b"".join(framed(message.encode()) for message in messages)


def _answer(own_id: str, trigger: str, number: str, *, mode: str = "P") -> bytes:
    header = f"MSH|^~\\&|HM|SITE|{_GATEWAY}|WARD|20260109073000+0700||ACK^{trigger}^ACK|{own_id}|{mode}|2.6"
    return framed(f"{header}||||||UNICODE UTF-8\rMSA|CA|{number}\r".encode())


def _row(number: int, term: str, place: str, value: str = "", *, unit: str = "", device: str = "") -> str:
    kind, status = ("ST", "F") if value else ("", "X")
    return f"OBX|{number}|{kind}|{term}|{place}|{value}|{unit}|||||{status}|||||||{device}".rstrip("|")


_PUMP: Final = Alias(protocol=INFO.id, namespace="0012210000000000", identifier="P6013")
_VENTILATOR: Final = Alias(protocol=INFO.id, namespace="acme.example", identifier="V-17")
_OCCLUSION: Final = "196940^MDC_EVT_FLUID_LINE_OCCL^MDC^^^^^^Occlusion"
_BATTERY: Final = "196802^MDC_EVT_BATT_LO^MDC^^^^^^Battery low"
_ONSET: Final = f"OBR|1|7|A27^{_GATEWAY}|196616^MDC_EVT_ALARM^MDC|||20260109073000"
_END: Final = (
    f"OBR|1|8|A34^{_GATEWAY}|196616^MDC_EVT_ALARM^MDC|||20260109073000{22 * '|'}"
    "^A27&GATEWAY&0012211839000001&EUI-64"
)
_REPORT: Final = "OBR|1||R1|70001^MDC_DEV_SYS_PT_VENT_MDS^MDC|||20260109073000"


def _alert(phase: str, state: str, *more: str) -> tuple[str, ...]:
    """The facets of an occlusion of a pump."""
    event = _row(
        1, "196616^MDC_EVT_ALARM^MDC", "1.0.0.0.1", _OCCLUSION, device="P6013^^0012210000000000^EUI-64"
    )
    return (
        event,
        _row(2, "68480^MDC_ATTR_ALERT_SOURCE^MDC", "1.0.0.0.2", "69985^MDC_DEV_PUMP_INFUS_MDS^MDC"),
        _row(3, "68481^MDC_ATTR_EVENT_PHASE^MDC", "1.0.0.0.3", phase),
        _row(4, "68482^MDC_ATTR_ALARM_STATE^MDC", "1.0.0.0.4", state),
        *more,
    )


_FACETS: Final = (
    _row(5, "68484^MDC_ATTR_ALARM_PRIORITY^MDC", "1.0.0.0.6", "PH"),
    _row(6, "68485^MDC_ATTR_ALERT_TYPE^MDC", "1.0.0.0.7", "ST"),
)
_REPORTED: Final = (
    _row(1, "70001^MDC_DEV_SYS_PT_VENT_MDS^MDC", "1.0.0.0", device="V-17^WARD^acme.example^DNS"),
    _row(2, "67880^MDC_ATTR_ID_MODEL^MDC", "1.0.0.1", "manufacturer=Acme model=Air 3"),
    _row(3, "151562^MDC_RESP_RATE^MDC", "1.2.1.1", "14", unit="264928^MDC_DIM_RESP_PER_MIN^MDC"),
)
_IDENTITY: Final = Identity(manufacturer="Acme", model="Air 3", serial="V-17", device_type=70001)


def _occlusion(phase: Phase, condition: Condition, raw: str) -> Alarm:
    return Alarm(
        key="A27&GATEWAY&0012211839000001&EUI-64",
        code="196940",
        reference_id="MDC_EVT_FLUID_LINE_OCCL",
        text="Occlusion",
        alarm_kind=AlarmKind.TECHNICAL,
        priority=Priority.HIGH,
        phase=phase,
        condition=condition,
        raw=raw,
    )


EXAMPLES: Final = (
    Example(
        "PCD-01: a ventilator with a breath rate is in use",
        _sent(_message("ORU^R01^ORU_R01", "1", _REPORT, *_REPORTED)),
        bodies=(_IDENTITY, Usage(state=OperatingState.IN_USE, period_s=INFO.poll_s)),
        alias=_VENTILATOR,
        device_time=_AT,
        answers=(_answer("7D03E5B9B8A88CAF8459", "R01", "1"),),
    ),
    Example(
        "PCD-01: an old breath rate is no evidence, and no other vital value is looked at",
        _sent(
            _message(
                "ORU^R01^ORU_R01",
                "2",
                _REPORT,
                *_REPORTED[:2],
                f"{_REPORTED[2]}|||20260109060000",
                _row(
                    4, "150456^MDC_PULS_OXIM_SAT_O2^MDC", "1.3.1.1", "97", unit="262688^MDC_DIM_PERCENT^MDC"
                ),
            )
        ),
        bodies=(_IDENTITY, Usage(state=OperatingState.UNKNOWN, period_s=INFO.poll_s)),
        alias=_VENTILATOR,
        device_time=_AT,
        answers=(_answer("448A69EF8D8E88E9EFCD", "R01", "2"),),
    ),
    Example(
        "PCD-04: start and end of one technical alert, the end with its rows in another order",
        _sent(
            _message("ORU^R40^ORU_R40", "3", _ONSET, *_alert("start", "active", *_FACETS)),
            _message("ORU^R40^ORU_R40", "4", _END, *reversed(_alert("end", "inactive", *_FACETS))),
        ),
        bodies=(
            _occlusion(Phase.START, Condition.ACTIVE, "start active"),
            _occlusion(Phase.END, Condition.INACTIVE, "end inactive"),
        ),
        alias=_PUMP,
        device_time=_AT,
        answers=(_answer("899A94DD4837FC1053C8", "R40", "3"), _answer("ADAA7FEAF1FEA475072D", "R40", "4")),
    ),
    Example(
        "PCD-04: a repetition is answered again and not heard again",
        2 * _sent(_message("ORU^R40^ORU_R40", "3", _ONSET, *_alert("start", "active", *_FACETS))),
        bodies=(_occlusion(Phase.START, Condition.ACTIVE, "start active"),),
        alias=_PUMP,
        device_time=_AT,
        answers=2 * (_answer("899A94DD4837FC1053C8", "R40", "3"),),
    ),
    Example(
        "PCD-10: a pump whose delivery starts is in use",
        _sent(
            _message(
                "ORU^R42^ORU_R01",
                "5",
                "OBR|1||E1|69985^MDC_DEV_PUMP_INFUS_MDS^MDC|||20260109073000",
                _row(
                    1, "69985^MDC_DEV_PUMP_INFUS_MDS^MDC", "1.0.0.0", device="P6013^^0012210000000000^EUI-64"
                ),
                _row(2, "68487^MDC_ATTR_EVT_COND^MDC", "1.0.0.2", "197288^MDC_EVT_PUMP_DELIV_START^MDC"),
                _row(3, "184514^MDC_DRUG_NAME_LABEL^MDC", "1.1.2.2", "Dobutamine"),
            )
        ),
        bodies=(
            Identity(manufacturer="", model="", serial="P6013", device_type=69985),
            Usage(state=OperatingState.IN_USE, period_s=INFO.poll_s),
        ),
        alias=_PUMP,
        device_time=_AT,
        answers=(_answer("44BE47BD1B8DFC39AC96", "R42", "5"),),
    ),
    Example(
        "PCD-15: power and battery, and a meter that the device tells itself; no state is made up",
        _sent(
            _message(
                "ORU^R01^ORU_R01",
                "6",
                "OBR|1||P6013|69135^MDC_OBS_MEM^MDC|||20260109073000",
                _row(
                    1,
                    "67925^MDC_ATTR_POWER_STAT^MDC",
                    "1.0.0.1",
                    "onBattery(1)",
                    device="P6013^^0012210000000000",
                ),
                _row(
                    2,
                    "67996^MDC_ATTR_VAL_BATT_CHARGE^MDC",
                    "1.2.0.3",
                    "64",
                    unit="262688^MDC_DIM_PERCENT^MDC",
                ),
                _row(
                    3,
                    "67976^MDC_ATTR_TIME_BATT_REMAIN^MDC",
                    "1.2.0.2",
                    "120.5",
                    unit="264352^MDC_DIM_MIN^MDC",
                ),
                _row(4, "68018^MDC_ATTR_BATT_CHARGE_CYCLES^MDC", "1.2.0.4", "311"),
            )
        ),
        bodies=(
            Usage(
                state=OperatingState.UNKNOWN,
                period_s=INFO.poll_s,
                meters=(
                    MeterReading(meter=MeterName.BATTERY_CYCLES, provenance=Provenance.REPORTED, value=311.0),
                ),
            ),
            Metrics(
                values=(
                    Metric(quantity=Quantity.ON_MAINS_BOOL, value=0.0),
                    Metric(quantity=Quantity.BATTERY_CHARGE_PCT, value=64.0),
                    Metric(quantity=Quantity.BATTERY_REMAINING_MIN, value=120.5),
                )
            ),
        ),
        alias=_PUMP,
        device_time=_AT,
        answers=(_answer("8F02F82A503052AD2CE8", "R01", "6"),),
    ),
    Example(
        "PCD-01 of a monitor behind an eGateway, named by PRT, in which an alert stands from the first",
        _sent(
            _message(
                "ORU^R01^ORU_R01",
                "10",
                "OBR|1||F1|69952^^MDC|||20260109073000",
                _row(1, "69952^^MDC", "1.0.0.0"),
                "PRT||UC||EQUIP||||||F1519EFX^SHENZHEN_DEVICE^mindray.com^DNS",
                f"OBX|2|CWE|68012^MDC_ATTR_AL_COND^MDC|1.0.0.2|{_BATTERY}|||H~PM~ST|||R",
            )
        ),
        bodies=(
            Identity(manufacturer="", model="", serial="F1519EFX", device_type=69952),
            Usage(state=OperatingState.UNKNOWN, period_s=INFO.poll_s),
            Alarm(
                key="196802@1.0.0/eabf1aa6.20260109T073000/1",
                code="196802",
                reference_id="MDC_EVT_BATT_LO",
                text="Battery low",
                alarm_kind=AlarmKind.TECHNICAL,
                priority=Priority.MEDIUM,
                phase=Phase.PRESENT,
                condition=Condition.ACTIVE,
                raw="stands",
            ),
        ),
        alias=Alias(protocol=INFO.id, namespace="mindray.com", identifier="F1519EFX"),
        device_time=_AT,
        answers=(_answer("BA6D1634F2A65D2678FD", "R01", "10"),),
    ),
    Example(
        "a test is answered and says nothing",
        _sent(_message("ORU^R01^ORU_R01", "7", _REPORT, *_REPORTED, mode="T")),
        answers=(_answer("9B44CA751C7E302444FB", "R01", "7", mode="T"),),
    ),
    Example(
        "a message without a device is accepted, so that its sender goes on, and refused here",
        _sent(_message("ORU^R01^ORU_R01", "8", _REPORT, *_REPORTED[1:])),
        answers=(_answer("B11900520D4B1ECAEEAE", "R01", "8"),),
        refusal="no device is named",
    ),
    Example(
        "an alert without an event",
        _sent(
            _message(
                "ORU^R40^ORU_R40",
                "9",
                _ONSET,
                *_alert("start", "active")[1:],
                _row(9, "69985^MDC_DEV_PUMP_INFUS_MDS^MDC", "1.0.0.0", device="P6013"),
            )
        ),
        answers=(_answer("05972E8B2A4751740CE8", "R40", "9"),),
        refusal="alert without an event",
    ),
    Example("no message", framed(b"hello"), refusal="does not begin with MSH"),
    Example("bytes outside a frame", _message("ORU^R01", "1").encode(), refusal="outside a frame"),
    Example(
        "a frame that is begun anew is given up, and the next one heard",
        _sent(_message("ORU^R01^ORU_R01", "1", _REPORT))[:90]
        + _sent(_message("ORU^R01^ORU_R01", "1", _REPORT, *_REPORTED)),
        bodies=(_IDENTITY, Usage(state=OperatingState.IN_USE, period_s=INFO.poll_s)),
        alias=_VENTILATOR,
        device_time=_AT,
        answers=(_answer("7D03E5B9B8A88CAF8459", "R01", "1"),),
        refusal="begun anew",
    ),
)
