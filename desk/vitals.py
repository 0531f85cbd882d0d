"""What the parts of this process know of themselves at one moment, for whoever watches over them.

Rule: to look never holds up the work: the journal is read beside its writer, at most once a second.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from adapters.host.host import Host, HostHealth
from collector.accounting import Accounting, account
from collector.inbound import Inbound, Session
from collector.ingest import Ingest
from collector.keep import Keeper
from collector.ledger import Ledger, Summary
from collector.standing import Standing, standing
from desk import reading
from desk.settings import Settings
from telemetry.errors import HourmeterError

FRESH_S = 1.0
"""Real seconds for which a look is good enough for the next one who asks."""


@dataclass(slots=True)
class Watched:
    """Messages in, and whether there is a connection over which they come."""

    inbound: Inbound
    connected: bool = False

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Session]:
        """As the inbound does."""
        async with self.inbound.connect() as session:
            self.connected = True
            try:
                yield session
            finally:
                self.connected = False


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of this process that are at work."""

    ingest: Ingest | None = None
    inbound: Watched | None = None
    keeper: Keeper | None = None
    ledger: Ledger | None = None
    """Of the rules or of the page, whichever is here."""
    host: Host | None = None


@dataclass(frozen=True, slots=True)
class CollectorVitals:
    """The collector of this process."""

    stopped: str
    """Why nothing is acknowledged; empty while all is well."""
    connected: bool
    """Whether there is a connection to the broker."""
    sessions_lost: int
    history_trouble: str
    """Why nothing is stored; empty while all is well."""
    rewinds: int


@dataclass(frozen=True, slots=True)
class JournalVitals:
    """The journal of this machine, and where every message in it is."""

    standing: Standing
    cap_bytes: int
    reserve_bytes: int
    accounting: Accounting
    lag_s: Mapping[str, float]
    """By consumer: how long its oldest message has waited, in real seconds."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """All of it; None where the part is not in this process, or not there yet."""

    collector: CollectorVitals | None = None
    journal: JournalVitals | None = None
    ledger: Summary | None = None
    host: HostHealth | None = None
    unseen: tuple[tuple[str, str], ...] = ()
    """What should be here and could not be looked at, and why."""


@dataclass(slots=True)
class Watch:
    """Looks at the parts of one process."""

    settings: Settings
    running: Callable[[], Running]
    keeps_journal: bool
    """Whether this machine has the journal: adapters alone have none."""
    expected: tuple[str, ...]
    """What of `Running` this process should have."""
    now_ms: Callable[[], int]
    clock_rate: float = 1.0
    """Seconds of that clock per real second."""
    elapsed_s: Callable[[], float] = time.monotonic
    _seen: Vitals = field(default_factory=Vitals)
    _seen_s: float = field(default=-math.inf)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> Vitals:
        """How everything stands, as of at most a second ago; never raises an error of ours."""
        async with self._turn:
            if self.elapsed_s() - self._seen_s >= FRESH_S:
                self._seen = await self._look()
                self._seen_s = self.elapsed_s()
            return self._seen

    async def _look(self) -> Vitals:
        running = self.running()
        unseen = [(part, "has not begun yet") for part in self.expected if getattr(running, part) is None]
        summary: Summary | None = None
        journal: JournalVitals | None = None
        if running.ledger is not None:
            try:
                summary = await running.ledger.summary()
            except HourmeterError as error:
                unseen.append(("ledger", str(error)))
        if self.keeps_journal:
            try:
                journal = await asyncio.to_thread(self._journal, summary)
            except HourmeterError as error:
                unseen.append(("journal", str(error)))
        return Vitals(
            collector=_collector(running),
            journal=journal,
            ledger=summary,
            host=None if running.host is None else running.host.health,
            unseen=tuple(unseen),
        )

    def _journal(self, summary: Summary | None) -> JournalVitals:
        """In a thread of its own, on a connection of its own: no writer waits for it."""
        settings, now_ms = self.settings.journal, self.now_ms()
        with reading.open_store(self.settings) as store:
            stands = standing(store)
            accounting = (
                account(store, rules_cursor=None, concluded={}, failed={})
                if summary is None
                else reading.accounting_of(store, summary)
            )
        waited_ms = {
            name: 0 if one.since_ms is None else max(0, now_ms - one.since_ms)
            for name, one in stands.behind.items()
        }
        return JournalVitals(
            standing=stands,
            cap_bytes=settings.size_cap_mib << 20,
            reserve_bytes=settings.disk_reserve_mib << 20,
            accounting=accounting,
            lag_s={name: waited / 1000 / self.clock_rate for name, waited in waited_ms.items()},
        )


def _collector(running: Running) -> CollectorVitals | None:
    if running.ingest is None or running.keeper is None or running.inbound is None:
        return None
    return CollectorVitals(
        stopped=running.ingest.stopped,
        connected=running.inbound.connected,
        sessions_lost=running.ingest.sessions_lost,
        history_trouble=running.keeper.trouble,
        rewinds=running.keeper.rewinds,
    )
