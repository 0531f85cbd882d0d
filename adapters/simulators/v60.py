"""Simulated Respironics V60 ventilators, served over TCP or at a pseudo-terminal.

`python -m adapters.simulators.v60 --help` serves one until it is told to stop.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from adapters.host.transports import Incoming, Outgoing
from adapters.protocols.v60 import QUIET_SNDA, QUIET_VRPT, STANDBY
from adapters.puritan_bennett_reports import MONTHS, Layout, frame_of
from adapters.simulators.pb_ventilator import VIETNAM
from adapters.simulators.routine import ROUTINES, Routine, is_in_use
from adapters.simulators.serial_line import serial_line
from adapters.simulators.serving import RealClock, tcp_server, until_stopped
from adapters.v60_reports import SNDA, VRPT, VRPT_COMMAS
from telemetry.clock import Clock
from telemetry.times import from_ms

LONGEST_COMMAND: Final = 16
VOLUME: Final = "8.397"
"""Exhaled minute volume while in use: a figure of a patient, which no message may carry."""


@dataclass(frozen=True, slots=True)
class Event:
    """An alarm field of either report, that reads ALARM from `start` until `end` (aware), or for ever."""

    start: datetime
    end: datetime | None = None
    snda: int | None = None
    vrpt: int | None = None

    def lasts(self, now: datetime) -> bool:
        """Whether it is at that moment."""
        return self.start <= now and (self.end is None or now < self.end)


@dataclass(frozen=True, slots=True)
class Ventilator:
    """A scripted V60: its reports are a function of the moment alone."""

    name: str
    routine: Routine = ROUTINES[0]
    seed: int = 0
    events: tuple[Event, ...] = ()
    ahead: timedelta = timedelta()
    """How far its clock is ahead of the true time in Vietnam."""
    commands: frozenset[bytes] = frozenset({b"SNDA", b"VRPT"})
    """What its software understands."""
    long_report: Layout = VRPT

    def is_in_use(self, now: datetime) -> bool:
        """Whether a patient is ventilated at that moment."""
        at = now.astimezone(VIETNAM).replace(tzinfo=None)
        return is_in_use(self.routine, at=at, seed=f"{self.seed}/{self.name}")

    def answer(self, command: bytes, now: datetime) -> bytes | None:
        """The report that a command brings at that moment; None if it is not understood."""
        if command not in self.commands:
            return None
        is_short = command == SNDA.command
        runs = self.is_in_use(now)
        mode, rate, volume = ("S/T", "16", VOLUME) if runs else (STANDBY, "0", "0.000")
        at = (now.astimezone(VIETNAM) + self.ahead).replace(tzinfo=None)
        fields = {**(QUIET_SNDA if is_short else QUIET_VRPT), 5: f"{at:%H:%M}"}
        if is_short:
            fields |= {8: f"{MONTHS[at.month - 1]} {at:%d} {at.year:04d}", 9: mode, 34: rate, 36: volume}
        else:
            fields |= {57: mode, 85: rate, 83: volume}
        for event in self.events:
            place = event.snda if is_short else event.vrpt
            if place is not None and event.lasts(now):
                fields[place] = "ALARM"
        return frame_of(fields, layout=SNDA if is_short else self.long_report)


@dataclass(slots=True)
class Count:
    """How often each command was understood, in all talks together."""

    by_command: dict[bytes, int] = field(default_factory=dict)


async def talk(
    reader: Incoming, writer: Outgoing, *, ventilator: Ventilator, clock: Clock, count: Count
) -> None:
    """Answer one host until it closes."""
    rest = b""
    while data := await reader.read(256):
        *commands, rest = (rest + data).split(b"\r")
        rest = rest[-LONGEST_COMMAND:]
        for command in commands:
            report = ventilator.answer(command, from_ms(clock.now_ms()))
            if report is not None:
                count.by_command[command] = count.by_command.get(command, 0) + 1
                writer.write(report)
                await writer.drain()


@asynccontextmanager
async def serve(
    ventilator: Ventilator, *, clock: Clock, count: Count, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """A serial-device server with this ventilator behind it; gives the port, a free one for 0."""

    async def meet(reader: Incoming, writer: Outgoing) -> None:
        await talk(reader, writer, ventilator=ventilator, clock=clock, count=count)

    async with tcp_server(meet, host=host, port=port) as bound:
        yield bound


@asynccontextmanager
async def serve_serial(ventilator: Ventilator, *, clock: Clock, count: Count) -> AsyncIterator[Path]:
    """A serial port with this ventilator behind it; gives its path."""
    async with serial_line() as (path, reader, writer):
        talking = asyncio.create_task(talk(reader, writer, ventilator=ventilator, clock=clock, count=count))
        try:
            yield path
        finally:
            talking.cancel()
            await asyncio.wait((talking,))
            if not talking.cancelled():
                talking.result()


def scripted(name: str, *, seed: int, start: datetime, commas: bool = False) -> Ventilator:
    """A V60 with what goes wrong in the first two days after `start` (aware).

    Low O2 supply from 6 h to 7 h, told by both reports; a hot enclosure from 12 h to 13 h, by VRPT alone.
    """

    def hours(value: float) -> datetime:
        return start + timedelta(hours=value)

    events = (Event(hours(6), hours(7), snda=54, vrpt=117), Event(hours(12), hours(13), vrpt=127))
    return Ventilator(name, seed=seed, events=events, long_report=VRPT_COMMAS if commas else VRPT)


async def _run(options: argparse.Namespace) -> None:
    clock, count = RealClock(), Count()
    start = from_ms(clock.now_ms())
    ventilator = scripted("v60", seed=options.seed, start=start, commas=options.commas)
    if options.serial_port:
        async with serve_serial(ventilator, clock=clock, count=count) as path:
            await until_stopped([path], seconds=options.seconds)
    else:
        async with serve(ventilator, clock=clock, count=count, port=options.port) as port:
            await until_stopped([port], seconds=options.seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a ventilator on 127.0.0.1 or at a pseudo-terminal until it is stopped or its time is over."""
    parser = argparse.ArgumentParser(description="Serve a simulated Respironics V60.")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument(
        "--serial-port", action="store_true", help="at a pseudo-terminal, instead of a TCP port"
    )
    parser.add_argument("--commas", action="store_true", help="VRPT with a comma at either end")
    parser.add_argument("--seed", type=int, default=0, help="of its use")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after this time")
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
