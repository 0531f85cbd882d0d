"""A MEDIBUS line in virtual time: an adapter at one end, a simulated device at the other, delays between."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random

from adapters.contract import Answer, Conversing, Outcome
from adapters.protocols.medibus import adapter
from adapters.simulators.medibus_device import AT_WORK, SAVINA, Device, Habits, Kind, Shows

SAMPLES = Path(__file__).parents[2].parent / "shared/samples/medibus"
CLOCK = datetime(2019, 3, 4, 5, 6)  # noqa: DTZ001 - the device tells no zone
STEP_S = 1e-6
WORKED = SAMPLES / "spec_4.03_worked_frames.txt"


def worked() -> list[tuple[bytes, bytes]]:
    """Each worked frame of the manual, with the right checksum and as it is printed."""
    lines = [line for line in WORKED.read_text().splitlines() if not line.startswith("#")]
    rows = [line.split(" | ") for line in lines if line.count(" | ") == 4]
    return [
        (bytes.fromhex(whole), bytes.fromhex(body) + printed.encode() + b"\r")
        for _, body, printed, _, whole in rows
    ]


def dice(seed: int) -> Random:
    """Chance that can be repeated."""
    return Random(seed)  # noqa: S311 - nothing here is secret


def device(
    kind: Kind = SAVINA, *, shows: Shows = AT_WORK, seed: int = 1, habits: Habits | None = None
) -> Device:
    """A device that shows the same all the time."""
    return Device(kind, shows=lambda _: shows, rng=dice(seed), clock=CLOCK, habits=habits or Habits())


@dataclass
class Line:
    """Both ends and the way between them; each direction keeps its order."""

    device: Device
    rng: Random
    adapter: Conversing = field(default_factory=lambda: adapter(period_s=30))
    slowest_s: float = 0.0
    """Longest way of a byte."""
    late_s: float = 0.0
    """How much later than due the host gets round to the adapter, at most."""
    poll_s: float = 30.0
    stalled: tuple[tuple[float, float], ...] = ()
    """From when to when the host does not poll."""
    now: float = 0.0
    said: list[Outcome] = field(default_factory=list)
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    """What the adapter sent, and when."""
    _told_at: float = 0.0
    _late: float = 0.0
    up: list[tuple[float, bytes]] = field(default_factory=list)
    """What is on its way to the device."""
    _down: list[tuple[float, bytes]] = field(default_factory=list)
    _polled_at: float = 0.0

    def connect(self) -> None:
        """The link is up, and polled for the first time."""
        self._told_at = self._polled_at = self.now
        self._take(self.adapter.connected())
        self._poll()

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.now + seconds
        while (at := self._next()) < end:
            self._move(at)
        self._move(end)

    def _next(self) -> float:
        due = self.adapter.due_s()
        times = [
            self.now + self.device.due_s(),
            self._polled_at + self.poll_s,
            *(at for at, _ in (*self.up[:1], *self._down[:1])),
        ]
        if due is not None:
            times.append(self._told_at + due + self._late)
        return max(min(times), self.now + STEP_S)

    def _move(self, at: float) -> None:
        passed, self.now = at - self.now, at
        self._carry(self._down, self.device.elapsed(passed))
        due = self.adapter.due_s()
        if due is not None and self._told_at + due + self._late <= at:
            self._tell_time()
            self._late = self.rng.uniform(0, self.late_s)
        while self.up and self.up[0][0] <= at:
            self._carry(self._down, self.device.feed(self.up.pop(0)[1]))
        while self._down and self._down[0][0] <= at:
            self._tell_time()
            self._take(self.adapter.feed(self._down.pop(0)[1]))
        if self._polled_at + self.poll_s <= at:
            self._polled_at = at
            self._poll()

    def _poll(self) -> None:
        if any(begin <= self.now < end for begin, end in self.stalled):
            return
        self._tell_time()
        self._send(self.adapter.poll())

    def _tell_time(self) -> None:
        passed, self._told_at = self.now - self._told_at, self.now
        self._take(self.adapter.elapsed(passed))

    def _take(self, outcomes: tuple[Outcome, ...]) -> None:
        self.said += outcomes
        for one in outcomes:
            if isinstance(one, Answer):
                self._send(one.data)

    def _send(self, data: bytes) -> None:
        if data:
            self.sent.append((self.now, data))
        self._carry(self.up, data)

    def _carry(self, way: list[tuple[float, bytes]], data: bytes) -> None:
        """In pieces, each with its own delay, none before the one ahead of it."""
        if not data:
            return
        cuts = sorted(self.rng.randrange(len(data) + 1) for _ in range(2)) if self.slowest_s else []
        for begin, end in pairwise((0, *cuts, len(data))):
            if begin < end:
                soonest = way[-1][0] if way else 0.0
                way.append((max(soonest, self.now + self.rng.uniform(0, self.slowest_s)), data[begin:end]))
