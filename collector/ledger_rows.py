"""Between values of rules/ and rows of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, Select, Table, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from collector.ledger_tables import (
    ALIASES,
    ASSETS,
    DEVICES,
    PUBLISHERS,
    RULE_STATES,
    RULES,
    TICKET_EVENTS,
    TICKETS,
)
from rules.inputs import ActiveRule, RegisteredAsset
from rules.state import Changes, Engineering, Publisher, RuleState, State, kept_from_ms, read_device
from rules.tickets import Ticket, TicketEvent
from rules.words import FINAL_STATES
from telemetry.messages import LinkState

Row = Mapping[str, object]


def _put(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, or replace those of the same key."""
    if rows:
        connection.execute(_put_into(table, connection.dialect.name), list(rows))


@cache
def _put_into(table: Table, dialect: str) -> Executable:
    """The statement of `_put`: made once for each table."""
    keys = [column.name for column in table.primary_key]
    put = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    fresh = {name: put.excluded[name] for name in table.columns.keys() if name not in keys}  # noqa: SIM118 - not a dict
    return put.on_conflict_do_update(index_elements=keys, set_=fresh)


def _ticket_row(ticket: Ticket) -> Row:
    return {
        "id": ticket.id,
        "number": ticket.number,
        "cause": ticket.cause,
        "kind": ticket.kind,
        "priority": ticket.priority,
        "asset": ticket.asset,
        "rule": ticket.rule,
        "version": ticket.version,
        "state": ticket.state,
        "opened_ms": ticket.opened_ms,
        "closed_ms": ticket.closed_ms,
        "document": ticket.model_dump_json(),
    }


def _write_registry(connection: Connection, assets: Sequence[RegisteredAsset]) -> None:
    connection.execute(delete(ALIASES))
    connection.execute(delete(ASSETS))
    _put(
        connection,
        ASSETS,
        [{"id": asset.id, "ward": asset.ward, "document": asset.model_dump_json()} for asset in assets],
    )
    _put(
        connection,
        ALIASES,
        [
            {
                "protocol": alias.protocol,
                "namespace": alias.namespace,
                "identifier": alias.identifier,
                "asset": asset.id,
            }
            for asset in assets
            for alias in asset.aliases
        ],
    )


def write_changes(connection: Connection, changes: Changes) -> None:
    """Write everything that changed; ended tickets before open ones, for one open ticket a cause.

    To write the same twice is to write it once.
    """
    if changes.assets is not None:
        _write_registry(connection, changes.assets)
    if changes.rules is not None:
        connection.execute(delete(RULES))
        _put(
            connection,
            RULES,
            [
                {
                    "id": active.rule.id,
                    "version": active.version,
                    "document": active.model_dump_json(by_alias=True),
                }
                for active in changes.rules
            ],
        )
    _put(
        connection,
        DEVICES,
        [
            {
                **dict(zip(("protocol", "namespace", "identifier"), device.key, strict=True)),
                "asset": device.asset,
                "document": device.document,
            }
            for device in changes.devices
        ],
    )
    _put(
        connection,
        PUBLISHERS,
        [
            {"name": host.name, "link": host.link, "connection": host.connection, "at_ms": host.at_ms}
            for host in changes.publishers
        ],
    )
    _put(
        connection,
        RULE_STATES,
        [
            {
                "asset": standing.asset,
                "rule": standing.rule,
                "standing": standing.standing,
                "document": standing.model_dump_json(),
            }
            for standing in changes.rule_states
        ],
    )
    _put(connection, TICKETS, [_ticket_row(ticket) for ticket in changes.tickets if not ticket.is_open])
    _put(connection, TICKETS, [_ticket_row(ticket) for ticket in changes.tickets if ticket.is_open])
    _put(connection, TICKET_EVENTS, [event.model_dump() for event in changes.events])


def _in_order(table: Table) -> Select[Any]:
    """All rows by their key: the same in every database."""
    return select(table).order_by(*table.primary_key)


def read_state(connection: Connection, engineering: Engineering) -> State:
    """The engine's memory as last written; tickets that ended too long ago to matter stay in the file."""
    state = State(engineering=engineering)
    for row in connection.execute(_in_order(ASSETS)):
        asset = RegisteredAsset.model_validate_json(row.document)
        state.assets[asset.id] = asset
    for row in connection.execute(_in_order(RULES)):
        active = ActiveRule.model_validate_json(row.document)
        state.rules[active.rule.id] = active
    for row in connection.execute(_in_order(DEVICES)):
        state.devices[row.protocol, row.namespace, row.identifier] = read_device(row.document)
    for row in connection.execute(_in_order(PUBLISHERS)):
        state.publishers[row.name] = Publisher(row.name, LinkState(row.link), row.connection, row.at_ms)
    for row in connection.execute(_in_order(RULE_STATES)):
        standing = RuleState.model_validate_json(row.document)
        state.rule_states[standing.asset, standing.rule] = standing
    recent = or_(
        TICKETS.c.state.not_in([str(final) for final in FINAL_STATES]),
        TICKETS.c.closed_ms >= kept_from_ms(engineering),
    )
    for (document,) in connection.execute(
        select(TICKETS.c.document).where(recent).order_by(TICKETS.c.number)
    ):
        ticket = Ticket.model_validate_json(document)
        state.tickets[ticket.id] = ticket
    return state


def tickets(connection: Connection, *, open_only: bool) -> tuple[Ticket, ...]:
    """Tickets by number."""
    query = select(TICKETS.c.document).order_by(TICKETS.c.number)
    if open_only:
        query = query.where(TICKETS.c.state.not_in([str(final) for final in FINAL_STATES]))
    return tuple(Ticket.model_validate_json(document) for (document,) in connection.execute(query))


def ticket(connection: Connection, ticket_id: str) -> tuple[Ticket, tuple[TicketEvent, ...]] | None:
    """One ticket with its events, oldest first."""
    query = select(TICKETS.c.document).where(TICKETS.c.id == ticket_id)
    document = connection.execute(query).scalar_one_or_none()
    if document is None:
        return None
    events = select(TICKET_EVENTS).where(TICKET_EVENTS.c.ticket == ticket_id).order_by(TICKET_EVENTS.c.number)
    told = tuple(TicketEvent.model_validate(dict(row)) for row in connection.execute(events).mappings())
    return Ticket.model_validate_json(document), told


def open_tickets(connection: Connection) -> Mapping[tuple[str, str], int]:
    """How many tickets are open, by priority and kind."""
    query = (
        select(TICKETS.c.priority, TICKETS.c.kind, func.count())
        .where(TICKETS.c.state.not_in([str(final) for final in FINAL_STATES]))
        .group_by(TICKETS.c.priority, TICKETS.c.kind)
    )
    return {(priority, kind): count for priority, kind, count in connection.execute(query)}


def links(connection: Connection) -> Mapping[str, int]:
    """How many publishers there are, by the state of their link."""
    query = select(PUBLISHERS.c.link, func.count().label("publishers")).group_by(PUBLISHERS.c.link)
    return {row.link: row.publishers for row in connection.execute(query)}
