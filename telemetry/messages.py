"""What adapters say about devices: one body per kind, wrapped as a message with alias and times.

Rule 1: every field is equipment data; a field that could name or describe a patient has no place here.
Rule 2: figures are finite, texts are bounded, unknown fields are refused.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime, TypeAdapter, ValidationError

from telemetry.errors import MessageError

VERSION: Literal[1] = 1
MAX_PAYLOAD_BYTES = 64 * 1024
"""Largest payload of a message; publishers refuse more before their outbox, the collector keeps none."""

Word = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_.:+/-]+\z")]
Text = Annotated[str, Field(max_length=256)]
Figure = Annotated[float, Field(allow_inf_nan=False)]
Hours = Annotated[float, Field(allow_inf_nan=False, ge=0, le=10_000_000)]


class Said(BaseModel):
    """A frozen value of the language: strict about types on the wire, closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Strength(StrEnum):
    """How sure an alias is: *strong* carries a serial number, *weak* only a port or a bed."""

    STRONG = "strong"
    WEAK = "weak"


class Alias(Said):
    """The name by which a protocol knows a device; the registry maps it to an asset."""

    protocol: Word
    namespace: Annotated[str, Field(max_length=64)] = ""
    identifier: Annotated[str, Field(min_length=1, max_length=64)]
    strength: Strength = Strength.STRONG


class OperatingState(StrEnum):
    """What the device is doing; *unknown* is never counted as idle."""

    IN_USE = "in_use"
    STANDBY = "standby"
    IDLE = "idle"
    OFF = "off"
    TEST = "test"
    SERVICE = "service"
    DEMO = "demo"
    UNKNOWN = "unknown"


class Provenance(StrEnum):
    """Where a meter's figure comes from; figures of different provenance are never added."""

    REPORTED = "reported"
    DERIVED = "derived"
    MANUAL = "manual"


class MeterName(StrEnum):
    """The meters that rules may count on."""

    POWER_ON_H = "power_on_h"
    VENTILATION_H = "ventilation_h"
    BLOWER_H = "blower_h"
    COMPRESSOR_H = "compressor_h"
    HOURS_SINCE_SERVICE = "hours_since_service"
    HOURS_TO_NEXT_SERVICE = "hours_to_next_service"
    BATTERY_CYCLES = "battery_cycles"
    OPERATING_CYCLES = "operating_cycles"


class MeterReading(Said):
    """One meter as a device or a person tells it, in hours or cycles by its name."""

    meter: MeterName
    provenance: Provenance
    value: Hours


class Phase(StrEnum):
    """Where in its life an alarm or fault is; *present* means active when first seen, onset unknown."""

    START = "start"
    PRESENT = "present"
    UPDATE = "update"
    END = "end"


class Condition(StrEnum):
    """State of an alarm condition after this message."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    LATCHED = "latched"
    OFF = "off"
    UNKNOWN = "unknown"


class AlarmKind(StrEnum):
    """Only technical and advisory conditions may open tickets."""

    TECHNICAL = "technical"
    PHYSIOLOGICAL = "physiological"
    ADVISORY = "advisory"
    UNKNOWN = "unknown"


class Priority(StrEnum):
    """Alarm priority in the words of IEC 60601-1-8; not the priority of a ticket."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"
    UNKNOWN = "unknown"


class Effect(StrEnum):
    """Effect class of a fault for the work of technicians."""

    INFO = "info"
    SERVICE_SOON = "service_soon"
    SERVICE_HIGH = "service_high"
    DEGRADED = "degraded"
    REMOVAL_ADVISED = "removal_advised"


class LinkState(StrEnum):
    """*Mute*: host and port answer, the device does not."""

    ONLINE = "online"
    MUTE = "mute"
    OFFLINE = "offline"


class Identity(Said):
    """Who the device says it is."""

    kind: Literal["identity"] = "identity"
    manufacturer: Text
    model: Text
    serial: Text = ""
    hardware_revision: Text = ""
    software_revision: Text = ""
    firmware_revision: Text = ""
    device_type: Annotated[int | None, Field(ge=0, le=2**32 - 1)] = None
    """Context-free MDC code of IEEE 11073-10101, 70001 for a ventilator."""
    unique_ids: Annotated[tuple[Text, ...], Field(max_length=8)] = ()


class Status(Said):
    """Link of a device, or with device `_link` of the adapter host itself."""

    kind: Literal["status"] = "status"
    link: LinkState
    connection: Annotated[str, Field(max_length=64)] = ""
    """Which connection of the host to the broker speaks: a late will of an older one is told apart."""
    reason: Text = ""


class Usage(Said):
    """Operating state now, and the meters that the device reports."""

    kind: Literal["usage"] = "usage"
    state: OperatingState
    period_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
    """Seconds until the next usage message is expected; longer gaps than three of them are unknown time."""
    meters: Annotated[tuple[MeterReading, ...], Field(max_length=16)] = ()


class Alarm(Said):
    """One edge of one occurrence of an alarm condition."""

    kind: Literal["alarm"] = "alarm"
    key: Annotated[str, Field(min_length=1, max_length=128)]
    """Names the occurrence: its start, updates and end share it."""
    code: Word
    reference_id: Annotated[str, Field(max_length=64)] = ""
    text: Text
    alarm_kind: AlarmKind
    priority: Priority
    phase: Phase
    condition: Condition
    raw: Annotated[str, Field(max_length=64)] = ""
    """The device's own word for the state."""


class Fault(Said):
    """One edge of one occurrence of a vendor's fault code."""

    kind: Literal["fault"] = "fault"
    key: Annotated[str, Field(min_length=1, max_length=128)]
    code: Word
    subsystem: Annotated[str, Field(max_length=64)] = ""
    text: Text
    effect: Effect
    mapped: bool = True
    """False when the catalogue does not know the code."""
    phase: Phase
    condition: Condition
    raw: Annotated[str, Field(max_length=64)] = ""


class Quantity(StrEnum):
    """The equipment quantities that may be carried; the unit stands in the name."""

    BATTERY_CHARGE_PCT = "battery_charge_pct"
    BATTERY_REMAINING_MIN = "battery_remaining_min"
    BATTERY_CAPACITY_MAH = "battery_capacity_mah"
    BATTERY_HEALTH_PCT = "battery_health_pct"
    BATTERY_VOLTAGE_V = "battery_voltage_v"
    TEMPERATURE_C = "temperature_c"
    SUPPLY_PRESSURE_KPA = "supply_pressure_kpa"
    ON_MAINS_BOOL = "on_mains_bool"
    O2_SENSOR_ENABLED_BOOL = "o2_sensor_enabled_bool"
    SELF_TEST_PASSED_BOOL = "self_test_passed_bool"
    CLOCK_OFFSET_S = "clock_offset_s"


class Metric(Said):
    """One equipment quantity; its unit is the last part of its name."""

    quantity: Quantity
    value: Figure


class Metrics(Said):
    """Equipment quantities of one moment."""

    kind: Literal["metrics"] = "metrics"
    values: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=32)]


Body = Annotated[Identity | Status | Usage | Alarm | Fault | Metrics, Field(discriminator="kind")]

KINDS = ("identity", "status", "usage", "alarm", "fault", "metrics")
URGENT_KINDS = frozenset({"alarm", "fault", "status"})
RETAINED_KINDS = frozenset({"identity", "status"})


class Message(Said):
    """One payload: a body with the device's alias and the times at its source."""

    v: Literal[1] = VERSION
    alias: Alias | None = None
    """None in a host's own `_link/status`."""
    observed_at: AwareDatetime | None = None
    """The adapter's clock; None in a will, which the broker sends after the host has gone."""
    device_time: NaiveDatetime | None = None
    """The device's own clock without a zone, as told; only to measure its offset."""
    body: Body


_MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


def encode(message: Message) -> bytes:
    """Compact UTF-8 JSON. Raises MessageError above MAX_PAYLOAD_BYTES."""
    payload = message.model_dump_json(exclude_none=True).encode()
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MessageError(f"message of {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are allowed")
    return payload


def decode(payload: bytes | memoryview) -> Message:
    """The message of a payload. Raises MessageError with the first fault found, never quoting values."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MessageError(f"payload of {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are allowed")
    try:
        return _MESSAGE.validate_json(bytes(payload), strict=True)
    except ValidationError as error:
        raise MessageError(first_fault(error)) from None


def first_fault(error: ValidationError) -> str:
    """Where and what is wrong first, in our words: names and values that a sender chose stay out."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place, what = first["loc"], first["msg"]
    if first["type"] == "extra_forbidden":
        place, what = place[:-1], "has a field that the language does not know"
    elif first["type"] == "union_tag_invalid":
        what = f"its kind is none of {', '.join(KINDS)}"
    where = ".".join(str(part) for part in place) or "payload"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where[:120]}: {what[:200]}{more}"
