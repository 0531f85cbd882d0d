"""Alarms and faults as episodes: one slot a code, so that repeats, late words and lost ends do no harm.

Rule 1: an occurrence counts once. `present`, or an `update` of an unknown key, for a code that is believed
active is the same occurrence under another key: a host that restarts sees it anew.
Rule 2: an unreadable state or a lost link ends nothing.
Rule 3: a `start` under a new key always counts, whatever its time: clocks step, and a fault is never missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from telemetry.messages import Alarm, AlarmKind, Condition, Effect, Fault, Phase, Priority

_KEYS_KEPT: Final = 8
"""Keys of past occurrences remembered for each code, to know a late or repeated word of theirs."""
_CODES_KEPT: Final = 256
"""Codes kept for one device; beyond that the one heard longest ago makes room."""
_ON: Final = frozenset({Condition.ACTIVE, Condition.LATCHED})
_OFF: Final = frozenset({Condition.INACTIVE, Condition.OFF})


class Edge(StrEnum):
    """What a word about an alarm or fault changed."""

    BEGAN = "began"
    ENDED = "ended"
    NOTHING = "nothing"
    LATE = "late"


class Life(StrEnum):
    """Whether an occurrence is believed to stand; *doubtful* was never read as active."""

    DOUBTFUL = "doubtful"
    ACTIVE = "active"
    ENDED = "ended"
    UNKNOWN = "unknown"
    """Only shown, never kept: it stood when the link was lost."""


@dataclass(slots=True)
class Episode:
    """The present or last occurrence of one code of one device."""

    kind: str
    """`alarm` or `fault`."""
    code: str
    text: str
    alarm_kind: AlarmKind | None
    priority: Priority | None
    effect: Effect | None
    mapped: bool
    key: str
    phase: Phase
    life: Life
    began_ms: int
    last_ms: int
    past_keys: tuple[str, ...] = ()
    counted_by: tuple[str, ...] = ()
    """Assets with the rules for which this occurrence has been counted, as `HN01-1 pb-battery`."""

    def describe(self, body: Alarm | Fault) -> None:
        """Take over what the newest word says of the condition."""
        self.text = body.text
        if isinstance(body, Alarm):
            self.alarm_kind, self.priority = body.alarm_kind, body.priority
        else:
            self.effect, self.mapped = body.effect, body.mapped

    def begin(self, body: Alarm | Fault, *, event_ms: int) -> None:
        """Start an occurrence under the key of this word."""
        self.follow(body.key)
        self.describe(body)
        self.phase = body.phase
        self.life = Life.ACTIVE
        self.began_ms = self.last_ms = event_ms
        self.counted_by = ()

    def follow(self, key: str) -> None:
        """Go on under another key; the former one is past."""
        if key != self.key:
            self.past_keys = (*self.past_keys, self.key)[-_KEYS_KEPT:]
            self.key = key


def _fresh(body: Alarm | Fault, *, event_ms: int) -> Episode:
    alarm = body if isinstance(body, Alarm) else None
    fault = body if isinstance(body, Fault) else None
    return Episode(
        kind=body.kind,
        code=body.code,
        text=body.text,
        alarm_kind=alarm.alarm_kind if alarm else None,
        priority=alarm.priority if alarm else None,
        effect=fault.effect if fault else None,
        mapped=fault.mapped if fault else True,
        key=body.key,
        phase=body.phase,
        life=Life.DOUBTFUL,
        began_ms=event_ms,
        last_ms=event_ms,
    )


def _says_active(body: Alarm | Fault) -> bool | None:
    if body.phase is Phase.END or body.condition in _OFF:
        return False
    if body.condition in _ON or body.phase is not Phase.UPDATE:
        return True
    return None


def _end(episode: Episode, body: Alarm | Fault, *, event_ms: int) -> Edge:
    if episode.life is not Life.ACTIVE:
        return Edge.NOTHING
    if body.key != episode.key and event_ms < episode.began_ms:
        return Edge.LATE
    episode.follow(body.key)
    episode.life = Life.ENDED
    episode.last_ms = max(event_ms, episode.last_ms)
    return Edge.ENDED


def _slot(episodes: dict[str, Episode], body: Alarm | Fault, *, event_ms: int) -> Episode:
    name = f"{body.kind}:{body.code}"
    if name not in episodes:
        if len(episodes) >= _CODES_KEPT:
            del episodes[min(episodes, key=lambda slot: (episodes[slot].last_ms, slot))]
        episodes[name] = _fresh(body, event_ms=event_ms)
    return episodes[name]


def hear(episodes: dict[str, Episode], body: Alarm | Fault, *, event_ms: int) -> tuple[Episode, Edge]:
    """The episode that a word belongs to, and what the word changed in it."""
    episode = _slot(episodes, body, event_ms=event_ms)
    if body.key in episode.past_keys:
        return episode, Edge.LATE
    active = _says_active(body)
    if active is None:
        episode.follow(body.key)
        return episode, Edge.NOTHING
    if not active:
        return episode, _end(episode, body, event_ms=event_ms)
    if episode.life is Life.ACTIVE and (body.key == episode.key or body.phase is not Phase.START):
        episode.follow(body.key)
        if event_ms > episode.last_ms:
            episode.last_ms = event_ms
            episode.describe(body)
        return episode, Edge.NOTHING
    if episode.life is Life.ENDED and body.key == episode.key and event_ms <= episode.last_ms:
        return episode, Edge.LATE
    episode.begin(body, event_ms=event_ms)
    return episode, Edge.BEGAN
