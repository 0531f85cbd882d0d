"""The publisher: what it says, in which order, what it sends again, and what it survives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from adapters.host.lanes import Lane, Unsent
from adapters.host.outbox import Outbox, open_outbox
from adapters.host.pace import Pace, backoff_s
from adapters.host.publisher import Publisher
from telemetry.control import Confirmed
from telemetry.errors import SettingsError, Unavailable
from telemetry.messages import LinkState, Status, decode
from tests.adapters.host.fakes import FakeBroker, FakeCollector, StillClock, dice, until

PATIENT = Pace(greet_s=0.05)
HASTY = Pace(resend_s=0.02, resend_most_s=0.04, greet_s=0.01, backoff_first_s=0.001, backoff_most_s=0.002)
STATUS = "hourmeter/1/host-a/_link/status"


def messages(count: int, kind: str = "usage", first: int = 1) -> list[Unsent]:
    return [
        Unsent("vent", kind, b"%s %d" % (kind.encode(), n), "boot-1", n) for n in range(first, first + count)
    ]


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    async with open_outbox(tmp_path / "outbox", machine="m", clock=StillClock(), rng=dice(1)) as opened:
        yield opened


@asynccontextmanager
async def running(outbox: Outbox, broker: FakeBroker, pace: Pace = PATIENT) -> AsyncIterator[Publisher]:
    publisher = Publisher("host-a", outbox, broker, StillClock(), dice(2), pace)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def link_states(broker: FakeBroker) -> list[Status]:
    bodies = [decode(one.payload).body for one in broker.published if one.topic == STATUS]
    return [body for body in bodies if isinstance(body, Status)]


async def test_speaks_of_itself_before_anything_else_and_sends_urgent_first(outbox: Outbox) -> None:
    await outbox.put_many([*messages(3), *messages(2, "alarm")])
    broker = FakeBroker(collector=FakeCollector("e"))
    async with running(outbox, broker):
        async with asyncio.timeout(10):
            await outbox.settled.wait()
    kinds = [one.topic.removeprefix("hourmeter/1/host-a/") for one in broker.published]
    assert kinds[:2] == ["_link/status", "_link/sync"]
    assert [kind for kind in kinds if kind.startswith("vent")] == ["vent/alarm"] * 2 + ["vent/usage"] * 3
    assert [one.retain for one in broker.published[:2]] == [True, False]


async def test_will_birth_and_goodbye_carry_the_same_connection(outbox: Outbox) -> None:
    broker = FakeBroker(collector=FakeCollector("e"))
    async with running(outbox, broker) as publisher:
        await until(lambda: publisher.health.connected)
    birth, goodbye = link_states(broker)
    will = decode(broker.wills[0].payload)
    assert isinstance(will.body, Status)
    assert (birth.link, goodbye.link, will.body.link) == (
        LinkState.ONLINE,
        LinkState.OFFLINE,
        LinkState.OFFLINE,
    )
    assert birth.connection == goodbye.connection == will.body.connection != ""
    assert broker.wills[0].topic == STATUS
    assert will.observed_at is None
    assert not broker.spoken_wills


async def test_a_message_carries_its_own_boot_and_time(outbox: Outbox) -> None:
    await outbox.put_many([Unsent("vent", "identity", b"{}", "an-earlier-boot", 77)])
    broker = FakeBroker(collector=FakeCollector("e"))
    async with running(outbox, broker):
        async with asyncio.timeout(10):
            await outbox.settled.wait()
    (sent,) = broker.sequenced()
    assert dict(sent.properties) | {"stream": ""} == {
        "stream": "",
        "seq": "1",
        "boot": "an-earlier-boot",
        "mono_ms": "77",
    }
    assert sent.retain


async def test_a_puback_alone_lets_nothing_go(outbox: Outbox) -> None:
    await outbox.put_many(messages(5))
    broker = FakeBroker(collector=None)
    async with running(outbox, broker):
        await until(lambda: len(broker.sequenced()) == 5)
    assert outbox.unconfirmed == 5


async def test_what_a_broker_acknowledged_and_lost_is_sent_again(outbox: Outbox) -> None:
    await outbox.put_many(messages(30))
    collector = FakeCollector("e")
    lost: set[tuple[str, int]] = set()

    def loses(message: object) -> bool:
        place = getattr(message, "place", None)
        if place is None or place in lost or place[1] % 3:
            return False
        lost.add(place)
        return True

    broker = FakeBroker(collector=collector, loses=loses)
    async with running(outbox, broker, HASTY) as publisher:
        async with asyncio.timeout(10):
            await outbox.settled.wait()
        assert publisher.health.tally.resent > 0
        assert publisher.health.confirmed == 30
    assert collector.payloads() == [one.payload for one in messages(30)]


async def test_no_more_than_a_window_is_out(outbox: Outbox) -> None:
    await outbox.put_many([*messages(50), *messages(50, "alarm")])
    broker = FakeBroker()
    async with running(outbox, broker, Pace(window=7, greet_s=0.01)):
        await until(lambda: len(broker.sequenced()) == 14)
        marks = {standing.stream: 3 for standing in outbox.standing.values()}
        broker.confirm(Confirmed(epoch="e", streams=marks).model_dump_json().encode())
        await until(lambda: len(broker.sequenced()) == 20)
        assert outbox.standing[Lane.BULK].sent == 10


async def test_an_alarm_waits_behind_no_more_than_what_is_in_flight(outbox: Outbox) -> None:
    await outbox.put_many(messages(100))
    broker = FakeBroker(collector=FakeCollector("e"))
    async with running(outbox, broker, Pace(in_flight=4)) as publisher:
        await until(lambda: publisher.health.connected)
        await until(lambda: len(broker.sequenced()) >= 1)
        broker.pubacks.clear()
        await until(lambda: publisher.health.tally.sent > 4)
        before = len(broker.sequenced())
        await outbox.put_many(messages(1, "alarm"))
        broker.pubacks.set()
        async with asyncio.timeout(10):
            await outbox.settled.wait()
    place = [one.topic.endswith("/alarm") for one in broker.sequenced()].index(True)
    assert place <= before + 2 * 4


async def test_after_a_cut_only_what_is_not_confirmed_comes_again(outbox: Outbox) -> None:
    collector = FakeCollector("e")
    broker = FakeBroker(collector=collector)
    await outbox.put_many(messages(20))
    async with running(outbox, broker, HASTY):
        async with asyncio.timeout(10):
            await outbox.settled.wait()
        broker.collector = None
        await outbox.put_many(messages(10, first=21))
        await until(lambda: len(broker.sequenced()) >= 30)
        broker.collector = collector
        broker.cut()
        async with asyncio.timeout(10):
            await outbox.settled.wait()
    assert collector.payloads() == [one.payload for one in messages(30)]
    again = [one.place for one in broker.sequenced()[20:] if one.place and one.place[1] <= 20]
    assert again == []
    assert len(broker.spoken_wills) == 1


async def test_a_journal_of_another_epoch_gets_the_confirmed_tail_again(outbox: Outbox) -> None:
    broker = FakeBroker(collector=FakeCollector("e1"))
    await outbox.put_many([*messages(20), *messages(5, "fault")])
    async with running(outbox, broker) as publisher:
        async with asyncio.timeout(10):
            await outbox.settled.wait()
        restored = FakeCollector("e2")
        broker.collector = restored
        await outbox.put_many(messages(1, first=21))
        await until(lambda: outbox.unconfirmed == 0 and len(restored.payloads()) == 26)
        assert publisher.health.tally.renewals == 1
    assert sorted(restored.payloads()) == sorted(
        one.payload for one in [*messages(21), *messages(5, "fault")]
    )


async def test_a_mark_beyond_what_was_sent_begins_a_stream_that_supersedes(outbox: Outbox) -> None:
    await outbox.put_many(messages(4))
    old = outbox.standing[Lane.BULK].stream
    broker = FakeBroker()
    broker.confirm(Confirmed(epoch="e", streams={old: 9}).model_dump_json().encode())
    async with running(outbox, broker) as publisher:
        await until(lambda: len(broker.sequenced()) == 4)
        assert publisher.health.tally.refused_confirmations == 1
    new = outbox.standing[Lane.BULK].stream
    assert new != old
    assert [one.place for one in broker.sequenced()] == [(new, seq) for seq in range(1, 5)]
    assert [one.payload for one in broker.sequenced()] == [one.payload for one in messages(4)]


async def test_the_sync_names_the_stream_that_is_superseded(outbox: Outbox) -> None:
    await outbox.put_many(messages(4))
    broker = FakeBroker()
    async with running(outbox, broker, Pace(greet_s=0.01)):
        await until(lambda: len(broker.sequenced()) == 4)
        old = outbox.standing[Lane.BULK].stream
        broker.confirm(Confirmed(epoch="e", streams={old: 9}).model_dump_json().encode())
        await until(lambda: len(broker.syncs()) == 2)
    lanes = {lane.stream: lane for lane in broker.syncs()[1].streams}
    lane = lanes[outbox.standing[Lane.BULK].stream]
    assert (lane.supersedes, lane.held_from) == (old, 1)


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"\xff\xfe", b'{"epoch": "e", "streams": {"b": -1}}', b"[" * 500]
)
async def test_a_garbled_confirmation_is_counted_and_changes_nothing(outbox: Outbox, payload: bytes) -> None:
    await outbox.put_many(messages(2))
    broker = FakeBroker()
    async with running(outbox, broker, Pace(greet_s=0.01)) as publisher:
        await until(lambda: len(broker.sequenced()) == 2)
        broker.confirm(payload)
        await until(lambda: publisher.health.tally.refused_confirmations == 1)
        assert publisher.health.connected
    assert outbox.unconfirmed == 2


async def test_a_confirmation_of_strangers_changes_nothing(outbox: Outbox) -> None:
    await outbox.put_many(messages(2))
    broker = FakeBroker()
    async with running(outbox, broker, Pace(greet_s=0.01)):
        await until(lambda: len(broker.sequenced()) == 2)
        broker.confirm(Confirmed(epoch="e", streams={"b-stranger": 10**17}).model_dump_json().encode())
        broker.confirm(b"")
        await until(lambda: broker.line is not None and broker.line.inbox.empty())
    assert outbox.unconfirmed == 2


async def test_a_refusal_at_the_first_connection_is_raised(outbox: Outbox) -> None:
    refusal = SettingsError(where="broker", found="refuses user", expected="check the password")
    publisher = Publisher("host-a", outbox, FakeBroker(refusals=[refusal]), StillClock(), dice(1))
    with pytest.raises(SettingsError, match="check the password"):
        await publisher.run()


async def test_a_refusal_after_an_accepted_connection_is_waited_out(outbox: Outbox) -> None:
    broker = FakeBroker(collector=FakeCollector("e"))
    async with running(outbox, broker, HASTY) as publisher:
        await until(lambda: publisher.health.connected)
        broker.refusals = [SettingsError(where="broker", found="refuses user", expected="check it")] * 3
        broker.cut()
        await until(lambda: publisher.health.tally.connections == 2)
        assert not broker.refusals


async def test_back_off_doubles_with_jitter_up_to_its_bound(outbox: Outbox) -> None:
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    broker = FakeBroker(
        refusals=[Unavailable("broker", why="away") for _ in range(9)], collector=FakeCollector("e")
    )
    publisher = Publisher("host-a", outbox, broker, StillClock(), dice(3), PATIENT, pause)
    task = asyncio.create_task(publisher.run())
    await until(lambda: publisher.health.connected)
    task.cancel()
    bounds = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len({wait / bound for wait, bound in zip(waits, bounds, strict=True)}) == 9


def test_back_off_never_overflows() -> None:
    assert 15 <= backoff_s(10**6, first_s=1, most_s=30, rng=dice(1)) <= 30


async def test_sync_is_repeated_and_tells_what_is_held_and_sent(outbox: Outbox) -> None:
    await outbox.put_many(messages(3))
    broker = FakeBroker(collector=FakeCollector("e"))
    async with running(outbox, broker, Pace(sync_s=0.01, greet_s=0.01)):
        await until(lambda: len(broker.syncs()) >= 3 and broker.syncs()[-1].streams[1].sent_through == 3)
    sync = broker.syncs()[-1]
    assert (sync.boot, sync.clock_ms, sync.mono_ms) == ("boot-1", 1_700_000_000_000, 3_600_000)
    assert [(lane.held_from, lane.sent_through) for lane in sync.streams] == [(1, 0), (1, 3)]


async def test_resending_to_a_silent_collector_becomes_rarer(outbox: Outbox) -> None:
    await outbox.put_many(messages(1))
    broker = FakeBroker()
    async with running(outbox, broker, Pace(resend_s=0.02, resend_most_s=1000, greet_s=0.01)) as publisher:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await until(lambda: publisher.health.tally.standstills == 4)
        assert loop.time() - began >= 0.02 * (1 + 2 + 4 + 8)


@pytest.mark.parametrize("seed", range(6))
async def test_everything_arrives_once_and_in_order_through_cuts_and_losses(
    tmp_path: Path, seed: int
) -> None:
    chance = dice(seed)
    collector = FakeCollector("e")
    broker = FakeBroker(collector=collector, loses=lambda _: chance.random() < 0.1)
    count = 0
    async with (
        open_outbox(tmp_path / "outbox", machine="m", clock=StillClock(), rng=chance) as outbox,
        running(outbox, broker, HASTY) as publisher,
    ):
        for _ in range(30):
            number = chance.randrange(1, 30)
            kinds = chance.choices(["usage", "alarm"], k=number)
            await outbox.put_many([messages(1, kind, count + n)[0] for n, kind in enumerate(kinds)])
            count += number
            if broker.line is not None and chance.random() < 0.3:
                broker.cut()
        async with asyncio.timeout(20):
            await outbox.settled.wait()
        assert publisher.health.confirmed == count
    assert {payload.split()[1] for payload in collector.payloads()} == {b"%d" % n for n in range(count)}
    for held in collector.streams.values():
        numbers = [int(held[seq].split()[1]) for seq in sorted(held)]
        assert numbers == sorted(numbers)
        assert sorted(held) == list(range(1, len(held) + 1))
