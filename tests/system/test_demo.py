"""The demo shows the main job within a minute, with a broker and without, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE, create_subprocess_exec
from pathlib import Path

import pytest

from desk import demo
from telemetry.errors import SettingsError
from tests.system.conftest import need
from tests.system.stand import HOURMETER


def _options(folder: Path, *, seconds: float) -> demo.DemoOptions:
    return demo.DemoOptions(seconds=seconds, rate=3600, ventilators=24, folder=folder, port=0, quiet=True)


def _children() -> set[int]:
    """Process ids of our children that still run."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


@pytest.mark.system
async def test_within_a_minute_an_interval_is_passed_and_faults_open_tickets(tmp_path: Path) -> None:
    need("mosquitto")
    process = await create_subprocess_exec(
        *(HOURMETER, "demo", "--for", "25", "--json", "--port", "0", "--folder", str(tmp_path / "demo")),
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(90):
        out, told = await process.communicate()
    assert process.returncode == 0, told.decode()
    summary = json.loads(out)
    assert {"pm", "repair"} <= {ticket["kind"] for ticket in summary["tickets"]}
    assert {"DEMO-0004", "DEMO-P00002"} <= {ticket["asset"] for ticket in summary["tickets"]}
    assert summary["messages"] == summary["stored"] > 500
    assert summary["accounting"]["unaccounted"] == 0
    assert summary["accounting"]["total"]["quarantined"] == summary["accounting"]["lost"] == 0
    assert "look at http://127.0.0.1:" in told.decode()
    assert "Mosquitto" in told.decode()


@pytest.mark.system
async def test_without_mosquitto_the_bus_within_the_process_carries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "find_mosquitto", lambda: None)
    before = _children()
    summary = await demo.run(_options(tmp_path / "demo", seconds=8), asyncio.Event())
    assert summary["messages"] == summary["stored"]
    assert int(str(summary["messages"])) > 100
    assert "the bus within the process" in capsys.readouterr().err
    assert _children() == before


@pytest.mark.system
async def test_ctrl_c_stops_everything_cleanly(tmp_path: Path) -> None:
    need("mosquitto")
    folder = tmp_path / "demo"
    process = await create_subprocess_exec(
        *(HOURMETER, "demo", "--port", "0", "--folder", str(folder)), stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        line = await process.stdout.readline()
        assert b"look at http" in line
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert (process.returncode, b"Traceback" in errors) == (0, False), errors.decode()
    assert _mosquittos(folder) == []


def _mosquittos(folder: Path) -> list[int]:
    """Process ids of brokers whose settings lie in that folder."""
    return [
        int(line.parent.name)
        for line in Path("/proc").glob("[0-9]*/cmdline")
        if str(folder).encode() in _read(line) and b"mosquitto" in _read(line)
    ]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


async def test_a_folder_with_something_else_in_it_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="not a demo's"):
        await demo.run(_options(tmp_path, seconds=1), asyncio.Event())
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
