"""The shape of every adapter: bytes of one device in, bodies of the language out; pure, without clock or I/O.

Rule 1: an adapter never raises for what a device sends; it hears it or refuses it with offset and reason.
Rule 2: what it says depends on the bytes and their order alone, never on how they were cut into pieces.
Rule 3: a file in `adapters.protocols` exposes `INFO`, `adapter` and `EXAMPLES` (and `file_adapter` where
files differ from links); its existence registers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from telemetry.messages import Alias, Body


@dataclass(frozen=True, slots=True)
class Heard:
    """What one frame of the device says."""

    alias: Alias
    device_time: datetime | None
    """The device's own clock, naive as told; None when it tells none or an impossible one."""
    bodies: tuple[Body, ...]
    offset: int
    """Where the frame begins, in bytes fed since the adapter was made."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Bytes that cannot be read: counted and shown, never fatal, never quoted."""

    offset: int
    """Where the bad stretch begins, in bytes fed since the adapter was made."""
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes that must be sent to the device, whatever happens behind."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Skipped:
    """A message that was read and is not carried on purpose: a repetition, a test, nothing of equipment."""

    offset: int
    """Where it begins, in bytes fed since the adapter was made."""
    reason: str


Outcome = Heard | Refusal | Answer | Skipped


class Adapter(Protocol):
    """One device at the end of one link; lives as long as the device is configured, across links."""

    def connected(self) -> tuple[Outcome, ...]:
        """A link is up (again): what must be sent first; bytes of the link before are given up.

        Alarms known from before are *unknown* until the next reading. Then: still active is the same
        occurrence and not repeated, gone is `end`, active now but not before is `present`.
        """

    def poll(self) -> bytes:
        """What asks for the next reading; empty if the device speaks by itself."""

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """All that these bytes complete, in order."""

    def closed(self) -> tuple[Outcome, ...]:
        """The input has ended: an unfinished frame is refused."""


class MakeAdapter(Protocol):
    """How a protocol file makes an adapter for one device."""

    def __call__(self, *, period_s: float) -> Adapter:
        """An adapter whose device is polled (or speaks) every `period_s` seconds."""


class Parity(StrEnum):
    """The parity bit of a serial line."""

    NONE = "none"
    EVEN = "even"
    ODD = "odd"


@dataclass(frozen=True, slots=True)
class SerialLine:
    """How a serial line is set; both ends must be set alike."""

    baud_rate: int
    data_bits: int = 8
    parity: Parity = Parity.NONE
    stop_bits: int = 1


@dataclass(frozen=True, slots=True)
class ProtocolInfo:
    """What a protocol is called and where its layout is written down."""

    id: str
    """Name in settings and aliases: that of the file, with `-` for `_`."""
    manufacturer: str
    title: str
    source: str
    """Documents and captures that the file was written from."""
    poll_s: float
    """Seconds between two readings unless the settings say otherwise."""
    line: SerialLine | None = None
    """How its serial port is set unless the settings say otherwise; None if it is not spoken over one."""


@dataclass(frozen=True, slots=True)
class Example:
    """Bytes fed to a fresh adapter after `connected` and before `closed`, and all that must come of them."""

    description: str
    input: bytes
    bodies: tuple[Body, ...] = ()
    """Every body in order, of all frames together."""
    alias: Alias | None = None
    """Who speaks in every frame heard."""
    device_time: datetime | None = None
    """The device's clock in the last frame heard."""
    answers: tuple[bytes, ...] = ()
    """What is sent because of the input; what `connected` sends is not repeated here."""
    refusal: str | None = None
    """Part of the reason of the one refusal; None if nothing is refused."""


@dataclass(frozen=True, slots=True)
class ProtocolFile:
    """What one file in `adapters.protocols` exposes."""

    info: ProtocolInfo
    adapter: MakeAdapter
    examples: tuple[Example, ...]
    file_adapter: MakeAdapter | None = None
    """For captures that differ from what a link carries; None if `adapter` reads them too."""
