"""The journal's file: SQLite in WAL mode, on disk before a commit returns, within its share of the disk.

Rule: below the disk reserve or above the size cap nothing is appended, so nothing is acknowledged.
"""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from telemetry.errors import SettingsError, Unavailable

Tally = tuple[str, str]
"""What was counted, and of which kind of message."""

CONSUMERS = ("history", "rules")

_LAYOUT = "2"
"""The form of tables and batches."""
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE batch (
    first INTEGER PRIMARY KEY, size INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    kinds TEXT NOT NULL, crc INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE TABLE stream (
    publisher TEXT NOT NULL, name TEXT NOT NULL, through INTEGER NOT NULL, beyond TEXT NOT NULL,
    gone TEXT NOT NULL, elsewhere TEXT NOT NULL, sent_through INTEGER NOT NULL, known INTEGER NOT NULL,
    superseded INTEGER NOT NULL, PRIMARY KEY (publisher, name)) WITHOUT ROWID;
CREATE TABLE extent (
    publisher TEXT NOT NULL, stream TEXT NOT NULL, first_seq INTEGER NOT NULL, batch INTEGER NOT NULL,
    last_seq INTEGER NOT NULL, PRIMARY KEY (publisher, stream, first_seq, batch)) WITHOUT ROWID;
CREATE INDEX extent_batch ON extent (batch);
CREATE TABLE clock (
    publisher TEXT NOT NULL, boot TEXT NOT NULL, received_ms INTEGER NOT NULL, mono_ms INTEGER NOT NULL,
    PRIMARY KEY (publisher, boot)) WITHOUT ROWID;
CREATE TABLE retained (topic TEXT PRIMARY KEY, crcs TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tally (
    what TEXT NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (what, kind)) WITHOUT ROWID;
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY, reason TEXT NOT NULL, publisher TEXT NOT NULL, device TEXT NOT NULL,
    kind TEXT NOT NULL, stream TEXT, seq INTEGER, boot TEXT, mono_ms INTEGER, received_ms INTEGER NOT NULL,
    event_ms INTEGER NOT NULL, payload BLOB NOT NULL, release INTEGER NOT NULL DEFAULT 0);
CREATE TABLE dead (
    position INTEGER PRIMARY KEY, topic TEXT NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL,
    reason TEXT NOT NULL);
CREATE TABLE replay (
    position INTEGER PRIMARY KEY, kind TEXT NOT NULL, again INTEGER) WITHOUT ROWID;
CREATE INDEX replay_again ON replay (again);
CREATE TABLE consumer (name TEXT PRIMARY KEY, epoch TEXT NOT NULL, position INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much disk the journal may use, and how much it leaves free, in bytes."""

    size_cap: int
    disk_reserve: int


class JournalFile:
    """One connection to the file of a journal. Not for use by two threads at once."""

    def __init__(self, folder: Path, *, limits: Limits, new_epoch: Callable[[], str]) -> None:
        self._folder = folder
        self.path = folder / "journal.db"
        self.limits = limits
        self._new_epoch = new_epoch
        with self.weather("cannot be opened"):
            folder.mkdir(parents=True, exist_ok=True)
            fresh = not self.path.exists() or self.path.stat().st_size == 0
            if fresh:
                self._check_disk(1 << 20)
            self.db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10.0)
            self.db.execute("PRAGMA synchronous=FULL")
            self._create()
        self.epoch = self._meta("epoch")

    def close(self) -> None:
        """Close the file; everything in it is on disk already."""
        self.db.close()

    def _create(self) -> None:
        """Lay the tables out unless they are there; looking takes no room on a full disk."""
        if self._is_laid_out():
            self._check_layout()
            return
        self.db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        self.db.execute("PRAGMA journal_mode=WAL")
        with self.transaction():
            if self._is_laid_out():
                return
            for statement in filter(str.strip, _SCHEMA.split(";")):
                self.db.execute(statement)
            epoch = self._new_epoch()
            self.db.executemany(
                "INSERT INTO meta VALUES (?,?)", (("epoch", epoch), ("head", "0"), ("layout", _LAYOUT))
            )
            self.db.executemany("INSERT INTO consumer VALUES (?,?,0)", ((name, epoch) for name in CONSUMERS))

    def _is_laid_out(self) -> bool:
        return self.db.execute("SELECT 1 FROM sqlite_master WHERE name='meta'").fetchone() is not None

    def _check_layout(self) -> None:
        if (layout := self._meta("layout")) != _LAYOUT:
            raise SettingsError(
                where=f"journal {self.path}",
                found=f"it is laid out in form {layout}",
                expected=f"form {_LAYOUT}: let the hourmeter that wrote it empty it, then move it away",
            )

    def _meta(self, name: str) -> str:
        (value,) = self.db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return str(value)

    @contextmanager
    def weather(self, what: str) -> Iterator[None]:
        """Disk trouble in the operator's words; everything else passes as it is."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if type(error) not in {sqlite3.OperationalError, sqlite3.DatabaseError}:
                raise  # a statement of ours is wrong
            raise Unavailable(
                f"journal {self.path}", why=f"{what} ({error})", advice="free disk space or mend the disk"
            ) from error
        except OSError as error:
            raise Unavailable(
                f"journal {self.path}", why=f"{what} ({error.strerror})", advice="check the folder and disk"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk on return. Raises Unavailable."""
        with self.weather("cannot be written"):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            finally:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads within see the same state."""
        with self.weather("cannot be read"):
            self.db.execute("BEGIN")
            try:
                yield
            finally:
                self.db.execute("COMMIT")

    def _check_disk(self, wanted: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free - wanted < self.limits.disk_reserve:
            raise Unavailable(
                f"journal {self.path}",
                why=f"its disk has {free >> 20} MiB free, reserve {self.limits.disk_reserve >> 20} MiB",
                advice="nothing more is acknowledged until space is freed",
            )

    def check_room(self, wanted: int) -> None:
        """Raises Unavailable unless so many bytes may still be appended."""
        self._check_disk(wanted)
        if self.size() + wanted > self.limits.size_cap:
            raise Unavailable(
                f"journal {self.path}",
                why=f"it has reached its cap of {self.limits.size_cap >> 20} MiB",
                advice="nothing more is acknowledged until consumers catch up or journal.size_cap_mib grows",
            )

    def size(self) -> int:
        """Bytes in use by the journal's pages."""
        (pages,) = self.db.execute("PRAGMA page_count").fetchone()
        (free,) = self.db.execute("PRAGMA freelist_count").fetchone()
        (page,) = self.db.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * page)

    def head(self) -> int:
        """The position that the next record will get."""
        return int(self._meta("head"))

    def first(self) -> int:
        """The oldest position kept; the head if none is."""
        # one statement, because another connection may append between two
        (first,) = self.db.execute(
            "SELECT coalesce((SELECT min(first) FROM batch), (SELECT value FROM meta WHERE name='head'))"
        ).fetchone()
        return int(first)

    def count(self, tallies: Mapping[Tally, int]) -> None:
        """Add to the counters, within the caller's transaction."""
        self.db.executemany(
            "INSERT INTO tally VALUES (?,?,?)"
            " ON CONFLICT (what, kind) DO UPDATE SET count=count+excluded.count",
            ((what, kind, count) for (what, kind), count in tallies.items() if count),
        )

    def renew_epoch(self) -> str:
        """Begin a new epoch, as after a restore: publishers send their confirmed tails again."""
        epoch = self._new_epoch()
        with self.transaction():
            self.db.execute("UPDATE meta SET value=? WHERE name='epoch'", (epoch,))
            self.db.execute("UPDATE consumer SET epoch=? WHERE name='history'", (epoch,))
        self.epoch = epoch
        return epoch


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the journal of a folder for this process alone. Raises SettingsError if another one has it.

    The lock goes with the process, however it ends.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = (folder / "journal.lock").open("w")
    except OSError as error:
        raise SettingsError(
            where=f"journal.folder {folder}",
            found=error.strerror or str(error),
            expected="a folder that this user may write",
        ) from error
    with opened as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                where=f"journal {folder}",
                found="another collector is using it",
                expected="run one collector per journal",
            ) from None
        yield
