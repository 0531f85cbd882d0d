"""The history consumer: every good message once, every bad one a dead letter, through whatever fails."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.cursors import Cursor, CursorError, DeadLetter
from collector.embedded import EmbeddedHistory
from collector.history import MARKER, History, Marker, Misconfigured, Point, Refused
from collector.ingest import Patience
from collector.journal import Journal, open_journal
from collector.journal_file import Limits
from collector.keep import GATHER_S, JournalReading, Keeper
from collector.points import points
from collector.store import Append
from telemetry.errors import Unavailable
from telemetry.messages import (
    LinkState,
    MeterName,
    MeterReading,
    OperatingState,
    Provenance,
    Status,
    Usage,
)
from telemetry.records import Journaled, Record, Started, Tick
from telemetry.topics import Topic
from tests.collector.histories import T0_MS, Rows, by_key, held, influx_history, journaled, running_influx

_T = TypeVar("_T")

MINUTE_MS = 60_000


class Killed(BaseException):
    """The process ended here."""


class Done(BaseException):
    """The consumer has nothing more to do, and has looked at its marker since."""


class Turn(Enum):
    """How one call of the journal or the history goes."""

    WELL = auto()
    AWAY = auto()
    ANSWER_LOST = auto()
    REFUSED = auto()
    KILLED_BEFORE = auto()
    KILLED_AFTER = auto()
    DROPPED = auto()
    BACKED_UP = auto()
    RESTORED = auto()


@dataclass
class _Clock:
    """A clock that stands still until it is moved."""

    ms: int = T0_MS

    def now_ms(self) -> int:
        return self.ms

    def mono_ms(self) -> int:
        return self.ms

    def boot(self) -> str:
        return "boot1"

    async def sleep(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


def refuses(point: Point) -> bool:
    """Whether the fake history refuses a point."""
    return ("reason", "poison") in point.fields or ("value", 666.0) in point.fields


@dataclass
class _History:
    """A history in memory that fails, loses and restores as told; it refuses poison."""

    turns: Iterator[Turn] = field(default_factory=lambda: iter(()))
    held: tuple[Point, ...] = ()
    backup: tuple[Point, ...] = ()
    prepared: int = 0
    writes: list[tuple[Point, ...]] = field(default_factory=list)

    async def _turn(self, act: Callable[[], _T], *, may_lose: bool = True) -> _T:
        turn = next(self.turns, Turn.WELL)
        match turn:
            case Turn.AWAY:
                raise Unavailable("history", why="away")
            case Turn.REFUSED:
                raise Misconfigured(where="history", found="database not found", expected="create it")
            case Turn.KILLED_BEFORE:
                raise Killed
            case Turn.BACKED_UP:
                self.backup = self.held
            case Turn.DROPPED if may_lose:
                self.held = ()
            case Turn.RESTORED if may_lose:
                self.held = self.backup  # which takes longer than a call
                raise Unavailable("history", why="away")
        result = act()
        if turn is Turn.ANSWER_LOST:
            raise Unavailable("history", why="its answer was lost")
        if turn is Turn.KILLED_AFTER:
            raise Killed
        return result

    async def prepare(self) -> None:
        self.prepared += 1

    async def write(self, points: Sequence[Point]) -> tuple[Refused, ...]:
        def store() -> tuple[Refused, ...]:
            self.writes.append(tuple(points))
            bad = [index for index, point in enumerate(points) if refuses(point)]
            self.held += tuple(point for index, point in enumerate(points) if index not in bad)
            return tuple(Refused(index, "poison") for index in bad)

        # Between looking at the marker and writing the next one a loss cannot be seen: milliseconds a minute.
        return await self._turn(store, may_lose=not any(point.measurement == MARKER for point in points))

    async def marker(self, epoch: str) -> Marker | None:
        def look() -> Marker | None:
            markers = [
                Marker(epoch, int(fields["position"]), int(fields["at_ms"]))
                for (measurement, tags, _), fields in by_key(self.held).items()
                if measurement == MARKER and ("epoch", epoch) in tags
            ]
            return max(markers, key=lambda marker: marker.position, default=None)

        return await self._turn(look)

    async def count(self, measurement: str) -> int:
        return sum(key[0] == measurement for key in by_key(self.held))

    async def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class _Journal:
    """A journal in memory with the counters of the real one."""

    records: tuple[Record, ...]
    clock: _Clock
    turns: Iterator[Turn] = field(default_factory=lambda: iter(()))
    epoch: str = "e1"
    oldest: int = 0
    cursor: int = 0
    stored: Counter[str] = field(default_factory=Counter)
    dead: dict[int, DeadLetter] = field(default_factory=dict)
    commits: int = 0
    rewound: list[int] = field(default_factory=list)
    idle_minutes: int = 0

    async def _turn(self, act: Callable[[], _T]) -> _T:
        turn = next(self.turns, Turn.WELL)
        if turn is Turn.AWAY:
            raise Unavailable("journal", why="disk full")
        if turn is Turn.KILLED_BEFORE:
            raise Killed
        result = act()
        if turn is Turn.KILLED_AFTER:
            raise Killed
        return result

    async def read(self, position: int, *, limit: int) -> tuple[Record, ...]:
        self.idle_minutes = 0 if position < len(self.records) else self.idle_minutes
        start = max(position, self.oldest)
        return await self._turn(lambda: self.records[start : start + limit])

    async def first(self) -> int:
        return self.oldest

    async def wait(self, position: int) -> None:
        """Let a minute pass, three times, and then say that all is done."""
        assert position == len(self.records)
        if self.idle_minutes == 3:
            raise Done
        self.idle_minutes += 1
        self.clock.ms += MINUTE_MS

    async def history_cursor(self) -> Cursor:
        if self.cursor < self.oldest:
            raise CursorError(
                consumer="history",
                cursor=Cursor(self.epoch, self.cursor),
                epoch=self.epoch,
                first=self.oldest,
            )
        return Cursor(self.epoch, self.cursor)

    async def commit_history(
        self, *, cursor: Cursor, stored: Mapping[str, int], dead: Sequence[DeadLetter]
    ) -> None:
        def commit() -> None:
            assert cursor.epoch == self.epoch
            assert cursor.position >= self.cursor
            self.commits += 1
            self.cursor = cursor.position
            self.stored.update(stored)
            assert not self.dead.keys() & {letter.position for letter in dead}
            self.dead.update({letter.position: letter for letter in dead})

        await self._turn(commit)

    async def rewind_history(self, position: int) -> None:
        def rewind() -> None:
            assert position <= self.cursor
            self.rewound.append(position)
            for record in self.records[position : self.cursor]:
                if isinstance(record, Journaled) and self.dead.pop(record.position, None) is None:
                    self.stored[record.topic.kind] -= 1
            self.cursor = position

        await self._turn(rewind)


async def no_wait(_: float) -> None:
    """Real time stands still."""


def keeper(
    journal: JournalReading, history: History, *, clock: _Clock, records_at_once: int = 1_000
) -> Keeper:
    patience = Patience(sleep=no_wait, random=lambda: 0.5)
    return Keeper(journal, history, clock, patience, records_at_once)


async def run(journal: _Journal, history: _History, *, records_at_once: int = 3) -> Keeper:
    """Run the consumer, started again after every kill, until it has nothing more to do; the last one."""
    while True:
        journal.idle_minutes = 0
        consumer = keeper(journal, history, clock=journal.clock, records_at_once=records_at_once)
        try:
            await consumer.run()
        except Killed:
            continue
        except Done:
            return consumer


# -- records ----------------------------------------------------------------------------------------------


def good(position: int) -> Journaled:
    reading = MeterReading(meter=MeterName.POWER_ON_H, provenance=Provenance.REPORTED, value=float(position))
    body = Usage(state=OperatingState.IN_USE, period_s=60, meters=(reading,))
    return journaled(body, position=position, seq=position + 1)


def status(position: int) -> Journaled:
    return journaled(Status(link=LinkState.ONLINE), position=position, seq=position + 1)


def poison(position: int) -> Journaled:
    """A message that the history refuses."""
    return journaled(Status(link=LinkState.ONLINE, reason="poison"), position=position, seq=position + 1)


def half_poison(position: int) -> Journaled:
    """A message one of whose two points the history refuses."""
    reading = MeterReading(meter=MeterName.BLOWER_H, provenance=Provenance.REPORTED, value=666.0)
    body = Usage(state=OperatingState.IN_USE, period_s=60, meters=(reading,))
    return journaled(body, position=position, seq=position + 1)


def undecodable(position: int) -> Journaled:
    return good(position)._replace(payload=b"{")


def masked(position: int) -> Journaled:
    return good(position)._replace(payload=b"", refusal="a patient's name")


def contradicting(position: int) -> Journaled:
    return good(position)._replace(topic=Topic("hn01-a", "vent1", "alarm"))


def tick(position: int) -> Tick:
    return Tick(position, T0_MS)


def started(position: int) -> Started:
    return Started(position, T0_MS)


GOOD = (good, status)
BAD = (poison, half_poison, undecodable, masked, contradicting)
Make = Callable[[int], Record]


def made(*makers: Make) -> tuple[Record, ...]:
    return tuple(make(position) for position, make in enumerate(makers))


def messages_held(history: _History) -> Rows:
    return {key: fields for key, fields in by_key(history.held).items() if key[0] != MARKER}


def expected(makers: Sequence[Make]) -> Rows:
    """All points of good messages, and those of half-refused ones that the history took."""
    found: list[Point] = []
    for position, make in enumerate(makers):
        entry = make(position)
        if isinstance(entry, Journaled) and make in {good, status, half_poison}:
            found.extend(points(entry))
    return by_key(tuple(point for point in found if not refuses(point)))


def check(journal: _Journal, history: _History, makers: Sequence[Make]) -> None:
    """Every good message is held once, every bad one is a dead letter, and all of them are counted."""
    assert messages_held(history) == expected(makers)
    assert sorted(journal.dead) == [position for position, make in enumerate(makers) if make in BAD]
    assert +journal.stored == Counter(
        entry.topic.kind
        for entry, make in zip(journal.records, makers, strict=True)
        if make in GOOD and isinstance(entry, Journaled)
    )
    assert journal.cursor == len(makers)


# -- whatever fails ---------------------------------------------------------------------------------------

MAKERS = st.lists(st.sampled_from((*GOOD, *BAD, tick, started)), max_size=25)
JOURNAL_TURNS = st.lists(
    st.sampled_from((Turn.WELL, Turn.WELL, Turn.AWAY, Turn.KILLED_BEFORE, Turn.KILLED_AFTER)), max_size=30
)


@settings(max_examples=400, deadline=None)
@given(
    makers=MAKERS,
    history_turns=st.lists(st.sampled_from(Turn), max_size=30),
    journal_turns=JOURNAL_TURNS,
    records_at_once=st.integers(1, 7),
    step_ms=st.sampled_from((0, 1_000, 20_000, MINUTE_MS)),
)
@example([good], [*[Turn.WELL] * 3, Turn.DROPPED], [], 1, 0).via("dropped behind the first marker")
@example([good, good], [*[Turn.WELL] * 3, Turn.BACKED_UP, Turn.RESTORED], [], 1, 0).via(
    "restored in a minute"
)
async def test_whatever_fails_all_good_messages_are_held_once_and_all_bad_ones_are_dead_letters(
    makers: list[Make],
    history_turns: list[Turn],
    journal_turns: list[Turn],
    records_at_once: int,
    step_ms: int,
) -> None:
    clock = _Clock()

    def ticking(turns: list[Turn]) -> Iterator[Turn]:
        for turn in turns:
            clock.ms += step_ms
            yield turn

    journal = _Journal(made(*makers), clock, ticking(journal_turns))
    history = _History(ticking(history_turns))
    consumer = await run(journal, history, records_at_once=records_at_once)
    check(journal, history, makers)
    assert consumer.trouble == ""


async def test_each_bad_message_is_kept_with_its_payload_and_reason() -> None:
    makers = (good, undecodable, masked, contradicting, poison, half_poison, tick, good)
    journal, history = _Journal(made(*makers), _Clock()), _History()
    await run(journal, history)
    check(journal, history, makers)
    assert [letter.reason for _, letter in sorted(journal.dead.items())] == [
        "payload: Invalid JSON: EOF while parsing an object at line 1 column 1",
        "a patient's name",
        "body is of kind usage, its topic says alarm",
        "history refused it: poison",
        "history refused it: poison",
    ]
    letter = journal.dead[3]
    assert (letter.topic, letter.kind) == ("hourmeter/1/hn01-a/vent1/alarm", "alarm")
    assert letter.payload == good(3).payload


async def test_a_kill_between_write_and_commit_writes_the_same_points_again_and_counts_them_once() -> None:
    journal = _Journal(made(good, good, poison), _Clock(), iter((*[Turn.WELL] * 2, Turn.KILLED_BEFORE)))
    history = _History()
    await run(journal, history)
    batches = [batch for batch in history.writes if batch[0].measurement != MARKER]
    assert len(batches) == 2
    assert batches[0] == batches[1]
    check(journal, history, (good, good, poison))


async def test_ticks_move_the_cursor_with_the_marker_once_a_minute_only() -> None:
    journal = _Journal(made(*[tick] * 50), _Clock())
    await run(journal, _History(), records_at_once=1)
    assert journal.cursor == 50
    assert journal.commits == 1 + 3  # at the start, and in the three idle minutes


# -- weather and settings ---------------------------------------------------------------------------------


async def test_a_long_outage_is_one_line_when_it_begins_and_one_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    turns = (*[Turn.WELL] * 2, *[Turn.AWAY] * 50, *[Turn.REFUSED] * 3)
    journal, history = _Journal(made(good, good), _Clock()), _History(iter(turns))
    consumer = await run(journal, history)
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("ERROR", "history: nothing is stored: history: away; trying again"),
        ("ERROR", "history: nothing is stored: history: database not found; create it; trying again"),
        ("WARNING", "history: storing again"),
    ]
    check(journal, history, (good, good))
    assert (consumer.trouble, consumer.rewinds) == ("", 0)


async def test_waits_grow_to_half_a_minute_and_begin_anew_after_success() -> None:
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        if seconds != GATHER_S:
            waits.append(seconds)

    turns = (*[Turn.WELL] * 2, *[Turn.AWAY] * 9, Turn.WELL, Turn.WELL, Turn.AWAY)
    journal, history = _Journal(made(good), _Clock()), _History(iter(turns))
    consumer = Keeper(journal, history, journal.clock, Patience(sleep=wait, random=lambda: 1.0))
    with pytest.raises(Done):
        await consumer.run()
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 0.5]


async def test_trouble_is_shown_while_it_lasts() -> None:
    journal, history = _Journal(made(good), _Clock()), _History(iter((Turn.REFUSED,)))
    seen: list[str] = []

    async def look(seconds: float) -> None:
        if seconds != GATHER_S:
            seen.append(consumer.trouble)

    consumer = Keeper(journal, history, journal.clock, Patience(sleep=look, random=lambda: 0.0))
    with pytest.raises(Done):
        await consumer.run()
    assert seen == ["history: database not found; create it"]
    assert consumer.trouble == ""


async def test_a_history_that_refuses_even_the_marker_is_a_fault_of_settings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = _Journal(made(good), _Clock())
    history = _History()
    consumer = keeper(journal, history, clock=journal.clock)
    marked: list[Sequence[Point]] = []
    write = history.write

    async def refuse_once(points: Sequence[Point]) -> tuple[Refused, ...]:
        marked.append(points)
        return (Refused(0, "max-series limit"),) if len(marked) == 1 else await write(points)

    history.write = refuse_once  # type: ignore[method-assign]  # the fake of one test
    with pytest.raises(Done):
        await consumer.run()
    assert "it refuses even our marker: max-series limit" in caplog.text
    assert marked[0][0].measurement == MARKER
    assert journal.cursor == 1


async def test_a_cursor_from_which_the_journal_cannot_answer_ends_the_consumer() -> None:
    journal = _Journal(made(good, good), _Clock(), oldest=1)
    with pytest.raises(CursorError, match="hourmeter rewind history"):
        await keeper(journal, _History(), clock=journal.clock).run()


async def test_a_hole_in_the_journal_is_not_passed_over() -> None:
    journal = _Journal(made(*[good] * 4), _Clock())
    consumer = keeper(journal, _History(), clock=journal.clock, records_at_once=1)
    commit = journal.commit_history

    async def prune_too_much(
        *, cursor: Cursor, stored: Mapping[str, int], dead: Sequence[DeadLetter]
    ) -> None:
        await commit(cursor=cursor, stored=stored, dead=dead)
        journal.oldest = 3 if cursor.position == 2 else 0

    journal.commit_history = prune_too_much  # type: ignore[method-assign]  # the fake of one test
    with pytest.raises(CursorError, match="stands at 2 of epoch e1"):
        await consumer.run()


# -- a history that lost something ------------------------------------------------------------------------


async def test_a_dropped_history_is_noticed_within_a_minute_and_written_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    turns = (*[Turn.WELL] * 6, Turn.DROPPED)  # marker, batch, batch, then looks of later minutes
    journal, history = _Journal(made(*[good] * 5), _Clock()), _History(iter(turns))
    consumer = await run(journal, history)
    assert (consumer.rewinds, journal.rewound) == (1, [0])
    check(journal, history, [good] * 5)
    (line,) = [line for line in caplog.records if line.levelname == "ERROR"]
    assert "it holds records up to 0 although 5 were written" in line.getMessage()


async def test_a_restored_history_is_written_again_from_its_own_marker() -> None:
    journal, history = _Journal(made(*[good] * 9), _Clock()), _History()
    journal.records = journal.records[:4]
    await run(journal, history)
    backup = history.held
    journal.records = made(*[good] * 9)
    await run(journal, history)
    journal.clock.ms += 60 * MINUTE_MS
    await run(journal, history)
    history.held = backup
    journal.records = tuple(
        entry._replace(received_ms=T0_MS + 30 * MINUTE_MS)
        for entry in made(*[good] * 9)
        if isinstance(entry, Journaled)
    )
    consumer = await run(journal, history)
    assert (consumer.rewinds, journal.rewound) == (1, [4])
    check(journal, history, [good] * 9)


async def test_a_start_after_a_kill_goes_on_from_the_last_minute_without_an_alarm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    turns = iter((*[Turn.WELL] * 5, Turn.KILLED_AFTER))
    journal, history = _Journal(made(*[good] * 4), _Clock(), turns), _History()
    consumer = await run(journal, history, records_at_once=2)
    assert (consumer.rewinds, journal.rewound) == (0, [0])
    assert [line for line in caplog.records if line.levelname == "ERROR"] == []
    check(journal, history, [good] * 4)


async def test_a_history_that_is_empty_at_the_start_is_an_alarm_if_it_had_been_written() -> None:
    journal, history = _Journal(made(good, poison, good), _Clock()), _History()
    assert (await run(journal, history)).rewinds == 0
    fresh = _History()
    assert (await run(journal, fresh)).rewinds == 1
    check(journal, fresh, (good, poison, good))


async def test_what_the_journal_no_longer_keeps_is_told(caplog: pytest.LogCaptureFixture) -> None:
    journal, history = _Journal(made(*[good] * 6), _Clock()), _History()
    await run(journal, history)
    journal.oldest = 4
    history.held = ()
    await run(journal, history)
    assert journal.rewound == [4]
    assert "4 records are no longer in the journal" in caplog.text
    assert len(messages_held(history)) == 2 * 2


# -- with the real parts ----------------------------------------------------------------------------------


def real_journal(folder: Path, records: Sequence[Record]) -> Journal:
    journal = open_journal(folder, limits=Limits(size_cap=1 << 30, disk_reserve=0), new_epoch=lambda: "e1")
    journal.store.append(Append(records=tuple(records), at_ms=T0_MS))
    return journal


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when the condition holds; it is asked again and again for 20 s."""
    async with asyncio.timeout(20):
        while not await condition():
            pass


async def carried(journal: Journal, position: int) -> bool:
    return (await journal.history_cursor()).position == position


async def test_a_real_journal_is_carried_into_a_real_file(tmp_path: Path) -> None:
    makers: list[Make] = [started, good, undecodable, tick, status, *[good] * 3_000]
    journal = real_journal(tmp_path / "journal", made(*makers))
    history = EmbeddedHistory(tmp_path / "history.db")
    work = asyncio.create_task(keeper(journal, history, clock=_Clock()).run())
    await until(partial(carried, journal, len(makers)))
    work.cancel()
    await asyncio.wait((work,))
    assert await history.count("meter") == await history.count("usage") == 3_001
    assert await history.count("status") == 1
    assert journal.store.tallies() == {
        ("stored", "usage"): 3_001,
        ("stored", "status"): 1,
        ("dead_lettered", "usage"): 1,
    }
    await history.close()
    journal.close()


@pytest.mark.system
async def test_a_real_influxdb_that_is_dropped_and_made_anew_holds_all_a_minute_later(tmp_path: Path) -> None:
    makers = (good, undecodable, status, *[good] * 500)
    journal, clock = real_journal(tmp_path / "journal", made(*makers)), _Clock()
    async with running_influx(tmp_path / "influx") as server:
        history = influx_history(server)
        consumer = keeper(journal, history, clock=clock, records_at_once=100)
        work = asyncio.create_task(consumer.run())
        await until(partial(carried, journal, len(makers)))
        before = await held(server, "meter")
        await server.query("DROP DATABASE hourmeter")
        await server.create("hourmeter")
        clock.ms += MINUTE_MS
        last = len(makers)
        await journal.write(journal.store.append, Append(records=(status(last),), at_ms=T0_MS))

        async def again() -> bool:
            return await carried(journal, last + 1) and consumer.rewinds == 1

        await until(again)
        work.cancel()
        await asyncio.wait((work,))
        assert await held(server, "meter") == before
        assert len(before) == 501
        assert await history.count("status") == 2
        assert journal.store.tallies()["stored", "usage"] == 501
        assert journal.store.tallies()["dead_lettered", "usage"] == 1
        await history.close()
    journal.close()
