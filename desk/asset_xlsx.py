"""Rows of an XLSX workbook: what its cells show, never what their formulas might be.

Rule 1: a formula of which no value was saved, an error and a shortened number are spoiled cells.
Rule 2: what a packed file says that it unpacks to is bounded before it is unpacked, and holds while it is.
"""

from __future__ import annotations

import io
import lzma
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from itertools import zip_longest
from typing import Any, Final

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from desk.asset_sheet import Cell, Sheet, Spoiled, TooLargeError, cell, rows
from telemetry.errors import SettingsError

MAX_UNPACKED: Final = 128 << 20
"""Bytes of all parts of a workbook; the sheets of 10,000 devices take 20 MB."""
MAX_PARTS: Final = 2_000
EXACT: Final = 10**15
"""A spreadsheet keeps 15 digits of a number."""
_ODD: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    InvalidFileException,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What openpyxl and the parsers below it raise on a damaged workbook; no class of errors of its own."""
Read = tuple[Any, ...]


def read_xlsx(data: bytes, *, where: str, sheet: str = "") -> Sheet:
    """The rows of a workbook's first sheet, or of the one named so.

    Raises SettingsError if it is no such workbook, TooLargeError.
    """
    with _odd_refused(where):
        _bound(data)
        shown, formulas = (
            load_workbook(io.BytesIO(data), read_only=True, data_only=values, keep_links=False)
            for values in (True, False)
        )
        names = [one.title for one in shown.worksheets]
    if not names or (sheet and sheet not in names):
        raise SettingsError(
            where=f"{where}, sheet {sheet!r}" if sheet else where,
            found="is not in the workbook" if sheet else "the workbook has no sheet",
            expected=f"one of {', '.join(map(repr, names))}"
            if names
            else "a sheet with a row for each asset",
        )
    at = names.index(sheet) if sheet else 0
    with _odd_refused(where):
        return Sheet(names[at], rows(_read(shown.worksheets[at], formulas.worksheets[at])))


@contextmanager
def _odd_refused(where: str) -> Iterator[None]:
    """Whatever a damaged workbook makes the library raise is one error of ours; its warnings are nobody's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except TooLargeError:
        raise
    except _ODD as error:
        raise SettingsError(
            where=where,
            found=f"cannot be read as a workbook ({type(error).__name__})",
            expected="a file that a spreadsheet program saved as .xlsx, without a password; or a CSV file",
        ) from error


def _bound(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        parts = packed.infolist()
        if len(parts) > MAX_PARTS:
            raise TooLargeError(f"{len(parts):,} parts in the workbook")
        size = sum(part.file_size for part in parts)
        if size > MAX_UNPACKED:
            raise TooLargeError(f"{size >> 20:,} MiB in the workbook, unpacked")


def _read(shown: Any, formulas: Any) -> Iterator[tuple[Cell, ...]]:  # noqa: ANN401 - the library's sheets
    for sheet in (shown, formulas):
        sheet.reset_dimensions()  # what a sheet says of its own size may be wrong
    for values, behind in zip_longest(shown.iter_rows(), formulas.iter_rows(), fillvalue=()):
        yield tuple(
            _formula(value.value) if getattr(source, "data_type", "") == "f" else _cell(value)
            for value, source in zip_longest(values, behind)
        )


def _formula(value: object) -> Cell:
    if value is None:
        return Spoiled("is a formula without a saved value", "the value itself, or the file saved by Excel")
    return _told(value)


def _cell(read: Any) -> Cell:  # noqa: ANN401 - the library's cells
    if read is None:
        return ""
    if getattr(read, "data_type", "") == "e":
        return Spoiled("holds an error of the spreadsheet", "the value itself")
    return _told(read.value)


def _told(value: object) -> Cell:
    """A value as its text: a day as ISO 8601, a whole number without a decimal point."""
    match value:
        case None:
            return ""
        case str():
            return cell(value)
        case bool():
            return str(value).upper()
        case int() | float():
            return _number(value)
        case datetime():
            return value.date().isoformat()
        case date():
            return value.isoformat()
        case _:
            return Spoiled("holds a time of day", "a text, a number or a date")


def _number(value: float) -> Cell:
    if not math.isfinite(value) or abs(value) >= EXACT:
        return Spoiled("holds a number of more than 15 digits, of which a spreadsheet keeps 15", "it as text")
    return str(int(value)) if value == int(value) else repr(value)
