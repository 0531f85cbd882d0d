"""What InfluxDB 2 and 3 answer, in the words of their references, and what becomes of the lines."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from collector.history import Marker, Misconfigured
from collector.influx2 import Influx2History, Influx2Settings
from desk.child import free_port
from telemetry.errors import SettingsError, Unavailable
from tests.collector.histories import influx2_history, running_influx
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
from tests.collector.influx_front import ORG, TOKEN, Version, fronted

SETTINGS = {
    2: Influx2Settings(2, "", "ward data", TOKEN, org=ORG),
    3: Influx2Settings(3, "", "ward data", TOKEN),
}


@asynccontextmanager
async def serving(
    answer: Answer, version: Version = 2, now: Callable[[], float] = time.monotonic, **options: float
) -> AsyncIterator[tuple[Server, Influx2History]]:
    """A server on the loopback address and a history that writes to it."""
    async with answering(answer) as server:
        history = Influx2History(replace(SETTINGS[version], url=server.url, **options), now=now)  # type: ignore[arg-type]  # each option is of its field's type
        try:
            yield server, history
        finally:
            await history.close()


def fault(code: str, message: str, **more: object) -> str:
    """An error as InfluxDB 2 says it."""
    return json.dumps({"code": code, "message": message, **more})


def of_line(number: int, error: str) -> dict[str, Any]:
    """What InfluxDB 3 says of a line."""
    return {"original_line": "m n=1i", "line_number": number, "error_message": error}


# -- lines at fault ---------------------------------------------------------------------------------------

BAD = (3, 11, 12)


def refusing(status: int, body: Callable[[Sequence[int]], str]) -> Answer:
    """A server that refuses posts with bad lines; the body is told their places, counted from 1."""

    def answer(lines: Sequence[str]) -> web.Response:
        wrong = [place for place, line in enumerate(lines, start=1) if number_of(line) in BAD]
        return web.Response(status=status, text=body(wrong)) if wrong else web.Response(status=204)

    return answer


REFUSALS = (
    (
        2,
        422,
        lambda _: fault("unprocessable entity", "failure writing points to database: partial write"),
        "",
    ),
    (2, 400, lambda wrong: fault("invalid", "unable to parse 'm': missing fields", line=wrong[0]), "parse"),
    (2, 400, lambda _: fault("invalid", "unable to parse 'm': missing fields"), "parse"),
    (
        3,
        400,
        lambda wrong: json.dumps(
            {
                "error": "partial write of line protocol occurred",
                "data": [of_line(place, "invalid column type for column 'n'") for place in wrong],
            }
        ),
        "invalid column type",
    ),
    (
        3,
        400,
        lambda wrong: json.dumps(
            {
                "error": "parsing failed for write_lp endpoint",
                "data": of_line(wrong[0], "No fields were provided"),
            }
        ),
        "No fields",
    ),
    (3, 422, lambda _: said("update to schema would exceed number of columns per table"), "columns"),
)


@pytest.mark.parametrize(("version", "status", "body", "reason"), REFUSALS)
async def test_a_refusal_costs_the_lines_at_fault_and_no_other(
    version: Version, status: int, body: Callable[[Sequence[int]], str], reason: str
) -> None:
    async with serving(refusing(status, body), version, batch_points=10) as (server, history):
        refused = await history.write([point(number) for number in range(40)])
    assert [one.index for one in refused] == list(BAD)
    assert all(reason in one.reason for one in refused)
    clean = [lines for lines in server.posts if not any(number_of(line) in BAD for line in lines)]
    assert sorted({number_of(line) for lines in clean for line in lines}) == [
        number for number in range(40) if number not in BAD
    ]
    alone = [number_of(lines[0]) for lines in server.posts if len(lines) == 1]
    assert set(BAD) <= set(alone), "each was refused alone"
    assert server.most_at_once <= 2


async def test_line_numbers_of_influxdb_3_spare_halving() -> None:
    body = REFUSALS[3][2]
    async with serving(refusing(400, body), 3) as (server, history):
        refused = await history.write([point(number) for number in range(2_000)])
    assert [one.index for one in refused] == list(BAD)
    assert [len(lines) for lines in server.posts] == [2_000, 1_997, 1, 1, 1]


@pytest.mark.parametrize("version", [2, 3])
async def test_a_body_too_large_is_split(version: Version) -> None:
    def answer(lines: Sequence[str]) -> web.Response:
        if len(lines) > 6:
            return web.Response(status=413, text=fault("request too large", "cannot read data"))
        return web.Response(status=204)

    async with serving(answer, version) as (server, history):
        assert await history.write([point(number) for number in range(40)]) == ()
    taken = [number_of(line) for lines in server.posts if len(lines) <= 6 for line in lines]
    assert sorted(taken) == list(range(40))
    assert server.most_at_once == 1


async def test_two_posts_are_at_the_server_at_once_and_never_three() -> None:
    waiting, most = 0, 0
    pair = asyncio.Barrier(2)

    async def handle(request: web.Request) -> web.Response:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await request.read()
        await pair.wait()
        waiting -= 1
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/api/v2/write", handle)
    async with TestServer(app) as running, asyncio.timeout(10):
        url = str(running.make_url("")).rstrip("/")
        history = Influx2History(replace(SETTINGS[2], url=url, batch_points=5))
        assert await history.write([point(number) for number in range(40)]) == ()
        await history.close()
    assert most == 2


# -- faults of settings -----------------------------------------------------------------------------------

MISCONFIGURED = (
    (2, 401, fault("unauthorized", "unauthorized access"), "--read-bucket ID --write-bucket ID"),
    (2, 403, fault("forbidden", "insufficient permissions for write"), "influx auth create --org hospital"),
    (
        2,
        404,
        fault("not found", 'bucket "ward data" not found'),
        "influx bucket create --org hospital --name 'ward data' --retention 0",
    ),
    (2, 404, fault("not found", 'organization name "hospital" not found'), "influx org list"),
    (2, 404, "404 page not found", 'store = "influxdb1"'),
    (3, 401, said("the request was not authenticated"), "influxdb3 create token"),
    (3, 403, said("access denied"), '--permission "db:ward data:read,write"'),
    (3, 404, said("database not found: ward data"), "influxdb3 create database 'ward data'"),
    (3, 400, "Client sent an HTTP request to an HTTPS server.", "history.url"),
    (2, 200, "<html>Welcome to the hospital's wireless network</html>", "address of InfluxDB 2"),
    (2, 307, "", "answers 307"),
    (2, 405, '["not as InfluxDB says it"]', "answers 405"),
)


@pytest.mark.parametrize(("version", "status", "body", "advice"), MISCONFIGURED)
async def test_a_fault_of_settings_condemns_no_line_and_says_the_command(
    version: Version, status: int, body: str, advice: str
) -> None:
    async with serving(always(status, body), version) as (server, history):
        with pytest.raises(Misconfigured) as caught:
            await history.write([point(1), point(2)])
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert len(server.posts) == 1


async def test_a_redirect_is_not_followed_so_that_the_token_stays_here() -> None:
    async with serving(always(307, Location="http://127.0.0.1:1/")) as (server, history):
        for act in (lambda: history.write([point(1)]), lambda: history.marker("e1"), history.prepare):
            with pytest.raises(Misconfigured, match="answers 307"):
                await act()
    assert len(server.posts) == 3


async def test_token_bucket_organization_and_precision_are_sent_and_lines_as_they_are() -> None:
    async with serving(stored) as (server, history):
        await history.write([point(1, text="phòng"), point(2)])
    assert server.paths == ["POST /api/v2/write"]
    assert server.headers[0]["Authorization"] == f"Token {TOKEN}"
    assert server.params == [{"bucket": "ward data", "org": ORG, "precision": "ns"}]
    assert server.posts == [('m,device=v1 text="phòng",n=1i 1', 'm,device=v1 text="",n=2i 2')]


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "khoá"])
async def test_a_token_that_no_header_can_carry_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(SettingsError, match=r"history\.token_file") as caught:
        Influx2History(replace(SETTINGS[3], url="http://localhost", token=token))
    assert not token or token not in str(caught.value)
    assert "secret" not in repr(replace(SETTINGS[3], token="secret"))  # noqa: S106 - of a test


async def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"history.ca_file: .*nowhere"):
        Influx2History(replace(SETTINGS[2], url="https://localhost", ca_file=tmp_path / "nowhere"))


# -- weather ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_busy_or_failing_server_is_weather(status: int) -> None:
    async with serving(always(status, fault("unavailable", "please come back"))) as (server, history):
        with pytest.raises(Unavailable, match="please come back"):
            await history.write([point(1)])
        assert len(server.posts) == 1
    async with serving(always(status)) as (_, history):
        with pytest.raises(Unavailable, match=f"answers {status}"):
            await history.write([point(1)])


async def test_a_server_that_asks_to_be_left_alone_is_left_alone_for_so_long() -> None:
    clock = [100.0]
    answers = [web.Response(status=429, headers={"Retry-After": "7"}), web.Response(status=204)]
    async with serving(lambda _: answers.pop(0), now=lambda: clock[0]) as (server, history):
        with pytest.raises(Unavailable, match="answers 429"):
            await history.write([point(1)])
        clock[0] += 6.5
        for act in (lambda: history.write([point(1)]), lambda: history.marker("e1"), history.prepare):
            with pytest.raises(Unavailable, match="left alone"):
                await act()
        assert len(server.posts) == 1
        clock[0] += 0.5
        assert await history.write([point(1)]) == ()


@pytest.mark.parametrize("header", ["soon", "-5", "Wed, 21 Oct 2026 07:28:00 GMT", "1.5", "٣", ""])
async def test_another_form_of_retry_after_is_passed_over(header: str) -> None:
    answers = [web.Response(status=503, headers={"Retry-After": header}), web.Response(status=204)]
    async with serving(lambda _: answers.pop(0)) as (_, history):
        with pytest.raises(Unavailable):
            await history.write([point(1)])
        assert await history.write([point(1)]) == ()


async def test_no_server_is_weather() -> None:
    history = Influx2History(replace(SETTINGS[2], url=f"http://127.0.0.1:{free_port()}"))
    for act in (lambda: history.write([point(1)]), lambda: history.marker("e1"), history.prepare):
        with pytest.raises(Unavailable, match=r"history http://127\.0\.0\.1"):
            await act()
    await history.close()


async def test_a_slow_server_and_connections_cut_before_and_within_an_answer_are_weather() -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readline()
        if b"/within" in asked:
            writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 500\r\n\r\n{")
            await writer.drain()
        elif b"/cut" not in asked:
            await reader.read()
        writer.transport.abort()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        for path, why in (
            ("", "no answer within 0.2 s"),
            ("/cut", "reset|disconnected"),
            ("/within", "history http"),
        ):
            url = f"http://127.0.0.1:{port}{path}"
            history = Influx2History(replace(SETTINGS[2], url=url, timeout_s=0.2))
            with pytest.raises(Unavailable, match=why):
                await history.write([point(1)])
            await history.close()


async def test_a_server_without_tls_where_tls_is_expected_is_a_fault_of_settings() -> None:
    async with answering(stored) as server:
        history = Influx2History(replace(SETTINGS[3], url=server.url.replace("http:", "https:")))
        with pytest.raises(Misconfigured, match="certificate or TLS"):
            await history.write([point(1)])
        await history.close()


# -- reading ----------------------------------------------------------------------------------------------


def rows(*values: list[object]) -> web.Response:
    return web.json_response({"results": [{"statement_id": 0, "series": [{"values": list(values)}]}]})


async def test_influxdb_3_that_answers_with_no_series_has_no_marker() -> None:
    body = json.dumps({"results": [{"statement_id": 0, "series": []}]})
    async with serving(always(200, body), 3) as (server, history):
        assert await history.marker("e1") is None
        assert await history.count("m") == 0
    assert server.params[0] == {
        "db": "ward data",
        "q": "SELECT max(position), at_ms FROM \"hourmeter_marker\" WHERE epoch = 'e1'",
    }


async def test_a_marker_behind_too_many_files_of_influxdb_3_is_looked_for_day_by_day() -> None:
    def answer(_: Sequence[str]) -> web.Response:
        statement = server.params[-1]["q"]
        if "time" not in statement:
            return web.Response(status=500, text="Query would exceed file limit of 432 parquet files.")
        return rows(["t", 12, 34]) if statement.endswith(" - 3d AND time <= now() - 2d") else rows()

    async with serving(answer, 3) as (server, history):
        assert await history.marker("e1") == Marker("e1", 12, 34)
    assert [params["q"].partition("'e1'")[2] for params in server.params] == [
        "",
        " AND time > now() - 1d",
        " AND time > now() - 2d AND time <= now() - 1d",
        " AND time > now() - 3d AND time <= now() - 2d",
    ]


@pytest.mark.parametrize(
    "body",
    ["", "[]", '{"results": []}', '{"results": "?"}', "\x00", '{"results":[{"series":[{"values":[[1]]}]}]}'],
)
async def test_a_query_answered_by_a_stranger_is_a_fault_of_settings(body: str) -> None:
    async with serving(always(200, body)) as (_, history):
        with pytest.raises(Misconfigured, match="not as InfluxDB does"):
            await history.marker("e1")


async def test_a_query_that_influxdb_refuses_says_why() -> None:
    body = json.dumps({"results": [{"error": "database not found: ward data"}]})
    async with serving(always(200, body)) as (_, history):
        with pytest.raises(Misconfigured, match="influx bucket create"):
            await history.count("m")


# -- preparing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "buckets", "made"),
    [(2, {"buckets": []}, "POST /api/v2/buckets"), (3, None, "POST /api/v3/configure/database")],
)
async def test_what_is_missing_and_may_not_be_made_is_asked_for_by_its_command(
    version: Version, buckets: object, made: str
) -> None:
    def answer(_: Sequence[str]) -> web.Response:
        match server.paths[-1]:
            case "GET /ping":
                return web.Response(status=204)
            case "GET /query":
                return rows(["_internal"])
            case "GET /api/v2/buckets":
                return web.json_response(buckets)
            case "GET /api/v2/orgs":
                return web.json_response({"orgs": [{"id": "0123456789abcdef"}]})
            case _:
                return web.json_response({"code": "forbidden", "message": "is unauthorized"}, status=403)

    async with serving(answer, version) as (server, history):
        with pytest.raises(
            Misconfigured, match=r"run `influx(db3 create database| bucket create) .*as an admin"
        ):
            await history.prepare()
    assert server.paths[-1] == made


async def test_a_bucket_that_influxql_does_not_know_is_told_with_the_command_that_maps_it() -> None:
    def answer(_: Sequence[str]) -> web.Response:
        if server.paths[-1] == "GET /query":
            return rows()
        return web.json_response({"buckets": [{"id": "0123456789abcdef", "name": "ward data"}]})

    async with serving(answer) as (server, history):
        with pytest.raises(
            Misconfigured, match=r"dbrp create .*--db 'ward data' .*--bucket-id 0123456789abcdef"
        ):
            await history.prepare()
    assert server.paths == ["GET /ping", "GET /query", "GET /api/v2/buckets"]


@pytest.mark.parametrize(("status", "kind"), [(503, Unavailable), (404, Misconfigured), (401, Misconfigured)])
async def test_a_server_that_is_not_ready_is_not_asked_further(status: int, kind: type[Exception]) -> None:
    async with serving(always(status)) as (server, history):
        with pytest.raises(kind, match=f"answers {status}"):
            await history.prepare()
    assert server.paths == ["GET /ping"]


@pytest.mark.system
@pytest.mark.parametrize("version", [2, 3])
async def test_a_token_refused_a_missing_bucket_and_a_restart_are_told_apart(
    tmp_path: Path, version: Version
) -> None:
    """On a real InfluxDB 1.x behind a front that speaks as that version is documented."""
    async with running_influx(tmp_path) as server, fronted(server, version) as front:
        front.may_create = False
        history = influx2_history(front, database="ward data")
        with pytest.raises(Misconfigured, match="ward data"):
            await history.prepare()
        with pytest.raises(Misconfigured, match="ward data"):
            await history.write([point(1)])
        front.may_create = True
        await history.prepare()
        assert await history.write([point(number) for number in range(2_000)]) == ()
        assert await history.count("m") == 2_000
        await history.close()
        wrong = Influx2History(Influx2Settings(version, front.url, "ward data", "guess", org=ORG))
        for act in (lambda: wrong.write([point(1)]), lambda: wrong.marker("e1")):
            with pytest.raises(Misconfigured, match="give a token"):
                await act()
        await wrong.close()
