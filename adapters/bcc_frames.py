"""Frames of B.Braun's BCC protocol: cut out of a stream, unstuffed, checked, and built.

    01  len5  02  bed/1/1>info  03  chk5  04      the last block of an answer, or a request
    01  len5  02  bed/1/1>info  17  chk5  04      a block with more behind it
        |                           |
        |                           sum of all bytes from 01 to 03 or 17 modulo 256, five digits
        bytes of the whole frame, five digits

    stuffed:  D EX   E EE   d ex   e ee           over the whole frame; length and sum are of it unstuffed

Rule 1: 01 and 04 stand nowhere inside a frame, so a cut frame never costs the one behind it.
Rule 2: a frame is read as it came if its length is right so, else unstuffed: the length tells which it is.
Rule 3: bytes that begin no frame are refused once, however long, until a sound frame comes; a single ACK or
NAK between frames is a signal.

B. Braun, BCC interface specification I0022_000030 v4.0 (2019); its printed exchanges, 3.2.6.3 and 3.2.6.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from adapters.contract import Refusal

SOH: Final = 0x01
STX: Final = 0x02
ETX: Final = 0x03
EOT: Final = 0x04
ETB: Final = 0x17
LONGEST: Final = 65_536
"""Bytes of the longest frame that is read, unstuffed; blocks of stations have about 1,200."""
_HEAD: Final = re.compile(rb"\x01([0-9]{5})\x02([ -=?-\xff]{1,64}?)/1/1>")
_TAIL: Final = re.compile(rb"[\x03\x17]([0-9]{5})\x04\Z")
_BEGIN: Final = re.compile(rb"\x01[0-9]{0,5}\Z|\x01[0-9]{5}\x02")
_STUFFED: Final = MappingProxyType({b"D": b"EX", b"E": b"EE", b"d": b"ex", b"e": b"ee"})
_PLAIN: Final = MappingProxyType({stuffed: plain for plain, stuffed in _STUFFED.items()})
_TO_STUFF: Final = re.compile(rb"[DEde]")
_TO_UNSTUFF: Final = re.compile(rb"E[XE]|e[xe]")


class Signal(Enum):
    """A single byte between frames."""

    ACK = 0x06
    NAK = 0x15


SIGNALS: Final = bytes(signal.value for signal in Signal)


@dataclass(frozen=True, slots=True)
class Block:
    """One sound frame."""

    offset: int
    """Where it begins in the stream."""
    bed: bytes
    """Name of the bed or place that the station was given; only ever sent back to it."""
    info: bytes
    more: bool
    """Whether further blocks of the same answer follow."""
    stuffed: bool


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no sound frame, in the order of the stream."""

    data: bytes


Item = Block | Signal | Refusal | Noise


def stuff(data: bytes) -> bytes:
    """The bytes as they go over a line with character stuffing."""
    return _TO_STUFF.sub(lambda found: _STUFFED[found[0]], data)


def unstuff(data: bytes) -> bytes:
    """The bytes that were stuffed, undone from left to right in one pass; a lone E or e stays."""
    return _TO_UNSTUFF.sub(lambda found: _PLAIN[found[0]], data)


def checksum(data: bytes) -> int:
    """The sum over these bytes as a frame carries it."""
    return sum(data) % 256


def frame_of(info: bytes, *, bed: bytes, more: bool = False, stuffing: bool = False) -> bytes:
    """A frame with this text."""
    text = bed + b"/1/1>" + info
    size = len(text) + 14
    body = b"\x01%05d\x02%b%c" % (size, text, ETB if more else ETX)
    frame = body + b"%05d\x04" % checksum(body)
    return stuff(frame) if stuffing else frame


class Frames:
    """The framing of one stream; holds less than one frame between calls."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._offset = 0
        self._garbage = False

    def feed(self, data: bytes) -> Iterator[Item]:
        """All that these bytes complete; `Noise` are the bytes that were refused, for who must keep them."""
        self._buffer += data
        while self._buffer:
            if self._buffer[0] != SOH:
                yield from self._between()
            elif not _BEGIN.match(self._buffer):
                yield from self._refuse("a frame that does not begin with five digits and 02", self._next(1))
            elif (size := int(self._buffer[1:6] or b"0")) > LONGEST and len(self._buffer) > 6:
                yield from self._refuse(f"a frame of {size} bytes; at most {LONGEST} are read", self._next(1))
            else:
                end, start = self._buffer.find(EOT) + 1, self._next(1)
                length = end if 0 < end <= start else start
                if len(self._buffer) > 6 and length > 2 * size:
                    yield from self._refuse("a frame longer than it says", start)
                elif length == end:
                    yield from self._end(end)
                elif start < len(self._buffer):
                    yield from self._refuse(f"a frame cut off after {start} bytes", start)
                else:
                    return

    def close(self) -> Iterator[Item]:
        """The stream has ended or begins anew: a frame that was begun is refused."""
        length = len(self._buffer)
        if length:
            yield from self._refuse(f"unfinished frame: it ends after {length} bytes", length)
        self._garbage = False

    def _next(self, start: int) -> int:
        """Where the next frame begins; the end of the buffer if none does."""
        place = self._buffer.find(SOH, start)
        return len(self._buffer) if place < 0 else place

    def _between(self) -> Iterator[Item]:
        """Bytes before the next frame."""
        if not self._garbage and self._buffer[0] in SIGNALS:
            yield Signal(self._buffer[0])
            self._drop(1)
            return
        yield from self._refuse("bytes that begin no frame", self._next(0))

    def _end(self, size: int) -> Iterator[Item]:
        read = _read(bytes(self._buffer[:size]), offset=self._offset)
        if isinstance(read, str):
            yield from self._refuse(read, size, quiet=False)
            return
        self._garbage = False
        self._drop(size)
        yield read

    def _refuse(self, reason: str, count: int, *, quiet: bool | None = None) -> Iterator[Item]:
        """Let go of so many bytes; said unless they go on with what was refused before."""
        if not (self._garbage if quiet is None else quiet):
            yield Refusal(self._offset, reason)
        self._garbage = True
        data = bytes(self._buffer[:count])
        self._drop(count)
        yield Noise(data)

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._offset += count


def _read(data: bytes, *, offset: int) -> Block | str:
    """A frame from 01 to 04, or what is wrong with it."""
    size = int(data[1:6])
    stuffed = len(data) != size
    plain = unstuff(data) if stuffed else data
    if len(plain) != size:
        return f"frame of {len(plain)} bytes instead of {size}"
    head, tail = _HEAD.match(plain), _TAIL.search(plain)
    if head is None:
        return "a frame without a bed id"
    if tail is None:
        return "a frame without 03 or 17, five digits and 04 at its end"
    found = checksum(plain[: tail.start() + 1])
    if found != int(tail[1]):
        return f"checksum {int(tail[1])} instead of {found}"
    info = plain[head.end() : tail.start()]
    return Block(offset, head[2], info, more=plain[tail.start()] == ETB, stuffed=stuffed)
