"""A B. Braun Space station that is not there: what its pumps tell is a function of the moment; pure.

It speaks like the document's: blocks one by one for each ACK, the same again for a NAK, GNNEW for a pump that
is new since the last list. It also notes what a client does that it should not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from adapters.bcc_frames import Block, Frames, Signal, frame_of
from adapters.bcc_tables import ALARMS, SEPARATOR, STATION
from adapters.contract import Refusal
from adapters.simulators.pb_ventilator import VIETNAM
from adapters.simulators.routine import ROUTINES, Routine, is_in_use

DRUG: Final = "Noradrenalin 4mg Đặng\ue021"
"""What simulated pumps tell as the name of their drug, with letters of the country and a private glyph."""
WEIGHT: Final = "61.97"
NURSE: Final = "NGUYEN-THI-HANH"
FIRST_SERIAL: Final = 51559
CYCLE_S: Final = 5.0
_FULL_MIN: Final = 480


@dataclass(frozen=True, slots=True)
class Event:
    """A parameter that reads `value` from `start` until `end` (aware), or for ever."""

    name: str
    value: str
    start: datetime
    end: datetime | None = None

    def lasts(self, now: datetime) -> bool:
        """Whether it is at that moment."""
        return self.start <= now and (self.end is None or now < self.end)


@dataclass(frozen=True, slots=True)
class Pump:
    """A scripted pump: what it tells is a function of the moment alone."""

    address: str
    serial: str
    routine: Routine
    seed: int = 0
    code: str = "688F030006"
    kind: int = 6144
    events: tuple[Event, ...] = ()
    away: tuple[tuple[datetime, datetime], ...] = ()
    """When it is out of its rack."""

    def is_in_use(self, now: datetime) -> bool:
        """Whether it infuses at that moment."""
        at = now.astimezone(VIETNAM).replace(tzinfo=None)
        return is_in_use(self.routine, at=at, seed=f"{self.seed}/{self.serial}")

    def is_there(self, now: datetime) -> bool:
        """Whether it is in its rack."""
        return not any(start <= now < end for start, end in self.away)

    def values(self, now: datetime, *, is_new: bool) -> dict[str, str]:
        """All that it tells at that moment."""
        runs = self.is_in_use(now)
        is_off = not runs and self.routine.off_when_unused
        unique = self.kind << 18 | int("".join(filter(str.isdigit, self.serial)))
        values = {
            "GNNEW" if is_new else "GNMODEL": self.code,
            "INRT": "1.50" if runs else "0",
            "INSOL": DRUG if runs else "_NV",
            "INPATW": WEIGHT,
            "NURSEID": NURSE,
            "INVI": "19.0",
            "INTIME": "6000" if runs else "0",
            "INNR": f"{unique:08X}",
            "INSTBY": "1434" if runs else "0",
            "INSERNUM": self.serial,
            "INDTNR": str(self.kind),
            "INAKKU": str(_FULL_MIN),
            "DSSTATUS": "00050" if is_off else "00051",
            "INM1": "0" if runs else "1",
            "INM2": "0",
            "INM3": "1" if runs else "0",
            "INM6": "0",
            "INM8": "1",
            **{name: "_NV" if name in {"INA6", "INA10"} else "0" for name in ALARMS},
            "RUNSTATE": "2" if runs else "1",
            "LASTDA": "0",
        }
        return values | {event.name: event.value for event in self.events if event.lasts(now)}


@dataclass(slots=True)
class Station:
    """A station with its pumps; one client at a time talks to it."""

    pumps: tuple[Pump, ...]
    started: datetime
    bed: bytes = b"ICU-bedside"
    stuffing: bool = False
    spoils: int = 0
    """Every so-manieth block is sent with a wrong byte the first time; 0 for none."""
    lists: int = 0
    """Lists that were sent to their end."""
    naks: int = 0
    manners: list[str] = field(default_factory=list)
    """What clients did that the document forbids."""
    _frames: Frames = field(default_factory=Frames)
    _left: list[bytes] = field(default_factory=list)
    _last: bytes = b""
    _last_at: float = -1e9
    _listed_at: float = -1e9
    _sent: int = 0
    _seen: frozenset[str] = frozenset()

    def connected(self) -> None:
        """A client has come; what the one before asked for is forgotten."""
        self._frames = Frames()
        self._left.clear()
        self._last, self._last_at, self._listed_at = b"", -1e9, -1e9
        self._seen = frozenset()

    def hear(self, data: bytes, *, now: datetime, mono_s: float) -> Iterator[bytes]:
        """What is sent back, frame by frame; `mono_s` are seconds that never go back."""
        for item in self._frames.feed(data):
            match item:
                case Block() if self.stuffing == item.stuffed or not self._needs_stuffing(item):
                    yield from self._answer(item, now=now, mono_s=mono_s)
                case Signal.ACK:
                    self._in_time(mono_s, "ACK")
                    yield from self._next(mono_s)
                case Signal.NAK:
                    self.naks += 1
                    self._in_time(mono_s, "NAK")
                    self._last_at = mono_s
                    yield self._last
                case Block() | Refusal():
                    self.manners.append("a request that cannot be read")
                    yield bytes((Signal.NAK.value,))

    def push(self, *, now: datetime, mono_s: float) -> Iterator[bytes]:
        """What a cyclic station sends unasked; nothing while blocks are left of the time before."""
        if not self._left:
            yield from self._list(now, mono_s)

    # -- answers ------------------------------------------------------------------------------------------

    def _answer(self, request: Block, *, now: datetime, mono_s: float) -> Iterator[bytes]:
        if self._left:
            self.manners.append("a request before the answer to the last has ended")
        self._left.clear()
        self._in_time(mono_s, "a request")
        wanted = b"1" if request.info == b"ADMIN:ALIVE" else self.bed
        if request.bed != wanted:
            self.manners.append("a request with another bed id")
        match request.info:
            case b"ADMIN:ALIVE":
                yield from self._only(self._own(now, "GNACK,0"), mono_s)
            case b"ADMIN:VERSION":
                yield from self._only(self._own(now, "V3.30"), mono_s)
            case b"MEM:GET":
                if mono_s - self._listed_at < 0.499:
                    self.manners.append("MEM:GET within 0.5 s")
                self._listed_at = mono_s
                yield from self._list(now, mono_s)
            case _:
                yield from self._only(self._own(now, "GNERR,68"), mono_s)

    def _list(self, now: datetime, mono_s: float) -> Iterator[bytes]:
        there = [pump for pump in self.pumps if pump.is_there(now)]
        own = ("FMNOR,1", "FMSTAT,00051", "FMRSTAT,00051", f"FMBANY,{NURSE}")
        parts = [SEPARATOR.join(self._own(now, text) for text in own)]
        for pump in there:
            values = pump.values(now, is_new=pump.address not in self._seen)
            told = (self._told(now, pump.address, f"{name},{value}") for name, value in values.items())
            parts.append(SEPARATOR.join(told))
        self._seen = frozenset(pump.address for pump in there)
        parts[:2] = [SEPARATOR.join(parts[:2])]
        self._left = parts
        yield from self._next(mono_s)

    def _only(self, info: bytes, mono_s: float) -> Iterator[bytes]:
        self._left = [info]
        yield from self._next(mono_s)

    def _next(self, mono_s: float) -> Iterator[bytes]:
        """The next block of what is left."""
        if not self._left:
            return
        info = self._left.pop(0)
        self._last = frame_of(info, bed=self.bed, more=bool(self._left), stuffing=self.stuffing)
        self._last_at = mono_s
        self._sent += 1
        self.lists += not self._left and b"DSSTATUS" in info
        is_spoilt = self.spoils and self._sent % self.spoils == 0
        yield self._last.replace(b"0", b"1", 1) if is_spoilt else self._last

    def _own(self, now: datetime, text: str) -> bytes:
        return self._told(now, STATION, text)

    def _told(self, now: datetime, address: str, text: str) -> bytes:
        return f"{int((now - self.started).total_seconds())},{address},{text}".encode()

    def _in_time(self, mono_s: float, what: str) -> None:
        if mono_s - self._last_at < 0.099:
            self.manners.append(f"{what} within 0.1 s")

    def _needs_stuffing(self, block: Block) -> bool:
        return self.stuffing and any(letter in block.bed + block.info for letter in b"DEde")


def station(
    pumps: int, *, seed: int, start: datetime, first_serial: int = FIRST_SERIAL, stuffing: bool = False
) -> Station:
    """A station of up to three pillars, with what goes wrong in the first two days after `start` (aware).

    The first pump's battery runs low each night (12, 24 and 36 h, an hour each), the second has device alarm
    1234 (from 8 h), the third is out of its rack from 10 h to 20 h, the fourth has air in its line (5 h).
    """

    def hours(value: float) -> datetime:
        return start + timedelta(hours=value)

    def event(name: str, value: str, from_h: float, to_h: float | None) -> Event:
        return Event(name, value, hours(from_h), None if to_h is None else hours(to_h))

    wrong = {
        0: tuple(
            event(name, value, at, at + 1)
            for at in (12, 24, 36)
            for name, value in (("INA11", "1"), ("INM8", "0"), ("INAKKU", "14"))
        ),
        1: (event("LASTDA", "1234", 8, None),),
        3: (event("INA15", "1", 5, 5.1),),
    }
    slots: Sequence[str] = "123456789ABCDEFGHIJKLMNO"
    draw = Random(seed)  # noqa: S311 - a reproducible ward, not a secret
    return Station(
        pumps=tuple(
            Pump(
                address=f"501{1 + index // len(slots)}{slots[index % len(slots)]}",
                serial=str(first_serial + index),
                routine=draw.choice(ROUTINES),
                seed=seed,
                events=wrong.get(index, ()),
                away=((hours(10), hours(20)),) if index == 2 else (),
            )
            for index in range(pumps)
        ),
        started=start - timedelta(seconds=200),
        stuffing=stuffing,
    )
