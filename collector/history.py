"""The shape of a history: where messages go as points, whatever database keeps them.

Rule 1: a point is found by measurement, tags and time; written again it is overwritten, fields not named are
kept.
Rule 2: a field of a measurement has one type; the first point that is stored decides which.
Rule 3: on return from `write` every point is durable or named as refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from telemetry.errors import SettingsError

FieldValue = str | int | float | bool

MARKER = "hourmeter_marker"
"""The measurement in which a history remembers how far a journal has been written into it."""

_HOUR_NS = 3_600_000_000_000


class Point(NamedTuple):
    """One row of a measurement; time in nanoseconds since 1970-01-01T00:00Z."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    fields: tuple[tuple[str, FieldValue], ...]
    time_ns: int
    line: bytes = b""
    """The same in line protocol, where it is at hand."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A point that the history cannot hold, by its index in what was written, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Marker:
    """Everything before this position of this journal epoch was in the history at that time."""

    epoch: str
    position: int
    at_ms: int
    """The collector's clock when the marker was written, milliseconds since 1970."""


class Misconfigured(SettingsError):  # noqa: N818 - a fault of settings by its name: nothing is given up meanwhile
    """The history answers, but not to us: the operator mends it while the collector keeps and tries again."""


class History(Protocol):
    """Where points are kept. All methods but `close` raise Unavailable and Misconfigured."""

    async def prepare(self) -> None:
        """Make ready to be written to; creates what is missing if that is allowed. Harmless when ready."""

    async def write(self, points: Sequence[Point]) -> tuple[Refused, ...]:
        """Store points; those that cannot be held are named in order, all others are durable on return."""

    async def marker(self, epoch: str) -> Marker | None:
        """The furthest marker of that journal epoch, None if there is none."""

    async def count(self, measurement: str) -> int:
        """Points of a measurement whose points have a field in common."""

    async def close(self) -> None:
        """Let go of connections and files."""


def marker_point(marker: Marker) -> Point:
    """The marker as a point: one each hour of the collector's clock, overwritten each minute."""
    return Point(
        MARKER,
        (("epoch", marker.epoch),),
        (("position", marker.position), ("at_ms", marker.at_ms)),
        marker.at_ms * 1_000_000 // _HOUR_NS * _HOUR_NS,
    )
