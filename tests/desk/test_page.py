"""The page says what the fleet is, to anyone, in two languages, and gives nothing else away."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from enum import Enum, StrEnum
from html.parser import HTMLParser
from typing import Any

import httpx2
import pytest
from markupsafe import escape

from desk.order import by_urgency, by_ward, counts
from desk.page import app
from desk.speech import Speech
from desk.views import Fleet, Health, MeterRow, Only
from desk.words import WORDS, Language, language
from rules.episodes import Life
from rules.words import Standing, TicketKind, TicketPriority, TicketState
from telemetry.errors import Unavailable
from telemetry.messages import LinkState, MeterName, OperatingState, Provenance
from tests.desk.sample_fleet import (
    HOUR_MS,
    MIN_MS,
    NOW_MS,
    device,
    fleet,
    hospital,
    meter,
    source,
    ticket,
)

_VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})
_DESIGN = (
    "thiết bị",
    "khoa/phòng",
    "số giờ",
    "chỉ số",
    "báo động",
    "quy tắc",
    "phiếu công việc",
    "bảo dưỡng định kỳ",
    "sửa chữa",
    "kiểm định",
    "hiệu chuẩn",
    "nghiệm thu",
    "độ phủ dữ liệu",
)
"""Words that DESIGN gives for what the page speaks of."""


class Seen(HTMLParser):
    """The elements of a page, its texts, and whether each element that opens is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element, closed already."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Must close what opened last."""
        assert self._open.pop() == tag, f"</{tag}> where another was open"

    def handle_data(self, data: str) -> None:
        """Note the text, but neither style nor script."""
        if self._open[-1:] not in (["style"], ["script"]):
            self.texts.append(data)

    def values(self, name: str) -> list[str]:
        """All values of an attribute."""
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]

    @property
    def text(self) -> str:
        """All that can be read, spaces folded."""
        return re.sub(r"\s+", " ", "".join(self.texts))


async def ask(view: Fleet | Unavailable, path: str = "/", *, method: str = "GET") -> httpx2.Response:
    """The answer of a page of that fleet."""

    async def look() -> Fleet:
        if isinstance(view, Unavailable):
            raise view
        return view

    transport = httpx2.ASGITransport(app=app(source(look), refresh_s=7))
    async with httpx2.AsyncClient(transport=transport, base_url="http://desk") as browser:
        return await browser.request(method, path)


async def see(view: Fleet, path: str = "/") -> Seen:
    """What is on the page."""
    answer = await ask(view, path)
    assert answer.status_code == 200
    return Seen(answer.text)


def hostile(value: Any, text: str) -> Any:  # noqa: ANN401 - any value of a view
    """The same value with every free text in it replaced."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return text
    if isinstance(value, tuple):
        return tuple(hostile(part, text) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        given = {field.name: hostile(getattr(value, field.name), text) for field in fields(value)}
        return replace(value, **given)
    return value


@pytest.mark.parametrize(
    "path",
    ["/", "/?lang=vi", "/tickets", "/tickets/T-11", "/tickets/T-11?lang=vi", "/assets/HN01-0003?lang=vi"],
)
async def test_every_element_is_closed_and_every_id_stands_once(path: str) -> None:
    seen = await see(hospital(), path)
    ids = seen.values("id")
    assert len(ids) == len(set(ids))
    anchors = {href.partition("#")[2] for href in seen.values("href") if href.startswith("#")}
    assert anchors <= set(ids)


async def test_all_devices_tickets_and_unclaimed_devices_are_on_the_page() -> None:
    view = hospital()
    text = (await see(view)).text
    for row in view.devices:
        assert row.label in text
        assert row.asset in text
    for one in view.tickets:
        assert one.id in text
        assert all(sentence in text for sentence in one.explanation)
    assert all(row.alias in text and row.publisher in text for row in view.unclaimed)


async def test_whatever_devices_say_is_text_and_never_markup() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=y>\"'{{ 7*7 }}"
    ill = replace(hospital().health, not_acknowledging="x", history_trouble="x")
    view = hostile(replace(hospital(), health=ill), evil)
    view = replace(
        view,
        tickets=(*view.tickets, replace(view.tickets[0], id="T-1")),
        devices=(*view.devices, replace(view.devices[0], asset="A-1")),
    )
    for path in ("/", "/tickets", "/tickets/T-1", "/assets/A-1"):
        answer = await ask(view, path)
        seen = Seen(answer.text)
        tags = {tag for tag, _ in seen.elements}
        assert "img" not in tags
        assert answer.text.count("<script") == 1
        assert not [name for _, attributes in seen.elements for name in attributes if name.startswith("on")]
        assert str(escape(evil)) in answer.text


async def test_nothing_is_loaded_from_anywhere_and_the_browser_is_told_so() -> None:
    answer = await ask(hospital())
    seen = Seen(answer.text)
    assert not seen.values("src")
    assert not seen.values("style")
    assert not [href for href in seen.values("href") if re.match(r"(?!data:)[a-z]+:|/", href)]
    assert "url(" not in answer.text
    assert "@import" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("tag", ["style", "script"])
async def test_the_style_and_the_script_in_the_page_are_those_whose_hashes_are_allowed(tag: str) -> None:
    answer = await ask(hospital())
    text = answer.text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    assert len(text) > 1000
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert f"{tag}-src 'sha256-{digest}';" in answer.headers["content-security-policy"]


async def test_the_page_loads_itself_anew_without_a_script() -> None:
    elements = (await see(hospital())).elements
    place = elements.index(("meta", {"http-equiv": "refresh", "content": "7"}))
    assert elements[place - 1] == ("noscript", {})


async def test_ages_are_told_by_the_clock_of_the_fleet() -> None:
    view = fleet(devices=(device(1, heard_ms=NOW_MS - 3 * MIN_MS),))
    assert "heard 3 min ago" in (await see(view)).text
    later = replace(view, now_ms=NOW_MS + 2 * HOUR_MS)
    assert "heard 2 h ago" in (await see(later)).text


@pytest.mark.parametrize(
    ("ago_ms", "age"),
    [
        (-5 * HOUR_MS, "just now"),
        (MIN_MS - 1, "just now"),
        (MIN_MS, "1 min ago"),
        (HOUR_MS - 1, "59 min ago"),
        (HOUR_MS, "1 h ago"),
        (48 * HOUR_MS - 1, "47 h ago"),
        (48 * HOUR_MS, "2 d ago"),
    ],
)
def test_an_age_is_told_in_the_largest_unit_that_has_passed(ago_ms: int, age: str) -> None:
    assert Speech(Language.EN, NOW_MS).age(NOW_MS - ago_ms) == age


def test_tickets_stand_by_priority_and_the_oldest_of_one_priority_first() -> None:
    one = device(1)
    shuffled = (
        ticket(10, one, priority=TicketPriority.P3, opened_ms=5),
        ticket(9, one, priority=TicketPriority.P3, opened_ms=5),
        ticket(3, one, priority=TicketPriority.P3, opened_ms=9),
        ticket(4, one, priority=TicketPriority.P1, opened_ms=99),
    )
    assert [row.id for row in by_urgency(shuffled)] == ["T-4", "T-9", "T-10", "T-3"]


def test_wards_stand_by_name_and_devices_by_the_numbers_in_their_labels() -> None:
    devices = (
        device(10, ward="ICU 2"),
        device(9, ward="ICU 2"),
        device(1, ward="ICU 10"),
        device(7, ward=""),
    )
    found = [(ward, [row.label for row in of]) for ward, of in by_ward(devices)]
    assert found == [("ICU 2", ["Vent 9", "Vent 10"]), ("ICU 10", ["Vent 1"]), ("", ["Vent 7"])]


async def test_only_the_most_urgent_tickets_explain_themselves_unasked() -> None:
    one = device(1)
    urgent = ticket(1, one, priority=TicketPriority.P1)
    calm = ticket(2, one, priority=TicketPriority.P2)
    seen = await see(fleet(devices=(one,), tickets=(calm, urgent)))
    assert [attributes for tag, attributes in seen.elements if tag == "details"] == [{"open": None}, {}]


async def test_a_ticket_has_a_page_of_its_own_with_figures_checklist_and_events() -> None:
    figures = (await see(hospital(), "/tickets/T-9?lang=vi")).text
    assert "chỉ số230–231,2 giờ" in figures
    assert "độ phủ dữ liệu97 %" in figures
    text = (await see(hospital(), "/tickets/T-11")).text
    assert "Oxygen supply low" in text
    assert "Expiratory filter and seals" in text
    assert "2026-11-22 01:54 UTC Open hourmeter: the rule asked for it" in text
    assert "Vent 3" not in text


async def test_an_asset_has_a_page_of_its_own_with_all_that_is_on_record() -> None:
    text = (await see(hospital(), "/assets/HN01-0003")).text
    for said in (
        "Vent 3",
        "253.2 h",
        "past due by 3.2 h",
        "Ventilation hours: from 1,249.6 h to 0 h the work was done (T-3)",
        "T-9",
        "alarm 115 LOW BATTERY ended",
        "puritan-bennett 840 351200003",
        "hn01-icu/vent-03",
    ):
        assert said in text


async def test_an_asset_without_adapter_is_no_silent_one() -> None:
    view = hospital()
    by_hand = [row for row in view.devices if not row.has_adapter]
    assert (counts(view).no_adapter, counts(view).silent) == (len(by_hand), 3)
    seen = await see(view, "/?only=no_adapter")
    assert seen.text.count("No adapter: people write down its readings.") == len(by_hand) == 3
    assert "4,120 cycles read by a person" in seen.text
    assert "never heard" not in seen.text


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/?ward=Emergency", lambda row: row.ward == "Emergency"),
        ("/?only=in_use", lambda row: row.is_one(Only.IN_USE)),
        ("/?only=silent", lambda row: row.is_one(Only.SILENT)),
        ("/?only=overdue&lang=vi", lambda row: row.label == "Vent 3"),
        ("/?only=silent&ward=Theatre 2", lambda row: row.label == "Vent 24"),
        ("/?ward=Nowhere", lambda _row: False),
        ("/", lambda _row: True),
    ],
)
async def test_plain_links_narrow_the_devices_down(path: str, shown: Callable[[Any], bool]) -> None:
    view = hospital()
    ids = (await see(view, path)).values("id")
    found = {name.removeprefix("a-") for name in ids if name.startswith("a-")}
    assert found == {row.asset for row in view.devices if shown(row)}


async def test_plain_links_narrow_the_tickets_down() -> None:
    text = (await see(hospital(), "/tickets?priority=P2&ward=Emergency")).text
    assert ("T-13" in text, "T-11" in text, "T-10" in text) == (True, False, False)


async def test_every_link_within_the_site_leads_somewhere() -> None:
    todo, done = ["/"], set[str]()
    while todo:
        path = todo.pop()
        done.add(path)
        for href in (await see(hospital(), path)).values("href"):
            target = str(httpx2.URL(f"http://desk{path}").join(href))
            if href[:1] not in {"#", "d"} and "lang" not in href:
                todo += {target.removeprefix("http://desk").partition("#")[0]} - done - set(todo)
    assert {"/tickets/T-14", "/assets/HN01-0031", "/tickets?ward=Neonatal+ICU", "/?only=silent"} <= done


async def test_a_device_that_is_not_online_is_not_counted_in_use_and_its_state_is_of_the_past() -> None:
    devices = (
        device(1),
        device(2, link=LinkState.MUTE),
        device(3, link=LinkState.OFFLINE),
        device(4, link=None, state=OperatingState.UNKNOWN, heard_ms=None),
    )
    view = fleet(devices=devices)
    assert (counts(view).in_use, counts(view).silent) == (1, 3)
    text = (await see(view)).text
    assert text.count("last known: In use") == 2
    assert "never heard" in text


@pytest.mark.parametrize(
    ("row", "due"),
    [
        (meter(100), "due in 150 h"),
        (meter(238.5, standing=Standing.DUE), "due in 11 h"),
        (meter(247.25), "due in 2.8 h"),
        (meter(100, unknown_h=20), "due in 130–150 h"),
        (meter(100, unknown_h=20, standing=Standing.ASKED), "due in 130–150 h; take a reading"),
        (meter(240, unknown_h=20), "may be due: take a reading"),
        (meter(250), "due now"),
        (meter(253.2), "past due by 3.2 h"),
        (meter(100, due_h=None, standing=None), ""),
        (meter(100, standing=Standing.UNKNOWN), "cannot be evaluated"),
        (meter(100, standing=Standing.OFF), "rule is off"),
        (meter(10, due_h=300, name=MeterName.BATTERY_CYCLES), "due in 290 cycles"),
    ],
)
def test_what_is_due_is_told_at_least_and_at_most(row: MeterRow, due: str) -> None:
    assert Speech(Language.EN, NOW_MS).due(row) == due


def test_a_reading_is_a_range_only_where_it_can_be_told_apart() -> None:
    say = Speech(Language.EN, NOW_MS)
    assert say.reading(meter(1238.44, unknown_h=0.04)) == "1,238.4–1,238.5 h"
    assert say.reading(meter(1238.4, unknown_h=0.01)) == "1,238.4 h"
    assert Speech(Language.VI, NOW_MS).reading(meter(1238.4)) == "1.238,4 giờ"


def test_coverage_is_whole_only_when_nothing_is_missing() -> None:
    say = Speech(Language.EN, NOW_MS)
    assert [say.coverage(share) for share in (1.0, 0.999, 0.29, 0.0)] == [
        f"coverage {n} %" for n in (100, 99, 29, 0)
    ]


@pytest.mark.parametrize(
    ("row", "low", "high"),
    [
        (meter(125), 0.5, 0.5),
        (replace(meter(125, unknown_h=50), done_h=100.0), 25 / 150, 75 / 150),
        (replace(meter(50), done_h=100.0), 0.0, 0.0),
        (meter(300), 1.0, 1.0),
        (meter(5, due_h=0), 1.0, 1.0),
    ],
)
def test_the_bar_runs_from_the_last_work_to_the_next_and_never_beyond(
    row: MeterRow, low: float, high: float
) -> None:
    assert (row.share(row.low_h), row.share(row.high_h)) == pytest.approx((low, high))


async def test_provenance_and_coverage_are_said_in_words() -> None:
    rows = (
        meter(10, coverage=0.5),
        meter(20, provenance=Provenance.REPORTED, name=MeterName.POWER_ON_H, due_h=None, standing=None),
    )
    text = (await see(fleet(devices=(device(1, meters=rows),)))).text
    assert "counted, coverage 50 %" in text
    assert "reported by the device" in text
    assert text.count("coverage") == 1


async def test_a_collector_that_takes_nothing_more_is_the_first_thing_to_be_read() -> None:
    assert "not being acknowledged" not in (await see(hospital())).text
    full = replace(fleet().health, not_acknowledging="the disk is full")
    text = (await see(fleet(health=full))).text
    assert text.index("not being acknowledged. the disk is full") < text.index("0 devices")


@pytest.mark.parametrize(
    ("health", "said"),
    [
        (Health(journaled_ms=NOW_MS - 61_000, concluded_ms=NOW_MS - 61_000), "No data since 04:52:59 UTC."),
        (Health(journaled_ms=NOW_MS, concluded_ms=NOW_MS - 61_000), "The rules have not come further"),
        (Health(journaled_ms=NOW_MS - 25 * HOUR_MS, concluded_ms=NOW_MS), "since 2026-11-21 03:54:00 UTC."),
        (Health(journaled_ms=NOW_MS - 61_000, concluded_ms=NOW_MS), "The collector has written nothing"),
        (Health(), "No data yet."),
        (Health(journaled_ms=NOW_MS - 59_000, concluded_ms=NOW_MS - 59_000), ""),
    ],
)
async def test_a_line_that_stands_still_says_since_when_there_is_no_data(health: Health, said: str) -> None:
    seen = await see(fleet(health=health))
    assert said in seen.text
    assert len([name for name in seen.values("class") if "nodata" in name]) == (2 if said else 1)


async def test_trouble_with_the_history_is_said_beside_what_is_kept() -> None:
    ill = replace(fleet().health, history_trouble="InfluxDB: connection refused")
    text = (await see(fleet(health=ill))).text
    assert "Nothing is stored in the history. The journal keeps everything meanwhile. InfluxDB:" in text


async def test_an_empty_page_says_what_to_do_next() -> None:
    text = (await see(fleet())).text
    assert "No device is entered yet. Import your inventory: `hourmeter assets import FILE`" in text
    assert "No open ticket. One appears here by itself" in text
    assert "Unclaimed" not in text


async def test_the_page_says_that_it_is_no_alarm_system_and_where_every_message_is() -> None:
    text = (await see(fleet(lost=3))).text
    assert "no alarm system for patients. The alarms at the bedside are the only clinical alarms." in text
    assert "18,432 received 18,391 stored 12 pending 1 unreadable, kept 28 duplicate" in text
    assert "3 lost" in text


async def test_a_site_that_is_not_real_says_so() -> None:
    assert "demo As of" in (await see(hospital())).text
    assert "demo" not in (await see(fleet())).text


async def test_vietnamese_is_remembered_by_the_links_alone() -> None:
    seen = await see(hospital(), "/?lang=vi")
    assert ("html", {"lang": "vi"}) in seen.elements
    links = [href for href in seen.values("href") if re.match("tickets|assets", href)]
    assert links
    assert all("?lang=vi" in href for href in links)
    assert "?lang=en" in seen.values("href")
    assert "?lang=vi" in (await see(hospital())).values("href")


async def test_an_unknown_language_is_english_and_is_not_repeated() -> None:
    answer = await ask(hospital(), "/?lang=<b>xx")
    assert '<html lang="en">' in answer.text
    assert "xx" not in answer.text


async def test_the_words_are_those_of_the_design() -> None:
    every_kind = tuple(ticket(n, device(1), kind=kind) for n, kind in enumerate(TicketKind))
    view = fleet(devices=(device(1, meters=(meter(1, standing=Standing.OFF), meter(240, unknown_h=20))),))
    text = (await see(replace(view, tickets=every_kind), "/?lang=vi")).text.casefold()
    assert [word for word in _DESIGN if word not in text] == []


@pytest.mark.parametrize("tag", list(Language))
@pytest.mark.parametrize(
    ("of", "members"),
    [
        ("state", OperatingState),
        ("kind", TicketKind),
        ("ticket", TicketState),
        ("meter", MeterName),
        ("provenance", Provenance),
        ("link", LinkState),
        ("standing", Standing),
        ("life", Life),
        ("count", Only),
    ],
)
def test_whatever_can_be_said_has_a_word(tag: Language, of: str, members: type[StrEnum]) -> None:
    say = Speech(tag, NOW_MS)
    assert len({say(f"{of}.{member}") for member in members}) == len(members)


def test_every_word_is_said_in_both_languages_with_the_same_blanks() -> None:
    def blanks(text: str) -> set[str]:
        return set(re.findall(r"{\w+}", text))

    assert [key for key, (en, vi) in WORDS.items() if en == vi or blanks(en) != blanks(vi)] == []
    assert (language("vi"), language("en"), language("")) == (Language.VI, Language.EN, Language.EN)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/?only=everything", "GET", 400),
        ("/tickets?priority=P9", "GET", 400),
        ("/live?page=nothing", "GET", 400),
        ("/docs", "GET", 404),
        ("/openapi.json", "GET", 404),
        ("/", "POST", 405),
    ],
)
async def test_what_is_not_there_is_refused_in_plain_words(path: str, method: str, status: int) -> None:
    answer = await ask(hospital(), path, method=method)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script" not in answer.text


@pytest.mark.parametrize("path", ["/tickets/T-999", "/tickets/<script>", "/assets/HN01-9999?lang=vi"])
async def test_what_does_not_exist_is_not_found(path: str) -> None:
    answer = await ask(hospital(), path)
    assert answer.status_code == 404
    assert any(f"{no} " in answer.text for no in ("No", "Không có"))
    assert "<script>" not in answer.text.partition("<main>")[2].partition("</main>")[0]


async def test_the_same_facts_are_to_be_had_as_json() -> None:
    view = hospital()
    told = (await ask(view, "/api/fleet")).json()
    assert told["now_ms"] == NOW_MS
    assert [row["asset"] for row in told["devices"]] == [row.asset for row in view.devices]
    assert told["devices"][0]["meters"][0]["provenance"] == "derived"
    tickets = (await ask(view, "/api/tickets")).json()
    assert [row["id"] for row in tickets] == ["T-14", "T-13", "T-11", "T-9", "T-10", "T-12"]
    assert tickets[0]["evidence"][0]["code"] == "A25"


async def test_a_page_is_sent_as_small_as_the_browser_takes_it() -> None:
    answer = await ask(hospital())
    assert answer.headers["content-encoding"] == "gzip"
    assert "HN01-0024" in answer.text
    assert int(answer.headers["content-length"]) < len(answer.text) / 3


async def test_while_the_ledger_is_not_to_be_had_the_page_says_so_and_tries_again() -> None:
    answer = await ask(Unavailable("ledger", why="is locked"))
    assert answer.status_code == 503
    assert answer.headers["refresh"] == "7"
    assert "ledger: is locked" in answer.text


@pytest.mark.parametrize("say", [Speech(Language.EN, 0), Speech(Language.VI, 0)])
def test_a_word_that_is_missing_is_a_bug_and_not_a_blank(say: Callable[[str], str]) -> None:
    with pytest.raises(KeyError):
        say("no such word")
