"""Self-made reports and ways to hear them, shared by the tests of this room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from adapters.contract import Adapter, Heard, Outcome, Refusal
from adapters.protocols.puritan_bennett import QUIET_FIELDS, QUIET_SHORT_FIELDS
from adapters.puritan_bennett_reports import SNDA, Layout, frame_of
from telemetry.messages import Alarm, Body, Fault

CAPTURE = (
    Path(__file__).parents[2].parent
    / "shared/samples/puritan_bennett/miscf_840_3510072467_20230404_33frames.bin"
)


def report(fields: Mapping[int, str] = MappingProxyType({})) -> bytes:
    """A report of an 840 in use with nothing amiss but these fields."""
    return frame_of({**QUIET_FIELDS, **fields})


def short_report(fields: Mapping[int, str] = MappingProxyType({})) -> bytes:
    """The same 840 by SNDA, with nothing amiss but these fields."""
    return frame_of({**quiet(SNDA), **fields}, layout=SNDA)


def quiet(layout: Layout) -> Mapping[int, str]:
    """The fields of a ventilator in use with nothing amiss."""
    return QUIET_SHORT_FIELDS if layout is SNDA else QUIET_FIELDS


def twin_of_capture() -> bytes:
    """What the capture of 33 reports of one 840 tells about equipment, made by ourselves."""
    standing = {6: "840 3510072467", 7: "APR 04 2023", 55: "Disabled", 122: "LOW", 127: "RESET"}
    minutes = ["16:01"] * 20 + ["16:02"] * 13
    return b"".join(report({**standing, 5: minute}) for minute in minutes)


def hear(adapter: Adapter, chunks: Iterable[bytes]) -> tuple[Outcome, ...]:
    """Everything that an adapter says of these pieces on one link, but for its greeting."""
    adapter.connected()
    return (*(said for chunk in chunks for said in adapter.feed(chunk)), *adapter.closed())


def bodies(outcomes: Iterable[Outcome]) -> tuple[Body, ...]:
    """The bodies of all frames in order."""
    return tuple(body for said in outcomes if isinstance(said, Heard) for body in said.bodies)


def refusals(outcomes: Iterable[Outcome]) -> tuple[Refusal, ...]:
    """The refusals in order."""
    return tuple(said for said in outcomes if isinstance(said, Refusal))


def edges(outcomes: Iterable[Outcome]) -> tuple[tuple[str, str, str, str], ...]:
    """Code, phase, condition and raw word of every alarm and fault in order."""
    return tuple(
        (body.code, body.phase, body.condition, body.raw)
        for body in bodies(outcomes)
        if isinstance(body, Alarm | Fault)
    )
