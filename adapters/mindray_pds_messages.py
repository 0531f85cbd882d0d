r"""Reads one message of Mindray's Patient Data Share: its kind, whose it is, and the rows that are looked at.

    0B  MSH|^~\&|||||||ORU^R01|<kind>|P|2.3.1| CR
        PID|...                                   never looked at
        PV1||I|^^<ward>&<bed>&<address>&<port>... CR
        OBX||ST|2304^MonitorName||<name>||||||F CR
        OBX||NM|<figure>^<name>|<module>|<value>||||||F CR
        OBX||CE|2 or 4|<level>|<code>^<text>||||||F|||<local time> CR
    1C 0D

Rule 1: MSH-10 is the kind of a message, not a number of its own: nothing is a repetition by it.
Rule 2: of a person, and of where somebody lies, nothing is read but the address of the monitor (PV1-3).
Rule 3: an alarm without a number makes its whole list unreadable: an end must not come of that.

Reference: what five public clients read and send; the maker's guide itself was not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from adapters import hl7, hl7_time
from adapters.hl7_mllp import framed
from telemetry.errors import MessageError

LIMIT_BYTES: Final = 256 * 1024
"""Of one message."""


class Kind(IntEnum):
    """MSH-10."""

    LEVELS = 53
    PHYSIOLOGICAL = 54
    TECHNICAL = 56
    ONLINE = 101
    PLACE = 103
    HEARTBEAT = 106
    PERIODIC = 204
    STATUS = 205
    APERIODIC = 503


KINDS: Final = MappingProxyType({
    Kind.LEVELS: "alarm level of each figure",
    Kind.PHYSIOLOGICAL: "all physiological alarms that are active",
    Kind.TECHNICAL: "all technical alarms that are active",
    Kind.ONLINE: "a monitor is on line: name and address",
    Kind.PLACE: "a monitor's place and patient: address alone is read",
    Kind.HEARTBEAT: "heartbeat, both ways",
    Kind.PERIODIC: "figures: judged for use and dropped",
    Kind.STATUS: "limits and states of figures",
    Kind.APERIODIC: "figures with their time, as of a cuff",
})  # fmt: skip
NAME: Final = "2304"
"""OBX-3 of the monitor's name."""
ALARM_ROWS: Final = MappingProxyType({Kind.PHYSIOLOGICAL: "2", Kind.TECHNICAL: "4"})
"""OBX-3 of an alarm in each list; further rows of a list mean nothing that is known."""
FIGURES: Final = MappingProxyType({"101": "HR", "151": "RR", "160": "SpO2", "161": "PR"})
"""The figures that use is judged by, and the only ones that are asked for."""
INVALID: Final = -100.0

_FIGURE: Final = re.compile(r"-?[0-9]{1,6}(\.[0-9]{0,6})?")
_CODE: Final = re.compile(r"[0-9]{1,6}")
_LEVEL: Final = re.compile(r"[0-9]")
_LABEL: Final = re.compile(r"[A-Za-z]{0,5}[-_ ]?[0-9]{1,5}")
_MOST_ADDRESS: Final = 1 << 32
_VERSION: Final = "2.3.1"


@dataclass(frozen=True, slots=True)
class Listed:
    """One alarm of a list."""

    code: str
    level: str
    """Of the device, as it tells it; what it stands for is not known."""
    text: str
    """The device's own, which may hold anything."""
    onset: datetime | None
    """By the device's clock."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is looked at of one message."""

    kind: Kind
    address: str = ""
    """IPv4 address of the monitor that it is about; empty where none is told."""
    label: str = ""
    """Name of the monitor, if it is letters and a number."""
    figures: tuple[tuple[str, float], ...] = ()
    alarms: tuple[Listed, ...] = ()


def read(data: bytes) -> Message | None:
    """The message of the bytes between the marks of a frame; None if its kind tells nothing of equipment.

    Raises MessageError, never quoting.
    """
    message = hl7.read(data)
    number = message.header.field(10)
    if not _CODE.fullmatch(number):
        raise MessageError("MSH-10 is no kind of message")
    if int(number) not in KINDS:
        return None
    kind = Kind(int(number))
    return Message(
        kind,
        address=next(_addresses(message), "") if kind in {Kind.ONLINE, Kind.PLACE} else "",
        label=next(_labels(message), "") if kind in {Kind.ONLINE, Kind.PLACE} else "",
        figures=tuple(_figures(message)) if kind is Kind.PERIODIC else (),
        alarms=tuple(_alarms(message, ALARM_ROWS[kind])) if kind in ALARM_ROWS else (),
    )


def _addresses(message: hl7.Message) -> Iterator[str]:
    """PV1-3: an address is a number of 32 bits, the first byte of it the highest."""
    for segment in message.segments("PV1"):
        place = message.components(segment.field(3))
        parts = place[2].split(message.separators.subcomponent) if len(place) > 2 else []
        if len(parts) > 2 and parts[2].isascii() and parts[2].isdecimal() and len(parts[2]) <= 10:
            number = int(parts[2])
            if 0 < number < _MOST_ADDRESS:
                yield ".".join(str(byte) for byte in number.to_bytes(4, "big"))


def _rows(message: hl7.Message) -> Iterator[tuple[str, hl7.Segment]]:
    for segment in message.segments("OBX"):
        yield message.text(message.components(segment.field(3))[0]), segment


def _labels(message: hl7.Message) -> Iterator[str]:
    for row, segment in _rows(message):
        text = message.text(message.components(segment.field(5))[0])
        if row == NAME and _LABEL.fullmatch(text):
            yield text


def _figures(message: hl7.Message) -> Iterator[tuple[str, float]]:
    for row, segment in _rows(message):
        value = segment.field(5).strip()
        if row in FIGURES and _FIGURE.fullmatch(value):
            yield row, float(value)


def _alarms(message: hl7.Message, wanted: str) -> Iterator[Listed]:
    for row, segment in _rows(message):
        if row != wanted:
            continue
        told = [message.text(part) for part in message.components(segment.field(5))]
        if not _CODE.fullmatch(told[0]):
            raise MessageError("an alarm without a number")
        level, onset = segment.field(4).strip(), hl7_time.read(segment.field(14))
        yield Listed(
            code=str(int(told[0])),
            level=level if _LEVEL.fullmatch(level) else "",
            text=told[1] if len(told) > 1 else "",
            onset=onset.clock if onset is not None and onset.to_the_minute else None,
        )


# -- what is sent -----------------------------------------------------------------------------------------


def message_of(kind: int, *segments: str, event: str = "ORU^R01") -> bytes:
    """A message in its frame."""
    header = f"MSH|^~\\&|||||||{event}|{kind}|P|{_VERSION}|"
    return framed("".join(f"{segment}\r" for segment in (header, *segments)).encode())


def place_of(address: str, *, ward: str = "", bed: str = "", port: int = 4601) -> str:
    """PV1 of a monitor at that IPv4 address."""
    number = int.from_bytes(bytes(map(int, address.split("."))), "big") if address else ""
    return f"PV1||I|^^{ward}&{bed}&{number}&{port}&&1"


def label_of(label: str) -> str:
    """The row of a monitor's name."""
    return f"OBX||ST|{NAME}^MonitorName||{label}||||||F"


def figure_of(figure: str, value: float, *, module: str = "") -> str:
    """The row of a figure."""
    return f"OBX||NM|{figure}^{FIGURES.get(figure, '')}|{module}|{value:g}||||||F"


def alarm_of(kind: Kind, listed: Listed) -> str:
    """The row of an alarm in a list of this kind."""
    onset = f"{listed.onset.year:04}{listed.onset:%m%d%H%M%S}" if listed.onset else ""
    if listed.onset and listed.onset.microsecond:
        onset += f".{listed.onset.microsecond:06}"
    return f"OBX||CE|{ALARM_ROWS[kind]}|{listed.level}|{listed.code}^{listed.text}||||||F|||{onset}|"


HEARTBEAT: Final = message_of(Kind.HEARTBEAT)
QUERY: Final = message_of(
    1203,
    "QRD|20000101000000|R|I|Q1|||||RES",
    f"QRF|MON||||0&0^1^1^0^{'&'.join(FIGURES)}",
    "QRF|MON||||0&0^3^1^1^",
    "QRF|MON||||0&0^4^1^1^",
    event="QRY^R02",
)
"""Asks the monitor itself for the four figures, all physiological and all technical alarms, as they come.

Public clients send the same with a made-up time and number; a further one takes the place of the one before.
"""
