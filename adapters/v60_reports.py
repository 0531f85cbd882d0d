"""The two reports of a Respironics V60 as bytes, in the frame that Puritan Bennett ventilators use.

    SNDA CR   MISCA,706,97,   STX  field 5, ... ,field 101,   ETX  CR
    VRPT CR   VRPT,988,133,   STX  field 5, ... ,field 137,   ETX  CR
              VRPT,988,133,   STX , field 5, ... ,field 137, , ETX  CR     as the public reader takes it

Rule 1: the widths of the fields are told by no source read, only their number and their bytes together: the
fields are told apart by their commas. What we write ourselves has widths of our own.
Rule 2: whether 988 counts all bytes between STX and ETX, or leaves out a comma at either end, is told
differently by that reader than the other reports suggest: both are read.

The numbers of the fields are those of the Puritan Bennett tables: the index of that reader and 4.
RTA-node-python, parsers/V60.
"""

from __future__ import annotations

from typing import Final

from adapters.framing import HeadedFrames
from adapters.puritan_bennett_reports import SNDA as PB_SNDA
from adapters.puritan_bennett_reports import Layout, Report, frames, report_of

_WIDTHS: Final = (9,) * 19 + (6,) * 114
"""Ours: 133 fields that with their commas have 988 bytes."""
SNDA: Final = Layout(b"SNDA", PB_SNDA.header, PB_SNDA.widths, date=PB_SNDA.date, loose=True)
VRPT: Final = Layout(b"VRPT", b"VRPT,988,133,\x02", _WIDTHS, date=8, loose=True)
VRPT_COMMAS: Final = Layout(b"VRPT", b"VRPT,988,133,\x02,", _WIDTHS, date=8, loose=True, trailer=b",\x03\r")
LAYOUTS: Final = (SNDA, VRPT, VRPT_COMMAS)


def v60_frames() -> HeadedFrames:
    """The framing of one stream of a V60's reports."""
    return frames(LAYOUTS)


def v60_report(frame: bytes) -> Report:
    """Reads a sound frame."""
    return report_of(frame, layouts=LAYOUTS)
