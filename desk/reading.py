"""What the desk reads from journal and ledger, and what people tell the ledger."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from collector.accounting import Accounting, account, journaled
from collector.consumers import Consumers
from collector.cursors import Cursor
from collector.journal_file import CONSUMERS, JournalFile, Limits
from collector.ledger import Ledger, LedgerInput, Summary, open_ledger
from collector.ledger_server import LedgerDatabase
from collector.store import Quarantined, Store
from desk.settings import Settings
from rules.inputs import AcknowledgeTicket, CloseTicket, DeskInput
from rules.overview import FleetRow, UnclaimedRow
from rules.state import State
from rules.tickets import Ticket, TicketEvent
from telemetry.errors import MessageError, SettingsError

APPLIED_WITHIN_S = 10.0
"""How long a person waits to hear what became of what they said."""
LOOK_S = 0.2
KEPT = "recorded; it takes effect when `hourmeter conclude` (or `run`) runs"


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """The journal of the site for a look. Raises SettingsError if there is none."""
    if not (settings.journal.folder / "journal.db").exists():
        raise SettingsError(
            where="journal.folder",
            found=f"{settings.journal.folder} holds no journal",
            expected="the settings file of a site that has run: --settings FILE",
        )
    file = JournalFile(
        settings.journal.folder,
        limits=Limits(size_cap=settings.journal.size_cap_mib << 20, disk_reserve=0),
        new_epoch=_new_epoch,
    )
    try:
        yield Store(file)
    finally:
        file.close()


def _new_epoch() -> str:
    return secrets.token_hex(6)


def ledger_place(settings: Settings) -> Path | LedgerDatabase:
    """Where the ledger of a site is. Raises SettingsError if its password cannot be read."""
    if not settings.ledger.url:
        return settings.ledger.file
    return LedgerDatabase(settings.ledger.url, settings.ledger.secret("ledger") or "")


def _has_ledger(settings: Settings) -> bool:
    return bool(settings.ledger.url) or settings.ledger.file.exists()


@asynccontextmanager
async def _ledger(settings: Settings) -> AsyncIterator[Ledger]:
    if not _has_ledger(settings):
        raise SettingsError(
            where="ledger.file",
            found=f"there is no {settings.ledger.file}",
            expected="the settings file of a site that has run: --settings FILE",
        )
    async with open_ledger(ledger_place(settings)) as ledger:
        yield ledger


async def accounting(settings: Settings) -> Accounting:
    """Where every message is now; the rules' part only if there is a ledger. Raises SettingsError."""
    if not _has_ledger(settings):
        with open_store(settings) as store:
            return account(store, rules_cursor=None, concluded={}, failed={})
    async with open_ledger(ledger_place(settings)) as ledger:
        return await accounting_with(settings, ledger)


async def accounting_with(settings: Settings, ledger: Ledger) -> Accounting:
    """The same with a ledger that is open already. The ledger is read first: it never runs ahead."""
    summary = await ledger.summary()

    def look() -> Accounting:
        with open_store(settings) as store:
            return accounting_of(store, summary)

    return await asyncio.to_thread(look)


def accounting_of(store: Store, summary: Summary) -> Accounting:
    """The accounting of an open journal beside a look at the ledger that was taken before."""
    progress = summary.progress
    return account(
        store,
        rules_cursor=Cursor(store.file.epoch, 0) if progress is None else progress.cursor,
        concluded=_of(summary.counters, "concluded"),
        failed=_of(summary.counters, "failed"),
    )


def _of(counters: Mapping[str, int], what: str) -> dict[str, int]:
    return {name.partition(":")[2]: count for name, count in counters.items() if name.startswith(f"{what}:")}


async def tickets(settings: Settings, *, closed_too: bool) -> tuple[Ticket, ...]:
    """Tickets by number."""
    async with _ledger(settings) as ledger:
        return await ledger.tickets(open_only=not closed_too)


async def devices(settings: Settings) -> tuple[tuple[FleetRow, ...], tuple[UnclaimedRow, ...]]:
    """All assets, and all devices that no asset claims."""
    async with _ledger(settings) as ledger:
        return await ledger.fleet(), await ledger.unclaimed()


async def ticket(settings: Settings, number: str) -> tuple[Ticket, tuple[TicketEvent, ...]]:
    """One ticket and what happened to it. Raises SettingsError if there is none."""
    async with _ledger(settings) as ledger:
        found = await ledger.ticket(number)
    if found is None:
        raise SettingsError(
            where="ticket", found=f"there is no {number}", expected="an id that `tickets list` shows"
        )
    return found


async def state(settings: Settings) -> State:
    """What the rules remember, as last written down. Raises SettingsError if there is no ledger."""
    async with _ledger(settings) as ledger:
        return (await ledger.load())[0]


async def tell(settings: Settings, wish: CloseTicket | AcknowledgeTicket) -> str:
    """Append what a person says and wait a little for what becomes of it. Raises MessageError if refused."""
    async with _ledger(settings) as ledger:
        now = (await ledger.load())[0].engineering.now_ms
        said = wish.model_copy(update={"at_ms": now or wish.at_ms})
    took_effect = await tell_all(settings, (said,), subject=wish.ticket)
    return f"{wish.ticket}: {'done' if took_effect else KEPT}"


async def tell_all(
    settings: Settings, wishes: Sequence[DeskInput], *, subject: str, more_s: float = 0.0
) -> bool:
    """Append what a person says, all of it or nothing, and wait a little for what becomes of it.

    `more_s` is how much longer one waits for what takes the rules some time.

    False if it is kept and nothing has taken it yet. Raises MessageError for what is refused.
    """
    async with _ledger(settings) as ledger:
        numbers = await ledger.append_inputs(wishes)
        try:
            refusals = [
                (await _applied(ledger, number, within_s=APPLIED_WITHIN_S + more_s)).refused
                for number in numbers
            ]
        except TimeoutError:
            return False
        if told := "; ".join(filter(None, refusals)):
            raise MessageError(told, subject="" if subject in told else subject)
        return True


async def _applied(ledger: Ledger, number: int, *, within_s: float) -> LedgerInput:
    """An input once it is applied. Raises TimeoutError if it is not in time."""
    async with asyncio.timeout(within_s):
        while True:
            found = await ledger.input(number)
            if found is not None and found.applied_at is not None:
                return found
            await asyncio.sleep(LOOK_S)


def quarantined(settings: Settings) -> tuple[tuple[int, Quarantined], ...]:
    """Messages that were put aside."""
    with open_store(settings) as store:
        return store.quarantined()


def release(settings: Settings, number: int) -> None:
    """Let a message go on. Raises SettingsError if there is none of that number."""
    with open_store(settings) as store:
        if not store.release(number):
            raise SettingsError(
                where="quarantine",
                found=f"there is no message {number}",
                expected="a number that `quarantine list` shows",
            )


async def rewind(settings: Settings, consumer: str, position: int) -> int:
    """Set a consumer back to a position of the journal as it is now."""
    if consumer not in CONSUMERS:
        raise SettingsError(where="consumer", found=repr(consumer), expected=" or ".join(CONSUMERS))
    with open_store(settings) as store:
        taken = Consumers(store).rewind(consumer, position)
        if consumer == "rules":
            async with _ledger(settings) as ledger:
                await ledger.rewind(Cursor(store.file.epoch, taken), counters=_before(store, taken))
        return taken


def _before(store: Store, position: int) -> dict[str, int]:
    """The rules' counters for all messages before a position: journaled ones are taken as concluded."""
    left = store.pending(position)
    return {
        f"concluded:{kind}": count - left.get(kind, 0) for kind, count in journaled(store.tallies()).items()
    }


def restored(settings: Settings) -> str:
    """Begin a new epoch of the journal; its name."""
    with open_store(settings) as store:
        return store.file.renew_epoch()
