"""The text of a capture: the bytes of one link with their times, as `hourmeter record` writes them.

    {"hourmeter_capture": 1, "protocol": "medibus", "began_at": "2026-01-09T07:30:00.000Z", "period_s": 30}
    {"ms": 0, "from": "link", "event": "connected"}
    {"ms": 3, "from": "us", "hex": "1b5136430d"}
    {"ms": 1204, "from": "device", "hex": "01510d..."}
    {"ms": 61000, "from": "link", "event": "end"}

Rule 1: one JSON object a line, none longer than LONGEST_LINE; what is longer is told in several pieces.
Rule 2: a line cut off by a power cut ends the capture; all before it is read.
Rule 3: a capture of another version, or a line that is none, is refused as a whole: whoever reads on would
read something else than was recorded.
Rule 4: the bytes of the device were redacted before they came here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from telemetry.errors import SettingsError
from telemetry.times import iso, to_ms

VERSION: Final = 1
BEGINNING: Final = b'{"hourmeter_capture":'
"""By these bytes a capture is known from the bare bytes of a device."""
PIECE_BYTES: Final = 4096
"""Most bytes told in one line."""
LONGEST_LINE: Final = 2 * PIECE_BYTES + 256
DAY_S: Final = 86_400
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_HEX: Final = re.compile("(?:[0-9a-f]{2})+")


class Source(StrEnum):
    """Whose bytes they are."""

    DEVICE = "device"
    US = "us"


class Turn(StrEnum):
    """What befell the link."""

    CONNECTED = "connected"
    LOST = "lost"
    END = "end"
    """The recording was ended; a capture without it was cut off."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a capture says of itself first."""

    protocol: str
    began_at: datetime
    period_s: float
    """How often the device was polled, or speaks."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that went over the link together."""

    ms: int
    """Since the capture began."""
    source: Source
    data: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """A turn of the link."""

    ms: int
    """Since the capture began."""
    turn: Turn


Entry = Piece | Event


def header_line(header: Header) -> str:
    """The first line, with its end."""
    return _line(
        hourmeter_capture=VERSION,
        protocol=header.protocol,
        began_at=iso(to_ms(header.began_at)),
        period_s=header.period_s,
    )


def lines(entry: Entry) -> Iterator[str]:
    """The line of an entry, or as many as its bytes take."""
    if isinstance(entry, Event):
        yield _line(ms=entry.ms, **{"from": "link"}, event=entry.turn.value)
        return
    for at in range(0, len(entry.data), PIECE_BYTES):
        yield _line(ms=entry.ms, **{"from": entry.source.value}, hex=entry.data[at : at + PIECE_BYTES].hex())


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        return None


def _line(**facts: object) -> str:
    return json.dumps(facts) + "\n"


class Reading:
    """Reads a capture in whatever pieces it comes; `where` names it in errors."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._rest = b""
        self._number = 0
        self.header: Header | None = None
        """Once its line has been read."""

    def feed(self, data: bytes) -> Iterator[Entry]:
        """The entries that these bytes complete. Raises SettingsError for what is no line of a capture."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._number += 1
            if self.header is None:
                self.header = self._header(line)
            else:
                yield self._entry(line)
        if len(self._rest) > LONGEST_LINE:
            raise self._error(f"line {self._number + 1} is longer than {LONGEST_LINE} bytes")

    def checked(self, protocol: str) -> Header:
        """The header, once it was read. Raises SettingsError if it is of another protocol, or missing."""
        if self.header is None or self.header.protocol != protocol:
            found = f"a capture of {self.header.protocol}" if self.header else "no header of a capture"
            raise SettingsError(where=self._where, found=found, expected=f"a capture of {protocol}")
        return self.header

    def _header(self, line: bytes) -> Header:
        match self._facts(line):
            case {"hourmeter_capture": int(version)} if version != VERSION:
                raise self._error(f"is a capture of version {version}")
            case {"hourmeter_capture": 1, "protocol": str(protocol), "began_at": str(began), **more}:
                at, period_s = _instant(began), more.get("period_s")
                if at is not None and isinstance(period_s, int | float) and 0 < period_s <= DAY_S:
                    return Header(protocol, at, float(period_s))
        raise self._error("line 1 is not the header of a capture")

    def _entry(self, line: bytes) -> Entry:
        match self._facts(line):
            case {"ms": int(ms), "from": "link", "event": str(turn)} if turn in set(Turn):
                return Event(ms, Turn(turn))
            case {"ms": int(ms), "from": str(source), "hex": str(digits)} if source in set(Source):
                if _HEX.fullmatch(digits):
                    return Piece(ms, Source(source), bytes.fromhex(digits))
        raise self._error(f"line {self._number} is none of a capture")

    def _facts(self, line: bytes) -> dict[str, object]:
        try:
            facts = json.loads(line) if len(line) <= LONGEST_LINE else None
        except (ValueError, RecursionError):
            facts = None
        return facts if isinstance(facts, dict) else {}

    def _error(self, found: str) -> SettingsError:
        return SettingsError(
            where=self._where, found=found, expected=f"a capture of version {VERSION} by `hourmeter record`"
        )


class Played:
    """The bytes of the device alone: those of a capture, or of a file that holds nothing else."""

    def __init__(self, protocol: str, *, where: str) -> None:
        self._protocol = protocol
        self._reading = Reading(where)
        self._head = b""
        self._is_capture: bool | None = None
        """None until its first bytes have told."""

    def feed(self, data: bytes) -> bytes:
        """What the device sent. Raises SettingsError for a capture of another protocol or version."""
        if self._is_capture is None:
            self._head += data
            if len(self._head) < len(BEGINNING) and BEGINNING.startswith(self._head):
                return b""
            self._is_capture = self._head.startswith(BEGINNING)
            data, self._head = self._head, b""
        if not self._is_capture:
            return data
        entries = tuple(self._reading.feed(data))
        if self._reading.header is not None:
            self._reading.checked(self._protocol)
        pieces = (one for one in entries if isinstance(one, Piece))
        return b"".join(piece.data for piece in pieces if piece.source is Source.DEVICE)

    def close(self) -> bytes:
        """The file has ended: what was too short to tell. Raises SettingsError without a header."""
        if self._is_capture:
            self._reading.checked(self._protocol)
        rest, self._head = self._head, b""
        return rest
