"""Records what goes over the link of one device into a capture, while it is talked to as the host would.

Rule 1: the conversation is the host's own, without outbox and broker: a device that must be answered is.
Rule 2: nothing of the device is written before its redactor has seen it; what it holds back at the end of a
link is blotted out.
Rule 3: each line is on its way to the disk as soon as it is written; no file is written over.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import TextIO

from adapters.capture import Entry, Event, Header, Piece, Source, Turn, header_line, lines
from adapters.contract import Echoing, MakeRedactor, ProtocolFile, Redactor
from adapters.host.device_health import DeviceHealth
from adapters.host.devices import Device
from adapters.host.host import transport_of
from adapters.host.host_settings import DeviceSettings
from adapters.host.lanes import Unsent
from adapters.host.letterbox import Letterbox
from adapters.host.transports import Connection, Transport, words_of
from adapters.host.ways import Listen
from telemetry.clock import Clock
from telemetry.errors import SettingsError, Unavailable
from telemetry.times import from_ms


class Nowhere:
    """An outbox that keeps nothing."""

    async def put_many(self, messages: Sequence[Unsent]) -> None:
        """Let them go."""


@dataclass(slots=True)
class Notes:
    """The capture as it is written."""

    file: TextIO
    clock: Clock
    limit_bytes: int
    written: int = 0
    """Bytes of the file."""
    trouble: OSError | None = None
    """Why nothing more can be written."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nothing more is written: the limit is reached, or the disk refuses."""
    _began_ms: int = field(init=False)

    def __post_init__(self) -> None:
        """Time is counted from here."""
        self._began_ms = self.clock.mono_ms()

    def head(self, header: Header) -> None:
        """Say first what it is a capture of."""
        self._write(header_line(header))

    def piece(self, source: Source, data: bytes) -> None:
        """Note bytes; none are no piece."""
        if data:
            self._note(Piece(self._ms(), source, data))

    def turn(self, turn: Turn) -> None:
        """Note what befell the link."""
        self._note(Event(self._ms(), turn))

    def end(self) -> None:
        """Say that it was ended in order, whatever the limit."""
        for line in lines(Event(self._ms(), Turn.END)):
            self._write(line)

    def _ms(self) -> int:
        return self.clock.mono_ms() - self._began_ms

    def _note(self, entry: Entry) -> None:
        for line in lines(entry):
            if self.ended.is_set() or self.written + len(line) > self.limit_bytes:
                self.ended.set()
                return
            self._write(line)

    def _write(self, line: str) -> None:
        try:
            self.file.write(line)
            self.file.flush()
        except OSError as error:
            self.trouble = self.trouble or error
            self.ended.set()
        else:
            self.written += len(line)


@dataclass(frozen=True, slots=True)
class Tapped:
    """A way to a device whose bytes are noted on the way."""

    way: Transport
    notes: Notes
    redactor: MakeRedactor

    @property
    def place(self) -> str:
        """The place of the device."""
        return self.way.place

    async def connect(self) -> Connection:
        """Open a link. Raises Unavailable."""
        connection = await self.way.connect()
        self.notes.turn(Turn.CONNECTED)
        return _TappedLink(connection, self.notes, self.redactor())


@dataclass(slots=True)
class _TappedLink:
    connection: Connection
    notes: Notes
    redactor: Redactor
    is_over: bool = False

    async def read(self) -> bytes:
        try:
            data = await self.connection.read()
        except Unavailable:
            self._over()
            raise
        if data:
            self.notes.piece(Source.DEVICE, self.redactor.feed(data))
        else:
            self._over()
        return data

    async def write(self, data: bytes) -> None:
        await self.connection.write(data)
        kept = self.redactor.sent(data) if isinstance(self.redactor, Echoing) else data
        self.notes.piece(Source.US, kept)

    async def close(self) -> None:
        self._over()
        await self.connection.close()

    def _over(self) -> None:
        """The link has ended: what the redactor holds is blotted out."""
        if not self.is_over:
            self.is_over = True
            self.notes.piece(Source.DEVICE, self.redactor.closed())
            self.notes.turn(Turn.LOST)


@dataclass(frozen=True, slots=True)
class Recording:
    """What there is of a recording."""

    written: int
    """Bytes of the file."""
    seconds: float
    health: DeviceHealth
    trouble: str
    """Why nothing comes, or came at the end."""


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """A new file that only this user may read.

    Raises SettingsError where there is one, or none can be; Unavailable when the disk refuses its end.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(
            where=str(path), found=words_of(error), expected="a new file: none is written over"
        ) from error
    file = os.fdopen(handle, "w", encoding="ascii")
    try:
        yield file
    finally:
        try:
            file.close()
        except OSError as error:  # it tries once more what found no room
            raise _refused(error) from error


def _refused(error: OSError) -> Unavailable:
    return Unavailable("the capture", why=words_of(error), advice="make room on its disk")


def redactor_of(protocol: ProtocolFile) -> MakeRedactor:
    """What may be kept of its bytes. Raises SettingsError for a protocol that cannot tell."""
    if protocol.redactor is None:
        raise SettingsError(
            where=f"protocol {protocol.info.id!r}",
            found="cannot tell what is a patient's, and is not recorded",
            expected="a device of another protocol",
        )
    return protocol.redactor


async def record(
    device: DeviceSettings,
    protocol: ProtocolFile,
    *,
    file: TextIO,
    limit_bytes: int,
    clock: Clock,
    rng: Random,
    stopping: asyncio.Event,
    tell: Callable[[Recording], None],
) -> Recording:
    """Talk to a device and record it until stopped, or its input ends, or the limit is reached.

    `tell` is given how it stands, once a second. Raises SettingsError as `redactor_of`, Unavailable when the
    disk refuses.
    """
    poll_s = protocol.info.poll_s if device.poll_s is None else device.poll_s
    notes = Notes(file, clock, limit_bytes)
    boxes = (
        {device.reached.port: Letterbox(device.reached.port)} if isinstance(device.reached, Listen) else {}
    )
    heard = Device(
        name=device.name,
        protocol=device.protocol,
        poll_s=poll_s,
        transport=Tapped(transport_of(device, protocol.info.line, boxes), notes, redactor_of(protocol)),
        make=partial(device.options or protocol.adapter, period_s=poll_s),
        outbox=Nowhere(),
        clock=clock,
        rng=rng,
        answer_s=device.answer_s,
        publisher="recorder",
        has_units=protocol.info.units,
    )
    notes.head(Header(device.protocol, from_ms(clock.now_ms()), poll_s))
    began_ms = clock.mono_ms()

    def standing(trouble: str) -> Recording:
        return Recording(notes.written, (clock.mono_ms() - began_ms) / 1000, heard.health, trouble)

    trouble = await _until_over(heard, notes, stopping, lambda: tell(standing(heard.health.trouble)))
    notes.end()
    if notes.trouble is not None:
        raise _refused(notes.trouble)
    return standing(trouble)


async def _until_over(device: Device, notes: Notes, stopping: asyncio.Event, tell: Callable[[], None]) -> str:
    """Keep the device heard until one of the reasons to end, and bid it farewell; why it was not heard."""

    async def look() -> None:
        while True:
            tell()
            await asyncio.sleep(1)

    talking = asyncio.create_task(device.run(), name=device.name)
    others = [asyncio.create_task(work) for work in (notes.ended.wait(), stopping.wait(), look())]
    try:
        await asyncio.wait((talking, *others), return_when=asyncio.FIRST_COMPLETED)
        trouble = "end of input" if talking.done() else device.health.trouble
    finally:
        for task in (talking, *others):
            task.cancel()
        await asyncio.gather(talking, *others, return_exceptions=True)
    if not talking.cancelled() and (error := talking.exception()) is not None:
        raise error
    return trouble
