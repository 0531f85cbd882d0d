"""Frames are cut as they were sent; what is not a frame costs one refusal and no memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Answer, Heard, Outcome, Refusal
from adapters.hl7_adapter import Hl7Adapter
from adapters.hl7_mllp import HEAD_BYTES, Bare, Capture, Cut, Framed, Frames, Overlong, framed
from adapters.hl7_sender import MAX_MESSAGE_BYTES
from tests.adapters.hl7_messages import alert as alert_of
from tests.adapters.hl7_messages import codes, facets, header, message, reasons, report, row, told

LIMIT = 5000
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [b"\x0b", b"\x1c", b"\r", b"\n", b"\x1c\r", b"MSH|^~\\&|", b"\rMSH|", b"BHS|", b"OBX|1"]
        ),
        st.integers(0, 2 * LIMIT).map(lambda size: b"x" * size),
    ),
    max_size=10,
).map(b"".join)
CUTTERS = (Frames, Bare, Capture)


def cut(cutter: Frames | Bare | Capture, pieces: Iterable[bytes]) -> tuple[Cut, ...]:
    return (*(one for piece in pieces for one in cutter.feed(piece)), *cutter.close())


def pieces_of(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def test_two_frames_in_one_read_and_one_frame_in_many_are_the_same() -> None:
    data = framed(b"one") + framed(b"two")
    expected = (Framed(0, b"one"), Framed(6, b"two"))
    assert cut(Frames(limit=LIMIT), [data]) == expected
    assert cut(Frames(limit=LIMIT), [bytes([byte]) for byte in data]) == expected


def test_a_frame_ends_at_1c_and_waits_for_no_0d() -> None:
    cutter = Frames(limit=LIMIT)
    assert tuple(cutter.feed(b"\x0bone\x1c")) == (Framed(0, b"one"),)
    assert tuple(cutter.feed(b"\r\n\x0btwo\x1c")) == (Framed(7, b"two"),)


def test_bytes_outside_frames_are_refused_once_however_long() -> None:
    data = b"\r\n??" + b"noise\x1c\r" * 1000 + framed(b"one") + b"!"
    said = cut(Frames(limit=LIMIT), [data])
    assert [type(one) for one in said] == [Refusal, Framed, Refusal]
    assert said[0].offset == 2


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x0bone\x0btwo\x1c\r", "begun anew before its end: 3 bytes"),
        (framed(b"two") + b"\x0bone", "unfinished frame: 3 bytes"),
    ],
)
def test_a_frame_without_end_is_refused_and_costs_no_neighbour(data: bytes, what: str) -> None:
    said = cut(Frames(limit=LIMIT), [data])
    assert [one.data for one in said if isinstance(one, Framed)] == [b"two"]
    (refusal,) = [one for one in said if isinstance(one, Refusal)]
    assert what in refusal.reason


def test_a_message_of_the_limit_is_read_and_one_byte_more_is_refused_when_it_comes() -> None:
    cutter = Frames(limit=LIMIT)
    assert tuple(cutter.feed(framed(b"a" * LIMIT))) == (Framed(0, b"a" * LIMIT),)
    assert tuple(cutter.feed(b"\x0b" + b"b" * LIMIT)) == ()
    start = LIMIT + 3
    assert tuple(cutter.feed(b"b")) == (Refusal(start, f"message of more than {LIMIT} bytes"),)
    assert tuple(cutter.feed(b"b" * 10 * LIMIT)) == ()
    assert tuple(cutter.feed(b"\x1c\r")) == (Overlong(start, b"b" * HEAD_BYTES),)
    assert next(iter(cutter.feed(framed(b"next")))) == Framed(start + 11 * LIMIT + 4, b"next")


def test_a_start_mark_that_is_repeated_is_no_frame_and_no_refusal() -> None:
    said = cut(Frames(limit=LIMIT), [b"\x0b\x0b\x0bone\x1c\r\x0b"])
    assert said == (Framed(2, b"one"),)


def test_a_message_that_is_too_long_is_refused_once_even_if_it_never_ends() -> None:
    said = cut(Frames(limit=LIMIT), [b"\x0b" + b"a" * 2 * LIMIT, framed(b"next"), b"\x0b" + b"b" * 2 * LIMIT])
    assert [type(one) for one in said] == [Refusal, Framed, Refusal]


def test_a_file_that_never_begins_a_message_anew_is_not_kept() -> None:
    cutter = Bare(limit=LIMIT)
    for _ in range(20):
        tuple(cutter.feed(b"x" * LIMIT))
    assert len(cutter._buffer) < 10  # noqa: SLF001 - nothing else tells what is held


@pytest.mark.parametrize("make", CUTTERS)
@given(data=PIECES, places=st.lists(st.integers(0, 100_000), max_size=8))
def test_how_the_bytes_are_cut_changes_nothing(
    make: type[Frames | Bare | Capture], data: bytes, places: list[int]
) -> None:
    assert cut(make(limit=LIMIT), pieces_of(data, places)) == cut(make(limit=LIMIT), [data])


@pytest.mark.parametrize("make", [Frames, Bare])
@given(data=PIECES)
def test_bytes_one_by_one_say_the_same(make: type[Frames | Bare], data: bytes) -> None:
    short = data[:300]
    assert cut(make(limit=100), (bytes([byte]) for byte in short)) == cut(make(limit=100), [short])


@given(st.lists(st.binary(min_size=1).filter(lambda data: not {0x0B, 0x1C} & set(data)), max_size=5))
def test_what_is_framed_is_cut_again(messages: list[bytes]) -> None:
    said = cut(Frames(limit=LIMIT), [b"".join(map(framed, messages))])
    assert [one.data for one in said if isinstance(one, Framed)] == messages


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_bare_messages_of_a_file_are_parted_at_their_msh_and_batches_are_let_pass(end: bytes) -> None:
    one, two = b"MSH|^~\\&|A" + end + b"OBX|1", b"MSH#^~\\&#B"
    data = end.join((b"\xef\xbb\xbfFHS|^~\\&", b"BHS|^~\\&", one, b"", two, b"BTS|2", b"FTS|1", b""))
    said = cut(Bare(limit=LIMIT), [data])
    assert said == (Framed(data.find(one), one), Framed(data.find(two), two))


def test_a_bare_message_that_is_too_long_is_refused_once_and_the_next_is_read() -> None:
    data = b"MSH|^~\\&|A" + b"\rOBX|" * LIMIT + b"\rMSH|^~\\&|B"
    said = cut(Bare(limit=LIMIT), pieces_of(data, list(range(0, len(data), 777))))
    assert [type(one) for one in said] == [Refusal, Overlong, Framed]
    assert said[2] == Framed(data.find(b"MSH|^~\\&|B"), b"MSH|^~\\&|B")


# -- hostile sizes, through the whole adapter -------------------------------------------------------------

SOUND = framed(alert_of(*facets(), number="77").encode())
PIECE = 64 * 1024


def chunks(begin: bytes, repeated: bytes, size: int, end: bytes) -> Iterator[bytes]:
    """A stream of about that size, never whole in memory."""
    yield begin
    block = repeated * (PIECE // len(repeated) + 1)
    for _ in range(size // len(block) + 1):
        yield block
    yield end


HEAD = b"\x0b" + (header(number="66") + "\r").encode()
HOSTILE = {
    "10 MB in one segment": (HEAD + b"OBX|1|ST|", b"x", 10_000_000, b"\x1c\r"),
    "a million segments": (HEAD, b"OBX|1\r", 6_000_000, b"\x1c\r"),
    "a million empty segments": (HEAD, b"\r", 1_000_000, b"\x1c\r"),
    "10 MB of repetitions": (HEAD + b"OBX|1|ST||", b"~", 10_000_000, b"\x1c\r"),
    "a frame that never ends": (HEAD, b"OBX|1|ST|a|b|c\r", 50_000_000, b""),
    "100 frames begun in vain": (b"", HEAD[:90], 9_000, b""),
    "50 MB of noise": (b"noise", b"\x1c\r?", 50_000_000, b""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sizes_cost_bounded_memory_and_one_refusal_and_the_next_message_is_answered(
    name: str,
) -> None:
    begin, repeated, size, end = HOSTILE[name]
    adapter = Hl7Adapter(period_s=60)
    adapter.feed(SOUND)
    said: list[Outcome] = []
    tracemalloc.start()
    try:
        for chunk in chunks(begin, repeated, size, end):
            said += adapter.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * MAX_MESSAGE_BYTES
    refused = [one for one in said if isinstance(one, Refusal)]
    assert len(refused) == 1 or "in vain" in name
    assert codes(said) == (("CA|66",) if end else ())
    after = adapter.feed(
        framed(report(row("67996^MDC_ATTR_VAL_BATT_CHARGE^MDC", "1.0.0.1", "9", device="D")).encode())
    )
    assert [type(one) for one in after if not isinstance(one, Refusal)] == [Heard, Answer]
    adapter.feed(b"\x0b")
    assert held(adapter) < 2000


def held(adapter: Hl7Adapter) -> int:
    """Bytes that the cutter keeps between reads."""
    return len(adapter._cutter._message)  # type: ignore[union-attr]  # noqa: SLF001 - nothing else tells what is held


@pytest.mark.parametrize(
    ("segments", "reason"),
    [
        (["OBX|1|ST"] * 6000, "more than 5000 segments"),
        (["OBX" + "|" * 500], "segment 4 has more than 400 fields"),
        (
            [row("67996^MDC_ATTR_VAL_BATT_CHARGE^MDC", "1.0.0.1", "9", device="D"), "OBX" + "|" * 500],
            "fields",
        ),
        (
            ["OBR|1|||196616^MDC_EVT_ALARM^MDC", row("1^MDC_EVT_X^MDC", "1", flags="~" * 100, device="D")],
            "repetitions",
        ),
    ],
)
def test_a_message_beyond_a_limit_is_one_refusal_and_accepted(segments: list[str], reason: str) -> None:
    said = told(message(*segments))
    assert [type(one) for one in said] == [Refusal, Answer]
    assert reason in reasons(said)[0]
    assert codes(said) == ("CA|1",)
