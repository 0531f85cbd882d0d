"""A serial port: what is weather, what is the operator's, and real bytes through a pseudo-terminal."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import serialx

from adapters.contract import Parity, ProtocolFile, ProtocolInfo, SerialLine
from adapters.host.devices import Device
from adapters.host.host import DeviceSettings, HostSettings, SerialPort, open_host
from adapters.host.lanes import Lane
from adapters.host.outbox import Outbox, open_outbox
from adapters.host.serial_port import Open, serial
from adapters.host.transports import Connection, Incoming, Outgoing
from adapters.protocols.puritan_bennett import INFO, adapter
from adapters.registry import find
from adapters.simulators.pb_software import Software
from adapters.simulators.pb_ventilator import Capture
from adapters.simulators.puritan_bennett import serve_serial
from adapters.simulators.serial_line import serial_line
from adapters.simulators.served import Record
from telemetry.errors import SettingsError, Unavailable
from telemetry.messages import Alarm, Identity, Message, Status, Usage, decode
from tests.adapters.host.fakes import FakeBroker, StillClock, dice, until
from tests.adapters.streams import FakeReader, FakeWriter
from tests.adapters.ventilators import report

PORT = Path("/dev/ttyUSB0")
LINE = SerialLine(baud_rate=9600)


def opened(reader: FakeReader, writer: FakeWriter) -> Open:
    async def open_port(path: Path, line: SerialLine) -> tuple[Incoming, Outgoing]:
        assert (path, line) == (PORT, LINE)
        return reader, writer

    return open_port


def failing(error: Exception) -> Open:
    async def open_port(path: Path, line: SerialLine) -> tuple[Incoming, Outgoing]:
        assert (path, line) == (PORT, LINE)
        raise error

    return open_port


async def test_a_serial_link_carries_bytes_both_ways_and_lets_go_of_the_port() -> None:
    writer = FakeWriter()
    link = await serial(PORT, LINE, open_port=opened(FakeReader([b"MISCF,"]), writer)).connect()
    await link.write(b"SNDF\r")
    assert await link.read() == b"MISCF,"
    assert writer.pieces == [b"SNDF\r"]
    await link.close()
    assert writer.transport.aborted


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOENT, r"/dev/ttyUSB0: no such port; .*/dev/serial/by-id/"),
        (errno.ENXIO, r"/dev/ttyUSB0: no such port"),
        (errno.EACCES, r"/dev/ttyUSB0: permission denied; add hourmeter's user to the group dialout"),
        (errno.EBUSY, r"/dev/ttyUSB0: in use by another program"),
        (errno.EIO, r"/dev/ttyUSB0: Input/output error; check its cable"),
    ],
)
async def test_a_port_that_cannot_be_opened_is_weather_with_advice(number: int, said: str) -> None:
    error = OSError(number, os.strerror(number))
    with pytest.raises(Unavailable, match=said):
        await serial(PORT, LINE, open_port=failing(error)).connect()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOTTY, "Inappropriate ioctl"), r"/dev/ttyUSB0: is no serial port"),
        (OSError(errno.EISDIR, "Is a directory"), r"/dev/ttyUSB0: is no serial port"),
        (
            serialx.UnsupportedSetting("Unsupported baudrate 12345"),
            r"/dev/ttyUSB0: Unsupported baudrate 12345",
        ),
    ],
)
async def test_what_is_no_port_or_cannot_be_set_so_is_a_matter_of_settings(
    error: Exception, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        await serial(PORT, LINE, open_port=failing(error)).connect()


async def test_the_port_is_opened_as_a_path_with_every_line_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as an address: serialx would dial `socket://` too."""
    asked: list[dict[str, object]] = []

    async def open_port(**options: object) -> tuple[Incoming, Outgoing]:
        asked.append(options)
        return FakeReader([]), FakeWriter()

    monkeypatch.setattr(serialx, "open_serial_connection", open_port)
    await serial(PORT, SerialLine(38400, 7, Parity.EVEN, 2)).connect()
    await serial(PORT, SerialLine(1200, 8, Parity.ODD)).connect()
    await serial(PORT, LINE).connect()
    one, even, odd, none = serialx.StopBits.ONE, serialx.Parity.EVEN, serialx.Parity.ODD, serialx.Parity.NONE
    assert [(c["baudrate"], c["byte_size"], c["parity"], c["stopbits"]) for c in asked] == [
        (38400, 7, even, serialx.StopBits.TWO),
        (1200, 8, odd, one),
        (9600, 8, none, one),
    ]
    assert {(c["url"], c["transport_cls"]) for c in asked} == {(str(PORT), serialx.SerialTransport)}


def test_what_the_settings_leave_out_is_as_the_protocol_says(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[SerialLine] = []
    monkeypatch.setattr("adapters.host.serial_port.serial", lambda _path, line: lines.append(line))
    usual = SerialLine(baud_rate=9600, parity=Parity.EVEN)
    SerialPort(PORT).transport(usual)
    SerialPort(PORT, baud_rate=38400, data_bits=7, parity=Parity.NONE, stop_bits=2).transport(usual)
    assert lines == [usual, SerialLine(38400, 7, Parity.NONE, 2)]


def test_puritan_bennett_is_spoken_at_9600_8n1_by_default() -> None:
    assert find("puritan-bennett").info.line == SerialLine(9600, 8, Parity.NONE, 1)


# -- real bytes ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def linked(path: Path, line: SerialLine = LINE) -> AsyncIterator[Connection]:
    link = await serial(path, line).connect()
    try:
        yield link
    finally:
        await link.close()


@pytest.mark.system
async def test_a_real_port_is_taken_alone_and_given_back() -> None:
    async with serial_line() as (path, reader, writer):
        for line in (LINE, SerialLine(115200, 7, Parity.EVEN, 2), LINE):
            async with asyncio.timeout(10), linked(path, line) as link:
                with pytest.raises(Unavailable, match="in use by another program"):
                    await serial(path, LINE).connect()
                await link.write(b"SNDF\r")
                assert await reader.read(64) == b"SNDF\r"
                writer.write(b"MISCF")
                assert await link.read() == b"MISCF"


@pytest.mark.system
async def test_what_a_device_says_stands_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serial_line() as (path, reader, writer), linked(path) as link:
        await link.write(b"SECRET-QUESTION\r")
        writer.write(b"SECRET-ANSWER\r")
        assert await reader.read(64) == b"SECRET-QUESTION\r"
        assert await link.read() == b"SECRET-ANSWER\r"
    assert "SECRET" not in caplog.text


@pytest.mark.system
async def test_a_port_that_is_unplugged_is_weather_in_read_and_write() -> None:
    async with serial_line() as (path, _, _):
        link = await serial(path, LINE).connect()
        reading = asyncio.create_task(link.read())
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable, match="device disconnected"):
            await reading
        with pytest.raises(Unavailable, match="device disconnected"):
            await link.write(b"SNDF\r")
        await link.close()
        with pytest.raises(Unavailable, match="no such port"):
            await serial(path, LINE).connect()


@pytest.mark.system
@pytest.mark.parametrize("path", ["/dev/null", "/"])
async def test_a_real_file_that_is_no_port_is_a_matter_of_settings(path: str) -> None:
    with pytest.raises(SettingsError, match="is no serial port"):
        await serial(Path(path), LINE).connect()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def outbox(tmp_path: Path, clock: StillClock) -> AsyncIterator[Outbox]:
    async with open_outbox(tmp_path / "outbox", machine="m", clock=clock, rng=dice(1)) as opened:
        yield opened


@asynccontextmanager
async def read_device(outbox: Outbox, clock: StillClock, path: Path) -> AsyncIterator[Device]:
    """A ventilator at that port, polled once in each minute of the clock."""
    one = Device(
        name="vent-1",
        protocol=INFO.id,
        poll_s=60,
        transport=serial(path, LINE),
        make=partial(adapter, period_s=60.0),
        outbox=outbox,
        clock=clock,
        rng=dice(2),
        answer_s=0.2,
        publisher="hn01-a",
    )
    running = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def _has_polled(device: Device, polls: int) -> bool:
    return device.health.polls >= polls


async def minutes(clock: StillClock, device: Device, count: int) -> None:
    """Let that many polls be sent and their minutes pass."""
    begun = device.health.polls
    for polls in range(begun, begun + count):
        await until(lambda: clock.sleepers == 1)
        clock.move(60)
        await until(partial(_has_polled, device, polls + 1))
    await until(lambda: clock.sleepers == 1)


async def said(outbox: Outbox) -> list[Message]:
    held = [one for lane in Lane for one in await outbox.take(lane, after=("", 0), window=999, limit=999)]
    return [decode(one.payload) for one in held]


@pytest.mark.system
@pytest.mark.parametrize(
    ("software", "polls", "heard"),
    [(Software.USUAL, 3, 3), (Software.PHILIPS, 3, 3), (Software.SNDA_ONLY, 7, 4)],
)
async def test_a_ventilator_at_a_serial_port_is_polled_and_heard(
    outbox: Outbox, clock: StillClock, software: Software, polls: int, heard: int
) -> None:
    """Older software: asked by SNDF twice, by SNDA, once more by SNDF to be sure, then by SNDA for good."""
    record = Record()
    source = Capture([report({122: "LOW"})], advance_clock=True)
    async with (
        serve_serial(source, clock=clock, record=record, software=software) as path,
        read_device(outbox, clock, path) as one,
    ):
        await minutes(clock, one, polls - 1)
        await until(lambda: one.health.heard == heard)
        assert (one.health.polls, one.health.refusals, one.health.links) == (polls, 0, 1)
        messages = [message.body for message in await said(outbox)]
    assert len(record.served) == heard
    assert [body.serial for body in messages if isinstance(body, Identity)] == ["3510000001"]
    assert [body.state for body in messages if isinstance(body, Usage)] == ["in_use"] * heard
    assert [body.code for body in messages if isinstance(body, Alarm)] == ["122"]
    assert [body.link for body in messages if isinstance(body, Status)] == ["online"]


async def test_a_protocol_that_knows_no_serial_port_is_a_matter_of_settings(
    tmp_path: Path, clock: StillClock
) -> None:
    info = ProtocolInfo("fake", "nobody", "a fake", "", 60)
    file = ProtocolFile(info=info, adapter=find(INFO.id).adapter, examples=())
    opening = open_host(
        HostSettings("host-a", tmp_path / "outbox", (DeviceSettings("vent-1", "fake", SerialPort(PORT)),)),
        link=FakeBroker(),
        protocols={"fake": file},
        clock=clock,
        rng=dice(3),
        machine="m",
    )
    with pytest.raises(
        SettingsError, match=r"device 'vent-1': protocol 'fake' is not spoken over a serial port"
    ):
        async with opening:
            pass
