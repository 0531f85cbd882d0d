"""Those who watch over a process: what it tells them, when it is not ready, and what a look costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from adapters.host.device_health import DeviceHealth, UnitHealth
from adapters.host.host import HostHealth
from adapters.host.letterbox import LetterboxHealth
from adapters.host.mllp_health import GatewayHealth, GatewayTally
from adapters.host.pace import Tally
from adapters.host.publisher import PublisherHealth
from collector.accounting import Accounting, Conclusions, Line
from collector.cursors import Cursor
from collector.intake import Intake
from collector.ledger import Progress, Summary, open_ledger
from collector.standing import Behind, Standing, standing
from desk import health
from desk.figures import FIGURES, Kind
from desk.metrics import document, exposition
from desk.settings import Settings
from desk.vitals import CollectorVitals, JournalVitals, Running, Vitals, Watch
from telemetry.messages import LinkState
from tests.collector.journals import T0_MS, open_store, usage

LINE = Line(received=10, stored=5, pending=1, dead_lettered=1, duplicate=1, quarantined=1, privacy=1)
WELL = Vitals(
    collector=CollectorVitals(stopped="", connected=True, sessions_lost=1, history_trouble="", rewinds=2),
    journal=JournalVitals(
        standing=Standing(
            head=100,
            first=7,
            used_bytes=4096,
            disk_free_bytes=1 << 30,
            dead_letters=1,
            behind={"history": Behind(3, T0_MS), "rules": Behind(0, None)},
        ),
        cap_bytes=1 << 34,
        reserve_bytes=1 << 29,
        accounting=Accounting("e", LINE, {"usage": LINE}, missing=4, lost=2, rules=Conclusions(7, 5, 1, 1)),
        lag_s={"history": 12.5, "rules": 0.0},
    ),
    ledger=Summary(
        Progress(Cursor("e", 100), 1),
        {"concluded:usage": 5},
        {("P2", "repair"): 3},
        {"online": 2, "offline": 1},
    ),
    host=HostHealth(
        PublisherHealth(
            connected=True,
            trouble="",
            unconfirmed=6,
            confirmed=60,
            tally=Tally(connections=1, sent=66, resent=3),
        ),
        (
            DeviceHealth(
                "vent-1", "ttyUSB0", "puritan-bennett", LinkState.ONLINE, last_heard_ms=T0_MS, polls=9
            ),
            DeviceHealth(
                "vent-2",
                "ttyUSB1",
                "puritan-bennett",
                lost=5,
                units=(UnitHealth("vent-2-a", LinkState.MUTE, "", None, None),),
            ),
        ),
        (
            GatewayHealth(
                "gw", "127.0.0.1:2575", LinkState.ONLINE, 1, 40, 38, 2, "", GatewayTally(heard=500, lost=1)
            ),
        ),
        (LetterboxHealth("UDP port 24005 of 0.0.0.0", 8, ("192.0.2.9",)),),
    ),
)


def told(seen: Vitals, *, accept: str = "") -> dict[tuple[str, tuple[str, ...]], float]:
    """Every figure of ours in an answer, by its name and its labels' values, in the order of their names."""
    text = exposition(seen, accept=accept).body.decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_figure_is_told_with_its_labels_and_none_is_another_number() -> None:
    found = told(WELL)
    assert {figure.name for figure in FIGURES} <= {name for name, _ in found}
    expected = {
        ("hourmeter_messages_received_total", ("usage",)): 10,
        ("hourmeter_messages", ("usage", "stored")): 5,
        ("hourmeter_messages", ("usage", "privacy")): 1,
        ("hourmeter_rules_messages", ("failed",)): 1,
        ("hourmeter_messages_missing", ()): 4,
        ("hourmeter_messages_lost_total", ()): 2,
        ("hourmeter_unaccounted", ("messages",)): 0,
        ("hourmeter_consumer_behind_records", ("history",)): 3,
        ("hourmeter_consumer_lag_seconds", ("history",)): 12.5,
        ("hourmeter_journal_used_bytes", ()): 4096,
        ("hourmeter_acknowledging", ()): 1,
        ("hourmeter_history_trouble", ()): 0,
        ("hourmeter_history_rewinds_total", ()): 2,
        ("hourmeter_tickets_open", ("repair", "P2")): 3,
        ("hourmeter_tickets_open", ("pm", "P1")): 0,
        ("hourmeter_publishers", ("offline",)): 1,
        ("hourmeter_devices", ("online",)): 1,
        ("hourmeter_devices", ("unknown",)): 1,
        ("hourmeter_outbox_held_messages", ()): 6,
        ("hourmeter_publisher_resent_total", ()): 3,
        ("hourmeter_device_link", ("vent-1", "puritan-bennett", "online")): 1,
        ("hourmeter_device_link", ("vent-1", "puritan-bennett", "offline")): 0,
        ("hourmeter_device_link", ("vent-2", "puritan-bennett", "unknown")): 1,
        ("hourmeter_device_units", ("vent-2", "mute")): 1,
        ("hourmeter_device_units", ("vent-2", "online")): 0,
        ("hourmeter_device_lost_total", ("vent-2",)): 5,
        ("hourmeter_gateway_link", ("gw", "online")): 1,
        ("hourmeter_port_strangers_total", ("UDP port 24005 of 0.0.0.0",)): 8,
        ("hourmeter_device_polls_total", ("vent-1",)): 9,
        ("hourmeter_device_last_heard_timestamp_seconds", ("vent-1",)): T0_MS / 1000,
        ("hourmeter_gateway_heard_total", ("gw",)): 500,
        ("hourmeter_gateway_devices_online", ("gw",)): 38,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert ("hourmeter_device_last_heard_timestamp_seconds", ("vent-2",)) not in found
    places = [value for (name, _), value in found.items() if name == "hourmeter_messages"]
    assert sum(places) == found["hourmeter_messages_received_total", ("usage",)]


def test_what_is_not_in_this_process_is_absent_and_the_process_itself_is_told() -> None:
    names = {name for name, _ in told(Vitals())}
    assert not [name for name in names if name.startswith("hourmeter_")]
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"} <= names


def test_the_newer_format_is_spoken_with_who_asks_for_it() -> None:
    answer = exposition(WELL, accept="application/openmetrics-text; version=1.0.0")
    assert answer.content_type.startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")
    assert exposition(WELL, accept="text/html").content_type.startswith("text/plain; version=")


def test_names_are_as_prometheus_wants_them_and_labels_stay_few() -> None:
    for figure in FIGURES:
        assert figure.name.startswith("hourmeter_")
        assert figure.name.endswith("_total") is (figure.kind is Kind.COUNTER), figure.name
        assert set(figure.labels) <= {
            *("kind", "place", "outcome", "identity", "consumer", "priority", "link", "state"),
            *("device", "protocol", "gateway", "port"),
        }, "every other label is a list of words that does not grow with the site"
    names = [figure.name for figure in FIGURES]
    assert len(names) == len(set(names))


def test_the_document_has_a_row_for_every_figure() -> None:
    rows = [line for line in document().splitlines() if line.startswith("| `hourmeter_")]
    assert len(rows) == len(FIGURES)


def _with(part: str, **changed: object) -> Vitals:
    return replace(WELL, **{part: replace(getattr(WELL, part), **changed)})


def _host(**changed: object) -> Vitals:
    assert WELL.host is not None
    return _with("host", publisher=replace(WELL.host.publisher, **changed))  # type: ignore[arg-type] # by name


def _stalled(seen: Vitals) -> Vitals:
    assert seen.host is not None
    first, *others = seen.host.devices
    return replace(seen, host=replace(seen.host, devices=(replace(first, stalled="outbox full"), *others)))


@pytest.mark.parametrize(
    ("seen", "part", "why"),
    [
        (replace(WELL, unseen=(("ledger", "is away"),)), "ledger", "is away"),
        (_with("collector", stopped="no disk"), "collector", "nothing is acknowledged: no disk"),
        (_with("collector", connected=False), "collector", "not connected to the broker"),
        (_with("collector", history_trouble="401"), "history", "nothing is stored: 401"),
        (_with("journal", lag_s={"history": 60.1, "rules": 60}), "history", "60 s behind, at most 60 s"),
        (_with("journal", lag_s={"history": 0, "rules": 99}), "rules", "99 s behind, at most 60 s"),
        (_host(connected=False, trouble="refused"), "publisher", "not connected to the broker: refused"),
        (_stalled(WELL), "outbox", "outbox full"),
    ],
)
def test_a_process_is_not_ready_while_something_does_not_go_on(seen: Vitals, part: str, why: str) -> None:
    (found,) = health.reasons(seen, lag_s=60)
    assert found.part == part
    assert found.why.startswith(why)


def test_an_accounting_that_does_not_add_up_is_a_reason() -> None:
    assert WELL.journal is not None
    wrong = replace(WELL.journal.accounting, total=replace(LINE, stored=4))
    (found,) = health.reasons(_with("journal", accounting=wrong), lag_s=60)
    assert found.part == "accounting"


def test_all_well_is_ready() -> None:
    assert health.reasons(WELL, lag_s=60) == ()


# -- looking at real ones ---------------------------------------------------------------------------------


@dataclass
class Hands:
    """A clock that a test turns."""

    elapsed: float = 0.0

    def __call__(self) -> float:
        """As it stands."""
        return self.elapsed


def watch_of(folder: Path, running: Running, hands: Hands, *, now_ms: int = T0_MS) -> Watch:
    settings = Settings.model_validate({"journal": {"folder": folder / "journal"}})
    return Watch(
        settings,
        lambda: running,
        keeps_journal=True,
        expected=("ledger",),
        now_ms=lambda: now_ms,
        elapsed_s=hands,
    )


def filled(folder: Path, *, messages: int) -> None:
    """A journal that has received so many messages and ticked once."""
    store = open_store(folder / "journal")
    intake = Intake(store)
    intake.take([usage(n + 1) for n in range(messages)], received_ms=T0_MS)
    intake.tick(T0_MS + 1000)
    store.file.close()


async def test_a_look_tells_where_journal_and_rules_stand(tmp_path: Path) -> None:
    filled(tmp_path, messages=5)
    async with open_ledger(tmp_path / "ledger.db") as ledger:
        watch = watch_of(tmp_path, Running(ledger=ledger), Hands(), now_ms=T0_MS + 90_000)
        seen = await watch.look()
    assert seen.unseen == ()
    assert seen.journal is not None
    assert seen.journal.standing.behind == {"history": Behind(6, T0_MS), "rules": Behind(6, T0_MS)}
    assert seen.journal.lag_s == {"history": 90, "rules": 90}
    assert seen.journal.accounting.total.pending == 5
    assert [reason.part for reason in health.reasons(seen, lag_s=60)] == ["history", "rules"]
    assert health.reasons(seen, lag_s=90) == ()


def test_ticks_alone_are_no_lag(tmp_path: Path) -> None:
    filled(tmp_path, messages=0)
    store = open_store(tmp_path / "journal")
    try:
        assert standing(store).behind == {"history": Behind(1, None), "rules": Behind(1, None)}
    finally:
        store.file.close()


async def test_who_asks_again_within_a_second_is_told_the_same(tmp_path: Path) -> None:
    filled(tmp_path, messages=1)
    hands = Hands()
    watch = watch_of(tmp_path, Running(), hands)
    first = await watch.look()
    hands.elapsed = 0.9
    assert await watch.look() is first
    hands.elapsed = 1.0
    assert await watch.look() is not first


async def test_what_is_not_there_yet_is_a_reason_and_no_error(tmp_path: Path) -> None:
    seen = await watch_of(tmp_path, Running(), Hands()).look()
    assert [part for part, _ in seen.unseen] == ["ledger", "journal"]


async def test_a_look_does_not_wait_for_the_writer_of_the_journal(tmp_path: Path) -> None:
    filled(tmp_path, messages=1)
    store = open_store(tmp_path / "journal")
    try:
        with store.file.transaction():
            seen = await watch_of(tmp_path, Running(), Hands()).look()
    finally:
        store.file.close()
    assert seen.journal is not None


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    filled(tmp_path, messages=3)
    watch = watch_of(tmp_path, Running(), Hands(), now_ms=T0_MS)
    watch.expected = ()
    with TestClient(health.app(health.router(watch, lag_s=60))) as opened:
        yield opened


def test_a_process_that_lives_says_so(client: TestClient) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "alive\n")


def test_ready_and_not_ready_are_told_by_status_and_reasons(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})
    late = watch_of(tmp_path, Running(), Hands(), now_ms=T0_MS + 61_000)
    late.expected = ()
    with TestClient(health.app(health.router(late, lag_s=60))) as other:
        refused = other.get("/readyz")
    assert refused.status_code == 503
    body: dict[str, Any] = refused.json()
    assert body["ready"] is False
    assert [reason["part"] for reason in body["reasons"]] == ["history", "rules"]


def test_metrics_are_served_in_their_own_format(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'hourmeter_messages_received_total{kind="usage"} 3.0' in answer.text
    assert client.get("/").status_code == 404
