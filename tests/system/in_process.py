"""A whole site within the test's process: collector, rules and adapter host as tasks, Mosquitto between."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from collector.accounting import Accounting
from desk import compose, reading, settings
from desk.broker import Broker
from desk.clock import system_clock
from desk.compose import Part, Site
from rules.overview import UnclaimedRow
from rules.tickets import Ticket
from tests.system.stand import DEMO_RULES, PUBLISHER, Stand, until

LOOK_S = 0.25


@dataclass(slots=True)
class InProcess:
    """One site whose parts are tasks."""

    stand: Stand
    _tasks: dict[str, tuple[Site, asyncio.Task[None]]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where all its files are."""
        return self.stand.folder

    def load(self, file: str) -> settings.Settings:
        """Its settings."""
        return settings.load(self.folder / file)

    async def start(self, file: str, parts: frozenset[Part]) -> Site:
        """Start parts with one of the settings files."""
        site = compose.site_of(self.load(file), system_clock(), parts)
        self._tasks[file] = (site, asyncio.create_task(compose.run(site, parts), name=file))
        return site

    async def stop(self, file: str) -> None:
        """End those parts in order. Raises what they failed with."""
        site, task = self._tasks.pop(file)
        site.stopping.set()
        async with asyncio.timeout(20):
            await task

    async def end(self) -> None:
        """End whatever still runs."""
        for file in tuple(reversed(self._tasks)):
            await self.stop(file)

    def check(self) -> None:
        """Fail with what a part failed with."""
        for _, task in self._tasks.values():
            if task.done():
                task.result()

    async def tickets(self) -> tuple[Ticket, ...]:
        """The open tickets."""
        return await reading.tickets(self.load("collector.toml"), closed_too=False)

    async def unclaimed(self) -> tuple[UnclaimedRow, ...]:
        """What nobody has claimed."""
        return (await reading.devices(self.load("collector.toml")))[1]

    async def links(self) -> list[tuple[str, str]]:
        """Link and operating state of all assets."""
        rows, _ = await reading.devices(self.load("collector.toml"))
        return [(str(row.link), str(row.operating)) for row in rows]

    async def until(self, fact: Callable[[], Awaitable[bool]], *, what: str) -> None:
        """Wait until the rules have concluded that; a look opens the ledger, so there are few."""

        async def holds() -> bool:
            self.check()
            if self.load("collector.toml").ledger.file.exists() and await fact():
                return True
            await asyncio.sleep(LOOK_S)
            return False

        await until(holds, within_s=40, what=what)

    async def concluded(self) -> Accounting:
        """Where every message is, once nothing more is pending."""

        async def is_concluded() -> bool:
            return not (await self.stand.accounting()).is_pending

        await self.until(is_concluded, what="everything concluded")
        return await self.stand.accounting()

    def holds_none_of(self, words: tuple[str, ...]) -> None:
        """Fail if a file of the site holds one of these words."""
        for file in self.folder.rglob("*"):
            if file.is_file():
                held = file.read_bytes()
                assert not any(word.encode() in held for word in words), file


@asynccontextmanager
async def in_process(
    folder: Path, broker: Broker, *, devices: str, assets: str, rules: str
) -> AsyncIterator[InProcess]:
    """A site with these tables of devices and assets and this one rule; its collector runs."""
    stand = Stand(folder, broker, None, assets=[])
    own = folder / "rules"
    own.mkdir()
    (own / f"{rules.split(maxsplit=2)[1]}.yaml").write_text(rules.lstrip())
    collector = folder / "collector.toml"
    collector.write_text(collector.read_text().replace(str(DEMO_RULES), str(own)) + assets)
    (folder / "host.toml").write_text(
        f'[broker]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        f'[host]\npublisher = "{PUBLISHER}"\npassword_file = "{PUBLISHER}.password"\n{devices}'
    )
    site = InProcess(stand)
    thresholds = gc.get_threshold()
    try:
        collecting = await site.start("collector.toml", frozenset({Part.COLLECT, Part.CONCLUDE}))

        async def knows_its_assets() -> bool:
            return collecting.ledger is not None

        # a weak alias counts from its claim on: what is said before is not the asset's
        await site.until(knows_its_assets, what="the assets in the ledger")
        yield site
    finally:
        await site.end()
        gc.set_threshold(*thresholds)
        gc.unfreeze()
