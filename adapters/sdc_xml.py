"""Reads the XML of SDC devices: cut at NUL, parsed once, and of it only what `sdc_terms` lists.

    <Envelope><Body><GetMdibResponse>...</GetMdibResponse></Body></Envelope> NUL <Envelope>... NUL

NUL cannot stand in XML, so it ends each document; the envelope may be left out.

Rule 1: an element, attribute or state that is not listed never becomes a value, with all that it holds.
Rule 2: no DTD, so no entity is ever defined and nothing is fetched; UTF-8 whatever a document claims; its
size, depth and number of elements are bounded.
Rule 3: a text about an alarm that shares a word with what a patient's or another context says is let go.
Rule 4: what cannot be read raises MessageError in the words of the parser, which quote nothing.

The parser is expat of the standard library: it hears elements as a stream, so that what is skipped is never
built, and a handler refuses a DTD where it begins, which is what a further dependency would do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from types import MappingProxyType
from typing import Final
from xml.parsers import expat

from adapters.contract import Refusal
from adapters.people import words_of
from adapters.sdc_terms import (
    ATTRIBUTES,
    CONTEXT_STATE,
    COUNTED,
    ELEMENTS,
    INSTANCE,
    SPACES,
    STATE_ELEMENTS,
    STATES,
    TEXTS,
    WORDED,
    WORDS,
    WRAPPING,
)
from telemetry.errors import MessageError

END: Final = b"\x00"
MOST_BYTES: Final = 4 * 1024 * 1024
"""Largest document; the description of a whole anaesthesia workstation is about a tenth of it."""
MOST_ELEMENTS: Final = 200_000
MOST_DEPTH: Final = 64
LONGEST_TEXT: Final = 256
_MOST_WORDS: Final = 4_096
_NUMBER: Final = re.compile(r" *[+-]?[0-9]{1,20}(\.[0-9]{0,12})? *|")
_ENGLISH: Final = "en"
_NO_WORD: Final = "?"


@dataclass(frozen=True, slots=True)
class Element:
    """One listed element; without its namespace where names are compared."""

    space: str
    name: str
    attributes: Mapping[str, str]
    children: tuple[Element, ...] = ()
    text: str = ""

    def get(self, attribute: str) -> str:
        """A listed attribute; empty if it is not told."""
        return self.attributes.get(attribute, "")

    @property
    def type(self) -> str:
        """Its xsi:type without a prefix."""
        return self.get("type").rpartition(":")[2]

    def all(self, *names: str) -> Iterator[Element]:
        """Its children of these names, in order."""
        return (child for child in self.children if child.name in names)

    def first(self, name: str) -> Element | None:
        """Its first child of this name."""
        return next(self.all(name), None)

    def within(self) -> Iterator[Element]:
        """Itself and all below, in order."""
        yield self
        for child in self.children:
            yield from child.within()


@dataclass(frozen=True, slots=True)
class Cut:
    """The bytes of one document and where it begins in the stream."""

    offset: int
    data: bytes


class Documents:
    """Cuts a stream at NUL; holds less than MOST_BYTES between calls."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._offset = 0
        self._is_overlong = False

    def feed(self, data: bytes) -> Iterator[Cut | Refusal]:
        """All documents that these bytes end, and each overlong one where it begins."""
        *ended, rest = data.split(END)
        for piece in ended:
            yield from self._take(piece)
            yield from self._end()
        yield from self._take(rest)

    def close(self) -> tuple[Refusal, ...]:
        """The stream has ended or begins anew: a document that was begun is refused."""
        begun, offset = bytes(self._buffer), self._offset
        self._drop(len(begun))
        self._is_overlong = False
        return (Refusal(offset, f"unfinished document: it ends after {len(begun)} bytes"),) if begun else ()

    def _take(self, piece: bytes) -> Iterator[Refusal]:
        if self._is_overlong:
            self._offset += len(piece)
        elif len(self._buffer) + len(piece) > MOST_BYTES:
            yield Refusal(self._offset, f"a document of more than {MOST_BYTES} bytes")
            self._drop(len(self._buffer))
            self._offset += len(piece)
            self._is_overlong = True
        else:
            self._buffer += piece

    def _end(self) -> Iterator[Cut]:
        data, offset = bytes(self._buffer), self._offset
        self._drop(len(data))
        self._offset += 1
        self._is_overlong = False
        if data.strip():
            yield Cut(offset, data)

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._offset += count


def read(data: bytes) -> Element | None:
    """The document within the envelope; None if it is of a kind that is not read. Raises MessageError."""
    reading = _Reading()
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_dtd
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise MessageError(f"not XML: {expat.ErrorString(error.code)}") from None
    except UnicodeError:
        raise MessageError("not XML: not UTF-8") from None
    root = reading.root
    while root is not None and root.name in WRAPPING:
        root = next(iter(root.children), None)
    return None if root is None else _without(root, frozenset(reading.words))


def written(root: Element) -> bytes:
    """A document that reads the same, without its end and without what is read and told nowhere.

    That is each text about anything but a technical alarm, and what is neither word nor number where one is
    read.
    """
    return "".join(_tags(root, "", is_told=False)).encode()


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _refuse_dtd(*_: object) -> None:
    raise MessageError("a document with a DTD, which SDC does not know")


@dataclass(slots=True)
class _Open:
    space: str
    name: str
    attributes: Mapping[str, str]
    children: list[Element]
    texts: list[str]


class _Reading:
    """What expat tells of one document."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self.words: set[str] = set()
        self._open: list[_Open] = []
        self._depth = 0
        self._elements = 0
        self._skipped_from = 0
        """Depth of the element that is skipped; 0 while none is."""
        self._is_context = False

    def start(self, told: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MOST_DEPTH or self._elements > MOST_ELEMENTS:
            raise MessageError(f"a document of more than {MOST_ELEMENTS} elements, or {MOST_DEPTH} deep")
        if self._skipped_from:
            if self._is_context:
                self._remember(*attributes.values())
            return
        space, _, name = told.rpartition(" ")
        kept = {}
        for key, value in attributes.items():
            short = key.rpartition(" ")[2]
            if short in ATTRIBUTES and len(value) <= LONGEST_TEXT:
                kept[short] = value if value.isprintable() else _printable(value)
        type_ = kept.get("type", "").rpartition(":")[2]
        is_state = name in STATE_ELEMENTS
        if space not in SPACES or name not in ELEMENTS or (is_state and type_ not in STATES):
            self._skipped_from = self._depth
            self._is_context = is_state and type_.endswith(CONTEXT_STATE)
            if self._is_context:
                self._remember(*attributes.values())
            return
        self._open.append(_Open(space, name, MappingProxyType(kept), [], []))

    def end(self, _: str) -> None:
        if self._skipped_from:
            if self._skipped_from == self._depth:
                self._skipped_from, self._is_context = 0, False
        else:
            done = self._open.pop()
            text = _printable("".join(done.texts)[: LONGEST_TEXT + 1]).strip() if done.texts else ""
            element = Element(
                done.space,
                done.name,
                done.attributes,
                tuple(done.children),
                text if len(text) <= LONGEST_TEXT else "",
            )
            if self._open:
                self._open[-1].children.append(element)
            else:
                self.root = element
        self._depth -= 1

    def text(self, text: str) -> None:
        if self._skipped_from:
            if self._is_context:
                self._remember(text)
        elif self._open[-1].name in TEXTS and len(self._open[-1].texts) <= LONGEST_TEXT:
            self._open[-1].texts.append(text[: LONGEST_TEXT + 1])

    def _remember(self, *texts: str) -> None:
        """The words of contexts, so that no other text tells them."""
        for text in texts:
            for word in words_of(text):
                if len(self.words) < _MOST_WORDS:
                    self.words.add(word)


def _without(root: Element, words: frozenset[str]) -> Element:
    """The document without texts about alarms that share a word with a context."""
    if not words:
        return root
    is_shared = root.name == "ConceptDescription" and not words.isdisjoint(words_of(root.text))
    return replace(
        root,
        text="" if is_shared else root.text,
        children=tuple(_without(child, words) for child in root.children),
    )


def _tags(element: Element, space: str, *, is_told: bool) -> Iterable[str]:
    """`is_told`: whether it describes a technical alarm, the only descriptions that are told."""
    is_told |= element.name == "AlertCondition" and element.get("Kind") == "Tec"
    told = {name: _fit(name, value) for name, value in element.attributes.items()}
    names = {"xmlns": element.space} if element.space != space else {}
    if "type" in told:
        names |= {"xmlns:i": INSTANCE, "i:type": element.type}
        del told["type"]
    yield f"<{element.name}"
    yield from (f' {name}="{escape(value)}"' for name, value in (names | told).items())
    yield ">"
    yield escape(element.text) if is_told or element.name != "ConceptDescription" else ""
    for child in element.children:
        yield from _tags(child, element.space, is_told=is_told)
    yield f"</{element.name}>"


def _fit(name: str, value: str) -> str:
    """An attribute, in so far as it is read."""
    if name == "Lang":
        return _ENGLISH if value.startswith(_ENGLISH) else ""
    if (name in WORDED and value not in WORDS) or (name in COUNTED and not _NUMBER.fullmatch(value)):
        return _NO_WORD
    return value
