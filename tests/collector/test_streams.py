"""Sequence numbers are counted exactly, whatever the order, repetition and loss."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.streams import Run, Stream, arrived, has_seen, superseded, synchronised


def _feed(stream: Stream, *seqs: int) -> Stream:
    for seq in seqs:
        if not has_seen(stream, seq):
            stream = arrived(stream, seq)
    return stream


def _new() -> Stream:
    return Stream("hn01-host", "u-1")


def _known() -> Stream:
    return synchronised(_new(), held_from=1, sent_through=0)


@given(st.lists(st.integers(1, 40), max_size=120))
def test_through_is_the_end_of_the_unbroken_run_and_each_number_is_new_once(seqs: list[int]) -> None:
    stream, seen = _new(), set[int]()
    for seq in seqs:
        assert has_seen(stream, seq) == (seq in seen)
        stream = _feed(stream, seq)
        seen.add(seq)
    unbroken = next(n for n in range(1, 100) if n not in seen) - 1
    assert stream.through == unbroken
    assert stream.missing == (max(seen) - len(seen) if seen else 0)
    assert stream.lost == 0


@given(st.sets(st.integers(1, 30)), st.integers(1, 32), st.integers(0, 32))
def test_sync_turns_exactly_the_holes_below_what_is_held_into_lost(
    seqs: set[int], held_from: int, sent: int
) -> None:
    stream = synchronised(_feed(arrived(_known(), 31), *seqs), held_from=held_from, sent_through=sent)
    holes = set(range(1, held_from)) - seqs - {31}
    assert stream.lost == len(holes)
    assert all(not has_seen(stream, hole) for hole in holes)
    assert all(has_seen(stream, seq) for seq in seqs)
    expected_missing = set(range(1, max(31, sent) + 1)) - seqs - {31} - holes
    assert stream.missing == len(expected_missing)


def test_a_lost_number_that_comes_after_all_is_found_again() -> None:
    stream = synchronised(_feed(_known(), 1, 5), held_from=5, sent_through=5)
    assert (stream.through, stream.lost) == (5, 3)
    found = _feed(stream, 3)
    assert (found.lost, has_seen(found, 3), has_seen(found, 2)) == (2, True, False)


def test_a_new_epoch_counts_nothing_below_what_the_publisher_holds_as_lost() -> None:
    stream = synchronised(_new(), held_from=300, sent_through=320)
    assert (stream.through, stream.lost, stream.missing) == (299, 0, 21)
    assert not has_seen(stream, 7)
    assert has_seen(_feed(stream, 7), 7)


def test_what_arrives_before_the_first_sync_of_an_epoch_makes_nothing_lost() -> None:
    stream = synchronised(_feed(_new(), 310), held_from=300, sent_through=320)
    assert (stream.through, stream.lost, stream.missing) == (299, 0, 20)


def test_a_superseded_stream_can_never_be_filled() -> None:
    stream = synchronised(_feed(_new(), 1, 2, 5), held_from=1, sent_through=7)
    ended = superseded(stream)
    assert (ended.missing, ended.lost, ended.superseded) == (0, 4, True)


STEPS = st.lists(
    st.integers(1, 12)
    | st.tuples(st.integers(1, 14), st.integers(0, 14))
    | st.just("superseded")
    | st.just("next"),
    max_size=60,
)


@given(STEPS, st.lists(st.integers(1, 12), max_size=8))
def test_a_run_ends_as_the_stream_that_takes_each_number_by_itself(
    steps: list[int | tuple[int, int] | str], before: list[int]
) -> None:
    stream = _feed(_known(), *before)
    run, new = Run(stream), list[int]()
    for step in steps:
        match step:
            case (held_from, sent_through):
                run.synchronise(held_from=held_from, sent_through=sent_through)
                stream = synchronised(stream, held_from=held_from, sent_through=sent_through)
            case "superseded":
                run.supersede()
                stream = superseded(stream)
            case _:
                seq = step if isinstance(step, int) else stream.through + 1
                assert run.take(seq) == (not has_seen(stream, seq))
                if not has_seen(stream, seq):
                    stream = arrived(stream, seq)
                    new.append(seq)
        if len(new) % 3 == 0:
            assert run.stream == stream
    assert run.stream == stream
    assert run.span == ((min(new), max(new)) if new else None)
