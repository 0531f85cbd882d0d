"""The reports of a Puritan Bennett ventilator as bytes: SNDF in two lengths, and the shorter SNDA.

    SNDF CR   MISCF,1225,169 ,  STX  field 5, ... ,field 173,  ETX  CR     the port set to DCI
              MISCF,1229,169 ,  STX  field 5, ... ,field 173,  ETX  CR     the port set to Philips
    SNDA CR   MISCA,706,97,     STX  field 5, ... ,field 101,  ETX  CR     of the 840's first software on
              |     |    |           |
              |     |    |           fields are counted from 5, padded with blanks, each ended by a comma
              |     |    number of fields
              |     bytes strictly between STX and ETX
              start word; there is no checksum and no sequence number

Rule 1: header, STX, ETX, bytes, fields and the width of each field must agree, or the report is refused.
Rule 2: where the four further bytes of 1229 stand is told by no document, and no capture of it is known: its
fields are told apart by their commas, and none may be narrower than in the report of 1225.
Rule 3: other makers answer in the same frame; whoever reads theirs brings their layouts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Final

from adapters.framing import HeadedFrames

MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WORD_BYTES: Final = 6
"""By so many bytes a report is found in a stream."""
_FIRST: Final = 5
"""Number of the first field behind STX, as the tables count."""
_CONTROL: Final = re.compile(rb"[^ -~]")
_DATE: Final = re.compile(r"([A-Z]{3}) ([0-9]{1,2}) ([0-9]{4})")
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of report."""

    command: bytes
    """What asks for it, without its CR."""
    header: bytes
    """Up to and with STX."""
    widths: tuple[int, ...]
    """Bytes of each field without its comma."""
    date: int
    """Field of the date; the time is field 5."""
    spare: int = 0
    """Bytes that the body has beyond its fields' widths, at places that no document tells."""
    trailer: bytes = b"\x03\r"
    """What follows the last field's comma."""
    loose: bool = False
    """Whether only the sum of the widths is known: the fields are told apart by their commas alone."""

    @property
    def fields(self) -> range:
        """Numbers of the fields."""
        return range(_FIRST, _FIRST + len(self.widths))

    @property
    def body(self) -> int:
        """Bytes strictly between STX and ETX."""
        return sum(self.widths) + len(self.widths) + self.spare

    @property
    def size(self) -> int:
        """Bytes of the whole report."""
        return len(self.header) + self.body + len(self.trailer)


def _widths(last: int, wide: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(wide.get(field, 6) for field in range(_FIRST, last + 1))


_SNDF_WIDTHS: Final = _widths(173, {6: 18, 7: 12, 8: 9, 50: 9, 53: 18, 55: 9, 66: 9})
SNDF: Final = Layout(b"SNDF", b"MISCF,1225,169 ,\x02", _SNDF_WIDTHS, date=7)
PHILIPS: Final = Layout(b"SNDF", b"MISCF,1229,169 ,\x02", _SNDF_WIDTHS, date=7, spare=4)
SNDA: Final = Layout(b"SNDA", b"MISCA,706,97,\x02", _widths(101, {6: 18, 8: 12, 62: 12, 100: 9}), date=8)
LAYOUTS: Final = (SNDF, PHILIPS, SNDA)


@dataclass(frozen=True, slots=True)
class Report:
    """What a sound report says."""

    layout: Layout
    fields: Mapping[int, str]
    """By number, without their padding."""

    @property
    def device_time(self) -> datetime | None:
        """The ventilator's clock, to the minute; None if it cannot be one."""
        time, date = _TIME.fullmatch(self.fields[5]), _DATE.fullmatch(self.fields[self.layout.date])
        if time is None or date is None or date[1] not in MONTHS:
            return None
        try:
            return datetime(  # noqa: DTZ001 - the ventilator tells no zone
                int(date[3]), MONTHS.index(date[1]) + 1, int(date[2]), int(time[1]), int(time[2])
            )
        except ValueError:
            return None


def report_of(frame: bytes, *, layouts: tuple[Layout, ...] = LAYOUTS) -> Report:
    """Reads a sound frame of one of these layouts."""
    (layout,) = _begun(frame, layouts)
    texts = frame[len(layout.header) : -len(layout.trailer)].decode("ascii").split(",")
    fields = {field: text.strip(" ") for field, text in zip(layout.fields, texts[:-1], strict=True)}
    return Report(layout, MappingProxyType(fields))


def frame_of(fields: Mapping[int, str], *, layout: Layout = SNDF) -> bytes:
    """The report with these fields, all others blank; spare bytes are blanks in the last field.

    Raises ValueError for a field that there is not, or a text that does not fit.
    """
    unknown = sorted(fields.keys() - set(layout.fields))
    if unknown:
        raise ValueError(f"{layout.command.decode()} has no field {unknown[0]}")
    parts = []
    for field, width in zip(layout.fields, layout.widths, strict=True):
        text = fields.get(field, "")
        if len(text) > width or "," in text:
            raise ValueError(f"field {field} holds {width} bytes without comma, not {text!r}")
        parts.append(f"{text:<{width}}")
    return layout.header + (",".join(parts) + " " * layout.spare + ",").encode("ascii") + layout.trailer


def frames(layouts: tuple[Layout, ...] = LAYOUTS) -> HeadedFrames:
    """The framing of one stream of reports of any of these layouts."""
    words = dict.fromkeys(layout.header[:_WORD_BYTES] for layout in layouts)
    return HeadedFrames(*words, size=partial(_size, layouts=layouts), fault=partial(_fault, layouts=layouts))


def _begun(data: bytes | bytearray, layouts: tuple[Layout, ...]) -> tuple[Layout, ...]:
    """The layouts whose header begins as the data does, or the longest with which the data begins."""
    found = [layout for layout in layouts if layout.header.startswith(data[: len(layout.header)])]
    longest = max((len(layout.header) for layout in found), default=0)
    return tuple(layout for layout in found if len(layout.header) == longest or len(data) < longest)


def _size(data: bytearray, *, layouts: tuple[Layout, ...]) -> int:
    begun = _begun(data, layouts)
    return begun[0].size if len(begun) == 1 else min(layout.size for layout in layouts)


def _fault(data: bytearray, *, layouts: tuple[Layout, ...]) -> str | None:
    begun = _begun(data, layouts)
    if not begun:
        known = dict.fromkeys(layout.header.rstrip(b" ,\x02").decode() for layout in layouts)
        return f"header is none of {' and '.join(known)}"
    layout = begun[0]
    if len(begun) > 1 or len(data) < len(layout.header):
        return None
    start, end = len(layout.header), len(layout.header) + layout.body
    control = _CONTROL.search(data, start, end)
    if control is not None:
        length = control.start() - start
        if data[control.start()] == 0x03:
            return f"body of {length} bytes instead of {layout.body}"
        return f"byte {data[control.start()]:02x} after {length} bytes of the body"
    if not layout.trailer.startswith(data[end : end + len(layout.trailer)]):
        return f"no ETX and CR after {layout.body} bytes of the body"
    return None if len(data) < layout.size else _misfit(layout, bytes(data[start:end]))


def _misfit(layout: Layout, body: bytes) -> str | None:
    """What is wrong with the fields of a body that is as long as it must be."""
    *fields, rest = body.split(b",")
    if len(fields) != len(layout.widths):
        return f"{len(fields)} fields instead of {len(layout.widths)}"
    for field, width, text in zip(layout.fields, layout.widths, fields, strict=True):
        if not layout.loose and (len(text) < width or (len(text) > width and not layout.spare)):
            return f"field {field} is not as wide as it must be"
    return "bytes behind the last field" if rest.strip(b" ") else None
