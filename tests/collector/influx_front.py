"""InfluxDB 2 or 3 as their interfaces are documented, in front of a real InfluxDB 1.x that keeps the points.

No InfluxDB 2 or 3 installs from Debian's packages. Storage, InfluxQL and the words of refusals are those of
1.x; paths, token, status codes and the form of errors are those of InfluxData's API references.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from collector.influxql import quoted
from tests.system.servers import Influx

TOKEN = "token-of-a-test"  # noqa: S105 - of a test
ORG = "hospital"
ORG_ID = "0123456789abcdef"
Version = Literal[2, 3]


@dataclass
class Front:
    """What clients of InfluxDB 2 or 3 talk to."""

    server: Influx
    version: Version
    http: aiohttp.ClientSession
    url: str = ""
    may_create: bool = True
    """Whether the token may make buckets and databases."""

    def routes(self) -> tuple[web.RouteDef, ...]:
        """Every path that is answered."""
        common = (
            web.get("/ping", self._ping),
            web.post("/api/v2/write", self._write),
            web.get("/query", self._query),
        )
        if self.version == 3:
            return (*common, web.post("/api/v3/configure/database", self._create))
        return (
            *common,
            web.get("/api/v2/buckets", self._buckets),
            web.get("/api/v2/orgs", self._orgs),
            web.post("/api/v2/buckets", self._create),
        )

    def _error(self, status: int, code: str, message: str, **more: object) -> web.Response:
        said = {"code": code, "message": message} if self.version == 2 else {"error": message}
        return web.json_response({**said, **more}, status=status)

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == f"Token {TOKEN}":
            return None
        return self._error(401, "unauthorized", "unauthorized access")

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(status=204)

    async def _post(self, database: str, body: bytes) -> str:
        """What 1.x says of lines that it does not take, empty if it takes them."""
        params = {"db": database, "precision": "ns"}
        async with self.http.post(f"{self.server.url}/write", params=params, data=body) as answer:
            return "" if answer.status == 204 else str((await answer.json())["error"])

    async def _write(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        assert request.query["precision"] == "ns"
        database, body = request.query["bucket"], await request.read()
        if self.version == 2:
            assert request.query["org"] == ORG
        error = await self._post(database, body)
        if not error:
            return web.Response(status=204)
        if "not found" in error:
            return self._error(404, "not found", f'bucket "{database}" not found')
        if self.version == 2:
            return self._error(422, "unprocessable entity", f"failure writing points to database: {error}")
        return self._error(
            400, "", "partial write of line protocol occurred", data=await self._one_by_one(database, body)
        )

    async def _one_by_one(self, database: str, body: bytes) -> list[dict[str, Any]]:
        """The lines at fault, as InfluxDB 3 lists them."""
        lines = body.split(b"\n")
        said = [
            (number, line, await self._post(database, line)) for number, line in enumerate(lines, start=1)
        ]
        return [
            {"line_number": number, "error_message": error, "original_line": line.decode()}
            for number, line, error in said
            if error
        ][:100]

    async def _query(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        async with self.http.get(f"{self.server.url}/query", params=request.query) as answer:
            return web.Response(status=answer.status, body=await answer.read())

    async def _databases(self) -> tuple[str, ...]:
        return tuple(str(row["name"]) for row in await self.server.query("SHOW DATABASES"))

    async def _buckets(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        assert request.query["org"] == ORG
        found = [name for name in await self._databases() if name == request.query["name"]]
        if not found:
            return self._error(404, "not found", f'bucket "{request.query["name"]}" not found')
        return web.json_response({"buckets": [{"id": "b" * 16, "name": name} for name in found]})

    async def _orgs(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        if request.query["org"] != ORG:
            return self._error(404, "not found", f'organization name "{request.query["org"]}" not found')
        return web.json_response({"orgs": [{"id": ORG_ID, "name": ORG}]})

    async def _create(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        if not self.may_create:
            return self._error(403, "forbidden", "write:orgs is unauthorized")
        asked = json.loads(await request.read())
        if self.version == 2:
            assert asked == {"orgID": ORG_ID, "name": asked["name"], "retentionRules": []}
        await self.server.query(f"CREATE DATABASE {quoted(asked['name' if self.version == 2 else 'db'])}")
        return web.json_response({}, status=201 if self.version == 2 else 200)


@asynccontextmanager
async def fronted(server: Influx, version: Version) -> AsyncIterator[Front]:
    """That server as InfluxDB 2 or 3."""
    async with aiohttp.ClientSession(headers=server.auth) as http:
        front = Front(server, version, http)
        app = web.Application(client_max_size=1 << 30)
        app.add_routes(front.routes())
        async with TestServer(app) as running:
            front.url = str(running.make_url("")).rstrip("/")
            yield front
