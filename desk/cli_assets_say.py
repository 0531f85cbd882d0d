"""Commands by which people say what changes with an asset: its names, its ward, its state, its attributes.

Each is an input of the rules: it waits until they have taken it or refused it, and nothing is overwritten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from desk.clock import system_clock
from desk.options import SettingsFile, chosen
from desk.terminal import say
from telemetry.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from rules.attributes import Value
    from rules.inputs import AssetInput, Baseline
    from rules.state import State

Asset = Annotated[str, typer.Argument(metavar="ASSET", help="Asset id.")]
Protocol = Annotated[str, typer.Argument(help="Protocol id, as `puritan-bennett`.")]
Namespace = Annotated[str, typer.Argument(help="What the identifier is unique in; '' or - for none.")]
Identifier = Annotated[str, typer.Argument(help="Serial number, or port or bed.")]
By = Annotated[Optional[str], typer.Option(help="Who says so; you, if not given.")]
Reason = Annotated[str, typer.Option(help="Why; it stays on record.")]
_DAY = "A day as 2026-11-20 (from 00:00 UTC) or 20/11/2026, or a time as 2026-11-20T08:00+07:00."


def claim(
    asset: Asset,
    protocol: Protocol,
    namespace: Namespace,
    identifier: Identifier,
    file: SettingsFile = None,
    since: Annotated[
        str, typer.Option("--from", help=f"Since when; its first message, if not given. {_DAY}")
    ] = "",
    until: Annotated[str, typer.Option("--to", help="Until when; until further notice, if not given.")] = "",
    confirmed: Annotated[
        bool,
        typer.Option("--confirmed", help="I stood before the device and saw that it hangs at this port."),
    ] = False,
    by: By = None,
    reason: Reason = "claimed",
) -> None:
    """Say that a device speaks for an asset under this name: what it said counts for the asset.

    A name that is but a port or a bed needs --from.
    """
    from desk import asset_saying
    from rules.inputs import ClaimAlias

    from_ms, to_ms = asset_saying.moment(since, "--from"), asset_saying.moment(until, "--to")

    def wish(state: State, at_ms: int, who: str) -> AssetInput:
        return ClaimAlias(
            at_ms=at_ms,
            by=who,
            reason=asset_saying.words(reason),
            asset=asset,
            alias=asset_saying.alias(state, protocol, namespace, identifier),
            from_ms=from_ms,
            to_ms=to_ms,
            confirmed_by=who if confirmed else None,
        )

    _tell(file, asset, by, wish)


def confirm(
    asset: Asset,
    protocol: Protocol,
    namespace: Namespace,
    identifier: Identifier,
    file: SettingsFile = None,
    by: By = None,
    reason: Reason = "seen at the device",
) -> None:
    """Say that you saw the device at its port: its hours under this name are no longer provisional."""
    from desk import asset_saying
    from rules.inputs import ConfirmAlias

    def wish(state: State, at_ms: int, who: str) -> AssetInput:
        alias = asset_saying.alias(state, protocol, namespace, identifier)
        return ConfirmAlias(at_ms=at_ms, by=who, reason=asset_saying.words(reason), asset=asset, alias=alias)

    _tell(file, asset, by, wish)


def release(
    asset: Asset,
    protocol: Protocol,
    namespace: Namespace,
    identifier: Identifier,
    file: SettingsFile = None,
    until: Annotated[str, typer.Option("--to", help=f"Since when it speaks for it no longer. {_DAY}")] = "",
    never: Annotated[bool, typer.Option("--never", help="It never did: the claim was a mistake.")] = False,
    by: By = None,
    reason: Reason = "released",
) -> None:
    """Say that a device speaks for an asset no longer, from now or from a day on; or that it never did."""
    from desk import asset_saying
    from rules.inputs import ReleaseAlias

    to_ms = asset_saying.moment(until, "--to")
    if never and to_ms is not None:
        raise SettingsError(where="assets release", found="--never and --to", expected="one of them")

    def wish(state: State, at_ms: int, who: str) -> AssetInput:
        ends_ms = None if never else at_ms if to_ms is None else to_ms
        alias = asset_saying.alias(state, protocol, namespace, identifier)
        return ReleaseAlias(
            at_ms=at_ms, by=who, reason=asset_saying.words(reason), asset=asset, alias=alias, to_ms=ends_ms
        )

    _tell(file, asset, by, wish)


def move(
    asset: Asset,
    ward: Annotated[str, typer.Argument(help="Ward or department that holds it.")],
    file: SettingsFile = None,
    on: Annotated[str, typer.Option(help=f"Since when; now, if not given. {_DAY}")] = "",
    by: By = None,
    reason: Reason = "moved",
) -> None:
    """Say that another ward holds an asset: its hours from then on are that ward's."""
    from desk import asset_saying
    from rules.attributes import Attribute

    _amend(
        file,
        asset,
        by,
        reason,
        values=[asset_saying.value(Attribute.WARD, ward, asset_saying.moment(on, "--on"))],
    )


def amend(
    asset: Asset,
    said: Annotated[
        Optional[list[str]],
        typer.Argument(metavar="FIELD=VALUE...", help="As owner='Sở Y tế'; no value: not known."),
    ] = None,
    file: SettingsFile = None,
    on: Annotated[str, typer.Option(help=f"Since when; now, if not given. {_DAY}")] = "",
    undo: Annotated[
        Optional[list[int]], typer.Option(help="Number of a change, as `show` lists it, that was a mistake.")
    ] = None,
    meter: Annotated[str, typer.Option(help="Meter that was read at the device, as ventilation_h.")] = "",
    shown: Annotated[Optional[float], typer.Option("--reading", min=0, help="What it showed.")] = None,
    last_done: Annotated[
        Optional[float], typer.Option(min=0, help="At which reading work was last completed.")
    ] = None,
    by: By = None,
    reason: Reason = "amended",
) -> None:
    """Change what is on record of an asset, take a change back, or give a first reading of a meter.

    Nothing is overwritten: what was on record stays, with who changed it and why.
    """
    from desk import asset_saying

    from_ms = asset_saying.moment(on, "--on")
    values = [asset_saying.change(one, from_ms) for one in said or []]
    baselines = asset_saying.readings(meter, shown, last_done, from_ms)
    if not (values or undo or baselines):
        raise SettingsError(
            where="assets amend",
            found="nothing to change",
            expected="FIELD=VALUE, --undo NUMBER, or --reading",
        )
    _amend(file, asset, by, reason, values=values, undoes=tuple(undo or ()), baselines=baselines)


def retire(
    asset: Asset,
    state: Annotated[str, typer.Argument(metavar="STATE", help="disposed or lost.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, as the number of the decision; it stays on record.")],
    file: SettingsFile = None,
    on: Annotated[str, typer.Option(help=f"When; now, if not given. {_DAY}")] = "",
    by: By = None,
) -> None:
    """Say that an asset's life has ended: its tickets are cancelled, no rule speaks of it, its names end."""
    from desk import asset_saying
    from rules.inputs import RetireAsset

    from_ms = asset_saying.moment(on, "--on")
    ended = asset_saying.end(state, asset=asset)

    def wish(_state: State, at_ms: int, who: str) -> AssetInput:
        return RetireAsset(
            at_ms=at_ms,
            by=who,
            reason=asset_saying.words(reason),
            asset=asset,
            life_cycle=ended,
            from_ms=from_ms,
        )

    _tell(file, asset, by, wish)


# -- how it is said -----------------------------------------------------------------------------------------


def _amend(
    file: Path | None,
    asset: str,
    by: str | None,
    reason: str,
    *,
    values: list[Value],
    undoes: tuple[int, ...] = (),
    baselines: tuple[Baseline, ...] = (),
) -> None:
    from desk import asset_saying
    from rules.inputs import AmendAsset

    def wish(_state: State, at_ms: int, who: str) -> AssetInput:
        return AmendAsset(
            at_ms=at_ms,
            by=who,
            reason=asset_saying.words(reason),
            asset=asset,
            values=tuple(values),
            undoes=undoes,
            baselines=baselines,
        )

    _tell(file, asset, by, wish)


def _tell(
    file: Path | None, asset: str, by: str | None, wish: Callable[[State, int, str], AssetInput]
) -> None:
    """Say something of an asset that is on record, and what became of it."""
    from desk import asset_saying, reading
    from desk.asset_telling import asset_of, site_now_ms

    settings, who = chosen(file), asset_saying.person(by)

    async def work() -> bool:
        state = await reading.state(settings)
        asset_of(state, asset)
        at_ms = await site_now_ms(settings, system_clock())
        return await reading.tell_all(settings, (wish(state, at_ms, who),), subject=asset)

    say(f"{asset}: {'done' if asyncio.run(work()) else reading.KEPT}")
