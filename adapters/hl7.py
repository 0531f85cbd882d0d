"""Reads one HL7 v2 message: separators, encoding, segments, fields, escapes; split no sooner than asked for.

Rule 1: separators come from MSH-1 and MSH-2. Segments end in CR, LF or CRLF; a line that begins no segment
goes on with the one before: free text of the field breaks so, and so do examples printed on paper.
Rule 2: text is read by MSH-18, which is often wrong: then as UTF-8, then as Latin-1; never refused for it.
Rule 3: what cannot be a message, or exceeds a limit, raises MessageError, which never quotes.

HL7 v2.6 chapter 2; table 0211 for the names of encodings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from telemetry.errors import MessageError

MOST_SEGMENTS: Final = 5_000
MOST_FIELDS: Final = 400
"""Fields of one segment; the standard knows fewer than a hundred."""
MOST_REPETITIONS: Final = 100
"""Repetitions of one field."""
MOST_COMPONENTS: Final = 100
"""Components of one repetition of a field."""
MOST_HEADER: Final = 4_096
"""Characters of MSH."""

_STANDARD: Final = "^~\\&"
_NAME: Final = re.compile("[A-Z][A-Z0-9]{2}")
_USUAL: Final = frozenset({"MSH", "PID", "PV1", "OBR", "OBX"})
_FIRST_LINE: Final = re.compile(rb"[^\r\n]*")
_BEFORE: Final = b"\xef\xbb\xbf\r\n\t "
_LATIN: Final = re.compile(r"8859[/-](1[0-6]|[1-9])")
_CODECS: Final = MappingProxyType({
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "GB 18030-2000": "gb18030",
    "BIG-5": "big5",
    "KS X 1001": "euc_kr",
})  # fmt: skip
"""Names of table 0211, and those that are written in their place."""


class Separators(NamedTuple):
    """The characters that part a message, in the order in which MSH tells them."""

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str


class Segment(NamedTuple):
    """One segment: its name, and then its fields, which are numbered from 1 as the standard does."""

    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """Three letters or digits."""
        return self.parts[0]

    def field(self, number: int) -> str:
        """A field as it stands, escapes included; empty when absent."""
        return self.parts[number] if number < len(self.parts) else ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, in lines that have not been split yet."""

    separators: Separators
    header: Segment
    """MSH: MSH-1 is the field separator itself."""
    lines: tuple[str, ...]
    """All segments behind MSH."""
    codec: str
    """The Python name of the encoding in which it was read."""

    def segments(self, *names: str) -> Iterator[Segment]:
        """The segments of these names in order. Raises MessageError above MOST_FIELDS."""
        separator = self.separators.field
        for number, line in enumerate(self.lines, start=2):
            if line[:3] in names:
                parts = line.split(separator, MOST_FIELDS + 1)
                if len(parts) > MOST_FIELDS + 1:
                    raise MessageError(f"segment {number} has more than {MOST_FIELDS} fields")
                yield Segment(tuple(parts))

    def components(self, field: str) -> list[str]:
        """The components of the first repetition of a field; at least one, which may be empty.

        Raises MessageError above MOST_COMPONENTS.
        """
        if self.separators.repetition in field:
            field = field.partition(self.separators.repetition)[0]
        parts = field.split(self.separators.component, MOST_COMPONENTS)
        if len(parts) > MOST_COMPONENTS:
            raise MessageError(f"a field with more than {MOST_COMPONENTS} components")
        return parts

    def repetitions(self, field: str) -> list[str]:
        """The repetitions of a field. Raises MessageError above MOST_REPETITIONS."""
        if field.count(self.separators.repetition) >= MOST_REPETITIONS:
            raise MessageError(f"a field with more than {MOST_REPETITIONS} repetitions")
        return field.split(self.separators.repetition)

    def text(self, part: str) -> str:
        """What a component means: escapes undone, printable characters only, blanks stripped."""
        if self.separators.escape in part:
            part = _unescaped(part, self.separators, self.codec)
        if not part.isprintable():
            part = "".join(char if char.isprintable() else " " for char in part)
        return part.strip()


def read(data: bytes, *, encoding: str = "") -> Message:
    """The message of the bytes between the marks of a frame. Raises MessageError.

    `encoding`: Python name of the encoding that the sender is known to use, before all others.
    """
    data = data.lstrip(_BEFORE)
    first = _FIRST_LINE.match(data)
    header_line = (first[0] if first else b"").decode("latin-1")
    separators = _separators(header_line)
    ends = data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
    if ends > MOST_SEGMENTS:
        raise MessageError(f"more than {MOST_SEGMENTS} segments")
    codec, text = _decoded(data, encoding, _header(header_line, separators).field(18), separators)
    header, *lines = _joined(text, separators)
    return Message(separators, _header(header, separators), tuple(lines), codec)


def header_of(head: bytes) -> Message:
    """A message of nothing but the MSH that these bytes begin with. Raises MessageError if it is cut."""
    head = head.lstrip(_BEFORE)
    first = _FIRST_LINE.match(head)
    if first is None or first.end() == len(head):
        raise MessageError(f"MSH does not end within {MOST_HEADER} characters")
    return read(first[0])


def _separators(line: str) -> Separators:
    if not line.startswith("MSH") or len(line) < 5:
        raise MessageError("message does not begin with MSH")
    told = line[4:].partition(line[3])[0][:4]
    found = line[3] + told + _STANDARD[len(told) :]
    if len(set(found)) != len(found) or any(char.isalnum() or not char.isprintable() for char in found):
        raise MessageError("MSH-1 and MSH-2 are not five different separators")
    return Separators(*found)


def _header(line: str, separators: Separators) -> Segment:
    if len(line) > MOST_HEADER or line.count(separators.field) > MOST_FIELDS:
        raise MessageError(f"MSH of more than {MOST_HEADER} characters or {MOST_FIELDS} fields")
    name, *fields = line.split(separators.field)
    return Segment((name, separators.field, *fields))


def _decoded(data: bytes, encoding: str, told: str, separators: Separators) -> tuple[str, str]:
    """The name of the first encoding in which all bytes have a meaning, and the text."""
    name = told.partition(separators.repetition)[0].strip().upper()
    latin = _LATIN.fullmatch(name)
    by_header = f"iso8859-{latin[1]}" if latin else _CODECS.get(name, "")
    for codec in (encoding, by_header, "utf-8"):
        if codec:
            try:
                return codec, data.decode(codec)
            except (UnicodeError, LookupError):
                continue
    return "latin-1", data.decode("latin-1")


def _joined(text: str, separators: Separators) -> list[str]:
    """The segments, each on one line; MSH first."""
    ends = (separators.field, "")
    lines: list[str] = []
    broken: list[str] = []
    for line in text.replace("\n", "\r").split("\r"):
        name = line[:3]
        if not lines or (line[3:4] in ends and (name in _USUAL or _NAME.fullmatch(name))):
            if broken:
                lines[-1] += "".join(broken)
                broken = []
            lines.append(line)
        elif line:
            broken.append(line)
    lines[-1] += "".join(broken)
    return lines


def _unescaped(part: str, separators: Separators, codec: str) -> str:
    """The text with its escapes undone; those that only format are let go."""
    escape = separators.escape
    plain = {
        "F": separators.field,
        "S": separators.component,
        "T": separators.subcomponent,
        "R": separators.repetition,
        "E": escape,
        ".br": " ",
    }
    pieces = part.split(escape)
    if len(pieces) % 2 == 0:  # an escape that does not end is text
        pieces[-2:] = [escape.join(pieces[-2:])]
    for place in range(1, len(pieces), 2):
        code = pieces[place]
        pieces[place] = plain.get(code, "")
        if code.startswith("X"):
            try:
                pieces[place] = bytes.fromhex(code[1:]).decode(codec, errors="replace")
            except (ValueError, LookupError):
                pieces[place] = ""
    return "".join(pieces)
