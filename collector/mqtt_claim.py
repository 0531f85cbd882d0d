"""Who has the collector's session: each run leaves its name as a retained message, and the latest run wins.

MQTT 5 has a farewell for a client whose session another takes, but Mosquitto 2.0.11 closes the connection
without it, and the two would take turns for ever. So a run that has seen its own claim, and later finds one
of a later run, knows that it was replaced. The claim stands where a publisher finds its confirmation, under
the collector's own name: the access list lets this user, and no other, read and write it.

Rule 1: the first claim of a run is made whatever stood there; so a restart never waits for anyone.
Rule 2: an earlier claim found later is a broker that went back in time, and is overwritten.
"""

from __future__ import annotations

import mqtt5

from telemetry import topics


class Claim:
    """The claim of one run, over all its connections."""

    def __init__(self, *, user: str, run: str) -> None:
        """`run` names this start of the collector; names of later starts sort after it."""
        self.topic = topics.confirmed(user)
        self.stands = False
        """Whether the broker has told it back to us."""
        self._run = run.encode()

    def packet(self) -> bytes:
        """The PUBLISH that makes the claim; QoS 0, for what it loses the next connection repeats."""
        return mqtt5.PublishPacket(self.topic, self._run, retain=True).write()

    def is_lost_to(self, found: bytes) -> bool:
        """Whether the claim found at the broker is of a later run."""
        self.stands = self.stands or found == self._run
        return self.stands and found > self._run

    def is_missing_from(self, found: bytes) -> bool:
        """Whether our claim has to be made again."""
        return found < self._run
