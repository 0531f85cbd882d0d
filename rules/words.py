"""The words of rules and tickets: kinds, priorities, states and marks of sources."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from telemetry.messages import Effect, Priority

HOUR_MS: Final = 3_600_000
Line = Annotated[str, Field(min_length=1, max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
RuleId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9-]*\z")]
AssetId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+\z")]


class Stated(BaseModel):
    """A frozen value of rules and tickets, closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TicketKind(StrEnum):
    """What kind of work a ticket asks for; *data* asks for a reading or a record."""

    PM = "pm"
    REPAIR = "repair"
    INSPECTION = "inspection"
    VERIFICATION = "metrological_verification"
    CALIBRATION = "calibration"
    ACCEPTANCE = "acceptance"
    RECALL = "recall"
    INCIDENT = "incident"
    DATA = "data"


class TicketPriority(StrEnum):
    """P1 life support or removal advised, P2 service high, P3 planned work, P4 data and records."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class TicketState(StrEnum):
    """Where a ticket stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    RESOLVED = "resolved"
    CLOSED = "closed"
    CANCELLED = "cancelled"


FINAL_STATES: Final = frozenset({TicketState.CLOSED, TicketState.CANCELLED})


class SourceStatus(StrEnum):
    """V read in the source, V2 read in a secondary source, R remembered only, P this project's default."""

    V = "V"
    V2 = "V2"
    R = "R"
    P = "P"


class UnknownTime(StrEnum):
    """What time without observation means for a rule: *ask* for a reading, or *count* it as use."""

    ASK = "ask"
    COUNT = "count"


class Standing(StrEnum):
    """How a meter rule stands for one asset; *unknown* cannot be evaluated."""

    OK = "ok"
    DUE = "due"
    ASKED = "asked"
    UNKNOWN = "unknown"
    OFF = "off"


EFFECT_RANK: Final = MappingProxyType({effect: rank for rank, effect in enumerate(Effect)})
"""Effects from *info* to *removal advised*, as telemetry.messages lists them."""

PRIORITY_RANK: Final = MappingProxyType(
    {Priority.UNKNOWN: -1, Priority.INFO: 0, Priority.LOW: 1, Priority.MEDIUM: 2, Priority.HIGH: 3}
)
"""Alarm priorities in the order of IEC 60601-1-8; an unknown one is not *at least* anything."""
