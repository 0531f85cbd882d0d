"""What the kernel tells of processes and of this machine."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from desk.broker import find_mosquitto

_PROC = Path("/proc")
_FSYNCS = 50


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process in MiB: now, and at its highest."""

    now_mib: float
    highest_mib: float


def cpu_s(pid: int) -> float:
    """CPU seconds of a process in user and system mode (proc(5), /proc/pid/stat, fields 14 and 15)."""
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> Memory:
    """Resident memory of a process (proc(5), /proc/pid/status, VmRSS and VmHWM)."""
    lines = (_PROC / str(pid) / "status").read_text().splitlines()
    kib = {
        name: int(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in lines)
        if rest[-2:] == "kB"
    }
    return Memory(kib["VmRSS"] / 1024, kib["VmHWM"] / 1024)


def facts(folder: Path) -> tuple[str, ...]:
    """Processor, cores, versions, and how long a folder's disk takes to hold 4 KiB."""
    cpu = next(
        line.partition(":")[2].strip()
        for line in (_PROC / "cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    libraries = ("mqtt5", "pydantic", "orjson", "aiohttp", "SQLAlchemy")
    return (
        f"{cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; nothing pinned",
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {metadata.version(name)}" for name in libraries),
        f"{_first_line(find_mosquitto() or 'mosquitto', '-h')}; {_first_line('influxd', 'version')}",
        f"fdatasync of 4 KiB: {_fdatasync_ms(folder):.2f} ms (median of {_FSYNCS})",
    )


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip().partition("\n")[0].partition(" (git")[0]


def _fdatasync_ms(folder: Path) -> float:
    took: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_FSYNCS):
            began = time.perf_counter()
            os.write(file.fileno(), b"\0" * 4096)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000
