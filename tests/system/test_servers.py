"""The servers that other tests lean on do what those tests believe."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from desk.broker import Broker
from desk.child import Child, listens
from telemetry.errors import Unavailable
from tests.system.conftest import need
from tests.system.servers import Influx

pytestmark = pytest.mark.system


async def _write(server: Influx, line: str) -> int:
    async with (
        aiohttp.ClientSession(headers=server.auth) as http,
        http.post(f"{server.url}/write", params={"db": server.database}, data=line) as answer,
    ):
        return answer.status


async def test_influx_keeps_what_it_acknowledged_through_a_kill(influx: Influx) -> None:
    assert await _write(influx, "usage,device=v1 hours=12.5,n=3i 1700000000000000001") == 204
    await influx.kill()
    assert not await listens(influx.port)
    await influx.start()
    assert await influx.query("SELECT hours, n FROM usage GROUP BY device") == (
        {"device": "v1", "time": 1700000000000000001, "hours": 12.5, "n": 3},
    )


async def test_a_wiped_influx_is_empty(influx: Influx) -> None:
    await _write(influx, "usage hours=1 1")
    await influx.stop()
    influx.wipe()
    await influx.start()
    assert await influx.query("SELECT * FROM usage") == ()


async def test_influx_with_a_user_refuses_everyone_else(tmp_path: Path) -> None:
    need("influxd")
    server = Influx(tmp_path, user="writer")
    try:
        await server.start()
        assert await _write(server, "usage hours=1 1") == 204
        await server.stop()
        await server.start()
        assert await server.query("SELECT hours FROM usage") == ({"time": 1, "hours": 1},)
        server.user = ""
        assert await _write(server, "usage hours=1 1") == 401
    finally:
        await server.stop()


async def test_a_broker_returns_on_its_port_after_a_kill(mosquitto: Broker) -> None:
    first = mosquitto.pid
    await mosquitto.kill()
    assert mosquitto.pid is None
    assert not await listens(mosquitto.port)
    await mosquitto.start()
    assert mosquitto.pid != first
    assert await listens(mosquitto.port)


def test_without_a_server_its_tests_are_skipped_with_a_sentence_and_fail_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="apt-get install influxdb"):
        need("influxd")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install influxdb"):
        need("influxd")


async def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    child = Child(("/bin/sh", "-c", "echo no such luck; exit 3"), log=tmp_path / "log", ready=never)
    with pytest.raises(Unavailable, match="exit code 3: no such luck"):
        await child.start()


async def test_a_server_that_never_answers_is_ended(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    child = Child(("/bin/sleep", "60"), log=tmp_path / "log", ready=never, ready_within_s=0.05)
    with pytest.raises(Unavailable, match="does not answer"):
        await child.start()
    assert child.pid is None
