"""The book of tickets: one open ticket a cause, repeats counted, every change an event.

Rule 1: numbers are given in the order of opening, so the same records and inputs give the same ids.
Rule 2: a cause that comes back within 72 h of closing reopens its ticket; what happened before the
closing but was told later only counts on it; later than that it is a new ticket.
"""

from __future__ import annotations

from dataclasses import dataclass

from rules.documents import Source
from rules.inputs import ActiveRule
from rules.state import REOPEN_MS, State, kept_from_ms
from rules.tickets import ENGINE, Evidence, MeterRef, Ticket, TicketEvent
from rules.words import SourceStatus, TicketKind, TicketPriority, TicketState


@dataclass(frozen=True, slots=True)
class Origin:
    """What asks for work: a rule at its version, or the engine itself."""

    rule: str
    version: str
    source: Source
    checklist: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    meter: MeterRef | None = None
    """The meter whose reading closes the work."""


def rule_origin(active: ActiveRule) -> Origin:
    """A rule as what asks for work."""
    rule, condition = active.rule, active.rule.meter
    return Origin(
        rule=rule.id,
        version=active.version,
        source=rule.source,
        checklist=rule.checklist,
        parts=rule.parts,
        meter=MeterRef(name=condition.name, provenance=condition.provenance) if condition else None,
    )


def own_origin(name: str) -> Origin:
    """The engine itself as what asks for work: what it asks is the same in every site."""
    return Origin(
        rule=name,
        version="1",
        source=Source(document="hourmeter's own care for its data", status=SourceStatus.P),
    )


@dataclass(frozen=True, slots=True)
class Work:
    """What a rule wants done, before it is known whether a ticket for it is open."""

    cause: str
    kind: TicketKind
    priority: TicketPriority
    asset: str
    origin: Origin
    title: str
    action: str
    evidence: tuple[Evidence, ...]
    at_ms: int
    """Event time of what fired."""
    missed_cycles: int = 0


class TicketBook:
    """Opens, counts, reopens and ends the tickets of a state, and remembers what changed."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._by_cause: dict[str, str] = {}
        for ticket in sorted(state.tickets.values(), key=lambda ticket: ticket.number):
            self._by_cause[ticket.cause] = ticket.id
        self._changed: dict[str, Ticket] = {}
        self._events: list[TicketEvent] = []

    @property
    def has_news(self) -> bool:
        """Whether a ticket was opened or moved since changes were taken; a further occurrence is no news."""
        return bool(self._events)

    def take_changes(self) -> tuple[tuple[Ticket, ...], tuple[TicketEvent, ...]]:
        """Tickets and events since the last call."""
        changed = tuple(sorted(self._changed.values(), key=lambda ticket: ticket.number))
        events = tuple(self._events)
        self._changed.clear()
        self._events.clear()
        return changed, events

    def open_for(self, cause: str) -> Ticket | None:
        """The open ticket of a cause."""
        ticket = self._state.tickets.get(self._by_cause.get(cause, ""))
        return ticket if ticket is not None and ticket.is_open else None

    def get(self, ticket_id: str) -> Ticket | None:
        """An open ticket by its id."""
        ticket = self._state.tickets.get(ticket_id)
        return ticket if ticket is not None and ticket.is_open else None

    def open_of(self, asset: str) -> tuple[Ticket, ...]:
        """All open tickets of an asset, oldest first."""
        found = (ticket for ticket in self._state.tickets.values() if ticket.asset == asset)
        return tuple(sorted((t for t in found if t.is_open), key=lambda ticket: ticket.number))

    def want(self, work: Work) -> None:
        """Open a ticket for the work, or count it on the one of the same cause."""
        ticket = self._state.tickets.get(self._by_cause.get(work.cause, ""))
        if ticket is not None and ticket.is_open:
            seen = max(ticket.last_seen_ms, work.at_ms)
            self._keep(ticket, occurrences=ticket.occurrences + 1, last_seen_ms=seen, cleared_ms=None)
        elif ticket is not None and ticket.state is TicketState.CLOSED and self._count_ended(ticket, work):
            pass
        else:
            self._open(work)

    def _count_ended(self, ticket: Ticket, work: Work) -> bool:
        since_closed = work.at_ms - (ticket.closed_ms or 0)
        if since_closed > REOPEN_MS:
            return False
        seen = max(ticket.last_seen_ms, work.at_ms)
        counted = self._keep(ticket, occurrences=ticket.occurrences + 1, last_seen_ms=seen)
        if since_closed >= 0:
            again = self._keep(
                counted,
                reopened=ticket.reopened + 1,
                evidence=work.evidence,
                version=work.origin.version,
                cleared_ms=None,
                closed_ms=None,
            )
            self.move(again, TicketState.OPEN, at_ms=work.at_ms, who=ENGINE, note="the same cause came back")
        return True

    def _open(self, work: Work) -> None:
        engineering = self._state.engineering
        number = engineering.next_ticket
        engineering.next_ticket += 1
        origin = work.origin
        ticket = Ticket(
            id=f"T-{number}",
            number=number,
            cause=work.cause,
            kind=work.kind,
            priority=work.priority,
            asset=work.asset,
            rule=origin.rule,
            version=origin.version,
            title=work.title,
            action=work.action,
            checklist=() if work.kind is TicketKind.DATA else origin.checklist,
            parts=() if work.kind is TicketKind.DATA else origin.parts,
            source=origin.source,
            state=TicketState.OPEN,
            opened_ms=work.at_ms,
            opened_tick_ms=engineering.now_ms,
            last_seen_ms=work.at_ms,
            missed_cycles=work.missed_cycles,
            meter=origin.meter,
            evidence=work.evidence,
        )
        self._by_cause[work.cause] = ticket.id
        self._event(ticket, None, TicketState.OPEN, at_ms=work.at_ms, who=ENGINE, note=f"rule {origin.rule}")

    def move(self, ticket: Ticket, to: TicketState, *, at_ms: int, who: str, note: str) -> None:
        """Change a ticket's state, with its event."""
        self._event(
            ticket.model_copy(update={"state": to}), ticket.state, to, at_ms=at_ms, who=who, note=note
        )

    def end(
        self,
        ticket: Ticket,
        to: TicketState,
        *,
        at_ms: int,
        who: str,
        note: str,
        reading: float | None = None,
    ) -> None:
        """Close or cancel a ticket."""
        ended = ticket.model_copy(update={"closed_ms": at_ms, "reading": reading})
        self.move(ended, to, at_ms=at_ms, who=who, note=note)

    def restate(self, ticket: Ticket, evidence: tuple[Evidence, ...]) -> None:
        """Tell an open ticket's grounds as they are by now."""
        self._keep(ticket, evidence=evidence)

    def clear(self, cause: str, *, at_ms: int) -> None:
        """Note on the open ticket of a cause that the fault went away by itself."""
        if (ticket := self.open_for(cause)) is not None:
            self._keep(ticket, cleared_ms=at_ms)

    def prune(self) -> None:
        """Forget tickets that ended too long ago to be reopened."""
        oldest = kept_from_ms(self._state.engineering)
        gone = [ticket for ticket in self._state.tickets.values() if (ticket.closed_ms or oldest) < oldest]
        for ticket in gone:
            del self._state.tickets[ticket.id]
            if self._by_cause.get(ticket.cause) == ticket.id:
                del self._by_cause[ticket.cause]

    def _event(
        self,
        ticket: Ticket,
        before: TicketState | None,
        after: TicketState,
        *,
        at_ms: int,
        who: str,
        note: str,
    ) -> None:
        kept = self._keep(ticket, events=ticket.events + 1)
        self._events.append(
            TicketEvent(
                ticket=ticket.id,
                number=kept.events,
                at_ms=at_ms,
                who=who,
                from_state=before,
                to_state=after,
                note=note,
            )
        )

    def _keep(self, ticket: Ticket, **update: object) -> Ticket:
        changed = ticket.model_copy(update=update)
        self._state.tickets[ticket.id] = self._changed[ticket.id] = changed
        return changed
