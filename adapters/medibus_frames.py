"""The bytes of a MEDIBUS line: commands, responses, what may stand inside them, and what is none of these.

    1B cmd  up to 251 bytes of argument  c1 c2 0D         a command
    01 cmd  data                         c1 c2 0D         the response to it, at most 3845 bytes in all
            |                            |
            |                            checksum: all bytes from the start byte to the last of data added
            |                            up, their low eight bits as two upper-case hexadecimal digits
            a whole command may stand anywhere in a response; a byte of 80 and above anywhere at all

Rule 1: a byte of 80 and above is a realtime value and let go; it belongs to no frame and no checksum.
Rule 2: 11, 13 and 18 suspend, resume and abort what the other side sends, wherever they stand.
Rule 3: 1B begins a command, inside a response one nested in it, never one nested in a command; 01 begins a
response and ends all that was open; 0D closes the innermost frame.
Rule 4: bytes of no frame and frames that are cut are told once until a sound frame comes; a frame that has
its end and is not sound is told each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from adapters.contract import Refusal

COMMAND: Final = 0x1B
RESPONSE: Final = 0x01
END: Final = 0x0D
LONGEST_ARGUMENT: Final = 251
LONGEST: Final = MappingProxyType({COMMAND: LONGEST_ARGUMENT + 5, RESPONSE: 3845})
"""Bytes of a whole frame, by its start byte."""
_SHORTEST: Final = 4
"""Start, code and checksum, without the end."""
_NAMES: Final = MappingProxyType({COMMAND: "command", RESPONSE: "response"})
_SPECIAL: Final = re.compile(rb"[\x01\x0d\x11\x13\x18\x1b\x80-\xff]")


class Flow(IntEnum):
    """What the other side wants of our sending; not the bytes that other serial lines use for it."""

    SUSPEND = 0x11
    RESUME = 0x13
    ABORT = 0x18


_FLOW: Final = frozenset(Flow)


@dataclass(frozen=True, slots=True)
class Frame:
    """One sound frame and where it begins in the stream."""

    offset: int
    start: int
    """COMMAND or RESPONSE."""
    code: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Damaged:
    """A frame that has its end and whose bytes cannot be right."""

    start: int
    refusal: Refusal


Item = Frame | Damaged | Flow | Refusal


def frame_of(start: int, code: int, data: bytes = b"") -> bytes:
    """The frame as bytes."""
    body = bytes((start, code)) + data
    return body + checksum(body) + bytes((END,))


def checksum(body: bytes | bytearray) -> bytes:
    """The two digits that follow these bytes, the start byte among them."""
    return b"%02X" % (sum(body) & 0xFF)


@dataclass(slots=True)
class _Open:
    offset: int
    data: bytearray

    @property
    def start(self) -> int:
        return self.data[0]


class Frames:
    """The framing of one direction of one line; holds less than one response and one command."""

    def __init__(self) -> None:
        self._offset = 0
        self._response: _Open | None = None
        self._command: _Open | None = None
        self._is_garbage = False

    def feed(self, data: bytes) -> Iterator[Item]:
        """All that these bytes complete."""
        base, place = self._offset, 0
        for match in _SPECIAL.finditer(data):
            yield from self._run(data, place, match.start(), base)
            place = match.end()
            self._offset = base + match.start()
            yield from self._special(data[match.start()])
        yield from self._run(data, place, len(data), base)
        self._offset = base + len(data)

    def close(self) -> tuple[Refusal, ...]:
        """The stream has ended or begins anew: what was begun is refused."""
        outer = self._response or self._command
        size = sum(len(one.data) for one in (self._response, self._command) if one)
        self._response = self._command = None
        self._is_garbage = False
        if outer is None:
            return ()
        return (Refusal(outer.offset, f"unfinished {_NAMES[outer.start]}: it ends after {size} bytes"),)

    def _run(self, data: bytes, begin: int, end: int, base: int) -> Iterator[Item]:
        """Bytes that have no meaning of their own."""
        while begin < end:
            inner = self._command or self._response
            if inner is None:
                yield from self._garbage(base + begin, "bytes that begin no MEDIBUS frame")
                return
            room = LONGEST[inner.start] - len(inner.data)
            inner.data += data[begin : min(end, begin + room)]
            begin += room
            if len(inner.data) >= LONGEST[inner.start]:
                self._drop(inner)
                yield from self._garbage(
                    inner.offset, f"{_NAMES[inner.start]} of more than {LONGEST[inner.start]} bytes"
                )

    def _special(self, byte: int) -> Iterator[Item]:
        if byte == END:
            yield from self._close_inner()
        elif byte == RESPONSE:
            yield from self._cut(self._response or self._command)
            self._response, self._command = _Open(self._offset, bytearray((byte,))), None
        elif byte == COMMAND:
            yield from self._cut(self._command)
            self._command = _Open(self._offset, bytearray((byte,)))
        elif byte in _FLOW:
            yield Flow(byte)

    def _close_inner(self) -> Iterator[Item]:
        inner = self._command or self._response
        if inner is None:
            yield from self._garbage(self._offset, "bytes that begin no MEDIBUS frame")
            return
        self._drop(inner)
        if len(inner.data) < _SHORTEST:
            fault = f"{_NAMES[inner.start]} without a checksum"
        elif inner.data[-2:] != checksum(inner.data[:-2]):
            fault = f"checksum of a {_NAMES[inner.start]} of {len(inner.data) + 1} bytes does not fit"
        else:
            self._is_garbage = False
            yield Frame(inner.offset, inner.start, inner.data[1], bytes(inner.data[2:-2]))
            return
        self._is_garbage = True
        yield Damaged(inner.start, Refusal(inner.offset, fault))

    def _cut(self, frame: _Open | None) -> Iterator[Item]:
        if frame is not None:
            yield from self._garbage(frame.offset, f"{_NAMES[frame.start]} without an end")

    def _garbage(self, offset: int, reason: str) -> Iterator[Item]:
        if not self._is_garbage:
            yield Refusal(offset, reason)
        self._is_garbage = True

    def _drop(self, frame: _Open) -> None:
        if frame is self._command:
            self._command = None
        else:
            self._response = None
