"""The rules consumer: whatever dies between two steps, the same tickets; one concluder; exact replay."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest

from collector.conclude import CHECKPOINT_MS, NEWS_MS, Concluder, conclude, resume, sync_registry
from collector.cursors import Cursor, CursorError
from collector.ledger import AnotherConcluderError, Applied, Ledger, LedgerInput, Progress, open_ledger
from rules.engine import Engine
from rules.inputs import AcknowledgeTicket, CloseTicket
from rules.state import Changes, State
from rules.tickets import Ticket, TicketEvent
from telemetry.errors import Unavailable
from telemetry.records import Journaled, Record, Tick
from tests.collector.conftest import Place, Places
from tests.rules.scene import BEGIN, Kept, registry, rules_in_force
from tests.rules.test_replay import history

RECORDS: tuple[Record, ...] = tuple(
    step._replace(position=position)
    for position, step in enumerate(step for step in history(2) if isinstance(step, Record))
)


@dataclass
class FakeJournal:
    """Records in a list; the first ones may have been pruned."""

    records: list[Record] = field(default_factory=lambda: list(RECORDS))
    epoch: str = "epoch"
    pruned: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, position: int, *, limit: int) -> tuple[Record, ...]:
        """Records from there on."""
        return tuple(self.records[position : position + limit])

    async def head(self) -> int:
        """Where the next one will stand."""
        return len(self.records)

    async def first(self) -> int:
        """The oldest one kept."""
        return self.pruned

    async def wait(self, position: int) -> None:
        """Until a record stands there."""
        while len(self.records) <= position:
            self.more.clear()
            await self.more.wait()

    def append(self, record: Record) -> None:
        """One more record."""
        self.records.append(record)
        self.more.set()


class Died(Exception):  # noqa: N818 - not an error: the end of a process in a test
    """The process was killed."""


@dataclass
class Watched:
    """A real ledger whose commits a test meddles with."""

    ledger: Ledger

    async def load(self) -> tuple[State, Progress | None]:
        """As the ledger says."""
        return await self.ledger.load()

    async def inputs_after(self, last: int, *, limit: int) -> tuple[LedgerInput, ...]:
        """As the ledger says."""
        return await self.ledger.inputs_after(last, limit=limit)


@dataclass
class Mortal(Watched):
    """A ledger whose process dies before or after the commit of that number."""

    dies_at: int = 1
    after: bool = False
    commits: int = 0

    async def commit(
        self, changes: Changes, *, expected: Progress | None, progress: Progress, applied: tuple[Applied, ...]
    ) -> None:
        """Commit, unless death comes first."""
        self.commits += 1
        if self.commits == self.dies_at and not self.after:
            raise Died
        await self.ledger.commit(changes, expected=expected, progress=progress, applied=applied)
        if self.commits == self.dies_at:
            raise Died


def ever_later() -> Callable[[], int]:
    """A monotonic clock on which a checkpoint is due at each look."""
    return count(CHECKPOINT_MS, CHECKPOINT_MS).__next__


async def run_all(concluder: Concluder) -> None:
    while await concluder.step():
        pass
    await concluder.settle()


async def outcome(ledger: Ledger) -> tuple[tuple[Ticket, ...], list[tuple[TicketEvent, ...]]]:
    tickets = await ledger.tickets(open_only=False)
    found = [await ledger.ticket(ticket.id) for ticket in tickets]
    return tickets, [one[1] for one in found if one is not None]


async def prepared(ledger: Ledger) -> None:
    await sync_registry(ledger, rules_in_force(), registry())


async def test_killed_before_or_after_any_commit_the_same_tickets_follow(places: Places) -> None:
    async with open_ledger(await places()) as ledger:
        await prepared(ledger)
        await run_all(await resume(FakeJournal(), ledger, mono_ms=ever_later()))
        expected = await outcome(ledger)
        expected_state, _ = await ledger.load()
    assert len(expected[0]) >= 2
    rng = random.Random(1)  # noqa: S311 - when to die is no secret
    async with open_ledger(await places()) as ledger:
        await prepared(ledger)
        deaths = 0
        while True:
            mortal = Mortal(ledger, dies_at=rng.randint(1, 4), after=rng.random() < 0.5)
            concluder = await resume(FakeJournal(), mortal, batch=rng.randint(1, 9), mono_ms=ever_later())
            try:
                await run_all(concluder)
            except Died:
                deaths += 1
            else:
                break
        assert deaths > 20
        assert await outcome(ledger) == expected
        assert (await ledger.load())[0] == expected_state


@dataclass
class Counting(Watched):
    """A ledger that notes what each commit held."""

    committed: list[tuple[int, bool]] = field(default_factory=list)

    async def commit(
        self, changes: Changes, *, expected: Progress | None, progress: Progress, applied: tuple[Applied, ...]
    ) -> None:
        """Commit, and note the position and whether it was about tickets."""
        await self.ledger.commit(changes, expected=expected, progress=progress, applied=applied)
        self.committed.append((progress.cursor.position, bool(changes.tickets)))


async def test_tickets_are_committed_at_once_and_all_else_every_few_seconds(place: Place) -> None:
    async with open_ledger(place) as ledger:
        await prepared(ledger)
        spoken = [record for record in RECORDS if isinstance(record, Journaled)]
        records = [record._replace(position=position) for position, record in enumerate(spoken)]
        counting, journal, time_ms = Counting(ledger), FakeJournal(records=list(records)), [0]
        concluder = await resume(journal, counting, mono_ms=lambda: time_ms[0], batch=1)
        steps = 0
        while await concluder.step():
            steps += 1
            time_ms[0] += NEWS_MS if concluder.stored == concluder.progress else 1
            assert concluder.progress.cursor.position == steps
        first, *others = counting.committed
        assert first[1] is False, "what stood in the registry, with the inputs"
        assert others
        assert all(about_tickets for _, about_tickets in others)
        assert len(counting.committed) < steps / 3
        stood = concluder.stored
        time_ms[0] += CHECKPOINT_MS
        journal.append(Tick(steps, BEGIN))
        assert await concluder.step()
        assert concluder.stored == concluder.progress != stood
        assert not await concluder.step()
        await concluder.settle()
        assert counting.committed[-1] == (steps + 1, False)
        time_ms[0] += NEWS_MS
        journal.append(Tick(steps + 1, BEGIN + 1_000))
        assert await concluder.step()
        assert counting.committed[-1] == (steps + 2, False), "a second has passed without a message"


async def test_a_second_concluder_is_refused(place: Place) -> None:
    async with open_ledger(place) as ledger:
        await prepared(ledger)
        journal = FakeJournal()
        one, two = (
            await resume(journal, ledger, batch=10, mono_ms=ever_later()),
            await resume(journal, ledger, batch=10, mono_ms=ever_later()),
        )
        assert await one.step()
        with pytest.raises(AnotherConcluderError):
            await two.step()
        await run_all(one)


async def test_inputs_replay_exactly_from_the_positions_written_down(place: Place) -> None:
    rng = random.Random(3)  # noqa: S311 - when people speak is no secret
    async with open_ledger(place) as ledger:
        await prepared(ledger)
        concluder = await resume(FakeJournal(), ledger, batch=7, mono_ms=ever_later())
        for number in count():
            if rng.random() < 0.3:
                ticket = f"T-{rng.randint(1, 4)}"
                at_ms = BEGIN + number * 7 * 3_600_000
                reading = rng.choice((None, 240.0))
                said = CloseTicket(at_ms=at_ms, ticket=ticket, by="An", reading=reading)
                seen = AcknowledgeTicket(at_ms=at_ms, ticket=ticket, by="An")
                await ledger.append_input(rng.choice((said, seen)))
            if concluder.progress.cursor.position == len(RECORDS):
                break
            await concluder.step()
        await run_all(concluder)
        expected = await outcome(ledger)
        inputs = await ledger.inputs_after(0, limit=10_000)
    assert {bool(line.refused) for line in inputs} == {True, False}
    engine, kept = Engine(State()), Kept()
    for record in RECORDS:
        for line in inputs:
            if line.applied_at == Cursor("epoch", record.position):
                assert engine.take(line.said) == line.refused
        engine.apply(record)
    for line in inputs:
        if line.applied_at == Cursor("epoch", len(RECORDS)):
            assert engine.take(line.said) == line.refused
    kept.keep(engine.changes())
    assert tuple(kept.tickets.values()) == expected[0]
    assert sorted(kept.events, key=lambda e: (e.ticket, e.number)) == [e for es in expected[1] for e in es]


@pytest.mark.parametrize("change", [{"epoch": "restored"}, {"pruned": 100}, {"records": []}])
async def test_a_cursor_that_the_journal_cannot_answer_stops(place: Place, change: dict[str, object]) -> None:
    async with open_ledger(place) as ledger:
        await (await resume(FakeJournal(), ledger, batch=10, mono_ms=ever_later())).step()
        journal = FakeJournal()
        for name, value in change.items():
            setattr(journal, name, value)
        with pytest.raises(CursorError, match="rewind rules"):
            await resume(journal, ledger, mono_ms=ever_later())


async def test_a_new_ledger_begins_at_the_first_record_kept(place: Place) -> None:
    async with open_ledger(place) as ledger:
        concluder = await resume(FakeJournal(pruned=100), ledger, batch=10, mono_ms=ever_later())
        await concluder.step()
        assert concluder.progress.cursor == Cursor("epoch", 110)


@dataclass
class FakeClock:
    """Sleeps at once, and remembers."""

    slept: list[float] = field(default_factory=list)
    later: Iterator[int] = field(default_factory=lambda: count(CHECKPOINT_MS, CHECKPOINT_MS))

    def now_ms(self) -> int:
        """Never asked."""
        return BEGIN

    def mono_ms(self) -> int:
        """Ever later."""
        return next(self.later)

    def boot(self) -> str:
        """Never asked."""
        return "boot"

    async def sleep(self, seconds: float) -> None:
        """Let others run."""
        self.slept.append(seconds)
        await asyncio.sleep(0)


@dataclass
class Stormy(Watched):
    """A ledger that is not to be had at first."""

    storms: int = 0

    async def commit(
        self, changes: Changes, *, expected: Progress | None, progress: Progress, applied: tuple[Applied, ...]
    ) -> None:
        """Commit, after some storms."""
        if self.storms:
            self.storms -= 1
            raise Unavailable("ledger", why="database is locked")
        await self.ledger.commit(changes, expected=expected, progress=progress, applied=applied)


async def test_bad_weather_is_waited_out_and_inputs_are_taken_while_it_runs(place: Place) -> None:
    journal, clock = FakeJournal(records=list(RECORDS[:-1])), FakeClock()
    passed: list[Cursor] = []
    caught_up = asyncio.Event()

    journal_storms = [1]

    async def told(cursor: Cursor) -> None:
        if journal_storms:
            journal_storms.pop()
            raise Unavailable("journal", why="no space left")
        passed.append(cursor)
        caught_up.set()

    async with open_ledger(place) as ledger, asyncio.timeout(60):
        await prepared(ledger)
        task = asyncio.create_task(
            conclude(journal, Stormy(ledger, storms=3), clock=clock, rng=random.Random(1), passed=told)  # noqa: S311 - jitter
        )
        while not passed or passed[-1].position < len(journal.records):
            caught_up.clear()
            await caught_up.wait()
        number = await ledger.append_input(AcknowledgeTicket(at_ms=BEGIN, ticket="T-1", by="An"))
        journal.append(RECORDS[-1])
        while passed[-1].position < len(RECORDS):
            caught_up.clear()
            await caught_up.wait()
        line = await ledger.input(number)
        assert line is not None
        assert line.applied_at == Cursor("epoch", len(RECORDS) - 1)
        messages = sum(isinstance(record, Journaled) for record in RECORDS)
        assert sum((await ledger.counters()).values()) == messages, "each concluded once"
        assert len(clock.slept) == 4
        assert max(clock.slept) <= 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
