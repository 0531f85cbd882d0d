"""What a gateway has done, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass

from telemetry.messages import LinkState


@dataclass(slots=True)
class GatewayTally:
    """What was counted since the host started; an HL7 message is one frame of MLLP, whoever it speaks of."""

    accepted: int = 0
    """Connections that were taken."""
    turned_away: int = 0
    """Connections that were closed at once: of a peer that is not allowed."""
    displaced: int = 0
    """Connections that were closed to make room for another, the one that was silent longest first."""
    heard: int = 0
    """HL7 messages that said something of a device."""
    refusals: int = 0
    """Stretches of bytes, or messages, that could not be read or carried."""
    skipped: int = 0
    """HL7 messages that were read and not taken: repetitions, tests."""
    answered: int = 0
    """Answers that were sent."""
    withheld: int = 0
    """Answers that were not sent, so that the sender keeps its message."""
    lost: int = 0
    """HL7 messages that were acknowledged, or wanted no answer, and could not be kept."""
    lost_bodies: int = 0
    """What these would have become in the outbox, in messages of ours."""
    beyond: int = 0
    """Times that a device was heard for which there is no place, and which is not told of."""
    slowest_answer_s: float = 0.0
    """Longest real time from the last byte of an HL7 message to its answer."""
    faults: int = 0
    """Bugs of ours that ended a connection."""


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """How a gateway stands now."""

    name: str
    place: str
    """Where it is listened for."""
    link: LinkState | None
    """The link of the gateway itself as it was told last."""
    connections: int
    """Open now."""
    devices: int
    """Devices behind it that are known."""
    online: int
    """Those of them that were told to be online."""
    waiting: int
    """Messages in memory that are not in the outbox yet."""
    stalled: str
    """Why the outbox takes nothing now; empty if it does."""
    tally: GatewayTally
    """A copy: it does not go on counting."""
