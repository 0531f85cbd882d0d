"""Judges conditions: which assets a rule speaks of, which episodes fire it, how a meter stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rules.assets import Asset
from rules.documents import ConditionEntry, MeterCondition, Scope
from rules.episodes import Episode, Life
from rules.meters import Level
from rules.state import RuleState
from rules.tickets import EpisodeEvidence, MeterEvidence
from rules.words import EFFECT_RANK, PRIORITY_RANK, UnknownTime
from telemetry.messages import AlarmKind, Effect, Priority

MAY_OPEN: Final = frozenset({AlarmKind.TECHNICAL, AlarmKind.ADVISORY})
"""Physiological alarms, and those of unknown kind, never open a ticket."""
_SLACK_H: Final = 1e-6
"""Hours are sums of figures that binary fractions only come near to; 3.6 ms are no hours of anyone."""


class Judgement(StrEnum):
    """How a meter stands against its rule."""

    OK = "ok"
    DUE = "due"
    ASK = "ask"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement with the figures it rests on, or why there are none."""

    judgement: Judgement
    evidence: MeterEvidence | None = None
    missed_cycles: int = 0
    why: str = ""


def _same(wanted: str | None, found: str) -> bool:
    return wanted is None or wanted.casefold() == found.casefold()


def in_scope(scope: Scope, asset: Asset) -> bool:
    """Whether a rule of that scope speaks of the asset, upper and lower case being the same."""
    return (
        (scope.asset is None or scope.asset == asset.id)
        and _same(scope.device_type, asset.device_type)
        and _same(scope.manufacturer, asset.manufacturer)
        and _same(scope.ward, asset.ward)
        and (not scope.model or any(_same(model, asset.model) for model in scope.model))
    )


def matches(entry: ConditionEntry, episode: Episode) -> bool:
    """Whether an entry names this episode; physiological alarms match nothing, whatever a rule says."""
    if alarm := entry.alarm:
        return (
            episode.kind == "alarm"
            and episode.alarm_kind in MAY_OPEN
            and (not alarm.codes or episode.code in alarm.codes)
            and (alarm.kind is None or episode.alarm_kind is alarm.kind)
            and (
                alarm.priority is None
                or PRIORITY_RANK[episode.priority or Priority.UNKNOWN] >= PRIORITY_RANK[alarm.priority]
            )
        )
    if fault := entry.fault:
        return (
            episode.kind == "fault"
            and (not fault.codes or episode.code in fault.codes)
            and (
                fault.effect is None
                or EFFECT_RANK[episode.effect or Effect.INFO] >= EFFECT_RANK[fault.effect]
            )
        )
    return False


def holding(entry: ConditionEntry, episodes: tuple[Episode, ...]) -> Episode | None:
    """An episode named by the entry that is believed to stand now."""
    return next(
        (episode for episode in episodes if episode.life is Life.ACTIVE and matches(entry, episode)), None
    )


def episode_evidence(episode: Episode, *, device: str) -> EpisodeEvidence:
    """The episode as a ticket keeps it."""
    return EpisodeEvidence(
        what="alarm" if episode.kind == "alarm" else "fault",
        code=episode.code,
        text=episode.text,
        alarm_kind=episode.alarm_kind,
        priority=episode.priority,
        effect=episode.effect,
        mapped=episode.mapped,
        phase=episode.phase,
        began_ms=episode.began_ms,
        device=device,
    )


def judge(condition: MeterCondition, level: Level | None, standing: RuleState, *, at_ms: int) -> Verdict:
    """How the meter stands: due by what was observed, or to be asked for by what may have gone unseen.

    Work opens at `due - lead` by low hours. A reading is asked for when high hours reach due, or when
    coverage is below the least once so much time has passed that use could have reached the interval.
    """
    if level is None:
        return Verdict(Judgement.UNKNOWN, why=f"no {condition.provenance} {condition.name} has been heard")
    if standing.last_done is None:
        return Verdict(Judgement.UNKNOWN, why="no completed work with its reading is on record")
    due_h = standing.last_done + condition.every_h
    open_h = due_h - condition.lead_h - _SLACK_H
    judged_h = level.high_h if condition.unknown is UnknownTime.COUNT else level.low_h
    judgement = Judgement.OK
    if judged_h >= open_h:
        judgement = Judgement.DUE
    elif level.high_h >= due_h - _SLACK_H or (
        level.coverage < condition.least_coverage
        and level.elapsed_h >= condition.every_h - condition.lead_h - _SLACK_H
    ):
        judgement = Judgement.ASK
    if judgement is Judgement.OK:
        return Verdict(judgement)
    intervals = int((judged_h + _SLACK_H - standing.last_done) // condition.every_h)
    evidence = MeterEvidence(
        meter=condition.name,
        provenance=condition.provenance,
        low_h=level.low_h,
        high_h=level.high_h,
        coverage=level.coverage,
        since_ms=level.since_ms,
        at_ms=at_ms,
        last_done_h=standing.last_done,
        last_done_known=standing.last_done_known,
        every_h=condition.every_h,
        lead_h=condition.lead_h,
        due_h=due_h,
        cycle=standing.cycle,
        provisional=level.provisional,
    )
    return Verdict(judgement, evidence, missed_cycles=max(0, intervals - 1))
