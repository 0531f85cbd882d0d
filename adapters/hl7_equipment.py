"""Reads the rows of a message together with the equipment that PRT segments name (HL7 2.7 and later).

    OBR|...                    PRT behind it: the device of the first row below
    OBX|1|...                  PRT behind it: the device of this row
    PRT||UC||EQUIP|||||| entity^namespace^universal^type |...| serial number (PRT-20)

Rule 1: of PRT nothing is read but PRT-2, PRT-4, PRT-10 and PRT-20, and only where PRT-4 is EQUIP: the other
roles are persons.
Rule 2: what PRT names stands as OBX-18 of its row, unless the row names a device itself.

HL7 v2.8.2 chapter 7.4.4 (PRT); v2.6 has OBX-18 instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapters.hl7 import Message, Segment

_DEVICE: Final = 18


def rows(message: Message) -> Iterator[Segment]:
    """OBR and OBX in order, each OBX with its device. Raises MessageError for one beyond all limits."""
    held: Segment | None = None
    of_report = ""
    for segment in message.segments("OBR", "OBX", "PRT"):
        if segment.name == "PRT":
            named = _equipment(message, segment)
            if held is not None and held.name == "OBX":
                held = _with(held, named)
            else:
                of_report = of_report or named
            continue
        if held is not None:
            yield held
        held = segment if segment.name == "OBR" else _with(segment, of_report)
        of_report = ""
    if held is not None:
        yield held


def _equipment(message: Message, segment: Segment) -> str:
    """What names the device, as OBX-18 would; empty if the segment names none."""
    role = message.components(segment.field(4))[0].strip().upper()
    if role != "EQUIP" or segment.field(2).strip().upper() == "D":
        return ""
    first = segment.field(10).partition(message.separators.repetition)[0]
    parts = message.components(first)
    return first if parts[0] else message.separators.component.join((segment.field(20), *parts[1:]))


def _with(segment: Segment, device: str) -> Segment:
    if not device or segment.field(_DEVICE):
        return segment
    parts = (*segment.parts, *([""] * (_DEVICE + 1 - len(segment.parts))))
    return Segment((*parts[:_DEVICE], device, *parts[_DEVICE + 1 :]))
