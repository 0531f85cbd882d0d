"""Reads captured bytes of a device as `hourmeter decode` shows them: bodies and refusals, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from adapters.contract import Adapter, Heard, Outcome, Refusal, Skipped
from adapters.registry import find


class LineKind(StrEnum):
    """What a line tells; bodies belong on standard output, refusals and notes on standard error."""

    BODY = "body"
    REFUSAL = "refusal"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what was read."""

    kind: LineKind
    text: str


def decode(protocol: str, chunks: Iterable[bytes]) -> Iterator[Line]:
    """A JSON line for each body, and `byte N: reason` for each refusal and for what is skipped.

    Raises SettingsError at once if there is no such protocol.
    """
    file = find(protocol)
    return _lines((file.file_adapter or file.adapter)(period_s=file.info.poll_s), chunks)


def _lines(adapter: Adapter, chunks: Iterable[bytes]) -> Iterator[Line]:
    for chunk in chunks:
        yield from _told(adapter.feed(chunk))
    yield from _told(adapter.closed())


def _told(outcomes: Iterable[Outcome]) -> Iterator[Line]:
    for outcome in outcomes:
        if isinstance(outcome, Heard):
            for body in outcome.bodies:
                yield Line(LineKind.BODY, body.model_dump_json(exclude_none=True))
        elif isinstance(outcome, Refusal):
            yield Line(LineKind.REFUSAL, f"byte {outcome.offset}: {outcome.reason}")
        elif isinstance(outcome, Skipped):
            yield Line(LineKind.NOTE, f"byte {outcome.offset}: skipped: {outcome.reason}")
