"""A rule as a document: pydantic models read from YAML text, with errors that name file, key and remedy.

Rule 1: a rule without `confirmed_by` is a draft: it is shipped and tested, and never active.
Rule 2: the version is a hash of the whole document, so that a ticket names exactly what fired it.
Rule 3: one document has at most one meter: closing its ticket takes one reading.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Hashable
from pathlib import PurePath
from typing import Annotated, Final

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from rules.timeline import Story
from rules.words import (
    AssetId,
    Line,
    Name,
    RuleId,
    SourceStatus,
    Stated,
    TicketKind,
    TicketPriority,
    UnknownTime,
)
from telemetry.errors import SettingsError
from telemetry.messages import AlarmKind, Effect, MeterName, Priority, Provenance, Word

Codes = Annotated[tuple[Word, ...], Field(max_length=256)]


class Scope(Stated):
    """Which assets a rule speaks of, by what the registry says; an absent key does not narrow."""

    device_type: Name | None = None
    manufacturer: Name | None = None
    model: tuple[Name, ...] = ()
    ward: Name | None = None
    asset: AssetId | None = None


class MeterCondition(Stated):
    """Due every `every_h` hours since the last completed work, opened `lead_h` before."""

    name: MeterName
    provenance: Provenance
    every_h: Annotated[float, Field(gt=0, le=1_000_000)]
    lead_h: Annotated[float, Field(ge=0)] = 0
    unknown: UnknownTime = UnknownTime.ASK
    least_coverage: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Share of observed time below which a reading is asked for (DESIGN, Rules)."""

    @model_validator(mode="after")
    def _lead_is_shorter(self) -> MeterCondition:
        if self.lead_h >= self.every_h:
            raise ValueError("lead_h must be less than every_h")
        return self


class AlarmCondition(Stated):
    """An equipment alarm by codes, kind or least priority; what is given must all hold."""

    codes: Codes = ()
    kind: AlarmKind | None = None
    priority: Priority | None = None

    @model_validator(mode="after")
    def _may_open(self) -> AlarmCondition:
        if not self.codes and self.kind is None and self.priority is None:
            raise ValueError("give codes, kind or priority")
        if self.kind not in {None, AlarmKind.TECHNICAL, AlarmKind.ADVISORY}:
            raise ValueError("only technical and advisory alarms may open tickets")
        return self


class FaultCondition(Stated):
    """A vendor's fault by codes or least effect; what is given must all hold."""

    codes: Codes = ()
    effect: Effect | None = None

    @model_validator(mode="after")
    def _narrowed(self) -> FaultCondition:
        if not self.codes and self.effect is None:
            raise ValueError("give codes or effect")
        return self


class ConditionEntry(Stated):
    """One entry of `any` or `all`: exactly one condition."""

    meter: MeterCondition | None = None
    alarm: AlarmCondition | None = None
    fault: FaultCondition | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> ConditionEntry:
        if sum(part is not None for part in (self.meter, self.alarm, self.fault)) != 1:
            raise ValueError("an entry is one of meter, alarm, fault")
        return self


class Source(Stated):
    """Where the rule comes from, and how sure that is."""

    document: Line
    status: SourceStatus
    note: str = ""


class Confirmation(Stated):
    """The person who checked the rule against the manual, when, and which revision of the manual."""

    name: Name
    date: dt.date
    manual: str = ""


class Rule(Stated):
    """One rule as its file says it."""

    model_config = ConfigDict(populate_by_name=True)

    id: RuleId
    title: Line
    scope: Scope = Scope()
    any_of: Annotated[tuple[ConditionEntry, ...], Field(alias="any", max_length=32)] = ()
    all_of: Annotated[tuple[ConditionEntry, ...], Field(alias="all", max_length=32)] = ()
    kind: TicketKind
    priority: TicketPriority
    action: Line
    checklist: tuple[Line, ...] = ()
    parts: tuple[Line, ...] = ()
    source: Source
    confirmed_by: Confirmation | None = None
    stories: Annotated[tuple[Story, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _conditions_fit(self) -> Rule:
        if bool(self.any_of) == bool(self.all_of):
            raise ValueError("give either any or all, with at least one condition")
        if sum(entry.meter is not None for entry in self.conditions) > 1:
            raise ValueError("a rule has at most one meter; write a second rule for the other")
        return self

    @property
    def conditions(self) -> tuple[ConditionEntry, ...]:
        """All conditions, whichever way they are combined."""
        return self.any_of or self.all_of

    @property
    def meter(self) -> MeterCondition | None:
        """The meter that the rule counts on, if any."""
        return next((entry.meter for entry in self.conditions if entry.meter is not None), None)

    @property
    def version(self) -> str:
        """Twelve hex digits of the SHA-256 of the canonical document: what it says beyond the defaults."""
        document = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


class _OneOfEachKey(yaml.SafeLoader):
    """PyYAML's safe loader, which alone would let a second key of the same name win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key} is given twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, Hashable) else None)
        return super().construct_mapping(node, deep=deep)


_ADVICE: Final = (
    ("string_type", "write it in quotes"),
    ("extra_forbidden", "no such key; see docs for the keys of a rule"),
    ("missing", "this key is required"),
)


def load(text: str, origin: str) -> Rule:
    """The rule of a YAML text; `origin` is its file name. Raises SettingsError: file, key and remedy."""
    try:
        document = yaml.load(text, Loader=_OneOfEachKey)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(
            where=f"{origin}{line}", found=str(error.problem), expected="write the rule as plain YAML"
        ) from None
    except yaml.YAMLError as error:
        raise SettingsError(where=origin, found=str(error), expected="write plain YAML in UTF-8") from None
    if not isinstance(document, dict):
        raise SettingsError(
            where=origin, found="no keys", expected="a rule is a YAML mapping with id, title, …"
        )
    try:
        rule = Rule.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "rule"
        advice = next((advice for kind, advice in _ADVICE if kind == first["type"]), first["msg"])
        found = "missing" if first["type"] == "missing" else f"found {str(first['input'])[:60]!r}"
        raise SettingsError(where=f"{origin}: {key}", found=found, expected=advice) from None
    if rule.id != PurePath(origin).stem:
        raise SettingsError(
            where=f"{origin}: id",
            found=f"found {rule.id!r}",
            expected=f"the id is the file's name: {PurePath(origin).stem}",
        )
    return rule
