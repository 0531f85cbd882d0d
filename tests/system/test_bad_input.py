"""Wrong settings, as operators make them: one line with file, key, value and what would be right; exit code.

The commands run as processes against real servers. A collector waits for servers that are away or refuse it,
for that is what keeps every message; what it says meanwhile is one line, and `config check` tells it by its
exit code.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters.host.disk import locked
from collector.intake import Intake
from collector.journal_file import lock
from desk.broker import COLLECTOR, Broker
from desk.child import LOOPBACK, free_port
from tests.collector.journals import open_store
from tests.system.servers import Influx, password
from tests.system.stand import HOURMETER, PUBLISHER, Part, until

pytestmark = pytest.mark.system

DAY_MS = 86_400_000


@dataclass
class Site:
    """A folder with a settings file, and the commands that are run on it."""

    folder: Path
    text: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The settings file."""
        return self.folder / "hourmeter.toml"

    def part(self, *command: str) -> Part:
        """A command on this file, not started yet."""
        if not self.file.exists():
            self.file.write_text(self.text)
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)} | self.environment
        log = self.folder / f"{'-'.join(command)}.log"
        return Part((HOURMETER, *command, "--settings", str(self.file)), environment, log)

    async def refused(self, *command: str) -> str:
        """The one line with which a command ends; its code is the operator's."""
        part = self.part(*command)
        await part.start()
        try:
            assert await part.ended() == 2, part.said()
        finally:
            await part.kill()
        lines = [line for line in part.said().splitlines() if line.startswith("hourmeter: ")]
        assert "Traceback" not in part.said()
        (line,) = lines
        return line

    async def waits(self, what: str, *command: str) -> str:
        """The one line in which a command says what it waits for, while it goes on."""
        part = self.part(*command)
        await part.start()

        async def says_so() -> bool:
            part.check()
            return what in part.said()

        try:
            await until(says_so, within_s=30, what=what)
            assert await part.stop() == 0, part.said()
        finally:
            await part.kill()
        (line,) = [line for line in part.said().splitlines() if what in line]
        assert "Traceback" not in part.said()
        return line

    async def check(self, code: int, *options: str) -> dict[str, tuple[str, str]]:
        """What `config check` says of everything that is not well, by what it tried: found, expected."""
        part = self.part("config", "check", "--json", *options)
        part.log.unlink(missing_ok=True)
        await part.start()
        try:
            assert await part.ended() == code, part.said()
        finally:
            await part.kill()
        told = json.loads(part.said())
        assert told["exit_code"] == code
        well = {"ok", "unknown"}
        return {c["what"]: (c["found"], c["expected"]) for c in told["checks"] if c["verdict"] not in well}


def has(line: str, *words: str) -> None:
    """Every one of the words stands in the line, and no second line does."""
    assert [word for word in words if word not in line] == [], line
    assert "\n" not in line


def secret(site: Site, user: str, *, word: str = "") -> Path:
    """A password file: the right password, or another."""
    file = site.folder / f"{user}.password"
    file.write_text(word or password(user))
    return file


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site without a broker."""
    return Site(tmp_path)


def with_broker(site: Site, port: int, *, user_word: str = "", host_word: str = "") -> None:
    """Settings of a collector and an adapter host in one file, both at that port."""
    site.text = f"""\
[broker]
host = "{LOOPBACK}"
port = {port}
password_file = "{secret(site, COLLECTOR, word=user_word)}"
[journal]
disk_reserve_mib = 1
[desk]
port = 0
[host]
publisher = "{PUBLISHER}"
password_file = "{secret(site, PUBLISHER, word=host_word)}"
[[device]]
name = "v1"
protocol = "puritan-bennett"
replay = "capture.bin"
"""
    (site.folder / "capture.bin").write_bytes(b"")


# -- wrong password ------------------------------------------------------------------------------------------


async def test_a_wrong_password_of_the_collector(site: Site, mosquitto: Broker) -> None:
    with_broker(site, mosquitto.port, user_word="guess")
    right = (str(site.file), "'collector'", "broker.user", "broker.password_file", str(mosquitto.port))
    has(await site.refused("collect"), *right)
    has(await site.refused("run"), *right)
    ((what, (found, expected)),) = (await site.check(2)).items()
    assert what == "broker, as collector"
    has(f"{found} {expected}", *right[1:])
    assert "guess" not in found + expected


async def test_a_wrong_password_of_the_adapter_host(site: Site, mosquitto: Broker) -> None:
    with_broker(site, mosquitto.port, host_word="guess")
    right = (f"'{PUBLISHER}'", "host.publisher", "host.password_file", str(mosquitto.port))
    has(await site.refused("adapt"), str(site.file), *right)
    ((what, (found, expected)),) = (await site.check(2)).items()
    assert what == "broker, as adapter host"
    has(f"{found} {expected}", *right)
    assert "guess" not in found + expected


async def test_a_wrong_password_of_influxdb_is_waited_out_and_told(
    site: Site, mosquitto: Broker, influx_with_user: Influx
) -> None:
    with_broker(site, mosquitto.port)
    site.text += f'[history]\nstore = "influxdb1"\nurl = "{influx_with_user.url}"\nuser = "hourmeter"\n'
    site.text += f'password_file = "{secret(site, "hourmeter", word="guess")}"\n'
    right = (influx_with_user.url, "history.user", "history.password_file")
    line = await site.waits("nothing is stored", "collect")
    has(line, *right)
    ((what, (found, expected)),) = (await site.check(2)).items()
    assert what == "history"
    has(f"{found} {expected}", *right)
    assert "guess" not in line + found + expected


async def test_a_password_file_that_is_not_there(site: Site, mosquitto: Broker) -> None:
    with_broker(site, mosquitto.port)
    (site.folder / f"{COLLECTOR}.password").unlink()
    has(
        await site.refused("collect"),
        str(site.file),
        "broker.password_file",
        "collector.password: No such file",
    )
    has(str(await site.check(2)), "broker.password_file", "No such file")


# -- unknown database, wrong port ----------------------------------------------------------------------------


async def test_an_unknown_database_that_our_user_may_not_make(
    site: Site, mosquitto: Broker, influx_with_user: Influx
) -> None:
    await influx_with_user.query(f"CREATE USER \"plain\" WITH PASSWORD '{password('plain')}'")
    with_broker(site, mosquitto.port)
    site.text += f'[history]\nstore = "influxdb1"\nurl = "{influx_with_user.url}"\ndatabase = "nowhere"\n'
    site.text += f'user = "plain"\npassword_file = "{secret(site, "plain")}"\n'
    right = ("'nowhere'", 'CREATE DATABASE "nowhere"', "history.database", influx_with_user.url)
    has(await site.waits("nothing is stored", "collect"), *right)
    has(" ".join((await site.check(2))["history"]), *right)


async def test_a_port_where_no_broker_listens_is_waited_for_and_told(site: Site) -> None:
    port = free_port()
    with_broker(site, port)
    right = (f"{LOOPBACK}:{port}", "broker.host", "broker.port")
    has(await site.waits("broker: ", "collect"), *right)
    found = await site.check(3)
    assert found.keys() == {"broker, as collector", "broker, as adapter host"}
    for one in found.values():
        has(" ".join(one), *right)


async def test_a_port_where_another_server_listens(site: Site, influx: Influx) -> None:
    with_broker(site, influx.port)
    found = await site.check(3)
    assert found.keys() == {"broker, as collector", "broker, as adapter host"}
    for one in found.values():
        has(" ".join(one), f"{LOOPBACK}:{influx.port}", "MQTT 5", "broker.host, broker.port and broker.tls")


async def test_a_wrong_port_of_influxdb(site: Site, mosquitto: Broker) -> None:
    with_broker(site, mosquitto.port)
    url = f"http://{LOOPBACK}:{free_port()}"
    site.text += f'[history]\nstore = "influxdb1"\nurl = "{url}"\n'
    has(await site.waits("nothing is stored", "collect"), url, "history.url")
    has(" ".join((await site.check(3))["history"]), url, "history.url")
    site.file.write_text(site.text.replace(url, f"http://{LOOPBACK}:{mosquitto.port}"))
    assert (await site.check(3)).keys() == {"history"}


# -- settings that cannot be read ----------------------------------------------------------------------------

UNREADABLE = (
    ("no TOML", b"[broker", ("table declaration", "a TOML file")),
    ("no text", b"\xff\xfe", ("TOML file in UTF-8",)),
    ("an unknown key", b'[broker]\nhots = "b"', ("broker.hots", "host, perhaps")),
    ("an unknown table", b'[brokr]\nhost = "b"', ("brokr", "broker, perhaps")),
    ("a value out of range", b"[broker]\nport = 99999", ("broker.port", "99999", "65535")),
    ("a value of another type", b'[desk]\nport = "x"', ("desk.port", "'x'", "integer")),
    ("a secret", b'[broker]\npassword = "hunter2"', ("broker.password", "broker.password_file")),
    (
        "a history of another make",
        b'[history]\nstore = "influx"',
        ("history.store", "'influx'", "'influxdb1'"),
    ),
)


@pytest.mark.parametrize("command", ["run", "collect", "conclude", "desk", "adapt"])
async def test_every_command_refuses_an_unknown_key(site: Site, command: str) -> None:
    site.file.write_text('[broker]\nhots = "b"')
    has(await site.refused(command), str(site.file), "broker.hots", "host, perhaps")


@pytest.mark.parametrize(
    ("text", "right"), [row[1:] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE]
)
async def test_settings_that_cannot_be_read(site: Site, text: bytes, right: tuple[str, ...]) -> None:
    site.file.write_bytes(text)
    line = await site.refused("collect")
    found = " ".join((await site.check(2))["settings"])
    for said in (line, found):
        has(said, str(site.file), *right)
        assert "hunter2" not in said


@pytest.mark.parametrize("there", ["nothing", "folder", "forbidden"])
async def test_a_settings_file_that_cannot_be_opened(site: Site, there: str) -> None:
    if there == "folder":
        site.file.mkdir()
    elif there == "forbidden":
        site.file.write_text("")
        site.file.chmod(0)
        if os.access(site.file, os.R_OK):
            site.file.unlink()
            site.file.symlink_to(site.file)  # root may read every file, but not one that leads to itself
    part = Part((HOURMETER, "collect", "--settings", str(site.file)), {}, site.folder / "log")
    await part.start()
    assert await part.ended() == 2
    has(part.said().strip(), str(site.file), "a TOML file")


# -- unknown protocol ----------------------------------------------------------------------------------------


async def test_an_unknown_protocol(site: Site) -> None:
    site.text = '[[device]]\nname = "v1"\nprotocol = "esperanto"\nhost = "127.0.0.1"\nport = 9\n'
    site.text += "[journal]\ndisk_reserve_mib = 1\n[desk]\nport = 0\n"
    right = ("'v1'", "'esperanto'", "puritan-bennett")
    has(await site.refused("run"), str(site.file), *right)
    has(" ".join((await site.check(2))["device v1"]), *right)


# -- port in use ---------------------------------------------------------------------------------------------


async def test_the_port_of_the_page_in_use(site: Site) -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as other:
        port = other.getsockname()[1]
        site.text = f"[desk]\nport = {port}\n[journal]\ndisk_reserve_mib = 1\n"
        right = ("desk.port", str(port), "a port that nobody listens on")
        has(await site.refused("desk"), str(site.file), *right)
        has(await site.refused("run"), str(site.file), *right)


async def test_the_port_of_the_page_in_use_is_told_by_the_check_unless_it_is_the_page_itself(
    site: Site, mosquitto: Broker
) -> None:
    with_broker(site, mosquitto.port)
    port = free_port()
    site.text = site.text.replace("[desk]\nport = 0", f"[desk]\nport = {port}")
    page = site.part("desk")
    await page.start()
    try:

        async def is_served() -> bool:
            page.check()
            return "the page is at" in page.said()

        await until(is_served, within_s=30, what="the page")
        assert await site.check(0) == {}
        await page.stop()
        with closing(socket.create_server((LOOPBACK, port))):
            found = await site.check(2)
        has(" ".join(found["page"]), "desk.port", str(port), "in use", "0 for any free one")
    finally:
        await page.kill()


async def test_the_port_of_a_gateway_in_use(site: Site, mosquitto: Broker) -> None:
    with_broker(site, mosquitto.port)
    with closing(socket.create_server((LOOPBACK, 0))) as other:
        port = other.getsockname()[1]
        site.text += f'[[gateway]]\nname = "hl7-icu"\nport = {port}\n'
        has(await site.refused("adapt"), str(site.file), "hl7-icu", str(port))
        has(" ".join((await site.check(2))["gateway hl7-icu"]), "hl7-icu", "port", str(port), "in use")


# -- clock behind --------------------------------------------------------------------------------------------


def journal_of_tomorrow(site: Site) -> None:
    """A journal whose newest record is a day ahead of this machine's clock."""
    store = open_store(site.folder / "data/journal")
    Intake(store).started(time.time_ns() // 1_000_000 + DAY_MS)  # the machine's clock is what is tested here
    store.file.close()


async def test_a_clock_behind_the_journal(site: Site, mosquitto: Broker) -> None:
    with_broker(site, mosquitto.port)
    journal_of_tomorrow(site)
    right = ("clock of this machine", str(site.folder / "data/journal"), "timedatectl")
    found = " ".join((await site.check(2))["clock"])
    has(found, *right)
    line = await site.waits("clock of this machine", "collect")
    has(line, *right)
    for said in (line, found):
        seconds = re.search(r"(\d+) s behind", said)
        assert seconds is not None
        assert 86_000 < int(seconds[1]) <= 86_400


# -- all is well ---------------------------------------------------------------------------------------------


async def test_a_site_at_work_is_found_well_and_is_not_disturbed(
    site: Site, mosquitto: Broker, influx_with_user: Influx
) -> None:
    with_broker(site, mosquitto.port)
    site.text += f'[history]\nstore = "influxdb1"\nurl = "{influx_with_user.url}"\nuser = "hourmeter"\n'
    site.text += f'password_file = "{secret(site, "hourmeter")}"\n'
    site.environment["HOURMETER_LOG__LEVEL"] = "info"
    assert await site.check(0) == {}
    assert {path.name for path in site.folder.iterdir()} >= {"hourmeter.toml"}
    assert not (site.folder / "data").exists()
    parts = [site.part("collect"), site.part("adapt")]
    try:
        for part in parts:
            await part.start()

        async def are_at_work() -> bool:
            for part in parts:
                part.check()
            return "broker: connected" in parts[0].said() and (site.folder / "data/outbox.db").exists()

        await until(are_at_work, within_s=30, what="a site at work")
        before = parts[0].said()
        for _ in range(3):
            assert await site.check(0) == {}
        for part in parts:
            part.check()
        assert parts[0].said().count("broker: ") == before.count("broker: ")
        assert await parts[0].stop() == 0
        (row,) = await influx_with_user.query(
            "SELECT count(position) FROM hourmeter_marker WHERE epoch = 'config-check'"
        )
        assert row["count"] in {1, 2}
    finally:
        for part in parts:
            await part.kill()


async def test_files_in_use_by_running_parts_are_no_fault(site: Site, mosquitto: Broker) -> None:
    with_broker(site, mosquitto.port)
    open_store(site.folder / "data/journal").file.close()
    part = site.part("config", "check")
    with lock(site.folder / "data/journal"), locked(site.folder / "data/outbox.db"):
        await part.start()
        assert await part.ended() == 0
    said = part.said()
    assert "in use by a running collector" in said
    assert "left to the adapter host that is at work" in said
