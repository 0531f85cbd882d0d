"""The envelope of a message: MQTT 5 user properties, read without decoding the payload."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from telemetry.errors import MessageError

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_NUMBER = re.compile(r"[0-9]{1,18}\Z")
_NAMES = ("stream", "seq", "boot", "mono_ms")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Place of a message in its stream, and the publisher's monotonic time when it was observed."""

    stream: str
    seq: int
    boot: str
    mono_ms: int

    def properties(self) -> list[tuple[str, str]]:
        """MQTT 5 user properties of this envelope."""
        return [
            ("stream", self.stream),
            ("seq", str(self.seq)),
            ("boot", self.boot),
            ("mono_ms", str(self.mono_ms)),
        ]


def parse(properties: Iterable[tuple[str, str]]) -> Envelope | None:
    """The envelope among user properties, None if there is none. Raises MessageError if it is broken."""
    found = {name: value for name, value in properties if name in _NAMES}
    if not found:
        return None
    if len(found) != len(_NAMES):
        missing = ", ".join(name for name in _NAMES if name not in found)
        raise MessageError(f"envelope lacks {missing}")
    stream, seq, boot, mono_ms = (found[name] for name in _NAMES)
    if not (_TOKEN.match(stream) and _TOKEN.match(boot)):
        raise MessageError("envelope: stream and boot are 1 to 64 of A-Z a-z 0-9 _ -")
    if not (_NUMBER.match(seq) and _NUMBER.match(mono_ms)) or int(seq) == 0:
        raise MessageError("envelope: seq is a whole number from 1, mono_ms one from 0")
    return Envelope(stream, int(seq), boot, int(mono_ms))
