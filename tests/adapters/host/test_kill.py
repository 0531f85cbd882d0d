"""A host that is killed at any moment has lost nothing that it was told is on disk."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from adapters.host.lanes import Lane
from adapters.host.outbox import open_outbox
from tests.adapters.host.fakes import StillClock, dice

WRITER = """
import asyncio, sys
from pathlib import Path
from adapters.host.lanes import Lane, Unsent
from adapters.host.outbox import open_outbox
from tests.adapters.host.fakes import StillClock, dice

async def put_for_ever(outbox, writer, first):
    number = first
    while True:
        kind = "alarm" if number % 5 == 0 else "usage"
        await outbox.put_many([Unsent(writer, kind, b"%d" % n, "b", n) for n in (number, number + 1)])
        print("put", writer, number, number + 1, flush=True)
        number += 2

async def confirm_for_ever(outbox, chance):
    while True:
        for lane in Lane:
            for held in await outbox.take(lane, after=("", 0), window=50, limit=50):
                print("sent", held.stream, held.seq, held.device, held.payload.decode(), flush=True)
        marks = {s.stream: chance.randint(s.confirmed, s.sent) for s in outbox.standing.values()}
        for stream, mark in marks.items():
            print("confirmed", stream, mark, flush=True)
        await outbox.confirm("e", marks)

async def main():
    path, seed, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = dice(seed)
    async with open_outbox(path, machine="m", clock=StillClock(), rng=chance) as outbox:
        async with asyncio.TaskGroup() as group:
            for writer in "abc":
                group.create_task(put_for_ever(outbox, writer, first))
            group.create_task(confirm_for_ever(outbox, chance))

asyncio.run(main())
"""


async def killed_writer(path: Path, *, seed: int, first: int, lines: int) -> list[list[str]]:
    """What a process said before it was killed after that many lines."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), str(seed), str(first), stdout=PIPE
    )
    assert process.stdout is not None
    said = [await process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    said += (await process.stdout.read()).splitlines(keepends=True)
    assert await process.wait() == -signal.SIGKILL
    return [line.decode().split() for line in said if line.endswith(b"\n")]


@pytest.mark.system
async def test_nothing_on_disk_is_lost_or_renumbered_by_kill_9(tmp_path: Path) -> None:
    chance = dice(7)
    put: set[tuple[str, str]] = set()
    sent: dict[tuple[str, int], tuple[str, str]] = {}
    confirmed: dict[str, int] = {}
    for life in range(6):
        said = await killed_writer(
            tmp_path / "outbox", seed=life, first=life * 100_000, lines=chance.randint(1, 1_500)
        )
        for what, *words in said:
            if what == "put":
                put |= {(words[0], words[1]), (words[0], words[2])}
            elif what == "sent":
                place, message = (words[0], int(words[1])), (words[2], words[3])
                assert sent.setdefault(place, message) == message
            else:
                confirmed[words[0]] = max(confirmed.get(words[0], 0), int(words[1]))
    assert len(confirmed) == 2
    async with open_outbox(tmp_path / "outbox", machine="m", clock=StillClock(), rng=dice(1)) as outbox:
        held: dict[tuple[str, int], tuple[str, str]] = {}
        for lane in Lane:
            standing = outbox.standing[lane]
            assert standing.confirmed <= confirmed[standing.stream]
            left = await outbox.take(lane, after=("", 0), window=10**6, limit=10**6)
            assert [one.seq for one in left] == list(range(standing.confirmed + 1, standing.assigned + 1))
            held |= {(one.stream, one.seq): (one.device, one.payload.decode()) for one in left}
    assert all(sent.get(place, message) == message for place, message in held.items())
    gone = {message for place, message in sent.items() if place not in held}
    assert put <= gone | set(held.values())
    assert all(seq <= confirmed[stream] for stream, seq in sent.keys() - held.keys())
    messages = list((sent | held).values())
    assert len(messages) == len(set(messages))
