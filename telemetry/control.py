"""The talk between publisher and collector about what is safe: `sync` and `confirmed`."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from telemetry.errors import MessageError
from telemetry.messages import Said, first_fault

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+\z")]
Count = Annotated[int, Field(ge=0, lt=10**18)]


class StreamSync(Said):
    """One lane of a publisher as it stands now."""

    stream: Name
    held_from: Count
    """Lowest sequence number still held, the confirmed tail included; next number if nothing is held."""
    sent_through: Count
    """Highest sequence number sent on this connection or an earlier one; 0 if none."""
    supersedes: Name | None = None
    """The stream that this one replaces; what was missing of it can no longer be filled."""


class Sync(Said):
    """Sent at every connect and every 30 s: against it the collector judges what is missing."""

    boot: Name
    mono_ms: Count
    clock_ms: Count
    """The publisher's civil clock, milliseconds since 1970."""
    streams: Annotated[tuple[StreamSync, ...], Field(max_length=8)]


class Confirmed(Said):
    """Per stream the highest sequence number up to which everything is in the journal on disk."""

    epoch: Name
    streams: dict[Name, Count]


_T = TypeVar("_T")
_SYNC: TypeAdapter[Sync] = TypeAdapter(Sync)
_CONFIRMED: TypeAdapter[Confirmed] = TypeAdapter(Confirmed)


def _read(adapter: TypeAdapter[_T], payload: bytes, what: str) -> _T:
    try:
        return adapter.validate_json(payload, strict=True)
    except ValidationError as error:
        raise MessageError(f"{what}: {first_fault(error)}") from None


def read_sync(payload: bytes) -> Sync:
    """A `sync` payload. Raises MessageError."""
    return _read(_SYNC, payload, "sync")


def read_confirmed(payload: bytes) -> Confirmed:
    """A `confirmed` payload. Raises MessageError."""
    return _read(_CONFIRMED, payload, "confirmed")
