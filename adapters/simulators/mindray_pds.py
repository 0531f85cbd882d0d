"""Simulated Mindray monitors that push to who connects over TCP and asks.

`python -m adapters.simulators.mindray_pds --help` serves one until it is told to stop.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from adapters.hl7_mllp import Framed, Frames
from adapters.host.transports import Incoming, Outgoing
from adapters.mindray_pds_messages import (
    FIGURES,
    HEARTBEAT,
    INVALID,
    QUERY,
    Kind,
    Listed,
    alarm_of,
    figure_of,
    label_of,
    message_of,
    place_of,
)
from adapters.simulators.pb_ventilator import VIETNAM
from adapters.simulators.serving import RealClock, tcp_server, until_stopped
from telemetry.clock import Clock
from telemetry.times import from_ms

PERSON: Final = "Nguyễn Thị Hồng Nhung"
PERSON_NUMBER: Final = "BN20260001"
VITAL: Final = 83.7
"""A figure of a person, which no message may carry, as name and number may not."""
PATIENCE_S: Final = 5.0
"""Without a heartbeat for so long a simulated monitor closes the link; real ones are not known."""
_QUERY: Final = QUERY[1:-2]
_PID: Final = f"PID|||{PERSON_NUMBER}||{PERSON.replace(' ', '^', 1)}||19610101|F"


@dataclass(frozen=True, slots=True)
class Event:
    """An alarm that is listed from `start` until `end` (aware), or for ever."""

    kind: Kind
    alarm: Listed
    start: datetime
    end: datetime | None = None

    def lasts(self, now: datetime) -> bool:
        """Whether it is at that moment."""
        return self.start <= now and (self.end is None or now < self.end)


@dataclass(frozen=True, slots=True)
class Monitor:
    """A scripted monitor: what it pushes is a function of the moment."""

    address: str
    label: str = "M0001"
    is_in_use: bool = True
    events: tuple[Event, ...] = ()
    ahead: timedelta = timedelta()
    """How far its clock is ahead of the true time in Vietnam."""

    def greeting(self) -> Iterator[bytes]:
        """What it sends to who connects, before it listens to questions."""
        place = place_of(self.address, ward="Hồi sức", bed=PERSON)
        yield message_of(Kind.ONLINE, "EVN||00000000|", _PID, place, label_of(self.label), event="ADT^A01")
        rows = ("OBX||NM|52^||158.0||||||F", f"OBX||ST|2308^BedNoStr||{PERSON}||||||F")
        yield message_of(Kind.PLACE, _PID, place, "OBR||||Mindray Monitor|||0|", *rows)

    def told(self, now: datetime) -> Iterator[bytes]:
        """Figures and both lists of alarms, at that moment (aware)."""
        value = VITAL if self.is_in_use else INVALID
        yield message_of(Kind.PERIODIC, *(figure_of(figure, value, module="2101") for figure in FIGURES))
        yield message_of(Kind.STATUS, "OBX||CE|2037^|101|3^||||||F")
        for kind in (Kind.PHYSIOLOGICAL, Kind.TECHNICAL):
            listed = (event for event in self.events if event.kind is kind and event.lasts(now))
            yield message_of(kind, *(alarm_of(kind, self._alarm(event)) for event in listed))

    def _alarm(self, event: Event) -> Listed:
        """The alarm with its onset by the device's clock; technical ones tell none."""
        if event.kind is Kind.TECHNICAL:
            return event.alarm
        onset = (event.start.astimezone(VIETNAM) + self.ahead).replace(tzinfo=None, microsecond=0)
        return replace(event.alarm, onset=onset)


@dataclass(slots=True)
class Tally:
    """What its clients did."""

    links: int = 0
    questions: int = 0
    heartbeats: int = 0
    impatient: int = 0
    """Links that were closed for want of a heartbeat."""
    unknown: int = 0
    """Frames that it could not read, and bytes outside of frames."""


@dataclass(slots=True)
class Served:
    """A monitor at a port, and how it is reached."""

    monitor: Monitor
    clock: Clock
    period_s: float = 1.0
    patience_s: float = PATIENCE_S
    is_deaf_at_first: bool = False
    """Forgets a question that comes before its first heartbeat, as old ones do."""
    tally: Tally = field(default_factory=Tally)

    async def talk(self, reader: Incoming, writer: Outgoing) -> None:
        """Greet, beat, answer and push until the client closes, or misses its heartbeat."""
        self.tally.links += 1
        client = _Client(self.clock.mono_ms())
        hearing = asyncio.create_task(self._hear(reader, client))
        try:
            for message in self.monitor.greeting():
                await self._send(writer, message)
            while not hearing.done():
                if self.clock.mono_ms() - client.heard_ms > self.patience_s * 1000:
                    self.tally.impatient += 1
                    return
                await self._send(writer, HEARTBEAT)
                client.is_greeted = True
                if client.is_asking:
                    for message in self.monitor.told(from_ms(self.clock.now_ms())):
                        await self._send(writer, message)
                await self.clock.sleep(self.period_s)
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _hear(self, reader: Incoming, client: _Client) -> None:
        frames = Frames(limit=4096)
        while data := await reader.read(4096):
            for cut in frames.feed(data):
                if isinstance(cut, Framed) and cut.data == _QUERY:
                    self.tally.questions += 1
                    client.is_asking = client.is_greeted or not self.is_deaf_at_first
                elif isinstance(cut, Framed) and cut.data == HEARTBEAT[1:-2]:
                    self.tally.heartbeats += 1
                    client.heard_ms = self.clock.mono_ms()
                else:
                    self.tally.unknown += 1

    @staticmethod
    async def _send(writer: Outgoing, message: bytes) -> None:
        writer.write(message)
        await writer.drain()


@dataclass(slots=True)
class _Client:
    heard_ms: int
    is_asking: bool = False
    is_greeted: bool = False


@asynccontextmanager
async def serve(served: Served, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """The port at which this monitor answers, a free one for 0."""
    async with tcp_server(served.talk, host=host, port=port) as bound:
        yield bound


def scripted(address: str, *, start: datetime) -> Monitor:
    """A monitor in use whose battery is low from a minute after `start` (aware) on for ten minutes."""
    battery = Listed("301", "", "Battery Low", None)
    event = Event(Kind.TECHNICAL, battery, start + timedelta(minutes=1), start + timedelta(minutes=11))
    return Monitor(address, events=(event,))


async def _run(options: argparse.Namespace) -> None:
    clock = RealClock()
    monitor = scripted(options.address, start=from_ms(clock.now_ms()))
    async with serve(Served(monitor, clock), port=options.port) as port:
        await until_stopped([port], seconds=options.seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a monitor on 127.0.0.1 until SIGTERM, SIGINT or the end of the time given."""
    parser = argparse.ArgumentParser(description="Serve a simulated Mindray monitor.")
    parser.add_argument("--port", type=int, default=4601, help="0 lets the system choose")
    parser.add_argument("--address", default="192.168.8.188", help="that it tells as its own")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after this time")
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
