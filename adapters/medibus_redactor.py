"""Makes MEDIBUS bytes fit to be kept: each sound frame says of the equipment what it said, and nothing else.

Rule 1: realtime values and flow control are let go; a command inside a response is kept before it.
Rule 2: of measured values those of equipment stay, rate and volume become 1 or 0, all others go; of texts the
codes stay that the adapter looks at; an alarm's phrase stays where the table has the same - that of MEDIBUS.X
if the model is not known - or where the adapter would tell it; all other data goes. Checksums are made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from adapters.contract import Refusal
from adapters.medibus_adapter import ALARMS_1, ALARMS_2, CLOCK, TEXT, VALUES, family_of
from adapters.medibus_codes import (
    BATTERY_PCT,
    MEDIBUS_X,
    MODELS,
    O2_SUPPLY_MBAR,
    RATE,
    TEXTS,
    UNKNOWN_FAMILY,
    VOLUMES,
)
from adapters.medibus_frames import COMMAND, Damaged, Flow, Frame, Frames, Item, frame_of
from adapters.medibus_records import (
    alarms,
    figure,
    identification,
    is_clock,
    name_of,
    text_codes,
    text_row,
    values,
)
from adapters.medibus_talk import ID
from adapters.redacting import FrameRedactor

BLOT: Final = b"~"
"""A character that no phrase, name or figure has."""
_EQUIPMENT: Final = frozenset({BATTERY_PCT, O2_SUPPLY_MBAR})
_USE: Final = frozenset({RATE, *VOLUMES})


class _Framing:
    """The frames of one link as the redactor takes them."""

    def __init__(self) -> None:
        self._frames = Frames()

    def feed(self, data: bytes) -> Iterator[Frame | Refusal]:
        return _readable(self._frames.feed(data))

    def close(self) -> Iterable[Frame | Refusal]:
        return self._frames.close()


def _readable(items: Iterable[Item]) -> Iterator[Frame | Refusal]:
    for item in items:
        match item:
            case Damaged():
                yield item.refusal
            case Flow():
                pass
            case _:
                yield item


class _Keeping:
    """What is kept of each frame, given which device speaks."""

    def __init__(self) -> None:
        self._family = UNKNOWN_FAMILY

    def keep(self, frame: Frame) -> bytes:
        """The frame without what is a patient's; nothing if it cannot be read."""
        data = b"" if frame.start == COMMAND else self._data(frame.code, frame.data)
        return b"" if data is None else frame_of(frame.start, frame.code, data)

    def _data(self, code: int, data: bytes) -> bytes | None:
        if code == ID:
            return self._identification(data)
        if code in {ALARMS_1, ALARMS_2}:
            return self._alarms("CP1" if code == ALARMS_1 else "CP2", data)
        if code == VALUES:
            return _values(data)
        if code == TEXT:
            return _texts(data)
        if code == CLOCK:
            return data if is_clock(data) else None
        return b""

    def _identification(self, data: bytes) -> bytes | None:
        who = identification(data)
        if who is None:
            if data:
                return None
            self._family = UNKNOWN_FAMILY
            return data
        self._family = family_of(who, others=UNKNOWN_FAMILY)
        known = MODELS.get(who.number)
        name = known.name if known else (who.name if name_of(who) else BLOT.decode())
        return replace(who, name=name).data

    def _alarms(self, page: str, data: bytes) -> bytes | None:
        records = alarms(data)
        if records is None:
            return None
        kept = []
        for record in records:
            code = f"{page}-{record.code}"
            known = self._family.table.get(code)
            if known is None and not record.phrase and self._family is UNKNOWN_FAMILY:
                known = MEDIBUS_X.get(code)
            stays = record.agrees(known.phrase) if known else record.phrase
            kept.append(record if stays else replace(record, raw=BLOT * len(record.raw)))
        return b"".join(record.row for record in kept)


def _values(data: bytes) -> bytes | None:
    words = values(data)
    if words is None:
        return None
    return b"".join(
        code.encode() + _word(code, word) for code, word in words.items() if code in _EQUIPMENT | _USE
    )


def _word(code: str, word: bytes) -> bytes:
    value = figure(word)
    if value is None:
        return BLOT * len(word)
    if code in _EQUIPMENT:
        return word
    return b"   1" if value > 0 else b"   0"


def _texts(data: bytes) -> bytes | None:
    codes = text_codes(data)
    return None if codes is None else b"".join(text_row(code, BLOT) for code in TEXTS if code in codes)


def redactor_of() -> FrameRedactor[Frame]:
    """A redactor for one link."""
    return FrameRedactor(_Framing(), keep=_Keeping().keep)
