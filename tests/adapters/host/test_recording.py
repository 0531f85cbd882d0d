"""A recording holds what went over the link and nothing of a patient, however it ends."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.bcc_frames import frame_of
from adapters.capture import Entry, Event, Piece, Reading, Source, Turn
from adapters.contract import ProtocolFile
from adapters.decode import decode
from adapters.host.host_settings import DeviceSettings
from adapters.host.recording import Notes, Nowhere, Recording, Tapped, new_file, record, redactor_of
from adapters.host.transports import Connection
from adapters.host.ways import Replay
from adapters.protocols import bbraun_bcc
from adapters.protocols.puritan_bennett import redactor
from adapters.registry import find
from telemetry.errors import SettingsError, Unavailable
from tests.adapters.host.fakes import StillClock, dice
from tests.adapters.ventilators import report

PB = find("puritan-bennett")
RAW = (
    report({72: "9.876", 60: "61.5"})
    + b"NGUYEN VAN A"
    + report({70: "0", 72: "0", 121: "LOW"})
    + report()[:99]
)
SECRETS = ("9.876", "61.5", "NGUYEN")


class Full(io.StringIO):
    """A file on a disk that is full after so many lines."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self.left = lines

    def flush(self) -> None:
        """Fail when the disk is full."""
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")


def entries(text: str) -> list[Entry]:
    return list(Reading("x").feed(text.encode()))


def device_bytes(text: str) -> bytes:
    pieces = (one for one in entries(text) if isinstance(one, Piece) and one.source is Source.DEVICE)
    return b"".join(piece.data for piece in pieces)


async def recorded(
    path: Path,
    file: io.StringIO,
    *,
    limit: int = 1 << 20,
    protocol: ProtocolFile = PB,
    tell: Callable[[Recording], None] = lambda _: None,
) -> Recording:
    return await record(
        DeviceSettings("vent", "puritan-bennett", Replay(path), poll_s=0.01),
        protocol,
        file=file,
        limit_bytes=limit,
        clock=StillClock(),
        rng=dice(1),
        stopping=asyncio.Event(),
        tell=tell,
    )


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A file of a ventilator's bytes, as somebody recorded them."""
    (tmp_path / "raw.bin").write_bytes(RAW)
    return tmp_path / "raw.bin"


async def test_what_is_recorded_says_the_same_and_nothing_of_a_patient(raw: Path) -> None:
    told: list[Recording] = []
    file = io.StringIO()
    done = await recorded(raw, file, tell=told.append)
    text = file.getvalue()
    assert (done.health.heard, done.written) == (2, len(text))
    assert told
    kept = device_bytes(text)
    assert len(kept) < len(RAW)
    assert not [word for word in SECRETS if word.encode() in kept or word.encode().hex() in text]
    period = json.loads(text.partition("\n")[0])["period_s"]
    bodies = [
        [
            line.text.replace(str(PB.info.poll_s), str(period))
            for line in decode("puritan-bennett", [data])
            if line.text[0] == "{"
        ]
        for data in (RAW, text.encode())
    ]
    assert bodies[0] == bodies[1]
    assert len(bodies[0]) == 5


async def test_a_recording_tells_what_we_sent_and_how_it_ended(raw: Path) -> None:
    file = io.StringIO()
    await recorded(raw, file)
    found = entries(file.getvalue())
    assert found[0] == Event(0, Turn.CONNECTED)
    ours = [one.data for one in found if isinstance(one, Piece) and one.source is Source.US]
    assert ours[:2] == [b"RSET\r", b"SNDF\r"]
    assert [one.turn for one in found[-2:] if isinstance(one, Event)] == [Turn.LOST, Turn.END]


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A long file of a ventilator's bytes."""
    (tmp_path / "long.bin").write_bytes(report() * 100)
    return tmp_path / "long.bin"


async def test_the_limit_ends_a_recording_in_order(long: Path) -> None:
    file = io.StringIO()
    done = await recorded(long, file, limit=20_000)
    assert done.written <= 20_000 + 100
    assert entries(file.getvalue())[-1] == Event(0, Turn.END)


async def test_a_full_disk_ends_a_recording_and_is_said(raw: Path) -> None:
    with pytest.raises(Unavailable, match="make room"):
        await recorded(raw, Full(3))


async def test_a_protocol_that_cannot_tell_what_is_a_patients_is_not_recorded(raw: Path) -> None:
    mute = replace(PB, redactor=None)
    with pytest.raises(SettingsError, match="cannot tell what is a patient's"):
        redactor_of(mute)
    with pytest.raises(SettingsError, match="cannot tell what is a patient's"):
        await recorded(raw, io.StringIO(), protocol=mute)


def test_a_file_whose_end_finds_no_room_is_weather_and_no_fault_of_ours(tmp_path: Path) -> None:
    def write_in_vain() -> None:
        with new_file(tmp_path / "a.capture") as capture, Path("/dev/full").open("wb") as full:
            capture.write("x")
            os.dup2(full.fileno(), capture.fileno())

    with pytest.raises(Unavailable, match="make room on its disk"):
        write_in_vain()


def test_no_file_is_written_over_and_a_new_one_is_for_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "a.capture"
    with new_file(path) as file:
        file.write("x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(SettingsError, match="none is written over"), new_file(path):
        pass
    assert path.read_text() == "x"


class Cut:
    """A link that is lost in the middle of a report."""

    place = "somewhere"

    def __init__(self) -> None:
        self.pieces = [report() + report()[:500]]

    async def connect(self) -> Connection:
        """It is its own connection."""
        return self

    async def read(self) -> bytes:
        """The pieces, and then nothing."""
        if not self.pieces:
            raise Unavailable(self.place, why="cut")
        return self.pieces.pop()

    async def write(self, data: bytes) -> None:
        """Nobody listens."""

    async def close(self) -> None:
        """It is closed."""


async def test_what_a_redactor_holds_back_when_a_link_is_lost_is_blotted_out() -> None:
    notes = Notes(io.StringIO(), StillClock(), 1 << 20)
    link = await Tapped(Cut(), notes, redactor).connect()
    await link.read()
    with pytest.raises(Unavailable):
        await link.read()
    await link.close()
    assert isinstance(notes.file, io.StringIO)
    lines = [json.loads(line) for line in notes.file.getvalue().splitlines()]
    assert [line.get("event", len(line.get("hex", "")) // 2) for line in lines] == [
        "connected",
        len(report()),
        1,
        "lost",
    ]


@pytest.mark.parametrize("stuffing", [False, True])
async def test_words_of_the_device_that_a_question_repeats_are_blotted_out(*, stuffing: bool) -> None:
    """A BCC station tells its bed id, which a hospital may choose, and is asked by it from then on."""
    notes = Notes(io.StringIO(), StillClock(), 1 << 20)
    link = await Tapped(Cut(), notes, bbraun_bcc.redactor).connect()
    question = frame_of(b"MEM:GET", bed="Giường 5, Nguyễn".encode(), stuffing=stuffing)
    await link.write(question)
    await link.write(b"\x06")
    assert isinstance(notes.file, io.StringIO)
    sent = [bytes.fromhex(json.loads(line).get("hex", "")) for line in notes.file.getvalue().splitlines()]
    assert sent == [b"", frame_of(b"MEM:GET", bed=b"1", stuffing=stuffing), b"\x06"]
    await link.close()


async def test_nowhere_keeps_nothing() -> None:
    await Nowhere().put_many(())
