"""Reads who an SDC device is and which parts and alerts it has, from its MDIB and its endpoint's metadata.

Rule 1: identity comes from MetaData of the first MDS, and what it leaves empty from the endpoint's own
metadata (DPWS). A serial number makes a strong alias; an endpoint reference alone a weak one, as some devices
make a new one at each start.
Rule 2: the text of an alert is told of technical alerts only; of all others their code alone.

IEEE 11073-10207 participant model: MdsDescriptor, BatteryDescriptor, AlertConditionDescriptor, CodedValue;
DPWS 1.1 chapter 5 (ThisModel, ThisDevice, Host).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from adapters import sdc_terms as terms
from adapters.sdc_xml import Element
from telemetry.errors import MessageError
from telemetry.messages import Alias, Identity, Strength

PROTOCOL: Final = "sdc"
_WORD: Final = re.compile(r"[A-Za-z0-9_.:+/-]{1,64}")
_REFERENCE_ID: Final = re.compile(r"MDCX?_[A-Za-z0-9_]{1,59}")
_COUNT: Final = re.compile(r"[0-9]{1,8}")
_VERSION: Final = re.compile(r"[0-9]{1,20}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{0,12})?")
_LONGEST_NAME: Final = 64
_MOST_IDS: Final = 8
_CAPACITIES: Final = ("CapacityFullCharge", "CapacitySpecified")


class Version(NamedTuple):
    """Where in the life of a device a document was made."""

    sequence: tuple[str, str]
    """SequenceId and InstanceId: another one means that the device has started anew."""
    number: int
    """MdibVersion."""

    @property
    def stamp(self) -> str:
        """A word that no other document of any start has."""
        return f"{digest(' '.join(self.sequence))}.{self.number}"


class Endpoint(NamedTuple):
    """What the endpoint tells of itself besides its MDIB; empty where it tells nothing."""

    reference: str = ""
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""


class AlertRow(NamedTuple):
    """One alert condition as it is described."""

    code: str
    reference_id: str
    text: str
    kind: str
    """Phy, Tec or Oth."""
    priority: str
    signals: tuple[str, ...]
    """Handles of the signals that tell it."""


class Component(NamedTuple):
    """A part that may fail."""

    name: str
    code: str


class Battery(NamedTuple):
    """A battery as it is described; capacities in mAh, None where they are not told so."""

    full_mah: float | None
    specified_mah: float | None


@dataclass(frozen=True, slots=True)
class Description:
    """What does not change while a device runs; all mappings are by handle."""

    identity: Identity
    alias: Alias | None
    """None if it tells neither a serial number nor an endpoint reference."""
    mds: str
    alerts: Mapping[str, AlertRow]
    components: Mapping[str, Component]
    batteries: Mapping[str, Battery]
    handles: frozenset[str]
    """Of everything whose states are read."""


def version_of(document: Element) -> Version:
    """The version of an MDIB or a report. Raises MessageError without a sequence."""
    sequence, number = document.get("SequenceId"), document.get("MdibVersion") or "0"
    if not sequence or not _VERSION.fullmatch(number):
        raise MessageError("a document without SequenceId, or with an MdibVersion that is no number")
    return Version((sequence, document.get("InstanceId")), int(number))


def endpoint_of(metadata: Element) -> Endpoint:
    """What a Metadata document tells."""
    told: dict[str, str] = {}
    for element in metadata.within():
        if element.name in {"Host", "ThisDevice", "ThisModel"}:
            for part in element.within():
                if part.text and not part.children:
                    told.setdefault(part.name, part.text)
    names = ("Address", "Manufacturer", "ModelName", "SerialNumber", "FirmwareVersion")
    return Endpoint(*(told.get(name, "") for name in names))


def description_of(mdib: Element, endpoint: Endpoint) -> Description:
    """The description in a GetMdibResponse. Raises MessageError if it describes no device."""
    described = [mds for part in mdib.within() if part.name == "MdDescription" for mds in part.all("Mds")]
    if not described:
        raise MessageError("an MDIB that describes no device")
    below = [element for mds in described for element in mds.within() if element.get("Handle")]
    signals: dict[str, list[str]] = {}
    for element in below:
        if element.name == "AlertSignal":
            signals.setdefault(element.get("ConditionSignaled"), []).append(element.get("Handle"))
    told_by = {handle: tuple(told) for handle, told in signals.items()}
    mds = described[0]
    identity, alias = _identity(mds, endpoint)
    return Description(
        identity=identity,
        alias=alias,
        mds=mds.get("Handle"),
        alerts={
            element.get("Handle"): _alert(element, told_by.get(element.get("Handle"), ()))
            for element in below
            if element.name == "AlertCondition"
        },
        components={
            element.get("Handle"): Component(
                terms.COMPONENTS[element.name], code_of(element.first("Type")).code
            )
            for element in below
            if element.name in terms.COMPONENTS
        },
        batteries={
            element.get("Handle"): Battery(
                *(measured(element.first(name), terms.CAPACITIES) for name in _CAPACITIES)
            )
            for element in below
            if element.name == "Battery"
        },
        handles=frozenset(element.get("Handle") for element in below),
    )


class Code(NamedTuple):
    """A coded value."""

    code: str
    """A number of IEEE 11073-10101, or SYSTEM:CODE; `untyped` where none is told."""
    reference_id: str
    text: str


def code_of(told: Element | None) -> Code:
    """A CodedValue; by IEEE 11073-10101 if it or one of its translations is of that nomenclature."""
    if told is None:
        return Code("untyped", "", "")
    texts = [part for part in told.all("ConceptDescription") if part.text]
    text = next(
        (part.text for part in texts if part.get("Lang").startswith("en")), texts[0].text if texts else ""
    )
    for coded in (told, *told.all("Translation")):
        number = coded.get("Code")
        if coded.get("CodingSystem") in terms.NOMENCLATURE and _COUNT.fullmatch(number.strip()):
            symbol = told.get("SymbolicCodeName")
            name = symbol if _REFERENCE_ID.fullmatch(symbol) else terms.REFERENCE_IDS.get(int(number), "")
            return Code(str(int(number)), name, text)
    own = f"{told.get('CodingSystem')}:{told.get('Code')}".removeprefix(":")
    return Code(own if _WORD.fullmatch(own) else f"private-{digest(own)}", "", text)


def measured(told: Element | None, units: Mapping[str, float]) -> float | None:
    """A Measurement in the unit whose factor is 1; None in any other."""
    if told is None or not _DECIMAL.fullmatch(told.get("MeasuredValue").strip()):
        return None
    unit = told.first("MeasurementUnit")
    factor = units.get(unit.get("Code")) if unit else None
    return None if factor is None else float(told.get("MeasuredValue")) * factor


def digest(text: str) -> str:
    """Eight letters that stand for a text of any length."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]


def short(handle: str) -> str:
    """A handle as a part of a key: itself, or a digest of a long or unreadable one."""
    return handle if len(handle) <= 40 and _WORD.fullmatch(handle) else digest(handle)


def _identity(mds: Element, endpoint: Endpoint) -> tuple[Identity, Alias | None]:
    metadata = mds.first("MetaData") or Element("", "MetaData", {})
    serials = [part.text for part in metadata.all("SerialNumber") if part.text] or [endpoint.serial]
    manufacturer = _localized(metadata, "Manufacturer") or endpoint.manufacturer
    udis = [text.text for udi in metadata.all("Udi") for text in udi.all("HumanReadableForm") if text.text]
    ids = (
        *(("EPR", endpoint.reference),),
        *(("UDI", udi) for udi in udis),
        *(("serial", serial) for serial in serials[1:]),
    )
    kind = code_of(mds.first("Type")).code
    specs = {
        code_of(part.first("SpecType")).code: text.text
        for part in mds.all("ProductionSpecification")
        for text in part.all("ProductionSpec")
    }
    identity = Identity(
        manufacturer=manufacturer,
        model=_localized(metadata, "ModelName") or endpoint.model or _localized(metadata, "ModelNumber"),
        serial=serials[0],
        software_revision=specs.get(terms.SOFTWARE_SPEC, ""),
        firmware_revision=specs.get(terms.FIRMWARE_SPEC, "") or endpoint.firmware,
        device_type=int(kind) if _COUNT.fullmatch(kind) else None,
        unique_ids=tuple(f"{name} {text}"[:256] for name, text in ids if text)[:_MOST_IDS],
    )
    return identity, _alias(manufacturer, serials[0], endpoint.reference)


def _alias(manufacturer: str, serial: str, reference: str) -> Alias | None:
    if serial:
        return Alias(protocol=PROTOCOL, namespace=_fitted(manufacturer), identifier=_fitted(serial))
    if reference:
        return Alias(
            protocol=PROTOCOL, namespace="epr", identifier=_fitted(reference), strength=Strength.WEAK
        )
    return None


def _localized(parent: Element, name: str) -> str:
    texts = [part for part in parent.all(name) if part.text]
    english = next((part.text for part in texts if part.get("Lang").startswith("en")), "")
    return english or (texts[0].text if texts else "")


def _alert(element: Element, signals: tuple[str, ...]) -> AlertRow:
    code = code_of(element.first("Type"))
    kind = element.get("Kind")
    standard = code.reference_id or code.code
    text = (code.text or standard) if kind == "Tec" else standard
    return AlertRow(code.code, code.reference_id, text, kind, element.get("Priority"), signals)


def _fitted(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 9]}#{digest(text)}"
