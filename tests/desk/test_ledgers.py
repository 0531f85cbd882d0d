"""Which ledger the settings mean: the file, or the database with a password that stands elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.ingest import Patience
from collector.ledger_server import LedgerDatabase
from desk import reading
from desk.ledgers import opened_ledger
from desk.settings import Settings
from telemetry.errors import SettingsError, Unavailable

NOWHERE = "postgresql://hourmeter@127.0.0.1:9/hourmeter"


def test_without_a_url_the_ledger_is_the_file(tmp_path: Path) -> None:
    settings = Settings.model_validate({"ledger": {"file": tmp_path / "ledger.db"}})
    assert reading.ledger_place(settings) == tmp_path / "ledger.db"


def test_with_a_url_it_is_the_database_with_the_password_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the role\n")
    settings = Settings.model_validate({"ledger": {"url": NOWHERE, "password_file": tmp_path / "secret"}})
    assert reading.ledger_place(settings) == LedgerDatabase(NOWHERE, "of the role")


async def test_a_command_says_by_whose_fault_there_is_no_ledger() -> None:
    with pytest.raises(Unavailable, match=r"ledger\.url right"):
        await reading.tickets(Settings.model_validate({"ledger": {"url": NOWHERE}}), closed_too=False)
    with pytest.raises(SettingsError, match="is no URL"):
        await reading.tickets(Settings.model_validate({"ledger": {"url": "hourmeter"}}), closed_too=False)


async def test_who_works_for_long_waits_longer_each_time_for_a_server() -> None:
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise InterruptedError

    settings = Settings.model_validate({"ledger": {"url": NOWHERE}})
    with pytest.raises(InterruptedError):
        async with opened_ledger(settings, Patience(sleep=wait, random=lambda: 1)):
            pass
    assert waits == [0.5, 1, 2]
