"""What is on record of an asset besides its meters: attributes that people give it, and what each may say.

Rule: a value is text, as people write and read it; a date is YYYY-MM-DD; empty means not known.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, model_validator

from rules.words import Stated


class Attribute(StrEnum):
    """An attribute of an asset; each has a history of its own."""

    LABEL = "label"
    WARD = "ward"
    OWNER = "owner"
    LIFE_CYCLE = "life_cycle"
    DEVICE_TYPE = "device_type"
    MANUFACTURER = "manufacturer"
    MODEL = "model"
    SERIAL = "serial"
    ACQUIRED = "acquired"
    WARRANTY_END = "warranty_end"
    CONTRACT_END = "contract_end"
    SUPPLIER = "supplier"
    FUNDING = "funding"


class LifeCycle(StrEnum):
    """Where an asset is in its life (DESIGN, Sites and assets)."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    IN_SERVICE = "in_service"
    RESTRICTED = "restricted"
    IN_STORE = "in_store"
    ON_LOAN = "on_loan"
    AT_VENDOR = "at_vendor"
    OUT_OF_SERVICE = "out_of_service"
    AWAITING_DISPOSAL = "awaiting_disposal"
    DISPOSED = "disposed"
    LOST = "lost"


class Funding(StrEnum):
    """Whose money an asset was bought with."""

    BUDGET = "budget"
    OWN = "own"
    PROJECT = "project"
    DONATION = "donation"
    LEASE = "lease"
    OTHER = "other"


DATES: Final = frozenset({Attribute.ACQUIRED, Attribute.WARRANTY_END, Attribute.CONTRACT_END})
SPEAKING: Final = frozenset({LifeCycle.IN_SERVICE, LifeCycle.RESTRICTED})
"""States in which a device should be heard; in the others its silence means nothing."""
ENDED: Final = frozenset({LifeCycle.DISPOSED, LifeCycle.LOST})
"""States in which no rule speaks of an asset and no device speaks for it."""


class Value(Stated):
    """One attribute with what it is from a time on; without a time, from when it was said."""

    attribute: Attribute
    value: Annotated[str, Field(max_length=200)]
    from_ms: int | None = None

    @model_validator(mode="after")
    def _readable(self) -> Value:
        if fault := value_fault(self.attribute, self.value):
            raise ValueError(fault)
        return self


def value_fault(attribute: Attribute, value: str) -> str:
    """Why an attribute cannot have that value, as a sentence; empty if it can."""
    if attribute is Attribute.LIFE_CYCLE and value not in set(LifeCycle):
        return f"life_cycle is one of {', '.join(LifeCycle)}"
    if not value:
        return ""
    if attribute is Attribute.FUNDING and value not in set(Funding):
        return f"funding is one of {', '.join(Funding)}"
    if attribute in DATES and not _is_date(value):
        return f"{attribute} is a date as 2026-11-22"
    if value != value.strip() or not value.isprintable():
        return f"{attribute} is one line without blanks around it"
    return ""


def _is_date(text: str) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
