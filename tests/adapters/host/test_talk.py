"""A device that is owed words in time: it gets them whatever happens behind, and a farewell."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from adapters.contract import Answer, Conversing, Outcome
from adapters.host import device_intake, talk
from adapters.host.devices import Device
from adapters.host.lanes import Lane, Unsent
from adapters.host.outbox import Outbox, open_outbox
from telemetry.errors import Unavailable
from telemetry.messages import Status, Usage, decode
from tests.adapters.host.fakes import FakeAdapter, FakeLine, FakeTransport, StillClock, dice, until

NOP_S = 2.0


class Nagging(FakeAdapter):
    """Answers each piece, and says NOP when it was silent for two seconds; asks when it is not busy."""

    def __init__(self) -> None:
        super().__init__()
        self.silent_s = 0.0
        self.passed_s = 0.0
        self.is_busy = False

    def connected(self) -> tuple[Outcome, ...]:
        """Greet."""
        self.silent_s = 0.0
        return (Answer(b"hello"),)

    def poll(self) -> bytes:
        """Ask, unless the conversation is busy."""
        return b"" if self.is_busy else b"?"

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """Acknowledge, then what was heard."""
        self.silent_s = 0.0
        return (Answer(b"ack"), *super().feed(data))

    def due_s(self) -> float | None:
        """Time left until the next NOP."""
        return NOP_S - self.silent_s

    def elapsed(self, seconds: float) -> tuple[Outcome, ...]:
        """A NOP for each two seconds."""
        self.passed_s += seconds
        self.silent_s += seconds
        if self.silent_s < NOP_S:
            return ()
        self.silent_s = 0.0
        return (Answer(b"nop"),)

    def farewell(self) -> bytes:
        """Stop."""
        return b"stop"


class Hung:
    """An outbox whose disk does not come back until it is let go."""

    def __init__(self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        self.released = asyncio.Event()
        self._put_many = outbox.put_many
        monkeypatch.setattr(outbox, "put_many", self.put_many)

    async def put_many(self, messages: Sequence[Unsent]) -> None:
        """Wait, then put."""
        await self.released.wait()
        await self._put_many(messages)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def outbox(tmp_path: Path, clock: StillClock) -> AsyncIterator[Outbox]:
    async with open_outbox(tmp_path / "outbox", machine="m", clock=clock, rng=dice(1)) as opened:
        yield opened


async def no_pause(seconds: float) -> None:
    del seconds
    await asyncio.sleep(0.001)


@asynccontextmanager
async def talking(
    outbox: Outbox,
    clock: StillClock,
    *lines: FakeLine,
    make: Callable[[], FakeAdapter] = Nagging,
    ending: asyncio.Event | None = None,
) -> AsyncIterator[Device]:
    transport = FakeTransport(*lines)
    one = Device(
        "vent-1",
        "fake",
        60,
        transport,
        make,
        outbox,
        clock,
        dice(2),
        answer_s=10,
        pause=no_pause,
        publisher="hn01-a",
    )
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        if ending is not None:
            ending.set()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def statuses(outbox: Outbox) -> list[tuple[str, str]]:
    held = await outbox.take(Lane.URGENT, after=("", 0), window=9_999, limit=9_999)
    bodies = [decode(one.payload).body for one in held]
    return [(body.link.value, body.reason) for body in bodies if isinstance(body, Status)]


async def usages(outbox: Outbox) -> int:
    held = await outbox.take(Lane.BULK, after=("", 0), window=9_999, limit=9_999)
    return sum(isinstance(decode(one.payload).body, Usage) for one in held)


def test_the_stand_in_is_one_that_is_owed_words() -> None:
    assert isinstance(Nagging(), Conversing)
    assert not isinstance(FakeAdapter(), Conversing)


async def test_time_is_told_as_the_clock_goes_and_what_is_due_is_sent(
    outbox: Outbox, clock: StillClock
) -> None:
    line, adapter = FakeLine(), Nagging()
    async with talking(outbox, clock, line, make=lambda: adapter):
        await until(lambda: line.written == [b"hello", b"?"])
        for count in range(1, 4):
            await until(lambda: clock.sleepers >= 1)
            clock.move(1.9)
            await asyncio.sleep(0.005)
            assert line.written.count(b"nop") == count - 1
            clock.move(0.1)
            await until(lambda count=count: line.written.count(b"nop") == count)  # type: ignore[misc] # bound
        assert adapter.passed_s == pytest.approx(6.0)
        clock.move(1.5)
        line.incoming.put_nowait(b"h")
        await until(lambda: line.written[-1] == b"ack")
        assert adapter.passed_s == pytest.approx(7.5), "time is told before bytes are fed"


async def test_a_disk_that_hangs_delays_polls_and_nothing_else(
    outbox: Outbox, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung, line = Hung(outbox, monkeypatch), FakeLine()
    async with talking(outbox, clock, line, ending=hung.released) as one:
        await until(lambda: line.written == [b"hello", b"?"])
        line.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 1)
        for _ in range(100):  # more than three polls' time
            await until(lambda: clock.sleepers >= 1)
            said = len(line.written)
            clock.move(NOP_S)
            await until(lambda said=said: len(line.written) > said)  # type: ignore[misc] # bound
        line.incoming.put_nowait(b"hh")
        await until(lambda: one.health.heard == 3)
        assert line.written[:3] == [b"hello", b"?", b"ack"]
        assert line.written.count(b"?") == 1
        assert line.written[-1] == b"ack"
        hung.released.set()
        await until(lambda: line.written.count(b"?") == 2)
        assert await usages(outbox) == 3
        assert one.health.lost == 0


async def test_without_room_it_is_talked_to_and_what_is_lost_is_counted_and_heard_anew(
    outbox: Outbox, clock: StillClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory is bounded; afterwards the device is heard from the beginning, by a new adapter."""
    monkeypatch.setattr(device_intake, "MOST_WAITING", 10)
    hung, first, second = Hung(outbox, monkeypatch), FakeLine(), FakeLine()
    made: list[Nagging] = []

    def make() -> FakeAdapter:
        made.append(Nagging())
        return made[-1]

    async with talking(outbox, clock, first, second, make=make, ending=hung.released) as one:
        await until(lambda: first.written == [b"hello", b"?"])
        for count in range(1, 31):
            first.incoming.put_nowait(b"h")
            await until(lambda count=count: first.written.count(b"ack") == count)  # type: ignore[misc] # bound
        assert one.health.heard == 30
        assert one.health.lost == 30 + 1 - 10
        await until(lambda: clock.sleepers >= 1)
        clock.move(60)
        hung.released.set()
        await until(lambda: second.written[:2] == [b"hello", b"?"])
        assert first.written[-1] == b"stop"
        assert first.is_closed
        assert len(made) == 2
        second.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 31)
        await until(lambda: outbox.unconfirmed == 10 + 1 + 2)
        assert (one.health.lost, one.health.links) == (21, 2)
    assert await statuses(outbox) == [
        ("online", ""),
        ("offline", "bench: what it said found no room and was lost; it is heard anew"),
        ("online", ""),
        ("offline", "host stopped"),
    ]
    assert caplog.text.count("messages are lost") == 1


async def test_an_orderly_stop_says_farewell_before_the_link_is_closed(
    outbox: Outbox, clock: StillClock
) -> None:
    class Late(FakeLine):
        async def close(self) -> None:
            assert self.written[-1] == b"stop"
            await super().close()

    line = Late()
    async with talking(outbox, clock, line):
        line.incoming.put_nowait(b"h")
        await until(lambda: outbox.unconfirmed == 2)
    assert line.written.count(b"stop") == 1
    assert line.is_closed
    assert await statuses(outbox) == [("online", ""), ("offline", "host stopped")]


async def test_a_link_that_is_lost_gets_no_farewell_and_the_next_one_its_greeting(
    outbox: Outbox, clock: StillClock
) -> None:
    first, second, adapter = FakeLine(), FakeLine(), Nagging()
    async with talking(outbox, clock, first, second, make=lambda: adapter):
        first.incoming.put_nowait(b"h")
        await until(lambda: outbox.unconfirmed == 2)
        clock.move(1.5)
        first.incoming.put_nowait(Unavailable("bench", why="the cable is out"))
        await until(lambda: second.written == [b"hello", b"?"])
        assert b"stop" not in first.written
        told_s = adapter.passed_s
        clock.move(1.5)
        second.incoming.put_nowait(b"h")
        await until(lambda: second.written[-1] == b"ack")
        assert adapter.passed_s - told_s == pytest.approx(1.5), "time between links is nobody's"
    assert await statuses(outbox) == [
        ("online", ""),
        ("offline", "bench: the cable is out"),
        ("online", ""),
        ("offline", "host stopped"),
    ]


async def test_what_came_before_a_word_that_cannot_be_sent_is_heard(
    outbox: Outbox, clock: StillClock
) -> None:
    class Deaf(FakeLine):
        async def write(self, data: bytes) -> None:
            if data == b"nop":
                raise Unavailable("bench", why="the cable is out")
            await super().write(data)

    class Late(Nagging):
        def due_s(self) -> float | None:
            return None

    line = Deaf()
    async with talking(outbox, clock, line, make=Late) as one:
        await until(lambda: line.written == [b"hello", b"?"])
        clock.move(NOP_S)
        line.incoming.put_nowait(b"h")
        await until(lambda: line.is_closed)
        assert one.health.heard == 1
    assert await usages(outbox) == 1


async def test_a_busy_conversation_is_not_polled_and_no_poll_is_counted(
    outbox: Outbox, clock: StillClock
) -> None:
    adapter = Nagging()
    adapter.is_busy = True
    line = FakeLine()
    async with talking(outbox, clock, line, make=lambda: adapter) as one:
        await until(lambda: line.written == [b"hello"] and clock.sleepers == 2)
        line.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 1)
        assert one.health.polls == 0
        adapter.is_busy = False
        await until(lambda: clock.sleepers == 2)
        clock.move(60)
        await until(lambda: one.health.polls == 1)


async def test_a_peer_that_takes_nothing_is_a_lost_link(
    outbox: Outbox, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck(FakeLine):
        async def write(self, data: bytes) -> None:
            if data == b"?":
                await asyncio.Event().wait()
            await super().write(data)

    monkeypatch.setattr(talk, "TAKE_S", 0.01)
    line = Stuck()
    async with talking(outbox, clock, line) as one:
        await until(lambda: line.is_closed)
        await until(lambda: outbox.unconfirmed == 1)
        assert one.health.state == "offline"
    assert (await statuses(outbox))[0][1].startswith("bench: takes nothing for 0.01 s")


async def test_an_adapter_that_is_due_without_end_starves_nobody(outbox: Outbox, clock: StillClock) -> None:
    class Impatient(Nagging):
        def due_s(self) -> float | None:
            return 0.0

    line, adapter = FakeLine(), Impatient()
    async with talking(outbox, clock, line, make=lambda: adapter) as one:
        line.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 1)
        assert adapter.passed_s == 0.0
        clock.move(0.001)
        await until(lambda: adapter.passed_s > 0)


async def test_many_refusals_of_one_piece_are_one_line(
    outbox: Outbox, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    line = FakeLine()
    async with talking(outbox, clock, line) as one:
        line.incoming.put_nowait(b"x" * 500)
        await until(lambda: one.health.refusals == 500)
    assert caplog.text.count("refused at byte") == 1
    assert "(and 499 more)" in caplog.text


async def test_a_bug_met_on_the_way_out_does_not_keep_the_host_from_stopping(
    outbox: Outbox, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Clinging(Nagging):
        def farewell(self) -> bytes:
            raise ZeroDivisionError

    line = FakeLine()
    async with asyncio.timeout(5), talking(outbox, clock, line, make=Clinging) as one:
        line.incoming.put_nowait(b"h")
        await until(lambda: outbox.unconfirmed == 2)
    assert one.health.faults == 1
    assert "ZeroDivisionError" in caplog.text
    assert line.is_closed
    assert await statuses(outbox) == [("online", ""), ("offline", "host stopped")]


class Unasked(FakeAdapter):
    """Speaks by itself, and is owed nothing."""

    def poll(self) -> bytes:
        """It need not be asked."""
        return b""


async def test_who_is_owed_nothing_is_kept_waiting_and_loses_nothing(
    outbox: Outbox, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_intake, "MOST_WAITING", 3)
    hung, line = Hung(outbox, monkeypatch), FakeLine()
    async with talking(outbox, clock, line, make=Unasked, ending=hung.released) as one:
        for _ in range(10):
            line.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 1)
        for _ in range(50):
            await asyncio.sleep(0)
        assert one.health.heard == 1, "it is not read meanwhile"
        hung.released.set()
        await until(lambda: outbox.unconfirmed == 11)
        assert one.health.lost == 0


async def test_a_link_lost_while_there_was_no_room_is_told_when_there_is(
    outbox: Outbox, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would stand as online for ever, if the device does not come back."""
    monkeypatch.setattr(device_intake, "MOST_WAITING", 10)
    hung, line = Hung(outbox, monkeypatch), FakeLine()
    async with talking(outbox, clock, line, ending=hung.released) as one:
        line.incoming.put_nowait(b"h" * 9)
        await until(lambda: one.health.heard == 9)
        line.incoming.put_nowait(b"h")
        line.incoming.put_nowait(Unavailable("bench", why="the cable is out"))
        await until(lambda: one.health.lost == 2)
        assert one.health.state == "offline"
        hung.released.set()
        await until(lambda: outbox.unconfirmed == 11)
    assert await statuses(outbox) == [("online", ""), ("offline", "bench: nobody is there")]
