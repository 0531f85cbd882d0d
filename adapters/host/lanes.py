"""The words of the outbox: its two lanes, messages before and after they have a number, how a lane stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from telemetry.messages import URGENT_KINDS

OVERHEAD_BYTES = 96
"""What a message costs on disk besides its payload: key, names, boot and page filling."""


class Lane(StrEnum):
    """*Urgent* messages (alarm, fault, status) are sent before *bulk* ones; each lane is its own stream."""

    URGENT = "u"
    BULK = "b"


@dataclass(frozen=True, slots=True)
class Unsent:
    """A message that has no number yet."""

    device: str
    kind: str
    payload: bytes
    boot: str
    mono_ms: int

    @property
    def lane(self) -> Lane:
        """The lane of its kind."""
        return Lane.URGENT if self.kind in URGENT_KINDS else Lane.BULK

    @property
    def size(self) -> int:
        """Bytes that it is counted with."""
        return len(self.payload) + OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Held:
    """A message in its place."""

    stream: str
    seq: int
    device: str
    kind: str
    payload: bytes
    retain: bool
    boot: str
    mono_ms: int


@dataclass(frozen=True, slots=True)
class Room:
    """How much an outbox may hold, and for how long what is confirmed stays."""

    max_bytes: int = 512 * 1024 * 1024
    """Bound of the messages not confirmed yet; beyond it messages are refused, never dropped."""
    tail_hours: float = 48.0
    """Running time for which confirmed messages stay, for a journal that is restored from an older backup."""
    tail_bytes: int = 256 * 1024 * 1024
    """Bound of the confirmed messages that stay; the oldest go first."""
    reserve_bytes: int = 32 * 1024 * 1024
    """Free disk space that new messages leave alone, so that confirmations can still be written."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a lane stands."""

    stream: str
    supersedes: str | None
    held_from: int
    """Lowest number held, the confirmed tail included; the next number if nothing is held."""
    confirmed: int
    sent: int
    """Highest number that may have left this machine."""
    assigned: int
    pending_bytes: int
    """Bytes of the messages not confirmed yet."""

    @property
    def start(self) -> int:
        """The number before the first one that is neither confirmed nor gone."""
        return max(self.confirmed, self.held_from - 1)

    @property
    def unconfirmed(self) -> int:
        """Messages held that are not confirmed."""
        return self.assigned - self.start


@dataclass(frozen=True, slots=True)
class Told:
    """What a confirmation changed."""

    confirmed: int
    """Messages that it newly confirmed."""
    renewed: bool = False
    """The journal is of another epoch: everything above its marks is to be sent again."""
    superseded: tuple[str, ...] = ()
    """Streams that were given up because of their marks."""
