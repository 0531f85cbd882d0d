"""A sheet of assets as rows of text, read from the bytes of a CSV or XLSX file.

Rule 1: any bytes give rows, or a SettingsError that says what is wrong with the file.
Rule 2: a cell that cannot be taken as it stands is kept as spoiled, with what would be right; it is an error
only where somebody wants it.
Rule 3: what is read is bounded, however small the file.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

MAX_BYTES: Final = 16 << 20
"""Size of a file at most: an inventory of 10,000 devices takes 2 MB."""
MAX_ROWS: Final = 50_000
MAX_COLUMNS: Final = 256
MAX_CELLS: Final = 2_000_000
MAX_TEXT: Final = 1_000
"""Characters of a cell at most."""


class Spoiled(NamedTuple):
    """A cell that cannot be taken as it stands."""

    found: str
    expected: str


Cell = str | Spoiled
"""The text of a cell in one line, in the form that Unicode calls NFC; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `number` is what a spreadsheet shows beside it."""

    number: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows that hold anything; `name` is that of the sheet within its workbook, empty for a CSV file."""

    name: str
    rows: tuple[Row, ...]


class Encoding(StrEnum):
    """How a CSV file writes its letters."""

    UTF_8 = "utf-8"
    UTF_16 = "utf-16"
    CP1258 = "cp1258"
    WINDOWS_1252 = "windows-1252"


class Separator(StrEnum):
    """What stands between the cells of a CSV file."""

    COMMA = "comma"
    SEMICOLON = "semicolon"
    TAB = "tab"


class TooLargeError(ValueError):
    """The sheet has more than an inventory has; its text says more of what."""


def cell(text: str) -> Cell:
    """A text as a cell: in one line, spaces in a row as one."""
    told = unicodedata.normalize("NFC", " ".join(text.split()))
    if len(told) > MAX_TEXT:
        return Spoiled(f"has {len(told)} characters", f"at most {MAX_TEXT}")
    if not told.isprintable():
        odd = next(letter for letter in told if not letter.isprintable())
        return Spoiled(f"holds the invisible character U+{ord(odd):04X}", "the text without it")
    return told


def rows(read: Iterator[tuple[Cell, ...]]) -> tuple[Row, ...]:
    """Rows with their numbers, empty ones left out. Raises TooLargeError."""
    kept: list[Row] = []
    cells = 0
    for number, row in enumerate(read, 1):
        if number > MAX_ROWS:
            raise TooLargeError(f"more than {MAX_ROWS:,} rows")
        cells += len(row)
        if cells > MAX_CELLS:
            raise TooLargeError(f"more than {MAX_CELLS:,} cells")
        used = max((at for at, told in enumerate(row, 1) if told), default=0)
        if used > MAX_COLUMNS:
            raise TooLargeError(f"more than {MAX_COLUMNS} columns, in row {number}")
        if used:
            kept.append(Row(number, row[:used]))
    return tuple(kept)
