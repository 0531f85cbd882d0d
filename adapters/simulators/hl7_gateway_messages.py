"""HL7 messages of monitors and infusion pumps as a gateway sends them: PCD-01, PCD-04, PCD-10, PCD-15; pure.

    MSH | sender | control id | profile        every message names a patient who does not exist, whose name,
    PID, PV1                                   number and values must never be found behind the adapter
    OBR | filler id | what is reported
    OBX | term | MDS.VMD.CHAN.METRIC | value   the first row is the device itself, its identifier in OBX-18

IHE Devices Technical Framework Rev 10.0: TF-2 appendix B (segments), 3.4 (PCD-04), K (its facets); the IPEC
and MEM DMC supplements for PCD-10 and PCD-15.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

SENDER: Final = "SIM_GATEWAY^0012210000009999^EUI-64"
PERSON_NAME: Final = "Nobody"
"""Family name of the patient who does not exist; no part of the line may ever hold it."""
PERSON_NUMBER: Final = "SIM4711"
VITAL_VALUE: Final = "74.7741"
"""A vital value that is told in every report of a monitor."""


class Profile(StrEnum):
    """What a message is, as MSH-9 and MSH-21 say it."""

    REPORT = "ORU^R01^ORU_R01|IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO"
    """PCD-01: what a device shows now."""
    ALERT = "ORU^R40^ORU_R40|IHE_PCD_ACM_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.4.1^ISO"
    """PCD-04: one edge of one alert."""
    PUMP_EVENT = "ORU^R42^ORU_R01|IHE_PCD_010^IHE PCD^1.3.6.1.4.1.19376.1.6.4.10^ISO"
    """PCD-10: a delivery starts, stops or is complete."""
    MANAGEMENT = "ORU^R01^ORU_R01|IHE_PCD_015^IHE PCD^1.3.6.1.4.1.19376.1.6.4.15^ISO"
    """PCD-15: what a maintenance system wants to know."""


class Priority(StrEnum):
    """Facet 6."""

    LOW = "PL"
    MEDIUM = "PM"
    HIGH = "PH"


class Kind(StrEnum):
    """Facet 7."""

    PHYSIOLOGICAL = "SP"
    TECHNICAL = "ST"
    ADVISORY = "SA"


@dataclass(frozen=True, slots=True)
class Device:
    """A device as its gateway speaks of it."""

    serial: str
    mds: str
    """The device's own term, as `69985^MDC_DEV_PUMP_INFUS_MDS^MDC`."""
    manufacturer: str
    model: str
    software: str = "4.2.1"

    namespace: str = "0012210000000000"
    """The system in which its serial is unique."""

    @property
    def identifier(self) -> str:
        """OBX-18."""
        return f"{self.serial}^^{self.namespace}^EUI-64"


@dataclass(frozen=True, slots=True)
class Row:
    """One OBX."""

    place: str
    """OBX-4."""
    term: str
    value: str = ""
    value_type: str = "ST"
    unit: str = ""
    result: str = "R"


@dataclass(frozen=True, slots=True)
class Alert:
    """One occurrence of an alert."""

    id: str
    event: str
    """The event's code, as `196802^MDC_EVT_BATT_LO^MDC`."""
    text: str
    kind: Kind
    priority: Priority


def message(
    profile: Profile,
    device: Device,
    *,
    control_id: str,
    at: datetime,
    filler: str,
    about: str,
    rows: Sequence[Row],
    parent: str = "",
) -> bytes:
    """One message in segments that end in CR, with the zone of the aware time given; UTF-8."""
    when = f"{at:%Y%m%d%H%M%S%z}"
    trigger, _, declared = profile.value.partition("|")
    msh = f"MSH|^~\\&|{SENDER}|SIM|||{when}||{trigger}|{control_id}|P|2.6|||AL|NE||UNICODE UTF-8|||{declared}"
    pid = f"PID|||{PERSON_NUMBER}^^^SIM^PI||{PERSON_NAME}^Nora^^^^^L||19700101|F"
    obr = f"OBR|1||{filler}^{SENDER}|{about}|||{when}" + (f"{'|' * 22}{parent}" if parent else "")
    segments = [msh, pid, "PV1||I|SIM WARD^12^1", obr]
    for number, row in enumerate(rows, start=1):
        equipment = f"|||{when}||||{device.identifier}" if number == 1 else ""
        value = f"{row.value_type if row.value else ''}|{row.term}|{row.place}|{row.value}|{row.unit}"
        segments.append(f"OBX|{number}|{value}|||||{row.result}{equipment}")
    return "".join(f"{segment}\r" for segment in segments).encode()


def report(
    device: Device, *, control_id: str, at: datetime, rows: Sequence[Row], profile: Profile = Profile.REPORT
) -> bytes:
    """PCD-01, PCD-10 or PCD-15: the device, its model, and what it reports."""
    identity = (
        Row("1.0.0.0", device.mds, result="X"),
        Row("1.0.0.1", "531970^MDC_ID_MODEL_MANUFACTURER^MDC", device.manufacturer),
        Row("1.0.0.2", "531969^MDC_ID_MODEL_NUMBER^MDC", device.model),
        Row("1.0.0.3", "531975^MDC_ID_PROD_SPEC_SW^MDC", device.software),
    )
    about = "69135^MDC_OBS_MEM^MDC" if profile is Profile.MANAGEMENT else device.mds
    return message(
        profile,
        device,
        control_id=control_id,
        at=at,
        filler=control_id,
        about=about,
        rows=(*identity, *rows),
    )


def alert(device: Device, told: Alert, *, phase: str, state: str, control_id: str, at: datetime) -> bytes:
    """PCD-04: one edge of an alert in its facets; all but the onset name the onset in OBR-29."""
    is_onset = phase == "start"
    is_patients = told.kind is Kind.PHYSIOLOGICAL
    first = (
        Row("1.1.1.1.1", told.event, told.text, result="F")
        if is_patients
        else Row("1.0.0.0.1", "196616^MDC_EVT_ALARM^MDC", f"{told.event}^^^^^^{told.text}", "CWE", result="F")
    )
    source = (
        Row("1.1.1.1.2", "150456^MDC_PULS_OXIM_SAT_O2^MDC", VITAL_VALUE, "NM", "262688^MDC_DIM_PERCENT^MDC")
        if is_patients
        else Row("1.0.0.0.2", "68480^MDC_ATTR_ALERT_SOURCE^MDC", device.mds, "CWE", result="F")
    )
    at_place = first.place[:-1]
    rows = (
        first,
        source,
        Row(f"{at_place}3", "68481^MDC_ATTR_EVENT_PHASE^MDC", phase, result="F"),
        Row(f"{at_place}4", "68482^MDC_ATTR_ALARM_STATE^MDC", state, result="F"),
        Row(f"{at_place}5", "68483^MDC_ATTR_ALARM_INACTIVATION_STATE^MDC", "enabled", result="F"),
        Row(f"{at_place}6", "68484^MDC_ATTR_ALARM_PRIORITY^MDC", told.priority, result="F"),
        Row(f"{at_place}7", "68485^MDC_ATTR_ALERT_TYPE^MDC", told.kind, result="F"),
    )
    return message(
        Profile.ALERT,
        device,
        control_id=control_id,
        at=at,
        filler=told.id if is_onset else control_id,
        about="196616^MDC_EVT_ALARM^MDC",
        rows=rows,
        parent="" if is_onset else f"^{told.id}&{SENDER.replace('^', '&')}",
    )
