"""Messages as points: the schema as documented, deterministic, one point at least, nothing overwritten."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import points as documented
from collector.history import FieldValue, Point
from collector.lineprotocol import encode as line
from collector.points import Points, points
from telemetry.errors import MessageError
from telemetry.messages import (
    KINDS,
    Alarm,
    AlarmKind,
    Alias,
    Condition,
    Fault,
    Identity,
    LinkState,
    Message,
    MeterName,
    MeterReading,
    Metric,
    Metrics,
    OperatingState,
    Phase,
    Priority,
    Provenance,
    Quantity,
    Status,
    Usage,
)
from telemetry.told import Reader
from telemetry.topics import Topic
from tests.collector.histories import MESSAGES, T0_MS, by_key, journaled, record

TYPES = {str: "text", bool: "bool", int: "int", float: "float"}


def read(message: Message, *, seq: int | None = 1, corrected: bool = False) -> tuple[Point, ...]:
    entry = record(message, seq=seq, corrected=corrected)
    return points(entry)


def schema() -> tuple[dict[str, set[str]], dict[tuple[str, str], str]]:
    """Tags by measurement, and field types by measurement and field, from the docstring's table."""
    tags: dict[str, set[str]] = {}
    fields: dict[tuple[str, str], str] = {}
    rows = [row for row in (documented.__doc__ or "").splitlines() if row.startswith("| ")][1:]
    for row in rows:
        measurement, tag_cell, field_cell, _ = (cell.strip() for cell in row.strip("|").split("|"))
        tags.setdefault(measurement, set()).update(filter(None, tag_cell.split(", ")))
        if field_cell.startswith("each quantity"):
            fields.update({(measurement, quantity.value): "float" for quantity in Quantity})
            continue
        for part in field_cell.split(", "):
            name, colon, kind = part.partition(": ")
            if colon:
                fields[measurement, name] = kind
    return tags, fields


@given(MESSAGES, st.none() | st.integers(1, 10**17), st.booleans())
def test_every_point_is_as_the_table_says(message: Message, seq: int | None, corrected: bool) -> None:  # noqa: FBT001 - drawn
    tags, fields = schema()
    found = read(message, seq=seq, corrected=corrected)
    assert found[0].measurement == message.body.kind
    for point in found:
        assert {name for name, _ in point.tags} == tags["all"] | tags[point.measurement]
        for name, value in point.fields:
            where = "all" if ("all", name) in fields else point.measurement
            assert fields[where, name] == TYPES[type(value)]
        assert line(point)


def test_the_table_names_every_kind() -> None:
    assert set(schema()[0]) == {*KINDS, "meter", "all"}


@given(MESSAGES)
def test_points_of_one_message_do_not_overwrite_each_other_and_are_the_same_again(message: Message) -> None:
    found = read(message)
    assert len(by_key(found)) == len(found)
    assert found == read(message)


LOW_O2 = Alarm(
    key="field-122",
    code="122",
    text="Low O2 supply",
    alarm_kind=AlarmKind.TECHNICAL,
    priority=Priority.LOW,
    phase=Phase.PRESENT,
    condition=Condition.ACTIVE,
    raw="ALARM ",
)


def test_an_alarm_is_one_point_found_by_who_and_code() -> None:
    entry = journaled(LOW_O2, seq=1_234_567)
    fields: tuple[tuple[str, FieldValue], ...] = (
        ("key", "field-122"),
        ("reference_id", ""),
        ("text", "Low O2 supply"),
        ("priority", "low"),
        ("phase", "present"),
        ("condition", "active"),
        ("raw", "ALARM "),
        ("corrected", False),
        ("sequenced", True),
        ("alias_protocol", "puritan-bennett"),
        ("alias_namespace", ""),
        ("alias_identifier", "3510000001"),
        ("alias_strength", "strong"),
    )
    tags = (("publisher", "hn01-a"), ("device", "vent1"), ("code", "122"), ("alarm_kind", "technical"))
    assert points(entry) == (Point("alarm", tags, fields, T0_MS * 1_000_000 + 234_567),)


def test_a_usage_message_is_a_point_of_usage_and_one_for_each_meter() -> None:
    meters = (
        MeterReading(meter=MeterName.POWER_ON_H, provenance=Provenance.REPORTED, value=12.5),
        MeterReading(meter=MeterName.POWER_ON_H, provenance=Provenance.DERIVED, value=12),
    )
    entry = journaled(Usage(state=OperatingState.STANDBY, period_s=300, meters=meters))
    found = points(entry)
    assert [(p.measurement, p.tags[2:], p.fields[0]) for p in found] == [
        ("usage", (), ("state", "standby")),
        ("meter", (("meter", "power_on_h"), ("provenance", "reported")), ("value", 12.5)),
        ("meter", (("meter", "power_on_h"), ("provenance", "derived")), ("value", 12.0)),
    ]
    assert isinstance(found[2].fields[0][1], float)


def test_a_message_without_an_envelope_takes_its_digits_from_its_payload() -> None:
    entry = journaled(Status(link=LinkState.MUTE), seq=None)
    (point,) = points(entry)
    assert point.time_ns == T0_MS * 1_000_000 + zlib.crc32(entry.payload) % 1_000_000
    assert ("sequenced", False) in point.fields


def test_a_corrected_message_keeps_what_its_publisher_said() -> None:
    message = Message(observed_at=datetime(1970, 1, 1, 0, 3, tzinfo=UTC), body=Status(link=LinkState.ONLINE))
    (point,) = read(message, corrected=True)
    assert dict(point.fields)["observed_at"] == "1970-01-01T00:03:00.000Z"
    assert "observed_at" not in dict(read(message)[0].fields)


def test_device_time_is_text_and_the_hosts_own_status_has_no_alias() -> None:
    told = Message(
        alias=Alias(protocol="p", identifier="i"),
        device_time=datetime(1999, 12, 31, 23, 59),  # noqa: DTZ001 - as the device tells it
        body=Identity(manufacturer="M", model="X", device_type=70_001, unique_ids=("a", 'ộ"')),
    )
    fields = dict(read(told)[0].fields)
    assert fields["device_time"] == "1999-12-31T23:59:00"
    assert fields["unique_ids"] == '["a", "ộ\\""]'
    assert fields["device_type"] == 70_001
    (own,) = read(Message(body=Status(link=LinkState.OFFLINE)))
    assert [name for name, _ in own.fields if name.startswith("alias")] == []


def test_a_payload_that_contradicts_its_topic_is_refused() -> None:
    entry = journaled(LOW_O2)._replace(topic=Topic("hn01-a", "vent1", "fault"))
    with pytest.raises(MessageError, match="of kind alarm, its topic says fault"):
        points(entry)


def test_a_quantity_or_meter_told_twice_is_refused() -> None:
    twice = Metric(quantity=Quantity.BATTERY_CHARGE_PCT, value=1.0)
    entry = journaled(Metrics(values=(twice, twice)))
    with pytest.raises(MessageError, match="battery_charge_pct is told twice"):
        points(entry)
    reading = MeterReading(meter=MeterName.BLOWER_H, provenance=Provenance.REPORTED, value=1.0)
    entry = journaled(Usage(state=OperatingState.IN_USE, period_s=60, meters=(reading, reading)))
    with pytest.raises(MessageError, match=r"blower_h \(reported\) is told twice"):
        points(entry)


def test_a_fault_unknown_to_the_catalogue_is_marked() -> None:
    fault = Fault.model_validate(
        {
            "key": "k",
            "code": "A5",
            "text": "",
            "effect": "service_high",
            "mapped": False,
            "phase": "start",
            "condition": "active",
        }
    )
    entry = journaled(fault)
    assert ("mapped", False) in points(entry)[0].fields


@given(
    st.lists(st.tuples(MESSAGES, st.booleans(), st.none() | st.integers(1, 5)), max_size=12),
    st.integers(1, 4),
)
def test_points_made_with_a_memory_are_those_made_without(
    messages: list[tuple[Message, bool, int | None]], remember: int
) -> None:
    for makes in (Points(), Points(remember=remember)):
        reader = Reader()
        for turn in range(2):
            for message, corrected, seq in messages:
                entry = record(message, seq=seq, corrected=corrected, event_ms=T0_MS + turn)
                found = makes.of(entry._replace(told=reader.read(entry.payload)))
                assert [point._replace(line=b"") for point in found] == list(points(entry))
                for point in found:
                    if point.line:
                        assert point.line == line(point._replace(line=b""))


def test_what_differs_in_its_time_alone_has_its_line_at_hand() -> None:
    makes, reader = Points(), Reader()
    message = Message(
        observed_at=datetime(2026, 11, 22, tzinfo=UTC), body=LOW_O2, alias=Alias(protocol="p", identifier="1")
    )
    for event_ms in (T0_MS, T0_MS + 1):
        entry = record(message, event_ms=event_ms)
        (point,) = makes.of(entry._replace(told=reader.read(entry.payload)))
        assert point.line.endswith(b" %d" % point.time_ns)
