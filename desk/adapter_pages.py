"""The page of a protocol, written from its file: what it was tried against, how it is used, how it is read.

Rule: nothing on a page is typed twice; what a page should say stands in the protocol file.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import Final

from adapters.contract import Evidence, Example, Model, ProtocolFile, ProtocolInfo, SerialLine, Table, Way

WORDS: Final = MappingProxyType(
    {
        Evidence.DEVICE: "seen on a real device",
        Evidence.CAPTURE: "seen in a capture made by others",
        Evidence.MANUAL: "only against a manual",
    }
)
"""What a model was tried against, in words that claim no more."""
NOT_TRIED: Final = "not tried against anything"

_WAYS: Final = MappingProxyType(
    {
        Way.SERIAL: (
            "at a serial port of this machine",
            'serial = "/dev/ttyUSB0"',
        ),
        Way.TCP: (
            "over TCP, or behind a serial-device server in raw TCP mode, whose own serial settings count",
            'host = "192.0.2.10"\nport = {port}',
        ),
        Way.UDP: (
            "over UDP, at a port of the device",
            'transport = "udp"\nhost = "192.0.2.10"\nport = {port}',
        ),
        Way.LISTEN: (
            "by datagrams that it sends to a port of this machine, unasked",
            'transport = "listen"\nhost = "192.0.2.10"\nport = {port}',
        ),
        Way.SDC: (
            "over IEEE 11073 SDC (needs the extra `sdc`)",
            'endpoint = "urn:uuid:..."\ncert_file = "our.pem"\nkey_file = "our.key"\nca_file = "their.pem"',
        ),
    }
)
"""How a way is told, and its keys in a `[[device]]`."""


def rank(models: Sequence[Model]) -> tuple[Model, ...]:
    """The models, best evidence first."""
    order = tuple(Evidence)
    return tuple(sorted(models, key=lambda model: order.index(model.evidence)))


def simulator(info: ProtocolInfo) -> str:
    """The module that speaks like the device, named as its protocol file is; empty where there is none."""
    name = info.id.replace("-", "_") + ("_gateway" if Way.GATEWAY in info.ways else "")
    module = f"adapters.simulators.{name}"
    return module if importlib.util.find_spec(module) else ""


def page(file: ProtocolFile) -> str:
    """The page as Markdown."""
    info = file.info
    parts = (
        f"# {info.title}",
        _opening(file),
        *_tried(info),
        *_reached(info, fitting(file)),
        *_sent(info),
        *_rules(file),
        *info.notes,
        *_options(file),
        *(part for table in file.tables for part in _table(table)),
        *_examples(file.examples),
        *_trying(file, simulator(info)),
        "## Sources",
        f"{_capital(info.source)}.",
        f"Written from `adapters/protocols/{info.id.replace('-', '_')}.py`.",
    )
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def index(infos: Iterable[ProtocolInfo], *, folder: str) -> str:
    """A table of protocols, as Markdown: the page in that folder, and what models were tried against."""
    rows = []
    for info in infos:
        models = rank(info.models)
        tried = [
            f"{evidence}: {', '.join(model.name for model in models if model.evidence is evidence)}"
            for evidence in dict.fromkeys(model.evidence for model in models)
        ]
        ways = ", ".join(info.ways)
        rows.append((f"[{info.title}]({folder}/{info.id}.md)", ways, "; ".join(tried) or NOT_TRIED))
    return _grid(("protocol", "reached by", "tried against"), rows)


def _opening(file: ProtocolFile) -> str:
    info = file.info
    rhythm = (
        "is asked"
        if file.adapter(period_s=info.poll_s).poll()
        else "reports, as far as its own settings are not known,"
    )
    made = f", of {info.manufacturer}" if info.manufacturer else ""
    return f"Protocol id `{info.id}`{made}. The device {rhythm} every {info.poll_s:g} seconds."


def _tried(info: ProtocolInfo) -> Iterator[str]:
    yield "## What it was tried against"
    if not info.models:
        yield f"**{_capital(NOT_TRIED)}.**"
        return
    rows = tuple((model.name, f"**{WORDS[model.evidence]}**", model.note) for model in rank(info.models))
    yield _grid(("model", "tried", ""), rows)
    if not any(model.evidence is Evidence.DEVICE for model in info.models):
        yield (
            "No model was seen on a real device by this project. If you have one, `hourmeter decode` on a"
            " recording of it is the best help there is."
        )


def fitting(file: ProtocolFile) -> tuple[Way, ...]:
    """The ways to a device that fit a protocol whose options are left as they are."""
    only = file.options().way if file.options else None
    return file.info.ways if only is None else (only,)


def _reached(info: ProtocolInfo, ways: tuple[Way, ...]) -> Iterator[str]:
    yield "## How it is reached"
    if Way.GATEWAY in info.ways:
        yield (
            "Senders connect to this machine: a [`[[gateway]]`](../settings.md), not a `[[device]]`"
            f"{f'; port {info.usual_port} is usual' if info.usual_port else ''}."
        )
    for way in info.ways:
        if way is Way.GATEWAY:
            continue
        told, keys = _WAYS[way]
        if way not in ways:
            yield f"{_capital(told)}, where its [options](#options) ask for it."
            continue
        line = _line(info.line) if way is Way.SERIAL and info.line else ""
        lines = ["[[device]]", f'name = "{info.id}-1"', f'protocol = "{info.id}"']
        lines += keys.format(port=info.usual_port or 4001).splitlines()
        if info.one_client:
            lines.append('sole_reader_confirmed_by = "name of a person"')
        yield f"{_capital(told)}{line}:"
        yield "\n".join(("```toml", *lines, "```"))
    if Way.SERIAL in info.ways:
        yield "What is said of a serial port, and what then helps: [Adapters](../adapters.md#serial-ports)."
    if info.one_client:
        yield (
            "**Its port serves one reader.** Whoever reads it keeps every other system from it, and may"
            " silence what that system shows: a named person confirms that no other system uses it."
        )


def _line(line: SerialLine) -> str:
    bits = "1 stop bit" if line.stop_bits == 1 else f"{line.stop_bits} stop bits"
    return (
        f" (unless set otherwise: {line.baud_rate} bits per second, {line.data_bits} data bits,"
        f" {'no' if line.parity == 'none' else line.parity} parity, {bits})"
    )


def _sent(info: ProtocolInfo) -> Iterator[str]:
    yield "## What is sent to it"
    yield "\n".join(f"- {one}" for one in info.sends) if info.sends else "Nothing."
    if info.bedside:
        yield "## At the bedside"
        yield info.bedside


def _rules(file: ProtocolFile) -> Iterator[str]:
    """The docstring of the file: what its bytes look like, and its rules."""
    yield "## How it is read"
    for block in file.about.split("\n\n"):
        if block.startswith("Rule "):
            yield "\n".join(_listed(block.splitlines()))
        elif not block.startswith("    "):
            yield block
        else:
            yield "\n".join(("```", *(line.removeprefix("    ") for line in block.splitlines()), "```"))


def _listed(lines: Sequence[str]) -> Iterator[str]:
    """Each rule as an item of a list."""
    for line in lines:
        yield f"- {line}" if line.startswith("Rule ") else f"  {line}"


def _options(file: ProtocolFile) -> Iterator[str]:
    if file.options is None:
        return
    yield "## Options"
    yield "In `[device.options]` behind its `[[device]]`:"
    rows = tuple(
        (f"`{name}`", f"`{field.get_default()!r}`", " ".join((field.description or "").split()))
        for name, field in file.options.model_fields.items()
    )
    yield _grid(("key", "default", "meaning"), rows)


def _table(table: Table) -> Iterator[str]:
    yield f"## {table.title}"
    yield f"From {table.source}."
    yield _grid(table.columns, table.rows)


def _examples(examples: Sequence[Example]) -> Iterator[str]:
    yield "## Examples"
    yield "Executed by the tests: whole, byte by byte, with bytes behind."
    rows = tuple((one.description, _told(one), one.refusal or "") for one in examples)
    yield _grid(("bytes", "become", "refused, because"), rows)


def _told(example: Example) -> str:
    kinds = Counter(body.kind for body in example.bodies)
    return ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items()) or "nothing"


def _trying(file: ProtocolFile, served: str) -> Iterator[str]:
    yield "## Try it"
    lines = {f"hourmeter decode {file.info.id} FILE": "what a recording of its bytes says"}
    if file.redactor is not None and Way.GATEWAY not in file.info.ways:
        lines["hourmeter record NAME --to FILE"] = "records a configured device, without what is a patient's"
    if served:
        lines[f"python -m {served} --help"] = "speaks like the device"
    width = max(map(len, lines))
    yield "\n".join(("```sh", *(f"{line:<{width}}  # {what}" for line, what in lines.items()), "```"))


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    drawn = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in drawn)


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())
