"""The same records and inputs give the same tickets, in one go, restarted anywhere, and with duplicates."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from rules.engine import Engine
from rules.inputs import CloseTicket, DeskInput
from rules.state import State
from rules.tickets import Ticket, TicketEvent
from telemetry.messages import LinkState, OperatingState, Phase, Status
from telemetry.records import Journaled, Record, Started
from tests.rules.scene import (
    HOUR,
    Journal,
    Kept,
    alarm,
    fault,
    registry,
    rules_in_force,
    usage,
)

Step = Record | DeskInput


def history(seed: int) -> tuple[Step, ...]:
    """A few weeks of one device: use, rest, silence, faults, closings, restarts of host and collector."""
    rng = random.Random(seed)  # noqa: S311 - a story, not a secret
    journal = Journal()
    steps: list[Step] = [rules_in_force(), registry()]
    occurrence = 0
    for _ in range(320):
        steps.append(journal.tick(HOUR))
        chance = rng.random()
        if chance < 0.75:
            steps.append(journal.say(usage(OperatingState.IN_USE)))
        elif chance < 0.85:
            steps.append(journal.say(usage(OperatingState.STANDBY)))
        elif chance < 0.88:
            occurrence += 1
            steps.append(journal.say(fault(key=f"A5/x/{occurrence}")))
        elif chance < 0.91:
            steps.append(journal.say(fault(phase=Phase.END, key=f"A5/x/{occurrence}")))
        elif chance < 0.93:
            steps.append(journal.say(alarm(phase=Phase.PRESENT, key=f"122/{rng.random()}")))
        elif chance < 0.95:
            number = rng.randint(1, 6)
            reading = rng.choice((None, 250.0 * number))
            steps.append(CloseTicket(at_ms=journal.now_ms, ticket=f"T-{number}", by="An", reading=reading))
        elif chance < 0.96:
            journal.boot = f"boot-{rng.random()}"
        elif chance < 0.97:
            steps.append(Started(journal.position, journal.now_ms))
        elif chance < 0.98:
            link = Status(link=rng.choice(tuple(LinkState)), connection="c")
            steps.append(journal.say(link, alias=None, device="_link"))
    return tuple(steps)


def feed(engine: Engine, steps: Iterable[Step]) -> None:
    for step in steps:
        if isinstance(step, Record):
            engine.apply(step)
        else:
            engine.take(step)


def outcome(kept: Kept) -> tuple[dict[str, Ticket], list[TicketEvent]]:
    return kept.tickets, kept.events


def in_one_go(steps: tuple[Step, ...]) -> Kept:
    engine, kept = Engine(State()), Kept()
    feed(engine, steps)
    kept.keep(engine.changes())
    return kept


@pytest.mark.parametrize("seed", range(4))
def test_replayed_and_reloaded_before_every_record_the_same_tickets_follow(seed: int) -> None:
    steps = history(seed)
    once = in_one_go(steps)
    assert len(once.tickets) >= 2, "a history without tickets proves nothing"
    assert outcome(in_one_go(steps)) == outcome(once)
    kept = Kept()
    for step in steps:
        engine = kept.restart()
        feed(engine, (step,))
        kept.keep(engine.changes())
    assert outcome(kept) == outcome(once)
    assert kept.state.devices == once.state.devices
    assert kept.state.rule_states == once.state.rule_states
    assert kept.state.assets == once.state.assets
    assert kept.state.meters == once.state.meters
    assert kept.state.ports == once.state.ports
    assert kept.state.engineering == once.state.engineering


@pytest.mark.parametrize("seed", range(4))
def test_messages_heard_twice_give_the_same_tickets(seed: int) -> None:
    steps = history(seed)
    rng = random.Random(seed)  # noqa: S311 - a story, not a secret
    noisy: list[Step] = []
    for step in steps:
        noisy.append(step)
        heard = [earlier for earlier in noisy[-20:] if isinstance(earlier, Journaled)]
        if heard and rng.random() < 0.3:
            noisy.append(rng.choice(heard))
    tickets, events = outcome(in_one_go(tuple(noisy)))
    assert (tickets, events) == outcome(in_one_go(steps))


def test_changes_are_taken_out_once() -> None:
    engine = Engine(State())
    feed(engine, history(1))
    first, second = engine.changes(), engine.changes()
    assert first.tickets
    assert first.devices
    assert (second.tickets, second.events, second.devices, second.rule_states) == ((), (), (), ())
    assert (second.assets, second.meters, second.ports) == ((), (), ())
    assert second.rules is None
