"""The session that alerts are polled in: asked for, kept alive and given up again; pure, time as lengths.

    ASKING --accepted--> ACCEPTED --event of the monitor, answered--> OPEN --polls, kept alive--> ...
    any of them --refused, aborted, ended by the monitor--> WAITING (WAIT_S)
    any of them --no word--> WAITING (RETRY_S)                      WAITING --its time is over--> ASKING

Rule 1: a monitor that refuses or ends the session may serve another system, or have served it until we came:
it is left alone for WAIT_S, across links, and never asked twice in a row.
Rule 2: an open session is kept alive every KEEP_S, well within the 10 s after which a monitor ends it, by
asking the monitor for itself: that tells its identity, mode and clock.
Rule 3: of each class of objects at most one poll a second is sent: a monitor answers no more.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from adapters import intellivue_association as association
from adapters import intellivue_layout as layout
from adapters import intellivue_writing as writing
from adapters.intellivue_association import Control
from adapters.intellivue_layout import Told

ANSWER_S: Final = 10.0
"""Within this a monitor answers a request, or it is asked again after RETRY_S."""
KEEP_S: Final = 3.0
LOST_S: Final = 10.0
"""Without a word for so long the monitor, or the way to it, is gone."""
RETRY_S: Final = 30.0
WAIT_S: Final = 600.0
POLL_S: Final = 1.0


class State(Enum):
    """Where a session stands."""

    WAITING = "waiting"
    ASKING = "asking"
    ACCEPTED = "accepted"
    OPEN = "open"


class Session:
    """Our side of one session with a monitor, over and over."""

    def __init__(self) -> None:
        self.state = State.WAITING
        self._left_s = 0.0
        """Until something must be sent."""
        self._silent_s = 0.0
        self._since_alerts_s = self._since_question_s = POLL_S
        self._number = 0

    def begin(self) -> bytes:
        """A link is up: what is sent first, nothing while the monitor is left alone."""
        if self.state is State.WAITING and self._left_s > 0:
            return b""
        return self._ask()

    @property
    def due_s(self) -> float:
        """Seconds until `passed` must be called."""
        return max(0.0, min(self._left_s, LOST_S - self._silent_s if self._is_up else self._left_s))

    def passed(self, seconds: float) -> bytes:
        """So much time has passed; what must be sent."""
        self._left_s = max(0.0, self._left_s - seconds)
        self._silent_s += seconds
        self._since_alerts_s += seconds
        self._since_question_s += seconds
        if self._is_up and self._silent_s >= LOST_S:
            self._wait(RETRY_S)
        elif self._left_s <= 0:
            return self._next()
        return b""

    def heard(self) -> None:
        """The monitor has said something in the session."""
        self._silent_s = 0.0

    def told(self, told: Told) -> bytes:
        """The monitor began the session with an event: our answer, and the first question with it."""
        if self.state not in {State.ACCEPTED, State.OPEN, State.ASKING}:
            return b""
        self.state, self._left_s, self._silent_s = State.OPEN, POLL_S, 0.0
        return writing.created_result(told)

    def question(self) -> bytes:
        """Asks the monitor for itself; due again after KEEP_S. Empty as `poll` is."""
        if self.state is not State.OPEN or self._since_question_s < POLL_S:
            return b""
        self._left_s, self._since_question_s = KEEP_S, 0.0
        return writing.poll_request(layout.MDS, layout.ALL_GROUPS, number=self._next_number())

    def poll(self) -> bytes:
        """Asks for the alerts; empty unless the session is open, and a second after the poll before."""
        if self.state is not State.OPEN or self._since_alerts_s < POLL_S:
            return b""
        self._since_alerts_s = 0.0
        return writing.poll_request(layout.ALERT_MONITOR, layout.ALERT_GROUP, number=self._next_number())

    def control(self, control: Control) -> bytes:
        """The monitor said this of the session; our answer."""
        match control:
            case Control.ACCEPT if self.state is State.ASKING:
                self.state, self._left_s, self._silent_s = State.ACCEPTED, ANSWER_S, 0.0
            case Control.RELEASE:
                self._wait(WAIT_S)
                return association.released()
            case Control.REFUSE | Control.ABORT:
                self._wait(WAIT_S)
        return b""

    def farewell(self) -> bytes:
        """Gives the session up, if there is one or may be one soon."""
        if self.state is State.WAITING:
            return b""
        self._wait(0.0)
        return association.release()

    @property
    def _is_up(self) -> bool:
        return self.state in {State.ACCEPTED, State.OPEN}

    def _next(self) -> bytes:
        """What is due, one thing at a time."""
        match self.state:
            case State.WAITING:
                return self._ask()
            case State.OPEN:
                return self.question()
            case _:
                self._wait(RETRY_S)
                return b""

    def _ask(self) -> bytes:
        self.state, self._left_s, self._silent_s = State.ASKING, ANSWER_S, 0.0
        return association.request()

    def _wait(self, seconds: float) -> None:
        self.state, self._left_s = State.WAITING, seconds

    def _next_number(self) -> int:
        self._number = self._number % 0xFFFF + 1
        return self._number
