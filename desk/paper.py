"""The page's templates, style and script, and the headers that forbid a browser everything else.

Rule: everything comes from one answer: no address but its own is ever asked for anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from desk.live_parts import Write
from desk.views import Only
from desk.words import Language
from rules.words import TicketPriority

_INDENTED: Final = re.compile(r"\s*\n\s*")


@dataclass(frozen=True, slots=True)
class Paper:
    """What pages are written with."""

    macros: Mapping[str, Write]
    """Each writes one part of a page."""
    pages: Mapping[str, Template]
    """The frames that parts are put into, by name of the page."""
    headers: Mapping[str, str]
    build: str
    """Another one after an update: a page that stayed open then loads itself anew."""


def paper(*, reload_s: int) -> Paper:
    """The templates of this package; without a script a page loads itself anew every `reload_s`."""
    folder = resources.files("desk").joinpath("templates")
    texts = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.is_file()}
    style, script = texts["page.css"], texts["live.js"]
    environment = Environment(
        loader=PackageLoader("desk"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        style=Markup(style),  # noqa: S704 - ours
        script=Markup(script),  # noqa: S704 - ours
        reload_s=reload_s,
        languages=Language,
        sorts=Only,
        priorities=TicketPriority,
    )
    macros = vars(environment.get_template("parts.html").module)
    return Paper(
        macros={name: partial(_tight, macro) for name, macro in macros.items() if callable(macro)},
        pages={
            name: environment.get_template(f"{name}.html") for name in ("fleet", "tickets", "ticket", "asset")
        },
        headers=_headers(style, script),
        build=hashlib.sha256("".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:12],
    )


def _tight(macro: Write, *said: object) -> str:
    """What a macro writes, without the indentation of its template."""
    return _INDENTED.sub(" ", macro(*said)).strip()


def _headers(style: str, script: str) -> Mapping[str, str]:
    """Only our style and script, known by their hashes; the script asks its own origin only."""
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
