"""Findings about rule files that can be read but should not be trusted yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from rules.documents import Rule, load
from rules.timeline import Shows
from rules.words import SourceStatus, TicketKind
from telemetry.errors import SettingsError
from telemetry.messages import Provenance


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file as it was found: its name and text."""

    origin: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend in a rule file."""

    origin: str
    code: str
    """A short word by which the finding is known."""
    message: str


@dataclass(frozen=True, slots=True)
class PhysiologicalCode:
    """An alarm code that a model uses for a state of the patient, by the tables of the adapters."""

    model: str
    code: str


def lint(
    files: Iterable[RuleFile], *, physiological: Iterable[PhysiologicalCode] = ()
) -> tuple[Finding, ...]:
    """Findings over all files, in their order; files that cannot be read among them."""
    findings: list[Finding] = []
    rules: list[tuple[str, Rule]] = []
    for file in files:
        try:
            rules.append((file.origin, load(file.text, file.origin)))
        except SettingsError as error:
            findings.append(Finding(file.origin, "unreadable", str(error)))
    known = tuple(physiological)
    count = Counter(rule.id for _, rule in rules)
    for origin, rule in rules:
        if count[rule.id] > 1:
            findings.append(Finding(origin, "duplicate-id", f"another file has the id {rule.id} too"))
        findings.extend(Finding(origin, code, message) for code, message in _of_rule(rule, known))
    return tuple(findings)


def load_all(files: Iterable[RuleFile]) -> tuple[Rule, ...]:
    """The rules of all files. Raises SettingsError at the first that cannot be read or repeats an id."""
    rules: dict[str, Rule] = {}
    for file in files:
        rule = load(file.text, file.origin)
        if rule.id in rules:
            raise SettingsError(
                where=f"{file.origin}: id",
                found=f"{rule.id} is the id of another file too",
                expected=f"give {PurePath(file.origin).name} another name and id",
            )
        rules[rule.id] = rule
    return tuple(rules.values())


def _of_rule(rule: Rule, physiological: tuple[PhysiologicalCode, ...]) -> Iterable[tuple[str, str]]:
    yield from _stories(rule)
    yield from _codes(rule, physiological)
    confirmed = rule.confirmed_by
    if rule.source.status is SourceStatus.R and confirmed is not None and not confirmed.manual:
        yield (
            "unconfirmed-source",
            "source status R is remembered only: confirmed_by must name the manual's revision",
        )
    if rule.kind is TicketKind.PM and rule.meter is None:
        yield "pm-without-meter", "a pm ticket closes with a reading, but the rule has no meter"
    if rule.meter is not None and rule.meter.provenance is Provenance.DERIVED and rule.meter.lead_h == 0:
        yield (
            "no-lead",
            "without lead_h any unobserved minute asks for a reading just before the work is due",
        )


def _stories(rule: Rule) -> Iterable[tuple[str, str]]:
    shown = {story.shows for story in rule.stories}
    for shows in (Shows.OPENS, Shows.QUIET, Shows.RESOLVES):
        if shows not in shown:
            yield (
                f"no-story-{shows}",
                f"no story shows that it {shows.value if shows is not Shows.QUIET else 'stays quiet'}",
            )
    for story in rule.stories:
        counts = [expect.tickets for expect in story.expectations]
        closes = any(step.close is not None for step in story.timeline)
        fits = {
            Shows.OPENS: any(counts),
            Shows.QUIET: bool(counts) and not any(counts),
            Shows.RESOLVES: bool(counts) and counts[-1] == 0 and closes,
        }[story.shows]
        if not fits:
            yield "story-shows-otherwise", f"story {story.name!r} does not show what it says: {story.shows}"


def _codes(rule: Rule, physiological: tuple[PhysiologicalCode, ...]) -> Iterable[tuple[str, str]]:
    models = {model.casefold() for model in rule.scope.model}
    for entry in rule.conditions:
        codes = entry.alarm.codes if entry.alarm else entry.fault.codes if entry.fault else ()
        for twice in sorted(code for code, n in Counter(codes).items() if n > 1):
            yield "code-twice", f"code {twice} is listed twice"
        if entry.alarm is None:
            continue
        for known in physiological:
            if known.code in codes and (not models or known.model.casefold() in models):
                yield (
                    "physiological-code",
                    f"code {known.code} of {known.model} is about the patient: it never opens a ticket",
                )
