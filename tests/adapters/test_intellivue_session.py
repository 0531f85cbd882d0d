"""The session with an IntelliVue monitor: kept alive, given up, never fought for; with a simulated one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from adapters import intellivue_association as association
from adapters import intellivue_writing as writing
from adapters.contract import Answer, Heard, Outcome, Refusal
from adapters.intellivue_device import IntelliVue
from adapters.intellivue_layout import ALERT_MONITOR, MDS, MDS_CREATED, Alert, Told
from adapters.intellivue_session import KEEP_S, RETRY_S, WAIT_S
from adapters.protocols.intellivue import OPTIONS
from adapters.simulators.intellivue_monitor import SESSION_S, Event, Monitor, asked
from telemetry.errors import MessageError
from telemetry.messages import Phase
from tests.adapters.ventilators import edges, refusals

START = datetime(2026, 1, 9, 7, 30, tzinfo=UTC)
ASKING = OPTIONS(alerts=True, alerts_confirmed_by="Test")
OURS, OTHER = "us", "the hospital's own"


class Line:
    """Us and a monitor, with datagrams between them and a clock that moves by itself alone."""

    def __init__(self, monitor: Monitor, *, period_s: float = 10.0) -> None:
        self.monitor = monitor
        self.adapter: IntelliVue = ASKING(period_s=period_s)
        self.said: list[Outcome] = []
        self.sent: list[bytes] = []
        self.is_cut = False
        self._ms = 1_000_000

    def connect(self) -> None:
        """A link is up."""
        self._take(self.adapter.connected())

    def wait(self, seconds: float) -> None:
        """Let time pass, as the host does: no later than the adapter is due."""
        while seconds > 0:
            due_s = self.adapter.due_s()
            step = min(seconds, max(0.001, due_s if due_s is not None else seconds))
            self._ms += round(step * 1000)
            seconds -= step
            self.monitor.passed(self._ms)
            self._take(self.adapter.elapsed(step))

    def poll(self) -> None:
        """A period is over."""
        self._send(self.adapter.poll())

    def farewell(self) -> None:
        """The host stops."""
        self._send(self.adapter.farewell())

    def hear(self, data: bytes) -> None:
        """A datagram has come."""
        self._take(self.adapter.feed(data))

    def _take(self, outcomes: tuple[Outcome, ...]) -> None:
        self.said += outcomes
        for outcome in outcomes:
            if isinstance(outcome, Answer):
                self._send(outcome.data)

    def _send(self, data: bytes) -> None:
        if not data:
            return
        self.sent.append(data)
        if not self.is_cut:
            now = START + timedelta(milliseconds=self._ms)
            for answer in self.monitor.answer(data, client=OURS, now=now, mono_ms=self._ms):
                self.hear(answer)


def line(*events: Event, is_busy: bool = False) -> Line:
    made = Line(Monitor("DE00000001", events, is_busy=is_busy))
    made.connect()
    return made


def test_a_session_is_opened_identity_and_clock_are_told_and_alarms_by_their_lists() -> None:
    battery = Event(Alert(4105, 194, 2, 0), START, None)
    made = line(battery)
    made.wait(1.0)
    made.poll()
    assert [edge[:2] for edge in edges(made.said)] == [("196802", Phase.PRESENT)]
    clocks = [one.device_time for one in made.said if isinstance(one, Heard) and one.device_time]
    assert clocks == [datetime(2026, 1, 9, 14, 46, 40)]  # noqa: DTZ001 - the monitor tells no zone
    assert refusals(made.said) == ()
    assert made.monitor.tally.unknown == 0


def test_an_hour_without_a_poll_of_alarms_is_one_session_kept_alive_and_never_too_fast() -> None:
    made = line()
    made.wait(3600.0)
    tally = made.monitor.tally
    assert (tally.requests, tally.sessions, tally.ended, tally.too_fast) == (1, 1, 0, 0)
    assert tally.polls[MDS] == pytest.approx(3600 / KEEP_S, abs=2)


def test_an_hour_of_polls_at_any_moments_is_never_too_fast_for_the_monitor() -> None:
    made, rng = line(), Random(4)  # noqa: S311 - moments that can be repeated
    for _ in range(3000):
        made.wait(rng.uniform(0.01, 2.5))
        made.poll()
    tally = made.monitor.tally
    assert (tally.sessions, tally.ended, tally.too_fast, tally.unknown) == (1, 0, 0, 0)
    assert tally.polls[ALERT_MONITOR] > 1000


def test_the_alarms_of_a_monitor_that_is_not_known_are_not_asked_for() -> None:
    one = ASKING(period_s=10.0)
    one.connected()
    created = writing.told_of(Told(MDS_CREATED, 1, bytes((0, MDS, 0, 0, 0, 0)), 1, {}))
    answers = one.feed(association.accept() + created)
    assert sum(isinstance(said, Answer) for said in answers) == 2
    one.elapsed(2.0)
    assert one.poll() == b""


def test_who_refuses_is_left_alone_for_long_across_links_and_that_is_said() -> None:
    made = line(is_busy=True)
    (refusal,) = refusals(made.said)
    assert "another system may hold it" in refusal.reason
    made.connect()
    made.wait(WAIT_S - 1)
    made.connect()
    assert len(made.sent) == 1
    made.monitor.is_busy = False
    made.wait(2.0)
    assert made.sent[1] == association.request()
    assert made.monitor.is_associated


@pytest.mark.parametrize("ending", [association.abort(), association.release()])
def test_who_ends_our_session_is_left_alone_for_long(ending: bytes) -> None:
    made = line()
    made.wait(5.0)
    made.hear(ending)
    polls, requests = len(made.sent), made.monitor.tally.requests
    answered = made.sent[-1] == association.released()
    assert answered is (ending == association.release())
    made.poll()
    made.wait(WAIT_S - 1)
    assert (len(made.sent), made.monitor.tally.requests) == (polls, requests)
    assert isinstance(made.said[-1], Refusal)
    made.wait(2.0)
    assert made.monitor.tally.requests == requests + 1


def test_the_session_of_another_is_not_taken_away() -> None:
    monitor = Monitor("DE00000001")
    monitor.answer(association.request(), client=OTHER, now=START, mono_ms=1_000_000)
    made = Line(monitor)
    made.connect()
    assert monitor.tally.refused == 1
    made.wait(60.0)
    assert monitor.tally.requests == 2


def test_without_a_word_the_monitor_is_asked_again_after_a_while_and_not_at_once() -> None:
    made = Line(Monitor("DE00000001"))
    made.is_cut = True
    made.connect()
    made.wait(199.0)
    assert made.sent == [association.request()] * 5
    made.is_cut = False
    made.wait(60.0)
    assert made.monitor.tally.sessions == 1


def test_a_session_that_is_lost_is_asked_for_again_when_the_monitor_has_given_it_up() -> None:
    made = line(Event(Alert(4105, 194, 2, 0), START))
    made.wait(1.0)
    made.poll()
    made.is_cut = True
    made.wait(SESSION_S + 1)
    assert not made.monitor.is_associated
    made.is_cut = False
    made.wait(RETRY_S)
    made.wait(2.0)
    made.poll()
    assert made.monitor.tally.sessions == 2
    assert [edge[:2] for edge in edges(made.said)] == [("196802", Phase.PRESENT)]


def test_an_orderly_end_releases_the_session_and_no_end_is_told_where_there_is_none() -> None:
    made = line()
    made.wait(1.0)
    made.farewell()
    assert (made.monitor.tally.released, made.monitor.is_associated) == (1, False)
    made.farewell()
    assert made.sent[-1] == association.release()
    assert made.sent.count(association.release()) == 1


def test_the_event_repeated_because_our_answer_was_lost_is_answered_again() -> None:
    made = line()
    accept, created = Monitor("DE00000001").answer(
        association.request(), client=OURS, now=START, mono_ms=1_000_000
    )
    before = len(made.sent)
    made.hear(created)
    assert len(made.sent) == before + 1
    made.hear(accept)
    assert len(made.sent) == before + 1


def test_the_simulated_monitor_answers_nothing_that_it_cannot_read() -> None:
    monitor = Monitor("DE00000001")
    monitor.answer(association.request(), client=OURS, now=START, mono_ms=0)
    for data in (b"", b"\xe1\x00", b"\xe1" + bytes(60), b"hello"):
        assert monitor.answer(data, client=OURS, now=START, mono_ms=0) == ()
    assert monitor.tally.unknown == 4
    with pytest.raises(MessageError, match="no single poll"):
        asked(bytes(36)[:35])
