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
from desk.views_asset import AliasRow
from rules.attributes import Attribute, LifeCycle, Value
from rules.inputs import (
    AmendAsset,
    Baseline,
    ClaimAlias,
    DeskInput,
    RegisteredAsset,
    Registry,
    ReleaseAlias,
    RetireAsset,
)
from telemetry.clock import Clock
from telemetry.errors import SettingsError
from telemetry.messages import Alias, LinkState, MeterName, OperatingState, Provenance
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


async def _conclude(journal: Journal, ledger: Ledger, *said: DeskInput) -> None:
    await sync_registry(ledger, REGISTRY)
    for one in said:
        await ledger.append_input(one)
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
    assert asset.aliases == (
        AliasRow("puritan-bennett 840 3510000001", is_weak=False, from_ms=None, to_ms=None),
    )
    assert asset.heard_as == ("hn01-a/vent1",)


PORT = Alias(protocol="medibus", namespace="port", identifier="evita-1")
SAID_MS = T0_MS + 10 * MINUTE_MS
CHANGES: tuple[DeskInput, ...] = (
    AmendAsset(
        at_ms=SAID_MS,
        by="Lan",
        reason="transfer",
        asset="HN01-1",
        values=(
            Value(attribute=Attribute.WARD, value="Cấp cứu"),
            Value(attribute=Attribute.OWNER, value="SYT"),
        ),
    ),
    AmendAsset(
        at_ms=SAID_MS,
        by="Lan",
        reason="bought",
        asset="HN01-1",
        values=(Value(attribute=Attribute.WARRANTY_END, value="2027-03-15"),),
    ),
    ClaimAlias(at_ms=SAID_MS, by="Lan", reason="seen", asset="HN01-1", alias=PORT, from_ms=T0_MS),
    ReleaseAlias(at_ms=SAID_MS, by="Lan", reason="moved", asset="HN01-1", alias=PORT, to_ms=SAID_MS),
    RetireAsset(at_ms=SAID_MS, by="Lan", reason="decision", asset="HN01-2"),
)


async def test_what_people_said_of_an_asset_is_shown_with_its_history(settings: Settings) -> None:
    with _journal(settings) as journal:
        _collect(journal, 0, 31)
        async with shown(settings, now_ms=LAST_MS) as (source, ledger):
            await _conclude(journal, ledger, *CHANGES)
            view = await source.fleet()
            asset = await source.asset("HN01-1")
    assert asset is not None
    vent, suction = view.devices
    assert (vent.ward, vent.owner, suction.life_cycle) == ("Cấp cứu", "SYT", LifeCycle.DISPOSED)
    assert asset.facts == ((Attribute.OWNER, "SYT"), (Attribute.WARRANTY_END, "2027-03-15"))
    assert [row.ward for row in asset.wards] == ["Cấp cứu", "ICU"]
    assert asset.wards[0].from_ms == SAID_MS
    assert (asset.changes[0].attribute, asset.changes[0].by) == (Attribute.WARRANTY_END, "Lan")
    assert asset.aliases == (
        AliasRow("puritan-bennett 840 3510000001", is_weak=False, from_ms=None, to_ms=None),
        AliasRow("medibus port evita-1", is_weak=True, from_ms=T0_MS, to_ms=SAID_MS),
    )


async def test_a_device_that_nobody_claims_is_shown_with_all_it_said(settings: Settings) -> None:
    gone = ReleaseAlias(at_ms=SAID_MS, by="Lan", reason="mistake", asset="HN01-1", alias=ALIAS)
    with _journal(settings) as journal:
        _collect(journal, 0, 31)
        async with shown(settings, now_ms=LAST_MS) as (source, ledger):
            await _conclude(journal, ledger, gone)
            (row,) = (await source.fleet()).unclaimed
    assert row.first_ms is not None
    assert 0 <= row.first_ms - T0_MS < 1_000
    assert [meter.low_h for meter in row.meters] == [0.5]
    assert row.command == "hourmeter assets claim ASSET puritan-bennett 840 3510000001"


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
