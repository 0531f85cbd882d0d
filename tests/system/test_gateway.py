"""A gateway with 200 devices on one connection: every message answered in time, and kept once or counted."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from adapters.contract import Heard
from adapters.hl7_adapter import Hl7Adapter
from adapters.host import mllp_settings
from adapters.host.mllp import gateway
from adapters.simulators.hl7_gateway_fleet import Said, fleet
from adapters.simulators.hl7_gateway_line import END, START, Network, Pusher, Record
from adapters.simulators.hl7_gateway_messages import PERSON_NAME, PERSON_NUMBER, VITAL_VALUE
from desk.broker import Broker
from desk.child import LOOPBACK, free_port
from desk.clock import system_clock
from tests.adapters.host.gateways import FakeOutbox
from tests.system.conftest import need
from tests.system.stand import PUBLISHER, ROOT, Part, Stand, until
from tests.system.test_mqtt import certificate

BEGIN = datetime(2026, 1, 8, 2, 50, tzinfo=UTC)
PERIOD = timedelta(minutes=10)
DEVICES = 200
LIMIT_S = 2.0
PERIOD_S = 600
BAD_NETWORK = Network(lost_answers=0.03, reorder=8, piece_bytes=512, piece_s=0.0005, cuts_after=(250, 650))


def _said(rounds: int, *, prefix: str = "SIM") -> tuple[Said, ...]:
    """What 200 devices say in so many periods."""
    start = BEGIN - timedelta(hours=2, minutes=50)
    devices = fleet(monitors=80, pumps=180, seed=3, start=start, prefix=prefix)
    moments = [BEGIN + PERIOD * number for number in range(rounds + 1)]
    said = [one for since, now in pairwise(moments) for one in devices.said(since, now)]
    speaking = sorted({one.serial for one in said})[:DEVICES]
    return tuple(one for one in said if one.serial in speaking)


def _bodies(messages: Sequence[Said]) -> Counter[str]:
    """How many bodies of each kind these messages say, each heard once."""
    adapter = Hl7Adapter(period_s=PERIOD_S)
    outcomes = (outcome for said in messages for outcome in adapter.feed(START + said.data + END))
    return Counter(body.kind for one in outcomes if isinstance(one, Heard) for body in one.bodies)


class _Gateway:
    """A site whose host listens for one gateway, and the gateway."""

    def __init__(self, folder: Path, broker: Broker, *, host: str = "", gateway: str = "") -> None:
        self.stand = Stand(folder, broker, None, assets=[])
        self.port = free_port()
        (folder / "host.toml").write_text(
            f'[broker]\nhost = "{LOOPBACK}"\nport = {broker.port}\n'
            f'[host]\npublisher = "{PUBLISHER}"\npassword_file = "{PUBLISHER}.password"\n{host}\n'
            f'[[gateway]]\nname = "wards"\nport = {self.port}\nperiod_s = {PERIOD_S}\n{gateway}\n'
        )
        self.collector = self.stand.part("collect", "collector.toml")
        self.host = self.stand.part("adapt", "host.toml")
        self.record = Record()

    @asynccontextmanager
    async def pushing(self, network: Network | None = None) -> AsyncIterator[Pusher]:
        """The gateway at work."""
        pusher = Pusher(
            LOOPBACK,
            self.port,
            Random(7),  # noqa: S311 - the faults of a network
            self.record,
            network or Network(),
            window=32,
            answer_s=LIMIT_S + 0.5,
        )
        task = asyncio.create_task(pusher.run())
        try:
            yield pusher
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def push(self, pusher: Pusher, messages: Sequence[Said]) -> None:
        """Push messages and wait until all are answered."""
        pusher.push(messages)
        async with asyncio.timeout(60):
            await pusher.all_answered()
        self.host.check()

    async def stored(self, kinds: Counter[str]) -> bool:
        """Whether the collector has stored that much of each kind, and nothing is pending."""
        found = await self.stand.accounting()
        return not found.is_pending and all(
            kind in found.kinds and found.kinds[kind].stored >= count for kind, count in kinds.items()
        )

    def answered_in_time(self) -> None:
        """Fail unless each message was answered, and each answer came within its limit."""
        print(f"slowest answer {self.record.slowest_s:.3f} s of {len(self.record.messages)} messages")  # noqa: T201 - shown with -rA
        assert (self.record.unanswered, self.record.late, self.record.unknown_answers) == (0, 0, 0)
        assert self.record.slowest_s <= LIMIT_S
        assert {one.answer for one in self.record.messages.values()} == {"CA"}


@pytest.fixture
async def opened() -> AsyncIterator[list[_Gateway]]:
    """Gateways of the test, ended afterwards."""
    gateways: list[_Gateway] = []
    try:
        yield gateways
    finally:
        for gateway in gateways:
            await gateway.stand.end()


@pytest.mark.system
async def test_over_a_bad_network_and_without_a_broker_each_message_is_heard_once_and_answered_in_time(
    tmp_path: Path, mosquitto: Broker, opened: list[_Gateway]
) -> None:
    site = _Gateway(tmp_path, mosquitto)
    opened.append(site)
    messages = _said(4)
    wanted = _bodies(messages)
    assert (wanted["identity"], wanted["alarm"] >= 8, len(messages) >= 800) == (DEVICES, True, True)
    await site.collector.start()
    await site.stand.collecting()
    await site.host.start()
    before = len(messages) - DEVICES
    async with site.pushing(BAD_NETWORK) as pusher:
        await site.push(pusher, messages[:before])
        await mosquitto.stop()
        await site.push(pusher, messages[before:])
        await mosquitto.start()

        async def all_stored() -> bool:
            return await site.stored(wanted + Counter(status=DEVICES + 2))

        await until(all_stored, within_s=60, what="everything stored")
        assert await site.host.stop() == 0
    site.answered_in_time()
    record = site.record
    assert record.connections >= 3
    assert min(record.lost_answers, record.repetitions) > 10
    wanted += Counter(status=2 * (DEVICES + 1))

    async def last_words_stored() -> bool:
        return await site.stored(wanted + Counter(status=2))

    await until(last_words_stored, within_s=30, what="the last words of all devices")
    accounting = await site.stand.accounting()
    stored = {kind: line.stored for kind, line in accounting.kinds.items()}
    hosts_own = stored.pop("status") - wanted.pop("status")
    assert stored == wanted
    assert 2 <= hosts_own <= 6  # birth and last word of each connection, or the will between them
    assert accounting.total.received - accounting.total.duplicate == accounting.total.stored
    assert accounting.total.unaccounted == accounting.missing == accounting.lost == 0
    _holds_nobody(tmp_path)


def _holds_nobody(folder: Path) -> None:
    """Fail if any file holds a word of the person who was in every message."""
    for file in folder.rglob("*"):
        if file.is_file():
            held = file.read_bytes()
            assert not any(word.encode() in held for word in (PERSON_NAME, PERSON_NUMBER, VITAL_VALUE)), file


@pytest.mark.system
async def test_with_a_full_outbox_each_message_is_answered_in_time_and_the_loss_is_exact(
    tmp_path: Path, mosquitto: Broker, opened: list[_Gateway]
) -> None:
    site = _Gateway(tmp_path, mosquitto, host="outbox_cap_mib = 1", gateway="room = 300")
    opened.append(site)
    first, messages = _said(1, prefix="A"), _said(9, prefix="B")[DEVICES:]
    wanted = _bodies((*first, *messages))
    await site.collector.start()
    await site.stand.collecting()
    await site.host.start()
    async with site.pushing() as pusher:
        await site.push(pusher, first)

        async def all_heard() -> bool:
            return await site.stored(_bodies(first))

        await until(all_heard, within_s=30, what="the first word of all devices stored")
        await mosquitto.stop()
        await site.push(pusher, messages)
        site.answered_in_time()
        await mosquitto.start()

        async def says_what_is_lost() -> bool:
            site.host.check()
            return "there is room again" in site.host.said()

        await until(says_what_is_lost, within_s=60, what="a line with the count of what is lost")
        lost = _lost(site.host)
        assert lost > 20
        for kind in ("identity", "status"):
            del wanted[kind]

        async def all_stored() -> bool:
            found = await site.stand.accounting()
            return (
                not found.is_pending
                and sum(found.kinds[kind].stored for kind in wanted) >= wanted.total() - lost
            )

        await until(all_stored, within_s=60, what="the rest stored")
    accounting = await site.stand.accounting()
    assert sum(accounting.kinds[kind].stored for kind in wanted) == wanted.total() - lost
    assert accounting.total.unaccounted == accounting.missing == accounting.lost == 0


def _lost(host: Part) -> int:
    """Messages that the host says it has lost."""
    return sum(map(int, re.findall(r"lost \((\d+) messages of ours\)", host.said())))


@pytest.mark.system
async def test_hostile_senders_are_refused_in_bounded_memory_and_hold_nobody_up(
    tmp_path: Path, mosquitto: Broker, opened: list[_Gateway]
) -> None:
    site = _Gateway(tmp_path, mosquitto, gateway="message_within_s = 3")
    opened.append(site)
    await site.host.start()
    messages = _said(1)
    header, _, rest = messages[0].data.partition(b"\r")
    hostile = (
        START + header + b"\r" + b"OBX|1|ST|x|y|" + b"z" * 10_000_000 + END,
        START + header + b"\r" + b"OBX|1\r" * 1_000_000 + END,
        START + header + b"\r" + b"\x0b" * 100_000,
        b"GET / HTTP/1.1\r\n" * 100_000,
        START + rest,
    )
    async with site.pushing() as pusher:
        await site.push(pusher, messages[:10])
        before = _resident_mib(site.host)
        talks = [asyncio.create_task(_throw(site.port, data)) for data in hostile]
        await site.push(pusher, messages[10:])
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*talks)
    assert [b"MSA|" in answer for answer in answers] == [True, True, False, False, False]
    assert _resident_mib(site.host) - before < 32
    site.answered_in_time()
    found = await _simulated(site.port, log=tmp_path / "pushed.jsonl")
    assert (found["connections"], found["messages"] - found["unanswered"] > 10) == (1, True)
    assert await site.host.stop() == 0


async def _simulated(port: int, *, log: Path) -> dict[str, int]:
    """What the simulator says that it pushed, as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "adapters.simulators.hl7_gateway", "--port", str(port)),
        *("--period-s", "0.2", "--window", "8", "--seconds", "60", "--log", str(log)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )

    async def has_pushed() -> bool:
        return _lines(log) > 40

    await until(has_pushed, within_s=30, what="more than 40 messages pushed")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    said: dict[str, int] = json.loads(out)
    return said


def _lines(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


async def _throw(port: int, data: bytes) -> bytes:
    """Send bytes and read until the listener closes the connection; what it answered."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    answer = b""
    try:
        writer.write(data)
        await writer.drain()
        answer = await reader.read(4096)
        writer.write(b"\x0bMSH")  # a message that never ends
        await writer.drain()
        while piece := await reader.read(4096):
            answer += piece
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return answer


def _resident_mib(part: Part) -> float:
    """The most memory that a process ever held."""
    assert part.process is not None
    status = Path(f"/proc/{part.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.system
async def test_a_gateway_is_heard_over_tls(tmp_path: Path) -> None:
    need("openssl")
    own = await certificate(tmp_path, "own")
    clock, outbox = system_clock(), FakeOutbox()
    shown = mllp_settings.Certificate(own.chain, own.key)
    listener = gateway(
        mllp_settings.GatewaySettings("wards", free_port(), certificate=shown), outbox=outbox, clock=clock
    )
    listening = asyncio.create_task(listener.run())
    record = Record()

    async def dial(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        trust = ssl.create_default_context(cafile=own.chain)
        return await asyncio.open_connection(host, port, ssl=trust)

    rng = Random(1)  # noqa: S311 - nothing here is secret
    pusher = Pusher(LOOPBACK, listener.settings.port, rng, record, window=8, dial=dial)
    pushing = asyncio.create_task(pusher.run())
    try:
        pusher.push(_said(1))
        async with asyncio.timeout(30):
            await pusher.all_answered()
        health = listener.health
        assert (health.tally.heard, record.unanswered) == (len(record.messages), 0)
    finally:
        for task in (pushing, listening):
            task.cancel()
        await asyncio.gather(pushing, listening, return_exceptions=True)


@pytest.mark.system
async def test_a_port_in_use_is_one_line_that_names_it(
    tmp_path: Path, mosquitto: Broker, opened: list[_Gateway]
) -> None:
    site = _Gateway(tmp_path, mosquitto)
    opened.append(site)
    with socket.create_server((LOOPBACK, site.port)):
        await site.host.start()
        assert await site.host.ended() == 2
    (line,) = [line for line in site.host.said().splitlines() if line.startswith("hourmeter: ")]
    assert f"gateway 'wards': port: {site.port}" in line
    assert "Traceback" not in site.host.said()
