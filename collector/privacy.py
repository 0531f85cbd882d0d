"""The collector's allow-list: what of an unreadable payload may be kept readable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import orjson
from pydantic import BaseModel

from telemetry import messages

MASKED = "masked"


def _field_names() -> Iterator[str]:
    for model in vars(messages).values():
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from model.model_fields


_ALLOWED = frozenset(_field_names())


def _only_known(value: object) -> bool:
    """Whether every key at every depth is a field of the language, so that nothing else has a name here."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if not _ALLOWED.issuperset(one):
                return False
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
    return True


def mask(payload: bytes) -> bytes:
    """The payload itself if it names only fields of the language, else its length and SHA-256 alone."""
    if len(payload) <= messages.MAX_PAYLOAD_BYTES:
        try:
            value = orjson.loads(payload)
        except orjson.JSONDecodeError:
            value = None
        if isinstance(value, dict) and _only_known(value):
            return payload
    return orjson.dumps({MASKED: {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}})
