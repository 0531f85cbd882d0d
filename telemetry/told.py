"""Reads payloads by the thousand: what repeats in them is validated once and remembered.

Rule 1: the answer is that of `messages.decode`, for every payload; only the way there is shorter.
Rule 2: a part is remembered only after it was validated as a whole JSON value by itself, so a payload that is
put together of such parts is what it would be if it were read from its first byte to its last.
Rule 3: what is remembered is bounded, and forgetting changes nothing but time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from telemetry.messages import Alias, Body, decode
from telemetry.times import to_us

_T = TypeVar("_T")

_REMEMBERED: Final = 8_192
"""Parts of each sort."""
_PART_BYTES: Final = 1_024
"""Longer parts are read anew each time."""

_HEAD: Final = b'{"v":1,"alias":'
_OBSERVED: Final = b',"observed_at":"'
_DEVICE_TIME: Final = b',"device_time":"'
_BODY: Final = b',"body":'
_SECOND: Final = 19
"""Characters of `2026-11-22T07:26:23`."""
_MICRO: Final = 6
_PLAIN: Final = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.(?:[0-9]{3}|[0-9]{6}))?"
)

_ALIAS: Final = TypeAdapter(Alias)
_BODIES: Final[TypeAdapter[Body]] = TypeAdapter(Body)


class Told(NamedTuple):
    """What one message says, in the form in which the collector carries it."""

    alias: Alias | None
    observed_us: int | None
    """The adapter's clock in microseconds since 1970; None in a will."""
    device_time: datetime | None
    body: Body


def read(payload: bytes) -> Told:
    """One payload by itself. Raises MessageError as `messages.decode` does."""
    message = decode(payload)
    observed_us = None if message.observed_at is None else to_us(message.observed_at)
    return Told(message.alias, observed_us, message.device_time, message.body)


class Reader:
    """Reads payloads; one is used by one thread at a time."""

    def __init__(self, *, remember: int = _REMEMBERED) -> None:
        self._remember = remember
        self._aliases: dict[bytes, Alias] = {}
        self._bodies: dict[bytes, Body] = {}
        self._seconds: dict[bytes, int] = {}

    @property
    def remembered(self) -> int:
        """Parts that are remembered now."""
        return len(self._aliases) + len(self._bodies) + len(self._seconds)

    def read(self, payload: bytes) -> Told:
        """What `read` answers. Raises MessageError."""
        head, _, rest = payload.partition(_OBSERVED)
        stamp, _, tail = rest.partition(b'"')
        alias = self._aliases.get(head)
        if alias is None:
            alias = self._new_alias(head)
        second_us = self._seconds.get(stamp[:_SECOND])
        if second_us is None:
            second_us = self._new_second(stamp[:_SECOND])
        fraction_us = _fraction_us(stamp[_SECOND:])
        device_time = None
        if tail.startswith(_DEVICE_TIME):
            told, _, tail = tail[len(_DEVICE_TIME) :].partition(b'"')
            device_time = _plain_time(told)
            if device_time is None:
                return read(payload)
        body = self._bodies.get(tail)
        if body is None:
            body = self._new_body(tail)
        if alias is None or second_us is None or fraction_us is None or body is None:
            return read(payload)
        return Told(alias, second_us + fraction_us, device_time, body)

    def _new_alias(self, head: bytes) -> Alias | None:
        """The alias that stands alone in the beginning of a payload."""
        if not head.startswith(_HEAD):
            return None
        try:
            alias = _ALIAS.validate_json(head[len(_HEAD) :], strict=True)
        except ValidationError:
            return None  # the whole payload is read, and says what is wrong
        return self._keep(self._aliases, head, alias)

    def _new_second(self, text: bytes) -> int | None:
        second = _plain_time(text)
        return None if second is None else self._keep(self._seconds, text, to_us(second.replace(tzinfo=UTC)))

    def _new_body(self, tail: bytes) -> Body | None:
        """The body that stands alone in the rest of a payload."""
        if not (tail.startswith(_BODY) and tail.endswith(b"}")):
            return None
        try:
            body = _BODIES.validate_json(tail[len(_BODY) : -1], strict=True)
        except ValidationError:
            return None  # the whole payload is read, and says what is wrong
        return self._keep(self._bodies, tail, body)

    def _keep(self, memory: dict[bytes, _T], part: bytes, value: _T) -> _T:
        if len(part) <= _PART_BYTES:
            if len(memory) >= self._remember:
                memory.clear()
            memory[part] = value
        return value


def _fraction_us(text: bytes) -> int | None:
    """Microseconds of `.123Z` or `Z`, None for any other form."""
    if text == b"Z":
        return 0
    digits = text[1:-1]
    if text[:1] == b"." and text[-1:] == b"Z" and len(digits) <= _MICRO and digits.isdigit():
        return int(digits.ljust(_MICRO, b"0"))
    return None


def _plain_time(text: bytes) -> datetime | None:
    """A time without a zone in the form that `messages.encode` writes, None for any other form."""
    if not _PLAIN.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.decode())
    except ValueError:
        return None  # the whole payload is read, and says what is wrong
