"""Between values of rules/ and rows of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Executable, Select, Table, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from collector.ledger_tables import (
    ALIASES,
    ASSET_METERS,
    ASSETS,
    DEVICE_DAYS,
    DEVICES,
    PORTS,
    PUBLISHERS,
    RULE_STATES,
    RULES,
    TICKET_EVENTS,
    TICKETS,
)
from rules.assets import Asset
from rules.inputs import ActiveRule
from rules.state import (
    Changes,
    Engineering,
    Port,
    Publisher,
    RuleState,
    State,
    kept_from_ms,
    read_device,
    read_meter,
    write_meter,
)
from rules.tickets import Ticket, TicketEvent
from rules.words import FINAL_STATES
from telemetry.messages import LinkState, MeterName

Row = Mapping[str, object]
_AT_ONCE: Final = 500
"""Names in one statement: databases bound them."""


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


_ALIAS: Final = ("protocol", "namespace", "identifier")


def _write_registry(connection: Connection, changes: Changes) -> None:
    names = [*changes.gone, *(asset.id for asset in changes.assets)]
    for some in (names[at : at + _AT_ONCE] for at in range(0, len(names), _AT_ONCE)):
        connection.execute(delete(ALIASES).where(ALIASES.c.asset.in_(some)))
    for asset in changes.gone:
        connection.execute(delete(ASSET_METERS).where(ASSET_METERS.c.asset == asset))
        connection.execute(delete(ASSETS).where(ASSETS.c.id == asset))
    _put(
        connection,
        ASSETS,
        [
            {"id": asset.id, "ward": asset.ward, "document": asset.model_dump_json()}
            for asset in changes.assets
        ],
    )
    _put(connection, ALIASES, [row for asset in changes.assets for row in _alias_rows(asset)])
    _put(
        connection,
        ASSET_METERS,
        [
            {"asset": asset, "meter": name, "document": write_meter(meter)}
            for asset, name, meter in changes.meters
        ],
    )


def _alias_rows(asset: Asset) -> Sequence[Row]:
    return [
        {
            "protocol": alias.protocol,
            "namespace": alias.namespace,
            "identifier": alias.identifier,
            "asset": asset.id,
        }
        for alias in asset.aliases
    ]


def write_changes(connection: Connection, changes: Changes) -> None:
    """Write everything that changed; ended tickets before open ones, for one open ticket a cause.

    To write the same twice is to write it once.
    """
    _write_registry(connection, changes)
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
                **dict(zip(_ALIAS, device.key, strict=True)),
                "asset": device.asset,
                "document": device.document,
            }
            for device in changes.devices
        ],
    )
    _put(
        connection,
        DEVICE_DAYS,
        [
            {**dict(zip(_ALIAS, device.key, strict=True)), "document": device.days}
            for device in changes.devices
            if device.days is not None
        ],
    )
    _put(
        connection,
        PORTS,
        [
            {
                "publisher": name[0],
                "device": name[1],
                **dict(zip(_ALIAS, port.key, strict=True)),
                "since_ms": port.since_ms,
            }
            for name, port in changes.ports
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
        asset = Asset.model_validate_json(row.document)
        state.assets[asset.id] = asset
    for row in connection.execute(_in_order(ASSET_METERS)):
        state.meters[row.asset, MeterName(row.meter)] = read_meter(row.document)
    for row in connection.execute(_in_order(RULES)):
        active = ActiveRule.model_validate_json(row.document)
        state.rules[active.rule.id] = active
    days = {
        (row.protocol, row.namespace, row.identifier): row.document
        for row in connection.execute(select(DEVICE_DAYS))
    }
    for row in connection.execute(_in_order(DEVICES)):
        key = (row.protocol, row.namespace, row.identifier)
        state.devices[key] = read_device(row.document, days.get(key, ""))
    for row in connection.execute(_in_order(PORTS)):
        key = (row.protocol, row.namespace, row.identifier)
        state.ports[row.publisher, row.device] = Port(key, row.since_ms)
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
