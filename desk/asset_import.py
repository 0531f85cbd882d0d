"""An import: from a file to what is said of its assets, and what of it a person is told."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from desk.asset_beside import Said
from desk.asset_columns import Header, header_of, mapped_of
from desk.asset_file import Reading, read_file
from desk.asset_plan import Plan, Verdict, plan_of
from desk.asset_rows import Drafts, Fault, drafts_of
from desk.asset_sheet import Sheet
from desk.asset_values import UnfitError, id_of
from desk.asset_words import Column, folded
from rules.engine import Engine
from rules.state import State
from telemetry.errors import MessageError, SettingsError

_NOT_BATCH: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Found:
    """A file as read, before anything on record is looked at."""

    file: Path
    sheet: Sheet
    header: Header
    drafts: Drafts


def found_in(file: Path, *, mapped: Sequence[str], site: str, reading: Reading) -> Found:
    """The assets of a file, with everything that is wrong with its rows. Raises SettingsError."""
    where = str(file)
    sheet = read_file(file, reading)
    if sheet.name:
        where = f"{where}, sheet {sheet.name!r}"
    header = header_of(sheet, mapped=mapped_of(mapped), where=where)
    if Column.ID not in header.columns:
        _has_labels(header, site=site, where=where)
    drafts = drafts_of(sheet, header, site=site)
    if not drafts.drafts:
        raise SettingsError(
            where=where, found=f"no row below the header in row {header.row}", expected="a row for each asset"
        )
    return Found(file, sheet, header, drafts)


def _has_labels(header: Header, *, site: str, where: str) -> None:
    """Whether ids can be made of inventory labels. Raises SettingsError."""
    if Column.LABEL not in header.columns or not site:
        raise SettingsError(
            where=f"{where}, row {header.row}",
            found="no column holds ids",
            expected="a column id (mã thiết bị), or --map COLUMN=id; "
            "or a column label (mã tài sản) and --site CODE, of which ids are made",
        )
    try:
        id_of(site)
    except UnfitError as error:
        raise SettingsError(where="--site", found=error.found, expected="a site code, as HN01") from error


def planned(found: Found, state: State, *, at_ms: int, by: str, reason: str) -> Plan:
    """What the file comes to beside what is on record; `state` is used up.

    Raises MessageError for what the rules would refuse and no row can be blamed for.
    """
    said = Said(at_ms, by, reason or f"imported from {found.file.name}"[:500], batch_of(found))
    plan = plan_of(found.drafts.drafts, state, header=found.header, said=said)
    rehearsal = Engine(state)
    for wish in plan.inputs:
        if refusal := rehearsal.take(wish):
            raise MessageError(refusal, subject=str(found.file))
    return plan


def batch_of(found: Found) -> str:
    """The name of an import: that of its file, and what tells its content apart."""
    name = _NOT_BATCH.sub("-", folded(found.file.stem)).strip("-")[:40].strip("-") or "import"
    rows = repr(tuple(row.cells for row in found.sheet.rows))
    return f"{name}-{hashlib.sha256(rows.encode()).hexdigest()[:8]}"


def refused(found: Found, faults: Sequence[Fault]) -> SettingsError:
    """That nothing was entered, for so many faults."""
    rows = len({fault.row for fault in faults})
    return SettingsError(
        where=str(found.file),
        found=f"{_count(rows, 'row')} with {_count(len(faults), 'fault')}, so nothing was entered",
        expected="mend all of them and import the file again",
    )


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}{'' if number == 1 else 's'}"


def counted(plan: Plan) -> str:
    """How many assets are new, changed and the same."""
    return ", ".join(f"{plan.count(verdict):,} {verdict}" for verdict in Verdict)


def facts(found: Found, plan: Plan | None, *, faults: Sequence[Fault], entered: bool) -> dict[str, Any]:
    """All of it for JSON."""
    return {
        "file": str(found.file),
        "sheet": found.sheet.name,
        "header_row": found.header.row,
        "columns": {column.value: found.header.names[column] for column in found.header.columns},
        "left_out": list(found.header.left_out),
        **{verdict.value: plan.count(verdict) if plan else 0 for verdict in Verdict},
        "entered": entered,
        "faults": [fault._asdict() for fault in faults],
        "assets": [
            asdict(line) | {"differences": [one._asdict() for one in line.differences]}
            for line in (plan.lines if plan else ())
        ],
    }
