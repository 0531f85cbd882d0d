"""Decides what becomes of each message that comes in, and puts the decision on disk.

Rule 1: every message received is counted once: journaled, duplicate, quarantined or dropped for privacy.
Rule 2: nothing readable is kept before the allow-list has seen it.
Rule 3: a decision that did not reach the disk was never made; the same messages may be taken again.
"""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from collector import batches, dead
from collector.batches import Extent
from collector.clocks import CEILING_MS, Heard, Tolerance, better, event_time
from collector.inbound import Received
from collector.privacy import mask
from collector.replays import REPLAYED
from collector.store import Append, Quarantined, Store
from collector.streams import Run, Stream
from telemetry import control, messages, topics
from telemetry.envelope import Envelope, Envelopes
from telemetry.errors import MessageError, Unavailable
from telemetry.records import Journaled, Record, Started, Tick
from telemetry.told import Reader
from telemetry.topics import Topic

log = logging.getLogger(__name__)

OTHER = "other"
"""The kind under which messages are counted that belong to no kind of the language."""
_NOWHERE = Topic("_", "_", OTHER)
_LINK_STATES = 8
"""How many states of a host's link are remembered: birth and will of its last connections."""
_TOPICS = 10_000
"""Topics that are remembered in parts."""
_StreamKey = tuple[str, str]
_Place = tuple[str, str, int]
"""Publisher, stream and number."""
_KINDS = frozenset(messages.KINDS)


@dataclass(frozen=True, slots=True)
class Taken:
    """What the next confirmations must tell."""

    publishers: frozenset[str]
    """Publishers of whose streams something has been decided."""


@dataclass(slots=True)
class _Draft:
    """One commit in the making."""

    position: int
    received_ms: int
    records: list[Record] = field(default_factory=list)
    runs: dict[_StreamKey, Run] = field(default_factory=dict)
    extents: list[Extent] = field(default_factory=list)
    clocks: dict[_StreamKey, Heard] = field(default_factory=dict)
    retained: dict[str, tuple[int, ...]] = field(default_factory=dict)
    tallies: Counter[tuple[str, str]] = field(default_factory=Counter)
    quarantined: list[Quarantined] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    replayed: list[tuple[int, int]] = field(default_factory=list)
    publishers: set[str] = field(default_factory=set)
    copies: dict[_Place, bytes] | None = None
    """Payloads of this commit by their place, once one of them has come again."""


class Intake:
    """The state against which messages are judged. Lives in the thread that writes the store."""

    def __init__(self, store: Store, *, tolerance: Tolerance = Tolerance()) -> None:
        self._store = store
        self._tolerance = tolerance
        self._streams = {(s.publisher, s.name): s for s in store.streams()}
        self._clocks = {(c.publisher, c.boot): c for c in store.clocks()}
        self._retained = dict(store.retained())
        self._topics: dict[str, Topic] = {}
        self._reader = Reader()
        self._envelopes = Envelopes()

    def take(self, received: Sequence[Received], *, received_ms: int) -> Taken:
        """Decide and commit. Raises Unavailable when the disk cannot take it; then nothing has changed."""
        draft = _Draft(self._store.file.head(), received_ms)
        for message in received:
            self._take_one(draft, message)
        for kind, count in batches.kinds(draft.records).items():
            draft.tallies["received", kind] += count
        self._commit(draft)
        return Taken(frozenset(draft.publishers))

    def tick(self, at_ms: int) -> None:
        """Write the collector's clock, and journal what a person released or wants to go again."""
        draft = _Draft(self._store.file.head(), at_ms)
        for number, quarantined in self._store.quarantined(released_only=True):
            message = quarantined.message._replace(position=draft.position + len(draft.records))
            draft.records.append(message._replace(event_ms=min(message.event_ms, at_ms)))
            draft.released.append(number)
            draft.tallies["quarantined", message.topic.kind] -= 1
        for message in dead.to_replay(self._store):
            self._replay(draft, message)
        draft.extents.extend(batches.extents(draft.records))
        draft.records.append(Tick(draft.position + len(draft.records), at_ms))
        self._commit(draft)

    def _replay(self, draft: _Draft, message: Journaled) -> None:
        """Journal the message of a dead letter once more."""
        place, kind = message.envelope, message.topic.kind
        again = dead.again(
            message,
            position=draft.position + len(draft.records),
            at_ms=draft.received_ms,
            sync=self._clock(draft, message.topic.publisher, place.boot) if place else None,
            tolerance=self._tolerance,
        )
        draft.records.append(again)
        draft.replayed.append((message.position, again.position))
        draft.tallies["dead_lettered", kind] -= 1
        draft.tallies[REPLAYED, kind] += 1

    def started(self, at_ms: int) -> None:
        """Write that the collector started."""
        draft = _Draft(self._store.file.head(), at_ms)
        draft.records.append(Started(draft.position, at_ms))
        self._commit(draft)

    def confirmations(self) -> dict[str, control.Confirmed]:
        """What each publisher may be told now: every stream that is still its own."""
        marks: dict[str, dict[str, int]] = {}
        for stream in self._streams.values():
            of_publisher = marks.setdefault(stream.publisher, {})
            if not stream.superseded:
                of_publisher[stream.name] = stream.through
        return {
            publisher: control.Confirmed(epoch=self._store.file.epoch, streams=streams)
            for publisher, streams in marks.items()
        }

    # -- one message --------------------------------------------------------------------------------------

    def _take_one(self, draft: _Draft, received: Received) -> None:
        topic = self._topics.get(received.topic)
        if topic is None:
            try:
                topic = self._new_topic(received.topic)
            except MessageError as error:
                self._refuse(draft, received, _NOWHERE, None, error.reason)
                return
        try:
            place = self._envelopes.read(received.properties)
        except MessageError as error:
            self._refuse(draft, received, topic, None, error.reason)
            return
        if topic.kind == topics.SYNC:
            self._take_sync(draft, received, topic)
            return
        if place is None:
            self._take_unsequenced(draft, received, topic)
            return
        key = (topic.publisher, place.stream)
        run = draft.runs.get(key) or self._new_run(draft, key)
        if run.take(place.seq):
            if draft.copies is not None:
                draft.copies[topic.publisher, place.stream, place.seq] = received.payload
            self._judge(draft, received, topic, place)
        else:
            self._take_again(draft, received, topic, place)

    def _new_topic(self, text: str) -> Topic:
        """The parts of a topic, remembered: a fleet uses few of them again and again. Raises MessageError."""
        if not text:
            raise MessageError("a packet that MQTT cannot read")
        topic = topics.parse(text)
        if len(self._topics) >= _TOPICS:
            self._topics.clear()
        self._topics[text] = topic
        return topic

    def _new_run(self, draft: _Draft, key: _StreamKey) -> Run:
        run = draft.runs[key] = Run(self._streams.get(key) or Stream(*key))
        draft.publishers.add(key[0])
        return run

    def _take_again(self, draft: _Draft, received: Received, topic: Topic, place: Envelope) -> None:
        """A number that arrived before: the same message is a duplicate, another is put aside."""
        key = (topic.publisher, place.stream, place.seq)
        if draft.copies is None:
            draft.copies = _copies(draft)
        first = draft.copies.get(key)
        if first is None:
            first = self._first_copy(key)
        kind = _counted(topic)
        if first is None or first in (received.payload, mask(received.payload)):
            draft.tallies["received", kind] += 1
            draft.tallies["duplicate", kind] += 1
        else:
            self._put_aside(
                draft,
                "another payload under a number already journaled",
                self._journaled(draft, received, topic, place),
            )

    def _first_copy(self, key: _Place) -> bytes | None:
        try:
            return self._store.copy_of(*key)
        except Unavailable as error:
            log.error("a message sent again cannot be compared with its first copy: %s", error)
            return None

    def _take_unsequenced(self, draft: _Draft, received: Received, topic: Topic) -> None:
        """A retained message states how things are: to hear the same again is no news.

        A host's own states are told apart by their connection, so that several may come again in turn.
        """
        if received.retain:
            crc = zlib.crc32(received.payload)
            known = draft.retained.get(received.topic) or self._retained.get(received.topic, ())
            if crc in known:
                draft.tallies["received", _counted(topic)] += 1
                draft.tallies["duplicate", _counted(topic)] += 1
                return
            kept = _LINK_STATES if topic.device == topics.LINK else 1
            draft.retained[received.topic] = (*known, crc)[-kept:]
        self._judge(draft, received, topic, None)

    def _judge(self, draft: _Draft, received: Received, topic: Topic, place: Envelope | None) -> None:
        """A message that is new here."""
        if topic.kind not in _KINDS:
            draft.tallies["received", OTHER] += 1
            draft.tallies["privacy", OTHER] += 1
            return
        try:
            told = self._reader.read(received.payload)
        except MessageError as error:
            self._refuse(draft, received, topic, place, error.reason)
            return
        if told.body.kind != topic.kind:
            reason = f"body is of kind {told.body.kind}, its topic says {topic.kind}"
            self._refuse(draft, received, topic, place, reason)
            return
        sync = mono_ms = None
        if place is not None:
            mono_ms, boot = place.mono_ms, (topic.publisher, place.boot)
            sync = draft.clocks.get(boot) or self._clocks.get(boot)
        observed_ms = None if told.observed_us is None else told.observed_us // 1000
        received_ms, records = draft.received_ms, draft.records
        event_ms, corrected = event_time(
            observed_ms, mono_ms, received_ms=received_ms, sync=sync, tolerance=self._tolerance
        )
        position = draft.position + len(records)
        journaled = Journaled(
            position, topic, place, received_ms, event_ms, corrected, received.payload, "", told
        )
        if event_ms > received_ms + self._tolerance.ahead_ms:
            late = journaled._replace(event_ms=min(event_ms, CEILING_MS))
            self._put_aside(draft, "its time is more than 5 minutes ahead", late)
        else:
            records.append(journaled)

    def _clock(self, draft: _Draft, publisher: str, boot: str) -> Heard | None:
        return draft.clocks.get((publisher, boot)) or self._clocks.get((publisher, boot))

    def _refuse(
        self, draft: _Draft, received: Received, topic: Topic, place: Envelope | None, reason: str
    ) -> None:
        """Journal what cannot be read, masked; the history consumer makes a dead letter of it."""
        draft.records.append(self._journaled(draft, received, topic, place)._replace(refusal=reason))

    def _journaled(
        self, draft: _Draft, received: Received, topic: Topic, place: Envelope | None
    ) -> Journaled:
        """A message that nobody can read or that is put aside, as it is kept: masked."""
        kind = topic._replace(kind=_counted(topic))
        position, at_ms = draft.position + len(draft.records), draft.received_ms
        return Journaled(position, kind, place, at_ms, at_ms, corrected=False, payload=mask(received.payload))

    def _put_aside(self, draft: _Draft, reason: str, message: Journaled) -> None:
        draft.tallies["received", message.topic.kind] += 1
        draft.tallies["quarantined", message.topic.kind] += 1
        draft.quarantined.append(Quarantined(reason, message))

    def _take_sync(self, draft: _Draft, received: Received, topic: Topic) -> None:
        try:
            sync = control.read_sync(received.payload)
        except MessageError as error:
            self._refuse(draft, received, topic, None, error.reason)
            return
        publisher = topic.publisher
        draft.publishers.add(publisher)
        heard = Heard(publisher, sync.boot, draft.received_ms, sync.mono_ms)
        draft.clocks[publisher, sync.boot] = better(self._clock(draft, publisher, sync.boot), heard)
        for lane in sync.streams:
            if lane.supersedes is not None:
                self._supersede(draft, (publisher, lane.supersedes))
            key = (publisher, lane.stream)
            run = draft.runs.get(key) or self._new_run(draft, key)
            run.synchronise(held_from=lane.held_from, sent_through=lane.sent_through)

    def _supersede(self, draft: _Draft, key: _StreamKey) -> None:
        if key not in draft.runs and key not in self._streams:
            return
        run = draft.runs.get(key) or self._new_run(draft, key)
        if not run.stream.superseded:
            run.supersede()

    def _commit(self, draft: _Draft) -> None:
        streams = {key: run.stream for key, run in draft.runs.items()}
        self._store.append(
            Append(
                records=tuple(draft.records),
                extents=_extents(draft),
                at_ms=draft.received_ms,
                streams=tuple(streams.values()),
                tallies=draft.tallies,
                quarantined=tuple(draft.quarantined),
                released=tuple(draft.released),
                replayed=tuple(draft.replayed),
                clocks=tuple(draft.clocks.values()),
                retained=tuple(draft.retained.items()),
            )
        )
        if draft.quarantined:
            first = draft.quarantined[0]
            log.error(
                "%d quarantined, see `hourmeter quarantine list`; the first: %s: %s",
                len(draft.quarantined),
                first.message.topic,
                first.reason,
            )
        self._streams.update(streams)
        self._clocks.update(draft.clocks)
        self._retained.update(draft.retained)


def _extents(draft: _Draft) -> tuple[Extent, ...]:
    spans = {key: run.span for key, run in draft.runs.items()}
    return (*draft.extents, *(Extent(*key, *span) for key, span in spans.items() if span is not None))


def _copies(draft: _Draft) -> dict[_Place, bytes]:
    """The payloads that a draft holds by now, by their place; the first that came under a place counts."""
    copies: dict[_Place, bytes] = {}
    for message in (*draft.records, *(one.message for one in draft.quarantined)):
        if isinstance(message, Journaled) and (place := message.envelope) is not None:
            copies.setdefault((message.topic.publisher, place.stream, place.seq), message.payload)
    return copies


def _counted(topic: Topic) -> str:
    return topic.kind if topic.kind in messages.KINDS else OTHER
