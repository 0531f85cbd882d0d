"""Tables of the ledger, in SQL that SQLite and PostgreSQL share; migrations bring files up to them.

What is asked for has a column; the rest is a JSON document beside it, as rules/ wrote it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

METADATA: Final = MetaData()

ASSETS: Final = Table(
    "assets",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("ward", String(64), nullable=False),
    Column("document", Text, nullable=False),
)
ALIASES: Final = Table(
    "aliases",
    METADATA,
    Column("protocol", String(64), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("identifier", String(64), nullable=False),
    Column("asset", String(64), ForeignKey("assets.id"), nullable=False),
    PrimaryKeyConstraint("protocol", "namespace", "identifier"),
)
RULES: Final = Table(
    "rules",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("version", String(64), nullable=False),
    Column("document", Text, nullable=False),
)
DEVICES: Final = Table(
    "devices",
    METADATA,
    Column("protocol", String(64), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("identifier", String(64), nullable=False),
    Column("asset", String(64), nullable=True),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("protocol", "namespace", "identifier"),
)
"""Without an asset a device is unclaimed."""
PUBLISHERS: Final = Table(
    "publishers",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("link", String(16), nullable=False),
    Column("connection", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
RULE_STATES: Final = Table(
    "rule_states",
    METADATA,
    Column("asset", String(64), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("standing", String(16), nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("asset", "rule"),
)
TICKETS: Final = Table(
    "tickets",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("cause", String(256), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("priority", String(2), nullable=False),
    Column("asset", String(64), nullable=False, index=True),
    Column("rule", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger, nullable=True, index=True),
    Column("document", Text, nullable=False),
)
_OPEN: Final = text("state NOT IN ('closed', 'cancelled')")
Index("one_open_ticket_a_cause", TICKETS.c.cause, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
TICKET_EVENTS: Final = Table(
    "ticket_events",
    METADATA,
    Column("ticket", String(32), ForeignKey("tickets.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("who", String(64), nullable=False),
    Column("from_state", String(16), nullable=True),
    Column("to_state", String(16), nullable=False),
    Column("note", Text, nullable=False),
    PrimaryKeyConstraint("ticket", "number"),
)
INPUTS: Final = Table(
    "inputs",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("document", Text, nullable=False),
    Column("applied_epoch", String(64), nullable=True),
    Column("applied_at_position", BigInteger, nullable=True),
    Column("refused", Text, nullable=True),
    sqlite_autoincrement=True,
)
"""Append-only, but for where an input was applied, and why it was refused."""
PROGRESS: Final = Table(
    "progress",
    METADATA,
    Column("consumer", String(16), primary_key=True),
    Column("epoch", String(64), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("input", Integer, nullable=False),
    Column("engineering", Text, nullable=False),
)
"""Both cursors of the rules, with their clock and counters."""
