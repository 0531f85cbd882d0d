"""Turns the alerts that a device's reports say stand (MDC_ATTR_AL_COND) into edges of occurrences.

Rule 1: in the first report of a device it is `present`, later `start`; it is not repeated while it stands.
Rule 2: it is over when MISSED reports of the device in a row do not repeat it: what one message of a gateway
carries of a device another may leave out, and no document says that all of them are in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from adapters.edges import Edge, Occurrences, Reading
from adapters.hl7_alerts import What
from telemetry.messages import Alarm, Condition, Priority

MISSED: Final = 3
MOST_STANDING: Final = 64
"""Alerts of one device at a time; further ones are let pass."""
_OVER: Final = Reading(Condition.INACTIVE, Priority.UNKNOWN, "not repeated")


class Standing:
    """What stands of one device."""

    def __init__(self) -> None:
        self._occurrences = Occurrences()
        self._told: dict[str, What] = {}
        self._missed: dict[str, int] = {}

    def compare(self, told: Mapping[str, What], *, first: bool, stamp: str) -> Iterator[Alarm]:
        """The edges between the reports before and this one.

        `first`: it is the first report of the device. `stamp`: a word that no other report of it has.
        """
        for key in self._told.keys() - told.keys():
            self._missed[key] = self._missed.get(key, 0) + 1
        new = islice((key for key in told if key not in self._told), MOST_STANDING - len(self._told))
        for key in (*sorted(self._told.keys() & told.keys()), *new):
            self._missed.pop(key, None)
            what = self._told[key] = told[key]
            reading = Reading(Condition.ACTIVE, what.priority, f"stands {what.mistyped}".strip())
            if edge := self._occurrences.compare(key, reading, first=first, stamp=stamp):
                yield _alarm(what, edge)
        for key in sorted(key for key, count in self._missed.items() if count >= MISSED):
            del self._missed[key]
            what = self._told.pop(key)
            if edge := self._occurrences.compare(key, _OVER, first=False, stamp=stamp):
                yield _alarm(what, edge)


def _alarm(what: What, edge: Edge) -> Alarm:
    return edge.alarm(what.code, what.text, what.kind, reference_id=what.reference_id)
