"""Simulated monitors and pumps say what the adapter hears, and their gateway repeats what is not answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from adapters.contract import Heard
from adapters.hl7_adapter import Hl7Adapter
from adapters.simulators.hl7_gateway_fleet import Fleet, Said, fleet
from adapters.simulators.hl7_gateway_line import END, START, Network, Pusher, Record
from adapters.simulators.hl7_gateway_messages import PERSON_NAME, PERSON_NUMBER, VITAL_VALUE, Profile
from telemetry.messages import Alarm, AlarmKind, Message, OperatingState, Phase, Usage, encode
from tests.adapters.host.fakes import until

BEGIN = datetime(2026, 1, 8, tzinfo=UTC)
PERIOD = timedelta(minutes=10)


def told(devices: Fleet, *, hours: int) -> Iterator[Said]:
    """What devices say in that time."""
    for number in range(hours * 6):
        yield from devices.said(BEGIN + PERIOD * number, BEGIN + PERIOD * (number + 1))


@pytest.fixture(scope="module")
def said() -> tuple[Said, ...]:
    return tuple(told(fleet(monitors=3, pumps=5, seed=1, start=BEGIN), hours=36))


@pytest.fixture(scope="module")
def heard(said: tuple[Said, ...]) -> tuple[tuple[Said, Heard], ...]:
    """Each message with what the adapter heard of it."""
    adapter = Hl7Adapter(period_s=600)
    found = [(one, adapter.feed(START + one.data + END)) for one in said]
    assert all(
        [type(outcome).__name__ for outcome in outcomes] == ["Heard", "Answer"] for _, outcomes in found
    )
    return tuple((one, outcomes[0]) for one, outcomes in found if isinstance(outcomes[0], Heard))


def test_every_message_is_heard_of_its_device(heard: tuple[tuple[Said, Heard], ...]) -> None:
    assert len(heard) > 1_000
    assert all(one.alias.identifier == told.serial for told, one in heard)
    assert {told.profile for told, _ in heard} == set(Profile)


def test_no_word_of_a_person_gets_through(
    said: tuple[Said, ...], heard: tuple[tuple[Said, Heard], ...]
) -> None:
    words = [word.encode() for word in (PERSON_NAME, PERSON_NUMBER, VITAL_VALUE)]
    assert all(sum(word in one.data for one in said) > 10 for word in words)
    carried = [encode(Message(alias=one.alias, body=body)) for _, one in heard for body in one.bodies]
    assert not [payload for payload in carried if any(word in payload for word in words)]


def test_an_alert_has_one_key_from_start_to_end_and_only_that_of_equipment_is_technical(
    heard: tuple[tuple[Said, Heard], ...],
) -> None:
    alarms = [(told, body) for told, one in heard for body in one.bodies if isinstance(body, Alarm)]
    keys = [body.key for _, body in alarms]
    assert len(set(keys)) == len([body for _, body in alarms if body.phase is Phase.START])
    assert all(keys.count(body.key) == 2 for _, body in alarms if body.phase is Phase.END)
    codes = {(told.serial[0], body.code, body.alarm_kind) for told, body in alarms}
    assert codes == {
        ("M", "196670", AlarmKind.PHYSIOLOGICAL),
        ("M", "196802", AlarmKind.TECHNICAL),
        ("P", "196802", AlarmKind.TECHNICAL),
        ("P", "196800", AlarmKind.TECHNICAL),
        ("P", "196940", AlarmKind.TECHNICAL),
    }


def test_a_pump_is_in_use_from_the_start_of_a_delivery_to_its_end(
    heard: tuple[tuple[Said, Heard], ...],
) -> None:
    before: dict[str, OperatingState] = {}
    deliveries = 0
    for told, one in heard:
        for body in one.bodies:
            if isinstance(body, Usage):
                is_used, was = body.state is OperatingState.IN_USE, before.get(told.serial)
                if told.profile is Profile.PUMP_EVENT:
                    deliveries += 1
                    assert was is None or (was is OperatingState.IN_USE) is not is_used
                before[told.serial] = body.state
    assert deliveries > 4


def test_the_same_seed_says_the_same_and_another_another() -> None:
    def data(seed: int) -> list[bytes]:
        return [one.data for one in told(fleet(monitors=1, pumps=2, seed=seed, start=BEGIN), hours=3)]

    assert data(4) == data(4) != data(5)


# -- the line -------------------------------------------------------------------------------------------


class _Link(asyncio.WriteTransport):
    """The gateway's end of one connection to the listener of the test."""

    def __init__(self, listener: _Listener) -> None:
        super().__init__()
        self._listener = listener
        self._rest = b""
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.transport = self

    def abort(self) -> None:
        """The link is cut."""
        self._answers.put_nowait(b"")

    async def read(self, n: int) -> bytes:
        """The next answer."""
        data = await self._answers.get()
        assert len(data) <= n
        return data

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """What the gateway sends."""
        *frames, self._rest = (self._rest + bytes(data)).split(END)
        for frame in frames:
            self._listener.heard.append(frame.lstrip(START))
            if self._listener.answers:
                number = frame.split(b"|")[9]
                self._answers.put_nowait(START + b"MSH|^~\\&|\rMSA|CA|" + number + b"\r" + END)

    async def drain(self) -> None:
        """There is always room."""

    async def wait_closed(self) -> None:
        """It is."""


class _Listener:
    """Hears, and answers if it is told to."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.links: list[_Link] = []
        self.answers = True

    async def dial(self, host: str, port: int) -> tuple[_Link, _Link]:
        """A new connection."""
        assert (host, port) == ("there", 1)
        self.links.append(_Link(self))
        return self.links[-1], self.links[-1]


@asynccontextmanager
async def pushing(
    listener: _Listener, network: Network, *, window: int = 1, answer_s: float = 0.03
) -> AsyncIterator[Pusher]:
    rng = Random(3)  # noqa: S311 - the faults of a network
    pusher = Pusher("there", 1, rng, Record(), network, window=window, answer_s=answer_s, dial=listener.dial)
    task = asyncio.create_task(pusher.run())
    try:
        yield pusher
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _all_answered(pusher: Pusher) -> None:
    async with asyncio.timeout(10):
        await pusher.all_answered()


async def test_one_after_the_other_without_faults(said: tuple[Said, ...]) -> None:
    listener = _Listener()
    async with pushing(listener, Network()) as pusher:
        pusher.push(said[:50])
        await _all_answered(pusher)
    assert listener.heard == [one.data for one in said[:50]]
    record = pusher.record
    assert (record.sent, record.repetitions, record.late, record.unanswered) == (50, 0, 0, 0)


async def test_a_lost_answer_brings_the_same_bytes_again(said: tuple[Said, ...]) -> None:
    listener = _Listener()
    async with pushing(listener, Network(lost_answers=0.3), window=8) as pusher:
        pusher.push(said[:50])
        await _all_answered(pusher)
    record = pusher.record
    assert set(listener.heard) == {one.data for one in said[:50]}
    assert len(listener.heard) == 50 + record.repetitions == record.sent
    assert record.repetitions >= record.lost_answers > 5
    assert (record.late, record.unanswered) == (0, 0)


async def test_messages_overtake_each_other_within_bounds(said: tuple[Said, ...]) -> None:
    listener = _Listener()
    async with pushing(listener, Network(reorder=4)) as pusher:
        pusher.push(said[:50])
        await _all_answered(pusher)
    order = [next(n for n, one in enumerate(said) if one.data == data) for data in listener.heard]
    assert sorted(order) == list(range(50)) != order
    assert all(number - place < 4 for place, number in enumerate(order))


async def test_after_a_cut_all_that_was_not_answered_is_sent_again(said: tuple[Said, ...]) -> None:
    listener = _Listener()
    listener.answers = False
    async with pushing(listener, Network(cuts_after=(5, 20)), window=5, answer_s=60) as pusher:
        pusher.push(said[:50])
        await until(lambda: len(listener.links) == 2 and len(listener.heard) == 10)
        listener.answers = True
        listener.links[-1].abort()
        await _all_answered(pusher)
    record = pusher.record
    assert set(listener.heard) == {one.data for one in said[:50]}
    assert (record.repetitions, record.connections, record.unanswered) == (10, 4, 0)


async def test_a_message_without_any_answer_counts_as_late(said: tuple[Said, ...]) -> None:
    listener = _Listener()
    listener.answers = False
    async with pushing(listener, Network(piece_bytes=300)) as pusher:
        pusher.push(said[:1])
        await until(lambda: pusher.record.late == 2)
        listener.answers = True
        await _all_answered(pusher)
    assert listener.heard == [said[0].data] * pusher.record.sent
