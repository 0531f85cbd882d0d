"""Serves simulated Puritan Bennett ventilators as a serial-device server would, with the timing of the line.

`python -m adapters.simulators.puritan_bennett --help` serves some of them until it is told to stop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

from adapters.host.transports import Incoming, Outgoing
from adapters.protocols.puritan_bennett import device_time, fields_of
from adapters.simulators.pb_ventilator import FIRST_SERIAL, Capture, Source, fleet, reports_of
from adapters.simulators.served import Record, Served
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
) -> None:
    """Answer one host until it closes: a report for SNDF; RSET clears; anything else is not understood.

    With a baud rate the bytes take the time that they take on the line, by the clock given.
    """
    connection = record.connected()
    rest = b""
    while data := await reader.read(256):
        *commands, rest = (rest + data).split(b"\r")
        rest = rest[-LONGEST_COMMAND:]
        for command in commands:
            report = source.answer(from_ms(clock.now_ms())) if command == b"SNDF" else None
            if report is None:
                continue
            record.note(_served(report, port=port, connection=connection))
            await _send(writer, report, clock=clock, baud=baud)


def _served(report: bytes, *, port: int, connection: int) -> Served:
    fields = fields_of(report)
    at = device_time(fields)
    told = at.isoformat(timespec="minutes") if at else ""
    return Served(port=port, connection=connection, serial=fields[6].split()[-1], device_time=told)


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
                await talk(reader, writer, source=source, clock=clock, record=record, port=bound, baud=baud)
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


class _RealClock:
    """The clock of a simulator that is a process of its own."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def boot(self) -> str:
        return "simulator"

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _sources(options: argparse.Namespace) -> Iterable[Source]:
    first = options.serial or 0
    if options.capture is None:
        return fleet(
            options.ventilators,
            seed=options.seed,
            start=datetime.now(UTC),
            first_serial=first or FIRST_SERIAL,
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
        record = Record(log=log)
        ports = []
        for index, source in enumerate(_sources(options)):
            port = options.port + index if options.port else 0
            ports.append(
                await stack.enter_async_context(
                    serve(source, clock=_RealClock(), record=record, baud=options.baud, port=port)
                )
            )
        sys.stdout.write(json.dumps({"ports": ports}) + "\n")
        sys.stdout.flush()
        with suppress(TimeoutError):  # its time is over, as was asked
            await asyncio.wait_for(stop.wait(), options.seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve ventilators on 127.0.0.1 until SIGTERM, SIGINT or the end of the time given."""
    parser = argparse.ArgumentParser(description="Serve simulated Puritan Bennett ventilators on 127.0.0.1.")
    parser.add_argument("--ventilators", type=int, default=1, choices=range(1, 257), metavar="1..256")
    parser.add_argument("--port", type=int, default=0, help="port of the first; 0 lets the system choose")
    parser.add_argument("--capture", type=Path, help="serve the reports of this file in a loop")
    parser.add_argument("--serial", type=int, help="serial of the first; the others count on from it")
    parser.add_argument(
        "--advance-clock", action="store_true", help="one minute later with each report served"
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
