"""`config check` against real servers: what they refuse is told, and nothing of theirs is touched."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from email.utils import format_datetime
from pathlib import Path

import pytest

from collector.mqtt import MqttInbound
from collector.mqtt_probe import probe
from collector.mqtt_settings import MqttSettings
from desk import config_check_servers as servers_check
from desk import settings
from desk.broker import COLLECTOR, Broker
from desk.child import LOOPBACK, free_port
from desk.clock import system_clock
from desk.config_check import Check, Finding, Verdict, attempt
from telemetry import topics
from telemetry.errors import SettingsError, Unavailable
from telemetry.times import from_ms
from tests.system import servers
from tests.system.conftest import need
from tests.system.postgresql import Postgresql, running_postgresql
from tests.system.servers import Influx, password
from tests.system.test_mqtt import RUN, certificate, receive, send, session

pytestmark = pytest.mark.system

HOST = servers.PUBLISHERS[0]
NOBODY = topics.confirmed("nobody")


def as_user(port: int, user: str, *, word: str = "") -> MqttSettings:
    """A user of the tests' broker, under a client id that has no session."""
    return MqttSettings(
        LOOPBACK, port, user, word or password(user), client_id=f"check-of-{user}", connect_within_s=5
    )


# -- the broker -----------------------------------------------------------------------------------------


async def test_what_is_heard_proves_that_reading_is_allowed(mosquitto: Broker) -> None:
    asked = as_user(mosquitto.port, COLLECTOR)
    assert await probe(asked, read=topics.EVERYTHING, write=NOBODY) == 0
    async with session(mosquitto.port, user=HOST) as publisher:
        await send(publisher, [b"kept"], topic=f"hourmeter/1/{HOST}/v1/status", retain=True)
    assert await probe(asked, read=topics.EVERYTHING, write=NOBODY) == 1
    assert await probe(as_user(mosquitto.port, HOST), read=topics.confirmed(HOST)) == 0
    assert await probe(as_user(mosquitto.port, HOST), read=topics.EVERYTHING) == 0


async def test_a_session_at_work_goes_on_and_its_claim_stands(mosquitto: Broker) -> None:
    own = MqttSettings(LOOPBACK, mosquitto.port, COLLECTOR, password(COLLECTOR))
    async with session(mosquitto.port, user=HOST) as publisher, asyncio.timeout(30):
        async with MqttInbound(own, run=RUN).connect() as collector:
            await send(publisher, [b"1"])
            for _ in range(3):
                await probe(as_user(mosquitto.port, COLLECTOR), read=topics.EVERYTHING, write=NOBODY)
            await send(publisher, [b"2"])
            assert [one.payload for one in await receive(collector, 2)] == [b"1", b"2"]
        await send(publisher, [b"3"])
        async with MqttInbound(own, run=RUN).connect() as collector:
            assert collector.session_present
            assert [one.payload for one in await receive(collector, 3)] == [b"1", b"2", b"3"]


async def test_who_may_not_write_confirmations_is_told_of_the_access_list(mosquitto: Broker) -> None:
    with pytest.raises(SettingsError, match=r"not authorized.*topic write hourmeter/1/\+/confirmed"):
        await probe(as_user(mosquitto.port, HOST), read=topics.confirmed(HOST), write=NOBODY)


async def test_a_broker_that_refuses_is_silent_or_is_none_is_told_apart(
    mosquitto: Broker,
) -> None:
    with pytest.raises(SettingsError, match=r"refuses user 'collector'.*broker.user"):
        await probe(as_user(mosquitto.port, COLLECTOR, word="guess"), read=NOBODY)
    with pytest.raises(Unavailable, match=r"broker.host, broker.port"):
        await probe(as_user(free_port(), COLLECTOR), read=NOBODY)

    async def answer(said: bytes) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(64)
            writer.write(said)
            await writer.drain()
            writer.close()

        return await asyncio.start_server(serve, LOOPBACK, 0)

    for said, match in (
        (b"", "closed the connection"),
        (b"\x20\x02\x00\x01", "speaks no MQTT 5"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 200, "speaks no MQTT 5"),
        (b"\xff\xff\xff\xff\xff", "speaks no MQTT 5"),
    ):
        server = await answer(said)
        with pytest.raises((SettingsError, Unavailable), match=match):
            await probe(as_user(server.sockets[0].getsockname()[1], COLLECTOR), read=NOBODY)
        server.close()


async def test_tls_is_tried_with_the_authority_of_the_settings(tmp_path: Path) -> None:
    need("mosquitto")
    need("openssl")
    own, other = await certificate(tmp_path, "own"), await certificate(tmp_path, "other")
    broker = servers.mosquitto(tmp_path / "mosquitto", certificate=own)
    try:
        await broker.start()
        asked = as_user(broker.port, COLLECTOR)
        trusted = ssl.create_default_context(cafile=own.chain)
        assert await probe(asked, read=topics.EVERYTHING, write=NOBODY, tls=trusted) == 0
        with pytest.raises(SettingsError, match=r"certificate is not trusted.*broker.ca_file"):
            await probe(asked, read=NOBODY, tls=ssl.create_default_context(cafile=other.chain))
        with pytest.raises(Unavailable, match=r"TLS"):
            await probe(asked, read=NOBODY)
    finally:
        await broker.stop()


# -- the clock of InfluxDB ------------------------------------------------------------------------------


async def clock_of(url: str) -> Finding:
    """What is said of the clock of an InfluxDB there."""
    read = settings.Settings.model_validate({"history": {"store": "influxdb1", "url": url}})
    (one,) = await servers_check.clock_of_history(read, system_clock())
    return one


async def test_the_clock_is_compared_with_influxdbs(influx: Influx) -> None:
    one = await clock_of(influx.url)
    assert one.verdict is Verdict.OK
    assert f"s of {influx.url}" in one.found
    assert (await clock_of(f"http://{LOOPBACK}:{free_port()}")).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(("hours", "way"), [(3, "behind"), (-3, "ahead of")])
async def test_a_clock_hours_away_from_influxdbs_is_told(hours: int, way: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        date = format_datetime(from_ms(system_clock().now_ms() + hours * 3_600_000), usegmt=True)
        writer.write(f"HTTP/1.1 204 No Content\r\nDate: {date}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    url = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    one = await clock_of(url)
    assert one.verdict is Verdict.WRONG
    assert f"s {way} {url}" in one.found
    assert "timedatectl" in one.expected
    server.close()


# -- the ledger's server --------------------------------------------------------------------------------


@pytest.fixture
async def postgresql() -> AsyncIterator[Postgresql]:
    """A running PostgreSQL."""
    need("postgres")
    async with running_postgresql() as server:
        yield server


async def ledger_at(url: str, word: str) -> tuple[Finding, ...]:
    """What is said of a ledger there."""
    read = settings.Settings.model_validate({"ledger": {"url": url, "password": word}})
    return await attempt(Check("ledger", lambda: servers_check.ledger_server(read, system_clock())))


async def test_a_ledger_in_postgresql_is_tried_and_nothing_is_made(postgresql: Postgresql) -> None:
    place = await postgresql.create("one")
    ledger, clock = await ledger_at(place.url, place.password)
    assert (ledger.verdict, clock.verdict) == (Verdict.OK, Verdict.OK)
    assert "to be made at the first start" in ledger.found
    assert await postgresql.ask("SELECT 1 FROM pg_tables WHERE schemaname = 'public'", database="one") == ()
    for url, word, code, words in (
        (place.url, "guess", Verdict.WRONG, "ledger.password_file"),
        (place.url.replace("/one", "/two"), place.password, Verdict.WRONG, "ledger.url"),
        (place.url.replace(str(postgresql.port), str(free_port())), "", Verdict.UNAVAILABLE, "ledger.url"),
    ):
        (one,) = await ledger_at(url, word)
        assert one.verdict is code
        assert words in one.found + one.expected
        assert "guess" not in one.found + one.expected
    await postgresql.ask("ALTER DATABASE one OWNER TO admin")
    (one,) = await ledger_at(place.url, place.password)
    assert one.verdict is Verdict.WRONG
    assert "GRANT CREATE ON SCHEMA public" in one.expected
