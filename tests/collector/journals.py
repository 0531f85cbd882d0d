"""Journals and messages for tests."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from collector.inbound import Received
from collector.journal_file import JournalFile, Limits
from collector.store import Store
from telemetry.control import StreamSync, Sync
from telemetry.envelope import Envelope
from telemetry.messages import Alias, Message, OperatingState, Usage, encode
from telemetry.times import from_ms

T0_MS = 1_700_000_000_000
ROOMY = Limits(size_cap=1 << 30, disk_reserve=0)
ALIAS = Alias(protocol="puritan-bennett", namespace="840", identifier="3510000001")


def open_store(folder: Path, *, limits: Limits = ROOMY) -> Store:
    names = (f"e{n}" for n in count(1))
    return Store(JournalFile(folder, limits=limits, new_epoch=lambda: next(names)))


def usage(seq: int | None, *, observed_ms: int = T0_MS, stream: str = "b-1", mono_ms: int = 0) -> Received:
    """A usage message, with an envelope if it has a number; the payload differs by number."""
    message = Message(
        alias=ALIAS,
        observed_at=from_ms(observed_ms + (seq or 0)),
        body=Usage(state=OperatingState.IN_USE, period_s=60),
    )
    properties = () if seq is None else tuple(Envelope(stream, seq, "boot1", mono_ms).properties())
    return Received("hourmeter/1/hn01-a/vent1/usage", encode(message), properties, retain=False, token=None)


def sync(*lanes: StreamSync, mono_ms: int = 0, clock_ms: int = T0_MS, publisher: str = "hn01-a") -> Received:
    payload = Sync(boot="boot1", mono_ms=mono_ms, clock_ms=clock_ms, streams=lanes).model_dump_json()
    return Received(f"hourmeter/1/{publisher}/_link/sync", payload.encode(), (), retain=False, token=None)
