"""The pages tell what ledger and journal hold, read from their files as a process of its own would."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from collector.conclude import resume, sync_registry
from collector.intake import Intake
from collector.journal import Journal, open_journal
from collector.ledger import Ledger, open_ledger
from desk import wall
from desk.live import Source
from desk.settings import Settings, load
from rules.inputs import Baseline, RegisteredAsset, Registry
from telemetry.clock import Clock
from telemetry.errors import SettingsError
from telemetry.messages import LinkState, MeterName, OperatingState, Provenance
from tests.collector.journals import ALIAS, ROOMY, T0_MS, usage

MINUTE_MS = 60_000
LAST_MS = T0_MS + 90 * MINUTE_MS + 2_000


class _Clock:
    """A clock that stands at a time."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def mono_ms(self) -> int:
        return 0

    def boot(self) -> str:
        return "boot"

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


REGISTRY = Registry(
    at_ms=T0_MS,
    assets=(
        RegisteredAsset(id="HN01-1", label="Vent 1", ward="ICU", device_type="ventilator", aliases=(ALIAS,)),
        RegisteredAsset(
            id="HN01-2",
            label="Suction",
            ward="ICU",
            baselines=(Baseline(meter=MeterName.OPERATING_CYCLES, reading=4_120, last_done=4_000),),
        ),
    ),
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of a site whose files do not exist yet."""
    (tmp_path / "hourmeter.toml").write_text("")
    return load(tmp_path / "hourmeter.toml")


@contextmanager
def _journal(settings: Settings) -> Iterator[Journal]:
    journal = open_journal(settings.journal.folder, limits=ROOMY, new_epoch=lambda: "e1")
    try:
        yield journal
    finally:
        journal.close()


def _collect(journal: Journal, first: int, last: int) -> None:
    """A message each minute of a ventilator in use, and a tick after it."""
    intake = Intake(journal.store)
    for minute in range(first, last):
        at_ms = T0_MS + minute * MINUTE_MS
        message = usage(minute + 1, observed_ms=at_ms, mono_ms=minute * MINUTE_MS)
        intake.take([message], received_ms=at_ms + 1_000)
        intake.tick(at_ms + 2_000)


async def _conclude(journal: Journal, ledger: Ledger) -> None:
    await sync_registry(ledger, REGISTRY)
    concluder = await resume(journal, ledger, mono_ms=lambda: 0)
    while await concluder.step():
        pass
    await concluder.settle()


@asynccontextmanager
async def shown(
    settings: Settings, *, now_ms: int, rate: float = 1.0
) -> AsyncIterator[tuple[Source, Ledger]]:
    """The source of the pages, over a ledger of its own as another process has."""
    clock: Clock = _Clock(now_ms)
    async with open_ledger(settings.ledger.file) as ledger:
        yield (
            wall.source(
                settings,
                ledger,
                clock=clock,
                clock_rate=rate,
                note="",
                troubles=lambda: wall.Troubles("", "InfluxDB is away"),
            ),
            ledger,
        )


async def test_assets_with_and_without_adapter_are_shown_with_what_is_known_of_them(
    settings: Settings,
) -> None:
    with _journal(settings) as journal:
        _collect(journal, 0, 91)
        async with shown(settings, now_ms=LAST_MS) as (source, ledger):
            await _conclude(journal, ledger)
            view = await source.fleet()
            asset = await source.asset("HN01-1")
            assert await source.asset("HN01-9") is None
            assert await source.ticket("T-9") is None
    vent, suction = view.devices
    assert (vent.link, vent.state) == (LinkState.ONLINE, OperatingState.IN_USE)
    assert vent.heard_ms is not None
    assert 0 <= LAST_MS - vent.heard_ms <= 2_000
    (hours,) = vent.meters
    assert (hours.name, hours.provenance, hours.low_h) == (
        MeterName.VENTILATION_H,
        Provenance.DERIVED,
        1.5,
    )
    assert not suction.has_adapter
    (read,) = suction.meters
    assert (read.provenance, read.low_h, read.due_h) == (Provenance.MANUAL, 4_120, None)
    assert (view.numbers.received, view.numbers.pending, view.numbers.stored) == (91, 91, 0)
    assert (view.health.journaled_ms, view.health.history_trouble) == (LAST_MS, "InfluxDB is away")
    assert view.health.concluded_ms == LAST_MS
    assert view.no_data_since_ms is None
    assert asset is not None
    assert asset.aliases == ("puritan-bennett 840 3510000001",)
    assert asset.heard_as == ("hn01-a/vent1",)


async def test_what_stands_still_is_not_of_now_and_a_demo_counts_in_its_own_time(settings: Settings) -> None:
    with _journal(settings) as journal:
        _collect(journal, 0, 5)
        last_ms = T0_MS + 4 * MINUTE_MS + 2_000
        async with shown(settings, now_ms=last_ms + 61_000) as (source, ledger):
            await _conclude(journal, ledger)
            assert (await source.fleet()).no_data_since_ms == last_ms
        async with shown(settings, now_ms=last_ms + 61_000, rate=10.0) as (source, _):
            assert (await source.fleet()).no_data_since_ms is None


async def test_the_ledger_is_read_anew_when_the_rules_come_further_and_only_then(settings: Settings) -> None:
    with _journal(settings) as journal:
        _collect(journal, 0, 31)
        async with shown(settings, now_ms=LAST_MS) as (source, ledger):
            await _conclude(journal, ledger)
            first = await source.fleet()
            _collect(journal, 31, 61)
            same = await source.fleet()
            assert same.devices is first.devices
            assert same.numbers.received == 61
            await _conclude(journal, ledger)
            later = await source.fleet()
    assert [view.devices[0].meters[0].low_h for view in (first, later)] == [0.5, 1.0]


async def test_a_site_that_has_never_run_says_what_is_missing(settings: Settings) -> None:
    async with shown(settings, now_ms=T0_MS) as (source, _):
        with pytest.raises(SettingsError, match="holds no journal"):
            await source.fleet()
