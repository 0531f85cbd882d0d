"""From the rows of a sheet to assets: every row is looked at, and everything that is wrong with it is named.

An empty cell says nothing: what is on record stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from desk.asset_columns import Header
from desk.asset_sheet import Row, Sheet, Spoiled
from desk.asset_values import (
    UnfitError,
    alias_of,
    figure_of,
    id_for,
    id_of,
    meter_of,
    moment_of,
    value_of,
)
from desk.asset_words import Column
from rules.attributes import Attribute, Value
from rules.inputs import AliasFrom, Baseline, alias_key
from telemetry.messages import MeterName, Strength

_T = TypeVar("_T")


class Fault(NamedTuple):
    """What is wrong with a cell, and what would be right."""

    row: int
    column: str
    """As the sheet names it."""
    found: str
    expected: str

    def __str__(self) -> str:
        """One line of it."""
        return f"row {self.row}, {self.column}: {self.found}; {self.expected}"


@dataclass(frozen=True, slots=True)
class Draft:
    """What one row says of an asset."""

    row: int
    id: str
    """Empty where that is at fault."""
    values: tuple[Value, ...]
    aliases: tuple[AliasFrom, ...]
    baselines: tuple[Baseline, ...]


@dataclass(frozen=True, slots=True)
class Drafts:
    """What a sheet says; while there are faults, nothing of it is to be entered."""

    drafts: tuple[Draft, ...]
    faults: tuple[Fault, ...]
    """By row."""


def drafts_of(sheet: Sheet, header: Header, *, site: str) -> Drafts:
    """The assets of a sheet; `site` is the code that ids are made with where the sheet has none."""
    found: list[Draft] = []
    faults: list[Fault] = []
    for row in sheet.rows:
        if row.number > header.row:
            reader = _Reader(row, header)
            found.append(_draft(reader, site=site))
            faults += reader.faults
    faults += _twice(found, header)
    return Drafts(tuple(found), tuple(sorted(faults, key=lambda fault: fault.row)))


class _Reader:
    """Reads the cells of one row, and writes down what is wrong with them."""

    def __init__(self, row: Row, header: Header) -> None:
        self.row = row
        self.header = header
        self.faults: list[Fault] = []

    def text(self, column: Column) -> str:
        """The text of a cell; empty where there is none."""
        at = self.header.columns.get(column)
        if at is None or at >= len(self.row.cells):
            return ""
        told = self.row.cells[at]
        if isinstance(told, Spoiled):
            self.fault(column, told.found, told.expected)
            return ""
        return told

    def take(self, column: Column, read: Callable[[str], _T]) -> _T | None:
        """What a cell says; None where it says nothing, or nothing that can be taken."""
        text = self.text(column)
        return self.understood(column, lambda: read(text)) if text else None

    def understood(self, column: Column, read: Callable[[], _T]) -> _T | None:
        """What is read; None where it cannot be taken."""
        try:
            return read()
        except UnfitError as error:
            self.fault(column, error.found, error.expected)
            return None

    def fault(self, column: Column, found: str, expected: str) -> None:
        """Something is wrong with a cell."""
        self.faults.append(Fault(self.row.number, self.header.names.get(column, column), found, expected))


def _draft(reader: _Reader, *, site: str) -> Draft:
    return Draft(
        row=reader.row.number,
        id=_id(reader, site=site),
        values=_values(reader),
        aliases=_aliases(reader),
        baselines=_baselines(reader),
    )


def _id(reader: _Reader, *, site: str) -> str:
    has_ids = Column.ID in reader.header.columns
    column = Column.ID if has_ids else Column.LABEL
    before = len(reader.faults)
    taken = reader.take(column, id_of if has_ids else partial(id_for, site=site))
    if taken is None and len(reader.faults) == before:
        reader.fault(column, "is empty", "a name for the asset in every row")
    return taken or ""


def _values(reader: _Reader) -> tuple[Value, ...]:
    read = {
        attribute: reader.take(Column(attribute), partial(value_of, attribute)) for attribute in Attribute
    }
    return tuple(
        Value(attribute=attribute, value=told) for attribute, told in read.items() if told is not None
    )


def _aliases(reader: _Reader) -> tuple[AliasFrom, ...]:
    """Semicolons separate names in a cell; protocol and namespace stand for all, or one for each."""
    names = _several(reader.text(Column.IDENTIFIER))
    protocols = _several(reader.text(Column.PROTOCOL))
    spaces = _several(reader.text(Column.NAMESPACE))
    since = reader.take(Column.SINCE, moment_of)
    if not names:
        if protocols:
            reader.fault(Column.IDENTIFIER, "is empty", "the serial number or port by which it speaks")
        return ()
    if len(protocols) not in {1, len(names)}:
        reader.fault(
            Column.PROTOCOL, f"{len(protocols)} for {len(names)} identifiers", "one, or one for each"
        )
        return ()
    if len(spaces) not in {0, 1, len(names)}:
        reader.fault(Column.NAMESPACE, f"{len(spaces)} for {len(names)} identifiers", "one, or one for each")
        return ()
    found = []
    for at, name in enumerate(names):
        protocol = protocols[at if len(protocols) > 1 else 0]
        space = spaces[at if len(spaces) > 1 else 0] if spaces else ""
        alias = reader.understood(Column.IDENTIFIER, partial(alias_of, protocol, space, name))
        if alias is None:
            continue
        if alias.strength is Strength.WEAK and since is None:
            reader.fault(
                Column.SINCE,
                f"is empty, and {name!r} is but a port",
                "the day since which the device hangs there",
            )
            continue
        found.append(AliasFrom(alias=alias, from_ms=since))
    return tuple(found)


def _several(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(";"))))


def _baselines(reader: _Reader) -> tuple[Baseline, ...]:
    reading = reader.take(Column.READING, figure_of)
    done = reader.take(Column.LAST_DONE, figure_of)
    meter = reader.take(Column.METER, meter_of) or reader.header.meter
    if reading is None and done is None:
        return ()
    if reading is None:
        reader.fault(Column.READING, "is empty", "what the counter showed, where work was done at a reading")
    elif done is None:
        reader.fault(
            Column.LAST_DONE,
            "is empty",
            "the reading at which work was last completed; 0 if that is not known",
        )
    elif done > reading:
        reader.fault(
            Column.LAST_DONE, f"{done:g} is more than the reading {reading:g}", "at most the reading"
        )
    elif meter is None:
        reader.fault(Column.METER, "is empty", f"which meter was read, as {MeterName.VENTILATION_H}")
    else:
        return (Baseline(meter=meter, reading=reading, last_done=done),)
    return ()


def _twice(drafts: list[Draft], header: Header) -> list[Fault]:
    """Ids and aliases that an earlier row has."""
    faults: list[Fault] = []
    rows: dict[object, int] = {}
    identity = Column.ID if Column.ID in header.columns else Column.LABEL

    def once(key: object, draft: Draft, column: Column, said: str) -> None:
        first = rows.setdefault(key, draft.row)
        if first != draft.row:
            name = header.names.get(column, column)
            faults.append(Fault(draft.row, name, f"{said} stands in row {first} already", "each once"))

    for draft in drafts:
        if draft.id:
            once(draft.id, draft, identity, draft.id)
        for said in draft.aliases:
            once(alias_key(said.alias), draft, Column.IDENTIFIER, said.alias.identifier)
    return faults
