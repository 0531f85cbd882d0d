"""Where the time goes: the same messages through each stage of the line, batch by batch, in this process.

Rule 1: each stage is called as the collector and the concluder call it, with batches of the size measured.
Rule 2: a stage within another is also timed by itself on the same messages, and taken off the other.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.packets import packets
from collector import batches, keep
from collector.conclude import BATCH
from collector.consumers import Consumers
from collector.cursors import Cursor
from collector.history import History
from collector.inbound import Received
from collector.intake import Intake
from collector.journal_file import JournalFile, Limits
from collector.ledger import Progress, open_ledger
from collector.lineprotocol import encode
from collector.mqtt_claim import Claim
from collector.mqtt_link import Link
from collector.mqtt_settings import MqttSettings
from collector.store import Append, Store
from desk.broker import COLLECTOR
from desk.fleet import registry_of, rules_of
from desk.settings import Settings
from rules.engine import Engine
from rules.state import State
from telemetry.messages import decode
from telemetry.records import Journaled, Record
from tests.system.stand import PUBLISHER

STAGES = (
    ("collector", "MQTT frames, codec, PUBACKs", "receive", ""),
    ("collector", "intake: decode (pydantic)", "decode 1", ""),
    ("collector", "intake: topic, envelope, stream, clock", "take", "decode 1"),
    ("collector", "journal: encode the batch", "encode", ""),
    ("collector", "journal: SQLite commit, fsync", "append", "encode"),
    ("collector", "history: read and unpack batches", "read 1", ""),
    ("collector", "history: decode (pydantic)", "decode 2", ""),
    ("collector", "history: points", "points", "decode 2"),
    ("collector", "history: line protocol", "lines", ""),
    ("collector", "history: HTTP post, wait for the 204", "write", "lines"),
    ("collector", "history: cursor commit, fsync", "cursor", ""),
    ("concluder", "rules: read and unpack batches", "read 2", ""),
    ("concluder", "rules: decode (pydantic)", "decode 3", ""),
    ("concluder", "rules: engine", "apply", "decode 3"),
    ("concluder", "rules: what changed, as text", "changes", ""),
    ("concluder", "rules: ledger commit, fsync", "commit", ""),
)
"""Process, stage, what is timed, what is taken off it."""
_PASSES = 3
_ROOM = Limits(size_cap=1 << 40, disk_reserve=0)


@dataclass(frozen=True, slots=True)
class Stage:
    """Microseconds a message, of CPU in all threads and elapsed."""

    process: str
    name: str
    cpu_us: float
    elapsed_us: float


@dataclass(slots=True)
class _Watch:
    """Seconds of CPU and elapsed, by what was timed."""

    cpu: dict[str, float] = field(default_factory=dict)
    elapsed: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Time what follows."""
        cpu, elapsed = time.process_time(), time.perf_counter()
        yield
        self.cpu[what] = self.cpu.get(what, 0.0) + time.process_time() - cpu
        self.elapsed[what] = self.elapsed.get(what, 0.0) + time.perf_counter() - elapsed


class _Catching(Store):
    """The store, but what is to be appended is caught, so that it can be timed by itself."""

    def append(self, append: Append) -> None:
        """Catch it."""
        self.caught = append


async def _receive(watch: _Watch, link: Link, chunk: Sequence[bytes]) -> Sequence[Received]:
    data = b"".join(chunk)
    with watch.on("receive"):
        while data:
            room = link.get_buffer(-1)
            part = data[: len(room)]
            room[: len(part)] = part
            link.buffer_updated(len(part))
            data = data[len(part) :]
        received = await link.receive()
        link.acknowledge(received)
    return received


async def _front(
    watch: _Watch, store: Store, messages: Sequence[bytes], *, start_ms: int, batch: int
) -> None:
    """Received, judged, journaled."""
    settings = MqttSettings(host="localhost", port=1883, user=COLLECTOR, password="")
    link = Link(settings, claim=Claim(user=COLLECTOR, run="0"))
    catching = _Catching(store.file)
    intake = Intake(catching)
    for at in range(0, len(messages), batch):
        received = await _receive(watch, link, messages[at : at + batch])
        with watch.on("decode 1"):
            for message in received:
                decode(message.payload)
        with watch.on("take"):
            intake.take(received, received_ms=start_ms)
        with watch.on("encode"):
            batches.encode(catching.caught.records)
        with watch.on("append"):
            store.append(catching.caught)


def _decode(records: Sequence[Record]) -> None:
    for record in records:
        if isinstance(record, Journaled):
            decode(record.payload)


async def _history(watch: _Watch, store: Store, history: History) -> None:
    """Read, made into points and lines, posted, cursor moved."""
    position, consumers = 0, Consumers(store)
    while True:
        with watch.on("read 1"):
            records = store.read(position, limit=keep.RECORDS_AT_ONCE)
        if not records:
            return
        with watch.on("decode 2"):
            _decode(records)
        with watch.on("points"):
            batch = keep.sort_out(records)
        with watch.on("lines"):
            for point in batch.points:
                encode(point)
        with watch.on("write"):
            refused = await history.write(batch.points)
        position = records[-1].position + 1
        with watch.on("cursor"):
            stored, dead = keep.settle(batch, refused)
            consumers.commit_history(cursor=Cursor(store.file.epoch, position), stored=stored, dead=dead)


async def _rules(watch: _Watch, store: Store, settings: Settings, file: Path, *, start_ms: int) -> None:
    """Read, concluded, committed."""
    engine = Engine(State())
    engine.take(registry_of(settings, at_ms=start_ms))
    engine.take(rules_of(settings, at_ms=start_ms))
    done: Progress | None = None
    position = 0
    async with open_ledger(file) as ledger:
        while True:
            with watch.on("read 2"):
                records = store.read(position, limit=BATCH)
            if not records:
                return
            with watch.on("decode 3"):
                _decode(records)
            with watch.on("apply"):
                for record in records:
                    engine.apply(record)
            with watch.on("changes"):
                changes = engine.changes()
            position = records[-1].position + 1
            progress = Progress(Cursor(store.file.epoch, position), 0)
            with watch.on("commit"):
                await ledger.commit(changes, expected=done, progress=progress)
            done = progress


async def measure(
    settings: Settings, history: History, folder: Path, *, count: int, devices: int, batch: int, start_ms: int
) -> tuple[Stage, ...]:
    """Microseconds a message of every stage: the median of some passes with files of their own."""
    passes: list[_Watch] = []
    for number in range(_PASSES):
        begin_ms = start_ms + number * 10_000
        load = packets(
            publisher=PUBLISHER,
            stream=f"stages-{number}",
            count=count,
            devices=range(devices),
            start_ms=begin_ms,
        )
        messages = [data for data, _ in load]
        watch = _Watch()
        own = folder / f"stages-{number}"
        store = Store(JournalFile(own, limits=_ROOM, new_epoch=lambda: "stages"))
        try:
            await _front(watch, store, messages, start_ms=begin_ms, batch=batch)
            await _history(watch, store, history)
            await _rules(watch, store, settings, own / "ledger.db", start_ms=begin_ms)
        finally:
            store.file.close()
        passes.append(watch)

    def median(what: str, less: str, *, of: str) -> float:
        spent = [one.cpu if of == "cpu" else one.elapsed for one in passes]
        seconds = [by_stage[what] - by_stage.get(less, 0.0) for by_stage in spent]
        return statistics.median(seconds) / count * 1e6

    return tuple(
        Stage(process, name, median(what, less, of="cpu"), median(what, less, of="elapsed"))
        for process, name, what, less in STAGES
    )
