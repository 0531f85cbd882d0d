"""A Mindray monitor over a real socket: what it pushes becomes explained tickets, whatever the line does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.host.transports import Incoming, Outgoing
from adapters.mindray_pds_messages import Kind, Listed
from adapters.simulators.mindray_pds import PERSON, PERSON_NUMBER, VITAL, Event, Monitor, Served
from adapters.simulators.serving import tcp_server
from desk.broker import Broker
from desk.clock import system_clock
from desk.compose import Part
from telemetry.times import from_ms
from tests.system.bad_line import BadWriter, Cut, one_by_one, rotating
from tests.system.in_process import InProcess, in_process
from tests.system.stand import until

pytestmark = pytest.mark.system

ADDRESS = "192.168.8.188"
PERIOD_S = 0.1
RULE = """
id: pds-battery
title: Battery of a monitor low
scope: {device_type: monitor, manufacturer: Mindray}
any:
  - alarm: {codes: ["301"], kind: technical}
kind: repair
priority: P3
action: Charge the monitor on mains and test its battery by the manual.
checklist: [Mains cable]
source: {document: number of the simulated monitor, status: P, note: for tests}
confirmed_by: {name: Test, date: 2026-11-22, manual: none}
stories:
  - name: a low battery opens
    shows: opens
    timeline:
      - alarm: {code: "301", phase: start}
      - expect: {tickets: 1}
  - name: a sensor that fell off opens nothing
    shows: quiet
    timeline:
      - alarm: {code: "205", phase: start}
      - expect: {tickets: 0}
  - name: the work done closes it
    shows: resolves
    timeline:
      - alarm: {code: "301", phase: start}
      - close: {}
      - expect: {tickets: 0}
"""
ASSET = f"""
[[asset]]
id = "HN01-0001"
ward = "ICU"
device_type = "monitor"
manufacturer = "Mindray"
aliases = [{{protocol = "mindray-pds", namespace = "ip", identifier = "{ADDRESS}"}}]
"""
DEVICE = """
[[device]]
name = "bed-7"
protocol = "mindray-pds"
host = "127.0.0.1"
port = {port}
poll_s = 0.5
"""


class Line:
    """A line to a monitor that can be cut, and that may spoil what it carries."""

    def __init__(self, served: Served, *, cut: Cut, garbage: bytes = b"") -> None:
        self.served = served
        self.cut = cut
        self.garbage = garbage
        self._line: Outgoing | None = None

    async def meet(self, reader: Incoming, writer: Outgoing) -> None:
        """Talk to a client over this line."""
        self._line = writer
        await self.served.talk(reader, BadWriter(writer, cut=self.cut, garbage=self.garbage))

    def pull(self) -> None:
        """Pull the cable."""
        assert self._line is not None
        self._line.transport.abort()


def _monitor(*, years: int) -> Monitor:
    """In use, low on battery, with a heart rate that soon is too low; its clock is wrong by years."""
    now = from_ms(system_clock().now_ms())
    soon = now + timedelta(seconds=2)
    return Monitor(
        ADDRESS,
        events=(
            Event(Kind.TECHNICAL, Listed("301", "", "Battery Low", None), now),
            Event(Kind.TECHNICAL, Listed("302", "", PERSON, None), now),
            Event(Kind.PHYSIOLOGICAL, Listed("10002", "1", f"**HR TOO LOW {VITAL:g}", None), soon),
        ),
        ahead=timedelta(days=365 * years),
    )


@asynccontextmanager
async def _site(folder: Path, broker: Broker, line: Line) -> AsyncIterator[InProcess]:
    async with (
        tcp_server(line.meet) as port,
        in_process(folder, broker, devices=DEVICE.format(port=port), assets=ASSET, rules=RULE) as site,
    ):
        await site.start("host.toml", frozenset({Part.ADAPT}))
        yield site


async def _stored(site: InProcess, kind: str, count: int) -> None:
    """Wait until so many messages of a kind are stored."""

    async def are_stored() -> bool:
        site.check()
        if not (site.folder / "data/journal/journal.db").exists():
            return False
        kinds = (await site.stand.accounting()).kinds
        return kind in kinds and kinds[kind].stored >= count

    await until(are_stored, within_s=25, what=f"{count} of {kind} stored")


async def _is_one(site: InProcess) -> bool:
    return len(await site.tickets()) == 1


async def test_one_byte_at_a_time_with_garbage_and_a_cut_link_make_one_ticket(
    tmp_path: Path, mosquitto: Broker
) -> None:
    served = Served(_monitor(years=-13), system_clock(), period_s=PERIOD_S, is_deaf_at_first=True)
    line = Line(served, cut=one_by_one, garbage=b"\xff\x1c noise")
    async with _site(tmp_path, mosquitto, line) as site:
        await _stored(site, "alarm", 3)
        await until(lambda: _is_one(site), within_s=20, what="a ticket")
        (ticket,) = await site.tickets()
        assert (ticket.asset, ticket.rule, ticket.occurrences) == ("HN01-0001", "pds-battery", 1)
        line.cut, line.garbage = rotating(), b""
        line.pull()
        await _stored(site, "status", 4)
        await site.concluded()
        assert await site.links() == [("online", "in_use")]
        assert await site.unclaimed() == ()
        (ticket,) = await site.tickets()
        assert ticket.occurrences == 1
        assert (await site.stand.accounting()).kinds["alarm"].stored == 3
    tally = served.tally
    assert (tally.links, tally.impatient, tally.unknown) == (2, 0, 0)
    assert tally.questions >= 3
    assert tally.heartbeats >= 2
    found = await site.stand.accounting()
    assert (found.total.unaccounted, found.missing, found.lost) == (0, 0, 0)
    site.holds_none_of((*PERSON.split(), PERSON_NUMBER, f"{VITAL:g}"))


async def test_a_heartbeat_goes_out_in_time_while_the_monitor_says_nothing_else(
    tmp_path: Path, mosquitto: Broker
) -> None:
    """A monitor that waits less than three heartbeats long never closes the link."""
    served = Served(_monitor(years=0), system_clock(), period_s=0.5, patience_s=2.5)
    async with _site(tmp_path, mosquitto, Line(served, cut=rotating())) as site:

        async def has_beaten() -> bool:
            site.check()
            return served.tally.heartbeats >= 4

        await until(has_beaten, within_s=20, what="four heartbeats")
    assert (served.tally.links, served.tally.impatient) == (1, 0)
