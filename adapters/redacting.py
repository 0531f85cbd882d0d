"""Makes a redactor of a framing: each sound frame is rewritten, all else becomes a blot.

Rule 1: what is kept of a frame is a sound frame from which the adapter hears the same.
Rule 2: a stretch that cannot be read becomes one blot, however long it is; nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from adapters.contract import Refusal

_F = TypeVar("_F")
_F_co = TypeVar("_F_co", covariant=True)


class Framing(Protocol[_F_co]):
    """What cuts a stream into frames."""

    def feed(self, data: bytes) -> Iterable[_F_co | Refusal]:
        """All frames and refusals that these bytes complete."""

    def close(self) -> Iterable[_F_co | Refusal]:
        """The stream has ended."""


class FrameRedactor(Generic[_F]):
    """A redactor for one link."""

    def __init__(self, framing: Framing[_F], *, keep: Callable[[_F], bytes], blot: bytes = b"\x00") -> None:
        """`keep`: what is kept of a frame, nothing if it cannot be read; `blot`: bytes that begin none."""
        self._framing = framing
        self._keep = keep
        self._blot = blot
        self._is_blotted = False

    def feed(self, data: bytes) -> bytes:
        """What may be kept now."""
        return b"".join(map(self._kept, self._framing.feed(data)))

    def closed(self) -> bytes:
        """What was begun is blotted out."""
        return b"".join(map(self._kept, self._framing.close()))

    def _kept(self, item: _F | Refusal) -> bytes:
        kept = b"" if isinstance(item, Refusal) else self._keep(item)
        was_blotted, self._is_blotted = self._is_blotted, not kept
        return kept or (b"" if was_blotted else self._blot)
