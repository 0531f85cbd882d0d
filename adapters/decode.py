"""Reads captured bytes of a device as `hourmeter decode` shows them: bodies and refusals, in order.

They come bare, or as a capture of `hourmeter record`, which is known by its first bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from adapters.capture import BEGINNING, Event, Header, Piece, Reading, Source, Turn
from adapters.contract import Adapter, Conversing, Heard, Outcome, ProtocolFile, Refusal, Skipped
from adapters.registry import find


class LineKind(StrEnum):
    """What a line tells; bodies belong on standard output, refusals and notes on standard error."""

    BODY = "body"
    REFUSAL = "refusal"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what was read."""

    kind: LineKind
    text: str


def decode(protocol: str, chunks: Iterable[bytes], *, where: str = "capture") -> Iterator[Line]:
    """A JSON line for each body, and `byte N: reason` for each refusal and for what is skipped.

    `where` names the file in errors. Raises SettingsError at once if there is no such protocol, and later for
    a capture of another protocol or version.
    """
    return _lines(find(protocol), chunks, where)


def _lines(file: ProtocolFile, chunks: Iterable[bytes], where: str) -> Iterator[Line]:
    first, rest = _head(iter(chunks))
    if first.startswith(BEGINNING):
        yield from _recorded(file, chain((first,), rest), where)
        return
    adapter = _adapter(file, file.info.poll_s)
    for chunk in chain((first,), rest):
        yield from _told(adapter.feed(chunk))
    yield from _told(adapter.closed())


def _head(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """As many bytes as tell a capture from others, and what follows."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= len(BEGINNING):
            break
    return head, chunks


def _adapter(file: ProtocolFile, period_s: float) -> Adapter:
    return (file.file_adapter or file.adapter)(period_s=period_s)


def _recorded(file: ProtocolFile, chunks: Iterable[bytes], where: str) -> Iterator[Line]:
    """What a capture says; offsets count the bytes of the device."""
    reading = Reading(where)
    play: _Play | None = None
    for chunk in chunks:
        for entry in reading.feed(chunk):
            play = play or _Play(file, reading.checked(file.info.id))
            yield from _told(play.hear(entry))
    header = reading.checked(file.info.id)
    play = play or _Play(file, header)
    yield from _told(play.end())
    if not play.is_ended:
        yield Line(LineKind.NOTE, "the capture was cut off: it does not tell its end")


class _Play:
    """Plays the device's part of a capture to an adapter, with the times between."""

    def __init__(self, file: ProtocolFile, header: Header) -> None:
        self._adapter = _adapter(file, header.period_s)
        self._ms = 0
        self._is_open = False
        self.is_ended = False
        """Whether the capture told its end."""

    def hear(self, entry: Piece | Event) -> tuple[Outcome, ...]:
        """What one entry says."""
        seconds, self._ms = max(0, entry.ms - self._ms) / 1000, max(entry.ms, self._ms)
        passed = self._adapter.elapsed(seconds) if isinstance(self._adapter, Conversing) else ()
        if isinstance(entry, Piece):
            return (*passed, *(self._adapter.feed(entry.data) if entry.source is Source.DEVICE else ()))
        self.is_ended = entry.turn is Turn.END
        if entry.turn is not Turn.CONNECTED:
            return (*passed, *self.end())
        self._is_open = True
        return (*passed, *self._adapter.connected())

    def end(self) -> tuple[Outcome, ...]:
        """The link, or the capture, has ended."""
        was_open, self._is_open = self._is_open, False
        return self._adapter.closed() if was_open else ()


def _told(outcomes: Iterable[Outcome]) -> Iterator[Line]:
    for outcome in outcomes:
        if isinstance(outcome, Heard):
            for body in outcome.bodies:
                yield Line(LineKind.BODY, body.model_dump_json(exclude_none=True))
        elif isinstance(outcome, Refusal):
            yield Line(LineKind.REFUSAL, f"byte {outcome.offset}: {outcome.reason}")
        elif isinstance(outcome, Skipped):
            yield Line(LineKind.NOTE, f"byte {outcome.offset}: skipped: {outcome.reason}")
