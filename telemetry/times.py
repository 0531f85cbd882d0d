"""Instants as integers inside, as RFC 3339 text outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970-01-01T00:00Z of an aware instant, rounded down."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def to_us(instant: datetime) -> int:
    """Microseconds since 1970-01-01T00:00Z of an aware instant."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def from_ms(ms: int) -> datetime:
    """The aware UTC instant of milliseconds since 1970-01-01T00:00Z."""
    return EPOCH + timedelta(milliseconds=ms)


def iso(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, as `2026-11-22T04:30:00.000Z`."""
    return from_ms(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
