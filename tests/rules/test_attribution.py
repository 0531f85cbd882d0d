"""Each hour belongs to one asset or to none, whatever people claim, release, move and undo, at any date."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.attributes import Attribute, Value
from rules.engine import Engine
from rules.hours import counted_ms
from rules.inputs import (
    AliasKey,
    AmendAsset,
    ClaimAlias,
    DeskInput,
    EnterAssets,
    NewAsset,
    ReleaseAlias,
    alias_key,
)
from rules.overview import fleet_rows, unclaimed_rows
from rules.registry import Directory
from rules.state import State
from telemetry.messages import Alias, MeterName, OperatingState, Strength
from telemetry.records import Journaled
from tests.rules.scene import BEGIN, HOUR, Journal, Kept, rules_in_force, usage

NAME = MeterName.VENTILATION_H
ASSETS = ("V-1", "V-2", "V-3")
STRONG = Alias(protocol="puritan-bennett", namespace="840", identifier="1")
WEAK = Alias(protocol="medibus", namespace="port", identifier="bed-1", strength=Strength.WEAK)
ALIASES = (STRONG, WEAK)
FIRST = EnterAssets(
    at_ms=BEGIN, by="An", reason="fleet list", batch="b", assets=tuple(NewAsset(id=asset) for asset in ASSETS)
)
Step = tuple[str, object]


def at(hours: int | None) -> int | None:
    """Some minutes off the hour: people's dates are not the devices'."""
    return None if hours is None else BEGIN + hours * HOUR + 420_000


DATES = st.one_of(st.none(), st.integers(-5, 200))
SAID = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from(ASSETS), st.sampled_from(ALIASES), DATES, DATES),
    st.tuples(st.just("release"), st.sampled_from(ASSETS), st.sampled_from(ALIASES), DATES, st.none()),
    st.tuples(st.just("move"), st.sampled_from(ASSETS), st.just(STRONG), DATES, st.none()),
    st.tuples(st.just("use"), st.just(""), st.sampled_from(ALIASES), st.integers(1, 30), st.none()),
    st.tuples(st.just("rest"), st.just(""), st.sampled_from(ALIASES), st.integers(1, 60), st.none()),
)
Words = list[tuple[str, str, Alias, int | None, int | None]]


def play(words: Words) -> tuple[Engine, Kept]:
    """What became of it, in memory and written down after every word."""
    engine, journal, kept = Engine(State()), Journal(), Kept()
    engine.take(rules_in_force())
    engine.take(FIRST)
    for what, asset, alias, hours, until in words:
        for step in _steps(journal, what, asset, alias, hours, until):
            if isinstance(step, Journaled):
                engine.apply(step)
            else:
                engine.take(step)
        kept.keep(engine.changes())
        engine_again = kept.restart()
        assert engine_again.state == engine.state
    return engine, kept


def _steps(
    journal: Journal, what: str, asset: str, alias: Alias, hours: int | None, until: int | None
) -> list[DeskInput | Journaled]:
    now_ms = journal.now_ms
    by = {"at_ms": now_ms, "by": "An", "reason": "so it is", "asset": asset}
    match what:
        case "claim":
            return [
                ClaimAlias.model_validate(by | {"alias": alias, "from_ms": at(hours), "to_ms": at(until)})
            ]
        case "release":
            return [ReleaseAlias.model_validate(by | {"alias": alias, "to_ms": at(hours)})]
        case "move":
            ward = Value(attribute=Attribute.WARD, value=f"ward {hours}", from_ms=at(hours))
            return [AmendAsset.model_validate(by | {"values": (ward,)})]
        case "use":
            device = alias.identifier
            return [
                journal.say(usage(), alias=alias, device=device, after_ms=HOUR) for _ in range(hours or 0)
            ]
    journal.now_ms += (hours or 0) * HOUR
    resting = usage(OperatingState.STANDBY)
    return [journal.say(resting, alias=alias, device=alias.identifier)]


def shares(state: State, key: AliasKey) -> dict[str, int]:
    """What of a device belongs to each asset, and to none under the empty name."""
    directory, device = Directory(state), state.devices[key]
    ends = sorted({end for one in directory.holders(key) for end in (one.begin_ms, one.end_ms)})
    ends = [-(2**62), *ends, 2**62]
    found: dict[str, int] = {}
    for begin_ms, end_ms in pairwise(ends):
        owner = directory.asset_of(key, begin_ms) or ""
        share = counted_ms(NAME, device, begin_ms=begin_ms, end_ms=end_ms)
        assert share >= 0
        found[owner] = found.get(owner, 0) + share
    return found


def told(engine: Engine) -> dict[str, float]:
    """Hours as the desk shows them, by asset, and those that nobody claims under the empty name."""
    rows = {row.asset: sum(m.low_h for m in row.meters if m.name is NAME) for row in fleet_rows(engine.state)}
    rows[""] = sum(m.low_h for row in unclaimed_rows(engine.state) for m in row.meters if m.name is NAME)
    return rows


@given(st.lists(SAID, max_size=25))
@settings(max_examples=150, deadline=None)
@example(
    [("use", "", STRONG, 20, None), ("claim", "V-1", STRONG, 5, None), ("claim", "V-2", STRONG, None, 5)]
)
def test_the_hours_of_all_assets_and_of_nobody_are_all_that_were_observed(words: Words) -> None:
    engine, _ = play(words)
    for key, device in engine.state.devices.items():
        meter = device.derived.get(NAME)
        assert sum(shares(engine.state, key).values()) == (meter.counted_ms if meter else 0)


@given(st.lists(SAID, max_size=15), st.sampled_from(ASSETS), st.sampled_from(ALIASES), st.integers(-5, 100))
@settings(max_examples=100, deadline=None)
def test_a_claim_that_is_withdrawn_leaves_every_hour_where_it_was(
    words: Words, asset: str, alias: Alias, since: int
) -> None:
    engine, _ = play(words)
    now_ms = BEGIN + 5_000 * HOUR
    by = {"at_ms": now_ms, "by": "An", "reason": "so it is", "asset": asset, "alias": alias}
    known = engine.state.assets[asset]
    before = {key: shares(engine.state, key) for key in engine.state.devices}
    claim = ClaimAlias.model_validate(by | {"from_ms": at(since)})
    if known.holds(alias) or engine.take(claim):
        return
    entries = len(engine.state.assets[asset].spoken)
    assert engine.take(ReleaseAlias.model_validate(by)) == ""
    after = {key: shares(engine.state, key) for key in engine.state.devices}
    assert {key: _only(found) for key, found in after.items()} == {
        key: _only(found) for key, found in before.items()
    }
    assert len(engine.state.assets[asset].spoken) == entries + 1, "nothing was overwritten"


def _only(found: dict[str, int]) -> dict[str, int]:
    return {owner: share for owner, share in found.items() if share}


@given(st.lists(SAID, max_size=20))
@settings(max_examples=50, deadline=None)
def test_no_alias_belongs_to_two_assets_at_a_time(words: Words) -> None:
    engine, _ = play(words)
    directory = Directory(engine.state)
    for alias in ALIASES:
        for earlier, later in pairwise(directory.holders(alias_key(alias))):
            assert earlier.end_ms <= later.begin_ms


@given(st.lists(SAID, max_size=15))
@settings(max_examples=50, deadline=None)
def test_the_same_words_lead_to_the_same_state(words: Words) -> None:
    one, other = play(words), play(words)
    assert one[0].state == other[0].state
    assert one[1].events == other[1].events


def test_the_desk_shows_exactly_these_shares() -> None:
    engine, _ = play(
        [
            ("use", "", STRONG, 40, None),
            ("use", "", WEAK, 10, None),
            ("claim", "V-1", STRONG, None, 10),
            ("claim", "V-2", STRONG, 20, None),
            ("use", "", STRONG, 5, None),
        ]
    )
    found = shares(engine.state, alias_key(STRONG))
    assert found[""] == 10 * HOUR
    shown = told(engine)
    assert (shown["V-1"], shown["V-2"]) == (found["V-1"] / HOUR, found["V-2"] / HOUR)
    assert shown[""] == 9, (
        "the other device: what nobody claims of the first belongs to a device that is claimed"
    )
