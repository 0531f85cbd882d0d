"""Every message that comes in is counted once, at its place, whatever comes in and whenever it crashes."""

from __future__ import annotations

import json
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.accounting import account
from collector.consumers import Consumers
from collector.cursors import Cursor, CursorError, DeadLetter
from collector.inbound import Received
from collector.intake import Intake
from collector.journal_file import Limits, lock
from collector.store import Store
from telemetry.control import StreamSync
from telemetry.envelope import Envelope
from telemetry.errors import SettingsError, Unavailable
from telemetry.records import Journaled, Started, Tick
from tests.collector.journals import T0_MS, open_store, sync, usage


def _accounting(store: Store) -> dict[str, int]:
    total = account(store, rules_cursor=None, concluded={}, failed={}).total
    assert total.unaccounted == 0
    return {
        name: getattr(total, name) for name in ("received", "pending", "duplicate", "quarantined", "privacy")
    }


def _other_topic(received: Received, topic: str) -> Received:
    return received._replace(topic=topic)


def test_messages_come_out_of_the_journal_as_they_came_in(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)
    intake.started(T0_MS)
    sent = [usage(n) for n in (1, 2, 3)]
    intake.take(sent, received_ms=T0_MS + 5_000)
    intake.tick(T0_MS + 6_000)
    started, *messages, tick = store.read(0, limit=100)
    assert (started, tick) == (Started(0, T0_MS), Tick(4, T0_MS + 6_000))
    for n, (record, received) in enumerate(zip(messages, sent, strict=True), 1):
        assert isinstance(record, Journaled)
        assert (record.position, record.payload, record.refusal) == (n, received.payload, "")
        assert (record.event_ms, record.received_ms) == (T0_MS + n, T0_MS + 5_000)
        assert record.envelope == Envelope("b-1", n, "boot1", 0)
    assert store.read(2, limit=2) == tuple(messages[1:3])


def test_a_repeated_message_is_a_duplicate_and_another_payload_under_its_number_is_put_aside(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)
    intake.take([usage(1), usage(1), usage(2)], received_ms=T0_MS)
    forged = usage(2)._replace(payload=usage(9).payload)
    intake.take([usage(2), forged], received_ms=T0_MS)
    assert _accounting(store) == {"received": 5, "pending": 2, "duplicate": 2, "quarantined": 1, "privacy": 0}
    ((_, aside),) = store.quarantined()
    assert aside.reason == "another payload under a number already journaled"
    assert aside.message.payload == forged.payload


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(1, 25), max_size=12), max_size=8), st.integers(0, 7))
def test_redelivery_in_any_order_and_a_restart_anywhere_journal_each_number_once(
    batches: list[list[int]], restart: int
) -> None:
    with TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        intake = Intake(store)
        for n, batch in enumerate(batches):
            if n == restart:
                store.file.close()
                store = open_store(Path(folder))
                intake = Intake(store)
            intake.take([usage(seq) for seq in batch], received_ms=T0_MS)
        records = [r for r in store.read(0, limit=1000) if isinstance(r, Journaled)]
        seqs = [r.envelope.seq for r in records if r.envelope]
        everything = [seq for batch in batches for seq in batch]
        assert sorted(seqs) == sorted(set(everything))
        assert [r.position for r in records] == list(range(len(records)))
        counted = _accounting(store)
        assert (counted["received"], counted["pending"]) == (len(everything), len(set(everything)))
        store.file.close()


def test_confirmations_stop_before_the_first_hole_and_go_on_when_sync_gives_it_up(tmp_path: Path) -> None:
    intake = Intake(open_store(tmp_path))
    intake.take([usage(1), usage(2), usage(4)], received_ms=T0_MS)
    assert intake.confirmations()["hn01-a"].streams == {"b-1": 2}
    taken = intake.take([sync(StreamSync(stream="b-1", held_from=4, sent_through=4))], received_ms=T0_MS)
    assert taken.publishers == {"hn01-a"}
    assert intake.confirmations()["hn01-a"].streams == {"b-1": 4}


def test_missing_and_lost_are_shown(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)
    intake.take(
        [
            sync(StreamSync(stream="b-1", held_from=1, sent_through=0)),
            usage(1),
            usage(5),
            sync(StreamSync(stream="b-1", held_from=3, sent_through=8)),
        ],
        received_ms=T0_MS,
    )
    accounting = account(store, rules_cursor=None, concluded={}, failed={})
    assert (accounting.lost, accounting.missing) == (1, 5)


def test_a_superseded_stream_is_no_longer_confirmed_and_its_holes_are_lost(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)
    intake.take(
        [
            usage(1),
            usage(3),
            sync(StreamSync(stream="b-2", held_from=1, sent_through=0, supersedes="b-1")),
            usage(1, stream="b-2", observed_ms=T0_MS + 50),
        ],
        received_ms=T0_MS,
    )
    assert intake.confirmations()["hn01-a"].streams == {"b-2": 1}
    assert account(store, rules_cursor=None, concluded={}, failed={}).lost == 1


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (usage(1)._replace(payload=b"\xff{"), "Invalid JSON"),
        (usage(1)._replace(payload=b'{"patient":"A B"}'), "body: Field required"),
        (usage(1)._replace(properties=(("stream", "x"),)), "envelope lacks seq, boot, mono_ms"),
        (usage(1)._replace(topic="elsewhere"), "topic is not"),
        (usage(1)._replace(topic="hourmeter/1/hn01-a/vent1/alarm"), "its topic says alarm"),
        (sync()._replace(payload=b"{}"), "sync: boot"),
        (usage(1)._replace(payload=b"x" * 70_000), "payload of 70000 bytes"),
    ],
)
def test_what_cannot_be_read_is_journaled_masked_with_its_reason(
    tmp_path: Path, received: Received, reason: str
) -> None:
    store = open_store(tmp_path)
    Intake(store).take([received, usage(2)], received_ms=T0_MS)
    bad, good = store.read(0, limit=9)
    assert isinstance(bad, Journaled)
    assert isinstance(good, Journaled)
    assert reason in bad.refusal
    assert good.refusal == ""
    if b"period_s" not in received.payload:
        assert b"masked" in bad.payload or bad.payload == b"{}"
    assert b"A B" not in bad.payload


DEEP = b'{"body":' + b"[" * 900 + b"]" * 900 + b"}"
EXTREME = b'{"observed_at":"0001-01-01T00:00:00+23:00","body":{"kind":"status","link":"online"}}'
KEYS = st.sampled_from(["body", "kind", "v", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())
TOPICS = st.sampled_from(
    ["", "hourmeter/1/a/b/usage", "hourmeter/1/a/_link/sync", "hourmeter/1/a/b/x"],
)
NAMES = st.sampled_from(["stream", "seq", "boot", "mono_ms"])
HOSTILE = st.builds(
    Received,
    TOPICS | st.text(),
    st.binary(max_size=200) | JSON | st.just(DEEP) | st.just(EXTREME),
    st.lists(st.tuples(NAMES, st.text("0129a", max_size=20)), max_size=5).map(tuple),
    st.booleans(),
    st.none(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(HOSTILE, max_size=6))
def test_nothing_that_comes_in_stops_the_intake(received: list[Received]) -> None:
    with TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        Intake(store).take([*received, usage(1, stream="good")], received_ms=T0_MS)
        assert account(store, rules_cursor=None, concluded={}, failed={}).total.unaccounted == 0
        assert any(isinstance(r, Journaled) and not r.refusal for r in store.read(0, limit=99))
        store.file.close()


def test_deep_nesting_is_masked_and_a_time_before_all_devices_is_that_of_receiving(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    deep, old = (
        usage(1)._replace(payload=DEEP),
        usage(2)._replace(topic="hourmeter/1/a/b/status", payload=EXTREME),
    )
    huge = sync(mono_ms=10**18 - 1)
    Intake(store).take([huge, deep, old, usage(3, mono_ms=0)], received_ms=T0_MS)
    masked, *others = (r for r in store.read(0, limit=9) if isinstance(r, Journaled))
    assert masked.refusal
    assert [(r.event_ms, r.corrected) for r in others] == [(T0_MS, True), (T0_MS, True)]


def test_kinds_outside_the_allow_list_leave_nothing_but_a_count(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)
    secret = usage(1)._replace(topic="hourmeter/1/hn01-a/vent1/waveform", payload=b"SECRET")
    intake.take([secret], received_ms=T0_MS)
    assert _accounting(store) == {"received": 1, "pending": 0, "duplicate": 0, "quarantined": 0, "privacy": 1}
    assert intake.confirmations()["hn01-a"].streams == {"b-1": 1}
    store.file.close()
    assert all(b"SECRET" not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_wrong_publisher_clock_is_corrected_by_its_monotonic_time(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)
    day_ms = 86_400_000
    intake.take([sync(mono_ms=10_000)], received_ms=T0_MS)
    intake.take([usage(1, observed_ms=T0_MS - day_ms, mono_ms=4_000)], received_ms=T0_MS + 1_000)
    (record,) = store.read(0, limit=9)
    assert isinstance(record, Journaled)
    assert (record.event_ms, record.corrected) == (T0_MS - 6_000, True)


def test_a_sync_that_was_long_on_its_way_does_not_set_the_clock(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)
    intake.take([sync(mono_ms=10_000)], received_ms=T0_MS + 10_000)
    late_ms = 1_800_000
    intake.take([sync(mono_ms=20_000)], received_ms=T0_MS + 20_000 + late_ms)
    intake.take([usage(1, observed_ms=T0_MS + 15_000, mono_ms=15_000)], received_ms=T0_MS + late_ms)
    (record,) = store.read(0, limit=9)
    assert isinstance(record, Journaled)
    assert (record.event_ms, record.corrected) == (T0_MS + 15_001, False)


def test_a_clock_comparison_gives_way_after_an_hour(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)
    intake.take([sync(mono_ms=0)], received_ms=T0_MS)
    intake.take([sync(mono_ms=7_200_000)], received_ms=T0_MS + 7_200_000 + 200_000)
    assert store.clocks()[0].received_ms == T0_MS + 7_400_000


def test_a_message_of_the_future_is_put_aside_and_a_person_can_release_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)
    intake.take([usage(1, observed_ms=T0_MS + 301_000)], received_ms=T0_MS)
    assert intake.confirmations()["hn01-a"].streams == {"b-1": 1}
    ((number, aside),) = store.quarantined()
    assert "ahead" in aside.reason
    assert store.release(number)
    assert not store.release(number + 1)
    intake.tick(T0_MS + 1_000)
    released, tick = store.read(0, limit=9)
    assert isinstance(released, Journaled)
    assert released.payload == usage(1, observed_ms=T0_MS + 301_000).payload
    assert tick == Tick(1, T0_MS + 1_000)
    assert _accounting(store) == {"received": 1, "pending": 1, "duplicate": 0, "quarantined": 0, "privacy": 0}


def test_a_will_delivered_twice_is_one_message(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)
    link = "hourmeter/1/hn01-a/_link/status"

    def state(word: str, connection: str) -> Received:
        body = f'{{"body":{{"kind":"status","link":"{word}","connection":"{connection}"}}}}'
        return Received(link, body.encode(), (), retain=True, token=None)

    intake.take([state("online", "c1"), state("offline", "c1"), state("online", "c2")], received_ms=T0_MS)
    Intake(store).take([state("online", "c1"), state("offline", "c1")], received_ms=T0_MS)
    assert _accounting(store)["duplicate"] == 2


def test_retained_third_party_states_may_come_back_after_another(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)

    def state(word: str) -> Received:
        body = f'{{"body":{{"kind":"status","link":"{word}"}}}}'
        return Received("hourmeter/1/hn01-a/v/status", body.encode(), (), retain=True, token=None)

    intake.take([state("online"), state("online"), state("offline"), state("online")], received_ms=T0_MS)
    assert _accounting(store) == {"received": 4, "pending": 3, "duplicate": 1, "quarantined": 0, "privacy": 0}


def test_below_the_disk_reserve_nothing_is_taken_and_nothing_has_changed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    Intake(store).take([usage(1)], received_ms=T0_MS)
    store.file.close()
    full = open_store(tmp_path, limits=Limits(size_cap=1 << 30, disk_reserve=1 << 60))
    intake = Intake(full)
    with pytest.raises(Unavailable, match="nothing more is acknowledged until space is freed"):
        intake.take([usage(2)], received_ms=T0_MS)
    assert intake.confirmations()["hn01-a"].streams == {"b-1": 1}
    assert _accounting(full)["received"] == 1
    full.file.close()
    roomy = open_store(tmp_path)
    assert Intake(roomy).take([usage(2)], received_ms=T0_MS).publishers == {"hn01-a"}


def test_at_the_size_cap_passed_batches_go_first_and_then_appending_goes_on(tmp_path: Path) -> None:
    store = open_store(tmp_path, limits=Limits(size_cap=400_000, disk_reserve=0))
    intake = Intake(store)
    numbers = count(1)

    def fill() -> None:
        for _ in range(10_000):
            intake.take([usage(seq) for seq in islice(numbers, 50)], received_ms=T0_MS)

    with pytest.raises(Unavailable, match="cap"):
        fill()
    seq = intake.confirmations()["hn01-a"].streams["b-1"]
    assert Consumers(store).prune(before_ms=0, batches_at_most=1000) == 0
    for consumer in ("history", "rules"):
        Consumers(store).passed(consumer, Cursor(store.file.epoch, store.file.head()))
    assert Consumers(store).prune(before_ms=0, batches_at_most=1000) > 0
    intake.take([usage(seq + 1)], received_ms=T0_MS)
    assert store.file.first() > 0
    assert intake.confirmations()["hn01-a"].streams == {"b-1": seq + 1}


def test_pruning_takes_whole_batches_that_are_old_and_passed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    intake = Intake(store)
    for n in range(1, 11):
        intake.take([usage(n)], received_ms=T0_MS + n * 1000)
    Consumers(store).passed("rules", Cursor(store.file.epoch, 8))
    Consumers(store).passed("history", Cursor(store.file.epoch, 6))
    assert Consumers(store).prune(before_ms=T0_MS + 9_000, batches_at_most=4) == 4
    assert Consumers(store).prune(before_ms=T0_MS + 9_000, batches_at_most=4) == 2
    assert Consumers(store).prune(before_ms=T0_MS + 9_000, batches_at_most=4) == 0
    assert store.file.first() == 6
    with pytest.raises(CursorError, match="begins at 6"):
        Consumers(store).check("history", Cursor(store.file.epoch, 5))


def test_a_damaged_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match="file is not a database"):
        open_store(tmp_path)


def test_a_folder_that_cannot_be_used_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="a folder that this user may write"), lock(tmp_path / "file/sub"):
        pass


def test_history_set_back_moves_its_counts_back(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    Intake(store).take([usage(n) for n in range(1, 11)], received_ms=T0_MS)
    dead = DeadLetter(7, "t", "usage", b"{}", "why")
    Consumers(store).commit_history(cursor=Cursor(store.file.epoch, 9), stored={"usage": 8}, dead=[dead])
    total = account(store, rules_cursor=None, concluded={}, failed={}).total
    assert (total.stored, total.pending, total.dead_lettered, total.unaccounted) == (8, 1, 1, 0)
    assert Consumers(store).rewind("history", 4) == 4
    total = account(store, rules_cursor=None, concluded={}, failed={}).total
    assert (total.stored, total.pending, total.dead_lettered, total.unaccounted) == (4, 6, 0, 0)


def test_a_new_epoch_stops_cursors_of_the_old_one(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    Intake(store).take([usage(1)], received_ms=T0_MS)
    old = Cursor(store.file.epoch, 1)
    store.file.renew_epoch()
    assert Consumers(store).cursor("history") == Cursor(store.file.epoch, 0)
    with pytest.raises(CursorError, match="hourmeter rewind rules"):
        Consumers(store).check("rules", old)


def test_a_damaged_batch_is_told_and_not_read(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    Intake(store).take([usage(1)], received_ms=T0_MS)
    store.file.db.execute("UPDATE batch SET crc = crc + 1")
    with pytest.raises(Unavailable, match="fails its checksum"):
        store.read(0, limit=1)


def test_the_first_position_is_never_behind_what_another_connection_appends_meanwhile(tmp_path: Path) -> None:
    store, reader = open_store(tmp_path), open_store(tmp_path)
    intake = Intake(store)
    statements: list[str] = []
    started: list[int] = []

    def append_once(statement: str) -> None:
        """Let the collector start right after the reader's first look."""
        statements.append(statement)
        if len(statements) == 2 and not started:
            started.append(T0_MS)
            intake.started(T0_MS)

    reader.file.db.set_trace_callback(append_once)
    assert reader.file.first() == 0
    assert len(statements) == 1
