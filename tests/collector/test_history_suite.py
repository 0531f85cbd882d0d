"""What every history does, proved on the embedded one and on a real InfluxDB 1.x alike.

The stores of InfluxDB 2 and 3 run on the same server behind a front that speaks as these are documented.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.embedded import EmbeddedHistory
from collector.history import FieldValue, History, Marker, Misconfigured, Point, marker_point
from collector.points import points
from telemetry.errors import Unavailable
from telemetry.messages import Message
from tests.collector.histories import (
    MESSAGES,
    Rows,
    by_key,
    held,
    influx2_history,
    influx_history,
    record,
    running_influx,
)
from tests.collector.influx_front import Front, fronted
from tests.collector.test_lineprotocol import WORDS
from tests.system.servers import Influx

pytestmark = pytest.mark.asyncio(loop_scope="module")

T0_NS = 1_700_000_000_000_000_000
FOREVER = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Opened:
    """An empty history, and a view of what is in it that owes nothing to writing."""

    history: History
    held: Callable[[str], Awaitable[Rows]]


Fresh = Callable[[], AbstractAsyncContextManager[Opened]]


@asynccontextmanager
async def embedded(folder: Path, numbers: count[int]) -> AsyncIterator[Opened]:
    """A history in a new file."""
    history = EmbeddedHistory(folder / f"h{next(numbers)}.db")

    async def everything(measurement: str) -> Rows:
        first, last = FOREVER
        return by_key(await history.range(measurement, from_ns=first, to_ns=last, limit=1_000_000))

    try:
        await history.prepare()
        yield Opened(history, everything)
    finally:
        await history.close()


@asynccontextmanager
async def influx(server: Influx, front: Front | None, numbers: count[int]) -> AsyncIterator[Opened]:
    """A history in a new database, as InfluxDB 1.x has it or behind a front."""
    name = f"h{next(numbers)}"
    history = influx2_history(front, database=name) if front else influx_history(server, database=name)
    try:
        await history.prepare()
        yield Opened(history, partial(held, server, database=name))
    finally:
        await history.close()


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[
        "embedded",
        pytest.param("influxdb1", marks=pytest.mark.system),
        pytest.param("influxdb2", marks=pytest.mark.system),
        pytest.param("influxdb3", marks=pytest.mark.system),
    ],
)
async def fresh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fresh]:
    """Opens as many empty histories as a test asks for, on one server."""
    folder, numbers = tmp_path_factory.mktemp("histories"), count(1)
    if request.param == "embedded":
        yield partial(embedded, folder, numbers)
        return
    async with running_influx(folder) as server:
        if request.param == "influxdb1":
            yield partial(influx, server, None, numbers)
            return
        async with fronted(server, 2 if request.param == "influxdb2" else 3) as front:
            yield partial(influx, server, front, numbers)


def point(at: int = 0, *, device: str = "v1", **fields: FieldValue) -> Point:
    return Point("m", (("device", device),), tuple(fields.items()), T0_NS + at)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


@st.composite
def any_points(draw: st.DrawFn) -> Point:
    """Any point of measurement `a m`, each field of one type, with any words and texts."""
    fields: tuple[tuple[str, FieldValue], ...] = (
        ("text, of", draw(TEXTS)),
        ("figure", draw(st.floats(allow_nan=False, allow_infinity=False))),
        ("whole= ộ", draw(st.integers(-(2**63), 2**63 - 1))),
        ("yes", draw(st.booleans())),
    )
    tags = draw(st.lists(st.sampled_from(("a", "b c", "d=e")), unique=True))
    chosen = draw(st.lists(st.sampled_from(fields), min_size=1, unique_by=lambda field: field[0]))
    time_ns = T0_NS + draw(st.integers(0, 3))
    return Point("a m", tuple((tag, draw(WORDS)) for tag in tags), tuple(chosen), time_ns)


@settings(max_examples=20, deadline=None)
@given(found=st.lists(any_points(), min_size=1, max_size=40).map(tuple))
async def test_points_are_held_as_they_were_written(fresh: Fresh, found: tuple[Point, ...]) -> None:
    async with fresh() as opened:
        assert await opened.history.write(found) == ()
        assert await opened.history.write(found) == ()
        assert await opened.held("a m") == by_key(found)


@settings(max_examples=10, deadline=None)
@given(messages=st.lists(MESSAGES, min_size=1, max_size=20))
async def test_every_message_of_the_language_is_taken(fresh: Fresh, messages: list[Message]) -> None:
    records = [record(message, seq=seq) for seq, message in enumerate(messages, start=1)]
    found = tuple(point for entry in records for point in points(entry))
    async with fresh() as opened:
        assert await opened.history.write(found) == ()
        for kind in {point.measurement for point in found}:
            expected = by_key(tuple(point for point in found if point.measurement == kind))
            assert await opened.held(kind) == expected
            assert await opened.history.count(kind) == len(expected)


async def test_a_point_written_again_overwrites_itself_and_keeps_what_is_not_named(fresh: Fresh) -> None:
    async with fresh() as opened:
        for turn in range(4):
            await opened.history.write((point(value=float(turn)), point(kept="as it was")))
        (fields,) = (await opened.held("m")).values()
        assert fields == {"value": 3.0, "kept": "as it was"}
        assert await opened.history.count("m") == 1


async def test_only_the_point_in_conflict_with_a_type_already_stored_is_refused(fresh: Fresh) -> None:
    async with fresh() as opened:
        await opened.history.write((point(value=1.0),))
        written = (point(1, value=1.5), point(2, value="high", other=1), point(3, value=2.5))
        (refused,) = await opened.history.write(written)
        assert refused.index == 1
        assert "field type conflict" in refused.reason
        assert '"value"' in refused.reason
        assert [fields["value"] for fields in (await opened.held("m")).values()] == [1.0, 1.5, 2.5]


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ((1.0, 1), (1.0,)),
        ((1, 1.0, 2, 3, 2.0), (1, 2, 3)),
        (("a", True, "b", 1, 1.0, "c", "d", False), ("a", "b", "c", "d")),
    ],
)
async def test_among_new_points_of_one_write_the_first_type_stands_and_the_others_are_refused(
    fresh: Fresh, values: tuple[FieldValue, ...], stored: tuple[FieldValue, ...]
) -> None:
    async with fresh() as opened:
        refused = await opened.history.write([point(at, value=value) for at, value in enumerate(values)])
        wrong = [index for index, value in enumerate(values) if type(value) is not type(values[0])]
        assert [one.index for one in refused] == wrong
        assert [fields["value"] for fields in (await opened.held("m")).values()] == list(stored)


async def test_conflicts_are_found_one_by_one_in_a_write_of_thousands(fresh: Fresh) -> None:
    bad = (0, 7, 1_234, 1_235, 2_499)
    written = [point(at, value="bad" if at in bad else 1.0) for at in range(2_500)]
    async with fresh() as opened:
        await opened.history.write((point(-1, value=0.0),))
        assert tuple(one.index for one in await opened.history.write(written)) == bad
        assert await opened.history.count("m") == 1 + 2_500 - len(bad)


async def test_what_cannot_be_encoded_is_refused_and_the_rest_is_stored(fresh: Fresh) -> None:
    async with fresh() as opened:
        written = (point(0, device="a\nb", value=1.0), point(1, value=2.0), point(2, value=float("nan")))
        assert [one.index for one in await opened.history.write(written)] == [0, 2]
        assert [fields["value"] for fields in (await opened.held("m")).values()] == [2.0]


async def test_nothing_to_write_is_nothing_refused(fresh: Fresh) -> None:
    async with fresh() as opened:
        assert await opened.history.write(()) == ()
        assert await opened.history.count("m") == 0


async def test_the_marker_is_the_furthest_of_its_epoch_whatever_the_clock_did(fresh: Fresh) -> None:
    async with fresh() as opened:
        history = opened.history
        assert await history.marker("e1") is None
        hour = 3_600_000
        early, late, far = Marker("e1", 5, hour), Marker("e1", 9, 10 * hour), Marker("e1", 12, 7 * hour)
        for marker in (early, late, far):
            await history.write((marker_point(marker),))
        assert await history.marker("e1") == far
        assert await history.marker("e2") is None
        await history.write((marker_point(Marker("it's", 3, 4)),))
        assert await history.marker("it's") == Marker("it's", 3, 4)


async def test_markers_of_one_hour_are_one_point(fresh: Fresh) -> None:
    async with fresh() as opened:
        for minute in range(60):
            await opened.history.write((marker_point(Marker("e1", minute, minute * 60_000)),))
        assert await opened.history.count("hourmeter_marker") == 1
        assert await opened.history.marker("e1") == Marker("e1", 59, 59 * 60_000)


async def test_prepare_is_harmless_when_ready(fresh: Fresh) -> None:
    async with fresh() as opened:
        await opened.history.write((point(value=1.0),))
        await opened.history.prepare()
        assert await opened.history.count("m") == 1


async def test_the_embedded_history_is_read_for_the_desk(tmp_path: Path) -> None:
    async with embedded(tmp_path, count(1)) as opened:
        history = opened.history
        assert isinstance(history, EmbeddedHistory)
        for at in range(3):
            await history.write((point(at, value=float(at)), point(at, device="v2", value=-float(at))))
        assert await history.latest("m") == (point(2, value=2.0), point(2, device="v2", value=-2.0))
        found = await history.range("m", from_ns=T0_NS, to_ns=T0_NS + 2, limit=3)
        assert found == (point(0, value=0.0), point(0, device="v2", value=-0.0), point(1, value=1.0))


async def test_the_embedded_history_is_there_after_it_was_closed(tmp_path: Path) -> None:
    for turn in range(2):
        history = EmbeddedHistory(tmp_path / "new folder" / "history.db")
        await history.write((point(turn, value=1.0),)) if turn else await history.prepare()
        (refused,) = await history.write((point(5, value="conflict"),)) if turn else [None]
        assert refused is None or "float" in refused.reason
        await history.close()


async def test_another_file_in_place_of_the_embedded_history_is_a_fault_of_settings(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"these are not the tables you are looking for" * 100)
    history = EmbeddedHistory(tmp_path / "history.db")
    with pytest.raises(Misconfigured, match="not a database"):
        await history.prepare()
    await history.close()


async def test_a_file_that_cannot_be_opened_is_weather(tmp_path: Path) -> None:
    history = EmbeddedHistory(tmp_path)
    with pytest.raises(Unavailable, match="unable to open"):
        await history.write((point(value=1.0),))
    await history.close()


async def test_a_failed_write_leaves_nothing_and_goes_through_later(tmp_path: Path) -> None:
    history = EmbeddedHistory(tmp_path / "history.db")
    await history.prepare()
    other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    other.execute("CREATE TRIGGER full BEFORE INSERT ON field BEGIN SELECT raise(ROLLBACK, 'full'); END")
    with pytest.raises(sqlite3.IntegrityError, match="full"):
        await history.write((point(value=1.0),))
    assert await history.count("m") == 0
    other.execute("DROP TRIGGER full")
    other.close()
    assert await history.write((point(value=1.0),)) == ()
    assert await history.count("m") == 1
    await history.close()
