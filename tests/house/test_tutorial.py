"""The protocol file of the tutorial, copied to its place, passes every check with no other file touched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import FOLDERS, ROOT

NAME = "acme_pump.py"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.png")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree to which the tutorial's file was added."""
    folder = tmp_path_factory.mktemp("grown")
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=_LEFT_OUT)
    shutil.copy(ROOT / "docs/tutorial" / NAME, folder / "adapters/protocols")
    return folder


def run(folder: Path, program: str, *arguments: str) -> str:
    """What a tool of this environment says in that folder, whose packages it sees first; fails with it."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_it_is_found_because_it_exists(grown: Path) -> None:
    assert "acme-pump\tAcme A1 infusion pump\tserial, tcp\tA1\tonly against a manual" in run(
        grown, "hourmeter", "adapters", "list"
    )


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("ruff", ("format", "--no-cache", "--check", f"adapters/protocols/{NAME}")),
        ("ruff", ("check", "--no-cache", f"adapters/protocols/{NAME}")),
        ("mypy", ("--cache-dir=.mypy_cache", f"adapters/protocols/{NAME}")),
        ("lint-imports", ("--no-cache", "--config", ".importlinter")),
    ],
)
def test_it_is_in_order(grown: Path, program: str, arguments: tuple[str, ...]) -> None:
    run(grown, program, *arguments)


def test_it_obeys_the_rules_of_the_house_and_the_laws_of_adapters(grown: Path) -> None:
    """The checks of the checks themselves are left out, for they do not look at the tree."""
    told = run(
        grown,
        "pytest",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=--strict-markers",
        "-m",
        "not soak",
        "-k",
        "house or acme",
        "--ignore=tests/house/test_checks.py",
        "--ignore=tests/house/test_tutorial.py",
        "-v",
        "tests/house",
        "tests/adapters/test_examples.py",
        "tests/adapters/test_every_protocol.py",
    )
    assert len(re.findall(r"test_examples\.py::\S+\[acme-pump.* PASSED", told)) >= 20
    assert len(re.findall(r"test_every_protocol\.py::\S+\[acme-pump.* PASSED", told)) >= 8
    assert "tests/house/test_purity.py::" in told
