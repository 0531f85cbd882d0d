"""From the fleet to the named parts of a page, each written anew only when what it says is different."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote, urlencode

from desk.live_sheet import Part
from desk.order import Counts, by_urgency, by_ward, counts, tickets_of
from desk.speech import Speech
from desk.views import DeviceRow, Fleet, Only, TicketRow, UnclaimedRow
from desk.views_asset import AssetView
from desk.words import Language
from rules.words import TicketPriority

MOST_URGENT: Final = 12
"""Tickets on the first page; the others are one link away."""
STEP_MS: Final = 10_000
"""When a device was heard is told in such steps: ages are in minutes, and a device may speak each second."""


class Page(StrEnum):
    """The pages there are."""

    FLEET = "fleet"
    TICKETS = "tickets"
    TICKET = "ticket"
    ASSET = "asset"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader asked to see."""

    page: Page
    language: Language
    id: str = ""
    """Of the ticket or asset."""
    ward: str | None = None
    """None: all wards; "": devices without one."""
    only: Only | None = None
    priority: TicketPriority | None = None

    def query(self, **other: object) -> str:
        """These choices, some of them others, as the query of an address; empty if there are none."""
        chosen = {
            "lang": self.language if self.language is not Language.EN else None,
            "ward": self.ward,
            "only": self.only,
            "priority": self.priority,
            **other,
        }
        told = {name: str(value) for name, value in chosen.items() if value is not None}
        return f"?{urlencode(told)}" if told else ""


Write = Callable[..., str]
"""Writes one part from what it says."""
Said = tuple[object, ...]


Rows = Mapping[str, tuple[Said, str]]
"""The rows of a fleet in one language, by name: what each says, and how that is written."""


@dataclass(frozen=True, slots=True)
class Laid:
    """A fleet in the order in which it is shown, each row under the name of its part."""

    fleet: Fleet
    counts: Counts
    wards: tuple[tuple[str, tuple[tuple[str, DeviceRow], ...]], ...]
    """Wards with their devices."""
    tickets: tuple[tuple[str, TicketRow], ...]
    """Most urgent first."""
    unclaimed: tuple[tuple[str, UnclaimedRow], ...]


def laid(fleet: Fleet) -> Laid:
    """The fleet laid out."""
    return Laid(
        fleet=fleet,
        counts=counts(fleet),
        wards=tuple(
            (ward, tuple((_named("a", device.asset), device) for device in of))
            for ward, of in by_ward(fleet.devices)
        ),
        tickets=tuple((_named("k", ticket.id), ticket) for ticket in by_urgency(fleet.tickets)),
        unclaimed=tuple((_named("u", row.alias), row) for row in fleet.unclaimed),
    )


def rows(before: Rows, now: Laid, macros: Mapping[str, Write], say: Speech) -> Rows:
    """All rows of a fleet; a row that says the same as before is not written again."""
    written: dict[str, tuple[Said, str]] = {}

    def put(macro: str, name: str, *said: object) -> None:
        old = before.get(name)
        written[name] = old if old is not None and old[0] == said else (said, macros[macro](say, name, *said))

    of = tickets_of(now.fleet)
    for ward, devices in now.wards:
        put("ward", _named("w", ward), ward)
        for name, device in devices:
            put("device", name, device, device.heard_ms is not None, of.get(device.asset, ()))
    for name, ticket in now.tickets:
        put("ticket", name, ticket)
    for name, row in now.unclaimed:
        put("unclaimed", name, row)
    return written


def parts(
    asked: Asked,
    now: Laid,
    own: Rows,
    macros: Mapping[str, Write],
    say: Speech,
    *,
    ticket: TicketRow | None = None,
    asset: AssetView | None = None,
) -> dict[str, Part]:
    """All parts of the page that was asked for."""
    fleet = now.fleet

    def write(macro: str, *said: object) -> str:
        return macros[macro](say, *said)

    found: dict[str, Part] = {"trouble": write("trouble", fleet), "health": write("health", fleet)}
    found |= _moments({"t-journaled": fleet.health.journaled_ms, "t-concluded": fleet.health.concluded_ms})
    match asked.page:
        case Page.FLEET:
            found |= {"title": write("title", fleet, ""), "numbers": write("numbers", fleet)}
            found |= _fleet(asked, now, own, write)
        case Page.TICKETS:
            shown = tuple(name for name, row in now.tickets if _is_wanted(row, asked))
            found |= {"title": write("title", fleet, ""), "choices": write("choices", fleet, asked)}
            found |= _listed("tickets", shown, own)
            found["tickets-note"] = write("tickets_note", fleet, asked, len(shown))
        case Page.TICKET:
            found["title"] = write("title", fleet, ticket.title if ticket else "")
            found["whole"] = write("whole_ticket", ticket)
        case Page.ASSET:
            named = (asset.row.label or asset.row.asset) if asset else ""
            found |= {"title": write("title", fleet, named), "whole": write("whole_asset", asset)}
            found |= _moments({"h-whole": asset.row.heard_ms if asset else None})
    return found


def _fleet(asked: Asked, now: Laid, own: Rows, write: Write) -> dict[str, Part]:
    urgent = tuple(name for name, row in now.tickets if _is_wanted(row, asked))
    names: list[str] = []
    heard: dict[str, int | None] = {_heard(name): row.heard_ms for name, row in now.unclaimed}
    devices = 0
    for ward, of in now.wards:
        shown = [
            (name, row)
            for name, row in of
            if asked.ward in {None, ward}
            and row.is_ended is (asked.only is Only.ENDED)
            and (asked.only is None or row.is_one(asked.only))
        ]
        if shown:
            names += (_named("w", ward), *(name for name, _ in shown))
            heard |= {_heard(name): row.heard_ms for name, row in shown}
            devices += len(shown)
    return {
        "counts": write("counts", now.counts, asked),
        "wards": write("wards", _held(now), asked),
        "tickets-note": write("tickets_note", now.fleet, asked, len(urgent)),
        "fleet-note": write("fleet_note", now.fleet, asked, devices),
        "unclaimed-note": write("unclaimed_note", now.fleet),
        **_listed("tickets", urgent[:MOST_URGENT], own),
        **_listed("fleet", tuple(names), own),
        **_listed("unclaimed", tuple(name for name, _ in now.unclaimed), own),
        **_moments(heard),
    }


def _held(now: Laid) -> tuple[tuple[str, int], ...]:
    """How many devices each ward holds; those that are disposed of or lost no ward does."""
    found = tuple((ward, sum(not row.is_ended for _, row in of)) for ward, of in now.wards)
    return tuple((ward, number) for ward, number in found if number)


def _is_wanted(ticket: TicketRow, asked: Asked) -> bool:
    return asked.ward in {None, ticket.ward} and asked.priority in {None, ticket.priority}


def _listed(name: str, shown: tuple[str, ...], own: Rows) -> dict[str, Part]:
    """A list and the rows in it."""
    return {name: shown, **{row: own[row][1] for row in shown}}


def _moments(told: Mapping[str, int | None]) -> dict[str, Part]:
    """Moments in steps; those that never were are left out."""
    return {name: at_ms - at_ms % STEP_MS for name, at_ms in told.items() if at_ms is not None}


def _named(sort: str, of: str) -> str:
    """The name of a part about something whose own name may hold anything."""
    return f"{sort}-{quote(of, safe='')}"


def _heard(name: str) -> str:
    """The part that tells when the device of a row was heard."""
    return f"h-{name}"
