"""What is kept live: one look for all, only what changed, and nothing lost on whoever was away."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.live import SHARE, SHEETS, Live
from desk.live_parts import MOST_URGENT, Asked, Page, laid, rows
from desk.live_sheet import Part, Place, Sheet, event, place, renewed
from desk.live_stream import BEAT_S, READERS, Readers, events
from desk.page import app
from desk.paper import paper
from desk.speech import Speech
from desk.views import Fleet
from desk.words import Language
from rules.words import TicketPriority, TicketState
from telemetry.errors import Unavailable
from telemetry.messages import LinkState, OperatingState
from tests.desk.sample_fleet import (
    HOUR_MS,
    MIN_MS,
    NOW_MS,
    WARDS,
    device,
    fleet,
    hospital,
    meter,
    source,
    ticket,
)

EVERY_S = 2.0
ALL = Asked(Page.FLEET, Language.EN)
BEGINNING = Place("", 0)


class Site:
    """A site whose fleet, clock and weather the test sets; it counts how often it is looked at."""

    def __init__(self, view: Fleet) -> None:
        self.view = view
        self.elapsed_s = 100.0
        self.trouble: Unavailable | None = None
        self.takes_s = 0.0
        self.looks = 0
        self.waits: list[float] = []
        self.live = Live(
            source(self._look),
            macros=paper(reload_s=5).macros,
            every_s=EVERY_S,
            run="run",
            elapsed_s=lambda: self.elapsed_s,
        )

    async def _look(self) -> Fleet:
        self.looks += 1
        self.elapsed_s += self.takes_s
        if self.trouble:
            raise self.trouble
        return self.view

    async def sheet(self, asked: Asked = ALL) -> Sheet:
        """A page, after as much time as a look needs to be due."""
        self.elapsed_s += self.live.due_in_s()
        return (await self.live.shown(asked)).sheet

    async def wait(self, seconds: float) -> bool:
        """Let time pass, as a reader does between two looks."""
        self.waits.append(seconds)
        assert len(self.waits) < 1_000, "nothing was said for all that time"
        self.elapsed_s += seconds
        return True

    def follow(self, at: Place = BEGINNING, asked: Asked = ALL) -> Any:  # noqa: ANN401 - a context of a generator
        """The events for a reader who comes from a place."""
        found = events(self.live, asked, at=at, build="b", elapsed_s=lambda: self.elapsed_s, wait=self.wait)
        return aclosing(found)


def told(data: bytes) -> dict[str, Any]:
    """The JSON of an event."""
    found: dict[str, Any] = json.loads(data.decode().partition("data: ")[2])
    return found


async def changes(site: Site, change: Callable[[Fleet], Fleet], asked: Asked = ALL) -> dict[str, Part]:
    """What a change of the fleet sends to a reader who has everything."""
    before = await site.sheet(asked)
    site.view = change(site.view)
    return dict((await site.sheet(asked)).changes(before.look))


# -- the sheet ----------------------------------------------------------------------------------------------

_PARTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2) | st.sampled_from(["x", "y"]))


@given(st.lists(st.tuples(_PARTS, st.booleans()), min_size=1, max_size=12))
def test_a_reader_who_misses_looks_ends_with_the_same_page_as_one_who_misses_none(
    looks: list[tuple[dict[str, Part], bool]],
) -> None:
    sheet: Sheet | None = None
    have: dict[str, Part] = {}
    came_to = 0
    for number, (parts, is_there) in enumerate([*looks, looks[-1]], start=1):
        sheet = renewed(sheet, parts, look=number, now_ms=number)
        if is_there or number > len(looks):
            have |= sheet.changes(came_to)
            came_to = number
            assert {name: have[name] for name in parts} == parts


def test_what_did_not_change_is_not_said_again() -> None:
    first = renewed(None, {"a": 1, "b": "x"}, look=4, now_ms=0)
    second = renewed(first, {"a": 1, "b": "y", "c": ("b",)}, look=5, now_ms=9)
    assert second.changes(4) == {"b": "y", "c": ("b",)}
    assert second.changes(5) == {}
    assert second.changes(0) == second.parts


@pytest.mark.parametrize("text", ["", "x", "x.", ".5", "x.-1", "x.1e9", "x.٣", "run", "x." + "9" * 99])
def test_a_place_that_is_none_is_the_beginning(text: str) -> None:
    assert place(text).within("run") == 0


def test_a_place_counts_in_its_own_run_only() -> None:
    assert place("run.17") == Place("run", 17)
    assert (place("run.17").within("run"), place("run.17").within("other")) == (17, 0)
    assert str(Place("run", 17)) == "run.17"


def test_an_event_is_one_line_of_data_whatever_is_in_it() -> None:
    sheet = renewed(None, {"a": "x\n\ny\r\rz"}, look=3, now_ms=7)
    data = event(sheet, after=Place("", 0), run="run", build="b")
    assert data.startswith(b"id: run.3\ndata: {")
    assert data.endswith(b"}\n\n")
    assert data.count(b"\n") == 3
    assert b"\r" not in data
    assert told(data) == {"now": 7, "build": "b", "parts": {"a": "x\n\ny\r\rz"}}


# -- looks --------------------------------------------------------------------------------------------------


async def test_all_who_ask_within_one_interval_share_one_look() -> None:
    site = Site(hospital())
    for asked in (ALL, ALL, Asked(Page.TICKETS, Language.VI), replace(ALL, ward=WARDS[0])):
        await site.live.shown(asked)
    await site.live.fleet()
    assert site.looks == 1
    site.elapsed_s += EVERY_S - 0.01
    assert (await site.live.shown(ALL)).sheet.look == site.looks == 1
    site.elapsed_s += 0.02
    assert (await site.live.shown(ALL)).sheet.look == site.looks == 2


async def test_a_look_that_takes_long_is_made_the_more_seldom() -> None:
    site = Site(hospital())
    site.takes_s = 3.0
    await site.live.shown(ALL)
    assert site.live.due_in_s() == pytest.approx(SHARE * site.takes_s)


async def test_trouble_is_told_to_all_until_the_next_look_and_then_forgotten() -> None:
    site = Site(hospital())
    before = await site.sheet()
    site.trouble = Unavailable("ledger", why="is locked")
    site.elapsed_s += EVERY_S
    for _ in range(3):
        with pytest.raises(Unavailable, match="is locked"):
            await site.live.shown(ALL)
    assert site.looks == 2
    site.trouble = None
    after = await site.sheet()
    assert (site.looks, after.changes(before.look)) == (3, {})


async def test_pages_kept_at_hand_are_bounded() -> None:
    site = Site(fleet())
    for number in range(2 * SHEETS):
        await site.live.shown(replace(ALL, ward=str(number)))
    assert len(site.live._sheets) == SHEETS  # noqa: SLF001 - the bound is what is to be proved


# -- what is sent -------------------------------------------------------------------------------------------


async def test_time_alone_changes_nothing_on_the_page() -> None:
    def later(view: Fleet) -> Fleet:
        return replace(view, now_ms=view.now_ms + 30_000)

    assert await changes(Site(hospital()), later) == {}


async def test_a_device_that_was_heard_again_is_a_moment_and_not_a_row() -> None:
    def heard(view: Fleet) -> Fleet:
        first, *others = view.devices
        return replace(view, devices=(replace(first, heard_ms=NOW_MS + 2), *others))

    assert await changes(Site(hospital()), heard) == {"h-a-HN01-0001": NOW_MS}


def test_a_row_that_says_the_same_is_not_written_again() -> None:
    macros, say = paper(reload_s=5).macros, Speech(Language.EN, NOW_MS)
    view = hospital()
    first = rows({}, laid(view), macros, say)
    heard = tuple(replace(row, heard_ms=row.heard_ms and row.heard_ms + 7_000) for row in view.devices)
    second = rows(first, laid(replace(view, devices=heard, now_ms=NOW_MS + 8_000)), macros, say)
    assert len(second) > len(view.devices)
    assert all(second[name][1] is html for name, (_, html) in first.items())


async def test_only_the_row_that_is_different_is_sent() -> None:
    def used(view: Fleet) -> Fleet:
        return replace(
            view,
            devices=tuple(
                replace(row, state=OperatingState.OFF) if row.label == "Vent 7" else row
                for row in view.devices
            ),
        )

    sent = await changes(Site(hospital()), used)
    assert set(sent) == {"a-HN01-0007", "counts"}
    assert "Off" in str(sent["a-HN01-0007"])


async def test_a_device_that_is_heard_for_the_first_time_says_so() -> None:
    site = Site(fleet(devices=(device(1, link=None, heard_ms=None),)))

    def heard(view: Fleet) -> Fleet:
        return replace(view, devices=(device(1, heard_ms=NOW_MS),))

    sent = await changes(site, heard)
    assert {"a-HN01-0001", "h-a-HN01-0001"} <= set(sent)


async def test_a_new_ticket_comes_with_its_row_its_place_and_beside_its_device() -> None:
    one, two = device(1), device(2)
    site = Site(fleet(devices=(one, two), tickets=(ticket(5, two),)))

    def opened(view: Fleet) -> Fleet:
        return replace(view, tickets=(*view.tickets, ticket(6, one, priority=TicketPriority.P1)))

    sent = await changes(site, opened)
    assert sent["tickets"] == ("k-T-6", "k-T-5")
    assert set(sent) == {"tickets", "k-T-6", "a-HN01-0001", "counts", "title", "tickets-note"}


async def test_a_closed_ticket_leaves_the_list_and_its_page_says_how_it_ended() -> None:
    one = device(1)
    site = Site(fleet(devices=(one,), tickets=(ticket(5, one), ticket(6, one))))
    own = Asked(Page.TICKET, Language.EN, id="T-5")
    assert "tickets close T-5" in str((await site.sheet(own)).parts["whole"])

    def closed(view: Fleet) -> Fleet:
        done = replace(view.tickets[0], state=TicketState.CLOSED, is_open=False)
        return replace(view, tickets=(done, view.tickets[1]))

    sent = await changes(site, closed, own)
    assert "Closed" in str(sent["whole"])
    assert "tickets close" not in str(sent["whole"])
    sent = await changes(site, lambda view: replace(view, tickets=view.tickets[1:]))
    assert sent["tickets"] == ("k-T-6",)


async def test_a_device_that_moves_to_another_ward_moves_on_the_page() -> None:
    devices = (device(1, ward="A"), device(2, ward="A"), device(3, ward="B"))
    site = Site(fleet(devices=devices))

    def moved(view: Fleet) -> Fleet:
        return replace(view, devices=(device(1, ward="B"), *view.devices[1:]))

    before = (await site.sheet()).parts["fleet"]
    assert before == ("w-A", "a-HN01-0001", "a-HN01-0002", "w-B", "a-HN01-0003")
    sent = await changes(site, moved)
    assert sent["fleet"] == ("w-A", "a-HN01-0002", "w-B", "a-HN01-0001", "a-HN01-0003")


async def test_every_name_in_a_list_has_its_element_with_that_id() -> None:
    odd = device(1, ward='A "B" <c> %')
    for view in (hospital(), fleet(devices=(odd,))):
        for page in (Page.FLEET, Page.TICKETS):
            parts = (await Site(view).sheet(Asked(page, Language.VI))).parts
            for name, part in parts.items():
                if isinstance(part, str):
                    assert f'id="{name}"' in part.partition(">")[0]
                elif isinstance(part, tuple):
                    assert set(part) <= set(parts)


async def test_the_first_page_has_the_most_urgent_tickets_only() -> None:
    one = device(1)
    many = tuple(ticket(n, one, opened_ms=NOW_MS - n) for n in range(3 * MOST_URGENT))
    site = Site(fleet(devices=(one,), tickets=many))
    assert len((await site.sheet()).parts["tickets"]) == MOST_URGENT  # type: ignore[arg-type] # it is a list
    everything = await site.sheet(Asked(Page.TICKETS, Language.EN))
    assert len(everything.parts["tickets"]) == 3 * MOST_URGENT  # type: ignore[arg-type] # it is a list


async def test_two_thousand_devices_that_all_speak_cost_a_few_bytes_each() -> None:
    def of(heard_ms: int) -> tuple[Any, ...]:
        return tuple(
            device(n, ward=f"W{n % 20}", heard_ms=heard_ms, meters=(meter(n % 200),)) for n in range(2_000)
        )

    site = Site(fleet(devices=of(NOW_MS)))
    whole = event(await site.sheet(), after=Place("", 0), run="run", build="b")
    before = site.live._look  # noqa: SLF001 - the place of a reader who has everything
    site.view = fleet(devices=of(NOW_MS + MIN_MS))
    next_one = event(await site.sheet(), after=Place("run", before), run="run", build="b")
    assert len(next_one) < 2_000 * 40
    assert len(next_one) < len(whole) / 15


# -- events -------------------------------------------------------------------------------------------------


async def _next(found: AsyncIterator[bytes]) -> dict[str, Any]:
    return told(await anext(found))


async def test_a_new_reader_gets_the_whole_page_and_then_what_changes() -> None:
    site = Site(hospital())
    async with site.follow() as found:
        assert await anext(found) == b"retry: 2000\n\n"
        whole = await _next(found)
        assert len(whole["parts"]["fleet"]) == len(hospital().devices) + len(WARDS)
        site.view = replace(site.view, site_note="", devices=site.view.devices[1:], now_ms=NOW_MS + HOUR_MS)
        change = await _next(found)
    assert change["now"] == NOW_MS + HOUR_MS
    assert "a-HN01-0002" not in change["parts"]
    assert "a-HN01-0001" not in change["parts"]["fleet"]


async def test_who_comes_back_gets_what_was_missed_and_who_comes_from_another_run_gets_all() -> None:
    site = Site(hospital())
    came_to = (await site.sheet()).look
    site.view = replace(site.view, unclaimed=())
    site.elapsed_s += EVERY_S
    for run, parts in (("run", {"unclaimed", "unclaimed-note"}), ("other", None)):
        async with site.follow(Place(run, came_to)) as found:
            await anext(found)
            got = set((await _next(found))["parts"])
        assert got == parts if parts else len(got) > 50


async def test_a_reader_who_is_owed_nothing_hears_so_every_few_seconds() -> None:
    site = Site(hospital())
    async with site.follow() as found:
        await anext(found)
        await anext(found)
        for _ in range(3):
            began_s = site.elapsed_s
            assert (await _next(found))["parts"] == {}
            assert BEAT_S <= site.elapsed_s - began_s <= BEAT_S + EVERY_S
    assert max(site.waits) <= BEAT_S


async def test_trouble_is_an_event_and_what_changed_meanwhile_follows_it() -> None:
    site = Site(hospital())
    async with site.follow() as found:
        await anext(found)
        await anext(found)
        site.trouble = Unavailable("ledger", why="is locked")
        assert await anext(found) == b'event: trouble\ndata: "ledger: is locked"\n\n'
        assert (await anext(found)).startswith(b"event: trouble")
        site.trouble, site.view = None, replace(site.view, unclaimed=())
        assert set((await _next(found))["parts"]) == {"unclaimed", "unclaimed-note"}
    assert min(site.waits) > 0


async def test_when_the_desk_closes_every_reader_is_let_go() -> None:
    readers = Readers()
    readers.ending.set()
    assert await readers.wait(3_600) is False


async def test_one_reader_too_many_is_refused_in_plain_words() -> None:
    async def look() -> Fleet:
        return hospital()

    readers = Readers(most=0)
    transport = httpx2.ASGITransport(app=app(source(look), refresh_s=1, readers=readers))
    async with httpx2.AsyncClient(transport=transport, base_url="http://desk") as browser:
        answer = await browser.get("/live")
        assert (await browser.get("/")).status_code == 200
    assert answer.status_code == 503
    assert answer.text == "Already 0 pages are kept live; close one that nobody looks at.\n"
    assert answer.headers["retry-after"] == "2"
    assert (readers.count, Readers().most) == (0, READERS)


async def test_an_absent_device_is_marked_and_a_present_one_is_not() -> None:
    site = Site(fleet(devices=(device(1), device(2, link=LinkState.OFFLINE))))
    parts = (await site.sheet()).parts
    assert "absent" not in str(parts["a-HN01-0001"])
    assert 'class="device absent"' in str(parts["a-HN01-0002"])
