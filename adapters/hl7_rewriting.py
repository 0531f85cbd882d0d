"""Writes the segments of an HL7 message anew, with nothing but what the reader looks at.

Rule 1: of OBR, OBX and PRT those fields are kept that are read, and of these the words and figures of
equipment (what PRT names of equipment becomes OBX-18). A value that is looked at and dropped becomes 1, 0 or
-1, all else `?` where it must not seem to be empty.
Rule 2: the phrase of an alert is kept where the reader tells it, and nowhere else.
Rule 3: the words that may be kept are those of the tables that the reader reads by.
Rule 4: what is beyond all limits stays so, that the reader refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from adapters import hl7_equipment, hl7_time
from adapters.hl7 import MOST_COMPONENTS, MOST_REPETITIONS, Message, Segment
from adapters.hl7_alerts import CODE, MEASURED, alarms, embedded, facet_rows, is_alert
from adapters.hl7_codes import Fact, Term, term
from adapters.hl7_facts import NO_RESULT, figure_rows
from adapters.hl7_reports import LONGEST_PLACE, Report, Row, reports
from adapters.hl7_use import state_rows
from telemetry.errors import MessageError
from telemetry.messages import Strength

_PLACE: Final = re.compile(r"[0-9]{0,8}")
_BEYOND: Final = 10**8
"""No number that is kept as it is."""
_FIGURES: Final = frozenset({
    Fact.CHARGE, Fact.TIME_LEFT, Fact.CAPACITY, Fact.VOLTAGE, Fact.BATTERY_TEMPERATURE, Fact.BATTERY_CYCLES,
    Fact.TO_SERVICE,
})  # fmt: skip
_EVENTS: Final = frozenset({Fact.EVENT, Fact.EMBEDDED})
_EVIDENCE: Final = frozenset({Fact.RATE, Fact.MINUTE_VOLUME})
_NAMES: Final = frozenset({
    Fact.MODEL, Fact.MODEL_NUMBER, Fact.MANUFACTURER, Fact.SOFTWARE, Fact.FIRMWARE, Fact.SYSTEM_ID,
    Fact.INVENTORY,
})  # fmt: skip
_IN_WORDS: Final = frozenset({
    Fact.CONNECTION, Fact.MODE, Fact.POWER_STATE, Fact.POWER_SOURCE, Fact.INFUSING, Fact.DELIVERY,
})  # fmt: skip


def _words(facet: str) -> frozenset[str]:
    return frozenset(word for name, word, _ in facet_rows() if name == facet)


_WORDS: Final = frozenset(word for word, _ in state_rows()) | {told for told, _, _ in figure_rows()}
_UNITS: Final = frozenset(unit for _, _, units in figure_rows() for unit in units.split(", "))
_ONE_WORD: Final[Mapping[Fact | None, frozenset[str]]] = MappingProxyType(
    {Fact.PHASE: _words("phase"), Fact.STATE: _words("state")}
)
_FLAGS: Final = _words("priority") | _words("type")
_SIGNALS: Final = _words("inactivation state")


def observes(message: Message) -> bool:
    """Whether it is of the kind that is read: segments of no other are kept."""
    return message.components(message.header.field(9))[0] == "ORU"


def nothing(message: Message) -> str:
    """What stands where something stood; no separator of this message."""
    return next(char for char in "?*!=%#" if char not in message.separators)


def tried(message: Message, make: Callable[[], str]) -> str:
    """What is made; where it is beyond all limits, nothing but what is refused as that is."""
    try:
        return make()
    except MessageError:
        return (
            message.separators.component * MOST_COMPONENTS + message.separators.repetition * MOST_REPETITIONS
        )


def time_of(message: Message, text: str) -> str:
    """A time as it is told, and nothing in the place of what cannot be read as one."""
    return text if not text or hl7_time.read(text) is not None else nothing(message)


def _coded(message: Message, told: Term) -> str:
    """A term of ours, or of another nomenclature, without the texts beside it."""
    component = message.separators.component
    system, _, code = told.told.partition(":")
    if told.told:
        parts = (code, "", system) if CODE.fullmatch(told.told) else (nothing(message), "", "99")
        return component.join(parts)
    return component.join((str(told.number or ""), told.reference_id, "MDC" if told.number else ""))


def _device(message: Message, told: Term) -> str:
    """A term that is not read but as the type of a device."""
    if not told.device:
        return nothing(message)
    return message.separators.component.join((str(told.device), "MDCX_X" if told.reference_id else "", "MDC"))


def segments(message: Message) -> Iterator[str]:
    """Each OBR and OBX of a message of observations. Raises MessageError for one beyond all limits."""
    if observes(message):
        rewriting = _Rewriting(message)
        for segment in hl7_equipment.rows(message):
            kept = rewriting.obr(segment) if segment.name == "OBR" else rewriting.obx(segment)
            fields = (kept.get(place, "") for place in range(1, max(kept) + 1))
            yield message.separators.field.join((segment.name, *fields))


class _Rewriting:
    """The segments of one message behind MSH, as they are kept: their fields by number."""

    def __init__(self, message: Message) -> None:
        """Raises MessageError for a message that is refused as a whole."""
        self._message = message
        self._component = message.separators.component
        self._nothing = nothing(message)
        told = tuple(reports(message))
        self._phrases = frozenset(text for one in told for text in _texts(one))
        self._beds = frozenset(bed for one in told for bed in _beds(one))
        self._places: dict[str, str] = {}

    def obr(self, segment: Segment) -> dict[int, str]:
        """What it is about, when, and the ids of an alert."""
        message = self._message
        kept = {
            4: tried(message, lambda: _coded(message, term(message, segment.field(4)))),
            7: time_of(message, segment.field(7)),
        }
        if _is_alert(Report(message, segment, ())):
            kept[3] = tried(message, lambda: self._component.join(message.components(segment.field(3))))
            kept[29] = tried(message, lambda: self._parent(segment.field(29)))
        return kept

    def _parent(self, field: str) -> str:
        return self._component + [*self._message.components(field), ""][1]

    def obx(self, segment: Segment) -> dict[int, str]:
        """Its term, place, value and device, as far as they are read."""
        message = self._message
        row = Row(segment, term(message, segment.field(3)))
        fact, is_event = row.term.fact, row.term.is_event or row.term.fact in _EVENTS
        device = segment.field(18)
        kept = {
            3: _coded(message, row.term) if fact or is_event else _device(message, row.term),
            4: self._place(segment.field(4)),
            5: tried(message, lambda: self._value(row)) if row.value else "",
            11: segment.field(11) if segment.field(11) in NO_RESULT else "",
            14: time_of(message, segment.field(14)),
            18: tried(message, lambda: self._component.join(message.components(device)[:3])),
        }
        if fact in _FIGURES:
            kept[2] = segment.field(2) if segment.field(2) in MEASURED else ""
            kept[6] = tried(message, lambda: self._unit(segment.field(6)))
        if is_event:
            kept[8] = tried(message, lambda: self._flags(segment.field(8)))
        return kept

    def _place(self, place: str) -> str:
        """OBX-4, whose parts are numbered where they are no numbers."""
        parts = place[:LONGEST_PLACE].split(".")
        for part in parts:
            if not _PLACE.fullmatch(part):
                number = len(self._places) + 1
                name = str(_BEYOND + number) if part.isdigit() else f"x{number}"
                self._places.setdefault(part, name)
        return ".".join(self._places.get(part, part) for part in parts)

    def _value(self, row: Row) -> str:
        """What is kept of OBX-5, which is not empty."""
        message, fact = self._message, row.term.fact
        if fact in _EVENTS or row.term.is_event:
            return self._event(row.value)
        if fact in _EVIDENCE and row.figure is not None:
            return "1" if row.figure > 0 else "0" if row.figure == 0 else "-1"
        if (fact in _FIGURES and row.figure is not None) or fact in _NAMES:
            return self._component.join(message.components(row.value))
        if fact is Fact.BED and message.text(bed := message.components(row.value)[0]) in self._beds:
            return bed
        if fact in _ONE_WORD:
            word = next(row.words(message), "")
            return word if not word or word in _ONE_WORD[fact] else self._nothing
        if fact in {Fact.PRIORITY, Fact.TYPE}:
            told = (part.strip().upper() for part in message.components(row.value))
            return self._component.join(part for part in told if part in _FLAGS)
        if fact is Fact.INACTIVATION:
            signals = (part.strip().lower() for part in message.repetitions(row.value))
            return message.separators.repetition.join(one for one in signals if one in _SIGNALS)
        if fact in _IN_WORDS:
            words = (word if word in _WORDS else self._nothing for word in row.words(message))
            return self._component.join(words)
        return self._nothing

    def _event(self, value: str) -> str:
        """The code of an event, and its phrase where the reader tells it."""
        message = self._message
        parts = message.components(value)
        if len(parts) == 1 and message.text(value)[:256] in self._phrases:
            return value
        coded = _coded(message, term(message, value)).split(self._component)
        phrase = parts[8] if len(parts) > 8 and message.text(parts[8])[:256] in self._phrases else ""
        return self._component.join((*coded, *([""] * 5), phrase))

    def _flags(self, field: str) -> str:
        repetitions = self._message.repetitions(field)
        told = (self._message.components(one)[0].strip().upper() for one in repetitions)
        return self._message.separators.repetition.join(one for one in told if one in _FLAGS)

    def _unit(self, field: str) -> str:
        told = (part.strip() for part in self._message.components(field))
        return self._component.join(part if not part or part in _UNITS else self._nothing for part in told)


def _texts(report: Report) -> tuple[str, ...]:
    """What the reader tells of an alert in words."""
    try:
        if not is_alert(report):
            return tuple(what.text for what in embedded(report).values())
        return tuple(alarm.text for alarm in alarms(report))
    except MessageError:
        return ()


def _beds(report: Report) -> tuple[str, ...]:
    """The bed that the reader names a device by, for want of a better name."""
    try:
        alias = report.alias
    except MessageError:
        return ()
    beds = (row.value for row in report.rows if row.term.fact is Fact.BED)
    if alias is None or alias.strength is Strength.STRONG:
        return ()
    message = report.message
    return tuple(message.text(message.components(bed)[0]) for bed in beds)


def _is_alert(report: Report) -> bool:
    try:
        return is_alert(report)
    except MessageError:
        return False
