"""The first ledger: registry, devices, rules, tickets with events, inputs, progress."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _words(length: int | None = None) -> sa.String:
    """SQLite holds no text to its length and orders it by its characters; PostgreSQL is told to."""
    words = sa.String(length) if length else sa.Text()
    return words.with_variant(sa.String(collation="C"), "postgresql")


def _name(column: str, *, key: bool = False, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(column, _words(64), primary_key=key, nullable=nullable)


def _alias() -> tuple[sa.Column[str], ...]:
    return (_name("protocol"), _name("namespace"), _name("identifier"))


def _document() -> sa.Column[str]:
    return sa.Column("document", sa.Text, nullable=False)


def _ms(column: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(column, sa.BigInteger, nullable=nullable)


def upgrade() -> None:
    """Create every table of an empty file."""
    alias_key = sa.PrimaryKeyConstraint("protocol", "namespace", "identifier")
    op.create_table("assets", _name("id", key=True), _name("ward"), _document())
    op.create_table(
        "aliases",
        *_alias(),
        sa.Column("asset", _words(64), sa.ForeignKey("assets.id"), nullable=False),
        alias_key,
    )
    op.create_table("rules", _name("id", key=True), _name("version"), _document())
    alias_key = sa.PrimaryKeyConstraint("protocol", "namespace", "identifier")
    op.create_table("devices", *_alias(), _name("asset", nullable=True), _document(), alias_key)
    op.create_table(
        "publishers",
        _name("name", key=True),
        sa.Column("link", _words(16), nullable=False),
        _name("connection"),
        _ms("at_ms"),
    )
    op.create_table(
        "rule_states",
        _name("asset"),
        _name("rule"),
        sa.Column("standing", _words(16), nullable=False),
        _document(),
        sa.PrimaryKeyConstraint("asset", "rule"),
    )
    _tickets()
    op.create_table(
        "inputs",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        _ms("at_ms"),
        sa.Column("kind", _words(32), nullable=False),
        _document(),
        _name("applied_epoch", nullable=True),
        _ms("applied_at_position", nullable=True),
        sa.Column("refused", _words(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "progress",
        sa.Column("consumer", _words(16), primary_key=True),
        _name("epoch"),
        _ms("position"),
        sa.Column("input", sa.Integer, nullable=False),
        sa.Column("engineering", sa.Text, nullable=False),
    )


def _tickets() -> None:
    op.create_table(
        "tickets",
        sa.Column("id", _words(32), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False, unique=True),
        sa.Column("cause", _words(256), nullable=False),
        sa.Column("kind", _words(32), nullable=False),
        sa.Column("priority", _words(2), nullable=False),
        _name("asset"),
        _name("rule"),
        _name("version"),
        sa.Column("state", _words(16), nullable=False),
        _ms("opened_ms"),
        _ms("closed_ms", nullable=True),
        _document(),
    )
    op.create_index("ix_tickets_asset", "tickets", ["asset"])
    op.create_index("ix_tickets_closed_ms", "tickets", ["closed_ms"])
    still_open = sa.text("state NOT IN ('closed', 'cancelled')")
    op.create_index(
        "one_open_ticket_a_cause",
        "tickets",
        ["cause"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    op.create_table(
        "ticket_events",
        sa.Column("ticket", _words(32), sa.ForeignKey("tickets.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        _ms("at_ms"),
        _name("who"),
        sa.Column("from_state", _words(16), nullable=True),
        sa.Column("to_state", _words(16), nullable=False),
        sa.Column("note", _words(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", "number"),
    )
