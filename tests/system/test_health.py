"""Processes at work are watched over HTTP: alive, ready or not and why, and their figures."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from collector.journal_file import JournalFile, Limits
from desk.bus import Bus
from desk.clock import system_clock
from desk.compose import Part, Site, run
from desk.settings import Settings
from tests.collector.journals import usage
from tests.system.stand import until

pytestmark = pytest.mark.system
NOT_ADAPT = frozenset({Part.COLLECT, Part.CONCLUDE})


@asynccontextmanager
async def at_work(
    folder: Path, parts: frozenset[Part], caplog: pytest.LogCaptureFixture, **more: object
) -> AsyncIterator[tuple[Bus, str]]:
    """Parts of a site in this process, and the address at which they are watched."""
    settings = Settings.model_validate(
        {
            "journal": {"folder": folder / "journal", "disk_reserve_mib": 0},
            "history": {"file": folder / "history.db"},
            "ledger": {"file": folder / "ledger.db"},
            "host": {"outbox": folder / "outbox.db"},
            "desk": {"port": 0},
            "health": {"port": 0},
            **more,
        }
    )
    bus = Bus()
    site = Site(settings, system_clock(), bus)
    running = asyncio.ensure_future(run(site, parts))

    def address() -> str:
        found = re.findall(r"(http://[0-9.:]+/)", caplog.text)
        return found[-1] if found else ""

    async def is_told() -> bool:
        return running.done() or bool(address())

    try:
        await until(is_told, within_s=30, what="an address")
        yield bus, address()
    finally:
        site.stopping.set()
        await running


async def ask(address: str) -> tuple[int, str]:
    """Status and text of an answer."""
    async with aiohttp.ClientSession() as http, http.get(address) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("parts", [NOT_ADAPT, NOT_ADAPT | {Part.DESK}])
async def test_a_site_at_work_becomes_ready_and_tells_what_it_did(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, parts: frozenset[Part]
) -> None:
    """With the page beside it, and on a listener of its own without."""
    async with at_work(tmp_path, parts, caplog) as (bus, address):
        for number in range(1, 6):
            await bus.send(usage(number, observed_ms=system_clock().now_ms() - 1000))

        async def all_concluded() -> bool:
            _, text = await ask(f"{address}metrics")
            return (
                'hourmeter_rules_messages{outcome="concluded"} 5.0' in text
                and 'hourmeter_messages{kind="usage",place="stored"} 5.0' in text
            )

        await until(all_concluded, within_s=30, what="figures of five messages")
        assert (await ask(f"{address}readyz")) == (200, '{"ready":true,"reasons":[]}')
        assert (await ask(f"{address}healthz"))[0] == 200
        _, text = await ask(f"{address}metrics")
        for line in (
            "hourmeter_acknowledging 1.0",
            "hourmeter_broker_connected 1.0",
            "hourmeter_history_trouble 0.0",
        ):
            assert line in text


async def test_adapters_alone_tell_of_their_devices_and_of_no_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "capture").write_bytes(b"no frame")
    device = {"name": "vent-1", "protocol": "puritan-bennett", "replay": tmp_path / "capture"}
    async with at_work(tmp_path, frozenset({Part.ADAPT}), caplog, device=(device,)) as (_, address):

        async def is_heard() -> bool:
            return 'hourmeter_device_links_total{device="vent-1"} 1.0' in (await ask(f"{address}metrics"))[1]

        await until(is_heard, within_s=30, what="the device's figures")
        assert "hourmeter_journal" not in (await ask(f"{address}metrics"))[1]


async def test_a_journal_that_takes_nothing_more_is_not_ready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_work(tmp_path, NOT_ADAPT, caplog) as (_, address):

        async def is_ready() -> bool:
            return (await ask(f"{address}readyz"))[0] == 200

        async def is_not() -> bool:
            status, text = await ask(f"{address}readyz")
            return status == 503 and "nothing is acknowledged" in text

        await until(is_ready, within_s=30, what="readiness")
        monkeypatch.setattr(JournalFile, "check_room", lambda file, _wanted: _fail(file))
        await until(is_not, within_s=30, what="the reason")
        assert (await ask(f"{address}healthz"))[0] == 200, "it lives: nobody should start it again for that"
        monkeypatch.undo()
        await until(is_ready, within_s=30, what="readiness again")


def _fail(file: JournalFile) -> None:
    full = Limits(size_cap=0, disk_reserve=0)
    kept, file.limits = file.limits, full
    try:
        JournalFile._check_disk(file, 1 << 62)  # noqa: SLF001 - what a full disk says
    finally:
        file.limits = kept
