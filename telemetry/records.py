"""What the journal holds, in order: messages, ticks of the collector's clock, and its starts.

Rules know no other clock than ticks. Positions are whole numbers without holes within one epoch.
"""

from __future__ import annotations

from typing import NamedTuple

from telemetry.envelope import Envelope
from telemetry.errors import MessageError
from telemetry.told import Told, read
from telemetry.topics import Topic


class Journaled(NamedTuple):
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
    told: Told | None = None
    """What the payload says, where it has been read already: it is read once for all."""
    again: bool = False
    """Journaled once before, and readable there: the rules have concluded it."""

    def read(self) -> Told:
        """What the message says. Raises MessageError if it cannot be read or contradicts its topic."""
        if self.refusal:
            raise MessageError(self.refusal)
        told = self.told or read(self.payload)
        if told.body.kind != self.topic.kind:
            raise MessageError(f"body is of kind {told.body.kind}, its topic says {self.topic.kind}")
        return told


class Tick(NamedTuple):
    """The collector's clock, written each second."""

    position: int
    at_ms: int


class Started(NamedTuple):
    """The collector started: what came before may have a gap in receiving."""

    position: int
    at_ms: int


Record = Journaled | Tick | Started
