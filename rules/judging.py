"""From verdicts to tickets: what a rule's conditions together ask for, once for each cause.

Rule 1: `any` opens on each condition; `all` opens when the others hold too.
Rule 2: a rule with a meter has a cause for each cycle, so faults in a cycle count on its ticket; a rule
without one has a cause for each asset.
Rule 3: while an import is under review, nothing is asked of the assets on it a second time.
Rule 4: a request for a reading ends by itself when the work is due anyway, or when what was missing came in.
"""

from __future__ import annotations

from dataclasses import replace

from rules.attributes import SPEAKING
from rules.book import Work, rule_origin
from rules.conditions import Judgement, Verdict, episode_evidence, holding, judge, matches
from rules.documents import MeterCondition
from rules.episodes import Edge, Episode, Life
from rules.fleet import Fleet
from rules.inputs import ActiveRule
from rules.reviews import quiet
from rules.state import Device, RuleState
from rules.tickets import ENGINE, Evidence
from rules.words import Standing, TicketKind, TicketPriority, TicketState


def cause_of(fleet: Fleet, asset: str, active: ActiveRule) -> str:
    """The cause under which a rule's own ticket for an asset is known."""
    rule = active.rule
    if rule.meter is None:
        return f"fault:{asset}:{rule.id}"
    return f"pm:{asset}:{rule.id}:{fleet.state.rule_states[asset, rule.id].cycle}"


def judge_asset(fleet: Fleet, asset: str, *, at_ms: int, silence: bool) -> None:
    """Judge all meters of an asset; with `silence`, time without a reading until now counts as unknown.

    Not so of an asset that is in store, on loan or away: there it need not be heard.
    """
    silence = silence and fleet.state.assets[asset].life_cycle in SPEAKING
    for active in fleet.directory.metered_of(asset):
        condition = active.rule.meter
        standing = fleet.state.rule_states[asset, active.rule.id]
        if condition is None or standing.standing is Standing.DUE:
            continue
        level = fleet.directory.level(asset, condition, now_ms=at_ms if silence else None)
        verdict = judge(condition, level, standing, at_ms=at_ms)
        _settle(fleet, active, standing, condition, verdict, at_ms=at_ms)


def _settle(
    fleet: Fleet,
    active: ActiveRule,
    standing: RuleState,
    condition: MeterCondition,
    verdict: Verdict,
    *,
    at_ms: int,
) -> None:
    asset = standing.asset
    judgement = verdict.judgement
    evidence = _all_evidence(fleet, asset, active, verdict) if judgement is Judgement.DUE else None
    asks = judgement is Judgement.ASK
    if judgement is Judgement.UNKNOWN:
        _stand(fleet, standing, Standing.UNKNOWN, why=verdict.why)
    elif (asks or evidence is not None) and (why := quiet(fleet, asset, active.rule.id, asks=asks)):
        _stand(fleet, standing, Standing.UNKNOWN, why=why)
    elif judgement is Judgement.ASK:
        if fleet.book.open_for(cause_of(fleet, asset, active)) is None:
            if standing.standing is not Standing.ASKED:
                fleet.book.want(_asking(active, standing, condition, verdict, at_ms=at_ms))
            _stand(fleet, standing, Standing.ASKED)
    elif evidence is None:
        if standing.standing is Standing.ASKED:
            stop_asking(fleet, standing, at_ms=at_ms, note="what was missing has come in")
        _stand(fleet, standing, Standing.OK)
    else:
        if standing.standing is Standing.ASKED:
            stop_asking(fleet, standing, at_ms=at_ms, note="the work itself is due")
        if fleet.book.open_for(cause_of(fleet, asset, active)) is None:
            work = _own_work(fleet, asset, active, evidence, at_ms=at_ms)
            fleet.book.want(replace(work, missed_cycles=verdict.missed_cycles))
        _stand(fleet, standing, Standing.DUE)


def take_back(fleet: Fleet, asset: str, *, at_ms: int) -> None:
    """Cancel work that is due by hours that turned out to be of another device, or not to be there."""
    for active in fleet.directory.metered_of(asset):
        condition = active.rule.meter
        standing = fleet.state.rule_states[asset, active.rule.id]
        ticket = fleet.book.open_for(cause_of(fleet, asset, active))
        if condition is None or standing.standing is not Standing.DUE or ticket is None:
            continue
        level = fleet.directory.level(asset, condition, now_ms=None)
        verdict = judge(condition, level, standing, at_ms=at_ms)
        if verdict.judgement is Judgement.DUE or any(one.about != "meter" for one in ticket.evidence):
            continue
        note = "the hours that it rested on are no longer this asset's"
        fleet.book.end(ticket, TicketState.CANCELLED, at_ms=at_ms, who=ENGINE, note=note)
        _stand(fleet, standing, Standing.UNKNOWN, why="not judged yet")


def _stand(fleet: Fleet, known: RuleState, standing: Standing, *, why: str = "") -> None:
    if known.standing is not standing or known.why != why:
        fleet.stand(known.model_copy(update={"standing": standing, "why": why}))


def _asking(
    active: ActiveRule, standing: RuleState, condition: MeterCondition, verdict: Verdict, *, at_ms: int
) -> Work:
    return Work(
        cause=asking_cause(standing),
        kind=TicketKind.DATA,
        priority=TicketPriority.P4,
        asset=standing.asset,
        origin=rule_origin(active),
        title=f"Reading wanted for: {active.rule.title}",
        action=f"Read {condition.name} at the device and close this ticket with the reading.",
        evidence=(verdict.evidence,) if verdict.evidence is not None else (),
        at_ms=at_ms,
    )


def asking_cause(standing: RuleState) -> str:
    """The cause under which a rule's request for a reading is known."""
    return f"data:{standing.asset}:{standing.rule}:{standing.cycle}"


def stop_asking(fleet: Fleet, standing: RuleState, *, at_ms: int, note: str) -> None:
    """Cancel a rule's request for a reading that is no longer wanted."""
    if (ticket := fleet.book.open_for(asking_cause(standing))) is not None:
        fleet.book.end(ticket, TicketState.CANCELLED, at_ms=at_ms, who=ENGINE, note=note)


def judge_episode(
    fleet: Fleet, asset: str, device: Device, episode: Episode, *, edge: Edge, at_ms: int
) -> None:
    """Count a new occurrence for each rule that names it; note when the last one of a rule has ended."""
    if edge not in {Edge.BEGAN, Edge.ENDED}:
        return
    for active in fleet.directory.rules_of(asset):
        entries = [entry for entry in active.rule.conditions if matches(entry, episode)]
        if not entries:
            continue
        if edge is Edge.BEGAN:
            _count_episode(fleet, asset, active, device, episode, at_ms=at_ms)
        elif not any(holding(entry, _standing_episodes(fleet, asset)) for entry in active.rule.conditions):
            fleet.book.clear(cause_of(fleet, asset, active), at_ms=at_ms)


def judge_standing_episodes(fleet: Fleet, asset: str, *, at_ms: int) -> None:
    """Count what stands already, when a device is claimed or a rule is put in force."""
    for key, device in fleet.directory.devices_of(asset):
        for episode in device.episodes.values():
            for active in fleet.directory.rules_of(asset):
                new = episode.life is Life.ACTIVE and _counted(asset, active) not in episode.counted_by
                if new and any(matches(entry, episode) for entry in active.rule.conditions):
                    fleet.touch(key)
                    _count_episode(fleet, asset, active, device, episode, at_ms=at_ms)


def uncount_episodes(fleet: Fleet, asset: str) -> None:
    """Forget what was counted for an asset whose tickets are cancelled: if it comes back, it counts anew."""
    for key, device in fleet.directory.devices_of(asset):
        for episode in device.episodes.values():
            others = tuple(mark for mark in episode.counted_by if mark.split()[0] != asset)
            if others != episode.counted_by:
                episode.counted_by = others
                fleet.touch(key)


def _count_episode(
    fleet: Fleet, asset: str, active: ActiveRule, device: Device, episode: Episode, *, at_ms: int
) -> None:
    evidence: tuple[Evidence, ...] | None = (
        episode_evidence(episode, device=f"{device.publisher}/{device.name}"),
    )
    if active.rule.all_of:
        verdict = None
        if (condition := active.rule.meter) is not None:
            level = fleet.directory.level(asset, condition, now_ms=None)
            standing = fleet.state.rule_states[asset, active.rule.id]
            verdict = judge(condition, level, standing, at_ms=at_ms)
        evidence = _all_evidence(fleet, asset, active, verdict)
    if evidence is None:
        return
    episode.counted_by = (*episode.counted_by, _counted(asset, active))
    fleet.book.want(_own_work(fleet, asset, active, evidence, at_ms=at_ms))
    if active.rule.all_of and active.rule.meter is not None:
        _stand(fleet, fleet.state.rule_states[asset, active.rule.id], Standing.DUE)


def _counted(asset: str, active: ActiveRule) -> str:
    """The mark of an occurrence that was counted for a rule of an asset."""
    return f"{asset} {active.rule.id}"


def _standing_episodes(fleet: Fleet, asset: str) -> tuple[Episode, ...]:
    return tuple(
        episode
        for _, device in fleet.directory.devices_of(asset)
        for episode in device.episodes.values()
        if episode.life is Life.ACTIVE
    )


def _all_evidence(
    fleet: Fleet, asset: str, active: ActiveRule, verdict: Verdict | None
) -> tuple[Evidence, ...] | None:
    """Of an `any` rule the meter's evidence; of an `all` rule that of every condition, or None."""
    due = verdict.evidence if verdict is not None and verdict.judgement is Judgement.DUE else None
    if active.rule.any_of:
        return (due,) if due is not None else None
    found: list[Evidence] = []
    for entry in active.rule.all_of:
        if entry.meter is not None:
            if due is None:
                return None
            found.append(due)
            continue
        held = next(
            (
                episode_evidence(episode, device=f"{device.publisher}/{device.name}")
                for _, device in fleet.directory.devices_of(asset)
                if (episode := holding(entry, tuple(device.episodes.values()))) is not None
            ),
            None,
        )
        if held is None:
            return None
        found.append(held)
    return tuple(found)


def _own_work(
    fleet: Fleet, asset: str, active: ActiveRule, evidence: tuple[Evidence, ...], *, at_ms: int
) -> Work:
    rule = active.rule
    return Work(
        cause=cause_of(fleet, asset, active),
        kind=rule.kind,
        priority=rule.priority,
        asset=asset,
        origin=rule_origin(active),
        title=rule.title,
        action=rule.action,
        evidence=evidence,
        at_ms=at_ms,
    )
