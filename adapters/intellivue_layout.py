"""The layout of IntelliVue Data Export messages: bytes in, values out; big-endian.

    indication   00000100 | 0001 len | event report
    session      E1000002 | type len | ...
      1 invoke     event report
      2 result     result
      5 linked     state, part | result                    more of this result follows
    event report invoke id, command, len | class, context, handle | relative time | event len
                 | 0D17: attributes; 0D06: class, context, handle, attributes
    result       invoke id, command, len | class, context, handle | action len
                 | 0C16: number, relative time, absolute time, partition, class, group
                         | contexts (context | objects (handle | attributes))
    attributes   count len | (id len value)...

Rule 1: every length must fit the one around it to the byte; what does not raises MessageError.
Rule 2: a list is read to its length, and must hold as many entries as it counts. So must the attributes
whose structure is known, whoever looks at them.

Reference: Philips IntelliVue Data Export from a capture and from what public clients read and send; the
maker's guide itself was not read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

from telemetry.errors import MessageError

NOMENCLATURE: Final = 0x00000100
SESSION: Final = 0xE1000002
INVOKE: Final = 1
RESULT: Final = 2
ERROR: Final = 3
LINKED: Final = 5
EVENT: Final = 0
"""Command: an event that asks for no answer."""
CONFIRMED_EVENT: Final = 1
CONFIRMED_ACTION: Final = 7
CONNECT_INDICATION: Final = 0x0D17
MDS_CREATED: Final = 0x0D06
POLL: Final = 0x0C16
MDS: Final = 0x0021
"""Object class of the monitor itself."""
ALERT_MONITOR: Final = 0x0036
ALL_GROUPS: Final = 0
ALERT_GROUP: Final = 0x0801
OBJECTS: Final = 1
"""The partition of the nomenclature that object classes are taken from."""
LONGEST: Final = 4096
"""Bytes of the longest message that is believed; sessions agree on far less."""

Attributes = Mapping[int, bytes]
"""The value of each attribute by its id."""

HEAD: Final = struct.Struct(">IHH")
LINK: Final = struct.Struct(">BB")
COMMAND: Final = struct.Struct(">HHH")
REPORT: Final = struct.Struct(">6sIHH")
ACTION: Final = struct.Struct(">6sHH")
POLLED: Final = struct.Struct(">HI8sHHH")
LIST: Final = struct.Struct(">HH")
NUMBER: Final = struct.Struct(">H")
ALERT: Final = struct.Struct(">HHHH6sHH")
ITSELF: Final = bytes((0, MDS, 0, 0, 0, 0))
"""Class, context and handle of the monitor as it is asked."""


@dataclass(frozen=True, slots=True)
class Told:
    """The monitor tells of itself: a connect indication, or the event with which a session begins."""

    event: int
    invoke_id: int
    object: bytes
    """Class, context and handle of who tells."""
    time: int
    """The monitor's own count of eighths of a millisecond; no clock."""
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Polled:
    """What one message brings of the answer to a poll."""

    invoke_id: int
    part: int
    """Number of a linked message, from 1; 0 for the message that ends the answer."""
    object_class: int
    time: int
    """The monitor's own count of eighths of a millisecond."""
    objects: tuple[Attributes, ...]


@dataclass(frozen=True, slots=True)
class Remark:
    """A sound message that tells nothing of equipment."""

    what: str


Said = Told | Polled | Remark


class Alert(NamedTuple):
    """One row of an alert list, without its text."""

    source: int
    code: int
    type: int
    state: int


class _Reader:
    """Bytes taken from the front, within the bounds of what they belong to."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int, what: str) -> bytes:
        if count > self.left:
            raise MessageError(f"{what}: {count} bytes told, {self.left} there")
        self._at += count
        return self._data[self._at - count : self._at]

    def fields(self, layout: struct.Struct, what: str) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size, what))

    def within(self, length: int, what: str) -> _Reader:
        """All that is left, which must be that long."""
        if length != self.left:
            raise MessageError(f"{what}: {length} bytes told, {self.left} there")
        return _Reader(self.take(length, what))


_Row = TypeVar("_Row")


def _rows(reader: _Reader, row: Callable[[_Reader], _Row], what: str) -> tuple[_Row, ...]:
    count, length = reader.fields(LIST, what)
    inside = _Reader(reader.take(length, what))
    rows = []
    while inside.left:
        rows.append(row(inside))
    if len(rows) != count:
        raise MessageError(f"{what}: {count} told, {len(rows)} there")
    return tuple(rows)


def _whole(reader: _Reader, row: Callable[[_Reader], _Row], what: str) -> tuple[_Row, ...]:
    """A list behind which nothing may stand."""
    rows = _rows(reader, row, what)
    if reader.left:
        raise MessageError(f"{what}: {reader.left} bytes too many")
    return rows


def _attribute(reader: _Reader) -> tuple[int, bytes]:
    number, length = reader.fields(LIST, "attribute")
    value = reader.take(length, "attribute")
    if number in _STRUCTURES:
        _STRUCTURES[number](value)
    return number, value


def _attributes(reader: _Reader) -> Attributes:
    return dict(_rows(reader, _attribute, "attributes"))


HEAD_BYTES: Final = 28
"""By so many bytes `fits` can tell."""


def fits(head: bytes) -> bool:
    """Whether the lengths in the first bytes of a message agree; more than HEAD_BYTES are not looked at.

    True while the bytes do not tell. Only an error may be shorter than HEAD_BYTES as a whole.
    """
    if len(head) < HEAD.size:
        return True
    first, kind, length = HEAD.unpack_from(head)
    if (first == SESSION and kind == ERROR) or HEAD.size + length < HEAD_BYTES:
        return bool(first == SESSION and kind == ERROR)
    if len(head) < HEAD_BYTES:
        return True
    at = HEAD.size + (LINK.size if kind == LINKED else 0)
    _, command, inside = COMMAND.unpack_from(head, at)
    if inside != length - (at - HEAD.size) - COMMAND.size:
        return False
    if kind == INVOKE:
        event, told = LIST.unpack_from(head, at + COMMAND.size + 10)
        wanted = CONNECT_INDICATION if first == NOMENCLATURE else MDS_CREATED
        return event == wanted and told == inside - REPORT.size and command in {EVENT, CONFIRMED_EVENT}
    if first == NOMENCLATURE or kind not in {RESULT, LINKED}:
        return False
    if command != CONFIRMED_ACTION:
        return True
    (answer,) = NUMBER.unpack_from(head, at + COMMAND.size + 8)
    return bool(answer == inside - ACTION.size)


def read(data: bytes) -> Said:
    """What one whole message says. Raises MessageError if it does not hold together; never quotes."""
    reader = _Reader(data)
    head, kind, length = reader.fields(HEAD, "head")
    inside = reader.within(length, "message")
    if head == NOMENCLATURE:
        if kind != INVOKE:
            raise MessageError("indication that is no event")
        return _report(inside, CONNECT_INDICATION)
    if head != SESSION:
        raise MessageError("neither an indication nor a message of a session")
    if kind == INVOKE:
        return _report(inside, MDS_CREATED)
    if kind == ERROR:
        return Remark("the monitor did not do what it was asked")
    part = inside.fields(LINK, "link")[1] if kind == LINKED else 0
    if kind not in {RESULT, LINKED} or (kind == LINKED and not part):
        raise MessageError("neither an event nor a result")
    return _result(inside, part)


def _report(reader: _Reader, event: int) -> Told:
    invoke_id, command, length = reader.fields(COMMAND, "event")
    if command not in {EVENT, CONFIRMED_EVENT}:
        raise MessageError("a command to us")
    inside = reader.within(length, "event")
    who, time, found, length = REPORT.unpack(inside.take(REPORT.size, "event"))
    if found != event:
        raise MessageError("an event that is not known")
    told = inside.within(length, "event")
    if event == MDS_CREATED:
        told.take(len(who), "event")
    attributes = dict(_whole(told, _attribute, "attributes"))
    return Told(found, invoke_id, who, time, attributes)


def _result(reader: _Reader, part: int) -> Said:
    invoke_id, command, length = reader.fields(COMMAND, "result")
    inside = reader.within(length, "result")
    if command != CONFIRMED_ACTION:
        return Remark("a result of no poll")
    _, action, length = ACTION.unpack(inside.take(ACTION.size, "result"))
    polled = inside.within(length, "result")
    if action != POLL:
        return Remark("a result of no single poll")
    _, time, _, _, object_class, _ = POLLED.unpack(polled.take(POLLED.size, "poll"))
    contexts = _whole(polled, _context, "contexts")
    return Polled(invoke_id, part, object_class, time, tuple(one for many in contexts for one in many))


def _context(reader: _Reader) -> tuple[Attributes, ...]:
    reader.fields(NUMBER, "context")
    return _rows(reader, _object, "objects")


def _object(reader: _Reader) -> Attributes:
    reader.fields(NUMBER, "object")
    return _attributes(reader)


def alerts(value: bytes) -> tuple[Alert, ...]:
    """The rows of an alert list (0902, 0904). Raises MessageError."""
    return _whole(_Reader(value), _alert, "alerts")


def _alert(reader: _Reader) -> Alert:
    source, code, kind, state, _, _, length = ALERT.unpack(reader.take(ALERT.size, "alert"))
    reader.take(length, "alert")
    return Alert(source, code, kind, state)


def strings(value: bytes) -> tuple[bytes, ...]:
    """Length-prefixed texts in a row, as 0928 and 0984 have them. Raises MessageError."""
    reader = _Reader(value)
    found = []
    while reader.left:
        found.append(reader.take(reader.fields(NUMBER, "text")[0], "text"))
    return tuple(found)


def specifications(value: bytes) -> tuple[tuple[int, int, bytes], ...]:
    """Type, component and text of each row of 092D. Raises MessageError."""
    return _whole(_Reader(value), _specification, "specification")


def _specification(reader: _Reader) -> tuple[int, int, bytes]:
    kind, component = reader.fields(LIST, "specification")
    (length,) = reader.fields(NUMBER, "specification")
    return kind, component, reader.take(length, "specification")


def protocols(value: bytes) -> tuple[tuple[int, int], ...]:
    """Application and port of each row of F101. Raises MessageError."""
    return _whole(_Reader(value), _protocol, "protocols")


def _protocol(reader: _Reader) -> tuple[int, int]:
    application, _ = reader.fields(LIST, "protocol")
    port, _ = reader.fields(LIST, "protocol")
    return application, port


_STRUCTURES: Final = MappingProxyType({
    0x0902: alerts,
    0x0904: alerts,
    0x0928: strings,
    0x0984: strings,
    0x092D: specifications,
    0xF101: protocols,
})  # fmt: skip
