"""Which question a device is asked, as a story: F full, A short; + answered, - not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.asking import LOST, UNANSWERED, Asking

FULL, SHORT = b"F", b"A"


def told(asking: Asking, polls: int, answers: Callable[[int, bytes], bool]) -> str:
    story = []
    for poll in range(polls):
        question = asking.next()
        answered = answers(poll, question)
        if answered:
            asking.hear(question)
        story.append(question.decode() + ("+" if answered else "-"))
    return " ".join(story)


def fresh() -> Asking:
    return Asking(full=FULL, short=SHORT)


@pytest.mark.parametrize(
    ("description", "answers", "story"),
    [
        ("what answers is never asked the short one", lambda _poll, _q: True, "F+ F+ F+ F+ F+ F+"),
        ("older software is found and remembered", lambda _poll, q: q == SHORT, "F- F- A+ F- A+ A+ A+ A+"),
        ("silence: both in turn, for either may be right", lambda _poll, _q: False, "F- F- A- F- A- F- A-"),
        ("one answer missed changes nothing", lambda poll, _q: poll != 1, "F+ F- F+ F+ F+"),
        ("switched on as the short one is asked", lambda poll, _q: poll >= 2, "F- F- A+ F+ F+ F+"),
        (
            "older software that misses two answers is still older software",
            lambda poll, q: q == SHORT and poll not in {5, 6},
            "F- F- A+ F- A+ A- A- A+ A+",
        ),
        (
            "another device takes the place of one with older software",
            lambda poll, q: q == SHORT if poll < 6 else poll > 8,
            "F- F- A+ F- A+ A+ A- A- A- F+ F+ F+",
        ),
    ],
)
def test_the_questions_follow_the_answers(
    description: str, answers: Callable[[int, bytes], bool], story: str
) -> None:
    assert told(fresh(), len(story.split()), answers) == story, description


def test_after_a_reconnect_the_full_question_is_asked_again() -> None:
    asking = fresh()
    assert told(asking, 6, lambda _poll, q: q == SHORT).endswith("A+ A+")
    asking.begin()
    assert told(asking, 5, lambda _poll, q: q == SHORT) == "F- F- A+ F- A+"


def test_a_late_answer_to_the_question_before_counts_for_what_it_answers() -> None:
    asking = fresh()
    asking.next()
    asking.next()
    assert asking.next() == SHORT
    asking.hear(FULL)
    assert [asking.next(), asking.next()] == [FULL, FULL]


def test_a_full_answer_from_what_was_taken_for_old_ends_that() -> None:
    asking = fresh()
    assert told(asking, 6, lambda _poll, q: q == SHORT).endswith("A+ A+")
    asking.hear(FULL)
    assert told(asking, 3, lambda _poll, _q: True) == "F+ F+ F+"


@given(st.lists(st.booleans(), max_size=60), st.booleans())
def test_whatever_was_lost_the_right_question_is_found_again(losses: list[bool], is_old: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    """After any losses a device that answers is asked what it answers for good within a bounded time."""
    knows = SHORT if is_old else FULL
    asking = fresh()
    for lost in losses:
        if asking.next() == knows and not lost:
            asking.hear(knows)
    told(asking, 3 * (LOST + UNANSWERED), lambda _poll, q: q == knows)
    assert told(asking, 4, lambda _poll, q: q == knows) == " ".join([f"{knows.decode()}+"] * 4)
