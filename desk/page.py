"""The page: the fleet and its open tickets, rendered here, without a script, a cookie or a login.

Rule 1: it only reads; who asks changes nothing.
Rule 2: everything comes from one answer: no address but its own is ever asked for anything.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from importlib import resources

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException

from desk.views import Fleet, by_urgency, by_ward, counts, tickets_of
from desk.words import Language, Speech, language
from telemetry.errors import HourmeterError, SettingsError

GRACE_S = 1
"""Seconds that an answer in the making is given when the page stops."""


def app(fleet: Callable[[], Awaitable[Fleet]], *, refresh_s: int) -> FastAPI:
    """The page of a fleet that is asked for anew for each answer; it loads itself anew every `refresh_s`.

    GET `/` is the fleet, GET `/tickets/{id}` one open ticket; `?lang=vi` speaks Vietnamese. While `fleet`
    raises an error of ours the answer is 503 with the reason, and the browser tries again.
    """
    style = Markup(resources.files("desk").joinpath("templates", "page.css").read_text(encoding="utf-8"))  # noqa: S704 - ours
    headers = _headers(style)
    templates = Environment(
        loader=PackageLoader("desk"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals.update(style=style, refresh_s=refresh_s, other=_other)
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    async def render(name: str, view: Fleet, lang: str, **shown: object) -> Response:
        template = templates.get_template(name)
        # off the event loop, which may carry messages too: 100 ms for 500 devices
        html = await asyncio.to_thread(
            template.render, say=Speech(language(lang), view.now_ms), fleet=view, **shown
        )
        return HTMLResponse(html, headers=headers)

    @application.get("/")
    async def whole(lang: str = "") -> Response:
        view = await fleet()
        return await render(
            "fleet.html",
            view,
            lang,
            counts=counts(view),
            tickets=by_urgency(view.tickets),
            wards=by_ward(view.devices),
            tickets_of=tickets_of(view),
        )

    @application.get("/tickets/{ticket_id}")
    async def one_ticket(ticket_id: str, lang: str = "") -> Response:
        view = await fleet()
        found = next((ticket for ticket in view.tickets if ticket.id == ticket_id), None)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "No open ticket has this id; it may have been closed.")
        return await render("ticket.html", view, lang, ticket=found)

    @application.exception_handler(HTTPException)
    async def refuse(_request: Request, error: HTTPException) -> Response:
        return PlainTextResponse(
            f"{error.detail}\n", status_code=error.status_code, headers={**(error.headers or {}), **headers}
        )

    @application.exception_handler(HourmeterError)
    async def wait(_request: Request, error: HourmeterError) -> Response:
        return PlainTextResponse(
            f"The page cannot be shown now and tries again by itself: {error}\n",
            status_code=HTTPStatus.SERVICE_UNAVAILABLE,
            headers={**headers, "Refresh": str(refresh_s), "Retry-After": str(refresh_s)},
        )

    return application


async def serve(application: FastAPI, *, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until cancelled; `on_ready` is told the address once connections are taken.

    Port 0 takes any free one. Signals are left to whoever runs us. Raises SettingsError if the address
    cannot be listened on.
    """
    with _listen(host, port) as listener:
        config = uvicorn.Config(
            application,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        server = _Server(config)
        # whoever connects from here on waits in the listener's queue until uvicorn accepts
        on_ready(_address(listener))
        try:
            await server.serve(sockets=[listener])
        except asyncio.CancelledError:
            if server.started:
                await server.shutdown(sockets=[listener])
            raise


class _Server(uvicorn.Server):
    """A server that is a guest in someone's event loop."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override] # a generator there
        return nullcontext()


def _listen(host: str, port: int) -> AbstractContextManager[socket.socket]:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except socket.gaierror as error:
        raise SettingsError(
            where="desk.host", found=f"{host}: {error.strerror}", expected="an address of this machine"
        ) from error
    try:
        listener = socket.create_server((host, port), family=family)
    except PermissionError as error:
        raise SettingsError(
            where="desk.port", found=f"port {port} is not for this user", expected="a port above 1023"
        ) from error
    except OSError as error:
        raise SettingsError(
            where="desk.port",
            found=f"{host} port {port}: {error.strerror}",
            expected="a port that nobody listens on, or 0 for any free one",
        ) from error
    listener.setblocking(False)
    return contextlib.closing(listener)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _other(of: Language) -> Language:
    return Language.EN if of is Language.VI else Language.VI


def _headers(style: str) -> dict[str, str]:
    """Nothing may be loaded, framed, sent or run; the style is known by its hash, the icon is in the page."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
