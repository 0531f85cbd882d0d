"""Monitors and infusion pumps that are not there, as their gateway hears them: a script in time; pure.

Rule: what a device says of a stretch of time follows from the seed and that stretch alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Final

from adapters.simulators.hl7_gateway_messages import (
    VITAL_VALUE,
    Alert,
    Device,
    Kind,
    Priority,
    Profile,
    Row,
    alert,
    report,
)
from adapters.simulators.routine import ROUTINES, Routine, is_in_use

VIETNAM: Final = timezone(timedelta(hours=7))
MONITOR: Final = "69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC"
PUMP: Final = "69985^MDC_DEV_PUMP_INFUS_MDS^MDC"
BATTERY_LOW: Final = "196802^MDC_EVT_BATT_LO^MDC"
BATTERY_FAILED: Final = "196800^MDC_EVT_BATT_FAIL^MDC"
OCCLUSION: Final = "196940^MDC_EVT_FLUID_LINE_OCCL^MDC"
_OXYGEN_LOW: Final = "196670^MDC_EVT_LO^MDC"
_STARTED: Final = "197288^MDC_EVT_PUMP_DELIV_START^MDC"
_STOPPED: Final = "197290^MDC_EVT_PUMP_DELIV_STOP^MDC"
_COMPLETE: Final = "197292^MDC_EVT_PUMP_DELIV_COMP^MDC"


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a device, on its way to whoever listens."""

    control_id: str
    """MSH-10."""
    serial: str
    profile: Profile
    data: bytes
    """Without the marks of a frame."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An alert that stands from `start` until `end` (aware), or for ever."""

    event: str
    text: str
    start: datetime
    end: datetime | None = None
    kind: Kind = Kind.TECHNICAL
    priority: Priority = Priority.MEDIUM


@dataclass(frozen=True, slots=True)
class Equipment:
    """A monitor or a pump."""

    device: Device
    routine: Routine
    seed: int = 0
    troubles: tuple[Trouble, ...] = ()

    @property
    def is_pump(self) -> bool:
        """Whether it is a pump, else it is a monitor."""
        return self.device.mds == PUMP

    def is_used(self, now: datetime) -> bool:
        """Whether somebody is monitored by it, or infused."""
        return is_in_use(
            self.routine,
            at=now.astimezone(VIETNAM).replace(tzinfo=None),
            seed=f"{self.seed}/{self.device.serial}",
        )


@dataclass(slots=True)
class Fleet:
    """All that stands behind one gateway; counts its messages."""

    equipment: tuple[Equipment, ...]
    prefix: str = "SIM"
    """Begins the control id of each message: another one for each gateway and run."""
    _count: int = field(default=0, init=False)

    def said(self, since: datetime, now: datetime) -> Iterator[Said]:
        """What happened after `since` and until `now`, and how all devices stand then."""
        for one in self.equipment:
            yield from self._edges(one, since, now)
            if one.is_pump:
                yield from self._deliveries(one, since, now)
            if one.is_used(now) or not one.routine.off_when_unused:
                yield self._report(one, Profile.REPORT, now, _shown(one, now))
                if since.astimezone(VIETNAM).date() != now.astimezone(VIETNAM).date():
                    yield self._report(one, Profile.MANAGEMENT, now, _managed(one, now))

    def _edges(self, one: Equipment, since: datetime, now: datetime) -> Iterator[Said]:
        for trouble in one.troubles:
            told = Alert(
                f"{one.device.serial}-{int(trouble.start.timestamp())}",
                trouble.event,
                trouble.text,
                trouble.kind,
                trouble.priority,
            )
            edges = (("start", "active", trouble.start), ("end", "inactive", trouble.end))
            for phase, state, at in edges:
                if at is not None and since < at <= now:
                    control_id = self._next()
                    data = alert(
                        one.device,
                        told,
                        phase=phase,
                        state=state,
                        control_id=control_id,
                        at=at.astimezone(VIETNAM),
                    )
                    yield Said(control_id, one.device.serial, Profile.ALERT, data)

    def _deliveries(self, one: Equipment, since: datetime, now: datetime) -> Iterator[Said]:
        before, after = one.is_used(since), one.is_used(now)
        if before == after:
            return
        ended = _COMPLETE if _draw(one, now).random() < 0.5 else _STOPPED
        rows = (Row("1.0.0.4", "68487^MDC_ATTR_EVT_COND^MDC", _STARTED if after else ended, "CWE"),)
        yield self._report(one, Profile.PUMP_EVENT, now, rows)

    def _report(self, one: Equipment, profile: Profile, now: datetime, rows: tuple[Row, ...]) -> Said:
        control_id = self._next()
        data = report(
            one.device, control_id=control_id, at=now.astimezone(VIETNAM), rows=rows, profile=profile
        )
        return Said(control_id, one.device.serial, profile, data)

    def _next(self) -> str:
        self._count += 1
        return f"{self.prefix}{self._count:08d}"


def _draw(one: Equipment, now: datetime) -> Random:
    return Random(f"{one.seed}/{one.device.serial}/{int(now.timestamp()) // 60}")  # noqa: S311 - reproducible, not secret


def _power(one: Equipment, now: datetime) -> tuple[Row, ...]:
    charge = _draw(one, now).randint(90, 100)
    return (
        Row("1.0.0.5", "67925^MDC_ATTR_POWER_STAT^MDC", "onMains", "ST"),
        Row("1.0.0.6", "67996^MDC_ATTR_VAL_BATT_CHARGE^MDC", str(charge), "NM", "262688^MDC_DIM_PERCENT^MDC"),
    )


def _shown(one: Equipment, now: datetime) -> tuple[Row, ...]:
    """What a device shows at that moment; a monitor also of the patient who does not exist."""
    used = one.is_used(now)
    rows = (Row("1.0.0.7", "68007^MDC_ATTR_VMS_MDS_STAT^MDC", "operating"), *_power(one, now))
    if one.is_pump:
        status = "pump-status-infusing" if used else "pump-status-standby"
        return (*rows, Row("1.1.1.1", "184519^MDC_PUMP_INFUSING_STATUS^MDC", f"^{status}", "CWE"))
    if not used:
        return rows
    beat = _draw(one, now).randint(60, 95)
    return (
        *rows,
        Row(
            "1.1.1.1", "147842^MDC_ECG_CARD_BEAT_RATE^MDC", str(beat), "NM", "264864^MDC_DIM_BEAT_PER_MIN^MDC"
        ),
        Row("1.2.1.1", "150456^MDC_PULS_OXIM_SAT_O2^MDC", VITAL_VALUE, "NM", "262688^MDC_DIM_PERCENT^MDC"),
        Row("1.1.1.2", "151562^MDC_RESP_RATE^MDC", "16", "NM", "264928^MDC_DIM_RESP_PER_MIN^MDC"),
    )


def _managed(one: Equipment, now: datetime) -> tuple[Row, ...]:
    return (
        *_power(one, now),
        Row("1.0.0.8", "67976^MDC_ATTR_TIME_BATT_REMAIN^MDC", "180", "NM", "264352^MDC_DIM_MIN^MDC"),
    )


def fleet(
    *, monitors: int, pumps: int, seed: int, start: datetime, prefix: str = "SIM", first: int = 1
) -> Fleet:
    """Monitors and pumps of four wards, with what goes wrong in the first two days after `start` (aware).

    Each monitor tells of low oxygen of its patient once. The battery of the second pump is low (6, 14 and
    22 h) and has failed (from 30 h); the line of the third is occluded (10 h); the battery of the first
    monitor is low (18 h). `first` numbers the devices.
    """

    def trouble(
        event: str, text: str, from_h: float, to_h: float | None, kind: Kind = Kind.TECHNICAL
    ) -> Trouble:
        end = None if to_h is None else start + timedelta(hours=to_h)
        return Trouble(event, text, start + timedelta(hours=from_h), end, kind)

    pump_troubles = {
        1: (
            *(trouble(BATTERY_LOW, "Battery low", hour, hour + 1) for hour in (6, 14, 22)),
            trouble(BATTERY_FAILED, "Battery failed", 30, None),
        ),
        2: (trouble(OCCLUSION, "Occlusion", 10, 10.2),),
    }
    monitor_troubles = {0: (trouble(BATTERY_LOW, "Battery low", 18, 19),)}
    found = [
        Equipment(
            Device(f"M{first + index:05}", MONITOR, "Simulated Monitors", "SM-12"),
            ROUTINES[index % 2],
            seed,
            (
                trouble(_OXYGEN_LOW, "SpO2 low", 3 + index % 20, 3.1 + index % 20, Kind.PHYSIOLOGICAL),
                *monitor_troubles.get(index, ()),
            ),
        )
        for index in range(monitors)
    ]
    found += [
        Equipment(
            Device(f"P{first + index:05}", PUMP, "Simulated Pumps", "SP-7"),
            ROUTINES[index % len(ROUTINES)],
            seed,
            pump_troubles.get(index, ()),
        )
        for index in range(pumps)
    ]
    return Fleet(tuple(found), prefix=prefix)
