"""What InfluxDB's answers mean: lines at fault are found, faults of settings and weather condemn none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Literal

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.history import Misconfigured
from collector.influx import InfluxHistory, InfluxSettings
from desk.child import free_port
from telemetry.errors import SettingsError, Unavailable
from tests.collector.histories import influx_history, running_influx
from tests.collector.influx_answering import (
    Answer,
    Server,
    always,
    answering,
    number_of,
    point,
    said,
    stored,
)
from tests.system.servers import Influx, password


@asynccontextmanager
async def serving(answer: Answer, **options: str | float) -> AsyncIterator[tuple[Server, InfluxHistory]]:
    """A server on the loopback address and a history that writes to it."""
    async with answering(answer) as server:
        history = InfluxHistory(replace(InfluxSettings(server.url, "hourmeter"), **options))  # type: ignore[arg-type]  # each option is of its field's type
        try:
            yield server, history
        finally:
            await history.close()


# -- the lines at fault -----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    bad=st.sets(st.integers(0, 99)),
    total=st.integers(1, 100),
    mode=st.sampled_from(("good ones stored", "nothing stored")),
    status=st.sampled_from((400, 422)),
)
async def test_whatever_a_refusal_stored_the_good_lines_are_stored_and_only_the_bad_ones_refused(
    bad: set[int], total: int, mode: Literal["good ones stored", "nothing stored"], status: int
) -> None:
    kept: set[int] = set()

    def answer(lines: Sequence[str]) -> web.Response:
        numbers = set(map(number_of, lines))
        wrong = sorted(numbers & bad)
        if not wrong or mode == "good ones stored":
            kept.update(numbers - bad)
        if not wrong:
            return web.Response(status=204)
        return web.Response(status=status, text=said(f"partial write: {wrong[0]} is bad dropped=1"))

    async with serving(answer) as (server, history):
        refused = await history.write([point(number) for number in range(total)])
    bad = {number for number in bad if number < total}
    assert [one.index for one in refused] == sorted(bad)
    assert [one.reason for one in refused] == [
        f"partial write: {number} is bad dropped=1" for number in sorted(bad)
    ]
    assert kept == set(range(total)) - bad
    assert len(server.posts) <= 1 + 2 * len(bad) * (log2(total) + 1)
    assert server.most_at_once == 1


async def test_a_body_too_large_is_split_and_a_line_too_large_alone_is_refused() -> None:
    def answer(lines: Sequence[str]) -> web.Response:
        return web.Response(status=413 if sum(map(len, lines)) > 500 else 204)

    texts = ["x" * (600 if number == 5 else 20) for number in range(40)]
    async with serving(answer) as (server, history):
        refused = await history.write([point(number, text=text) for number, text in enumerate(texts)])
    assert [one.index for one in refused] == [5]
    assert "413" in refused[0].reason
    taken = [lines for lines in server.posts if sum(map(len, lines)) <= 500]
    assert sorted(number_of(line) for lines in taken for line in lines) == [n for n in range(40) if n != 5]


async def test_points_and_bytes_of_a_post_are_bounded_by_the_settings() -> None:
    async with serving(stored, batch_points=7, batch_bytes=200) as (server, history):
        texts = [*["x"] * 16, *["x" * 100] * 3, "x" * 300, "x"]
        await history.write([point(number, text=text) for number, text in enumerate(texts)])
    assert sorted(number_of(line) for lines in server.posts for line in lines) == list(range(21))
    assert max(map(len, server.posts)) == 7
    for lines in server.posts:
        assert len("\n".join(lines)) <= 200 or len(lines) == 1


async def test_a_reason_is_told_in_the_servers_words_of_2_x_and_in_bounded_length() -> None:
    body = json.dumps({"code": "invalid", "message": "no such thing " * 100})
    async with serving(always(400, body)) as (_, history):
        (refused,) = await history.write([point(1)])
    assert refused.reason.startswith("no such thing")
    assert len(refused.reason) == 300


# -- faults of settings and weather -----------------------------------------------------------------------

MISCONFIGURED = (
    (401, said("authorization failed"), "user and password"),
    (403, said('"w" not authorized to write to database "hourmeter"'), "grant user"),
    (404, said('database not found: "hourmeter"'), 'CREATE DATABASE "hourmeter"'),
    (404, "404 page not found", "address of InfluxDB"),
    (500, said("retention policy not found: year"), "create it"),
    (400, "Client sent an HTTP request to an HTTPS server.", "right scheme"),
    (400, '["not as InfluxDB says it"]', "address of InfluxDB"),
    (200, "<html>Welcome to the hospital's wireless network</html>", "address of InfluxDB"),
    (405, "", "address of InfluxDB"),
)


@pytest.mark.parametrize(("status", "body", "advice"), MISCONFIGURED)
async def test_a_fault_of_settings_condemns_no_line_and_says_what_to_do(
    status: int, body: str, advice: str
) -> None:
    async with serving(always(status, body), user="w", password="open sesame") as (server, history):  # noqa: S106 - of a test
        with pytest.raises(Misconfigured) as caught:
            await history.write([point(1), point(2)])
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "open sesame" not in str(caught.value)
    assert len(server.posts) == 1


async def test_a_redirect_is_not_followed() -> None:
    async with serving(always(307, Location="http://127.0.0.1:1/")) as (server, history):
        with pytest.raises(Misconfigured, match="answers 307"):
            await history.write([point(1)])
    assert len(server.posts) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_busy_or_failing_server_is_weather(status: int) -> None:
    async with serving(always(status, said("engine: cache maximum memory size exceeded"))) as (_, history):
        with pytest.raises(Unavailable, match="cache maximum memory"):
            await history.write([point(1)])
    async with serving(always(status)) as (_, history):
        with pytest.raises(Unavailable, match=f"answers {status}"):
            await history.write([point(1)])


async def test_no_server_is_weather() -> None:
    history = InfluxHistory(InfluxSettings(f"http://127.0.0.1:{free_port()}", "hourmeter"))
    with pytest.raises(Unavailable, match=r"history http://127\.0\.0\.1"):
        await history.write([point(1)])
    with pytest.raises(Unavailable):
        await history.prepare()
    await history.close()


async def test_no_answer_in_time_and_a_cut_connection_are_weather() -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = b"/cut/" in await reader.readline()
        if not cut:
            await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        for path, why in (("", "no answer within 0.05 s"), ("/cut", "Server disconnected")):
            settings_ = InfluxSettings(f"http://127.0.0.1:{port}{path}", "hourmeter", timeout_s=0.05)
            history = InfluxHistory(settings_)
            with pytest.raises(Unavailable, match=why):
                await history.write([point(1)])
            await history.close()


async def test_a_server_without_tls_where_tls_is_expected_is_a_fault_of_settings() -> None:
    async with serving(stored) as (server, _):
        history = InfluxHistory(InfluxSettings(server.url.replace("http:", "https:"), "hourmeter"))
        with pytest.raises(Misconfigured, match="certificate or TLS"):
            await history.write([point(1)])
        await history.close()


async def test_user_password_database_policy_and_precision_are_sent() -> None:
    options = {"user": "writer", "password": "geheim", "retention_policy": "year"}
    async with serving(stored, **options) as (server, history):
        await history.write([point(1)])
    assert server.headers[0]["Authorization"] == aiohttp.encode_basic_auth("writer", "geheim")
    assert server.params == [{"db": "hourmeter", "precision": "ns", "rp": "year"}]
    async with serving(stored) as (server, history):
        await history.write([point(1)])
    assert "Authorization" not in server.headers[0]
    assert server.params == [{"db": "hourmeter", "precision": "ns"}]


@pytest.mark.parametrize(
    ("url", "user", "database"),
    [
        ("localhost:8086", "", "hourmeter"),
        ("ftp://localhost", "", "hourmeter"),
        ("http://", "", "hourmeter"),
        ("http://localhost:808686", "", "hourmeter"),
        ("http://localhost:8086/write?db=x", "", "hourmeter"),
        ("http://me:secret@localhost:8086", "", "hourmeter"),
        ("http://localhost:8086", "", ""),
        ("http://localhost:8086", "a:b", "hourmeter"),
    ],
)
async def test_settings_that_cannot_work_are_refused_without_repeating_a_secret(
    url: str, user: str, database: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        InfluxHistory(InfluxSettings(url, database, user=user))
    assert "secret" not in str(caught.value)


async def test_settings_do_not_show_their_password() -> None:
    assert "geheim" not in repr(InfluxSettings("http://localhost", "hourmeter", password="geheim"))  # noqa: S106 - of a test


@pytest.mark.parametrize("body", ["", "[]", '{"results": []}', '{"results": "?"}', "\x00"])
async def test_a_query_answered_by_a_stranger_is_a_fault_of_settings(body: str) -> None:
    async with serving(always(200, body)) as (_, history):
        with pytest.raises(Misconfigured, match="not as InfluxDB does"):
            await history.marker("e1")


async def test_a_database_that_may_not_be_created_is_asked_for() -> None:
    def answer(_: Sequence[str]) -> web.Response:
        if server.params[-1]["q"] == "SHOW DATABASES":
            return web.json_response({"results": [{"series": [{"values": [["_internal"]]}]}]})
        return web.json_response({"error": "create database requires admin privilege"}, status=403)

    async with serving(answer) as (server, history):
        with pytest.raises(Misconfigured, match='run `CREATE DATABASE "hourmeter"` as an administrator'):
            await history.prepare()


# -- a real server ----------------------------------------------------------------------------------------


@asynccontextmanager
async def real(folder: Path, *, user: str = "") -> AsyncIterator[tuple[Influx, InfluxHistory]]:
    """A real InfluxDB and a history in its database `hourmeter`."""
    async with running_influx(folder, user=user) as server:
        history = influx_history(server, password=password(user))
        try:
            yield server, history
        finally:
            await history.close()


async def post(server: Influx, *lines: str) -> tuple[int, str]:
    """Post lines as they are, past our encoder and our bisection."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{server.url}/write", params={"db": "hourmeter", "precision": "ns"}, data="\n".join(lines)
        ) as answer,
    ):
        return answer.status, await answer.text()


async def times(server: Influx, measurement: str) -> list[object]:
    rows = await server.query(f"SELECT * FROM {measurement}")  # noqa: S608 - a test's own name
    return [row["time"] for row in rows]


@pytest.mark.system
async def test_influxdb_stores_this_much_of_a_write_that_it_refuses(tmp_path: Path) -> None:
    """The five measured cases of InfluxDB 1.6.7 that the bisection allows for."""
    async with real(tmp_path) as (server, _):
        status, text = await post(server, "a v=1 1", "a v=2i 2")
        assert (status, text) == (400, said("field type conflict").replace(": ", ":") + "\n")
        assert await times(server, "a") == []

        await post(server, "b v=1 1")
        status, text = await post(server, "b v=2 2", "b v=3i 3", "b v=4 4")
        assert status == 400
        assert "partial write: field type conflict" in text
        assert "dropped=1" in text
        assert await times(server, "b") == [1, 2, 4]

        status, text = await post(server, "c v=1 1", "c v= 2", "c v=3 3")
        assert status == 400
        assert "partial write: unable to parse" in text
        assert "dropped=0" in text
        assert await times(server, "c") == [1, 3]

        for value in (1, 2, 3, 4):
            assert (await post(server, f"d v={value} 1", f"d w{value}=1 1"))[0] == 204
        assert await server.query("SELECT * FROM d") == (
            {"time": 1, "v": 4, "w1": 1, "w2": 1, "w3": 1, "w4": 1},
        )

        ten_years_ahead = 2_100_000_000_000_000_000
        assert (await post(server, f"e v=1 {ten_years_ahead}"))[0] == 204
        assert await times(server, "e") == [ten_years_ahead]


@pytest.mark.system
async def test_influxdb_drops_in_silence_what_the_encoder_refuses(tmp_path: Path) -> None:
    async with real(tmp_path) as (server, _):
        assert (await post(server, "#m v=1 1"))[0] == 204
        assert (await post(server, "m time=1,v=1 1"))[0] == 204
        assert (await post(server, "m v=2,v=3 1"))[0] == 204
        assert await server.query("SHOW MEASUREMENTS") == ({"name": "m"},)
        assert await server.query("SELECT * FROM m") == ({"time": 1, "v": 3},)


@pytest.mark.system
async def test_a_dropped_database_is_named_and_prepare_makes_it_anew(tmp_path: Path) -> None:
    async with real(tmp_path) as (server, history):
        assert await history.write([point(1)]) == ()
        await server.query("DROP DATABASE hourmeter")
        for act in (lambda: history.write([point(2)]), lambda: history.marker("e1")):
            with pytest.raises(Misconfigured, match=r'database not found.*CREATE DATABASE "hourmeter"'):
                await act()
        await history.prepare()
        assert await history.write([point(2)]) == ()
        assert await times(server, "m") == [2]


@pytest.mark.system
async def test_a_missing_retention_policy_is_named_and_one_that_exists_is_used(tmp_path: Path) -> None:
    async with real(tmp_path) as (server, _):
        history = influx_history(server, retention_policy="year")
        with pytest.raises(Misconfigured, match="retention policy not found: year"):
            await history.write([point(1)])
        await server.query('CREATE RETENTION POLICY "year" ON "hourmeter" DURATION INF REPLICATION 1')
        assert await history.write([point(1)]) == ()
        assert await history.count("m") == 1
        assert await server.query('SELECT n FROM "year"."m"') == ({"time": 1, "n": 1},)
        assert await server.query('SELECT n FROM "autogen"."m"') == ()
        await history.close()


@pytest.mark.system
async def test_a_wrong_password_and_a_user_without_rights_are_told_apart(tmp_path: Path) -> None:
    async with real(tmp_path, user="admin") as (server, history):
        await history.prepare()
        assert await history.write([point(1)]) == ()
        wrong = influx_history(server, password="guess")  # noqa: S106 - of a test
        for act in (wrong.prepare, lambda: wrong.write([point(2)]), lambda: wrong.marker("e1")):
            with pytest.raises(Misconfigured, match="give the user and password that InfluxDB knows"):
                await act()
        await wrong.close()

        await server.query("CREATE USER guest WITH PASSWORD 'guest'")
        guest = InfluxHistory(InfluxSettings(server.url, "hourmeter", user="guest", password="guest"))  # noqa: S106 - of a test
        with pytest.raises(Misconfigured, match=r"CREATE DATABASE|grant user 'guest'"):
            await guest.prepare()
        with pytest.raises(Misconfigured, match="grant user 'guest'"):
            await guest.write([point(2)])
        await server.query("GRANT ALL ON hourmeter TO guest")
        await guest.prepare()
        assert await guest.write([point(2)]) == ()
        assert await guest.marker("e1") is None
        await guest.close()


@pytest.mark.system
async def test_a_killed_server_is_weather_and_keeps_what_it_took(tmp_path: Path) -> None:
    async with real(tmp_path) as (server, history):
        assert await history.write([point(number) for number in range(2_000)]) == ()
        await server.kill()
        with pytest.raises(Unavailable):
            await history.write([point(1)])
        await server.start()
        assert await history.count("m") == 2_000
