"""What the journal holds, in order: messages, ticks of the collector's clock, and its starts.

Rules know no other clock than ticks. Positions are whole numbers without holes within one epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

from telemetry.envelope import Envelope
from telemetry.topics import Topic


@dataclass(frozen=True, slots=True)
class Journaled:
    """One message as received, with the times that were fixed when it was journaled."""

    position: int
    topic: Topic
    envelope: Envelope | None
    received_ms: int
    event_ms: int
    """The time that everything downstream uses, milliseconds since 1970."""
    corrected: bool
    """Whether event_ms differs from what the publisher's clock said."""
    payload: bytes
    refusal: str = ""
    """Why the payload cannot be read; then the payload is masked."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The collector's clock, written each second."""

    position: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Started:
    """The collector started: what came before may have a gap in receiving."""

    position: int
    at_ms: int


Record = Journaled | Tick | Started
