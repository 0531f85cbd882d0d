"""An adapter host as its operator describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from adapters.contract import Options
from adapters.host.lanes import Room
from adapters.host.mllp_settings import GatewaySettings
from adapters.host.pace import Pace
from adapters.host.ways import Reached


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """One device as the operator describes it."""

    name: str
    """Names the device in topics: A-Z a-z 0-9 _ -, not beginning with `_`."""
    protocol: str
    reached: Reached
    poll_s: float | None = None
    """Seconds between polls; the protocol's own figure if None."""
    answer_s: float = 5.0
    """Real seconds within which a poll is answered."""
    options: Options | None = None
    """What is set of the protocol; None: its defaults."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """One adapter host."""

    publisher: str
    """Its MQTT user, site code included."""
    outbox: Path
    devices: tuple[DeviceSettings, ...]
    gateways: tuple[GatewaySettings, ...] = ()
    room: Room = field(default_factory=Room)
    pace: Pace = field(default_factory=Pace)
