"""What people say is dated by the site's own time, and nothing follows what was refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from collector.cursors import Cursor
from collector.intake import Intake
from collector.journal_file import JournalFile
from collector.ledger import LedgerInput
from collector.store import Store
from desk import asset_telling, reading
from desk.asset_telling import BEHIND_MS, site_now_ms
from desk.settings import Settings, load
from rules.inputs import AmendAsset, DeskInput
from telemetry.errors import MessageError
from tests.collector.journals import ROOMY, T0_MS


@dataclass
class _Clock:
    """A clock that stands at a time."""

    at_ms: int

    def now_ms(self) -> int:
        return self.at_ms

    def mono_ms(self) -> int:
        return 0

    def boot(self) -> str:
        return "boot"

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a site whose files do not exist yet."""
    monkeypatch.setattr(asset_telling, "STEP_S", 0.0)
    (tmp_path / "hourmeter.toml").write_text("")
    return load(tmp_path / "hourmeter.toml")


def _tick(settings: Settings, at_ms: int) -> None:
    """The collector writes."""
    file = JournalFile(settings.journal.folder, limits=ROOMY, new_epoch=lambda: "e1")
    Intake(Store(file)).tick(at_ms)
    file.close()


async def test_without_a_journal_the_time_is_the_clocks(settings: Settings) -> None:
    assert await site_now_ms(settings, _Clock(T0_MS)) == T0_MS


async def test_a_collector_at_work_and_the_clock_agree(settings: Settings) -> None:
    _tick(settings, T0_MS)
    assert await site_now_ms(settings, _Clock(T0_MS + 900)) == T0_MS + 900
    assert await site_now_ms(settings, _Clock(T0_MS - 900)) == T0_MS


async def test_a_site_at_rest_is_told_the_clocks_time_and_a_demo_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tick(settings, T0_MS)
    now_ms = T0_MS + 3 * BEHIND_MS
    assert await site_now_ms(settings, _Clock(now_ms)) == now_ms
    seen = iter((T0_MS, T0_MS + 3_600))
    monkeypatch.setattr(asset_telling, "_newest_ms", lambda _settings: next(seen))
    assert await site_now_ms(settings, _Clock(now_ms)) == T0_MS + 3_600


@dataclass
class _Ledger:
    """A ledger whose rules refuse what is said of some assets."""

    refused: frozenset[str]
    said: list[str] = field(default_factory=list)

    async def append_inputs(self, wishes: Sequence[DeskInput]) -> tuple[int, ...]:
        for wish in wishes:
            assert isinstance(wish, AmendAsset)
            self.said.append(wish.asset)
        return tuple(range(1, len(self.said) + 1))

    async def input(self, number: int) -> LedgerInput:
        asset = self.said[number - 1]
        refusal = f"{asset} says that already" if asset in self.refused else ""
        return LedgerInput(number, _amend(asset), Cursor("e1", 1), refusal)


def _amend(asset: str) -> AmendAsset:
    return AmendAsset(at_ms=T0_MS, by="Lan", reason="x", asset=asset)


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ({"A"}, "fleet.csv: A says that already"),
        ({"B", "C"}, "fleet.csv: B says that already; C says that already"),
        ((), ""),
    ],
)
async def test_all_is_said_at_once_and_each_refusal_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, refused: set[str], told: str
) -> None:
    ledger = _Ledger(frozenset(refused))

    @asynccontextmanager
    async def opened(_settings: Settings) -> AsyncIterator[_Ledger]:
        yield ledger

    monkeypatch.setattr(reading, "_ledger", opened)
    found = ""
    try:
        assert await reading.tell_all(settings, [_amend(name) for name in "ABC"], subject="fleet.csv")
    except MessageError as error:
        found = str(error)
    assert (ledger.said, found) == (["A", "B", "C"], told)
