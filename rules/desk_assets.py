"""What follows when people speak of assets and of the names under which devices speak for them.

Rule 1: what is wrong is refused as a whole, with a sentence; what is refused changes nothing.
Rule 2: an alias belongs to one asset at a time; whoever wants it of another asset has it released first.
Rule 3: no time that anyone gives lies in the future of the saying.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rules.assets import (
    EVER_MS,
    NEVER_MS,
    Asset,
    Said,
    amended,
    changed,
    claimed,
    confirmed,
    released,
    undone,
)
from rules.attributes import ENDED, Attribute, LifeCycle, Value
from rules.fleet import Fleet
from rules.identity import settle_identity
from rules.inputs import (
    AmendAsset,
    AssetInput,
    Baseline,
    ClaimAlias,
    ConfirmAlias,
    EnterAssets,
    NewAsset,
    ReleaseAlias,
    RetireAsset,
    alias_key,
)
from rules.judging import judge_asset, judge_standing_episodes, take_back, uncount_episodes
from rules.registry import is_weak
from rules.reviews import follow, open_review
from rules.words import TicketState
from telemetry.messages import Alias
from telemetry.times import from_ms

_RETIRE: Final = "retire an asset that is disposed or lost"


def take_asset_input(fleet: Fleet, said: AssetInput) -> str:
    """Let an input about assets take effect; the answer is why it was refused, empty if it was not."""
    match said:
        case EnterAssets():
            return _enter(fleet, said)
        case AmendAsset():
            return _amend(fleet, said)
        case ClaimAlias():
            return _claim(fleet, said)
        case ConfirmAlias():
            return _confirm(fleet, said)
        case ReleaseAlias():
            return _release(fleet, said)
        case RetireAsset():
            return _retire(fleet, said)


def _said(by: AssetInput) -> Said:
    return Said(at_ms=by.at_ms, by=by.by, reason=by.reason)


def _enter(fleet: Fleet, said: EnterAssets) -> str:
    if refusal := _cannot_enter(fleet, said):
        return refusal
    for new in said.assets:
        fleet.keep(_entered(new, said), at_ms=said.at_ms)
    open_review(fleet, said.batch, [new.id for new in said.assets], at_ms=said.at_ms)
    for new in said.assets:
        _judge(fleet, new.id, at_ms=said.at_ms)
    return ""


def _cannot_enter(fleet: Fleet, said: EnterAssets) -> str:
    assets = fleet.state.assets
    if any(asset.batch == said.batch for asset in assets.values()):
        return f"the batch {said.batch} has been entered already"
    for new in said.assets:
        if new.id in assets:
            return f"{new.id} is on record already"
        times = (value.from_ms for value in new.values)
        if refusal := _future(said.at_ms, *times, *_read_times(new.baselines)) or _ended(new.values):
            return f"{new.id}: {refusal}"
        for alias in new.aliases:
            if refusal := _cannot_hold(fleet, new.id, alias.alias, alias.from_ms, None, at_ms=said.at_ms):
                return f"{new.id}: {refusal}"
    return ""


def _entered(new: NewAsset, said: EnterAssets) -> Asset:
    asset = amended(Asset(id=new.id, batch=said.batch), new.values, said=_said(said))
    for one in new.aliases:
        asset = claimed(
            asset, one.alias, from_ms=one.from_ms, to_ms=None, confirmed_by=one.confirmed_by, said=_said(said)
        )
    return changed(asset, baselines=new.baselines)


def _amend(fleet: Fleet, said: AmendAsset) -> str:
    known = fleet.state.assets.get(said.asset)
    if known is None:
        return _unknown(said.asset)
    times = (value.from_ms for value in said.values)
    if refusal := _future(said.at_ms, *times, *_read_times(said.baselines)) or _ended(said.values):
        return refusal
    asset = known
    for number in said.undoes:
        change = next((one for one in known.changes if one.number == number), None)
        if change is None:
            return f"{said.asset} has no change {number}"
        if any(one.undoes == number for one in asset.changes) and change not in asset.standing_changes:
            return f"change {number} of {said.asset} is undone already"
        asset = undone(asset, change, said=_said(said))
    asset = amended(asset, said.values, said=_said(said))
    if asset.life_cycle in ENDED and known.life_cycle not in ENDED:
        return _RETIRE
    read = {(base.meter, base.provenance) for base in said.baselines}
    kept = tuple(base for base in asset.baselines if (base.meter, base.provenance) not in read)
    dated = tuple(
        base if base.read_ms is not None else base.model_copy(update={"read_ms": said.at_ms})
        for base in said.baselines
    )
    if dated:
        asset = changed(asset, baselines=(*kept, *dated))
    if asset is known:
        return f"{said.asset} says that already"
    fleet.keep(asset, at_ms=said.at_ms)
    if said.baselines:
        follow(fleet, said.asset, at_ms=said.at_ms, who=said.by)
    _judge(fleet, said.asset, at_ms=said.at_ms)
    return ""


def _claim(fleet: Fleet, said: ClaimAlias) -> str:
    known = fleet.state.assets.get(said.asset)
    if known is None:
        return _unknown(said.asset)
    if known.life_cycle in ENDED and said.to_ms is None:
        return f"{said.asset} is {known.life_cycle}; no device speaks for it any more"
    if refusal := _cannot_hold(fleet, said.asset, said.alias, said.from_ms, said.to_ms, at_ms=said.at_ms):
        return refusal
    asset = claimed(
        known,
        said.alias,
        from_ms=said.from_ms,
        to_ms=said.to_ms,
        confirmed_by=said.confirmed_by,
        said=_said(said),
    )
    fleet.keep(asset, at_ms=said.at_ms)
    settle_identity(fleet, said.alias, at_ms=said.at_ms, who=said.by)
    _judge(fleet, said.asset, at_ms=said.at_ms)
    return ""


def _confirm(fleet: Fleet, said: ConfirmAlias) -> str:
    known = fleet.state.assets.get(said.asset)
    if known is None:
        return _unknown(said.asset)
    held = known.holds(said.alias)
    if not held:
        return f"{said.asset} does not hold {_name(said.alias)}"
    latest = max(held, key=lambda one: one.end_ms)
    fleet.keep(confirmed(known, latest, said=_said(said)), at_ms=said.at_ms)
    settle_identity(fleet, said.alias, at_ms=said.at_ms, who=said.by)
    _judge(fleet, said.asset, at_ms=said.at_ms)
    return ""


def _release(fleet: Fleet, said: ReleaseAlias) -> str:
    known = fleet.state.assets.get(said.asset)
    if known is None:
        return _unknown(said.asset)
    if refusal := _future(said.at_ms, said.to_ms):
        return refusal
    asset = released(known, said.alias, to_ms=said.to_ms, said=_said(said))
    if asset is known:
        then = "" if said.to_ms is None else f" after {_when(said.to_ms)}"
        return f"{said.asset} does not hold {_name(said.alias)}{then}"
    fleet.keep(asset, at_ms=said.at_ms)
    settle_identity(fleet, said.alias, at_ms=said.at_ms, who=said.by)
    _judge(fleet, said.asset, at_ms=said.at_ms)
    return ""


def _retire(fleet: Fleet, said: RetireAsset) -> str:
    known = fleet.state.assets.get(said.asset)
    if known is None:
        return _unknown(said.asset)
    if known.life_cycle in ENDED:
        return f"{said.asset} is {known.life_cycle} already"
    if refusal := _future(said.at_ms, said.from_ms):
        return refusal
    end_ms = said.at_ms if said.from_ms is None else said.from_ms
    ended = Value(attribute=Attribute.LIFE_CYCLE, value=said.life_cycle, from_ms=end_ms)
    asset = amended(known, (ended,), said=_said(said))
    if asset.life_cycle is not LifeCycle(said.life_cycle):
        return f"something later than {_when(end_ms)} is on record of the life of {said.asset}; undo it first"
    for alias in dict.fromkeys(held.alias for held in known.held):
        asset = released(asset, alias, to_ms=end_ms, said=_said(said))
    for ticket in fleet.book.open_of(said.asset):
        note = f"{said.asset} is {said.life_cycle}: {said.reason}"
        fleet.book.end(ticket, TicketState.CANCELLED, at_ms=said.at_ms, who=said.by, note=note)
    uncount_episodes(fleet, said.asset)
    fleet.keep(asset, at_ms=said.at_ms)
    follow(fleet, said.asset, at_ms=said.at_ms, who=said.by)
    return ""


def _judge(fleet: Fleet, asset: str, *, at_ms: int) -> None:
    take_back(fleet, asset, at_ms=at_ms)
    judge_asset(fleet, asset, at_ms=at_ms, silence=False)
    judge_standing_episodes(fleet, asset, at_ms=at_ms)


def _cannot_hold(
    fleet: Fleet, asset: str, alias: Alias, from_ms: int | None, to_ms: int | None, *, at_ms: int
) -> str:
    """Why an asset cannot hold an alias for that time, empty if it can."""
    if refusal := _future(at_ms, from_ms, to_ms):
        return refusal
    begin_ms = EVER_MS if from_ms is None else from_ms
    end_ms = NEVER_MS if to_ms is None else to_ms
    if end_ms <= begin_ms:
        return "the claim ends before it begins"
    if from_ms is None and is_weak(alias, fleet.state.devices.get(alias_key(alias))):
        return f"{_name(alias)} is a port or a bed and no serial number: say since when the device is there"
    for one in fleet.directory.holders(alias_key(alias)):
        if one.asset != asset and one.held.overlaps(begin_ms, end_ms):
            since = "its first message" if one.held.from_ms is None else _when(one.held.from_ms)
            until = "" if one.held.to_ms is None else f" until {_when(one.held.to_ms)}"
            return f"{_name(alias)} belongs to {one.asset} since {since}{until}; release it there first"
    return ""


def _future(at_ms: int, *times: int | None) -> str:
    late = next((time for time in times if time is not None and time > at_ms), None)
    return "" if late is None else f"{_when(late)} lies in the future"


def _read_times(baselines: Iterable[Baseline]) -> tuple[int | None, ...]:
    return tuple(base.read_ms for base in baselines)


def _ended(values: Iterable[Value]) -> str:
    ends = {str(state) for state in ENDED}
    return (
        _RETIRE if any(one.attribute is Attribute.LIFE_CYCLE and one.value in ends for one in values) else ""
    )


def _unknown(asset: str) -> str:
    return f"{asset} is not on record"


def _name(alias: Alias) -> str:
    return " ".join(filter(None, alias_key(alias)))


def _when(ms: int) -> str:
    return from_ms(ms).strftime("%Y-%m-%d %H:%M UTC")
