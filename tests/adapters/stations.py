"""Ways to talk to a simulated BCC station in virtual time, shared by the tests of its adapter."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.bcc_frames import frame_of
from adapters.bcc_tables import SEPARATOR
from adapters.contract import Answer, Heard, Outcome
from adapters.protocols.bbraun_bcc import OPTIONS, Bcc
from adapters.simulators.bcc_station import Station

SAMPLES = Path(__file__).parents[2].parent / "shared/samples/bbraun_bcc"
START = datetime(2024, 1, 8, 0, 0, tzinfo=UTC)


def block(*parts: bytes, more: bool = False, stuffing: bool = False) -> bytes:
    """A block of a station with these quadruples."""
    return frame_of(SEPARATOR.join(parts), bed=b"ComSystem", more=more, stuffing=stuffing)


def heard(outcomes: tuple[Outcome, ...]) -> tuple[Heard, ...]:
    """What was heard, in order."""
    return tuple(one for one in outcomes if isinstance(one, Heard))


@dataclass(slots=True)
class Line:
    """A line between an adapter and a station, with a clock of its own."""

    station: Station
    adapter: Bcc
    delay_s: float = 0.02
    """How long a frame is under way."""
    now_s: float = 0.0
    to_come: list[tuple[float, bytes]] = field(default_factory=list)
    said: list[Outcome] = field(default_factory=list)
    polls: int = 0

    def connect(self) -> None:
        """A new link; what was under way is lost."""
        self.to_come.clear()
        self.station.connected()
        self._take(self.adapter.connected())

    def poll(self) -> None:
        """Ask as the host does."""
        self.polls += 1
        self._take(self.adapter.elapsed(0.0))
        self._send(self.adapter.poll())

    def run(self, seconds: float) -> None:
        """Let time pass: bytes arrive, and what is due is sent."""
        end = self.now_s + seconds
        while True:
            due_s = self.adapter.due_s()
            moments = [at for at, _ in self.to_come[:1]] + ([] if due_s is None else [self.now_s + due_s])
            at = min(moments, default=end)
            if at > end:
                self._pass(end)
                return
            self._pass(max(at, self.now_s + 0.001))
            while self.to_come and self.to_come[0][0] <= self.now_s:
                self._take(self.adapter.feed(self.to_come.pop(0)[1]))
            if not self.to_come and self.adapter.due_s() is None:
                self._pass(end)
                return

    def arrive(self, data: bytes) -> None:
        """Bytes come from the station by themselves."""
        self.to_come.append((self.now_s + self.delay_s, data))

    def at(self) -> datetime:
        """The moment, for the station's script."""
        return START + timedelta(seconds=self.now_s)

    def _pass(self, to_s: float) -> None:
        seconds, self.now_s = to_s - self.now_s, to_s
        self._take(self.adapter.elapsed(seconds))

    def _take(self, outcomes: tuple[Outcome, ...]) -> None:
        self.said += outcomes
        for outcome in outcomes:
            if isinstance(outcome, Answer):
                self._send(outcome.data)

    def _send(self, data: bytes) -> None:
        for frame in self.station.hear(data, now=self.at(), mono_s=self.now_s):
            self.arrive(frame)


def line(station: Station, *, cyclic: bool = False, period_s: float = 30.0) -> Line:
    """A line to a station, connected and greeted."""
    options = OPTIONS(stuffing=station.stuffing, cyclic=cyclic)
    made = Line(station, options(period_s=period_s))
    made.connect()
    made.run(1.0)
    return made
