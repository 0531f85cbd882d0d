"""What simulated devices have sent, frame by frame, for tests that count."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TextIO


@dataclass(frozen=True, slots=True)
class Served:
    """One frame that was sent, or begun to be sent, because a host asked for it."""

    port: int
    connection: int
    """Counted from 1 for each record; a host that reconnects gets a new one."""
    serial: str
    device_time: str
    """The device's clock in the frame, as `2023-04-04T16:01`; empty if it tells an impossible one."""


@dataclass(slots=True)
class Record:
    """Every frame served, in order; also as JSON lines in a log, each on its way before its frame is."""

    log: TextIO | None = None
    served: list[Served] = field(default_factory=list)
    connections: int = 0

    def connected(self) -> int:
        """The number of a new connection."""
        self.connections += 1
        return self.connections

    def note(self, frame: Served) -> None:
        """A frame is about to be sent."""
        self.served.append(frame)
        if self.log is not None:
            self.log.write(json.dumps(asdict(frame)) + "\n")
            self.log.flush()


def read_log(lines: Iterable[str]) -> tuple[Served, ...]:
    """The frames of a log, in order."""
    return tuple(Served(**json.loads(line)) for line in lines)


def followed(served: Iterable[Served]) -> tuple[Served, ...]:
    """The frames after which the same connection asked again: the host has all of their bytes.

    The last frame of each connection may have been lost on its way, so it is left out.
    """
    last: dict[tuple[int, int], Served] = {}
    known: list[Served] = []
    for frame in served:
        before = last.get((frame.port, frame.connection))
        if before is not None:
            known.append(before)
        last[frame.port, frame.connection] = frame
    return tuple(known)
