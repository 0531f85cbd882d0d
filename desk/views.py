"""What the page shows, as plain values, and the order in which it shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from rules.words import Standing, TicketKind, TicketPriority, TicketState
from telemetry.messages import LinkState, MeterName, OperatingState, Provenance


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One meter of a device, in hours or cycles by its name."""

    name: MeterName
    provenance: Provenance
    low_h: float
    """Observed, at least."""
    high_h: float
    """Observed and unknown, at most."""
    coverage: float
    """Share of time that was observed, 0 to 1."""
    due_h: float | None
    """The reading at which work is due; None if no rule counts on this meter."""
    standing: Standing | None
    """How its rule stands; None if no rule counts on this meter."""
    done_h: float = 0.0
    """The reading at which work was last completed: where the bar begins."""

    @property
    def is_overdue(self) -> bool:
        """Whether even the least that it can show is past due."""
        return self.due_h is not None and self.low_h >= self.due_h

    @property
    def wants_someone(self) -> bool:
        """Whether work or a reading is asked for, or may be due for all that is known."""
        maybe = self.due_h is not None and self.high_h >= self.due_h
        return maybe or self.standing in {Standing.DUE, Standing.ASKED}

    def share(self, reading_h: float) -> float:
        """How much of the interval a reading has used up, 0 to 1."""
        if self.due_h is None or self.due_h <= self.done_h:
            return 1.0
        return min(1.0, max(0.0, (reading_h - self.done_h) / (self.due_h - self.done_h)))


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One asset and what was last heard of it."""

    asset: str
    label: str
    ward: str
    manufacturer: str
    model: str
    link: LinkState | None
    """None if nothing was ever heard."""
    state: OperatingState
    """As last heard."""
    heard_ms: int | None
    meters: tuple[MeterRow, ...]

    @property
    def is_present(self) -> bool:
        """Whether its state is that of now, and not that of when it was last heard."""
        return self.link is LinkState.ONLINE


@dataclass(frozen=True, slots=True)
class UnclaimedRow:
    """A device that speaks and belongs to no asset."""

    alias: str
    """Protocol, namespace and identifier, as a person reads them."""
    publisher: str
    device: str
    """Its name in the settings of its host."""
    heard_ms: int
    state: OperatingState


@dataclass(frozen=True, slots=True)
class EventRow:
    """One change of a ticket."""

    at_ms: int
    who: str
    state: TicketState
    note: str


@dataclass(frozen=True, slots=True)
class TicketRow:
    """One open ticket."""

    id: str
    kind: TicketKind
    priority: TicketPriority
    asset: str
    label: str
    ward: str
    title: str
    state: TicketState
    opened_ms: int
    last_seen_ms: int
    occurrences: int
    explanation: tuple[str, ...]
    """Sentences: what, on what grounds, by which rule."""
    checklist: tuple[str, ...] = ()
    events: tuple[EventRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where every message is; named as in collector.accounting."""

    received: int
    stored: int
    pending: int
    dead_lettered: int
    duplicate: int
    quarantined: int
    privacy: int
    missing: int
    lost: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """All that the page shows, as of one moment."""

    now_ms: int
    """The clock that ages are told by."""
    site_note: str
    """What must be said of the whole site, as `demo`; empty for a site at work."""
    devices: tuple[DeviceRow, ...]
    unclaimed: tuple[UnclaimedRow, ...]
    tickets: tuple[TicketRow, ...]
    """Open tickets only."""
    numbers: Numbers
    not_acknowledging: str
    """Why the collector takes nothing more; empty when all is well."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The fleet in five figures; a device counts by its state only while it is online."""

    devices: int
    in_use: int
    unheard: int
    """Not online."""
    overdue: int
    """With a meter past due."""
    tickets: int


def counts(fleet: Fleet) -> Counts:
    """The figures at the head of the page."""
    present = [device for device in fleet.devices if device.is_present]
    return Counts(
        devices=len(fleet.devices),
        in_use=sum(device.state is OperatingState.IN_USE for device in present),
        unheard=len(fleet.devices) - len(present),
        overdue=sum(any(meter.is_overdue for meter in device.meters) for device in fleet.devices),
        tickets=len(fleet.tickets),
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
