"""What one device does, or fails to do, no other device of the host feels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from adapters import registry
from adapters.contract import Heard
from adapters.host import ear
from adapters.host.devices import Device
from adapters.host.ear import Ear
from adapters.host.outbox import Outbox, open_outbox
from adapters.host.transports import Connection
from tests.adapters.host.fakes import FakeAdapter, FakeLine, FakeTransport, StillClock, dice, until


class Nowhere(FakeTransport):
    """Never comes to an end of connecting."""

    async def connect(self) -> FakeLine:
        """Wait."""
        await asyncio.Event().wait()
        raise AssertionError


class Taking(FakeLine):
    """Takes nothing of what is written."""

    async def write(self, data: bytes) -> None:
        """Wait."""
        await asyncio.Event().wait()
        raise AssertionError(data)


class Dripping(FakeLine):
    """Says a byte that means nothing, now and then."""

    async def read(self) -> bytes:
        """A byte."""
        await asyncio.sleep(0.01)
        return b"x"


class Flooding(FakeLine):
    """Says what means nothing as fast as it is read, and counts it."""

    said = 0

    async def read(self) -> bytes:
        """A piece at once."""
        self.said += 4096
        return b"x" * 4096


class Leaving(FakeLine):
    """Cannot be closed in time."""

    async def read(self) -> bytes:
        """The end."""
        return b""

    async def close(self) -> None:
        """Wait."""
        await asyncio.Event().wait()


BAD: Mapping[str, Callable[[], FakeTransport]] = MappingProxyType(
    {
        "never connects": Nowhere,
        "never answers": lambda: FakeTransport(FakeLine()),
        "takes nothing": lambda: FakeTransport(Taking()),
        "drips": lambda: FakeTransport(Dripping()),
        "floods": lambda: FakeTransport(Flooding()),
        "never closes": lambda: FakeTransport(Leaving()),
    }
)


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    async with open_outbox(tmp_path / "outbox", machine="m", clock=StillClock(), rng=dice(1)) as opened:
        yield opened


@asynccontextmanager
async def running(*devices: Device) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in devices]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("name", BAD)
async def test_a_device_that_misbehaves_delays_no_poll_of_another(name: str, outbox: Outbox) -> None:
    clock, line = StillClock(), FakeLine()

    def device(called: str, transport: FakeTransport) -> Device:
        return Device(
            called,
            "fake",
            60,
            transport,
            FakeAdapter,
            outbox,
            clock,
            dice(2),
            answer_s=30,
            publisher="hn01-a",
        )

    good = device("good", FakeTransport(line))
    async with running(device("bad", BAD[name]()), good):
        for count in range(1, 6):
            await until(lambda count=count: len(line.written) == count)  # type: ignore[misc] # bound
            line.incoming.put_nowait(b"h")
            await until(lambda count=count: good.health.heard == count)  # type: ignore[misc] # bound
            await until(lambda: clock.sleepers >= 1)
            clock.move(60)
        assert good.health.polls >= 5


async def test_who_sends_without_end_is_read_at_a_bounded_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the long run so many bytes a second, after a burst; and a timer is heeded meanwhile."""
    monkeypatch.setattr(ear, "BYTES_PER_S", 40_960)
    monkeypatch.setattr(ear, "BURST_S", 0.2)
    line = Flooding()
    link: Connection = line
    listening, loop = Ear(link), asyncio.get_running_loop()
    began = loop.time()
    timer = asyncio.ensure_future(asyncio.sleep(0.3))
    while not timer.done():
        await listening.hear(timer)
    took_s = loop.time() - began
    await listening.close()
    assert 8_192 <= line.said <= (took_s + 0.2) * 40_960 + 2 * 4096


def test_only_protocols_that_announce_units_speak_of_them() -> None:
    """The host names and checks units by what the protocol announces."""
    for name, file in registry.protocols().items():
        for example in file.examples:
            adapter = file.adapter(period_s=file.info.poll_s)
            adapter.connected()
            units = {said.unit for said in adapter.feed(example.input) if isinstance(said, Heard)}
            assert file.info.units or units <= {""}, name
