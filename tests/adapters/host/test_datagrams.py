"""Devices that speak in datagrams: asked by us, or sending to a port of ours."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import pytest

from adapters.host.datagrams import MOST_WAITING, MOST_WAITING_BYTES, Letters
from adapters.host.letterbox import STRANGERS, Letterbox, Port
from adapters.host.transports import Lossy, Transport, tcp
from adapters.host.udp import Ends, udp
from telemetry.errors import SettingsError, Unavailable

REFUSED = ConnectionRefusedError(111, "Connection refused")


class FakeSocket(asyncio.DatagramTransport):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[bytes, Any]] = []
        self.closed = False

    def sendto(self, data: Any, addr: Any = None) -> None:  # noqa: ANN401 - the library's signature
        """Keep it."""
        self.sent.append((bytes(data), addr))

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed


async def test_datagrams_stay_apart_and_in_order_and_empty_ones_say_nothing() -> None:
    letters = Letters()
    for data in (b"one", b"", b"two"):
        letters.put(data)
    assert [await letters.take(), await letters.take()] == [b"one", b"two"]


async def test_memory_is_bounded_in_count_and_bytes_and_the_loss_is_counted() -> None:
    letters = Letters()
    for _ in range(MOST_WAITING + 3):
        letters.put(b"x")
    assert letters.lost == 3
    for _ in range(MOST_WAITING):
        await letters.take()
    for _ in range(20):
        letters.put(bytes(65_000))
    assert letters.lost == 3 + 20 - MOST_WAITING_BYTES // 65_000


async def test_what_came_before_a_failure_is_read_first() -> None:
    letters = Letters()
    letters.put(b"one")
    letters.fail(REFUSED)
    assert await letters.take() == b"one"
    with pytest.raises(OSError, match="refused"):
        await letters.take()


def way_of(made: list[tuple[FakeSocket, Ends]]) -> Transport:
    async def meet(host: str, port: int) -> tuple[asyncio.DatagramTransport, Ends]:
        assert (host, port) == ("10.0.0.7", 24105)
        made.append((FakeSocket(), Ends()))
        return made[-1]

    return udp("10.0.0.7", 24105, meet=meet)


async def test_one_read_is_one_datagram_and_what_is_written_is_one() -> None:
    made: list[tuple[FakeSocket, Ends]] = []
    link = await way_of(made).connect()
    ((bound, ends),) = made
    await link.write(b"poll")
    ends.datagram_received(b"a", ("10.0.0.7", 24105))
    ends.datagram_received(b"b", ("10.0.0.7", 24105))
    assert (await link.read(), await link.read()) == (b"a", b"b")
    assert bound.sent == [(b"poll", None)]
    await link.close()
    assert bound.closed
    with pytest.raises(Unavailable):
        await link.write(b"poll")


async def test_a_refusal_of_the_network_is_a_lost_link() -> None:
    made: list[tuple[FakeSocket, Ends]] = []
    link = await way_of(made).connect()
    made[0][1].error_received(REFUSED)
    with pytest.raises(Unavailable, match=r"10\.0\.0\.7:24105 \(UDP\): Connection refused"):
        await link.read()


async def test_what_found_no_room_is_counted_over_all_links() -> None:
    made: list[tuple[FakeSocket, Ends]] = []
    way = way_of(made)
    assert isinstance(way, Lossy)
    for count in (1, 2):
        await way.connect()
        for _ in range(MOST_WAITING + 5):
            made[-1][1].datagram_received(b"x", ("10.0.0.7", 24105))
        assert way.lost == 5 * count
    assert not isinstance(tcp("10.0.0.7", 1, connect_timeout_s=1), Lossy)


async def test_a_name_that_nobody_knows_is_weather() -> None:
    async def meet(host: str, port: int) -> tuple[asyncio.DatagramTransport, Ends]:
        raise socket.gaierror(-2, f"Name or service not known: {host}:{port}")

    with pytest.raises(Unavailable, match="Name or service not known"):
        await udp("nobody", 1, meet=meet).connect()


class Office:
    """A letterbox whose sockets are not there."""

    def __init__(self) -> None:
        self.sockets: list[FakeSocket] = []
        self.box = Letterbox(Port("127.0.0.1", 24005), open_port=self.opened, look_up=look_up)

    async def opened(self, box: Letterbox, port: Port) -> asyncio.DatagramTransport:
        """A socket at that port."""
        assert (box, port.port) == (self.box, 24005)
        self.sockets.append(FakeSocket())
        return self.sockets[-1]


async def look_up(host: str, family: socket.AddressFamily) -> str:
    assert family is socket.AF_INET
    return {"monitor-1": "10.0.0.1", "same": "10.0.0.2"}.get(host, host)


@pytest.fixture
def office() -> Office:
    return Office()


async def test_a_name_with_addresses_of_both_kinds_is_heard_at_the_kind_of_the_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = {socket.AF_INET6: "fd00::1", socket.AF_INET: "10.0.0.1"}

    async def told(host: str, port: None, *, family: int = 0, **_: object) -> list[tuple[Any, ...]]:
        return [(kind, 0, 0, "", (at, port)) for kind, at in both.items() if family in (0, kind) and host]

    async def opened(box: Letterbox, port: Port) -> asyncio.DatagramTransport:
        assert (box, port.port) == (boxes[-1], 24005)
        return FakeSocket()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", told)
    boxes: list[Letterbox] = []
    for host, source in (("0.0.0.0", "10.0.0.1"), ("::", "fd00::1")):  # noqa: S104 - nothing is opened
        boxes.append(Letterbox(Port(host, 24005), open_port=opened))
        link = await boxes[-1].device("monitor").connect()
        boxes[-1].received(b"one", (source, 7000))
        async with asyncio.timeout(5):
            assert await link.read() == b"one"


async def test_one_socket_serves_all_and_each_hears_its_own(office: Office) -> None:
    first = await office.box.device("monitor-1").connect()
    second = await office.box.device("10.0.0.2").connect()
    assert len(office.sockets) == 1
    for data, source in ((b"two", "10.0.0.2"), (b"one", "10.0.0.1"), (b"v6", "::ffff:10.0.0.1")):
        office.box.received(data, (source, 7000))
    assert (await first.read(), await first.read(), await second.read()) == (b"one", b"v6", b"two")
    await first.close()
    assert not office.sockets[0].closed
    await second.close()
    assert office.sockets[0].closed
    await office.box.device("10.0.0.2").connect()
    assert len(office.sockets) == 2


async def test_who_is_no_device_is_counted_and_the_first_few_are_said(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    link = await office.box.device("10.0.0.1").connect()
    for number in range(100, 150):
        office.box.received(b"patient", (f"10.0.0.{number}", 1))
        office.box.received(b"patient", (f"10.0.0.{number}", 1))
    told = office.box.health
    assert (told.unknown, len(told.strangers), told.strangers[0]) == (100, STRANGERS, "10.0.0.100")
    assert told.place == "UDP port 24005 of 127.0.0.1"
    assert caplog.text.count("no device of this host") == STRANGERS
    assert "10.0.0.100 sends here" in caplog.text
    assert "patient" not in caplog.text
    await link.close()
    office.box.received(b"late", ("10.0.0.1", 1))
    assert office.box.health.unknown == 100, "a device that is not heard just now is no stranger"


async def test_an_answer_goes_where_the_last_datagram_came_from(office: Office) -> None:
    link = await office.box.device("10.0.0.1").connect()
    with pytest.raises(Unavailable, match="has not sent anything"):
        await link.write(b"x")
    office.box.received(b"hello", ("10.0.0.1", 7001))
    office.box.received(b"hello", ("10.0.0.1", 7002))
    await link.write(b"yes")
    assert office.sockets[0].sent == [(b"yes", ("10.0.0.1", 7002))]


async def test_two_devices_of_one_address_are_a_matter_of_settings(office: Office) -> None:
    await office.box.device("10.0.0.2").connect()
    with pytest.raises(SettingsError, match=r"another device has 10\.0\.0\.2"):
        await office.box.device("same").connect()


async def test_a_port_that_is_not_to_be_had_is_a_matter_of_settings() -> None:
    async def taken(box: Letterbox, port: Port) -> asyncio.DatagramTransport:
        raise OSError(98, "Address already in use", str((box, port)))

    box = Letterbox(Port("127.0.0.1", 24005, "224.0.23.63"), open_port=taken, look_up=look_up)
    with pytest.raises(SettingsError, match=r"UDP port 24005 of 224\.0\.23\.63: Address already in use"):
        await box.device("10.0.0.1").connect()


async def test_a_socket_that_fails_is_a_lost_link_of_all_and_opened_again(office: Office) -> None:
    first, second = office.box.device("10.0.0.1"), office.box.device("10.0.0.2")
    links = [await first.connect(), await second.connect()]
    office.box.failed(OSError(100, "Network is down"))
    for link in links:
        with pytest.raises(Unavailable, match="Network is down"):
            await link.read()
        await link.close()
    await first.connect()
    assert len(office.sockets) == 2


async def test_losses_of_one_device_are_its_own(office: Office) -> None:
    noisy, quiet = office.box.device("10.0.0.1"), office.box.device("10.0.0.2")
    await noisy.connect()
    await quiet.connect()
    for _ in range(MOST_WAITING + 7):
        office.box.received(b"x", ("10.0.0.1", 1))
    assert isinstance(noisy, Lossy)
    assert isinstance(quiet, Lossy)
    assert (noisy.lost, quiet.lost) == (7, 0)


@pytest.mark.system
async def test_asked_over_a_real_socket_and_nobody_there_is_weather() -> None:
    device = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    device.bind(("127.0.0.1", 0))
    device.settimeout(5)
    port = device.getsockname()[1]
    link = await udp("127.0.0.1", port).connect()
    await link.write(b"poll")
    data, source = await asyncio.to_thread(device.recvfrom, 100)
    assert data == b"poll"
    device.sendto(bytes(60_000), source)
    async with asyncio.timeout(5):
        assert len(await link.read()) == 60_000
        device.close()
        await link.write(b"poll")
        with pytest.raises(Unavailable, match="refused"):
            await link.read()
    await link.close()


@pytest.mark.system
@pytest.mark.parametrize("group", ["", "239.255.77.77"])
async def test_unasked_over_a_real_socket_from_a_device_and_a_stranger(group: str) -> None:
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    box = Letterbox(Port("127.0.0.1", port, group))
    link = await box.device("127.0.0.2").connect()
    senders = []
    for address in ("127.0.0.3", "127.0.0.2"):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind((address, 0))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sender.sendto(address.encode(), (group or "127.0.0.1", port))
        senders.append(sender)
    async with asyncio.timeout(5):
        assert await link.read() == b"127.0.0.2"
    assert box.health.strangers == ("127.0.0.3",)
    await link.write(b"yes")
    senders[1].settimeout(5)
    assert await asyncio.to_thread(senders[1].recv, 10) == b"yes"
    await link.close()
    for sender in senders:
        sender.close()
