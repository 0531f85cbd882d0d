"""The lock files hold what pyproject.toml asks for, exactly, with hashes, and no address."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.tree import ROOT

_PIN = re.compile(
    r"^([A-Za-z0-9._-]+)==(\S+)((?: ;[^\\]*)?) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    re.MULTILINE,
)
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _text(name: str) -> str:
    return (ROOT / name).read_text()


def _pins(text: str) -> Mapping[str, str]:
    return {canonicalize_name(pin[1]): pin[2] for pin in _PIN.finditer(text)}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_is_exact_versions_with_hashes_and_nothing_else(name: str) -> None:
    assert _PIN.sub("", _text(name)) == ""


@pytest.mark.parametrize(
    "line",
    [
        "a==1\n",
        "a>=1 \\\n    --hash=sha256:" + "0" * 64 + "\n",
        "--find" + "-links x\n",
        "a @ https://example.org/a\n",
    ],
)
def test_a_line_of_another_kind_is_found(line: str) -> None:
    assert _PIN.sub("", line) == line


def test_all_that_the_project_asks_for_is_locked_at_a_version_that_it_allows() -> None:
    project = _PROJECT["project"]
    asked = {"requirements.lock": project["dependencies"]}
    asked["requirements-dev.lock"] = project["dependencies"] + project["optional-dependencies"]["dev"]
    for name, lines in asked.items():
        pins = _pins(_text(name))
        wanted = [Requirement(line) for line in lines]
        assert [
            str(r) for r in wanted if not r.specifier.contains(pins.get(canonicalize_name(r.name), "0"))
        ] == []


def test_what_builds_the_project_is_locked_too() -> None:
    pins = _pins(_text("requirements-dev.lock"))
    requirements = map(Requirement, _PROJECT["build-system"]["requires"])
    assert all(requirement.specifier.contains(pins[requirement.name]) for requirement in requirements)


def test_both_locks_agree() -> None:
    assert _pins(_text("requirements.lock")).items() <= _pins(_text("requirements-dev.lock")).items()
