"""Turns repeated lists of alarm words into edges: start, present, update and end of each occurrence.

Rule 1: active in the first reading of a link but not before is `present`: its onset is not known.
Rule 2: a state that cannot be read is said once as an `update` with condition unknown, never dropped;
active after such doubt, with no activity known before it, is `present` under the same key.
"""

from __future__ import annotations

from dataclasses import dataclass

from telemetry.messages import Alarm, AlarmKind, Condition, Effect, Fault, Phase, Priority


@dataclass(frozen=True, slots=True)
class Reading:
    """What the device says of one condition now: active, inactive or unknown, in its own word."""

    condition: Condition
    priority: Priority
    raw: str


@dataclass(frozen=True, slots=True)
class Edge:
    """A change worth a message."""

    key: str
    phase: Phase
    reading: Reading

    def alarm(self, code: str, text: str, kind: AlarmKind, *, reference_id: str = "") -> Alarm:
        """The edge of an alarm condition."""
        return Alarm(
            key=self.key,
            code=code,
            reference_id=reference_id,
            text=text,
            alarm_kind=kind,
            priority=self.reading.priority,
            phase=self.phase,
            condition=self.reading.condition,
            raw=self.reading.raw,
        )

    def fault(
        self, code: str, text: str, effect: Effect, *, subsystem: str = "", mapped: bool = True
    ) -> Fault:
        """The edge of a vendor's fault code; `mapped`: whether the catalogue knows it."""
        return Fault(
            key=self.key,
            code=code,
            subsystem=subsystem,
            text=text,
            effect=effect,
            mapped=mapped,
            phase=self.phase,
            condition=self.reading.condition,
            raw=self.reading.raw,
        )


@dataclass(frozen=True, slots=True)
class _Open:
    key: str
    reading: Reading
    was_active: bool


class Occurrences:
    """The conditions of one device that are active or in doubt; numbers its occurrences from 1."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._count = 0

    @property
    def open(self) -> frozenset[str]:
        """The codes that are active or in doubt."""
        return frozenset(self._open)

    def forget(self) -> None:
        """Another device speaks: nothing is known to be active; numbers are not given again."""
        self._open.clear()

    def compare(self, code: str, reading: Reading, *, first: bool, stamp: str) -> Edge | None:
        """The edge between the last reading of this code and this one, None if nothing changed.

        `first`: no reading of this link told of this code before. `stamp` joins the key of a new occurrence,
        to tell it from those of an earlier run. The reading of an `end` carries the priority that ends.
        """
        known = self._open.get(code)
        if reading.condition is Condition.INACTIVE:
            if known is None:
                return None
            del self._open[code]
            return Edge(known.key, Phase.END, Reading(reading.condition, known.reading.priority, reading.raw))
        if known is not None and known.reading == reading:
            return None
        active = reading.condition is Condition.ACTIVE
        if known is None:
            self._count += 1
            key = f"{code}/{stamp}/{self._count}"
            phase = Phase.START if not first else Phase.PRESENT
        else:
            key = known.key
            phase = Phase.UPDATE if known.was_active else Phase.PRESENT
        was_active = active or (known is not None and known.was_active)
        self._open[code] = _Open(key, reading, was_active)
        return Edge(key, phase if active else Phase.UPDATE, reading)
