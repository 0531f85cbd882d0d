"""A ticket in plain sentences, told from its evidence alone."""

from __future__ import annotations

from rules.tickets import (
    BaselineEvidence,
    ConflictEvidence,
    EpisodeEvidence,
    Evidence,
    IdentityEvidence,
    MeterEvidence,
    Ticket,
    ToReview,
)
from rules.words import SourceStatus, TicketKind
from telemetry.messages import MeterName, Phase, Provenance
from telemetry.times import from_ms

_CYCLES = frozenset({MeterName.BATTERY_CYCLES, MeterName.OPERATING_CYCLES})
_LISTED = 50
"""Assets of a review that are told one by one."""


def _hours(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0") + " h"


def _figure(value: float, meter: MeterName) -> str:
    return f"{value:,.0f} cycles" if meter in _CYCLES else _hours(value)


def _when(ms: int) -> str:
    return from_ms(ms).strftime("%Y-%m-%d %H:%M UTC")


def _reason(ticket: Ticket) -> str:
    data = "asks for a reading" if ticket.meter is not None else "asks for a word"
    sort = {TicketKind.DATA: data, TicketKind.PM: "asks for preventive maintenance"}
    wanted = sort.get(ticket.kind, f"asks for {ticket.kind.replace('_', ' ')}")
    about = "on" if ticket.kind is TicketKind.DATA and ticket.meter is None else "of"
    return f"{ticket.id} {wanted} {about} {ticket.asset or 'the registry'}: {ticket.title}."


def _meter(evidence: MeterEvidence, *, asks: bool) -> tuple[str, ...]:
    name = evidence.meter

    def figure(value: float) -> str:
        return _figure(value, name)

    told = {
        Provenance.DERIVED: "counted by hourmeter from what the device was seen doing",
        Provenance.REPORTED: "as the device reports it",
        Provenance.MANUAL: "as a person read it",
    }[evidence.provenance]
    lines = [
        f"Meter {name}, {told}, stood at {figure(evidence.low_h)} on {_when(evidence.at_ms)}.",
        f"Work was last completed at {figure(evidence.last_done_h)}."
        if evidence.last_done_known
        else f"No completed work is on record: hours count from {_when(evidence.since_ms)}, "
        "when the device was first heard.",
        f"The interval is {figure(evidence.every_h)}, so it is due at {figure(evidence.due_h)}"
        + (f"; the ticket opens {figure(evidence.lead_h)} before." if evidence.lead_h else "."),
    ]
    unknown_h = evidence.high_h - evidence.low_h
    if unknown_h > 0:
        lines.append(
            f"Another {_hours(unknown_h)} went unobserved since {_when(evidence.since_ms)}: the meter may "
            f"stand as high as {figure(evidence.high_h)}. Coverage is {evidence.coverage * 100:.0f} %."
        )
    if evidence.provisional:
        lines.append(
            "These hours are provisional: they were heard at a port, and nobody has confirmed since which "
            "device hangs there."
        )
    if asks:
        lines.append("Whether the work is due cannot be told from this; a reading at the device decides.")
    return tuple(lines)


def _episode(evidence: EpisodeEvidence) -> tuple[str, ...]:
    level = evidence.priority if evidence.what == "alarm" else evidence.effect
    said = f"{evidence.device} said {evidence.what} {evidence.code} ({evidence.text})"
    grade = f", {str(level).replace('_', ' ')}" if level else ""
    onset = (
        f"It stood already when first seen on {_when(evidence.began_ms)}; its onset is not known."
        if evidence.phase is not Phase.START
        else f"It began on {_when(evidence.began_ms)}."
    )
    unmapped = () if evidence.mapped else ("The catalogue does not know this code.",)
    return (f"{said}{grade}.", onset, *unmapped)


def _identity(evidence: IdentityEvidence) -> tuple[str, ...]:
    doubt = "From then on hours counted there are provisional." if evidence.provisional else ""
    lines = (
        f"At {evidence.where} spoke {evidence.before}, last on {_when(evidence.before_ms)}.",
        f"Since {_when(evidence.since_ms)} {evidence.after} speaks there.",
        doubt,
    )
    return tuple(filter(None, lines))


def _review(one: ToReview) -> str:
    said = [
        f"no reading of {', '.join(one.meters)}" if one.meters else "",
        "donated, its hours are not known" if one.donated else "",
        f"due by the reading entered: {', '.join(one.due)}" if one.due else "",
    ]
    return f"{one.asset}: {'; '.join(filter(None, said))}."


def _baselines(evidence: BaselineEvidence) -> tuple[str, ...]:
    missing = evidence.missing
    more = len(missing) - _LISTED
    return (
        f"{len(missing)} of {evidence.of} assets of the import {evidence.batch} are left to look up.",
        *map(_review, missing[:_LISTED]),
        *((f"And {more} more.",) if more > 0 else ()),
    )


def _conflict(evidence: ConflictEvidence) -> tuple[str, ...]:
    whose = f"which belongs to {evidence.held_by} as {evidence.said_by} said; there it stays."
    return (f"The settings gave it {evidence.alias} on {_when(evidence.at_ms)}, {whose}",)


def _evidence(evidence: Evidence, ticket: Ticket) -> tuple[str, ...]:
    match evidence:
        case MeterEvidence():
            return _meter(evidence, asks=ticket.kind is TicketKind.DATA)
        case EpisodeEvidence():
            return _episode(evidence)
        case IdentityEvidence():
            return _identity(evidence)
        case BaselineEvidence():
            return _baselines(evidence)
        case ConflictEvidence():
            return _conflict(evidence)


def _history(ticket: Ticket) -> tuple[str, ...]:
    lines = []
    if ticket.missed_cycles:
        one = ticket.missed_cycles == 1
        lines.append(f"{ticket.missed_cycles} whole interval{' was' if one else 's were'} missed before it.")
    if ticket.occurrences > 1:
        lines.append(f"Seen {ticket.occurrences} times, last on {_when(ticket.last_seen_ms)}.")
    if ticket.reopened:
        times = "once" if ticket.reopened == 1 else f"{ticket.reopened} times"
        lines.append(f"Reopened {times}: the same cause came back within 72 hours of closing.")
    if ticket.cleared_ms is not None:
        lines.append(f"It went away by itself on {_when(ticket.cleared_ms)}; the ticket stays until closed.")
    return tuple(lines)


def _source(ticket: Ticket) -> str:
    sure = {
        SourceStatus.V: "read in the source",
        SourceStatus.V2: "read in a secondary source",
        SourceStatus.R: "remembered only",
        SourceStatus.P: "this project's own default",
    }[ticket.source.status]
    return f"Rule {ticket.rule}, version {ticket.version}; source: {ticket.source.document} ({sure})."


def sentences(ticket: Ticket) -> tuple[str, ...]:
    """Why the ticket exists, in the order in which a technician asks: what, on what grounds, what rule."""
    grounds = [line for evidence in ticket.evidence for line in _evidence(evidence, ticket)]
    return (_reason(ticket), *grounds, *_history(ticket), f"To do: {ticket.action}", _source(ticket))
