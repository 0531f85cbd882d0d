"""Which column of a sheet holds what: by the names in its header, or as somebody says it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from desk.asset_sheet import Row, Sheet
from desk.asset_words import METERS, Column, column_of, folded
from telemetry.errors import SettingsError
from telemetry.messages import MeterName

HEADER_WITHIN: Final = 20
"""Above its header a sheet may have so many rows with titles."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the columns of a sheet hold, by their place."""

    row: int
    """Its number; all rows below are assets."""
    columns: Mapping[Column, int]
    names: Mapping[Column, str]
    """As the sheet writes them."""
    left_out: tuple[str, ...]
    """Names of columns that nobody takes."""
    meter: MeterName | None = None
    """Where the column of readings is named by its meter."""


def header_of(sheet: Sheet, *, mapped: Mapping[str, Column | None], where: str) -> Header:
    """The row among the first ones with the most known names. Raises SettingsError if there is none.

    `mapped` says what columns hold by their folded names, None that nobody takes it.
    """
    best = max(sheet.rows[:HEADER_WITHIN], key=lambda row: len(_known(row, mapped)), default=None)
    if best is None or not _known(best, mapped):
        raise SettingsError(
            where=where,
            found="no row with names of columns" if sheet.rows else "no row",
            expected="a header with names as id, label, ward, model, mã tài sản, khoa/phòng, số sê-ri; "
            "or --map COLUMN=field",
        )
    _are_there(best, mapped, where=where)
    return _header(best, _known(best, mapped), where=where)


def _name(row: Row, at: int) -> str:
    told = row.cells[at]
    return told if isinstance(told, str) else ""


def _known(row: Row, mapped: Mapping[str, Column | None]) -> dict[int, Column | MeterName]:
    """The columns of a row whose names say what they hold."""
    found: dict[int, Column | MeterName] = {}
    for at in range(len(row.cells)):
        name = folded(_name(row, at))
        if name in mapped:
            meant: Column | MeterName | None = mapped[name]
        else:
            meant = column_of(_name(row, at)) or METERS.get(name)
        if meant is not None:
            found[at] = meant
    return found


def _are_there(row: Row, mapped: Mapping[str, Column | None], *, where: str) -> None:
    names = [_name(row, at) for at in range(len(row.cells))]
    if lacking := set(mapped) - {folded(name) for name in names}:
        raise SettingsError(
            where=f"{where}, --map",
            found=f"there is no column {min(lacking)!r}",
            expected=f"one of row {row.number}: {', '.join(repr(name) for name in names if name)}",
        )


def _header(row: Row, known: Mapping[int, Column | MeterName], *, where: str) -> Header:
    columns: dict[Column, int] = {}
    meter = None
    for at, meant in known.items():
        column = Column.READING if isinstance(meant, MeterName) else meant
        meter = meant if isinstance(meant, MeterName) else meter
        if column in columns:
            names = f"{_name(row, columns[column])!r} and {_name(row, at)!r}"
            raise SettingsError(
                where=f"{where}, row {row.number}",
                found=f"the columns {names} both hold {column}",
                expected=f"one of them; --map {_name(row, at)!r}= leaves the other out",
            )
        columns[column] = at
    return Header(
        row=row.number,
        columns=columns,
        names={column: _name(row, at) for column, at in columns.items()},
        left_out=tuple(name for at in range(len(row.cells)) if at not in known and (name := _name(row, at))),
        meter=meter,
    )


def mapped_of(given: Sequence[str]) -> dict[str, Column | None]:
    """What `--map COLUMN=field` says, by folded names. Raises SettingsError."""
    found: dict[str, Column | None] = {}
    for one in given:
        name, sign, field = one.rpartition("=")
        if not sign or not folded(name) or (field and field not in set(Column)):
            raise SettingsError(
                where="--map",
                found=repr(one),
                expected=f"COLUMN=field, where field is one of {', '.join(Column)}; COLUMN= leaves it out",
            )
        found[folded(name)] = Column(field) if field else None
    return found
