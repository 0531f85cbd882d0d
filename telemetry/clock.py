"""The shape of a clock; who composes the parts decides which one they share."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Civil and monotonic time of one process, and waiting in that time."""

    def now_ms(self) -> int:
        """Civil time as milliseconds since 1970-01-01T00:00Z."""

    def mono_ms(self) -> int:
        """Time since `boot` began, in milliseconds; never steps back."""

    def boot(self) -> str:
        """Name of the boot that `mono_ms` counts from; another boot has another name."""

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of this clock."""
