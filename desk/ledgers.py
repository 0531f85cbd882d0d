"""The ledger of a site for those who work with it for long: a server that is away is waited for."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from collector.ingest import Patience
from collector.ledger import Ledger, open_ledger
from desk import reading
from desk.settings import Settings
from telemetry.errors import Unavailable

log = logging.getLogger(__name__)


async def _nothing(_ledger: Ledger) -> None:
    """Nothing is to be done first."""


@asynccontextmanager
async def opened_ledger(
    settings: Settings, patience: Patience, *, first: Callable[[Ledger], Awaitable[None]] = _nothing
) -> AsyncIterator[Ledger]:
    """The ledger, once it is open and `first` is done.

    Raises SettingsError, and for a file Unavailable: its disk is this machine's and stops us at the start.
    """
    place = reading.ledger_place(settings)
    async with AsyncExitStack() as opened:
        attempt = 0
        while True:
            try:
                ledger = await opened.enter_async_context(open_ledger(place))
                await first(ledger)
            except Unavailable as error:
                if isinstance(place, Path):
                    raise
                if attempt == 0:
                    log.error("%s; trying again", error)
                await opened.aclose()
                await patience.before(attempt)
                attempt += 1
            else:
                break
        if attempt:
            log.warning("ledger: there again")
        yield ledger
