"""What is read of a BCC answer, and what it means: an allow-list of parameters, each with its value's form.

Rule 1: a parameter that is not in READ is never looked at: drug names, rates, volumes, weights, patients' and
nurses' ids. A value that is not of its parameter's form counts as *not a word* and is not quoted.
Rule 2: `_NV` (no value) and `_NA` (temporarily not available) are no values: nothing is concluded from them.

B. Braun, BCC interface specification I0022_000030 v4.0 (2019), as two public clients list its parameters too
(icu_devices, bbraun_const.h; patient-monitor-datalogger, whose addresses and error codes these are).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from telemetry.errors import MessageError
from telemetry.messages import AlarmKind

STATION: Final = "50100"
"""Address of the station itself."""
NO_VALUES: Final = frozenset({"_NV", "_NA"})
NO_WORD: Final = "?"
"""Stands for a value that is not of its parameter's form."""
SEPARATOR: Final = b"\x1e"
_ADDRESS: Final = re.compile(r"501([0-3])([0-9A-O]|1[0-9]|2[0-4])")
_SECONDS: Final = re.compile(r"[0-9]{1,10}")
_NAME: Final = re.compile(r"[A-Z][A-Z0-9]{1,15}")
_VERSION: Final = re.compile(r"V([0-9]{1,2}\.[0-9]{1,2})")
_LETTERS: Final = "0123456789ABCDEFGHIJKLMNO"
REQUEST: Final = re.compile(rb"ADMIN:ALIVE|ADMIN:VERSION|MEM:GET|MEM:GETSLOT#[1-3][1-9A-O]")
VERSION: Final = "VERSION"
"""Under this name the protocol's version is known, which an answer tells in a parameter's place."""

_FLAG: Final = re.compile("[01]")
_NUMBER: Final = re.compile("[0-9]{1,5}")
_CODE: Final = re.compile("[0-9A-F]{4,16}")


class Alarm(NamedTuple):
    """What an alarm parameter means when it is 1."""

    text: str
    kind: AlarmKind


_TECHNICAL: Final = AlarmKind.TECHNICAL
_ADVISORY: Final = AlarmKind.ADVISORY
ALARMS: Final[Mapping[str, Alarm]] = MappingProxyType({
    "INA1": Alarm("battery empty", _TECHNICAL),
    "INA2": Alarm("syringe empty", _ADVISORY),
    "INA3": Alarm("pressure", _TECHNICAL),
    "INA4": Alarm("standby ends in two minutes", _ADVISORY),
    "INA5": Alarm("standby over", _ADVISORY),
    "INA6": Alarm("CC alarm", AlarmKind.UNKNOWN),
    "INA7": Alarm("end of volume", _ADVISORY),
    "INA8": Alarm("end of time", _ADVISORY),
    "INA9": Alarm("syringe", _TECHNICAL),
    "INA10": Alarm("not used", AlarmKind.UNKNOWN),
    "INA11": Alarm("battery pre-alarm", _TECHNICAL),
    "INA12": Alarm("syringe nearly empty", _ADVISORY),
    "INA13": Alarm("door open", _TECHNICAL),
    "INA14": Alarm("drop", _TECHNICAL),
    "INA15": Alarm("air in line", _TECHNICAL),
    "INA16": Alarm("KVO end", _ADVISORY),
})  # fmt: skip
"""Technical is what the pump's own sensors and battery tell, as IHE codes it; advisory is how far an infusion
is. No pump tells of a patient's condition. What the documents leave open is of unknown kind, never a ticket.
"""
LAST_ALARM: Final = "LASTDA"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that is read."""

    name: str
    meaning: str
    form: re.Pattern[str]


_ROWS: Final = (
    Parameter("GNACK", "answer to ADMIN:ALIVE", _NUMBER),
    Parameter("GNERR", "an error instead of data", _NUMBER),
    Parameter("GNNEW", "type of a pump that is new in its slot", _CODE),
    Parameter("GNMODEL", "type of a pump known since the last request", _CODE),
    Parameter("FMSTAT", "the station: 00050 off, 00051 on", re.compile("0005[01]")),
    Parameter("INSERNUM", "serial number", re.compile("[A-Z]{0,2}[0-9]{1,12}")),
    Parameter("INNR", "unique id", re.compile("[0-9A-F]{8}|[0-9A-F]{12}")),
    Parameter("INDTNR", "number of the device type", _NUMBER),
    Parameter("DSSTATUS", "00050 off, 00051 on", re.compile("0005[01]")),
    Parameter(
        "RUNSTATE", "bits: 0 stop, 1 run, 2 alarm, 3 KVO, 4 menu, 5 pre-alarm", re.compile("[0-9]{1,2}")
    ),
    Parameter("INM2", "1 bolus", _FLAG),
    Parameter("INM3", "1 pumping, or purging", _FLAG),
    Parameter("INM6", "1 standby", _FLAG),
    Parameter("INM8", "0 battery, 1 external power", _FLAG),
    Parameter("INTIME", "minutes of infusion, 0 to 6000, reset by users: only a rise is looked at", _NUMBER),
    Parameter("INAKKU", "minutes left on battery, 0 to 1440", _NUMBER),
    *(Parameter(name, f"1 {alarm.text}", _FLAG) for name, alarm in ALARMS.items()),
    Parameter(LAST_ALARM, "last device alarm, 1000 to 2999, 0 none", re.compile("0{1,4}|[12][0-9]{3}")),
)
READ: Final[Mapping[str, Parameter]] = MappingProxyType({row.name: row for row in _ROWS})
"""Everything that is looked at."""

REMOVED: Final = "39"
NOTHING: Final = "11"
ERRORS: Final[Mapping[str, str]] = MappingProxyType({
    NOTHING: "no further data, or no pump in the system",
    REMOVED: "the pump was taken out",
    "68": "wrong syntax",
    "811": "wrong pump address",
})  # fmt: skip


class Told(NamedTuple):
    """One quadruple of an answer as far as it is read."""

    seconds: int
    """Since the station started."""
    address: str
    """With the slot as one character."""
    name: str
    """Of the parameter; empty if it is not read."""
    value: str
    """In its parameter's form, one of NO_VALUES, or NO_WORD."""


def slot(address: str) -> tuple[int, int]:
    """Pillar and slot of an address, both 0 for the station.

    The slot is 1 to 9 and then A to O, or two digits. Raises MessageError if it is no address.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise MessageError("a quadruple without an address")
    pillar, place = int(found[1]), found[2]
    number = int(place) if len(place) == 2 else _LETTERS.index(place)
    if (pillar == 0) != (number == 0):
        raise MessageError("a quadruple without an address")
    return pillar, number


def quadruples(info: bytes) -> Iterator[Told]:
    """What a block tells, in order. Raises MessageError if a part of it is no quadruple."""
    for part in info.split(SEPARATOR):
        seconds, address, name, value = (*part.decode("ascii", "replace").split(",", 3), "", "", "", "")[:4]
        if not _SECONDS.fullmatch(seconds):
            raise MessageError("a quadruple without a time")
        pillar, number = slot(address)
        yield _told(int(seconds), f"501{pillar}{_LETTERS[number]}", name, value)


def _told(seconds: int, address: str, name: str, value: str) -> Told:
    version = _VERSION.fullmatch(name)
    if version and address == STATION and not value:
        return Told(seconds, address, VERSION, version[1])
    if not _NAME.fullmatch(name) and not version:
        raise MessageError("a quadruple without a parameter")
    if name not in READ:
        return Told(seconds, address, "", "")
    is_known = value in NO_VALUES or READ[name].form.fullmatch(value)
    return Told(seconds, address, name, value if is_known else NO_WORD)


def written(told: Told) -> bytes:
    """A quadruple that tells the same, and nothing that is not read."""
    name, value = (f"V{told.value}", "") if told.name == VERSION else (told.name or "XX", f",{told.value}")
    return f"{told.seconds},{told.address},{name}{value}".encode("ascii")
