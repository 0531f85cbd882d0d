"""The shape of the publisher's link: MQTT, or the in-process bus of the demo and of tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us, retained and with QoS 1, when we are gone without a word."""

    topic: str
    payload: bytes


class Connection(Protocol):
    """One connection, subscribed to our confirmations before `connect` returned it."""

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        properties: Sequence[tuple[str, str]],
        retain: bool,
        expires_s: int | None = None,
    ) -> None:
        """Publish with QoS 1 and return when the broker has it. Raises Unavailable when the link is lost.

        What has waited in the broker for `expires_s` seconds is of no use any more and not delivered.

        Calls keep their order: a call that begins later goes out later.
        """

    def confirmations(self) -> AsyncIterator[bytes]:
        """Payloads of `hourmeter/1/{publisher}/confirmed`, the retained one first if the broker has one.

        To be iterated once; raises Unavailable when the link is lost.
        """


class Link(Protocol):
    """Where connections come from."""

    def connect(self, will: Will) -> AbstractAsyncContextManager[Connection]:
        """Connect. Raises Unavailable (try again), SettingsError (refused for good).

        Leaving it closes the connection in peace, so that the will is not published; after an error, or
        when that is not possible, the broker may publish it.
        """
