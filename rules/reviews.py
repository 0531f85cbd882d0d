"""One review for an import, not a ticket for each asset: which meters nobody has read, and what is overdue.

Rule 1: while a review is open no rule asks for a reading of an asset on it, and what was due already when it
was entered opens no ticket. What comes due later does.
Rule 2: a reading entered takes its asset off the review; once it ends, whatever is due opens its ticket.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rules.attributes import ENDED, Funding
from rules.book import Work, own_origin
from rules.conditions import Judgement, judge
from rules.fleet import Fleet
from rules.meters import Level
from rules.tickets import BaselineEvidence, Ticket, ToReview
from rules.words import TicketKind, TicketPriority, TicketState

ORIGIN: Final = "baseline-review"


def cause_of_review(batch: str) -> str:
    """The cause under which the review of an import is known."""
    return f"baseline_review:{batch}"


def open_review(fleet: Fleet, batch: str, assets: Iterable[str], *, at_ms: int) -> None:
    """Open the review of an import, unless nothing is missing."""
    missing = tuple(found for asset in assets if (found := _to_review(fleet, asset, at_ms=at_ms)) is not None)
    if not missing:
        return
    fleet.book.want(
        Work(
            cause=cause_of_review(batch),
            kind=TicketKind.DATA,
            priority=TicketPriority.P4,
            asset="",
            origin=own_origin(ORIGIN),
            title=f"First readings wanted after the import {batch}",
            action="Read the meters at these devices and look up when work was last done; enter both.",
            evidence=(BaselineEvidence(batch=batch, missing=missing, of=len(missing)),),
            at_ms=at_ms,
        )
    )


def review_of(fleet: Fleet, asset: str) -> tuple[Ticket, ToReview] | None:
    """The open review that lists an asset, and what it wants of it."""
    known = fleet.state.assets.get(asset)
    if known is None or not known.batch:
        return None
    ticket = fleet.book.open_for(cause_of_review(known.batch))
    found = next((one for one in _missing(ticket) if one.asset == asset), None) if ticket else None
    return (ticket, found) if ticket is not None and found is not None else None


def quiet(fleet: Fleet, asset: str, rule: str, *, asks: bool) -> str:
    """Why a rule that asks, or whose work is due, says nothing of an asset; empty if it speaks."""
    found = review_of(fleet, asset)
    if found is None or not (asks or rule in found[1].due):
        return ""
    return f"{found[0].id} asks for its first reading"


def follow(fleet: Fleet, asset: str, *, at_ms: int, who: str) -> None:
    """Take an asset off its review once its readings are there; the last one closes the review."""
    listed = review_of(fleet, asset)
    wanted = _to_review(fleet, asset, at_ms=at_ms)
    if listed is None or (wanted is not None and (wanted.meters or wanted.donated)):
        return
    ticket = listed[0]
    left = tuple(one for one in _missing(ticket) if one.asset != asset)
    found = ticket.evidence[0]
    if isinstance(found, BaselineEvidence):
        fleet.book.restate(ticket, (found.model_copy(update={"missing": left}),))
    if not left and (still := fleet.book.get(ticket.id)) is not None:
        fleet.book.end(still, TicketState.CLOSED, at_ms=at_ms, who=who, note="every reading is there")


def reviewed(ticket: Ticket) -> tuple[str, ...]:
    """The assets that a review still lists."""
    return tuple(one.asset for one in _missing(ticket))


def _missing(ticket: Ticket) -> tuple[ToReview, ...]:
    return tuple(
        one for found in ticket.evidence if isinstance(found, BaselineEvidence) for one in found.missing
    )


def _to_review(fleet: Fleet, asset: str, *, at_ms: int) -> ToReview | None:
    known = fleet.state.assets[asset]
    unread, due = [], []
    for active in fleet.directory.metered_of(asset):
        condition = active.rule.meter
        if condition is None:
            continue
        base = fleet.directory.baseline(asset, condition.name, condition.provenance)
        level = fleet.directory.level(asset, condition, now_ms=None)
        if base is None:
            unread.append(condition.name)
        elif level is None:
            level = Level(base.reading, base.reading, coverage=1.0, since_ms=at_ms, elapsed_h=0.0)
        verdict = judge(condition, level, fleet.state.rule_states[asset, active.rule.id], at_ms=at_ms)
        if verdict.judgement in {Judgement.DUE, Judgement.ASK}:
            due.append(active.rule.id)
    donated = known.funding == Funding.DONATION and not known.baselines
    if known.life_cycle in ENDED:
        return None
    if not (unread or due or donated):
        return None
    return ToReview(asset=asset, meters=tuple(dict.fromkeys(unread)), due=tuple(due), donated=donated)
