"""Commands for assets: import them from a sheet, list and show them, and say what changes with them.

Exit codes as everywhere: 1 the rules refused it, 2 a row, a name or a day is wrong.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from desk.asset_sheet import Encoding, Separator
from desk.cli_assets_say import By, Reason, amend, claim, confirm, move, release, retire
from desk.clock import system_clock
from desk.options import Json, SettingsFile, chosen
from desk.terminal import say, table
from rules.attributes import LifeCycle

if TYPE_CHECKING:
    from desk.asset_import import Found
    from desk.asset_plan import Plan
    from desk.settings import Settings
    from rules.assets import Asset
    from rules.state import State

assets = typer.Typer(
    help="Assets: import, list, show, claim, confirm, release, move, amend, retire.", no_args_is_help=True
)


ASSETS_PER_S = 200
"""As many assets the rules enter in a second at least: 2 ms each were measured on one core at work."""


@assets.command("import")
def import_assets(
    sheet: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV or XLSX file with a row for each asset.")
    ],
    file: SettingsFile = None,
    mapped: Annotated[
        Optional[list[str]],
        typer.Option("--map", metavar="COLUMN=FIELD", help="What a column holds; no field leaves it out."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be entered and changed.")
    ] = False,
    site: Annotated[
        str, typer.Option(help="Site code to make ids of inventory labels with, where no column holds ids.")
    ] = "",
    tab: Annotated[
        str, typer.Option("--sheet", help="Sheet of the workbook; the first one, if not given.")
    ] = "",
    encoding: Annotated[
        Optional[Encoding], typer.Option(help="Of a CSV file that is neither UTF-8 nor marked as UTF-16.")
    ] = None,
    separator: Annotated[
        Optional[Separator], typer.Option(help="Of a CSV file where it is not recognised.")
    ] = None,
    by: By = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Enter assets from a sheet, and change those on record, all rows or none.

    Every row that is wrong is named. An empty cell leaves what is on record.
    """
    from desk.asset_file import Reading
    from desk.asset_import import facts, found_in, refused
    from desk.asset_saying import person, words

    settings = chosen(file)
    who = person(by)
    found = found_in(sheet, mapped=mapped or [], site=site, reading=Reading(encoding, separator, tab))
    faults = found.drafts.faults
    plan = None
    if not faults:
        plan = asyncio.run(_planned(settings, found, by=who, reason=words(reason) if reason else ""))
        faults = plan.faults
    entered = False
    if plan is not None and not faults and not dry_run:
        entered = asyncio.run(_entered(settings, plan, subject=str(sheet)))
    if as_json:
        say(json.dumps(facts(found, plan, faults=faults, entered=entered), indent=2))
    elif faults:
        table(["row", "column", "found", "right would be"], [[str(one[0]), *one[1:]] for one in faults])
    elif plan is not None:
        _tell_plan(settings, found, plan, dry_run=dry_run, took_effect=entered)
    if faults:
        raise refused(found, faults)


async def _planned(settings: Settings, found: Found, *, by: str, reason: str) -> Plan:
    from desk import reading
    from desk.asset_import import planned
    from desk.asset_telling import site_now_ms

    at_ms = await site_now_ms(settings, system_clock())
    state = await reading.state(settings)
    return planned(found, state, at_ms=at_ms, by=by, reason=reason)


async def _entered(settings: Settings, plan: Plan, *, subject: str) -> bool:
    """Say it; whether it has taken effect already."""
    from desk import reading

    more_s = len(plan.lines) / ASSETS_PER_S
    return not plan.inputs or await reading.tell_all(settings, plan.inputs, subject=subject, more_s=more_s)


def _tell_plan(settings: Settings, found: Found, plan: Plan, *, dry_run: bool, took_effect: bool) -> None:
    from desk import reading
    from desk.asset_import import counted
    from desk.asset_plan import Verdict

    rows = [
        [str(line.row), line.id, line.label, line.verdict, "; ".join(map(str, line.differences))]
        for line in plan.lines
        if line.verdict is not Verdict.SAME
    ]
    if rows:
        table(["row", "asset", "label", "becomes", "changes"], rows)
    if found.header.left_out:
        say(f"columns not taken: {', '.join(found.header.left_out)}")
    if dry_run:
        say(f"{counted(plan)}; a dry run: nothing was entered")
    elif not plan.inputs:
        say(f"{counted(plan)}; there is nothing to enter")
    else:
        say(f"{counted(plan)}; {'entered' if took_effect else reading.KEPT}")
        if took_effect and (review := asyncio.run(_review(settings, plan))):
            say(f"{review} asks for readings that are not in the file: `hourmeter tickets show {review}`")


async def _review(settings: Settings, plan: Plan) -> str:
    """The ticket that asks for the readings of an import, if there is one."""
    from desk import reading
    from rules.inputs import EnterAssets

    state = await reading.state(settings)
    causes = {f"baseline_review:{one.batch}" for one in plan.inputs if isinstance(one, EnterAssets)}
    return next((one.id for one in state.tickets.values() if one.is_open and one.cause in causes), "")


@assets.command("list")
def list_assets(
    file: SettingsFile = None,
    ward: Annotated[Optional[str], typer.Option(help="Only of this ward; '' for those without one.")] = None,
    state: Annotated[Optional[LifeCycle], typer.Option(help="Only in this life-cycle state.")] = None,
    unclaimed: Annotated[
        bool, typer.Option("--unclaimed", help="The devices that speak and belong to no asset instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List assets, or the devices that nobody has claimed with the command that claims each."""
    from desk import asset_record, reading
    from rules.overview import fleet_rows, unclaimed_rows

    now = asyncio.run(reading.state(chosen(file)))
    if unclaimed:
        found = unclaimed_rows(now)
        if as_json:
            say(json.dumps([asset_record.unclaimed_facts(row) for row in found], indent=2))
            return
        table(asset_record.UNCLAIMED, [asset_record.unclaimed_line(row) for row in found])
        for row in found:
            say(asset_record.claim_command(row))
        return
    rows = [
        row
        for row in fleet_rows(now)
        if (ward is None or row.ward == ward) and (state is None or row.life_cycle == state)
    ]
    if as_json:
        facts = [
            asset_record.facts_of(row, now.assets[row.asset], [now.tickets[one] for one in row.open_tickets])
            for row in rows
        ]
        say(json.dumps(facts, indent=2))
        return
    table(asset_record.COLUMNS, [asset_record.line_of(row, now.assets[row.asset]) for row in rows])


@assets.command()
def show(
    number: Annotated[str, typer.Argument(metavar="ASSET", help="Asset id.")],
    file: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """Show an asset: what is on record of it, its names with their validity, meters, tickets and history."""
    from desk import asset_record, reading
    from desk.asset_telling import asset_of
    from rules.overview import fleet_rows

    now = asyncio.run(reading.state(chosen(file)))
    asset = asset_of(now, number)
    row = next(row for row in fleet_rows(now) if row.asset == asset.id)
    tickets = [now.tickets[one] for one in row.open_tickets]
    if as_json:
        say(json.dumps(asset_record.facts_of(row, asset, tickets), indent=2))
        return
    for name, value in asset_record.attributes_of(asset):
        say(f"{name:<14}{value}")
    say(f"{'link':<14}{(row.link or 'never heard') if asset.aliases else 'no adapter'}")
    say(f"{'meters':<14}{asset_record.meters_of(row.meters) or 'none'}")
    for base in asset.baselines:
        say(f"{'reading':<14}{base.meter} {base.reading:g}, work last done at {base.last_done:g}")
    for ticket in tickets:
        say(f"{'ticket':<14}{ticket.id}  {ticket.priority}  {ticket.title}")
    _sections(asset, now)


def _sections(asset: Asset, now: State) -> None:
    from desk import asset_record

    if asset.held:
        say("")
        table(
            ["name", "kind", "since", "until", "port"],
            [asset_record.held_line(one, now.devices) for one in asset.held],
        )
    if asset.changes:
        counting = {change.number for change in asset.standing_changes}
        say("")
        table(
            ["number", "since", "change", "by", "said", "reason"],
            [asset_record.change_line(one, counts=one.number in counting) for one in asset.changes],
        )


for _command in (claim, confirm, release, move, amend, retire):
    assets.command()(_command)
