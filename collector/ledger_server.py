"""The ledger's PostgreSQL server: reached by its URL, brought up to date, written by one after the other.

Rule 1: whoever writes holds one lock until its commit: writers queue as on SQLite, and what people say is
numbered in the order in which it can be read.
Rule 2: what the server refuses for good is the operator's to mend; a server that is away is weather.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

from collector.ledger_store import Intent, bring_up_to_date, cause
from telemetry.errors import SettingsError, Unavailable

_WRITERS: Final = 0x686F75726D657465
"""The advisory lock of whoever writes: "hourmete" in ASCII; such locks are counted per database."""
INSUFFICIENT_PRIVILEGE: Final = "42501"
"""SQLSTATE, PostgreSQL manual, appendix A."""
_REACH: Final = MappingProxyType(
    {
        "connect_timeout": "10",
        "keepalives_idle": "30",
        "tcp_user_timeout": "30000",
        "application_name": "hourmeter",
    }
)
"""How a server that has vanished is noticed, in libpq's words; the URL may say otherwise."""
_MANNERS: Final = """\
SELECT set_config('lock_timeout', '{busy_ms}', false),
    set_config('idle_in_transaction_session_timeout', '60s', false),
    CASE current_setting('synchronous_commit')
        WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END
"""
"""Of each session: the lock of a writer whose machine has vanished goes, and what is committed is on disk."""


class _Refusal(NamedTuple):
    """Words of libpq or the server with which a connection is refused for good."""

    words: str
    where: str
    expected: str


_REFUSALS: Final = (
    _Refusal("no password supplied|password authentication failed", "", "the password of that user"),
    _Refusal(
        'database ".*" does not exist',
        "ledger.url",
        "a database of that server: `createdb --owner=USER DATABASE` makes one",
    ),
    _Refusal(
        'role ".*" does not exist|authentication failed|no pg_hba.conf entry|not permitted|permission denied',
        "ledger.url",
        "a user whom the server lets in from here",
    ),
    _Refusal("SSL|certificate|sslmode", "ledger.url", "sslmode and sslrootcert that suit the server"),
    _Refusal("invalid (connection option|port|integer|URI)", "ledger.url", "parameters that libpq knows"),
)
"""libpq tells no error code while it connects; a server that speaks another language is taken for weather."""


@dataclass(frozen=True, slots=True)
class LedgerDatabase:
    """A PostgreSQL database as the operator names it."""

    url: str
    """`postgresql://user@host:port/database?sslmode=verify-full`, without a password."""
    password: str = field(default="", repr=False)
    password_from: str = "ledger.password_file"  # noqa: S105 - where it stands


class LedgerServer:
    """One database of a PostgreSQL server, used from one thread."""

    def __init__(self, database: LedgerDatabase, *, busy_ms: int) -> None:
        """Raises SettingsError if the URL or the driver is not right; nothing is connected yet."""
        self._database = database
        url = _url(database.url)
        self.name = f"ledger {url.set(query={})}"
        url = url.set(drivername="postgresql+psycopg", query={**_REACH, **url.query})
        if database.password:
            url = url.set(password=database.password)
        self._engine = _engine(url, busy_ms=busy_ms)

    def open(self) -> None:
        """Create the tables or bring them up to date, one process after the other.

        Raises SettingsError if that cannot be, Unavailable.
        """
        with self.transaction("write") as connection:
            bring_up_to_date(connection, where=self.name)

    def close(self) -> None:
        """Let go of the connection."""
        self._engine.dispose()

    @contextmanager
    def transaction(self, intent: Intent) -> Iterator[Connection]:
        """One transaction, committed at the end of the block.

        Raises Unavailable when the server is away, locked or full, SettingsError when it refuses us for good.
        """
        options = (
            {"isolation_level": "READ COMMITTED"}
            if intent == "write"
            else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        try:
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                if intent == "write":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
                yield connection
        except (OperationalError, InternalError, ProgrammingError) as error:
            if refused := self._refused(error):
                raise refused from error
            if isinstance(error, ProgrammingError):
                raise  # a statement of ours is wrong
            raise Unavailable(
                self.name,
                why=cause(error),
                advice="nothing is lost: it is tried again; does it run, and is ledger.url right?",
            ) from error

    def _refused(self, error: DBAPIError) -> SettingsError | None:
        """What the operator has to mend, if that is what the error says."""
        if getattr(error.orig, "sqlstate", None) not in {None, INSUFFICIENT_PRIVILEGE}:
            return None
        why = cause(error)
        found = next((one for one in _REFUSALS if re.search(one.words, why)), None)
        if found is None:
            return None
        where = found.where or self._database.password_from
        return SettingsError(where=f"{where} ({self.name})", found=why, expected=found.expected)


def _url(text: str) -> URL:
    """The URL as the operator may write it. Raises SettingsError."""

    def refuse(found: str) -> SettingsError:
        return SettingsError(
            where="ledger.url", found=found, expected="postgresql://USER@HOST/DATABASE, or empty for SQLite"
        )

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise refuse("is no URL") from None
    if url.password is not None or "password" in url.query:
        raise SettingsError(
            where="ledger.url",
            found="holds a password",
            expected="ledger.password_file, or HOURMETER_LEDGER__PASSWORD in the environment",
        )
    if url.drivername != "postgresql":
        raise refuse(f"begins with {url.drivername}://")
    if not url.database:
        raise refuse(f"{url} names no database")
    return url


def _engine(url: URL, *, busy_ms: int) -> Engine:
    try:
        engine = create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True)
    except ImportError as error:
        raise SettingsError(
            where="ledger.url",
            found=f"PostgreSQL's driver is not installed ({error})",
            expected="install hourmeter with its extra: pip install 'hourmeter[postgresql]'",
        ) from error

    @event.listens_for(engine, "connect")
    def _connected(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(_MANNERS.format(busy_ms=busy_ms))
        cursor.close()
        connection.commit()

    return engine
