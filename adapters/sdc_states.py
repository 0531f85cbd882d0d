"""Reads how an SDC device stands from the states of its parts: what it does, its meters, battery and alerts.

Rule: implied values are used where they decide nothing: Presence false, OperatingMode Nml, a priority as the
descriptor has it. An ActivationState that is not told is not taken for `On`.

IEEE 11073-10207 participant model: MdsState, AbstractDeviceComponentState, BatteryState, ClockState,
AlertConditionState, AlertSignalState.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from adapters import sdc_terms as terms
from adapters.edges import Reading
from adapters.sdc_description import AlertRow, Battery, Description, measured
from adapters.sdc_xml import Element
from telemetry.messages import (
    Condition,
    MeterName,
    MeterReading,
    Metric,
    OperatingState,
    Priority,
    Provenance,
    Quantity,
)

MOST_HOURS: Final = 10_000_000
_COUNT: Final = re.compile(r"[0-9]{1,8}")
_MILLISECONDS: Final = re.compile(r"[0-9]{1,15}")

States = Mapping[str, Element]
"""States by the handle of what they are states of."""


def states_of(parts: Iterable[Element]) -> Iterator[tuple[str, Element]]:
    """The states below these elements, each with the handle of what it is a state of."""
    for part in parts:
        for state in part.all(*terms.STATE_ELEMENTS):
            yield state.get("DescriptorHandle"), state


def state_of(description: Description, states: States, *, on_is_use: bool) -> OperatingState:
    """What the device is doing, by the state of its first MDS."""
    mds = states.get(description.mds)
    if mds is None:
        return OperatingState.UNKNOWN
    mode = mds.get("OperatingMode") or "Nml"
    if mode not in terms.MODES:
        return OperatingState.UNKNOWN
    state = terms.MODES[mode] or terms.ACTIVATIONS.get(mds.get("ActivationState"), OperatingState.UNKNOWN)
    is_doubtful = not on_is_use or description.identity.device_type in terms.MONITORS
    return OperatingState.UNKNOWN if state is OperatingState.IN_USE and is_doubtful else state


def meters_of(description: Description, states: States) -> tuple[MeterReading, ...]:
    """Hours and cycles that the device reports; of several batteries the cycles of the oldest."""
    mds = states.get(description.mds)
    told = {
        MeterName.POWER_ON_H: mds.get("OperatingHours") if mds else "",
        MeterName.OPERATING_CYCLES: mds.get("OperatingCycles") if mds else "",
    }
    cycles = [states[handle].get("ChargeCycles") for handle in description.batteries if handle in states]
    counted = [int(count) for count in cycles if _COUNT.fullmatch(count)]
    figures = {meter: int(text) for meter, text in told.items() if _COUNT.fullmatch(text)}
    if counted:
        figures[MeterName.BATTERY_CYCLES] = max(counted)
    return tuple(
        MeterReading(meter=meter, provenance=Provenance.REPORTED, value=float(figure))
        for meter, figure in figures.items()
        if figure <= MOST_HOURS
    )


def metrics_of(description: Description, states: States) -> tuple[Metric, ...]:
    """What the batteries tell: each quantity of the first that tells it; on battery if any of them is."""
    found: dict[Quantity, float] = {}
    powered: list[float] = []
    for handle, battery in description.batteries.items():
        if (state := states.get(handle)) is None:
            continue
        if state.get("ActivationState") in terms.POWERED:
            powered.append(terms.POWERED[state.get("ActivationState")])
        for quantity, value in _of_battery(battery, state):
            found.setdefault(quantity, value)
    if powered:
        found[Quantity.ON_MAINS_BOOL] = min(powered)
    return tuple(Metric(quantity=quantity, value=value) for quantity, value in sorted(found.items()))


def _of_battery(battery: Battery, state: Element) -> Iterator[tuple[Quantity, float]]:
    for name, (quantity, units, least, most) in terms.MEASUREMENTS.items():
        value = measured(state.first(name), units)
        if value is not None and least <= value <= most:
            yield quantity, value
    remaining = measured(state.first("CapacityRemaining"), terms.CAPACITIES)
    full, specified = battery
    if full is not None and full > 0:
        yield Quantity.BATTERY_CAPACITY_MAH, full
        if remaining is not None and 0 <= remaining <= full:
            yield Quantity.BATTERY_CHARGE_PCT, 100 * remaining / full
        if specified is not None and specified > 0:
            yield Quantity.BATTERY_HEALTH_PCT, 100 * full / specified


def alert_reading(row: AlertRow, states: States, state: Element) -> Reading:
    """How an alert condition stands, with what its signals say of it."""
    presence = state.get("Presence")
    told = {states[handle].get("Presence") for handle in row.signals if handle in states} & terms.SIGNALS
    pause = {state.get("ActivationState")} & terms.PAUSES
    if presence in terms.TRUE:
        condition, word = Condition.ACTIVE, "present"
    elif presence not in terms.FALSE:
        condition, word = Condition.UNKNOWN, "(no word)"
    else:
        condition = Condition.LATCHED if "Latch" in told else Condition.INACTIVE
        word = "absent"
    if condition is Condition.INACTIVE:
        told -= terms.SIGNALS
    priority = terms.PRIORITIES.get(state.get("ActualPriority") or row.priority, Priority.UNKNOWN)
    return Reading(condition, priority, " ".join((word, *sorted(told | pause))))


def clock_of(states: Iterable[Element]) -> datetime | None:
    """The clock that the first of these states tells, in UTC without a zone; None if it can be none."""
    for state in states:
        told = state.get("DateAndTime") if state.type == "ClockState" else ""
        if _MILLISECONDS.fullmatch(told):
            try:
                return datetime(1970, 1, 1) + timedelta(milliseconds=int(told))  # noqa: DTZ001 - as told
            except OverflowError:
                return None
    return None
