"""What of an SDC device is read, and what its codes mean; every name that is not here is skipped unread.

Rule 1: the lists are what may be carried; metrics, waveforms, operations and all contexts (patient, location,
order) have no entry.

IEEE 11073-10207 (BICEPS participant and message model); DPWS 1.1 for the endpoint's own metadata; numbers of
IEEE 11073-10101 as `adapters.hl7_codes` has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from adapters.hl7_codes import EVENT_NUMBERS
from telemetry.messages import AlarmKind, OperatingState, Priority, Quantity

MESSAGES: Final = "http://standards.ieee.org/downloads/11073/11073-10207-2017/message"
PARTICIPANT: Final = "http://standards.ieee.org/downloads/11073/11073-10207-2017/participant"
SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
METADATA_EXCHANGE: Final = "http://schemas.xmlsoap.org/ws/2004/09/mex"
DPWS: Final = "http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01"
ADDRESSING: Final = "http://www.w3.org/2005/08/addressing"
INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
SPACES: Final = frozenset({MESSAGES, PARTICIPANT, SOAP, METADATA_EXCHANGE, DPWS, ADDRESSING})
"""Namespaces that are read."""

WRAPPING: Final = frozenset({"Envelope", "Body"})
"""What may stand around a document."""
MDIB: Final = "GetMdibResponse"
METADATA: Final = "Metadata"
REPORTS: Final = frozenset({
    "EpisodicAlertReport", "EpisodicComponentReport", "PeriodicAlertReport", "PeriodicComponentReport",
})  # fmt: skip
"""Reports of changed states; the periodic ones repeat what is."""
STATE_ELEMENTS: Final = frozenset({"State", "ComponentState", "AlertState"})
STATES: Final = frozenset({
    "MdsState", "VmdState", "ChannelState", "BatteryState", "ClockState", "AlertConditionState",
    "LimitAlertConditionState", "AlertSignalState",
})  # fmt: skip
"""Types of states that are read; limits of a limit alert are not."""
CONTEXT_STATE: Final = "ContextState"
"""With this end the types of states that speak of persons and places."""
ELEMENTS: Final = frozenset({
    *WRAPPING, MDIB, METADATA, *REPORTS, *STATE_ELEMENTS,
    "MetadataSection", "Relationship", "Host", "EndpointReference", "Address", "ThisDevice", "ThisModel",
    "FirmwareVersion", "SerialNumber", "Manufacturer", "ModelName", "ModelNumber",
    "Mdib", "MdDescription", "MdState", "ReportPart", "Mds", "Vmd", "Channel", "Battery", "Clock", "MetaData",
    "Udi", "HumanReadableForm", "ProductionSpecification", "SpecType", "ProductionSpec", "Type",
    "ConceptDescription", "Translation", "AlertSystem", "AlertCondition", "AlertSignal",
    "CapacityFullCharge", "CapacitySpecified", "MeasurementUnit", "CapacityRemaining", "Voltage",
    "Temperature", "RemainingBatteryTime",
})  # fmt: skip
ATTRIBUTES: Final = frozenset({
    "type", "Lang", "MdibVersion", "SequenceId", "InstanceId", "Handle", "DescriptorHandle", "Code",
    "CodingSystem", "SymbolicCodeName", "Kind", "Priority", "ConditionSignaled", "Presence", "ActualPriority",
    "ActivationState", "OperatingMode", "OperatingHours", "OperatingCycles", "ChargeCycles", "DateAndTime",
    "MeasuredValue",
})  # fmt: skip

TEXTS: Final = frozenset({
    "Address", "FirmwareVersion", "SerialNumber", "Manufacturer", "ModelName", "ModelNumber",
    "HumanReadableForm", "ProductionSpec", "ConceptDescription",
})  # fmt: skip
"""Elements whose own text is read; that of all others is skipped."""

NOMENCLATURE: Final = frozenset({
    "", "urn:oid:1.2.840.10004.1.1.1.0.0.1", "urn:oid:1.3.111.2.11073.10101.1", "1.3.111.2.11073.10101.1",
})  # fmt: skip
"""Coding systems that are IEEE 11073-10101; the first is meant where none is told."""
REFERENCE_IDS: Final[Mapping[int, str]] = MappingProxyType({
    number: name for name, number in EVENT_NUMBERS.items()
})  # fmt: skip
SOFTWARE_SPEC: Final = "531975"
FIRMWARE_SPEC: Final = "531976"
"""MDC_ID_PROD_SPEC_SW and _FW in a ProductionSpecification."""
MONITORS: Final = frozenset({69952, 69965})
"""Types of monitors: one that is on may watch nobody."""

MODES: Final[Mapping[str, OperatingState | None]] = MappingProxyType({
    "Nml": None,
    "Dmo": OperatingState.DEMO,
    "Srv": OperatingState.SERVICE,
    "Mtn": OperatingState.SERVICE,
})  # fmt: skip
"""MdsState@OperatingMode, `Nml` where it is not told; None: by its ActivationState."""
ACTIVATIONS: Final[Mapping[str, OperatingState]] = MappingProxyType({
    "On": OperatingState.IN_USE,
    "NotRdy": OperatingState.IDLE,
    "StndBy": OperatingState.STANDBY,
    "Off": OperatingState.OFF,
    "Shtdn": OperatingState.IDLE,
    "Fail": OperatingState.IDLE,
    "": OperatingState.UNKNOWN,
})  # fmt: skip
"""MdsState@ActivationState; empty where it is not told: `On` is only implied then, no evidence of use."""
FAILED: Final = "Fail"
COMPONENTS: Final[Mapping[str, str]] = MappingProxyType({
    "Mds": "device", "Vmd": "module", "Channel": "channel", "Battery": "battery",
})  # fmt: skip
"""What may fail by its ActivationState, in words."""

KINDS: Final[Mapping[str, AlarmKind]] = MappingProxyType({
    "Phy": AlarmKind.PHYSIOLOGICAL,
    "Tec": AlarmKind.TECHNICAL,
    "Oth": AlarmKind.UNKNOWN,
})  # fmt: skip
PRIORITIES: Final[Mapping[str, Priority]] = MappingProxyType({
    "None": Priority.INFO,
    "Lo": Priority.LOW,
    "Me": Priority.MEDIUM,
    "Hi": Priority.HIGH,
})  # fmt: skip
SIGNALS: Final = frozenset({"Latch", "Ack"})
"""AlertSignalState@Presence that says more than its condition does."""
PAUSES: Final = frozenset({"Off", "Psd"})
"""AlertConditionState@ActivationState of a condition that is not watched for now."""
TRUE: Final = frozenset({"true", "1"})
FALSE: Final = frozenset({"false", "0", ""})

_MINUTES: Final = MappingProxyType({
    "264352": 1.0, "264384": 60.0, "264320": 1 / 60, "min": 1.0, "h": 60.0, "s": 1 / 60,
})  # fmt: skip
_PERCENT: Final = MappingProxyType({"262688": 1.0, "%": 1.0})
CAPACITIES: Final = MappingProxyType({"268242": 1.0, "268224": 1000.0, "mA.h": 1.0, "A.h": 1000.0})
"""Units of capacity as factors to mAh."""
MEASUREMENTS: Final[Mapping[str, tuple[Quantity, Mapping[str, float], float, float]]] = MappingProxyType({
    "CapacityRemaining": (Quantity.BATTERY_CHARGE_PCT, _PERCENT, 0, 100),
    "RemainingBatteryTime": (Quantity.BATTERY_REMAINING_MIN, _MINUTES, 0, 100_000),
    "Voltage": (
        Quantity.BATTERY_VOLTAGE_V,
        MappingProxyType({"266400": 1.0, "266418": 0.001, "V": 1.0, "mV": 0.001}),
        0,
        1_000,
    ),
    "Temperature": (Quantity.TEMPERATURE_C, MappingProxyType({"268192": 1.0, "Cel": 1.0}), -50, 150),
})  # fmt: skip
"""What an element of a BatteryState becomes, its units (11073-10101 or UCUM) as factors, least and most."""
POWERED: Final[Mapping[str, float]] = MappingProxyType({"On": 0.0, "Off": 1.0, "StndBy": 1.0})
"""BatteryState@ActivationState: on mains or not; `Fail`, or none told, says nothing of it."""

WORDED: Final = frozenset({
    "Kind", "Priority", "Presence", "ActualPriority", "ActivationState", "OperatingMode",
})  # fmt: skip
"""Attributes that are read as words."""
WORDS: Final = frozenset({
    *MODES, *ACTIVATIONS, *KINDS, *PRIORITIES, *SIGNALS, *PAUSES, *TRUE, *FALSE, *POWERED,
})  # fmt: skip
"""Every word that they are read by; none other says anything."""
COUNTED: Final = frozenset({
    "MdibVersion", "OperatingHours", "OperatingCycles", "ChargeCycles", "DateAndTime", "MeasuredValue",
})  # fmt: skip
"""Attributes that are read as numbers."""
