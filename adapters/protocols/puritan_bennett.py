"""Puritan Bennett 840 and 980 ventilators over their DCI port: the SNDF report, polled; SNDA where it is all.

    SNDF CR   MISCF,1225,169 ,  STX  07:30 ,840 3510000001    ,JAN 09 2024 , ... ,  ETX  CR
              MISCF,1229,169 ,  STX  the same, with four further bytes            ,  ETX  CR
    SNDA CR   MISCA,706,97,     STX  07:30 ,840 3510000001    ,      ,JAN 09 2024 , ... ,  ETX  CR

The layout of the reports byte by byte stands in `adapters.puritan_bennett_reports`.

Rule 1: ventilation figures, settings and the ideal body weight (60) never leave this file. Rate and minute
volume are looked at to judge use, and dropped.
Rule 2: in use is total rate (70; SNDA 34) > 0, exhaled minute volume (72; 36) > 0 and a mode (9). There is no
standby flag: *idle* takes both figures readable and zero; blank, unreadable or contradicting figures are
*unknown*.
Rule 3: LOW, MEDIUM and HIGH are active, in SNDA it is ALARM, which has no priority; NORMAL, RESET (was
active, has been reset) and blank are not; any other word is said once with condition unknown, and not quoted
unless it is made of letters.
Rule 4: field 6 is the identity, of an 840 or a 980; another device on the same link starts anew.
Rule 5: a condition has the code of its SNDF field in both reports. What SNDA lacks (power, battery,
compressor, malfunctions, O2 sensor) is unknown: open before, it is told unknown once, not ended or invented.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapters.asking import Asking
from adapters.contract import (
    Answer,
    Evidence,
    Example,
    Heard,
    Model,
    Outcome,
    ProtocolInfo,
    Refusal,
    SerialLine,
    Table,
    Way,
)
from adapters.edges import Edge, Occurrences, Reading
from adapters.framing import Frame
from adapters.puritan_bennett_reports import (
    LAYOUTS,
    PHILIPS,
    SNDA,
    SNDF,
    Layout,
    Report,
    frame_of,
    frames,
    report_of,
)
from adapters.redacting import FrameRedactor
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
    title="Puritan Bennett 840/980 DCI (SNDF, SNDA)",
    source=(
        "the field tables of MD PnP (840, C++), OpenICE and RTA-node-python, read side by side; a capture"
        " of 33 reports of one 840 (2023); a report of an 840 (SNDA, 2011) and one of a 980 (SNDF, 2023)"
        " printed in public source code; kinds of alarms and the rule of use by this project"
    ),
    poll_s=30.0,
    ways=(Way.SERIAL, Way.TCP),
    line=SerialLine(baud_rate=9600),
    models=(
        Model("840, SNDF of 1225 bytes", Evidence.CAPTURE, "33 reports of one ventilator, 2023"),
        Model(
            "840, SNDF of 1229 bytes (port set to Philips)",
            Evidence.MANUAL,
            "the announced length alone: no document says where the four further bytes stand",
        ),
        Model("840, SNDA of 706 bytes (older software)", Evidence.MANUAL, "and one printed report"),
        Model("980, SNDF", Evidence.MANUAL, "and one printed report"),
        Model("980, SNDA or port set to Philips", Evidence.MANUAL, "the tables of the 840 only"),
    ),
    sends=(
        "`RSET`, once for each link: clears the ventilator's input.",
        "`SNDF`, one for each poll: the full report. Each question is ended by CR.",
        (
            "`SNDA`, in place of `SNDF`. Where two `SNDF` in a row stay without an answer it is tried, in"
            " turn with `SNDF`; when it is answered and the next `SNDF` again is not, the software is taken"
            " to be older, and `SNDA` alone is asked. A new link begins with `SNDF`, and so does a"
            " ventilator that has left three `SNDA` without an answer: another one may stand there."
        ),
    ),
    bedside=(
        "The ventilator answers what it is asked and does nothing else on this port: the documents at hand"
        " name no alarm and no sign for questions that stop. It was not tried at a bedside."
    ),
    notes=(
        "### Cable",
        (
            "RS-232, 8 data bits, no parity, 1 stop bit; 1200 to 115200 bits per second. 9600 and 38400"
            " are usual, and the ventilator's own setting (communication set-up) must be the same; its port"
            " must be set to DCI or Philips. One host only: a monitor or an information system that asks"
            " the same port gets our answers, and we get its. Connector and cable are those of the"
            " operator's manual of the ventilator; they were not checked here. A port of the 980 other than"
            " RS-232 is not offered."
        ),
        "### What is told, and what is not",
        (
            "Not carried by these reports: operating hours, standby, software version, battery charge."
            " Hours are derived from use. Everything of the patient stays in the adapter: settings,"
            " ventilation figures, the ideal body weight (60); alarms of the patient are counted and never"
            " open a ticket."
        ),
        (
            "There is no checksum and no sequence number: header, STX, ETX, CR, both numbers and every"
            " width must agree, or the report is refused and counted. Of 1229 bytes the fields are told"
            " apart by their commas, none narrower than in 1225."
        ),
        (
            "SNDA 51 and 95 stand for two fields of SNDF each, untold which. What SNDA does not tell is"
            " unknown: an alarm that was open before is said to be unknown, once. A 980 leaves 146 to 152"
            " blank: a word there is kept as an unmapped fault. Its field 161 is a value of the patient,"
            " and dropped."
        ),
        "A Respironics V60 answers SNDA in the same frame, and names no device: here it is refused.",
    ),
)

_IDENTITY: Final = re.compile(r"(840|980) +([0-9A-Za-z-]+)")
_FIGURE: Final = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
VENTILATOR: Final = 70001
"""MDC_DEV_SYS_PT_VENT_MDS of IEEE 11073-10101, context-free."""

_LEVELS: Final = MappingProxyType({"LOW": Priority.LOW, "MEDIUM": Priority.MEDIUM, "HIGH": Priority.HIGH})
_ALARM: Final = MappingProxyType({"ALARM": Priority.UNKNOWN})
_QUIET: Final = frozenset({"NORMAL", "RESET", ""})
_NOT_TOLD: Final = Reading(Condition.UNKNOWN, Priority.UNKNOWN, "")
_ENABLED: Final = MappingProxyType({"ENABLED": 1.0, "DISABLED": 0.0})


@dataclass(frozen=True, slots=True)
class _AlarmRow:
    field: int
    text: str
    kind: AlarmKind


@dataclass(frozen=True, slots=True)
class _FaultRow:
    field: int
    text: str
    effect: Effect = Effect.REMOVAL_ADVISED
    mapped: bool = True


_Row = _AlarmRow | _FaultRow
_Table = Mapping[str, _Row]
"""What SNDF tells, by code: the alarm's field as text, or the malfunction's own code."""


def _rows(kind: AlarmKind, texts: Mapping[int, str]) -> dict[str, _Row]:
    return {str(field): _AlarmRow(field, text, kind) for field, text in texts.items()}


_BOTH: Final[_Table] = MappingProxyType(
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


def _malfunctions(last: int) -> dict[str, _Row]:
    codes = {field: f"A{5 * (field - 136)}" for field in range(137, last + 1)}
    return {code: _FaultRow(field, f"technical malfunction {code}") for field, code in codes.items()}


_SNDF_840: Final[_Table] = MappingProxyType({**_BOTH, **_malfunctions(153)})
_SNDF_980: Final[_Table] = MappingProxyType(
    {
        **_BOTH,
        "116": _AlarmRow(116, "inadvertent power off", AlarmKind.TECHNICAL),
        **_malfunctions(145),
        **{
            f"{field}": _FaultRow(field, f"field {field} of a 980", Effect.SERVICE_HIGH, mapped=False)
            for field in range(146, 153)
        },
        "153": _AlarmRow(153, "high EtCO2", AlarmKind.PHYSIOLOGICAL),
        "160": _AlarmRow(160, "proximal flow sensor inoperative", AlarmKind.TECHNICAL),
    }
)
"""A 980 leaves 146 to 152 blank (what it puts there is kept as unmapped) and uses 153 and 160."""
_TABLES: Final[Mapping[str, _Table]] = MappingProxyType({"840": _SNDF_840, "980": _SNDF_980})
_SNDA_FIELDS: Final = MappingProxyType(
    {"110": (48,), "118": (52,), "112": (53,), "122": (54,), "121": (55,), "106": (57, 94)}
)
"""Fields in which SNDA tells the conditions of the same code; it calls 122 and 121 *no* O2 and air supply."""
_SNDA_OWN: Final[_Table] = MappingProxyType(
    {
        "SNDA-51": _AlarmRow(51, "low exhaled tidal volume", AlarmKind.PHYSIOLOGICAL),
        "SNDA-95": _AlarmRow(95, "severe occlusion or circuit disconnect", AlarmKind.PHYSIOLOGICAL),
    }
)
"""51 is 117 or 119, and 95 is 124 or 125, untold which."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    """Where a report tells what we look at, and its words for an active alarm."""

    rate: int
    volume: int
    o2_sensor: int | None
    active: Mapping[str, Priority]


_IN_SNDF: Final = _Meaning(rate=70, volume=72, o2_sensor=55, active=_LEVELS)
_IN_SNDA: Final = _Meaning(rate=34, volume=36, o2_sensor=None, active=_ALARM)


def _fields_by_code(layout: Layout, model: str) -> Mapping[str, tuple[int, ...]]:
    """The alarm fields of a report."""
    if layout is SNDA:
        return {**_SNDA_FIELDS, **{code: (row.field,) for code, row in _SNDA_OWN.items()}}
    return {code: (row.field,) for code, row in _TABLES[model].items()}


def _state(fields: Mapping[int, str], meaning: _Meaning) -> OperatingState:
    if not (_FIGURE.fullmatch(fields[meaning.rate]) and _FIGURE.fullmatch(fields[meaning.volume])):
        return OperatingState.UNKNOWN
    rate, volume = float(fields[meaning.rate]), float(fields[meaning.volume])
    if rate > 0 and volume > 0 and fields[9]:
        return OperatingState.IN_USE
    return OperatingState.IDLE if rate == volume == 0 else OperatingState.UNKNOWN


def _reading(words: tuple[str, ...], active: Mapping[str, Priority]) -> Reading:
    """What one condition's fields tell: the first that is not quiet speaks for all."""
    word = next((word for word in words if word not in _QUIET), words[0])
    if word in _QUIET:
        return Reading(Condition.INACTIVE, Priority.UNKNOWN, word)
    if word in active:
        return Reading(Condition.ACTIVE, active[word], word)
    return Reading(Condition.UNKNOWN, Priority.UNKNOWN, word if word.isalpha() else "(no word)")


def _body(row: _Row, *, code: str, edge: Edge) -> Body:
    if isinstance(row, _FaultRow):
        return edge.fault(code, row.text, row.effect, mapped=row.mapped)
    return edge.alarm(code, row.text, row.kind)


class PuritanBennett:
    """The talk with one ventilator: what it said last, to tell edges from repetition."""

    def __init__(self, *, period_s: float) -> None:
        self._period_s = period_s
        self._frames = frames()
        self._asking = Asking(full=SNDF.command, short=SNDA.command)
        self._alias: Alias | None = None
        self._occurrences = Occurrences()
        self._told: set[str] = set()
        self._o2_sensor: float | None = None

    def connected(self) -> tuple[Outcome, ...]:
        """`RSET` first; what was active before stays the same occurrence if it is active still."""
        self._told.clear()
        self._asking.begin()
        return (*self.closed(), Answer(b"RSET\r"))

    def poll(self) -> bytes:
        """`SNDF`, the report of fixed fields; `SNDA` of a ventilator that answers nothing else."""
        return self._asking.next() + b"\r"

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """One `Heard` for each sound report."""
        return tuple(
            self._hear(item) if isinstance(item, Frame) else item for item in self._frames.feed(data)
        )

    def closed(self) -> tuple[Outcome, ...]:
        """A report that was begun is refused."""
        return self._frames.close()

    def _hear(self, frame: Frame) -> Outcome:
        report = report_of(frame.data)
        meaning, fields = _IN_SNDA if report.layout is SNDA else _IN_SNDF, report.fields
        identity = _IDENTITY.fullmatch(fields[6])
        if identity is None:
            return Refusal(frame.offset, "field 6 is not 840 or 980 and a serial number")
        self._asking.hear(report.layout.command)
        model, serial = identity.groups()
        alias = Alias(protocol=INFO.id, namespace=model, identifier=serial)
        bodies: list[Body] = []
        if alias != self._alias:
            bodies.append(_identity(alias))
            self._occurrences.forget()
            self._told.clear()
            self._o2_sensor, self._alias = None, alias
        bodies.append(Usage(state=_state(fields, meaning), period_s=self._period_s))
        if meaning.o2_sensor is not None:
            bodies += self._o2_sensor_change(fields[meaning.o2_sensor])
        bodies += self._edges(report, meaning, alias=alias)
        return Heard(alias, report.device_time, tuple(bodies), frame.offset)

    def _o2_sensor_change(self, word: str) -> tuple[Body, ...]:
        enabled = _ENABLED.get(word.upper())
        if enabled is None or enabled == self._o2_sensor:
            return ()
        self._o2_sensor = enabled
        return (Metrics(values=(Metric(quantity=Quantity.O2_SENSOR_ENABLED_BOOL, value=enabled),)),)

    def _edges(self, report: Report, meaning: _Meaning, *, alias: Alias) -> list[Body]:
        told = report.device_time.isoformat(timespec="minutes") if report.device_time else "no-clock"
        fields = _fields_by_code(report.layout, alias.namespace)
        readings = {
            code: _reading(tuple(report.fields[field] for field in places), meaning.active)
            for code, places in fields.items()
        } | dict.fromkeys(sorted(self._occurrences.open - fields.keys()), _NOT_TOLD)
        rows = {**_TABLES[alias.namespace], **_SNDA_OWN}
        bodies = []
        for code, reading in readings.items():
            edge = self._occurrences.compare(
                code, reading, first=code not in self._told, stamp=f"{alias.identifier}/{told}"
            )
            if edge is not None:
                bodies.append(_body(rows[code], code=code, edge=edge))
        self._told |= fields.keys()
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


# -- what may be recorded -----------------------------------------------------------------------------------


def redactor() -> FrameRedactor[Frame]:
    """A redactor for one link: of a report, clock, identity, O2 sensor and alarm words stay as they are."""
    return FrameRedactor(frames(), keep=_kept)


def _kept(frame: Frame) -> bytes:
    """The report with what is heard of it, all else blank; nothing of a device that is not known."""
    report = report_of(frame.data)
    identity = _IDENTITY.fullmatch(report.fields[6])
    if identity is None:
        return b""
    meaning = _IN_SNDA if report.layout is SNDA else _IN_SNDF
    clock = (5, report.layout.date) if report.device_time else ()
    kept = {field: report.fields[field] for field in (*clock, 6)}
    kept |= {field: _evidence(report.fields[field]) for field in (meaning.rate, meaning.volume)}
    kept[9] = "*" if report.fields[9] else ""
    if meaning.o2_sensor is not None and report.fields[meaning.o2_sensor].upper() in _ENABLED:
        kept[meaning.o2_sensor] = report.fields[meaning.o2_sensor]
    for places in _fields_by_code(report.layout, identity[1]).values():
        for field in places:
            kept[field] = _reading((report.fields[field],), meaning.active).raw
    return frame_of(
        {field: text.replace("(no word)", "?") for field, text in kept.items()}, layout=report.layout
    )


def _evidence(figure: str) -> str:
    """As much of a figure as tells use."""
    if not _FIGURE.fullmatch(figure):
        return ""
    return "1" if float(figure) > 0 else "0"


# -- its page -----------------------------------------------------------------------------------------------

_SOURCE: Final = "field tables of MD PnP, OpenICE and RTA-node-python"


def _widths(layout: Layout) -> str:
    wide = ", ".join(
        f"{field}: {width}" for field, width in zip(layout.fields, layout.widths, strict=True) if width != 6
    )
    return f"6; {wide}"


def _word_rows() -> tuple[tuple[str, ...], ...]:
    return (
        *((word, "SNDF", "active", level) for word, level in _LEVELS.items()),
        *((word, "SNDA", "active", level) for word, level in _ALARM.items()),
        *((word or "(blank)", "both", "not active", "") for word in sorted(_QUIET)),
        ("any other", "both", "unknown, said once", ""),
    )


def _condition_rows() -> tuple[tuple[str, ...], ...]:
    """Every code with what it is called by either model, and its fields."""
    rows = []
    for code in {**_SNDF_840, **_SNDF_980, **_SNDA_OWN}:
        by_model = {model: table.get(code) for model, table in _TABLES.items()}
        for row in dict.fromkeys(row for row in (*by_model.values(), _SNDA_OWN.get(code)) if row):
            only = [model for model, its in by_model.items() if its == row]
            short = ", ".join(map(str, _SNDA_FIELDS.get(code, ())))
            full, short = ("", str(row.field)) if code in _SNDA_OWN else (str(row.field), short)
            what = f"fault: {row.effect}" if isinstance(row, _FaultRow) else row.kind.value
            where = only[0] if len(only) == 1 else ""
            rows.append((code, row.text, what, full, short, where))
    return tuple(rows)


TABLES: Final = (
    Table(
        "The reports",
        _SOURCE,
        ("asked by", "header", "fields", "bytes from STX to ETX", "bytes of a field"),
        tuple(
            (
                layout.command.decode(),
                layout.header[:-1].decode(),
                f"{len(layout.fields)}, {layout.fields[0]} to {layout.fields[-1]}",
                str(layout.body),
                _widths(layout),
            )
            for layout in LAYOUTS
        ),
    ),
    Table(
        "What is read",
        _SOURCE,
        ("told", "SNDF", "SNDA", "becomes"),
        (
            ("clock, to the minute, no zone", f"5, {SNDF.date}", f"5, {SNDA.date}", "device time"),
            ("model and serial number", "6", "6", "identity, alias"),
            ("mode", "9", "9", "use, with the next two"),
            ("total rate", str(_IN_SNDF.rate), str(_IN_SNDA.rate), "in use above 0"),
            ("exhaled minute volume", str(_IN_SNDF.volume), str(_IN_SNDA.volume), "in use above 0"),
            ("O2 sensor", str(_IN_SNDF.o2_sensor), "", Quantity.O2_SENSOR_ENABLED_BOOL.value),
        ),
    ),
    Table("Words of alarms", _SOURCE, ("word", "in", "condition", "priority"), _word_rows()),
    Table(
        "Alarms and faults",
        f"{_SOURCE}; kinds by this project",
        ("code", "text", "kind", "SNDF", "SNDA", "only"),
        _condition_rows(),
    ),
)


# -- examples -----------------------------------------------------------------------------------------------

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
QUIET_SHORT_FIELDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        5: "07:30",
        6: "840 3510000001",
        8: "JAN 09 2024",
        9: "CMV",
        34: "14",
        36: "7.20",
        93: "OFF",
        **dict.fromkeys((48, 51, 52, 53, 54, 55, 57, 94, 95), "NORMAL"),
    }
)
"""What the same 840 tells by SNDA."""
_ALIAS: Final = Alias(protocol=INFO.id, namespace="840", identifier="3510000001")
_AT: Final = datetime(2024, 1, 9, 7, 30)  # noqa: DTZ001 - the ventilator tells no zone
_IN_USE: Final = Usage(state=OperatingState.IN_USE, period_s=INFO.poll_s)
_SENSOR: Final = Metrics(values=(Metric(quantity=Quantity.O2_SENSOR_ENABLED_BOOL, value=1.0),))
_GREETING: Final[tuple[Body, ...]] = (_identity(_ALIAS), _IN_USE, _SENSOR)
_ALIAS_980: Final = Alias(protocol=INFO.id, namespace="980", identifier="35B1700042")
_AS_980: Final[Mapping[int, str]] = MappingProxyType(
    {6: "980 35B1700042", 160: "NORMAL", **dict.fromkeys(range(146, 154), "")}
)


def _frame(fields: Mapping[int, str] = MappingProxyType({}), *, layout: Layout = SNDF) -> bytes:
    quiet = QUIET_SHORT_FIELDS if layout is SNDA else QUIET_FIELDS
    return frame_of({**quiet, **fields}, layout=layout)


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


_PHILIPS: Final = _frame(layout=PHILIPS)


def _malfunction_a35(phase: Phase, condition: Condition, raw: str) -> Fault:
    return Fault(
        key="A35/3510000001/2024-01-09T07:30/1",
        code="A35",
        text="technical malfunction A35",
        effect=Effect.REMOVAL_ADVISED,
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
        "both figures zero are idle, one of them is a contradiction, and blank is unknown",
        _frame({70: "0.0", 72: "0.000"}) + _frame({70: "0.0"}) + _frame({70: "", 72: "0"}),
        bodies=(
            _identity(_ALIAS),
            _IN_USE.model_copy(update={"state": OperatingState.IDLE}),
            _SENSOR,
            *2 * (_IN_USE.model_copy(update={"state": OperatingState.UNKNOWN}),),
        ),
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
            _malfunction_a35(Phase.START, Condition.ACTIVE, "HIGH"),
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
        refusal="begin no MISCF, or MISCA, frame",
    ),
    Example(
        "a report cut short does not cost the next one",
        _frame()[:600] + _frame(),
        bodies=_GREETING,
        alias=_ALIAS,
        device_time=_AT,
        refusal="byte 02 after 599 bytes",
    ),
    Example("a report that never ends", _frame()[:-1], refusal="unfinished frame: it ends after 1243 bytes"),
    Example("a length that is not known", _frame().replace(b"1225", b"1228"), refusal="header is none of"),
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
    Example(
        "a 980 in use: blank where it has no malfunctions, a battery and its proximal sensor amiss",
        _frame({**_AS_980, 115: "HIGH", 160: "LOW", 161: "38"}),
        bodies=(
            _identity(_ALIAS_980),
            _IN_USE,
            _SENSOR,
            Alarm(
                key="115/35B1700042/2024-01-09T07:30/1",
                code="115",
                text="low battery",
                alarm_kind=AlarmKind.TECHNICAL,
                priority=Priority.HIGH,
                phase=Phase.PRESENT,
                condition=Condition.ACTIVE,
                raw="HIGH",
            ),
            Alarm(
                key="160/35B1700042/2024-01-09T07:30/2",
                code="160",
                text="proximal flow sensor inoperative",
                alarm_kind=AlarmKind.TECHNICAL,
                priority=Priority.LOW,
                phase=Phase.PRESENT,
                condition=Condition.ACTIVE,
                raw="LOW",
            ),
        ),
        alias=_ALIAS_980,
        device_time=_AT,
    ),
    Example("a 980 without its serial number", _frame({**_AS_980, 6: "980"}), refusal="field 6"),
    Example(
        "the port set to Philips: four further bytes behind the last field's text",
        _PHILIPS,
        bodies=_GREETING,
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "the port set to Philips: the further bytes in other fields, and none behind",
        _PHILIPS.replace(b"A/C   ,", b"A/C    ,")
        .replace(b"ADULT    ,", b"ADULT       ,")
        .replace(b"    ,\x03", b",\x03"),
        bodies=_GREETING,
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "1229 announced, 1225 sent",
        _frame().replace(b"1225", b"1229"),
        refusal="body of 1225 bytes instead of 1229",
    ),
    Example(
        "the port set to Philips: a field narrower than it must be",
        _PHILIPS.replace(b"07:30 ,", b"07:30,").replace(b",\x03", b" ,\x03"),
        refusal="field 5 is not as wide",
    ),
    Example(
        "SNDA of older software: in use; what it does not carry is not told",
        _frame(layout=SNDA),
        bodies=_GREETING[:2],
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "SNDA has no priorities; the code is that of the same condition in SNDF",
        _frame({54: "ALARM"}, layout=SNDA) + _frame({5: "07:31", 54: "RESET"}, layout=SNDA),
        bodies=(
            *_GREETING[:2],
            _alarm_122(Phase.PRESENT, Condition.ACTIVE, Priority.UNKNOWN, "ALARM"),
            _IN_USE,
            _alarm_122(Phase.END, Condition.INACTIVE, Priority.UNKNOWN, "RESET"),
        ),
        alias=_ALIAS,
        device_time=_AT.replace(minute=31),
    ),
    Example(
        "SNDA after SNDF: the malfunction that it does not carry is unknown, not ended; said once",
        _frame({143: "HIGH"}) + _frame(layout=SNDA) + _frame(layout=SNDA),
        bodies=(
            *_GREETING,
            _malfunction_a35(Phase.PRESENT, Condition.ACTIVE, "HIGH"),
            _IN_USE,
            _malfunction_a35(Phase.UPDATE, Condition.UNKNOWN, ""),
            _IN_USE,
        ),
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example("SNDA cut short", _frame(layout=SNDA)[:-2], refusal="unfinished frame: it ends after 720 bytes"),
    Example(
        "SNDA with a date of six bytes",
        _frame(layout=SNDA).replace(b"JAN 09 2024 ,", b"JAN 09,"),
        refusal="body of 700 bytes instead of 706",
    ),
    Example(
        "another maker's MISCA, which carries no identity",
        _frame({6: "22.0"}, layout=SNDA),
        refusal="field 6 is not 840 or 980",
    ),
)
