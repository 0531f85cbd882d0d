"""The talk over one link of Mindray PDS: asked once, heartbeats both ways, all else told by the other side.

Rule 1: the heartbeat goes out every HEARTBEAT_S, whatever happens behind.
Rule 2: a monitor is known by the address that it tells with its name or place (101, 103), which outlives the
link; one that tells none by the time of its first heartbeat is known by our own port. What is said before is
no more than a sign of life.
Rule 3: a link of one monitor stays its: another address on it is refused. Over a link of a central station
each address is a unit, and what tells no address cannot be attributed, so it is refused.
Rule 4: a monitor that was busy when it was asked forgets: the question is repeated at its first heartbeat.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from adapters.contract import UNTOLD, Answer, Heard, Outcome, Refusal, Skipped
from adapters.hl7_mllp import Cut, Framed, Frames
from adapters.mindray_pds_messages import ALARM_ROWS, HEARTBEAT, LIMIT_BYTES, QUERY, Kind, Message, read
from adapters.mindray_pds_monitor import Alarms, Use
from telemetry.errors import MessageError
from telemetry.messages import Alias, Body, Identity, Strength

PROTOCOL: Final = "mindray-pds"
MAKER: Final = "Mindray"
HEARTBEAT_S: Final = 1.0
"""As public clients send it; how long a monitor waits for one is not known."""
MOST_UNITS: Final = 256
"""Monitors behind one link."""


class _Monitor:
    """One monitor, across links."""

    def __init__(self, address: str, *, period_s: float) -> None:
        self.address = address
        self.alarms = Alarms()
        self.use = Use(period_s=period_s)
        self.label = ""
        self._identity: Identity | None = None
        self._since_s = 0.0
        self._clock: datetime | None = None

    @property
    def alias(self) -> Alias:
        """The address as a weak alias; the port where none is told."""
        if not self.address:
            return UNTOLD
        return Alias(protocol=PROTOCOL, namespace="ip", identifier=self.address, strength=Strength.WEAK)

    def connected(self) -> None:
        self.alarms.connected()
        self.use.connected()

    def passed(self, seconds: float) -> None:
        self._since_s += seconds
        self.use.passed(seconds)

    def hear(self, message: Message) -> tuple[tuple[Body, ...], datetime | None]:
        """What the message says of this monitor, and its clock if it tells it."""
        bodies: list[Body] = [*self._named(message.label)]
        clock = None
        if message.kind is Kind.PERIODIC:
            self.use.judge(dict(message.figures))
        elif message.kind in ALARM_ROWS:
            alarms, clock = self.alarms.compare(message, stamp=self._stamp)
            self._clock = clock or self._clock
            bodies += alarms
        return (*bodies, *self.use.due(has_evidence=bool(message.figures))), clock

    def _named(self, label: str) -> Iterator[Identity]:
        self.label = label or self.label
        names = (f"monitor name {self.label}",) if self.label else ()
        identity = Identity(manufacturer=MAKER, model="", unique_ids=names)
        if identity != self._identity:
            self._identity = identity
            yield identity

    @property
    def _stamp(self) -> str:
        """Joins the keys of occurrences: address, newest time of the device, milliseconds it is known."""
        clock = self._clock.isoformat(timespec="seconds") if self._clock else "no-clock"
        return f"{self.address or 'port'}/{clock}/{self._since_s * 1000:.0f}"


class MindrayPds:
    """The talk with one monitor, or with a central station and the monitors behind it."""

    def __init__(self, *, period_s: float, is_central: bool = False) -> None:
        self._period_s = period_s
        self._is_central = is_central
        self._frames = Frames(limit=LIMIT_BYTES)
        self._monitors: dict[str, _Monitor] = {}
        self._one: _Monitor | None = None
        """The monitor of a link that has but one."""
        self._address = ""
        """What the one monitor has told on this link."""
        self._is_asked_again = False
        self._left_s = 0.0

    def connected(self) -> tuple[Outcome, ...]:
        """A question, unless the link is of a central station, and a heartbeat."""
        given_up = self.closed()
        self._address, self._is_asked_again, self._left_s = "", False, HEARTBEAT_S
        for one in self._monitors.values():
            one.connected()
        question = () if self._is_central else (Answer(QUERY),)
        return (*given_up, *question, Answer(HEARTBEAT))

    def poll(self) -> bytes:
        """The other side speaks by itself."""
        return b""

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """One `Heard` for each message of a known kind that can be attributed."""
        return tuple(outcome for cut in self._frames.feed(data) for outcome in self._outcomes(cut))

    def closed(self) -> tuple[Outcome, ...]:
        """A message that was begun is refused."""
        return tuple(outcome for cut in self._frames.close() for outcome in self._outcomes(cut))

    def due_s(self) -> float:
        """When the next heartbeat is due."""
        return self._left_s

    def elapsed(self, seconds: float) -> tuple[Outcome, ...]:
        """The heartbeat, when its time has come."""
        for one in self._monitors.values():
            one.passed(seconds)
        self._left_s = max(0.0, self._left_s - seconds)
        if self._left_s > 0:
            return ()
        self._left_s = HEARTBEAT_S
        return (Answer(HEARTBEAT),)

    def farewell(self) -> bytes:
        """Nothing: the link is closed."""
        return b""

    # -- messages -----------------------------------------------------------------------------------------

    def _outcomes(self, cut: Cut) -> Iterator[Outcome]:
        if isinstance(cut, Refusal):
            yield cut
        elif isinstance(cut, Framed):
            try:
                message = read(cut.data)
                if message is None:
                    yield Skipped(cut.offset, "a kind of message that tells nothing of equipment")
                else:
                    yield self._heard(message, cut.offset)
                    yield from self._asked_again(message)
            except MessageError as error:
                yield Refusal(cut.offset, error.reason)

    def _asked_again(self, message: Message) -> Iterator[Answer]:
        if message.kind is Kind.HEARTBEAT and not self._is_asked_again and not self._is_central:
            self._is_asked_again = True
            yield Answer(QUERY)

    def _heard(self, message: Message, offset: int) -> Heard:
        monitor = self._unit(message) if self._is_central else self._only(message)
        if monitor is None:
            return Heard(UNTOLD, None, (), offset)
        bodies, clock = monitor.hear(message)
        unit = monitor.address.replace(".", "-") if self._is_central else ""
        return Heard(monitor.alias, clock, bodies, offset, unit)

    def _only(self, message: Message) -> _Monitor | None:
        """The one monitor of the link; None before it is known. Raises MessageError for another one."""
        if message.address and self._address not in {"", message.address}:
            raise MessageError("another monitor on a link of one; a central station needs central = true")
        self._address = message.address or self._address
        if self._address:
            self._one = self._monitor(self._address)
        elif message.kind in {Kind.ONLINE, Kind.PLACE, Kind.HEARTBEAT}:
            self._one = self._one or self._monitor("")
        return self._one

    def _unit(self, message: Message) -> _Monitor | None:
        """The monitor that a message of a central station is about; None for the station's own heartbeat.

        Raises MessageError if it does not tell.
        """
        if message.kind is Kind.HEARTBEAT:
            return None
        if not message.address:
            raise MessageError("does not tell which monitor it is of")
        return self._monitor(message.address)

    def _monitor(self, address: str) -> _Monitor:
        """The monitor of that address. Raises MessageError when there are too many."""
        if address not in self._monitors:
            if len(self._monitors) >= MOST_UNITS:
                raise MessageError(f"more than {MOST_UNITS} monitors behind one link")
            self._monitors[address] = _Monitor(address, period_s=self._period_s)
        return self._monitors[address]
