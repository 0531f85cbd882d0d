"""The outbox's file: its tables, its lock, its free space, and what the disk's refusals mean."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telemetry.errors import SettingsError, Unavailable

PRAGMAS = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA journal_size_limit = 16777216",
)
"""In this order: auto_vacuum counts only before anything is written."""

SCHEMA = (
    "PRAGMA user_version = 1",
    "CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE stream (
        id INTEGER PRIMARY KEY,
        lane TEXT NOT NULL,
        name TEXT NOT NULL UNIQUE,
        supersedes TEXT,
        current INTEGER NOT NULL,
        held_from INTEGER NOT NULL,
        confirmed INTEGER NOT NULL,
        sent INTEGER NOT NULL,
        assigned INTEGER NOT NULL,
        pending_bytes INTEGER NOT NULL,
        tail_bytes INTEGER NOT NULL
    )""",
    """CREATE TABLE message (
        stream INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        device TEXT NOT NULL,
        kind TEXT NOT NULL,
        payload BLOB NOT NULL,
        retain INTEGER NOT NULL,
        boot TEXT NOT NULL,
        mono_ms INTEGER NOT NULL,
        size INTEGER NOT NULL,
        PRIMARY KEY (stream, seq)
    ) WITHOUT ROWID""",
    """CREATE TABLE confirmation (
        stream INTEGER NOT NULL,
        minute INTEGER NOT NULL,
        mark INTEGER NOT NULL,
        PRIMARY KEY (stream, minute)
    ) WITHOUT ROWID""",
)
"""Columns of `stream` and `message` stand in the order in which spool.py and rows.py write them.

`confirmation`: in which minute of running time a mark was reached.
"""

_WEATHER = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY})
_OPERATOR = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)


@contextmanager
def troubles(path: Path) -> Iterator[None]:
    """Raise what an error of SQLite means here; an error that is a bug of ours is raised as it is."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _WEATHER:
            raise Unavailable(
                f"outbox {path}", why=str(error), advice="make room on its disk and check the disk"
            ) from error
        if code in _OPERATOR:
            raise SettingsError(
                where=f"outbox {path}",
                found=str(error),
                expected="must be a file that this user may write; move a damaged one aside and keep it",
            ) from error
        raise


def free_bytes(path: Path) -> int:
    """Free space for this user on the disk of that file."""
    return shutil.disk_usage(path.parent).free


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of an outbox: one host per outbox; a killed host leaves none. Raises SettingsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(
            where=f"outbox {path}", found=str(error), expected="must be in a folder that this user may write"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError(
            where=f"outbox {path}",
            found="is in use by another adapter host",
            expected="must be one file per host: stop the other host, or give this one a file of its own",
        ) from None
    else:
        yield
    finally:
        os.close(handle)
