"""Puritan Bennett 840 and 980 ventilators over their DCI port: the SNDF report, polled.

    request  RSET CR  clears the ventilator's input, once for each link;  SNDF CR  asks for a report

    answer   MISCF,1225,169 ,  STX  time_,model serial_____,date_______, ... ,  ETX  CR
             |     |    |           |     |                 |
             |     |    |           5     6, 18 wide        7, 12 wide: fields are numbered from 5 to 173,
             |     |    169 fields, each padded with blanks and ended by a comma
             |     1225 bytes strictly between STX and ETX
             start word; there is no checksum and no sequence number

Rule 1: ventilation figures, settings and the ideal body weight (60) never leave this file. Fields 70 and 72
are looked at to judge use, and dropped.
Rule 2: in use is rate (70) > 0, exhaled minute volume (72) > 0 and a mode (9). There is no standby flag:
*idle* takes both figures readable and zero; blank, unreadable or contradicting figures are *unknown*.
Rule 3: LOW, MEDIUM and HIGH are active; NORMAL, RESET (was active, has been reset) and blank are not; any
other word is said once with condition unknown, and not quoted unless it is made of letters.
Rule 4: field 6 is the identity, of an 840 or a 980; another device on the same link starts anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from types import MappingProxyType
from typing import Final

from adapters.contract import Answer, Example, Heard, Outcome, ProtocolInfo, Refusal
from adapters.edges import Edge, Occurrences, Reading
from adapters.framing import FixedFrames, Frame
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
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
    id="puritan-bennett",
    manufacturer="Puritan Bennett",
    title="Puritan Bennett 840/980 DCI (SNDF)",
    source="field tables of MD PnP and OpenICE; a capture of an 840 of 2023; the 980 by its table only",
    poll_s=30.0,
)

FIELDS: Final = range(5, 174)
"""Numbers of the 169 fields, as the tables count them."""
_WIDE: Final = MappingProxyType({6: 18, 7: 12, 8: 9, 50: 9, 53: 18, 55: 9, 66: 9})
_WIDTHS: Final = tuple(_WIDE.get(field, 6) for field in FIELDS)
_ENDS: Final = tuple(accumulate(width + 1 for width in _WIDTHS))
_WORD: Final = b"MISCF,"
_HEADER: Final = b"MISCF,1225,169 ,\x02"
_BODY: Final = _ENDS[-1]
_TRAILER: Final = b"\x03\r"
FRAME_BYTES: Final = len(_HEADER) + _BODY + len(_TRAILER)
_CONTROL: Final = re.compile(rb"[^ -~]")
_IDENTITY: Final = re.compile(r"(840|980) +([0-9A-Za-z-]+)")
_FIGURE: Final = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_DATE: Final = re.compile(r"([A-Z]{3}) ([0-9]{1,2}) ([0-9]{4})")
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})")
MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
VENTILATOR: Final = 70001
"""MDC_DEV_SYS_PT_VENT_MDS of IEEE 11073-10101, context-free."""

_LEVELS: Final = MappingProxyType({"LOW": Priority.LOW, "MEDIUM": Priority.MEDIUM, "HIGH": Priority.HIGH})
_QUIET: Final = frozenset({"NORMAL", "RESET", ""})
_ENABLED: Final = MappingProxyType({"ENABLED": 1.0, "DISABLED": 0.0})


@dataclass(frozen=True, slots=True)
class _AlarmRow:
    text: str
    kind: AlarmKind


@dataclass(frozen=True, slots=True)
class _FaultRow:
    code: str
    text: str
    effect: Effect = Effect.REMOVAL_ADVISED
    mapped: bool = True


_Row = _AlarmRow | _FaultRow


def _rows(kind: AlarmKind, texts: Mapping[int, str]) -> dict[int, _Row]:
    return {field: _AlarmRow(text, kind) for field, text in texts.items()}


_BOTH: Final[Mapping[int, _Row]] = MappingProxyType(
    _rows(
        AlarmKind.PHYSIOLOGICAL,
        {
            106: "apnoea ventilation",
            107: "high exhaled minute volume",
            108: "high exhaled tidal volume",
            109: "high O2 %",
            110: "high circuit pressure",
            111: "high ventilator pressure",
            112: "high respiratory rate",
            117: "low exhaled mandatory tidal volume",
            118: "low exhaled minute volume",
            119: "low exhaled spontaneous tidal volume",
            124: "circuit disconnect",
            125: "severe occlusion",
            126: "inspiration too long",
            128: "compliance limited tidal volume",
            129: "high inspired spontaneous tidal volume",
            130: "high inspired mandatory tidal volume",
            131: "high compensation limit",
            132: "PAV start-up too long",
            133: "PAV R and C not assessed",
            134: "volume not delivered, spontaneous",
            135: "volume not delivered, mandatory",
            136: "low circuit pressure",
        },
    )
    | _rows(
        AlarmKind.TECHNICAL,
        {
            113: "AC power loss",
            114: "inoperative battery",
            115: "low battery",
            116: "loss of power",
            120: "low O2 %",
            121: "low air supply",
            122: "low O2 supply",
            123: "compressor inoperative",
        },
    )
    | _rows(AlarmKind.ADVISORY, {127: "procedure error"})
)
"""Fields 106 to 136; twins whose order the tables do not tell (129/130, 134/135) are both of the patient."""


def _malfunctions(last: int) -> dict[int, _Row]:
    codes = {field: f"A{5 * (field - 136)}" for field in range(137, last + 1)}
    return {field: _FaultRow(code, f"technical malfunction {code}") for field, code in codes.items()}


_TABLES: Final[Mapping[str, Mapping[int, _Row]]] = MappingProxyType(
    {
        "840": MappingProxyType({**_BOTH, **_malfunctions(153)}),
        "980": MappingProxyType(
            {
                **_BOTH,
                116: _AlarmRow("inadvertent power off", AlarmKind.TECHNICAL),
                **_malfunctions(145),
                **{
                    field: _FaultRow(f"{field}", f"field {field} of a 980", Effect.SERVICE_HIGH, mapped=False)
                    for field in range(146, 153)
                },
                153: _AlarmRow("high EtCO2", AlarmKind.PHYSIOLOGICAL),
                160: _AlarmRow("proximal flow sensor inoperative", AlarmKind.TECHNICAL),
            }
        ),
    }
)
"""By model: a 980 leaves 146 to 152 blank (what it puts there is kept as unmapped) and uses 153 and 160."""


def frame_of(fields: Mapping[int, str]) -> bytes:
    """The report with these fields, all others blank. Raises ValueError for a text that does not fit."""
    parts = []
    for field, width in zip(FIELDS, _WIDTHS, strict=True):
        text = fields.get(field, "")
        if len(text) > width or "," in text:
            raise ValueError(f"field {field} holds {width} bytes without comma, not {text!r}")
        parts.append(f"{text:<{width}},")
    return _HEADER + "".join(parts).encode("ascii") + _TRAILER


def fields_of(frame: bytes) -> dict[int, str]:
    """The fields of a sound report by number, without their padding."""
    texts = frame[len(_HEADER) : len(_HEADER) + _BODY].decode("ascii").split(",")
    return {field: text.strip(" ") for field, text in zip(FIELDS, texts[:-1], strict=True)}


def device_time(fields: Mapping[int, str]) -> datetime | None:
    """The ventilator's clock of fields 5 and 7, to the minute; None if it cannot be one."""
    time, date = _TIME.fullmatch(fields[5]), _DATE.fullmatch(fields[7])
    if time is None or date is None or date[1] not in MONTHS:
        return None
    try:
        return datetime(  # noqa: DTZ001 - the ventilator tells no zone
            int(date[3]), MONTHS.index(date[1]) + 1, int(date[2]), int(time[1]), int(time[2])
        )
    except ValueError:
        return None


def frames() -> FixedFrames:
    """The framing of one stream of reports."""
    return FixedFrames(_WORD, size=FRAME_BYTES, fault=_fault)


def _fault(data: bytearray) -> str | None:
    if not _HEADER.startswith(data[: len(_HEADER)]):
        return "header is not MISCF,1225,169 (the ventilator's serial protocol must be DCI, not Philips)"
    end = len(_HEADER) + _BODY
    control = _CONTROL.search(data, len(_HEADER), end)
    if control is not None:
        length = control.start() - len(_HEADER)
        if data[control.start()] == 0x03:
            return f"body of {length} bytes instead of {_BODY}"
        return f"byte {data[control.start()]:02x} after {length} bytes of the body"
    if not _TRAILER.startswith(data[end : end + len(_TRAILER)]):
        return f"no ETX and CR after {_BODY} bytes of the body"
    if len(data) < FRAME_BYTES:
        return None
    count = data.count(b",", len(_HEADER), end)
    if count != len(FIELDS):
        return f"{count} fields instead of {len(FIELDS)}"
    for field, width_end in zip(FIELDS, _ENDS, strict=True):
        if data[len(_HEADER) + width_end - 1] != 0x2C:
            return f"field {field} is not as wide as it must be"
    return None


def _state(fields: Mapping[int, str]) -> OperatingState:
    if not (_FIGURE.fullmatch(fields[70]) and _FIGURE.fullmatch(fields[72])):
        return OperatingState.UNKNOWN
    rate, volume = float(fields[70]), float(fields[72])
    if rate > 0 and volume > 0 and fields[9]:
        return OperatingState.IN_USE
    return OperatingState.IDLE if rate == volume == 0 else OperatingState.UNKNOWN


def _reading(word: str) -> Reading:
    if word in _QUIET:
        return Reading(Condition.INACTIVE, Priority.UNKNOWN, word)
    if word in _LEVELS:
        return Reading(Condition.ACTIVE, _LEVELS[word], word)
    return Reading(Condition.UNKNOWN, Priority.UNKNOWN, word if word.isalpha() else "(no word)")


def _body(row: _Row, *, code: str, edge: Edge) -> Body:
    now = edge.reading
    if isinstance(row, _FaultRow):
        return Fault(
            key=edge.key,
            code=code,
            text=row.text,
            effect=row.effect,
            mapped=row.mapped,
            phase=edge.phase,
            condition=now.condition,
            raw=now.raw,
        )
    return Alarm(
        key=edge.key,
        code=code,
        text=row.text,
        alarm_kind=row.kind,
        priority=now.priority,
        phase=edge.phase,
        condition=now.condition,
        raw=now.raw,
    )


class PuritanBennett:
    """The talk with one ventilator: what it said last, to tell edges from repetition."""

    def __init__(self, *, period_s: float) -> None:
        self._period_s = period_s
        self._frames = frames()
        self._alias: Alias | None = None
        self._occurrences = Occurrences()
        self._first = True
        self._o2_sensor: float | None = None

    def connected(self) -> tuple[Outcome, ...]:
        """`RSET` first; what was active before stays the same occurrence if it is active still."""
        self._first = True
        return (*self.closed(), Answer(b"RSET\r"))

    def poll(self) -> bytes:
        """`SNDF`, the report of fixed fields."""
        return b"SNDF\r"

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """One `Heard` for each sound report."""
        return tuple(
            self._hear(item) if isinstance(item, Frame) else item for item in self._frames.feed(data)
        )

    def closed(self) -> tuple[Outcome, ...]:
        """A report that was begun is refused."""
        return self._frames.close()

    def _hear(self, frame: Frame) -> Outcome:
        fields = fields_of(frame.data)
        identity = _IDENTITY.fullmatch(fields[6])
        if identity is None:
            return Refusal(frame.offset, "field 6 is not 840 or 980 and a serial number")
        model, serial = identity.groups()
        alias = Alias(protocol=INFO.id, namespace=model, identifier=serial)
        bodies: list[Body] = []
        if alias != self._alias:
            bodies.append(_identity(alias))
            self._occurrences.forget()
            self._first, self._o2_sensor, self._alias = True, None, alias
        bodies.append(Usage(state=_state(fields), period_s=self._period_s))
        time = device_time(fields)
        bodies += self._o2_sensor_change(fields[55])
        bodies += self._edges(fields, alias=alias, time=time)
        self._first = False
        return Heard(alias, time, tuple(bodies), frame.offset)

    def _o2_sensor_change(self, word: str) -> tuple[Body, ...]:
        enabled = _ENABLED.get(word.upper())
        if enabled is None or enabled == self._o2_sensor:
            return ()
        self._o2_sensor = enabled
        return (Metrics(values=(Metric(quantity=Quantity.O2_SENSOR_ENABLED_BOOL, value=enabled),)),)

    def _edges(self, fields: Mapping[int, str], *, alias: Alias, time: datetime | None) -> list[Body]:
        told = time.isoformat(timespec="minutes") if time else "no-clock"
        stamp = f"{alias.identifier}/{told}"
        bodies = []
        for field, row in _TABLES[alias.namespace].items():
            code = row.code if isinstance(row, _FaultRow) else str(field)
            edge = self._occurrences.compare(code, _reading(fields[field]), first=self._first, stamp=stamp)
            if edge is not None:
                bodies.append(_body(row, code=code, edge=edge))
        return bodies


def _identity(alias: Alias) -> Identity:
    return Identity(
        manufacturer=INFO.manufacturer,
        model=alias.namespace,
        serial=alias.identifier,
        device_type=VENTILATOR,
    )


def adapter(*, period_s: float) -> PuritanBennett:
    """An adapter for the ventilator at the end of one link, asked every `period_s` seconds."""
    return PuritanBennett(period_s=period_s)


QUIET_FIELDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        5: "07:30",
        6: "840 3510000001",
        7: "JAN 09 2024",
        8: "INVASIVE",
        9: "A/C",
        55: "Enabled",
        66: "ADULT",
        70: "14.0",
        72: "7.200",
        105: "OFF",
        **dict.fromkeys(range(106, 154), "NORMAL"),
    }
)
"""A self-made 840 ventilating, with nothing amiss."""
_ALIAS: Final = Alias(protocol=INFO.id, namespace="840", identifier="3510000001")
_AT: Final = datetime(2024, 1, 9, 7, 30)  # noqa: DTZ001 - the ventilator tells no zone
_IN_USE: Final = Usage(state=OperatingState.IN_USE, period_s=INFO.poll_s)
_GREETING: Final[tuple[Body, ...]] = (
    _identity(_ALIAS),
    _IN_USE,
    Metrics(values=(Metric(quantity=Quantity.O2_SENSOR_ENABLED_BOOL, value=1.0),)),
)


def _frame(fields: Mapping[int, str] = MappingProxyType({})) -> bytes:
    return frame_of({**QUIET_FIELDS, **fields})


def _alarm_122(phase: Phase, condition: Condition, priority: Priority, raw: str) -> Alarm:
    return Alarm(
        key="122/3510000001/2024-01-09T07:30/1",
        code="122",
        text="low O2 supply",
        alarm_kind=AlarmKind.TECHNICAL,
        priority=priority,
        phase=phase,
        condition=condition,
        raw=raw,
    )


EXAMPLES: Final = (
    Example(
        "a ventilator in use with nothing amiss",
        _frame(),
        bodies=_GREETING,
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "low O2 supply seen from the first report is present, rises and ends; a standing RESET is nothing",
        _frame({122: "LOW", 127: "RESET"})
        + _frame({122: "LOW", 127: "RESET"})
        + _frame({5: "07:31", 122: "HIGH"})
        + _frame({5: "07:32", 122: "RESET"}),
        bodies=(
            *_GREETING,
            _alarm_122(Phase.PRESENT, Condition.ACTIVE, Priority.LOW, "LOW"),
            _IN_USE,
            _IN_USE,
            _alarm_122(Phase.UPDATE, Condition.ACTIVE, Priority.HIGH, "HIGH"),
            _IN_USE,
            _alarm_122(Phase.END, Condition.INACTIVE, Priority.HIGH, "RESET"),
        ),
        alias=_ALIAS,
        device_time=_AT.replace(minute=32),
    ),
    Example(
        "a technical malfunction that appears is the start of a fault",
        _frame() + _frame({143: "HIGH"}),
        bodies=(
            *_GREETING,
            _IN_USE,
            Fault(
                key="A35/3510000001/2024-01-09T07:30/1",
                code="A35",
                text="technical malfunction A35",
                effect=Effect.REMOVAL_ADVISED,
                phase=Phase.START,
                condition=Condition.ACTIVE,
                raw="HIGH",
            ),
        ),
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "an impossible date is no device time, and no refusal",
        _frame({7: "FEB 30 2024"}),
        bodies=_GREETING,
        alias=_ALIAS,
    ),
    Example(
        "what follows garbage is heard",
        b"\x00\xff noise\r" + _frame(),
        bodies=_GREETING,
        alias=_ALIAS,
        device_time=_AT,
        refusal="begin no MISCF, frame",
    ),
    Example(
        "a report cut short does not cost the next one",
        _frame()[:600] + _frame(),
        bodies=_GREETING,
        alias=_ALIAS,
        device_time=_AT,
        refusal="byte 02 after 599 bytes",
    ),
    Example("a report that never ends", _frame()[:-1], refusal="unfinished frame: 1243 of 1244"),
    Example("another serial protocol", _frame().replace(b"1225", b"1229"), refusal="not Philips"),
    Example("ETX comes too early", _frame().replace(b"NORMAL", b"", 1), refusal="1219 bytes instead of 1225"),
    Example("no ETX where it must be", _frame().replace(b"\x03", b" "), refusal="no ETX and CR"),
    Example("a comma too many", _frame().replace(b"A/C ", b"A,C "), refusal="170 fields instead of 169"),
    Example(
        "fields of the wrong width",
        _frame().replace(b"07:30 ,", b"07:30, "),
        refusal="field 5 is not as wide",
    ),
    Example("no identity", _frame({6: ""}), refusal="field 6"),
    Example("a model whose fields are not known", _frame({6: "7200 123"}), refusal="field 6"),
)
