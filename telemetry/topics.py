"""Topics `hourmeter/1/{publisher}/{device}/{kind}`, with names that need no escaping."""

from __future__ import annotations

import re
from typing import NamedTuple

from telemetry.errors import MessageError

ROOT = "hourmeter/1"
LINK = "_link"
"""The device name under which a host speaks of itself."""
SYNC = "sync"
EVERYTHING = f"{ROOT}/+/+/+"
"""What the collector subscribes to; confirmations have a level less and are not among it."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class Topic(NamedTuple):
    """Who speaks (the MQTT user), of which device, and what kind of message."""

    publisher: str
    device: str
    kind: str

    def __str__(self) -> str:
        """Write the topic as MQTT carries it."""
        return f"{ROOT}/{self.publisher}/{self.device}/{self.kind}"


def is_name(text: str) -> bool:
    """Whether the text can stand as one level of a topic."""
    return _NAME.match(text) is not None


def parse(topic: str) -> Topic:
    """The parts of a topic. Raises MessageError if it is not one of ours."""
    parts = topic.split("/")
    if len(parts) != 5 or parts[:2] != ["hourmeter", "1"] or not all(map(is_name, parts[2:])):
        raise MessageError(f"topic is not {ROOT}/publisher/device/kind with names of A-Z a-z 0-9 _ -")
    return Topic(parts[2], parts[3], parts[4])


def confirmed(publisher: str) -> str:
    """Topic of the collector's retained confirmation to one publisher."""
    return f"{ROOT}/{publisher}/confirmed"
