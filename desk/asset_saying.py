"""What people type of an asset at a terminal, as the rules take it: who, why, when, which name and value."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Literal, TypeVar

from desk.asset_sheet import Spoiled, cell
from desk.asset_values import UnfitError, alias_of, meter_of, moment_of, value_of
from desk.asset_words import column_of
from rules.attributes import Attribute, LifeCycle, Value
from rules.inputs import Baseline
from rules.state import State
from telemetry.errors import SettingsError
from telemetry.messages import Alias

_T = TypeVar("_T")


def person(by: str | None) -> str:
    """Who speaks: the one who is named, or the one at the terminal. Raises SettingsError."""
    if by is not None:
        if not 1 <= len(by) <= 64:
            raise SettingsError(where="--by", found=f"{len(by)} characters", expected="a name of 1 to 64")
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise SettingsError(where="--by", found="this user has no name", expected="--by NAME") from error


def words(reason: str) -> str:
    """A reason that can be kept. Raises SettingsError."""
    if not 1 <= len(reason) <= 500:
        raise SettingsError(where="--reason", found=f"{len(reason)} characters", expected="1 to 500")
    return reason


def _attempt(where: str, read: Callable[[], _T]) -> _T:
    """What is read. Raises SettingsError where it cannot be taken."""
    try:
        return read()
    except UnfitError as error:
        raise SettingsError(where=where, found=error.found, expected=error.expected) from error


def moment(text: str, where: str) -> int | None:
    """Milliseconds since 1970 of a day or a time; None where none is given. Raises SettingsError."""
    return _attempt(where, lambda: moment_of(text)) if text else None


def end(text: str, *, asset: str) -> Literal[LifeCycle.DISPOSED, LifeCycle.LOST]:
    """How a life ended. Raises SettingsError."""
    state = _attempt("STATE", lambda: value_of(Attribute.LIFE_CYCLE, text))
    if state == LifeCycle.DISPOSED:
        return LifeCycle.DISPOSED
    if state == LifeCycle.LOST:
        return LifeCycle.LOST
    raise SettingsError(
        where="STATE",
        found=f"{state} is no end",
        expected=f"disposed or lost; other states: `hourmeter assets amend {asset} life_cycle={state}`",
    )


def value(attribute: str, text: str, from_ms: int | None) -> Value:
    """An attribute with its value from a time on; empty: not known. Raises SettingsError."""
    told, read = Attribute(attribute), cell(text)
    if isinstance(read, Spoiled):
        raise SettingsError(where=attribute, found=read.found, expected=read.expected)
    is_empty = not read and told is not Attribute.LIFE_CYCLE
    taken = "" if is_empty else _attempt(attribute, lambda: value_of(told, read))
    return Value(attribute=told, value=taken, from_ms=from_ms)


def change(text: str, from_ms: int | None) -> Value:
    """One FIELD=VALUE, the field called as the column of an import may be. Raises SettingsError."""
    name, sign, told = text.partition("=")
    column = column_of(name)
    if not sign or column is None or column.value not in list(Attribute):
        raise SettingsError(
            where="FIELD=VALUE",
            found=repr(text),
            expected=f"a field of {', '.join(Attribute)}, = and its value",
        )
    return value(column, told, from_ms)


def readings(
    meter: str, shown: float | None, last_done: float | None, read_ms: int | None
) -> tuple[Baseline, ...]:
    """A reading at the device, if one is given. Raises SettingsError for half of one."""
    if not meter and shown is None and last_done is None:
        return ()
    if not meter or shown is None or last_done is None:
        raise SettingsError(
            where="assets amend",
            found="half of a reading",
            expected="--meter, --reading and --last-done together; last done 0 if that is not known",
        )
    told = _attempt("--meter", lambda: meter_of(meter))
    return (Baseline(meter=told, reading=shown, last_done=last_done, read_ms=read_ms),)


def alias(state: State, protocol: str, namespace: str, identifier: str) -> Alias:
    """An alias as strong as the device says that was heard under it. Raises SettingsError."""
    space = "" if namespace == "-" else namespace
    heard = state.devices.get((protocol, space, identifier))
    return heard.alias if heard else _attempt("IDENTIFIER", lambda: alias_of(protocol, space, identifier))
