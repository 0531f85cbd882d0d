"""Records in memory are those of the journal, as far as they are there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.at_hand import AtHand
from telemetry.records import Journaled, Record, Tick
from telemetry.topics import Topic

JOURNAL: tuple[Record, ...] = tuple(
    Tick(position, position)
    if position % 5 == 0
    else Journaled(position, Topic("p", "d", "usage"), None, 0, 0, corrected=False, payload=b"x" * 10)
    for position in range(200)
)


@given(
    st.lists(st.tuples(st.integers(0, 190), st.integers(0, 30)), max_size=30),
    st.integers(0, 210),
    st.integers(1, 60),
    st.integers(1, 80),
    st.integers(10, 600),
)
def test_what_is_read_is_what_the_journal_holds_there(
    stretches: list[tuple[int, int]], position: int, limit: int, most: int, most_bytes: int
) -> None:
    at_hand = AtHand(records=most, size_bytes=most_bytes)
    for first, size in stretches:
        at_hand.add(JOURNAL[first : first + size])
    found = at_hand.read(position, limit=limit)
    assert found == JOURNAL[position : position + len(found)]
    assert len(found) <= min(limit, most)
    assert sum(len(r.payload) for r in found if isinstance(r, Journaled)) <= most_bytes


def test_consumers_that_keep_up_read_on_across_commits() -> None:
    at_hand = AtHand(records=100, size_bytes=10_000)
    assert (at_hand.end, at_hand.read(0, limit=10)) == (0, ())
    for first in range(0, 60, 20):
        at_hand.add(JOURNAL[first : first + 20])
    assert at_hand.end == 60
    assert at_hand.read(10, limit=1_000) == JOURNAL[10:60]
    assert at_hand.read(60, limit=10) == ()


def test_the_earliest_make_room() -> None:
    at_hand = AtHand(records=50, size_bytes=10_000)
    for first in range(0, 100, 20):
        at_hand.add(JOURNAL[first : first + 20])
    assert at_hand.read(40, limit=1) == ()
    assert at_hand.read(60, limit=100) == JOURNAL[60:100]
