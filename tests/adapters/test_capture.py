"""A capture says again what went over the link, and how it was cut off or spoilt."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.capture import (
    LONGEST_LINE,
    PIECE_BYTES,
    Entry,
    Event,
    Header,
    Piece,
    Reading,
    Source,
    Turn,
    header_line,
    lines,
)
from adapters.decode import Line, LineKind, decode
from telemetry.errors import SettingsError
from tests.adapters.ventilators import report

HEADER = Header("puritan-bennett", datetime(2026, 1, 9, 7, 30, 0, 500_000, tzinfo=UTC), 20.0)
ENTRIES = st.lists(
    st.one_of(
        st.builds(Event, st.integers(0, 10**9), st.sampled_from(Turn)),
        st.builds(
            Piece, st.integers(0, 10**9), st.sampled_from(Source), st.binary(min_size=1, max_size=PIECE_BYTES)
        ),
    ),
    max_size=8,
)


def text(*entries: Entry, header: Header = HEADER) -> bytes:
    return "".join((header_line(header), *(line for one in entries for line in lines(one)))).encode()


def read(chunks: Iterable[bytes]) -> tuple[Reading, list[Entry]]:
    reading = Reading("a.capture")
    return reading, [entry for chunk in chunks for entry in reading.feed(chunk)]


def said(data: bytes) -> list[Line]:
    return list(decode("puritan-bennett", [data], where="a.capture"))


def heard(*more: Entry) -> bytes:
    return text(Event(0, Turn.CONNECTED), Piece(7, Source.US, b"SNDF\r"), *more)


@given(ENTRIES, st.integers(1, 5000))
def test_what_is_written_is_read_however_it_is_cut(entries: list[Entry], size: int) -> None:
    data = text(*entries)
    reading, found = read(data[at : at + size] for at in range(0, len(data), size))
    assert (reading.header, found) == (HEADER, entries)


@given(ENTRIES, st.integers(0, 100_000))
def test_a_capture_cut_off_anywhere_says_what_was_written_whole(entries: list[Entry], place: int) -> None:
    data = text(*entries)
    place %= len(data)
    reading, found = read([data[:place]])
    whole = data[:place].count(b"\n")
    assert found == entries[: max(0, whole - 1)]
    assert (reading.header is not None) == (whole > 0)


def test_long_pieces_are_told_in_lines_that_are_not() -> None:
    written = list(lines(Piece(10**12, Source.DEVICE, bytes(3 * PIECE_BYTES + 1))))
    assert len(written) == 4
    assert max(map(len, written)) <= LONGEST_LINE
    assert sum(len(json.loads(line)["hex"]) for line in written) == 2 * (3 * PIECE_BYTES + 1)


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        (b'{"hourmeter_capture": 2, "protocol": "x"}\n', "is a capture of version 2"),
        (b'{"hourmeter_capture": 1, "protocol": "x"}\n', "line 1 is not the header"),
        (text().replace(b"2026-01", b"2026-13"), "line 1 is not the header"),
        (text().replace(b"20.0", b"NaN"), "line 1 is not the header"),
        (b"\x01Q\r\n", "line 1 is not the header"),
        (text() + b'{"ms": 1, "from": "us", "hex": "0"}\n', "line 2 is none"),
        (text() + b'{"ms": 1, "from": "them", "hex": "00"}\n', "line 2 is none"),
        (text() + b'{"ms": 1, "from": "link", "event": "up"}\n', "line 2 is none"),
        (text() + b"[" * 8000 + b"\n", "line 2 is none"),
        (text() + b"\n", "line 2 is none"),
        (text() + b"x" * (LONGEST_LINE + 1), f"line 2 is longer than {LONGEST_LINE} bytes"),
    ],
)
def test_what_is_no_capture_of_this_version_is_refused_by_line(bad: bytes, found: str) -> None:
    with pytest.raises(SettingsError, match=found) as raised:
        read([bad])
    assert raised.value.where == "a.capture"


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for start in (b"", text()):
        try:
            read([start + data])
        except SettingsError:
            continue


def test_decode_knows_a_capture_and_hears_the_device_only_with_its_period() -> None:
    lines = said(heard(Piece(900, Source.DEVICE, report()), Event(1000, Turn.END)))
    assert {line.kind for line in lines} == {LineKind.BODY}
    kinds = [json.loads(line.text) for line in lines]
    assert [one["kind"] for one in kinds] == ["identity", "usage", "metrics"]
    assert kinds[1]["period_s"] == 20


def test_a_link_that_is_lost_ends_the_frame_that_was_begun() -> None:
    entries = (
        Piece(900, Source.DEVICE, report()[:100]),
        Event(1000, Turn.LOST),
        Event(2000, Turn.CONNECTED),
        Piece(2900, Source.DEVICE, report()),
        Event(3000, Turn.END),
    )
    lines = said(heard(*entries))
    assert [line.kind for line in lines] == [LineKind.REFUSAL, *3 * [LineKind.BODY]]
    assert lines[0].text == "byte 0: unfinished frame: it ends after 100 bytes"


def test_decode_says_that_a_capture_was_cut_off() -> None:
    whole = heard(Piece(900, Source.DEVICE, report()), Event(1000, Turn.END))
    for data in (whole[:-1], whole[:-20], heard(Piece(900, Source.DEVICE, report()))):
        assert [line.kind for line in said(data)] == [*3 * [LineKind.BODY], LineKind.NOTE]


def test_a_capture_of_another_protocol_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"a\.capture: a capture of puritan-bennett; a capture of hl7"):
        list(decode("hl7", [heard()], where="a.capture"))
    with pytest.raises(SettingsError, match="no header"):
        said(text()[:40])
