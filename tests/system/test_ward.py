"""One host reads a ward of all protocols; what one device does wrong, no other one feels."""

from __future__ import annotations

import asyncio
import random
from importlib.util import find_spec
from pathlib import Path

import pytest

from adapters import registry
from adapters.host.host import Host, HostSettings, open_host
from desk.clock import system_clock
from desk.devices import device_of
from desk.gateways import gateway_of
from desk.settings import Settings, load
from telemetry.messages import LinkState
from tests.adapters.host.fakes import FakeBroker
from tests.system.stand import until
from tests.system.wards import Ward, settings_file, ward

POLL_S = 1.0
LASTS_S = 6.0
SDC = 2 if find_spec("sdc11073") else 0

pytestmark = pytest.mark.system


def host_settings(settings: Settings, folder: Path) -> HostSettings:
    protocols = registry.protocols()
    return HostSettings(
        "host-a",
        folder / "outbox.db",
        tuple(device_of(one, protocols) for one in settings.device),
        tuple(gateway_of(one) for one in settings.gateway),
    )


def states(host: Host) -> dict[str, LinkState | None]:
    return {one.name: one.state for one in host.health.devices}


async def test_sixty_links_and_a_few_that_misbehave(tmp_path: Path) -> None:
    """No good device is asked later than by a period, and no ventilator shows a communication error."""
    async with ward(poll_s=POLL_S, of_each=10, sdc=SDC) as made:
        settings = load(settings_file(tmp_path, made, head=""))
        async with open_host(
            host_settings(settings, tmp_path),
            link=FakeBroker(),
            protocols=registry.protocols(),
            clock=system_clock(),
            rng=random.SystemRandom(),
            machine="",
        ) as host:
            running = asyncio.create_task(host.run())
            await all_good_are_online(made, host)
            for moments in made.asked_s.values():
                moments.clear()
            await asyncio.sleep(LASTS_S)
            found = states(host)
            health = {one.name: one for one in host.health.devices}
            gateway = host.health.gateways[0]
            host.stop()
            async with asyncio.timeout(20):
                await running
    assert made.links >= 60
    assert {*made.protocols, *([] if SDC else ["sdc"])} == {*registry.protocols()} - {"hl7"}
    assert {name for name, state in found.items() if state is not LinkState.ONLINE} == made.bad
    assert found["not-there"] is LinkState.OFFLINE
    assert {found[name] for name in ("hung", "dripping")} <= {LinkState.MUTE, None}
    assert health["flooding"].refusals > 0
    assert sum(one.faults + one.lost for one in health.values()) == 0
    assert gateway.online == gateway.devices > 0
    late_s = made.late_s()
    assert len(late_s) >= 10 * 3
    assert late_s[-1] < POLL_S, f"asked {late_s[-1]:.2f} s late"
    assert {name: one.why for name, one in made.medibus.items() if one.communication_errors} == {}
    assert {one.stops for one in made.medibus.values()} == {1}


async def all_good_are_online(made: Ward, host: Host) -> None:
    """Wait for it."""

    async def are_online() -> bool:
        return all(state is LinkState.ONLINE for name, state in states(host).items() if name not in made.bad)

    await until(are_online, within_s=40, what="every good device online")
