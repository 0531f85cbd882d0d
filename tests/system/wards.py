"""A ward of simulated devices over real sockets and pseudo-terminals, some of which do what none should."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random

from adapters.host.transports import Incoming, Outgoing
from adapters.simulators import (
    bbraun_bcc,
    intellivue,
    medibus,
    medibus_device,
    mindray_pds,
    puritan_bennett,
    v60,
)
from adapters.simulators.bcc_station import station
from adapters.simulators.hl7_gateway import gateway
from adapters.simulators.hl7_gateway_fleet import fleet
from adapters.simulators.hl7_gateway_line import Network, Pusher, Record
from adapters.simulators.pb_ventilator import FIRST_SERIAL, Source, Ventilator
from adapters.simulators.routine import ROUTINES
from adapters.simulators.served import Record as Reports
from adapters.simulators.serving import RealClock, tcp_server
from desk.child import LOOPBACK, free_port
from telemetry.times import from_ms

DRIP_S = 1.0
FLOOD_BYTES = 65_536
READER = "the head of the ward's workshop"


@dataclass(slots=True)
class Ward:
    """What stands there, as settings name it, and what was seen from the devices' side."""

    poll_s: float
    devices: list[dict[str, str | float]] = field(default_factory=list)
    gateways: list[dict[str, str | float]] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)
    """Devices that do what none should."""
    asked_s: dict[str, list[float]] = field(default_factory=dict)
    """When a device was asked, by a clock of ours that never steps; of those protocols that tell polls."""
    medibus: dict[str, medibus_device.Tally] = field(default_factory=dict)

    @property
    def links(self) -> int:
        """Devices and gateways."""
        return len(self.devices) + len(self.gateways)

    @property
    def protocols(self) -> Mapping[str, int]:
        """How many there are of each that do what they should."""
        return Counter(str(one["protocol"]) for one in self.devices if one["name"] not in self.bad)

    def late_s(self) -> tuple[float, ...]:
        """How much later than the period each poll came after the one before; of good devices, sorted."""
        gaps = (
            later - earlier - self.poll_s
            for name, moments in self.asked_s.items()
            if name not in self.bad
            for earlier, later in pairwise(moments)
        )
        return tuple(sorted(gaps))

    def toml(self) -> str:
        """Its devices and gateways as settings."""
        tables = [("device", one) for one in self.devices] + [("gateway", one) for one in self.gateways]
        return "".join(
            f"[[{table}]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in one.items())
            for table, one in tables
        )

    def add(self, name: str, protocol: str, *, bad: bool = False, **where: str | float) -> None:
        """Another device."""
        self.devices.append({"name": name, "protocol": protocol, "poll_s": self.poll_s, **where})
        if bad:
            self.bad.add(name)


def _toml(value: str | float) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


@dataclass(frozen=True, slots=True)
class _Noting:
    """A ventilator that notes when it was asked."""

    source: Source
    moments: list[float]

    def answer(self, now: datetime) -> bytes | None:
        self.moments.append(time.monotonic())
        return self.source.answer(now)


@asynccontextmanager
async def ward(
    *, poll_s: float, of_each: int, sdc: int = 0, gateway_devices: int = 6, misbehaving: bool = True
) -> AsyncIterator[Ward]:
    """So many devices of each protocol, of SDC so many, a gateway, and four that misbehave, if asked."""
    made = Ward(poll_s)
    port = free_udp_port()
    async with AsyncExitStack() as stack:
        for index in range(of_each):
            await _ventilators(stack, made, index)
            await _medibus(stack, made, index)
            await _pumps(stack, made, index)
            await _monitors(stack, made, index, port=port)
        for index in range(sdc):
            _by_library(stack, made, index)
        if misbehaving:
            await _bad(stack, made)
        listening = free_port()
        made.gateways.append({"name": "gw", "port": listening, "period_s": max(1.0, poll_s)})
        await stack.enter_async_context(
            _pushing(listening, devices=gateway_devices, period_s=max(1.0, poll_s))
        )
        yield made


async def _ventilators(stack: AsyncExitStack, made: Ward, index: int) -> None:
    """One that is reached over TCP, every third at a serial port, and one of another make."""
    name = f"pb-{index}"
    source = Ventilator(str(FIRST_SERIAL + index), ROUTINES[0], seed=index)
    noting = _Noting(source, made.asked_s.setdefault(name, []))
    if index % 3 == 2:
        path = await stack.enter_async_context(
            puritan_bennett.serve_serial(noting, clock=RealClock(), record=Reports())
        )
        made.add(name, "puritan-bennett", serial=str(path))
    else:
        port = await stack.enter_async_context(
            puritan_bennett.serve(noting, clock=RealClock(), record=Reports())
        )
        made.add(name, "puritan-bennett", host=LOOPBACK, port=port)
    port = await stack.enter_async_context(
        v60.serve(v60.Ventilator(f"v60-{index}", seed=index), clock=RealClock(), count=v60.Count())
    )
    made.add(f"v60-{index}", "v60", host=LOOPBACK, port=port)


async def _medibus(stack: AsyncExitStack, made: Ward, index: int) -> None:
    name = f"medibus-{index}"
    device = medibus_device.Device(
        medibus_device.KINDS[index % len(medibus_device.KINDS)],
        shows=lambda _: medibus_device.AT_WORK,
        rng=Random(index),  # noqa: S311 - a ward that can be repeated
        clock=datetime(2024, 1, 8),  # noqa: DTZ001 - a device's clock has no zone
        habits=medibus_device.Habits(slowest_s=0.05, embeds=0.1, realtime=0.1),
    )
    made.medibus[name] = device.tally
    served = medibus.Served(device, RealClock())
    if index % 3 == 2:
        path = await stack.enter_async_context(medibus.serve_serial(served))
        made.add(name, "medibus", serial=str(path), sole_reader_confirmed_by=READER)
    else:
        port = await stack.enter_async_context(medibus.serve(served))
        made.add(name, "medibus", host=LOOPBACK, port=port, sole_reader_confirmed_by=READER)


async def _pumps(stack: AsyncExitStack, made: Ward, index: int) -> None:
    clock = RealClock()
    pumps = station(3, seed=index, start=from_ms(clock.now_ms()), first_serial=60_000 + 10 * index)
    port = await stack.enter_async_context(bbraun_bcc.serve(pumps, clock=clock))
    made.add(f"bcc-{index}", "bbraun-bcc", host=LOOPBACK, port=port, sole_reader_confirmed_by=READER)


async def _monitors(stack: AsyncExitStack, made: Ward, index: int, *, port: int) -> None:
    """One that sends datagrams to a port of ours from an address of its own, and one that pushes over TCP."""
    clock = RealClock()
    address = f"127.0.1.{index + 1}"
    monitor = intellivue.scripted(f"SIM{index:07}", start=from_ms(clock.now_ms()))
    await stack.enter_async_context(
        intellivue.indicating(
            monitor, clock=clock, to=(LOOPBACK, port), period_s=made.poll_s / 2, host=address
        )
    )
    made.add(
        f"philips-{index}",
        "intellivue",
        host=address,
        port=port,
        transport="listen",
        listen_host=LOOPBACK,
    )
    pushing = mindray_pds.scripted(f"192.0.2.{index}", start=from_ms(clock.now_ms()))
    made.add(
        f"mindray-{index}",
        "mindray-pds",
        host=LOOPBACK,
        port=await stack.enter_async_context(mindray_pds.serve(mindray_pds.Served(pushing, clock))),
    )


def _by_library(stack: AsyncExitStack, made: Ward, index: int) -> None:
    """One that speaks SDC, in threads of the library; its first start takes a second."""
    from adapters.simulators.sdc_provider import ventilator  # noqa: PLC0415 - an extra, slow to import

    device = stack.enter_context(ventilator(f"SIM-S-{index}"))
    made.add(f"sdc-{index}", "sdc", endpoint=device.address)


# -- what none should do ------------------------------------------------------------------------------------


async def _bad(stack: AsyncExitStack, made: Ward) -> None:
    for name, talk in (("hung", _hang), ("dripping", _drip), ("flooding", _flood)):
        port = await stack.enter_async_context(tcp_server(talk))
        made.add(name, "puritan-bennett", bad=True, host=LOOPBACK, port=port)
    made.add("not-there", "v60", bad=True, host=LOOPBACK, port=free_port())


async def _hang(reader: Incoming, writer: Outgoing) -> None:
    """Take the connection and whatever comes, and say nothing."""
    del writer
    while await reader.read(4096):
        pass


async def _drip(reader: Incoming, writer: Outgoing) -> None:
    """Say a byte of a report now and then."""
    del reader
    while True:
        writer.write(b"M")
        await writer.drain()
        await asyncio.sleep(DRIP_S)


async def _flood(reader: Incoming, writer: Outgoing) -> None:
    """Say what means nothing as fast as it is taken."""
    del reader
    noise = Random(0).randbytes(FLOOD_BYTES)  # noqa: S311 - noise
    while True:
        writer.write(noise)
        await writer.drain()


@asynccontextmanager
async def _pushing(port: int, *, devices: int, period_s: float) -> AsyncIterator[None]:
    clock = RealClock()
    behind = fleet(
        monitors=devices // 2,
        pumps=devices - devices // 2,
        seed=1,
        start=from_ms(clock.now_ms()),
        prefix="WARD",
    )
    pusher = Pusher(LOOPBACK, port, Random(1), Record(), Network())  # noqa: S311 - a network that can be repeated
    async with gateway(behind, pusher=pusher, clock=clock, period_s=period_s):
        yield


def free_udp_port() -> int:
    """A port that nobody listens at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def settings_file(folder: Path, made: Ward, *, head: str) -> Path:
    """A settings file of a host for this ward."""
    file = folder / "host.toml"
    file.write_text(head + made.toml())
    return file
