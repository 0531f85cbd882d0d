"""The pages show the registry: life cycle, owner, history, names with their validity, and how to claim."""

from __future__ import annotations

from dataclasses import replace

import pytest

from desk.order import counts
from desk.speech import Speech
from desk.views import Only, UnclaimedRow
from desk.words import Language
from rules.attributes import LifeCycle
from rules.tickets import BaselineEvidence, ConflictEvidence, IdentityEvidence, ToReview
from rules.words import TicketKind, TicketPriority
from telemetry.messages import LinkState, MeterName, OperatingState
from tests.desk.sample_fleet import NOW_MS, device, fleet, hospital, ticket
from tests.desk.test_page import see

HOUR_MS = 3_600_000


async def test_an_asset_shows_what_is_on_record_in_both_languages() -> None:
    text = (await see(hospital(), "/assets/HN01-0022")).text
    for said in (
        "In service",
        "Warranty until 2025-03-15 expired",
        "Contract until 2027-12-31",
        "Owner Sở Y tế",
        "Supplier Công ty An Bình",
        "Funding source Donation",
        "counted, coverage 99 % , provisional",
        "puritan-bennett 840 351200022 since its first message",
        "port or bed only not confirmed: hours are provisional",
        "Step-down since 2026-07-20 04:54 UTC",
        "State: Accepted → In service Lan: import",
        "Lan: typing error ( taken back )",
    ):
        assert _plain(said) in _plain(text), said
    text = (await see(hospital(), "/assets/HN01-0022?lang=vi")).text
    for said in (
        "Bảo hành đến",
        "đã hết hạn",
        "tạm tính",
        "Tài trợ, viện trợ",
        "Lý lịch máy (3)",
    ):
        assert said in text


def _plain(text: str) -> str:
    return "".join(text.split())


def test_a_contract_that_ends_today_is_not_expired() -> None:
    say = Speech(Language.EN, NOW_MS)
    assert [say.is_past(day) for day in ("2026-11-21", "2026-11-22", "2026-11-23")] == [True, False, False]


async def test_alarms_of_a_device_that_is_not_heard_are_unknown_and_not_ended() -> None:
    away = device(1, link=LinkState.OFFLINE, unknown_alarms=2)
    text = (await see(fleet(devices=(away,)))).text
    assert "alarms and faults unknown, not heard: 2" in text
    text = (await see(fleet(devices=(away,)), "/?lang=vi")).text
    assert "báo động và lỗi không rõ vì mất liên lạc: 2" in text


async def test_a_device_in_store_is_not_missed_and_says_where_it_is() -> None:
    stored = device(1, link=LinkState.OFFLINE, life_cycle=LifeCycle.IN_STORE, owner="Sở Y tế")
    view = fleet(devices=(stored, device(2, link=LinkState.OFFLINE)))
    assert counts(view).silent == 1
    text = (await see(view)).text
    assert "In store" in text
    assert "Sở Y tế" in text


async def test_what_is_disposed_of_is_no_longer_one_of_the_fleet_and_still_on_record() -> None:
    gone = device(1, link=LinkState.OFFLINE, life_cycle=LifeCycle.DISPOSED)
    view = fleet(devices=(gone, device(2)))
    found = counts(view)
    assert (found.devices, found.silent, found.ended) == (1, 0, 1)
    seen = await see(view)
    assert "Vent 1" not in seen.text
    assert "disposed of or lost" in seen.text
    ended = await see(view, f"/?only={Only.ENDED}")
    assert "Vent 1" in ended.text
    assert "Vent 2" not in ended.text
    assert "Vent 1" in (await see(view, "/assets/HN01-0001")).text
    assert "disposed of or lost" not in (await see(fleet(devices=(device(2),)))).text


async def test_an_unclaimed_device_shows_what_it_said_and_how_to_claim_it() -> None:
    text = (await see(hospital())).text
    for said in (
        "serial 3512080077",
        "first heard 2026-11-19 06:54 UTC",
        "Ventilation hours 51.4 h",
        "alarms and faults: 1",
        "hourmeter assets claim ASSET puritan-bennett 840 3512080077",
        "port or bed only",
        "hourmeter assets claim ASSET medibus port evita-2 --from DAY --confirmed",
    ):
        assert said in text


async def test_what_an_unclaimed_device_says_of_itself_cannot_write_on_the_page() -> None:
    row = UnclaimedRow(
        "hl7 x <script>",
        "hn01-icu",
        "gate-1",
        NOW_MS,
        OperatingState.UNKNOWN,
        model="<b>Acme</b>",
        command="hourmeter assets claim ASSET hl7 x '<script>'",
    )
    seen = await see(fleet(unclaimed=(row,)))
    assert "<b>Acme</b>" in seen.text
    assert [tag for tag, _ in seen.elements].count("script") == 1


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        (
            BaselineEvidence(
                batch="fleet-1",
                missing=(
                    ToReview(asset="HN01-0003", meters=(MeterName.VENTILATION_H,), due=(), donated=True),
                ),
                of=4,
            ),
            ("import fleet-1", "still to do 1 / 4", "HN01-0003", "Ventilation hours", "donated"),
        ),
        (
            IdentityEvidence(
                where="hn01-icu/vent-1",
                before="840, serial 1",
                after="840, serial 2",
                before_ms=NOW_MS - HOUR_MS,
                since_ms=NOW_MS,
                provisional=False,
            ),
            ("port hn01-icu/vent-1", "before 840, serial 1", "since then 840, serial 2"),
        ),
        (
            ConflictEvidence(alias="hl7 x 1", held_by="HN01-1", said_by="HN01-2", at_ms=NOW_MS),
            ("claimed for HN01-1", "in the settings HN01-2"),
        ),
    ],
)
async def test_a_ticket_of_the_whole_site_has_a_page_without_a_link_to_an_asset(
    evidence: BaselineEvidence | IdentityEvidence | ConflictEvidence, told: tuple[str, ...]
) -> None:
    one = device(3)
    review = replace(
        ticket(1, one, kind=TicketKind.DATA, priority=TicketPriority.P4, evidence=(evidence,)),
        asset="",
        label="",
        ward="",
    )
    view = fleet(devices=(one,), tickets=(review,))
    seen = await see(view, "/tickets/T-1")
    for said in told:
        assert _plain(said) in _plain(seen.text), said
    assert "../assets/" not in seen.values("href")
    assert "assets/" not in (await see(view)).values("href")
