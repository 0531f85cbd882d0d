"""What follows when people and settings speak: of assets, rules in force, and tickets.

Rule 1: what is wrong is refused as a whole, with a sentence; what is refused changes nothing.
Rule 2: a ticket about a meter closes with its reading only.
Rule 3: a reading that lies within what the meter may show corrects it for every rule; one that does not
means that the meter is another, and the use since last work is kept for the other rules.
"""

from __future__ import annotations

from rules.desk_assets import take_asset_input
from rules.fleet import Fleet
from rules.inputs import (
    AcknowledgeTicket,
    AmendAsset,
    ClaimAlias,
    CloseTicket,
    ConfirmAlias,
    DeskInput,
    EnterAssets,
    Registry,
    ReleaseAlias,
    RetireAsset,
    RuleSet,
)
from rules.judging import judge_asset, judge_standing_episodes
from rules.meters import ROUNDING_H
from rules.reviews import reviewed
from rules.settings_assets import take_registry
from rules.state import RuleState
from rules.tickets import MeterRef, Ticket
from rules.words import Standing, TicketKind, TicketState
from telemetry.messages import Provenance


def take_input(fleet: Fleet, desk_input: DeskInput) -> str:
    """Let an input take effect; the answer is why it was refused, empty if it was not."""
    match desk_input:
        case Registry(at_ms=at_ms):
            take_registry(fleet, desk_input)
            _judge_all(fleet, at_ms=at_ms)
            return ""
        case RuleSet(at_ms=at_ms, rules=rules):
            fleet.activate(rules)
            _judge_all(fleet, at_ms=at_ms)
            return ""
        case AcknowledgeTicket():
            return _acknowledge(fleet, desk_input)
        case CloseTicket():
            return _close(fleet, desk_input)
        case EnterAssets() | AmendAsset() | ClaimAlias() | ConfirmAlias() | ReleaseAlias() | RetireAsset():
            return take_asset_input(fleet, desk_input)


def _judge_all(fleet: Fleet, *, at_ms: int) -> None:
    for asset in sorted(fleet.state.assets):
        judge_asset(fleet, asset, at_ms=at_ms, silence=False)
        judge_standing_episodes(fleet, asset, at_ms=at_ms)


def _acknowledge(fleet: Fleet, said: AcknowledgeTicket) -> str:
    ticket = fleet.book.get(said.ticket)
    if ticket is None:
        return f"{said.ticket} is not an open ticket"
    if ticket.state is not TicketState.OPEN:
        return f"{said.ticket} is {ticket.state} already"
    fleet.book.move(ticket, TicketState.ACKNOWLEDGED, at_ms=said.at_ms, who=said.by, note=said.note)
    return ""


def _close(fleet: Fleet, said: CloseTicket) -> str:
    ticket = fleet.book.get(said.ticket)
    if ticket is None:
        return f"{said.ticket} is not an open ticket"
    if ticket.meter is not None and said.reading is None:
        return f"{said.ticket} closes with a reading of {ticket.meter.name}"
    if ticket.meter is None and said.reading is not None:
        return f"{said.ticket} is about no meter; close it without a reading"
    _end(fleet, ticket, said, note=said.note)
    if ticket.meter is not None and said.reading is not None:
        _write_down(fleet, ticket, ticket.meter, said, reading=said.reading)
        judge_asset(fleet, ticket.asset, at_ms=said.at_ms, silence=False)
    for asset in reviewed(ticket):
        judge_asset(fleet, asset, at_ms=said.at_ms, silence=False)
    return ""


def _end(fleet: Fleet, ticket: Ticket, said: CloseTicket, *, note: str) -> None:
    fleet.book.end(ticket, TicketState.CLOSED, at_ms=said.at_ms, who=said.by, note=note, reading=said.reading)


def _write_down(fleet: Fleet, ticket: Ticket, meter: MeterRef, said: CloseTicket, *, reading: float) -> None:
    shift_h = _rebase(fleet, ticket, meter, said, reading=reading)
    for standing in list(fleet.state.rule_states.values()):
        if standing.asset != ticket.asset or standing.meter != meter:
            continue
        if standing.rule == ticket.rule and ticket.kind is not TicketKind.DATA:
            fleet.stand(_done(standing, reading=reading))
        elif standing.last_done is not None and shift_h:
            fleet.stand(standing.model_copy(update={"last_done": standing.last_done + shift_h}))
    for other in fleet.book.open_of(ticket.asset):
        if other.kind is TicketKind.DATA and other.meter == meter:
            _end(fleet, other, said, note=f"answered by the reading of {ticket.id}")
    for standing in list(fleet.state.rule_states.values()):
        mine = standing.asset == ticket.asset and standing.meter == meter
        if mine and standing.standing is Standing.ASKED:
            fleet.stand(standing.model_copy(update={"standing": Standing.OK}))


def _done(standing: RuleState, *, reading: float) -> RuleState:
    return standing.model_copy(
        update={
            "last_done": reading,
            "last_done_known": True,
            "cycle": standing.cycle + 1,
            "standing": Standing.OFF if standing.standing is Standing.OFF else Standing.OK,
        }
    )


def _rebase(fleet: Fleet, ticket: Ticket, meter: MeterRef, said: CloseTicket, *, reading: float) -> float:
    """Re-base the asset's derived meter; the answer is by how much the meter proved to be another one."""
    if meter.provenance is not Provenance.DERIVED:
        return 0.0
    now_ms = fleet.state.engineering.now_ms
    level = fleet.directory.meter(ticket.asset, meter.name, meter.provenance, now_ms=now_ms)
    reason = f"reading by {said.by} at {ticket.id}"
    fleet.write_down(ticket.asset, meter.name, reading, at_ms=said.at_ms, reason=reason)
    if level is None or level.low_h - ROUNDING_H <= reading <= level.high_h + ROUNDING_H:
        return 0.0
    return reading - level.low_h
