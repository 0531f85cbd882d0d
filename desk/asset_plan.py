"""What an import would enter and change: its rows beside what is on record, before anything is said.

Rule: whatever the rules would refuse is a fault of its row here, so that a file is taken whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from desk.asset_beside import Difference, Row, Said, value_of
from desk.asset_columns import Header
from desk.asset_rows import Draft, Fault
from desk.asset_words import Column
from rules.attributes import ENDED, Attribute
from rules.inputs import AssetInput, EnterAssets, NewAsset, alias_key
from rules.registry import Directory
from rules.state import State


class Verdict(StrEnum):
    """What an import does to an asset."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Line:
    """What becomes of one row."""

    row: int
    id: str
    label: str
    verdict: Verdict
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All rows with what becomes of them, and what is to be said for it; nothing while there are faults."""

    lines: tuple[Line, ...]
    faults: tuple[Fault, ...]
    inputs: tuple[AssetInput, ...]

    def count(self, verdict: Verdict) -> int:
        """How many rows come to that."""
        return sum(line.verdict is verdict for line in self.lines)


def plan_of(drafts: Sequence[Draft], state: State, *, header: Header, said: Said) -> Plan:
    """What the rows of a file come to, beside what is on record."""
    by_label = _labels(state)
    directory = Directory(state)
    lines: list[Line] = []
    faults: list[Fault] = []
    new: list[NewAsset] = []
    changes: list[AssetInput] = []
    for read in drafts:
        draft = read if Column.ID in header.columns else _by_label(read, by_label)
        row = Row(draft, state.assets.get(draft.id), header, said)
        if Column.ID not in header.columns:
            row.made_of_label(by_label.get(row.label, ()))
        for one in draft.aliases:
            row.holds(one, directory, state.devices.get(alias_key(one.alias)))
        entered = row.say()
        new += [entered] if entered else []
        lines.append(_line(row))
        faults += row.faults
        changes += row.inputs
    first: tuple[AssetInput, ...] = ()
    if new:
        enter = EnterAssets(
            at_ms=said.at_ms, by=said.by, reason=said.reason, batch=said.batch, assets=tuple(new)
        )
        first = (enter,)
    return Plan(tuple(lines), tuple(faults), () if faults else (*first, *changes))


def _labels(state: State) -> dict[str, tuple[str, ...]]:
    """The assets of each label; those that are disposed of or lost only where no other has it."""
    found: dict[str, tuple[str, ...]] = {}
    for asset in sorted(state.assets.values(), key=lambda asset: (asset.life_cycle in ENDED, asset.id)):
        if asset.label and not (asset.life_cycle in ENDED and asset.label in found):
            found[asset.label] = (*found.get(asset.label, ()), asset.id)
    return found


def _by_label(draft: Draft, by_label: Mapping[str, tuple[str, ...]]) -> Draft:
    """The row under the id of the asset with its label, where there is one on record."""
    label = value_of(draft.values, Attribute.LABEL)
    return replace(draft, id=by_label.get(label, (draft.id,))[0])


def _line(row: Row) -> Line:
    verdict = Verdict.NEW if row.is_new else Verdict.CHANGED if row.differences else Verdict.SAME
    return Line(row.draft.row, row.draft.id, row.label, verdict, tuple(row.differences))
