"""What people write in the cells of an inventory, as the registry keeps it: days, states, figures, names.

A text that cannot be taken raises `UnfitError`, which says what would be right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Final, TypeVar

from desk.asset_words import FUNDINGS, METERS, STATES, folded, type_of
from rules.attributes import DATES, Attribute, value_fault
from telemetry.messages import Alias, MeterName, Strength
from telemetry.times import to_ms

_T = TypeVar("_T")
_ISO: Final = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_DAY_FIRST: Final = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})")
_FIGURE: Final = re.compile(r"\d{1,8}(?:[.,]\d{1,6})?")
_AMBIGUOUS: Final = re.compile(r"\d{1,3}[.,]\d{3}")
_SHORTENED: Final = re.compile(r"\d[.,]\d+E\+?\d+", re.IGNORECASE)
_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NOT_ID: Final = re.compile(r"[^A-Za-z0-9_.]+")
_PLAIN_D: Final = str.maketrans("đĐ", "dD")
_YEARS: Final = range(1950, 2101)
_DAY_FORM: Final = "a day as 15/03/2027 or 2027-03-15"
_WEAK_NAMESPACES: Final = frozenset({"port", "gateway", "ip", "epr"})
"""Namespaces of aliases that are but a place: adapters/host, adapters/protocols/mindray_pds.py."""


class UnfitError(ValueError):
    """A text that cannot be taken: what is wrong with it, and what would be right."""

    def __init__(self, found: str, expected: str) -> None:
        self.found = found
        self.expected = expected
        super().__init__(f"{found}; {expected}")


def value_of(attribute: Attribute, text: str) -> str:
    """An attribute's value from what people write. Raises UnfitError."""
    match attribute:
        case Attribute.LIFE_CYCLE:
            return _meant(STATES, text)
        case Attribute.FUNDING:
            return _meant(FUNDINGS, text)
        case Attribute.DEVICE_TYPE:
            taken = type_of(text)
        case Attribute.SERIAL:
            taken = name_of(text)
        case _ if attribute in DATES:
            return day_of(text).isoformat()
        case _:
            taken = text
    if len(taken) > 200:
        raise UnfitError(f"has {len(taken)} characters", "at most 200")
    if fault := value_fault(attribute, taken):
        raise UnfitError(repr(taken), fault)
    return taken


def _meant(words: Mapping[str, _T], text: str) -> _T:
    """What a word of a closed list means."""
    found = words.get(folded(text))
    if found is None:
        raise UnfitError(repr(text), f"one of {', '.join(dict.fromkeys(map(str, words.values())))}")
    return found


def day_of(text: str) -> date:
    """A day: year first, or day first as it is written in Vietnam; never month first. Raises UnfitError."""
    if found := _ISO.fullmatch(text):
        year, month, day = map(int, found.groups())
    elif found := _DAY_FIRST.fullmatch(text):
        day, month, year = map(int, found.groups())
    elif text.isascii() and text.isdigit() and len(text) == 5:
        raise UnfitError(f"{text}, a day kept as a number", f"the column formatted as a date, or {_DAY_FORM}")
    else:
        raise UnfitError(repr(text), _DAY_FORM)
    try:
        taken = date(year, month, day)
    except ValueError:
        raise UnfitError(f"{text}: there is no day {day} of month {month}", _DAY_FORM) from None
    if year not in _YEARS:
        raise UnfitError(f"{text}: the year {year}", f"{_DAY_FORM}, from {_YEARS[0]} to {_YEARS[-1]}")
    return taken


def moment_of(text: str) -> int:
    """Milliseconds since 1970 of a day's beginning in UTC, or of a time with its zone. Raises UnfitError."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return to_ms(datetime.combine(day_of(text), time(), UTC))
    if told.tzinfo is None and told.time() != time():
        raise UnfitError(repr(text), "a time with its zone, as 2026-11-20T08:00+07:00, or a day")
    if told.year not in _YEARS:
        raise UnfitError(repr(text), f"a year from {_YEARS[0]} to {_YEARS[-1]}")
    return to_ms(told if told.tzinfo else told.replace(tzinfo=UTC))


def figure_of(text: str) -> float:
    """Hours or cycles. Raises UnfitError where a sign may stand for thousands or for decimals."""
    if _AMBIGUOUS.fullmatch(text):
        whole = re.sub(r"[.,]", "", text)
        raise UnfitError(
            f"{text}: thousands or decimals?", f"{whole}, or {text[:-1]} if the sign begins decimals"
        )
    if not text.isascii() or not _FIGURE.fullmatch(text):
        raise UnfitError(repr(text), "a figure as 1250 or 1250.5, without a unit")
    value = float(text.replace(",", "."))
    if value > 10_000_000:
        raise UnfitError(repr(text), "at most 10,000,000")
    return value


def meter_of(text: str) -> MeterName:
    """A meter by its name in the language or in people's words. Raises UnfitError."""
    return _meant(METERS, text)


def name_of(text: str) -> str:
    """A serial number or another name, of which a spreadsheet has shortened nothing. Raises UnfitError."""
    if _SHORTENED.fullmatch(text):
        raise UnfitError(
            f"{text}, a long number that a spreadsheet has shortened",
            "the column formatted as text, typed anew",
        )
    return text


def alias_of(protocol: str, namespace: str, identifier: str) -> Alias:
    """An alias; weak where its namespace says that it is but a port. Raises UnfitError."""
    strength = Strength.WEAK if namespace in _WEAK_NAMESPACES else Strength.STRONG
    if len(namespace) > 64 or not 1 <= len(identifier) <= 64:
        raise UnfitError(repr(identifier), "1 to 64 characters")
    try:
        return Alias(
            protocol=protocol, namespace=namespace, identifier=name_of(identifier), strength=strength
        )
    except ValueError as error:
        if isinstance(error, UnfitError):
            raise
        raise UnfitError(repr(protocol), "a protocol id, as `hourmeter adapters list` shows them") from error


def id_of(text: str) -> str:
    """An asset id. Raises UnfitError."""
    if not _ID.fullmatch(text):
        raise UnfitError(
            repr(text), "site code and a part that never changes, as HN01-0042: 1 to 64 of A-Z a-z 0-9 _ . -"
        )
    return text


def id_for(label: str, *, site: str) -> str:
    """The asset id that is made of a site code and an inventory label. Raises UnfitError."""
    plain = "".join(
        one for one in unicodedata.normalize("NFKD", label) if not unicodedata.combining(one)
    ).translate(_PLAIN_D)
    part = _NOT_ID.sub("-", plain).strip("-")
    if not part:
        raise UnfitError(repr(label), "a label with letters or digits, of which the id is made")
    return id_of(f"{site}-{part}")
