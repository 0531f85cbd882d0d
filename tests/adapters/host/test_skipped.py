"""A message that is skipped on purpose is counted, and neither heard nor refused."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from adapters.contract import Outcome, Skipped
from adapters.host.devices import Device
from adapters.host.outbox import open_outbox
from tests.adapters.host.fakes import FakeAdapter, FakeLine, FakeTransport, StillClock, dice, until


class _Skipping(FakeAdapter):
    """Skips whatever comes."""

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """One message each time."""
        del data
        return (Skipped(0, "a repetition"),)


async def test_what_is_skipped_is_counted_and_neither_heard_nor_refused(tmp_path: Path) -> None:
    clock, line = StillClock(), FakeLine()
    async with open_outbox(tmp_path / "outbox", machine="m", clock=clock, rng=dice(1)) as outbox:
        one = Device(
            "vent-1", "fake", 60, FakeTransport(line), _Skipping, outbox, clock, dice(2), publisher="hn01-a"
        )
        task = asyncio.create_task(one.run())
        line.incoming.put_nowait(b"x")
        await until(lambda: one.health.skipped == 1)
        assert (one.health.heard, one.health.refusals) == (0, 0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
