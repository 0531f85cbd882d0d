"""The ledger: what the rules concluded and what people said, with both cursors, in one commit.

Rule 1: state, tickets and both cursors commit together, by compare-and-set on the cursors: after a crash
the same records and inputs follow and yield the same tickets, and a second concluder is refused.
Rule 2: inputs are appended by any process; the concluder writes down where it applied each.
Rule 3: everything runs in one thread of its own, never on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Row, insert, select, update

from collector import ledger_rows as rows
from collector.cursors import Cursor
from collector.ledger_file import LedgerFile
from collector.ledger_server import LedgerDatabase, LedgerServer
from collector.ledger_store import BUSY_MS, Intent, LedgerStore
from collector.ledger_tables import INPUTS, PROGRESS
from rules.inputs import DeskInput, Registry, RuleSet, read_input, write_input
from rules.overview import FleetRow, UnclaimedRow, fleet_rows, unclaimed_rows
from rules.state import Changes, Engineering, State, read_engineering, write_engineering
from rules.tickets import Ticket, TicketEvent
from telemetry.errors import SettingsError, Unavailable

_CONSUMER: Final = "rules"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Progress:
    """Both cursors of the rules: next position of the journal, last input applied (0: none)."""

    cursor: Cursor
    input: int


@dataclass(frozen=True, slots=True)
class Applied:
    """An input of the ledger, the position before whose record it took effect, and why it was refused."""

    input: int
    position: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class LedgerInput:
    """One line of the ledger's inputs; `applied_at` is None while it is pending."""

    id: int
    said: DeskInput
    applied_at: Cursor | None
    refused: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The ledger in figures, all of one moment."""

    progress: Progress | None
    counters: Mapping[str, int]
    """Messages by outcome and kind, as `concluded:usage` and `failed:usage`."""
    open_tickets: Mapping[tuple[str, str], int]
    """By priority and kind."""
    links: Mapping[str, int]
    """Publishers by the state of their link."""


class AnotherConcluderError(SettingsError):
    """The cursors moved under us: another process concludes on the same ledger."""

    def __init__(self, *, expected: Progress | None, found: Progress | None) -> None:
        super().__init__(
            where="ledger: cursors of the rules",
            found=f"they stand at {found}, not at {expected} where this process left them",
            expected="run one `hourmeter conclude` (or `run`) for one ledger",
        )


class Ledger:
    """An open ledger; made by `open_ledger`."""

    def __init__(self, store: LedgerStore, executor: ThreadPoolExecutor) -> None:
        self._store = store
        self._executor = executor
        self._in_doubt: Progress | None = None
        """Where a commit led of which nobody said whether it was made: the server went away meanwhile."""

    async def _run(self, intent: Intent, work: Callable[[Connection], _T]) -> _T:
        def run() -> _T:
            with self._store.transaction(intent) as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._executor, run)

    # -- the concluder --------------------------------------------------------------------------------

    async def load(self) -> tuple[State, Progress | None]:
        """What was last committed, and where; no progress yet in a new ledger. Raises Unavailable."""
        return await self._run("read", _load)

    async def commit(
        self,
        changes: Changes,
        *,
        expected: Progress | None,
        progress: Progress,
        applied: Sequence[Applied] = (),
    ) -> None:
        """Write changes and both cursors in one transaction. Raises AnotherConcluderError, Unavailable.

        After Unavailable it may be asked again with the same changes, and more of them: what was committed
        although nobody could say so is then recognised, and written once.
        """

        def work(connection: Connection) -> None:
            found = _progress(connection)[0] if self._in_doubt else None
            stands = found if found is not None and found == self._in_doubt else expected
            _advance(connection, changes.engineering, expected=stands, progress=progress)
            rows.write_changes(connection, changes)
            for done in applied:
                connection.execute(
                    update(INPUTS)
                    .where(INPUTS.c.id == done.input)
                    .values(
                        applied_epoch=progress.cursor.epoch,
                        applied_at_position=done.position,
                        refused=done.refused,
                    )
                )

        try:
            await self._run("write", work)
        except Unavailable:
            self._in_doubt = progress
            raise
        self._in_doubt = None

    async def inputs_after(self, last: int, *, limit: int) -> tuple[LedgerInput, ...]:
        """Inputs beyond that id, in the order in which they were said. Raises Unavailable."""
        query = select(INPUTS).where(INPUTS.c.id > last).order_by(INPUTS.c.id).limit(limit)
        return await self._run(
            "read", lambda connection: tuple(_input(row) for row in connection.execute(query))
        )

    async def rewind(self, cursor: Cursor, *, counters: Mapping[str, int]) -> None:
        """Set the journal's cursor; counters are those of the messages before it. Raises Unavailable.

        State and tickets stay: words heard again are known as late or as the same occurrence.
        """

        def work(connection: Connection) -> None:
            progress, engineering = _progress(connection)
            if progress is not None:
                _advance(
                    connection,
                    write_engineering(replace(engineering, counters=dict(counters))),
                    expected=progress,
                    progress=Progress(cursor, progress.input),
                )

        await self._run("write", work)

    # -- people ---------------------------------------------------------------------------------------

    async def append_input(self, said: DeskInput) -> int:
        """Append what a person says; its id is returned. Raises Unavailable."""
        return await self._run("write", lambda connection: _append(connection, said))

    async def append_inputs(self, said: Sequence[DeskInput]) -> tuple[int, ...]:
        """Append what a person says at once, all of it or nothing; its ids. Raises Unavailable."""
        return await self._run("write", lambda connection: tuple(_append(connection, one) for one in said))

    async def append_if_changed(self, said: Registry | RuleSet) -> int | None:
        """Append a registry or rule set unless the last one says the same. Raises Unavailable."""

        def work(connection: Connection) -> int | None:
            query = select(INPUTS.c.document).where(INPUTS.c.kind == said.kind).order_by(INPUTS.c.id.desc())
            last = connection.execute(query.limit(1)).scalar_one_or_none()
            same = last is not None and read_input(last).model_copy(update={"at_ms": said.at_ms}) == said
            return None if same else _append(connection, said)

        return await self._run("write", work)

    async def input(self, number: int) -> LedgerInput | None:
        """One input, to see whether it was applied or refused. Raises Unavailable."""
        query = select(INPUTS).where(INPUTS.c.id == number)

        def work(connection: Connection) -> LedgerInput | None:
            row = connection.execute(query).one_or_none()
            return None if row is None else _input(row)

        return await self._run("read", work)

    # -- the desk -------------------------------------------------------------------------------------

    async def tickets(self, *, open_only: bool = True) -> tuple[Ticket, ...]:
        """Tickets by number. Raises Unavailable."""
        return await self._run("read", lambda connection: rows.tickets(connection, open_only=open_only))

    async def ticket(self, ticket_id: str) -> tuple[Ticket, tuple[TicketEvent, ...]] | None:
        """One ticket with its events, oldest first. Raises Unavailable."""
        return await self._run("read", lambda connection: rows.ticket(connection, ticket_id))

    async def fleet(self) -> tuple[FleetRow, ...]:
        """All assets as they stand. Raises Unavailable."""
        return fleet_rows((await self.load())[0])

    async def unclaimed(self) -> tuple[UnclaimedRow, ...]:
        """All devices that no asset claims. Raises Unavailable."""
        return unclaimed_rows((await self.load())[0])

    async def summary(self) -> Summary:
        """Where the rules stand, with what they counted and concluded. Raises Unavailable."""

        def work(connection: Connection) -> Summary:
            progress, engineering = _progress(connection)
            return Summary(
                progress, engineering.counters, rows.open_tickets(connection), rows.links(connection)
            )

        return await self._run("read", work)

    async def counters(self) -> Mapping[str, int]:
        """Messages by outcome and kind, as `concluded:usage` and `failed:usage`. Raises Unavailable."""
        _, engineering = await self._run("read", _progress)
        return engineering.counters

    async def progress(self) -> Progress | None:
        """Where the rules stand. Raises Unavailable."""
        return (await self._run("read", _progress))[0]


@asynccontextmanager
async def open_ledger(place: Path | LedgerDatabase, *, busy_ms: int = BUSY_MS) -> AsyncIterator[Ledger]:
    """The ledger of a file or database, created or brought up to date.

    Raises SettingsError if that cannot be, Unavailable if the disk or the server is not to be had.
    """
    store: LedgerStore = (
        LedgerFile(place, busy_ms=busy_ms)
        if isinstance(place, Path)
        else LedgerServer(place, busy_ms=busy_ms)
    )
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger") as executor:
        try:
            await loop.run_in_executor(executor, store.open)
            yield Ledger(store, executor)
        finally:
            await loop.run_in_executor(executor, store.close)


def _progress(connection: Connection) -> tuple[Progress | None, Engineering]:
    row = connection.execute(select(PROGRESS).where(PROGRESS.c.consumer == _CONSUMER)).one_or_none()
    if row is None:
        return None, Engineering()
    return Progress(Cursor(row.epoch, row.position), row.input), read_engineering(row.engineering)


def _load(connection: Connection) -> tuple[State, Progress | None]:
    progress, engineering = _progress(connection)
    return rows.read_state(connection, engineering), progress


def _advance(
    connection: Connection, engineering: str, *, expected: Progress | None, progress: Progress
) -> None:
    found, _ = _progress(connection)
    if found != expected:
        raise AnotherConcluderError(expected=expected, found=found)
    values = {
        "epoch": progress.cursor.epoch,
        "position": progress.cursor.position,
        "input": progress.input,
        "engineering": engineering,
    }
    if expected is None:
        connection.execute(insert(PROGRESS).values(consumer=_CONSUMER, **values))
        return
    changed = connection.execute(
        update(PROGRESS)
        .where(
            PROGRESS.c.consumer == _CONSUMER,
            PROGRESS.c.epoch == expected.cursor.epoch,
            PROGRESS.c.position == expected.cursor.position,
            PROGRESS.c.input == expected.input,
        )
        .values(values)
    )
    if changed.rowcount != 1:
        raise AnotherConcluderError(expected=expected, found=None)


def _append(connection: Connection, said: DeskInput) -> int:
    row = insert(INPUTS).values(at_ms=said.at_ms, kind=said.kind, document=write_input(said))
    return int(connection.execute(row.returning(INPUTS.c.id)).scalar_one())


def _input(row: Row[Any]) -> LedgerInput:
    position = row.applied_at_position
    applied = None if position is None else Cursor(row.applied_epoch, position)
    return LedgerInput(row.id, read_input(row.document), applied, row.refused or "")
