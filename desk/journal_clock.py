"""This machine's clock against the time of the journal's newest record."""

from __future__ import annotations

from pathlib import Path

from collector.clocks import Tolerance
from collector.store import Store
from telemetry.errors import SettingsError
from telemetry.records import Journaled

APART_MS = Tolerance().correct_beyond_ms
"""Clocks further apart than this are not both right."""


def newest_ms(store: Store) -> int | None:
    """The time of the journal's newest record, None if it has none."""
    for record in store.read(store.file.head() - 1, limit=1):
        return record.received_ms if isinstance(record, Journaled) else record.at_ms
    return None


def clock_behind(newest_ms: int, *, now_ms: int, journal: Path) -> SettingsError | None:
    """What is wrong with a clock that stands before what was journaled; None if nothing is."""
    if newest_ms - now_ms <= APART_MS:
        return None
    return SettingsError(
        where="clock of this machine",
        found=f"is {(newest_ms - now_ms) / 1000:.0f} s behind the newest record of the journal {journal}",
        expected="set the clock (timedatectl): until then what publishers say is put aside as too far ahead; "
        "if the record's time is wrong instead, this passes when that time has come",
    )
