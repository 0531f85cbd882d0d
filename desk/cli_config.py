"""Commands for the settings: try everything that they name."""

from __future__ import annotations

import asyncio
import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from desk import settings
from desk.clock import system_clock
from desk.options import Json, SettingsFile, chosen_file
from desk.terminal import complain, progress, say, table
from telemetry.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from desk.compose import Part
    from desk.config_check import Finding

config = typer.Typer(help="Settings: check.", no_args_is_help=True)


@config.command()
def check(
    file: SettingsFile = None,
    part: Annotated[
        Optional[list[str]],
        typer.Option(
            help="Check as collect, conclude, desk or adapt; give again for more. Else as the file is for."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Try every server, file, device and port that the settings name, and say what is wrong.

    Exit code 0: all is well; 2: something is to be mended; 3: something is only not to be had.
    """
    from desk.config_check import Verdict, exit_code

    origin = chosen_file(file)
    findings = _findings(origin, part or [])
    code = exit_code(findings)
    if as_json:
        told = [asdict(finding) for finding in findings]
        say(json.dumps({"settings": str(origin or ""), "exit_code": code, "checks": told}, indent=2))
    else:
        table(
            ["checked", "result", "found", "what would be right"],
            [[one.what, one.verdict, one.found, one.expected] for one in findings],
        )
        if code:
            verdicts = [one.verdict for one in findings]
            complain(
                f"hourmeter: {origin or 'defaults'}: {verdicts.count(Verdict.WRONG)} to be mended, "
                f"{verdicts.count(Verdict.UNAVAILABLE)} not to be had, of {len(findings)} checks"
            )
    if code:
        raise typer.Exit(code)


def _findings(origin: Path | None, parts: list[str]) -> Sequence[Finding]:
    from desk.config_check import ok, run, wrong

    if faults := settings.faults(origin):
        return [wrong("settings", fault) for fault in faults]
    from desk.config_check_site import checks_of, parts_of

    loaded = settings.load(origin)
    chosen = _parts(parts) or parts_of(loaded, tables=settings.tables(origin))
    read = ok("settings", f"{origin or 'defaults'}, for {', '.join(sorted(chosen))}; as user {_me()}")
    checks = checks_of(loaded, chosen, clock=system_clock())

    async def work() -> Sequence[Finding]:
        with progress("checking", len(checks)) as done:
            return await run(checks, done=done)

    return [read, *asyncio.run(work())]


def _parts(names: list[str]) -> frozenset[Part]:
    from desk.compose import Part

    unknown = sorted(set(names) - set(Part))
    if unknown:
        raise SettingsError(where="--part", found=repr(unknown[0]), expected=f"one of: {', '.join(Part)}")
    return frozenset(map(Part, names))


def _me() -> str:
    """Whose rights the files were tried with."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "without a name"
