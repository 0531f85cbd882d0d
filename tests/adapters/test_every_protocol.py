"""Every protocol file, whatever comes: outcomes and never an error, bounded, the same each time.

The long form, marked soak, spoils 100,000 frames of each protocol and feeds 50 MB of a frame without end.
"""

from __future__ import annotations

from itertools import zip_longest
from random import Random
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.contract import Adapter, Heard, MakeAdapter, MakeRedactor, Outcome, ProtocolFile
from adapters.registry import protocols
from tests.adapters.laws import (
    Step,
    broken_occurrences,
    cut,
    faults,
    frames,
    held_bytes,
    live,
    makers,
    say,
    spoilt,
    told,
)

FILES = protocols()
FRAMES = MappingProxyType({name: frames(file) for name, file in FILES.items()})
EACH = pytest.mark.parametrize("name", FILES)
EACH_REDACTED = pytest.mark.parametrize("name", [name for name, file in FILES.items() if file.redactor])
RARELY = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
CUTS = st.lists(st.integers(0, 10_000), max_size=6)
SEEDS = st.integers(0, 2**32)
SHORT = 2_000
LONG = 100_000
MIB = 1 << 20
MOST_HELD = 4 * MIB
ENDLESS = 5 * MIB
"""More than may be held."""
ENDLESS_LONG = 50_000_000
PIECE = 65_536

_AS_SENT = frozenset({
    # PCD-04 tells the phase of an occurrence itself: an end whose start was never sent is told as it came
    "hl7",
})  # fmt: skip


def dice(seed: int) -> Random:
    """Chance that can be repeated."""
    return Random(seed)  # noqa: S311 - nothing here is secret


def check(said: tuple[Outcome, ...], file: ProtocolFile, fed: int) -> None:
    assert faults(said, file=file, fed=fed) == []
    if file.info.id not in _AS_SENT:
        assert broken_occurrences(said) == []


@EACH
@RARELY
@given(data=st.binary(max_size=2000), cuts=CUTS)
def test_any_bytes_in_any_cuts_are_heard_or_refused(name: str, data: bytes, cuts: list[int]) -> None:
    file = FILES[name]
    for make in makers(file):
        whole = say(make(period_s=60), [data])
        check(whole, file, len(data))
        assert say(make(period_s=60), cut(data, cuts)) == whole


@EACH
@RARELY
@given(seed=SEEDS, cuts=CUTS)
def test_how_spoilt_frames_are_cut_changes_nothing(name: str, seed: int, cuts: list[int]) -> None:
    file = FILES[name]
    data = spoilt(FRAMES[file.info.id], dice(seed))
    for make in makers(file):
        whole = say(make(period_s=60), [data])
        assert say(make(period_s=60), cut(data, cuts)) == whole


@EACH
@RARELY
@given(seed=SEEDS)
def test_a_life_of_many_links_with_time_between_is_told_in_order(name: str, seed: int) -> None:
    """Bytes spoilt or whole, polls, lengths of time from none to a year, links that come and go."""
    file = FILES[name]
    rng = dice(seed)
    steps = [_step(file, rng) for _ in range(rng.randint(1, 12))]
    fed = sum(len(step.data) for step in steps)
    for make in makers(file):
        adapter = make(period_s=60)
        said = tuple(live(adapter, steps))
        check(said, file, fed)
        assert tuple(live(make(period_s=60), steps)) == said


def _step(file: ProtocolFile, rng: Random) -> Step:
    seconds = rng.choice((0.0, 0.0, 0.01, 0.2, 1.0, 3.1, 12.0, 3e7))
    turn = rng.choice(("", "", "", "", "connected", "closed", "poll", "farewell"))
    return Step(b"" if turn else spoilt(FRAMES[file.info.id], rng), seconds, turn)


@EACH
def test_examples_say_the_same_each_time_and_apart_from_each_other(name: str) -> None:
    """Two adapters fed in turn say what each says alone: nothing is shared between devices."""
    file = FILES[name]
    for first, second in zip(file.examples, file.examples[1:] + file.examples[:1], strict=True):
        one, other = (Talk(file.adapter(period_s=60)) for _ in range(2))
        chunks = (cut(example.input, range(0, len(example.input), 50)) for example in (first, second))
        for its, others in zip_longest(*chunks, fillvalue=b""):
            one.hear(its)
            other.hear(others)
        for talk, example in ((one, first), (other, second)):
            assert talk.end() == say(file.adapter(period_s=60), [example.input])


class Talk:
    """A link in the making."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._said = [*adapter.connected()]

    def hear(self, data: bytes) -> None:
        """Go on with these bytes."""
        self._said += self._adapter.feed(data)

    def end(self) -> tuple[Outcome, ...]:
        """All that was said."""
        return (*self._said, *self._adapter.closed())


# -- many spoilt frames, and frames without end -----------------------------------------------------------


def spoil(file: ProtocolFile, count: int) -> int:
    """Feed so many spoilt frames and noise to adapters that live for fifty of them; how many were heard."""
    rng = dice(1)
    heard = done = 0
    some = FRAMES[file.info.id]
    while done < count:
        pieces = [
            spoilt(some, rng) if rng.random() < 0.8 else rng.randbytes(rng.randrange(300)) for _ in range(50)
        ]
        done += len(pieces)
        said = say(rng.choice(makers(file))(period_s=60), pieces)
        check(said, file, sum(map(len, pieces)))
        heard += sum(isinstance(one, Heard) for one in said)
    return heard


@EACH
def test_two_thousand_spoilt_frames_never_raise(name: str) -> None:
    file = FILES[name]
    assert spoil(file, SHORT) > 100


@pytest.mark.soak
@EACH
def test_a_hundred_thousand_spoilt_frames_never_raise(name: str) -> None:
    file = FILES[name]
    assert spoil(file, LONG) > 5_000


def begun(file: ProtocolFile) -> bytes:
    """The first half of the longest frame of the examples."""
    longest = max(FRAMES[file.info.id], key=len)
    return longest[: len(longest) // 2]


def without_end(file: ProtocolFile, make: MakeAdapter, filler: bytes, size: int) -> None:
    """Begin a frame, go on with the filler again and again for so many bytes, and look at what is held."""
    piece = (filler * (PIECE // len(filler) + 1))[:PIECE]
    adapter = make(period_s=file.info.poll_s)
    adapter.connected()
    adapter.feed(begun(file))
    for _ in range(size // PIECE):
        adapter.feed(piece)
    assert held_bytes(adapter) < MOST_HELD
    assert held_bytes(adapter.closed()) < MOST_HELD


@EACH
def test_memory_is_bounded_when_a_frame_never_ends(name: str) -> None:
    without_end(FILES[name], FILES[name].adapter, b"A", ENDLESS)


@pytest.mark.soak
@EACH
def test_memory_is_bounded_for_fifty_megabytes_of_a_frame(name: str) -> None:
    file = FILES[name]
    for filler in (b"A", begun(file)[1:], dice(2).randbytes(4099)):
        for make in makers(file):
            without_end(file, make, filler, ENDLESS_LONG)


# -- redaction --------------------------------------------------------------------------------------------


def redacted(make: MakeRedactor, chunks: tuple[bytes, ...]) -> bytes:
    """What is kept of these pieces."""
    redactor = make()
    return b"".join((*map(redactor.feed, chunks), redactor.closed()))


def check_redaction(file: ProtocolFile, data: bytes, cuts: list[int]) -> None:
    assert file.redactor is not None
    kept = redacted(file.redactor, (data,))
    assert redacted(file.redactor, cut(data, cuts)) == kept
    assert redacted(file.redactor, (kept,)) == kept
    whole, again = (say(file.adapter(period_s=60), [one]) for one in (data, kept))
    assert told(again) == told(whole)


@EACH_REDACTED
def test_what_is_kept_of_the_examples_says_the_same(name: str) -> None:
    file = FILES[name]
    for example in file.examples:
        check_redaction(file, example.input, [*range(0, len(example.input), 7)])
    check_redaction(file, b"".join(example.input for example in file.examples), [])


@EACH_REDACTED
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(seed=SEEDS, cuts=CUTS)
def test_what_is_kept_of_spoilt_frames_says_the_same(name: str, seed: int, cuts: list[int]) -> None:
    file = FILES[name]
    check_redaction(file, spoilt(FRAMES[file.info.id], dice(seed)), cuts)


@EACH_REDACTED
def test_a_redactor_holds_no_more_than_its_adapter_may(name: str) -> None:
    file = FILES[name]
    assert file.redactor is not None
    redactor = file.redactor()
    kept = len(redactor.feed(begun(file)))
    for _ in range(ENDLESS // PIECE):
        kept += len(redactor.feed(b"A" * PIECE))
    assert held_bytes(redactor) < MOST_HELD
    assert kept + len(redactor.closed()) <= ENDLESS + len(begun(file))
