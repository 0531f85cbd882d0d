"""Turns the alert lists of an IntelliVue monitor into edges of technical and physiological alarms.

Rule 1: of an entry its source, code, priority and state are read; the text beside it is dropped. A text of
ours stands for the codes that are known.
Rule 2: a code is one alarm, whatever its sources; they are told with their states, the highest priority
speaks. Physiological codes are told with a P before them, as a code may stand in both lists.
Rule 3: what is in a list is active, silenced, inhibited and latched ones too: a list holds what goes on.
Rule 4: test and demonstration never count: such an entry begins nothing; one that was open before is unknown.
Rule 5: a list that is not told leaves its open alarms unknown, not ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from adapters import intellivue_layout as layout
from adapters.edges import Occurrences, Reading
from adapters.intellivue_layout import Alert, Attributes
from telemetry.messages import Alarm, AlarmKind, Condition, Priority

TECHNICAL: Final = 0x0904
PHYSIOLOGICAL: Final = 0x0902
LISTS: Final = MappingProxyType({
    TECHNICAL: AlarmKind.TECHNICAL,
    PHYSIOLOGICAL: AlarmKind.PHYSIOLOGICAL,
})  # fmt: skip
PRIORITIES: Final = MappingProxyType({
    0x0004: Priority.HIGH,
    0x0002: Priority.MEDIUM,
    0x0001: Priority.LOW,
    0x0400: Priority.HIGH,
    0x0200: Priority.MEDIUM,
    0x0100: Priority.LOW,
})  # fmt: skip
"""Bits of the type of an entry: technical, then physiological."""
STATES: Final = MappingProxyType({
    0x8000: "inhibited",
    0x4000: "suspended",
    0x2000: "latched",
    0x1000: "silenced",
    0x0400: "in test",
    0x0200: "in standby",
    0x0100: "demonstration",
    0x0008: "new",
})  # fmt: skip
"""Bits of the state of an entry."""
_NOT_REAL: Final = 0x0400 | 0x0100
_TOLD: Final = 0xF700
"""Bits of the state that are worth a message when they change; *new* goes by itself."""
_MOST_SOURCES: Final = 5
"""Sources that are told of one alarm."""
EVENTS: Final = 3 * 0x10000
"""The partition that codes are taken from; their last bit tells where the source is taken from."""
KNOWN: Final = MappingProxyType({
    196630: ("MDC_EVT_DISCONN", "disconnected"),
    196638: ("MDC_EVT_ERR", "error"),
    196646: ("MDC_EVT_FAIL", "failure"),
    196660: ("MDC_EVT_INOP", "inoperative"),
    196772: ("MDC_EVT_RANGE_ERR", "out of range"),
    196800: ("MDC_EVT_BATT_FAIL", "battery failed"),
    196802: ("MDC_EVT_BATT_LO", "battery low"),
    196804: ("MDC_EVT_BATT_MALF", "battery malfunction"),
    196920: ("MDC_EVT_SENSOR_PROB", "sensor problem"),
    196988: ("MDC_EVT_SIG_LO", "signal low"),
    197192: ("MDC_EVT_TIMEOUT", "timeout"),
})  # fmt: skip
"""Reference id and our text of codes of IEEE 11073-10101 that are worth a technician's while."""
_UNKNOWN: Final = Reading(Condition.UNKNOWN, Priority.UNKNOWN, "")
_ENDED: Final = Reading(Condition.INACTIVE, Priority.UNKNOWN, "")


class _Name(NamedTuple):
    """Which alarm of which list."""

    kind: AlarmKind
    number: int

    @property
    def code(self) -> str:
        return f"{'P' if self.kind is AlarmKind.PHYSIOLOGICAL else ''}{self.number}"


class Alerts:
    """The alarms of one monitor: what was told last, to tell edges from repetition."""

    def __init__(self) -> None:
        self._occurrences = Occurrences()
        self._open: dict[str, _Name] = {}
        self._told: set[AlarmKind] = set()

    def connected(self) -> None:
        """A new link: what was open is compared again."""
        self._told.clear()

    def forget(self) -> None:
        """Another monitor speaks."""
        self._occurrences.forget()
        self._open.clear()
        self._told.clear()

    def compare(self, objects: tuple[Attributes, ...], *, is_real: bool, stamp: str) -> tuple[Alarm, ...]:
        """The edges between the last answer and this one.

        `is_real`: False while the monitor as a whole is in demonstration or service.
        """
        lists = {number: [one[number] for one in objects if number in one] for number in LISTS}
        rows = {
            number: [row for value in values for row in layout.alerts(value)]
            for number, values in lists.items()
        }
        return tuple(
            alarm
            for number, kind in LISTS.items()
            for alarm in self._edges(
                kind, _readings(kind, rows[number], is_real=is_real) if lists[number] else None, stamp
            )
        )

    def _edges(self, kind: AlarmKind, listed: Mapping[_Name, Reading] | None, stamp: str) -> Iterator[Alarm]:
        open_before = [name for name in self._open.values() if name.kind is kind]
        gone = _UNKNOWN if listed is None else _ENDED
        readings = {**dict.fromkeys(open_before, gone), **(listed or {})}
        for name, reading in readings.items():
            if reading.condition is not Condition.ACTIVE and name.code not in self._open:
                continue
            edge = self._occurrences.compare(name.code, reading, first=kind not in self._told, stamp=stamp)
            if reading.condition is Condition.INACTIVE:
                del self._open[name.code]
            else:
                self._open[name.code] = name
            if edge is not None:
                reference_id, text = KNOWN.get(name.number, ("", ""))
                yield edge.alarm(name.code, text or f"{kind} alarm", kind, reference_id=reference_id)
        if listed is not None:
            self._told.add(kind)


def _readings(kind: AlarmKind, rows: Iterable[Alert], *, is_real: bool) -> dict[_Name, Reading]:
    """What a list says of each alarm."""
    by_name: dict[_Name, list[Alert]] = {}
    for row in rows:
        by_name.setdefault(_Name(kind, EVENTS + (row.code & ~1)), []).append(row)
    return {
        name: _reading([row for row in found if is_real and not row.state & _NOT_REAL])
        for name, found in by_name.items()
    }


def _reading(rows: Sequence[Alert]) -> Reading:
    if not rows:
        return _UNKNOWN
    types = 0
    for row in rows:
        types |= row.type
    priority = next((priority for bit, priority in PRIORITIES.items() if types & bit), Priority.UNKNOWN)
    sources = sorted({f"{row.source}:{row.state & _TOLD:04X}" for row in rows})
    return Reading(Condition.ACTIVE, priority, " ".join(sources[:_MOST_SOURCES]))
