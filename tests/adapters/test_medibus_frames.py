"""The byte machine of a MEDIBUS line: what it cuts out, what it lets go, and what it refuses once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Refusal
from adapters.medibus_frames import COMMAND, LONGEST, RESPONSE, Damaged, Flow, Frame, Frames, Item, frame_of
from tests.adapters.laws import held_bytes
from tests.adapters.medibus_line import WORKED, worked

PLAIN = st.binary(max_size=40).map(lambda data: bytes(byte for byte in data if 0x20 <= byte < 0x80))
CODES = st.integers(0x20, 0x7F)
COMMANDS = st.builds(frame_of, st.just(COMMAND), CODES, PLAIN)
RESPONSES = st.builds(frame_of, st.just(RESPONSE), CODES, PLAIN)
REALTIME = st.binary(max_size=5).map(lambda data: bytes(byte | 0x80 for byte in data))


def items(*chunks: bytes) -> list[Item]:
    """All that comes of these pieces of one stream."""
    frames = Frames()
    return [*(item for chunk in chunks for item in frames.feed(chunk)), *frames.close()]


def said(found: list[Item]) -> list[tuple[int, int, bytes]]:
    """Start, code and data of the frames."""
    return [(item.start, item.code, item.data) for item in found if isinstance(item, Frame)]


@pytest.mark.skipif(not WORKED.exists(), reason="the shared samples are not here")
def test_the_frames_that_the_manual_works_out_are_read_and_its_four_misprints_refused() -> None:
    rows = worked()
    assert len(rows) == 22
    assert all(len(said(items(whole))) == 1 == len(items(whole)) for whole, _ in rows)
    misprints = [wrong for whole, wrong in rows if wrong != whole]
    assert len(misprints) == 4
    for wrong in misprints:
        (damaged,) = items(wrong)
        assert isinstance(damaged, Damaged)
        assert "checksum" in damaged.refusal.reason


@given(RESPONSES, COMMANDS, REALTIME, st.data())
def test_a_command_and_realtime_values_anywhere_in_a_response_belong_to_neither(
    response: bytes, command: bytes, values: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(1, len(response) - 1))
    inside = data.draw(st.integers(0, len(command)))
    stream = response[:place] + command[:inside] + values + command[inside:] + response[place:]
    assert sorted(said(items(stream))) == sorted(said(items(command)) + said(items(response)))
    assert len(items(stream)) == 2
    assert items(*(bytes((byte,)) for byte in stream)) == items(stream)


@given(RESPONSES, st.lists(COMMANDS, max_size=3))
def test_a_whole_frame_is_read_wherever_it_is_cut(response: bytes, commands: list[bytes]) -> None:
    stream = response[:2] + b"".join(commands) + response[2:]
    whole = items(stream)
    for place in range(len(stream) + 1):
        assert items(stream[:place], stream[place:]) == whole


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (b"noise" + frame_of(COMMAND, 0x30), ["bytes that begin no MEDIBUS frame"]),
        (b"noise" + frame_of(COMMAND, 0x30) + b"noise", ["bytes that begin no MEDIBUS frame"] * 2),
        (b"noise\rmore\rnoise", ["bytes that begin no MEDIBUS frame"]),
        (b"\x01\x2712" + frame_of(RESPONSE, 0x27), ["response without an end"]),
        (b"\x1b\x30\x1b\x30\x1b\x30" + frame_of(COMMAND, 0x30), ["command without an end"]),
        (b"\x01\x27\x1b\x30" + frame_of(RESPONSE, 0x27), ["response without an end"]),
        (b"\x01\x27\x1b\x30", ["unfinished response: it ends after 4 bytes"]),
        (b"\x1b\r", ["command without a checksum"]),
        (
            b"\x01\x27\x1b\r27\r",
            ["command without a checksum", "checksum of a response of 5 bytes does not fit"],
        ),
        (b"\x01\x2a\x32\x42\x72\r".lower(), ["checksum of a response of 6 bytes does not fit"]),
    ],
)
def test_what_is_no_frame_is_refused_once(stream: bytes, told: list[str]) -> None:
    refused = [
        item.refusal if isinstance(item, Damaged) else item
        for item in items(stream)
        if isinstance(item, Damaged | Refusal)
    ]
    assert [one.reason for one in refused] == told
    assert items(*(bytes((byte,)) for byte in stream)) == items(stream)


def test_a_checksum_of_lower_case_digits_is_none() -> None:
    sound = frame_of(RESPONSE, 0x2A, b"1E1j\x03")
    assert b"3F" in sound
    (damaged,) = items(sound.replace(b"3F", b"3f"))
    assert isinstance(damaged, Damaged)


@pytest.mark.parametrize("start", [COMMAND, RESPONSE])
def test_the_longest_frame_is_read_and_a_longer_one_refused_once(start: int) -> None:
    longest = frame_of(start, 0x24, b"x" * (LONGEST[start] - 5))
    assert len(longest) == LONGEST[start]
    assert len(said(items(longest))) == 1
    longer = frame_of(start, 0x24, b"x" * (LONGEST[start] - 4)) * 3
    first, *others = items(longer)
    assert isinstance(first, Refusal)
    assert "of more than" in first.reason
    assert others == []


def test_a_command_too_long_in_a_response_costs_the_response_and_not_the_next() -> None:
    stream = b"\x01\x27\x1b" + b"x" * 300 + b"\r" + frame_of(RESPONSE, 0x2E)
    assert said(items(stream)) == [(RESPONSE, 0x2E, b"")]


def test_flow_control_is_told_in_its_place_and_is_no_part_of_a_frame() -> None:
    response = frame_of(RESPONSE, 0x27)
    found = items(response[:2] + b"\x11\x13" + response[2:] + b"\x18")
    assert [type(item) for item in found] == [Flow, Flow, Frame, Flow]


@pytest.mark.parametrize("filler", [b"A", b"\x1b", b"\x01", b"\x80", b"\x11", b"\x1b\x30", b"\x01\x24"])
def test_a_stream_that_never_ends_a_frame_takes_no_more_than_two_frames_of_memory(filler: bytes) -> None:
    frames = Frames()
    for _ in frames.feed(b"\x01\x24" + filler * 200_000):
        pass
    assert held_bytes(frames) < 2 * (LONGEST[RESPONSE] + LONGEST[COMMAND])
