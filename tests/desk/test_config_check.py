"""`config check` tries everything at once within its time, disturbs nothing, and tells by whose fault."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from adapters.host.disk import locked
from collector.clocks import Tolerance
from collector.journal_file import lock
from desk import cli, config_check_files, config_check_host, settings, terminal
from desk.compose import Part
from desk.config_check import Check, Finding, Verdict, exit_code, ok, run
from desk.config_check_servers import compared
from desk.config_check_site import checks_of, parts_of
from desk.journal_clock import clock_behind, newest_ms
from telemetry.errors import SettingsError, Unavailable
from tests.collector.journals import T0_MS, open_store
from tests.desk.test_cli import site as site_that_has_run  # noqa: F401 - a fixture

HOUR_MS = 3_600_000
WRONG = SettingsError(where="a.key", found="is odd", expected="even")
AWAY = Unavailable("server", why="is away", advice="does it run?")


class _Clock:
    """A clock that stands still."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms

    def mono_ms(self) -> int:
        return self.ms

    def boot(self) -> str:
        return "boot"

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def raising(error: Exception) -> Check:
    """A check that fails."""

    async def ask() -> Sequence[Finding]:
        raise error

    return Check("it", ask)


def loaded(folder: Path, text: str) -> settings.Settings:
    """The settings of that text in that folder."""
    file = folder / "hourmeter.toml"
    file.write_text(text)
    return settings.load(file)


async def found(settings: settings.Settings, *parts: Part, ms: int = T0_MS) -> dict[str, Finding]:
    """The last finding of each check."""
    checks = checks_of(settings, frozenset(parts), clock=_Clock(ms))
    return {one.what: one for one in await run(checks, done=lambda: None)}


# -- running -------------------------------------------------------------------------------------------------


async def test_what_a_check_raises_is_told_by_whose_fault_it_is() -> None:
    told: list[None] = []
    checks = [raising(WRONG), raising(AWAY), raising(WRONG)]
    findings = await run(checks, done=lambda: told.append(None))
    assert findings == (
        Finding("it", Verdict.WRONG, "a.key: is odd", "even"),
        Finding("it", Verdict.UNAVAILABLE, "server: is away", "does it run?"),
        Finding("it", Verdict.WRONG, "a.key: is odd", "even"),
    )
    assert len(told) == 3


async def test_checks_are_tried_at_the_same_time_and_given_up_after_theirs() -> None:
    together = asyncio.Barrier(3)

    async def meet() -> Sequence[Finding]:
        await together.wait()
        return [ok("met", "")]

    async def never() -> Sequence[Finding]:
        await asyncio.Event().wait()
        return []

    checks = [Check("a", meet), Check("b", never), Check("c", meet), Check("d", meet)]
    findings = await run(checks, done=lambda: None, within_s=0.2)
    assert [one.verdict for one in findings] == ["ok", "unavailable", "ok", "ok"]
    assert findings[1].found == "no answer within 0.2 s"


async def test_a_bug_of_ours_is_no_finding() -> None:
    with pytest.raises(ZeroDivisionError):
        await run([raising(ZeroDivisionError())], done=lambda: None)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((), 0),
        ((Verdict.OK, Verdict.UNKNOWN), 0),
        ((Verdict.UNAVAILABLE, Verdict.OK), 3),
        ((Verdict.UNAVAILABLE, Verdict.WRONG, Verdict.OK), 2),
    ],
)
def test_the_worst_gives_the_exit_code(verdicts: tuple[Verdict, ...], code: int) -> None:
    assert exit_code([Finding("it", verdict, "") for verdict in verdicts]) == code


# -- which parts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", {"collect", "conclude", "desk"}),
        ('[broker]\nhost = "b"\npassword_file = "x"', {"collect", "conclude", "desk"}),
        ('[broker]\nhost = "b"\n[host]\npublisher = "p"', {"adapt"}),
        ('[host]\npublisher = "p"\n[history]\nraw_days = 60', {"collect", "conclude", "desk", "adapt"}),
        ('[[gateway]]\nname = "g"\nport = 2575', {"adapt"}),
    ],
)
def test_a_file_is_for_the_parts_that_it_sets_something_of(
    tmp_path: Path, text: str, parts: set[str]
) -> None:
    read = loaded(tmp_path, text)
    assert parts_of(read, tables=settings.tables(tmp_path / "hourmeter.toml")) == parts


async def test_without_a_broker_something_else_must_bring_messages(tmp_path: Path) -> None:
    nothing = await found(loaded(tmp_path, ""), Part.COLLECT)
    assert "broker.host" in nothing["broker"].found
    device = '[[device]]\nname = "v1"\nprotocol = "puritan-bennett"\nreplay = "c"\n'
    both = loaded(tmp_path, device)
    assert "broker" not in await found(both, Part.COLLECT, Part.ADAPT)
    assert (await found(both, Part.ADAPT))["broker"].verdict is Verdict.WRONG


# -- files ---------------------------------------------------------------------------------------------------


async def test_a_new_site_is_well_and_nothing_is_made(tmp_path: Path) -> None:
    read = loaded(tmp_path, "[journal]\ndisk_reserve_mib = 0\n[desk]\nport = 0\n")
    findings = await found(read, Part.COLLECT, Part.CONCLUDE, Part.DESK)
    assert {what for what, one in findings.items() if one.verdict is not Verdict.OK} == {"broker"}
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("text", "what", "key"),
    [
        ('[journal]\nfolder = "file"', "journal", "journal.folder"),
        ('[history]\nfile = "file/history.db"', "history", "history.file"),
        ('[history]\nfile = "folder"', "history", "history.file"),
        ('[ledger]\nfile = "text.db"', "ledger", "ledger.file"),
        ('[host]\npublisher = "p"\noutbox = "text.db"', "outbox", "host.outbox"),
        ("[journal]\ndisk_reserve_mib = 1000000000", "journal", "journal.disk_reserve_mib"),
        ("[history]\nraw_days = 30", "history", "history.raw_days"),
        ('[rules]\nfolders = ["nowhere"]', "rules", "rules.folders"),
        ('[desk]\nhost = "192.0.2.1"', "page", "desk.host"),
    ],
)
async def test_a_file_or_figure_that_cannot_work_names_its_key(
    tmp_path: Path, text: str, what: str, key: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.db").write_bytes(b"these are not the tables you are looking for" * 100)
    findings = await found(loaded(tmp_path, text), *Part)
    assert findings[what].verdict is Verdict.WRONG
    assert key in findings[what].found
    assert findings[what].expected


async def test_a_folder_that_this_user_may_not_write_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # root, as some run tests, may write it
    findings = await found(loaded(tmp_path, ""), Part.COLLECT)
    assert "may not write" in findings["journal"].found


async def test_what_a_running_part_holds_is_no_fault_and_stays_held(tmp_path: Path) -> None:
    open_store(tmp_path / "data/journal").file.close()
    text = '[[device]]\nname = "v1"\nprotocol = "puritan-bennett"\nhost = "127.0.0.1"\nport = 1\n'
    read = loaded(tmp_path, text + "[journal]\ndisk_reserve_mib = 0")
    free = await found(read, Part.COLLECT, Part.ADAPT)
    assert "in use" not in free["journal"].found
    assert free["device v1"].verdict is Verdict.UNAVAILABLE
    with lock(read.journal.folder), locked(read.host.outbox):
        held = await found(read, Part.COLLECT, Part.ADAPT)
        assert "in use by a running collector" in held["journal"].found
        assert "in use by a running adapter host" in held["outbox"].found
        assert held["device v1"].verdict is Verdict.UNKNOWN
        with pytest.raises(SettingsError, match="another collector"), lock(read.journal.folder):
            pass


# -- clocks --------------------------------------------------------------------------------------------------


def test_a_clock_behind_the_newest_record_is_told_beyond_the_tolerance(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert newest_ms(store) is None
    store.file.close()
    edge = T0_MS - Tolerance().correct_beyond_ms
    assert clock_behind(T0_MS, now_ms=edge, journal=tmp_path) is None
    assert clock_behind(T0_MS, now_ms=T0_MS + HOUR_MS, journal=tmp_path) is None
    behind = clock_behind(T0_MS, now_ms=T0_MS - HOUR_MS, journal=tmp_path)
    assert behind is not None
    assert "is 3600 s behind the newest record of the journal" in str(behind)


@pytest.mark.usefixtures("site_that_has_run")
async def test_the_check_looks_at_the_newest_record_of_the_journal(tmp_path: Path) -> None:
    read = settings.load(tmp_path / "hourmeter.toml")
    assert (await found(read, Part.COLLECT, ms=T0_MS))["clock"].verdict is Verdict.OK
    late = (await found(read, Part.COLLECT, ms=T0_MS - HOUR_MS))["clock"]
    assert (late.verdict, "3600 s behind" in late.found) == (Verdict.WRONG, True)


@pytest.mark.parametrize(
    ("ahead_s", "said"),
    [(-121, "121 s behind them"), (121, "121 s ahead of them"), (-119, "within 119 s"), (0, "within 1 s")],
)
def test_two_clocks_are_compared_both_ways(ahead_s: int, said: str) -> None:
    (one,) = compared("clock", "them", theirs_ms=T0_MS, now_ms=T0_MS + ahead_s * 1000)
    assert said in one.found
    assert one.verdict is (Verdict.WRONG if abs(ahead_s) > 120 else Verdict.OK)


# -- devices and ports ---------------------------------------------------------------------------------------


async def test_devices_are_reached_and_told_nothing(tmp_path: Path) -> None:
    heard = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.set_result(await reader.read())
        except ConnectionResetError:
            heard.set_result(b"")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    (tmp_path / "capture.bin").write_bytes(b"x")
    device = '[[device]]\nname = "{}"\nprotocol = "{}"\n{}\n'
    read = loaded(
        tmp_path,
        device.format("there", "puritan-bennett", f'host = "127.0.0.1"\nport = {port}')
        + device.format("replayed", "puritan-bennett", 'replay = "capture.bin"')
        + device.format("unplugged", "puritan-bennett", 'serial = "ttyNONE"')
        + device.format("lost", "puritan-bennett", 'replay = "nowhere.bin"')
        + device.format("nameless", "esperanto", 'replay = "capture.bin"')
        + device.format("nowhere", "puritan-bennett", ""),
    )
    findings = await found(read, Part.ADAPT)
    verdicts = {what[7:]: one.verdict.value for what, one in findings.items() if what.startswith("device ")}
    assert verdicts == {
        "there": "ok",
        "replayed": "ok",
        "unplugged": "unavailable",
        "lost": "wrong",
        "nameless": "wrong",
        "nowhere": "wrong",
    }
    assert await heard == b""
    server.close()


async def test_devices_that_send_to_one_port_of_ours_do_not_stand_in_each_others_way(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        device = '[[device]]\nname = "m-{0}"\nprotocol = "intellivue"\nhost = "127.0.0.{0}"\nport = {1}\n'
        text = "".join(device.format(number, port) for number in (2, 3, 4))
        read = loaded(tmp_path, text.replace("port =", 'listen_host = "127.0.0.1"\nport ='))
        findings = await found(read, Part.ADAPT)
        assert {findings[f"device m-{number}"].verdict for number in (2, 3, 4)} == {Verdict.WRONG}
    findings = await found(read, Part.ADAPT)
    assert {findings[f"device m-{number}"].verdict for number in (2, 3, 4)} == {Verdict.OK}


async def test_a_gateways_port_and_certificate_are_tried(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        read = loaded(tmp_path, f'[[gateway]]\nname = "g"\nport = {port}\n')
        taken = (await found(read, Part.ADAPT))["gateway g"]
        assert (taken.verdict, str(port) in taken.found) == (Verdict.WRONG, True)
        with locked(read.host.outbox):
            assert (await found(read, Part.ADAPT))["gateway g"].verdict is Verdict.OK
    assert (await found(read, Part.ADAPT))["gateway g"].verdict is Verdict.OK
    (tmp_path / "cert.pem").write_text("none")
    files = 'cert_file = "cert.pem"\nkey_file = "cert.pem"\n'
    read = loaded(tmp_path, f'[[gateway]]\nname = "g"\nport = {port}\n{files}')
    assert "cert_file" in (await found(read, Part.ADAPT))["gateway g"].found


def test_a_lock_that_nobody_holds_or_nobody_made_is_free(tmp_path: Path) -> None:
    assert not config_check_files.is_held(tmp_path / "none.lock")
    (tmp_path / "some.lock").write_text("")
    assert not config_check_files.is_held(tmp_path / "some.lock")


async def test_the_health_port_is_tried_where_one_is_set(tmp_path: Path) -> None:
    read = loaded(tmp_path, "[health]\nport = 1\nhost = '192.0.2.1'")
    with pytest.raises(SettingsError, match=r"health\."):
        await config_check_host.health(read)
    assert "health" in await found(read, Part.ADAPT)


# -- the command ---------------------------------------------------------------------------------------------


def _run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["config", "check", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_check_is_a_table_when_piped_and_ends_with_a_line_of_counts(tmp_path: Path) -> None:
    loaded(tmp_path, "[journal]\ndisk_reserve_mib = 0\n[desk]\nport = 0\n")
    code, out, errors = _run("--settings", str(tmp_path / "hourmeter.toml"))
    assert code == 2
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["checked", "result", "found", "what would be right"]
    assert rows[1][:2] == ["settings", "ok"]
    assert [row[0] for row in rows if row[1] == "wrong"] == ["broker"]
    assert "1 to be mended, 0 not to be had" in errors


def test_the_check_is_json_on_demand_and_only_of_the_parts_asked_for(tmp_path: Path) -> None:
    loaded(tmp_path, "[desk]\nport = 0\n")
    code, out, _ = _run("--settings", str(tmp_path / "hourmeter.toml"), "--json", "--part", "desk")
    told = json.loads(out)
    assert (code, told["exit_code"]) == (0, 0)
    assert [one["what"] for one in told["checks"]] == ["settings", "ledger", "page"]
    with pytest.raises(SettingsError, match="collect, conclude, desk, adapt"):
        CliRunner().invoke(cli.app, ["config", "check", "--part", "grafana"], catch_exceptions=False)


def test_a_terminal_shows_brackets_as_they_are_and_colours_what_matters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[str] = []

    class _Screen(Console):
        def __init__(self) -> None:
            super().__init__(force_terminal=True, width=80, color_system="standard", record=True)

        def print(self, *objects: object, **_options: object) -> None:
            with self.capture() as captured:
                super().print(*objects)
            drawn.append(captured.get())

    monkeypatch.setattr(terminal, "Console", _Screen)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    terminal.table(["what", "result"], [["a [[device]] of [bold]", "wrong"], ["b", "ok"]])
    (text,) = drawn
    assert "a [[device]] of [bold]" in text
    assert "\x1b[1;31mwrong" in text
    assert "\x1b[32mok" in text


def test_a_database_is_looked_at_and_left_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE x (y)")
    before = file.read_bytes()
    read = loaded(tmp_path, '[ledger]\nfile = "ledger.db"\n[desk]\nport = 0')
    findings = asyncio.run(found(read, Part.DESK))
    assert findings["ledger"].verdict is Verdict.OK
    assert file.read_bytes() == before
