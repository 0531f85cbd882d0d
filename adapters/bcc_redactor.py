"""Makes the bytes of a BCC station fit to be kept: only what the adapter reads is left in its frames.

Rule 1: each quadruple stays, with its time and address; parameters that are not read lose name and value, and
values that are not of their parameter's form become `?`. Length and sum are those of what is left.
Rule 2: the bed id, which a hospital may choose, becomes the one of the first greeting.
Rule 3: bytes that are no sound frame become `?`, as many as they were; a sound frame that is not understood
stays one, with `?` alone in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from adapters.bcc_frames import Block, Frames, Item, Noise, Signal, frame_of
from adapters.bcc_tables import REQUEST, SEPARATOR, quadruples, written
from adapters.bcc_talk import FIRST_BED
from telemetry.errors import MessageError

_BLOT: Final = b"?"


class BccRedactor:
    """Blots one link's stream."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._sent = Frames()

    def feed(self, data: bytes) -> bytes:
        """What may be kept of all frames that these bytes complete."""
        return _kept(self._frames.feed(data))

    def sent(self, data: bytes) -> bytes:
        """What may be kept of our requests, which carry the bed id that the station told."""
        return _kept(self._sent.feed(data))

    def closed(self) -> bytes:
        """A frame that was begun, blotted out."""
        return _kept(self._frames.close())


def _kept(items: Iterable[Item]) -> bytes:
    return b"".join(map(_blotted, items))


def _blotted(item: Item) -> bytes:
    match item:
        case Noise():
            return _BLOT * len(item.data)
        case Signal():
            return bytes((item.value,))
        case Block():
            return _block(item)
    return b""


def _block(block: Block) -> bytes:
    info = block.info
    if not REQUEST.fullmatch(info):
        try:
            info = SEPARATOR.join(map(written, quadruples(info)))
        except MessageError:
            info = _BLOT
    return frame_of(info, bed=FIRST_BED, more=block.more, stuffing=block.stuffed)
