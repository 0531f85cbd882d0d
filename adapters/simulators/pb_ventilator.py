"""Puritan Bennett ventilators that are not there: scripted, or played from a capture; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from random import Random
from types import MappingProxyType
from typing import Protocol

from adapters.framing import Frame
from adapters.protocols.puritan_bennett import QUIET_FIELDS
from adapters.puritan_bennett_reports import MONTHS, frame_of, frames, report_of
from adapters.simulators.routine import ROUTINES, Routine, is_in_use
from telemetry.errors import SettingsError

_QUIET_980 = MappingProxyType({160: "NORMAL", **dict.fromkeys(range(146, 154), "")})
"""What a 980 puts where an 840 has malfunctions A50 to A85, and its proximal flow sensor."""
VIETNAM = timezone(timedelta(hours=7))
RESET_STANDS = timedelta(minutes=10)
"""How long an ended alarm reads RESET before it reads NORMAL again."""
FIRST_SERIAL = 3510090001
"""Serial number of the first made-up ventilator."""


class Source(Protocol):
    """A ventilator as its serial port knows it."""

    def answer(self, now: datetime) -> bytes | None:
        """The report sent at that moment (aware); None when the ventilator is switched off."""


@dataclass(frozen=True, slots=True)
class Event:
    """An alarm or malfunction field that reads `word` from `start` until `end` (aware), or for ever."""

    field: int
    word: str
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ventilator:
    """A scripted ventilator: its report is a function of the moment alone."""

    serial: str
    routine: Routine
    seed: int = 0
    model: str = "840"
    events: tuple[Event, ...] = ()
    ahead: timedelta = timedelta()
    """How far its clock is ahead of the true time in Vietnam."""

    def is_in_use(self, now: datetime) -> bool:
        """Whether a patient is ventilated at that moment."""
        return is_in_use(
            self.routine, at=now.astimezone(VIETNAM).replace(tzinfo=None), seed=f"{self.seed}/{self.serial}"
        )

    def answer(self, now: datetime) -> bytes | None:
        """The report at that moment; None when switched off."""
        used = self.is_in_use(now)
        if not used and self.routine.off_when_unused:
            return None
        minute = int(now.timestamp()) // 60
        draw = Random(f"{self.seed}/{self.serial}/{minute}")  # noqa: S311 - reproducible, not secret
        rate, volume = (draw.uniform(11, 24), draw.uniform(5, 11)) if used else (0.0, 0.0)
        fields = {
            **QUIET_FIELDS,
            **(_QUIET_980 if self.model == "980" else {}),
            **clock_fields((now.astimezone(VIETNAM) + self.ahead).replace(tzinfo=None)),
            6: f"{self.model} {self.serial}",
            70: f"{rate:.1f}",
            72: f"{volume:.3f}",
        }
        for event in self.events:
            if event.start <= now and (event.end is None or now < event.end):
                fields[event.field] = event.word
            elif event.end is not None and event.end <= now < event.end + RESET_STANDS:
                fields[event.field] = "RESET"
        return frame_of(fields)


class Capture:
    """The reports of a capture, one for each request, in a loop."""

    def __init__(self, reports: Sequence[bytes], *, serial: str = "", advance_clock: bool = False) -> None:
        """`serial` takes the place of the captured one. With `advance_clock` each report is one minute
        later than the one before, from the first report's time on: its device time is unique.
        """
        self._reports = tuple(reports)
        self._serial = serial
        self._start = report_of(self._reports[0]).device_time if advance_clock else None
        self._count = 0

    def answer(self, now: datetime) -> bytes:  # noqa: ARG002 - a capture knows no other time than its own
        """The next report."""
        report = self._reports[self._count % len(self._reports)]
        fields = report_of(report).fields
        changes: dict[int, str] = {}
        if self._serial:
            changes[6] = f"{fields[6].split()[0]} {self._serial}"
        if self._start is not None:
            changes |= clock_fields(self._start + timedelta(minutes=self._count))
        self._count += 1
        return frame_of({**fields, **changes}) if changes else report


def clock_fields(at: datetime) -> dict[int, str]:
    """Fields 5 and 7 of a ventilator whose clock shows that time."""
    return {5: f"{at:%H:%M}", 7: f"{MONTHS[at.month - 1]} {at:%d} {at.year:04d}"}


def reports_of(capture: bytes) -> tuple[bytes, ...]:
    """The reports in a capture. Raises SettingsError if it holds anything else, or none."""
    found = tuple(frames().feed(capture))
    reports = tuple(item.data for item in found if isinstance(item, Frame))
    if not reports or sum(map(len, reports)) != len(capture):
        raise SettingsError(
            where="capture", found="not a row of whole SNDF reports", expected="record one with RSET and SNDF"
        )
    return reports


def fleet(
    count: int, *, seed: int, start: datetime, first_serial: int = FIRST_SERIAL, model: str = "840"
) -> tuple[Ventilator, ...]:
    """Ventilators of four wards, with what goes wrong in the first two days after `start` (aware).

    Low O2 supply in the first ward at once (20 h to 26 h), malfunction A35 of the fourth ventilator (from
    8 h), a failing compressor of the sixth (30 h to 33 h), a low battery of the seventh (12, 24 and 36 h).
    """

    def event(field: int, word: str, from_h: float, to_h: float | None) -> Event:
        end = None if to_h is None else start + timedelta(hours=to_h)
        return Event(field, word, start + timedelta(hours=from_h), end)

    gas = (event(122, "LOW", 20, 26),)
    wrong = {
        3: (event(143, "HIGH", 8, None),),
        5: (event(123, "MEDIUM", 30, 33),),
        6: tuple(event(115, "MEDIUM", hour, hour + 1) for hour in (12, 24, 36)),
    }
    wards = [ROUTINES[min(index * len(ROUTINES) // count, len(ROUTINES) - 1)] for index in range(count)]
    return tuple(
        Ventilator(
            serial=str(first_serial + index),
            routine=ward,
            seed=seed,
            model=model,
            events=wrong.get(index, ()) + (gas if ward is ROUTINES[0] else ()),
        )
        for index, ward in enumerate(wards)
    )
