"""A V60 at a serial port: reports in, explained tickets out, whatever line and clock do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.simulators.serial_line import serial_line
from adapters.simulators.v60 import VOLUME, Count, Event, Ventilator, talk
from adapters.v60_reports import VRPT_COMMAS
from desk.broker import Broker
from desk.clock import system_clock
from desk.compose import Part
from telemetry.times import from_ms
from tests.adapters.test_simulator import ALWAYS
from tests.system.bad_line import BadWriter, Cut, one_by_one, rotating
from tests.system.in_process import in_process

pytestmark = pytest.mark.system

RULE = """
id: v60-supply
title: Oxygen supply or enclosure of a V60
scope: {device_type: ventilator, model: [V60]}
any:
  - alarm: {codes: ["117", "127"], kind: technical}
kind: repair
priority: P2
action: Check hose and outlet; clean the fan's filter.
checklist: [Supply pressure, Filter]
source: {document: RTA-node-python, status: P, note: for tests}
confirmed_by: {name: Test, date: 2026-11-22, manual: none}
stories:
  - name: low O2 supply opens
    shows: opens
    timeline:
      - alarm: {code: "117", phase: start}
      - expect: {tickets: 1}
  - name: a patient's alarm opens nothing
    shows: quiet
    timeline:
      - alarm: {code: "119", phase: start, kind: physiological}
      - expect: {tickets: 0}
  - name: the work done closes it
    shows: resolves
    timeline:
      - alarm: {code: "127", phase: start}
      - close: {}
      - expect: {tickets: 0}
"""
ASSETS = """
[[asset]]
id = "HN01-0007"
ward = "ICU"
device_type = "ventilator"
manufacturer = "Philips Respironics"
model = "V60"
aliases = [{protocol = "v60", namespace = "port", identifier = "host-a/vent"}]
"""
DEVICE = """
[[device]]
name = "vent"
protocol = "v60"
serial = "{serial}"
poll_s = 0.3
"""


@contextmanager
def _named(name: Path, path: Path) -> Iterator[None]:
    """The port under a name that stays, as those in /dev/serial/by-id do."""
    name.symlink_to(path)
    try:
        yield
    finally:
        name.unlink()


@asynccontextmanager
async def _plugged(
    name: Path, ventilator: Ventilator, *, count: Count, cut: Cut, garbage: bytes
) -> AsyncIterator[None]:
    """The ventilator at a serial port of this name, on a bad line."""
    async with serial_line() as (path, reader, writer):
        bad = BadWriter(writer, cut=cut, garbage=garbage)
        talking = asyncio.create_task(
            talk(reader, bad, ventilator=ventilator, clock=system_clock(), count=count)
        )
        try:
            with _named(name, path):
                yield
        finally:
            talking.cancel()
            await asyncio.wait((talking,))


async def test_on_a_bad_line_with_a_clock_wrong_by_decades_and_a_cable_pulled_there_is_one_ticket(
    tmp_path: Path, mosquitto: Broker
) -> None:
    port, count = tmp_path / "ttyV60", Count()
    now = from_ms(system_clock().now_ms())
    low = Event(now - timedelta(hours=1), snda=54, vrpt=117)
    ventilator = Ventilator("v60", ALWAYS, events=(low,), ahead=timedelta(days=-10_000))
    async with in_process(
        tmp_path, mosquitto, devices=DEVICE.format(serial=port), assets=ASSETS, rules=RULE
    ) as site:

        async def is_open() -> bool:
            return [(one.asset, one.rule) for one in await site.tickets()] == [("HN01-0007", "v60-supply")]

        async def is_gone() -> bool:
            return await site.links() == [("offline", "unknown")]

        async with _plugged(port, ventilator, count=count, cut=one_by_one, garbage=b"\xff\x00MISC\r"):
            await site.start("host.toml", frozenset({Part.ADAPT}))
            await site.until(is_open, what="a ticket")
        (ticket,) = await site.tickets()
        assert abs(ticket.opened_ms - system_clock().now_ms()) < 60_000
        await site.until(is_gone, what="the ventilator offline")
        asked = dict(count.by_command)
        other = replace(ventilator, long_report=VRPT_COMMAS)

        async def is_back() -> bool:
            return await site.links() == [("online", "in_use")] and all(
                count.by_command[command] > before + 2 for command, before in asked.items()
            )

        async with _plugged(port, other, count=count, cut=rotating(), garbage=b""):
            await site.until(is_back, what="the ventilator online again")
            await site.stop("host.toml")
        found = await site.concluded()
        (ticket,) = await site.tickets()
        assert ticket.occurrences == 1
    assert (found.total.unaccounted, found.missing, found.lost) == (0, 0, 0)
    assert found.kinds["identity"].stored == found.kinds["alarm"].stored == 1
    site.holds_none_of((VOLUME,))
