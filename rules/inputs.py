"""What people and settings tell the engine, each with the time at which it was said."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from rules.attributes import LifeCycle, Value
from rules.documents import Rule
from rules.words import AssetId, Line, Name, RuleId, Stated
from telemetry.messages import Alias, Hours, MeterName, Provenance

AliasKey = tuple[str, str, str]
"""Protocol, namespace and identifier: the name by which the engine keeps a device."""


def alias_key(alias: Alias) -> AliasKey:
    """The key of an alias; how strong it is does not tell devices apart."""
    return (alias.protocol, alias.namespace, alias.identifier)


class Baseline(Stated):
    """What the meter showed when it was written down, and at which reading work was last completed."""

    meter: MeterName
    provenance: Provenance = Provenance.DERIVED
    reading: Hours
    last_done: Hours
    read_ms: int | None = None
    """When the meter was read; without, when it was said."""


class RegisteredAsset(Stated):
    """One asset as the registry knows it, with the names under which devices speak for it."""

    id: AssetId
    label: str = ""
    device_type: str = ""
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    ward: str = ""
    aliases: tuple[Alias, ...] = ()
    baselines: tuple[Baseline, ...] = ()


class ActiveRule(Stated):
    """A rule at the version at which it was made active."""

    version: str
    rule: Rule


class Registry(Stated):
    """All assets of the settings; what differs from the registry before it amends what is on record.

    What people said at the desk stays: only what changed in the settings takes effect.
    """

    kind: Literal["registry"] = "registry"
    at_ms: int
    assets: tuple[RegisteredAsset, ...]

    @model_validator(mode="after")
    def _told_apart(self) -> Registry:
        ids = [asset.id for asset in self.assets]
        if twice := _twice(ids):
            raise ValueError(f"asset {twice} is given twice")
        keys = [" ".join(alias_key(alias)) for asset in self.assets for alias in asset.aliases]
        if twice := _twice(keys):
            raise ValueError(f"alias {twice} belongs to two assets")
        return self


class RuleSet(Stated):
    """All active rules with their documents; it replaces the set before it."""

    kind: Literal["rule_set"] = "rule_set"
    at_ms: int
    rules: tuple[ActiveRule, ...]

    @model_validator(mode="after")
    def _confirmed(self) -> RuleSet:
        if twice := _twice([active.rule.id for active in self.rules]):
            raise ValueError(f"rule {twice} is given twice")
        for active in self.rules:
            if active.rule.confirmed_by is None:
                raise ValueError(f"rule {active.rule.id} is not confirmed by anyone")
        return self


class CloseTicket(Stated):
    """The work is done; a ticket about a meter takes its reading."""

    kind: Literal["close_ticket"] = "close_ticket"
    at_ms: int
    ticket: str
    by: Name
    reading: Hours | None = None
    note: str = ""


class AcknowledgeTicket(Stated):
    """Someone has seen the ticket and takes care."""

    kind: Literal["acknowledge_ticket"] = "acknowledge_ticket"
    at_ms: int
    ticket: str
    by: Name
    note: str = ""


class AliasFrom(Stated):
    """A name under which a device speaks for an asset, from a time on; without one, since its first message.

    A weak alias needs the time: whatever spoke there before was not heard of.
    """

    alias: Alias
    from_ms: int | None = None
    confirmed_by: Name | None = None
    """Who stood before the device and saw that it hangs at that port; only a weak alias needs it."""


class NewAsset(Stated):
    """One asset to be entered."""

    id: AssetId
    values: tuple[Value, ...] = ()
    aliases: tuple[AliasFrom, ...] = ()
    baselines: tuple[Baseline, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> NewAsset:
        if twice := _twice([f"attribute {value.attribute}" for value in self.values]):
            raise ValueError(f"{twice} of {self.id} is given twice")
        if twice := _twice([f"baseline {base.meter}/{base.provenance}" for base in self.baselines]):
            raise ValueError(f"{twice} of {self.id} is given twice")
        return self


class EnterAssets(Stated):
    """New assets, all of them or none; their meters without a reading become one review, not many tickets."""

    kind: Literal["enter_assets"] = "enter_assets"
    at_ms: int
    by: Name
    reason: Line
    batch: RuleId
    """Names the import, as `fleet-2026-11`; a batch is entered once."""
    assets: Annotated[tuple[NewAsset, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _told_apart(self) -> EnterAssets:
        if twice := _twice([asset.id for asset in self.assets]):
            raise ValueError(f"asset {twice} is given twice")
        keys = [" ".join(alias_key(said.alias)) for asset in self.assets for said in asset.aliases]
        if twice := _twice(keys):
            raise ValueError(f"alias {twice} is given twice")
        return self


class AmendAsset(Stated):
    """Attributes that change, or turn out to have been otherwise; ward and life-cycle state among them.

    `undoes` names former changes of the asset by their numbers: they count no longer, and stay on record.
    `baselines` are readings at the device: what its meters showed, and at which reading work was last done.
    """

    kind: Literal["amend_asset"] = "amend_asset"
    at_ms: int
    by: Name
    reason: Line
    asset: AssetId
    values: tuple[Value, ...] = ()
    undoes: tuple[int, ...] = ()
    baselines: tuple[Baseline, ...] = ()


class ClaimAlias(Stated):
    """A device speaks for an asset under this name, from a time on, or until a time that is past.

    An own interval that it overlaps gives way to it; one of another asset is a refusal that names it.
    """

    kind: Literal["claim_alias"] = "claim_alias"
    at_ms: int
    by: Name
    reason: Line
    asset: AssetId
    alias: Alias
    from_ms: int | None = None
    """None: since the device's first message; a weak alias needs the time."""
    to_ms: int | None = None
    """None: until further notice."""
    confirmed_by: Name | None = None


class ConfirmAlias(Stated):
    """Someone saw the device at its port: its hours under this alias are no longer provisional."""

    kind: Literal["confirm_alias"] = "confirm_alias"
    at_ms: int
    by: Name
    reason: Line
    asset: AssetId
    alias: Alias


class ReleaseAlias(Stated):
    """The device speaks for the asset no longer, from a time on; or it never did, without one."""

    kind: Literal["release_alias"] = "release_alias"
    at_ms: int
    by: Name
    reason: Line
    asset: AssetId
    alias: Alias
    to_ms: int | None = None
    """None: it never spoke for it, all its intervals are withdrawn."""


class RetireAsset(Stated):
    """The end of an asset's life: open tickets are cancelled, rules are silent, its aliases end."""

    kind: Literal["retire_asset"] = "retire_asset"
    at_ms: int
    by: Name
    reason: Line
    asset: AssetId
    life_cycle: Literal[LifeCycle.DISPOSED, LifeCycle.LOST] = LifeCycle.DISPOSED
    from_ms: int | None = None
    """When it ended; None: when it was said."""


AssetInput = EnterAssets | AmendAsset | ClaimAlias | ConfirmAlias | ReleaseAlias | RetireAsset
"""What people say about assets and the names of devices."""
DeskInput = Annotated[
    Registry
    | RuleSet
    | CloseTicket
    | AcknowledgeTicket
    | EnterAssets
    | AmendAsset
    | ClaimAlias
    | ConfirmAlias
    | ReleaseAlias
    | RetireAsset,
    Field(discriminator="kind"),
]
_INPUT: TypeAdapter[DeskInput] = TypeAdapter(DeskInput)


def _twice(names: list[str]) -> str:
    return next((name for name, count in Counter(names).items() if count > 1), "")


def rule_set(rules: tuple[Rule, ...], *, at_ms: int) -> RuleSet:
    """The set of those rules that are confirmed, each at its present version; drafts are left out."""
    confirmed = sorted((rule for rule in rules if rule.confirmed_by is not None), key=lambda rule: rule.id)
    return RuleSet(
        at_ms=at_ms, rules=tuple(ActiveRule(version=rule.version, rule=rule) for rule in confirmed)
    )


def write_input(desk_input: DeskInput) -> str:
    """The input as JSON text, as the ledger keeps it."""
    return desk_input.model_dump_json(by_alias=True)


def read_input(text: str) -> DeskInput:
    """The input of a JSON text that `write_input` wrote."""
    return _INPUT.validate_json(text)
