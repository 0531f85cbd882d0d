"""What the documents must say of commands and settings, written from the code itself."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic_core import to_json, to_jsonable_python


def commands(module: str, *, folder: Path) -> str:
    """Every command and option of the Typer app in a module or file, as Markdown; typer writes it."""
    call = [
        sys.executable,
        "-m",
        "typer",
        module,
        "utils",
        "docs",
        "--name",
        "hourmeter",
        "--title",
        "Commands",
    ]
    return subprocess.run(call, cwd=folder, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def without_meaning(markdown: str) -> tuple[str, ...]:
    """Commands, arguments and options in what `commands` wrote that do not say what they are for."""
    rows = (line for line in markdown.splitlines() if line.startswith("* `"))
    return tuple(row for row in rows if row.partition("`: ")[2][:1] in {"", "["})


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the settings file."""

    table: tuple[str, ...]
    """Names from the top to the table; one that may stand many times ends in `[]`."""
    key: str
    default: object
    """As JSON knows it; None where nothing is set."""
    required: bool
    secret: bool
    """Never in the settings file: its place is the environment."""
    meaning: str
    about: str
    """What the table is for."""


def _inner(annotation: object) -> tuple[type[BaseModel] | None, bool]:
    """The model within a field's type, and whether there may be many of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    many = typing.get_origin(annotation) in {tuple, list}
    for part in typing.get_args(annotation):
        model, deeper = _inner(part)
        if model is not None:
            return model, many or deeper
    return None, False


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(map(_is_secret, typing.get_args(annotation)))


def walk(
    model: type[BaseModel], *, table: tuple[str, ...] = (), made: BaseModel | None = None
) -> Iterator[Setting]:
    """Every setting of a model and of those in it, in order; `made` holds defaults set further out."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        inner, many = _inner(field.annotation)
        default = getattr(made, name) if made else field.get_default(call_default_factory=True)
        if inner is None:
            required = made is None and field.is_required()
            yield Setting(
                table=table,
                key=key,
                default=None if required else to_jsonable_python(default),
                required=required,
                secret=_is_secret(field.annotation),
                meaning=" ".join((field.description or "").split()),
                about=" ".join((model.__doc__ or "").split()),
            )
        elif many:
            yield from walk(inner, table=(*table, f"{key}[]"))
        else:
            yield from walk(inner, table=(*table, key), made=default if isinstance(default, inner) else None)


_PREAMBLE = """\
One TOML file; `deploy/hourmeter.toml` is a sample that shows every default. The environment stands above it:
`HOURMETER_BROKER__PORT=8883` is `port` in the table `[broker]`. Written from the code."""


def _header(table: tuple[str, ...]) -> str:
    """The table as TOML heads it."""
    if not table:
        return "top of the file"
    name = ".".join(part.removesuffix("[]") for part in table)
    return f"[[{name}]]" if table[-1].endswith("[]") else f"[{name}]"


def settings(model: type[BaseModel]) -> str:
    """Every setting as Markdown, a table of keys for each table of the settings file."""
    lines = ["# Settings", "", _PREAMBLE]
    seen: tuple[str, ...] | None = None
    for setting in walk(model):
        if setting.table != seen:
            seen = setting.table
            lines += ["", f"## `{_header(seen)}`", "", setting.about, ""]
            lines += ["| key | default | meaning |", "|---|---|---|"]
        default = "" if setting.default is None else f"`{to_json(setting.default).decode()}`"
        default = "required" if setting.required else "environment only" if setting.secret else default
        lines.append(f"| `{setting.key}` | {default} | {setting.meaning} |")
    return "\n".join([*lines, ""])


def _uncommented(sample: str) -> str:
    """The sample with its settings live; prose, which begins with `##`, stays as it is."""
    return re.sub(r"^#(?!#) ?", "", sample, flags=re.MULTILINE)


def _values(document: object, path: tuple[str, ...]) -> Iterator[object]:
    """What stands at a path; all of them where a part of it stands many times."""
    if not path:
        yield document
    elif isinstance(document, dict) and path[0].removesuffix("[]") in document:
        found = document[path[0].removesuffix("[]")]
        for item in found if path[0].endswith("[]") else [found]:
            yield from _values(item, path[1:])


def sample_faults(sample: str, model: type[BaseModel]) -> tuple[str, ...]:
    """Where a sample differs from the code: it names every setting, commented out, and shows the default.

    Keys of tables that may stand many times, required keys and keys without a default are examples.
    A line `##` is prose; a line `#` is a setting. A sample that is wrong as a whole raises its error.
    """
    live = tomllib.loads(sample)
    shown = tomllib.loads(_uncommented(sample))
    model.model_validate(shown)
    faults = [f"[{table}] is live" for table, content in live.items() if content]
    for setting in walk(model):
        name = f"{_header(setting.table)} {setting.key}"
        values = tuple(_values(shown, (*setting.table, setting.key)))
        if setting.secret:
            faults += [f"{name} is a secret"] if values else []
        elif not values:
            faults.append(f"{name} is missing")
        elif setting.default is not None and not any(part.endswith("[]") for part in setting.table):
            faults += [
                f"{name} is {value}, not {setting.default}" for value in values if value != setting.default
            ]
    return tuple(faults)
