"""Commands answer in lines that people and pipes can read, with the exit code of whose fault it is."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector.consumers import Consumers
from collector.cursors import Cursor
from collector.embedded_store import EmbeddedStore
from collector.intake import Intake
from collector.points import points
from desk import cli
from desk.clock import system_clock
from telemetry.errors import MessageError, SettingsError, Unavailable
from telemetry.messages import OperatingState, Usage
from tests.adapters.ventilators import report, twin_of_capture
from tests.collector.histories import journaled
from tests.collector.journals import T0_MS, open_store, usage


def _run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, list(arguments), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A settings file of a site that has taken three messages, one of them of the future."""
    store = open_store(tmp_path / "data/journal")
    intake = Intake(store)
    intake.take([usage(1), usage(2), usage(3, observed_ms=T0_MS + 400_000)], received_ms=T0_MS)
    store.file.close()
    (tmp_path / "hourmeter.toml").write_text("")
    return tmp_path / "hourmeter.toml"


@pytest.mark.parametrize("from_stdin", [False, True])
def test_decode_prints_a_json_line_for_each_body(tmp_path: Path, *, from_stdin: bool) -> None:
    file = tmp_path / "capture.bin"
    file.write_bytes(twin_of_capture())
    code, out, errors = _run(
        "decode", "puritan-bennett", "-" if from_stdin else str(file), stdin=file.read_bytes()
    )
    kinds = [json.loads(line)["kind"] for line in out.splitlines()]
    assert (code, errors, kinds.count("usage"), kinds.count("alarm")) == (0, "", 33, 1)


def test_decode_tells_refusals_with_their_offset_and_exits_with_one() -> None:
    code, out, errors = _run("decode", "puritan-bennett", "-", stdin=report() + b"garbage" + report())
    assert code == 1
    assert len(out.splitlines()) >= 3
    assert errors.startswith(f"byte {len(report())}: ")


def test_an_unknown_protocol_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="puritan-bennett"):
        _run("decode", "esperanto", "-")


def test_accounting_adds_up_in_both_forms(site: Path) -> None:
    code, out, _ = _run("accounting", "--settings", str(site))
    assert code == 0
    assert out.splitlines()[0].split("\t")[:3] == ["kind", "received", "stored"]
    assert out.splitlines()[1].split("\t") == ["usage", "3", "0", "2", "0", "0", "1", "0"]
    code, out, _ = _run("accounting", "--settings", str(site), "--json")
    assert json.loads(out)["unaccounted"] == 0


def test_an_accounting_that_does_not_add_up_is_an_error(site: Path) -> None:
    store = open_store(site.parent / "data/journal")
    with store.file.transaction():
        store.file.count({("received", "usage"): 1})
    store.file.close()
    with pytest.raises(MessageError, match="does not add up"):
        _run("accounting", "--settings", str(site))


def test_a_quarantined_message_is_listed_and_released(site: Path) -> None:
    _, out, _ = _run("quarantine", "list", "--settings", str(site))
    number, reason, topic, *_ = out.splitlines()[1].split("\t")
    assert (reason, topic) == ("its time is more than 5 minutes ahead", "hourmeter/1/hn01-a/vent1/usage")
    assert _run("quarantine", "release", number, "--settings", str(site))[0] == 0
    with pytest.raises(SettingsError, match="there is no message 99"):
        _run("quarantine", "release", "99", "--settings", str(site))


def test_history_can_be_set_back(site: Path) -> None:
    store = open_store(site.parent / "data/journal")
    Consumers(store).commit_history(cursor=Cursor(store.file.epoch, 2), stored={"usage": 2}, dead=[])
    store.file.close()
    code, out, _ = _run("rewind", "history", "--position", "1", "--settings", str(site))
    assert (code, out.strip()) == (0, "history goes on from position 1")
    _, out, _ = _run("accounting", "--settings", str(site), "--json")
    assert json.loads(out)["total"]["pending"] == 1
    with pytest.raises(SettingsError, match="history or rules"):
        _run("rewind", "grafana", "--settings", str(site))


def test_a_restored_journal_begins_a_new_epoch(site: Path) -> None:
    store = open_store(site.parent / "data/journal")
    before = store.file.epoch
    store.file.close()
    _, out, _ = _run("restored", "--settings", str(site))
    assert out.strip().removeprefix("the journal begins epoch ") != before


def test_without_a_ledger_tickets_say_what_is_missing(site: Path) -> None:
    with pytest.raises(SettingsError, match="settings file of a site that has run"):
        _run("tickets", "list", "--settings", str(site))


def test_shipped_and_demo_rules_pass_their_stories() -> None:
    demo = str(Path(cli.__file__).parent / "demo_rules")
    code, out, errors = _run("rules", "test", demo)
    assert (code, errors) == (0, "")
    rows = [line.split("\t") for line in out.splitlines()[1:]]
    assert {row[1] for row in rows} == {"confirmed"}
    assert {row[3] for row in rows} == {"passed"}
    code, out, _ = _run("rules", "test")
    assert code == 0
    assert {line.split("\t")[1] for line in out.splitlines()[1:]} == {"draft"}


def test_usage_shows_what_each_device_did_each_day(tmp_path: Path) -> None:
    (tmp_path / "hourmeter.toml").write_text("")
    file = ("--settings", str(tmp_path / "hourmeter.toml"))
    with pytest.raises(SettingsError, match=r"there is no .*history.db yet"):
        _run("usage", *file)
    store = EmbeddedStore(tmp_path / "data/history.db")
    now_ms = system_clock().now_ms()
    for seq, ago_ms in enumerate((180_000, 120_000, 60_000), 1):
        body = Usage(state=OperatingState.IN_USE, period_s=60)
        store.write(points(journaled(body, seq=seq, event_ms=now_ms - ago_ms)))
    store.close()
    _, out, _ = _run("usage", *file, "--days", "2", "--json")
    days = json.loads(out)
    assert sum(day["state_s"].get("in_use", 0) for day in days) == 120
    assert {(day["device"], day["alias"]["identifier"]) for day in days} == {("vent1", "3510000001")}
    _, out, _ = _run("usage", *file, "--device", "vent1", "--days", "2")
    assert out.splitlines()[-1].split("\t")[1:3] == ["hn01-a/vent1", "3510000001"]
    assert len(_run("usage", *file, "--device", "vent2")[1].splitlines()) == 1


def test_a_rule_whose_story_fails_is_told_and_exits_with_one(tmp_path: Path) -> None:
    original = Path(cli.__file__).parent / "demo_rules" / "demo-service-250h.yaml"
    (tmp_path / "demo-service-250h.yaml").write_text(
        original.read_text().replace("every_h: 250", "every_h: 2500")
    )
    code, out, _ = _run("rules", "test", str(tmp_path))
    assert code == 1
    assert "failed" in out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MessageError("odd"), 1),
        (SettingsError(where="a", found="b", expected="c"), 2),
        (Unavailable("a", why="b"), 3),
    ],
)
def test_errors_are_one_line_with_the_code_of_whose_fault_it_is(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(sys, "argv", ["hourmeter"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == f"hourmeter: {error}\n"


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_end_that_is_asked_for_and_a_lost_terminal_are_an_orderly_end(name: signal.Signals) -> None:
    """Devices that are owed a farewell get it; `nohup` ignores the loss of its terminal."""

    async def work(stopping: asyncio.Event) -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, name)
        await stopping.wait()
        ended.append(name)

    async def main() -> None:
        stopping = asyncio.Event()
        async with asyncio.timeout(10):
            await cli._until_signal(work(stopping), stopping)  # noqa: SLF001 - signals end a whole process

    ended: list[signal.Signals] = []
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        asyncio.run(main())
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert ended == [name]
