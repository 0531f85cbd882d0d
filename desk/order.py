"""How the page counts, narrows down and orders what it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from desk.views import DeviceRow, Fleet, Only, TicketRow
from rules.words import TicketPriority


@dataclass(frozen=True, slots=True)
class Counts:
    """The fleet in figures; a device counts by its state only while it is online."""

    devices: int
    in_use: int
    silent: int
    """With an adapter, and not online."""
    overdue: int
    """With a meter past due."""
    no_adapter: int
    ended: int
    """Disposed of or lost; counted nowhere else."""
    tickets: int
    urgent: int
    """Tickets of P1: life support, or removal advised."""
    high: int
    """Tickets of P2."""


def counts(fleet: Fleet) -> Counts:
    """The figures at the head of the page."""
    ended = sum(device.is_ended for device in fleet.devices)
    held = [device for device in fleet.devices if not device.is_ended]
    of = {only: sum(device.is_one(only) for device in held) for only in Only}
    return Counts(
        devices=len(held),
        in_use=of[Only.IN_USE],
        silent=of[Only.SILENT],
        overdue=of[Only.OVERDUE],
        no_adapter=of[Only.NO_ADAPTER],
        ended=ended,
        tickets=len(fleet.tickets),
        urgent=sum(ticket.priority is TicketPriority.P1 for ticket in fleet.tickets),
        high=sum(ticket.priority is TicketPriority.P2 for ticket in fleet.tickets),
    )


def by_urgency(tickets: tuple[TicketRow, ...]) -> tuple[TicketRow, ...]:
    """Highest priority first, and of one priority the oldest first."""
    return tuple(sorted(tickets, key=lambda ticket: (ticket.priority, ticket.opened_ms, _counted(ticket.id))))


def by_ward(devices: tuple[DeviceRow, ...]) -> tuple[tuple[str, tuple[DeviceRow, ...]], ...]:
    """Wards by name, those without one last; in each its devices by label, `2` before `10`."""
    ordered = sorted(
        devices,
        key=lambda device: (
            not device.ward,
            _counted(device.ward),
            device.ward,
            _counted(device.label or device.asset),
        ),
    )
    return tuple((ward, tuple(of)) for ward, of in groupby(ordered, key=lambda device: device.ward))


def tickets_of(fleet: Fleet) -> Mapping[str, tuple[TicketRow, ...]]:
    """The open tickets of each asset that has any, most urgent first."""
    found: dict[str, tuple[TicketRow, ...]] = {}
    for ticket in by_urgency(fleet.tickets):
        found[ticket.asset] = (*found.get(ticket.asset, ()), ticket)
    return found


def _counted(text: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts the numbers within a text as numbers."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", text.casefold())
    return tuple((int(number), "") if number else (-1, word) for number, word in parts)
