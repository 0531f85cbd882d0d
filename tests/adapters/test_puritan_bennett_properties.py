"""Whatever a line does to the bytes, the Puritan Bennett adapter hears or refuses; it never raises."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.contract import Heard, Outcome, Refusal
from adapters.protocols.puritan_bennett import adapter
from adapters.puritan_bennett_reports import SNDF
from tests.adapters.ventilators import hear, refusals, report

WORDS = st.sampled_from(["NORMAL", "LOW", "MEDIUM", "HIGH", "RESET", "", "ALERT"])
REPORTS = st.dictionaries(st.integers(106, 153), WORDS, max_size=4).map(report)
STREAM = report() + report({122: "LOW", 140: "HIGH"}) + report({122: "RESET"})
NOISE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"MISC", b"MISCF,", b"MISCF,1225,169 ,\x02", b"MISCA,706,97,", report()[:700], b"\x03\r"]
    ),
)
STREAMS = st.lists(st.one_of(REPORTS, NOISE), max_size=6).map(b"".join)


def told(*chunks: bytes) -> tuple[Outcome, ...]:
    return hear(adapter(period_s=60.0), chunks)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=8))
@example(b"MISMISCF,", [3])
def test_how_the_bytes_are_cut_changes_nothing(data: bytes, places: list[int]) -> None:
    assert told(*cut(data, places)) == told(data)


@given(STREAMS)
@settings(max_examples=25)
def test_bytes_one_by_one_say_the_same(data: bytes) -> None:
    assert told(*(bytes([byte]) for byte in data)) == told(data)


@given(st.binary(max_size=4000))
def test_random_bytes_are_refused_without_an_exception(data: bytes) -> None:
    said = told(data)
    assert all(isinstance(one, Refusal) for one in said)
    assert bool(said) == bool(data)


@given(st.integers(0, len(STREAM)))
def test_a_prefix_says_what_the_whole_said_so_far_and_refuses_the_rest(length: int) -> None:
    said = told(STREAM[:length])
    sound = length // SNDF.size
    assert said[:sound] == told(STREAM)[:sound]
    assert len(refusals(said)) == len(said) - sound == (1 if length % SNDF.size else 0)


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255))
def test_a_flipped_byte_costs_at_most_the_report_that_holds_it(place: int, mask: int) -> None:
    """There is no checksum: a flipped byte within a field may be heard; nothing else is lost or refused."""
    flipped = bytearray(STREAM)
    flipped[place] ^= mask
    said = told(bytes(flipped))
    struck = place // SNDF.size
    assert {one.offset // SNDF.size for one in said if isinstance(one, Heard)} >= {0, 1, 2} - {struck}
    refused = refusals(said)
    assert len(refused) <= 1
    assert all(one.offset // SNDF.size == struck for one in refused)
    assert len(said) == 3


@given(REPORTS, st.binary(min_size=1, max_size=3000), REPORTS)
def test_one_bad_stretch_is_one_refusal_and_costs_no_neighbour(
    before: bytes, noise: bytes, after: bytes
) -> None:
    said = told(before + noise + after)
    assert [type(one) for one in said] == [Heard, Refusal, Heard]
    assert [one.offset for one in refusals(said)] == [len(before)]
