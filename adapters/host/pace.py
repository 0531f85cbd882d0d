"""How fast the publisher goes, how long it waits, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Pace:
    """Figures of the publisher, in messages and real seconds."""

    window: int = 500
    """Unconfirmed messages of a lane that are handed to the broker at most."""
    in_flight: int = 20
    """Publishes that wait for their PUBACK at most, so that an alarm never waits behind more of them."""
    resend_s: float = 15.0
    """How long the confirmed mark may stand still while messages are out, before they are sent again."""
    resend_most_s: float = 600.0
    """As the same, doubled each time it was in vain: the broker must not fill with copies."""
    sync_s: float = 30.0
    greet_s: float = 2.0
    """How long a new connection waits for a first confirmation, to send again no more than is needed."""
    goodbye_s: float = 2.0
    """How long a stop waits for the broker to take the last word."""
    backoff_first_s: float = 0.5
    backoff_most_s: float = 30.0


def backoff_s(attempt: int, *, first_s: float, most_s: float, rng: Random) -> float:
    """Seconds to wait before a further attempt (from 0): doubling, between half of it and the whole."""
    return min(most_s, first_s * 2.0 ** min(attempt, 20)) * (0.5 + rng.random() / 2)


@dataclass(slots=True)
class Tally:
    """What the publisher has done since it started."""

    connections: int = 0
    sent: int = 0
    """Messages handed to the broker, those sent again included."""
    resent: int = 0
    standstills: int = 0
    """How often the confirmed mark stood still so long that messages were sent again."""
    refused_confirmations: int = 0
    """Confirmations that could not be read, or that confirmed what was never sent."""
    renewals: int = 0
    """Changes of the journal's epoch."""
