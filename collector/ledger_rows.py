"""Between values of rules/ and rows of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table, delete, insert, or_, select
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
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    put = dialect.insert(table)
    fresh = {name: put.excluded[name] for name in table.columns.keys() if name not in keys}  # noqa: SIM118 - not a dict
    connection.execute(put.on_conflict_do_update(index_elements=keys, set_=fresh), list(rows))


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
    """Write everything that changed; ended tickets before open ones, for one open ticket a cause."""
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
    if changes.events:
        connection.execute(insert(TICKET_EVENTS), [event.model_dump() for event in changes.events])


def read_state(connection: Connection, engineering: Engineering) -> State:
    """The engine's memory as last written; tickets that ended too long ago to matter stay in the file."""
    state = State(engineering=engineering)
    for (document,) in connection.execute(select(ASSETS.c.document).order_by(ASSETS.c.id)):
        asset = RegisteredAsset.model_validate_json(document)
        state.assets[asset.id] = asset
    for (document,) in connection.execute(select(RULES.c.document)):
        active = ActiveRule.model_validate_json(document)
        state.rules[active.rule.id] = active
    for row in connection.execute(select(DEVICES)):
        state.devices[row.protocol, row.namespace, row.identifier] = read_device(row.document)
    for row in connection.execute(select(PUBLISHERS)):
        state.publishers[row.name] = Publisher(row.name, LinkState(row.link), row.connection, row.at_ms)
    for (document,) in connection.execute(select(RULE_STATES.c.document)):
        standing = RuleState.model_validate_json(document)
        state.rule_states[standing.asset, standing.rule] = standing
    recent = or_(
        TICKETS.c.state.not_in([str(final) for final in FINAL_STATES]),
        TICKETS.c.closed_ms >= kept_from_ms(engineering),
    )
    for (document,) in connection.execute(select(TICKETS.c.document).where(recent)):
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
