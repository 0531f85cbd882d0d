"""IntelliVue monitors over real sockets: listened to, and asked for their alarms where that is configured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.intellivue_layout import ALERT_MONITOR, MDS, Alert
from adapters.simulators.intellivue import Spoil, indicating, serve
from adapters.simulators.intellivue_monitor import BED, TEXT, Event, Monitor
from desk.broker import Broker
from desk.child import LOOPBACK, free_port
from desk.clock import system_clock
from desk.compose import Part
from telemetry.messages import LinkState
from telemetry.times import from_ms
from tests.system.bad_line import Cut, rotating
from tests.system.in_process import InProcess, in_process
from tests.system.stand import until

pytestmark = pytest.mark.system

SERIALS = ("DE00000011", "DE00000012")
BEDSIDES = ("127.0.0.11", "127.0.0.12")
GARBAGE = (b"\x0e\x20garbage", b"\x00\x00\x01\x00\x00\x01\x01\x9a cut short", b"\xe1")
SECRET = (BED, *BED.split()[1:], TEXT, *TEXT.split()[:3])
RULE = """
id: intellivue-battery
title: Battery of a monitor low
scope: {device_type: monitor, manufacturer: Philips}
any:
  - alarm: {codes: ["196802"], kind: technical}
kind: repair
priority: P3
action: Charge the monitor on mains and test its battery by the manual.
checklist: [Mains cable]
source: {document: IEEE 11073-10101 MDC_EVT_BATT_LO, status: P, note: for tests}
confirmed_by: {name: Test, date: 2026-11-22, manual: none}
stories:
  - name: a low battery opens
    shows: opens
    timeline:
      - alarm: {code: "196802", phase: start}
      - expect: {tickets: 1}
  - name: a sensor that fell off opens nothing
    shows: quiet
    timeline:
      - alarm: {code: "196920", phase: start}
      - expect: {tickets: 0}
  - name: the work done closes it
    shows: resolves
    timeline:
      - alarm: {code: "196802", phase: start}
      - close: {}
      - expect: {tickets: 0}
"""
ASSETS = "".join(
    f'[[asset]]\nid = "HN01-000{number}"\nward = "ICU"\ndevice_type = "monitor"\nmanufacturer = "Philips"\n'
    f'aliases = [{{protocol = "intellivue", namespace = "866062", identifier = "{serial}"}}]\n'
    for number, serial in enumerate(SERIALS, 1)
)
LISTENED = """
[[device]]
name = "bed-{number}"
protocol = "intellivue"
host = "{host}"
port = {port}
poll_s = 0.5
"""
ASKED = """
[[device]]
name = "bed-1"
protocol = "intellivue"
host = "127.0.0.1"
port = {port}
poll_s = 1.0
[device.options]
alerts = true
alerts_confirmed_by = "Test"
"""


def crumbs(data: bytes) -> Sequence[bytes]:
    """In pieces of 23 bytes; a single byte each would be more datagrams than a port keeps."""
    return [data[at : at + 23] for at in range(0, len(data), 23)]


def spoiling(cut: Cut, *, garbage: Sequence[bytes] = ()) -> Spoil:
    """A network that cuts each datagram into several, with other datagrams before it."""

    def spoil(data: bytes) -> Sequence[bytes]:
        return (*garbage, *cut(data))

    return spoil


async def _stored(site: InProcess, **counts: int) -> None:
    """Wait until so many messages of these kinds are stored."""

    async def are_stored() -> bool:
        site.check()
        if not (site.folder / "data/journal/journal.db").exists():
            return False
        kinds = (await site.stand.accounting()).kinds
        return all(kind in kinds and kinds[kind].stored >= count for kind, count in counts.items())

    await until(are_stored, within_s=25, what=f"{counts} stored")


async def _is_one(site: InProcess) -> bool:
    return len(await site.tickets()) == 1


async def test_listened_to_each_is_known_by_its_serial_number_present_or_mute_and_nothing_is_sent(
    tmp_path: Path, mosquitto: Broker
) -> None:
    """Two that send to one port, in pieces, with garbage between; one falls silent and comes back."""
    clock, port = system_clock(), free_port()
    monitors = [Monitor(serial) for serial in SERIALS]
    spoils = (spoiling(crumbs), spoiling(rotating(), garbage=GARBAGE))
    devices = "".join(
        LISTENED.format(number=number, host=host, port=port) for number, host in enumerate(BEDSIDES, 1)
    )
    async with in_process(tmp_path, mosquitto, devices=devices, assets=ASSETS, rules=RULE) as site:
        running = await site.start("host.toml", frozenset({Part.ADAPT}))

        async def become(*links: LinkState) -> None:
            async def are() -> bool:
                site.check()
                host = running.adapters
                return host is not None and [one.state for one in host.health.devices] == [*links]

            await until(are, within_s=15, what=f"{links}")

        ways = [
            indicating(monitor, clock=clock, to=(LOOPBACK, port), period_s=0.2, spoil=spoil, host=host)
            for monitor, spoil, host in zip(monitors, spoils, BEDSIDES, strict=True)
        ]
        async with ways[0]:
            async with ways[1]:
                await become(LinkState.ONLINE, LinkState.ONLINE)
            await become(LinkState.ONLINE, LinkState.MUTE)
            again = indicating(monitors[1], clock=clock, to=(LOOPBACK, port), period_s=0.2, host=BEDSIDES[1])
            async with again:
                await become(LinkState.ONLINE, LinkState.ONLINE)
                await _stored(site, identity=2, usage=4)
        await site.stop("host.toml")
        await site.concluded()
        assert await site.links() == [("offline", "unknown")] * 2
        assert await site.unclaimed() == ()
        assert await site.tickets() == ()
        assert (await site.stand.accounting()).kinds["identity"].stored == 2
    assert [(one.tally.requests, one.tally.unknown) for one in monitors] == [(0, 0), (0, 0)]
    site.holds_none_of(SECRET)


async def test_asked_for_alarms_in_pieces_with_garbage_and_a_cut_link_make_one_ticket(
    tmp_path: Path, mosquitto: Broker
) -> None:
    """Its clock is wrong by years; it has more alarms than one message carries."""
    clock = system_clock()
    now = from_ms(clock.now_ms())
    start = now - timedelta(hours=1)
    rates = [Event(Alert(16770 + at, 40 + 2 * at, 0x0200, 0), start, is_technical=False) for at in range(30)]
    battery = Event(Alert(4105, 194, 2, 0x0008), start)
    trial = Event(Alert(4106, 192, 4, 0x0400), start)
    monitor = Monitor(SERIALS[0], (battery, trial, *rates), ahead=timedelta(days=-365 * 9))
    port = free_port()
    spoil = spoiling(crumbs, garbage=GARBAGE)
    async with in_process(
        tmp_path, mosquitto, devices=ASKED.format(port=port), assets=ASSETS, rules=RULE
    ) as site:
        async with serve(monitor, clock=clock, spoil=spoil, port=port):
            await site.start("host.toml", frozenset({Part.ADAPT}))
            await _stored(site, alarm=31)
            await until(lambda: _is_one(site), within_s=20, what="a ticket")
        (ticket,) = await site.tickets()
        assert (ticket.asset, ticket.rule, ticket.occurrences) == ("HN01-0001", "intellivue-battery", 1)
        monitor.cut_off()
        await _stored(site, status=3)
        polls = monitor.tally.polls[ALERT_MONITOR]
        async with serve(monitor, clock=clock, spoil=spoiling(rotating()), port=port):

            async def is_asked_again() -> bool:
                site.check()
                return monitor.tally.polls[ALERT_MONITOR] >= polls + 2

            await until(is_asked_again, within_s=20, what="alarms asked for again")
            await site.stop("host.toml")
        await site.concluded()
        (ticket,) = await site.tickets()
        assert ticket.occurrences == 1
        assert (await site.stand.accounting()).kinds["alarm"].stored == 31
    tally = monitor.tally
    assert (tally.sessions >= 2, tally.released, tally.refused, tally.unknown) == (True, 1, 0, 0)
    assert (tally.too_fast, tally.ended) == (0, 0)
    assert tally.polls[MDS] >= 2
    site.holds_none_of(SECRET)
