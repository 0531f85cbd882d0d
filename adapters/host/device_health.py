"""What a device of the host has done, and how it stands with the units behind it."""

from __future__ import annotations

from dataclasses import dataclass

from telemetry.messages import LinkState


@dataclass(slots=True)
class DeviceTally:
    """What was counted since the host started."""

    links: int = 0
    polls: int = 0
    heard: int = 0
    """Frames that could be read."""
    refusals: int = 0
    """Stretches of bytes that could not be read, and messages that could not be carried."""
    skipped: int = 0
    """Messages that were read and are not carried on purpose."""
    lost: int = 0
    """Messages for which there was no room while the device had to be talked to."""
    faults: int = 0
    """Bugs of ours that ended a link."""


@dataclass(frozen=True, slots=True)
class UnitHealth:
    """How one of several devices behind a link stands."""

    name: str
    """Its name in topics."""
    state: LinkState | None
    trouble: str
    """Why it is not online."""
    since_ms: int | None
    """Since when its state is that, by the host's clock."""
    last_heard_ms: int | None


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """How a device stands, and what it has done since the host started."""

    name: str
    place: str
    protocol: str
    state: LinkState | None = None
    """None before anything is known."""
    trouble: str = ""
    """Why it is not online."""
    stalled: str = ""
    """Why what it said cannot be put into the outbox now; it is not polled meanwhile."""
    since_ms: int | None = None
    """Since when its state is that, by the host's clock."""
    last_heard_ms: int | None = None
    links: int = 0
    polls: int = 0
    heard: int = 0
    """Frames that could be read."""
    refusals: int = 0
    skipped: int = 0
    """Messages that were read and are not carried on purpose."""
    stalls: int = 0
    """Tries that the outbox refused."""
    lost: int = 0
    """Messages for which there was no room while the device had to be talked to, and datagrams likewise."""
    faults: int = 0
    """Bugs of ours that ended a link."""
    units: tuple[UnitHealth, ...] = ()
    """Those that were heard behind the link."""
