"""The command line `hourmeter`.

Commands import what they need when they run: the quick ones do not wait for web server and database.
Exit codes: 0 done, 1 something was refused, 2 the operator can mend it, 3 something is unavailable.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from adapters import decode as decoding
from collector.journal_file import lock
from desk import settings
from desk.cli_adapters import adapters
from desk.cli_assets import assets
from desk.cli_config import config
from desk.cli_dead import dead
from desk.cli_record import record
from desk.cli_usage import usage
from desk.clock import system_clock
from desk.options import Json, SettingsFile, chosen, chosen_file
from desk.terminal import complain, say, table
from telemetry.errors import HourmeterError, MessageError, SettingsError, Unavailable
from telemetry.times import iso

if TYPE_CHECKING:
    from adapters.host.host import HostHealth
    from collector.accounting import Accounting
    from desk.compose import Site
    from rules.overview import MeterRow

app = typer.Typer(
    help="Runtime hours, alarms and fault codes of hospital devices, carried into maintenance tickets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
tickets = typer.Typer(help="Tickets: list, show, close.", no_args_is_help=True)
rules = typer.Typer(help="Rules: test their stories.", no_args_is_help=True)
quarantine = typer.Typer(help="Messages put aside: list, release.", no_args_is_help=True)
app.add_typer(tickets, name="tickets")
app.add_typer(rules, name="rules")
app.add_typer(quarantine, name="quarantine")
app.add_typer(dead, name="dead")
app.add_typer(adapters, name="adapters")
app.add_typer(assets, name="assets")
app.add_typer(config, name="config")
app.command("usage")(usage)
app.command("record")(record)

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log more than warnings.")]

PIECE = 65_536


def main() -> None:
    """Run a command; an error of ours is one line and an exit code."""
    try:
        app()
    except HourmeterError as error:
        complain(f"hourmeter: {error}")
        sys.exit(exit_code(error))


def exit_code(error: HourmeterError) -> int:
    """By whose fault: 1 the device's, 2 the operator's, 3 the weather's."""
    match error:
        case MessageError():
            return 1
        case SettingsError():
            return 2
        case _:
            return 3


def _named(error: SettingsError, file: Path | None) -> SettingsError:
    """The error with the settings file that it is to be mended in."""
    origin = chosen_file(file)
    if origin is None:
        return error
    return SettingsError(where=f"{origin}: {error.where}", found=error.found, expected=error.expected)


async def _until_signal(work: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
    """Do the work; SIGINT, SIGTERM and a lost terminal ask it to stop, a second one stops it at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)

    def stop() -> None:
        if stopping.is_set():
            task.cancel()
        stopping.set()

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # devices are owed a farewell
        if signal.getsignal(name) is not signal.SIG_IGN:  # as nohup asks
            loop.add_signal_handler(name, stop)
    try:
        await task
    except asyncio.CancelledError:
        return


def _serve(file: Path | None, *names: str, verbose: bool, watch: bool = False) -> None:
    site_settings = chosen(file)  # first, because what follows takes a second to import
    from desk.compose import Part, run, site_of
    from desk.logs import log_to_stderr

    log_to_stderr(site_settings.log, verbose=verbose)
    parts = frozenset(map(Part, names)) or frozenset(Part)

    async def work() -> str:
        site = site_of(site_settings, system_clock(), parts)
        try:
            async with _watching(site) if watch else nullcontext():
                await _until_signal(run(site, parts), site.stopping)
        except SettingsError as error:
            raise _named(error, file) from error
        return site.not_acknowledging

    if trouble := asyncio.run(work()):
        raise Unavailable("stopped while nothing was acknowledged", why=trouble)


def _watching(site: Site) -> AbstractAsyncContextManager[None]:
    from desk.watch import watching

    def look() -> HostHealth | None:
        return None if site.adapters is None else site.adapters.health

    return watching(look, name=site.settings.host.publisher or "local", now_ms=site.clock.now_ms)


@app.command("run")
def run_all(file: SettingsFile = None, verbose: Verbose = False) -> None:
    """Run everything of one settings file in one process."""
    _serve(file, verbose=verbose)


@app.command()
def collect(file: SettingsFile = None, verbose: Verbose = False) -> None:
    """Carry messages from the broker into journal and history."""
    _serve(file, "collect", verbose=verbose)


@app.command()
def conclude(file: SettingsFile = None, verbose: Verbose = False) -> None:
    """Let the rules conclude tickets from the journal."""
    _serve(file, "conclude", verbose=verbose)


@app.command()
def desk(file: SettingsFile = None, verbose: Verbose = False) -> None:
    """Serve the page."""
    _serve(file, "desk", verbose=verbose)


@app.command()
def adapt(
    file: SettingsFile = None,
    verbose: Verbose = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show every device live; lines on change where it is piped.")
    ] = False,
) -> None:
    """Read the devices of this machine and publish what they say."""
    _serve(file, "adapt", verbose=verbose, watch=watch)


@app.command()
def demo(
    seconds: Annotated[
        Optional[float],
        typer.Option("--for", min=1, help="Stop after so many seconds; without it, Ctrl-C stops."),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=1, max=36_000, help="Seconds of the demo per real second.")
    ] = 3600,
    ventilators: Annotated[int, typer.Option(min=4, max=96, help="Simulated ventilators.")] = 24,
    folder: Annotated[Path, typer.Option(help="Folder of the demo's data, emptied at each start.")] = Path(
        "demo-data"
    ),
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the page; 0 takes any.")] = 8480,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a summary as the only standard output.")
    ] = False,
) -> None:
    """Show the whole line at work with simulated ventilators and a fast clock."""
    from desk.demo import DemoOptions
    from desk.demo import run as run_demo
    from desk.logs import log_to_stderr

    log_to_stderr(settings.Log())
    options = DemoOptions(
        seconds=seconds, rate=rate, ventilators=ventilators, folder=folder, port=port, quiet=as_json
    )
    stopping = asyncio.Event()
    found: list[dict[str, object]] = []

    async def work() -> None:
        found.append(await run_demo(options, stopping))

    asyncio.run(_until_signal(work(), stopping))
    for summary in found:
        if as_json:
            say(json.dumps(summary, indent=2))


@app.command()
def decode(
    protocol: Annotated[str, typer.Argument(help="Protocol id, as `hourmeter adapters list` tells.")],
    file: Annotated[Path, typer.Argument(help="Bytes of a device, or a capture; - for standard input.")],
) -> None:
    """Print what a recording says as JSON lines; refusals go to standard error with their byte offset."""
    refused = False
    for line in decoding.decode(protocol, _pieces(file), where=str(file)):
        if line.kind is decoding.LineKind.BODY:
            say(line.text)
        else:
            refused = refused or line.kind is decoding.LineKind.REFUSAL
            complain(line.text)
    if refused:
        raise typer.Exit(1)


def _pieces(file: Path) -> Iterator[bytes]:
    if str(file) == "-":
        read = getattr(sys.stdin.buffer, "read1", sys.stdin.buffer.read)  # what is there, not all at once
        while piece := read(PIECE):
            yield piece
        return
    try:
        with file.open("rb") as capture:
            while piece := capture.read(PIECE):
                yield piece
    except OSError as error:
        raise SettingsError(
            where=str(file), found=error.strerror or "cannot be read", expected="a capture file, or -"
        ) from error


@app.command()
def accounting(file: SettingsFile = None, as_json: Json = False) -> None:
    """Show where every message is."""
    from desk import reading

    found = asyncio.run(reading.accounting(chosen(file)))
    if as_json:
        say(json.dumps(asdict(found) | {"unaccounted": found.total.unaccounted}, indent=2))
    else:
        _print_accounting(found)
    if found.total.unaccounted or (found.rules and found.rules.unaccounted):
        raise MessageError("the accounting does not add up: this is a bug of hourmeter, please report it")


def _print_accounting(found: Accounting) -> None:
    places = ("received", "stored", "pending", "dead_lettered", "duplicate", "quarantined", "privacy")
    rows = [
        [kind, *(str(getattr(line, place)) for place in places)]
        for kind, line in (*found.kinds.items(), ("total", found.total))
    ]
    table(["kind", *places], rows)
    say(f"missing\t{found.missing}\tlost\t{found.lost}")
    if found.rules:
        say(
            f"rules\tjournaled {found.rules.journaled}\tconcluded {found.rules.concluded}"
            f"\tpending {found.rules.pending}\tfailed {found.rules.failed}"
        )


@app.command()
def devices(file: SettingsFile = None, as_json: Json = False) -> None:
    """List assets and what was last heard of them, then the devices that nobody has claimed."""
    from desk import reading

    fleet, unclaimed = asyncio.run(reading.devices(chosen(file)))
    if as_json:
        say(
            json.dumps(
                {"assets": [asdict(row) for row in fleet], "unclaimed": [asdict(row) for row in unclaimed]}
            )
        )
        return
    rows = [
        [
            row.asset,
            row.label,
            row.ward,
            row.model,
            row.link or "never heard",
            row.operating,
            _meters(row.meters),
        ]
        for row in fleet
    ]
    rows += [
        [
            "unclaimed",
            " ".join(filter(None, row.alias)),
            row.publisher,
            row.model,
            row.device,
            row.operating,
            _meters(row.meters),
        ]
        for row in unclaimed
    ]
    table(["asset", "label", "ward", "model", "link", "state", "meters"], rows)


def _meters(meters: tuple[MeterRow, ...]) -> str:
    return ", ".join(
        f"{meter.name} {meter.low_h:.1f} ({meter.provenance}, coverage {meter.coverage:.0%})"
        for meter in meters
    )


# -- tickets ------------------------------------------------------------------------------------------------


@tickets.command("list")
def list_tickets(
    file: SettingsFile = None,
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    as_json: Json = False,
) -> None:
    """List open tickets."""
    from desk import reading

    found = asyncio.run(reading.tickets(chosen(file), closed_too=everything))
    if as_json:
        say(json.dumps([ticket.model_dump(mode="json") for ticket in found], indent=2))
        return
    table(
        ["id", "priority", "kind", "asset", "state", "opened", "seen", "title"],
        [
            [
                ticket.id,
                ticket.priority,
                ticket.kind,
                ticket.asset,
                ticket.state,
                iso(ticket.opened_ms)[:16],
                str(ticket.occurrences),
                ticket.title,
            ]
            for ticket in found
        ],
    )


@tickets.command()
def show(number: Annotated[str, typer.Argument(help="Ticket id.")], file: SettingsFile = None) -> None:
    """Show a ticket: why it exists, what to do, what has happened."""
    from desk import reading
    from rules.explain import sentences

    ticket, events = asyncio.run(reading.ticket(chosen(file), number))
    say(f"{ticket.id}  {ticket.priority}  {ticket.kind}  {ticket.state}")
    for sentence in sentences(ticket):
        say(f"  {sentence}")
    say(f"Action: {ticket.action}")
    for item in ticket.checklist:
        say(f"  [ ] {item}")
    for part in ticket.parts:
        say(f"  part: {part}")
    for event in events:
        say(f"{iso(event.at_ms)}  {event.who}  {event.from_state or '-'} -> {event.to_state}  {event.note}")


@tickets.command()
def close(
    number: Annotated[str, typer.Argument(help="Ticket id.")],
    file: SettingsFile = None,
    hours: Annotated[
        Optional[float],
        typer.Option("--reading", min=0, help="What the device's hour counter shows; for work by the hour."),
    ] = None,
    note: Annotated[str, typer.Option(help="What was done.")] = "",
    by: Annotated[Optional[str], typer.Option(help="Who did it; you, if not given.")] = None,
) -> None:
    """Close a ticket: its work is done."""
    from desk import reading
    from rules.inputs import CloseTicket

    wish = CloseTicket(at_ms=system_clock().now_ms(), ticket=number, by=by or _me(), reading=hours, note=note)
    say(asyncio.run(reading.tell(chosen(file), wish)))


def _me() -> str:
    """Name of the person at the terminal. Raises SettingsError where the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise SettingsError(where="--by", found="this user has no name", expected="--by NAME") from error


# -- rules --------------------------------------------------------------------------------------------------


@rules.command("test")
def test_rules(
    folders: Annotated[
        Optional[list[Path]],
        typer.Argument(help="Folders of rules; without any, the shipped rules and those of the settings."),
    ] = None,
    file: SettingsFile = None,
) -> None:
    """Lint rules and run their stories."""
    from desk.fleet import folder_files, library_files
    from rules.documents import load as load_rule
    from rules.lint import lint
    from rules.stories import run_stories

    named = list(folders or ())
    files = [one for folder in (named or chosen(file).rules.folders) for one in folder_files(folder)]
    if not named:
        files = [*library_files(), *files]
    findings = lint(files)
    for finding in findings:
        complain(f"{finding.origin}: {finding.code}: {finding.message}")
    unreadable = {finding.origin for finding in findings if finding.code == "unreadable"}
    rows: list[list[str]] = []
    for one in files:
        if one.origin not in unreadable:
            rule = load_rule(one.text, one.origin)
            force = "confirmed" if rule.confirmed_by else "draft"
            rows.extend(
                [result.rule, force, result.story, "passed" if result.passed else "failed", result.why_not]
                for result in run_stories(rule)
            )
    table(["rule", "force", "story", "result", "why not"], rows)
    if findings or any(row[3] == "failed" for row in rows):
        raise typer.Exit(1)


# -- care of the journal ------------------------------------------------------------------------------------


@quarantine.command("list")
def list_quarantine(file: SettingsFile = None) -> None:
    """List messages that were put aside."""
    from desk import reading

    rows = [
        [
            str(number),
            one.reason,
            str(one.message.topic),
            iso(one.message.event_ms),
            iso(one.message.received_ms),
        ]
        for number, one in reading.quarantined(chosen(file))
    ]
    table(["number", "reason", "topic", "its time", "received"], rows)


@quarantine.command()
def release(
    number: Annotated[int, typer.Argument(help="Number as listed.")], file: SettingsFile = None
) -> None:
    """Let a message go on after all; the collector takes it with its next tick."""
    from desk import reading

    reading.release(chosen(file), number)
    say(f"message {number} goes on when the collector ticks")


@app.command()
def rewind(
    consumer: Annotated[str, typer.Argument(help="history or rules.")],
    position: Annotated[int, typer.Option(min=0, help="Where to; the first position kept if lower.")] = 0,
    file: SettingsFile = None,
) -> None:
    """Set a consumer of the journal back, while the collector is stopped."""
    from desk import reading

    site_settings = chosen(file)
    with lock(site_settings.journal.folder):
        taken = asyncio.run(reading.rewind(site_settings, consumer, position))
    say(f"{consumer} goes on from position {taken}")


@app.command()
def restored(file: SettingsFile = None) -> None:
    """Tell that the journal was restored from a backup: publishers send their tails again."""
    from desk import reading

    site_settings = chosen(file)
    with lock(site_settings.journal.folder):
        say(f"the journal begins epoch {reading.restored(site_settings)}")
