"""What a ventilator's serial port makes of a command: the software it runs and how its port is set; pure."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from adapters.puritan_bennett_reports import PHILIPS, SNDA, SNDF, frame_of, report_of

_SHORT_MODES = MappingProxyType({"A/C": "CMV", "SPONT": "CPAP"})
"""Modes that SNDA calls by another name."""
_COPIED = MappingProxyType({5: 5, 6: 6, 7: 8, 70: 34, 72: 36, 105: 93})
"""Field of SNDA by field of SNDF: clock, identity, rate, minute volume, alarm silence."""
_ALARMS = MappingProxyType({
    48: (110,), 51: (117, 119), 52: (118,), 53: (112,), 54: (122,), 55: (121,), 57: (106,), 94: (106,),
    95: (124, 125),
})  # fmt: skip
"""Fields of SNDF that one alarm field of SNDA stands for."""
_LEVELS = frozenset({"LOW", "MEDIUM", "HIGH"})


class Software(StrEnum):
    """Software and port setting of a simulated ventilator."""

    USUAL = "usual"
    """SNDF and SNDA, the port set to DCI."""
    PHILIPS = "philips"
    """The port set to Philips: SNDF of 1229 bytes."""
    SNDA_ONLY = "snda-only"
    """Older software: SNDF is not understood, and not answered."""


def understands(command: bytes, *, software: Software) -> bool:
    """Whether the command is answered with a report."""
    return command == SNDA.command or (command == SNDF.command and software is not Software.SNDA_ONLY)


def reply(command: bytes, report: bytes, *, software: Software) -> bytes:
    """What is sent for a command that is understood, given the SNDF report of the moment."""
    if command == SNDA.command:
        return shortened(report)
    if software is Software.PHILIPS:
        return frame_of(report_of(report).fields, layout=PHILIPS)
    return report


def shortened(report: bytes) -> bytes:
    """The SNDA report of a ventilator that says this by SNDF."""
    fields = report_of(report).fields
    words = {field: tuple(fields[place] for place in places) for field, places in _ALARMS.items()}
    return frame_of(
        {short: fields[full] for full, short in _COPIED.items()}
        | {9: _SHORT_MODES.get(fields[9], fields[9])}
        | {field: _alarm_word(told, resets=field < 94) for field, told in words.items()},
        layout=SNDA,
    )


def _alarm_word(words: tuple[str, ...], *, resets: bool) -> str:
    """NORMAL, ALARM or RESET; 94 and 95 know no RESET."""
    if _LEVELS & set(words):
        return "ALARM"
    return "RESET" if resets and "RESET" in words else "NORMAL"
