"""A fleet as a hospital has it: 27 devices in four wards, six open tickets, three unclaimed devices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from desk.live import Source
from desk.views import (
    DeviceRow,
    EventRow,
    Fleet,
    Health,
    MeterRow,
    Numbers,
    TicketRow,
    UnclaimedRow,
)
from desk.views_asset import AdjustmentRow, AliasRow, AssetView, ChangeRow, EpisodeRow, StandingRow, WardRow
from rules.attributes import Attribute, Funding, LifeCycle
from rules.episodes import Life
from rules.meters import Adjustment
from rules.tickets import EpisodeEvidence, Evidence, MeterEvidence
from rules.words import Standing, TicketKind, TicketPriority, TicketState
from telemetry.messages import (
    Effect,
    LinkState,
    MeterName,
    OperatingState,
    Phase,
    Provenance,
)
from telemetry.times import to_ms

NOW_MS: Final = to_ms(datetime(2026, 11, 22, 4, 54, tzinfo=UTC))
MIN_MS: Final = 60_000
HOUR_MS: Final = 60 * MIN_MS
WARDS: Final = ("Hồi sức tích cực", "Emergency", "Neonatal ICU", "Theatre 2")
_STATES: Final = (OperatingState.IN_USE,) * 4 + (
    OperatingState.STANDBY,
    OperatingState.IN_USE,
    OperatingState.IDLE,
)


def meter(
    low_h: float,
    *,
    unknown_h: float = 0.0,
    coverage: float = 1.0,
    due_h: float | None = 250.0,
    standing: Standing | None = Standing.OK,
    provenance: Provenance = Provenance.DERIVED,
    name: MeterName = MeterName.VENTILATION_H,
) -> MeterRow:
    """A meter counted from a service at zero, due at 250 h."""
    return MeterRow(name, provenance, low_h, low_h + unknown_h, coverage, due_h, standing)


def device(
    number: int,
    *,
    ward: str = WARDS[0],
    state: OperatingState = OperatingState.IN_USE,
    link: LinkState | None = LinkState.ONLINE,
    heard_ms: int | None = NOW_MS - 3 * MIN_MS,
    meters: tuple[MeterRow, ...] = (),
    owner: str = "",
    life_cycle: LifeCycle = LifeCycle.IN_SERVICE,
    unknown_alarms: int = 0,
) -> DeviceRow:
    """Ventilator `number` of the site."""
    return DeviceRow(
        asset=f"HN01-{number:04}",
        label=f"Vent {number}",
        ward=ward,
        manufacturer="Puritan Bennett",
        model="840",
        link=link,
        state=state,
        heard_ms=heard_ms,
        meters=meters,
        owner=owner,
        life_cycle=life_cycle,
        unknown_alarms=unknown_alarms,
    )


def ticket(
    number: int,
    of: DeviceRow,
    *,
    title: str = "Service every 250 hours of ventilation",
    priority: TicketPriority = TicketPriority.P3,
    kind: TicketKind = TicketKind.PM,
    state: TicketState = TicketState.OPEN,
    opened_ms: int = NOW_MS - 5 * HOUR_MS,
    occurrences: int = 1,
    explanation: tuple[str, ...] = ("It is so because it is so.",),
    evidence: tuple[Evidence, ...] = (),
) -> TicketRow:
    """Ticket `number` about a device."""
    return TicketRow(
        id=f"T-{number}",
        kind=kind,
        priority=priority,
        asset=of.asset,
        label=of.label,
        ward=of.ward,
        title=title,
        state=state,
        opened_ms=opened_ms,
        last_seen_ms=NOW_MS - 12 * MIN_MS,
        occurrences=occurrences,
        explanation=explanation,
        checklist=("Expiratory filter and seals", "Test after the work, before it goes back into use"),
        events=(EventRow(opened_ms, "hourmeter", TicketState.OPEN, "the rule asked for it"),),
        evidence=evidence,
    )


def fleet(
    *,
    devices: tuple[DeviceRow, ...] = (),
    tickets: tuple[TicketRow, ...] = (),
    unclaimed: tuple[UnclaimedRow, ...] = (),
    site_note: str = "",
    health: Health | None = None,
    lost: int = 0,
) -> Fleet:
    """A fleet at NOW_MS."""
    numbers = Numbers(
        received=18_432,
        stored=18_391,
        pending=12,
        dead_lettered=1,
        duplicate=28,
        quarantined=0,
        privacy=0,
        missing=0,
        lost=lost,
    )
    well = Health(journaled_ms=NOW_MS - 800, concluded_ms=NOW_MS - 2_000)
    return Fleet(NOW_MS, site_note, devices, unclaimed, tickets, numbers, health or well)


def source(view: Callable[[], Awaitable[Fleet]]) -> Source:
    """A source that tells of whatever fleet it is given at the moment."""

    async def ticket_of(number: str) -> TicketRow | None:
        return next((row for row in (await view()).tickets if row.id == number), None)

    async def asset_of(number: str) -> AssetView | None:
        found = await view()
        row = next((row for row in found.devices if row.asset == number), None)
        return None if row is None else _asset(row, found)

    return Source(view, ticket_of, asset_of)


def _asset(row: DeviceRow, of: Fleet) -> AssetView:
    if not row.has_adapter:
        return AssetView(row, "suction pump", (), (), (), (), (), (), facts=_BOUGHT)
    adjusted = Adjustment(NOW_MS - 900 * HOUR_MS, 1_249.6, 0.0, "the work was done (T-3)")
    battery = EpisodeRow(
        "alarm", "115", "LOW BATTERY", Life.ENDED, NOW_MS - 49 * HOUR_MS, NOW_MS - 47 * HOUR_MS
    )
    standings = tuple(
        StandingRow("Service every 250 hours of ventilation", one.name, one.standing, "", one.due_h)
        for one in row.meters
        if one.standing is not None
    )
    return AssetView(
        row=row,
        device_type="ventilator",
        aliases=(
            AliasRow(f"puritan-bennett 840 35120{row.asset[-4:]}", is_weak=False, from_ms=None, to_ms=None),
            AliasRow(
                "medibus port vent-7",
                is_weak=True,
                from_ms=NOW_MS - 2_400 * HOUR_MS,
                to_ms=NOW_MS - 2_000 * HOUR_MS,
            ),
        ),
        heard_as=(f"hn01-icu/vent-{row.asset[-2:]}",),
        adjustments=(AdjustmentRow(MeterName.VENTILATION_H, adjusted),),
        standings=standings,
        episodes=(battery,),
        tickets=tuple(ticket for ticket in of.tickets if ticket.asset == row.asset),
        facts=_BOUGHT,
        wards=(WardRow(row.ward, NOW_MS - 900 * HOUR_MS), WardRow("Step-down", NOW_MS - 3_000 * HOUR_MS)),
        changes=_CHANGES,
    )


_BOUGHT: Final = (
    (Attribute.SERIAL, "3512000077"),
    (Attribute.OWNER, "Sở Y tế"),
    (Attribute.WARRANTY_END, "2025-03-15"),
    (Attribute.CONTRACT_END, "2027-12-31"),
    (Attribute.SUPPLIER, "Công ty An Bình"),
    (Attribute.FUNDING, Funding.DONATION),
)
_CHANGES: Final = (
    ChangeRow(
        Attribute.WARD, "Step-down", "ICU", NOW_MS - 900 * HOUR_MS, "Lan", "transfer 12/2026", counts=True
    ),
    ChangeRow(Attribute.OWNER, "", "Bộ Y tế", NOW_MS - 950 * HOUR_MS, "Lan", "typing error", counts=False),
    ChangeRow(
        Attribute.LIFE_CYCLE, "accepted", "in_service", NOW_MS - 3_000 * HOUR_MS, "Lan", "import", counts=True
    ),
)


def _device(number: int) -> DeviceRow:
    """One of the 24, told apart from the others by its number alone."""
    ward = WARDS[(number - 1) // 6]
    hours = 37.4 + (number * 53.7) % 190
    usual = device(
        number,
        ward=ward,
        state=_STATES[number % len(_STATES)],
        heard_ms=NOW_MS - (number % 5) * MIN_MS,
        meters=(meter(hours, unknown_h=0.4 * (number % 3), coverage=1 - 0.013 * (number % 4)),),
    )
    special = {
        3: device(3, ward=ward, meters=(meter(253.2, standing=Standing.DUE),)),
        5: device(
            5,
            ward=ward,
            link=LinkState.MUTE,
            heard_ms=NOW_MS - 7 * HOUR_MS,
            meters=(meter(231.5, unknown_h=24.0, coverage=0.71, standing=Standing.ASKED),),
        ),
        8: device(8, ward=ward, state=OperatingState.STANDBY, meters=(meter(238.5, standing=Standing.DUE),)),
        11: device(11, ward=ward, state=OperatingState.SERVICE, meters=(meter(112.0),)),
        16: device(
            16,
            ward=ward,
            link=LinkState.OFFLINE,
            state=OperatingState.STANDBY,
            heard_ms=NOW_MS - 50 * HOUR_MS,
            unknown_alarms=2,
            meters=(meter(88.1, unknown_h=50.0, coverage=0.84),),
        ),
        20: device(20, ward=ward, state=OperatingState.OFF, owner="Sở Y tế", meters=(meter(8.6),)),
        22: device(
            22,
            ward=ward,
            meters=(
                replace(meter(141.2, coverage=0.99), is_provisional=True),
                meter(
                    21_840,
                    name=MeterName.POWER_ON_H,
                    provenance=Provenance.REPORTED,
                    due_h=None,
                    standing=None,
                ),
            ),
        ),
        24: device(24, ward=ward, link=None, state=OperatingState.UNKNOWN, heard_ms=None),
    }
    return special.get(number, usual)


def _by_hand(number: int, label: str, *meters: MeterRow) -> DeviceRow:
    """A device that nothing listens to."""
    return DeviceRow(
        asset=f"HN01-{number:04}",
        label=label,
        ward=WARDS[3] if number % 2 else WARDS[1],
        life_cycle=LifeCycle.IN_STORE if number == 33 else LifeCycle.IN_SERVICE,
        manufacturer="Yuwell",
        model="7A-23D",
        link=None,
        state=OperatingState.UNKNOWN,
        heard_ms=None,
        meters=meters,
        has_adapter=False,
    )


def _because(*lines: str, action: str, rule: str, source: str) -> tuple[str, ...]:
    """Sentences in the manner of rules.explain."""
    told = f"Rule {rule}, version 9b27e1; source: {source} (this project's own default)."
    return (*lines, f"To do: {action}", told)


_COUNTED: Final = MeterEvidence(
    meter=MeterName.VENTILATION_H,
    provenance=Provenance.DERIVED,
    low_h=230.0,
    high_h=231.2,
    coverage=0.97,
    since_ms=NOW_MS - 900 * HOUR_MS,
    at_ms=NOW_MS - 23 * HOUR_MS,
    last_done_h=0.0,
    last_done_known=True,
    every_h=250.0,
    lead_h=20.0,
    due_h=250.0,
    cycle=1,
)
_SAID: Final = EpisodeEvidence(
    what="fault",
    code="A25",
    text="device malfunction",
    alarm_kind=None,
    priority=None,
    effect=Effect.REMOVAL_ADVISED,
    mapped=True,
    phase=Phase.START,
    began_ms=NOW_MS - 23 * MIN_MS,
    device="hn01-icu/vent-02",
)


def _service(number: int, of: DeviceRow, *, on: str) -> tuple[str, ...]:
    return _because(
        f"T-{number} asks for preventive maintenance of {of.asset}: Service every 250 hours of ventilation.",
        f"Meter ventilation_h, counted by hourmeter from its observed state, stood at 230 h on {on}.",
        "Work was last completed at 0 h.",
        "The interval is 250 h, so it is due at 250 h; the ticket opens 20 h before.",
        action="Service by the manual.",
        rule="demo-service-250h",
        source="service at 250 h, for demonstration",
    )


_PORT: Final = "field table of the PB 840/980 serial port"
_LOW_O2: Final = _because(
    "T-11 asks for repair of HN01-0014: Oxygen supply low.",
    "hn01-icu/vent-14 said alarm 122 (LOW O2 SUPPLY), low.",
    "It stood already when first seen on 2026-11-22 01:54 UTC; its onset is not known.",
    "Seen 3 times, last on 2026-11-22 04:42 UTC.",
    action="Check hose, fittings, wall outlet and sensor.",
    rule="demo-o2-supply-low",
    source=f"{_PORT}, field 122",
)
_BATTERY: Final = _because(
    "T-13 asks for repair of HN01-0008: Backup battery low or inoperative.",
    "hn01-er/vent-08 said alarm 115 (LOW BATTERY), medium.",
    "It began on 2026-11-20 03:54 UTC.",
    action="Charge and test the battery, replace it if it does not hold.",
    rule="pb-battery",
    source=f"{_PORT}, fields 114 and 115",
)
_MALFUNCTION: Final = _because(
    "T-14 asks for repair of HN01-0002: Technical malfunction of the ventilator.",
    "hn01-icu/vent-02 said fault A25 (device malfunction), removal advised.",
    "It began on 2026-11-22 04:31 UTC.",
    action="Removal from use is advised. Ventilate by other means, take the device out of use, call service.",
    rule="demo-malfunction",
    source=f"{_PORT}, fields 137-153",
)


def hospital() -> Fleet:
    """The whole of it, marked demo."""
    written_down = meter(
        4_120, name=MeterName.OPERATING_CYCLES, provenance=Provenance.MANUAL, due_h=None, standing=None
    )
    devices = (
        *map(_device, range(1, 25)),
        _by_hand(31, "Suction 1", written_down),
        _by_hand(32, "Suction 2"),
        _by_hand(33, "Suction 3"),
    )
    by_number = dict(enumerate(devices, start=1))
    return fleet(
        devices=devices,
        unclaimed=(
            UnclaimedRow(
                "puritan-bennett 840 3512080077",
                "hn01-icu",
                "vent-31",
                NOW_MS - 2 * MIN_MS,
                OperatingState.IN_USE,
                model="Puritan Bennett 840",
                serial="3512080077",
                first_ms=NOW_MS - 70 * HOUR_MS,
                meters=(meter(51.4, due_h=None, standing=None),),
                open_alarms=1,
                command="hourmeter assets claim ASSET puritan-bennett 840 3512080077",
            ),
            UnclaimedRow(
                "medibus port evita-2",
                "hn01-icu",
                "evita-2",
                NOW_MS - 3 * HOUR_MS,
                OperatingState.UNKNOWN,
                is_weak=True,
                first_ms=NOW_MS - 20 * HOUR_MS,
                unknown_alarms=1,
                command="hourmeter assets claim ASSET medibus port evita-2 --from DAY --confirmed",
            ),
            UnclaimedRow(
                "puritan-bennett 980 35B1904411",
                "hn01-er",
                "spare",
                NOW_MS - 26 * HOUR_MS,
                OperatingState.STANDBY,
            ),
        ),
        tickets=(
            ticket(
                9,
                by_number[3],
                opened_ms=NOW_MS - 23 * HOUR_MS,
                explanation=_service(9, by_number[3], on="2026-11-21 05:54 UTC"),
                evidence=(_COUNTED,),
            ),
            ticket(
                10,
                by_number[8],
                opened_ms=NOW_MS - 9 * HOUR_MS,
                state=TicketState.ACKNOWLEDGED,
                explanation=_service(10, by_number[8], on="2026-11-21 19:54 UTC"),
            ),
            ticket(
                11,
                by_number[14],
                title="Oxygen supply low",
                kind=TicketKind.REPAIR,
                priority=TicketPriority.P2,
                occurrences=3,
                opened_ms=NOW_MS - 3 * HOUR_MS,
                explanation=_LOW_O2,
            ),
            ticket(
                12,
                by_number[5],
                title="Reading for: Service every 250 hours of ventilation",
                kind=TicketKind.DATA,
                priority=TicketPriority.P4,
                opened_ms=NOW_MS - 6 * HOUR_MS,
                explanation=_because(
                    "T-12 asks for a reading of HN01-0005: Service every 250 hours of ventilation.",
                    "Another 24 h went unobserved: the meter may stand as high as 255.5 h. Coverage is 71 %.",
                    "Whether the work is due cannot be told from this; a reading at the device decides.",
                    action="Read the hour counter at the device.",
                    rule="demo-service-250h",
                    source="service at 250 h, for demonstration",
                ),
            ),
            ticket(
                13,
                by_number[8],
                title="Backup battery low or inoperative",
                kind=TicketKind.REPAIR,
                priority=TicketPriority.P2,
                state=TicketState.WAITING,
                opened_ms=NOW_MS - 49 * HOUR_MS,
                explanation=_BATTERY,
            ),
            ticket(
                14,
                by_number[2],
                title="Technical malfunction of the ventilator",
                kind=TicketKind.REPAIR,
                priority=TicketPriority.P1,
                opened_ms=NOW_MS - 23 * MIN_MS,
                explanation=_MALFUNCTION,
                evidence=(_SAID,),
            ),
        ),
        site_note="demo",
    )
