"""A BCC station over a real socket: bytes of pumps in, explained tickets out, whatever the line does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.host.transports import Incoming, Outgoing
from adapters.simulators.bbraun_bcc import talk
from adapters.simulators.bcc_station import DRUG, NURSE, WEIGHT, Event, Pump, Station
from adapters.simulators.routine import Routine
from adapters.simulators.serving import tcp_server
from desk.broker import Broker
from desk.clock import system_clock
from desk.compose import Part
from telemetry.times import from_ms
from tests.system.bad_line import BadWriter, Cut, one_by_one, rotating
from tests.system.in_process import InProcess, in_process
from tests.system.stand import PUBLISHER, until

pytestmark = pytest.mark.system

ALWAYS = Routine("always", days_share=1.0, first_hour=0.0, shortest_h=24.0, longest_h=24.0)
RULE = """
id: bcc-battery
title: Battery of a Space pump
scope: {device_type: infusion pump, manufacturer: B. Braun}
any:
  - alarm: {codes: [INA1, INA11], kind: technical}
kind: repair
priority: P3
action: Charge the pump on mains and test its battery by the manual.
checklist: [Mains cable, Battery test]
source: {document: BCC I0022_000030 v4.0, status: P, note: for tests}
confirmed_by: {name: Test, date: 2026-11-22, manual: none}
stories:
  - name: a battery pre-alarm opens
    shows: opens
    timeline:
      - alarm: {code: INA11, phase: start}
      - expect: {tickets: 1}
  - name: air in the line is work for the ward
    shows: quiet
    timeline:
      - alarm: {code: INA15, phase: start}
      - expect: {tickets: 0}
  - name: the work done closes it
    shows: resolves
    timeline:
      - alarm: {code: INA1, phase: start}
      - close: {}
      - expect: {tickets: 0}
"""


def _asset(number: int, *serials: str) -> str:
    names = ", ".join(
        f'{{protocol = "bbraun-bcc", namespace = "6144", identifier = "{serial}"}}' for serial in serials
    )
    return (
        f'[[asset]]\nid = "HN01-{number:04}"\nward = "ICU"\ndevice_type = "infusion pump"\n'
        f'manufacturer = "B. Braun"\naliases = [{names}]\n'
    )


ASSETS = _asset(1, "51559", "I51559") + _asset(2, "51560") + _asset(3, "51561")
DEVICE = """
[[device]]
name = "rack"
protocol = "bbraun-bcc"
host = "127.0.0.1"
port = {port}
poll_s = {poll_s}
sole_reader_confirmed_by = "Test"
"""


class Rack:
    """A station on a line that can be cut, and that may spoil what it carries."""

    def __init__(self, station: Station, *, cut: Cut, garbage: bytes = b"") -> None:
        self.station = station
        self.cut = cut
        self.garbage = garbage
        self.talks = 0
        self._line: Outgoing | None = None

    async def meet(self, reader: Incoming, writer: Outgoing) -> None:
        """Talk to a client over this line."""
        self.talks += 1
        self._line = writer
        bad = BadWriter(writer, cut=self.cut, garbage=self.garbage)
        await talk(reader, bad, station=self.station, clock=system_clock())

    def pull(self) -> None:
        """Pull the cable."""
        assert self._line is not None
        self._line.transport.abort()


def _pumps(*, years: int) -> Station:
    """Three pumps of which the first is low on battery; the station has counted seconds for years."""
    now = from_ms(system_clock().now_ms())
    low = tuple(
        Event(name, value, now - timedelta(hours=1))
        for name, value in (("INA11", "1"), ("INM8", "0"), ("INAKKU", "9"))
    )
    return Station(
        pumps=(
            Pump("50111", "51559", ALWAYS, events=low),
            Pump("50112", "51560", ALWAYS),
            Pump("50121", "51561", ALWAYS),
        ),
        started=now - timedelta(days=365 * years),
    )


@asynccontextmanager
async def _site(folder: Path, broker: Broker, rack: Rack, *, poll_s: float = 1.0) -> AsyncIterator[InProcess]:
    async with (
        tcp_server(rack.meet, one_client=True) as port,
        in_process(
            folder, broker, devices=DEVICE.format(port=port, poll_s=poll_s), assets=ASSETS, rules=RULE
        ) as site,
    ):
        await site.start("host.toml", frozenset({Part.ADAPT}))
        yield site


async def test_one_byte_at_a_time_with_garbage_a_cut_link_and_a_restarted_station_make_one_ticket(
    tmp_path: Path, mosquitto: Broker
) -> None:
    rack = Rack(_pumps(years=12), cut=one_by_one, garbage=b"\xff\x00 noise\x15")
    async with _site(tmp_path, mosquitto, rack) as site:

        async def is_open() -> bool:
            pumping = [("online", "in_use")] * 3
            return await site.links() == pumping and len(await site.tickets()) == 1

        await site.until(is_open, what="all pumps heard, and a ticket")
        assert [(one.asset, one.rule) for one in await site.tickets()] == [("HN01-0001", "bcc-battery")]
        low, other, _ = rack.station.pumps
        rack.station.pumps = (replace(low, serial="I51559"), other)
        rack.station.started = from_ms(system_clock().now_ms())
        rack.cut, rack.garbage = rotating(), b""
        rack.pull()
        changed = [("online", "in_use"), ("online", "in_use"), ("offline", "unknown")]

        async def is_heard_anew() -> bool:
            return await site.links() == changed

        await site.until(is_heard_anew, what="the first two pumps online again, the third gone")
        assert [row.alias[2] for row in await site.unclaimed()] == [f"{PUBLISHER}/rack-50100"]
        opened = [(one.asset, one.rule) for one in await site.tickets() if one.rule == "bcc-battery"]
        assert opened == [("HN01-0001", "bcc-battery")]
        await site.stop("host.toml")
        found = await site.concluded()
    assert rack.talks == 2
    assert rack.station.manners == []
    assert (found.total.unaccounted, found.missing, found.lost) == (0, 0, 0)
    site.holds_none_of((DRUG, WEIGHT, NURSE, "Noradrenalin", "ICU-bedside"))


async def test_a_second_client_is_shown_the_door_and_the_first_goes_on() -> None:
    station = _pumps(years=0)
    rack = Rack(station, cut=rotating())
    async with tcp_server(rack.meet, one_client=True) as port:
        _, first = await asyncio.open_connection("127.0.0.1", port)

        async def is_met() -> bool:
            return rack.talks == 1

        await until(is_met, within_s=5, what="the first client")
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        first.close()
        second.close()
    assert rack.talks == 1
