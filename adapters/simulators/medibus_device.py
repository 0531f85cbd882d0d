"""MEDIBUS devices that are not there: the device's side of the line, what it shows, and what it counts; pure.

It is stricter than a device needs to be: whatever would show a communication error at the bedside is counted,
and so are questions that are none of ours, answers that do not fit, and settings that come too early.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from random import Random
from typing import Final

from adapters.medibus_codes import COMPUTER
from adapters.medibus_frames import COMMAND, RESPONSE, Damaged, Frame, Frames, frame_of
from adapters.medibus_records import alarm_row, text_row

ICC: Final = 0x51
ID: Final = 0x52
NOP: Final = 0x30
TIME_CHANGED: Final = 0x49
STOP: Final = 0x55
NAK: Final = 0x15
CONFIGURE: Final = 0x4A
SILENT_S: Final = 3.0
NOP_S: Final = 2.0
ANSWER_S: Final = 10.0
REPEATS: Final = 3
NOT_READY_S: Final = 0.2
REALTIME_VALUES: Final = 4
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAI", "JUN", "JUL", "AUG", "SEP", "OKT", "NOV", "DEZ")


@dataclass(frozen=True, slots=True)
class Kind:
    """A model as its line shows it."""

    number: str
    name: str
    revision: str
    medibus: str = "04.00"
    has_clock: bool = True
    wants_name: bool = False
    """Whether it takes an empty identification of ours for an error."""

    @property
    def identification(self) -> bytes:
        """The data of its response to ID."""
        return f"{self.number}'{self.name}'{self.revision}:{self.medibus}".encode()


SAVINA: Final = Kind("8250", "Savina", "03.10")
EVITA_4: Final = Kind("8240", "Evita 4", "04.20", has_clock=False, wants_name=True)
X_DEVICE: Final = Kind("0900", "MEDIBUS.X device", "02.00", medibus="06.00")
"""Its number is our own; what real ones tell is not known."""
KINDS: Final = (SAVINA, EVITA_4, X_DEVICE)


@dataclass(frozen=True, slots=True)
class Shows:
    """What a device shows at a moment: alarms as priority, code and phrase, texts and values by code."""

    alarms_1: tuple[tuple[int, str, str], ...] = ()
    alarms_2: tuple[tuple[int, str, str], ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    values: tuple[tuple[str, str], ...] = ()

    def data(self, code: int, wanted: frozenset[str] | None) -> bytes:
        """The data of the response to that request, of the codes wanted, of all for None."""
        match code:
            case 0x27 | 0x2E:
                rows = self.alarms_1 if code == 0x27 else self.alarms_2
                return b"".join(
                    alarm_row(priority, one, phrase.encode())
                    for priority, one, phrase in rows
                    if wanted is None or one in wanted
                )
            case 0x2A:
                return b"".join(
                    text_row(one, text.encode())
                    for one, text in self.texts
                    if wanted is None or one in wanted
                )
            case _:
                return b"".join(
                    f"{one}{value:>4}".encode()
                    for one, value in self.values
                    if wanted is None or one in wanted
                )


AT_WORK: Final = Shows(values=(("D6", "14"), ("B9", "7.2"), ("C6", "96"), ("7D", "21"), ("6B", "1013")))
STANDING_BY: Final = Shows(
    texts=(("1E", "STANDBY"),), alarms_2=((31, "95", "STANDBY"),), values=(("C6", "96"),)
)


@dataclass(frozen=True, slots=True)
class Habits:
    """How a device talks; shares are of 1."""

    slowest_s: float = 0.3
    """Longest time until it answers; below ANSWER_S."""
    embeds: float = 0.0
    """Share of responses in the middle of which it asks something."""
    realtime: float = 0.0
    """Share of responses that have realtime values between their bytes."""
    spoils: float = 0.0
    """Share of frames that the line spoils."""


@dataclass(slots=True)
class Tally:
    """What it counted."""

    communication_errors: int = 0
    """Times that it showed and sounded a communication error."""
    why: list[str] = field(default_factory=list)
    starts: int = 0
    stops: int = 0
    asked: Counter[int] = field(default_factory=Counter)
    """Commands of ours, by code."""
    damaged: int = 0
    """Frames of ours that did not arrive whole."""
    naks: int = 0
    too_early: int = 0


class Phase(Enum):
    """Where the talk stands."""

    SEEKING = auto()
    LINKED = auto()


@dataclass(slots=True)
class _Question:
    frame: bytes
    at: float
    tries: int = 1


class Device:
    """One device at its end of the line."""

    def __init__(
        self,
        kind: Kind,
        *,
        shows: Callable[[float], Shows],
        rng: Random,
        clock: datetime,
        habits: Habits = Habits(),
    ) -> None:
        """`shows`: what it shows by the seconds since it was made. `clock`: its own, then, without a zone."""
        self.tally = Tally()
        self._kind = kind
        self._shows = shows
        self._rng = rng
        self._clock = clock
        self._habits = habits
        self._frames = Frames()
        self._now = 0.0
        self._phase = Phase.SEEKING
        self._sent_at = -SILENT_S
        self._heard_at = 0.0
        self._ready_at = 0.0
        self._question: _Question | None = None
        self._later: list[tuple[float, bytes]] = []
        self._wanted: dict[int, frozenset[str]] = {}

    # -- time ---------------------------------------------------------------------------------------------

    def due_s(self) -> float:
        """Seconds until it has something to say or to count."""
        dues = [at for at, _ in self._later]
        if self._phase is Phase.SEEKING:
            dues.append(self._sent_at + SILENT_S)
        else:
            dues += [self._heard_at + SILENT_S, self._sent_at + NOP_S]
        if self._question is not None:
            dues.append(self._question.at + ANSWER_S)
        return max(0.0, min(dues) - self._now)

    def elapsed(self, seconds: float) -> bytes:
        """What it sends as so much time has passed."""
        self._now += seconds
        due = [frame for at, frame in self._later if at <= self._now]
        self._later = [(at, frame) for at, frame in self._later if at > self._now]
        sent = b"".join(map(self._send, due))
        if self._phase is Phase.SEEKING:
            return sent + (self._seek() if self._now - self._sent_at >= SILENT_S else b"")
        if self._now - self._heard_at >= SILENT_S:
            return sent + self._error("silence of three seconds")
        if self._question is not None and self._now - self._question.at >= ANSWER_S:
            return sent + self._again("no answer within ten seconds")
        if self._now - self._sent_at >= NOP_S:
            sent += self._ask(NOP) if self._question is None else self._send(frame_of(COMMAND, NOP))
        return sent

    # -- what comes ---------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> bytes:
        """What it sends because of these bytes."""
        self._heard_at = self._now
        return b"".join(piece for item in self._frames.feed(data) for piece in self._take(item))

    def _take(self, item: object) -> Iterator[bytes]:
        match item:
            case Frame(start=start, code=code, data=data) if start == COMMAND:
                yield self._asked(code, data)
            case Frame(code=code, data=data):
                yield self._answered(code, data)
            case Damaged(start=start):
                self.tally.damaged += 1
                if start == COMMAND:
                    yield self._send(frame_of(RESPONSE, NAK))

    def _asked(self, code: int, data: bytes) -> bytes:
        self.tally.asked[code] += 1
        if code == ICC:
            self._link()
            self._question = _Question(frame_of(COMMAND, ID), self._now)
            return self._send(b"\x01" + self._question.frame + frame_of(RESPONSE, ICC)[1:])
        if code == STOP:
            self.tally.stops += 1
            self._phase, self._question = Phase.SEEKING, None
            self._later.clear()
            return self._send(frame_of(RESPONSE, STOP))
        if code == CONFIGURE and self._now < self._ready_at:
            self.tally.too_early += 1
        elif code == CONFIGURE:
            codes = data[1:].decode()
            self._wanted[data[0]] = frozenset(codes[place : place + 2] for place in range(0, len(codes), 2))
        self._later.append((self._now + self._rng.uniform(0, self._habits.slowest_s), self._response(code)))
        return b""

    def _answered(self, code: int, data: bytes) -> bytes:
        question = self._question
        if question is None:
            return b""
        if code == NAK:
            self.tally.naks += 1
            return self._again("not understood")
        if code != question.frame[1]:
            return b""
        self._question = None
        if code == ICC:
            self._link()
            return self._ask(ID)
        if code == ID:
            self._ready_at = self._now + NOT_READY_S
            if (data and not data.startswith(COMPUTER.encode())) or (not data and self._kind.wants_name):
                return self._error("an identification that is none")
        elif data:
            return self._error("data where none was asked for")
        return b""

    # -- what it says -------------------------------------------------------------------------------------

    def _response(self, code: int) -> bytes:
        data = b""
        if code == ID:
            data = self._kind.identification
        elif code in {0x24, 0x27, 0x2A, 0x2E}:
            data = self._shows(self._now).data(code, self._wanted.get(code))
        elif code == 0x28 and self._kind.has_clock:
            at = self._clock + timedelta(seconds=self._now)
            data = f"{at:%H:%M:%S}{at:%d}-{_MONTHS[at.month - 1]}-{at:%y}".encode()
        return frame_of(RESPONSE, code, data)

    def _seek(self) -> bytes:
        self._question = _Question(frame_of(COMMAND, ICC), self._now)
        self._sent_at = self._now
        return self._question.frame

    def _link(self) -> None:
        self.tally.starts += 1
        self._phase, self._heard_at = Phase.LINKED, self._now
        self._ready_at = self._now + NOT_READY_S
        self._wanted.clear()
        self._later.clear()
        self._question = None

    def _ask(self, code: int) -> bytes:
        self._question = _Question(frame_of(COMMAND, code), self._now)
        return self._send(self._question.frame)

    def _again(self, why: str) -> bytes:
        question = self._question
        if question is None or self._phase is Phase.SEEKING:
            return b""
        if question.tries > REPEATS:
            return self._error(f"{why}, {question.tries} times")
        question.tries, question.at = question.tries + 1, self._now
        return self._send(question.frame)

    def _error(self, why: str) -> bytes:
        """What the bedside sees and hears; then everything begins anew."""
        self.tally.communication_errors += 1
        self.tally.why.append(f"{self._now:.3f} s: {why}")
        self._phase = Phase.SEEKING
        self._later.clear()
        return self._seek()

    def _send(self, frame: bytes) -> bytes:
        """The frame as the line carries it."""
        self._sent_at = self._now
        if self._phase is Phase.SEEKING:
            return frame
        question = b""
        if frame[0] == RESPONSE and self._question is None and self._rng.random() < self._habits.embeds:
            self._question = _Question(frame_of(COMMAND, TIME_CHANGED), self._now)
            question = self._question.frame
        if self._rng.random() < self._habits.spoils:
            frame = frame[:-2] + bytes((frame[-2] ^ 1,)) + frame[-1:]
        at = self._rng.randrange(1, len(frame))
        frame = frame[:at] + question + frame[at:]
        if self._rng.random() < self._habits.realtime:
            for _ in range(REALTIME_VALUES):
                at = self._rng.randrange(len(frame) + 1)
                frame = frame[:at] + bytes((self._rng.randrange(0x80, 0x100),)) + frame[at:]
        return frame
