"""What people say of assets: at which time it is said, and what is on record beside it."""

from __future__ import annotations

import asyncio
from typing import Final

from desk import reading
from desk.journal_clock import newest_ms
from desk.settings import Settings
from rules.assets import Asset
from rules.state import State
from telemetry.clock import Clock
from telemetry.errors import SettingsError

BEHIND_MS: Final = 60_000
"""A collector writes each second; a journal that is older is of a site at rest, or of a demo's own time."""
STEP_S: Final = 1.2
"""Within this a collector at work has written."""


async def site_now_ms(settings: Settings, clock: Clock) -> int:
    """The time at a site: the clock's, or the journal's where a demo runs on a time of its own."""
    now_ms = clock.now_ms()
    newest = await asyncio.to_thread(_newest_ms, settings)
    if newest is None or abs(now_ms - newest) < BEHIND_MS:
        return max(now_ms, newest or 0)
    await asyncio.sleep(STEP_S)
    later = await asyncio.to_thread(_newest_ms, settings)
    return clock.now_ms() if later is None or later == newest else later


def _newest_ms(settings: Settings) -> int | None:
    if not (settings.journal.folder / "journal.db").exists():
        return None
    with reading.open_store(settings) as store:
        return newest_ms(store)


def asset_of(state: State, number: str) -> Asset:
    """An asset on record. Raises SettingsError if there is none."""
    found = state.assets.get(number)
    if found is None:
        raise SettingsError(
            where="asset", found=f"there is no {number}", expected="an id that `hourmeter assets list` shows"
        )
    return found
