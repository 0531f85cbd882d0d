"""The live view fits its terminal, tells every state by a word, and shows first who is in trouble."""

from __future__ import annotations

import asyncio
import errno
import io
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from adapters.host.device_health import DeviceHealth, UnitHealth
from adapters.host.host import HostHealth
from adapters.host.letterbox import LetterboxHealth
from adapters.host.mllp_health import GatewayHealth, GatewayTally
from adapters.host.pace import Tally
from adapters.host.publisher import PublisherHealth
from desk import watch
from desk.watch_rows import count, rows, span, summary
from telemetry.messages import LinkState

NOW_MS = 1_700_000_000_000
UP = PublisherHealth(connected=True, trouble="", unconfirmed=7, confirmed=3, tally=Tally())
GATEWAY = GatewayHealth(
    name="icu-monitors",
    place="0.0.0.0:2575",
    link=LinkState.ONLINE,
    connections=2,
    devices=14,
    online=12,
    waiting=0,
    stalled="",
    tally=GatewayTally(heard=900, refusals=1),
)


class Screen(io.TextIOWrapper):
    """A terminal that keeps what is written, or is gone."""

    def __init__(self, *, encoding: str, is_gone: bool = False) -> None:
        self.kept = io.BytesIO()
        super().__init__(self.kept, encoding=encoding)
        self.is_gone = is_gone
        self.writes = 0

    @property
    def text(self) -> str:
        """All that was written."""
        self.flush()
        return self.kept.getvalue().decode(self.encoding)

    def isatty(self) -> bool:
        """It is one."""
        return True

    def write(self, text: str) -> int:
        """Keep it."""
        self.writes += 1
        if self.is_gone:
            raise OSError(errno.EIO, "Input/output error")
        return super().write(text)


def vent(number: int, state: LinkState | None = LinkState.ONLINE, trouble: str = "") -> DeviceHealth:
    return DeviceHealth(
        f"vent-{number}",
        f"10.0.0.{number}:4001",
        "puritan-bennett",
        state,
        trouble,
        since_ms=NOW_MS - 7_200_000,
        last_heard_ms=NOW_MS - 12_000,
        polls=123_456,
        heard=123,
        refusals=4,
    )


def ward(*devices: DeviceHealth) -> HostHealth:
    return HostHealth(UP, devices, (GATEWAY,))


def drawn(health: HostHealth, *, width: int, height: int, words: tuple[str, ...] = ()) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    view = watch.View(health, words, name="HN01-icu", now_ms=NOW_MS, memory_mib=85.3)
    console.print(view, end="")
    said = console.file.getvalue()  # type: ignore[attr-defined] # the StringIO from above
    return [line.rstrip() for line in said.splitlines()]


def test_who_is_in_trouble_comes_first_and_units_stay_with_their_link() -> None:
    pump = UnitHealth("rack-A1", LinkState.OFFLINE, "taken out", NOW_MS, NOW_MS)
    rack = replace(vent(9), name="rack", units=(pump,))
    stalled = replace(vent(5), stalled="outbox: is full")
    lossy = replace(vent(6), lost=3)
    found = rows(ward(vent(1), vent(2, LinkState.MUTE), rack, vent(3, None), stalled, lossy))
    assert [row.name for row in found] == [
        "rack",
        "rack-A1",
        "vent-2",
        "vent-3",
        "vent-5",
        "vent-6",
        "vent-1",
        "icu-monitors",
    ]
    assert [row.is_troubled for row in found] == [False, True, True, True, True, True, False, False]


def test_a_wide_terminal_shows_everything_of_each() -> None:
    lines = drawn(ward(vent(1), vent(2, LinkState.OFFLINE, "10.0.0.2:4001: no answer")), width=140, height=30)
    assert lines[0] == "HN01-icu · broker connected · outbox 7 waiting · memory 85 MiB"
    assert lines[1] == "3 links: 2 online, 1 offline"
    assert lines[2].split() == [
        "device",
        "protocol",
        "place",
        "link",
        "since",
        "last",
        "polls",
        "heard",
        "refused",
        "lost",
        "why",
    ]
    assert lines[3].split() == [
        "vent-2",
        "puritan-bennett",
        "10.0.0.2:4001",
        "offline",
        "2h",
        "12s",
        "123k",
        "123",
        "4",
        "0",
        "no",
        "answer",
    ]
    assert lines[5].endswith("2 connected, 12 of 14 devices online")


@pytest.mark.parametrize("width", [40, 80, 119, 120, 140, 300])
@pytest.mark.parametrize("height", [8, 12, 24])
def test_it_never_is_larger_than_the_terminal_and_says_what_is_left_out(width: int, height: int) -> None:
    devices = [vent(number, trouble="x" * 300) for number in range(40)]
    devices[33] = vent(33, LinkState.MUTE, "does not answer")
    lines = drawn(ward(*devices), width=width, height=height, words=("a word of the log " * 30,))
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert lines[3].startswith("vent-33")
    assert "mute" in lines[3]
    shown = sum(line.startswith(("vent-", "icu-")) for line in lines)
    assert f"... and {41 - shown} more, none of them in trouble" in lines[-2]


def test_what_a_small_terminal_leaves_out_in_trouble_is_counted() -> None:
    devices = [vent(number, LinkState.OFFLINE) for number in range(10)]
    lines = drawn(ward(*devices), width=80, height=8)
    assert lines[-1].strip() == "... and 7 more, 6 of them in trouble"


def test_a_line_to_the_broker_that_is_lost_is_said_at_the_top() -> None:
    down = replace(UP, connected=False, trouble="broker: Connection refused")
    head, _ = summary(replace(ward(vent(1)), publisher=down), name="h", memory_mib=None)
    assert head == "h · broker not connected: broker: Connection refused · outbox 7 waiting"


def test_strangers_at_our_ports_are_said() -> None:
    box = LetterboxHealth("UDP port 24005 of 0.0.0.0", 12, ("10.0.0.9",))
    lines = drawn(replace(ward(vent(1)), letterboxes=(box,)), width=100, height=12)
    assert lines[-1] == "UDP port 24005 of 0.0.0.0: 12 datagrams of no device here, from 10.0.0.9"


def test_nothing_that_is_shown_can_steer_the_terminal() -> None:
    lines = drawn(ward(vent(1, LinkState.OFFLINE, "a\x1b[2Jb")), width=140, height=12)
    assert "a?[2Jb" in lines[3]
    assert "\x1b" not in "".join(lines)


def test_where_it_is_piped_a_line_is_said_on_change_only() -> None:
    told: dict[str, str] = {}

    def said(health: HostHealth) -> list[str]:
        return [
            line.split("\t", 1)[1] for line in watch.changes(told, health, name="HN01-icu", now_ms=NOW_MS)
        ]

    assert said(ward(vent(1), vent(2))) == [
        "HN01-icu\tbroker connected",
        "vent-1\tonline",
        "vent-2\tonline",
        "icu-monitors\tonline",
    ]
    assert said(ward(replace(vent(1), heard=124), vent(2))) == []
    assert said(ward(vent(1, LinkState.MUTE, "does not answer"), vent(2))) == [
        "vent-1\tmute\tdoes not answer"
    ]
    assert said(ward(replace(vent(1), stalled="outbox: is full"), vent(2))) == [
        "vent-1\tonline\twaits for room in the outbox"
    ]
    assert (
        watch.changes(told, ward(vent(1)), name="HN01-icu", now_ms=NOW_MS)[0]
        == "2023-11-14T22:13:20.000Z\tvent-1\tonline"
    )


async def test_an_output_that_takes_nothing_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop goes on, as devices must be answered."""
    stuck, begun = threading.Event(), threading.Event()

    def blocked(line: str) -> None:
        assert line
        begun.set()
        stuck.wait(10)

    monkeypatch.setattr(watch, "say", blocked)
    async with asyncio.timeout(5):
        async with watch.watching(lambda: ward(vent(1)), name="h", now_ms=lambda: NOW_MS):
            while not begun.is_set():
                await asyncio.sleep(0.001)
            for _ in range(100):
                await asyncio.sleep(0)
    stuck.set()


async def shown(monkeypatch: pytest.MonkeyPatch, output: Screen, *, term: str) -> None:
    """Look at a host until something is shown, and once more."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(watch, "LOOK_S", 0.001)
    async with asyncio.timeout(5):
        async with watch.watching(lambda: ward(vent(1)), name="Bệnh viện", now_ms=lambda: NOW_MS):
            while not output.writes:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)


async def test_a_terminal_that_cannot_be_drawn_on_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    output = Screen(encoding="utf-8")
    await shown(monkeypatch, output, term="dumb")
    assert "vent-1\tonline" in output.text


@pytest.mark.parametrize("term", ["xterm", "dumb"])
async def test_what_a_terminal_cannot_spell_is_shown_all_the_same(
    monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    output = Screen(encoding="ascii")
    await shown(monkeypatch, output, term=term)
    assert "B?nh vi?n" in output.text


@pytest.mark.parametrize("term", ["xterm", "dumb"])
async def test_a_terminal_that_is_gone_ends_the_view_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, term: str
) -> None:
    await shown(monkeypatch, Screen(encoding="utf-8", is_gone=True), term=term)
    assert "nothing is shown any more: Input/output error" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "said"), [(-1, "0s"), (59.9, "59s"), (60, "1m"), (7_199, "1h"), (86_400 * 3, "3d")]
)
def test_a_span_has_one_unit(seconds: float, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0"), (99_999, "99999"), (100_000, "100k"), (12_345_678, "12M")]
)
def test_a_count_fits_its_column(number: int, said: str) -> None:
    assert count(number) == said


def test_memory_is_told_where_the_system_tells_it() -> None:
    told = watch.memory_mib()
    assert told is None if not Path("/proc/self/statm").exists() else told and told > 1
