"""The pages as they stand: one look at the fleet for all readers, and what it changed on each page.

Rule 1: the fleet is looked at when somebody reads and the last look is too old; nobody reading costs nothing.
Rule 2: looking takes a quarter of the time at most, however large the fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from desk.live_parts import Asked, Laid, Page, Rows, Write, laid, parts, rows
from desk.live_sheet import Sheet, renewed
from desk.speech import Speech
from desk.views import Fleet, TicketRow
from desk.views_asset import AssetView
from desk.words import Language
from telemetry.errors import HourmeterError

SHARE: Final = 3
"""How many times as long as a look took nobody looks again."""
SHEETS: Final = 64
"""Pages kept at hand; the one asked for longest ago makes room."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the pages have what they say from; all of it raises Unavailable."""

    fleet: Callable[[], Awaitable[Fleet]]
    ticket: Callable[[str], Awaitable[TicketRow | None]]
    """Any ticket with its events; None if there is none."""
    asset: Callable[[str], Awaitable[AssetView | None]]
    """Everything on record of one asset; None if there is none."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One page as of one look."""

    fleet: Fleet
    sheet: Sheet
    exists: bool
    """Whether the ticket or asset that was asked for is there."""


class Live:
    """All pages of one site; `run` names this run of the desk, `elapsed_s` tells real time."""

    def __init__(
        self,
        source: Source,
        *,
        macros: Mapping[str, Write],
        every_s: float,
        run: str,
        elapsed_s: Callable[[], float],
    ) -> None:
        self.run = run
        self._source = source
        self._macros = macros
        self._every_s = every_s
        self._elapsed_s = elapsed_s
        self._alone = asyncio.Lock()
        self._due_s: float | None = None
        self._look = 0
        self._laid: Laid | HourmeterError | None = None
        self._rows: dict[Language, tuple[int, Rows]] = {}
        self._sheets: dict[Asked, Shown] = {}

    def due_in_s(self) -> float:
        """Seconds until a look would show something else than the last one."""
        return 0.0 if self._due_s is None else max(0.0, self._due_s - self._elapsed_s())

    async def fleet(self) -> Fleet:
        """The fleet, looked at anew if the last look is too old. Raises what the source raises."""
        async with self._alone:
            return (await self._looked()).fleet

    async def shown(self, asked: Asked) -> Shown:
        """A page, of the same look for all who ask meanwhile. Raises what the source raises."""
        async with self._alone:
            now = await self._looked()
            before = self._sheets.pop(asked, None)
            if before is None or before.sheet.look != self._look:
                before = await self._written(asked, now, before)
            self._sheets[asked] = before
            while len(self._sheets) > SHEETS:
                del self._sheets[next(iter(self._sheets))]
            return before

    async def _looked(self) -> Laid:
        if self._laid is None or self.due_in_s() <= 0:
            began_s = self._elapsed_s()
            try:
                self._laid = await asyncio.to_thread(laid, await self._source.fleet())
                self._look += 1
            except HourmeterError as error:
                self._laid = error
            self._due_s = began_s + max(self._every_s, (1 + SHARE) * (self._elapsed_s() - began_s))
        if isinstance(self._laid, HourmeterError):
            raise self._laid.with_traceback(None)
        return self._laid

    async def _written(self, asked: Asked, now: Laid, before: Shown | None) -> Shown:
        ticket = await self._source.ticket(asked.id) if asked.page is Page.TICKET else None
        asset = await self._source.asset(asked.id) if asked.page is Page.ASSET else None
        look, own = self._rows.get(asked.language, (0, {}))
        say = Speech(asked.language, now.fleet.now_ms)

        def write() -> tuple[Rows, Sheet]:
            written = own if look == self._look else rows(own, now, self._macros, say)
            said = parts(asked, now, written, self._macros, say, ticket=ticket, asset=asset)
            sheet = renewed(before.sheet if before else None, said, look=self._look, now_ms=now.fleet.now_ms)
            return written, sheet

        # off the event loop, which may carry messages too: 0.2 ms for each row that is different
        written, sheet = await asyncio.to_thread(write)
        self._rows[asked.language] = (self._look, written)
        exists = asked.page in {Page.FLEET, Page.TICKETS} or bool(ticket or asset)
        return Shown(now.fleet, sheet, exists)
