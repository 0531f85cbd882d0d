"""A server for tests that answers as it is told, and remembers what it was sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from collector.history import Point

Answer = Callable[[Sequence[str]], web.Response]
"""What a server answers to the lines of one post."""


@dataclass
class Server:
    """A server that answers as it is told, and remembers what it was sent."""

    answer: Answer
    url: str = ""
    paths: list[str] = field(default_factory=list)
    posts: list[tuple[str, ...]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    params: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        """Take one request; while it is read another may come in."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        lines = tuple((await request.read()).decode().split("\n"))
        self.paths.append(f"{request.method} {request.path}")
        self.posts.append(lines)
        self.headers.append(dict(request.headers))
        self.params.append(dict(request.query))
        self.at_once -= 1
        return self.answer(lines)


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[Server]:
    """Such a server on the loopback address."""
    server = Server(answer)
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as running:
        server.url = str(running.make_url("")).rstrip("/")
        yield server


def stored(_: Sequence[str]) -> web.Response:
    return web.Response(status=204)


def always(status: int, body: str = "", **headers: str) -> Answer:
    return lambda _: web.Response(status=status, text=body, headers=headers)


def said(error: str) -> str:
    """An error as InfluxDB 1.x and 3 say it."""
    return json.dumps({"error": error})


def point(number: int, *, device: str = "v1", text: str = "") -> Point:
    return Point("m", (("device", device),), (("text", text), ("n", number)), number)


def number_of(line: str) -> int:
    return int(line.rsplit(" ", 1)[1])
