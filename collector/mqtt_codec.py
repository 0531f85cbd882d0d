"""MQTT 5 bytes into values: the framing is ours, what stands inside a frame is read by mqtt5.

Rule 1: the codec is given whole frames only, so that "too short" inside one is a fault and never a wait.
Rule 2: whatever the codec does with a frame, its panic included, ends here as a value.
Rule 3: a PUBLISH that cannot be read is still a message: with its packet identifier it can be kept,
counted and acknowledged; without it the connection is at fault.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import mqtt5

from collector.inbound import Received

MALFORMED = 1 << 30
"""Size of a frame whose length cannot be read: above every limit."""

_BUFFER_BYTES = 256 * 1024
_PUBLISH = 0x30
_PUBACK = 0x40020000


class FramingError(Exception):
    """The broker sent what cannot be cut into packets or cannot be answered: the connection cannot go on."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A whole frame that the codec refuses."""

    frame: bytes
    reason: str


def frame_size(buffer: memoryview, start: int, end: int) -> int:
    """Bytes of the frame at `start`; 0 while its length is not all there (MQTT 5, 1.5.5), or MALFORMED."""
    size = 0
    for place in range(4):
        at = start + 1 + place
        if at >= end:
            return 0
        byte = buffer[at]
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return size + place + 2
    return MALFORMED


class Frames:
    """Bytes as they come in, cut into whole frames where they lie; a large frame makes the buffer grow."""

    def __init__(self, *, limit: int) -> None:
        """`limit` is the largest frame in bytes."""
        self._limit = limit
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._filled = 0

    def room(self) -> memoryview:
        """Where the next bytes go; never empty."""
        return self._buffer[self._filled :]

    def cut(self, nbytes: int) -> Iterator[memoryview]:
        """The frames that so many new bytes complete, each valid until the next. Raises FramingError."""
        buffer, start, size = self._buffer, 0, 0
        filled, self._filled = self._filled + nbytes, 0
        while start < filled:
            if filled - start > 2 and (low := buffer[start + 1]) >= 0x80 > (high := buffer[start + 2]):
                size = (low & 0x7F | high << 7) + 3  # nearly all: two bytes of length
            else:
                size = frame_size(buffer, start, filled)
            if size > self._limit:
                raise FramingError("packet larger than we take")
            if size == 0 or start + size > filled:
                break
            yield buffer[start : start + size]
            start += size
        if size > len(buffer):
            self._buffer = memoryview(bytearray(size))
        self._filled = filled - start
        self._buffer[: self._filled] = bytes(buffer[start:filled])


def read_frame(frame: memoryview) -> mqtt5.Packet | Unreadable:
    """The packet of one whole frame."""
    try:
        packet, used = mqtt5.read(frame)
    except (ValueError, IndexError) as error:
        return Unreadable(bytes(frame), str(error) or type(error).__name__)
    except BaseException as error:
        # pyo3 offers no name to import for the panic that mqtt5 raises on bad UTF-8 (dependencies.md)
        if type(error).__name__ != "PanicException":
            raise
        return Unreadable(bytes(frame), "text that is not UTF-8")
    if used != len(frame):
        return Unreadable(bytes(frame), f"{len(frame)} bytes, of which {used} were read")
    return packet


def is_publish(first: int) -> bool:
    """Whether the first byte of a frame begins a PUBLISH of QoS 0 or 1, all that was subscribed to."""
    return first & 0xF4 == _PUBLISH


def salvage(frame: bytes) -> Received:
    """The message of a PUBLISH that cannot be read: no topic, and the whole frame as its payload.

    Raises FramingError if the packet identifier that is due with QoS 1 cannot be found (MQTT 5, 3.3.2).
    """
    place = 1
    while frame[place] & 0x80:
        place += 1
    place += 1
    place += 2 + int.from_bytes(frame[place : place + 2])
    identifier = int.from_bytes(frame[place : place + 2])
    if frame[0] & 0x06 == 0:
        return Received("", frame, (), bool(frame[0] & 1), None)
    if place + 2 > len(frame) or identifier == 0:
        raise FramingError("PUBLISH without a packet identifier")
    return Received("", frame, (), bool(frame[0] & 1), identifier)


def pubacks(packet_ids: Sequence[int]) -> bytes:
    """PUBACKs of success, in order, as one piece (MQTT 5, 3.4: reason and properties left out)."""
    return struct.pack(f">{len(packet_ids)}I", *[_PUBACK | identifier for identifier in packet_ids])
