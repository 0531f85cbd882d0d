"""What a station must be asked and answered, and when: pure, time comes as lengths.

    connected     ADMIN:ALIVE with bed id 1, then ADMIN:VERSION with the bed id of its answer
    each poll     MEM:GET, not within 0.5 s of the one before
    each block    ACK after 0.1 s brings the next, NAK the same once more

Rule 1: nothing is sent within PAUSE_S of the last byte heard, nor while an answer is awaited.
Rule 2: a spoilt or missing block is asked for again MOST_REPEATS times; then the round is given up.
Rule 3: a station that leaves LOST questions unanswered is greeted anew, else never to see whether it lives.
Rule 4: a list before which the station spoke unasked may be what it pushes, and is not taken for the answer.

B. Braun, BCC interface specification I0022_000030 v4.0 (2019); its printed exchanges, 3.2.6.3 and 3.2.6.4.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import Final

from adapters.bcc_frames import Signal, frame_of

PAUSE_S: Final = 0.1
"""Least time between the end of a block and our word."""
LIST_S: Final = 0.5
"""Least time between two MEM:GET."""
ANSWER_S: Final = 3.0
"""A block that has not come after this is missing; the documents name no limit."""
MOST_REPEATS: Final = 3
LOST: Final = 3
FIRST_BED: Final = b"1"

_ACK: Final = bytes((Signal.ACK.value,))
_NAK: Final = bytes((Signal.NAK.value,))
_ALIVE: Final = b"ADMIN:ALIVE"
_VERSION: Final = b"ADMIN:VERSION"
_LIST: Final = b"MEM:GET"


class Kind(Enum):
    """What an answer is about."""

    GREETING = "greeting"
    VERSION = "version"
    LIST = "list"


class Talk:
    """Our part of the conversation with one station."""

    def __init__(self, *, stuffing: bool, cyclic: bool) -> None:
        self._stuffing = stuffing
        self._cyclic = cyclic
        self._now = 0.0
        self._listed_at = -inf
        self.begin()
        self._asked = b""

    def begin(self) -> bytes:
        """A new link: the greeting, to be sent at once."""
        self._bed = FIRST_BED
        self._is_greeted = False
        self._heard_at = -inf
        self._sent_at = self._now
        self._asked = _ALIVE
        self._more = False
        self._repeats = 0
        self._unanswered = 0
        self._next: bytes | None = None
        self._next_at = inf
        self._wanted = False
        self._unasked = False
        self._unspoilt = False
        return self._frame(_ALIVE)

    @property
    def awaits(self) -> bool:
        """Whether an answer, or more of one, is awaited."""
        return bool(self._asked) or self._more

    @property
    def is_listing(self) -> bool:
        """Whether what is heard is the answer to MEM:GET, unspoilt so far."""
        return self._asked == _LIST and self._unspoilt

    def poll(self) -> bytes:
        """MEM:GET if it may be sent now; else it is sent as soon as it may."""
        self._wanted = not self._cyclic
        return self._ask()

    # -- what is heard ------------------------------------------------------------------------------------

    def hears(self) -> None:
        """Bytes have come: whatever is to be sent about what was spoilt waits."""
        self._heard_at = self._now
        if self._next == _NAK:
            self._next_at = self._now + PAUSE_S

    def block(self, bed: bytes, *, more: bool, of: Kind) -> None:
        """A sound block of an answer, the last of it or with more behind it."""
        self._unasked |= not self.awaits
        self._bed = bed
        self._unanswered = self._repeats = 0
        self._more = more
        self._next, self._next_at = None, inf
        if more:
            self._plan(_ACK)
        elif of is Kind.GREETING and self._asked == _ALIVE:
            self._asked, self._is_greeted = b"", True
            self._plan(_VERSION)
        elif (of is Kind.LIST and self._asked == _LIST) or (
            of is not Kind.GREETING and self._asked == _VERSION
        ):
            self._asked = b""

    def spoilt(self) -> None:
        """What came could not be read."""
        self._unspoilt = False
        if self.awaits and self._next is None and self._repeats < MOST_REPEATS:
            self._repeats += 1
            self._plan(_NAK)

    def refused(self) -> None:
        """The station has not understood us: it is asked once more."""
        if self._asked and self._next is None and self._repeats < MOST_REPEATS:
            self._repeats += 1
            self._plan(self._asked)

    # -- time ---------------------------------------------------------------------------------------------

    def due_s(self) -> float | None:
        """Seconds until something is to be sent or given up."""
        at = min(self._next_at, self._list_at(), self._missing_at())
        return None if at == inf else max(0.0, at - self._now)

    def elapsed(self, seconds: float) -> bytes:
        """So much time has passed: what is to be sent now, at most one thing."""
        self._now += seconds
        if self._next is not None and self._now >= self._next_at:
            what, self._next, self._next_at = self._next, None, inf
            return self._send(what)
        if self._now >= self._missing_at():
            self._give_up()
        return self._ask() if self._now >= self._list_at() else b""

    def _missing_at(self) -> float:
        """When what is awaited is missing."""
        if not self.awaits or self._next is not None:
            return inf
        return max(self._sent_at, self._heard_at) + ANSWER_S

    def _give_up(self) -> None:
        """Ask again for a block that is missing, or let the answer go."""
        self._unspoilt = False
        if self._more and self._repeats < MOST_REPEATS:
            self._repeats += 1
            self._plan(_NAK)
            return
        self._unanswered += 1
        self._is_greeted &= self._unanswered < LOST
        self._asked, self._more, self._repeats = b"", False, 0

    def _list_at(self) -> float:
        """When the list that is wanted may be asked for."""
        if not self._wanted or self.awaits or self._next is not None:
            return inf
        return max(self._listed_at + LIST_S, self._heard_at + PAUSE_S)

    def _ask(self) -> bytes:
        """The question that is due: the list, or the greeting of a station that has not answered it."""
        if self.awaits or self._next is not None:
            return b""
        if not self._is_greeted:
            self._bed = FIRST_BED
            return self._send(_ALIVE)
        if self._now < self._list_at():
            return b""
        self._wanted = False
        self._unspoilt, self._unasked = not self._unasked, False
        return self._send(_LIST)

    def _plan(self, what: bytes) -> None:
        at = self._now + PAUSE_S
        self._next, self._next_at = what, max(at, self._listed_at + LIST_S) if what == _LIST else at

    def _send(self, what: bytes) -> bytes:
        self._sent_at = self._now
        if what in {_ACK, _NAK}:
            return what
        self._asked = what
        if what == _LIST:
            self._listed_at = self._now
        return self._frame(what)

    def _frame(self, info: bytes) -> bytes:
        return frame_of(info, bed=self._bed, stuffing=self._stuffing)
