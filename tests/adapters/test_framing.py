"""Framing with words of its own: two of them, which share their beginning and overlap themselves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Refusal
from adapters.framing import Frame, HeadedFrames


def size(data: bytearray) -> int:
    """`aab` has four bytes, `aac` five."""
    return 5 if data.startswith(b"aac") else 4


def fault(data: bytearray) -> str | None:
    """The fourth byte must not be x."""
    return "x" if data[3:4] == b"x" else None


def cut(*pieces: bytes) -> tuple[Frame | Refusal, ...]:
    stream = HeadedFrames(b"aab", b"aac", size=size, fault=fault)
    return (*(item for piece in pieces for item in stream.feed(piece)), *stream.close())


def test_each_word_begins_frames_of_its_own_size() -> None:
    assert cut(b"aab1aac12aab3") == (Frame(0, b"aab1"), Frame(4, b"aac12"), Frame(9, b"aab3"))


def test_a_word_that_follows_its_own_beginning_is_found() -> None:
    assert cut(b"a", b"a", b"a", b"b1") == cut(b"aaab1")
    assert cut(b"aaab1") == (Refusal(0, "bytes that begin no aab or aac frame"), Frame(1, b"aab1"))


def test_the_word_that_comes_first_is_taken() -> None:
    assert cut(b"-aac12aab1")[1:] == (Frame(1, b"aac12"), Frame(6, b"aab1"))
    assert cut(b"-aab1aac12")[1:] == (Frame(1, b"aab1"), Frame(5, b"aac12"))


def test_a_frame_that_is_not_finished_is_refused_but_the_end_of_garbage_is_not_said_again() -> None:
    assert cut(b"aac1") == (Refusal(0, "unfinished frame: it ends after 4 bytes"),)
    assert cut(b"--a") == (Refusal(0, "bytes that begin no aab or aac frame"),)


def test_faults_within_the_size_of_a_faulty_frame_are_not_said_again() -> None:
    assert cut(b"aabxaabxaab1") == (Refusal(0, "x"), Refusal(4, "x"), Frame(8, b"aab1"))


@given(st.text("abcx1", max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_how_the_bytes_are_cut_changes_nothing(text: str, places: list[int]) -> None:
    data = text.encode()
    ends = sorted(min(place, len(data)) for place in places)
    pieces = [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
    assert cut(*pieces) == cut(data)
