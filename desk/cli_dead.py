"""Commands for dead letters: messages that cannot go on, each kept with its reason."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Optional

import orjson
import typer

from desk.options import Json, SettingsFile, chosen
from desk.terminal import say, table
from telemetry.errors import SettingsError
from telemetry.times import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.dead import Kept, Outcome

dead = typer.Typer(help="Dead letters: list, show, replay.", no_args_is_help=True)

Kind = Annotated[str, typer.Option(help="Only of this kind.")]
Reason = Annotated[str, typer.Option(help="Only those whose reason holds this text.")]
NOT_KEPT = "masked: it names what hourmeter does not know, so only its length and SHA-256 were kept"
_ONE_BY_ONE = 20
"""Outcomes that are told each by itself; more are counted."""


@dead.command("list")
def list_dead(
    kind: Kind = "",
    reason: Reason = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    file: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """List messages that could not be read or stored, the newest last."""
    from desk import replaying

    found = replaying.dead_letters(chosen(file), kind=kind, reason=reason, limit=limit)
    if as_json:
        say(json.dumps([_facts(one) for one in found], indent=2))
        return
    table(
        ["position", "received", "topic", "kind", "reason", "bytes"],
        [
            [
                str(one.letter.position),
                iso(one.message.received_ms),
                one.letter.topic,
                one.letter.kind,
                _plain(one.letter.reason),
                f"{one.size}{', masked' if one.is_masked else ''}",
            ]
            for one in found
        ],
    )


@dead.command()
def show(
    position: Annotated[int, typer.Argument(min=0, help="Position as listed.")],
    file: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """Show a dead letter: where it came from, when, why it is one, and what it says."""
    from desk import replaying

    one = replaying.dead_letter(chosen(file), position)
    if as_json:
        say(json.dumps(_facts(one), indent=2))
        return
    message, place = one.message, one.message.envelope
    corrected = ", corrected" if message.corrected else ""
    say(f"position  {position}")
    say(f"topic     {one.letter.topic}")
    say(f"received  {iso(message.received_ms)}")
    say(f"its time  {iso(message.event_ms)}{corrected}")
    say(
        f"envelope  stream {place.stream}, seq {place.seq}, boot {place.boot}, mono_ms {place.mono_ms}"
        if place
        else "envelope  none"
    )
    say(f"reason    {_plain(one.letter.reason)}")
    say(f"bytes     {one.size}")
    if one.came_from is not None:
        say(f"replayed  from position {one.came_from}, and dead again")
    if one.is_asked:
        say("replay    asked for; the collector does it with its next tick")
    if one.is_masked:
        say(f"payload   {NOT_KEPT}")
    say(json.dumps(_payload(one), indent=2))


@dead.command()
def replay(
    positions: Annotated[Optional[list[int]], typer.Argument(help="Positions as listed.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that were kept readable.")] = False,
    kind: Annotated[str, typer.Option(help="With --all: only of this kind.")] = "",
    reason: Annotated[str, typer.Option(help="With --all: only those whose reason holds this text.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --all.")] = False,
    file: SettingsFile = None,
) -> None:
    """Let dead letters go again, once what was wrong is mended; the collector takes them with its next tick.

    It is told what becomes of them. Exit code 1 if one is dead again.
    """
    from collector.dead import Fate
    from desk import replaying

    settings = chosen(file)
    asked, stay = tuple(dict.fromkeys(positions or ())), 0
    if every == bool(asked) or (not every and (kind or reason)):
        raise SettingsError(
            where="dead replay",
            found="positions and --all" if every and asked else "no positions and no --all",
            expected="positions that `dead list` shows, or --all, which may have --kind and --reason",
        )
    if not every:
        replaying.ask(settings, asked)
    else:
        if not yes and is_terminal():
            typer.confirm("Let all of them go again?", abort=True)
        asked, stay = replaying.ask_all(settings, kind=kind, reason=reason)
    outcomes = asyncio.run(replaying.outcomes(settings, asked))
    _tell(outcomes)
    if stay:
        say(f"{stay} stay, {NOT_KEPT}")
    if any(outcome.fate is Fate.DEAD_AGAIN for outcome in outcomes):
        raise typer.Exit(1)


def is_terminal() -> bool:
    """Whether there is a person who can be asked."""
    return sys.stdin.isatty()


def _tell(outcomes: Sequence[Outcome]) -> None:
    """What became of dead letters: one by one if they are few, else counted."""
    if len(outcomes) <= _ONE_BY_ONE:
        for outcome in outcomes:
            say(f"{outcome.position}: {_sentence(outcome)}")
        return
    for (fate, reason), count in Counter((one.fate.value, one.reason) for one in outcomes).most_common():
        say(f"{count} {fate}{': ' if reason else ''}{_plain(reason)}")


def _sentence(outcome: Outcome) -> str:
    from collector.dead import Fate

    match outcome.fate:
        case Fate.WAITING:
            return "noted; it goes again when the collector runs"
        case Fate.UNDERWAY:
            return "in the journal again; history has not come to it"
        case Fate.DEAD_AGAIN:
            return f"dead again at {outcome.again}: {_plain(outcome.reason)}"
        case _:
            return outcome.fate.value


def _facts(one: Kept) -> dict[str, Any]:
    message, place = one.message, one.message.envelope
    return {
        "position": one.letter.position,
        "topic": one.letter.topic,
        "kind": one.letter.kind,
        "reason": one.letter.reason,
        "received": iso(message.received_ms),
        "event_time": iso(message.event_ms),
        "corrected": message.corrected,
        "envelope": dict(place.properties()) if place else None,
        "bytes": one.size,
        "masked": one.is_masked,
        "payload": _payload(one),
        "replay_asked": one.is_asked,
        "came_from": one.came_from,
    }


def _payload(one: Kept) -> object:
    """The payload as JSON; what is none was never kept."""
    return orjson.loads(one.letter.payload)


def _plain(text: str) -> str:
    """A text of another's making without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
