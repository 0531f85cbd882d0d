"""Points reach InfluxDB in two posts at once, and one by one as soon as something is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import log2
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.history import Point, Refused
from collector.influx_posts import Refusal, store
from telemetry.errors import Unavailable

Judge = Callable[[Sequence[int]], Refusal | None]
"""What a server says to lines by their numbers."""


@dataclass
class Wire:
    """A server within the process: remembers what was posted and how much of it at once."""

    judge: Judge = lambda _: None
    posts: list[tuple[int, ...]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    at_once: list[int] = field(default_factory=list)
    """For each post how many were in flight when it began, itself included."""
    flying: int = 0

    async def post(self, body: bytes) -> Refusal | None:
        """Take lines after a while in which others may come in."""
        self.flying += 1
        lines = body.split(b"\n")
        numbers = tuple(int(line.rsplit(b" ", 1)[1]) for line in lines)
        self.posts.append(numbers)
        self.sizes.append(len(body))
        self.at_once.append(self.flying)
        try:
            for _ in range(3):
                await asyncio.sleep(0)
            return self.judge(numbers)
        finally:
            self.flying -= 1


def points(numbers: Iterable[int], *, text: str = "") -> list[Point]:
    return [Point("m", (), (("text", text), ("n", number)), number) for number in numbers]


def bad_ones(refused: Iterable[Refused]) -> list[int]:
    return [one.index for one in refused]


async def test_a_large_write_goes_in_posts_of_which_two_are_in_flight() -> None:
    wire = Wire()
    assert await store(points(range(23)), post=wire.post, most_points=5) == ()
    assert wire.posts == [tuple(range(n, min(n + 5, 23))) for n in range(0, 23, 5)]
    assert wire.at_once == [1, 2, 2, 2, 2]


async def test_the_next_post_does_not_wait_for_the_slower_of_two() -> None:
    slow, seen = asyncio.Event(), 0

    async def post(body: bytes) -> None:
        nonlocal seen
        seen += 1
        if body.endswith(b" 0"):
            await slow.wait()
        elif seen == 5:
            slow.set()

    async with asyncio.timeout(5):
        assert await store(points(range(5)), post=post, most_points=1) == ()


async def test_nothing_to_write_posts_nothing() -> None:
    wire = Wire()
    assert await store((), post=wire.post) == ()
    assert [one.index for one in await store(points([2**63]), post=wire.post)] == [0]
    assert wire.posts == []


@settings(max_examples=200, deadline=None)
@given(
    total=st.integers(0, 60),
    bad=st.sets(st.integers(0, 59)),
    unspeakable=st.sets(st.integers(0, 59)),
    most_points=st.integers(1, 60),
    names=st.sampled_from(("none", "the first", "all", "others", "nonsense")),
)
@example(total=60, bad=set(range(60)), unspeakable=set(), most_points=60, names="the first")
async def test_only_lines_refused_alone_are_refused_whatever_lines_the_server_names(
    total: int,
    bad: set[int],
    unspeakable: set[int],
    most_points: int,
    names: Literal["none", "the first", "all", "others", "nonsense"],
) -> None:
    taken: list[int] = []

    def judge(numbers: Sequence[int]) -> Refusal | None:
        wrong = [place for place, number in enumerate(numbers) if number in bad]
        if not wrong:
            taken.extend(numbers)
            return None
        good = [place for place, number in enumerate(numbers) if number not in bad]
        named = {
            "none": [],
            "the first": wrong[:1],
            "all": wrong,
            "others": good,
            "nonsense": [-1, 10_000, *good[:1], *good[:1]],
        }
        return Refusal(f"{numbers[wrong[0]]} is bad", tuple(named[names]))

    wire = Wire(judge)
    found = [
        point if number not in unspeakable else Point("m", (), (("n", float("nan")),), number)
        for number, point in enumerate(points(range(total)))
    ]
    refused = await store(found, post=wire.post, most_points=most_points)
    expected = sorted((bad | unspeakable) & set(range(total)))
    assert bad_ones(refused) == expected
    for one in refused:
        assert one.reason == f"{one.index} is bad" or one.index in unspeakable
    assert sorted(set(taken)) == [number for number in range(total) if number not in expected]
    wrong = len((bad - unspeakable) & set(range(total)))
    cuts = -(-total // most_points)
    if names != "others":  # who names the wrong lines gets them one by one
        assert len(wire.posts) <= cuts + 4 * wrong * (log2(max(total, 1)) + 2)
    assert max(wire.at_once, default=0) <= 2


async def test_from_the_first_refusal_on_one_post_is_in_flight() -> None:
    wire = Wire(lambda numbers: Refusal("no") if 7 in numbers else None)
    (refused,) = await store(points(range(40)), post=wire.post, most_points=5)
    assert refused == Refused(7, "no")
    assert wire.posts[:2] == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]
    began = wire.posts.index((5, 6))
    assert wire.at_once[:began] == [1, 2, 2][:began]
    assert set(wire.at_once[began:]) == {1}
    assert wire.posts[-1] == (35, 36, 37, 38, 39)


async def test_lines_that_the_server_names_take_one_post_each_and_one_for_all_others() -> None:
    bad = {3, 500, 999}

    def judge(numbers: Sequence[int]) -> Refusal | None:
        named = tuple(place for place, number in enumerate(numbers) if number in bad)
        return Refusal("no", named) if named else None

    wire = Wire(judge)
    assert bad_ones(await store(points(range(1_000)), post=wire.post)) == [3, 500, 999]
    assert [len(post) for post in wire.posts] == [1_000, 997, 1, 1, 1]


async def test_weather_in_one_post_ends_the_write_with_nothing_in_flight() -> None:
    ended: list[str] = []

    async def post(body: bytes) -> None:
        if body.endswith(b" 0"):
            await asyncio.sleep(0)
            raise Unavailable("history", why="gone")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("the other")

    async with asyncio.timeout(5):
        with pytest.raises(Unavailable, match="gone"):
            await store(points(range(10)), post=post, most_points=1)
    assert ended == ["the other"]


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 400), max_size=40),
    most_points=st.integers(1, 10),
    most_bytes=st.integers(1, 600),
)
async def test_posts_are_bounded_in_points_and_bytes_and_keep_the_order(
    lengths: list[int], most_points: int, most_bytes: int
) -> None:
    wire = Wire()
    found = [points([number], text="x" * length)[0] for number, length in enumerate(lengths)]
    assert await store(found, post=wire.post, most_points=most_points, most_bytes=most_bytes) == ()
    assert [number for post in wire.posts for number in post] == list(range(len(lengths)))
    assert all(len(post) <= most_points for post in wire.posts)
    assert all(
        size <= most_bytes or len(post) == 1 for post, size in zip(wire.posts, wire.sizes, strict=True)
    )
