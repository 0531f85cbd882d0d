"""Draeger ventilators over MEDIBUS and MEDIBUS.X: model, alarms, states and a few values, asked in rounds.

The bytes stand in `adapters.medibus_frames`, the order of talk in `adapters.medibus_talk`, the data of
responses in `adapters.medibus_records`, the codes in `adapters.medibus_codes`, what is made of them in
`adapters.medibus_adapter`, `adapters.medibus_alarms` and `adapters.medibus_use`, what recordings keep in
`adapters.medibus_redactor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapters.contract import (
    Evidence,
    Example,
    MakeRedactor,
    Model,
    Options,
    Parity,
    ProtocolInfo,
    SerialLine,
    Table,
    Way,
)
from adapters.medibus_adapter import MANUFACTURER, VENTILATOR, WHO_WE_ARE, Medibus
from adapters.medibus_codes import (
    EVITA,
    EVITA_4,
    MANUAL,
    MEASURED,
    MEDIBUS_X,
    MODELS,
    PUBLIC_X,
    SAVINA,
    TEXTS,
    UNKNOWN_FAMILY,
    X_FAMILY,
    CodeTable,
    priority_of,
)
from adapters.medibus_frames import COMMAND, RESPONSE, frame_of
from adapters.medibus_records import MOST_PRIORITY, SOURCE, alarm_row, text_row
from adapters.medibus_redactor import redactor_of
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Body,
    Condition,
    Effect,
    Fault,
    Identity,
    Metric,
    Metrics,
    OperatingState,
    Phase,
    Priority,
    Quantity,
    Usage,
)

INFO: Final = ProtocolInfo(
    id="medibus",
    manufacturer=MANUFACTURER,
    title="Draeger MEDIBUS and MEDIBUS.X",
    source=f"{SOURCE}; device tables of {MANUAL}; {PUBLIC_X}; no recording of a device",
    poll_s=30.0,
    ways=(Way.SERIAL, Way.TCP),
    line=SerialLine(baud_rate=19200, parity=Parity.EVEN),
    one_client=True,
    models=(
        *(
            Model(f"{known.name} ({number})", Evidence.MANUAL, f"table {known.family.name}")
            for number, known in MODELS.items()
            if known.family is not UNKNOWN_FAMILY
        ),
        Model(
            "MEDIBUS.X: V-series, Babylog VN, Evita V, Perseus, Zeus, incubators",
            Evidence.MANUAL,
            'with `codes = "medibus-x"`: the numbers that they tell stand in no document we have',
        ),
        Model(
            "any other device that speaks MEDIBUS",
            Evidence.MANUAL,
            "its phrases are told, nothing is classified: it opens no ticket",
        ),
    ),
    sends=(
        "51 (ICC): begins the talk, on each new link and when the device was silent for 3 s",
        "52: asks which model it is; its own question for us is answered with 0161 'hourmeter'",
        "27, 2E, 2A, 24 each poll: alarms of page 1 and 2, texts, measured values",
        "28 to Savina and MEDIBUS.X: date and time; the Evita families are not asked",
        "4A once after each start-up, to MEDIBUS 03.00 and later: to send only the values and texts we read",
        "30 (NOP): when we have said nothing for 1.5 s, so that the device does not take us for gone",
        "55 (STOP): at each orderly end",
        "an empty answer to everything else that it asks, and NAK (15) to what did not arrive whole",
    ),
    bedside=(
        "The device expects a word every three seconds. When ours fail to come - the program crashed, the "
        "machine lost power, the cable or the network was pulled - the device shows and sounds a "
        "communication error at the bedside, and looks for us with ICC every three seconds. It is over when "
        "the host talks to the device again, or by the device's own instructions for use. An orderly end "
        "sends STOP and shows nothing. So: stop the host before the cable is pulled, and tell the ward when "
        "a host is taken into use."
    ),
    notes=(
        (
            "MEDIBUS tells a model and no serial number: the device is known by its port (a weak alias), and "
            "its hours are provisional until a person confirms which device is at that port."
        ),
        (
            "A talk that somebody before us had with the device ends by our ICC. Names and values that we do "
            "not read do not leave a device that understands 4A."
        ),
        (
            "No operating hours are told. Use is judged at each poll: simulation (text 62), test (12, 53), "
            "switched off by the emergency switch (63, MEDIBUS.X), standby (1E, 54, alarm code 95 of page 2) "
            "count first; then a respiratory rate or a minute volume above zero is in use, none is idle. "
            "While a flow, volume or pressure sensor alarm stands, none is unknown. Evita 4 sends text 1E "
            "from software 4.10 on, Savina from 2.10."
        ),
        (
            "A code means what the table of the model says; codes of page 1 are written CP1-9F, of page 2 "
            "CP2-94, device checks TXT-91 and TXT-92. The device's priority (1 to 31, 31 the highest) is "
            "kept as the raw word; high, medium and low are this project's reading of it. Conditions of the "
            "device itself are faults; CP2-95, standby, is a state and no alarm, whatever its priority."
        ),
        (
            "The tables of the Evita families hold what the documents tell of Savina where they name no "
            "difference. Of a code that stands in no table the device's own phrase is told, of kind unknown."
        ),
        (
            "Rate and minute volume are looked at and dropped. No other measured value, no setting, no text, "
            "no realtime value leaves the protocol file."
        ),
        (
            "Evita channel A is fixed to 19200 8E1; channel B, Evita 4, 2 dura, XL and Savina can be set, "
            "newer devices often use 38400. The Evita families tell no clock: their occurrences are named by "
            "how long the host has run."
        ),
    ),
)
"""Line settings and who has which command: Draeger 9028258 and 9028329."""


class Codes(StrEnum):
    """How a device is read whose number is not known."""

    NUMBER = "number"
    """Not classified."""
    MEDIBUS_X = "medibus-x"
    """As a MEDIBUS.X device."""


class MedibusOptions(Options):
    """What can be set of a MEDIBUS device."""

    codes: Codes = Codes.NUMBER
    """Table for a device whose number is not known: none (`number`), or that of MEDIBUS.X (`medibus-x`)."""

    def __call__(self, *, period_s: float) -> Medibus:
        """An adapter for the device at the end of one link, asked every `period_s` seconds."""
        others = X_FAMILY if self.codes is Codes.MEDIBUS_X else UNKNOWN_FAMILY
        return Medibus(period_s=period_s, others=others)


OPTIONS: Final = MedibusOptions
adapter: Final = MedibusOptions()
redactor: Final[MakeRedactor] = redactor_of


def _alarm_table(title: str, source: str, table: CodeTable) -> Table:
    rows = tuple(
        (code, row.phrase, "fault" if row.is_fault else row.kind.value, row.subsystem)
        for code, row in table.items()
    )
    return Table(f"Alarms: {title}", source, ("code", "phrase", "kind", "subsystem"), rows)


def _priorities() -> tuple[tuple[str, str], ...]:
    rows: dict[str, list[int]] = {}
    for number in range(1, MOST_PRIORITY + 1):
        rows.setdefault(priority_of(number).value, []).append(number)
    return tuple((f"{numbers[0]}-{numbers[-1]}", word) for word, numbers in rows.items())


TABLES: Final = (
    Table(
        "Numbers of models",
        MANUAL,
        ("number", "model", "table"),
        tuple((number, known.name, known.family.name) for number, known in MODELS.items()),
    ),
    Table("Priorities", "this project's reading; the manual gives none", ("told", "read"), _priorities()),
    Table(
        "Texts that are looked at",
        PUBLIC_X,
        ("code", "means", "state", "of"),
        tuple(
            (code, text.words, text.state.value if text.state else "", "MEDIBUS.X" if text.x_only else "all")
            for code, text in TEXTS.items()
        ),
    ),
    Table("Measured values that are asked for", PUBLIC_X, ("code", "means"), tuple(MEASURED.items())),
    _alarm_table("Savina", MANUAL, SAVINA),
    _alarm_table("Evita 4, Evita 2 dura, EvitaXL", MANUAL, EVITA_4),
    _alarm_table("Evita", MANUAL, EVITA),
    _alarm_table("MEDIBUS.X", PUBLIC_X, MEDIBUS_X),
)


# -- examples, made from the layouts ------------------------------------------------------------------------


def _says(code: int, data: bytes = b"") -> bytes:
    return frame_of(RESPONSE, code, data)


def _asks(code: int) -> bytes:
    return frame_of(COMMAND, code)


_SAVINA: Final = _says(0x52, b"8250'Savina'03.10:04.00")
_EVITA_4: Final = _says(0x52, b"8240'Evita 4'04.20:04.00")
_AT_WORK: Final = _says(0x24, b"D6  14B9 7.2C6  87")
_NOT_LISTED: Final = (_says(0x2E), _says(0x2A))


def _identity(model: str, revision: str, medibus: str = "04.00", *, is_ventilator: bool = True) -> Identity:
    return Identity(
        manufacturer=MANUFACTURER,
        model=model,
        software_revision=revision,
        firmware_revision=f"MEDIBUS {medibus}",
        device_type=VENTILATOR if is_ventilator else None,
    )


def _usage(state: OperatingState) -> Usage:
    return Usage(state=state, period_s=INFO.poll_s)


def _charge(value: float) -> Metrics:
    return Metrics(values=(Metric(quantity=Quantity.BATTERY_CHARGE_PCT, value=value),))


_IS_SAVINA: Final = _identity("Savina 8250", "03.10")
_IS_EVITA_4: Final = _identity("Evita 4 8240", "04.20")
_STANDS: Final = Condition.ACTIVE
_OVER: Final = Condition.INACTIVE


def _error(phase: Phase, condition: Condition, raw: str) -> Fault:
    return Fault(
        key="CP1-9F/8250/no-clock-0/1",
        code="CP1-9F",
        subsystem="device",
        text="SAVINA ERR",
        effect=Effect.SERVICE_HIGH,
        phase=phase,
        condition=condition,
        raw=raw,
    )


def _alarm(
    code: str,
    text: str,
    raw: str,
    *,
    phase: Phase = Phase.PRESENT,
    priority: Priority = Priority.LOW,
    kind: AlarmKind = AlarmKind.TECHNICAL,
    of: str = "8250/no-clock-0/1",
) -> Alarm:
    return Alarm(
        key=f"{code}/{of}",
        code=code,
        text=text,
        alarm_kind=kind,
        priority=priority,
        phase=phase,
        condition=_OVER if phase is Phase.END else _STANDS,
        raw=raw,
    )


_BATTERY: Final = "INT BATT ON"
_X_NAME: Final = b"0099'Test device'01.00:02.00"
_ON_BATTERY: Final[Mapping[int, bytes]] = MappingProxyType(
    {priority: _says(0x2E, alarm_row(priority, "5A", b"INT BATT ON")) for priority in (6, 24)}
)

_GREETING: Final[tuple[Body, ...]] = (_IS_SAVINA, _usage(OperatingState.IN_USE), _charge(87))

EXAMPLES: Final = (
    Example(
        "a Savina at work, nothing amiss: all responses of a round",
        _SAVINA + _says(0x27) + b"".join(_NOT_LISTED) + _says(0x28, b"07:30:1509-JAN-24") + _AT_WORK,
        bodies=_GREETING,
        device_time=datetime(2024, 1, 9, 7, 30, 15),  # noqa: DTZ001 - the device tells no zone
    ),
    Example(
        "running on battery is present when first seen, rises and ends",
        _SAVINA + _ON_BATTERY[6] + _ON_BATTERY[6] + _ON_BATTERY[24] + _says(0x2E),
        bodies=(
            _IS_SAVINA,
            _alarm("CP2-5A", _BATTERY, "6"),
            _alarm("CP2-5A", _BATTERY, "24", phase=Phase.UPDATE, priority=Priority.MEDIUM),
            _alarm("CP2-5A", _BATTERY, "", phase=Phase.END, priority=Priority.MEDIUM),
        ),
    ),
    Example(
        "an error of the device itself is a fault",
        _SAVINA + _says(0x27) + _says(0x27, alarm_row(31, "9F", b"SAVINA ERR")) + _says(0x27),
        bodies=(
            _IS_SAVINA,
            _error(Phase.START, _STANDS, "31"),
            _error(Phase.END, _OVER, ""),
        ),
    ),
    Example(
        "a response with a wrong checksum ends nothing",
        _SAVINA + _ON_BATTERY[6] + b"\x01\x2e30\r" + _ON_BATTERY[6],
        bodies=(_IS_SAVINA, _alarm("CP2-5A", _BATTERY, "6")),
        refusal="checksum of a response of 5 bytes does not fit",
    ),
    Example(
        "standby has the highest priority and is no alarm",
        _EVITA_4 + _says(0x2E, alarm_row(31, "95", b"EVITA STDBY")) + _says(0x2A) + _says(0x24),
        bodies=(_IS_EVITA_4, _usage(OperatingState.STANDBY)),
    ),
    Example(
        "simulation does not count as use, whatever is measured",
        _EVITA_4 + _says(0x2E) + _says(0x2A, text_row("62", b"SIMULATION ON")) + _says(0x24, b"D6  14"),
        bodies=(_IS_EVITA_4, _usage(OperatingState.DEMO)),
    ),
    Example(
        "texts with names of people leave nothing",
        _SAVINA + _says(0x2E) + _says(0x2A, text_row("60", b"NGUYEN") + text_row("61", b"VAN AN")) + _AT_WORK,
        bodies=_GREETING,
    ),
    Example(
        "no rate and no volume while the flow sensor is amiss: whether it ventilates is not known",
        _EVITA_4 + _says(0x27, alarm_row(30, "42", b"FLOW SENSOR?")) + b"".join(_NOT_LISTED) + _says(0x24),
        bodies=(
            _IS_EVITA_4,
            _alarm("CP1-42", "FLOW SENSOR?", "30", priority=Priority.HIGH, of="8240/no-clock-0/1"),
            _usage(OperatingState.UNKNOWN),
        ),
    ),
    Example(
        "measured values without texts and alarms before them tell no state",
        _says(0x24, b"D6  14B9 7.2"),
        bodies=(_usage(OperatingState.UNKNOWN),),
    ),
    Example(
        "of a model that is not known phrases are told, spelt out, and nothing is classified",
        _says(0x52, _X_NAME) + _says(0x27, alarm_row(30, "9F", b"FAN $& ERR")),
        bodies=(
            _identity("Test device 0099", "01.00", "02.00", is_ventilator=False),
            _alarm(
                "CP1-9F",
                "FAN LOW ERR",
                "30",
                priority=Priority.HIGH,
                kind=AlarmKind.UNKNOWN,
                of="0099/no-clock-0/1",
            ),
        ),
    ),
    Example(
        "one code, two models: what the phrase contradicts is marked",
        _says(0x52, b"8210'Evita'02.00:03.00") + _says(0x27, alarm_row(1, "40", b"DIAS GP2 HI")),
        bodies=(
            _identity("Evita 8210", "02.00", "03.00"),
            _alarm(
                "CP1-40",
                "TACHYPN ALARM OFF",
                "1, other phrase",
                kind=AlarmKind.ADVISORY,
                of="8210/no-clock-0/1",
            ),
        ),
    ),
    Example(
        "a date that cannot be is no device time, and no refusal",
        _says(0x28, b"07:30:1530-FEB-24"),
    ),
    Example(
        "the device begins, asks who we are, and asks what nobody knows: each is answered",
        _asks(0x51) + _asks(0x52) + _asks(0x30) + _asks(0x49) + _asks(0x7E),
        answers=(
            b"\x01\x5152\r",
            frame_of(RESPONSE, 0x52, WHO_WE_ARE),
            _says(0x30),
            _says(0x49),
            _says(0x7E),
        ),
    ),
    Example(
        "the device asks who we are in the middle of its answer to ICC",
        b"\x01" + _asks(0x52) + b"\x5152\r",
        answers=(frame_of(RESPONSE, 0x52, WHO_WE_ARE),),
    ),
    Example(
        "a question and realtime values in the middle of a response belong to neither",
        _SAVINA[:9] + b"\xd0\xc1" + _asks(0x30)[:2] + b"\xff" + _asks(0x30)[2:] + _SAVINA[9:],
        bodies=(_IS_SAVINA,),
        answers=(_says(0x30),),
    ),
    Example(
        "a question that did not arrive whole is answered with NAK",
        b"\x1b\x3049\r" + _asks(0x30),
        answers=(b"\x01\x1516\r", _says(0x30)),
        refusal="checksum of a command of 5 bytes does not fit",
    ),
    Example("the identification of a computer is none of a device", _says(0x52, WHO_WE_ARE)),
    Example(
        "what follows garbage is heard",
        b"noise\r" + _SAVINA,
        bodies=(_IS_SAVINA,),
        refusal="bytes that begin no MEDIBUS frame",
    ),
    Example(
        "a response cut short does not cost the next one",
        _AT_WORK[:9] + _SAVINA,
        bodies=(_IS_SAVINA,),
        refusal="response without an end",
    ),
    Example(
        "a response that never ends", _AT_WORK[:-1], refusal="unfinished response: it ends after 22 bytes"
    ),
    Example("alarms of half a row", _says(0x27, b"O9FSAVINA"), refusal="alarms of CP1 in 9 bytes"),
    Example("alarms without priority", _says(0x27, b" 9FSAVINA ERR  "), refusal="no rows of 15"),
    Example("texts without their end", _says(0x2A, b"1E3ABC"), refusal="texts of 6 bytes"),
    Example("measured values of half a row", _says(0x24, b"D6 14"), refusal="values of 5 bytes"),
    Example("a clock in words", _says(0x28, b"HALF PAST NINE"), refusal="date and time of 14 bytes"),
    Example("an identification without revisions", _says(0x52, b"8250'Savina'"), refusal="of 12 bytes"),
)
