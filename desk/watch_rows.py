"""What the live view of an adapter host says: a row for each device, unit and gateway; pure.

Rule: who is in trouble comes first, so that a small terminal shows what matters; units stay with their link.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from adapters.host.device_health import DeviceHealth
from adapters.host.host import HostHealth
from adapters.host.mllp_health import GatewayHealth
from telemetry.messages import LinkState

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_RANKS: Final = (LinkState.OFFLINE, LinkState.MUTE, None, LinkState.ONLINE)
"""The worst first; None: nothing is known yet."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the view."""

    name: str
    protocol: str
    place: str
    link: LinkState | None
    since_ms: int | None
    heard_ms: int | None
    polls: int | None
    """None where it is not counted: of a unit, its link counts."""
    heard: int | None
    refused: int | None
    lost: int
    stalled: bool
    about: str
    """Why it is not online, what waits, what is behind it."""

    @property
    def word(self) -> str:
        """Its link in a word, so that nobody needs to tell colours apart."""
        return "unknown" if self.link is None else self.link.value

    @property
    def is_troubled(self) -> bool:
        """Whether somebody should look at it."""
        return self.link is not LinkState.ONLINE or self.stalled or bool(self.lost)


def rows(health: HostHealth) -> tuple[Row, ...]:
    """Every device with its units behind it, and every gateway; who is in trouble first."""
    groups = [tuple(_of_device(device)) for device in health.devices]
    groups += [(_of_gateway(gateway),) for gateway in health.gateways]
    return tuple(row for group in sorted(groups, key=_rank) for row in group)


def _rank(group: tuple[Row, ...]) -> tuple[bool, int]:
    worst = min(_RANKS.index(row.link) for row in group)
    return not any(row.is_troubled for row in group), worst


def _of_device(device: DeviceHealth) -> Iterator[Row]:
    yield Row(
        device.name,
        device.protocol,
        device.place,
        device.state,
        device.since_ms,
        device.last_heard_ms,
        device.polls,
        device.heard,
        device.refusals,
        device.lost,
        stalled=bool(device.stalled),
        about=device.stalled or device.trouble,
    )
    for unit in device.units:
        yield Row(
            unit.name,
            device.protocol,
            device.name,
            unit.state,
            unit.since_ms,
            unit.last_heard_ms,
            None,
            None,
            None,
            0,
            stalled=False,
            about=unit.trouble,
        )


def _of_gateway(gateway: GatewayHealth) -> Row:
    tally = gateway.tally
    behind = f"{gateway.connections} connected, {gateway.online} of {gateway.devices} devices online"
    return Row(
        gateway.name,
        "gateway",
        gateway.place,
        gateway.link,
        None,
        None,
        None,
        tally.heard,
        tally.refusals,
        tally.lost,
        stalled=bool(gateway.stalled),
        about=gateway.stalled or behind,
    )


def summary(health: HostHealth, *, name: str, memory_mib: float | None) -> tuple[str, ...]:
    """The head: the host and its line to the broker, then how its devices stand."""
    publisher = health.publisher
    line = "connected" if publisher.connected else f"not connected: {publisher.trouble}"
    memory = "" if memory_mib is None else f" · memory {memory_mib:.0f} MiB"
    found = [row.link for row in rows(health)]
    counts = [f"{found.count(link)} {'unknown' if link is None else link}" for link in reversed(_RANKS)]
    return (
        f"{name} · broker {line} · outbox {count(publisher.unconfirmed)} waiting{memory}",
        f"{len(found)} links: " + ", ".join(one for one in counts if not one.startswith("0 ")),
    )


def notes(health: HostHealth) -> tuple[str, ...]:
    """What comes to our ports and is of no device."""
    return tuple(
        f"{box.place}: {count(box.unknown)} datagrams of no device here, from {', '.join(box.strangers)}"
        for box in health.letterboxes
        if box.unknown
    )


def span(seconds: float) -> str:
    """A length of time in one unit: `5s`, `12m`, `3h`, `2d`."""
    whole = max(0, int(seconds))
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if whole >= unit:
            return f"{whole // unit}{name}"
    return f"{whole}s"


def count(number: int) -> str:
    """A number of at most five characters: `12345`, `123k`, `12M`."""
    for size, name in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= 100_000 and number >= size:
            return f"{number // size}{name}"
    return str(number)
