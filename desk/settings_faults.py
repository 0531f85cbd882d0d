"""What is wrong in a settings file, each fault with its place and with what would be right."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from telemetry.errors import SettingsError


def faults(
    error: ValidationError, *, model: type[BaseModel], origin: str, given: Mapping[str, object]
) -> tuple[SettingsError, ...]:
    """All faults that were found; `given` is what the file says, all else comes from the environment."""
    found = error.errors(include_url=False)
    return tuple(_fault(one, model=model, origin=origin, given=given) for one in found)


def _fault(
    one: ErrorDetails, *, model: type[BaseModel], origin: str, given: Mapping[str, object]
) -> SettingsError:
    key = ".".join(map(str, one["loc"]))
    if not key:
        return SettingsError(
            where="environment", found=one["msg"], expected="lists as JSON, or in the settings file"
        )
    if one["type"] == "extra_forbidden":
        known = _keys(model, one["loc"][:-1])
        where = f"{origin}: {key}" if _stands(given, one["loc"]) else f"environment: {_variable(one['loc'])}"
        return SettingsError(
            where=where, found="is no setting", expected=_nearest(str(one["loc"][-1]), known)
        )
    value = one["input"]
    shown = f"is {value!r:.80}" if isinstance(value, str | int | float) else "is not of the right form"
    if one["type"] == "missing":
        shown = "is not set"
    return SettingsError(where=f"{origin}: {key}", found=shown, expected=one["msg"])


def _nearest(name: str, known: Sequence[str]) -> str:
    """What was meant, as far as that can be told; never the value, which might be a secret."""
    if near := difflib.get_close_matches(name, known, n=1):
        return f"{near[0]}, perhaps"
    return f"one of: {', '.join(known)}"


def _keys(model: type[BaseModel], loc: Sequence[int | str]) -> tuple[str, ...]:
    """The keys of the table at a place."""
    for name in loc:
        if isinstance(name, str):
            model = _table(model.model_fields[name].annotation) or model
    return tuple(model.model_fields)


def _table(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_table, typing.get_args(annotation))), None)


def _stands(given: object, loc: Sequence[int | str]) -> bool:
    for name in loc:
        found = given.get(name) if isinstance(given, Mapping) else None
        if isinstance(given, list) and isinstance(name, int) and name < len(given):
            found = given[name]
        if found is None:
            return False
        given = found
    return True


def _variable(loc: Sequence[int | str]) -> str:
    return "HOURMETER_" + "__".join(str(part).upper() for part in loc)
