"""Makes the bytes of a Mindray PDS link fit to be kept: of each message only what the adapter looks at.

Rule 1: a message is made anew from what was read of it; of figures only whether they are above zero, zero or
invalid is kept, of texts only those that are carried.
Rule 2: a message that tells nothing keeps its kind; one that cannot be read, and bytes outside of frames, are
blotted out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from adapters import mindray_pds_messages as messages
from adapters.mindray_pds_messages import INVALID, LIMIT_BYTES, Kind, Message
from adapters.mindray_pds_monitor import UNKNOWN_TEXT, text_of
from telemetry.errors import MessageError

_START: Final = 0x0B
_END: Final = 0x1C
_BLOT: Final = b"x"
_BLOTTED: Final = bytes(byte if byte in b"\r\n" else _BLOT[0] for byte in range(256))
"""Ends of lines may stand between frames."""
_NOTHING: Final = 0
"""A kind that tells nothing."""


class Redactor:
    """The redactor of one link; holds one message at most."""

    def __init__(self) -> None:
        self._message: bytearray | None = None
        """What came of the frame that is being read; None outside of frames."""

    def feed(self, data: bytes) -> bytes:
        """What may be kept of the frames that these bytes complete, and of what stands between them."""
        kept = bytearray()
        at = 0
        while at < len(data):
            ends = (data.find(_START, at), data.find(_END, at) if self._message is not None else -1)
            end = min((end for end in ends if end >= 0), default=len(data))
            kept += self._passed(data[at:end])
            if end < len(data):
                kept += self._marked(data[end])
            at = end + 1
        return bytes(kept)

    def closed(self) -> bytes:
        """What is left."""
        left, self._message = self._message or b"", None
        return _BLOT * len(left)

    def _passed(self, piece: bytes) -> bytes:
        """Bytes without a mark."""
        if self._message is None:
            return piece.translate(_BLOTTED)
        self._message += piece
        if len(self._message) <= LIMIT_BYTES:
            return b""
        return self.closed()

    def _marked(self, mark: int) -> bytes:
        """A mark that begins a frame, or ends the one that was begun."""
        if mark == _START:
            given_up = self.closed()
            self._message = bytearray()
            return given_up
        data, self._message = bytes(self._message or b""), None
        return _redacted(data).removesuffix(b"\r")  # which stands behind the frame that came, or does not


def _redacted(data: bytes) -> bytes:
    try:
        message = messages.read(data)
    except MessageError:
        return _BLOT * len(data)
    if message is None:
        return messages.message_of(_NOTHING)
    return messages.message_of(message.kind, *_segments(message))


def _segments(message: Message) -> Iterator[str]:
    if message.address:
        yield messages.place_of(message.address)
    if message.label:
        yield messages.label_of(message.label)
    for figure, value in message.figures:
        yield messages.figure_of(figure, INVALID if value == INVALID else float(value > 0))
    for alarm in message.alarms:
        is_technical = message.kind is Kind.TECHNICAL
        text = text_of(alarm) if is_technical else UNKNOWN_TEXT
        yield messages.alarm_of(message.kind, replace(alarm, text="" if text == UNKNOWN_TEXT else text))
