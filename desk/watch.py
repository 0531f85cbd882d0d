"""The live view of an adapter host: a table that is drawn each second, or lines on change where it is piped.

Rule 1: what it draws is drawn in a thread: a terminal that takes nothing holds up no device, and one that
is gone ends the view alone.
Rule 2: a state is told by a word, its colour only repeats it.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from adapters.host.host import HostHealth
from adapters.host.transports import words_of
from desk.terminal import say
from desk.watch_rows import Row, count, notes, rows, span, summary
from telemetry.times import iso

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""Real seconds between two looks."""
WIDE: Final = 120
"""Columns from which protocol, place and every count have a place of their own."""
LAST_WORDS: Final = 3
"""Lines of the log that are shown."""
_STYLES: Final = MappingProxyType({"online": "green", "mute": "yellow", "offline": "red", "unknown": "cyan"})
_STATM: Final = Path("/proc/self/statm")
_PAGE_MIB: Final = os.sysconf("SC_PAGE_SIZE") / (1 << 20)


class LastWords(logging.Handler):
    """Keeps the last lines of the log, which would run through the table."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=LAST_WORDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(self.format(record).splitlines()[0])


@asynccontextmanager
async def watching(
    look: Callable[[], HostHealth | None], *, name: str, now_ms: Callable[[], int]
) -> AsyncIterator[None]:
    """Show how the host stands for as long as this lasts; `look` gives None before there is one."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what its encoding cannot say
    with _quiet_log() as words:
        show = _draw if _is_screen() else _tell
        showing = asyncio.create_task(_while_it_is_there(show(look, words, name=name, now_ms=now_ms)))
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.wait((showing,))
            if not showing.cancelled():
                showing.result()


def _is_screen() -> bool:
    """Whether a table can be drawn again and again; a terminal that only writes on gets lines."""
    return sys.stdout.isatty() and not Console().is_dumb_terminal


async def _while_it_is_there(show: Coroutine[Any, Any, None]) -> None:
    try:
        await show
    except OSError as error:  # whoever looked has left: no device is given up for that
        log.warning("nothing is shown any more: %s", words_of(error))


@contextmanager
def _quiet_log() -> Iterator[LastWords]:
    """Where table and log would share a terminal, the log's last lines stand below the table."""
    root, words = logging.getLogger(), LastWords()
    before = root.handlers[:]
    if not (_is_screen() and sys.stderr.isatty()) or not before:
        yield words
        return
    words.setFormatter(before[0].formatter)
    root.handlers[:] = [words]
    try:
        yield words
    finally:
        root.handlers[:] = before
        with suppress(OSError):  # the terminal is gone
            for line in words.lines:
                sys.stderr.write(f"{line}\n")


async def _draw(
    look: Callable[[], HostHealth | None], words: LastWords, *, name: str, now_ms: Callable[[], int]
) -> None:
    with Live(auto_refresh=False, screen=True, console=Console()) as live:
        while True:
            health = look()
            if health is not None:
                view = View(health, tuple(words.lines), name=name, now_ms=now_ms(), memory_mib=memory_mib())
                await asyncio.to_thread(live.update, view, refresh=True)
            await asyncio.sleep(LOOK_S)


async def _tell(
    look: Callable[[], HostHealth | None], words: LastWords, *, name: str, now_ms: Callable[[], int]
) -> None:
    del words  # the log has its own place
    told: dict[str, str] = {}
    while True:
        if (health := look()) is not None:
            for line in changes(told, health, name=name, now_ms=now_ms()):
                await asyncio.to_thread(say, line)
        await asyncio.sleep(LOOK_S)


def changes(told: dict[str, str], health: HostHealth, *, name: str, now_ms: int) -> tuple[str, ...]:
    """What is other than told before, one line each: time, who, link, why; `told` is brought up to date."""
    publisher = health.publisher
    broker = "connected" if publisher.connected else f"not connected\t{publisher.trouble}"
    states = {name: f"broker {broker}"}
    for row in rows(health):
        stalled = "\twaits for room in the outbox" if row.stalled else ""
        why = "" if row.protocol == "gateway" else row.about
        states[row.name] = f"{row.word}{stalled}" + (f"\t{why}" if why and not stalled else "")
    states.update((line.partition(":")[0], line.partition(": ")[2]) for line in _strangers(health))
    news = tuple(f"{iso(now_ms)}\t{who}\t{state}" for who, state in states.items() if told.get(who) != state)
    told.update(states)
    return news


def _strangers(health: HostHealth) -> Iterator[str]:
    """As `notes`, without the number, which changes all the time."""
    for box in health.letterboxes:
        if box.unknown:
            yield f"{box.place}: datagrams of no device here, from {', '.join(box.strangers)}"


def memory_mib() -> float | None:
    """What this process has in memory; None where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_MIB
    except OSError:
        return None


class View:
    """The host at one moment, as large as the terminal is when it is drawn."""

    def __init__(
        self,
        health: HostHealth,
        words: Sequence[str],
        *,
        name: str,
        now_ms: int,
        memory_mib: float | None,
    ) -> None:
        self._health = health
        self._words = words
        self._name = name
        self._now_ms = now_ms
        self._memory_mib = memory_mib

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        head, *stand = summary(self._health, name=self._name, memory_mib=self._memory_mib)
        connected = self._health.publisher.connected
        top = [_line(head, "bold" if connected else "bold red"), *(_line(one) for one in stand)]
        below = [_line(one, "yellow") for one in notes(self._health)] + [
            _log_line(one) for one in self._words
        ]
        found = rows(self._health)
        room = max(1, (options.height or options.max_height) - len(top) - len(below) - 1)
        shown = found if len(found) <= room else found[: max(0, room - 1)]
        parts: list[RenderableType] = [*top, self._table(shown, wide=options.max_width >= WIDE)]
        if rest := found[len(shown) :]:
            troubled = sum(row.is_troubled for row in rest)
            parts.append(_line(f"... and {len(rest)} more, {troubled or 'none'} of them in trouble", "bold"))
        yield Group(*parts, *below)

    def _table(self, shown: Sequence[Row], *, wide: bool) -> Table:
        table = Table(box=None, header_style="bold", expand=True, padding=(0, 1, 0, 0))
        table.add_column("device", no_wrap=True, min_width=12, max_width=28 if wide else 20)
        if wide:
            table.add_column("protocol", no_wrap=True, max_width=16)
            table.add_column("place", no_wrap=True, max_width=30)
        table.add_column("link", no_wrap=True, min_width=7)
        table.add_column("since", no_wrap=True, justify="right", min_width=5)
        table.add_column("last", no_wrap=True, justify="right", min_width=5)
        for title in ("polls", "heard", "refused", "lost") if wide else ("p/h/r",):
            table.add_column(title, no_wrap=True, justify="right", min_width=4)
        table.add_column("why", no_wrap=True, ratio=1, overflow="ellipsis")
        for row in shown:
            table.add_row(*self._cells(row, wide=wide))
        return table

    def _cells(self, row: Row, *, wide: bool) -> Iterator[Text]:
        yield Text(row.name, overflow="ellipsis")
        if wide:
            yield Text(row.protocol, overflow="ellipsis")
            yield Text(_visible(row.place), overflow="ellipsis")
        yield Text(row.word, style=_STYLES[row.word])
        for at_ms in (row.since_ms, row.heard_ms):
            yield Text("" if at_ms is None else span((self._now_ms - at_ms) / 1000))
        counts = [("" if one is None else count(one)) for one in (row.polls, row.heard, row.refused)]
        if wide:
            yield from map(Text, counts)
            yield Text(count(row.lost), style="bold red" if row.lost else "")
        else:
            yield Text("/".join(counts) if any(counts) else "")
        lost = "" if wide or not row.lost else f"{count(row.lost)} lost; "
        why = row.about.removeprefix(f"{row.place}: ") if wide else row.about
        about = f"waits: {why}" if row.stalled else why
        yield Text(_visible(lost + about), style="red" if row.stalled or lost else "", overflow="ellipsis")


def _line(text: str, style: str = "") -> Text:
    return Text(_visible(text), style=style, no_wrap=True, overflow="ellipsis")


def _log_line(text: str) -> Text:
    """A line that the log has coloured."""
    return Text.from_ansi(text, style="dim", no_wrap=True, overflow="ellipsis")


def _visible(text: str) -> str:
    """The text without what would steer the terminal, whoever wrote it."""
    return "".join(char if char.isprintable() else "?" for char in text)
