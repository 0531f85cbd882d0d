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
from typing import assert_never

from collector.history import FieldValue, Point
from telemetry.errors import MessageError
from telemetry.messages import Alarm, Body, Fault, Identity, Message, Metrics, Status, Usage
from telemetry.records import Journaled

Tags = tuple[tuple[str, str], ...]
Fields = tuple[tuple[str, FieldValue], ...]

_FRACTION = 1_000_000
"""Nanoseconds in a millisecond: room for as many messages of one device and kind."""


def points(record: Journaled, message: Message) -> tuple[Point, ...]:
    """The points of a message; the first one carries the body's own measurement.

    Raises MessageError for a message that contradicts its topic, or tells a meter or quantity twice.
    """
    body = message.body
    if record.topic.kind != body.kind:
        raise MessageError(f"the payload is of kind {body.kind}, its topic says {record.topic.kind}")
    time_ns = _time_ns(record)
    who: Tags = (("publisher", record.topic.publisher), ("device", record.topic.device))
    source = _source(record, message)
    return tuple(
        Point(measurement, who + tags, fields + source, time_ns) for measurement, tags, fields in _rows(body)
    )


def _time_ns(record: Journaled) -> int:
    fraction = record.envelope.seq if record.envelope else zlib.crc32(record.payload)
    return record.event_ms * _FRACTION + fraction % _FRACTION


def _source(record: Journaled, message: Message) -> Fields:
    fields: Fields = (("corrected", record.corrected), ("sequenced", record.envelope is not None))
    if message.alias is not None:
        fields += (
            ("alias_protocol", message.alias.protocol),
            ("alias_namespace", message.alias.namespace),
            ("alias_identifier", message.alias.identifier),
            ("alias_strength", message.alias.strength.value),
        )
    if message.device_time is not None:
        fields += (("device_time", message.device_time.isoformat()),)
    if record.corrected and message.observed_at is not None:
        fields += (("observed_at", message.observed_at.isoformat()),)
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
