"""Commands for the protocols that devices are read by."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from adapters import registry
from adapters.contract import ProtocolInfo
from desk.options import Json
from desk.terminal import say, table

adapters = typer.Typer(
    help="Protocols that devices are read by: list, show.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@adapters.command("list")
def list_adapters(as_json: Json = False) -> None:
    """List the protocols: how they are reached, and what each model was tried against."""
    infos = [file.info for file in registry.protocols().values()]
    if as_json:
        say(json.dumps([_told(info) for info in infos], indent=2))
        return
    from desk.adapter_pages import NOT_TRIED, WORDS, rank

    rows = []
    for info in infos:
        ways = ", ".join(info.ways) + (" (one reader)" if info.one_client else "")
        tried = [(model.name, WORDS[model.evidence]) for model in rank(info.models)] or [("", NOT_TRIED)]
        for number, model in enumerate(tried):
            rows.append([info.id, *((info.title, ways) if number == 0 else ("", "")), *model])
    table(["id", "title", "ways", "model", "tried"], rows)


def _told(info: ProtocolInfo) -> dict[str, object]:
    return {
        "id": info.id,
        "title": info.title,
        "manufacturer": info.manufacturer,
        "ways": list(info.ways),
        "one_client": info.one_client,
        "usual_port": info.usual_port,
        "models": [
            {"name": model.name, "evidence": model.evidence, "note": model.note} for model in info.models
        ],
    }


@adapters.command()
def show(
    protocol: Annotated[str, typer.Argument(help="Protocol id, as `hourmeter adapters list` tells.")],
) -> None:
    """Show the page of a protocol: what it was tried against, what is sent, its tables and examples."""
    from desk.adapter_pages import page

    text = page(registry.find(protocol))
    if not sys.stdout.isatty():
        say(text.rstrip("\n"))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))
