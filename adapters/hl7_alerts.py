"""Reads PCD-04 (ACM): one alert of one device, told in rows whose order means nothing.

Rule 1: a row is known by its term, not by its place; the old form (priority and type in OBX-8 of the event)
gives way to rows of their own.
Rule 2: an alert is named by OBR-3 at its onset (start, start_only, tpoint, present) and by OBR-29.2, which
then is that OBR-3, in every other phase. An end without a known start is told as it is.
Rule 3: physiological alerts, and those whose type is not told, say nothing but their code: no value, no
source, no free text. Technical and advisory ones carry the phrase of their event, unless it shares a word
with a segment about a person or a figure with a measurement; free text (MDC_ATTR_ALERT_TEXT) is never read.
Rule 4: an alert embedded in a report is told by its own row alone; `adapters.hl7_standing` compares them.
Rule 5: tpoint is a moment: its start and end are told together. start_only has no end to be told.

IHE Devices TF Rev 10.0, TF-2 3.4 and appendix B (PCD-04).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from adapters.hl7 import Message
from adapters.hl7_codes import EVENT_NUMBERS, Fact, Term, term
from adapters.hl7_reports import Report, Row, fitted
from adapters.people import words_of
from telemetry.errors import MessageError
from telemetry.messages import Alarm, AlarmKind, Condition, Phase, Priority

KEEP_ALIVE: Final = "MDC_EVT_ACTIVE"
"""Event of an alert that only says that the reporter lives."""
_LONGEST_KEY: Final = 128
_OUR_SEGMENTS: Final = frozenset({"OBR", "OBX"})
_FIGURES: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
MEASURED: Final = frozenset({"NM", "SN"})
_CHANNEL: Final = 3
"""Parts of OBX-4 that tell the channel; behind them rows are numbered as they come."""
_PLACE: Final = re.compile(r"[0-9]{1,5}(\.[0-9]{1,5}){0,6}")
_NO_RESULT: Final = frozenset({"W", "D", "I"})
CODE: Final = re.compile(r"[A-Za-z0-9_.:+/-]{1,64}")

_ONSETS: Final[Mapping[str, Phase]] = MappingProxyType({
    "start": Phase.START,
    "start_only": Phase.START,
    "tpoint": Phase.START,
    "present": Phase.PRESENT,
})  # fmt: skip
_LATER: Final[Mapping[str, Phase]] = MappingProxyType({
    "continue": Phase.UPDATE,
    "update": Phase.UPDATE,
    "escalate": Phase.UPDATE,
    "deescalate": Phase.UPDATE,
    "acknowledged": Phase.UPDATE,
    "inactivate": Phase.UPDATE,
    "end": Phase.END,
    "stop": Phase.END,
    "reset": Phase.END,
})  # fmt: skip
_CONDITIONS: Final[Mapping[str, Condition]] = MappingProxyType({
    "active": Condition.ACTIVE,
    "inactive": Condition.INACTIVE,
    "latched": Condition.LATCHED,
    "off": Condition.OFF,
})  # fmt: skip
_SIGNALS: Final = frozenset({
    "enabled", "audio-paused", "audio-off", "alarm-paused", "alarm-off", "alert-acknowledged",
})  # fmt: skip
_PRIORITIES: Final[Mapping[str, Priority]] = MappingProxyType({
    "PN": Priority.UNKNOWN,
    "PL": Priority.LOW,
    "PM": Priority.MEDIUM,
    "PH": Priority.HIGH,
})  # fmt: skip
_KINDS: Final[Mapping[str, AlarmKind]] = MappingProxyType({
    "SP": AlarmKind.PHYSIOLOGICAL,
    "ST": AlarmKind.TECHNICAL,
    "SA": AlarmKind.ADVISORY,
})  # fmt: skip


def is_alert(report: Report) -> bool:
    """Whether a report tells an alert: by the trigger R40, or by OBR-4."""
    trigger = (*report.message.components(report.message.header.field(9)), "")[1].strip().upper()
    named = term(report.message, report.obr.field(4))
    return trigger == "R40" or named.reference_id == "MDC_EVT_ALARM" or named.number == 196616


def alarms(report: Report) -> tuple[Alarm, ...]:
    """The alarm of a report, twice for a moment, none for a keep-alive. Raises MessageError without one."""
    event_row = _event_row(report)
    event = _event(report.message, event_row)
    if event.reference_id == KEEP_ALIVE or event.number == EVENT_NUMBERS[KEEP_ALIVE]:
        return ()
    word = _word(report, Fact.PHASE)
    state = _word(report, Fact.STATE)
    what = _what(report.message, event_row, event, tuple(_flags(report, event_row)))
    phase = _phase(word, state)
    alarm = Alarm(
        key=_key(report, is_onset=word in _ONSETS),
        code=what.code,
        reference_id=what.reference_id,
        text=what.text,
        alarm_kind=what.kind,
        priority=what.priority,
        phase=phase,
        condition=_condition(phase, state),
        raw=" ".join(filter(None, (*_known_words(report, word, state), what.mistyped)))[:64],
    )
    if word == "tpoint":
        return alarm, alarm.model_copy(update={"phase": Phase.END, "condition": Condition.INACTIVE})
    return (alarm,)


class What(NamedTuple):
    """An event as an alert tells it, whichever its phase."""

    code: str
    reference_id: str
    text: str
    kind: AlarmKind
    priority: Priority
    mistyped: str
    """The number that was told, where the reference id has another one."""


def embedded(report: Report) -> dict[str, What]:
    """The alerts that a report says stand (MDC_ATTR_AL_COND), by code and channel; the priority and type of

    each in its own OBX-8. One without a code that can be told has `untold` for it.
    """
    message = report.message
    found: dict[str, What] = {}
    for row in report.rows:
        if row.term.fact is Fact.EMBEDDED and row.value and row.segment.field(11) not in _NO_RESULT:
            event = term(message, row.value)
            if not (event.number or event.reference_id or CODE.fullmatch(event.told)):
                event = event._replace(told="untold")
            what = _what(message, row, event, tuple(_own_flags(message, row)))
            place = ".".join(row.path[:_CHANNEL])
            found[f"{what.code}@{place if _PLACE.fullmatch(place) else 'elsewhere'}"] = what
    return found


def _what(message: Message, row: Row, event: Term, flags: tuple[str, ...]) -> What:
    kind = next((_KINDS[flag] for flag in flags if flag in _KINDS), AlarmKind.UNKNOWN)
    number = EVENT_NUMBERS.get(event.reference_id, event.number)
    return What(
        code=_code(event, number),
        reference_id=event.reference_id,
        text=_text(message, row, event, kind),
        kind=kind,
        priority=next((_PRIORITIES[flag] for flag in flags if flag in _PRIORITIES), Priority.UNKNOWN),
        mistyped=f"code {event.number}" if event.number not in {0, number} else "",
    )


def _event_row(report: Report) -> Row:
    named = [row for row in report.rows if row.term.fact is Fact.EVENT]
    itself = [row for row in report.rows if row.term.is_event and row.term.fact is None]
    for row in (*named, *itself):
        return row
    raise MessageError("alert without an event")


def _event(message: Message, row: Row) -> Term:
    """OBX-5 where the term only says that an event follows, unless nothing coded stands there; else OBX-3."""
    if row.term.fact is Fact.EVENT:
        found = term(message, row.value)
        if found.number or found.reference_id or found.told:
            return found
    return row.term


def _code(event: Term, number: int) -> str:
    code = str(number) if number else event.reference_id or event.told
    if not CODE.fullmatch(code):
        raise MessageError("event without a code")
    return code


def _phase(word: str, state: str) -> Phase:
    if word == "reset" and state in {"active", "latched"}:
        return Phase.UPDATE
    if word or state not in _CONDITIONS:
        return _ONSETS.get(word) or _LATER.get(word) or Phase.UPDATE
    return Phase.END if state in {"inactive", "off"} else Phase.PRESENT


def _condition(phase: Phase, state: str) -> Condition:
    if state in _CONDITIONS:
        return _CONDITIONS[state]
    if phase is Phase.END:
        return Condition.INACTIVE
    return Condition.UNKNOWN if phase is Phase.UPDATE else Condition.ACTIVE


def _word(report: Report, fact: Fact) -> str:
    """The word of a facet; empty if it is not told."""
    for row in report.rows:
        if row.term.fact is fact:
            return next(row.words(report.message), "")
    return ""


def _flags(report: Report, event_row: Row) -> Iterator[str]:
    """Priority and type: rows of their own first, then OBX-8 of the event."""
    for row in report.rows:
        if row.term.fact in {Fact.PRIORITY, Fact.TYPE}:
            yield from (part.strip().upper() for part in report.message.components(row.value))
    yield from _own_flags(report.message, event_row)


def _own_flags(message: Message, row: Row) -> Iterator[str]:
    """The repetitions of OBX-8."""
    flags = message.repetitions(row.segment.field(8))
    yield from (message.components(flag)[0].strip().upper() for flag in flags)


def _known_words(report: Report, phase: str, state: str) -> Iterator[str]:
    """The device's words, in so far as they are words of the framework."""
    if phase:
        yield phase if phase in _ONSETS or phase in _LATER else "(other phase)"
    if state:
        yield state if state in _CONDITIONS else "(other state)"
    signals = next((row.value for row in report.rows if row.term.fact is Fact.INACTIVATION), "")
    told = (part.strip().lower() for part in report.message.repetitions(signals))
    yield from sorted(_SIGNALS.intersection(told))


def _key(report: Report, *, is_onset: bool) -> str:
    message, obr = report.message, report.obr
    own = [message.text(part) for part in message.components(obr.field(3))]
    parent = [*message.components(obr.field(29)), ""][1]
    onset = [message.text(part) for part in parent.split(message.separators.subcomponent)]
    parts = own if is_onset or not any(onset) else onset
    if not any(parts):
        raise MessageError("alert without an id in OBR-3 or OBR-29")
    if len(parts) > 3:
        parts[3] = parts[3].replace("EUI64", "EUI-64")
    return fitted("&".join(parts).rstrip("&"), length=_LONGEST_KEY)


def _text(message: Message, row: Row, event: Term, kind: AlarmKind) -> str:
    standard = event.reference_id or event.told or str(event.number)
    if kind not in {AlarmKind.TECHNICAL, AlarmKind.ADVISORY}:
        return standard
    parts = [message.text(part) for part in message.components(row.value)]
    phrase = parts[8] if len(parts) > 8 and parts[8] else ""
    if not phrase and len(parts) == 1 and not term(message, row.value).reference_id:
        phrase = "" if parts[0].isdigit() else parts[0]
    return phrase[:256] if phrase and not _may_tell_of_a_person(message, phrase) else standard


def _may_tell_of_a_person(message: Message, phrase: str) -> bool:
    """Whether it shares a word with a segment that is not about devices, or a figure with a measurement."""
    about = _about(message)
    return not about.words.isdisjoint(words_of(phrase)) or not about.figures.isdisjoint(
        _FIGURES.findall(phrase)
    )


class _About(NamedTuple):
    """What a message says of people and of measurements, in words and figures."""

    words: frozenset[str]
    figures: frozenset[str]


@lru_cache(maxsize=1)
def _about(message: Message) -> _About:
    """Read once for all alerts of a message, as either may be many."""
    lines = (line for line in message.lines if line[:3] not in _OUR_SEGMENTS)
    measured = (row.field(5) for row in message.segments("OBX") if row.field(2) in MEASURED)
    return _About(
        words=frozenset(word for line in lines for word in words_of(line)),
        figures=frozenset(figure for value in measured for figure in _FIGURES.findall(value)),
    )


def facet_rows() -> tuple[tuple[str, str, str], ...]:
    """Every word of the facets of an alert, and what it becomes."""
    return (
        *(("type", word, kind.value) for word, kind in _KINDS.items()),
        *(("priority", word, priority.value) for word, priority in _PRIORITIES.items()),
        *(("phase", word, phase.value) for word, phase in (*_ONSETS.items(), *_LATER.items())),
        *(("state", word, condition.value) for word, condition in _CONDITIONS.items()),
        *(("inactivation state", word, "told in raw") for word in sorted(_SIGNALS)),
    )
