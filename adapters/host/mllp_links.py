"""The links of the devices behind one gateway: their names in topics, and what was told of them.

Rule 1: a device's name comes from the gateway's name and the device's alias alone, so it outlives us.
Rule 2: a status or identity that did not reach the outbox is owed, and told again: it is told only once else.
Rule 3: a device is heard as online, unless its gateway says that it has lost it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from telemetry.messages import Alias, Body, Identity, LinkState, Status

MUTE_AFTER = 3
"""Periods without a word before a device is mute."""
LONGEST_NAME: Final = 64
_DIGITS: Final = 8
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")


def topic_name(gateway: str, alias: Alias) -> str:
    """The name in topics of a device behind a gateway.

    The identifier as it is where a topic can carry it and nothing else tells the device apart; else what a
    topic can carry of it, and eight hex digits of the SHA-256 of namespace and identifier.
    """
    plain = f"{gateway}-{_UNFIT.sub('_', alias.identifier)}"
    if not alias.namespace and plain == f"{gateway}-{alias.identifier}" and len(plain) <= LONGEST_NAME:
        return plain
    told = f"{alias.namespace}\0{alias.identifier}"
    digest = hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
    return f"{plain[: LONGEST_NAME - _DIGITS - 1]}-{digest}"


@dataclass(slots=True, eq=False)
class Behind:
    """One device behind the gateway, or the gateway itself."""

    name: str
    alias: Alias
    heard_ms: int
    """Monotonic time at which it was heard last."""
    told: LinkState | None = None
    """The link as it was told last; None when that is not known to have arrived."""
    heard_as: Status = field(default_factory=lambda: Status(link=LinkState.ONLINE))
    """What its gateway says of its link when the device is heard of."""
    owed: Identity | None = None
    """An identity that did not arrive."""

    def completed(self, bodies: Iterable[Body]) -> tuple[Body, ...]:
        """What is heard of it, after what has to be told before."""
        said = tuple(bodies)
        for body in said:
            if isinstance(body, Status):
                self.heard_as = body
            if isinstance(body, Identity):
                self.owed = None
        before: list[Body] = []
        if self.told is not self.heard_as.link and self.heard_as not in said:
            before.append(self.heard_as)
        if self.owed is not None:
            before.append(self.owed)
        self.told, self.owed = self.heard_as.link, None
        return (*before, *said)

    def untell(self, bodies: Iterable[Body]) -> None:
        """These did not arrive."""
        for body in bodies:
            if isinstance(body, Status):
                self.told = None
            if isinstance(body, Identity) and self.owed is None:
                self.owed = body


@dataclass(frozen=True, slots=True)
class Turn:
    """A status to be told of a device that was not heard."""

    device: Behind
    status: Status


@dataclass(slots=True)
class Links:
    """All devices that are known behind one gateway."""

    gateway: str
    period_ms: int
    most: int
    """Devices that are told apart at most."""
    _known: dict[tuple[str, str], Behind] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def online(self) -> int:
        """Devices that were told to be online."""
        return sum(device.told is LinkState.ONLINE for device in self._known.values())

    def find(self, alias: Alias, *, mono_ms: int) -> Behind | None:
        """The device that is heard under this alias; None when there are too many to take up another."""
        key = (alias.namespace, alias.identifier)
        found = self._known.get(key)
        if found is None and len(self._known) < self.most:
            found = self._known[key] = Behind(topic_name(self.gateway, alias), alias, mono_ms)
        if found is not None:
            found.heard_ms, found.alias = mono_ms, alias
        return found

    def silent(self, *, mono_ms: int) -> Iterator[Turn]:
        """What has to be told of devices that say nothing while the gateway's link is up."""
        status = Status(link=LinkState.MUTE, reason=f"gateway {self.gateway} says nothing of it")
        for device in self._known.values():
            is_silent = mono_ms - device.heard_ms > MUTE_AFTER * self.period_ms
            if is_silent and device.told is not LinkState.MUTE:
                yield Turn(device, status)

    def gone(self, reason: str) -> Iterator[Turn]:
        """What has to be told because nothing can be heard of any of them."""
        status = Status(link=LinkState.OFFLINE, reason=reason)
        for device in self._known.values():
            if device.told is not LinkState.OFFLINE:
                yield Turn(device, status)
