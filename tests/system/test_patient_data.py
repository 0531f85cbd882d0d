"""Patients planted in every protocol go through the whole line and are in no file, message or log of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import SystemRandom

import aiomqtt
import pytest

from adapters.capture import Played
from adapters.contract import Way
from adapters.host.recording import new_file, record
from adapters.registry import protocols
from desk.broker import COLLECTOR, Broker
from desk.child import LOOPBACK, free_port
from desk.clock import system_clock
from desk.compose import Part, Site
from desk.devices import device_of
from telemetry.messages import LinkState
from telemetry.topics import EVERYTHING
from tests.adapters.planted import PLANTED, TEXTS, Planted, found_in
from tests.system.in_process import InProcess, in_process
from tests.system.servers import password
from tests.system.stand import DEMO_RULES, LOOK_S, until

pytestmark = pytest.mark.system
FILES = protocols()
STREAMS: dict[str, Planted] = {name: make() for name, make in PLANTED.items()}
BY_FILE = tuple(name for name in PLANTED if Way.GATEWAY not in FILES[name].info.ways)
RULE = (DEMO_RULES / "demo-pump-battery.yaml").read_text()


@asynccontextmanager
async def listening(broker: Broker, file: Path) -> AsyncIterator[None]:
    """Every message that the broker carries goes into a file: topic, properties, payload."""
    async with aiomqtt.Client(
        LOOPBACK, port=broker.port, username=COLLECTOR, password=password(COLLECTOR), identifier="ear",
        protocol=aiomqtt.ProtocolVersion.V5,
    ) as client:  # fmt: skip
        await client.subscribe(EVERYTHING, qos=1)

        async def note() -> None:
            async for message in client.messages:
                payload = message.payload if isinstance(message.payload, bytes) else b""
                head = f"{message.topic} {message.properties}\n".encode()
                with file.open("ab") as noted:
                    noted.write(head + payload + b"\n")

        task = asyncio.create_task(note())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, as soon as somebody listens there."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await asyncio.open_connection(LOOPBACK, port)
            except ConnectionRefusedError:
                await asyncio.sleep(LOOK_S)


async def push(port: int, data: bytes) -> bytes:
    """Send frames to a gateway as a sender does; the answers."""
    reader, writer = await connected(port)
    wanted, answers = data.count(b"\x1c"), b""
    try:
        writer.write(data)
        async with asyncio.timeout(30):
            while answers.count(b"\x1c") < wanted:
                piece = await reader.read(65_536)
                assert piece
                answers += piece
    finally:
        writer.close()
    return answers


def tables(inputs: Path, port: int) -> str:
    """A device that plays each stream, and a gateway."""
    devices = "".join(
        f'[[device]]\nname = "planted-{name}"\nprotocol = "{name}"\nreplay = "{inputs / name}"\n'
        "poll_s = 0.2\n"
        for name in BY_FILE
    )
    return f'{devices}[[gateway]]\nname = "planted-hl7"\nport = {port}\n'


async def all_is_told(site: InProcess, host: Site) -> None:
    """Wait until every stream has been played, and all that it said was carried and concluded."""

    async def is_done() -> bool:
        site.check()
        if host.adapters is None:
            return False
        health = host.adapters.health
        played = all(one.links and one.state is LinkState.OFFLINE for one in health.devices)
        if not played or health.publisher.unconfirmed:
            return False
        return not (await site.stand.accounting()).is_pending

    await until(is_done, within_s=60, what="everything carried and concluded")


def leaks(files: list[Path], texts: tuple[str, ...]) -> list[str]:
    """Which of these texts stand in which files, or in their names."""
    return [
        f"{file.name}: {text}"
        for file in files
        for text in texts
        if found_in(file.read_bytes() + str(file).encode(), text)
    ]


async def test_nothing_of_a_patient_is_anywhere(
    tmp_path: Path, mosquitto: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    inputs, folder, port = tmp_path / "inputs", tmp_path / "site", free_port()
    for place in (inputs, folder):
        place.mkdir()
    for name, planted in STREAMS.items():
        (inputs / name).write_bytes(planted.data)
    carried, log, answered = folder / "carried.txt", folder / "log.txt", folder / "answers.bin"
    async with (
        in_process(folder, mosquitto, devices=tables(inputs, port), assets="", rules=RULE) as site,
        listening(mosquitto, carried),
    ):
        host = await site.start("host.toml", frozenset({Part.ADAPT}))
        answered.write_bytes(await push(port, STREAMS["hl7"].data))
        await all_is_told(site, host)
        captures = [await recorded(site, name, folder) for name in BY_FILE]
        unclaimed = await site.unclaimed()
    log.write_text(caplog.text)
    files = [
        file for place in (folder, tmp_path / "mosquitto") for file in place.rglob("*") if file.is_file()
    ]
    assert {"journal.db", "ledger.db", "carried.txt", "log.txt"} <= {file.name for file in files}
    assert leaks(files, TEXTS) == []
    kept = {file.name: file.read_bytes() for file in files}
    controls = {name: planted.control or f"planted-{name}" for name, planted in STREAMS.items()}
    for store in ("carried.txt", "journal.db", "ledger.db", "history.db"):
        held = b"".join(data for name, data in kept.items() if name.startswith(store))
        assert [name for name, control in controls.items() if control.encode() not in held] == [], store
    assert all(captures)
    assert len(unclaimed) >= len(PLANTED)
    assert leaks([inputs / name for name in STREAMS], TEXTS) != []


async def recorded(site: InProcess, name: str, folder: Path) -> bytes:
    """Record a device as `hourmeter record` does; what was kept of its bytes, also as a file of its own."""
    (table,) = [one for one in site.load("host.toml").device if one.protocol == name]
    capture = folder / f"{name}.capture"
    with new_file(capture) as file:
        await record(
            device_of(table, FILES),
            FILES[name],
            file=file,
            limit_bytes=1 << 24,
            clock=system_clock(),
            rng=SystemRandom(),
            stopping=asyncio.Event(),
            tell=lambda _: None,
        )
    played = Played(name, where=name)
    kept = played.feed(capture.read_bytes()) + played.close()
    (folder / f"{name}.kept").write_bytes(kept)
    return kept
