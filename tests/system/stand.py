"""A whole site on a test stand: real servers, and hourmeter's parts as processes of their own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collector.accounting import Accounting
from desk import reading, settings
from desk.broker import COLLECTOR, Broker
from tests.system.servers import Influx, password

ROOT = Path(__file__).parents[2]
HOURMETER = str(Path(sys.executable).parent / "hourmeter")
DEMO_RULES = ROOT / "desk" / "demo_rules"
PUBLISHER = "host-a"
LOOK_S = 0.05


async def until(fact: Callable[[], Awaitable[bool]], *, within_s: float, what: str) -> None:
    """Return once the fact holds; fail with its name if it does not in time."""
    try:
        async with asyncio.timeout(within_s):
            while not await fact():
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {what}") from None


@dataclass(slots=True)
class Part:
    """One command of hourmeter as a process."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    process: Process | None = None

    async def start(self) -> None:
        """Start it; what it says goes to its log."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.arguments, stdout=log, stderr=log, env=self.environment, cwd=self.log.parent
            )

    async def stop(self) -> int:
        """Ask it to end; its exit code."""
        return await self._end(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait until it ends by itself; its exit code."""
        if self.process is None:
            raise AssertionError(f"{self.arguments[1]} was never started")
        async with asyncio.timeout(30):
            return await self.process.wait()

    async def kill(self) -> None:
        """End it as a power cut would."""
        await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> int:
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(how)
        async with asyncio.timeout(30):
            return await self.process.wait()

    def check(self) -> None:
        """Fail with its last words if it has ended by itself."""
        if self.process is not None and self.process.returncode is not None:
            raise AssertionError(
                f"{self.arguments[1]} ended with {self.process.returncode}: {self.said()[-2000:]}"
            )

    def said(self) -> str:
        """All that it has said so far."""
        return self.log.read_text() if self.log.exists() else ""


@dataclass(slots=True)
class Stand:
    """The settings and processes of one site."""

    folder: Path
    broker: Broker
    influx: Influx | None
    assets: Sequence[str]
    """Serial numbers of the site's ventilators."""
    environment: dict[str, str] = field(default_factory=dict)
    disk_reserve_mib: int = 16
    journal: Path | None = None
    """Folder of the journal, where it is not in the site's own."""
    parts: list[Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write the passwords and the collector's settings."""
        for user in (COLLECTOR, PUBLISHER):
            (self.folder / f"{user}.password").write_text(password(user) + "\n")
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)} | self.environment
        (self.folder / "collector.toml").write_text(self._collector())

    def _broker(self) -> str:
        return f'[broker]\nhost = "127.0.0.1"\nport = {self.broker.port}\n'

    def _collector(self) -> str:
        lines = [
            self._broker() + f'password_file = "{COLLECTOR}.password"',
            f"[journal]\ndisk_reserve_mib = {self.disk_reserve_mib}",
            f'folder = "{self.journal or self.folder / "data" / "journal"}"',
            f'[rules]\nfolders = ["{DEMO_RULES}"]',
            "[desk]\nport = 0",
        ]
        if self.influx is not None:
            lines.append(f'[history]\nstore = "influxdb1"\nurl = "{self.influx.url}"')
        for number, serial in enumerate(self.assets, 1):
            alias = f'{{protocol = "puritan-bennett", namespace = "840", identifier = "{serial}"}}'
            lines.append(
                f'[[asset]]\nid = "HN01-{number:04}"\nward = "ICU"\ndevice_type = "ventilator"\n'
                f'manufacturer = "Puritan Bennett"\nmodel = "840"\naliases = [{alias}]'
            )
        return "\n".join(lines) + "\n"

    def write_host(self, ports: Sequence[int], *, poll_s: float) -> None:
        """Write the adapter host's settings for ventilators on these ports."""
        devices = "".join(
            f'[[device]]\nname = "vent-{number:02}"\nprotocol = "puritan-bennett"\n'
            f'host = "127.0.0.1"\nport = {port}\npoll_s = {poll_s}\n'
            for number, port in enumerate(ports, 1)
        )
        (self.folder / "host.toml").write_text(
            self._broker()
            + f'[host]\npublisher = "{PUBLISHER}"\npassword_file = "{PUBLISHER}.password"\n'
            + devices
        )

    def part(self, command: str, file: str) -> Part:
        """A command with one of the settings files, not started yet."""
        part = Part(
            (HOURMETER, command, "--verbose", "--settings", str(self.folder / file)),
            self.environment,
            self.folder / f"{command}.log",
        )
        self.parts.append(part)
        return part

    async def collecting(self) -> None:
        """Wait until the broker keeps a session for the collector, so that nothing needs to be sent twice."""

        async def is_connected() -> bool:
            return any("broker: connected" in part.said() for part in self.parts)

        await until(is_connected, within_s=30, what="the collector's session")

    async def end(self) -> None:
        """Stop whatever still runs."""
        for part in self.parts:
            await part.kill()

    async def tell(self, *arguments: str) -> tuple[int, str, str]:
        """Run a short command on the collector's settings: exit code, output, errors."""
        process = await asyncio.create_subprocess_exec(
            HOURMETER,
            *arguments,
            "--settings",
            str(self.folder / "collector.toml"),
            stdout=PIPE,
            stderr=PIPE,
            env=self.environment,
        )
        async with asyncio.timeout(60):
            out, errors = await process.communicate()
        return process.returncode or 0, out.decode(), errors.decode()

    async def accounting(self) -> Accounting:
        """Where every message is, looked up without a process of its own."""
        return await reading.accounting(settings.load(self.folder / "collector.toml"))

    async def usage(self, place: str) -> int:
        """How many usage messages are at a place of the accounting; 0 before there is a journal."""
        if not self._journal_file.exists():
            return 0
        line = (await self.accounting()).kinds.get("usage")
        return 0 if line is None else int(getattr(line, place))

    @property
    def _journal_file(self) -> Path:
        return (self.journal or self.folder / "data/journal") / "journal.db"

    async def read(self, *arguments: str) -> Any:  # noqa: ANN401 - JSON
        """The JSON that a command prints."""
        code, out, errors = await self.tell(*arguments, "--json")
        if code:
            raise AssertionError(f"{arguments}: {errors}")
        return json.loads(out)
