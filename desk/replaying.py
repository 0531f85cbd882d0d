"""Dead letters from the desk's side of the journal: asked to go again, and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from collector import dead
from collector.dead import Fate, Kept, Outcome
from desk.reading import open_store
from desk.settings import Settings

KNOWN_WITHIN_S = 10.0
"""How long a person waits to hear what became of what they asked for."""
_LOOK_S = 0.2
_UNDECIDED = (Fate.WAITING, Fate.UNDERWAY)


def dead_letters(settings: Settings, *, kind: str, reason: str, limit: int) -> tuple[Kept, ...]:
    """The newest dead letters of a kind whose reason holds a text."""
    with open_store(settings) as store:
        return dead.kept(store, kind=kind, reason=reason, limit=limit)


def dead_letter(settings: Settings, position: int) -> Kept:
    """One dead letter. Raises SettingsError if there is none at that position."""
    with open_store(settings) as store:
        return dead.find(store, position)


def ask(settings: Settings, positions: Sequence[int]) -> None:
    """Let dead letters go again. Raises SettingsError, MessageError; then none of them goes."""
    with open_store(settings) as store:
        dead.ask(store, positions)


def ask_all(settings: Settings, *, kind: str, reason: str) -> tuple[tuple[int, ...], int]:
    """Let all of a kind whose reason holds a text go again: their positions, and how many cannot."""
    with open_store(settings) as store:
        return dead.ask_all(store, kind=kind, reason=reason)


async def outcomes(settings: Settings, positions: Sequence[int]) -> tuple[Outcome, ...]:
    """What becomes of dead letters that were asked to go again, as far as it is known in a short time."""
    with open_store(settings) as store:
        found = dead.outcomes(store, positions)
        try:
            async with asyncio.timeout(KNOWN_WITHIN_S):
                while any(outcome.fate in _UNDECIDED for outcome in found):
                    await asyncio.sleep(_LOOK_S)
                    found = dead.outcomes(store, positions)
        except TimeoutError:
            pass
    return found
