"""Monitors behind a simulated Mindray eGateway, in its dialect of PCD-01 and PCD-04; pure.

    OBX-18 is serial^SHENZHEN_DEVICE^mindray.com^DNS; the type of the MDS is a bare 69952; priority and type
    stand in OBX-8; one facet lacks its ^MDC; what stands is in each report as well (MDC_ATTR_AL_COND).

Written from the two messages that IHE prints (TF-2 appendix E) and from code tables; no gateway was at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from adapters.simulators.hl7_gateway_fleet import BATTERY_LOW, VIETNAM, Said, Trouble
from adapters.simulators.hl7_gateway_messages import PERSON_NAME, PERSON_NUMBER, VITAL_VALUE, Kind, Profile

SENDER: Final = "MINDRAY_EGATEWAY^00A037EB2175780F^EUI-64"
NAMESPACE: Final = "mindray.com"
MONITOR: Final = "69952^^MDC"
LEAD_OFF: Final = "0^MNDRY_EVT_LEAD_OFF^MDC"
_OXYGEN_LOW: Final = "196670^MDC_EVT_LO^MDC"


@dataclass(slots=True)
class Egateway:
    """Monitors with what goes wrong with each; counts its messages."""

    troubles: dict[str, tuple[Trouble, ...]]
    """By serial number."""
    prefix: str = "EGW"
    _count: int = field(default=0, init=False)

    def said(self, since: datetime, now: datetime) -> Iterator[Said]:
        """What happened after `since` and until `now`, and how all monitors stand then."""
        for serial, troubles in self.troubles.items():
            for trouble in troubles:
                for phase, at in (("start", trouble.start), ("end", trouble.end)):
                    if at is not None and since < at <= now:
                        yield self._said(serial, Profile.ALERT, at, _alert(serial, trouble, phase))
            standing = [one for one in troubles if one.start <= now and (one.end is None or now < one.end)]
            yield self._said(serial, Profile.REPORT, now, _report(serial, standing))

    def _said(self, serial: str, profile: Profile, at: datetime, segments: tuple[str, ...]) -> Said:
        self._count += 1
        control_id = f"{self.prefix}{self._count:08d}"
        when = f"{at.astimezone(VIETNAM):%Y%m%d%H%M%S%z}"
        kind, _, declared = profile.value.partition("|")
        modes = f"P|2.6|||AL|NE||UNICODE UTF-8|||{declared}"
        header = f"MSH|^~\\&|{SENDER}|MINDRAY|||{when}||{kind}|{control_id}|{modes}"
        person = f"PID|||{PERSON_NUMBER}^^^Hospital^PI||{PERSON_NAME}^Nora^^^^^L", "PV1||I|SIM WARD^12^1"
        told = (header, *person, *(one.replace("{when}", when) for one in segments))
        return Said(control_id, serial, profile, "".join(f"{one}\r" for one in told).encode())


def egateway(*, monitors: int, start: datetime, prefix: str = "EGW", first: int = 1) -> Egateway:
    """Monitors of which each tells of low oxygen once, and an electrode that came off; the battery of the

    first is low from 2 h to 5 h after `start` (aware).
    """

    def trouble(event: str, text: str, from_h: float, to_h: float, kind: Kind = Kind.TECHNICAL) -> Trouble:
        return Trouble(event, text, start + timedelta(hours=from_h), start + timedelta(hours=to_h), kind)

    return Egateway(
        {
            f"F{first + index:07}EX": (
                trouble(_OXYGEN_LOW, "Low SpO2", 1, 1.2, Kind.PHYSIOLOGICAL),
                trouble(LEAD_OFF, "ECG lead off", 3, 4),
                *((trouble(BATTERY_LOW, "Battery low", 2, 5),) if index == 0 else ()),
            )
            for index in range(monitors)
        },
        prefix=prefix,
    )


def _named(serial: str) -> str:
    return f"|||{{when}}||||{serial}^SHENZHEN_DEVICE^{NAMESPACE}^DNS"


def _flags(trouble: Trouble) -> str:
    return f"H~{trouble.priority}~{trouble.kind}"


def _report(serial: str, standing: list[Trouble]) -> tuple[str, ...]:
    """PCD-01: the monitor, a vital value, and what stands."""
    return (
        f"OBR|1||{serial}|{MONITOR}|||{{when}}",
        f"OBX|1||{MONITOR}|1.0.0.0|||||||X{_named(serial)}",
        "OBX|2|ST|67880^MDC_ATTR_ID_MODEL^MDC|1.0.0.1|Simulated eGateway monitor||||||R",
        f"OBX|3|NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.3.1.1|{VITAL_VALUE}|262688^MDC_DIM_PERCENT^MDC|||||R",
        *(
            f"OBX|{number}|CWE|68012^MDC_ATTR_AL_COND^MDC|1.0.0.{number}|{one.event}^^^^^^{one.text}|||"
            f"{_flags(one)}|||R"
            for number, one in enumerate(standing, start=4)
        ),
    )


def _alert(serial: str, trouble: Trouble, phase: str) -> tuple[str, ...]:
    """PCD-04 in the old style: the event's own code as the term, its phrase as the value."""
    onset = f"{serial}-{int(trouble.start.timestamp())}"
    own = onset if phase == "start" else f"{onset}-{phase}"
    state = "active" if phase == "start" else "inactive"
    of = SENDER.replace("^", "&")
    return (
        f"OBR|1|1^{SENDER}|{own}^{SENDER}|196616^MDC_EVT_ALARM^MDC|||{{when}}{'|' * 22}^{onset}&{of}",
        f"OBX|1|ST|{trouble.event}|1.3.1.150456.1|{trouble.text}|||{_flags(trouble)}|||F{_named(serial)}",
        f"OBX|2|NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.3.1.150456.2|{VITAL_VALUE}|262688^^MDC|||||F",
        f"OBX|3|ST|68481^MDC_ATTR_EVENT_PHASE^MDC|1.3.1.150456.3|{phase}||||||F",
        f"OBX|4|ST|68482^MDC_ATTR_ALARM_STATE^MDC|1.3.1.150456.4|{state}||||||F",
        "OBX|5|ST|68483^MDC_ATTR_ALARM_INACTIVATION_STATE|1.3.1.150456.5|enabled|||||F",
    )
