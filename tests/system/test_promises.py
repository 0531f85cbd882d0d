"""What the line does when a broker loses everything, a disk is full, or a password is wrong."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from adapters.host.lanes import Unsent
from adapters.host.mqtt import Broker as PublisherBroker
from adapters.host.mqtt import MqttLink
from adapters.host.outbox import Outbox, open_outbox
from adapters.host.pace import Pace
from adapters.host.publisher import Publisher
from desk.broker import Broker
from desk.clock import system_clock
from telemetry.messages import Alias, Message, OperatingState, Usage, encode
from telemetry.times import from_ms
from tests.system.servers import Influx, password
from tests.system.stand import PUBLISHER, Stand, until

QUEUED = 10_000
"""Messages that wait in the outbox when the broker is wiped."""


class _Sender:
    """A publisher with its outbox, and figures to say in order."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self._said = 0

    async def say(self, count: int) -> None:
        """Put usage messages into the outbox; each differs from all others."""
        clock = system_clock()
        now_ms = clock.now_ms()
        body = Usage(state=OperatingState.IN_USE, period_s=60)
        batch: list[Unsent] = []
        for number in range(self._said, self._said + count):
            alias = Alias(protocol="puritan-bennett", namespace="840", identifier=f"{number % 50}")
            payload = encode(Message(alias=alias, observed_at=from_ms(now_ms - 60_000 + number), body=body))
            batch.append(Unsent(f"v{number % 50}", "usage", payload, clock.boot(), clock.mono_ms()))
        self._said += count
        await self.outbox.put_many(batch)

    async def nothing_left(self) -> bool:
        """Whether the collector has confirmed everything."""
        return self.outbox.unconfirmed == 0


@pytest.fixture
async def sender(tmp_path: Path, mosquitto: Broker) -> AsyncIterator[_Sender]:
    """A publisher at work; its link is the real one."""
    clock, rng = system_clock(), random.SystemRandom()
    link = MqttLink(
        PublisherBroker("127.0.0.1", mosquitto.port, username=PUBLISHER, password=password(PUBLISHER)),
        publisher=PUBLISHER,
    )
    async with open_outbox(tmp_path / "outbox.db", machine="m", clock=clock, rng=rng) as outbox:
        publisher = Publisher(PUBLISHER, outbox, link, clock, rng, Pace(resend_s=2.0))
        async with _running(publisher):
            yield _Sender(outbox)


@asynccontextmanager
async def _running(publisher: Publisher) -> AsyncIterator[None]:
    work = asyncio.ensure_future(publisher.run())
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


@pytest.mark.system
async def test_a_wiped_broker_costs_nothing_of_ten_thousand_queued_messages(
    tmp_path: Path, mosquitto: Broker, influx: Influx, sender: _Sender
) -> None:
    stand = Stand(tmp_path, mosquitto, influx, assets=[])
    collector = stand.part("collect", "collector.toml")
    try:
        await sender.say(10)
        await collector.start()
        await until(sender.nothing_left, within_s=60, what="the first messages confirmed")
        assert await collector.stop() == 0
        await sender.say(QUEUED)

        async def the_broker_holds_some() -> bool:
            return any(lane.sent > 10 for lane in sender.outbox.standing.values())

        await until(the_broker_holds_some, within_s=30, what="a window of messages in the broker's queue")
        await mosquitto.kill()
        mosquitto.wipe()
        await mosquitto.start()
        await collector.start()
        await until(sender.nothing_left, within_s=120, what="an empty outbox")

        async def all_stored() -> bool:
            return await stand.usage("stored") == QUEUED + 10

        await until(all_stored, within_s=60, what="everything stored")
        accounting = await stand.accounting()
        assert accounting.total.unaccounted == accounting.lost == accounting.missing == 0
        (row,) = await influx.query('SELECT count(corrected) FROM "usage"')
        assert row["count"] == QUEUED + 10
    finally:
        await stand.end()


@pytest.mark.system
async def test_a_journal_restored_from_its_backup_gets_back_what_it_had_confirmed(
    tmp_path: Path, mosquitto: Broker, influx: Influx, sender: _Sender
) -> None:
    stand = Stand(tmp_path, mosquitto, influx, assets=[])
    collector = stand.part("collect", "collector.toml")
    journal, backup = tmp_path / "data/journal", tmp_path / "backup"
    try:
        await collector.start()
        await stand.collecting()
        for copy in (True, False):
            await sender.say(500)
            await until(sender.nothing_left, within_s=60, what="messages confirmed")
            assert await collector.stop() == 0
            if copy:
                shutil.copytree(journal, backup)
                await collector.start()
        shutil.rmtree(journal)
        shutil.copytree(backup, journal)
        assert (await stand.usage("received"), sender.outbox.unconfirmed) == (500, 0)
        assert (await stand.tell("restored"))[0] == 0
        await collector.start()

        async def all_stored() -> bool:
            return await stand.usage("stored") == 1_000

        await until(all_stored, within_s=60, what="the confirmed tail stored again")
        (row,) = await influx.query('SELECT count(corrected) FROM "usage"')
        assert row["count"] == 1_000
        accounting = await stand.accounting()
        assert accounting.total.unaccounted == accounting.lost == accounting.missing == 0
        assert await collector.stop() == 0
    finally:
        await stand.end()


# -- a full disk --------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        reason = "a file system can be mounted as root only: run the tests as root to see a disk run full"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(folder: Path) -> Path:
    """Fill a file system to its last byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65_536))
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1))
    return filler


@pytest.mark.system
@pytest.mark.parametrize("reserve_mib", [4, 0])
async def test_a_full_disk_stops_acknowledging_says_so_and_loses_nothing(
    tmp_path: Path, mosquitto: Broker, sender: _Sender, small_disk: Path, reserve_mib: int
) -> None:
    stand = Stand(
        tmp_path, mosquitto, None, assets=[], disk_reserve_mib=reserve_mib, journal=small_disk / "journal"
    )
    collector = stand.part("collect", "collector.toml")
    try:
        await collector.start()
        await sender.say(500)
        await until(sender.nothing_left, within_s=60, what="messages confirmed while there is room")
        filler = _fill(small_disk)
        await sender.say(500)

        async def says_so() -> bool:
            collector.check()
            return "not acknowledging" in collector.said()

        await until(says_so, within_s=30, what="a line that says what to do")
        confirmed = 1_000 - sender.outbox.unconfirmed
        assert confirmed < 1_000
        on_disk = await stand.usage("received") - await stand.usage("duplicate")
        assert confirmed <= on_disk < 1_000
        assert await collector.stop() == 3
        assert "hourmeter: stopped while nothing was acknowledged" in collector.said()
        told = [line for line in collector.said().splitlines() if "not acknowledging" in line]
        assert len(told) == 1
        assert "free" in told[0]
        filler.unlink()
        await collector.start()
        await until(sender.nothing_left, within_s=60, what="everything confirmed after space was freed")

        async def all_stored() -> bool:
            return await stand.usage("stored") == 1_000

        await until(all_stored, within_s=60, what="everything stored")
        accounting = await stand.accounting()
        assert accounting.total.unaccounted == accounting.lost == 0
        assert await collector.stop() == 0
    finally:
        await stand.end()


# -- passwords ----------------------------------------------------------------------------------------------


@pytest.mark.system
@pytest.mark.parametrize(("command", "table"), [("collect", "BROKER"), ("adapt", "HOST")])
async def test_a_refused_password_is_one_line_that_says_what_to_check(
    tmp_path: Path, mosquitto: Broker, command: str, table: str
) -> None:
    stand = Stand(tmp_path, mosquitto, None, assets=[], environment={f"HOURMETER_{table}__PASSWORD": "wrong"})
    stand.write_host([1], poll_s=1)
    part = stand.part(command, "collector.toml" if command == "collect" else "host.toml")
    try:
        await part.start()
        assert await part.ended() == 2
        (line,) = [line for line in part.said().splitlines() if line.startswith("hourmeter: ")]
        assert "password" in line
        assert "Traceback" not in part.said()
        assert "wrong" not in part.said()
    finally:
        await stand.end()


@pytest.mark.system
async def test_a_password_refused_by_influxdb_keeps_everything_until_it_is_mended(
    tmp_path: Path, mosquitto: Broker, influx_with_user: Influx, sender: _Sender
) -> None:
    environment = {"HOURMETER_HISTORY__USER": influx_with_user.user, "HOURMETER_HISTORY__PASSWORD": "wrong"}
    stand = Stand(tmp_path, mosquitto, influx_with_user, assets=[], environment=environment)
    collector = stand.part("collect", "collector.toml")
    try:
        await collector.start()
        await sender.say(100)
        await until(sender.nothing_left, within_s=60, what="messages confirmed all the same")

        async def says_so() -> bool:
            return "nothing is stored" in collector.said()

        await until(says_so, within_s=30, what="a line that says what to check")
        (line,) = [line for line in collector.said().splitlines() if "nothing is stored" in line]
        assert "password" in line
        assert await stand.usage("pending") == 100
        assert await collector.stop() == 0
        collector.environment["HOURMETER_HISTORY__PASSWORD"] = password(influx_with_user.user)
        await collector.start()

        async def all_stored() -> bool:
            return await stand.usage("stored") == 100

        await until(all_stored, within_s=60, what="everything stored")
    finally:
        await stand.end()
