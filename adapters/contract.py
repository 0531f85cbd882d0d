"""The shape of every adapter: bytes of one device in, bodies of the language out; pure, without clock or I/O.

Rule 1: an adapter never raises for what a device sends; it hears it or refuses it with offset and reason.
Rule 2: what it says depends on the bytes, their order and the lengths of time it is told, never on how the
bytes were cut into pieces.
Rule 3: a file in `adapters.protocols` exposes `INFO`, `adapter` and `EXAMPLES`; its existence registers it.
It may expose `file_adapter` where files differ from links, `OPTIONS` where it can be set, `TABLES` that its
page shows, and `redactor` so that its bytes may be recorded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from telemetry.messages import Alias, Body, Strength

UNTOLD: Final = Alias(protocol="untold", identifier="port", strength=Strength.WEAK)
"""Who speaks where the protocol tells no identity; the host puts the port in its place, a weak alias."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one frame of the device says."""

    alias: Alias
    """`UNTOLD` where the protocol tells no identity."""
    device_time: datetime | None
    """The device's own clock, naive as told; None when it tells none or an impossible one."""
    bodies: tuple[Body, ...]
    """A `Status` among them is the word of the link on this unit, as of a pump taken out of its rack."""
    offset: int
    """Where the frame begins, in bytes fed since the adapter was made."""
    unit: str = ""
    """Which device behind the link speaks, in A-Z a-z 0-9 _ -; empty where there is but one."""


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


@runtime_checkable
class Conversing(Adapter, Protocol):
    """An adapter that owes its device words in time; time reaches it as lengths alone.

    It is tended whatever happens behind: while messages wait for room it is not polled, but still fed,
    its time passes and its answers are sent.
    """

    def due_s(self) -> float | None:
        """Seconds until `elapsed` must be called at the latest; None: not before bytes come."""

    def elapsed(self, seconds: float) -> tuple[Outcome, ...]:
        """So much time has passed since the last call or `connected`; told before each feed and poll."""

    def farewell(self) -> bytes:
        """The last bytes of an orderly end, so that the device does not miss us; empty if none are owed."""


class Redactor(Protocol):
    """Makes the bytes of a device fit to be kept: what the adapter would drop as a patient's is blotted out.

    The adapter hears the same from what is kept. What cannot be read is blotted out whole.
    """

    def feed(self, data: bytes) -> bytes:
        """What may be kept now; an unfinished frame is held back, within the adapter's own bounds."""

    def closed(self) -> bytes:
        """The input has ended: what is left, blotted out."""


@runtime_checkable
class Echoing(Redactor, Protocol):
    """A redactor of a protocol whose questions repeat words that the device said."""

    def sent(self, data: bytes) -> bytes:
        """What may be kept of what is sent to the device."""


class MakeRedactor(Protocol):
    """How a protocol file makes a redactor for one link."""

    def __call__(self) -> Redactor:
        """A redactor that has seen nothing."""


class MakeAdapter(Protocol):
    """How a protocol file makes an adapter for one device."""

    def __call__(self, *, period_s: float) -> Adapter:
        """An adapter whose device is polled (or speaks) every `period_s` seconds."""


class Way(StrEnum):
    """How a device can be reached."""

    SERIAL = "serial"
    TCP = "tcp"
    UDP = "udp"
    """We speak to a port of the device."""
    LISTEN = "listen"
    """The device sends datagrams to a port of ours, unasked."""
    SDC = "sdc"
    """IEEE 11073 SDC: discovery, TLS and SOAP by the library, its documents as bytes."""
    GATEWAY = "gateway"
    """Gateways connect to us: a `[[gateway]]`, not a `[[device]]`."""


class Options(BaseModel, ABC):
    """What an operator may set of a protocol, in `[device.options]`; itself the maker of adapters set so.

    Each field has its meaning and unit in its docstring.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @property
    def way(self) -> Way | None:
        """The only way that fits what is set; None: each that the protocol knows."""
        return None

    @abstractmethod
    def __call__(self, *, period_s: float) -> Adapter:
        """An adapter set so, as `MakeAdapter` says."""


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


class Evidence(StrEnum):
    """What a protocol file was tried against for a model, best first."""

    DEVICE = "device"
    CAPTURE = "capture"
    """Bytes recorded from one by others."""
    MANUAL = "manual"
    """Documents alone."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the protocol is spoken by, and what we know that from."""

    name: str
    evidence: Evidence
    note: str = ""
    """Which firmware, which capture, what differs."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the protocol as its page shows it; made from the one that the decoder reads by."""

    title: str
    source: str
    """Document and section or page."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


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
    ways: tuple[Way, ...] = (Way.TCP,)
    """How it is reached; `serial` needs a `line`."""
    line: SerialLine | None = None
    """How its serial port is set unless the settings say otherwise; None if it is not spoken over one."""
    usual_port: int | None = None
    """TCP or UDP port that devices use unless set otherwise."""
    one_client: bool = False
    """The port serves one reader: a named person must confirm that no other system uses it."""
    units: bool = False
    """Several devices may speak behind one link: the only protocols whose `Heard.unit` is not empty."""
    models: tuple[Model, ...] = ()
    sends: tuple[str, ...] = ()
    """Everything that is ever sent to the device, and why; Markdown, as the next two."""
    bedside: str = ""
    """What people at the bedside see and hear when we fall silent: a crash, a cable pulled."""
    notes: tuple[str, ...] = ()
    """Paragraphs of its page: what is told and what is not, how use is judged, what is dropped.

    One that begins with `### ` heads those behind it."""


@dataclass(frozen=True, slots=True)
class Example:
    """Bytes fed to a fresh adapter after `connected` and before `closed`, and all that must come of them."""

    description: str
    input: bytes
    bodies: tuple[Body, ...] = ()
    """Every body in order, of all frames together."""
    alias: Alias | None = None
    """Who speaks in every frame heard; None where no frame tells."""
    others: tuple[Alias, ...] = ()
    """Who speaks beside `alias`, where several are behind one link."""
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
    options: type[Options] | None = None
    """What can be set of it; `adapter` is made with the defaults."""
    tables: tuple[Table, ...] = ()
    redactor: MakeRedactor | None = None
    """None: its bytes are never recorded."""
    about: str = ""
    """What the file says of itself first: the layout of its bytes, and its rules."""
