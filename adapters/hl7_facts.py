"""Reads what PCD-01, PCD-10 and PCD-15 tell about equipment: who it is, what it does, how its battery stands.

Rule 1: only rows of `hl7_codes` are looked at, and of these only what is about equipment is carried.
Rule 2: a meter is carried only where a device tells it: `reported`. Figures in units that are not known, and
rows that are wrong, deleted or pending (OBX-11 W, D, I), are let pass.

IHE Devices TF Rev 10.0, TF-3 table 3.5-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from adapters.hl7_codes import Fact
from adapters.hl7_reports import Report, Row
from adapters.hl7_use import state_of
from telemetry.messages import (
    Identity,
    MeterName,
    MeterReading,
    Metric,
    OperatingState,
    Provenance,
    Quantity,
)

MOST_HOURS: Final = 10_000_000
_LONGEST: Final = 200
_MODEL: Final = re.compile(r'manufacturer="?([^"=]*?)"?[ ,;]*model="?([^"=]*?)"?', re.IGNORECASE)
NO_RESULT: Final = frozenset({"W", "D", "I"})

_MINUTES: Final = MappingProxyType({
    "264352": 1.0, "MDC_DIM_MIN": 1.0, "min": 1.0, "MDC_DIM_HR": 60.0, "h": 60.0,
})  # fmt: skip
_HOURS: Final = MappingProxyType(
    {"MDC_DIM_HR": 1.0, "h": 1.0, "264352": 1 / 60, "MDC_DIM_MIN": 1 / 60, "min": 1 / 60}
)
_QUANTITIES: Final[Mapping[Fact, tuple[Quantity, Mapping[str, float], float, float]]] = MappingProxyType({
    Fact.CHARGE: (
        Quantity.BATTERY_CHARGE_PCT,
        MappingProxyType({"262688": 1.0, "MDC_DIM_PERCENT": 1.0, "%": 1.0}),
        0,
        100,
    ),
    Fact.TIME_LEFT: (Quantity.BATTERY_REMAINING_MIN, _MINUTES, 0, 100_000),
    Fact.CAPACITY: (
        Quantity.BATTERY_CAPACITY_MAH,
        MappingProxyType({"268242": 1.0, "MDC_DIM_MILLI_AMP_HR": 1.0, "mA.h": 1.0}),
        0,
        1_000_000,
    ),
    Fact.VOLTAGE: (
        Quantity.BATTERY_VOLTAGE_V,
        MappingProxyType({"MDC_DIM_VOLT": 1.0, "V": 1.0, "MDC_DIM_MILLI_VOLT": 0.001, "mV": 0.001}),
        0,
        1_000,
    ),
    Fact.BATTERY_TEMPERATURE: (
        Quantity.TEMPERATURE_C, MappingProxyType({"MDC_DIM_DEGC": 1.0, "Cel": 1.0}), -50, 150
    ),
})  # fmt: skip
"""The quantity that a row becomes, its units as factors, and the least and most that it can be."""
_METERS: Final[Mapping[Fact, tuple[MeterName, Mapping[str, float]]]] = MappingProxyType({
    Fact.BATTERY_CYCLES: (MeterName.BATTERY_CYCLES, MappingProxyType({"MDC_DIM_DIMLESS": 1.0, "1": 1.0})),
    Fact.TO_SERVICE: (MeterName.HOURS_TO_NEXT_SERVICE, _HOURS),
})  # fmt: skip

_POWERED: Final[Mapping[str, float]] = MappingProxyType({
    "onmains": 1.0, "chargingfull": 1.0, "chargingtrickle": 1.0, "onbattery": 0.0,
})  # fmt: skip
_NAMES: Final = frozenset({
    Fact.MODEL, Fact.MODEL_NUMBER, Fact.MANUFACTURER, Fact.SOFTWARE, Fact.FIRMWARE, Fact.SYSTEM_ID,
    Fact.INVENTORY,
})  # fmt: skip
_GONE: Final = frozenset({"disconnected", "disassociating", "terminating"})


class Names(NamedTuple):
    """How a device names itself; what it leaves out is empty."""

    manufacturer: str
    model: str
    software: str
    firmware: str
    device_type: int | None
    system_id: str
    inventory: str
    """The number of its owner, as somebody typed it into the device."""

    def identity(self, serial: str) -> Identity:
        """The body that tells it; the ids stand behind the names of their terms."""
        ids = (("MDC_ATTR_SYS_ID", self.system_id), ("MDC_ATTR_ID_SOFT", self.inventory))
        return Identity(
            manufacturer=self.manufacturer,
            model=self.model,
            serial=serial,
            software_revision=self.software,
            firmware_revision=self.firmware,
            device_type=self.device_type,
            unique_ids=tuple(f"{name} {value}" for name, value in ids if value),
        )


class Facts(NamedTuple):
    """What one report tells about its device."""

    names: Names | None
    """None when it tells nothing of it."""
    state: OperatingState | None
    """None when no row tells one."""
    meters: tuple[MeterReading, ...]
    metrics: tuple[Metric, ...]
    is_gone: bool | None
    """Whether the gateway has lost the device; None when it does not say."""


def facts_of(report: Report, *, period_s: float) -> Facts:
    """Everything that a report may tell. `period_s`: how often the device reports."""
    rows = [row for row in report.rows if row.term.fact and row.segment.field(11) not in NO_RESULT]
    connections = {
        word for row in rows if row.term.fact is Fact.CONNECTION for word in row.words(report.message)
    }
    return Facts(
        names=_names(report, rows),
        state=state_of(report, rows, period_s),
        meters=tuple(_meters(report, rows)),
        metrics=tuple(_metrics(report, rows)),
        is_gone=not connections.isdisjoint(_GONE) if connections else None,
    )


def _names(report: Report, rows: Iterable[Row]) -> Names | None:
    told: dict[Fact | None, str] = {}
    for row in rows:
        if row.term.fact in _NAMES:
            told.setdefault(row.term.fact, " ".join(filter(None, row.texts(report.message)))[:_LONGEST])
    if not told and not any(row.is_device for row in report.rows):
        return None
    whole = _MODEL.fullmatch(told.get(Fact.MODEL, ""))
    manufacturer, model = whole.groups() if whole else ("", told.get(Fact.MODEL, ""))
    return Names(
        manufacturer=told.get(Fact.MANUFACTURER) or manufacturer,
        model=model or told.get(Fact.MODEL_NUMBER, ""),
        software=told.get(Fact.SOFTWARE, ""),
        firmware=told.get(Fact.FIRMWARE, ""),
        device_type=report.device,
        system_id=told.get(Fact.SYSTEM_ID, ""),
        inventory=told.get(Fact.INVENTORY, ""),
    )


def _in_unit(report: Report, row: Row, units: Mapping[str, float]) -> float | None:
    """The figure in the unit whose factor is 1; None in any other. A row without a unit has the usual one."""
    figure = row.figure
    told = [part.strip() for part in report.message.components(row.segment.field(6)) if part.strip()]
    if figure is None:
        return None
    if not told:
        return figure
    factor = next((units[part] for part in told if part in units), None)
    return None if factor is None else figure * factor


def _metrics(report: Report, rows: Iterable[Row]) -> Iterator[Metric]:
    """The first figure of each quantity."""
    done: set[Quantity] = set()
    for row in rows:
        if row.term.fact and row.term.fact in _QUANTITIES:
            quantity, units, least, most = _QUANTITIES[row.term.fact]
            value = _in_unit(report, row, units)
            if quantity not in done and value is not None and least <= value <= most:
                done.add(quantity)
                yield Metric(quantity=quantity, value=value)
        elif row.term.fact is Fact.POWER_SOURCE and Quantity.ON_MAINS_BOOL not in done:
            powered = next((_POWERED[word] for word in row.words(report.message) if word in _POWERED), None)
            if powered is not None:
                done.add(Quantity.ON_MAINS_BOOL)
                yield Metric(quantity=Quantity.ON_MAINS_BOOL, value=powered)


def _meters(report: Report, rows: Iterable[Row]) -> Iterator[MeterReading]:
    """The first figure of each meter."""
    done: set[MeterName] = set()
    for row in rows:
        if row.term.fact and row.term.fact in _METERS:
            meter, units = _METERS[row.term.fact]
            value = _in_unit(report, row, units)
            if meter not in done and value is not None and 0 <= value <= MOST_HOURS:
                done.add(meter)
                yield MeterReading(meter=meter, provenance=Provenance.REPORTED, value=value)


def figure_rows() -> tuple[tuple[str, str, str], ...]:
    """What rows with figures become, in which units; and what the words of a power source become."""
    metrics = ((fact, quantity.value, units) for fact, (quantity, units, _, _) in _QUANTITIES.items())
    meters = ((fact, f"{meter.value}, reported", units) for fact, (meter, units) in _METERS.items())
    words = ((word, f"{Quantity.ON_MAINS_BOOL.value} {value:g}", "") for word, value in _POWERED.items())
    figures = ((fact.value, told, ", ".join(units)) for fact, told, units in (*metrics, *meters))
    gone = ((word, "status mute, until it operates again", "") for word in sorted(_GONE))
    return (*figures, *words, *gone)
