"""What the answers of a station mean for one place in its rack: who is there, what it does, what is wrong.

Rule 1: a pump is known by its serial number among pumps of its type number; one that tells none is known by
its place, and another serial number in a place ends what was known there before anything of it is told.
Rule 2: in use is a pump that pumps (INM3), gives a bolus (INM2) or says so in RUNSTATE; told by both, they
must agree, since INM3 is 1 for purging too. Standby is INM6: minutes of standby left (INSTBY) are told while
a pump runs. *Idle* takes a pump that is on and says that it does not pump. INTIME is no meter: it stands
still at 6000 and users reset it; only where INM3 is not told, its rise is evidence of use.
Rule 3: alarm parameters become edges; a value that is none leaves an open alarm unknown, and opens nothing.
Rule 4: LASTDA is the pump's memory of its last device alarm: a code that appears in it has a start, one found
in it is present, one that leaves it ends. The same alarm twice in a row is seen once.
Rule 5: a pump gone from its place is offline, its alarms unknown, not ended; back again they are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from adapters.bcc_tables import ALARMS, LAST_ALARM, NO_VALUES, NO_WORD
from adapters.contract import UNTOLD
from adapters.edges import Edge, Occurrences, Reading
from telemetry.messages import (
    Alarm,
    Alias,
    Body,
    Condition,
    Effect,
    Fault,
    Identity,
    LinkState,
    Metric,
    Metrics,
    OperatingState,
    Priority,
    Quantity,
    Status,
    Usage,
)

PROTOCOL: Final = "bbraun-bcc"
MANUFACTURER: Final = "B. Braun"
INFUSION_PUMP: Final = 69985
"""MDC_DEV_PUMP_INFUS_MDS of IEEE 11073-10101, context-free."""
_RUN: Final = 0b0010
_KVO: Final = 0b1000
_FULL_MIN: Final = 1440
"""INAKKU stands still there."""
_NOT_TOLD: Final = Reading(Condition.UNKNOWN, Priority.UNKNOWN, "")
_NO_WORD: Final = Reading(Condition.UNKNOWN, Priority.UNKNOWN, "(no word)")
_QUIET: Final = Reading(Condition.INACTIVE, Priority.UNKNOWN, "0")
_ACTIVE: Final = Reading(Condition.ACTIVE, Priority.UNKNOWN, "1")

Values = Mapping[str, str]
"""Values by parameter; what was told of one place."""


class Place:
    """One address of a station, and the pump in it."""

    def __init__(self, address: str, *, period_s: float) -> None:
        self._address = address
        self._period_s = period_s
        self._occurrences = Occurrences()
        self._told: set[str] = set()
        self._values: dict[str, str] = {}
        self._gauges: tuple[Metric, ...] = ()
        self._identity: Identity | None = None
        self._minutes: int | None = None
        self._used_at: tuple[OperatingState, int] | None = None
        self.alias: Alias | None = None
        """Who is in it; None if nobody, as far as is known."""

    def reconnected(self) -> None:
        """A new link: nothing of it has been told."""
        self._told.clear()
        self._values.clear()
        self._minutes = self._used_at = None

    def is_anothers(self, values: Values) -> bool:
        """Whether these values are of another pump than the one known."""
        return self.alias is not None and self._alias(values) != self.alias

    def leave(self, reason: str) -> Iterator[Body]:
        """The pump is gone: offline, its alarms unknown."""
        yield Status(link=LinkState.OFFLINE, reason=reason)
        for code in sorted(self._occurrences.open):
            yield from self._edge(code, _NOT_TOLD, stamp="")
        self.alias = self._identity = None
        self._gauges = ()
        self._occurrences.forget()
        self.reconnected()

    def hear(self, values: Values, *, seconds: int, rest_s: float = 0.0) -> tuple[Alias, tuple[Body, ...]]:
        """What is told of the pump here, `seconds` after the station's start; it is there.

        A state that did not change is not told again within `rest_s` of the station's seconds.
        """
        alias = self._alias(values)
        self.alias = alias
        self._values.update(values)
        bodies: list[Body] = [
            *self._who(),
            *self._use(values, seconds=seconds, rest_s=rest_s),
            *self._power(),
        ]
        stamp = f"{alias.identifier}/{self._address}/{seconds}"
        for name, value in values.items():
            if name in ALARMS:
                bodies += self._edge(name, _reading(value), stamp=stamp)
        if LAST_ALARM in values:
            bodies += self._last_alarm(values[LAST_ALARM], stamp=stamp)
        self._told |= {name for name, value in values.items() if value not in NO_VALUES}
        return alias, tuple(bodies)

    def _alias(self, values: Values) -> Alias:
        """Who these values are of; a pump that leaves its serial number out is the one known."""
        serial = _told(values, "INSERNUM")
        if serial is None:
            return UNTOLD if "GNNEW" in values or self.alias is None else self.alias
        kind = _told(values, "INDTNR")
        if kind is None:
            is_known = self.alias is not None and self.alias.identifier == serial
            kind = self.alias.namespace if self.alias is not None and is_known else ""
        return Alias(protocol=PROTOCOL, namespace=kind, identifier=serial)

    def _who(self) -> Iterator[Body]:
        if self.alias in {None, UNTOLD}:
            return
        code = _told(self._values, "GNMODEL") or _told(self._values, "GNNEW")
        unique = _told(self._values, "INNR")
        known = self._identity
        told = Identity(
            manufacturer=MANUFACTURER,
            model=code or (known.model if known else "Space"),
            serial=self.alias.identifier if self.alias else "",
            device_type=INFUSION_PUMP,
            unique_ids=(unique,) if unique else known.unique_ids if known else (),
        )
        if told != known:
            self._identity = told
            yield told

    # -- use and power ------------------------------------------------------------------------------------

    def _use(self, values: Values, *, seconds: int, rest_s: float) -> Iterator[Body]:
        state = self._state(values)
        if self._used_at is not None:
            before, since = self._used_at
            if state is before and 0 <= seconds - since < rest_s:
                return
        self._used_at = (state, seconds)
        yield Usage(state=state, period_s=self._period_s)

    def _state(self, values: Values) -> OperatingState:
        rose = self._has_risen(values)
        if _told(self._values, "DSSTATUS") == "00050":
            return OperatingState.OFF
        runs = _runs(_told(self._values, "RUNSTATE"))
        flags = {_told(self._values, name) for name in ("INM2", "INM3")} - {None}
        pumps = "1" in flags if _told(self._values, "INM3") or "1" in flags else None
        if pumps is None and runs is None:
            pumps = True if rose else None
        if None not in {pumps, runs} and pumps is not runs:
            return OperatingState.UNKNOWN
        if pumps or runs:
            return OperatingState.IN_USE
        if _told(self._values, "INM6") == "1":
            return OperatingState.STANDBY
        is_on = _told(self._values, "DSSTATUS") == "00051"
        return OperatingState.IDLE if is_on and (pumps, runs) != (None, None) else OperatingState.UNKNOWN

    def _has_risen(self, values: Values) -> bool:
        told = _told(values, "INTIME")
        if told is None:
            return False
        before, self._minutes = self._minutes, int(told)
        return before is not None and int(told) > before

    def _power(self) -> Iterator[Body]:
        """Where its power comes from and how long the battery would last, when either changes."""
        mains, minutes = _told(self._values, "INM8"), _told(self._values, "INAKKU")
        gauges = []
        if mains is not None:
            gauges.append(Metric(quantity=Quantity.ON_MAINS_BOOL, value=float(mains)))
        if minutes is not None and int(minutes) <= _FULL_MIN:
            gauges.append(Metric(quantity=Quantity.BATTERY_REMAINING_MIN, value=float(minutes)))
        if gauges and tuple(gauges) != self._gauges:
            self._gauges = tuple(gauges)
            yield Metrics(values=self._gauges)

    # -- alarms -------------------------------------------------------------------------------------------

    def _last_alarm(self, value: str, *, stamp: str) -> Iterator[Body]:
        code = value if value not in NO_VALUES | {NO_WORD} and int(value) else ""
        left = _NOT_TOLD if value in NO_VALUES else _NO_WORD if value == NO_WORD else None
        for known in sorted(self._occurrences.open - ALARMS.keys() - {code}):
            reading = left or Reading(Condition.INACTIVE, Priority.UNKNOWN, code or "0")
            yield from self._edge(known, reading, stamp=stamp)
        if code:
            reading = Reading(Condition.ACTIVE, Priority.UNKNOWN, code)
            yield from self._edge(code, reading, stamp=stamp, first=LAST_ALARM not in self._told)

    def _edge(self, code: str, reading: Reading, *, stamp: str, first: bool | None = None) -> Iterator[Body]:
        if reading == _NOT_TOLD and code not in self._occurrences.open:
            return
        is_first = code not in self._told if first is None else first
        edge = self._occurrences.compare(code, reading, first=is_first, stamp=stamp)
        if edge is not None:
            yield _alarm(code, edge) if code in ALARMS else _fault(code, edge)


def _told(values: Values, name: str) -> str | None:
    """The value of a parameter, None if it tells none."""
    value = values.get(name)
    return None if value is None or value in NO_VALUES or value == NO_WORD else value


def _runs(word: str | None) -> bool | None:
    return None if word is None else bool(int(word) & (_RUN | _KVO))


def _reading(value: str) -> Reading:
    return {"0": _QUIET, "1": _ACTIVE, NO_WORD: _NO_WORD}.get(value, _NOT_TOLD)


def _alarm(code: str, edge: Edge) -> Alarm:
    return edge.alarm(code, ALARMS[code].text, ALARMS[code].kind)


def _fault(code: str, edge: Edge) -> Fault:
    return edge.fault(code, f"last device alarm {code}", Effect.SERVICE_HIGH, mapped=False)
