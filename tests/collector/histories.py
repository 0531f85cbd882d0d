"""Histories for tests: what a real one holds, and messages of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import strategies as st

from collector.history import FieldValue, Point
from collector.influx import InfluxHistory, InfluxSettings
from collector.influx2 import Influx2History, Influx2Settings
from telemetry.envelope import Envelope
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Body,
    Condition,
    Effect,
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
    encode,
)
from telemetry.records import Journaled
from telemetry.topics import Topic
from tests.collector.influx_front import ORG, TOKEN, Front
from tests.system.conftest import need
from tests.system.servers import Influx

T0_MS = 1_700_000_000_000
Rows = dict[tuple[str, tuple[tuple[str, str], ...], int], dict[str, FieldValue]]
"""Fields by measurement, sorted tags and time."""

ALIASES = st.none() | st.builds(Alias, protocol=st.just("puritan-bennett"), identifier=st.just("3510000001"))
_TEXT = st.text(max_size=64)
_WORD = st.from_regex(r"[A-Za-z0-9_.:+/-]{1,64}", fullmatch=True)
_METERS = st.lists(
    st.builds(
        MeterReading,
        meter=st.sampled_from(MeterName),
        provenance=st.sampled_from(Provenance),
        value=st.floats(0, 10_000_000),
    ),
    max_size=16,
    unique_by=lambda reading: (reading.meter, reading.provenance),
).map(tuple)
_METRICS = st.lists(
    st.builds(
        Metric,
        quantity=st.sampled_from(Quantity),
        value=st.floats(allow_nan=False, allow_infinity=False),
    ),
    min_size=1,
    unique_by=lambda metric: metric.quantity,
).map(tuple)
BODIES: st.SearchStrategy[Body] = st.one_of(
    st.builds(
        Identity,
        manufacturer=_TEXT,
        model=_TEXT,
        serial=_TEXT,
        device_type=st.none() | st.integers(0, 2**32 - 1),
        unique_ids=st.lists(_TEXT, max_size=8).map(tuple),
    ),
    st.builds(Status, link=st.sampled_from(LinkState), connection=_TEXT, reason=_TEXT),
    st.builds(
        Usage,
        state=st.sampled_from(OperatingState),
        period_s=st.floats(0, 86_400, exclude_min=True),
        meters=_METERS,
    ),
    st.builds(
        Alarm,
        key=_TEXT.filter(bool),
        code=_WORD,
        text=_TEXT,
        alarm_kind=st.sampled_from(AlarmKind),
        priority=st.sampled_from(Priority),
        phase=st.sampled_from(Phase),
        condition=st.sampled_from(Condition),
        raw=_TEXT,
    ),
    st.builds(
        Fault,
        key=_TEXT.filter(bool),
        code=_WORD,
        text=_TEXT,
        effect=st.sampled_from(Effect),
        mapped=st.booleans(),
        phase=st.sampled_from(Phase),
        condition=st.sampled_from(Condition),
    ),
    st.builds(Metrics, values=_METRICS),
)
MESSAGES = st.builds(
    Message,
    alias=ALIASES,
    observed_at=st.none() | st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants it naive
    device_time=st.none() | st.datetimes(),
    body=BODIES,
)


def by_key(points: tuple[Point, ...]) -> Rows:
    """What a history holds after these points were written in order."""
    rows: Rows = {}
    for point in points:
        key = (point.measurement, tuple(sorted(point.tags)), point.time_ns)
        rows.setdefault(key, {}).update(point.fields)
    return rows


def journaled(body: Body, *, position: int = 0, seq: int | None = 1, event_ms: int = T0_MS) -> Journaled:
    """A message of device vent1 as the journal keeps it."""
    message = Message(alias=Alias(protocol="puritan-bennett", identifier="3510000001"), body=body)
    return record(message, position=position, seq=seq, event_ms=event_ms)


def record(
    message: Message,
    *,
    position: int = 0,
    seq: int | None = 1,
    event_ms: int = T0_MS,
    corrected: bool = False,
) -> Journaled:
    """A message as the journal keeps it."""
    return Journaled(
        position=position,
        topic=Topic("hn01-a", "vent1", message.body.kind),
        envelope=None if seq is None else Envelope("b-1", seq, "boot1", 0),
        received_ms=event_ms,
        event_ms=event_ms,
        corrected=corrected,
        payload=encode(message),
    )


@asynccontextmanager
async def running_influx(folder: Path, *, user: str = "") -> AsyncIterator[Influx]:
    """A real InfluxDB 1.x in that folder."""
    need("influxd")
    server = Influx(folder, user=user)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


def influx_history(
    server: Influx, *, database: str = "hourmeter", retention_policy: str = "", password: str = ""
) -> InfluxHistory:
    """A history in that server, with posts small enough that a test needs several."""
    return InfluxHistory(
        InfluxSettings(
            server.url,
            database,
            user=server.user,
            password=password,
            retention_policy=retention_policy,
            batch_points=500,
        )
    )


def influx2_history(front: Front, *, database: str = "hourmeter") -> Influx2History:
    """A history behind that front, with posts small enough that a test needs several."""
    return Influx2History(
        Influx2Settings(front.version, front.url, database, TOKEN, org=ORG, batch_points=500)
    )


async def held(server: Influx, measurement: str, *, database: str = "hourmeter") -> Rows:
    """What InfluxDB holds of a measurement."""
    quoted = measurement.replace('"', '\\"')
    keys = await server.query(f'SHOW TAG KEYS FROM "{quoted}"', database=database)
    tag_names = {str(row["tagKey"]) for row in keys}
    kinds = await server.query(f'SHOW FIELD KEYS FROM "{quoted}"', database=database)
    floats = {row["fieldKey"] for row in kinds if row["fieldType"] == "float"}
    rows: Rows = {}
    for row in await server.query(f'SELECT * FROM "{quoted}"', database=database):  # noqa: S608 - a test's own name
        tags = tuple(sorted((name, str(row[name])) for name in tag_names if row[name] is not None))
        fields = {
            name: float(value) if name in floats else value  # whole figures come without a point
            for name, value in row.items()
            if value is not None and name != "time" and name not in tag_names
        }
        time_ns = row["time"]
        assert isinstance(time_ns, int)
        rows[measurement, tags, time_ns] = fields
    return rows
