"""The benchmark counts every message at every place, and says so where a machine can read it."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE

import pytest

from tests.system.conftest import need
from tests.system.stand import ROOT

MESSAGES = 300
PLACES = ("published", "received", "journaled", "acknowledged", "stored", "concluded")


@pytest.mark.system
async def test_a_tiny_benchmark_adds_up() -> None:
    need("mosquitto")
    need("influxd")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.line", "--messages", str(MESSAGES), "--json"),
        stdout=PIPE,
        cwd=ROOT,
    )
    try:
        async with asyncio.timeout(240):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode == 0
    told = json.loads(out)
    assert told["adds_up"]
    assert told["left_over"] == 0
    for name, rounds in told["line"].items():
        for number, one in enumerate(rounds):
            assert one["counts"] == dict.fromkeys(PLACES, MESSAGES), (name, number)
    in_rounds = sum(one["counts"]["published"] for rounds in told["line"].values() for one in rounds)
    timed = sum(one["expected"] for one in told["latencies"])
    assert timed >= 50
    assert all(len(one["ms"]) == one["expected"] for one in told["latencies"])
    assert told["counts"]["published"] > in_rounds + timed
    assert set(told["counts"].values()) == {told["accounting"]["total"]["stored"]}
    assert len(told["stages"]) > 5
    assert set(told["memory"]) == {"hourmeter"}
