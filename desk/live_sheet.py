"""One page as named parts, each with the look at which it last became different.

Rule: a reader is a number, the look up to which it has everything. Nothing is kept for a reader: whoever
was away, or reads slowly, gets what changed since its number, in one piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

Part = str | int | tuple[str, ...]
"""The HTML of one element whose id is the part's name; a moment in ms since 1970; or the names of the
elements of a list, in order."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one page shows as of one look."""

    look: int
    now_ms: int
    """The clock of that look."""
    parts: Mapping[str, Part]
    since: Mapping[str, int]
    """For each part the look that made it what it is."""

    def changes(self, after: int) -> Mapping[str, Part]:
        """The parts that became different after a look; all of them after 0."""
        return {name: part for name, part in self.parts.items() if self.since[name] > after}


def renewed(before: Sheet | None, parts: Mapping[str, Part], *, look: int, now_ms: int) -> Sheet:
    """The page as of the next look; parts that say the same as before keep the look that made them."""
    if before is None:
        return Sheet(look, now_ms, parts, dict.fromkeys(parts, look))
    since = {
        name: before.since[name] if before.parts.get(name) == part else look for name, part in parts.items()
    }
    return Sheet(look, now_ms, parts, since)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader has come, in which run of the desk; as text it is the id of a server-sent event."""

    run: str
    look: int

    def __str__(self) -> str:
        return f"{self.run}.{self.look}"

    def within(self, run: str) -> int:
        """The look that this reader has come to; 0 for a place in another run."""
        return self.look if self.run == run else 0


def place(text: str) -> Place:
    """The place that a reader names; the beginning for anything that is none."""
    run, _, look = text.partition(".")
    return Place(run, int(look)) if look.isascii() and look.isdigit() and len(look) <= 15 else Place("", 0)


def event(sheet: Sheet, *, after: Place, run: str, build: str) -> bytes:
    """What a reader at a place does not have yet, as a server-sent event (HTML standard, section 9.2).

    An event without parts says that all is as it was, and that the desk is there.
    """
    changes = sheet.changes(after.within(run))
    told = orjson.dumps({"now": sheet.now_ms, "build": build, "parts": changes})
    return b"id: %s\ndata: %s\n\n" % (str(Place(run, sheet.look)).encode(), told)


def trouble(why: str) -> bytes:
    """That nothing can be said now, as a server-sent event named `trouble`."""
    return b"event: trouble\ndata: %s\n\n" % orjson.dumps(why)
