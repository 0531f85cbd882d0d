"""An hour with a MEDIBUS device in virtual time: it shows no communication error, and tells all that it can.

Delays stay below what the protocol allows: answers within ten seconds, and no way so long that three seconds
pass without a word.
"""

from __future__ import annotations

from collections import Counter

import pytest

from adapters.simulators.medibus_device import (
    AT_WORK,
    EVITA_4,
    KINDS,
    SAVINA,
    STANDING_BY,
    Device,
    Habits,
    Kind,
    Shows,
)
from telemetry.messages import Usage
from tests.adapters.laws import broken_occurrences
from tests.adapters.medibus_line import CLOCK, Line, device, dice
from tests.adapters.ventilators import bodies, edges

HOUR_S = 3600.0
MAY_SEND = frozenset({0x51, 0x52, 0x30, 0x24, 0x27, 0x28, 0x2A, 0x2E, 0x4A, 0x55})
USUAL = Habits(slowest_s=1.0, embeds=0.2, realtime=0.2)
SLOW = Habits(slowest_s=9.5, embeds=0.1)
NOISY = Habits(slowest_s=0.5, embeds=0.2, realtime=0.2, spoils=0.03)
HABITS = (USUAL, SLOW, NOISY)
BATTERY = Shows(alarms_2=((6, "5A", "INT BATT ON"),), values=AT_WORK.values)
FAULT = Shows(alarms_1=((31, "9F", "SAVINA ERR"),))
SIMULATION = Shows(texts=(("62", "SIMULATION"),), values=AT_WORK.values)


def hour(kind: Kind, *, seed: int, habits: Habits) -> Line:
    """A line in use for an hour, each byte up to 0.4 s on its way, the host up to 0.4 s late."""
    line = Line(device(kind, seed=seed, habits=habits), dice(seed), slowest_s=0.4, late_s=0.4)
    line.connect()
    line.run(HOUR_S)
    return line


@pytest.mark.parametrize("habits", HABITS, ids=["usual", "slow", "noisy"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_hour_goes_by_without_one_communication_error(kind: Kind, habits: Habits) -> None:
    line = hour(kind, seed=KINDS.index(kind) + 3 * HABITS.index(habits), habits=habits)
    tally = line.device.tally
    assert (tally.communication_errors, tally.why) == (0, [])
    assert (tally.starts, tally.stops, tally.too_early, tally.damaged) == (1, 0, 0, 0)
    assert tally.asked.keys() <= MAY_SEND
    assert (tally.naks > 0) == (habits is NOISY)
    states = Counter(body.state.value for body in bodies(line.said) if isinstance(body, Usage))
    assert states["in_use"] >= (90 if habits is SLOW else 115)
    assert states.keys() <= {"in_use", "unknown"}


def test_all_that_happens_in_an_hour_is_told_once_and_in_order() -> None:
    script = ((600, AT_WORK), (1200, BATTERY), (1800, STANDING_BY), (2400, SIMULATION), (3000, FAULT))

    def shows(at: float) -> Shows:
        return next((one for until, one in script if at < until), AT_WORK)

    line = Line(Device(SAVINA, shows=shows, rng=dice(5), clock=CLOCK, habits=USUAL), dice(5), slowest_s=0.3)
    line.connect()
    line.run(HOUR_S)
    assert [(code, phase) for code, phase, _, _ in edges(line.said)] == [
        ("CP2-5A", "start"),
        ("CP2-5A", "end"),
        ("CP1-9F", "start"),
        ("CP1-9F", "end"),
    ]
    assert broken_occurrences(line.said) == []
    states = [body.state.value for body in bodies(line.said) if isinstance(body, Usage)]
    order = [state for number, state in enumerate(states) if number == 0 or states[number - 1] != state]
    assert order == ["in_use", "standby", "demo", "idle", "in_use"]
    assert line.device.tally.communication_errors == 0


@pytest.mark.parametrize("kind", [SAVINA, EVITA_4], ids=lambda kind: kind.name)
def test_a_minute_without_polls_is_no_silence(kind: Kind) -> None:
    """As while the outbox has no room: nothing is asked, and the device still hears from us."""
    line = Line(device(kind, habits=USUAL), dice(6), slowest_s=0.4, late_s=0.4, stalled=((60.0, 130.0),))
    line.connect()
    line.run(200.0)
    assert line.device.tally.communication_errors == 0
    asked = [at for at, data in line.sent if data.startswith(b"\x1b\x27")]
    assert not [at for at in asked if 62.0 < at < 130.0]
    assert min(at for at in asked if at > 130.0) < 155.0


def test_a_host_that_falls_silent_shows_at_the_bedside_after_three_seconds() -> None:
    """The check bites: this is what a crash or a pulled cable does."""
    one = device()
    line = Line(one, dice(7))
    line.connect()
    line.run(30.0)
    assert one.tally.communication_errors == 0
    assert not one.elapsed(2.0).startswith(b"\x1b\x51")
    assert one.elapsed(1.5).startswith(b"\x1b\x51")
    assert one.tally.communication_errors == 1
    assert one.tally.why[0].endswith("silence of three seconds")


def test_a_host_that_comes_back_ends_the_communication_error() -> None:
    one = device()
    line = Line(one, dice(8))
    line.connect()
    line.run(10.0)
    one.elapsed(20.0)
    line.connect()
    line.run(60.0)
    assert (one.tally.communication_errors, one.tally.starts) == (1, 2)
    assert sum(isinstance(body, Usage) for body in bodies(line.said)) == 3


def test_stop_is_heard_as_such_and_shows_nothing() -> None:
    one = device()
    line = Line(one, dice(9))
    line.connect()
    line.run(10.0)
    one.feed(line.adapter.farewell())
    for _ in range(100):
        one.elapsed(1.0)
    assert (one.tally.communication_errors, one.tally.stops) == (0, 1)


def test_a_device_that_did_not_hear_our_first_word_is_found() -> None:
    line = Line(device(), dice(10))
    line.connect()
    line.up.clear()
    line.run(40.0)
    assert line.device.tally.communication_errors == 0
    assert any(isinstance(body, Usage) for body in bodies(line.said))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_many_hours_go_by_without_one_communication_error(seed: int) -> None:
    for kind in KINDS:
        for habits in HABITS:
            assert hour(kind, seed=100 + seed, habits=habits).device.tally.communication_errors == 0
