"""Dead letters of a real InfluxDB: mended there, let go again, stored once, whatever is killed meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from adapters.host.link import Connection, Will
from adapters.host.mqtt import Broker as PublisherBroker
from adapters.host.mqtt import MqttLink
from collector import dead
from collector.dead import Fate
from desk import reading, replaying, settings
from desk.broker import Broker
from desk.clock import system_clock
from desk.settings import Settings
from telemetry.envelope import Envelope
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Body,
    Condition,
    Message,
    OperatingState,
    Phase,
    Priority,
    Usage,
    encode,
)
from telemetry.times import from_ms
from tests.system.servers import Influx, password
from tests.system.stand import PUBLISHER, Part, Stand, until

pytestmark = pytest.mark.system

SERIAL = "3510072467"
COUNT = 20


class Site:
    """A collector under test, and a publisher that numbers what it says."""

    def __init__(self, stand: Stand, influx: Influx, connection: Connection) -> None:
        self.stand = stand
        self.collector: Part = stand.part("run", "collector.toml")
        self._influx = influx
        self._connection = connection
        self._said = 0
        self._began_ms = system_clock().now_ms() - 60_000

    @property
    def settings(self) -> Settings:
        """The collector's settings."""
        return settings.load(self.stand.folder / "collector.toml")

    async def start_again(self) -> None:
        """Start the collector once more, and wait until it is at work."""
        before = self.collector.said().count("broker: connected")
        await self.collector.start()

        async def is_at_work() -> bool:
            return self.collector.said().count("broker: connected") > before

        await until(is_at_work, within_s=60, what="the collector at work again")

    async def say(self, body: Body) -> None:
        """Publish one message with its place in the stream."""
        self._said += 1
        alias = Alias(protocol="puritan-bennett", namespace="840", identifier=SERIAL)
        message = Message(alias=alias, observed_at=from_ms(self._began_ms + self._said), body=body)
        await self._connection.publish(
            f"hourmeter/1/{PUBLISHER}/v1/{body.kind}",
            encode(message),
            properties=Envelope("u-1", self._said, "boot1", self._said).properties(),
            retain=False,
        )

    async def say_usage(self, count: int) -> None:
        """Publish so many readings."""
        for _ in range(count):
            await self.say(Usage(state=OperatingState.IN_USE, period_s=60))

    async def spoil(self) -> None:
        """Give a field in InfluxDB another type than ours, so that it refuses every reading from now on."""
        await self.mend()
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{self._influx.url}/write",
                params={"db": "hourmeter"},
                data=b'usage,publisher=x period_s="a"',
            ) as answer,
        ):
            assert answer.status == 204

    async def mend(self) -> None:
        """Take that field away."""
        await self._influx.query('DROP MEASUREMENT "usage"')

    async def stored_points(self) -> int:
        """Readings that are in InfluxDB."""
        rows = await self._influx.query('SELECT count(corrected) FROM "usage"')
        return int(str(rows[0]["count"])) if rows else 0

    async def until(self, **counts: int) -> None:
        """Wait until the readings are there; everything adds up at every look."""

        async def are_there() -> bool:
            if not (self.stand.folder / "data/journal/journal.db").exists():
                return False
            found = await self.stand.accounting()
            assert found.total.unaccounted == 0
            assert found.rules is None or found.rules.unaccounted == 0
            line = found.kinds.get("usage")
            return line is not None and all(getattr(line, place) == count for place, count in counts.items())

        await until(are_there, within_s=60, what=str(counts))

    async def until_one_is(self, fates: tuple[Fate, ...], positions: tuple[int, ...]) -> None:
        """Wait until one of the dead letters that go again has one of these fates."""

        async def is_there() -> bool:
            with reading.open_store(self.settings) as store:
                return any(one.fate in fates for one in dead.outcomes(store, positions))

        await until(is_there, within_s=30, what=" or ".join(fates))

    def positions(self) -> list[int]:
        """Where the dead letters are."""
        with reading.open_store(self.settings) as store:
            return [one.letter.position for one in dead.kept(store, limit=1_000)]

    async def tickets(self) -> list[tuple[str, int]]:
        """All tickets with their occurrences."""
        found = await reading.tickets(self.settings, closed_too=True)
        return [(ticket.id, ticket.occurrences) for ticket in found]


@pytest.fixture
async def site(tmp_path: Path, mosquitto: Broker, influx: Influx) -> AsyncIterator[Site]:
    """A site whose InfluxDB refuses every reading; the collector runs."""
    stand = Stand(tmp_path, mosquitto, influx, assets=[SERIAL])
    link = MqttLink(
        PublisherBroker("127.0.0.1", mosquitto.port, username=PUBLISHER, password=password(PUBLISHER)),
        publisher=PUBLISHER,
    )
    try:
        async with link.connect(Will(f"hourmeter/1/{PUBLISHER}/_link/status", b"{}")) as connection:
            site = Site(stand, influx, connection)
            await site.spoil()
            await site.collector.start()
            await stand.collecting()
            yield site
    finally:
        await stand.end()


def alarm() -> Alarm:
    return Alarm(
        key="122/1",
        code="122",
        text="low O2 supply",
        alarm_kind=AlarmKind.TECHNICAL,
        priority=Priority.LOW,
        phase=Phase.START,
        condition=Condition.ACTIVE,
    )


async def test_a_conflict_of_types_is_mended_and_what_it_refused_is_stored(site: Site) -> None:
    stand = site.stand
    await site.say_usage(COUNT - 1)
    await site.say(alarm())
    await site.say_usage(1)
    await site.until(received=COUNT, dead_lettered=COUNT, stored=0)
    first, *others = site.positions()
    listed = await stand.read("dead", "list", "--reason", "conflict", "--kind", "usage")
    assert len(listed) == COUNT
    assert listed[0]["envelope"]["seq"] == "1"

    code, said, _ = await stand.tell("dead", "replay", str(first))
    assert code == 1
    assert said.startswith(f"{first}: dead again at ")
    assert "conflict" in said
    await site.until(received=COUNT, dead_lettered=COUNT, stored=0)
    again = site.positions()[-1]
    code, shown, _ = await stand.tell("dead", "show", str(again))
    assert code == 0
    assert f"from position {first}, and dead again" in shown

    await site.mend()
    code, said, _ = await stand.tell("dead", "replay", str(again))
    assert (code, said) == (0, f"{again}: stored\n")
    await site.until(received=COUNT, dead_lettered=COUNT - 1, stored=1)
    code, said, _ = await stand.tell("dead", "replay", "--all", "--reason", "conflict")
    assert (code, said) == (0, "".join(f"{position}: stored\n" for position in others))
    await site.until(received=COUNT, dead_lettered=0, stored=COUNT, pending=0)
    assert await site.stored_points() == COUNT

    ((ticket, occurrences),) = await site.tickets()
    await stand.tell("tickets", "close", ticket, "--by", "An")
    assert await site.collector.stop() == 0
    await reading.rewind(site.settings, "history", 0)
    await site.until(received=COUNT, dead_lettered=0, stored=0, pending=COUNT)
    await reading.rewind(site.settings, "rules", 0)
    await site.start_again()
    await site.until(received=COUNT, dead_lettered=0, stored=COUNT, pending=0)
    assert await site.stored_points() == COUNT

    async def rules_have_passed() -> bool:
        return not (await stand.accounting()).is_pending

    await until(rules_have_passed, within_s=30, what="everything concluded")
    assert await site.tickets() == [(ticket, occurrences)]


@pytest.mark.parametrize("fates", [(Fate.WAITING,), (Fate.UNDERWAY, Fate.STORED), (Fate.STORED,)])
async def test_killed_before_and_after_the_tick_nothing_is_lost_or_doubled(
    site: Site, fates: tuple[Fate, ...]
) -> None:
    await site.say_usage(COUNT)
    await site.until(received=COUNT, dead_lettered=COUNT)
    await site.mend()
    positions, _ = replaying.ask_all(site.settings, kind="", reason="")
    assert len(positions) == COUNT
    if Fate.WAITING not in fates:  # else it is killed at once: the next tick is up to a second away
        await site.until_one_is(fates, positions)
    await site.collector.kill()
    await site.until(received=COUNT)
    await site.start_again()
    await site.until(received=COUNT, dead_lettered=0, stored=COUNT, pending=0)
    outcomes = await replaying.outcomes(site.settings, positions)
    assert {outcome.fate for outcome in outcomes} == {Fate.STORED}
    assert await site.collector.stop() == 0
    # perhaps while it wrote the last minute again, as after each start: pending then, until it goes on
    await site.until(received=COUNT, dead_lettered=0)
    await site.start_again()
    await site.until(received=COUNT, dead_lettered=0, stored=COUNT, pending=0)
    assert await site.stored_points() == COUNT
