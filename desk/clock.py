"""The real clocks: the only place where the time of the machine is read."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class SystemClock:
    """Civil and monotonic time of this machine; `boot` names the machine's boot."""

    boot_name: str

    def now_ms(self) -> int:
        """Civil time as milliseconds since 1970-01-01T00:00Z."""
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        """Milliseconds since the machine booted, suspended time included."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def boot(self) -> str:
        """Name of this boot of the machine."""
        return self.boot_name

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        await asyncio.sleep(seconds)


def system_clock() -> SystemClock:
    """The clock of this machine; its boot is what the kernel calls it."""
    return SystemClock(_BOOT_ID.read_text().strip().replace("-", ""))


@dataclass(frozen=True, slots=True)
class DemoClock:
    """Time that began in the past and runs faster; all parts of a demo share one."""

    boot_name: str
    start_ms: int
    """Civil time at which the demo begins, milliseconds since 1970."""
    rate: float
    """Seconds of this clock per real second."""
    began_ns: int

    def _elapsed_ms(self) -> int:
        return int((time.monotonic_ns() - self.began_ns) / 1_000_000 * self.rate)

    def now_ms(self) -> int:
        """Civil time of the demo."""
        return self.start_ms + self._elapsed_ms()

    def mono_ms(self) -> int:
        """Milliseconds of the demo since it began."""
        return self._elapsed_ms()

    def boot(self) -> str:
        """Name of this run of the demo."""
        return self.boot_name

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of the demo."""
        await asyncio.sleep(seconds / self.rate)


def demo_clock(*, boot: str, start_ms: int, rate: float) -> DemoClock:
    """A clock that stands at `start_ms` now."""
    return DemoClock(boot, start_ms, rate, time.monotonic_ns())
