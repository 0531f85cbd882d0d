"""The demo's gateway: monitors and infusion pumps that push HL7, and the assets that they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from random import Random

from adapters.simulators.hl7_gateway import gateway
from adapters.simulators.hl7_gateway_fleet import Equipment, Fleet, fleet
from adapters.simulators.hl7_gateway_line import Network, Pusher, Record
from desk.child import LOOPBACK
from telemetry.clock import Clock

NAME = "wards"
MONITORS, PUMPS = 3, 6
PERIOD_S = 1800
"""Half an hour of the devices' time."""
NETWORK = Network(lost_answers=0.02, reorder=3)


def behind(*, seed: int, start: datetime) -> Fleet:
    """What stands behind the gateway of a demo that begins then (aware)."""
    return fleet(monitors=MONITORS, pumps=PUMPS, seed=seed, start=start, prefix="DEMO")


def settings_of(port: int) -> dict[str, object]:
    """The gateway in the settings."""
    return {"name": NAME, "port": port, "period_s": PERIOD_S}


def own_asset(*, ward: str) -> dict[str, object]:
    """The gateway in the registry: its link is shown like that of any device."""
    return {
        "id": "DEMO-GW01",
        "label": "HL7 gateway",
        "ward": ward,
        "device_type": "gateway",
        "aliases": [{"protocol": "hl7", "namespace": "gateway", "identifier": NAME}],
    }


def asset_of(index: int, one: Equipment, *, ward: str) -> dict[str, object]:
    """A monitor or pump in the registry."""
    device = one.device
    return {
        "id": f"DEMO-{device.serial}",
        "label": f"{'BTD' if one.is_pump else 'MTD'}-{2020 + index % 4}-{index:03}",
        "ward": ward,
        "device_type": "infusion pump" if one.is_pump else "patient monitor",
        "manufacturer": device.manufacturer,
        "model": device.model,
        "serial": device.serial,
        "aliases": [{"protocol": "hl7", "namespace": device.namespace, "identifier": device.serial}],
    }


@asynccontextmanager
async def pushed(devices: Fleet, *, port: int, clock: Clock) -> AsyncIterator[Record]:
    """The gateway at work; now and then an answer is lost on its way, or messages overtake each other."""
    record = Record()
    pusher = Pusher(LOOPBACK, port, Random(1), record, NETWORK, window=8, answer_s=3.0)  # noqa: S311 - the faults of a network
    async with gateway(devices, pusher=pusher, clock=clock, period_s=PERIOD_S):
        yield record
