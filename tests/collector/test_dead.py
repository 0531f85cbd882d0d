"""Dead letters are looked at and go again: nothing lost, nothing doubled, counted exactly at each step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import dead
from collector.accounting import Line, account, journaled
from collector.consumers import Consumers
from collector.cursors import Cursor, DeadLetter
from collector.dead import Fate, Outcome
from collector.inbound import Received
from collector.intake import Intake
from collector.store import Store
from rules.engine import Engine
from rules.inputs import CloseTicket
from rules.state import State
from telemetry.envelope import Envelope
from telemetry.errors import MessageError, SettingsError
from telemetry.messages import (
    Body,
    LinkState,
    Message,
    MeterName,
    MeterReading,
    OperatingState,
    Phase,
    Provenance,
    Status,
    Usage,
    encode,
)
from telemetry.records import Journaled, Tick
from telemetry.times import from_ms
from tests.collector.journals import T0_MS, open_store, usage
from tests.rules.scene import ALIAS, alarm, open_tickets, ready

REFUSED = "history refused it: field type conflict"


def unreadable(seq: int) -> Received:
    """A message that names only what hourmeter knows, and yet cannot be read."""
    return usage(seq)._replace(payload=b'{"v":1,"body":{"kind":"usage"}}')


def masked(seq: int) -> Received:
    return usage(seq)._replace(payload=b'{"patient":"A B"}')


@dataclass
class Site:
    """A journal with both its consumers, played step by step; the history refuses numbers in `poison`."""

    folder: Path
    store: Store = field(init=False)
    intake: Intake = field(init=False)
    poison: set[int] = field(default_factory=set)
    held: dict[tuple[object, ...], int] = field(default_factory=dict)
    """How often each message was written, by what identifies its point."""
    engine: Engine = field(default_factory=lambda: Engine(State()))
    concluded: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    at: int = 0
    """Where the rules stand."""
    now_ms: int = T0_MS

    def __post_init__(self) -> None:
        """Open the journal."""
        self.open()

    def open(self) -> None:
        """Open the journal, as a new process does."""
        self.store = open_store(self.folder)
        self.intake = Intake(self.store)

    def take(self, *received: Received) -> None:
        """Let messages come in."""
        self.intake.take(received, received_ms=self.now_ms)

    def tick(self) -> None:
        """Let a second pass."""
        self.now_ms += 1_000
        self.intake.tick(self.now_ms)

    def store_all(self, *, limit: int = 1_000) -> None:
        """Let history pass everything, as the keeper does."""
        consumers = Consumers(self.store)
        stored: Counter[str] = Counter()
        fell: list[DeadLetter] = []
        records = self.store.read(consumers.cursor("history").position, limit=limit)
        for record in records:
            if isinstance(record, Journaled):
                reason = record.refusal
                if not reason and record.envelope and record.envelope.seq in self.poison:
                    reason = REFUSED
                if reason:
                    topic = record.topic
                    fell.append(DeadLetter(record.position, str(topic), topic.kind, record.payload, reason))
                else:
                    stored[record.topic.kind] += 1
                    key = (record.topic, record.event_ms, record.envelope)
                    self.held[key] = self.held.get(key, 0) + 1
        if records:
            cursor = Cursor(self.store.file.epoch, records[-1].position + 1)
            consumers.commit_history(cursor=cursor, stored=stored, dead=fell)

    def conclude_all(self, *, limit: int = 1_000) -> None:
        """Let the rules pass everything."""
        for record in self.store.read(self.at, limit=limit):
            self.at = record.position + 1
            self.engine.apply(record)
            if isinstance(record, Journaled):
                (self.failed if record.refusal else self.concluded)[record.topic.kind] += 1
        Consumers(self.store).passed("rules", self.cursor)

    @property
    def cursor(self) -> Cursor:
        """Where the rules stand, in this epoch."""
        return Cursor(self.store.file.epoch, self.at)

    def rewind_rules(self, position: int) -> None:
        """Set the rules back as the command does."""
        self.at = Consumers(self.store).rewind("rules", position)
        left = self.store.pending(self.at)
        self.failed.clear()
        self.concluded = Counter(
            {kind: count - left.get(kind, 0) for kind, count in journaled(self.store.tallies()).items()}
        )

    def line(self) -> Line:
        """Where all messages are; fails unless everything adds up and nothing is below zero."""
        found = account(self.store, rules_cursor=self.cursor, concluded=self.concluded, failed=self.failed)
        assert found.rules is not None
        assert found.rules.unaccounted == 0, found.rules
        assert all(line.unaccounted == 0 for line in (found.total, *found.kinds.values())), found.total
        total = found.total
        places = (total.stored, total.pending, total.dead_lettered, found.rules.pending)
        assert min(places) >= 0, places
        return total

    def counts(self) -> dict[str, int]:
        """Received, stored, pending and dead-lettered."""
        line = self.line()
        return {
            "received": line.received,
            "stored": line.stored,
            "pending": line.pending,
            "dead": line.dead_lettered,
        }

    def letters(self) -> tuple[int, ...]:
        """Positions of all dead letters."""
        return tuple(one.letter.position for one in dead.kept(self.store, limit=1_000))


def counts(received: int, *, stored: int = 0, pending: int = 0, dead: int = 0) -> dict[str, int]:
    return {"received": received, "stored": stored, "pending": pending, "dead": dead}


# -- looking ----------------------------------------------------------------------------------------------


def test_a_dead_letter_is_found_with_its_place_its_times_and_its_reason(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={2})
    site.now_ms = T0_MS + 7_000
    site.take(usage(1), usage(2), masked(3))
    site.store_all()
    refused, secret = dead.kept(site.store, limit=10)
    assert (refused.letter.reason, refused.letter.topic) == (REFUSED, "hourmeter/1/hn01-a/vent1/usage")
    assert refused.message.envelope == Envelope("b-1", 2, "boot1", 0)
    assert (refused.message.received_ms, refused.message.event_ms) == (T0_MS + 7_000, T0_MS + 2)
    assert (refused.is_masked, refused.size) == (False, len(usage(2).payload))
    assert (secret.is_masked, secret.size) == (True, len(masked(3).payload))
    assert (refused.is_asked, refused.came_from) == (False, None)
    assert dead.find(site.store, 1) == refused
    with pytest.raises(SettingsError, match="there is none at position 0"):
        dead.find(site.store, 0)


def test_the_newest_are_listed_by_kind_and_reason(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={1, 3})
    site.take(usage(1), unreadable(2), usage(3), usage(4)._replace(topic="elsewhere"))
    site.store_all()

    def listed(**filters: str) -> list[int]:
        return [one.letter.position for one in dead.kept(site.store, limit=2, **filters)]

    assert listed() == [2, 3]
    assert listed(kind="usage") == [1, 2]
    assert listed(reason="Type CONFLICT") == [0, 2]
    assert listed(kind="other", reason="topic is not") == [3]
    assert listed(reason="no such thing") == []


def test_dead_letters_go_with_their_batches(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={1, 2})
    site.take(usage(1))
    site.take(usage(2))
    site.store_all()
    site.conclude_all()
    dead.ask(site.store, [0])
    assert Consumers(site.store).prune(before_ms=T0_MS + 1, batches_at_most=1) == 1
    assert site.letters() == (1,)
    assert dead.outcomes(site.store, [0]) == (Outcome(0, Fate.GONE),)
    assert site.store.file.db.execute("SELECT * FROM replay").fetchall() == []
    site.tick()
    assert site.counts() == counts(2, dead=2)


# -- going again ------------------------------------------------------------------------------------------


def test_a_mended_one_goes_again_as_it_was_and_is_counted_exactly(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={2})
    site.take(usage(1), usage(2), usage(3))
    site.store_all()
    site.conclude_all()
    assert site.counts() == counts(3, stored=2, dead=1)
    dead.ask(site.store, [1])
    dead.ask(site.store, [1])
    assert dead.find(site.store, 1).is_asked
    assert dead.outcomes(site.store, [1]) == (Outcome(1, Fate.WAITING),)
    assert site.counts() == counts(3, stored=2, dead=1)
    site.poison.clear()
    before = dead.find(site.store, 1).message
    site.tick()
    again, tick = site.store.read(3, limit=9)
    assert again == before._replace(position=3, again=True)
    assert tick == Tick(4, site.now_ms)
    assert site.counts() == counts(3, stored=2, pending=1)
    assert dead.outcomes(site.store, [1]) == (Outcome(1, Fate.UNDERWAY, 3),)
    site.store_all()
    site.conclude_all()
    assert site.counts() == counts(3, stored=3)
    assert dead.outcomes(site.store, [1]) == (Outcome(1, Fate.STORED, 3),)
    assert (site.letters(), len(site.held)) == ((), 3)
    site.tick()
    assert site.counts() == counts(3, stored=3)


def test_one_that_is_not_mended_is_dead_again_at_its_new_position(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={1})
    site.take(usage(1), unreadable(2))
    site.store_all()
    assert dead.ask_all(site.store) == ((0, 1), 0)
    site.tick()
    assert site.counts() == counts(2, pending=2)
    site.store_all()
    assert site.counts() == counts(2, dead=2)
    refused, still = dead.outcomes(site.store, [0, 1])
    assert refused == Outcome(0, Fate.DEAD_AGAIN, 2, REFUSED)
    assert (still.fate, still.again) == (Fate.DEAD_AGAIN, 3)
    assert "Field required" in still.reason
    assert [one.came_from for one in dead.kept(site.store, limit=9)] == [0, 1]


def test_a_masked_one_cannot_go_again(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={2})
    site.take(masked(1), usage(2))
    site.store_all()
    with pytest.raises(MessageError, match="dead letter 0: its payload was not kept"):
        dead.ask(site.store, [1, 0])
    with pytest.raises(SettingsError, match="there is none at position 7"):
        dead.ask(site.store, [1, 7])
    assert not dead.find(site.store, 1).is_asked
    assert dead.ask_all(site.store) == ((1,), 1)


def test_only_those_with_the_reason_and_kind_go(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={1, 3})
    site.take(usage(1), unreadable(2), usage(3), masked(4))
    site.store_all()
    assert dead.ask_all(site.store, reason="TYPE conflict") == ((0, 2), 0)
    assert dead.ask_all(site.store, kind="alarm") == ((), 0)


def test_what_could_not_be_read_and_can_be_now_gets_its_time_and_is_concluded(tmp_path: Path) -> None:
    """A message whose envelope was broken goes on without one."""
    site = Site(tmp_path)
    broken = usage(1)._replace(properties=(("stream", "b-1"),))
    site.now_ms = T0_MS + 9_000
    site.take(broken)
    site.store_all()
    site.conclude_all()
    assert (site.failed["usage"], site.concluded["usage"]) == (1, 0)
    dead.ask(site.store, [0])
    site.tick()
    again, _ = site.store.read(1, limit=9)
    assert isinstance(again, Journaled)
    assert (again.envelope, again.refusal, again.payload) == (None, "", broken.payload)
    assert (again.event_ms, again.received_ms) == (T0_MS + 1, T0_MS + 9_000)
    site.store_all()
    site.conclude_all()
    assert (site.failed["usage"], site.concluded["usage"]) == (1, 1)
    assert site.counts() == counts(1, stored=1)


def test_a_tick_takes_a_bounded_number_and_the_next_ones_the_rest(tmp_path: Path) -> None:
    site = Site(tmp_path, poison=set(range(1, 1_201)))
    site.take(*map(usage, range(1, 1_201)))
    while site.line().pending:
        site.store_all()
    positions, _ = dead.ask_all(site.store)
    assert len(positions) == 1_200
    site.poison.clear()
    for left in (700, 200, 0):
        site.tick()
        assert site.line().dead_lettered == left
    while site.line().pending:
        site.store_all()
    assert site.counts() == counts(1_200, stored=1_200)
    assert set(site.held.values()) == {1}
    assert {one.fate for one in dead.outcomes(site.store, positions)} == {Fate.STORED}


def test_a_copy_sent_again_is_known_while_its_dead_letter_goes_again(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={1})
    site.take(usage(1))
    site.store_all()
    dead.ask(site.store, [0])
    site.tick()
    site.take(usage(1))
    assert site.line().duplicate == 1
    assert site.intake.confirmations()["hn01-a"].streams == {"b-1": 1}


def test_a_forged_copy_is_known_by_the_record_that_went_again(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={1})
    site.take(usage(1))
    site.store_all()
    dead.ask(site.store, [0])
    site.tick()
    site.store_all()
    site.conclude_all()
    assert Consumers(site.store).prune(before_ms=T0_MS + 1, batches_at_most=1) == 1
    site.take(usage(1)._replace(payload=usage(9).payload))
    assert site.line().quarantined == 1


def test_one_of_the_future_that_can_be_read_by_now_is_of_now(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.take(usage(1, observed_ms=T0_MS + 10**9)._replace(properties=(("stream", "b-1"),)))
    site.store_all()
    dead.ask(site.store, [0])
    site.tick()
    again, _ = site.store.read(1, limit=9)
    assert isinstance(again, Journaled)
    assert again.event_ms == site.now_ms


def test_history_never_goes_forward(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.take(usage(1), usage(2))
    site.store_all(limit=1)
    assert Consumers(site.store).rewind("history", 2) == 1
    assert site.counts() == counts(2, stored=1, pending=1)


def test_two_messages_under_one_number_go_again_with_one_tick(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={1})
    other = usage(1)._replace(payload=usage(9).payload)
    site.take(usage(1), other)
    ((number, _),) = site.store.quarantined()
    site.store.release(number)
    site.tick()
    site.store_all()
    assert len(dead.ask_all(site.store)[0]) == 2
    site.tick()
    site.poison.clear()
    site.store_all()
    assert site.counts() == counts(2, stored=2)


def test_a_history_written_anew_counts_what_went_again_once(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={1})
    site.take(usage(1), usage(2))
    site.store_all()
    dead.ask(site.store, [0])
    site.tick()
    site.poison.clear()
    site.store_all()
    assert site.counts() == counts(2, stored=2)
    Consumers(site.store).rewind("history", 0)
    assert site.counts() == counts(2, pending=2)
    site.store_all(limit=1)
    assert site.counts() == counts(2, pending=2)
    site.store_all()
    assert site.counts() == counts(2, stored=2)
    site.poison.add(1)
    Consumers(site.store).rewind("history", 0)
    site.store_all()
    assert site.counts() == counts(2, stored=1, dead=1)
    assert site.letters() == (2,)


def test_asked_and_then_rewound_it_is_pending_and_goes_once(tmp_path: Path) -> None:
    site = Site(tmp_path, poison={1})
    site.take(usage(1))
    site.store_all()
    dead.ask(site.store, [0])
    Consumers(site.store).rewind("history", 0)
    site.tick()
    assert site.counts() == counts(1, pending=1)
    assert dead.outcomes(site.store, [0]) == (Outcome(0, Fate.UNDERWAY, 0),)
    site.store_all()
    assert dead.outcomes(site.store, [0]) == (Outcome(0, Fate.DEAD_AGAIN, 0, REFUSED),)
    Consumers(site.store).rewind("history", 0)
    site.poison.clear()
    site.store_all()
    assert dead.outcomes(site.store, [0]) == (Outcome(0, Fate.STORED, 0),)


@dataclass
class Play:
    """What a test has done to a site, so that it knows what must be there."""

    site: Site
    sent: dict[int, bool] = field(default_factory=dict)
    """Whether the message of a number can be stored, once the history is mended."""
    pruned: bool = False

    def step(self, what: str, which: int) -> None:
        """Do one of STEPS."""
        site = self.site
        match what:
            case "usage" | "poison" | "unreadable" | "masked":
                seq = len(self.sent) + 1
                self.sent[seq] = what in {"usage", "poison"}
                if what == "poison":
                    site.poison.add(seq)
                site.take({"unreadable": unreadable, "masked": masked}.get(what, usage)(seq))
            case "store":
                site.store_all(limit=which + 1)
            case "conclude":
                site.conclude_all(limit=which + 1)
            case "ask":
                can = [n for n in site.letters() if not dead.find(site.store, n).is_masked]
                dead.ask(site.store, can[which : which + 1])
            case "ask all":
                dead.ask_all(site.store)
            case "tick":
                site.tick()
            case "rewind history":
                Consumers(site.store).rewind("history", which)
            case "rewind rules":
                site.rewind_rules(which)
            case "prune":
                self.pruned |= Consumers(site.store).prune(before_ms=2**60, batches_at_most=1) > 0
            case "restart":
                site.store.file.close()
                site.open()
            case _:
                site.poison.clear()

    def check(self) -> None:
        """Everything that came in is counted once, and each dead letter is there."""
        assert self.site.line().received == len(self.sent)
        if not self.pruned:
            assert len(self.site.letters()) == self.site.line().dead_lettered

    def end(self) -> None:
        """Mend everything: whatever can be stored is, once."""
        site, good = self.site, sum(self.sent.values())
        site.poison.clear()
        for _ in range(2):
            site.store_all()
            dead.ask_all(site.store)
            site.tick()
        site.store_all()
        site.conclude_all()
        self.check()
        assert site.line().pending == 0
        if not self.pruned:
            assert (site.line().stored, len(site.held)) == (good, good)


STEPS = st.sampled_from(
    (
        *("usage", "poison", "unreadable", "masked", "store", "conclude", "ask", "ask all", "tick", "mend"),
        *("rewind history", "rewind rules", "prune", "restart"),
    )
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(STEPS, st.integers(0, 9)), max_size=40))
def test_whatever_happens_in_whatever_order_everything_is_counted_once(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        play = Play(Site(Path(folder)))
        for what, which in steps:
            play.step(what, which)
            play.check()
        play.end()
        play.site.store.file.close()


# -- the rules hear it again ------------------------------------------------------------------------------


def told(seq: int, body: Body, *, after_s: int) -> Received:
    """A message of the ventilator of the rules' scene."""
    message = Message(alias=ALIAS, observed_at=from_ms(T0_MS + 1_000 * after_s), body=body)
    properties = tuple(Envelope("u-1", seq, "boot1", 1_000 * after_s).properties())
    topic = f"hourmeter/1/hn01-a/vent1/{body.kind}"
    return Received(topic, encode(message), properties, retain=False, token=None)


def heard(folder: Path) -> Site:
    """A site whose rules are in force, and whose history refuses the first message."""
    return Site(folder, engine=ready(), poison={1})


def replayed(site: Site) -> None:
    """Mend the history, and let everything that is dead go again."""
    site.store_all()
    site.conclude_all()
    site.poison.clear()
    dead.ask_all(site.store)
    site.tick()
    site.store_all()
    site.conclude_all()
    assert site.line().dead_lettered == 0


def test_an_alarm_that_only_the_history_had_refused_opens_no_second_ticket(tmp_path: Path) -> None:
    site = heard(tmp_path)
    site.take(told(1, alarm(key="122/a"), after_s=1), told(2, alarm(phase=Phase.END, key="122/a"), after_s=5))
    site.conclude_all()
    (before,) = open_tickets(site.engine)
    replayed(site)
    assert open_tickets(site.engine) == [before]


def test_one_that_comes_again_after_its_ticket_was_closed_opens_none(tmp_path: Path) -> None:
    site = heard(tmp_path)
    site.take(told(1, alarm(key="122/a"), after_s=1), told(2, alarm(phase=Phase.END, key="122/a"), after_s=5))
    site.tick()
    site.conclude_all()
    (ticket,) = open_tickets(site.engine)
    closed = CloseTicket(at_ms=site.now_ms, ticket=ticket.id, by="An", note="hose changed")
    assert site.engine.take(closed) == ""
    replayed(site)
    assert open_tickets(site.engine) == []
    assert site.engine.state.tickets[ticket.id].occurrences == 1


def test_hours_that_come_again_are_late_and_count_once(tmp_path: Path) -> None:
    site = heard(tmp_path)
    meter = MeterReading(meter=MeterName.POWER_ON_H, provenance=Provenance.REPORTED, value=100)
    body = Usage(state=OperatingState.IN_USE, period_s=60, meters=(meter,))
    newer = body.model_copy(update={"meters": (meter.model_copy(update={"value": 101}),)})
    site.take(told(1, body, after_s=0), told(2, newer, after_s=60))
    site.conclude_all()
    (device,) = site.engine.state.devices.values()
    counted = device.derived[MeterName.VENTILATION_H].counted_ms
    assert counted == 60_000
    replayed(site)
    assert device.derived[MeterName.VENTILATION_H].counted_ms == counted
    assert [meter.value for meter in device.reported.values()] == [101]
    assert [meter.anomalies for meter in device.reported.values()] == [0]


@pytest.mark.parametrize("later", [1, 20])
def test_one_that_comes_again_after_many_others_changes_no_ticket(tmp_path: Path, later: int) -> None:
    site = heard(tmp_path)
    for n in range(later + 1):
        start, end = alarm(key=f"122/{n}"), alarm(phase=Phase.END, key=f"122/{n}")
        site.take(told(2 * n + 1, start, after_s=10 * n), told(2 * n + 2, end, after_s=10 * n + 5))
    site.tick()
    site.conclude_all()
    before = open_tickets(site.engine)
    replayed(site)
    assert open_tickets(site.engine) == before


def test_an_old_word_of_a_host_leaves_its_link_as_it_is(tmp_path: Path) -> None:
    site = heard(tmp_path)
    for seq, link in enumerate((LinkState.ONLINE, LinkState.OFFLINE), 1):
        body = Status(link=link, connection="c1")
        message = Message(observed_at=from_ms(T0_MS + 1_000 * seq), body=body)
        properties = tuple(Envelope("u-1", seq, "boot1", seq).properties())
        topic = "hourmeter/1/hn01-a/_link/status"
        site.take(Received(topic, encode(message), properties, retain=False, token=None))
    replayed(site)
    assert site.engine.state.publishers["hn01-a"].link is LinkState.OFFLINE
