"""Serves simulated Puritan Bennett ventilators with the timing of the line, over TCP or at a pseudo-terminal.

`python -m adapters.simulators.puritan_bennett --help` serves some of them until it is told to stop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from adapters.host.transports import Incoming, Outgoing
from adapters.puritan_bennett_reports import report_of
from adapters.simulators.pb_software import Software, reply, understands
from adapters.simulators.pb_ventilator import FIRST_SERIAL, Capture, Source, fleet, reports_of
from adapters.simulators.serial_line import serial_line
from adapters.simulators.served import Record, Served
from adapters.simulators.serving import RealClock
from telemetry.clock import Clock
from telemetry.times import from_ms

BITS_PER_BYTE = 10
"""8N1: a start bit, eight of data, a stop bit."""
PIECE_BYTES = 128
LONGEST_COMMAND = 16


async def talk(
    reader: Incoming,
    writer: Outgoing,
    *,
    source: Source,
    clock: Clock,
    record: Record,
    port: int = 0,
    baud: int | None = None,
    software: Software = Software.USUAL,
) -> None:
    """Answer one host until it closes: SNDF and SNDA as the software does, RSET clears; nothing else.

    With a baud rate the bytes take the time that they take on the line, by the clock given.
    """
    connection = record.connected()
    rest = b""
    while data := await reader.read(256):
        *commands, rest = (rest + data).split(b"\r")
        rest = rest[-LONGEST_COMMAND:]
        for command in commands:
            if not understands(command, software=software):
                continue
            report = source.answer(from_ms(clock.now_ms()))
            if report is None:
                continue
            record.note(_served(report, port=port, connection=connection))
            await _send(writer, reply(command, report, software=software), clock=clock, baud=baud)


def _served(report: bytes, *, port: int, connection: int) -> Served:
    read = report_of(report)
    told = read.device_time.isoformat(timespec="minutes") if read.device_time else ""
    return Served(port=port, connection=connection, serial=read.fields[6].split()[-1], device_time=told)


async def _send(writer: Outgoing, report: bytes, *, clock: Clock, baud: int | None) -> None:
    if baud is None:
        writer.write(report)
        await writer.drain()
        return
    for start in range(0, len(report), PIECE_BYTES):
        piece = report[start : start + PIECE_BYTES]
        await clock.sleep(len(piece) * BITS_PER_BYTE / baud)
        writer.write(piece)
        await writer.drain()


@asynccontextmanager
async def serve(
    source: Source,
    *,
    clock: Clock,
    record: Record,
    baud: int | None = None,
    software: Software = Software.USUAL,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[int]:
    """A serial-device server with this ventilator behind it; gives the port, a free one for 0."""
    talks: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bound = writer.get_extra_info("sockname")[1]
        try:
            with suppress(
                ConnectionError
            ):  # the host went away: its business, not an error of the ventilator
                await talk(
                    reader,
                    writer,
                    source=source,
                    clock=clock,
                    record=record,
                    port=bound,
                    baud=baud,
                    software=software,
                )
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(meet(reader, writer))
        talks.add(task)

    server = await asyncio.start_server(accept, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        if talks:
            await asyncio.wait(talks)
        for task in talks:
            if not task.cancelled():
                task.result()


@asynccontextmanager
async def serve_serial(
    source: Source,
    *,
    clock: Clock,
    record: Record,
    baud: int | None = None,
    software: Software = Software.USUAL,
) -> AsyncIterator[Path]:
    """A serial port with this ventilator behind it; gives its path."""
    async with serial_line() as (path, reader, writer):
        talking = asyncio.create_task(
            talk(reader, writer, source=source, clock=clock, record=record, baud=baud, software=software)
        )
        try:
            yield path
        finally:
            talking.cancel()
            await asyncio.wait((talking,))
            if not talking.cancelled():
                talking.result()


def _sources(options: argparse.Namespace) -> Iterable[Source]:
    first = options.serial or 0
    if options.capture is None:
        return fleet(
            options.ventilators,
            seed=options.seed,
            start=datetime.now(UTC),
            first_serial=first or FIRST_SERIAL,
            model=options.model,
        )
    reports = reports_of(options.capture.read_bytes())
    return tuple(
        Capture(reports, serial=str(first + index) if first else "", advance_clock=options.advance_clock)
        for index in range(options.ventilators)
    )


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        log = stack.enter_context(options.log.open("a") if options.log else nullcontext())
        served = partial(
            serve_serial if options.serial_port else serve,
            clock=RealClock(),
            record=Record(log=log),
            baud=options.baud,
            software=options.software,
        )
        ports = []
        for index, source in enumerate(_sources(options)):
            at = {"port": options.port + index} if options.port else {}
            ports.append(await stack.enter_async_context(served(source, **at)))
        sys.stdout.write(json.dumps({"ports": ports}, default=str) + "\n")
        sys.stdout.flush()
        with suppress(TimeoutError):  # its time is over, as was asked
            async with asyncio.timeout(options.seconds):
                await stop.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve ventilators on 127.0.0.1 or at pseudo-terminals until SIGTERM, SIGINT or the end of the time."""
    parser = argparse.ArgumentParser(description="Serve simulated Puritan Bennett ventilators.")
    parser.add_argument("--ventilators", type=int, default=1, choices=range(1, 257), metavar="1..256")
    parser.add_argument("--port", type=int, default=0, help="port of the first; 0 lets the system choose")
    parser.add_argument("--capture", type=Path, help="serve the reports of this file in a loop")
    parser.add_argument("--serial", type=int, help="serial of the first; the others count on from it")
    parser.add_argument(
        "--advance-clock", action="store_true", help="one minute later with each report served"
    )
    parser.add_argument("--model", choices=("840", "980"), default="840", help="of the scripted ventilators")
    parser.add_argument("--software", type=Software, choices=tuple(Software), default=Software.USUAL)
    parser.add_argument(
        "--serial-port", action="store_true", help="at a pseudo-terminal each, instead of a TCP port"
    )
    parser.add_argument("--baud", type=int, help="send as slowly as this line; at once without")
    parser.add_argument("--seed", type=int, default=0, help="of the scripted ventilators")
    parser.add_argument(
        "--log", type=Path, help="append each report served as a JSON line; one log for each run"
    )
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after this time")
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
