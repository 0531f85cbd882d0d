"""What is known of one monitor behind a Mindray PDS link: its alarms by edges, and its use.

Rule 1: each list is all that is active: what is not in it any more has ended.
Rule 2: a text of the device is carried for technical alarms only, and only if every word of it is known to
be of equipment. Physiological codes are told with a P before them, as a number may stand in both lists.
Rule 3: stars before a text look like a level, and OBX-4 is one; what they stand for is not written anywhere
that was read, so the priority is unknown and the level is kept as the device's own word.
Rule 4: in use is a heart rate, breath rate, SpO2 or pulse rate above zero; idle takes heart rate and SpO2
told, and every one of the four that is told invalid (-100). All else is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapters.edges import Occurrences, Reading
from adapters.mindray_pds_messages import INVALID, Kind, Listed, Message
from telemetry.messages import Alarm, AlarmKind, Condition, OperatingState, Phase, Priority, Usage

_KINDS: Final = MappingProxyType({
    Kind.PHYSIOLOGICAL: AlarmKind.PHYSIOLOGICAL,
    Kind.TECHNICAL: AlarmKind.TECHNICAL,
})  # fmt: skip
UNKNOWN_TEXT: Final = "technical alarm"
_ENDED: Final = Reading(Condition.INACTIVE, Priority.UNKNOWN, "")
_HEART: Final = "101"
_OXYGEN: Final = "160"
_WEIGHT: Final = (OperatingState.UNKNOWN, OperatingState.IDLE, OperatingState.IN_USE)

_WORDS: Final = """
    alarm apnea art backup battery bis board cable calibration cannot charge charging check co2 comm
    communication connect connected connection cuff disabled disconnected ecg eeg electrode empty equip err
    error exhausted extension fail failed failure fan fault gas high hw hardware ibp init initialization
    installed interference key keyboard lead leads leak leakage limb loose loss lost low main mains
    malfunction memory missing module mode monitor need needed network nibp noise not occluded occlusion off
    on out over overrange paper power pressure probe pulse range recorder replace reset resp rso2 rtc self
    sensor service settings short signal softkeys software speaker spo2 start stop stopped storage supply
    system temp temperature test the too touch touchscreen type unplugged unsupported usb voltage watertrap
    weak wrong zero
"""
WORDS: Final = frozenset(_WORDS.split())
"""The words of a technical alarm's text that is carried; a letter, or one with a figure, may stand by them.

A figure alone may be what a person was measured at.
"""
_PLAIN: Final = re.compile("([a-z][0-9]?)?")
_PARTING: Final = re.compile("[^0-9a-z]+")
_TEXT: Final = re.compile("[A-Za-z0-9 .,/()+*-]{1,60}")


def text_of(listed: Listed) -> str:
    """The device's text of a technical alarm if it tells of equipment alone, else one of ours."""
    text = " ".join(listed.text.split()).strip("* ")
    words = _PARTING.split(text.lower())
    is_known = any(word in WORDS for word in words) and all(
        word in WORDS or _PLAIN.fullmatch(word) for word in words
    )
    return text if is_known and _TEXT.fullmatch(text) else UNKNOWN_TEXT


class Alarms:
    """The alarms of one monitor: what was told last, to tell edges from repetition."""

    def __init__(self) -> None:
        self._occurrences = {kind: Occurrences() for kind in _KINDS}
        self._told: set[Kind] = set()
        self._texts: dict[str, str] = {}

    def connected(self) -> None:
        """A new link: what was open is compared again."""
        self._told.clear()

    def compare(self, message: Message, *, stamp: str) -> tuple[tuple[Alarm, ...], datetime | None]:
        """The edges between the last list of this kind and this one, and the newest onset among the starts.

        The onset is that of an alarm which the list before did not hold, so the device's clock is near it.
        """
        kind = message.kind
        known = self._occurrences[kind]
        rows: dict[str, Listed] = {}
        for one in message.alarms:
            rows.setdefault(_code(kind, one), one)
        gone = dict.fromkeys(sorted(known.open - rows.keys()), _ENDED)
        readings = {
            code: Reading(Condition.ACTIVE, Priority.UNKNOWN, _raw(one)) for code, one in rows.items()
        }
        alarms: list[Alarm] = []
        onsets: list[datetime] = []
        for code, reading in (gone | readings).items():
            if code in rows:
                self._texts[code] = text_of(rows[code]) if kind is Kind.TECHNICAL else "physiological alarm"
            edge = known.compare(code, reading, first=kind not in self._told, stamp=stamp)
            if edge is not None:
                alarms.append(edge.alarm(code, self._texts[code], _KINDS[kind]))
                onset = rows[code].onset if edge.phase is Phase.START else None
                onsets += [] if onset is None else [onset]
            if code in gone:
                del self._texts[code]
        self._told.add(kind)
        return tuple(alarms), max(onsets, default=None)


def _code(kind: Kind, listed: Listed) -> str:
    return f"P{listed.code}" if kind is Kind.PHYSIOLOGICAL else listed.code


def _raw(listed: Listed) -> str:
    return f"level {listed.level}" if listed.level else ""


def state_of(figures: Mapping[str, float]) -> OperatingState:
    """What these figures are evidence of, by rule 4."""
    if any(figure > 0 for figure in figures.values()):
        return OperatingState.IN_USE
    is_told = figures.keys() >= {_HEART, _OXYGEN}
    is_idle = is_told and all(figure == INVALID for figure in figures.values())
    return OperatingState.IDLE if is_idle else OperatingState.UNKNOWN


class Use:
    """The state of one monitor, told once a period: the weightiest of the period, in use above idle.

    The first evidence, and use that begins, are told at once.
    """

    def __init__(self, *, period_s: float) -> None:
        self._period_s = period_s
        self.connected()

    def connected(self) -> None:
        """A new link: nothing is known."""
        self._told: OperatingState | None = None
        self._found = OperatingState.UNKNOWN
        self._since_s = 0.0

    def passed(self, seconds: float) -> None:
        """So much time has passed."""
        self._since_s += seconds

    def judge(self, figures: Mapping[str, float]) -> None:
        """Take evidence in."""
        self._found = max(self._found, state_of(figures), key=_WEIGHT.index)

    def due(self, *, has_evidence: bool) -> tuple[Usage, ...]:
        """The state if it is to be told now."""
        begins = self._found is OperatingState.IN_USE is not self._told
        if self._since_s < self._period_s and not begins and (self._told is not None or not has_evidence):
            return ()
        self._told, self._found, self._since_s = self._found, OperatingState.UNKNOWN, 0.0
        return (Usage(state=self._told, period_s=self._period_s),)
