"""Dead letters as a person meets them: listed, looked at, asked to go again, and what became of them.

Rule 1: asking is a mark; the collector's next tick does it, whichever process the mark came from.
Rule 2: a dead letter goes again as it was: with its topic, its place in its stream and its times.
Rule 3: what is kept masked cannot be read by anybody, so it cannot go again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

import orjson

from collector import replays
from collector.clocks import Heard, Tolerance, event_time
from collector.cursors import DeadLetter
from collector.privacy import MASKED
from collector.store import Store
from telemetry.errors import MessageError, SettingsError
from telemetry.records import Journaled

AT_ONCE = 500
"""Dead letters that go again with one tick; the others wait for the next ones."""
_RECORDS_AT_ONCE = 1_000
_MASKED = b'{"' + MASKED.encode() + b'":'


@dataclass(frozen=True, slots=True)
class Kept:
    """A dead letter, and its message as the journal holds it."""

    letter: DeadLetter
    message: Journaled
    is_asked: bool
    """Whether it goes again with a next tick."""
    came_from: int | None
    """Its former position, if it is back from going again."""

    @property
    def is_masked(self) -> bool:
        """Whether only length and checksum of its payload were kept."""
        return is_masked(self.letter.payload)

    @property
    def size(self) -> int:
        """Bytes of the payload as it came in."""
        if self.is_masked:
            return int(orjson.loads(self.letter.payload)[MASKED]["bytes"])
        return len(self.letter.payload)


class Fate(StrEnum):
    """What became of a dead letter that was asked to go again."""

    WAITING = "waiting"
    """No tick has taken it yet."""
    UNDERWAY = "under way"
    """It is in the journal again; history has not come to it."""
    STORED = "stored"
    DEAD_AGAIN = "dead again"
    GONE = "gone"
    """Its batch is no longer in the journal."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One dead letter that was asked to go again."""

    position: int
    fate: Fate
    again: int | None = None
    """Its new position."""
    reason: str = ""
    """Why it is dead again."""


def is_masked(payload: bytes) -> bool:
    """Whether a payload is what `privacy.mask` left of one."""
    return payload.startswith(_MASKED)


# -- looking ----------------------------------------------------------------------------------------------


def kept(store: Store, *, limit: int, kind: str = "", reason: str = "") -> tuple[Kept, ...]:
    """The newest dead letters of a kind whose reason holds a text, oldest of them first."""
    with store.file.snapshot():
        rows = store.file.db.execute(
            "SELECT position FROM dead WHERE (?1='' OR kind=?1) AND instr(lower(reason), lower(?2))"
            " ORDER BY position DESC LIMIT ?3",
            (kind, reason, limit),
        )
        return _kept(store, [position for (position,) in rows][::-1])


def find(store: Store, position: int) -> Kept:
    """One dead letter. Raises SettingsError if there is none at that position."""
    with store.file.snapshot():
        found = _kept(store, [position])
    if not found:
        raise _none_at(position)
    return found[0]


def _none_at(position: int) -> SettingsError:
    return SettingsError(
        where="dead letters",
        found=f"there is none at position {position}",
        expected="a position that `dead list` shows",
    )


def _kept(store: Store, positions: Sequence[int]) -> tuple[Kept, ...]:
    found: list[Kept] = []
    for message in _messages(store, positions):
        at = (message.position,)
        letter = store.file.db.execute("SELECT * FROM dead WHERE position=?", at).fetchone()
        is_asked = store.file.db.execute("SELECT 1 FROM replay WHERE position=?", at).fetchone() is not None
        before = store.file.db.execute("SELECT position FROM replay WHERE again=?", at).fetchone()
        if letter:
            found.append(Kept(DeadLetter(*letter), message, is_asked, before[0] if before else None))
    return tuple(found)


def _messages(store: Store, positions: Sequence[int]) -> Iterator[Journaled]:
    """The messages at these ascending positions, as far as they are in the journal."""
    for _, group in groupby(positions, lambda position: position // _RECORDS_AT_ONCE):
        near = tuple(group)
        wanted = frozenset(near)
        for record in store.read(near[0], limit=near[-1] - near[0] + 1):
            if isinstance(record, Journaled) and record.position in wanted:
                yield record


# -- asking -----------------------------------------------------------------------------------------------


def ask(store: Store, positions: Sequence[int]) -> None:
    """Let these dead letters go again, all of them or none.

    Raises SettingsError for a position without one, MessageError for one whose payload was not kept.
    """
    with store.file.transaction():
        for position in positions:
            row = store.file.db.execute(
                "SELECT kind, payload FROM dead WHERE position=?", (position,)
            ).fetchone()
            if row is None:
                raise _none_at(position)
            kind, payload = row
            if is_masked(payload):
                raise MessageError(
                    "its payload was not kept, because it names what hourmeter does not know;"
                    " mend it where it comes from",
                    subject=f"dead letter {position}",
                )
            replays.ask(store.file, [(position, kind)])


def ask_all(store: Store, *, kind: str = "", reason: str = "") -> tuple[tuple[int, ...], int]:
    """Let all dead letters of a kind whose reason holds a text go again.

    Their positions, and how many stay because their payload was not kept.
    """
    with store.file.transaction():
        rows = store.file.db.execute(
            "SELECT position, kind, substr(payload, 1, ?3)=?4 FROM dead"
            " WHERE (?1='' OR kind=?1) AND instr(lower(reason), lower(?2)) ORDER BY position",
            (kind, reason, len(_MASKED), _MASKED),
        ).fetchall()
        readable = [(position, of) for position, of, masked in rows if not masked]
        replays.ask(store.file, readable)
    return tuple(position for position, _ in readable), len(rows) - len(readable)


def outcomes(store: Store, positions: Sequence[int]) -> tuple[Outcome, ...]:
    """What has become of dead letters that were asked to go again."""
    with store.file.snapshot():
        (cursor,) = store.file.db.execute("SELECT position FROM consumer WHERE name='history'").fetchone()
        return tuple(_outcome(store, position, cursor) for position in positions)


def _outcome(store: Store, position: int, cursor: int) -> Outcome:
    db = store.file.db
    if position < store.file.first():
        return Outcome(position, Fate.GONE)
    row = db.execute("SELECT again FROM replay WHERE position=?", (position,)).fetchone()
    (again,) = row or (position,)  # a history that went back tries it again where it stands
    if again is None:
        return Outcome(position, Fate.WAITING)
    if again >= cursor:
        return Outcome(position, Fate.UNDERWAY, again)
    letter = db.execute("SELECT reason FROM dead WHERE position=?", (again,)).fetchone()
    if letter is None:
        return Outcome(position, Fate.STORED, again)
    return Outcome(position, Fate.DEAD_AGAIN, again, letter[0])


# -- going again ------------------------------------------------------------------------------------------


def to_replay(store: Store) -> Iterator[Journaled]:
    """The messages that go again with the next commit, as they stand in the journal."""
    return _messages(store, replays.asked(store.file, at_most=AT_ONCE))


def again(
    message: Journaled, *, position: int, at_ms: int, sync: Heard | None, tolerance: Tolerance
) -> Journaled:
    """A message as it is journaled once more at `position`.

    One that could not be read is read again; only if that goes well is its time fixed now, as it would have
    been when it was received, at most `at_ms`.
    """
    same = message._replace(position=position, refusal="")
    try:
        told = same.read()
    except MessageError as error:
        return same._replace(refusal=error.reason)
    if not message.refusal:
        return same._replace(again=True)
    event_ms, corrected = event_time(
        observed_ms=None if told.observed_us is None else told.observed_us // 1000,
        mono_ms=message.envelope.mono_ms if message.envelope else None,
        received_ms=message.received_ms,
        sync=sync,
        tolerance=tolerance,
    )
    return same._replace(event_ms=min(event_ms, at_ms), corrected=corrected)
