"""What a journaled message becomes in a history: one point at least, the same ones whenever it is written.

Tags say who and what, never how much; they and the time derive only from the journaled message, so that a
rewrite overwrites itself. The time is the event's in milliseconds; the six digits below are the last six of
the message's sequence number, or of the CRC-32 of its payload if it came without an envelope.

| measurement | tags | fields | present |
|---|---|---|---|
| all | publisher, device | corrected: bool, sequenced: bool | always |
| all | | alias_protocol: text, alias_namespace: text | if the message names an alias |
| all | | alias_identifier: text, alias_strength: text | if the message names an alias |
| all | | device_time: text, ISO 8601 without a zone | if the device tells its time |
| all | | observed_at: text, ISO 8601, as the publisher's clock said | if corrected |
| identity | | manufacturer: text, model: text, serial: text | always |
| identity | | hardware_revision: text, software_revision: text, firmware_revision: text | always |
| identity | | unique_ids: text, a JSON array | always |
| identity | | device_type: int, MDC code | if told |
| status | | link: text, connection: text, reason: text | always |
| usage | | state: text, period_s: float | always |
| meter | meter, provenance | value: float, hours or cycles | always |
| alarm | code, alarm_kind | key: text, reference_id: text, text: text, priority: text | always |
| alarm | | phase: text, condition: text, raw: text | always |
| fault | code | key: text, subsystem: text, text: text, effect: text, mapped: bool | always |
| fault | | phase: text, condition: text, raw: text | always |
| metrics | | each quantity by its name, the unit at its end: float | as told |

A `usage` message is one point of `usage` and one of `meter` for each meter; any other message is one point.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import NamedTuple, assert_never

from collector.history import FieldValue, Point
from collector.lineprotocol import encode
from telemetry.errors import MessageError
from telemetry.messages import Alarm, Body, Fault, Identity, Metrics, Status, Usage
from telemetry.records import Journaled
from telemetry.times import iso
from telemetry.told import Told
from telemetry.topics import Topic

Tags = tuple[tuple[str, str], ...]
Fields = tuple[tuple[str, FieldValue], ...]

_FRACTION = 1_000_000
"""Nanoseconds in a millisecond: room for as many messages of one device and kind."""
_REMEMBERED = 20_000
_Shape = tuple[Topic, int, int, bool]
"""Topic, identities of alias and body, and whether the message came without an envelope."""


class _Form(NamedTuple):
    """A point without its time and what its device's clock says, and its line until there."""

    measurement: str
    tags: Tags
    fields: Fields
    line: bytes


def points(record: Journaled) -> tuple[Point, ...]:
    """The points of a message; the first one carries the body's own measurement.

    Raises MessageError for a message that cannot be read, contradicts its topic, or tells a meter or
    quantity twice.
    """
    told = record.read()
    time_ns = _time_ns(record)
    who: Tags = (("publisher", record.topic.publisher), ("device", record.topic.device))
    source = _source(record, told)
    return tuple(
        Point(measurement, who + tags, fields + source, time_ns)
        for measurement, tags, fields in _rows(told.body)
    )


class Points:
    """Makes points of many messages: what differs from an earlier message in its time alone is made once.

    The answer is that of `points`, each point with its line at hand; what is remembered is bounded.
    """

    def __init__(self, *, remember: int = _REMEMBERED) -> None:
        self._remember = remember
        self._known: dict[_Shape, tuple[Told, tuple[_Form, ...]]] = {}

    def of(self, record: Journaled) -> tuple[Point, ...]:
        """The points of a message. Raises MessageError as `points` does."""
        told = record.told
        if told is None or record.corrected or record.refusal:
            return points(record)
        alias, _, device_time, body = told
        shape = (record.topic, id(alias), id(body), record.envelope is None)
        known = self._known.get(shape)
        forms = self._new_forms(record, shape) if known is None else known[1]
        if not forms:
            return points(record)
        time_ns = _time_ns(record)
        if device_time is None:
            return tuple(
                [
                    Point(form.measurement, form.tags, form.fields, time_ns, b"%b %d" % (form.line, time_ns))
                    for form in forms
                ]
            )
        at = device_time.isoformat()
        own = (("device_time", at),)
        line = b'%b,device_time="%b" %d'
        return tuple(
            [
                Point(
                    form.measurement,
                    form.tags,
                    form.fields + own,
                    time_ns,
                    line % (form.line, at.encode(), time_ns),
                )
                for form in forms
            ]
        )

    def _new_forms(self, record: Journaled, shape: _Shape) -> tuple[_Form, ...]:
        """The forms of a message, none if line protocol cannot hold it.

        They are remembered beside what the message says, so that nothing else takes its identity.
        """
        told = record.read()._replace(device_time=None)
        made = points(record._replace(told=told))
        try:
            forms = tuple(map(_form, made))
        except MessageError:
            forms = ()  # the history says which of its points it cannot hold
        if len(self._known) >= self._remember:
            self._known.clear()
        self._known[shape] = (told, forms)
        return forms


def _form(point: Point) -> _Form:
    line, _, _ = encode(point).rpartition(b" ")
    return _Form(point.measurement, point.tags, point.fields, line)


def _time_ns(record: Journaled) -> int:
    fraction = record.envelope.seq if record.envelope else zlib.crc32(record.payload)
    return record.event_ms * _FRACTION + fraction % _FRACTION


def _source(record: Journaled, told: Told) -> Fields:
    fields: Fields = (("corrected", record.corrected), ("sequenced", record.envelope is not None))
    if told.alias is not None:
        fields += (
            ("alias_protocol", told.alias.protocol),
            ("alias_namespace", told.alias.namespace),
            ("alias_identifier", told.alias.identifier),
            ("alias_strength", told.alias.strength.value),
        )
    if told.device_time is not None:
        fields += (("device_time", told.device_time.isoformat()),)
    if record.corrected and told.observed_us is not None:
        fields += (("observed_at", iso(told.observed_us // 1000)),)
    return fields


def _rows(body: Body) -> tuple[tuple[str, Tags, Fields], ...]:
    """Measurement, own tags and own fields of each point."""
    match body:
        case Usage():
            return _usage(body)
        case Metrics():
            _once(metric.quantity.value for metric in body.values)
            return (("metrics", (), tuple((m.quantity.value, float(m.value)) for m in body.values)),)
        case Alarm():
            return (("alarm", (("code", body.code), ("alarm_kind", body.alarm_kind.value)), _alarm(body)),)
        case Fault():
            return (("fault", (("code", body.code),), _fault(body)),)
        case Status():
            fields = (("link", body.link.value), ("connection", body.connection), ("reason", body.reason))
            return (("status", (), fields),)
        case Identity():
            return (("identity", (), _identity(body)),)
        case _:
            assert_never(body)


def _usage(usage: Usage) -> tuple[tuple[str, Tags, Fields], ...]:
    _once(f"{reading.meter.value} ({reading.provenance.value})" for reading in usage.meters)
    return (
        ("usage", (), (("state", usage.state.value), ("period_s", float(usage.period_s)))),
        *(
            (
                "meter",
                (("meter", reading.meter.value), ("provenance", reading.provenance.value)),
                (("value", float(reading.value)),),
            )
            for reading in usage.meters
        ),
    )


def _alarm(alarm: Alarm) -> Fields:
    return (
        ("key", alarm.key),
        ("reference_id", alarm.reference_id),
        ("text", alarm.text),
        ("priority", alarm.priority.value),
        ("phase", alarm.phase.value),
        ("condition", alarm.condition.value),
        ("raw", alarm.raw),
    )


def _fault(fault: Fault) -> Fields:
    return (
        ("key", fault.key),
        ("subsystem", fault.subsystem),
        ("text", fault.text),
        ("effect", fault.effect.value),
        ("mapped", fault.mapped),
        ("phase", fault.phase.value),
        ("condition", fault.condition.value),
        ("raw", fault.raw),
    )


def _identity(identity: Identity) -> Fields:
    fields: Fields = (
        ("manufacturer", identity.manufacturer),
        ("model", identity.model),
        ("serial", identity.serial),
        ("hardware_revision", identity.hardware_revision),
        ("software_revision", identity.software_revision),
        ("firmware_revision", identity.firmware_revision),
        ("unique_ids", json.dumps(identity.unique_ids, ensure_ascii=False)),
    )
    return fields if identity.device_type is None else (*fields, ("device_type", identity.device_type))


def _once(names: Iterable[str]) -> None:
    """Raises MessageError for a name told twice: one of its figures would overwrite the other."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise MessageError(f"{name} is told twice in one message")
        seen.add(name)
