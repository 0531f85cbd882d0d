"""How a story is written: a short timeline of what a device does and what must follow.

A step is one key with its value: `use: 240h`, `silent: 12h`, `alarm: {code: "122", phase: start}`,
`close: {reading: 250}`, `expect: {tickets: 1, kind: pm}`. Durations are a number with s, m, h or d.
"""

from __future__ import annotations

import re
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, model_validator

from rules.words import HOUR_MS, Line, Stated, TicketKind, TicketPriority, TicketState
from telemetry.messages import (
    AlarmKind,
    Condition,
    Effect,
    Hours,
    MeterName,
    OperatingState,
    Phase,
    Priority,
    Word,
)

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h|d)\Z")
_UNIT_MS: Final = MappingProxyType({"s": 1_000, "m": 60_000, "h": HOUR_MS, "d": 24 * HOUR_MS})
DAY_MS: Final = 24 * HOUR_MS


def _milliseconds(value: object) -> object:
    if isinstance(value, str) and (found := _DURATION.match(value)):
        return round(float(found[1]) * _UNIT_MS[found[2]])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("a duration is a number with s, m, h or d, like 240h")


Duration = Annotated[int, BeforeValidator(_milliseconds), Field(gt=0)]
"""Milliseconds, written as 30s, 5m, 240h or 2d."""


class Shows(StrEnum):
    """What a story is there to show."""

    OPENS = "opens"
    QUIET = "quiet"
    RESOLVES = "resolves"


class AlarmStep(Stated):
    """One edge of an alarm; without a key, occurrences of a code are told apart by their order."""

    code: Word
    phase: Phase = Phase.START
    kind: AlarmKind = AlarmKind.TECHNICAL
    priority: Priority = Priority.MEDIUM
    condition: Condition | None = None
    key: str = ""


class FaultStep(Stated):
    """One edge of a fault."""

    code: Word
    phase: Phase = Phase.START
    effect: Effect = Effect.SERVICE_HIGH
    condition: Condition | None = None
    key: str = ""


class CloseStep(Stated):
    """Close the one open ticket, or the one of that kind; `refused` when the engine must not let it."""

    reading: Hours | None = None
    kind: TicketKind | None = None
    refused: bool = False


class ExpectStep(Stated):
    """What must hold now: the number of open tickets, and facts of the one of `kind` (or the only one)."""

    tickets: Annotated[int, Field(ge=0)]
    kind: TicketKind | None = None
    priority: TicketPriority | None = None
    state: TicketState | None = None
    occurrences: int | None = None
    missed_cycles: int | None = None
    reopened: int | None = None
    cleared: bool | None = None


class Step(Stated):
    """One line of a timeline: exactly one key."""

    use: Duration | None = None
    standby: Duration | None = None
    idle: Duration | None = None
    off: Duration | None = None
    test: Duration | None = None
    service: Duration | None = None
    silent: Duration | None = None
    report: Annotated[dict[MeterName, Hours] | None, Field(max_length=8)] = None
    alarm: AlarmStep | None = None
    fault: FaultStep | None = None
    acknowledge: bool | None = None
    close: CloseStep | None = None
    expect: ExpectStep | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Step:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("a step has exactly one key")
        return self

    def operating(self) -> tuple[OperatingState, int] | None:
        """State and length in milliseconds of a step that lets the device run."""
        for state, length in (
            (OperatingState.IN_USE, self.use),
            (OperatingState.STANDBY, self.standby),
            (OperatingState.IDLE, self.idle),
            (OperatingState.OFF, self.off),
            (OperatingState.TEST, self.test),
            (OperatingState.SERVICE, self.service),
        ):
            if length is not None:
                return state, length
        return None


class Given(Stated):
    """The meter of the rule when the story begins; without it nothing is on record."""

    reading: Hours
    last_done: Hours


class Story(Stated):
    """A timeline with its expectations."""

    name: Line
    shows: Shows
    period: Annotated[Duration, Field(le=DAY_MS)] = HOUR_MS
    """Time between two usage messages."""
    given: Given | None = None
    timeline: Annotated[tuple[Step, ...], Field(min_length=1)]

    @property
    def expectations(self) -> tuple[ExpectStep, ...]:
        """All that the story expects, in order."""
        return tuple(step.expect for step in self.timeline if step.expect is not None)
