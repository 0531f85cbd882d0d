"""From ledger and journal to what the page shows."""

from __future__ import annotations

from collector.ledger import Ledger
from desk import reading, views
from desk.settings import Settings
from rules.explain import sentences
from rules.overview import FleetRow, MeterRow, StandingRow, UnclaimedRow, fleet_rows, unclaimed_rows
from rules.state import State
from rules.tickets import Ticket


async def fleet(
    settings: Settings, ledger: Ledger, *, now_ms: int, note: str, not_acknowledging: str
) -> views.Fleet:
    """All that the page shows now. Raises Unavailable."""
    state, _ = await ledger.load()
    found = await reading.accounting_with(settings, ledger)
    total = found.total
    return views.Fleet(
        now_ms=now_ms,
        site_note=note,
        devices=tuple(_device(row, state) for row in fleet_rows(state)),
        unclaimed=tuple(map(_unclaimed, unclaimed_rows(state))),
        tickets=tuple(_ticket(ticket, state) for ticket in await ledger.tickets()),
        numbers=views.Numbers(
            received=total.received,
            stored=total.stored,
            pending=total.pending,
            dead_lettered=total.dead_lettered,
            duplicate=total.duplicate,
            quarantined=total.quarantined,
            privacy=total.privacy,
            missing=found.missing,
            lost=found.lost,
        ),
        not_acknowledging=not_acknowledging,
    )


def _device(row: FleetRow, state: State) -> views.DeviceRow:
    return views.DeviceRow(
        asset=row.asset,
        label=row.label,
        ward=row.ward,
        manufacturer=row.manufacturer,
        model=row.model,
        link=row.link,
        state=row.operating,
        heard_ms=row.heard_ms,
        meters=tuple(_meter(meter, row, state) for meter in row.meters),
    )


def _meter(meter: MeterRow, row: FleetRow, state: State) -> views.MeterRow:
    standing = next((one for one in row.standings if _is_about(one, meter, state)), None)
    active = state.rules.get(standing.rule) if standing else None
    every_h = active.rule.meter.every_h if active and active.rule.meter else 0.0
    due_h = standing.due_h if standing else None
    return views.MeterRow(
        name=meter.name,
        provenance=meter.provenance,
        low_h=meter.low_h,
        high_h=meter.high_h,
        coverage=meter.coverage,
        due_h=due_h,
        standing=standing.standing if standing else None,
        done_h=0.0 if due_h is None else due_h - every_h,
    )


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
    )


def _ticket(ticket: Ticket, state: State) -> views.TicketRow:
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
    )
