r"""Mindray monitors over Patient Data Share (PDS): HL7 2.3.1 in frames of MLLP, pushed to who connects.

The layout of the messages stands in `adapters.mindray_pds_messages`, the talk in `adapters.mindray_pds_link`,
what alarms and figures mean in `adapters.mindray_pds_monitor`.

Rule 1: MSH-10 is the kind of a message; no message is taken for a repetition.
Rule 2: of patient, ward and bed nothing is read, and figures are looked at to judge use, and dropped.
Rule 3: what is not documented anywhere that was read (levels, stars, further rows) means nothing here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from adapters.contract import Evidence, Example, Model, Options, ProtocolInfo, Table, Way
from adapters.mindray_pds_link import HEARTBEAT_S, MAKER, PROTOCOL, MindrayPds
from adapters.mindray_pds_messages import (
    ALARM_ROWS,
    FIGURES,
    INVALID,
    KINDS,
    QUERY,
    Kind,
    Listed,
    alarm_of,
    figure_of,
    label_of,
    message_of,
    place_of,
)
from adapters.mindray_pds_monitor import WORDS
from adapters.mindray_pds_redactor import Redactor
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Body,
    Condition,
    Identity,
    OperatingState,
    Phase,
    Priority,
    Strength,
    Usage,
)

_SOURCE: Final = "five public clients and what they have read from monitors; the maker's guide was not read"

INFO: Final = ProtocolInfo(
    id=PROTOCOL,
    manufacturer=MAKER,
    title="Mindray Patient Data Share (PDS)",
    source=_SOURCE,
    poll_s=60.0,
    ways=(Way.TCP,),
    usual_port=4601,
    units=True,
    models=(
        Model(
            "iPM, iMEC, uMEC and T series",
            Evidence.MANUAL,
            "as public clients name them; no capture, no monitor",
        ),
        Model("central stations", Evidence.MANUAL, "that they tell addresses is likely; nobody has tried it"),
    ),
    sends=(
        (
            "To a monitor: once after connecting, and once more at its first heartbeat, the question for "
            "four figures (heart rate, breath rate, SpO2, pulse rate: they show use) and for all "
            "physiological and technical alarms."
        ),
        f"A heartbeat every {HEARTBEAT_S:g} s, to a monitor or a central station.",
    ),
    bedside=(
        "Nothing is known to show at the bedside when we fall silent. A monitor that misses our heartbeat is "
        "likely to close the link, and to take it up again; how long it waits is not known."
    ),
    notes=(
        (
            "Identity is weak: the monitor's network address, as it tells it. Give monitors fixed "
            "addresses. The name that is set in the monitor is told beside it if it is letters and a "
            "number. Hours are provisional until somebody has confirmed which device has this address."
        ),
        (
            "Use: a heart rate, breath rate, SpO2 or pulse rate above zero is *in use*; heart rate and "
            "SpO2 told and everything invalid is *idle*; all else is *unknown*. The protocol does not "
            "tell demonstration: a monitor that shows its demonstration is taken for one in use."
        ),
        (
            "Alarms: each list is taken for all that is active, which is likely and not written anywhere "
            "that was read. Priorities are unknown, as the meaning of stars and levels is not documented;"
            " the device's level is kept as its own word. A technical alarm's text is carried if all its "
            "words are known to be of equipment; a physiological one is its number, with a P before it."
        ),
        (
            "The device's clock is taken from the onset of an alarm that begins while we listen; no other"
            " time of it is near that of now."
        ),
        (
            "A central station (`central = true`) has its monitors as units, by their addresses. It is "
            "asked nothing, as how to ask it is not known; what does not tell an address is refused."
        ),
        "Where the hospital has an eGateway, take that instead (`hl7`): it tells serial numbers.",
        (
            "A public client has seen monitors announce themselves by broadcast at UDP port 4600; that is "
            "not listened for."
        ),
        (
            "Not looked at, and blotted out of recordings: patient, ward and bed, values of figures, "
            "everything else."
        ),
    ),
)


class MindrayPdsOptions(Options):
    """What may be set of a Mindray PDS link."""

    central: bool = False
    """The link is of a central station: each monitor behind it is a device of its own."""

    def __call__(self, *, period_s: float) -> MindrayPds:
        """An adapter set so."""
        return MindrayPds(period_s=period_s, is_central=self.central)


OPTIONS: Final = MindrayPdsOptions


def adapter(*, period_s: float) -> MindrayPds:
    """An adapter for one monitor whose state is told every `period_s` seconds."""
    return MindrayPds(period_s=period_s)


def redactor() -> Redactor:
    """A redactor for one link."""
    return Redactor()


TABLES: Final = (
    Table(
        "Kinds of messages (MSH-10)",
        _SOURCE,
        ("kind", "meaning"),
        tuple((str(kind.value), meaning) for kind, meaning in KINDS.items()),
    ),
    Table(
        "Figures that use is judged by (OBX-3)",
        f"{_SOURCE}; {INVALID:g} is invalid",
        ("code", "figure"),
        tuple(FIGURES.items()),
    ),
    Table(
        "Rows that are alarms (OBX-3)",
        _SOURCE,
        ("kind", "OBX-3"),
        tuple((str(kind.value), row) for kind, row in ALARM_ROWS.items()),
    ),
    Table("Words of texts that are carried", "a list of ours", ("words",), ((", ".join(sorted(WORDS)),),)),
)


# -- examples ---------------------------------------------------------------------------------------------

_ALIAS: Final = Alias(protocol=PROTOCOL, namespace="ip", identifier="192.168.8.188", strength=Strength.WEAK)
_ONSET: Final = datetime(2020, 4, 18, 19, 2, 1)  # noqa: DTZ001 - the monitor tells no zone
_PERSON: Final = "PID|||14140f00-0001||Nguyễn^Văn An||19610101|M"
_HERE: Final = place_of("192.168.8.188", ward="ICU", bed="An")
_PLACE: Final = message_of(
    Kind.PLACE, _PERSON, _HERE, "OBR||||Mindray Monitor|||0|", "OBX||ST|2308^BedNoStr||An||||||F"
)
_ONLINE: Final = message_of(Kind.ONLINE, "EVN||00000000|", _PERSON, _HERE, label_of("M0001"), event="ADT^A01")
_BEAT: Final = message_of(Kind.HEARTBEAT)
_IDENTITY: Final = Identity(manufacturer=MAKER, model="")
_NAMED: Final = _IDENTITY.model_copy(update={"unique_ids": ("monitor name M0001",)})


def _numerics(**figures: float) -> bytes:
    codes = {name: code for code, name in FIGURES.items()}
    return message_of(
        Kind.PERIODIC, *(figure_of(codes[name], value, module="2101") for name, value in figures.items())
    )


def _list(kind: Kind, *alarms: Listed) -> bytes:
    trailer = "OBX||CE|2040^||0^||||||F" if kind is Kind.PHYSIOLOGICAL else "OBX||CE|2041^||0^||||||F"
    return message_of(kind, *(alarm_of(kind, one) for one in alarms), trailer)


_SENSOR: Final = Listed("205", "", "SpO2 Sensor Off", None)
_UNREAD: Final = Listed("77", "", "Nguyễn Văn An", None)
_RATE: Final = Listed("10002", "1", "**HR TOO LOW", _ONSET)


def _usage(state: OperatingState) -> Usage:
    return Usage(state=state, period_s=INFO.poll_s)


def _alarm(code: str, text: str, phase: Phase, *, count: int = 1, raw: str = "") -> Alarm:
    is_end = phase is Phase.END
    return Alarm(
        key=f"{code}/192.168.8.188/no-clock/0/{count}",
        code=code,
        text=text,
        alarm_kind=AlarmKind.PHYSIOLOGICAL if code.startswith("P") else AlarmKind.TECHNICAL,
        priority=Priority.UNKNOWN,
        phase=phase,
        condition=Condition.INACTIVE if is_end else Condition.ACTIVE,
        raw="" if is_end else raw,
    )


_IN_USE: Final[tuple[Body, ...]] = (_IDENTITY, _usage(OperatingState.IN_USE))

EXAMPLES: Final = (
    Example(
        "a monitor with a pulse is in use; patient, ward and bed are dropped",
        _PLACE + _numerics(HR=60, SpO2=INVALID) + _numerics(HR=61, SpO2=97),
        bodies=_IN_USE,
        alias=_ALIAS,
    ),
    Example(
        "everything invalid is idle; zero is no evidence of anything",
        _PLACE + _numerics(HR=INVALID, SpO2=INVALID, RR=INVALID) + _numerics(HR=0, SpO2=INVALID),
        bodies=(_IDENTITY, _usage(OperatingState.IDLE)),
        alias=_ALIAS,
    ),
    Example(
        "its name, when it is told",
        _PLACE + _ONLINE,
        bodies=(_IDENTITY, _NAMED),
        alias=_ALIAS,
    ),
    Example(
        "a technical alarm is present from the first list, stays, and ends by not being listed",
        _PLACE
        + _list(Kind.TECHNICAL, _SENSOR)
        + _list(Kind.TECHNICAL, _SENSOR, _UNREAD)
        + message_of(Kind.TECHNICAL),
        bodies=(
            _IDENTITY,
            _alarm("205", "SpO2 Sensor Off", Phase.PRESENT),
            _alarm("77", "technical alarm", Phase.START, count=2),
            _alarm("205", "SpO2 Sensor Off", Phase.END),
            _alarm("77", "technical alarm", Phase.END, count=2),
        ),
        alias=_ALIAS,
    ),
    Example(
        "a physiological alarm that begins tells the device's clock, and is no more than its number",
        _PLACE + _list(Kind.PHYSIOLOGICAL) + _list(Kind.PHYSIOLOGICAL, _RATE),
        bodies=(_IDENTITY, _alarm("P10002", "physiological alarm", Phase.START, raw="level 1")),
        alias=_ALIAS,
        device_time=_ONSET,
    ),
    Example(
        "before it is known who speaks nothing is told; a first heartbeat without an address settles it",
        _list(Kind.TECHNICAL, _SENSOR) + 2 * _BEAT + _list(Kind.TECHNICAL, _UNREAD),
        bodies=(
            _IDENTITY,
            _alarm("77", "technical alarm", Phase.PRESENT).model_copy(update={"key": "77/port/no-clock/0/1"}),
        ),
        answers=(QUERY,),
    ),
    Example(
        "MSH-10 is no number of a message: the same figures again are heard again",
        _PLACE + 3 * _numerics(RR=12),
        bodies=_IN_USE,
        alias=_ALIAS,
    ),
    Example(
        "an alarm without a number: nothing ends by that list",
        _PLACE + _list(Kind.TECHNICAL, _SENSOR) + _list(Kind.TECHNICAL, Listed("", "", "lost", None)),
        bodies=(_IDENTITY, _alarm("205", "SpO2 Sensor Off", Phase.PRESENT)),
        alias=_ALIAS,
        refusal="without a number",
    ),
    Example(
        "another address on a link of one monitor",
        _PLACE + message_of(Kind.PLACE, place_of("192.168.8.189")),
        bodies=(_IDENTITY,),
        alias=_ALIAS,
        refusal="central = true",
    ),
    Example(
        "a frame that is begun anew is given up, and the next one heard",
        _PLACE[:70] + _PLACE,
        bodies=(_IDENTITY,),
        alias=_ALIAS,
        refusal="begun anew",
    ),
    Example("a kind that is none", _BEAT.replace(b"106", b"A6"), refusal="no kind"),
    Example("no message", b"\x0bhello\x1c\r", refusal="does not begin with MSH"),
    Example("a message without its end", _PLACE[:-2], refusal="unfinished frame"),
    Example(
        "bytes outside of frames, and a heartbeat",
        b"GET /" + _BEAT,
        bodies=(_IDENTITY,),
        answers=(QUERY,),
        refusal="outside a frame",
    ),
)
