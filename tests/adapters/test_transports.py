"""Links to devices: what is weather, what is the operator's, and what is the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from adapters.host.transports import Dial, Incoming, Outgoing, replay, tcp
from telemetry.errors import SettingsError, Unavailable
from tests.adapters.streams import FakeReader, FakeWriter


def dialled(reader: FakeReader, writer: FakeWriter) -> Dial:
    async def dial(host: str, port: int) -> tuple[Incoming, Outgoing]:
        assert (host, port) == ("10.0.0.7", 4001)
        return reader, writer

    return dial


def refused(error: OSError) -> Dial:
    async def dial(host: str, port: int) -> tuple[Incoming, Outgoing]:
        assert (host, port) == ("10.0.0.7", 4001)
        raise error

    return dial


async def test_a_tcp_link_carries_bytes_both_ways() -> None:
    writer = FakeWriter()
    link = await tcp(
        "10.0.0.7", 4001, connect_timeout_s=5, dial=dialled(FakeReader([b"MISCF,"]), writer)
    ).connect()
    await link.write(b"SNDF\r")
    assert await link.read() == b"MISCF,"
    assert writer.pieces == [b"SNDF\r"]
    await link.close()
    assert writer.transport.aborted


async def test_the_other_side_closing_is_a_lost_link_and_not_the_end_of_input() -> None:
    link = await tcp(
        "10.0.0.7", 4001, connect_timeout_s=5, dial=dialled(FakeReader([]), FakeWriter())
    ).connect()
    with pytest.raises(Unavailable, match=r"10\.0\.0\.7:4001: the other side closed the link"):
        await link.read()


async def test_a_broken_link_is_weather_in_read_and_write_and_closes_silently() -> None:
    reset = ConnectionResetError(104, "Connection reset by peer")
    writer = FakeWriter(reset)
    link = await tcp(
        "10.0.0.7", 4001, connect_timeout_s=5, dial=dialled(FakeReader([reset]), writer)
    ).connect()
    with pytest.raises(Unavailable, match="reset by peer"):
        await link.read()
    with pytest.raises(Unavailable, match="reset by peer"):
        await link.write(b"SNDF\r")
    await link.close()
    assert writer.transport.aborted


async def test_a_refused_connection_is_weather_with_place_and_advice() -> None:
    transport = tcp("10.0.0.7", 4001, connect_timeout_s=5, dial=refused(OSError(111, "Connection refused")))
    assert transport.place == "10.0.0.7:4001"
    with pytest.raises(Unavailable, match=r"10\.0\.0\.7:4001: Connection refused; check its address"):
        await transport.connect()


async def test_asyncio_s_own_words_which_name_the_place_again_are_not_passed_on() -> None:
    error = OSError(111, "Connect call failed ('10.0.0.7', 4001)")
    with pytest.raises(Unavailable, match=r"^10\.0\.0\.7:4001: Connection refused; check"):
        await tcp("10.0.0.7", 4001, connect_timeout_s=5, dial=refused(error)).connect()


async def test_no_answer_within_the_time_given_is_weather() -> None:
    async def silence(host: str, port: int) -> tuple[Incoming, Outgoing]:
        await asyncio.Event().wait()
        raise AssertionError(host, port)

    with pytest.raises(Unavailable, match=r"no answer within 0\.01 s"):
        await tcp("10.0.0.7", 4001, connect_timeout_s=0.01, dial=silence).connect()


async def test_a_capture_is_replayed_in_pieces_to_its_end(tmp_path: Path) -> None:
    capture = tmp_path / "capture.bin"
    capture.write_bytes(b"abcdefg")
    link = await replay(capture, piece_bytes=3).connect()
    await link.write(b"SNDF\r")
    assert [await link.read() for _ in range(5)] == [b"abc", b"def", b"g", b"", b""]
    await link.close()
    assert capture.read_bytes() == b"abcdefg"


async def test_nothing_of_a_capture_is_heard_if_any_of_it_is_wrong(tmp_path: Path) -> None:
    """Else all before the fault would be heard again at each retry."""
    capture = tmp_path / "a.capture"
    head = (
        b'{"hourmeter_capture": 1, "protocol": "p", "began_at": "2026-01-09T07:30:00.000Z", "period_s": 30.0}'
    )
    good = b'{"ms": 1, "from": "device", "hex": "41"}'
    capture.write_bytes(b"\n".join((head, *[good] * 500, b"{}", good, b"")))
    with pytest.raises(SettingsError, match="502"):
        await replay(capture, protocol="p").connect()
    capture.write_bytes(b"\n".join((head, *[good] * 500, b"")))
    link = await replay(capture, protocol="p").connect()
    assert b"".join([await link.read() for _ in range(20)]) == b"A" * 500
    await link.close()


async def test_a_capture_that_is_not_there_is_a_matter_of_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.bin: No such file"):
        await replay(tmp_path / "none.bin").connect()


@pytest.mark.system
async def test_a_real_socket_carries_bytes_and_its_loss_is_weather() -> None:
    async def echo_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(16))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo_once, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        link = await tcp("127.0.0.1", port, connect_timeout_s=5).connect()
        await link.write(b"hello")
        assert await link.read() == b"hello"
        with pytest.raises(Unavailable):
            await link.read()
        await link.close()
    with pytest.raises(Unavailable):
        await tcp("127.0.0.1", port, connect_timeout_s=5).connect()
