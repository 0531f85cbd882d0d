"""Makes HL7 messages fit to be kept: every message is written anew from what the reader looks at.

Rule 1: of MSH those fields are kept that are read; the segments behind it are those of `hl7_rewriting`.
Rule 2: MSH-10 becomes a number of our own, the same for a repetition and another for another message, as
messages that differ in a patient alone would seem to be repetitions of each other.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from types import MappingProxyType
from typing import Final

from adapters import hl7
from adapters.hl7 import Message
from adapters.hl7_adapter import mark_of
from adapters.hl7_mllp import Framed, Frames, Overlong, framed
from adapters.hl7_rewriting import nothing, observes, segments, time_of, tried
from adapters.hl7_sender import MAX_MESSAGE_BYTES
from adapters.redacting import FrameRedactor
from telemetry.errors import MessageError

MOST_REMEMBERED: Final = 20_000
"""Messages that a repetition is known among: more than the adapter remembers."""
_PROFILE: Final = re.compile(r"[0-9.]{0,40}")
_KIND: Final = re.compile(r"[A-Z][A-Z0-9]{2}(_[A-Z][A-Z0-9]{2})?")
_SHORT: Final = MappingProxyType({
    11: re.compile("[A-Za-z]?"),
    12: re.compile("[0-9.]{0,8}"),
    15: re.compile("([A-Za-z]{2})?"),
    16: re.compile("([A-Za-z]{2})?"),
})  # fmt: skip
"""What MSH-11, -12, -15 and -16 may be; anything else is let go."""
_CHARACTER_SETS: Final = MappingProxyType({"utf-8": "UNICODE UTF-8", "latin-1": "8859/1"})
"""What MSH-18 must say where another one was told than the text was read in."""


class Hl7Redactor(FrameRedactor[Framed | Overlong]):
    """A redactor for one connection of a sender."""

    def __init__(self) -> None:
        super().__init__(Frames(limit=MAX_MESSAGE_BYTES), keep=_Keeper().kept, blot=framed(b"?"))


class _Keeper:
    """Writes messages anew, and numbers them."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[bytes, int] = OrderedDict()
        self._count = 0

    def kept(self, cut: Framed | Overlong) -> bytes:
        """What is kept of a message, in its frame; nothing of one that is refused as a whole."""
        if isinstance(cut, Overlong):
            return b""
        try:
            message = hl7.read(cut.data)
            lines = [_header(message, self._number(message, cut.data)), *segments(message)]
        except MessageError:
            return b""
        text = "".join(line.rstrip(message.separators.field) + "\r" for line in lines)
        return framed(text.encode(message.codec, errors="replace").translate(None, b"\x0b\x1c"))

    def _number(self, message: Message, data: bytes) -> str:
        mark = mark_of(message, data)
        if not mark or not observes(message):
            return ""
        if mark not in self._numbers:
            self._count += 1
            self._numbers[mark] = self._count
            if len(self._numbers) > MOST_REMEMBERED:
                self._numbers.popitem(last=False)
        return str(self._numbers[mark])


def _header(message: Message, number: str) -> str:
    """MSH. Raises MessageError where its kind cannot be read."""
    header, separators = message.header, message.separators
    left = nothing(message)
    kinds = (
        part if not part or _KIND.fullmatch(part) else left for part in message.components(header.field(9))
    )
    mode = message.components(header.field(11))[0].strip()
    kept = {
        3: tried(message, lambda: separators.component.join(message.components(header.field(3))[:3])),
        7: time_of(message, header.field(7)),
        9: separators.component.join(kinds),
        10: number,
        11: mode if _SHORT[11].fullmatch(mode) else "",
        18: _CHARACTER_SETS.get(message.codec, header.field(18).partition(separators.repetition)[0]),
        21: tried(message, lambda: _profile(message)),
    }
    kept |= {place: text for place in (12, 15, 16) if _SHORT[place].fullmatch(text := header.field(place))}
    fields = (kept.get(place, "") for place in range(3, 22))
    return separators.field.join(("MSH", "".join(separators[1:]), *fields))


def _profile(message: Message) -> str:
    parts = (*message.components(message.header.field(21)), "", "", "")
    return message.separators.component.join(("", "", parts[2] if _PROFILE.fullmatch(parts[2]) else ""))
