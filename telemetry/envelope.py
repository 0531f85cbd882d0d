"""The envelope of a message: MQTT 5 user properties, read without decoding the payload."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from telemetry.errors import MessageError

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_NUMBER = re.compile(r"[0-9]{1,18}\Z")
_REMEMBERED = 4_096
_NAMES = ("stream", "seq", "boot", "mono_ms")


class Envelope(NamedTuple):
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
    try:
        stream, seq, boot, mono_ms = found["stream"], found["seq"], found["boot"], found["mono_ms"]
    except KeyError:
        missing = ", ".join(name for name in _NAMES if name not in found)
        raise MessageError(f"envelope lacks {missing}") from None
    if not (_TOKEN.match(stream) and _TOKEN.match(boot)):
        raise MessageError("envelope: stream and boot are 1 to 64 of A-Z a-z 0-9 _ -")
    if not (_NUMBER.match(seq) and _NUMBER.match(mono_ms)) or int(seq) == 0:
        raise MessageError("envelope: seq is a whole number from 1, mono_ms one from 0")
    return Envelope(stream, int(seq), boot, int(mono_ms))


class Envelopes:
    """Reads envelopes by the thousand: a stream and boot that were met are not looked at again.

    The answer is that of `parse`; what is remembered is bounded.
    """

    def __init__(self, *, remember: int = _REMEMBERED) -> None:
        self._remember = remember
        self._met: set[tuple[str, str]] = set()

    def read(self, properties: Sequence[tuple[str, str]]) -> Envelope | None:
        """What `parse` answers. Raises MessageError."""
        if len(properties) == len(_NAMES):
            (first, stream), (second, seq), (third, boot), (fourth, mono_ms) = properties
            if (
                (first, second, third, fourth) == _NAMES
                and (stream, boot) in self._met
                and _NUMBER.match(seq)
                and _NUMBER.match(mono_ms)
                and (number := int(seq))
            ):
                return Envelope(stream, number, boot, int(mono_ms))
        envelope = parse(properties)
        if envelope is not None:
            if len(self._met) >= self._remember:
                self._met.clear()
            self._met.add((envelope.stream, envelope.boot))
        return envelope
