"""Respironics V60 ventilators over their serial port: SNDA for use and clock, VRPT for alarms, polled.

    SNDA CR   MISCA,706,97,  STX  07:30 ,      ,      ,JAN 09 2024 ,S/T   , ... ,  ETX  CR
    VRPT CR   VRPT,988,133,  STX  07:30 , ...                                   ,  ETX  CR

The layout of the reports as bytes stands in `adapters.v60_reports`. All of it is known from the source code
of one public reader alone: no manual was read, and no capture is known.

Rule 1: no figure of a patient and no setting leaves this file. Rate and minute volume are looked at to judge
use, and dropped.
Rule 2: STDBY is standby. In use is a mode of the table, total rate > 0 and exhaled minute volume > 0; *idle*
is a mode with both figures readable and zero; all else is unknown. SNDA alone tells it; VRPT, whose mode
stands in field 57 or 58, only for software that does not answer SNDA.
Rule 3: ALARM is active, with no priority; NORMAL, RESET and blank are not; any other word is said once with
condition unknown, and not quoted.
Rule 4: a condition that both reports tell has one code, and is active while either says so. A report that
has not come for LOST rounds tells nothing any more: what only it told is unknown, once, not ended.
Rule 5: no report names the device: it is known by its port. One that names an 840 or 980 is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapters.asking import LOST, Asking
from adapters.contract import (
    UNTOLD,
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
from adapters.edges import Occurrences, Reading
from adapters.framing import Frame
from adapters.puritan_bennett_reports import Layout, Report, frame_of
from adapters.redacting import FrameRedactor
from adapters.v60_reports import SNDA, VRPT, VRPT_COMMAS, v60_frames, v60_report
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Body,
    Condition,
    Identity,
    OperatingState,
    Phase,
    Priority,
    Usage,
)

_SOURCE: Final = "RTA-node-python, parsers/V60 (V60_fields.py, V60_data_to_packet.py)"

INFO: Final = ProtocolInfo(
    id="v60",
    manufacturer="Philips Respironics",
    title="Respironics V60 (SNDA, VRPT)",
    source=f"{_SOURCE} alone; no manual read, no capture known; kinds of alarms and the rule of use are ours",
    poll_s=30.0,
    ways=(Way.SERIAL, Way.TCP),
    line=SerialLine(baud_rate=9600),
    models=(
        Model(
            "V60", Evidence.MANUAL, "not even a manual: the source code of one public reader, never a device"
        ),
    ),
    sends=(
        "`SNDA`, one for each poll: the short report.",
        "`VRPT`, when `SNDA` was answered: the long one, with all alarms. Each question is ended by CR.",
        (
            "`VRPT` in place of `SNDA`, in turn, where two `SNDA` in a row stay without an answer; alone once"
            " it is answered and the next `SNDA` is not."
        ),
    ),
    bedside=(
        "The ventilator answers what it is asked; the source at hand names no alarm and no sign for questions"
        " that stop. It was not tried on a device."
    ),
    notes=(
        "### Before you rely on it",
        (
            "One public reader is all that this file was written from, and it contradicts itself in a place:"
            " the mode of `VRPT` stands in field 57 by one of its tables and in 58 by its code, so both are"
            " looked at. Compare what is told with the screen of one ventilator, standby and an alarm"
            " included, and send a recording (`hourmeter record`)."
        ),
        "### Cable",
        (
            "RS-232, 8 data bits, no parity, 1 stop bit; 9600, 19200 or 115200 bits per second, as the"
            " ventilator is set. One host only."
        ),
        "### What is told, and what is not",
        (
            "No report names the device: hours are provisional until a person confirms which ventilator"
            " stands at the port. Not carried: operating hours, software version, battery charge. The clock"
            " is read from `SNDA`, to the minute. Everything of the patient stays in the adapter."
        ),
    ),
)

_PURITAN_BENNETT: Final = re.compile(r"(840|980)( .*)?")
_FIGURE: Final = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
VENTILATOR: Final = 70001
"""MDC_DEV_SYS_PT_VENT_MDS of IEEE 11073-10101, context-free."""
STANDBY: Final = "STDBY"
MODES: Final = ("S/T", "PCV", "CPAP", "AVAPS", "PPV")
"""Words for a mode of ventilation."""
_ALARM: Final = "ALARM"
_QUIET: Final = frozenset({"NORMAL", "RESET", ""})
_NOT_TOLD: Final = Reading(Condition.UNKNOWN, Priority.UNKNOWN, "")


@dataclass(frozen=True, slots=True)
class _Row:
    """One condition, and its field in either report."""

    text: str
    kind: AlarmKind
    snda: int | None
    vrpt: int | None


_TECHNICAL: Final = AlarmKind.TECHNICAL
_PATIENT: Final = AlarmKind.PHYSIOLOGICAL
_ROWS: Final[Mapping[str, _Row]] = MappingProxyType({
    "106": _Row("occlusion", _PATIENT, None, 106),
    "107": _Row("safety valve", _TECHNICAL, None, 107),
    "108": _Row("low internal battery", _TECHNICAL, 56, 108),
    "109": _Row("non-volatile memory failure", _TECHNICAL, None, 109),
    "110": _Row("primary alarm failure", _TECHNICAL, None, 110),
    "111": _Row("high inspiratory pressure", _PATIENT, 48, 111),
    "112": _Row("apnoea", _PATIENT, None, 112),
    "113": _Row("low inspiratory pressure", _PATIENT, 49, 113),
    "114": _Row("air source fault", _TECHNICAL, None, 114),
    "115": _Row("O2 valve stuck closed", _TECHNICAL, None, 115),
    "117": _Row("low O2 supply", _TECHNICAL, 54, 117),
    "119": _Row("low minute volume", _PATIENT, 52, 119),
    "122": _Row("low tidal volume", _PATIENT, None, 122),
    "123": _Row("low spontaneous tidal volume", _PATIENT, None, 123),
    "125": _Row("high respiratory rate", _PATIENT, 53, 125),
    "127": _Row("high enclosure temperature", _TECHNICAL, None, 127),
    "129": _Row("low PEEP", _PATIENT, None, 129),
    "130": _Row("low EPAP", _PATIENT, None, 130),
    "131": _Row("high leak", _PATIENT, None, 131),
    "SNDA-51": _Row("low exhaled tidal volume", _PATIENT, 51, None),
    "SNDA-95": _Row("occlusion, or inspiration too long", _PATIENT, 95, None),
})  # fmt: skip
"""By code: the field in VRPT. SNDA 51 is 122 or 123, and SNDA 95 may be 106, untold which."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    """Where a report tells what we look at."""

    mode: tuple[int, ...]
    rate: int
    volume: int


_IN_SNDA: Final = _Meaning(mode=(9,), rate=34, volume=36)
_IN_VRPT: Final = _Meaning(mode=(57, 58), rate=85, volume=83)


def _meaning(layout: Layout) -> _Meaning:
    return _IN_SNDA if layout is SNDA else _IN_VRPT


def _places(layout: Layout) -> Mapping[str, int]:
    """The field of each condition that a report tells."""
    rows = ((code, row.snda if layout is SNDA else row.vrpt) for code, row in _ROWS.items())
    return {code: field for code, field in rows if field is not None}


def _mode(report: Report) -> str:
    """The one word for a mode that the report holds; empty if none, or more than one."""
    words = {report.fields[field] for field in _meaning(report.layout).mode} & {STANDBY, *MODES}
    return words.pop() if len(words) == 1 else ""


def _state(report: Report) -> OperatingState:
    mode, meaning = _mode(report), _meaning(report.layout)
    if mode == STANDBY:
        return OperatingState.STANDBY
    figures = (report.fields[meaning.rate], report.fields[meaning.volume])
    if not mode or not all(map(_FIGURE.fullmatch, figures)):
        return OperatingState.UNKNOWN
    rate, volume = map(float, figures)
    if rate > 0 and volume > 0:
        return OperatingState.IN_USE
    return OperatingState.IDLE if rate == volume == 0 else OperatingState.UNKNOWN


def _word(text: str) -> str:
    """An alarm's word, if it is one."""
    return text if text == _ALARM or text in _QUIET else "(no word)"


def _reading(words: list[str]) -> Reading:
    """What the reports' words for one condition tell together: ALARM before all, then one not known."""
    if _ALARM in words:
        return Reading(Condition.ACTIVE, Priority.UNKNOWN, _ALARM)
    unknown = next((word for word in words if word not in _QUIET), None)
    if unknown is not None:
        return Reading(Condition.UNKNOWN, Priority.UNKNOWN, unknown)
    return Reading(Condition.INACTIVE, Priority.UNKNOWN, words[-1])


class V60:
    """The talk with one ventilator: what it said last, to tell edges from repetition."""

    def __init__(self, *, period_s: float) -> None:
        self._period_s = period_s
        self._frames = v60_frames()
        self._asking = Asking(full=SNDA.command, short=VRPT.command)
        self._occurrences = Occurrences()
        self._is_known = False
        self._stamp = "no-clock"
        """The newest clock of a report, to tell our occurrences from those of an earlier run."""
        self._begin()

    def _begin(self) -> None:
        self._asking.begin()
        self._words: dict[bytes, dict[str, str]] = {}
        self._told: set[tuple[bytes, str]] = set()
        self._silent = {SNDA.command: 0, VRPT.command: 0}
        """Polls since each report came."""

    def connected(self) -> tuple[Outcome, ...]:
        """Nothing is sent; what was active before stays the same occurrence if it is active still."""
        self._begin()
        return self.closed()

    def poll(self) -> bytes:
        """`SNDA`; `VRPT` of a ventilator that answers nothing else."""
        for command in self._silent:
            self._silent[command] += 1
            if self._silent[command] > LOST:
                self._words.pop(command, None)
        return self._asking.next() + b"\r"

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """One `Heard` for each sound report; `VRPT` is asked for when SNDA has come."""
        return tuple(
            said
            for item in self._frames.feed(data)
            for said in (self._hear(item) if isinstance(item, Frame) else (item,))
        )

    def closed(self) -> tuple[Outcome, ...]:
        """A report that was begun is refused."""
        return self._frames.close()

    def _hear(self, frame: Frame) -> tuple[Outcome, ...]:
        report = v60_report(frame.data)
        command = report.layout.command
        is_short = command == SNDA.command
        if is_short and _PURITAN_BENNETT.fullmatch(report.fields[6]):
            return (Refusal(frame.offset, "a Puritan Bennett ventilator: its protocol is puritan-bennett"),)
        if is_short or self._silent[SNDA.command]:
            self._asking.hear(command)
        self._silent[command] = 0
        bodies: list[Body] = []
        if not self._is_known:
            self._is_known = True
            bodies.append(_IDENTITY)
        if is_short or SNDA.command not in self._words:
            bodies.append(Usage(state=_state(report), period_s=self._period_s))
        bodies += self._edges(report)
        device_time = report.device_time if is_short else None
        heard = Heard(UNTOLD, device_time, tuple(bodies), frame.offset)
        return (heard, Answer(VRPT.command + b"\r")) if is_short else (heard,)

    def _edges(self, report: Report) -> list[Body]:
        """What changed by this report, and by one that has not come for long."""
        command, told = report.layout.command, report.device_time
        self._stamp = told.isoformat(timespec="minutes") if told else self._stamp
        self._words[command] = {
            code: _word(report.fields[field]) for code, field in _places(report.layout).items()
        }
        bodies: list[Body] = []
        for code, row in _ROWS.items():
            words = [words[code] for words in self._words.values() if code in words]
            if not words and code not in self._occurrences.open:
                continue
            reading = _reading(words) if words else _NOT_TOLD
            edge = self._occurrences.compare(
                code, reading, first=(command, code) not in self._told, stamp=self._stamp
            )
            if edge is not None:
                bodies.append(edge.alarm(code, row.text, row.kind))
        self._told |= {(command, code) for code in self._words[command]}
        return bodies


_IDENTITY: Final = Identity(manufacturer=INFO.manufacturer, model="V60", device_type=VENTILATOR)


def adapter(*, period_s: float) -> V60:
    """An adapter for the ventilator at the end of one link, asked every `period_s` seconds."""
    return V60(period_s=period_s)


# -- what may be recorded ---------------------------------------------------------------------------------


def redactor() -> FrameRedactor[Frame]:
    """A redactor for one link: of a report, clock, mode and alarm words stay as they are."""
    return FrameRedactor(v60_frames(), keep=_kept)


def _kept(frame: Frame) -> bytes:
    """The report with what is heard of it, all else blank; each field as wide as it came."""
    report = v60_report(frame.data)
    layout, meaning = report.layout, _meaning(report.layout)
    is_short = layout is SNDA
    if is_short and _PURITAN_BENNETT.fullmatch(report.fields[6]):
        return b""
    kept = {field: _evidence(report.fields[field]) for field in (meaning.rate, meaning.volume)}
    kept |= {field: report.fields[field] for field in (5, layout.date) if report.device_time}
    kept |= {field: mode for field in meaning.mode if (mode := report.fields[field]) in {STANDBY, *MODES}}
    kept |= {field: _word(report.fields[field]) for field in _places(layout).values()}
    came = frame.data[len(layout.header) : -len(layout.trailer)].decode("ascii").split(",")[:-1]
    widths = map(len, came)
    texts = (
        kept.get(field, "").replace("(no word)", "?")[:width].ljust(width)
        for field, width in zip(layout.fields, widths, strict=True)
    )
    return layout.header + ("".join(f"{text}," for text in texts)).encode("ascii") + layout.trailer


def _evidence(figure: str) -> str:
    """As much of a figure as tells use."""
    if not _FIGURE.fullmatch(figure):
        return ""
    return "1" if float(figure) > 0 else "0"


# -- its page ---------------------------------------------------------------------------------------------


def _field(number: int | None) -> str:
    return "" if number is None else str(number)


TABLES: Final = (
    Table(
        "The reports",
        _SOURCE,
        ("asked by", "header", "fields", "bytes of the fields"),
        tuple(
            (
                layout.command.decode(),
                layout.header.rstrip(b"\x02").decode(),
                f"{len(layout.fields)}, {layout.fields[0]} to {layout.fields[-1]}",
                str(layout.body),
            )
            for layout in (SNDA, VRPT)
        ),
    ),
    Table(
        "What is read",
        f"{_SOURCE}; a field is its index and 4",
        ("told", "SNDA", "VRPT", "becomes"),
        (
            ("clock, to the minute, no zone", f"5, {SNDA.date}", "", "device time"),
            ("mode", *(" or ".join(map(str, one.mode)) for one in (_IN_SNDA, _IN_VRPT)), "use"),
            ("total rate", str(_IN_SNDA.rate), str(_IN_VRPT.rate), "in use above 0"),
            ("exhaled minute volume", str(_IN_SNDA.volume), str(_IN_VRPT.volume), "in use above 0"),
        ),
    ),
    Table(
        "Modes",
        _SOURCE,
        ("word", "becomes"),
        ((STANDBY, OperatingState.STANDBY), *((mode, "in use, with rate and volume") for mode in MODES)),
    ),
    Table(
        "Alarms",
        f"{_SOURCE}; kinds are ours",
        ("code", "text", "kind", "SNDA", "VRPT"),
        tuple(
            (code, row.text, row.kind.value, _field(row.snda), _field(row.vrpt))
            for code, row in _ROWS.items()
        ),
    ),
)

# -- examples ---------------------------------------------------------------------------------------------

QUIET_SNDA: Final[Mapping[int, str]] = MappingProxyType(
    {
        5: "07:30",
        8: "JAN 09 2024",
        9: "S/T",
        34: "16",
        36: "8.40",
        **dict.fromkeys(_places(SNDA).values(), "NORMAL"),
    }
)
"""A self-made V60 ventilating, with nothing amiss."""
QUIET_VRPT: Final[Mapping[int, str]] = MappingProxyType(
    {5: "07:30", 57: "S/T", 83: "8.40", 85: "16", **dict.fromkeys(_places(VRPT).values(), "NORMAL")}
)
"""What the same V60 tells by VRPT."""
_NOTHING: Final[Mapping[int, str]] = MappingProxyType({})
_AT: Final = datetime(2024, 1, 9, 7, 30)  # noqa: DTZ001 - the ventilator tells no zone
_IN_USE: Final = Usage(state=OperatingState.IN_USE, period_s=INFO.poll_s)
_ASK: Final = b"VRPT\r"


def snda(fields: Mapping[int, str] = _NOTHING) -> bytes:
    """SNDA of a self-made V60 in use with nothing amiss but these fields."""
    return frame_of({**QUIET_SNDA, **fields}, layout=SNDA)


def vrpt(fields: Mapping[int, str] = _NOTHING, *, layout: Layout = VRPT) -> bytes:
    """The same by VRPT."""
    return frame_of({**QUIET_VRPT, **fields}, layout=layout)


def _told(code: str, phase: Phase, condition: Condition, raw: str, *, key: str) -> Alarm:
    return Alarm(
        key=key,
        code=code,
        text=_ROWS[code].text,
        alarm_kind=_ROWS[code].kind,
        priority=Priority.UNKNOWN,
        phase=phase,
        condition=condition,
        raw=raw,
    )


EXAMPLES: Final = (
    Example(
        "in use with nothing amiss: SNDA, and then VRPT is asked for",
        snda() + vrpt(),
        bodies=(_IDENTITY, _IN_USE),
        answers=(_ASK,),
    ),
    Example(
        "the clock is that of SNDA", snda(), bodies=(_IDENTITY, _IN_USE), device_time=_AT, answers=(_ASK,)
    ),
    Example(
        "standby has a word of its own, whatever the figures are",
        snda({9: "STDBY", 34: "0", 36: "0.00"}),
        bodies=(_IDENTITY, Usage(state=OperatingState.STANDBY, period_s=INFO.poll_s)),
        device_time=_AT,
        answers=(_ASK,),
    ),
    Example(
        "low O2 supply found by SNDA is present; VRPT tells the same once more; it ends when both are quiet",
        snda({54: "ALARM"}) + vrpt({117: "ALARM"}) + snda({5: "07:31"}) + vrpt({117: "RESET"}),
        bodies=(
            _IDENTITY,
            _IN_USE,
            _told("117", Phase.PRESENT, Condition.ACTIVE, "ALARM", key="117/2024-01-09T07:30/1"),
            _IN_USE,
            _told("117", Phase.END, Condition.INACTIVE, "RESET", key="117/2024-01-09T07:30/1"),
        ),
        answers=(_ASK, _ASK),
    ),
    Example(
        "a hot enclosure that only VRPT tells, in the form with a comma at either end",
        snda() + vrpt(layout=VRPT_COMMAS) + vrpt({127: "ALARM"}, layout=VRPT_COMMAS),
        bodies=(
            _IDENTITY,
            _IN_USE,
            _told("127", Phase.START, Condition.ACTIVE, "ALARM", key="127/2024-01-09T07:30/1"),
        ),
        answers=(_ASK,),
    ),
    Example(
        "software that answers VRPT alone: its mode in the other field",
        vrpt({57: "", 58: "CPAP"}),
        bodies=(_IDENTITY, _IN_USE),
    ),
    Example(
        "what follows garbage is heard",
        b"\x00\xff noise\r" + snda(),
        bodies=(_IDENTITY, _IN_USE),
        device_time=_AT,
        answers=(_ASK,),
        refusal="begin no MISCA, or VRPT,9 frame",
    ),
    Example(
        "a Puritan Bennett 840 on a port set to this protocol",
        snda({6: "840 3510000001"}),
        refusal="a Puritan Bennett ventilator",
    ),
    Example(
        "a length that is not known", vrpt().replace(b"988", b"989"), refusal="header is none of MISCA,706,97"
    ),
    Example("a comma too many", snda().replace(b"S/T ", b"S,T "), refusal="98 fields instead of 97"),
    Example("a report cut short", vrpt()[:-2], refusal="unfinished frame"),
    Example("ETX comes too early", vrpt().replace(b"NORMAL", b"", 1), refusal="982 bytes instead of 988"),
)
