"""The link of a device and of the units behind it: what was told of each, and what has to be told.

Rule 1: a status is told on change only, and anew once something was lost for want of room.
Rule 2: a unit is heard as online, unless the link itself says otherwise of it; it never outlives its link.
Rule 3: a unit's name comes from the device's name and the protocol alone, so it outlives us.
Rule 4: keys of occurrences are an adapter's own; the word of its life before them tells them from those of
another adapter, before a restart of the host.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from adapters.contract import UNTOLD, Heard
from adapters.host.device_health import UnitHealth
from telemetry import topics
from telemetry.messages import Alarm, Alias, Body, Fault, LinkState, Status, Strength

MUTE_AFTER: Final = 3
"""Polls, or periods of a device that speaks by itself, without a reading before it is mute."""
MOST_UNITS: Final = 256
"""Units that are told apart behind one link."""
LONGEST_NAME: Final = 32
"""Characters of the name of a device that has units, so that theirs have room behind it."""
LONGEST_UNIT: Final = 16
"""Characters of the name of a unit."""
LONGEST_PORT: Final = 64
"""Characters of publisher, device and a stroke between them: what an alias can have."""
REASON_CHARACTERS: Final = 256
"""What a status can carry."""
KEY_CHARACTERS: Final = 128
"""What the key of an occurrence can have."""


@dataclass(slots=True, eq=False)
class Unit:
    """A device behind the link, or the link itself."""

    name: str
    """Its name in topics."""
    port: Alias
    """What it is called while it has told no other name."""
    alias: Alias
    link: LinkState | None = None
    """None before anything is known."""
    reason: str = ""
    since_ms: int | None = None
    last_heard_ms: int | None = None
    silent: int = 0
    """Rounds without a word."""
    told: Status | None = None
    """What was told last; None when that is not known to have arrived."""

    @property
    def health(self) -> UnitHealth:
        """How it stands."""
        return UnitHealth(self.name, self.link, self.reason, self.since_ms, self.last_heard_ms)

    def turned(self, status: Status, *, at_ms: int) -> Iterator[Said]:
        """What has to be told as its link is this from now on."""
        if status.link is not self.link:
            self.since_ms = at_ms
        self.link, self.reason = status.link, status.reason
        if self.told is None or status.link is not self.told.link:
            self.told = status
            yield Said(self, status)


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be told of a unit."""

    unit: Unit
    body: Body


@dataclass(slots=True)
class Units:
    """All that is known behind the link of one device, the link itself first."""

    publisher: str
    """Who names the port: another host may have one of the same name."""
    name: str
    protocol: str
    has_units: bool
    """Whether the protocol says that several devices may speak behind one link."""
    life: str = field(default="", init=False)
    """The word of the life of the adapter that speaks; no other adapter of this device ever has it."""
    link: Unit = field(init=False)
    _known: dict[str, Unit] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Begin with the link alone."""
        self.link = self._made(self.name)

    def __iter__(self) -> Iterator[Unit]:
        yield self.link
        yield from self._known.values()

    @property
    def behind(self) -> tuple[Unit, ...]:
        """Those that were heard behind the link, in the order of their first word."""
        return tuple(self._known.values())

    def find(self, unit: str) -> Unit | None:
        """The unit of that name, the link itself for none; None when there are too many to take up another.

        Raises ValueError for a name that a protocol file may not give.
        """
        if not unit:
            return self.link
        if unit in self._known:
            return self._known[unit]
        name = f"{self.name}-{unit}"
        if not self.has_units or not topics.is_name(name) or len(unit) > LONGEST_UNIT:
            raise ValueError(f"protocol {self.protocol}: {unit!r} is no unit that it may speak of")
        if len(self._known) >= MOST_UNITS:
            return None
        self._known[unit] = self._made(name)
        return self._known[unit]

    def heard(self, heard: Heard, unit: Unit, *, at_ms: int) -> Iterator[Said]:
        """What has to be told as that was heard of the unit."""
        for one in (self.link, unit):
            one.silent, one.last_heard_ms = 0, at_ms
        unit.alias = unit.port if heard.alias == UNTOLD else heard.alias
        if unit is not self.link:
            yield from self.link.turned(Status(link=LinkState.ONLINE), at_ms=at_ms)
        if not any(isinstance(body, Status) for body in heard.bodies):
            yield from unit.turned(Status(link=LinkState.ONLINE), at_ms=at_ms)
        for body in heard.bodies:
            if isinstance(body, Status):
                yield from unit.turned(body, at_ms=at_ms)
            else:
                yield Said(unit, _of(self.life, body))

    def begun(self) -> None:
        """A link is up: silence is counted from here."""
        for one in self:
            one.silent = 0

    def round_over(self, *, at_ms: int) -> Iterator[Said]:
        """What has to be told as a poll, or a period, is over."""
        for one in self:
            one.silent += 1
            is_link = one is self.link
            if one.silent == MUTE_AFTER and (is_link or one.link is LinkState.ONLINE):
                reason = "does not answer" if self.link.silent >= MUTE_AFTER else "is not told of any more"
                yield from one.turned(Status(link=LinkState.MUTE, reason=reason), at_ms=at_ms)

    def gone(self, reason: str, *, at_ms: int) -> Iterator[Said]:
        """What has to be told because nothing can be heard of any of them."""
        status = Status(link=LinkState.OFFLINE, reason=reason[:REASON_CHARACTERS])
        for one in self:
            if one is self.link or one.link is not LinkState.OFFLINE or one.told is None:
                yield from one.turned(status, at_ms=at_ms)

    def untell(self) -> None:
        """It is not known what has arrived: whatever is told next is told anew."""
        for one in self:
            one.told = None

    def _made(self, name: str) -> Unit:
        port = Alias(
            protocol=self.protocol,
            namespace="port",
            identifier=f"{self.publisher}/{name}",
            strength=Strength.WEAK,
        )
        return Unit(name, port, port)


def _of(life: str, body: Body) -> Body:
    """The body with a key that tells occurrences of this life from those of others."""
    if not isinstance(body, Alarm | Fault):
        return body
    key = f"{life}/{body.key}"
    if len(key) > KEY_CHARACTERS:
        key = f"{life}/{hashlib.blake2b(body.key.encode(), digest_size=16).hexdigest()}"
    return body.model_copy(update={"key": key})
