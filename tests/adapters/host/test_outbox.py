"""The outbox as the host uses it: group commit, refusals, locks, and what the disk's troubles become."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from adapters.host import spool
from adapters.host.lanes import Lane, Room, Unsent
from adapters.host.outbox import OutboxFull, open_outbox
from adapters.host.rows import fact
from telemetry.errors import SettingsError, Unavailable
from tests.adapters.host.fakes import StillClock, dice

TOP = {"after": ("", 0), "window": 500, "limit": 500}


def usage(number: int, size: int = 10) -> Unsent:
    return Unsent("vent", "usage", b"%*d" % (size, number), "boot-1", number)


def opened(path: Path, **options: Any) -> Any:  # noqa: ANN401 - the options of open_outbox
    given: dict[str, Any] = {"machine": "m", "clock": StillClock(), "rng": dice(len(str(path))), **options}
    return open_outbox(path, **given)


async def test_what_was_put_is_there_after_a_start_anew(tmp_path: Path) -> None:
    async with opened(tmp_path / "o") as outbox:
        await outbox.put_many([usage(1), Unsent("vent", "alarm", b"a", "boot-1", 2), usage(3)])
        streams = {lane: standing.stream for lane, standing in outbox.standing.items()}
    async with opened(tmp_path / "o") as outbox:
        bulk = await outbox.take(Lane.BULK, **TOP)
        urgent = await outbox.take(Lane.URGENT, **TOP)
        assert {lane: standing.stream for lane, standing in outbox.standing.items()} == streams
    assert [(one.seq, one.payload.strip()) for one in bulk] == [(1, b"1"), (2, b"3")]
    assert [(one.seq, one.payload) for one in urgent] == [(1, b"a")]


async def test_stream_names_are_a_lane_and_twelve_hex_digits(tmp_path: Path) -> None:
    async with opened(tmp_path / "o") as outbox:
        for lane, standing in outbox.standing.items():
            prefix, digits = standing.stream.split("-")
            assert prefix == lane
            assert len(digits) == 12
            assert int(digits, 16) >= 0


async def test_puts_that_wait_together_share_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    put = spool.Spool.put

    def counted(self: spool.Spool, groups: Any) -> tuple[bool, ...]:  # noqa: ANN401 - as it is given
        sizes.append(len(groups))
        return put(self, groups)

    monkeypatch.setattr(spool.Spool, "put", counted)
    async with opened(tmp_path / "o") as outbox:
        await asyncio.gather(*(outbox.put_many([usage(n)]) for n in range(60)))
        held = await outbox.take(Lane.BULK, **TOP)
    assert sum(sizes) == 60
    assert len(sizes) <= 3
    assert sorted(int(one.payload) for one in held) == list(range(60))


async def test_a_put_whose_caller_is_cancelled_is_finished_before_the_file_is_closed(tmp_path: Path) -> None:
    async with opened(tmp_path / "o") as outbox:
        put = asyncio.create_task(outbox.put_many([usage(1)]))
        await asyncio.sleep(0)
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
    async with opened(tmp_path / "o") as outbox:
        assert outbox.unconfirmed == 1


async def test_a_full_outbox_refuses_whole_groups_and_drops_nothing(tmp_path: Path) -> None:
    room = Room(max_bytes=2_000, reserve_bytes=0)
    async with opened(tmp_path / "o", room=room) as outbox:
        await outbox.put_many([usage(n) for n in range(10)])
        with pytest.raises(OutboxFull, match="is full"):
            await outbox.put_many([usage(n, size=200) for n in range(10, 15)])
        await outbox.put_many([usage(10)])
        held = await outbox.take(Lane.BULK, **TOP)
        assert [int(one.payload) for one in held] == list(range(11))
        await outbox.confirm("e", {held[0].stream: 11})
        await outbox.put_many([usage(n, size=200) for n in range(11, 16)])
        assert outbox.unconfirmed == 5


async def test_one_group_without_room_does_not_refuse_the_others_of_its_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "o", room=Room(max_bytes=1_000, reserve_bytes=0)) as outbox:
        outcomes = await asyncio.gather(
            outbox.put_many([usage(1)]),
            outbox.put_many([usage(2, size=2_000)]),
            outbox.put_many([usage(3)]),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [type(None), OutboxFull, type(None)]
        assert [int(one.payload) for one in await outbox.take(Lane.BULK, **TOP)] == [1, 3]


async def test_a_disk_below_its_reserve_takes_no_message_but_confirmations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "o", room=Room(reserve_bytes=1_000_000)) as outbox:
        await outbox.put_many([usage(1)])
        (held,) = await outbox.take(Lane.BULK, **TOP)
        monkeypatch.setattr(spool, "free_bytes", lambda _: 999_999)
        with pytest.raises(Unavailable, match="free at least 1 MB"):
            await outbox.put_many([usage(2)])
        await outbox.confirm("e", {held.stream: 1})
        assert outbox.unconfirmed == 0
        monkeypatch.setattr(spool, "free_bytes", lambda _: 1_000_000)
        await outbox.put_many([usage(2)])


async def test_a_full_disk_is_weather_and_what_was_promised_stays(tmp_path: Path) -> None:
    async with opened(tmp_path / "o") as outbox:
        await outbox.put_many([usage(1)])
        database = outbox._spool._db  # noqa: SLF001 - the only way to fill a disk without one
        await asyncio.get_running_loop().run_in_executor(
            outbox._disk,  # noqa: SLF001 - SQLite belongs to that thread
            lambda: database.execute(f"PRAGMA max_page_count = {10}").fetchone(),
        )
        with pytest.raises(Unavailable, match=r"full.*make room on its disk"):
            await outbox.put_many([usage(n, size=60_000) for n in range(2, 9)])
        assert [int(one.payload) for one in await outbox.take(Lane.BULK, **TOP)] == [1]


async def test_one_host_per_outbox(tmp_path: Path) -> None:
    async with opened(tmp_path / "o"):
        with pytest.raises(SettingsError, match="in use by another adapter host"):
            async with opened(tmp_path / "o"):
                pass
    async with opened(tmp_path / "o"):
        pass


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to look at", b"SQLite format 3\0" + b"\1" * 5000]
)
async def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "o").write_bytes(content)
    with pytest.raises(SettingsError, match="move a damaged one aside"):
        async with opened(tmp_path / "o"):
            pass


async def test_a_file_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "o") as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(SettingsError, match="is of version 2"):
        async with opened(tmp_path / "o"):
            pass


async def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    async with opened(tmp_path / "new" / "folder" / "o"):
        assert (tmp_path / "new" / "folder" / "o").exists()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="must be in a folder"):
        async with opened(tmp_path / "file" / "o"):
            pass


async def test_another_machine_supersedes_and_carries_over_what_is_not_confirmed(tmp_path: Path) -> None:
    async with opened(tmp_path / "o") as outbox:
        await outbox.put_many([usage(n) for n in range(1, 6)])
        held = await outbox.take(Lane.BULK, **TOP)
        await outbox.confirm("e", {held[0].stream: 2})
    async with opened(tmp_path / "o", machine="another", rng=dice(99)) as outbox:
        standing = outbox.standing[Lane.BULK]
        assert standing.stream != held[0].stream
        assert standing.supersedes == held[0].stream
        assert outbox.standing[Lane.URGENT].supersedes is None
        moved = await outbox.take(Lane.BULK, **TOP)
    assert [(one.seq, int(one.payload)) for one in moved] == [(1, 3), (2, 4), (3, 5)]


async def test_the_file_gives_its_space_back_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "PRUNE_STEP", 100)
    monkeypatch.setattr(spool, "VACUUM_ABOVE_PAGES", 50)
    async with opened(tmp_path / "o", room=Room(tail_bytes=0)) as outbox:
        await outbox.put_many([usage(n, size=5_000) for n in range(350)])
        stream = outbox.standing[Lane.BULK].stream
        await outbox.take(Lane.BULK, **TOP)
        await outbox.confirm("e", {stream: 350})
        assert outbox.standing[Lane.BULK].held_from == 351
    assert (tmp_path / "o").stat().st_size < 350 * 5_000 / 4


async def test_the_tail_ages_by_running_time_and_not_by_the_civil_clock(tmp_path: Path) -> None:
    clock = StillClock()
    async with opened(tmp_path / "o", clock=clock, room=Room(tail_hours=1)) as outbox:
        stream = outbox.standing[Lane.BULK].stream

        async def confirm_one(number: int) -> int:
            await outbox.put_many([usage(number)])
            await outbox.take(Lane.BULK, **TOP)
            await outbox.confirm("e", {stream: number})
            held_from: int = outbox.standing[Lane.BULK].held_from
            return held_from

        assert await confirm_one(1) == 1
        clock.move(59 * 60)
        assert await confirm_one(2) == 1
    async with opened(tmp_path / "o", clock=StillClock(), room=Room(tail_hours=1)) as outbox:
        assert await confirm_one(3) == 1
    clock = StillClock()
    async with opened(tmp_path / "o", clock=clock, room=Room(tail_hours=1)) as outbox:
        clock.move(3 * 60)
        assert await confirm_one(4) == 2


async def test_the_sent_mark_is_on_disk_before_a_message_leaves(tmp_path: Path) -> None:
    async with opened(tmp_path / "o") as outbox:
        await outbox.put_many([usage(n) for n in range(1, 4)])
        await outbox.take(Lane.BULK, after=("", 0), window=500, limit=2)
        with sqlite3.connect(tmp_path / "o") as reader:
            assert reader.execute("SELECT sent FROM stream WHERE lane = 'b'").fetchone() == (2,)
            assert fact(reader, "machine") == "m"
        reader.close()


async def test_every_commit_is_synced_and_the_file_can_shrink(tmp_path: Path) -> None:
    async with opened(tmp_path / "o") as outbox:
        database = outbox._spool._db  # noqa: SLF001 - what was set is read where it is set

        def pragmas() -> tuple[object, ...]:
            names = ("journal_mode", "synchronous", "auto_vacuum", "busy_timeout")
            return tuple(database.execute(f"PRAGMA {name}").fetchone()[0] for name in names)

        found = await asyncio.get_running_loop().run_in_executor(outbox._disk, pragmas)  # noqa: SLF001 - its thread
    assert found == ("wal", 2, 2, 5000)


@pytest.mark.parametrize(
    ("listed", "mark", "again"),
    [
        pytest.param(None, 1, [], id="it knows what followed: the tail is there"),
        pytest.param(None, 0, [b"1", b"2", b"3"], id="it knows nothing: the whole tail comes again"),
        pytest.param(2, 1, [b"3"], id="it tells how much of the tail it has"),
        pytest.param(3, 0, [], id="it has all of the tail"),
    ],
)
async def test_a_journal_of_another_epoch_gets_what_it_lacks_of_a_superseded_tail(
    tmp_path: Path, listed: int | None, mark: int, again: list[bytes]
) -> None:
    """Carried over it is no longer retained: an old state must not stand as the latest."""
    async with opened(tmp_path / "o") as outbox:
        await outbox.put_many([Unsent("vent", "identity", b"%d" % n, "boot-1", n) for n in (1, 2, 3)])
        old = outbox.standing[Lane.BULK].stream
        await outbox.take(Lane.BULK, **TOP)
        await outbox.confirm("e1", {old: 3})
        await outbox.confirm("e1", {old: 4})
        current = outbox.standing[Lane.BULK].stream
        assert current != old
        await outbox.put_many([Unsent("vent", "identity", b"4", "boot-1", 4)])
        await outbox.take(Lane.BULK, **TOP)
        await outbox.confirm("e1", {current: 1})
        told = await outbox.confirm("e2", {current: mark} | ({} if listed is None else {old: listed}))
        assert told.renewed
        held = await outbox.take(Lane.BULK, after=(current, 1), window=500, limit=500)
        fresh = await outbox.take(Lane.BULK, after=(current, 0), window=500, limit=1)
    assert [(one.seq, one.payload, one.retain) for one in held] == [
        (2 + n, payload, False) for n, payload in enumerate(again)
    ]
    assert [(one.seq, one.payload, one.retain) for one in fresh] == (
        [(1, b"4", True)] if mark == 0 else [(2, again[0], False)] if again else []
    )
