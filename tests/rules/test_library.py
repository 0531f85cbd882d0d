"""Every rule file of the house: readable, without findings, its stories true, and drafts off."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.documents import load
from rules.inputs import rule_set
from rules.lint import PhysiologicalCode, RuleFile, lint, load_all
from rules.stories import run_stories

ROOT = Path(__file__).parents[2]
LIBRARY = tuple(sorted((ROOT / "rules" / "library").glob("*.yaml")))
DEMO = tuple(sorted((ROOT / "desk" / "demo_rules").glob("*.yaml")))
PATIENT = tuple(
    PhysiologicalCode(model, str(code))
    for model in ("840", "980")
    for code in (*range(106, 113), 117, 118, 119, 124, 125, 126, *range(128, 137))
)


def files(paths: tuple[Path, ...]) -> tuple[RuleFile, ...]:
    return tuple(RuleFile(path.name, path.read_text(encoding="utf-8")) for path in paths)


@pytest.mark.parametrize("path", [*LIBRARY, *DEMO], ids=lambda path: path.stem)
def test_every_story_of_a_shipped_rule_comes_true(path: Path) -> None:
    results = run_stories(load(path.read_text(encoding="utf-8"), path.name))
    assert [result for result in results if not result.passed] == []


@pytest.mark.parametrize("paths", [LIBRARY, DEMO], ids=["library", "demo"])
def test_no_shipped_rule_earns_a_finding(paths: tuple[Path, ...]) -> None:
    assert paths
    assert lint(files(paths), physiological=PATIENT) == ()


def test_shipped_rules_are_drafts_and_those_of_the_demo_are_confirmed() -> None:
    assert rule_set(load_all(files(LIBRARY)), at_ms=0).rules == ()
    assert [active.rule.id for active in rule_set(load_all(files(DEMO)), at_ms=0).rules] == [
        "demo-malfunction",
        "demo-o2-supply-low",
        "demo-pump-battery",
        "demo-service-250h",
    ]
