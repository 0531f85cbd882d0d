"""An IntelliVue monitor that is not there: scripted alarms, one session at a time; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from adapters import intellivue_association as association
from adapters import intellivue_layout as layout
from adapters import intellivue_writing as writing
from adapters.intellivue_alerts import PHYSIOLOGICAL, TECHNICAL
from adapters.intellivue_association import Control
from adapters.intellivue_layout import (
    ALERT_MONITOR,
    CONNECT_INDICATION,
    MDS,
    MDS_CREATED,
    Alert,
    Polled,
    Told,
)
from adapters.intellivue_monitor import attributes_of
from adapters.simulators.pb_ventilator import VIETNAM
from telemetry.errors import MessageError

BED: Final = "Giường Nguyễn Thị Hồng"
"""What people have typed as the bed label: no message may carry it."""
TEXT: Final = "Trần Văn Bình: tim nhanh"
"""What stands beside each alarm: no message may carry it."""
SESSION_S: Final = 10.0
"""After so long without a word a session is over."""
_ITSELF: Final = bytes((0, MDS, 0, 0, 0, 0))
_TICKS_PER_MS: Final = 8
_PER_MESSAGE: Final = 20
"""Alarms that one message carries; more go out in several."""


@dataclass(frozen=True, slots=True)
class Event:
    """An alarm that is listed from `start` until `end` (aware), or for ever."""

    alert: Alert
    start: datetime
    end: datetime | None = None
    is_technical: bool = True

    def lasts(self, now: datetime) -> bool:
        """Whether it is at that moment."""
        return self.start <= now and (self.end is None or now < self.end)


@dataclass(slots=True)
class Tally:
    """What its clients did."""

    requests: int = 0
    refused: int = 0
    sessions: int = 0
    polls: dict[int, int] = field(default_factory=dict)
    """By object class."""
    too_fast: int = 0
    """Polls of a class within a second of the one before: left without an answer."""
    released: int = 0
    ended: int = 0
    """Sessions that ended by themselves, for want of a word."""
    unknown: int = 0
    """Datagrams that it could not read."""


@dataclass(slots=True)
class Monitor:
    """One monitor; its lists are a function of the moment."""

    serial: str
    events: Sequence[Event] = ()
    mode: int = 0x4000
    ahead: timedelta = timedelta()
    """How far its clock is ahead of the true time in Vietnam."""
    is_busy: bool = False
    """Serves another system, and refuses."""
    tally: Tally = field(default_factory=Tally)
    _client: object = None
    _is_told: bool = False
    """Whether the client has taken the event with which its session began."""
    _heard_ms: int = 0
    _polled_ms: dict[int, int] = field(default_factory=dict)

    @property
    def is_associated(self) -> bool:
        """Whether somebody has a session with it."""
        return self._client is not None

    def indication(self, mono_ms: int) -> bytes:
        """What it sends to whom it may concern while nobody has a session."""
        told = attributes_of(serial=self.serial, bed=BED)
        return writing.told_of(
            Told(CONNECT_INDICATION, 0, bytes((0, 0x23, 0, 0, 0, 0)), _ticks(mono_ms), told)
        )

    def answer(self, data: bytes, *, client: object, now: datetime, mono_ms: int) -> tuple[bytes, ...]:
        """What a datagram of that client brings; `now` is aware."""
        self.passed(mono_ms)
        try:
            if data[:1] == b"\xe1":
                return self._answer(data, client=client, now=now, mono_ms=mono_ms)
            return self._control(association.read(data), client=client, mono_ms=mono_ms)
        except MessageError:
            self.tally.unknown += 1
            return ()

    def cut_off(self) -> None:
        """Switched off and on: it knows of no session any more."""
        self._client = None

    def passed(self, mono_ms: int) -> None:
        """A session without a word for too long is over."""
        if self.is_associated and mono_ms - self._heard_ms > SESSION_S * 1000:
            self._client, self.tally.ended = None, self.tally.ended + 1

    def _control(self, control: Control, *, client: object, mono_ms: int) -> tuple[bytes, ...]:
        if control is Control.REQUEST:
            self.tally.requests += 1
            if self.is_busy or self._client not in {None, client}:
                self.tally.refused += 1
                return (association.refuse(),)
            self._client, self._is_told, self._heard_ms = client, False, mono_ms
            self.tally.sessions += 1
            told = attributes_of(serial=self.serial, bed=BED)
            created = Told(MDS_CREATED, 1, _ITSELF, _ticks(mono_ms), told)
            return (association.accept(), writing.told_of(created))
        if control is Control.RELEASE and client == self._client:
            self._client, self.tally.released = None, self.tally.released + 1
            return (association.released(),)
        return ()

    def _answer(self, data: bytes, *, client: object, now: datetime, mono_ms: int) -> tuple[bytes, ...]:
        if client != self._client:
            return (association.abort(),)
        self._heard_ms = mono_ms
        kind = int.from_bytes(data[4:6], "big")
        if kind == layout.RESULT:
            self._is_told = True
            return ()
        number, wanted = asked(data)
        if not self._is_told or mono_ms - self._polled_ms.get(wanted, -1000) < 1000:
            self.tally.too_fast += self._is_told
            return ()
        self._polled_ms[wanted] = mono_ms
        self.tally.polls[wanted] = self.tally.polls.get(wanted, 0) + 1
        if wanted == ALERT_MONITOR:
            return self._alarms(number, now=now, mono_ms=mono_ms)
        clock = (now.astimezone(VIETNAM) + self.ahead).replace(tzinfo=None)
        told = attributes_of(serial=self.serial, bed=BED, mode=self.mode, time=clock)
        return (writing.polled_of(Polled(number, 0, MDS, _ticks(mono_ms), (told,))),)

    def _alarms(self, number: int, *, now: datetime, mono_ms: int) -> tuple[bytes, ...]:
        """All lists, in one message or in several linked ones and an empty one behind them."""
        text = writing.text_of(TEXT.encode("utf-16-be"))
        listed = [event for event in self.events if event.lasts(now)]
        objects = [
            {
                attribute: writing.rows_of(
                    writing.alert_of(one.alert, text)
                    for one in listed[at : at + _PER_MESSAGE]
                    if one.is_technical is (attribute == TECHNICAL)
                )
                for attribute in (TECHNICAL, PHYSIOLOGICAL)
            }
            for at in range(0, max(1, len(listed)), _PER_MESSAGE)
        ]
        if len(objects) == 1:
            return (writing.polled_of(Polled(number, 0, ALERT_MONITOR, _ticks(mono_ms), (objects[0],))),)
        linked = (
            writing.polled_of(
                Polled(number, part, ALERT_MONITOR, _ticks(mono_ms), (one,)), last=part == len(objects)
            )
            for part, one in enumerate(objects, 1)
        )
        return (*linked, writing.polled_of(Polled(number, 0, ALERT_MONITOR, _ticks(mono_ms), ())))


def asked(data: bytes) -> tuple[int, int]:
    """Invoke id and object class of a single poll. Raises MessageError for anything else."""
    if len(data) != len(writing.poll_request(0, 0, number=0)) or data[22:24] != b"\x00\x00":
        raise MessageError("no single poll")
    return int.from_bytes(data[8:10], "big"), int.from_bytes(data[32:34], "big")


def _ticks(mono_ms: int) -> int:
    return mono_ms * _TICKS_PER_MS % (1 << 32)
