"""From MEDIBUS alarm lists and device checks to alarms and faults of the language.

Rule 1: an alarm that is not listed any more has ended, if the response that does not list it is sound.
Rule 2: text and kind are those of the model's table. Of a code that is in no table the device's phrase is
told, if it is made of the letters of such phrases, and the kind is unknown.
Rule 3: conditions of the device itself are faults, service high; all others are alarms.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from adapters.edges import Edge, Occurrences, Reading
from adapters.medibus_codes import DEVICE, STANDBY, Family, Row, priority_of
from adapters.medibus_records import AlarmRecord
from telemetry.messages import AlarmKind, Body, Condition, Effect, Priority

CHECKS: Final = "TXT"
"""The page of the device checks, which come as texts."""
_ENDED: Final = Reading(Condition.INACTIVE, Priority.UNKNOWN, "")
OTHER_PHRASE: Final = ", other phrase"
"""Added to the raw priority where the device's phrase is not the table's: one of them is wrong."""


class Alarms:
    """What stands on one device, page by page."""

    def __init__(self) -> None:
        self._occurrences = Occurrences()
        self._told: set[str] = set()
        self._rows: dict[str, Row] = {}
        """Of the codes that stand."""

    def begin_link(self) -> None:
        """Nothing has been heard on this link."""
        self._told.clear()

    def forget(self) -> None:
        """Another device speaks."""
        self._told.clear()
        self._rows.clear()
        self._occurrences.forget()

    def stands(self, codes: frozenset[str]) -> bool:
        """Whether one of these is active."""
        return not codes.isdisjoint(self._occurrences.open)

    def page(self, page: str, records: Iterable[AlarmRecord], *, family: Family, stamp: str) -> list[Body]:
        """The edges between the last list of this page and this one; of a code twice, the higher priority."""
        listed: dict[str, tuple[Reading, Row]] = {}
        for record in sorted(records, key=lambda one: one.priority):
            code = f"{page}-{record.code}"
            known = family.table.get(code)
            if code != STANDBY:
                listed[code] = (_reading(record, known), known or _unknown(code, record.phrase))
        return self._edges(page, listed, stamp=stamp)

    def checks(self, listed: dict[str, Row], *, stamp: str) -> list[Body]:
        """The edges of the device checks, by code and what each means."""
        active = Reading(Condition.ACTIVE, Priority.UNKNOWN, "")
        return self._edges(CHECKS, {code: (active, row) for code, row in listed.items()}, stamp=stamp)

    def _edges(self, page: str, listed: dict[str, tuple[Reading, Row]], *, stamp: str) -> list[Body]:
        first = page not in self._told
        self._told.add(page)
        bodies: list[Body] = []
        for code, (reading, row) in listed.items():
            self._rows[code] = row
            edge = self._occurrences.compare(code, reading, first=first, stamp=stamp)
            if edge is not None:
                bodies.append(_body(code, row, edge))
        for code in sorted(self._occurrences.open - listed.keys()):
            if not code.startswith(page):
                continue
            edge = self._occurrences.compare(code, _ENDED, first=first, stamp=stamp)
            row = self._rows.pop(code)
            if edge is not None:
                bodies.append(_body(code, row, edge))
        return bodies


def _reading(record: AlarmRecord, known: Row | None) -> Reading:
    agrees = known is None or record.agrees(known.phrase)
    raw = f"{record.priority}" + ("" if agrees else OTHER_PHRASE)
    return Reading(Condition.ACTIVE, priority_of(record.priority), raw)


def _unknown(code: str, phrase: str) -> Row:
    return Row(phrase or f"code {code}", AlarmKind.UNKNOWN)


def _body(code: str, row: Row, edge: Edge) -> Body:
    if row.is_fault:
        return edge.fault(code, row.phrase, Effect.SERVICE_HIGH, subsystem=DEVICE)
    return edge.alarm(code, row.phrase, row.kind)
