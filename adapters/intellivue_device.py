"""The talk with one IntelliVue monitor: who it is, its mode, and its alarms if they are polled.

Rule 1: without a session nothing is ever sent.
Rule 2: the monitor is known by what it tells with its production specification; before that nothing is told
of it but that it speaks. Another monitor on the same link starts anew.
Rule 3: the state is told when it changes, and once a period; that a monitor speaks is no use.
Rule 4: an answer in several messages is compared when its last one has come and none is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapters.contract import UNTOLD, Answer, Heard, Outcome, Refusal, Skipped
from adapters.intellivue_alerts import Alerts
from adapters.intellivue_association import Control
from adapters.intellivue_frames import Cut, Frames, Message
from adapters.intellivue_layout import (
    ALERT_MONITOR,
    CONNECT_INDICATION,
    MDS,
    Attributes,
    Polled,
    Remark,
    Told,
)
from adapters.intellivue_monitor import SPECIFICATION, facts_of, state_of, time_of
from adapters.intellivue_session import WAIT_S, Session
from telemetry.errors import MessageError
from telemetry.messages import Alias, Body, Identity, OperatingState, Usage

MOST_PARTS: Final = 16
"""Messages of one answer that are waited for."""
_UNREAL: Final = frozenset({OperatingState.DEMO, OperatingState.SERVICE})
_GONE: Final = MappingProxyType({
    Control.REFUSE: "the monitor refuses a session",
    Control.ABORT: "the monitor has broken the session off",
    Control.RELEASE: "the monitor has ended the session",
})  # fmt: skip


class IntelliVue:
    """One monitor at the end of one link."""

    def __init__(self, *, period_s: float, session: Session | None = None) -> None:
        """`session`: with one, alerts are polled; without, nothing is sent."""
        self._period_s = period_s
        self._session = session
        self._frames = Frames()
        self._alerts = Alerts()
        self._alias: Alias | None = None
        self._identity: Identity | None = None
        self._mode: OperatingState | None = None
        self._state: OperatingState | None = None
        self._since_usage_s = 0.0
        self._parts: list[Polled] = []
        self._is_broken = False
        """Whether a message of the answer that is coming in is missing."""

    def connected(self) -> tuple[Outcome, ...]:
        """Asks for a session if alerts are polled, unless the monitor is to be left alone; else nothing."""
        given_up = self.closed()
        self._alerts.connected()
        self._state = None
        return (*given_up, *self._sent(self._session.begin() if self._session else b""))

    def poll(self) -> bytes:
        """Asks for the alerts when there is a session and the monitor is known."""
        return self._session.poll() if self._session and self._alias else b""

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """One `Heard` for each message that tells of the monitor."""
        return tuple(outcome for cut in self._frames.feed(data) for outcome in self._outcomes(cut))

    def closed(self) -> tuple[Outcome, ...]:
        """A message that was begun is refused."""
        said = tuple(outcome for cut in self._frames.close() for outcome in self._outcomes(cut))
        self._parts.clear()
        self._is_broken = False
        return said

    def due_s(self) -> float | None:
        """When the session needs a word; None without one."""
        return self._session.due_s if self._session else None

    def elapsed(self, seconds: float) -> tuple[Outcome, ...]:
        """Keeps the session alive."""
        self._since_usage_s += seconds
        return tuple(self._sent(self._session.passed(seconds) if self._session else b""))

    def farewell(self) -> bytes:
        """Gives the session up."""
        return self._session.farewell() if self._session else b""

    # -- messages -----------------------------------------------------------------------------------------

    def _outcomes(self, cut: Cut) -> Iterator[Outcome]:
        if isinstance(cut, Refusal):
            yield cut
            return
        if self._session:
            self._session.heard()
        try:
            yield from self._message(cut)
        except MessageError as error:
            yield Refusal(cut.offset, error.reason)

    def _message(self, message: Message) -> Iterator[Outcome]:
        match message.said:
            case Control() as control:
                yield from self._control(control, message.offset)
            case Remark(what):
                yield Skipped(message.offset, what)
            case Polled() as polled:
                yield self._polled(polled, message.offset)
            case Told() as told:
                yield self._told(told, message.offset)
                if self._session and told.event != CONNECT_INDICATION:
                    yield from self._sent(self._session.told(told), self._session.question())

    def _control(self, control: Control, offset: int) -> Iterator[Outcome]:
        if self._session is None:
            yield Skipped(offset, "of a session that is not ours")
            return
        yield from self._sent(self._session.control(control))
        if control in _GONE:
            yield Refusal(
                offset,
                f"{_GONE[control]}: another system may hold it; it is left alone for {WAIT_S / 60:g} minutes",
            )
        else:
            yield Skipped(offset, "of the session itself")

    def _told(self, told: Told, offset: int) -> Heard:
        is_indication = told.event == CONNECT_INDICATION
        bodies: list[Body] = [*self._known_by(told.attributes, is_whole=is_indication)]
        bodies += self._usage(told.attributes)
        return self._heard(offset, bodies, time_of(told.attributes))

    def _polled(self, polled: Polled, offset: int) -> Heard:
        answer = self._answer(polled)
        bodies: list[Body] = []
        time = None
        if answer and answer.object_class == MDS:
            for one in answer.objects:
                bodies += [*self._known_by(one, is_whole=False), *self._usage(one)]
                time = time_of(one) or time
        elif answer and answer.object_class == ALERT_MONITOR and self._alias:
            bodies += self._alerts.compare(
                answer.objects,
                is_real=self._mode not in _UNREAL,
                stamp=f"{self._alias.identifier}/{answer.time:x}",
            )
        return self._heard(offset, bodies, time)

    def _answer(self, polled: Polled) -> Polled | None:
        """The whole answer when its last message has come; None before, and if one is missing.

        Raises MessageError when a message of it is missing.
        """
        parts = self._parts
        if polled.part == 1 or (parts and parts[0].invoke_id != polled.invoke_id):
            parts.clear()
            self._is_broken = False
        if polled.part:
            self._is_broken |= polled.part != len(parts) + 1 or polled.part > MOST_PARTS
        if self._is_broken:
            parts.clear()
            self._is_broken = polled.part > 0
            raise MessageError("a message of an answer in several is missing")
        if polled.part:
            parts.append(polled)
            return None
        objects = (*(one for part in parts for one in part.objects), *polled.objects)
        parts.clear()
        return replace(polled, objects=objects)

    # -- the monitor --------------------------------------------------------------------------------------

    def _heard(self, offset: int, bodies: list[Body], time: datetime | None) -> Heard:
        return Heard(self._alias or UNTOLD, time, tuple(bodies), offset)

    def _known_by(self, attributes: Attributes, *, is_whole: bool) -> Iterator[Identity]:
        """The identity when it is told for the first time or is another than before.

        `is_whole`: the message tells all that it ever tells, and need not carry a specification.
        """
        if not is_whole and SPECIFICATION not in attributes:
            return
        facts = facts_of(attributes)
        alias, identity = facts.alias, facts.identity
        if alias is None:
            raise MessageError("tells neither model and serial number nor system id")
        if alias != self._alias:
            self._alerts.forget()
            self._parts.clear()
            self._alias, self._identity, self._mode, self._state = alias, None, None, None
        if identity != self._identity:
            self._identity = identity
            yield identity

    def _usage(self, attributes: Attributes) -> Iterator[Usage]:
        """The state when it is another than before, and once a period."""
        self._mode = state_of(attributes) or self._mode
        state = self._mode or OperatingState.UNKNOWN
        if self._alias and (state is not self._state or self._since_usage_s >= self._period_s):
            self._state, self._since_usage_s = state, 0.0
            yield Usage(state=state, period_s=self._period_s)

    def _sent(self, *messages: bytes) -> Iterator[Answer]:
        return (Answer(data) for data in messages if data)
