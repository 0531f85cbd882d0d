"""What people and settings tell the engine, each with the time at which it was said."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from rules.documents import Rule
from rules.words import AssetId, Name, Stated
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


class RegisteredAsset(Stated):
    """One asset as the registry knows it, with the names under which devices speak for it."""

    id: AssetId
    label: str = ""
    device_type: str = ""
    manufacturer: str = ""
    model: str = ""
    ward: str = ""
    aliases: tuple[Alias, ...] = ()
    baselines: tuple[Baseline, ...] = ()


class ActiveRule(Stated):
    """A rule at the version at which it was made active."""

    version: str
    rule: Rule


class Registry(Stated):
    """All assets; it replaces the registry before it."""

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


DeskInput = Annotated[Registry | RuleSet | CloseTicket | AcknowledgeTicket, Field(discriminator="kind")]
_INPUT: TypeAdapter[DeskInput] = TypeAdapter(DeskInput)


def _twice(names: list[str]) -> str:
    return next((name for name in names if names.count(name) > 1), "") if len(set(names)) < len(names) else ""


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
