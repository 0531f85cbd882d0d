"""Output for people at a terminal, and plain text with tabs where it is piped."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

COLOURS = (
    ("P1", "bold red"),
    ("P2", "yellow"),
    ("online", "green"),
    ("in_use", "green"),
    ("mute", "yellow"),
    ("offline", "red"),
    ("failed", "bold red"),
    ("passed", "green"),
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
        drawn.add_row(*(f"[{style}]{cell}[/]" if (style := _colour(cell)) else cell for cell in row))
    Console().print(drawn)


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """Print a line on standard error, red in a terminal."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(line, style="red", markup=False)


def log_to_stderr(*, verbose: bool) -> None:
    """Log lines of the parts to standard error."""
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = RichHandler(console=Console(stderr=True), show_path=False, rich_tracebacks=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])
