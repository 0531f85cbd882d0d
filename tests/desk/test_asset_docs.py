"""What docs/assets.md shows is so: its example is imported, its commands are taken, its names are known."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from typer.main import get_command

from desk.asset_file import AS_FOUND
from desk.asset_import import counted, found_in, planned
from desk.asset_words import column_of
from desk.cli import app
from desk.cli_assets import assets
from rules.inputs import EnterAssets
from rules.state import State
from telemetry.times import to_ms
from tests.house.tree import ROOT

TEXT: Final = (ROOT / "docs/assets.md").read_text(encoding="utf-8")
EXAMPLE: Final = ROOT / "deploy/assets-example.csv"
COMMANDS: Final = re.findall(r"hourmeter assets [a-z]+ [^`\n]+", TEXT)
FIELDS: Final = re.findall(r"^\| (`[^|]+) \| ([^|]*) \|", TEXT, re.MULTILINE)


def test_the_example_is_the_file_and_can_be_imported() -> None:
    (shown,) = re.findall(r"```csv\n(.*?)```", TEXT, re.DOTALL)
    assert shown == EXAMPLE.read_text(encoding="utf-8")
    found = found_in(Path(EXAMPLE), mapped=(), site="", reading=AS_FOUND)
    plan = planned(found, State(), at_ms=to_ms(datetime(2026, 12, 1, tzinfo=UTC)), by="Lan", reason="")
    assert (plan.faults, counted(plan)) == ((), "4 new, 0 changed, 0 same")
    (entered,) = plan.inputs
    assert isinstance(entered, EnterAssets)
    assert [len(asset.aliases) for asset in entered.assets] == [1, 1, 2, 0]
    assert found.header.left_out == ()


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_taken(command: str) -> None:
    name, *arguments = shlex.split(command)[2:]
    found = get_command(assets)
    made = getattr(found, "commands")[name].make_context(name, list(arguments))  # noqa: B009 - of a group only
    assert made.params


def test_it_shows_every_command_of_the_group() -> None:
    shown = {shlex.split(command)[2] for command in COMMANDS}
    assert shown == set(getattr(get_command(assets), "commands"))  # noqa: B009 - of a group only
    assert get_command(app) is not None


@pytest.mark.parametrize(("fields", "names"), FIELDS)
def test_its_names_of_columns_are_known(fields: str, names: str) -> None:
    meant = set(re.findall(r"`(\w+)`", fields))
    told = {name.strip() for name in re.split(r"[,;]", names.partition("a column may be")[0]) if name.strip()}
    known = {name: column_of(name) for name in told}
    assert {name: column for name, column in known.items() if column is None or column not in meant} == {}
