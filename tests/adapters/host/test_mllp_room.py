"""The waiting room keeps order and bounds, whatever the outbox does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.host.lanes import Unsent
from adapters.host.mllp_room import Stay, WaitingRoom
from tests.adapters.host.fakes import until
from tests.adapters.host.gateways import FakeOutbox


async def no_pause(seconds: float) -> None:
    """Try again at once, but let others run."""
    del seconds
    await asyncio.sleep(0.001)


def message(text: str) -> Unsent:
    return Unsent("d", "usage", text.encode(), "boot", 1)


def texts(outbox: FakeOutbox) -> str:
    return "".join(one.payload.decode() for one in outbox.held)


def room_of(outbox: FakeOutbox, *, most: int = 100, most_bytes: int = 1_000_000) -> WaitingRoom:
    return WaitingRoom("gw", outbox, most=most, most_bytes=most_bytes, pause=no_pause)


def entered(room: WaitingRoom, text: str) -> Stay:
    stay = room.enter([message(one) for one in text])
    assert stay is not None
    return stay


@asynccontextmanager
async def emptied(room: WaitingRoom) -> AsyncIterator[None]:
    """Let the room be emptied; close it at the end."""
    task = asyncio.create_task(room.run())
    try:
        yield
    finally:
        room.close()
        async with asyncio.timeout(10):
            await task


async def test_what_enters_leaves_in_its_order_though_only_a_part_fits_at_first() -> None:
    outbox = FakeOutbox(most=3)
    room = room_of(outbox)
    stays = [entered(room, text) for text in ("ab", "c", "de", "f")]
    async with emptied(room):
        await until(lambda: texts(outbox) == "abc")
        assert [stay.kept.done() for stay in stays] == [True, True, False, False]
        assert room.stalled
        outbox.most = 10
        await until(lambda: room.waiting == 0)
    assert texts(outbox) == "abcdef"
    assert all(stay.kept.result() for stay in stays)
    assert not room.stalled


async def test_messages_enter_whole_or_not_at_all_and_nothing_always_enters() -> None:
    room = room_of(FakeOutbox(), most=3)
    entered(room, "ab")
    assert room.enter([message("c"), message("d")]) is None
    entered(room, "c")
    assert room.enter([message("d")]) is None
    assert room.enter([]) is not None
    assert room.waiting == 3


async def test_the_room_is_bounded_in_bytes_too() -> None:
    room = room_of(FakeOutbox(), most_bytes=message("x" * 100).size)
    assert room.enter([message("x" * 101)]) is None
    entered(room, "x")
    assert room.enter([message("x" * 100)]) is None


async def test_an_empty_stay_ends_when_all_before_it_are_kept() -> None:
    outbox = FakeOutbox(most=0)
    room = room_of(outbox)
    first, second = entered(room, "a"), entered(room, "")
    async with emptied(room):
        await until(lambda: room.stalls > 3)
        assert not second.kept.done()
        outbox.most = 1
        await until(second.kept.done)
        assert first.kept.result()


async def test_what_waits_can_be_taken_back_and_what_is_on_its_way_cannot() -> None:
    outbox = FakeOutbox()
    outbox.disk.clear()
    room = room_of(outbox)
    moving = entered(room, "a")
    async with emptied(room):
        await asyncio.sleep(0)
        waiting, last = entered(room, "b"), entered(room, "c")
        assert not room.take_back(moving)
        assert room.take_back(waiting)
        assert not room.take_back(waiting)
        assert (waiting.kept.result(), room.taken_back, last.behind) == (False, 1, 0)
        outbox.disk.set()
        await until(last.kept.done)
    assert texts(outbox) == "ac"
    assert not room.take_back(moving)


async def test_a_closed_room_tries_once_more_and_tells_what_is_lost() -> None:
    outbox = FakeOutbox(most=1)
    room = room_of(outbox)
    async with emptied(room):
        stays = entered(room, "a"), entered(room, "bc")
        await until(lambda: room.stalled != "")
    assert room.enter([message("d")]) is None
    assert room.give_up() == 2
    assert [stay.kept.result() for stay in stays] == [True, False]
    assert room.waiting == 0
