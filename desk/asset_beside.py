"""One row of an import beside the asset on record: what differs, what to say, what would be refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from typing import Literal, NamedTuple

from desk.asset_columns import Header
from desk.asset_rows import Draft, Fault
from desk.asset_words import Column
from rules.assets import EVER_MS, NEVER_MS, Asset
from rules.attributes import ENDED, Attribute, LifeCycle, Value
from rules.inputs import (
    AliasFrom,
    AmendAsset,
    AssetInput,
    Baseline,
    ClaimAlias,
    NewAsset,
    RetireAsset,
    alias_key,
)
from rules.registry import Directory, is_weak
from rules.state import Device
from telemetry.times import from_ms


class Difference(NamedTuple):
    """One field of an asset that becomes another."""

    field: str
    old: str
    new: str

    def __str__(self) -> str:
        """As a person reads it."""
        return f"{self.field}: {self.old or '(nothing)'} → {self.new}"


@dataclass(frozen=True, slots=True)
class Said:
    """Who imports, when, why, and as what."""

    at_ms: int
    by: str
    reason: str
    batch: str


class Row:
    """One row beside the asset of its id, if there is one on record."""

    def __init__(self, draft: Draft, asset: Asset | None, header: Header, said: Said) -> None:
        self.draft = draft
        self.faults: list[Fault] = []
        self.inputs: list[AssetInput] = []
        self._asset = asset
        self._header = header
        self._said = said
        self.differences: list[Difference] = []

    @property
    def label(self) -> str:
        """Its inventory label."""
        return value_of(self.draft.values, Attribute.LABEL) or (self._asset.label if self._asset else "")

    @property
    def is_new(self) -> bool:
        """Whether no asset of its id is on record."""
        return self._asset is None

    def made_of_label(self, same: Sequence[str]) -> None:
        """An id that a label makes may not be that of an asset with another label, nor one of several.

        `same` are the assets on record that have this label.
        """
        label = value_of(self.draft.values, Attribute.LABEL)
        if len(same) > 1:
            self._fault(Column.LABEL, f"it is the label of {' and '.join(same)}", "a column id")
        if self._asset is not None and self._asset.label != label:
            self._fault(
                Column.LABEL,
                f"it makes the id {self._asset.id}, which is that of {self._asset.label!r}",
                "a column id",
            )

    def holds(self, said: AliasFrom, directory: Directory, heard: Device | None) -> None:
        """What keeps a device from speaking for it under a name is at fault."""
        key = alias_key(said.alias)
        if said.from_ms is not None and said.from_ms > self._said.at_ms:
            self._fault(Column.SINCE, f"{day(said.from_ms)} lies in the future", "a day that has come")
        if said.from_ms is None and is_weak(said.alias, heard):
            self._fault(
                Column.SINCE,
                f"is empty, and {said.alias.identifier!r} is but a port or a bed",
                "the day since which the device is there",
            )
        for one in directory.holders(key):
            begin_ms = EVER_MS if said.from_ms is None else said.from_ms
            if one.asset != self.draft.id and one.held.overlaps(begin_ms, NEVER_MS):
                until = "" if one.held.to_ms is None else f" until {day(one.held.to_ms)}"
                self._fault(
                    Column.IDENTIFIER,
                    f"{said.alias.identifier} speaks for {one.asset}{until}",
                    f"first `hourmeter assets release {one.asset}`, or a day since when it is this one's",
                )

    def say(self) -> NewAsset | None:
        """Write down what is to be said; the answer is the asset to be entered, if it is a new one."""
        values = self.draft.values
        entered = None
        if self._asset is None:
            entered = NewAsset(
                id=self.draft.id,
                values=tuple(value for value in values if not _is_end(value)),
                aliases=self.draft.aliases,
                baselines=self.draft.baselines,
            )
        else:
            values = tuple(value for value in values if self._differs(self._asset, value))
            self._amend(self._asset, tuple(value for value in values if not _is_end(value)))
        for end in filter(_is_end, values):
            at_ms, by, reason = self._said.at_ms, self._said.by, self._said.reason
            retire = RetireAsset(
                at_ms=at_ms, by=by, reason=reason, asset=self.draft.id, life_cycle=_end_of(end)
            )
            self.inputs.append(retire)
        return entered

    def _amend(self, asset: Asset, values: tuple[Value, ...]) -> None:
        at_ms, by, reason = self._said.at_ms, self._said.by, self._said.reason
        baselines = self._baselines(asset)
        if values or baselines:
            amend = AmendAsset(
                at_ms=at_ms, by=by, reason=reason, asset=asset.id, values=values, baselines=baselines
            )
            self.inputs.append(amend)
        if asset.life_cycle in ENDED or any(map(_is_end, self.draft.values)):
            return  # no device speaks for it any more
        for said in self.draft.aliases:
            if self._is_other(asset, said):
                claim = ClaimAlias(
                    at_ms=at_ms, by=by, reason=reason, asset=asset.id, alias=said.alias, from_ms=said.from_ms
                )
                self.inputs.append(claim)

    def _differs(self, asset: Asset, value: Value) -> bool:
        old = (
            asset.life_cycle
            if value.attribute is Attribute.LIFE_CYCLE
            else asset.values.get(value.attribute, "")
        )
        if old == value.value:
            return False
        self.differences.append(Difference(value.attribute, old, value.value))
        if value.attribute is Attribute.LIFE_CYCLE and asset.life_cycle in ENDED:
            self._fault(
                Column.LIFE_CYCLE,
                f"{asset.id} is {asset.life_cycle}",
                f"first `hourmeter assets amend {asset.id} --undo NUMBER`, if that was a mistake",
            )
        return True

    def _is_other(self, asset: Asset, said: AliasFrom) -> bool:
        """Whether a name is not on record, or since another day than the row says."""
        held = [entry for entry in asset.holds(said.alias) if entry.to_ms is None]
        if held and said.from_ms in {None, held[-1].from_ms}:
            return False
        old = f"since {day(held[-1].from_ms)}" if held else ""
        new = " ".join(filter(None, alias_key(said.alias)))
        self.differences.append(Difference(f"alias {new}", old, f"since {day(said.from_ms)}"))
        return True

    def _baselines(self, asset: Asset) -> tuple[Baseline, ...]:
        """Readings that are not on record."""
        found = []
        for base in self.draft.baselines:
            old = next(
                (
                    one
                    for one in asset.baselines
                    if (one.meter, one.provenance) == (base.meter, base.provenance)
                ),
                None,
            )
            if old is None or (old.reading, old.last_done) != (base.reading, base.last_done):
                self.differences.append(Difference(base.meter, _read(old), _read(base)))
                found.append(base)
        return tuple(found)

    def _fault(self, column: Column, found: str, expected: str) -> None:
        name = self._header.names.get(column, column)
        self.faults.append(Fault(self.draft.row, name, found, expected))


def _is_end(value: Value) -> bool:
    return value.attribute is Attribute.LIFE_CYCLE and value.value in ENDED


def _end_of(value: Value) -> Literal[LifeCycle.DISPOSED, LifeCycle.LOST]:
    return LifeCycle.LOST if value.value == LifeCycle.LOST else LifeCycle.DISPOSED


def _read(base: Baseline | None) -> str:
    return f"{base.reading:g}, last done at {base.last_done:g}" if base else ""


def day(at_ms: int | None) -> str:
    """A moment as a person reads it, its time left out at midnight; what is None has no beginning."""
    if at_ms is None:
        return "its first message"
    told = from_ms(at_ms)
    return told.strftime("%Y-%m-%d" if told.time() == time() else "%Y-%m-%d %H:%M UTC")


def value_of(values: Sequence[Value], attribute: Attribute) -> str:
    """The value of an attribute, empty if it is not among them."""
    return next((value.value for value in values if value.attribute is attribute), "")
