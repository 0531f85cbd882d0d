"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from desk import settings

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        "-s",
        envvar="HOURMETER_SETTINGS",
        help="Settings file; hourmeter.toml of this folder if there is one.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def chosen_file(file: Path | None) -> Path | None:
    """That file, or `hourmeter.toml` in this folder if there is one, else none."""
    if file is None and Path("hourmeter.toml").exists():
        return Path("hourmeter.toml")
    return file


def chosen(file: Path | None) -> settings.Settings:
    """The settings of that file, or of `hourmeter.toml` in this folder. Raises SettingsError."""
    return settings.load(chosen_file(file))
