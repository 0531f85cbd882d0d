"""A gateway as its operator describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from adapters.hl7_sender import Sender


class Overflow(StrEnum):
    """What happens to a message for which there is no room."""

    ACKNOWLEDGE = "acknowledge"
    """It is acknowledged and lost, and that is counted: a sender must never be blocked by us."""
    WITHHOLD = "withhold"
    """It is not answered: the sender keeps it, and may stand still meanwhile."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long a connection may take, in real seconds."""

    answer_s: float = 2.0
    """From the end of a message to its answer."""
    message_s: float = 60.0
    """From the first byte of a message to its end."""
    take_s: float = 10.0
    """Until the other side takes an answer from us."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the listener shows: PEM files."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """One listener as the operator describes it."""

    name: str
    """Begins the names in topics of all devices behind it; A-Z a-z 0-9 _ -, not beginning with `_`."""
    port: int
    host: str = "127.0.0.1"
    """Address to listen on."""
    sender: Sender = field(default_factory=Sender)
    """How those who connect are read and answered."""
    peers: tuple[IPv4Network | IPv6Network, ...] = ()
    """From where connections are taken; empty: from everywhere."""
    period_s: float = 60.0
    """Seconds between two messages of one device."""
    overflow: Overflow = Overflow.ACKNOWLEDGE
    times: Times = field(default_factory=Times)
    room: int = 10_000
    """Messages of ours that may wait in memory."""
    room_bytes: int = 32 * 1024 * 1024
    most_connections: int = 32
    most_devices: int = 1000
    certificate: Certificate | None = None
    """Speak TLS with it; None: plain."""
