"""/metrics, /healthz and /readyz: on the desk's own server, or on a listener of a process without a page.

Rule: they only tell; whoever may ask learns no secret and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from adapters.host.host import HostHealth
from desk.metrics import exposition
from desk.vitals import CollectorVitals, JournalVitals, Vitals, Watch


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a process is not ready."""

    part: str
    why: str


def reasons(vitals: Vitals, *, lag_s: float) -> tuple[Reason, ...]:
    """Why the line does not go on as it should, empty if it does; consumers may be behind for `lag_s`."""
    return tuple(_reasons(vitals, lag_s=lag_s))


def _reasons(vitals: Vitals, *, lag_s: float) -> Iterator[Reason]:
    yield from (Reason(part, why) for part, why in vitals.unseen)
    if vitals.collector is not None:
        yield from _of_collector(vitals.collector)
    if vitals.journal is not None:
        yield from _of_journal(vitals.journal, lag_s=lag_s)
    if vitals.host is not None:
        yield from _of_host(vitals.host)


def _of_collector(collector: CollectorVitals) -> Iterator[Reason]:
    if collector.stopped:
        yield Reason("collector", f"nothing is acknowledged: {collector.stopped}")
    if not collector.connected:
        yield Reason("collector", "not connected to the broker")
    if collector.history_trouble:
        yield Reason("history", f"nothing is stored: {collector.history_trouble}")


def _of_journal(journal: JournalVitals, *, lag_s: float) -> Iterator[Reason]:
    for consumer, behind_s in journal.lag_s.items():
        if behind_s > lag_s:
            yield Reason(consumer, f"{behind_s:.0f} s behind, at most {lag_s:g} s are allowed")
    accounting = journal.accounting
    if accounting.total.unaccounted or (accounting.rules and accounting.rules.unaccounted):
        yield Reason("accounting", "it does not add up: this is a bug of hourmeter, please report it")


def _of_host(host: HostHealth) -> Iterator[Reason]:
    if not host.publisher.connected:
        yield Reason("publisher", f"not connected to the broker: {host.publisher.trouble}")
    stalled = [*(one.stalled for one in host.devices), *(one.stalled for one in host.gateways)]
    if why := next(filter(None, stalled), ""):
        yield Reason("outbox", why)


def router(watch: Watch, *, lag_s: float) -> APIRouter:
    """The three of them for an application.

    GET /healthz is 200 while the process lives; /readyz is 200 or 503 with the reasons; /metrics is 200.
    """
    routes = APIRouter()

    @routes.get("/healthz")
    async def healthz() -> Response:
        return PlainTextResponse("alive\n")

    @routes.get("/readyz")
    async def readyz() -> Response:
        found = reasons(await watch.look(), lag_s=lag_s)
        status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
        return JSONResponse(
            {"ready": not found, "reasons": [asdict(reason) for reason in found]}, status_code=status
        )

    @routes.get("/metrics")
    async def metrics(request: Request) -> Response:
        told = exposition(await watch.look(), accept=request.headers.get("accept", ""))
        return Response(told.body, headers={"Content-Type": told.content_type})

    return routes


def app(routes: APIRouter) -> FastAPI:
    """An application that has nothing else."""
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    application.include_router(routes)
    return application
