"""Makes the bytes of an IntelliVue monitor fit to be kept: of each message only what the adapter looks at.

Rule 1: a message is made anew from what was read of it; an attribute that is not looked at keeps its length
and is blotted out, and so is a part of one, a text that is no text of a device, and a value that is none of
its attribute. Alerts lose their texts.
Rule 2: bytes of no message, and messages that tell nothing, are blotted out with a byte that begins none.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from adapters import intellivue_association as association
from adapters import intellivue_layout as layout
from adapters import intellivue_writing as writing
from adapters.contract import Refusal
from adapters.intellivue_alerts import LISTS
from adapters.intellivue_association import Control
from adapters.intellivue_frames import Cut, Frames, Message
from adapters.intellivue_layout import Attributes, Polled, Remark, Told
from adapters.intellivue_monitor import (
    DATA_EXPORT,
    ID_BYTES,
    MODE,
    MODEL,
    PROTOCOLS,
    SPECIFICATION,
    SPECIFICATIONS,
    SYSTEM_ID,
    SYSTEM_TYPE,
    TIME,
    text_of,
    time_of,
)

_BLOT: Final = b"\xff"
_FIXED: Final = MappingProxyType({MODE: 2, SYSTEM_TYPE: 4})
"""Bytes of attributes that are numbers."""
_CONTROLS: Final = MappingProxyType({
    Control.REQUEST: association.request,
    Control.ACCEPT: association.accept,
    Control.REFUSE: association.refuse,
    Control.RELEASE: association.release,
    Control.RELEASED: association.released,
    Control.ABORT: association.abort,
})  # fmt: skip


class Redactor:
    """The redactor of one link."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._fed = 0
        self._done = 0

    def feed(self, data: bytes) -> bytes:
        """What may be kept of the messages that these bytes complete."""
        self._fed += len(data)
        return b"".join(map(self._kept, self._frames.feed(data))) + self._blotted_to(
            self._fed - self._frames.held
        )

    def closed(self) -> bytes:
        """What is left."""
        return b"".join(map(self._kept, self._frames.close())) + self._blotted_to(self._fed)

    def _kept(self, cut: Cut) -> bytes:
        if isinstance(cut, Refusal):
            return b""
        before = self._blotted_to(cut.offset)
        self._done += len(cut.data)
        return before + _redacted(cut)

    def _blotted_to(self, offset: int) -> bytes:
        count = max(0, offset - self._done)
        self._done += count
        return _BLOT * count


def _redacted(message: Message) -> bytes:
    match message.said:
        case Control() as control:
            return _CONTROLS[control]()
        case Told() as told:
            return writing.told_of(replace(told, attributes=_attributes(told.attributes)))
        case Polled() as polled:
            objects = tuple(map(_attributes, polled.objects))
            return writing.polled_of(replace(polled, objects=objects))
        case Remark():
            return _BLOT * len(message.data)


def _attributes(attributes: Attributes) -> Attributes:
    return {number: _value(number, value) for number, value in attributes.items()}


def _value(number: int, value: bytes) -> bytes:
    if number in LISTS:
        return writing.rows_of(map(writing.alert_of, layout.alerts(value)))
    if number == SPECIFICATION:
        rows = layout.specifications(value)
        return writing.rows_of(
            writing.specification_of(kind, at, _text(text, is_read=kind in SPECIFICATIONS))
            for kind, at, text in rows
        )
    if number == MODEL:
        names = enumerate(layout.strings(value))
        return b"".join(writing.text_of(_text(name, is_read=place == 1)) for place, name in names)
    if number == SYSTEM_ID:
        ids = enumerate(layout.strings(value))
        return b"".join(
            writing.text_of(one if place == 0 and len(one) in ID_BYTES else bytes(len(one)))
            for place, one in ids
        )
    if number == PROTOCOLS:
        told = layout.protocols(value)
        return writing.rows_of(
            struct.pack(">HHHH", app, 0, port, 0) if app in DATA_EXPORT else bytes(8) for app, port in told
        )
    is_read = len(value) == _FIXED.get(number) or (number == TIME and time_of({TIME: value}) is not None)
    return value if is_read else bytes(len(value))


def _text(text: bytes, *, is_read: bool) -> bytes:
    return text if is_read and text_of(text) else bytes(len(text))
