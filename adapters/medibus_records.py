"""The data of MEDIBUS responses as values: identification, clock, measured values, alarms, texts.

    52       NNNN 'name' DD.DD:MM.MM        number, name, revision of the device and of its MEDIBUS
    28       HH:MM:SS DD-MMM-YY             seconds, blanks, hyphens and leading zeros as each device likes
    24       (code 2  value 4)*             a value that is not available is not sent
    27, 2E   (priority 1  code 2  phrase 12)*
    2A       (code 2  length 1  text 1..32  03)*

Rule 1: a response is read whole or not at all.
Rule 2: of a text record nothing is read but its code: texts may be names of patients.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

SOURCE: Final = "Draeger 9028258, 7th edition 2003 (MEDIBUS 4.03): responses to data request commands"
MONTHS: Final = MappingProxyType(
    {
        b"JAN": 1, b"FEB": 2, b"MAR": 3, b"APR": 4, b"MAI": 5, b"MAY": 5, b"JUN": 6, b"JUL": 7, b"AUG": 8,
        b"SEP": 9, b"OKT": 10, b"OCT": 10, b"NOV": 11, b"DEZ": 12, b"DEC": 12,
    }
)  # fmt: skip
"""German as the manual prints them, English as some devices send them."""
CENTURY_TURNS: Final = 90
"""Two digits from here on are a year of the 1900s: no device with a MEDIBUS is older."""
PRIORITY_ZERO: Final = 0x30
MOST_PRIORITY: Final = 31
_ALARM: Final = 15
_VALUE: Final = 6
_LONGEST_TEXT: Final = 32
_CODE: Final = re.compile(rb"[0-9A-F]{2}")
_IDENTIFICATION: Final = re.compile(
    rb"([0-9]{4})'([^'\x00-\x1f]{1,32})'([0-9]{2}\.[0-9]{2}):([0-9]{2}\.[0-9]{2})"
)
_CLOCK: Final = re.compile(
    rb"(?P<hour>[ 0-9][0-9]):(?P<minute>[0-9]{2})(:(?P<second>[0-9]{2}))? ?"
    rb"(?P<day>[ 0-9][0-9]|[0-9])-(?P<month>[A-Z]{3})[- ](?P<year>[ 0-9][0-9])"
)
_FIGURE: Final = re.compile(rb" *(- *)?([0-9]+(?:\.[0-9]*)?|\.[0-9]+) *")
_ABBREVIATIONS: Final = MappingProxyType({"$&": "LOW", '"#': "HIGH", "'@": "ALARM"})
"""9028329, 11th edition 2005: two characters that stand for a word in a phrase."""
_NAME: Final = re.compile(r"[A-Za-z0-9 ./+_-]+")
_SAFE: Final = re.compile(r"[A-Z0-9 .?!%<>+/_()&-]+")


@dataclass(frozen=True, slots=True)
class Identification:
    """Which model speaks; there is no serial number."""

    number: str
    name: str
    revision: str
    medibus: str

    @property
    def data(self) -> bytes:
        """The data of the response."""
        return f"{self.number}'{self.name}'{self.revision}:{self.medibus}".encode("ascii")


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """An alarm that stands."""

    priority: int
    """1 to 31, 31 the highest."""
    code: str
    phrase: str
    """The device's own words, spelt out; empty if they hold a character that no such phrase has."""
    raw: bytes
    """The words as sent."""

    def agrees(self, phrase: str) -> bool:
        """Whether the words are that phrase, but for blanks, signs and the length of LOW and HIGH."""
        return _letters(_spelt(self.raw)) == _letters(phrase)

    @property
    def row(self) -> bytes:
        """The record as bytes."""
        return alarm_row(self.priority, self.code, self.raw)


def identification(data: bytes) -> Identification | None:
    """The data of a response to 52; None if it is none."""
    found = _IDENTIFICATION.fullmatch(data)
    return None if found is None else Identification(*(part.decode("ascii") for part in found.groups()))


def name_of(who: Identification) -> str:
    """The name of a model that is not known; empty if it holds a character that no such name has."""
    name = " ".join(who.name.split())
    return name if _NAME.fullmatch(name) else ""


def clock(data: bytes) -> datetime | None:
    """The device's clock of a response to 28; None for none, an impossible one or a form not known."""
    found = _CLOCK.fullmatch(data)
    if found is None or found["month"] not in MONTHS:
        return None
    year = int(found["year"])
    try:
        return datetime(  # noqa: DTZ001 - the device tells no zone
            year + (1900 if year >= CENTURY_TURNS else 2000),
            MONTHS[found["month"]],
            int(found["day"]),
            int(found["hour"]),
            int(found["minute"]),
            int(found["second"] or 0),
        )
    except ValueError:
        return None


def is_clock(data: bytes) -> bool:
    """Whether the data is a clock in a known form, possible or not, or nothing at all."""
    return not data or _CLOCK.fullmatch(data) is not None


def values(data: bytes) -> Mapping[str, bytes] | None:
    """The words of a response to 24 by code; None if it is no such row."""
    if len(data) % _VALUE:
        return None
    rows = tuple(data[place : place + _VALUE] for place in range(0, len(data), _VALUE))
    if not all(_CODE.fullmatch(row[:2]) for row in rows):
        return None
    return MappingProxyType({row[:2].decode("ascii"): row[2:] for row in rows})


def figure(word: bytes) -> float | None:
    """The figure of a value; None for a word that is none. A minus stands in the first blank."""
    found = _FIGURE.fullmatch(word)
    if found is None:
        return None
    return -float(found[2]) if found[1] else float(found[2])


def alarms(data: bytes) -> tuple[AlarmRecord, ...] | None:
    """The alarms of a response to 27 or 2E; None if it is no such row."""
    if len(data) % _ALARM:
        return None
    rows = tuple(data[place : place + _ALARM] for place in range(0, len(data), _ALARM))
    if not all(1 <= row[0] - PRIORITY_ZERO <= MOST_PRIORITY and _CODE.fullmatch(row[1:3]) for row in rows):
        return None
    return tuple(
        AlarmRecord(row[0] - PRIORITY_ZERO, row[1:3].decode("ascii"), phrase_of(row[3:]), row[3:])
        for row in rows
    )


def alarm_row(priority: int, code: str, phrase: bytes) -> bytes:
    """One alarm as bytes; its phrase is padded to twelve."""
    return bytes((PRIORITY_ZERO + priority,)) + code.encode("ascii") + phrase.ljust(_ALARM - 3)


def text_row(code: str, text: bytes) -> bytes:
    """One text as bytes."""
    return code.encode("ascii") + bytes((PRIORITY_ZERO + len(text),)) + text + b"\x03"


def phrase_of(raw: bytes) -> str:
    """A phrase spelt out, without its padding; empty if it holds a character that no alarm's phrase has."""
    text = _spelt(raw)
    return text if _SAFE.fullmatch(text) else ""


def _spelt(raw: bytes) -> str:
    text = raw.decode("ascii")
    for short, word in _ABBREVIATIONS.items():
        text = text.replace(short, f" {word} ")
    return " ".join(text.split())


def _letters(phrase: str) -> str:
    return re.sub("[^A-Z0-9]", "", phrase.upper().replace("LOW", "LO").replace("HIGH", "HI"))


def text_codes(data: bytes) -> frozenset[str] | None:
    """The codes of the texts of a response to 2A; None if it is no such row.

    A text may be shorter than its length says: what a byte of 80 or above stood for has been let go.
    """
    found = set()
    while data:
        code, rest = data[:2], data[3:]
        length = data[2] - PRIORITY_ZERO if len(data) > 2 else 0
        end = rest.find(b"\x03")
        if not (_CODE.fullmatch(code) and 1 <= length <= _LONGEST_TEXT and 0 <= end <= length):
            return None
        found.add(code.decode("ascii"))
        data = rest[end + 1 :]
    return frozenset(found)
