"""Places in the journal, and what a consumer leaves behind on its way."""

from __future__ import annotations

from dataclasses import dataclass

from telemetry.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next position that a consumer will read, in the journal of that epoch."""

    epoch: str
    position: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that cannot go on: kept with its reason while the line moves on."""

    position: int
    topic: str
    kind: str
    payload: bytes
    reason: str


class CursorError(SettingsError):
    """A cursor stands where the journal cannot answer: it must be rewound by command."""

    def __init__(self, *, consumer: str, cursor: Cursor, epoch: str, first: int) -> None:
        self.cursor = cursor
        self.epoch = epoch
        self.first = first
        super().__init__(
            where=f"cursor of {consumer}",
            found=f"stands at {cursor.position} of epoch {cursor.epoch}",
            expected=f"the journal is of epoch {epoch} and begins at {first}: "
            f"run `hourmeter rewind {consumer}` to read from there",
        )
