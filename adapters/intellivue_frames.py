"""Cuts a stream of bytes into IntelliVue messages, by the lengths that they tell, however it is cut.

Rule 1: a message is what its head, its length and its inner lengths agree on; all else is no message.
Rule 2: bytes that begin no message are refused once, however long, until a sound message comes.
Rule 3: a broken message is refused where it begins, and searched for sound ones from its second byte on: a
datagram cut short, or garbage that looks like a head, never costs the message behind it.
Rule 4: what tells more than LONGEST bytes is no message, so that memory is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from adapters import intellivue_association as association
from adapters import intellivue_layout as layout
from adapters.contract import Refusal
from adapters.intellivue_association import Control
from adapters.intellivue_layout import LONGEST, Said
from telemetry.errors import MessageError

_STRONG: Final = (b"\x00\x00\x01\x00\x00\x01", b"\xe1\x00\x00\x02")
"""The first bytes of an indication, and of a message of a session."""
_HEAD: Final = re.compile(b"|".join((*map(re.escape, _STRONG), b"[\x09\x0a\x0c\x0e\x19]")))
"""And of what begins or ends a session, one byte only: where that is no message, it is nothing special."""
_BEGUN: Final = tuple(word[:length] for word in _STRONG for length in range(len(word) - 1, 0, -1))
_HEAD_BYTES: Final = 8
"""From so many on the length of a message stands fast."""


@dataclass(frozen=True, slots=True)
class Message:
    """One sound message, and where it begins in the stream."""

    offset: int
    data: bytes
    said: Said | Control


Cut = Message | Refusal


class Frames:
    """The messages of one stream; holds less than LONGEST bytes between calls."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._offset = 0
        self._garbage = False
        self._quiet_to = 0

    @property
    def held(self) -> int:
        """Bytes at the end of what was fed that may still become a message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Cut]:
        """All messages and refusals that these bytes complete."""
        self._buffer += data
        yield from self._cut(is_end=False)

    def close(self) -> Iterator[Cut]:
        """The stream has ended or begins anew: a message that was begun is refused."""
        yield from self._cut(is_end=True)
        self._garbage = False

    def _cut(self, *, is_end: bool) -> Iterator[Cut]:
        at = 0
        while at < len(self._buffer):
            head = _HEAD.search(self._buffer, at)
            start = head.start() if head else self._undecided(at, is_end=is_end)
            if start > at:
                yield from self._refused_garbage(at)
            at = start
            size = _size(self._buffer, at) if head else 0
            left = len(self._buffer) - at
            if not head or (size > left and not is_end):
                break
            cut = (
                self._message(at, size) if size <= left else f"unfinished message: it ends after {left} bytes"
            )
            if isinstance(cut, Message):
                self._garbage = False
                yield cut
                at += size
            else:
                yield from self._refused(at, min(left, size) or _HEAD_BYTES, cut)
                at += 1
        del self._buffer[:at]
        self._offset += at

    def _undecided(self, at: int, *, is_end: bool) -> int:
        """Where a head may begin at the end of the buffer; all bytes before are garbage."""
        begun = (len(word) for word in _BEGUN if not is_end and self._buffer.endswith(word, at))
        return len(self._buffer) - max(begun, default=0)

    def _message(self, at: int, size: int) -> Message | str:
        """The message of these bytes, or what is wrong with it."""
        if not size:
            return "a head that no message has"
        data = bytes(self._buffer[at : at + size])
        try:
            is_strong = data.startswith(_STRONG)
            said = layout.read(data) if is_strong else association.read(data)
        except MessageError as error:
            return error.reason
        return Message(self._offset + at, data, said)

    def _refused(self, at: int, size: int, reason: str) -> Iterator[Refusal]:
        if not self._buffer.startswith(_STRONG, at):
            yield from self._refused_garbage(at)
            return
        offset = self._offset + at
        self._garbage = True
        if offset >= self._quiet_to:
            self._quiet_to = offset + size
            yield Refusal(offset, reason)

    def _refused_garbage(self, at: int) -> Iterator[Refusal]:
        if not self._garbage:
            self._garbage = True
            yield Refusal(self._offset + at, "bytes that begin no message")


def _size(buffer: bytearray, at: int) -> int:
    """Bytes of the message that begins here as its head tells, the least possible while it does not tell.

    0: no message has a head like that. More bytes never make another answer of 0, or of a size that is there.
    """
    head = bytes(buffer[at : at + layout.HEAD_BYTES])
    if head.startswith(_STRONG):
        size = _HEAD_BYTES + int.from_bytes(head[6:8], "big") if len(head) >= _HEAD_BYTES else _HEAD_BYTES
        is_sound = layout.fits(head)
    else:
        size, is_sound = association.size(head[:4]), association.fits(head)
    return size if is_sound and size <= LONGEST else 0
