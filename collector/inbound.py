"""The shape of what brings messages in: MQTT, or the in-process bus of the demo and of tests."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol


class Received(NamedTuple):
    """One message as it came in, before anything of it is read."""

    topic: str
    payload: bytes
    properties: tuple[tuple[str, str], ...]
    """MQTT 5 user properties in order."""
    retain: bool
    """Published as retained: it states how things are, live or from the broker's store."""
    token: object
    """What `acknowledge` needs to know; meaningless elsewhere."""


class Session(Protocol):
    """One connection's worth of receiving."""

    @property
    def session_present(self) -> bool:
        """Whether the broker kept our session: False after the first connect means that it lost one."""

    async def receive(self) -> Sequence[Received]:
        """All messages that came in, in order, at least one. Raises Unavailable when the link is lost."""

    def acknowledge(self, received: Sequence[Received]) -> None:
        """Tell the broker that these, the next in order, are safe. On a link already lost it does nothing."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Publish with QoS 1 and return when the broker has it. Raises Unavailable."""


class Inbound(Protocol):
    """Where sessions come from."""

    def connect(self) -> AbstractAsyncContextManager[Session]:
        """Connect and subscribe. Raises Unavailable (try again), SettingsError (refused for good)."""
