"""From ledger and journal to what the pages show.

Rule: the ledger is read whole only when the rules have come further; asking how far costs next to nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from collector.accounting import account
from collector.ledger import Ledger, Progress
from desk import reading, views
from desk.asset_record import claim_command
from desk.live import Source
from desk.settings import Settings
from desk.views_asset import AssetView
from desk.wall_asset import asset_view
from rules.assets import Asset
from rules.explain import sentences
from rules.overview import FleetRow, MeterRow, StandingRow, UnclaimedRow, fleet_rows, unclaimed_rows
from rules.state import State
from rules.tickets import Ticket, TicketEvent
from telemetry.clock import Clock
from telemetry.messages import Provenance, Strength
from telemetry.records import Journaled

SILENT_AFTER_S: Final = 60.0
"""The collector writes each second, and the rules commit every few: a minute without is no delay."""


@dataclass(frozen=True, slots=True)
class Troubles:
    """What the parts in this process complain of; empty where they do not, or are in another process."""

    not_acknowledging: str
    history: str


@dataclass(frozen=True, slots=True)
class _Read:
    """The ledger as it was read last."""

    progress: Progress | None
    state: State
    devices: tuple[views.DeviceRow, ...]
    unclaimed: tuple[views.UnclaimedRow, ...]
    tickets: tuple[views.TicketRow, ...]
    """Open tickets, and those that ended lately."""

    def tickets_of(self, asset: str) -> tuple[views.TicketRow, ...]:
        """Those of one asset, open ones first, the newest of each first."""
        found = [ticket for ticket in reversed(self.tickets) if ticket.asset == asset]
        return tuple(sorted(found, key=lambda ticket: not ticket.is_open))


def source(
    settings: Settings,
    ledger: Ledger,
    *,
    clock: Clock,
    clock_rate: float,
    note: str,
    troubles: Callable[[], Troubles],
) -> Source:
    """Where the pages of a site have what they say from."""
    last: _Read | None = None

    async def read() -> _Read:
        nonlocal last
        progress = await ledger.progress()
        if last is None or last.progress != progress:
            state, progress = await ledger.load()
            last = await asyncio.to_thread(_read, state, progress)
        return last

    async def fleet() -> views.Fleet:
        found = await read()
        numbers, journaled_ms = await asyncio.to_thread(_line, settings)
        trouble = troubles()
        return views.Fleet(
            now_ms=clock.now_ms(),
            site_note=note,
            devices=found.devices,
            unclaimed=found.unclaimed,
            tickets=tuple(ticket for ticket in found.tickets if ticket.is_open),
            numbers=numbers,
            health=views.Health(
                not_acknowledging=trouble.not_acknowledging,
                history_trouble=trouble.history,
                journaled_ms=journaled_ms,
                concluded_ms=found.state.engineering.now_ms or None,
                silent_after_ms=int(SILENT_AFTER_S * 1000 * clock_rate),
            ),
            clock_rate=clock_rate,
        )

    async def ticket(number: str) -> views.TicketRow | None:
        found = await ledger.ticket(number)
        return None if found is None else _ticket(found[0], (await read()).state, events=found[1])

    async def asset(number: str) -> AssetView | None:
        found = await read()
        row = next((row for row in found.devices if row.asset == number), None)
        return None if row is None else asset_view(row, found.state, tickets=found.tickets_of(number))

    return Source(fleet, ticket, asset)


def _line(settings: Settings) -> tuple[views.Numbers, int | None]:
    """Where every message is, and when the collector last wrote. Raises SettingsError, Unavailable."""
    with reading.open_store(settings) as store:
        found = account(store, rules_cursor=None, concluded={}, failed={})
        last = store.read(store.file.head() - 1, limit=1)
    total = found.total
    numbers = views.Numbers(
        received=total.received,
        stored=total.stored,
        pending=total.pending,
        dead_lettered=total.dead_lettered,
        duplicate=total.duplicate,
        quarantined=total.quarantined,
        privacy=total.privacy,
        missing=found.missing,
        lost=found.lost,
    )
    times = [one.received_ms if isinstance(one, Journaled) else one.at_ms for one in last]
    return numbers, max(times, default=None)


def _read(state: State, progress: Progress | None) -> _Read:
    return _Read(
        progress=progress,
        state=state,
        devices=tuple(_device(row, state) for row in fleet_rows(state)),
        unclaimed=tuple(map(_unclaimed, unclaimed_rows(state))),
        tickets=tuple(
            _ticket(ticket, state)
            for ticket in sorted(state.tickets.values(), key=lambda ticket: ticket.number)
        ),
    )


def _device(row: FleetRow, state: State) -> views.DeviceRow:
    asset = state.assets[row.asset]
    told = tuple(_meter(meter, row, state) for meter in row.meters)
    return views.DeviceRow(
        asset=row.asset,
        label=row.label,
        ward=row.ward,
        manufacturer=row.manufacturer,
        model=row.model,
        link=row.link,
        state=row.operating,
        heard_ms=row.heard_ms,
        meters=told if told or asset.aliases else _written_down(asset),
        has_adapter=bool(asset.aliases),
        owner=row.owner,
        life_cycle=row.life_cycle,
        unknown_alarms=row.unknown_alarms,
    )


def _written_down(asset: Asset) -> tuple[views.MeterRow, ...]:
    """What people read of an asset that has no adapter."""
    return tuple(
        views.MeterRow(
            name=base.meter,
            provenance=Provenance.MANUAL,
            low_h=base.reading,
            high_h=base.reading,
            coverage=1.0,
            due_h=None,
            standing=None,
        )
        for base in asset.baselines
    )


def _meter(meter: MeterRow, row: FleetRow, state: State) -> views.MeterRow:
    standing = next((one for one in row.standings if _is_about(one, meter, state)), None)
    active = state.rules.get(standing.rule) if standing else None
    every_h = active.rule.meter.every_h if active and active.rule.meter else 0.0
    due_h = standing.due_h if standing else None
    return views.MeterRow(
        name=meter.name,
        provenance=meter.provenance,
        low_h=_down(meter.low_h, 10),
        high_h=_down(meter.high_h, 10),
        coverage=_down(meter.coverage, 100),
        due_h=due_h,
        standing=standing.standing if standing else None,
        done_h=0.0 if due_h is None else due_h - every_h,
        is_provisional=meter.provisional,
    )


def _down(value: float, parts: int) -> float:
    """A figure as it is read, rounded down: nothing is called due before it is, only all is 100 %."""
    return math.floor(value * parts + 1e-9) / parts


def _is_about(standing: StandingRow, meter: MeterRow, state: State) -> bool:
    """Whether a rule counts on this meter."""
    active = state.rules.get(standing.rule)
    condition = active.rule.meter if active else None
    return condition is not None and (condition.name, condition.provenance) == (meter.name, meter.provenance)


def _unclaimed(row: UnclaimedRow) -> views.UnclaimedRow:
    return views.UnclaimedRow(
        alias=" ".join(filter(None, row.alias)),
        publisher=row.publisher,
        device=row.device,
        heard_ms=row.heard_ms,
        state=row.operating,
        model=" ".join(filter(None, (row.manufacturer, row.model))),
        serial=row.serial,
        is_weak=row.strength is Strength.WEAK,
        first_ms=row.first_ms,
        meters=tuple(_so_far(meter) for meter in row.meters),
        open_alarms=row.open_alarms,
        unknown_alarms=row.unknown_alarms,
        command=claim_command(row),
    )


def _so_far(meter: MeterRow) -> views.MeterRow:
    """A meter that no rule counts on."""
    return views.MeterRow(
        name=meter.name,
        provenance=meter.provenance,
        low_h=_down(meter.low_h, 10),
        high_h=_down(meter.high_h, 10),
        coverage=_down(meter.coverage, 100),
        due_h=None,
        standing=None,
    )


def _ticket(ticket: Ticket, state: State, *, events: tuple[TicketEvent, ...] = ()) -> views.TicketRow:
    asset = state.assets.get(ticket.asset)
    return views.TicketRow(
        id=ticket.id,
        kind=ticket.kind,
        priority=ticket.priority,
        asset=ticket.asset,
        label=asset.label if asset else "",
        ward=asset.ward if asset else "",
        title=ticket.title,
        state=ticket.state,
        opened_ms=ticket.opened_ms,
        last_seen_ms=ticket.last_seen_ms,
        occurrences=ticket.occurrences,
        explanation=sentences(ticket),
        checklist=ticket.checklist,
        events=tuple(views.EventRow(one.at_ms, one.who, one.to_state, one.note) for one in events),
        evidence=ticket.evidence,
        is_open=ticket.is_open,
    )
