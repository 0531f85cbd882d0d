"""One asset as it is on record: attributes and aliases with their history, and what both say at any time.

Rule 1: nothing is overwritten: a change, a correction and its undoing are entries, with who said it and why.
Rule 2: of what is said of a time the entry that begins last holds, of two that begin together the later.
Rule 3: an alias is held from a time (included) until a time (excluded).
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rules.attributes import Attribute, LifeCycle, Value
from rules.inputs import Baseline, RegisteredAsset, alias_key
from rules.words import AssetId, Stated
from telemetry.messages import Alias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EVER_MS: Final = -(2**62)
NEVER_MS: Final = 2**62
"""Times before and after all others: where an interval has no beginning or no end."""
SETTINGS: Final = "settings"
"""Who speaks when the settings file does."""


class Said(Stated):
    """Who said something, when and why."""

    at_ms: int
    by: str
    reason: str


class Change(Stated):
    """One entry on an attribute; `number` counts from 1 within the asset."""

    number: int
    attribute: Attribute
    before: str
    """What it was at `from_ms` until this was said."""
    value: str
    from_ms: int
    said: Said
    undoes: int | None = None
    """The number of an entry that counts no longer; this one then says nothing else."""


class AliasWord(StrEnum):
    """What was said of an alias."""

    CLAIMED = "claimed"
    CONFIRMED = "confirmed"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"


class HeldAlias(Stated):
    """One entry on an alias: the interval in which a device speaks for the asset under it."""

    number: int
    what: AliasWord
    alias: Alias
    from_ms: int | None
    to_ms: int | None
    said: Said
    confirmed_by: str | None = None
    confirmed_ms: int | None = None
    replaces: tuple[int, ...] = ()
    """Numbers of the entries that count no longer."""

    @property
    def begin_ms(self) -> int:
        """When it begins."""
        return EVER_MS if self.from_ms is None else self.from_ms

    @property
    def end_ms(self) -> int:
        """When it ends."""
        return NEVER_MS if self.to_ms is None else self.to_ms

    def overlaps(self, begin_ms: int, end_ms: int) -> bool:
        """Whether both have time in common."""
        return self.begin_ms < end_ms and begin_ms < self.end_ms


class Asset(Stated):
    """One asset; made anew for each change, so what follows from its entries is worked out once."""

    id: AssetId
    changes: tuple[Change, ...] = ()
    spoken: tuple[HeldAlias, ...] = ()
    """Every entry on its aliases."""
    baselines: tuple[Baseline, ...] = ()
    settings: RegisteredAsset | None = None
    """What the settings said of it last."""
    batch: str = ""
    """The import by which it was entered."""

    @cached_property
    def standing_changes(self) -> tuple[Change, ...]:
        """The entries that count: neither undone nor an undoing."""
        undone: set[int] = set()
        for change in reversed(self.changes):
            if change.undoes is not None and change.number not in undone:
                undone.add(change.undoes)
        return tuple(c for c in self.changes if c.undoes is None and c.number not in undone)

    def value_at(self, attribute: Attribute, at_ms: int) -> str:
        """What an attribute was at a time, as it is known today; empty if nothing is said of it."""
        return next((c.value for c in self._latest(attribute) if c.from_ms <= at_ms), "")

    def _latest(self, attribute: Attribute) -> list[Change]:
        found = [change for change in self.standing_changes if change.attribute is attribute]
        return sorted(found, key=lambda change: (change.from_ms, change.number), reverse=True)

    @cached_property
    def values(self) -> Mapping[Attribute, str]:
        """What is on record today."""
        latest = {attribute: self._latest(attribute) for attribute in {c.attribute for c in self.changes}}
        return MappingProxyType({attribute: found[0].value for attribute, found in latest.items() if found})

    @cached_property
    def held(self) -> tuple[HeldAlias, ...]:
        """The intervals that count, in the order in which they were said."""
        gone = {number for entry in self.spoken for number in entry.replaces}
        return tuple(
            entry
            for entry in self.spoken
            if entry.number not in gone and entry.what is not AliasWord.WITHDRAWN
        )

    @cached_property
    def aliases(self) -> tuple[Alias, ...]:
        """Those under which a device speaks for it until further notice."""
        return tuple(entry.alias for entry in self.held if entry.to_ms is None)

    def holds(self, alias: Alias) -> tuple[HeldAlias, ...]:
        """The intervals of one alias that count."""
        key = alias_key(alias)
        return tuple(entry for entry in self.held if alias_key(entry.alias) == key)

    @property
    def label(self) -> str:
        """The inventory label."""
        return self.values.get(Attribute.LABEL, "")

    @property
    def ward(self) -> str:
        """Ward or department that holds it."""
        return self.values.get(Attribute.WARD, "")

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.values.get(Attribute.OWNER, "")

    @property
    def life_cycle(self) -> LifeCycle:
        """Where it is in its life; in service unless something else was said."""
        return LifeCycle(self.values.get(Attribute.LIFE_CYCLE, LifeCycle.IN_SERVICE))

    @property
    def device_type(self) -> str:
        """As `ventilator`."""
        return self.values.get(Attribute.DEVICE_TYPE, "")

    @property
    def manufacturer(self) -> str:
        """As on the type plate."""
        return self.values.get(Attribute.MANUFACTURER, "")

    @property
    def model(self) -> str:
        """As on the type plate."""
        return self.values.get(Attribute.MODEL, "")

    @property
    def serial(self) -> str:
        """As on the type plate."""
        return self.values.get(Attribute.SERIAL, "")

    @property
    def acquired(self) -> str:
        """Date of acquisition."""
        return self.values.get(Attribute.ACQUIRED, "")

    @property
    def warranty_end(self) -> str:
        """Last day of the warranty."""
        return self.values.get(Attribute.WARRANTY_END, "")

    @property
    def contract_end(self) -> str:
        """Last day of the service contract."""
        return self.values.get(Attribute.CONTRACT_END, "")

    @property
    def supplier(self) -> str:
        """Who sold or gave it."""
        return self.values.get(Attribute.SUPPLIER, "")

    @property
    def funding(self) -> str:
        """Whose money it was bought with, a word of Funding."""
        return self.values.get(Attribute.FUNDING, "")


def changed(asset: Asset, **update: object) -> Asset:
    """The asset with other fields; a copy would keep what was worked out from the former ones."""
    fields = {name: getattr(asset, name) for name in Asset.model_fields}
    return Asset.model_construct(**{**fields, **update})


def amended(asset: Asset, values: Iterable[Value], *, said: Said) -> Asset:
    """The asset with attributes changed; what holds at that time already is left out."""
    for value in values:
        from_ms = said.at_ms if value.from_ms is None else value.from_ms
        before = asset.value_at(value.attribute, from_ms)
        if before == value.value:
            continue
        change = Change(
            number=len(asset.changes) + 1,
            attribute=value.attribute,
            before=before,
            value=value.value,
            from_ms=from_ms,
            said=said,
        )
        asset = changed(asset, changes=(*asset.changes, change))
    return asset


def undone(asset: Asset, change: Change, *, said: Said) -> Asset:
    """The asset with an entry that counts no longer."""
    entry = Change(
        number=len(asset.changes) + 1,
        attribute=change.attribute,
        before=asset.value_at(change.attribute, change.from_ms),
        value="",
        from_ms=change.from_ms,
        said=said,
        undoes=change.number,
    )
    after = changed(asset, changes=(*asset.changes, entry))
    told = entry.model_copy(update={"value": after.value_at(change.attribute, change.from_ms)})
    return changed(asset, changes=(*asset.changes, told))


def claimed(
    asset: Asset,
    alias: Alias,
    *,
    from_ms: int | None,
    to_ms: int | None,
    confirmed_by: str | None,
    said: Said,
) -> Asset:
    """The asset holding an alias; its own intervals that overlap give way."""
    entry = HeldAlias(
        number=len(asset.spoken) + 1,
        what=AliasWord.CLAIMED,
        alias=alias,
        from_ms=from_ms,
        to_ms=to_ms,
        said=said,
        confirmed_by=confirmed_by,
        confirmed_ms=said.at_ms if confirmed_by else None,
    )
    over = [held.number for held in asset.holds(alias) if held.overlaps(entry.begin_ms, entry.end_ms)]
    return _told(asset, entry, replaces=over)


def confirmed(asset: Asset, held: HeldAlias, *, said: Said) -> Asset:
    """The asset with an interval that someone stands for."""
    update = {"what": AliasWord.CONFIRMED, "confirmed_by": said.by, "confirmed_ms": said.at_ms}
    return _told(asset, held.model_copy(update=update | {"said": said}), replaces=(held.number,))


def released(asset: Asset, alias: Alias, *, to_ms: int | None, said: Said) -> Asset:
    """The asset without an alias from a time on, or as if it had never held it; as it is if it held none."""
    until_ms = EVER_MS if to_ms is None else to_ms
    over = [held for held in asset.holds(alias) if held.end_ms > until_ms]
    if not over:
        return asset
    cut = next((held for held in over if held.begin_ms < until_ms), None)
    entry = (cut or over[-1]).model_copy(
        update={
            "what": AliasWord.RELEASED if cut else AliasWord.WITHDRAWN,
            "to_ms": to_ms if cut else over[-1].to_ms,
            "said": said,
        }
    )
    return _told(asset, entry, replaces=[held.number for held in over])


def _told(asset: Asset, entry: HeldAlias, *, replaces: Iterable[int]) -> Asset:
    numbered = entry.model_copy(update={"number": len(asset.spoken) + 1, "replaces": tuple(replaces)})
    return changed(asset, spoken=(*asset.spoken, numbered))
