"""Tries the files and folders of a settings file, without making or changing any."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from desk import reading
from desk.config_check import Finding, ok, wrong
from desk.fleet import rules_of
from desk.journal_clock import clock_behind, newest_ms
from desk.settings import Settings
from telemetry.clock import Clock
from telemetry.errors import SettingsError

_MIB = 1 << 20


def is_held(lock: Path) -> bool:
    """Whether a running process holds that lock; looked at with a lock that is given back at once."""
    try:
        with lock.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def outbox_lock(settings: Settings) -> Path:
    """The lock that a running adapter host holds (adapters/host/disk.py)."""
    return settings.host.outbox.with_name(settings.host.outbox.name + ".lock")


async def journal(settings: Settings) -> Sequence[Finding]:
    """Folder, room on its disk, and whether a collector is at work."""
    return await asyncio.to_thread(_journal, settings)


def _journal(settings: Settings) -> Sequence[Finding]:
    folder = settings.journal.folder
    file = folder / "journal.db"
    _check_file("journal.folder", file)
    _check_room(settings, folder)
    if not file.exists():
        return [ok("journal", f"{folder} can be made")]
    with reading.open_store(settings) as store:
        held = ", in use by a running collector" if is_held(folder / "journal.lock") else ""
        return [ok("journal", f"{folder}: {store.file.size() >> 20} MiB{held}")]


def _check_room(settings: Settings, folder: Path) -> None:
    free, reserve = shutil.disk_usage(_standing(folder)).free, settings.journal.disk_reserve_mib
    if free < reserve * _MIB:
        raise SettingsError(
            where="journal.disk_reserve_mib",
            found=f"{folder} has {free >> 20} MiB free, {reserve} are to stay free",
            expected="free some space: nothing is acknowledged until then",
        )


async def clock_of_journal(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """This machine's clock against the newest record of the journal."""

    def look() -> int | None:
        if not (settings.journal.folder / "journal.db").exists():
            return None
        with reading.open_store(settings) as store:
            return newest_ms(store)

    newest = await asyncio.to_thread(look)
    if newest is None:
        return [ok("clock", "no journal yet to compare it with")]
    if behind := clock_behind(newest, now_ms=clock.now_ms(), journal=settings.journal.folder):
        return [wrong("clock", behind)]
    return [ok("clock", "not behind the newest record of the journal")]


async def history_file(settings: Settings) -> Sequence[Finding]:
    """The file of the embedded history."""
    return await asyncio.to_thread(_database, "history", "history.file", settings.history.file)


async def ledger_file(settings: Settings) -> Sequence[Finding]:
    """The file of the ledger."""
    return await asyncio.to_thread(_database, "ledger", "ledger.file", settings.ledger.file)


async def outbox(settings: Settings) -> Sequence[Finding]:
    """The file of the outbox, and whether an adapter host is at work."""
    (found,) = await asyncio.to_thread(_database, "outbox", "host.outbox", settings.host.outbox)
    held = ", in use by a running adapter host" if is_held(outbox_lock(settings)) else ""
    return [ok("outbox", found.found + held)]


async def rules(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """The rules that would be in force."""
    found = await asyncio.to_thread(rules_of, settings, at_ms=clock.now_ms())
    return [ok("rules", f"{len(found.rules)} in force")]


def _database(what: str, key: str, file: Path) -> Sequence[Finding]:
    _check_file(key, file)
    if not file.exists():
        return [ok(what, f"{file} can be made")]
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        raise SettingsError(
            where=key,
            found=f"{file}: {error}",
            expected="a file that hourmeter made; move this one aside and keep it",
        ) from error
    return [ok(what, f"{file}: {file.stat().st_size >> 20} MiB")]


def _check_file(key: str, file: Path) -> None:
    """Raises SettingsError unless the file is there and can be written, or can be made."""
    if file.exists():
        if not file.is_file() or not os.access(file, os.R_OK | os.W_OK):
            why = "this user may not write it" if file.is_file() else "is no file"
            raise SettingsError(
                where=key, found=f"{file}: {why}", expected="a file that hourmeter's user may write"
            )
        return
    folder = _standing(file.parent)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        why = "this user may not write there" if folder.is_dir() else "is no folder"
        raise SettingsError(
            where=key, found=f"{folder}: {why}", expected="a folder that hourmeter's user may write"
        )


def _standing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
