"""How a MEDIBUS device is used, and its equipment quantities: from texts, standby and a few measured values.

Rule 1: what the device says of itself counts first: simulation, test, switched off, standby.
Rule 2: in use is a rate or a volume above zero. No such value is *idle*, for a device at rest sends none; it
is *unknown* while a sensor alarm stands that would explain it, and where the model is not known.
Rule 3: rate and volume go no further than this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from adapters.medibus_codes import (
    BATTERY_PCT,
    O2_SUPPLY_MBAR,
    RATE,
    TEXTS,
    UNKNOWN_FAMILY,
    VOLUMES,
    X_FAMILY,
    Family,
)
from telemetry.messages import OperatingState, Quantity

KPA_PER_MBAR: Final = 0.1


def state_of(
    figures: Mapping[str, float | None],
    *,
    texts: frozenset[str] | None,
    standby: bool | None,
    family: Family,
    is_blind: bool,
) -> OperatingState:
    """The state; `texts` and `standby` are None if not heard, `is_blind` while a sensor fails."""
    if texts is None or standby is None:
        return OperatingState.UNKNOWN
    for code, text in TEXTS.items():
        if code in texts and text.state and (not text.x_only or family is X_FAMILY):
            return text.state
    if standby:
        return OperatingState.STANDBY
    found = [figures[code] for code in (RATE, *VOLUMES) if code in figures]
    if any(value is not None and value > 0 for value in found):
        return OperatingState.IN_USE
    is_told = bool(found) or family is not UNKNOWN_FAMILY
    is_sure = is_told and None not in found and not is_blind
    return OperatingState.IDLE if is_sure else OperatingState.UNKNOWN


def quantities_of(figures: Mapping[str, float | None], *, family: Family) -> dict[Quantity, float]:
    """Battery charge and supply pressure where the model is known and the figures can be."""
    found: dict[Quantity, float] = {}
    battery, supply = figures.get(BATTERY_PCT), figures.get(O2_SUPPLY_MBAR)
    if not family.tells_equipment:
        return found
    if battery is not None and 0 <= battery <= 100:
        found[Quantity.BATTERY_CHARGE_PCT] = battery
    if supply is not None and supply >= 0:
        found[Quantity.SUPPLY_PRESSURE_KPA] = round(supply * KPA_PER_MBAR, 3)
    return found
