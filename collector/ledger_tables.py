"""Tables of the ledger, in SQL that SQLite and PostgreSQL share; migrations bring ledgers up to them.

What is asked for has a column; the rest is a JSON document beside it, as rules/ wrote it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.types import TypeEngine

_Rewritten = Callable[[str | None], str | None] | None


class Words(TypeDecorator[str]):
    """Text as devices and people say it, the same in both: of any length, in the order of its characters.

    PostgreSQL takes no U+0000, which a device may say: there it is written as backslash and 0.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self._length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """SQLite holds no text to a length; PostgreSQL would."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(String(collation="C"))
        return dialect.type_descriptor(String(self._length) if self._length else Text())

    def bind_processor(self, dialect: Dialect) -> _Rewritten:
        """As it is written; on SQLite it costs nothing."""
        return _written if dialect.name == "postgresql" else None

    def result_processor(self, dialect: Dialect, coltype: object) -> _Rewritten:  # noqa: ARG002 - the library's
        """As it was said."""
        return _said if dialect.name == "postgresql" else None


def _written(said: str | None) -> str | None:
    return said and said.replace("\\", r"\\").replace("\0", r"\0")


def _said(written: str | None) -> str | None:
    if not written or "\\" not in written:
        return written
    return "\\".join(part.replace(r"\0", "\0") for part in written.split(r"\\"))


METADATA: Final = MetaData()

ASSETS: Final = Table(
    "assets",
    METADATA,
    Column("id", Words(64), primary_key=True),
    Column("ward", Words(64), nullable=False),
    Column("document", Text, nullable=False),
)
ALIASES: Final = Table(
    "aliases",
    METADATA,
    Column("protocol", Words(64), nullable=False),
    Column("namespace", Words(64), nullable=False),
    Column("identifier", Words(64), nullable=False),
    Column("asset", Words(64), ForeignKey("assets.id"), nullable=False),
    PrimaryKeyConstraint("protocol", "namespace", "identifier"),
)
"""Who holds an alias until further notice; its history stands in the documents of assets."""
ASSET_METERS: Final = Table(
    "asset_meters",
    METADATA,
    Column("asset", Words(64), nullable=False),
    Column("meter", Words(32), nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("asset", "meter"),
)
"""What meters of assets were last written down to be, with every adjustment before."""
RULES: Final = Table(
    "rules",
    METADATA,
    Column("id", Words(64), primary_key=True),
    Column("version", Words(64), nullable=False),
    Column("document", Text, nullable=False),
)
DEVICES: Final = Table(
    "devices",
    METADATA,
    Column("protocol", Words(64), nullable=False),
    Column("namespace", Words(64), nullable=False),
    Column("identifier", Words(64), nullable=False),
    Column("asset", Words(64), nullable=True),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("protocol", "namespace", "identifier"),
)
"""Without an asset a device is unclaimed."""
DEVICE_DAYS: Final = Table(
    "device_days",
    METADATA,
    Column("protocol", Words(64), nullable=False),
    Column("namespace", Words(64), nullable=False),
    Column("identifier", Words(64), nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("protocol", "namespace", "identifier"),
)
"""What devices had counted at past midnights, beside them because it is written once a day."""
PORTS: Final = Table(
    "ports",
    METADATA,
    Column("publisher", Words(64), nullable=False),
    Column("device", Words(64), nullable=False),
    Column("protocol", Words(64), nullable=False),
    Column("namespace", Words(64), nullable=False),
    Column("identifier", Words(64), nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("publisher", "device"),
)
"""The strong alias that speaks at each topic."""
PUBLISHERS: Final = Table(
    "publishers",
    METADATA,
    Column("name", Words(64), primary_key=True),
    Column("link", Words(16), nullable=False),
    Column("connection", Words(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
RULE_STATES: Final = Table(
    "rule_states",
    METADATA,
    Column("asset", Words(64), nullable=False),
    Column("rule", Words(64), nullable=False),
    Column("standing", Words(16), nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("asset", "rule"),
)
TICKETS: Final = Table(
    "tickets",
    METADATA,
    Column("id", Words(32), primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("cause", Words(256), nullable=False),
    Column("kind", Words(32), nullable=False),
    Column("priority", Words(2), nullable=False),
    Column("asset", Words(64), nullable=False, index=True),
    Column("rule", Words(64), nullable=False),
    Column("version", Words(64), nullable=False),
    Column("state", Words(16), nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger, nullable=True, index=True),
    Column("document", Text, nullable=False),
)
_OPEN: Final = text("state NOT IN ('closed', 'cancelled')")
Index("one_open_ticket_a_cause", TICKETS.c.cause, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
TICKET_EVENTS: Final = Table(
    "ticket_events",
    METADATA,
    Column("ticket", Words(32), ForeignKey("tickets.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("who", Words(64), nullable=False),
    Column("from_state", Words(16), nullable=True),
    Column("to_state", Words(16), nullable=False),
    Column("note", Words(), nullable=False),
    PrimaryKeyConstraint("ticket", "number"),
)
INPUTS: Final = Table(
    "inputs",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Words(32), nullable=False),
    Column("document", Text, nullable=False),
    Column("applied_epoch", Words(64), nullable=True),
    Column("applied_at_position", BigInteger, nullable=True),
    Column("refused", Words(), nullable=True),
    sqlite_autoincrement=True,
)
"""Append-only, but for where an input was applied, and why it was refused."""
PROGRESS: Final = Table(
    "progress",
    METADATA,
    Column("consumer", Words(16), primary_key=True),
    Column("epoch", Words(64), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("input", Integer, nullable=False),
    Column("engineering", Text, nullable=False),
)
"""Both cursors of the rules, with their clock and counters."""
