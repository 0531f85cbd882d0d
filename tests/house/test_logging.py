"""No log line carries what a message carries: no call at info or above is given a payload."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.checks import Finding
from tests.house.tree import breaches, product

_SPOKEN = frozenset({"info", "warning", "error", "exception", "critical", "log"})
_LOGGERS = frozenset({"log", "_log", "_LOG", "LOG", "logger", "logging"})
_CARRIED = frozenset({
    "payload", "payloads", "raw", "data", "frame", "frames", "body", "bodies", "blob", "message", "messages",
    "record", "records", "batch", "properties", "segment", "segments", "line", "lines", "points", "document",
    "said", "received", "outcome", "outcomes", "content", "buffer",
})  # fmt: skip
"""Names under which this house keeps what a message or a device says."""


def _passed(value: ast.expr) -> Iterator[str]:
    """The names whose values an argument is made of, without what is only counted or looked into."""
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            yield name
        case ast.Call(func=ast.Name(id="len" | "sum")):
            return
        case ast.Call(func=function, args=args, keywords=words):
            if isinstance(function, ast.Attribute):
                yield from _passed(function.value)
            for part in (*args, *(word.value for word in words)):
                yield from _passed(part)
        case _:
            for child in ast.iter_child_nodes(value):
                if isinstance(child, ast.expr):
                    yield from _passed(child)


def logged_payloads(source: str) -> tuple[Finding, ...]:
    """Calls of a logger at info or above that are given something by the name of what is carried."""
    found = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        logger = call.func.value
        named = logger.id if isinstance(logger, ast.Name) else ""
        if call.func.attr in _SPOKEN and named in _LOGGERS:
            given = (*call.args, *(word.value for word in call.keywords))
            names = {name for value in given for name in _passed(value)}
            found += [Finding(call.lineno, f"logs {name}") for name in sorted(names & _CARRIED)]
    return tuple(found)


def test_no_log_line_is_given_a_payload() -> None:
    assert breaches(product(), logged_payloads) == []


@pytest.mark.parametrize(
    "call",
    [
        'log.info("%s", payload)',
        'log.warning("%s", received.payload)',
        'log.error("%s", payload[:10])',
        'log.error("%s", payload.hex())',
        'log.error("%r", bytes(frame))',
        'log.error(f"got {message.body!r}")',
        'log.exception("x", extra={"raw": raw})',
        'log.log(logging.INFO, "%s", "a" + data)',
        '_LOG.info("%s", *records)',
    ],
)
def test_a_payload_in_a_log_line_is_found(call: str) -> None:
    assert len(logged_payloads(call)) == 1


@pytest.mark.parametrize(
    "call",
    [
        'log.debug("%s", payload)',
        'log.info("%d bytes", len(payload))',
        'log.info("%s: %s", message.topic, error)',
        'log.info("%d", outcome.offset)',
        'say("%s", payload)',
    ],
)
def test_what_is_counted_or_only_looked_into_is_no_payload(call: str) -> None:
    assert logged_payloads(call) == ()
