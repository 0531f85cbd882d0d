"""Who speaks when on a MEDIBUS line: start-up, questions, repeats, and no silence of three seconds.

Both sides are equals: each asks, each must answer, and each takes the other for gone after SILENT_S.

Rule 1: whatever the device asks is answered at once, the corrupt and the unknown too.
Rule 2: one question at a time; the next goes out as soon as the last is answered. Only NOP does not wait: it
keeps the link alive while a device takes its time.
Rule 3: a question is asked again after ANSWER_S, after NAK and after a damaged response, REPEATS times. Then
one without an answer is left out for LEFT_OUT_S if the device answers other things, and the link begun anew
if it does not; one that only the line spoils is given up until the next round.
Rule 4: while the device has us suspended nothing is sent, for RESUME_S at most.
Rule 5: however much time passes at once, each thing that is due is done once.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final

from adapters.medibus_frames import COMMAND, RESPONSE, Flow, frame_of

ICC: Final = 0x51
ID: Final = 0x52
NOP: Final = 0x30
STOP: Final = 0x55
NAK: Final = 0x15

SILENT_S: Final = 3.0
"""Silence after which a side takes the other for gone; also the pause between two ICC."""
NOP_S: Final = 1.5
"""Our own silence after which we say something; the device allows two seconds, and lines have delays."""
ANSWER_S: Final = 10.0
REPEATS: Final = 3
SETTLE_S: Final = 0.2
"""What a device needs after start-up before it can be asked; settings that come earlier are ignored."""
RESUME_S: Final = 3.0
LEFT_OUT_S: Final = 600.0
MOST_HELD: Final = 32
"""Answers that wait while we are suspended; a device that asks more than that is listening."""

SOURCE: Final = (
    "Draeger 9028258, 7th edition 2003 (MEDIBUS 4.03): initialising, time-out, software handshaking"
)


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


class Phase(Enum):
    """Where the conversation stands."""

    DOWN = auto()
    OPENING = auto()
    """ICC was sent, and is sent until it is answered."""
    SETTLING = auto()
    OPEN = auto()


class Conversation:
    """Our side of one line; gives the frames to be sent, in order."""

    def __init__(self, *, identification: bytes) -> None:
        """`identification`: who we say we are, the data of the response to ID."""
        self._identification = identification
        self._now = 0
        """In microseconds, so that lengths add up."""
        self._phase = Phase.DOWN
        self._sent_at = self._heard_at = self._begun_at = self._asked_at = 0
        self._suspended_to: int | None = None
        self._held: deque[bytes] = deque()
        self._queue: deque[bytes] = deque()
        self._question: bytes | None = None
        self._tries = 0
        self._answered_since = False
        self._left_out: dict[int, int] = {}

    @property
    def is_open(self) -> bool:
        """Whether questions may be asked."""
        return self._phase is Phase.OPEN

    def waits_for(self, code: int) -> bool:
        """Whether this question was asked and is not answered yet."""
        return self._question is not None and self._question[1] == code

    @property
    def is_busy(self) -> bool:
        """Whether a question waits for its answer, or to be asked."""
        return self._question is not None or bool(self._queue)

    # -- the link -----------------------------------------------------------------------------------------

    def begin(self) -> list[bytes]:
        """A link is up: ICC, for the device may be in the middle of a talk with somebody before us."""
        self._suspended_to = None
        self._held.clear()
        self._left_out.clear()
        self._heard_at = self._now
        return self._open()

    def end(self) -> None:
        """The link is gone."""
        self._phase = Phase.DOWN
        self._forget_questions()
        self._held.clear()

    def farewell(self) -> bytes:
        """STOP, so that the device does not miss us; nothing without a link."""
        if self._phase is Phase.DOWN:
            return b""
        self.end()
        return frame_of(COMMAND, STOP)

    # -- time ---------------------------------------------------------------------------------------------

    def due_s(self) -> float | None:
        """Seconds until something is due."""
        if self._phase is Phase.DOWN:
            return None
        return max(0, min(self._dues()) - self._now) / 1e6

    def elapsed(self, seconds: float) -> list[bytes]:
        """So much time has passed."""
        self._now += _us(seconds)
        sent: list[bytes] = []
        if self._phase is Phase.DOWN:
            return sent
        if self._suspended_to is not None and self._now >= self._suspended_to:
            sent += self._resume()
        if self._phase is Phase.OPENING:
            if self._now - self._begun_at >= _us(SILENT_S):
                sent += self._open()
            return sent
        if self._now - self._heard_at >= _us(SILENT_S):
            self._heard_at = self._now
            return sent + self._open()
        if self._phase is Phase.SETTLING and self._now - self._begun_at >= _us(SETTLE_S):
            self._phase = Phase.OPEN
            self._queue.appendleft(frame_of(COMMAND, ID))
            sent += self._next()
        if self._question is not None and self._now - self._asked_at >= _us(ANSWER_S):
            sent += self._ask_again(spoilt=False)
        sent += self._next()
        if self._suspended_to is None and self._now - self._sent_at >= _us(NOP_S):
            sent += self._send(frame_of(COMMAND, NOP))
        return sent

    def _dues(self) -> list[int]:
        dues = [self._heard_at + _us(SILENT_S)]
        if self._suspended_to is not None:
            dues.append(self._suspended_to)
        if self._phase is Phase.OPENING:
            return [*dues[1:], self._begun_at + _us(SILENT_S)]
        if self._phase is Phase.SETTLING:
            dues.append(self._begun_at + _us(SETTLE_S))
        if self._question is not None:
            dues.append(self._asked_at + _us(ANSWER_S))
        if self._suspended_to is None:
            dues.append(self._sent_at + _us(NOP_S))
        return dues

    # -- what the device says -----------------------------------------------------------------------------

    def heard(self) -> None:
        """Bytes have come, whatever they are."""
        self._heard_at = self._now

    def command(self, code: int) -> list[bytes]:
        """The device asks; its answer, and what follows."""
        if self._phase is Phase.DOWN:
            return []
        sent = self._send(frame_of(RESPONSE, code, self._identification if code == ID else b""))
        if code == ICC:
            self._forget_questions()
            self._settle()
        elif code == ID and self._phase is Phase.SETTLING:
            self._settle()
        elif code == STOP:
            self._forget_questions()
            self._phase, self._begun_at = Phase.OPENING, self._now
        return sent

    def corrupt_command(self) -> list[bytes]:
        """The device asks something that did not arrive whole."""
        if self._phase is Phase.DOWN:
            return []
        return self._send(frame_of(RESPONSE, NAK))

    def response(self, code: int) -> list[bytes]:
        """The device answers."""
        self._answered_since = True
        if code == ICC and self._phase is Phase.OPENING:
            self._settle()
        elif self._question is not None and code == NAK:
            return self._ask_again(spoilt=True)
        elif self.waits_for(code):
            self._question = None
            return self._next()
        return []

    def corrupt_response(self) -> list[bytes]:
        """An answer did not arrive whole."""
        return [] if self._question is None else self._ask_again(spoilt=True)

    def flow(self, byte: Flow) -> list[bytes]:
        """The device cannot listen, or can again."""
        if byte is Flow.SUSPEND:
            if self._suspended_to is None:
                self._suspended_to = self._now + _us(RESUME_S)
            return []
        if byte is Flow.ABORT:
            self._queue.clear()
        return self._resume()

    # -- our questions ------------------------------------------------------------------------------------

    def ask(self, questions: tuple[bytes, ...]) -> list[bytes]:
        """Ask these commands after those that wait; none unless questions may be asked."""
        if not self.is_open:
            return []
        self._queue.extend(questions)
        return self._next()

    def _next(self) -> list[bytes]:
        if self._phase is not Phase.OPEN or self._question is not None or self._suspended_to is not None:
            return []
        while self._queue:
            question = self._queue.popleft()
            if self._left_out.get(question[1], self._now) <= self._now:
                self._question, self._tries, self._answered_since = question, 0, False
                return self._try()
        return []

    def _try(self) -> list[bytes]:
        self._tries += 1
        self._asked_at = self._now
        return self._send(self._question) if self._question is not None else []

    def _ask_again(self, *, spoilt: bool) -> list[bytes]:
        if self._tries <= REPEATS:
            return self._try()
        code = self._question[1] if self._question is not None else ID
        self._question = None
        if code == ID or not (spoilt or self._answered_since):
            return self._open()
        if not spoilt:
            self._left_out[code] = self._now + _us(LEFT_OUT_S)
        return self._next()

    def _forget_questions(self) -> None:
        self._queue.clear()
        self._question = None

    # -- sending ------------------------------------------------------------------------------------------

    def _open(self) -> list[bytes]:
        self._forget_questions()
        self._phase, self._begun_at = Phase.OPENING, self._now
        return self._send(frame_of(COMMAND, ICC))

    def _settle(self) -> None:
        self._phase, self._begun_at = Phase.SETTLING, self._now

    def _send(self, frame: bytes) -> list[bytes]:
        if self._suspended_to is not None and len(self._held) < MOST_HELD:
            self._held.append(frame)
            return []
        self._sent_at = self._now
        return [*self._released(), frame]

    def _resume(self) -> list[bytes]:
        return self._released() + self._next()

    def _released(self) -> list[bytes]:
        """What waited while we were suspended, as we are no more."""
        self._suspended_to = None
        held = [*self._held]
        self._held.clear()
        if held:
            self._sent_at = self._now
        return held
