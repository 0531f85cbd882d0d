"""What a ledger needs of the database below it, whichever that is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final, Literal, Protocol

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from telemetry.errors import SettingsError

BUSY_MS: Final = 10_000
"""How long a writer waits for another before it says that the ledger is locked."""
Intent = Literal["read", "write"]


class LedgerStore(Protocol):
    """A database that holds one ledger, used from one thread."""

    def open(self) -> None:
        """Create the ledger or bring it up to date. Raises SettingsError if that cannot be, Unavailable."""

    def close(self) -> None:
        """Let go of it."""

    def transaction(self, intent: Intent) -> AbstractContextManager[Connection]:
        """One transaction, committed at the end of the block; Unavailable is raised when it cannot be had.

        Reads see one moment of everything, writers come one after the other.
        """


def bring_up_to_date(connection: Connection, *, where: str) -> None:
    """Run the migrations that are missing, within the caller's transaction. Raises SettingsError."""
    config = Config()
    config.set_main_option("script_location", "collector:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SettingsError(
            where=where,
            found=f"it was made by another version of hourmeter ({error})",
            expected="use that version or a newer one",
        ) from error


def cause(error: Exception) -> str:
    """What the driver said, on one line, without the statement and its values."""
    return " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
