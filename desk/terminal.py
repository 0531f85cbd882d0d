"""Output for people at a terminal, and plain text with tabs where it is piped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

COLOURS = (
    ("P1", "bold red"),
    ("P2", "yellow"),
    ("online", "green"),
    ("in_use", "green"),
    ("mute", "yellow"),
    ("offline", "red"),
    ("failed", "bold red"),
    ("passed", "green"),
    ("ok", "green"),
    ("unknown", "cyan"),
    ("unavailable", "yellow"),
    ("wrong", "bold red"),
    ("new", "green"),
    ("changed", "yellow"),
    ("seen on a real device", "green"),
    ("seen in a capture made by others", "cyan"),
    ("only against a manual", "yellow"),
    ("not tried against anything", "red"),
)


def _colour(cell: str) -> str:
    return next((style for word, style in COLOURS if cell == word), "")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print rows under their columns: a table for a terminal, else a line of tab-separated cells each."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            sys.stdout.write("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row) + "\n")
        return
    drawn = Table(*columns, title=title or None, title_justify="left", header_style="bold", box=None)
    for row in rows:
        drawn.add_row(*(Text(cell, style=_colour(cell)) for cell in row))
    Console().print(drawn)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show on a terminal how much of some work is done; call what is given after each part of it."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as shown:
        task = shown.add_task(what, total=total)
        yield lambda: shown.advance(task)


@contextmanager
def ticking(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal how some work stands; call what is given with it."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with console.status(what) as shown:
        yield lambda told: shown.update(f"{what}: {escape(told)}")


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """Print a line on standard error, red in a terminal."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(line, style="red", markup=False)
