"""What an IntelliVue monitor tells of itself: who it is, its mode and its clock; nothing of its patient.

Rule 1: only the attributes of this file are looked at; the bed label (091E) is a name that people type, and
is not one of them.
Rule 2: texts are trimmed of NUL, blanks and control bytes; `--------` is none, and so is whatever is not made
of letters, figures and a few signs, or has no figure: models, numbers and revisions do, names do not.
Rule 3: component 8 is the product, all others are boards and software parts of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapters import intellivue_layout as layout
from adapters import intellivue_writing as writing
from adapters.intellivue_layout import Attributes
from telemetry.messages import Alias, Identity, OperatingState

PROTOCOL: Final = "intellivue"
MAKER: Final = "Philips"
SYSTEM_ID: Final = 0x0984
SYSTEM_TYPE: Final = 0x0986
TIME: Final = 0x0987
MODEL: Final = 0x0928
SPECIFICATION: Final = 0x092D
MODE: Final = 0x0946
PROTOCOLS: Final = 0xF101
BED_LABEL: Final = 0x091E
"""Never looked at; simulators tell it."""
ATTRIBUTES: Final = MappingProxyType({
    MODEL: "maker and model",
    SPECIFICATION: "production specification",
    MODE: "operating mode",
    SYSTEM_ID: "system id",
    SYSTEM_TYPE: "system type",
    TIME: "the monitor's clock",
    PROTOCOLS: "protocols and their ports",
})  # fmt: skip
"""The attributes that are looked at outside of alert lists."""

SERIAL: Final = 1
PART: Final = 2
HARDWARE: Final = 3
SOFTWARE: Final = 4
FIRMWARE: Final = 5
SPECIFICATIONS: Final = MappingProxyType({
    SERIAL: "serial number",
    PART: "part number",
    HARDWARE: "hardware revision",
    SOFTWARE: "software revision",
    FIRMWARE: "firmware revision",
    6: "protocol revision",
})  # fmt: skip
"""Types of rows of the production specification."""
PRODUCT: Final = 8

MODES: Final = MappingProxyType({
    0x2000: OperatingState.DEMO,
    0x1000: OperatingState.SERVICE,
    0x0001: OperatingState.SERVICE,
    0x0002: OperatingState.STANDBY,
    0x4000: OperatingState.UNKNOWN,
    0x8000: OperatingState.UNKNOWN,
})  # fmt: skip
"""Bits of the operating mode, the weightiest first; 0001 is configuration. Monitoring (4000) is the mode of
any monitor that is switched on, and no use."""

DATA_EXPORT: Final = (1, 5)
"""Applications of F101 that stand for Data Export."""
_TEXT: Final = re.compile(r"(?=[^0-9]*[0-9])[A-Za-z0-9][A-Za-z0-9 ._/()+-]{0,31}")
_SERIAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,31}")
ID_BYTES: Final = frozenset({6, 8})
"""Of a system id: a network address, or an EUI-64."""
_BLANKS: Final = bytes(range(0x21))
_MOST_SOFTWARE: Final = 256
_PARTITION: Final = 0x10000


@dataclass(frozen=True, slots=True)
class Facts:
    """Who the monitor says it is; empty where it does not."""

    model: str = ""
    serial: str = ""
    hardware: str = ""
    firmware: str = ""
    software: tuple[tuple[str, str], ...] = ()
    """Revision and part number of each piece of software."""
    system_id: str = ""
    device_type: int | None = None
    """Context-free code of IEEE 11073-10101."""
    data_export_port: int | None = None

    @property
    def alias(self) -> Alias | None:
        """Model and serial number; the system id where no serial is told; None where neither is."""
        if self.serial and self.model:
            return Alias(protocol=PROTOCOL, namespace=self.model, identifier=self.serial)
        if self.system_id:
            return Alias(protocol=PROTOCOL, namespace="system-id", identifier=self.system_id)
        return None

    @property
    def identity(self) -> Identity:
        """What the language carries of it."""
        software = ", ".join(f"{text} ({part})" if part else text for text, part in self.software)
        return Identity(
            manufacturer=MAKER,
            model=self.model,
            serial=self.serial,
            hardware_revision=self.hardware,
            software_revision=software[:_MOST_SOFTWARE],
            firmware_revision=self.firmware,
            device_type=self.device_type,
            unique_ids=(self.system_id,) if self.system_id else (),
        )


def text_of(data: bytes) -> str:
    """The text of these bytes as rule 2 has it, empty for none."""
    text = data.strip(_BLANKS + b"\x7f").decode("latin-1")
    return text if _TEXT.fullmatch(text) else ""


def facts_of(attributes: Attributes) -> Facts:
    """Who the monitor is. Raises MessageError if an attribute does not hold together."""
    names = [text_of(one) for one in layout.strings(attributes.get(MODEL, b""))]
    rows = layout.specifications(attributes[SPECIFICATION]) if SPECIFICATION in attributes else ()
    told = [(kind, component, text) for kind, component, data in rows if (text := text_of(data))]
    parts = {component: text for kind, component, text in reversed(told) if kind == PART}
    ids = layout.strings(attributes.get(SYSTEM_ID, b""))
    serial = _of_product(told, SERIAL)
    return Facts(
        model=names[1] if len(names) > 1 else "",
        serial=serial if _SERIAL.fullmatch(serial) else "",
        hardware=_of_product(told, HARDWARE),
        firmware=_of_product(told, FIRMWARE),
        software=tuple((text, parts.get(at, "")) for kind, at, text in told if kind == SOFTWARE),
        system_id=ids[0].hex().upper() if ids and len(ids[0]) in ID_BYTES else "",
        device_type=_device_type(attributes.get(SYSTEM_TYPE, b"")),
        data_export_port=_port(attributes),
    )


def _of_product(told: list[tuple[int, int, str]], wanted: int) -> str:
    """The text of that type for the product; of the first part that tells one if the product does not."""
    rows = [(component != PRODUCT, text) for kind, component, text in told if kind == wanted]
    return min(rows, key=lambda row: row[0], default=(False, ""))[1]


def _device_type(value: bytes) -> int | None:
    if len(value) != 4:
        return None
    return int.from_bytes(value[:2], "big") * _PARTITION + int.from_bytes(value[2:], "big")


def _port(attributes: Attributes) -> int | None:
    rows = layout.protocols(attributes[PROTOCOLS]) if PROTOCOLS in attributes else ()
    return next((port for wanted in reversed(DATA_EXPORT) for app, port in rows if app == wanted), None)


def state_of(attributes: Attributes) -> OperatingState | None:
    """The state that the operating mode stands for; None where it is not told."""
    value = attributes.get(MODE, b"")
    if len(value) != 2:
        return None
    bits = int.from_bytes(value, "big")
    return next((state for bit, state in MODES.items() if bits & bit), OperatingState.UNKNOWN)


def time_of(attributes: Attributes) -> datetime | None:
    """The monitor's clock: century, year, month, day, hour, minute, second, hundredths, two figures each."""
    digits = attributes.get(TIME, b"").hex()
    if len(digits) != 16 or not digits.isdecimal():
        return None
    try:
        return datetime.strptime(f"{digits}0000", "%Y%m%d%H%M%S%f")  # noqa: DTZ007 - it tells no zone
    except ValueError:
        return None


def attributes_of(
    *,
    serial: str,
    model: str = "866062",
    software: Mapping[str, str] = MappingProxyType({"S-M8003-0001A": "L.00.10"}),
    bed: str = "",
    mode: int | None = None,
    time: datetime | None = None,
) -> Attributes:
    """What a monitor of that serial number tells of itself; its software by part number.

    For simulators and examples; every other figure is made up.
    """
    parts = [
        writing.specification_of(kind, component, text.encode() + b"\x00")
        for component, (part, revision) in enumerate(software.items(), 0x58)
        for kind, text in ((PART, part), (SOFTWARE, revision))
    ]
    told = {
        SYSTEM_TYPE: bytes((0, 1, 0x11, 0x4D)),
        PROTOCOLS: writing.rows_of(bytes((0, app, 0, 1, 0x5E, 0x29, 0, 0)) for app in DATA_EXPORT),
        SYSTEM_ID: writing.text_of(bytes((0, 9, 0xFB, 0xFF)) + serial.encode()[-4:].rjust(4)),
        MODEL: writing.text_of(MAKER.encode() + b"\x00") + writing.text_of(model.encode() + b"\x00\x00"),
        SPECIFICATION: writing.rows_of((
            writing.specification_of(SERIAL, PRODUCT, serial.encode() + b"\x00\t"),
            writing.specification_of(PART, PRODUCT, model.encode() + b"\x00"),
            writing.specification_of(HARDWARE, PRODUCT, b" A.00.01"),
            writing.specification_of(FIRMWARE, 0x78, b"--------"),
            *parts,
        )),
    }  # fmt: skip
    if bed:
        told[BED_LABEL] = writing.text_of(bed.encode("utf-16-be"))
    if mode is not None:
        told[MODE] = mode.to_bytes(2, "big")
    if time is not None:
        told[TIME] = bytes.fromhex(f"{time:%Y%m%d%H%M%S}{time.microsecond // 10_000:02}")
    return told
