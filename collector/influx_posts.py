"""Points into InfluxDB of any version: cut into posts, two in flight, down to the lines at fault.

Rule 1: only a post that was taken means stored. A refusal does not tell what was stored, so its lines are
posted again in parts, one post in flight, until each line at fault was refused alone; rewriting overwrites.
Rule 2: lines that a server names are only looked at first: it may name none, too few or the wrong ones.
Rule 3: of two posts in flight either may be stored first. Points of one write that are the same row are the
same point, so that this does not matter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

from collector.history import Point, Refused
from collector.lineprotocol import encode
from collector.together import together
from telemetry.errors import MessageError

MOST_BYTES = 4 << 20
"""Largest post; InfluxDB 1.x refuses more than 25 MB, InfluxDB 3 more than 10 MB unless told otherwise."""
MOST_POINTS = 5_000
"""Points in a post at most: enough that what a post costs by itself is little."""


class Refusal(NamedTuple):
    """What a server says that does not take a post for its lines or its size."""

    reason: str
    lines: tuple[int, ...] = ()
    """Lines of the post that it names, counted from 0."""


class _Part(NamedTuple):
    """Lines of one post, each with the index of its point."""

    indexes: Sequence[int]
    lines: Sequence[bytes]

    @property
    def body(self) -> bytes:
        return b"\n".join(self.lines)

    def cut(self, start: int, stop: int) -> _Part:
        return _Part(self.indexes[start:stop], self.lines[start:stop])


Post = Callable[[bytes], Awaitable[Refusal | None]]
"""Posts lines; None when all of them are durable. Raises Unavailable and Misconfigured."""


async def store(
    points: Sequence[Point], *, post: Post, most_bytes: int = MOST_BYTES, most_points: int = MOST_POINTS
) -> tuple[Refused, ...]:
    """Post points, two posts in flight until one is refused; from then on one after another.

    All but those named are durable on return. Raises what `post` raises; no post is in flight then.
    """
    refused: list[Refused] = []
    parts = _parts(points, refused, most_bytes=most_bytes, most_points=most_points)
    doubtful: list[tuple[_Part, Refusal]] = []

    async def carry() -> None:
        for part in parts:
            refusal = await post(part.body)
            if refusal is not None:
                doubtful.append((part, refusal))
            if doubtful:
                return

    await together(carry(), carry())
    for part, refusal in doubtful:
        refused += await _narrow(part, refusal, post)
    for part in parts:
        refused += await _settle(part, post)
    return tuple(sorted(refused, key=lambda one: one.index))


def _parts(
    points: Sequence[Point], refused: list[Refused], *, most_bytes: int, most_points: int
) -> Iterator[_Part]:
    """Points as posts, encoded when their turn comes; those that cannot be encoded join the refused."""
    for first in range(0, len(points), most_points):
        indexes: Sequence[int] = range(first, min(first + most_points, len(points)))
        lines: list[bytes] = []
        wrong: set[int] = set()
        for index in indexes:
            try:
                lines.append(encode(points[index]))
            except MessageError as error:
                wrong.add(index)
                refused.append(Refused(index, error.reason))
        if wrong:
            indexes = [index for index in indexes if index not in wrong]
        yield from _bounded(_Part(indexes, lines), most_bytes)


def _bounded(part: _Part, most_bytes: int) -> Iterator[_Part]:
    """The lines in parts of at most that many bytes, or of one line."""
    start = size = 0
    if sum(map(len, part.lines)) + len(part.lines) > most_bytes:
        for place, line in enumerate(part.lines):
            if place > start and size + len(line) > most_bytes:
                yield part.cut(start, place)
                start, size = place, 0
            size += len(line) + 1
    if part.lines:
        yield part.cut(start, len(part.lines))


async def _settle(part: _Part, post: Post, *, trusting: bool = True) -> list[Refused]:
    """Post lines alone on the wire; the lines at fault among them."""
    refusal = await post(part.body)
    return [] if refusal is None else await _narrow(part, refusal, post, trusting=trusting)


async def _narrow(part: _Part, refusal: Refusal, post: Post, *, trusting: bool = True) -> list[Refused]:
    """The lines at fault among lines that were refused together.

    By halves this takes at most two posts a level for each line at fault. Where the server names lines, all
    others go in one post and the named ones one by one; if the others are refused again, they are halved.
    """
    total = len(part.lines)
    if total == 1:
        return [Refused(part.indexes[0], refusal.reason)]
    named = sorted({line for line in refusal.lines if 0 <= line < total}) if trusting else []
    if 0 < len(named) < total:
        others = sorted(set(range(total)).difference(named))
        rest = _Part([part.indexes[line] for line in others], [part.lines[line] for line in others])
        found = await _settle(rest, post, trusting=False)
        pieces = [part.cut(line, line + 1) for line in named]
    else:
        found, middle = [], total // 2
        pieces = [part.cut(0, middle), part.cut(middle, total)]
    for piece in pieces:
        found += await _settle(piece, post)
    return found
