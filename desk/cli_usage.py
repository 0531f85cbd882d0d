"""Command for what each device did each day."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from desk.clock import system_clock
from desk.options import Json, SettingsFile, chosen
from desk.terminal import say, table
from telemetry.errors import SettingsError
from telemetry.times import from_ms

if TYPE_CHECKING:
    from collector.daily import Day
    from desk.settings import Settings

HOUR_S = 3600


def usage(
    device: Annotated[str, typer.Option(help="Only the device of that name in topics.")] = "",
    days: Annotated[int, typer.Option(min=1, max=36_500, help="So many UTC days, today among them.")] = 7,
    file: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """Show what each device did each day, from the embedded history's daily roll-ups.

    Hours are observed ones; the rest of a day is unknown, never idle.
    """
    found = asyncio.run(_daily(chosen(file), device, days))
    if as_json:
        say(json.dumps([_told(day) for day in found], indent=2))
        return
    table(
        ["day", "device", "serial", "in use h", "observed h", "alarms", "faults", "meters"],
        [
            [
                day.day.isoformat(),
                f"{day.publisher}/{day.device}",
                day.alias.identifier,
                f"{dict(day.state_s).get('in_use', 0) / HOUR_S:.1f}",
                f"{day.observed_s / HOUR_S:.1f}",
                _counts(day.alarms),
                _counts(day.faults),
                ", ".join(f"{meter.meter} {meter.value:g} ({meter.provenance})" for meter in day.meters),
            ]
            for day in found
        ],
    )


async def _daily(settings: Settings, device: str, days: int) -> tuple[Day, ...]:
    from collector.embedded import EmbeddedHistory

    store, kept = settings.history.store, settings.history.file
    if store != "embedded" or not kept.exists():
        raise SettingsError(
            where="history.store",
            found=f"there is no {kept} yet" if store == "embedded" else f"is {store!r}",
            expected="the settings file of a site with an embedded history that has run",
        )
    history = EmbeddedHistory(kept)
    today = from_ms(system_clock().now_ms()).date()
    try:
        return await history.daily(first=today - timedelta(days=days - 1), last=today, device=device or None)
    finally:
        await history.close()


def _counts(counts: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{what} {count}" for what, count in counts)


def _told(day: Day) -> dict[str, object]:
    return {
        "day": day.day.isoformat(),
        "publisher": day.publisher,
        "device": day.device,
        "alias": day.alias._asdict(),
        "state_s": dict(day.state_s),
        "observed_s": day.observed_s,
        "alarms": dict(day.alarms),
        "faults": dict(day.faults),
        "meters": [meter._asdict() for meter in day.meters],
    }
