"""One device under supervision: polls, commits, states, stalls, bugs, ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from adapters.contract import Answer, Heard, Outcome
from adapters.host.devices import Device
from adapters.host.lanes import Lane, Room, Unsent
from adapters.host.outbox import Outbox, OutboxFull, open_outbox
from telemetry.errors import SettingsError, Unavailable
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Condition,
    Message,
    Metric,
    Metrics,
    OperatingState,
    Phase,
    Priority,
    Quantity,
    Status,
    Strength,
    Usage,
    decode,
)
from tests.adapters.host.fakes import ALIAS, FakeAdapter, FakeLine, FakeTransport, StillClock, dice, until


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def outbox(tmp_path: Path, clock: StillClock) -> AsyncIterator[Outbox]:
    async with open_outbox(tmp_path / "outbox", machine="m", clock=clock, rng=dice(1)) as opened:
        yield opened


async def no_pause(seconds: float) -> None:
    """Retry at once, but let others run."""
    del seconds
    await asyncio.sleep(0.001)


def device(
    outbox: Outbox,
    clock: StillClock,
    *lines: FakeLine | Exception,
    make: Callable[[], FakeAdapter] = FakeAdapter,
    answer_s: float = 10,
) -> Device:
    return Device(
        name="vent-1",
        protocol="fake",
        poll_s=60,
        transport=FakeTransport(*lines),
        make=make,
        outbox=outbox,
        clock=clock,
        rng=dice(2),
        answer_s=answer_s,
        pause=no_pause,
        publisher="hn01-a",
    )


@asynccontextmanager
async def running(one: Device) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(one.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def said(outbox: Outbox) -> list[Message]:
    held = [one for lane in Lane for one in await outbox.take(lane, after=("", 0), window=9_999, limit=9_999)]
    return [decode(one.payload) for one in held]


async def states(outbox: Outbox) -> list[tuple[str, str]]:
    return [(m.body.link.value, m.body.reason) for m in await said(outbox) if isinstance(m.body, Status)]


async def test_the_next_poll_waits_until_the_reading_is_on_disk_and_the_period_is_over(
    outbox: Outbox, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, on_disk = FakeLine(), asyncio.Event()
    put_many = outbox.put_many

    async def slow(messages: Sequence[Unsent]) -> None:
        await on_disk.wait()
        await put_many(messages)

    monkeypatch.setattr(outbox, "put_many", slow)
    one = device(outbox, clock, line)
    async with running(one):
        await until(lambda: line.written == [b"?"])
        line.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 1)
        clock.move(300)
        await asyncio.sleep(0.01)
        assert line.written == [b"?"]
        on_disk.set()
        await until(lambda: line.written == [b"?", b"?"])
        line.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 2 and clock.sleepers == 1)
        clock.move(59)
        await asyncio.sleep(0.01)
        assert len(line.written) == 2
        clock.move(1)
        await until(lambda: len(line.written) == 3)


async def test_a_reading_carries_alias_times_and_boot_and_comes_after_online(
    outbox: Outbox, clock: StillClock
) -> None:
    line = FakeLine()
    one = device(outbox, clock, line)
    async with running(one):
        line.incoming.put_nowait(b"h")
        await until(lambda: outbox.unconfirmed == 2)
        (held,) = await outbox.take(Lane.BULK, after=("", 0), window=9, limit=9)
        status, usage = await said(outbox)
    assert isinstance(usage.body, Usage)
    assert usage.alias == status.alias == ALIAS
    assert usage.observed_at is not None
    assert usage.observed_at.isoformat() == "2023-11-14T22:13:20+00:00"
    assert (held.device, held.kind, held.boot, held.mono_ms) == ("vent-1", "usage", "boot-1", 3_600_000)


async def test_states_are_told_on_change_only(outbox: Outbox, clock: StillClock) -> None:
    line = FakeLine()
    one = device(outbox, clock, line, answer_s=0.005)
    async with running(one):
        for _ in range(3):
            line.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 3)
        for _ in range(6):
            await until(lambda: clock.sleepers == 1)
            clock.move(60)
        await until(lambda: one.health.polls >= 6)
        line.incoming.put_nowait(b"x")
        line.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 4)
        line.incoming.put_nowait(Unavailable("bench", why="the cable is out"))
        await until(lambda: one.health.trouble == "bench: nobody is there")
    assert await states(outbox) == [
        ("online", ""),
        ("mute", "does not answer"),
        ("online", ""),
        ("offline", "bench: the cable is out"),
    ]
    assert line.is_closed
    assert one.health.refusals == 1


async def test_refusals_are_no_reading_and_are_not_quoted(
    outbox: Outbox, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    line = FakeLine()
    one = device(outbox, clock, line, answer_s=0.005)
    async with running(one):
        for _ in range(3):
            line.incoming.put_nowait(b"x")
            await until(lambda: one.health.refusals == one.health.polls and clock.sleepers == 1)
            clock.move(60)
            await until(lambda: one.health.refusals < one.health.polls)
        await until(lambda: outbox.unconfirmed == 1)
    assert (await states(outbox))[0] == ("mute", "does not answer")
    assert "vent-1: refused at byte 2: no reading" in caplog.text


async def test_before_anything_is_heard_the_port_is_the_alias(outbox: Outbox, clock: StillClock) -> None:
    one = device(outbox, clock)
    async with running(one):
        await until(lambda: outbox.unconfirmed == 1)
        (message,) = await said(outbox)
    assert message.alias is not None
    assert (message.alias.protocol, message.alias.namespace, message.alias.identifier) == (
        "fake",
        "port",
        "hn01-a/vent-1",
    )
    assert message.alias.strength == Strength.WEAK
    assert await states(outbox) == [("offline", "bench: nobody is there")]


async def test_a_bug_in_the_adapter_begins_anew_with_a_new_adapter_and_is_counted(
    outbox: Outbox, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[FakeAdapter] = []

    def make() -> FakeAdapter:
        made.append(FakeAdapter())
        return made[-1]

    first, second = FakeLine(), FakeLine()
    one = device(outbox, clock, first, second, make=make)
    async with running(one):
        first.incoming.put_nowait(b"!")
        second.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 1)
    assert (one.health.faults, len(made)) == (1, 2)
    assert "ZeroDivisionError" in caplog.text
    assert (await states(outbox))[0] == ("offline", "fault in hourmeter")


async def test_settings_that_lead_nowhere_are_said_and_tried_again(
    outbox: Outbox, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = SettingsError(where="replay", found="no such file", expected="name a capture file")
    line = FakeLine()
    one = device(outbox, clock, wrong, wrong, line)
    async with running(one):
        line.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 1)
    assert caplog.text.count("name a capture file") == 1
    assert "Traceback" not in caplog.text


async def test_the_end_of_all_input_ends_the_device_politely(outbox: Outbox, clock: StillClock) -> None:
    line = FakeLine()
    line.incoming.put_nowait(b"hh")
    line.incoming.put_nowait(b"")
    one = device(outbox, clock, line)
    async with asyncio.timeout(10):
        await one.run()
    assert await states(outbox) == [("online", ""), ("offline", "end of input")]
    assert one.health.links == 1
    assert line.is_closed


async def test_a_stop_says_offline(outbox: Outbox, clock: StillClock) -> None:
    line = FakeLine()
    one = device(outbox, clock, line)
    async with running(one):
        line.incoming.put_nowait(b"h")
        await until(lambda: outbox.unconfirmed == 2)
    assert await states(outbox) == [("online", ""), ("offline", "host stopped")]
    assert line.is_closed


async def test_without_room_nothing_heard_is_dropped_and_polling_stops(
    tmp_path: Path, clock: StillClock
) -> None:
    line = FakeLine()
    room = Room(max_bytes=1_500, reserve_bytes=0)
    async with open_outbox(tmp_path / "small", machine="m", clock=clock, rng=dice(1), room=room) as outbox:
        filler = Unsent("other", "usage", b"-" * 1_300, "boot-1", 1)
        await outbox.put_many([filler])
        one = device(outbox, clock, line)
        async with running(one):
            line.incoming.put_nowait(b"h")
            await until(lambda: one.health.stalls >= 3)
            clock.move(3_600)
            assert line.written == [b"?"]
            assert "is full" in one.health.stalled
            with pytest.raises(OutboxFull):
                await outbox.put_many([filler])
            (held,) = await outbox.take(Lane.BULK, after=("", 0), window=9, limit=9)
            await outbox.confirm("e", {held.stream: 1})
            await until(lambda: outbox.unconfirmed == 2)
            await until(lambda: len(line.written) == 2)
            assert one.health.stalled == ""


class Chatty(FakeAdapter):
    """Greets, answers every piece, and speaks by itself."""

    def connected(self) -> tuple[Outcome, ...]:
        """A greeting that must be sent."""
        return (Answer(b"hello"),)

    def poll(self) -> bytes:
        """It need not be asked."""
        return b""

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """An answer between two readings."""
        heard = super().feed(data)
        return (*heard, Answer(b"ack"), *heard)


async def test_a_device_that_speaks_by_itself_is_greeted_answered_and_never_polled(
    outbox: Outbox, clock: StillClock
) -> None:
    line = FakeLine()
    one = device(outbox, clock, line, make=Chatty)
    async with running(one):
        line.incoming.put_nowait(b"h")
        await until(lambda: outbox.unconfirmed == 3)
        assert line.written == [b"hello", b"ack"]
        assert one.health.polls == 0
        for _ in range(4):
            await until(lambda: clock.sleepers == 1)
            clock.move(60)
        await until(lambda: outbox.unconfirmed == 4)
        assert (await states(outbox))[-1] == ("mute", "does not answer")


async def test_what_was_heard_is_kept_although_its_answer_cannot_be_sent(
    outbox: Outbox, clock: StillClock
) -> None:
    class Deaf(FakeLine):
        async def write(self, data: bytes) -> None:
            if data == b"ack":
                raise Unavailable("bench", why="the other side closed the link")

    line = Deaf()
    one = device(outbox, clock, line, make=Chatty)
    async with running(one):
        line.incoming.put_nowait(b"h")
        await until(lambda: one.health.trouble != "" and outbox.unconfirmed == 4)
    assert sum(isinstance(message.body, Usage) for message in await said(outbox)) == 2


async def test_a_message_too_large_to_carry_is_refused_alone(outbox: Outbox, clock: StillClock) -> None:
    class Verbose(FakeAdapter):
        def feed(self, data: bytes) -> tuple[Outcome, ...]:
            (heard,) = super().feed(data)
            assert isinstance(heard, Heard)
            huge = Metrics.model_construct(
                values=tuple([Metric(quantity=Quantity.BATTERY_VOLTAGE_V, value=1.0)] * 2_000)
            )
            usage = Usage(state=OperatingState.STANDBY, period_s=60)
            return (Heard(heard.alias, None, (huge, usage), 0),)

    line = FakeLine()
    one = device(outbox, clock, line, make=Verbose)
    async with running(one):
        line.incoming.put_nowait(b"h")
        await until(lambda: outbox.unconfirmed == 2)
        assert one.health.refusals == 1
        assert one.health.faults == 0


class Alarming(FakeAdapter):
    """Tells the same first alarm in every life, and meets a bug of its own at `!`."""

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """An alarm for each piece."""
        super().feed(data)
        alarm = Alarm(
            key="4B//1",
            code="4B",
            text="battery",
            alarm_kind=AlarmKind.TECHNICAL,
            priority=Priority.HIGH,
            phase=Phase.START,
            condition=Condition.ACTIVE,
        )
        return (Heard(ALIAS, None, (alarm,), self.fed - 1),)


async def test_an_adapter_that_begins_anew_never_repeats_a_key(outbox: Outbox, clock: StillClock) -> None:
    first, second = FakeLine(), FakeLine()
    one = device(outbox, clock, first, second, make=Alarming)
    async with running(one):
        first.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 1)
        first.incoming.put_nowait(b"!")
        await until(lambda: one.health.links == 2)
        second.incoming.put_nowait(b"h")
        await until(lambda: one.health.heard == 2)
    keys = [message.body.key for message in await said(outbox) if isinstance(message.body, Alarm)]
    assert len(set(keys)) == 2
    assert all(key.endswith("/4B//1") for key in keys)
