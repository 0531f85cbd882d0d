"""The page over a real socket, and as a real browser shows it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import Response, StreamingResponse

from desk.child import LOOPBACK, Child
from desk.live_stream import Readers
from desk.page import app
from desk.server import serve
from desk.views import Fleet
from rules.words import TicketPriority
from telemetry.errors import SettingsError, Unavailable
from telemetry.messages import OperatingState
from tests.desk.sample_fleet import device, hospital, source, ticket

pytestmark = pytest.mark.system

HOUR_S = 3600
_WIDEST = """
Math.max(...[...document.querySelectorAll("body *")].map(node => node.getBoundingClientRect().right))
"""
"""How far right anything reaches, in pixels."""

_LEAST_CONTRAST = """(() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = text => {
    const [r, g, b] = parts(text).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = node => {
    const own = getComputedStyle(node).backgroundColor;
    return (parts(own)[3] ?? 1) === 0 && node.parentElement ? ground(node.parentElement) : own;
  };
  const texts = [...document.querySelectorAll("body *")].filter(
    node => [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()));
  return Math.min(...texts.map(node => {
    const pair = [light(getComputedStyle(node).color), light(ground(node))];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  }));
})()"""
"""The least contrast of any text with its ground, 4.5 or more by WCAG 2.2, 1.4.3."""


class Site:
    """A site that is what the test says it is."""

    def __init__(self) -> None:
        self.view = hospital()
        self.trouble: Unavailable | None = None
        self.asked: asyncio.Queue[None] = asyncio.Queue()
        """An item for each time it is looked at."""

    async def look(self) -> Fleet:
        """The site as it is."""
        self.asked.put_nowait(None)
        if self.trouble:
            raise self.trouble
        return self.view


@asynccontextmanager
async def served(
    site: Site | None = None,
    *,
    refresh_s: int = HOUR_S,
    port: int = 0,
    most: int = 10,
    routers: Sequence[APIRouter] = (),
    deaf_ms: int = 30_000,
) -> AsyncIterator[str]:
    """The address of the pages of that site."""
    ready = asyncio.get_running_loop().create_future()
    readers = Readers(most)
    pages = app(source((site or Site()).look), refresh_s=refresh_s, readers=readers, routers=routers)
    page = asyncio.create_task(
        serve(
            pages,
            host=LOOPBACK,
            port=port,
            on_ready=ready.set_result,
            on_stop=readers.ending.set,
            deaf_ms=deaf_ms,
        )
    )
    await asyncio.wait((ready, page), return_when=asyncio.FIRST_COMPLETED)
    try:
        yield ready.result()
    finally:
        page.cancel()
        await asyncio.wait((page,))
    assert page.cancelled()


class Tab:
    """One tab of a browser, steered by its DevTools protocol."""

    def __init__(self, devtools: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._devtools = devtools
        self._numbers = itertools.count(1)

    async def call(self, method: str, **given: object) -> dict[str, Any]:
        """The result of a command; what the browser complains of meanwhile is noted."""
        number = next(self._numbers)
        await self._devtools.send_json({"id": number, "method": method, "params": given})
        return await self._until(lambda said: said.get("id") == number, "result")

    async def open(self, url: str, *, width: int, scheme: str = "light") -> None:
        """Show a page at that width and return once it is loaded."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        await self.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        await self.call("Page.navigate", url=url)
        await self._until(lambda said: said.get("method") == "Page.loadEventFired", "params")

    async def value(self, expression: str) -> Any:  # noqa: ANN401 - whatever JavaScript answers
        """What an expression is in the page."""
        return (await self.call("Runtime.evaluate", expression=expression))["result"]["value"]

    async def until(self, expression: str) -> None:
        """Return once an expression is true in the page."""
        watch = "new Promise(done => { const look = () => (%s) ? done(1) : setTimeout(look, 20); look(); })"
        await self.call("Runtime.evaluate", expression=watch % expression, awaitPromise=True)

    async def _until(self, wanted: Any, part: str) -> dict[str, Any]:  # noqa: ANN401 - a predicate of JSON
        while True:
            said: dict[str, Any] = await self._devtools.receive_json()
            match said.get("method"):
                case "Log.entryAdded":
                    self.complaints.append(said["params"]["entry"]["text"])
                case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                    self.complaints.append(str(said["params"]))
                case "Network.requestWillBeSent":
                    self.requests.append(said["params"]["request"]["url"])
            if wanted(said):
                found: dict[str, Any] = said[part]
                return found


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    """A tab of Debian's Chromium, without a window."""
    program = shutil.which("chromium")
    if program is None:
        sentence = "chromium is not installed: `apt-get install chromium`"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    told = tmp_path / "profile" / "DevToolsActivePort"

    async def ready() -> bool:
        return told.exists() and "\n" in told.read_text()

    browser = Child(
        (
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--remote-debugging-port=0",
            f"--user-data-dir={told.parent}",
            "about:blank",
        ),
        log=tmp_path / "chromium.log",
        ready=ready,
        ready_within_s=60,
    )
    try:
        await browser.start()
        port = told.read_text().split()[0]
        async with asyncio.timeout(60), aiohttp.ClientSession() as http:
            async with http.get(f"http://{LOOPBACK}:{port}/json") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            async with http.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as devtools:
                tab = Tab(devtools)
                await tab.call("Page.enable")
                for what in ("Log", "Runtime", "Network"):
                    await tab.call(f"{what}.enable")
                yield tab
    finally:
        await browser.stop()


async def test_it_fits_every_width_in_both_languages_and_the_browser_has_nothing_to_complain_of(
    tab: Tab,
) -> None:
    pages = ("", "?lang=vi", "tickets?lang=vi", "tickets/T-9?lang=vi", "assets/HN01-0003?lang=vi")
    async with served() as url:
        for width, path in itertools.product((360, 800, 1400), pages):
            await tab.open(url + path, width=width)
            assert await tab.value("document.documentElement.scrollWidth") == width
            assert await tab.value(_WIDEST) <= width
    assert tab.complaints == []
    assert [address for address in tab.requests if not address.startswith((url, "data:"))] == []


async def test_it_is_dark_where_the_reader_wants_it_dark_and_legible_in_both(tab: Tab) -> None:
    found = []
    async with served() as url:
        for scheme, path in itertools.product(("light", "dark"), ("", "tickets/T-9", "assets/HN01-0003")):
            await tab.open(url + path, width=1400, scheme=scheme)
            found.append(await tab.value("getComputedStyle(document.body).backgroundColor"))
            assert await tab.value(_LEAST_CONTRAST) >= 4.5
    assert found[0] != found[-1]


async def test_it_loads_itself_anew_where_scripts_are_off(tab: Tab) -> None:
    site = Site()
    async with served(site, refresh_s=1) as url:
        await tab.call("Emulation.setScriptExecutionDisabled", value=True)
        await tab.open(url, width=360)
        async with asyncio.timeout(30):
            for _ in range(2):
                await site.asked.get()


# -- live ---------------------------------------------------------------------------------------------------

_IS_LIVE = "!document.getElementById('live').hidden && document.getElementById('lost').hidden"
_IS_LOST = "!document.getElementById('lost').hidden && document.getElementById('live').hidden"
_LOST = "document.getElementById('lost').innerText"
_STATE = "document.querySelector('#a-HN01-0007 .state').innerText"
_TICKETS = "[...document.querySelectorAll('#tickets > *')].map(node => node.id).join(' ')"


async def test_what_changes_appears_without_loading_the_page_anew(tab: Tab) -> None:
    site = Site()
    async with served(site, refresh_s=1) as url:
        await tab.open(url, width=360)
        await tab.value("window.stayed = true")
        await tab.value("document.querySelector('#k-T-9 details').open = true")
        await tab.value("document.querySelector('#a-HN01-0007 a').focus() ?? true")
        await tab.until(_IS_LIVE)
        assert await tab.value(_STATE) == "In use"
        site.view = _changed(site.view)
        await tab.until(f"{_STATE} === 'Standby'")
        assert await tab.value(_TICKETS) == "k-T-14 k-T-99 k-T-13 k-T-9 k-T-10 k-T-12"
        assert await tab.value("document.querySelector('#k-T-9 details').open")
        assert await tab.value("document.querySelector('#k-T-9 h3').innerText") == "Another title"
        assert await tab.value("document.activeElement.closest('article').id") == "a-HN01-0007"
        assert "heard 2 h ago" in await tab.value("document.getElementById('a-HN01-0001').innerText")
        assert await tab.value("document.querySelector('.counts .stop').innerText") == "2\nP1 tickets"
        assert await tab.value("document.title") == "6 · Open tickets · hourmeter"
        assert await tab.value("window.stayed")
        assert await tab.value("document.documentElement.scrollWidth") == 360
    assert [one for one in tab.complaints if "ERR_" not in one] == []


def _changed(view: Fleet) -> Fleet:
    """Another state, another title, a ticket more and one less, and a device that was not heard again."""
    first = view.devices[0]
    devices = (
        replace(first, heard_ms=view.now_ms - 2 * HOUR_S * 1000),
        *(
            replace(row, state=OperatingState.STANDBY) if row.label == "Vent 7" else row
            for row in view.devices[1:]
        ),
    )
    tickets = tuple(
        replace(row, title="Another title") if row.id == "T-9" else row
        for row in view.tickets
        if row.id != "T-11"
    )
    fresh = ticket(99, device(1), priority=TicketPriority.P1, opened_ms=view.now_ms)
    return replace(view, devices=devices, tickets=(*tickets, fresh))


async def test_a_lost_connection_is_said_at_once_and_mended_by_itself(tab: Tab) -> None:
    site = Site()
    async with served(site, refresh_s=1) as url:
        await tab.open(f"{url}?lang=vi", width=360)
        await tab.until(_IS_LIVE)
        await tab.value("window.stayed = true")
    await tab.until(_IS_LOST)
    assert (await tab.value(_LOST)).startswith("Không có dữ liệu từ 04:54:00 UTC.")
    assert await tab.value("document.title.startsWith('⚠')")
    gray = "getComputedStyle(document.querySelector('#a-HN01-0007 .state')).filter"
    assert await tab.value(gray) == "grayscale(1)"
    site.view = replace(site.view, now_ms=site.view.now_ms + 30_000, unclaimed=())
    async with served(site, refresh_s=1, port=int(url.rstrip("/").rpartition(":")[2])):
        await tab.until(_IS_LIVE)
        assert await tab.value("document.querySelectorAll('#unclaimed > *').length") == 0
        assert await tab.value("document.getElementById('now').innerText") == "2026-11-22 04:54:30 UTC"
        assert await tab.value("document.title") == "6 · Phiếu công việc đang mở · hourmeter"
        assert await tab.value(gray) == "none"
        assert await tab.value("window.stayed")


async def test_a_desk_that_cannot_read_its_ledger_says_since_when_and_why(tab: Tab) -> None:
    site = Site()
    async with served(site, refresh_s=1) as url:
        await tab.open(url, width=360)
        await tab.until(_IS_LIVE)
        site.trouble = Unavailable("ledger", why="is locked")
        await tab.until(_IS_LOST)
        said = await tab.value(_LOST)
        assert said.startswith("No data since 04:54:00 UTC.")
        assert "ledger: is locked" in said
        site.trouble = None
        await tab.until(_IS_LIVE)


async def test_a_page_too_many_says_that_it_is(tab: Tab) -> None:
    async with served(most=0) as url:
        await tab.open(url, width=360)
        await tab.until(f"{_LOST}.includes('Already 0 pages are kept live')")


async def test_a_line_on_which_nothing_comes_is_a_lost_one(tab: Tab) -> None:
    silent = APIRouter()

    @silent.get("/live")
    async def say_nothing() -> Response:
        async def nothing() -> AsyncIterator[bytes]:
            yield b": connected\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(nothing(), media_type="text/event-stream")

    async with served(routers=(silent,)) as url:
        await tab.open(url, width=360)
        assert not await tab.value(_IS_LOST)
        await tab.until(_IS_LOST)


@asynccontextmanager
async def following(
    browser: aiohttp.ClientSession, url: str, **headers: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    """An open stream of events."""
    async with browser.get(f"{url}live", headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in answer.headers
        assert await _event(answer) == {"retry": "2000"}
        yield answer


async def _event(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """The fields of the next event."""
    block = await answer.content.readuntil(b"\n\n")
    return dict(line.split(": ", 1) for line in block.decode().splitlines() if line)


async def test_events_over_a_socket_begin_with_all_and_go_on_where_a_reader_was() -> None:
    site = Site()
    async with (
        asyncio.timeout(30),
        aiohttp.ClientSession(read_bufsize=1 << 22) as browser,
        served(site, refresh_s=1) as url,
    ):
        async with following(browser, url) as answer:
            whole = await _event(answer)
            assert len(json.loads(whole["data"])["parts"]) > 70
            site.view = replace(site.view, unclaimed=())
            change = await _event(answer)
            assert {"unclaimed"} <= set(json.loads(change["data"])["parts"]) <= _UNCLAIMED
        headers = {"Last-Event-ID": whole["id"]}
        async with following(browser, url, **headers) as answer:
            again = await _event(answer)
        assert (again["id"], again["data"]) == (change["id"], change["data"])


_UNCLAIMED = frozenset({"unclaimed", "unclaimed-note"})


async def test_a_reader_that_leaves_makes_room_for_another() -> None:
    async with (
        asyncio.timeout(30),
        aiohttp.ClientSession() as browser,
        served(refresh_s=1, most=1) as url,
    ):
        async with following(browser, url), browser.get(f"{url}live") as refused:
            assert refused.status == 503
            assert "Already 1 pages" in await refused.text()
        while True:
            async with browser.get(f"{url}live") as answer:
                if answer.status == 200:
                    break


async def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    async with (
        asyncio.timeout(60),
        aiohttp.ClientSession() as browser,
        served(refresh_s=1, most=1, deaf_ms=500) as url,
    ):
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with deaf:
            deaf.connect((LOOPBACK, int(url.rstrip("/").rpartition(":")[2])))
            deaf.sendall(b"GET /live HTTP/1.1\r\nHost: desk\r\n\r\n")
            for status in (503, 200):
                while True:
                    async with browser.get(f"{url}live") as answer:
                        if answer.status == status:
                            break


async def test_a_port_in_use_is_the_operators_to_mend() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port}: Address already in use") as caught:
            await serve(_nobody(), host=LOOPBACK, port=port, on_ready=pytest.fail)
    assert caught.value.where == "desk.port"


async def test_an_address_of_nobody_is_the_operators_to_mend() -> None:
    with pytest.raises(SettingsError) as caught:
        await serve(_nobody(), host="256.1.1.1", port=0, on_ready=pytest.fail)
    assert caught.value.where == "desk.host"


async def test_it_stops_at_once_though_browsers_stay_connected_and_leaves_signals_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = {which: signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)}
    async with aiohttp.ClientSession() as browser, asyncio.timeout(20):
        async with served() as url:
            async with browser.get(url) as answer:
                assert answer.status == 200
                assert "24" in await answer.text()
                assert "server" not in answer.headers
            assert {which: signal.getsignal(which) for which in before} == before
            reader = await browser.get(f"{url}live")
            await reader.content.readline()
        assert reader.status == 200
        reader.close()
        with pytest.raises(aiohttp.ClientConnectionError):
            await browser.get(url)
    assert [one.getMessage() for one in caplog.records if one.levelname == "ERROR"] == []


def _nobody() -> FastAPI:
    async def asks() -> Fleet:
        raise AssertionError

    return app(source(asks), refresh_s=5)
