"""The ledger's SQLite file: opened with safe settings, brought up to date, written in short transactions."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from collector.ledger_store import Intent, bring_up_to_date, cause
from telemetry.errors import SettingsError, Unavailable

_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)


def _with_manners(engine: Engine, *, busy_ms: int) -> Engine:
    """Let writers queue at BEGIN instead of failing half-way; readers never block them."""

    @event.listens_for(engine, "connect")
    def _connected(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (f"PRAGMA busy_timeout={busy_ms}", *_PRAGMAS):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        writing = connection.get_execution_options().get("intent") == "write"
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


class LedgerFile:
    """One file, used from one thread."""

    def __init__(self, path: Path, *, busy_ms: int) -> None:
        self._path = path
        self._engine = _with_manners(
            create_engine(f"sqlite:///{path}", hide_parameters=True), busy_ms=busy_ms
        )

    def open(self) -> None:
        """Create the file or bring it up to date. Raises SettingsError if that cannot be, Unavailable."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with (
                self._alone(),
                self._engine.connect().execution_options(intent="write") as connection,
                connection.begin(),
            ):
                bring_up_to_date(connection, where=f"ledger {self._path}")
        except OperationalError as error:
            raise Unavailable(
                f"ledger {self._path}", why=cause(error), advice="check its disk, then try again"
            ) from error
        except (DatabaseError, OSError) as error:
            raise SettingsError(
                where=f"ledger {self._path}",
                found=cause(error),
                expected="name a file of ours, in a folder that this user may write to",
            ) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Open one after the other: SQLite does not wait when two processes change a file to WAL at once."""
        with self._path.with_name(f"{self._path.name}.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    @contextmanager
    def transaction(self, intent: Intent) -> Iterator[Connection]:
        """One transaction, committed at the end of the block. Raises Unavailable when locked or full."""
        try:
            with self._engine.connect().execution_options(intent=intent) as connection, connection.begin():
                yield connection
        except DatabaseError as error:
            if type(error) not in {OperationalError, DatabaseError}:
                raise  # a statement of ours is wrong
            raise Unavailable(
                f"ledger {self._path}", why=cause(error), advice="nothing is lost: it is tried again"
            ) from error
