"""Several devices behind one link: each has a name, an alias and a link of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from adapters.contract import UNTOLD, Heard, Outcome, ProtocolFile, ProtocolInfo
from adapters.host.devices import Device
from adapters.host.host import DeviceSettings, HostSettings, Tcp, open_host
from adapters.host.lanes import Lane
from adapters.host.mllp_settings import GatewaySettings
from adapters.host.outbox import Outbox, open_outbox
from adapters.host.units import MOST_UNITS, Said, Units
from telemetry.errors import SettingsError, Unavailable
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Condition,
    LinkState,
    OperatingState,
    Phase,
    Priority,
    Status,
    Usage,
    decode,
)
from tests.adapters.host.fakes import (
    FakeAdapter,
    FakeBroker,
    FakeLine,
    FakeTransport,
    StillClock,
    dice,
    until,
)

USAGE = Usage(state=OperatingState.IN_USE, period_s=60)


def alias(identifier: str) -> Alias:
    return Alias(protocol="rack", identifier=identifier)


def heard(unit: str = "", *bodies: Status) -> Heard:
    return Heard(alias(f"serial-{unit}"), None, (*bodies, USAGE), 0, unit)


def told(said: Iterable[Said]) -> list[tuple[str, str]]:
    """Which link of whom is told, and `usage` for what was heard."""
    return [
        (one.unit.name, f"{one.body.link} {one.body.reason}".strip())
        if isinstance(one.body, Status)
        else (one.unit.name, one.body.kind)
        for one in said
    ]


def hear(units: Units, what: Heard, at_ms: int = 0) -> list[tuple[str, str]]:
    unit = units.find(what.unit)
    assert unit is not None
    return told(units.heard(what, unit, at_ms=at_ms))


@pytest.fixture
def units() -> Units:
    return Units("hn01-a", "rack-1", "rack", has_units=True)


def test_each_unit_is_online_with_its_link_from_its_first_word(units: Units) -> None:
    assert hear(units, heard("A1")) == [("rack-1", "online"), ("rack-1-A1", "online"), ("rack-1-A1", "usage")]
    assert hear(units, heard("A2")) == [("rack-1-A2", "online"), ("rack-1-A2", "usage")]
    assert hear(units, heard("A1")) == [("rack-1-A1", "usage")]


def test_a_unit_keeps_its_own_alias_and_the_link_that_of_its_port(units: Units) -> None:
    hear(units, heard("A1"))
    hear(units, replace(heard("A2"), alias=UNTOLD))
    link, first, second = units
    assert first.alias == alias("serial-A1")
    assert (link.alias.namespace, link.alias.identifier) == ("port", "hn01-a/rack-1")
    assert link.alias.strength == "weak"
    assert (second.alias.namespace, second.alias.identifier) == ("port", "hn01-a/rack-1-A2")


def test_what_the_link_says_of_a_unit_is_told_once_and_ends_with_a_word_of_it(units: Units) -> None:
    out = Status(link=LinkState.OFFLINE, reason="taken out")
    hear(units, heard("A1"))
    taken = Heard(alias("serial-A1"), None, (out,), 0, "A1")
    assert hear(units, taken) == [("rack-1-A1", "offline taken out")]
    assert hear(units, taken) == []
    assert [told(units.round_over(at_ms=0)) for _ in range(4)][:2] == [[], []], "it is not mute"
    assert units.behind[0].link is LinkState.OFFLINE
    assert hear(units, heard("A1"))[-2:] == [("rack-1-A1", "online"), ("rack-1-A1", "usage")]


def test_a_unit_that_is_not_told_of_is_mute_alone_and_a_silent_link_with_all(units: Units) -> None:
    hear(units, heard("A1"))
    hear(units, heard("A2"))
    for _ in range(2):
        assert told(units.round_over(at_ms=0)) == []
        hear(units, heard("A2"))
    assert told(units.round_over(at_ms=5)) == [("rack-1-A1", "mute is not told of any more")]
    assert units.behind[0].since_ms == 5
    assert told(units.round_over(at_ms=6)) == []
    assert told(units.round_over(at_ms=7)) == [
        ("rack-1", "mute does not answer"),
        ("rack-1-A2", "mute does not answer"),
    ]


def test_units_never_outlive_their_link_and_say_why(units: Units) -> None:
    hear(units, heard("A1"))
    hear(units, heard("A2", Status(link=LinkState.OFFLINE, reason="taken out")))
    assert told(units.gone("the cable is out", at_ms=1)) == [
        ("rack-1", "offline the cable is out"),
        ("rack-1-A1", "offline the cable is out"),
    ]
    assert units.behind[1].reason == "taken out"
    assert told(units.gone("nobody is there", at_ms=2)) == []
    assert (units.link.reason, units.link.since_ms) == ("nobody is there", 1)


def test_after_a_loss_every_link_is_told_anew(units: Units) -> None:
    hear(units, heard("A1"))
    list(units.gone("the cable is out", at_ms=1))
    units.untell()
    assert told(units.gone("still out", at_ms=1)) == [
        ("rack-1", "offline still out"),
        ("rack-1-A1", "offline still out"),
    ]


def test_a_peer_cannot_make_units_without_end(units: Units) -> None:
    for number in range(MOST_UNITS):
        assert units.find(f"u{number}") is not None
    assert units.find("one-more") is None
    assert units.find("u0") is not None
    assert len(units.behind) == MOST_UNITS


@pytest.mark.parametrize("name", ["a/b", "#", "x" * 64, "é"])
def test_a_name_that_no_topic_can_carry_is_a_bug_of_the_protocol(units: Units, name: str) -> None:
    with pytest.raises(ValueError, match="is no unit"):
        units.find(name)


def test_a_protocol_that_announces_no_units_has_none() -> None:
    with pytest.raises(ValueError, match="is no unit"):
        Units("hn01-a", "vent-1", "fake", has_units=False).find("A1")


class Rack(FakeAdapter):
    """Hears of unit `a` or `b`, by the byte."""

    def poll(self) -> bytes:
        """It speaks by itself."""
        return b""

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """A reading of each unit named."""
        return tuple(heard(chr(byte)) for byte in data)


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    async with open_outbox(tmp_path / "outbox", machine="m", clock=StillClock(), rng=dice(1)) as opened:
        yield opened


@asynccontextmanager
async def running(one: Device) -> AsyncIterator[None]:
    task = asyncio.create_task(one.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def no_pause(seconds: float) -> None:
    del seconds
    await asyncio.sleep(0.001)


async def test_a_cut_takes_all_units_down_and_each_comes_back_with_its_own_word(outbox: Outbox) -> None:
    first, second = FakeLine(), FakeLine()
    one = Device(
        "rack-1",
        "rack",
        60,
        FakeTransport(first, second),
        Rack,
        outbox,
        StillClock(),
        dice(2),
        pause=no_pause,
        publisher="hn01-a",
        has_units=True,
    )
    async with running(one):
        first.incoming.put_nowait(b"ab")
        await until(lambda: one.health.heard == 2)
        first.incoming.put_nowait(Unavailable("bench", why="the cable is out"))
        second.incoming.put_nowait(b"b")
        await until(lambda: one.health.heard == 3)
        await until(lambda: outbox.unconfirmed == 11)
        assert [(unit.name, unit.state) for unit in one.health.units] == [
            ("rack-1-a", "offline"),
            ("rack-1-b", "online"),
        ]
    held = await outbox.take(Lane.URGENT, after=("", 0), window=99, limit=99)
    links = [(item.device, decode(item.payload)) for item in held]
    assert [(device, body.link) for device, message in links if isinstance(body := message.body, Status)] == [
        ("rack-1", "online"),
        ("rack-1-a", "online"),
        ("rack-1-b", "online"),
        ("rack-1", "offline"),
        ("rack-1-a", "offline"),
        ("rack-1-b", "offline"),
        ("rack-1", "online"),
        ("rack-1-b", "online"),
        ("rack-1", "offline"),
        ("rack-1-b", "offline"),
    ]
    names = {device: message.alias for device, message in links}
    assert names["rack-1-a"] == alias("serial-a")
    assert names["rack-1-b"] == alias("serial-b")


RACK = ProtocolFile(ProtocolInfo("rack", "", "", "", 60, units=True), lambda **_: Rack(), ())
SINGLE = ProtocolFile(ProtocolInfo("fake", "", "", "", 60), lambda **_: FakeAdapter(), ())
PROTOCOLS = MappingProxyType({"rack": RACK, "fake": SINGLE})


@pytest.mark.parametrize(
    ("devices", "gateways", "said"),
    [
        ((("rack", "rack"), ("rack-A1", "fake")), (), "device 'rack': begins the name 'rack-A1'"),
        ((("rack", "rack"),), ("rack-2",), "device 'rack': begins the name 'rack-2'"),
        ((("rack-2", "rack"),), ("rack",), "gateway 'rack': begins the name 'rack-2'"),
        ((("r" * 33, "rack"),), (), "is no name for a link with several devices; must be 1 to 32"),
        ((("vent", "fake"), ("vent-2", "fake"), ("rack", "rack"), ("rack2", "rack")), (), ""),
    ],
)
async def test_names_of_units_can_collide_with_no_other_name_of_the_host(
    tmp_path: Path, devices: tuple[tuple[str, str], ...], gateways: tuple[str, ...], said: str
) -> None:
    settings = HostSettings(
        "host-a",
        tmp_path / "outbox",
        tuple(DeviceSettings(name, protocol, Tcp("127.0.0.1", 1)) for name, protocol in devices),
        tuple(GatewaySettings(name, 0) for name in gateways),
    )
    opening = open_host(
        settings, link=FakeBroker(), protocols=PROTOCOLS, clock=StillClock(), rng=dice(1), machine="m"
    )
    if not said:
        async with opening as host:
            assert len(host.health.devices) == len(devices)
        return
    with pytest.raises(SettingsError) as caught:
        async with opening:
            pass
    assert said in str(caught.value)


def alarm(key: str) -> Alarm:
    return Alarm(
        key=key,
        code="4B",
        text="battery",
        alarm_kind=AlarmKind.TECHNICAL,
        priority=Priority.HIGH,
        phase=Phase.START,
        condition=Condition.ACTIVE,
    )


def keys(units: Units, *said: str) -> list[str]:
    frame = Heard(alias("1"), None, tuple(map(alarm, said)), 0)
    return [one.body.key for one in units.heard(frame, units.link, at_ms=0) if isinstance(one.body, Alarm)]


def test_keys_of_one_life_stay_and_those_of_another_differ() -> None:
    """An Evita tells neither serial nor clock: after a restart of the host its first alarm is 4B//1 again."""
    units = Units("hn01-a", "vent1", "medibus", has_units=False)
    units.life = "one"
    first = keys(units, "4B//1", "4B//2", "x" * 128)
    assert first == keys(units, "4B//1", "4B//2", "x" * 128)
    units.life = "two"
    assert not set(first) & set(keys(units, "4B//1", "4B//2", "x" * 128))
    assert len(set(first)) == 3
    assert max(map(len, first)) <= 128
