"""A file of assets, read as what its first bytes are and not as what it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from desk.asset_csv import read_csv
from desk.asset_sheet import MAX_BYTES, Encoding, Separator, Sheet, TooLargeError
from telemetry.errors import SettingsError

_ZIP: Final = b"PK"
_OLE: Final = bytes.fromhex("D0CF11E0A1B11AE1")
"""Old workbooks, and all that are kept with a password."""


class Reading(NamedTuple):
    """How a file is to be read where it is not read as found."""

    encoding: Encoding | None = None
    separator: Separator | None = None
    sheet: str = ""


AS_FOUND: Final = Reading()


def read_file(path: Path, reading: Reading = AS_FOUND) -> Sheet:
    """The rows of a CSV or XLSX file. Raises SettingsError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(
            where=str(path), found=error.strerror or "cannot be read", expected="a CSV or XLSX file of assets"
        ) from error
    return read_sheet(data, where=str(path), reading=reading)


def read_sheet(data: bytes, *, where: str, reading: Reading = AS_FOUND) -> Sheet:
    """The rows of a file's bytes. Raises SettingsError."""
    try:
        return _rows(data, where=where, reading=reading)
    except TooLargeError as error:
        raise SettingsError(where=where, found=str(error), expected="a smaller file, or several") from error


def _rows(data: bytes, *, where: str, reading: Reading) -> Sheet:
    if len(data) > MAX_BYTES:
        raise TooLargeError(f"more than {MAX_BYTES >> 20} MiB")
    if data.startswith(_OLE):
        raise SettingsError(
            where=where,
            found="is an old .xls workbook or one with a password",
            expected="the workbook saved as .xlsx without a password, or as «CSV UTF-8»",
        )
    if data.startswith(_ZIP):
        from desk.asset_xlsx import read_xlsx  # noqa: PLC0415 - 0.2 s that a CSV file does not take

        return read_xlsx(data, where=where, sheet=reading.sheet)
    return read_csv(data, where=where, encoding=reading.encoding, separator=reading.separator)
