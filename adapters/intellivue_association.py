"""How an IntelliVue session begins and ends: the association, as ISO session, presentation and ACSE write it.

    0D len | 05: options 13, version 16, 80 | 14: duplex | C1 len | presentation   request
    0E ... accept      0C ... refuse      09 ... release, 0A ... its answer      19 ... abort

    presentation of a request (BER, lengths left open as 80 ... 0000):
      31 { A0 { mode }, A2 { A0, contexts A4 { 1: ACSE in BER, 2: Data Export }, 61 { 30 { 1, A0 {
        60 { A1 { application }, BE { 28 { Data Export, 2, 81 len user information } } } } } } } }
    user information: protocol, nomenclature, functional units, system type, start-up | options
      | profiles: 0001 len | revision, period, receive, send, bandwidth, options | packages: F001

Rule 1: everything is made from this structure; the only figures of our own are period and sizes.
Rule 2: of an answer only its kind is read, and whether its parts fit their lengths.

Reference: ISO 8327 (session), 8823 (presentation), 8650 (ACSE); the values are what public clients send.
"""

from __future__ import annotations

import struct
from enum import Enum
from types import MappingProxyType
from typing import Final

from adapters.intellivue_writing import attributes_of, rows_of
from telemetry.errors import MessageError

TICKS_PER_S: Final = 8000
"""Times are told in eighths of a millisecond."""
PERIOD_TICKS: Final = TICKS_PER_S
"""The shortest period in which we poll. Up to 3.3 s a monitor ends a session that was silent for 10 s."""
MOST_BYTES: Final = 1364
"""Of a message of a session; more does not pass a network in one piece."""


class Control(Enum):
    """What a message says of the session; its value is the first byte."""

    REQUEST = 0x0D
    ACCEPT = 0x0E
    REFUSE = 0x0C
    RELEASE = 0x09
    RELEASED = 0x0A
    ABORT = 0x19


_USER_DATA: Final = 0xC1
_ITEM: Final = bytes((0x05, 8, 0x13, 1, 0, 0x16, 1, 2, 0x80, 0))
"""Connect and accept item: no options, version 2."""
_DUPLEX: Final = bytes((0x14, 2, 0, 2))
_ABORTED: Final = bytes((0x11, 1, 3))
_ACSE: Final = bytes((0x52, 1, 0, 1))
_BER: Final = bytes((0x51, 1))
_EXPORT: Final = bytes((0x2A, 0x86, 0x48, 0xCE, 0x14, 2, 1, 0, 0, 0))
"""1.2.840.10004.2.1.0.0.0, under which the maker's own names stand."""
_SYNTAX, _TRANSFER, _APPLICATION = (_EXPORT + bytes((arc, 1)) for arc in (1, 2, 3))
_MODE: Final = bytes((0xA0, 0x80, 0x80, 1, 1, 0, 0))
_VERSION: Final = bytes((0xA0, 3, 0, 0, 1))
_REASON: Final = bytes((0x80, 1, 0))
_CONTENTS: Final = b"\xbe\x80\x28\x80"


def _open(tag: int, *parts: bytes) -> bytes:
    """A value whose length is left open."""
    return bytes((tag, 0x80)) + b"".join(parts) + b"\x00\x00"


def _value(tag: int, data: bytes) -> bytes:
    return bytes((tag, len(data))) + data


def _number(number: int) -> bytes:
    return _value(0x02, bytes((number,)))


def _name(name: bytes) -> bytes:
    return _value(0x06, name)


_CONTEXTS: Final = _open(
    0xA4,
    _open(0x30, _number(1), _name(_ACSE), _open(0x30, _name(_BER))),
    _open(0x30, _number(2), _name(_SYNTAX), _open(0x30, _name(_TRANSFER))),
)


def _carried(*parts: bytes) -> bytes:
    """What ACSE says, in presentation context 1."""
    return _open(0x61, _open(0x30, _number(1), _open(0xA0, *parts)))


def _session(control: Control, *parts: bytes) -> bytes:
    return _value(control.value, b"".join(parts))


def user_information(*, period_ticks: int, receive: int, send: int, extension: int) -> bytes:
    """What both sides tell of themselves: the period in eighths of a millisecond, sizes in bytes."""
    package = attributes_of(((0xF001, struct.pack(">I", extension) + rows_of(())),))
    profile = struct.pack(">6I", 0x80000000, period_ticks, receive, send, 0xFFFFFFFF, 0x60000000) + package
    client = struct.pack(">5I", 0x80000000, 0x40000000, 0, 0x80000000, 0x20000000)
    return client + rows_of(()) + attributes_of(((1, profile),))


def request(
    *,
    period_ticks: int = PERIOD_TICKS,
    receive: int = MOST_BYTES,
    send: int = MOST_BYTES,
    extension: int = 0x80000000,
) -> bytes:
    """Asks for an association. `extension`: which figures would be sent, were they polled; they never are."""
    told = user_information(period_ticks=period_ticks, receive=receive, send=send, extension=extension)
    contents = _open(0x28, _name(_SYNTAX), _number(2), _value(0x81, told))
    asked = _open(0x60, _open(0xA1, _name(_APPLICATION)), _open(0xBE, contents))
    presentation = _open(0x31, _MODE, _open(0xA2, _VERSION, _CONTEXTS, _carried(asked)))
    return _session(Control.REQUEST, _ITEM, _DUPLEX, _value(_USER_DATA, presentation))


def accept() -> bytes:
    """What a monitor answers who agrees, as far as we read it."""
    told = user_information(
        period_ticks=PERIOD_TICKS, receive=MOST_BYTES, send=MOST_BYTES, extension=0x80000000
    )
    contents = _open(0xBE, _open(0x28, _number(2), _value(0x81, told)))
    presentation = _open(0x31, _MODE, _open(0xA2, _VERSION, _carried(_open(0x61, contents))))
    return _session(Control.ACCEPT, _ITEM, _DUPLEX, _value(_USER_DATA, presentation))


def refuse() -> bytes:
    """What a monitor answers who does not agree."""
    return _session(Control.REFUSE, bytes((0x32, 1, 0)))


def release() -> bytes:
    """Asks for the end of the association."""
    return _session(Control.RELEASE, _value(_USER_DATA, _carried(_open(0x62, _REASON))))


def released() -> bytes:
    """Agrees to the end of the association."""
    return _session(Control.RELEASED, _value(_USER_DATA, _carried(_open(0x63, _REASON))))


def abort() -> bytes:
    """Ends the association at once."""
    named = _open(0xA0, _open(0x30, _number(1), _name(_BER)))
    source = _open(0x64, bytes((0x80, 1, 1)))
    return _session(Control.ABORT, _ABORTED, _value(_USER_DATA, _open(0xA0, named, _carried(source))))


_CONTROLS: Final = MappingProxyType({control.value: control for control in Control})
_LONG: Final = 0xFF


_FIRST_PARTS: Final = MappingProxyType({
    Control.REQUEST: {0x05},
    Control.ACCEPT: {0x05},
    Control.REFUSE: {0x05, 0x11, 0x14, 0x32, _USER_DATA},
    Control.RELEASE: {_USER_DATA},
    Control.RELEASED: {_USER_DATA},
    Control.ABORT: {0x11, _USER_DATA},
})  # fmt: skip
"""By what the contents of each can begin."""


def fits(head: bytes) -> bool:
    """Whether the contents of a message begin as they can; True while these bytes do not tell."""
    at = 4 if head[1:2] == b"\xff" else 2
    return len(head) <= at or head[at] in _FIRST_PARTS[_CONTROLS[head[0]]]


def size(head: bytes) -> int:
    """Bytes of the message whose first bytes these are; 2 or 4 while they do not tell."""
    if len(head) < 2:
        return 2
    if head[1] != _LONG:
        return 2 + head[1]
    return 4 + int.from_bytes(head[2:4], "big") if len(head) >= 4 else 4


def read(data: bytes) -> Control:
    """What a whole message says of the session. Raises MessageError."""
    if not data or data[0] not in _CONTROLS:
        raise MessageError("no message of a session")
    control = _CONTROLS[data[0]]
    at = 4 if data[1:2] == b"\xff" else 2
    found = []
    while at < len(data):
        head = data[at : at + 4]
        length = size(head)
        if length > len(data) - at:
            raise MessageError("a part that is longer than its message")
        found.append(head[0])
        at += length
    if not found or (control is not Control.REFUSE and _USER_DATA not in found):
        raise MessageError("a message of a session without its contents")
    if control is Control.ACCEPT and _CONTENTS not in data:
        raise MessageError("an acceptance that agrees to nothing")
    return control
