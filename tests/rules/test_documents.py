"""Rule files: what is wrong is named with file, key and remedy; stories and lint can fail."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rules.documents import load
from rules.inputs import ActiveRule, RuleSet, read_input, rule_set, write_input
from rules.lint import PhysiologicalCode, RuleFile, lint, load_all
from rules.stories import run_stories
from telemetry.errors import SettingsError
from tests.rules.scene import OXYGEN, SERVICE, oxygen_rule, registry, service_rule


@pytest.mark.parametrize(
    ("old", "new", "where", "expected"),
    [
        ("id: oxygen", "id: nitrogen", "oxygen.yaml: id", "the id is the file's name: oxygen"),
        ('["122"]', "[122]", "oxygen.yaml: any.0.alarm.codes.0", "write it in quotes"),
        ("kind: repair", "kind: fix", "oxygen.yaml: kind", "'pm'"),
        ("action: Look at the hose\n", "", "oxygen.yaml: action", "this key is required"),
        ("priority: P2", "prio: P2", "oxygen.yaml: ", "this key is required"),
        ("kind: repair", "kind: repair\nkind: pm", "oxygen.yaml line", "plain YAML"),
        ('codes: ["122"]', "kind: physiological", "oxygen.yaml: any.0.alarm", "only technical and advisory"),
        ('alarm: {codes: ["122"]}', "alarm: {}", "oxygen.yaml: any.0.alarm", "give codes, kind or priority"),
        ("any:", "any: [", "oxygen.yaml line", "plain YAML"),
        ("{close: {}}", "{close: {}, use: 1h}", "oxygen.yaml: stories.2.timeline.1", "exactly one key"),
    ],
)
def test_a_broken_rule_names_file_key_and_remedy(old: str, new: str, where: str, expected: str) -> None:
    assert old in OXYGEN
    with pytest.raises(SettingsError) as raised:
        load(OXYGEN.replace(old, new, 1), "oxygen.yaml")
    assert raised.value.where.startswith(where)
    assert expected in str(raised.value)


def test_a_rule_has_one_meter_at_most_and_any_or_all() -> None:
    meter = "  - meter: {name: ventilation_h, provenance: derived, every_h: 250, lead_h: 10}\n"
    with pytest.raises(SettingsError, match="at most one meter"):
        load(SERVICE.replace(meter, meter * 2), "service.yaml")
    with pytest.raises(SettingsError, match="either any or all"):
        load(SERVICE.replace("any:", f"all:\n{meter}any:"), "service.yaml")
    with pytest.raises(SettingsError, match="lead_h must be less"):
        load(SERVICE.replace("lead_h: 10", "lead_h: 250"), "service.yaml")


def test_the_version_changes_with_the_document_and_with_nothing_else() -> None:
    assert service_rule().version == load("# a comment\n" + SERVICE, "site/service.yaml").version
    assert service_rule().version != load(SERVICE.replace("250,", "251,"), "service.yaml").version


def test_an_unconfirmed_rule_cannot_be_made_active() -> None:
    draft = service_rule().model_copy(update={"confirmed_by": None})
    assert rule_set((draft, oxygen_rule()), at_ms=0).rules[0].rule.id == "oxygen"
    with pytest.raises(ValidationError, match="not confirmed"):
        RuleSet(at_ms=0, rules=(ActiveRule(version=draft.version, rule=draft),))


def test_inputs_survive_being_written_down() -> None:
    for said in (rule_set((service_rule(), oxygen_rule()), at_ms=5), registry(reading=5, last_done=1)):
        assert read_input(write_input(said)) == said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            SERVICE.replace("{use: 240h}, {expect: {tickets: 1}}", "{use: 239h}, {expect: {tickets: 1}}"),
            "found 0",
        ),
        (
            SERVICE.replace("{expect: {tickets: 1}}", "{expect: {tickets: 1, kind: repair}}"),
            "0 open tickets of",
        ),
        (SERVICE.replace("{expect: {tickets: 1}}", "{expect: {tickets: 1, occurrences: 2}}"), "found 1"),
        (SERVICE.replace("{close: {reading: 240}}", "{close: {}}"), "closing was refused"),
        (SERVICE.replace("{close: {reading: 240}}", "{close: {reading: 240, refused: true}}"), "not refused"),
        (SERVICE.replace("{idle: 240h}", "{use: 240h}"), "expected 0 open tickets, found 1"),
    ],
)
def test_a_story_that_is_not_true_says_which_step_and_what_was_found(text: str, why: str) -> None:
    failed = [result for result in run_stories(load(text, "service.yaml")) if not result.passed]
    assert len(failed) == 1
    assert failed[0].why_not.startswith("step ")
    assert why in failed[0].why_not


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (OXYGEN.replace("status: P", "status: R"), "unconfirmed-source"),
        (OXYGEN.replace("kind: repair", "kind: pm"), "pm-without-meter"),
        (OXYGEN.replace("shows: resolves", "shows: opens"), "no-story-resolves"),
        (OXYGEN.replace("shows: quiet", "shows: opens"), "story-shows-otherwise"),
        (OXYGEN.replace('["122"]', '["122", "117"]'), "physiological-code"),
        (OXYGEN.replace('["122"]', '["122", "122"]'), "code-twice"),
        (OXYGEN.replace("kind: repair", "kind: fix"), "unreadable"),
    ],
)
def test_lint_finds_what_should_not_be_trusted(text: str, code: str) -> None:
    clean = lint([RuleFile("oxygen.yaml", OXYGEN)], physiological=[PhysiologicalCode("840", "117")])
    assert clean == ()
    findings = lint([RuleFile("oxygen.yaml", text)], physiological=[PhysiologicalCode("840", "117")])
    assert code in [finding.code for finding in findings]


def test_lint_finds_an_id_given_twice_and_a_derived_meter_without_lead() -> None:
    twice = [RuleFile("oxygen.yaml", OXYGEN), RuleFile("site/oxygen.yaml", OXYGEN)]
    assert [finding.code for finding in lint(twice)] == ["duplicate-id", "duplicate-id"]
    with pytest.raises(SettingsError, match="another file too"):
        load_all(twice)
    no_lead = SERVICE.replace(", lead_h: 10", "").replace("240", "250")
    assert [finding.code for finding in lint([RuleFile("service.yaml", no_lead)])] == ["no-lead"]


def test_a_missing_story_is_found_by_the_reader_and_a_missing_kind_by_lint() -> None:
    with pytest.raises(SettingsError, match=r"stories"):
        load(OXYGEN[: OXYGEN.index("  - {name: quiet")], "oxygen.yaml")
    quiet = OXYGEN.index("  - {name: quiet")
    text = OXYGEN[:quiet] + OXYGEN[OXYGEN.index("  - {name: resolves") :]
    assert [finding.code for finding in lint([RuleFile("oxygen.yaml", text)])] == ["no-story-quiet"]


ALL_OF = OXYGEN.replace("any:", "all:").replace(
    '{alarm: {code: "122"}}, {expect: {tickets: 1}}',
    '{alarm: {code: "122"}}, {expect: {tickets: 0}}, {fault: {code: A5}}, {expect: {tickets: 1}}',
)


def test_all_opens_only_when_every_condition_holds() -> None:
    resolves = '{alarm: {code: "122"}}, {close: {}}'
    text = ALL_OF.replace(resolves, '{alarm: {code: "122"}}, {fault: {code: A5}}, {close: {}}')
    assert [result.why_not for result in run_stories(load(text, "oxygen.yaml")) if not result.passed] == []


def test_unknown_time_can_be_counted_as_use() -> None:
    text = SERVICE.replace("lead_h: 10", "lead_h: 10, unknown: count").replace(
        "{use: 240h}, {expect: {tickets: 1}}", "{use: 100h}, {silent: 140h}, {expect: {tickets: 1, kind: pm}}"
    )
    assert [result.why_not for result in run_stories(load(text, "service.yaml")) if not result.passed] == []
