"""The coded terms of IEEE 11073-10101 and IHE that this project reads; every other term is let pass unread.

Rule 1: a term is known by its reference id first and by its number second, as official examples mistype
numbers and leave out `^MDC`; a number counts only where no other reference id stands beside it.
Rule 2: the list is what may be carried; a vital value, a drug or a name has no entry here.

Context-free number = partition x 65536 + term code. Sources: IHE Devices TF Rev 10.0, TF-2 3.4 (PCD-04), TF-3
table 3.5-1 and chapter 7; IHE IPEC supplement rev 1.5 (reference ids of pumps).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from adapters.hl7 import Message

_REFERENCE_ID: Final = re.compile(r"MDCX?_[A-Za-z0-9_]{1,59}|[A-Z][A-Z0-9]{1,11}_EVT_[A-Z0-9_]{1,45}")
"""Of the nomenclature and its extensions, or an event by the name that its maker gives it."""
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_LEAST_IMPOSSIBLE: Final = 2**32
_LONGEST_REMEMBERED: Final = 256
EVENTS: Final = range(3 * 65536, 4 * 65536)
"""Numbers of partition 3: alerts and events."""


class Fact(StrEnum):
    """What a row of an observation may tell about equipment."""

    MODEL = "model"
    MODEL_NUMBER = "model number"
    MANUFACTURER = "manufacturer"
    SOFTWARE = "software"
    FIRMWARE = "firmware"
    SYSTEM_ID = "system id"
    INVENTORY = "inventory number"
    BED = "bed"
    CONNECTION = "connection"
    MODE = "mode"
    POWER_STATE = "power state"
    POWER_SOURCE = "power source"
    CHARGE = "charge"
    TIME_LEFT = "time left"
    CAPACITY = "capacity"
    VOLTAGE = "voltage"
    BATTERY_TEMPERATURE = "battery temperature"
    BATTERY_CYCLES = "battery cycles"
    TO_SERVICE = "time to service"
    INFUSING = "infusing"
    DELIVERY = "delivery"
    RATE = "rate"
    MINUTE_VOLUME = "minute volume"
    EVENT = "event"
    """An event whose code stands in OBX-5."""
    EMBEDDED = "alert that stands"
    """An alert in a report, whose event stands in OBX-5."""
    SOURCE = "source"
    PHASE = "phase"
    STATE = "state"
    INACTIVATION = "inactivation"
    PRIORITY = "priority"
    TYPE = "type"


_TERMS: Final = (
    (67880, "MDC_ATTR_ID_MODEL", Fact.MODEL),
    (531969, "MDC_ID_MODEL_NUMBER", Fact.MODEL_NUMBER),
    (531970, "MDC_ID_MODEL_MANUFACTURER", Fact.MANUFACTURER),
    (531975, "MDC_ID_PROD_SPEC_SW", Fact.SOFTWARE),
    (531976, "MDC_ID_PROD_SPEC_FW", Fact.FIRMWARE),
    (67972, "MDC_ATTR_SYS_ID", Fact.SYSTEM_ID),
    (67886, "MDC_ATTR_ID_SOFT", Fact.INVENTORY),
    (67870, "MDC_ATTR_BED_LABEL", Fact.BED),
    (68007, "MDC_ATTR_VMS_MDS_STAT", Fact.CONNECTION),
    (67910, "MDC_ATTR_MODE_OP", Fact.MODE),
    (0, "MDCX_DMC_ATTR_POWER_STATE", Fact.POWER_STATE),
    (67925, "MDC_ATTR_POWER_STAT", Fact.POWER_SOURCE),
    (0, "MDCX_DMC_ATTR_POWER_SOURCE", Fact.POWER_SOURCE),
    (67996, "MDC_ATTR_VAL_BATT_CHARGE", Fact.CHARGE),
    (67976, "MDC_ATTR_TIME_BATT_REMAIN", Fact.TIME_LEFT),
    (0, "MDC_ATTR_VAL_BATT_REMAIN", Fact.TIME_LEFT),
    (68023, "MDC_ATTR_CAPAC_BATT_FULL", Fact.CAPACITY),
    (68021, "", Fact.VOLTAGE),
    (68070, "", Fact.BATTERY_TEMPERATURE),
    (68018, "MDC_ATTR_BATT_CHARGE_CYCLES", Fact.BATTERY_CYCLES),
    (184195, "MDC_TIME_PD_MAINTENANCE_TO_NEXT_SERVICE", Fact.TO_SERVICE),
    (184519, "MDC_PUMP_INFUSING_STATUS", Fact.INFUSING),
    (184508, "MDC_PUMP_STAT", Fact.INFUSING),
    (158005, "MDC_DEV_PUMP_CURRENT_DELIVERY_STATUS", Fact.DELIVERY),
    (0, "MDC_PUMP_CURRENT_DELIVERY_STATUS", Fact.DELIVERY),
    (151562, "MDC_RESP_RATE", Fact.RATE),
    (192527, "MDC_VOL_AWAY_MINUTE_EXP", Fact.MINUTE_VOLUME),
    (196616, "MDC_EVT_ALARM", Fact.EVENT),
    (68487, "MDC_ATTR_EVT_COND", Fact.EVENT),
    (68012, "MDC_ATTR_AL_COND", Fact.EMBEDDED),
    (68480, "MDC_ATTR_ALERT_SOURCE", Fact.SOURCE),
    (68481, "MDC_ATTR_EVENT_PHASE", Fact.PHASE),
    (68482, "MDC_ATTR_ALARM_STATE", Fact.STATE),
    (68483, "MDC_ATTR_ALARM_INACTIVATION_STATE", Fact.INACTIVATION),
    (68484, "MDC_ATTR_ALARM_PRIORITY", Fact.PRIORITY),
    (68485, "MDC_ATTR_ALERT_TYPE", Fact.TYPE),
)
"""Numbers 0 are private or left to the reference id: the facets had other numbers (68164 to 68168) once."""

FACTS: Final[Mapping[str, Fact]] = MappingProxyType({refid: fact for _, refid, fact in _TERMS if refid})
_FACTS_BY_NUMBER: Final[Mapping[int, Fact]] = MappingProxyType(
    {number: fact for number, _, fact in _TERMS if number}
)
_NAMELESS: Final[Mapping[int, Fact]] = MappingProxyType(
    {number: fact for number, refid, fact in _TERMS if not refid}
)
"""Terms whose reference id is not known here."""

VENTILATORS: Final = frozenset({70001, 70002, 70003})
"""MDS, VMD and channel of a ventilator."""
VENTILATOR_CHANNEL: Final = 70003
"""The ventilator's own channel, in which a breath rate is a setting (TF-3 table 7.2.2-1)."""
MANAGEMENT: Final = frozenset({"MDC_OBS_MEM", "MDCX_EVT_POWER_CHG"})
"""OBR-4 of PCD-15."""

DEVICES: Final[Mapping[str, int]] = MappingProxyType({
    "MDC_DEV_SYS_PT_VENT_MDS": 70001,
    "MDC_DEV_SYS_PT_VENT_VMD": 70002,
    "MDC_DEV_SYS_PT_VENT_CHAN": 70003,
    "MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS": 69965,
    "MDC_DEV_PUMP_INFUS_MDS": 69985,
    "MDC_DEV_PUMP_INFUS_LVP_MDS": 70049,
    "MDC_DEV_PUMP_INFUS_LVP_VMD": 70050,
    "MDC_DEV_PUMP_INFUS_SYRINGE_MDS": 70053,
    "MDC_DEV_PUMP_INFUS_SYRINGE_VMD": 70054,
})  # fmt: skip

EVENT_NUMBERS: Final[Mapping[str, int]] = MappingProxyType({
    "MDC_EVT_ALARM": 196616,
    "MDC_EVT_DISCONN": 196630,
    "MDC_EVT_EMPTY": 196634,
    "MDC_EVT_ERR": 196638,
    "MDC_EVT_FAIL": 196646,
    "MDC_EVT_HI": 196648,
    "MDC_EVT_HI_GT_LIM": 196650,
    "MDC_EVT_INOP": 196660,
    "MDC_EVT_LO": 196670,
    "MDC_EVT_LO_LT_LIM": 196672,
    "MDC_EVT_LO_VAL_LT_LIM": 196674,
    "MDC_EVT_OCCL": 196688,
    "MDC_EVT_RANGE_ERR": 196772,
    "MDC_EVT_BATT_FAIL": 196800,
    "MDC_EVT_BATT_LO": 196802,
    "MDC_EVT_BATT_MALF": 196804,
    "MDC_EVT_SENSOR_PROB": 196920,
    "MDC_EVT_FLUID_LINE_OCCL": 196940,
    "MDC_EVT_SIG_LO": 196988,
    "MDC_EVT_TIMEOUT": 197192,
    "MDC_EVT_SYRINGE_BARREL_CAPTURE_FAULT": 197218,
    "MDC_EVT_PUMP_DELIV_START": 197288,
    "MDC_EVT_PUMP_DELIV_COMP": 197292,
    "MDC_EVT_VOL_INFUS_NEAR_COMP": 197334,
    "MDC_EVT_STAT_AL_OFF": 202752,
    "MDC_EVT_STAT_AL_ON": 202754,
    "MDC_EVT_STAT_BATT_CHARGING": 202758,
    "MDC_EVT_STAT_STANDBY_MODE": 202774,
    "MDC_EVT_STAT_AL_SILENCE": 202822,
    "MDC_EVT_ADVIS_CHK": 203266,
    "MDC_EVT_ADVIS_SETTINGS_CHK": 203276,
    "MDC_EVT_ADVIS_BATT_REPLACE": 203286,
    "MDC_EVT_ADVIS_VENT_AIR_SUPP_CHK": 203336,
    "MDC_EVT_ACTIVE": 196614,
})  # fmt: skip
"""Events whose number the framework prints; where a message tells another, the reference id is believed."""


class Term(NamedTuple):
    """A coded term as a message tells it."""

    number: int
    """0 when private, or when the code is not of this nomenclature."""
    reference_id: str
    """Empty when the text beside the code is none."""
    told: str
    """The code of another nomenclature, as SYSTEM:CODE; empty for ours."""
    fact: Fact | None
    """What a row with this term may tell; None if it is not read."""
    is_event: bool
    """Whether it names an alert or event."""

    @property
    def device(self) -> int | None:
        """The device type, by reference id first."""
        return DEVICES.get(self.reference_id, self.number or None)


def term(message: Message, field: str) -> Term:
    """The coded term in a field of type CWE, in whichever of its two triples the nomenclature is MDC."""
    if len(field) > _LONGEST_REMEMBERED:
        return _term(tuple(message.components(field)))
    return _remembered(field, message.separators.component, message.separators.repetition)


@lru_cache(maxsize=4096)
def _remembered(field: str, component: str, repetition: str) -> Term:
    """Devices say the same few hundred terms for ever."""
    return _term(tuple(field.partition(repetition)[0].split(component)))


def _term(told: tuple[str, ...]) -> Term:
    parts = (*told, *([""] * 6))
    if parts[2] not in {"", "MDC"} and parts[5] == "MDC":
        parts = parts[3:]
    code, name, system = parts[0].strip(), parts[1].strip(), parts[2].strip()
    reference_id = name if _REFERENCE_ID.fullmatch(name) else ""
    if not reference_id and system not in {"", "MDC"}:
        return Term(0, "", f"{system}:{code}", None, is_event=False)
    if not reference_id and _REFERENCE_ID.fullmatch(code):
        reference_id = code
    number = int(code) if _NUMBER.fullmatch(code) else 0
    is_makers_own = reference_id and not reference_id.startswith(("MDC_", "MDCX_"))
    number = 0 if is_makers_own or number >= _LEAST_IMPOSSIBLE else number
    is_event = "_EVT_" in reference_id if reference_id else number in EVENTS
    return Term(number, reference_id, "", _fact(number, reference_id), is_event)


def _fact(number: int, reference_id: str) -> Fact | None:
    if reference_id:
        return FACTS.get(reference_id) or _NAMELESS.get(number)
    return _FACTS_BY_NUMBER.get(number)


def term_rows() -> tuple[tuple[str, str, str], ...]:
    """Every term that is read: its number, its reference id, and what it tells."""
    return tuple((str(number or ""), refid, fact.value) for number, refid, fact in _TERMS)
