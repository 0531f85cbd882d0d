"""Cuts a stream of bytes into HL7 messages: frames of MLLP (0B message 1C 0D), or bare messages in a file.

Rule 1: memory is bounded: a message beyond the limit is refused once, when it exceeds it; its rest is let
pass and only its head is kept, so that it can still be answered when its end comes.
Rule 2: whatever comes, reading goes on at the next start of a frame, or at the next line MSH of a file.
Rule 3: work is linear in what comes, whatever it is; a start mark repeated is no frame and no refusal.
Rule 4: a frame ends at 1C; the 0D behind it is expected and never waited for, as no answer may hang on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from adapters.contract import Refusal

START: Final = b"\x0b"
TRAILER: Final = b"\x1c\r"
HEAD_BYTES: Final = 4096
"""How much is kept of a message that is too long; MSH must fit in it."""
_END: Final = b"\x1c"
_BETWEEN: Final = b"\r\n"
_NEXT: Final = re.compile(rb"[\r\n\x0b\x1c](?=MSH[^\w\s]|[FB][HT]S[^\w\s])")
_BATCH: Final = re.compile(rb"[FB][HT]S[^\w\s]")
_AHEAD: Final = 5
"""Bytes that tell whether a line begins a message, with the end of the line before."""
_BEFORE: Final = b"\xef\xbb\xbf\r\n\t \x0b\x1c"
"""A byte order mark, blanks and lost marks before a message of a file."""


@dataclass(frozen=True, slots=True)
class Framed:
    """One message as it was sent, and where it begins in the stream."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Overlong:
    """The end of a message that was refused because it is too long; its first HEAD_BYTES are here."""

    offset: int
    head: bytes


Cut = Framed | Overlong | Refusal


def _next(data: bytes, mark: bytes, at: int, known: int) -> int:
    """Where the mark stands from `at` on, the length if nowhere; `known` is where it was found before."""
    if known >= at:
        return known
    found = data.find(mark, at)
    return found if found >= 0 else len(data)


def framed(message: bytes) -> bytes:
    """The message as MLLP carries it."""
    return START + message + TRAILER


class Frames:
    """The MLLP frames of one stream; holds at most `limit` bytes between calls."""

    def __init__(self, *, limit: int) -> None:
        """`limit`: bytes between the marks of a frame."""
        self._limit = limit
        self._fed = 0
        self._begun = False
        self._start = 0
        """Where the frame begins that is being read."""
        self._message = bytearray()
        self._over = False
        self._garbage = False

    def feed(self, data: bytes) -> Iterator[Cut]:
        """All that these bytes complete, in order."""
        at, start, end = 0, -1, -1
        while at < len(data):
            start = _next(data, START, at, start)
            end = _next(data, _END, at, end) if self._begun else -1
            to = min(start, end) if self._begun else start
            yield from self._inside(data[at:to]) if self._begun else self._outside(data[at:to], at)
            if to == start < len(data):
                yield from self._started(to)
            elif to < len(data):
                yield self._ended()
            at = to + 1
        self._fed += len(data)

    def close(self) -> Iterator[Cut]:
        """The stream has ended or begins anew: a frame that was begun is refused."""
        yield from self._given_up("unfinished frame")
        self._garbage = False

    def _outside(self, piece: bytes, at: int) -> Iterator[Refusal]:
        bad = piece.lstrip(_BETWEEN)
        if bad and not self._garbage:
            self._garbage = True
            yield Refusal(self._fed + at + len(piece) - len(bad), "bytes outside a frame (0B ... 1C 0D)")

    def _inside(self, piece: bytes) -> Iterator[Refusal]:
        if self._over:
            return
        if len(self._message) + len(piece) > self._limit:
            self._over = True
            self._message = (self._message + piece[:HEAD_BYTES])[: min(HEAD_BYTES, self._limit)]
            yield _too_long(self._start, self._limit)
        else:
            self._message += piece

    def _started(self, at: int) -> Iterator[Refusal]:
        yield from self._given_up("frame begun anew before its end")
        self._begun, self._start, self._garbage = True, self._fed + at, False

    def _ended(self) -> Cut:
        message, over = bytes(self._message), self._over
        self._forget()
        return Overlong(self._start, message) if over else Framed(self._start, message)

    def _given_up(self, what: str) -> Iterator[Refusal]:
        length, over = len(self._message), self._over
        self._forget()
        if length and not over:
            yield Refusal(self._start, f"{what}: {length} bytes without 1C")

    def _forget(self) -> None:
        self._begun = self._over = False
        self._message = bytearray()


class Bare:
    """The messages of a file without frames: each begins with a line MSH; lines of a batch are let pass."""

    def __init__(self, *, limit: int) -> None:
        """`limit`: bytes of one message."""
        self._limit = limit
        self._buffer = bytearray()
        self._offset = 0
        self._searched = 0
        self._over: Overlong | None = None
        """A message that is too long, while its rest is let pass."""

    def feed(self, data: bytes) -> Iterator[Cut]:
        """All that these bytes complete, in order."""
        self._buffer += data
        while found := _NEXT.search(self._buffer, self._searched):
            yield from self._ended(found.end())
        if len(self._buffer) > self._limit + _AHEAD:
            yield from self._too_long()
        self._searched = max(0, len(self._buffer) - _AHEAD)
        if self._over is not None:
            self._drop(self._searched)

    def close(self) -> Iterator[Cut]:
        """The file has ended, and with it the last message."""
        yield from self._ended(len(self._buffer))

    def _ended(self, end: int) -> Iterator[Cut]:
        if end > self._limit:
            yield from self._too_long()
        piece, offset, over = bytes(self._buffer[:end]), self._offset, self._over
        self._drop(end)
        self._over = None
        text = piece.lstrip(_BEFORE)
        if over is not None:
            yield over
        elif text and not _BATCH.match(text):
            yield Framed(offset + len(piece) - len(text), text.rstrip(_BEFORE))

    def _too_long(self) -> Iterator[Refusal]:
        if self._over is None:
            self._over = Overlong(self._offset, bytes(self._buffer[: min(HEAD_BYTES, self._limit)]))
            yield _too_long(self._offset, self._limit)

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._offset += count
        self._searched = 0


class Capture:
    """A file: frames if it begins with one, bare messages if not."""

    def __init__(self, *, limit: int) -> None:
        """`limit`: bytes of one message."""
        self._limit = limit
        self._cutter: Frames | Bare | None = None

    def feed(self, data: bytes) -> Iterator[Cut]:
        """All that these bytes complete, in order."""
        if self._cutter is None and data:
            self._cutter = (Frames if data.startswith(START) else Bare)(limit=self._limit)
        return self._cutter.feed(data) if self._cutter else iter(())

    def close(self) -> Iterator[Cut]:
        """The file has ended."""
        return self._cutter.close() if self._cutter else iter(())


def _too_long(offset: int, limit: int) -> Refusal:
    return Refusal(offset, f"message of more than {limit} bytes")
