"""`hourmeter record` beside a real socket: the device is talked to as by the host, and does not miss us."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from adapters.decode import LineKind, decode
from adapters.simulators import medibus, medibus_device
from adapters.simulators.serving import RealClock
from desk.child import LOOPBACK
from tests.system.stand import HOURMETER, until

pytestmark = pytest.mark.system


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP], ids=["asked to end", "terminal lost"])
async def test_a_medibus_device_that_is_recorded_counts_no_communication_error(
    tmp_path: Path, sign: signal.Signals
) -> None:
    device = medibus_device.Device(
        medibus_device.KINDS[0],
        shows=lambda _: medibus_device.AT_WORK,
        rng=Random(1),  # noqa: S311 - a device that can be repeated
        clock=datetime(2024, 1, 8),  # noqa: DTZ001 - a device's clock has no zone
        habits=medibus_device.Habits(slowest_s=0.02, embeds=0.1, realtime=0.1),
    )
    capture = tmp_path / "vent.capture"
    async with medibus.serve(medibus.Served(device, RealClock())) as port:
        (tmp_path / "hourmeter.toml").write_text(
            f'[[device]]\nname = "vent"\nprotocol = "medibus"\nhost = "{LOOPBACK}"\nport = {port}\n'
            'poll_s = 1\nsole_reader_confirmed_by = "a test"\n'
        )
        process = await asyncio.create_subprocess_exec(
            HOURMETER, "record", "vent", "--to", str(capture), cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )

        async def has_all() -> bool:
            return capture.exists() and {"identity", "usage"} <= kinds(capture)

        try:
            await until(has_all, within_s=30, what="a round of readings in the capture")
            process.send_signal(sign)
            async with asyncio.timeout(20):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, out
    assert (device.tally.communication_errors, device.tally.why) == (0, [])
    assert device.tally.stops == 1
    text = capture.read_text()
    assert json.loads(text.splitlines()[-1])["event"] == "end"
    assert kinds(capture) >= {"identity", "usage"}
    assert b"frames heard, 0 refused" in out


def kinds(capture: Path) -> set[str]:
    """The kinds of bodies that it tells so far."""
    lines = decode("medibus", [capture.read_bytes()])
    return {json.loads(line.text)["kind"] for line in lines if line.kind is LineKind.BODY}
