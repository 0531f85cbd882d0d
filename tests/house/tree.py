"""The files of this project, as the house looks at them; what tools leave behind is not among them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.house.checks import Check

ROOT = Path(__file__).parents[2]
ROOMS = ("telemetry", "adapters", "collector", "rules", "desk")
FOLDERS = (*ROOMS, "tests", "scripts", "docs", "deploy", "benchmarks", ".ci")


def is_pure(path: str) -> bool:
    """Whether the file may know neither network nor disk nor clock."""
    room = path.split("/", 1)[0]
    outside = path.startswith(("adapters/host/", "adapters/simulators/"))
    return room in {"telemetry", "rules", "adapters"} and not outside


def texts() -> Iterator[tuple[str, str]]:
    """Path from the root and content of every text file of the project."""
    files = [file for file in ROOT.iterdir() if file.is_file()]
    for folder in FOLDERS:
        files += (
            file for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts
        )
    for file in sorted(files):
        try:
            yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a recording of bytes


def product() -> Iterator[tuple[str, str]]:
    """Path and source of every Python file that is installed."""
    return ((path, text) for path, text in texts() if path.endswith(".py") and path.split("/", 1)[0] in ROOMS)


def breaches(files: Iterator[tuple[str, str]], check: Check) -> list[str]:
    """What a check finds in these files, as `path:line: what`."""
    return [f"{path}:{finding.line}: {finding.what}" for path, text in files for finding in check(text)]
