"""Dead letters from the command line: listed, shown, let go again, with what became of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector import dead
from collector.dead import Fate, Outcome
from collector.intake import Intake
from desk import cli_dead, replaying
from desk.settings import load
from telemetry.errors import MessageError, SettingsError
from tests.collector.journals import T0_MS, open_store, usage
from tests.collector.test_dead import REFUSED, Site, masked

HOSTILE = "body.\x1b[2J: Extra inputs"


def _run(*arguments: str, file: Path) -> tuple[int, str]:
    result = CliRunner().invoke(cli_dead.dead, [*arguments, "--settings", str(file)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file of a site with two dead letters, the second of them masked."""
    site = Site(tmp_path / "data/journal", poison={2})
    site.take(usage(1), usage(2), masked(3))
    site.store_all()
    site.store.file.close()
    (tmp_path / "hourmeter.toml").write_text("")
    return tmp_path / "hourmeter.toml"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a collector that does not run."""
    monkeypatch.setattr(replaying, "KNOWN_WITHIN_S", 0)


def test_they_are_listed_for_people_and_for_pipes(file: Path) -> None:
    code, out = _run("list", file=file)
    head, refused, secret = (line.split("\t") for line in out.splitlines())
    assert (code, head) == (0, ["position", "received", "topic", "kind", "reason", "bytes"])
    assert refused[0] == "1"
    assert refused[1].startswith("2023-11-14T22:13:20")
    assert refused[2:5] == ["hourmeter/1/hn01-a/vent1/usage", "usage", REFUSED]
    assert secret[5] == "17, masked"
    _, out = _run("list", "--json", "--reason", "conflict", "--kind", "usage", file=file)
    (one,) = json.loads(out)
    assert (one["position"], one["masked"], one["payload"]["body"]["state"]) == (1, False, "in_use")
    assert one["envelope"] == {"stream": "b-1", "seq": "2", "boot": "boot1", "mono_ms": "0"}
    _, out = _run("list", "--limit", "1", file=file)
    assert [line.partition("\t")[0] for line in out.splitlines()[1:]] == ["2"]


def test_one_is_shown_with_all_that_is_known(file: Path) -> None:
    code, out = _run("show", "1", file=file)
    assert code == 0
    assert f"reason    {REFUSED}\n" in out
    assert "envelope  stream b-1, seq 2, boot boot1, mono_ms 0\n" in out
    assert json.loads(out[out.index("{") :])["body"]["period_s"] == 60
    with pytest.raises(SettingsError, match="there is none at position 0"):
        _run("show", "0", file=file)


def test_a_masked_one_stays_masked_and_says_so(file: Path) -> None:
    _, out = _run("show", "2", file=file)
    assert "masked: it names what hourmeter does not know" in out
    assert "A B" not in out
    assert json.loads(out[out.index("{") :]).keys() == {"masked"}
    with pytest.raises(MessageError, match="dead letter 2: its payload was not kept"):
        _run("replay", "2", file=file)


@pytest.mark.usefixtures("at_once")
def test_a_replay_is_noted_while_no_collector_runs_and_done_by_its_next_tick(file: Path) -> None:
    code, out = _run("replay", "1", file=file)
    assert (code, out) == (0, "1: noted; it goes again when the collector runs\n")
    assert "replay    asked for" in _run("show", "1", file=file)[1]
    store = open_store(file.parent / "data/journal")
    Intake(store).tick(T0_MS + 1_000)
    store.file.close()
    code, out = _run("replay", "--all", file=file)
    assert (code, out) == (0, f"1 stay, {cli_dead.NOT_KEPT}\n")


@pytest.mark.usefixtures("at_once")
def test_what_becomes_of_each_is_told_and_dead_again_is_exit_code_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def becomes(*found: Outcome) -> None:
        monkeypatch.setattr(dead, "outcomes", lambda _store, _positions: found)

    becomes(Outcome(1, Fate.STORED, 3))
    assert _run("replay", "1", file=file) == (0, "1: stored\n")
    becomes(Outcome(1, Fate.UNDERWAY, 3))
    assert _run("replay", "1", file=file) == (0, "1: in the journal again; history has not come to it\n")
    becomes(Outcome(1, Fate.DEAD_AGAIN, 3, HOSTILE))
    assert _run("replay", "1", file=file) == (1, "1: dead again at 3: body.?[2J: Extra inputs\n")
    becomes(*(Outcome(n, Fate.DEAD_AGAIN, n + 50, REFUSED) for n in range(30)))
    assert _run("replay", "--all", "--yes", file=file)[1].startswith(f"30 dead again: {REFUSED}\n")


@pytest.mark.parametrize("arguments", [[], ["1", "--all"], ["1", "--reason", "conflict"]])
def test_a_replay_says_which_ones(file: Path, arguments: list[str]) -> None:
    with pytest.raises(SettingsError, match="positions that `dead list` shows, or --all"):
        _run("replay", *arguments, file=file)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("answer", "asked"), [("n\n", False), ("y\n", True)])
def test_on_a_terminal_all_is_asked_about(
    file: Path, monkeypatch: pytest.MonkeyPatch, answer: str, *, asked: bool
) -> None:
    monkeypatch.setattr(cli_dead, "is_terminal", lambda: True)
    result = CliRunner().invoke(cli_dead.dead, ["replay", "--all", "--settings", str(file)], input=answer)
    assert result.exit_code == int(not asked)
    assert replaying.dead_letter(load(file), 1).is_asked is asked
