"""The pages: the fleet and its tickets, rendered here and kept live; without a cookie or a login.

Rule 1: they only read; who asks changes nothing.
Rule 2: without a script they say the same, and load themselves anew.
"""

from __future__ import annotations

import asyncio
import gzip
import secrets
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException

from desk.live import Live, Shown, Source
from desk.live_parts import Asked, Page
from desk.live_sheet import Place, place
from desk.live_stream import Readers, Stream, events
from desk.order import by_urgency
from desk.paper import Paper, paper
from desk.speech import Speech
from desk.views import Fleet, Only, TicketRow
from desk.words import language
from rules.words import TicketPriority
from telemetry.errors import HourmeterError

RELOAD_S: Final = 5
"""Without a script a page loads itself anew that often, or as seldom as the fleet is looked at."""
GZIP_LEVEL: Final = 3
"""A tenth of the bytes for a hundredth of a second."""
_FLEET: Final = TypeAdapter(Fleet)
_TICKETS: Final = TypeAdapter(tuple[TicketRow, ...])
Ward = Annotated[str | None, Query()]
"""Absent: all of them; empty: devices without one."""


def app(
    source: Source,
    *,
    refresh_s: int,
    readers: Readers | None = None,
    routers: Sequence[APIRouter] = (),
    elapsed_s: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """The pages of a site, which is looked at every `refresh_s` seconds while somebody reads.

    GET `/` is the fleet, `/tickets` the open tickets, `/tickets/{id}` and `/assets/{id}` one of them;
    `?lang=vi` speaks Vietnamese. `/live` is what changes on a page, as server-sent events; `/api/fleet` and
    `/api/tickets` are the same facts as JSON. While the source raises an error of ours the answer is 503
    with the reason, and the browser tries again. `routers` are added as they are.
    """
    reload_s = max(refresh_s, RELOAD_S)
    written = paper(reload_s=reload_s)
    live = Live(
        source, macros=written.macros, every_s=refresh_s, run=secrets.token_hex(4), elapsed_s=elapsed_s
    )
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for router in routers:
        application.include_router(router)
    application.include_router(_pages(live, written))
    application.include_router(_followed(live, written, readers=readers or Readers(), elapsed_s=elapsed_s))
    _refuse_plainly(application, written, reload_s=reload_s)
    return application


def _pages(live: Live, written: Paper) -> APIRouter:
    router = APIRouter()

    async def answer(request: Request, asked: Asked) -> Response:
        shown = await live.shown(asked)
        # off the event loop, which may carry messages too
        return await asyncio.to_thread(_html, shown, asked, written, run=live.run, request=request)

    @router.get("/")
    async def fleet(
        request: Request, lang: str = "", ward: Ward = None, only: Only | None = None
    ) -> Response:
        return await answer(request, Asked(Page.FLEET, language(lang), ward=ward, only=only))

    @router.get("/tickets")
    async def tickets(
        request: Request, lang: str = "", ward: Ward = None, priority: TicketPriority | None = None
    ) -> Response:
        return await answer(request, Asked(Page.TICKETS, language(lang), ward=ward, priority=priority))

    @router.get("/tickets/{number}")
    async def ticket(request: Request, number: str, lang: str = "") -> Response:
        return await answer(request, Asked(Page.TICKET, language(lang), id=number))

    @router.get("/assets/{number}")
    async def asset(request: Request, number: str, lang: str = "") -> Response:
        return await answer(request, Asked(Page.ASSET, language(lang), id=number))

    return router


def _html(shown: Shown, asked: Asked, written: Paper, *, run: str, request: Request) -> Response:
    """A page whole, with its ages, as small as the browser takes it."""
    parts = shown.sheet.parts
    moments = {name: part for name, part in parts.items() if isinstance(part, int)}
    say = Speech(asked.language, shown.sheet.now_ms)
    template = written.pages[asked.page]
    text = template.render(
        say=say,
        fleet=shown.fleet,
        asked=asked,
        parts=parts,
        place=Place(run, shown.sheet.look),
        build=written.build,
    )
    html = say.with_ages(text, moments).encode()
    headers = {**written.headers, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        html = gzip.compress(html, compresslevel=GZIP_LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    status = HTTPStatus.OK if shown.exists else HTTPStatus.NOT_FOUND
    return HTMLResponse(html, status_code=status, headers=headers)


def _followed(live: Live, written: Paper, *, readers: Readers, elapsed_s: Callable[[], float]) -> APIRouter:
    """What changes, and the facts as JSON."""
    router = APIRouter()

    @router.get("/live")
    async def follow(
        *,
        page: Page = Page.FLEET,
        lang: str = "",
        number: Annotated[str, Query(alias="id")] = "",
        ward: Ward = None,
        only: Only | None = None,
        priority: TicketPriority | None = None,
        at: str = "",
        last_event_id: Annotated[str, Header()] = "",
    ) -> Response:
        asked = Asked(page, language(lang), id=number, ward=ward, only=only, priority=priority)
        found = events(
            live,
            asked,
            at=place(last_event_id or at),
            build=written.build,
            elapsed_s=elapsed_s,
            wait=readers.wait,
        )
        return Stream(found, readers=readers, headers=written.headers)

    @router.get("/api/fleet")
    async def fleet() -> Response:
        view = await live.fleet()
        return await asyncio.to_thread(_json, _FLEET, view)

    @router.get("/api/tickets")
    async def tickets() -> Response:
        view = await live.fleet()
        return await asyncio.to_thread(_json, _TICKETS, by_urgency(view.tickets))

    def _json(adapter: TypeAdapter[Fleet] | TypeAdapter[tuple[TicketRow, ...]], value: object) -> Response:
        told = adapter.dump_json(value)  # type: ignore[arg-type] # each adapter is given its own value
        return Response(told, media_type="application/json", headers=dict(written.headers))

    return router


def _refuse_plainly(application: FastAPI, written: Paper, *, reload_s: int) -> None:
    """Say in plain words what is not to be had."""

    @application.exception_handler(HTTPException)
    async def refuse(_request: Request, error: HTTPException) -> Response:
        return PlainTextResponse(
            f"{error.detail}\n",
            status_code=error.status_code,
            headers={**(error.headers or {}), **written.headers},
        )

    @application.exception_handler(RequestValidationError)
    async def refuse_choice(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return PlainTextResponse(
            f"{first['loc'][-1]}: {first['msg']}\n",
            status_code=HTTPStatus.BAD_REQUEST,
            headers=dict(written.headers),
        )

    @application.exception_handler(HourmeterError)
    async def wait(_request: Request, error: HourmeterError) -> Response:
        return PlainTextResponse(
            f"The page cannot be shown now and tries again by itself: {error}\n",
            status_code=HTTPStatus.SERVICE_UNAVAILABLE,
            headers={**written.headers, "Refresh": str(reload_s), "Retry-After": str(reload_s)},
        )
