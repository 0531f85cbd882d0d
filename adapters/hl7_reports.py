"""Parts an HL7 message into reports, one for each device that it speaks of, and tells whose each is.

    OBX-4   MDS.VMD.CHANNEL.METRIC[.FACET[.SUBFACET]]     zeros at the end mark a device, part or channel

Rule 1: rows under one OBR whose OBX-4 begins with the same number are one device; rows with another form of
OBX-4 are one device together.
Rule 2: a device is OBX-18 (or PRT, `adapters.hl7_equipment`) of the row nearest to its MDS, or else its
system id, or else (weak) its bed label. MSH-3 is the gateway: it serves as namespace where the device tells
none, and never as a device.
Rule 3: a time that is not told comes from the row's ancestors, then OBR-7, then MSH-7; so does a zone.

IHE Devices TF Rev 10.0, TF-2 appendix B.8 (OBX-4, OBX-14, OBX-18).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from adapters import hl7_equipment, hl7_time
from adapters.hl7 import Message, Segment
from adapters.hl7_codes import Fact, Term, term
from adapters.hl7_time import Moment
from telemetry.messages import Alias, Strength

PROTOCOL: Final = "hl7"
_FIGURE: Final = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{0,12})?")
_LONGEST_NAME: Final = 64
LONGEST_PLACE: Final = 64
"""Letters of OBX-4 that are looked at; the standard knows 20."""
_DIGITS: Final = 16

Path = tuple[str, ...]


class Row(NamedTuple):
    """One OBX that may matter."""

    segment: Segment
    term: Term
    """OBX-3."""

    @property
    def value(self) -> str:
        """OBX-5 as it stands."""
        return self.segment.field(5)

    def texts(self, message: Message) -> list[str]:
        """The components of its value."""
        return [message.text(part) for part in message.components(self.value)]

    def words(self, message: Message) -> Iterator[str]:
        """The components of its value in lower case, without a number in brackets behind them."""
        return (text.lower().partition("(")[0].strip() for text in self.texts(message) if text)

    @property
    def figure(self) -> float | None:
        """Its value as a plain number; None if it is none."""
        value = self.value.strip()
        return float(value) if _FIGURE.fullmatch(value) else None

    @property
    def path(self) -> Path:
        """OBX-4 in its parts, zeros at the end left out; one part if it has no dots."""
        return _path(self.segment.field(4)[:LONGEST_PLACE])

    @property
    def is_device(self) -> bool:
        """Whether it stands for the device as a whole."""
        return len(self.path) == 1 and self.term.fact is None and not self.value


@dataclass(frozen=True)
class Report:
    """What a message says of one device."""

    message: Message
    obr: Segment
    """OBR; nothing but its name if there is none."""
    rows: tuple[Row, ...]
    """Rows of known terms, rows without a value, and rows that name a device; no other is kept."""

    @cached_property
    def alias(self) -> Alias | None:
        """Whose report it is; None if no row tells."""
        message = self.message
        told = [row for row in self.rows if row.segment.field(18)]
        if told:
            nearest = min(told, key=lambda row: len(row.path))
            parts = [message.text(part) for part in message.components(nearest.segment.field(18))]
            entity, namespace, universal, *_ = (*parts, "", "", "")
            if entity or universal:
                return _alias(entity or universal, universal or namespace or _gateway(message))
        for fact, strength in ((Fact.SYSTEM_ID, Strength.STRONG), (Fact.BED, Strength.WEAK)):
            value = next((row.value for row in self.rows if row.term.fact is fact), "")
            if identifier := message.text(message.components(value)[0]):
                return _alias(identifier, _gateway(message), strength)
        return None

    @cached_property
    def device(self) -> int | None:
        """Type of the device as its MDS row, or else OBR-4 tells it."""
        told = (row.term.device for row in self.rows if row.is_device)
        return next(filter(None, told), None) or term(self.message, self.obr.field(4)).device

    @cached_property
    def sent(self) -> Moment | None:
        """When the report was made: OBR-7, or else MSH-7."""
        header = hl7_time.read(self.message.header.field(7))
        return hl7_time.in_zone_of(hl7_time.read(self.obr.field(7)), header) or header

    @property
    def time(self) -> Moment | None:
        """The clock of the device: that of its own row, or else of the report."""
        own = next((row for row in self.rows if row.is_device and row.segment.field(14)), None)
        return (self.observed(own) if own else None) or self.sent

    def observed(self, row: Row) -> Moment | None:
        """When a row was observed; None if that cannot be read."""
        told, path = row.segment.field(14), row.path
        for length in range(len(path) - 1, 0, -1):
            told = told or self._told_at.get(path[:length], "")
        return hl7_time.in_zone_of(hl7_time.read(told), self.sent) if told else self.sent

    @cached_property
    def _told_at(self) -> dict[Path, str]:
        return {row.path: row.segment.field(14) for row in self.rows if row.segment.field(14)}


def reports(message: Message) -> Iterator[Report]:
    """One report for each device under each OBR, in order. Raises MessageError for rows beyond all limits."""
    obr = Segment(("OBR",))
    rows: dict[str, list[Row]] = {}
    for segment in hl7_equipment.rows(message):
        parts = segment.parts
        if parts[0] == "OBR":
            yield from _parted(message, obr, rows)
            obr, rows = segment, {}
            continue
        code = term(message, segment.field(3))
        device = _device(segment.field(4))
        some = rows[device] if device in rows else rows.setdefault(device, [])
        if code.fact or code.is_event or len(parts) <= 5 or not parts[5] or segment.field(18):
            some.append(Row(segment, code))
    yield from _parted(message, obr, rows)


def fitted(text: str, *, length: int) -> str:
    """The text, or its beginning and a digest of it where it is longer."""
    if len(text) <= length:
        return text
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_DIGITS]
    return f"{text[: length - _DIGITS - 1]}#{digest}"


def _parted(message: Message, obr: Segment, rows: dict[str, list[Row]]) -> Iterator[Report]:
    if len(rows) > 1 and "" in rows:  # rows without a place belong to the first device
        first = next(key for key in rows if key)
        rows[first] += rows.pop("")
    for some in rows.values():
        yield Report(message, obr, tuple(some))


def _device(place: str) -> str:
    """The part of OBX-4 that tells one device from another; empty for a place of another form."""
    device, dot, _ = place.partition(".")
    return device if dot or device.isdigit() else ""


@lru_cache(maxsize=4096)
def _path(text: str) -> Path:
    parts = text.partition("^")[0].strip().split(".")
    while len(parts) > 1 and parts[-1] == "0":
        parts.pop()
    return tuple(parts)


def _gateway(message: Message) -> str:
    name, universal, *_ = (*map(message.text, message.components(message.header.field(3))), "", "")
    return universal or name


def _alias(identifier: str, namespace: str, strength: Strength = Strength.STRONG) -> Alias:
    return Alias(
        protocol=PROTOCOL,
        namespace=fitted(namespace, length=_LONGEST_NAME),
        identifier=fitted(identifier, length=_LONGEST_NAME),
        strength=strength,
    )
