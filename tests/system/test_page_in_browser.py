"""The page over a real socket, and as a real browser shows it."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from desk.child import LOOPBACK, Child
from desk.page import app, serve
from desk.views import Fleet
from telemetry.errors import SettingsError
from tests.desk.sample_fleet import hospital

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


@asynccontextmanager
async def served(
    view: Fleet, *, refresh_s: int = HOUR_S, asked: asyncio.Queue[None] | None = None
) -> AsyncIterator[str]:
    """The address of the page of that fleet; `asked` gets an item for each time it is looked at."""

    async def look() -> Fleet:
        if asked:
            asked.put_nowait(None)
        return view

    ready = asyncio.get_running_loop().create_future()
    page = asyncio.create_task(
        serve(app(look, refresh_s=refresh_s), host=LOOPBACK, port=0, on_ready=ready.set_result)
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

    async def _until(self, wanted: Any, part: str) -> dict[str, Any]:  # noqa: ANN401 - a predicate of JSON
        while True:
            said: dict[str, Any] = await self._devtools.receive_json()
            if said.get("method") == "Log.entryAdded":
                self.complaints.append(said["params"]["entry"]["text"])
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
                await tab.call("Log.enable")
                yield tab
    finally:
        await browser.stop()


async def test_it_fits_every_width_in_both_languages_and_the_browser_has_nothing_to_complain_of(
    tab: Tab,
) -> None:
    async with served(hospital()) as url:
        for width, path in itertools.product((360, 800, 1400), ("", "?lang=vi", "tickets/T-14?lang=vi")):
            await tab.open(url + path, width=width)
            assert await tab.value("document.documentElement.scrollWidth") == width
            assert await tab.value(_WIDEST) <= width
    assert tab.complaints == []


async def test_it_is_dark_where_the_reader_wants_it_dark_and_legible_in_both(tab: Tab) -> None:
    found = []
    async with served(hospital()) as url:
        for scheme in ("light", "dark"):
            await tab.open(url, width=1400, scheme=scheme)
            found.append(await tab.value("getComputedStyle(document.body).backgroundColor"))
            assert await tab.value(_LEAST_CONTRAST) >= 4.5
    assert found[0] != found[1]


async def test_it_loads_itself_anew_where_scripts_are_off(tab: Tab) -> None:
    asked: asyncio.Queue[None] = asyncio.Queue()
    async with served(hospital(), refresh_s=1, asked=asked) as url:
        await tab.call("Emulation.setScriptExecutionDisabled", value=True)
        await tab.open(url, width=360)
        async with asyncio.timeout(30):
            for _ in range(3):
                await asked.get()


async def test_a_port_in_use_is_the_operators_to_mend() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port}: Address already in use") as caught:
            await serve(app(_nobody_asks, refresh_s=5), host=LOOPBACK, port=port, on_ready=pytest.fail)
    assert caught.value.where == "desk.port"


async def test_an_address_of_nobody_is_the_operators_to_mend() -> None:
    with pytest.raises(SettingsError) as caught:
        await serve(app(_nobody_asks, refresh_s=5), host="256.1.1.1", port=0, on_ready=pytest.fail)
    assert caught.value.where == "desk.host"


async def test_it_stops_at_once_though_a_browser_keeps_its_connection_and_leaves_signals_alone() -> None:
    before = {which: signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)}
    async with aiohttp.ClientSession() as browser, asyncio.timeout(20):
        async with served(hospital()) as url:
            async with browser.get(url) as answer:
                assert answer.status == 200
                assert "24" in await answer.text()
                assert "server" not in answer.headers
            assert {which: signal.getsignal(which) for which in before} == before
        with pytest.raises(aiohttp.ClientConnectionError):
            await browser.get(url)


async def _nobody_asks() -> Fleet:
    raise AssertionError
