"""Acme A1 infusion pump: a made-up device, to copy from. It is asked for its status and tells all of it.

    ?S CR                                                            what we ask
    !S,PUMP-0042   ,RUN,001234,081,BATT,HONG NHUNG          ,9C CR   what it answers
       |           |   |      |   |    |                    sum of all bytes before it, modulo 256, in hex
       |           |   |      |   |    name of the patient: never leaves this file
       |           |   |      |   alarm, or four blanks
       |           |   |      charge of its battery in percent
       |           |   hours of operation
       |           RUN pumping, STP stopped, SVC in service
       serial number

Rule 1: in use is RUN; a word that is none of the three is *unknown*.
Rule 2: what the table of alarms does not know is an unmapped fault, never dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from adapters.contract import (
    Evidence,
    Example,
    Heard,
    Model,
    Outcome,
    ProtocolInfo,
    Refusal,
    SerialLine,
    Table,
    Way,
)
from adapters.edges import Edge, Occurrences, Reading
from adapters.framing import Frame, HeadedFrames
from adapters.redacting import FrameRedactor
from telemetry.errors import MessageError
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Body,
    Condition,
    Effect,
    Fault,
    Identity,
    MeterName,
    MeterReading,
    Metric,
    Metrics,
    OperatingState,
    Phase,
    Priority,
    Provenance,
    Quantity,
    Usage,
)

INFO: Final = ProtocolInfo(
    id="acme-pump",
    manufacturer="Acme",
    title="Acme A1 infusion pump",
    source="Acme A1 service manual, section 9 (made up)",
    poll_s=60.0,
    ways=(Way.SERIAL, Way.TCP),
    line=SerialLine(baud_rate=19200),
    models=(Model("A1", Evidence.MANUAL, "and there is none"),),
    sends=("`?S`, one for each poll: the question for its status.",),
    bedside="Nothing: the pump does not know whether anybody asks.",
    notes=(
        "### What is told, and what is not",
        "Hours of operation are its own. The patient's name is dropped.",
    ),
)

_STATES: Final = MappingProxyType(
    {"RUN": OperatingState.IN_USE, "STP": OperatingState.IDLE, "SVC": OperatingState.SERVICE}
)


class _Alarm(NamedTuple):
    text: str
    kind: AlarmKind
    priority: Priority


_ALARMS: Final[Mapping[str, _Alarm]] = MappingProxyType(
    {
        "BATT": _Alarm("battery low", AlarmKind.TECHNICAL, Priority.MEDIUM),
        "OCCL": _Alarm("occlusion", AlarmKind.ADVISORY, Priority.HIGH),
        "AIR_": _Alarm("air in line", AlarmKind.PHYSIOLOGICAL, Priority.HIGH),
    }
)
_UNKNOWN: Final = "unknown"
TABLES: Final = (
    Table(
        "States", "section 9.2", ("word", "state"), tuple((word, state) for word, state in _STATES.items())
    ),
    Table(
        "Alarms",
        "section 9.3",
        ("word", "text", "kind", "priority"),
        tuple((k, *v) for k, v in _ALARMS.items()),
    ),
)

# -- the bytes ----------------------------------------------------------------------------------------------

_WORD: Final = b"!S,"
_WIDTHS: Final = (12, 3, 6, 3, 4, 20)
"""Serial number, state, hours, charge, alarm, name; each ended by a comma."""
_SUM_AT: Final = len(_WORD) + sum(_WIDTHS) + len(_WIDTHS)
_SIZE: Final = _SUM_AT + 3


_SOUND: Final = re.compile(r"([A-Z0-9-]+) *,(.{3}),([0-9]{6}),([0-9]{3}),(.{4}),(.{20}),")


class Status(NamedTuple):
    """What the pump says in one answer."""

    serial: str
    state: str
    hours: str
    charge: str
    alarm: str
    name: str = ""

    def frame(self) -> bytes:
        """The answer as bytes."""
        fields = (f"{text:<{width}}," for text, width in zip(self, _WIDTHS, strict=True))
        body = _WORD + "".join(fields).encode("latin-1")
        return body + _sum_of(body) + b"\r"


def _sum_of(body: bytes | bytearray) -> bytes:
    return b"%02X" % (sum(body) % 256)


def _read(data: bytes) -> Status:
    """What a frame with a right checksum says. Raises MessageError, which never quotes."""
    found = _SOUND.fullmatch(data[len(_WORD) : _SUM_AT].decode("latin-1"))
    if found is None:
        raise MessageError("fields are not as section 9.1 says")
    return Status(*found.groups())


def _fault(data: bytearray) -> str | None:
    """What is wrong with a frame, as soon as it is all there."""
    if len(data) < _SIZE:
        return None
    if data[_SIZE - 1 : _SIZE] != b"\r":
        return f"no CR after {_SIZE - 1} bytes"
    return None if data[_SUM_AT : _SIZE - 1] == _sum_of(data[:_SUM_AT]) else "wrong checksum"


def _frames() -> HeadedFrames:
    return HeadedFrames(_WORD, size=lambda _: _SIZE, fault=_fault)


# -- what they mean -----------------------------------------------------------------------------------------


class AcmePump:
    """The talk with one pump."""

    def __init__(self, *, period_s: float) -> None:
        self._period_s = period_s
        self._frames = _frames()
        self._occurrences = Occurrences()
        self._alias: Alias | None = None
        self._is_first = True
        """No reading of this link has come yet."""

    def connected(self) -> tuple[Outcome, ...]:
        """Nothing is sent first."""
        self._is_first = True
        return self.closed()

    def poll(self) -> bytes:
        """The question for its status."""
        return b"?S\r"

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """One `Heard` for each sound status."""
        items = self._frames.feed(data)
        return tuple(self._hear(item) if isinstance(item, Frame) else item for item in items)

    def closed(self) -> tuple[Outcome, ...]:
        """A status that was begun is refused."""
        return self._frames.close()

    def _hear(self, frame: Frame) -> Outcome:
        try:
            told = _read(frame.data)
        except MessageError as error:
            return Refusal(frame.offset, error.reason)
        alias = Alias(protocol=INFO.id, identifier=told.serial)
        bodies: list[Body] = []
        if alias != self._alias:
            self._alias, self._is_first = alias, True
            self._occurrences.forget()
            bodies.append(Identity(manufacturer=INFO.manufacturer, model="A1", serial=told.serial))
        hours = MeterReading(
            meter=MeterName.POWER_ON_H, provenance=Provenance.REPORTED, value=float(told.hours)
        )
        state = _STATES.get(told.state, OperatingState.UNKNOWN)
        charge = Metric(quantity=Quantity.BATTERY_CHARGE_PCT, value=float(told.charge))
        bodies += [
            Usage(state=state, period_s=self._period_s, meters=(hours,)),
            Metrics(values=(charge,)),
            *self._edges(told),
        ]
        self._is_first = False
        return Heard(alias, None, tuple(bodies), frame.offset)

    def _edges(self, told: Status) -> Iterator[Body]:
        """The alarm that is told, of which there is one at most, against those that were open."""
        now = _code(told.alarm)
        for code in sorted({now, *self._occurrences.open} - {""}):
            priority = _ALARMS[code].priority if code in _ALARMS else Priority.UNKNOWN
            condition = Condition.ACTIVE if code == now else Condition.INACTIVE
            edge = self._occurrences.compare(
                code, Reading(condition, priority, ""), first=self._is_first, stamp=told.serial
            )
            if edge is not None:
                yield _body(code, edge)


def _code(word: str) -> str:
    """The alarm of a word; empty for blanks. What the table does not know is never quoted."""
    if not word.strip():
        return ""
    return word if word in _ALARMS else _UNKNOWN


def _body(code: str, edge: Edge) -> Body:
    if code == _UNKNOWN:
        return edge.fault(code, "an alarm that the manual does not name", Effect.SERVICE_HIGH, mapped=False)
    return edge.alarm(code, _ALARMS[code].text, _ALARMS[code].kind)


def adapter(*, period_s: float) -> AcmePump:
    """An adapter for the pump at the end of one link, asked every `period_s` seconds."""
    return AcmePump(period_s=period_s)


# -- what may be recorded -----------------------------------------------------------------------------------


def redactor() -> FrameRedactor[Frame]:
    """A redactor for one link: it takes the name out, and every word that is not known."""
    return FrameRedactor(_frames(), keep=_kept)


def _kept(frame: Frame) -> bytes:
    try:
        told = _read(frame.data)
    except MessageError:
        return b""
    state = told.state if told.state in _STATES else "?"
    alarm = told.alarm if _code(told.alarm) in {told.alarm, ""} else "?"
    return told._replace(state=state, alarm=alarm, name="").frame()


# -- examples -----------------------------------------------------------------------------------------------

_QUIET: Final = Status("PUMP-0042", "RUN", "001234", "081", "", "HONG NHUNG")
_ALIAS: Final = Alias(protocol=INFO.id, identifier="PUMP-0042")
_HOURS: Final = MeterReading(meter=MeterName.POWER_ON_H, provenance=Provenance.REPORTED, value=1234.0)
_WHO: Final = Identity(manufacturer="Acme", model="A1", serial="PUMP-0042")
_IN_USE: Final = Usage(state=OperatingState.IN_USE, period_s=INFO.poll_s, meters=(_HOURS,))
_CHARGE: Final = Metrics(values=(Metric(quantity=Quantity.BATTERY_CHARGE_PCT, value=81.0),))
_ROUND: Final[tuple[Body, ...]] = (_IN_USE, _CHARGE)


def _battery(phase: Phase, condition: Condition) -> Alarm:
    return Alarm(
        key="BATT/PUMP-0042/1",
        code="BATT",
        text="battery low",
        alarm_kind=AlarmKind.TECHNICAL,
        priority=Priority.MEDIUM,
        phase=phase,
        condition=condition,
    )


EXAMPLES: Final = (
    Example("a pump at work", _QUIET.frame(), bodies=(_WHO, *_ROUND), alias=_ALIAS),
    Example(
        "a low battery seen from the first answer is present, and ends",
        _QUIET._replace(alarm="BATT").frame() * 2 + _QUIET.frame(),
        bodies=(
            _WHO,
            *_ROUND,
            _battery(Phase.PRESENT, Condition.ACTIVE),
            *_ROUND,
            *_ROUND,
            _battery(Phase.END, Condition.INACTIVE),
        ),
        alias=_ALIAS,
    ),
    Example(
        "an alarm that is not in the table is a fault, and is not quoted",
        _QUIET.frame() + _QUIET._replace(alarm="ZZZZ").frame(),
        bodies=(
            _WHO,
            *_ROUND,
            *_ROUND,
            Fault(
                key="unknown/PUMP-0042/1",
                code="unknown",
                text="an alarm that the manual does not name",
                effect=Effect.SERVICE_HIGH,
                mapped=False,
                phase=Phase.START,
                condition=Condition.ACTIVE,
            ),
        ),
        alias=_ALIAS,
    ),
    Example("a wrong checksum", _QUIET.frame()[:-3] + b"00\r", refusal="wrong checksum"),
    Example("an answer that never ends", _QUIET.frame()[:-1], refusal="unfinished frame"),
    Example("no serial number", _QUIET._replace(serial="").frame(), refusal="fields are not as"),
)
