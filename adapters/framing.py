"""Cuts a stream of bytes into frames that begin with a known word and whose header tells their size.

Rule 1: bytes that begin no frame are refused once, however long, until a sound frame comes.
Rule 2: a faulty frame is refused where it begins; faults within its size from there are not said again.
Rule 3: after a fault the search goes on one byte further, so a cut frame never costs the one behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adapters.contract import Refusal


@dataclass(frozen=True, slots=True)
class Frame:
    """One sound frame and where it begins in the stream."""

    offset: int
    data: bytes


class HeadedFrames:
    """The framing of one stream; holds less than one frame between calls."""

    def __init__(
        self,
        *words: bytes,
        size: Callable[[bytearray], int],
        fault: Callable[[bytearray], str | None],
    ) -> None:
        """Words of equal length. Both callables are asked of bytes that begin with a word or a part of one,
        and must answer the same when more bytes follow: `size` in bytes as the header tells, the least
        possible while it does not tell; `fault` what is wrong, None while it may still become a frame.
        """
        self._words = words
        self._size = size
        self._fault = fault
        self._buffer = bytearray()
        self._offset = 0
        self._garbage = False
        self._quiet_to = 0

    def feed(self, data: bytes) -> Iterator[Frame | Refusal]:
        """All frames and refusals that these bytes complete."""
        self._buffer += data
        while True:
            start = self._start()
            if start:
                if not self._garbage:
                    yield Refusal(
                        self._offset, f"bytes that begin no {b' or '.join(self._words).decode()} frame"
                    )
                self._garbage = True
                self._drop(start)
            fault = self._fault(self._buffer)
            size = self._size(self._buffer)
            if fault is not None:
                if self._offset >= self._quiet_to:
                    yield Refusal(self._offset, fault)
                    self._quiet_to = self._offset + size
                self._garbage = True
                self._drop(1)
            elif len(self._buffer) >= size:
                frame = Frame(self._offset, bytes(self._buffer[:size]))
                self._garbage = False
                self._drop(size)
                yield frame
            else:
                return

    def close(self) -> tuple[Refusal, ...]:
        """The stream has ended or begins anew: a frame that was begun is refused."""
        offset, length = self._offset, len(self._buffer)
        known = self._garbage and length < len(self._words[0])
        self._drop(length)
        self._garbage = False
        if not length or known:
            return ()
        return (Refusal(offset, f"unfinished frame: it ends after {length} bytes"),)

    def _start(self) -> int:
        """Where a frame begins or may begin; all bytes before are garbage."""
        found = [place for word in self._words if (place := self._buffer.find(word)) >= 0]
        if found:
            return min(found)
        starts = tuple(word[:n] for word in self._words for n in range(len(word) - 1, 0, -1))
        begun = (len(start) for start in starts if self._buffer.endswith(start))
        return len(self._buffer) - max(begun, default=0)

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._offset += count
