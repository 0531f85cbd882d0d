"""Where the time goes: the same messages through each stage of the line, batch by batch, in this process.

Rule 1: each stage is called as `hourmeter run` calls it, with batches of the size measured.
Rule 2: a stage within another is also timed by itself on the same messages, and taken off the other.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.packets import packets
from benchmarks.rounds import TECHNICAL_EVERY
from collector import batches, keep
from collector.conclude import BATCH
from collector.consumers import Consumers
from collector.cursors import Cursor
from collector.history import History
from collector.inbound import Received
from collector.intake import Intake
from collector.journal_file import JournalFile, Limits
from collector.ledger import Progress, open_ledger
from collector.mqtt_claim import Claim
from collector.mqtt_link import Link
from collector.mqtt_settings import MqttSettings
from collector.points import Points
from collector.store import Append, Store
from desk.broker import COLLECTOR
from desk.compose import GARBAGE_THRESHOLDS
from desk.fleet import registry_of, rules_of
from desk.settings import Settings
from rules.engine import Engine
from rules.state import State
from telemetry.told import Reader
from tests.system.stand import PUBLISHER

STAGES = (
    ("MQTT frames, codec, PUBACKs", "receive", ""),
    ("intake: read the payload", "read", ""),
    ("intake: topic, envelope, stream, clock", "take", "read"),
    ("journal: encode the batch", "encode", ""),
    ("journal: SQLite commit, fsync", "append", "encode"),
    ("history: points and lines", "points", ""),
    ("history: HTTP post, wait for the 204", "write", ""),
    ("history: counts, cursor commit, fsync", "cursor", ""),
    ("rules: engine", "apply", ""),
    ("rules: what changed, as text", "changes", ""),
    ("rules: ledger commit, fsync", "commit", ""),
)
"""Stage, what is timed, what is taken off it."""
_PASSES = 3
_ROOM = Limits(size_cap=1 << 40, disk_reserve=0)


@dataclass(frozen=True, slots=True)
class Stage:
    """Microseconds a message, of CPU in all threads and elapsed."""

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
    intake, reader = Intake(catching), Reader()
    for at in range(0, len(messages), batch):
        received = await _receive(watch, link, messages[at : at + batch])
        with watch.on("read"):
            for message in received:
                reader.read(message.payload)
        with watch.on("take"):
            intake.take(received, received_ms=start_ms)
        with watch.on("encode"):
            batches.encode(catching.caught.records)
        with watch.on("append"):
            store.append(catching.caught)


async def _history(watch: _Watch, store: Store, history: History) -> None:
    """Made into points and lines, posted, cursor moved."""
    position, consumers, makes = 0, Consumers(store), Points()
    while records := store.written.read(position, limit=keep.RECORDS_AT_ONCE):
        with watch.on("points"):
            batch = keep.sort_out(records, makes.of)
        with watch.on("write"):
            refused = await history.write(batch.points)
        position = records[-1].position + 1
        with watch.on("cursor"):
            stored, dead = keep.settle(batch, refused)
            consumers.commit_history(cursor=Cursor(store.file.epoch, position), stored=stored, dead=dead)


async def _rules(watch: _Watch, store: Store, settings: Settings, file: Path, *, start_ms: int) -> None:
    """Concluded, committed as often as there is news."""
    engine = Engine(State())
    engine.take(registry_of(settings, at_ms=start_ms))
    engine.take(rules_of(settings, at_ms=start_ms))
    done: Progress | None = None
    position = 0
    async with open_ledger(file) as ledger:
        while records := store.written.read(position, limit=BATCH):
            with watch.on("apply"):
                for record in records:
                    engine.apply(record)
            position = records[-1].position + 1
            if not engine.has_news:
                continue
            with watch.on("changes"):
                changes = engine.changes()
            progress = Progress(Cursor(store.file.epoch, position), 0)
            with watch.on("commit"):
                await ledger.commit(changes, expected=done, progress=progress)
            done = progress


async def measure(
    settings: Settings, history: History, folder: Path, *, count: int, devices: int, batch: int, start_ms: int
) -> tuple[Stage, ...]:
    """Microseconds a message of every stage: the median of some passes with files of their own."""
    passes: list[_Watch] = []
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    for number in range(_PASSES):
        begin_ms = start_ms + number * 10_000
        load = packets(
            publisher=PUBLISHER,
            stream=f"stages-{number}",
            count=count,
            devices=range(devices),
            start_ms=begin_ms,
            technical_every=TECHNICAL_EVERY,
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
        Stage(name, median(what, less, of="cpu"), median(what, less, of="elapsed"))
        for name, what, less in STAGES
    )
