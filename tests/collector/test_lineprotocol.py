"""The encoder of line protocol: golden lines, refusals, and a reader that takes back what was written."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from collector.history import FieldValue, Point
from collector.lineprotocol import MAX_TIME_NS, MIN_TIME_NS, encode
from telemetry.errors import MessageError
from tests.collector.histories import by_key

_NEVER = "\\\x7f" + "".join(map(chr, range(0x20)))
WORDS = st.text(st.characters(codec="utf-8", exclude_characters=_NEVER), min_size=1, max_size=12)
NAMES = WORDS.filter(lambda word: word not in {"time", "_field", "_measurement"})
VALUES: st.SearchStrategy[FieldValue] = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)


@st.composite
def points(draw: st.DrawFn) -> Point:
    """Any point that can be encoded."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    names.sort(key=lambda name: '"' in name)
    assume('"' not in names[0])
    fields = draw(st.integers(1, sum('"' not in name for name in names)))
    return Point(
        draw(WORDS.filter(lambda word: not word.startswith("#"))),
        tuple((name, draw(WORDS)) for name in names[fields:]),
        tuple((name, draw(VALUES)) for name in names[:fields]),
        draw(st.integers(MIN_TIME_NS, MAX_TIME_NS)),
    )


def _split(text: str, separator: str, *, quotes: bool = False) -> list[str]:
    """Split at separators that are neither escaped nor, if asked, within quotes."""
    parts, current, quoted, position = [], "", False, 0
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            current += text[position : position + 2]
            position += 2
            continue
        quoted ^= quotes and character == '"'
        if character == separator and not quoted:
            parts.append(current)
            current = ""
        else:
            current += character
        position += 1
    return [*parts, current]


def _plain(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)


def _value(text: str) -> FieldValue:
    if text.startswith('"'):
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    if text in {"true", "false"}:
        return text == "true"
    return int(text[:-1]) if text.endswith("i") else float(text)


def parse(line: bytes) -> Point:
    """A reader of line protocol as its reference describes it, independent of the encoder."""
    text = line.decode()
    key = _split(text, " ")[0]
    fields, time_ns = text[len(key) + 1 :].rsplit(" ", 1)
    measurement, *tags = _split(key, ",")
    return Point(
        _plain(measurement),
        tuple((_plain(name), _plain(value)) for name, value in (_split(tag, "=") for tag in tags)),
        tuple(
            (_plain(name), _value("=".join(value)))
            for name, *value in (
                _split(field, "=", quotes=True) for field in _split(fields, ",", quotes=True)
            )
        ),
        int(time_ns),
    )


@given(points())
def test_a_point_is_read_back_as_it_was(point: Point) -> None:
    read = parse(encode(point))
    assert read.fields == point.fields
    assert [type(value) for _, value in read.fields] == [type(value) for _, value in point.fields]
    assert by_key((read,)) == by_key((point,))


GOLDEN = (
    (Point("usage", (), (("state", "in_use"),), 1), b'usage state="in_use" 1'),
    (
        Point("m", (("b", "2"), ("a", "1")), (("f", 1.0), ("i", 1), ("t", True), ("n", False)), -5),
        b"m,a=1,b=2 f=1.0,i=1i,t=true,n=false -5",
    ),
    (
        Point("my m,=", (("a b", "c,d=e"),), (("f=g", 1e16), ("h i", 5e-324)), 0),
        b"my\\ m\\,=,a\\ b=c\\,d\\=e f\\=g=1e+16,h\\ i=5e-324 0",
    ),
    (
        Point("m", (("ward", "Khoa Hồi sức"),), (("s", 'a "b" \\ c,d=e\nf\r\n'),), 7),
        'm,ward=Khoa\\ Hồi\\ sức s="a \\"b\\" \\\\ c,d=e\nf\r\n" 7'.encode(),
    ),
    (Point("m", (), (("s", ""), ("big", -(2**63))), 1), b'm s="",big=-9223372036854775808i 1'),
)


@pytest.mark.parametrize(("point", "line"), GOLDEN, ids=[line.decode()[:20] for _, line in GOLDEN])
def test_a_line_is_written_so(point: Point, line: bytes) -> None:
    assert encode(point) == line


ONE: tuple[tuple[str, FieldValue], ...] = (("f", 1.0),)
REFUSED = (
    ("no field", Point("m", (), (), 1)),
    ("nan", Point("m", (), (("f", float("nan")),), 1)),
    ("infinity", Point("m", (), (("f", float("-inf")),), 1)),
    ("more than 64 bits", Point("m", (), (("f", 2**63),), 1)),
    ("a comment", Point("#m", (), ONE, 1)),
    ("empty measurement", Point("", (), ONE, 1)),
    ("empty tag", Point("m", (("a", ""),), ONE, 1)),
    ("empty name", Point("m", (("", "a"),), ONE, 1)),
    ("line break in a tag", Point("m", (("a", "b\nc"),), ONE, 1)),
    ("line break in a measurement", Point("m\nm2", (), ONE, 1)),
    ("line break in a field's name", Point("m", (), (("f\n", 1.0),), 1)),
    ("a quote in a field's name", Point("m", (), (('f"', 1.0),), 1)),
    ("backslash at a tag's end", Point("m", (("a", "b\\"),), ONE, 1)),
    ("a field called time", Point("m", (), (("time", 1.0),), 1)),
    ("a tag called time", Point("m", (("time", "1"),), ONE, 1)),
    ("a tag named twice", Point("m", (("a", "1"), ("a", "2")), ONE, 1)),
    ("a field named twice", Point("m", (), (("f", 1.0), ("f", 2.0)), 1)),
    ("a tag named as a field", Point("m", (("f", "1"),), ONE, 1)),
    ("too early", Point("m", (), ONE, MIN_TIME_NS - 1)),
    ("too late", Point("m", (), ONE, MAX_TIME_NS + 1)),
    ("half a surrogate pair", Point("m", (), (("f", "\ud800"),), 1)),
    ("half a surrogate pair in a tag", Point("m", (("a", "\udc00"),), ONE, 1)),
    ("too long a key", Point("m", (("a", "b" * 65_535),), ONE, 1)),
)


@pytest.mark.parametrize("point", [point for _, point in REFUSED], ids=[why for why, _ in REFUSED])
def test_what_cannot_be_kept_as_it_is_is_refused(point: Point) -> None:
    with pytest.raises(MessageError):
        encode(point)
