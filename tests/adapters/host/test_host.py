"""The host whole: its devices side by side, its settings, its ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from adapters.contract import Adapter, ProtocolFile, ProtocolInfo
from adapters.host.host import DeviceSettings, HostSettings, Replay, Tcp, open_host
from adapters.host.lanes import Lane
from adapters.host.outbox import open_outbox
from adapters.host.pace import Pace
from telemetry.errors import SettingsError
from telemetry.messages import LinkState, Usage, decode
from tests.adapters.host.fakes import FakeAdapter, FakeBroker, FakeCollector, StillClock, dice, until


def _make(*, period_s: float) -> Adapter:
    assert period_s == 60
    return FakeAdapter()


FILE = ProtocolFile(info=ProtocolInfo("fake", "nobody", "a fake", "", 60), adapter=_make, examples=())
PROTOCOLS = MappingProxyType({"fake": FILE})


def opened(tmp_path: Path, broker: FakeBroker, *devices: DeviceSettings, **change: Any) -> Any:  # noqa: ANN401 - open_host
    settings = HostSettings(
        "host-a", tmp_path / "outbox", devices, pace=Pace(greet_s=0.05, resend_s=0.1, goodbye_s=1)
    )
    return open_host(
        replace(settings, **change),
        link=broker,
        protocols=PROTOCOLS,
        clock=StillClock(),
        rng=dice(5),
        machine="m",
    )


def replay(tmp_path: Path, name: str, content: bytes) -> DeviceSettings:
    path = tmp_path / f"{name}.bin"
    path.write_bytes(content)
    return DeviceSettings(name, "fake", Replay(path))


async def test_replays_end_by_themselves_and_all_they_said_is_delivered_once(tmp_path: Path) -> None:
    collector = FakeCollector("e")
    broker = FakeBroker(collector=collector)
    settings = replay(tmp_path, "a", b"hhh"), replay(tmp_path, "b", b"hxh")
    async with opened(tmp_path, broker, *settings) as host:
        running = asyncio.create_task(host.run())
        async with asyncio.timeout(10):
            await host.ended()
        assert not running.done()
        host.stop()
        async with asyncio.timeout(10):
            await running
        health = host.health
    assert [one.state for one in health.devices] == [LinkState.OFFLINE] * 2
    assert [one.refusals for one in health.devices] == [0, 1]
    assert health.publisher.unconfirmed == 0
    usages = [one for one in map(decode, collector.payloads()) if isinstance(one.body, Usage)]
    assert len(usages) == 5
    assert collector.duplicates == 0


async def test_a_stop_sends_the_last_words_of_devices_and_host(tmp_path: Path) -> None:
    broker = FakeBroker(collector=FakeCollector("e"))
    async with opened(tmp_path, broker, DeviceSettings("a", "fake", Tcp("127.0.0.1", 1))) as host:
        running = asyncio.create_task(host.run())
        await until(lambda: host.health.publisher.connected and host.health.publisher.confirmed == 1)
        host.stop()
        async with asyncio.timeout(10):
            await running
    topic, last = broker.published[-1].topic, decode(broker.published[-1].payload).body
    assert topic == "hourmeter/1/host-a/_link/status"
    assert getattr(last, "link", None) == LinkState.OFFLINE


async def test_a_bug_in_one_device_touches_no_other(tmp_path: Path) -> None:
    broker = FakeBroker(collector=FakeCollector("e"))
    settings = replay(tmp_path, "bad", b"!"), replay(tmp_path, "good", b"hhhh")
    async with opened(tmp_path, broker, *settings) as host:
        running = asyncio.create_task(host.run())
        await until(lambda: host.health.devices[0].faults == 1 and host.health.devices[1].heard == 4)
        assert not running.done()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_broker_that_refuses_us_ends_the_host_with_what_to_check(tmp_path: Path) -> None:
    refusal = SettingsError(where="broker", found="refuses user", expected="check the password")
    device = DeviceSettings("a", "fake", Tcp("127.0.0.1", 1))
    async with opened(tmp_path, FakeBroker(refusals=[refusal]), device) as host:
        with pytest.raises(SettingsError, match="check the password"):
            async with asyncio.timeout(10):
                await host.run()


async def test_without_a_broker_everything_is_kept(tmp_path: Path) -> None:
    broker = FakeBroker()
    async with opened(tmp_path, broker, replay(tmp_path, "a", b"hhh")) as host:
        running = asyncio.create_task(host.run())
        await until(lambda: host.health.devices[0].state == LinkState.OFFLINE)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    async with open_outbox(tmp_path / "outbox", machine="m", clock=StillClock(), rng=dice(6)) as outbox:
        assert outbox.standing[Lane.BULK].unconfirmed == 3
        assert outbox.standing[Lane.URGENT].unconfirmed == 2


@pytest.mark.parametrize(
    ("devices", "publisher", "expected"),
    [
        (("a", "a"), "host", "named twice"),
        (("a/b",), "host", "no name for a topic"),
        (("_link",), "host", "no name for a topic"),
        (("a",), "host+", "A-Z a-z 0-9"),
    ],
)
async def test_names_that_no_topic_can_carry_are_refused(
    tmp_path: Path, devices: tuple[str, ...], publisher: str, expected: str
) -> None:
    settings = [DeviceSettings(name, "fake", Tcp("127.0.0.1", 1)) for name in devices]
    with pytest.raises(SettingsError, match=expected):
        async with opened(tmp_path, FakeBroker(), *settings, publisher=publisher):
            pass


async def test_an_unknown_protocol_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="use one of: fake"):
        async with opened(tmp_path, FakeBroker(), DeviceSettings("a", "none", Tcp("127.0.0.1", 1))):
            pass


async def test_a_poll_period_is_more_than_nothing(tmp_path: Path) -> None:
    device = DeviceSettings("a", "fake", Tcp("127.0.0.1", 1), poll_s=0)
    with pytest.raises(SettingsError, match="more than 0 seconds"):
        async with opened(tmp_path, FakeBroker(), device):
            pass
