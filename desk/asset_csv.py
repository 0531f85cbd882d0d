"""Rows of a CSV file: its letters and its separator are recognised where they can be, or given."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from desk.asset_sheet import Cell, Encoding, Separator, Sheet, cell, rows
from desk.asset_words import column_of
from telemetry.errors import SettingsError

_SIGNS: Final = MappingProxyType({Separator.COMMA: ",", Separator.SEMICOLON: ";", Separator.TAB: "\t"})
_HEAD: Final = 20
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_csv(
    data: bytes, *, where: str, encoding: Encoding | None = None, separator: Separator | None = None
) -> Sheet:
    """The rows of a CSV file. Raises SettingsError if it is none, TooLargeError.

    Without an encoding it is UTF-8, or UTF-16 where its first bytes say so; without a separator it is the one
    that makes most sense of the first rows.
    """
    text = _text(data, where=where, encoding=encoding)
    sign = _SIGNS[separator] if separator else _separator(text)
    return Sheet("", rows(_read(text, sign, where=where)))


def _text(data: bytes, *, where: str, encoding: Encoding | None) -> str:
    taken = encoding or (Encoding.UTF_16 if data.startswith(_UTF_16) else Encoding.UTF_8)
    try:
        return data.decode("utf-8-sig" if taken is Encoding.UTF_8 else taken)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        others = " or ".join(f"--encoding {one}" for one in (Encoding.CP1258, Encoding.WINDOWS_1252))
        raise SettingsError(
            where=where,
            found=f"line {line} holds a byte that is no {taken.value.upper()}",
            expected="a file saved as «CSV UTF-8»" + ("" if encoding else f", or {others}"),
        ) from error


def _separator(text: str) -> str:
    """The sign by which one of the first rows holds most known names; else by which each has most cells."""
    head = "\n".join(text.split("\n", _HEAD)[:_HEAD])

    def found(sign: str) -> tuple[int, int]:
        try:
            read = [row for row in csv.reader(io.StringIO(head), delimiter=sign) if row]
        except csv.Error:
            return (0, 0)
        known = max((sum(column_of(name) is not None for name in row) for row in read), default=0)
        return (known, min(map(len, read), default=0))

    return max(_SIGNS.values(), key=found)


def _read(text: str, sign: str, *, where: str) -> Iterator[tuple[Cell, ...]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)
    try:
        for row in reader:
            yield tuple(map(cell, row))
    except csv.Error as error:
        raise SettingsError(
            where=where,
            found=f"line {reader.line_num} cannot be read as CSV: {error}",
            expected='cells with quotes or separators in them in double quotes, a quote written as ""',
        ) from error
