"""Runs the stories of a rule through the real engine, on a clock of their own.

Rule 1: a story knows one device of one asset that fits the rule's scope, and no other rule.
Rule 2: readings of a state begin a millisecond after what went before, so that `use: 240h` is 240 h of use.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from rules.documents import Confirmation, Rule
from rules.engine import SETTLE_MS, Engine
from rules.inputs import (
    AcknowledgeTicket,
    Baseline,
    CloseTicket,
    RegisteredAsset,
    Registry,
    rule_set,
)
from rules.state import State
from rules.tickets import Ticket
from rules.timeline import AlarmStep, CloseStep, ExpectStep, FaultStep, Step, Story
from rules.words import HOUR_MS, TicketKind
from telemetry.envelope import Envelope
from telemetry.messages import (
    Alarm,
    Alias,
    Body,
    Condition,
    Fault,
    Message,
    MeterReading,
    OperatingState,
    Phase,
    Provenance,
    Usage,
    encode,
)
from telemetry.records import Journaled, Started, Tick
from telemetry.topics import Topic

_BEGIN_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00Z: any instant would do."""
_ASSET: Final = "STORY-1"


@dataclass(frozen=True, slots=True)
class StoryResult:
    """How a story ended; `why_not` names the step that went wrong and what was found."""

    rule: str
    story: str
    passed: bool
    why_not: str = ""


class _Mismatch(Exception):  # noqa: N818 - not an error of ours: the finding of a story
    """A step of the story did not come true."""


def run_stories(rule: Rule) -> tuple[StoryResult, ...]:
    """Every story of a rule, drafts included, in the order in which they are written."""
    return tuple(run_story(rule, story) for story in rule.stories)


def run_story(rule: Rule, story: Story) -> StoryResult:
    """One story of a rule."""
    stage = _Stage(rule, story)
    for number, step in enumerate(story.timeline, start=1):
        try:
            stage.play(step)
        except _Mismatch as mismatch:
            return StoryResult(rule.id, story.name, passed=False, why_not=f"step {number}: {mismatch}")
    return StoryResult(rule.id, story.name, passed=True)


class _Stage:
    def __init__(self, rule: Rule, story: Story) -> None:
        self._engine = Engine(State())
        self._period_ms = story.period
        self._now_ms = _BEGIN_MS
        self._position = 0
        self._occurrences: dict[str, int] = {}
        self._alias = Alias(protocol="story", namespace=_first(rule.scope.model), identifier="1")
        self._engine.apply(Started(self._next(), _BEGIN_MS - SETTLE_MS))
        confirmed = rule
        if rule.confirmed_by is None:
            stamp = Confirmation(name="the story", date=dt.date(2026, 1, 1))
            confirmed = rule.model_copy(update={"confirmed_by": stamp})
        self._engine.take(rule_set((confirmed,), at_ms=_BEGIN_MS))
        self._engine.take(Registry(at_ms=_BEGIN_MS, assets=(_asset(rule, story, self._alias),)))

    def play(self, step: Step) -> None:
        """Let one step happen, or compare what it expects."""
        if (running := step.operating()) is not None:
            self._run(*running)
        elif step.silent is not None:
            self._tick(self._now_ms + step.silent)
        elif step.report is not None:
            readings = tuple(
                MeterReading(meter=name, provenance=Provenance.REPORTED, value=value)
                for name, value in step.report.items()
            )
            self._now_ms += 1
            self._say(self._usage(OperatingState.UNKNOWN, readings))
        elif (edge := step.alarm or step.fault) is not None:
            self._now_ms += 1
            self._say(self._edge(edge))
        elif step.close is not None:
            self._close(step.close)
        elif step.expect is not None:
            self._expect(step.expect)
        else:
            ticket = self._only(None)
            self._engine.take(AcknowledgeTicket(at_ms=self._now_ms, ticket=ticket.id, by="story"))

    def _next(self) -> int:
        self._position += 1
        return self._position

    def _tick(self, until_ms: int) -> None:
        """Let the clock run, with one tick an hour: silence is judged no oftener."""
        while self._now_ms < until_ms:
            self._now_ms = min(until_ms, self._now_ms + HOUR_MS)
            self._engine.apply(Tick(self._next(), self._now_ms))

    def _run(self, state: OperatingState, length_ms: int) -> None:
        self._now_ms += 1
        end_ms = self._now_ms + length_ms
        self._say(self._usage(state))
        while self._now_ms < end_ms:
            self._now_ms = min(end_ms, self._now_ms + self._period_ms)
            self._engine.apply(Tick(self._next(), self._now_ms))
            self._say(self._usage(state))

    def _usage(self, state: OperatingState, meters: tuple[MeterReading, ...] = ()) -> Usage:
        return Usage(state=state, period_s=self._period_ms / 1000, meters=meters)

    def _edge(self, step: AlarmStep | FaultStep) -> Alarm | Fault:
        if step.phase in {Phase.START, Phase.PRESENT}:
            self._occurrences[step.code] = self._occurrences.get(step.code, 0) + 1
        key = step.key or f"{step.code}/{self._occurrences.get(step.code, 0)}"
        ended = step.phase is Phase.END
        condition = step.condition or (Condition.INACTIVE if ended else Condition.ACTIVE)
        if isinstance(step, AlarmStep):
            return Alarm(
                key=key,
                code=step.code,
                text="as told",
                alarm_kind=step.kind,
                priority=step.priority,
                phase=step.phase,
                condition=condition,
            )
        return Fault(
            key=key, code=step.code, text="as told", effect=step.effect, phase=step.phase, condition=condition
        )

    def _say(self, body: Body) -> None:
        position = self._next()
        self._engine.apply(
            Journaled(
                position=position,
                topic=Topic("story", "device", body.kind),
                envelope=Envelope("story", position, "boot", self._now_ms - _BEGIN_MS),
                received_ms=self._now_ms,
                event_ms=self._now_ms,
                corrected=False,
                payload=encode(Message(alias=self._alias, body=body)),
            )
        )

    def _open(self, kind: TicketKind | None) -> list[Ticket]:
        tickets = sorted(self._engine.state.tickets.values(), key=lambda ticket: ticket.number)
        return [ticket for ticket in tickets if ticket.is_open and kind in {None, ticket.kind}]

    def _only(self, kind: TicketKind | None) -> Ticket:
        tickets = self._open(kind)
        if len(tickets) != 1:
            sort = f" of kind {kind}" if kind else ""
            raise _Mismatch(f"{len(tickets)} open tickets{sort}, where the step speaks of one")
        return tickets[0]

    def _close(self, step: CloseStep) -> None:
        ticket = self._only(step.kind)
        self._now_ms += 1
        said = CloseTicket(at_ms=self._now_ms, ticket=ticket.id, by="story", reading=step.reading)
        refusal = self._engine.take(said)
        if bool(refusal) is not step.refused:
            raise _Mismatch(f"closing was {f'refused: {refusal}' if refusal else 'not refused'}")

    def _expect(self, step: ExpectStep) -> None:
        if (found := len(self._open(None))) != step.tickets:
            raise _Mismatch(f"expected {step.tickets} open tickets, found {found}")
        wanted = step.model_dump(exclude={"tickets"}, exclude_none=True)
        if not wanted:
            return
        ticket = self._only(step.kind)
        facts = ticket.model_dump() | {"cleared": ticket.cleared_ms is not None}
        for name, value in wanted.items():
            if facts[name] != value:
                raise _Mismatch(f"expected {name} {value}, found {facts[name]}")


def _first(names: tuple[str, ...]) -> str:
    return names[0] if names else ""


def _asset(rule: Rule, story: Story, alias: Alias) -> RegisteredAsset:
    scope, meter = rule.scope, rule.meter
    baselines: tuple[Baseline, ...] = ()
    if story.given is not None and meter is not None:
        baselines = (
            Baseline(
                meter=meter.name,
                provenance=meter.provenance,
                reading=story.given.reading,
                last_done=story.given.last_done,
            ),
        )
    return RegisteredAsset(
        id=scope.asset or _ASSET,
        device_type=scope.device_type or "",
        manufacturer=scope.manufacturer or "",
        model=_first(scope.model),
        ward=scope.ward or "",
        aliases=(alias,),
        baselines=baselines,
    )
