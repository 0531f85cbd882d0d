"""The engine: records and desk inputs in, state and tickets out; pure, and the same for the same input.

Rule 1: ticks are the only clock. Messages are judged as of their event time: alarms and faults each, meters
with the first reading of a minute or of another state. Silence is judged once an hour of ticks, and not in
the first hour after a start of the collector, while hosts catch up.
Rule 2: a device that no asset claims keeps everything it says and opens no ticket.
Rule 3: what cannot be read is counted as failed and skipped; everything else is concluded, exactly once;
what was journaled again for the history's sake is passed over.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from rules.book import TicketBook
from rules.desk_work import take_input
from rules.episodes import Edge, Life, hear
from rules.fleet import Fleet
from rules.identity import hear_at_port, hear_elsewhere, hear_identity
from rules.inputs import AliasKey, DeskInput, alias_key
from rules.judging import judge_asset, judge_episode
from rules.meters import ReportedMeter, Sample, elapsed_ms, reported_key
from rules.state import Changes, Device, Publisher, State, write_engineering
from rules.words import HOUR_MS
from telemetry.errors import MessageError
from telemetry.messages import (
    KINDS,
    Alarm,
    AlarmKind,
    Alias,
    Body,
    Fault,
    Identity,
    LinkState,
    MeterName,
    MeterReading,
    Status,
    Strength,
    Usage,
)
from telemetry.records import Journaled, Record, Started, Tick
from telemetry.told import Told
from telemetry.topics import LINK

SETTLE_MS: Final = HOUR_MS
"""Time after a start in which silence is not judged: what hosts held back is still coming in."""
MINUTE_MS: Final = 60_000
_CONCLUDED: Final = MappingProxyType({kind: f"concluded:{kind}" for kind in KINDS})
_FAILED: Final = MappingProxyType({kind: f"failed:{kind}" for kind in KINDS})
_OTHER_FAILED: Final = "failed:other"


class Engine:
    """Concludes over one state, which it changes in place."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._fleet = Fleet(state, TicketBook(state))

    @property
    def state(self) -> State:
        """The memory, for reading."""
        return self._state

    def apply(self, record: Record) -> None:
        """Take in the next record of the journal."""
        match record:
            case Journaled():
                self._journaled(record)
            case Tick(at_ms=at_ms):
                self._tick(at_ms)
            case Started(at_ms=at_ms):
                engineering = self._state.engineering
                engineering.now_ms = max(engineering.now_ms, at_ms)
                engineering.settled_ms = engineering.now_ms + SETTLE_MS

    def take(self, desk_input: DeskInput) -> str:
        """Take in what a person or the settings say; the answer is why it was refused, or nothing."""
        return take_input(self._fleet, desk_input)

    @property
    def has_news(self) -> bool:
        """Whether something that people act on became different since the last call of `changes`."""
        return self._fleet.has_news

    def changes(self) -> Changes:
        """What became different since the last call, as values to be kept."""
        return self._fleet.take_changes(write_engineering(self._state.engineering))

    def _tick(self, at_ms: int) -> None:
        engineering = self._state.engineering
        engineering.now_ms = max(engineering.now_ms, at_ms)
        hour = engineering.now_ms // HOUR_MS
        if hour <= engineering.swept_hour or engineering.now_ms < engineering.settled_ms:
            return
        engineering.swept_hour = hour
        self._fleet.book.prune()
        for asset in sorted(self._state.assets):
            judge_asset(self._fleet, asset, at_ms=engineering.now_ms, silence=True)

    def _journaled(self, record: Journaled) -> None:
        kind = record.topic.kind
        if record.again:
            self._count(_CONCLUDED[kind])
            return
        try:
            self._conclude(record, record.read())
        except MessageError:
            self._count(_FAILED.get(kind, _OTHER_FAILED))
        else:
            self._count(_CONCLUDED[kind])

    def _count(self, what: str) -> None:
        counters = self._state.engineering.counters
        counters[what] = counters.get(what, 0) + 1

    def _conclude(self, record: Journaled, told: Told) -> None:
        alias, _, _, body = told
        if alias is None:
            self._host_link(record, body)
            return
        key = alias_key(alias)
        device = self._state.devices.get(key)
        topic = record.topic
        if device is None:
            device = Device(
                alias=alias,
                publisher=topic.publisher,
                name=topic.device,
                first_ms=record.event_ms,
                heard_ms=record.event_ms,
            )
            self._state.devices[key] = device
            self._port(key, device, alias, record)
        self._fleet.touch(key)
        newest = record.event_ms >= device.heard_ms
        if newest:
            if device.displaced or device.name != topic.device or device.publisher != topic.publisher:
                self._port(key, device, alias, record)
                device.publisher, device.name = topic.publisher, topic.device
            device.heard_ms = record.event_ms
            device.alias = alias
        match body:
            case Usage() as usage:
                self._usage(key, device, usage, record)
            case Alarm() | Fault() as edge:
                self._edge(key, device, edge, record)
            case Status() as status:
                if newest:
                    device.link = status.link
                self._port_link(key, status, record)
            case Identity() as identity if newest:
                if alias.strength is Strength.WEAK:
                    hear_identity(self._fleet, key, device, identity, event_ms=record.event_ms)
                device.manufacturer, device.model = identity.manufacturer, identity.model
                device.serial = identity.serial or device.serial
            case _:
                pass

    def _port(self, key: AliasKey, device: Device, alias: Alias, record: Journaled) -> None:
        """Whether the device speaks where it did before, and nobody else."""
        name = (record.topic.publisher, record.topic.device)
        if alias.strength is Strength.STRONG:
            hear_at_port(self._fleet, name, key, device, event_ms=record.event_ms)
        elif (device.publisher, device.name) != name:
            hear_elsewhere(self._fleet, key, device, name, event_ms=record.event_ms)

    def _port_link(self, key: AliasKey, status: Status, record: Journaled) -> None:
        """A host that has just started names a port alone: what it says is of the device last heard there."""
        name = (record.topic.publisher, record.topic.device)
        port = self._state.ports.get(name)
        if port is None or port.key == key:
            return
        behind = self._state.devices[port.key]
        if record.event_ms >= behind.heard_ms and (behind.publisher, behind.name) == name:
            behind.link = status.link
            self._fleet.touch(port.key)

    def _host_link(self, record: Journaled, status: Body) -> None:
        if record.topic.device != LINK or not isinstance(status, Status):
            raise MessageError("a message of a device needs an alias")
        name = record.topic.publisher
        known = self._state.publishers.get(name)
        goes = status.link is not LinkState.ONLINE
        if goes and known is not None and known.connection != status.connection:
            return
        self._state.publishers[name] = Publisher(name, status.link, status.connection, record.event_ms)
        self._fleet.touch_publisher(name)

    def _usage(self, key: AliasKey, device: Device, usage: Usage, record: Journaled) -> None:
        envelope = record.envelope
        sample = Sample(
            event_ms=record.event_ms,
            boot=envelope.boot if envelope else "",
            mono_ms=envelope.mono_ms if envelope else 0,
            state=usage.state,
            period_ms=round(usage.period_s * 1000),
        )
        for reading in usage.meters:
            self._report(key, device, reading, event_ms=sample.event_ms)
        before = device.last
        if before is None:
            self._fleet.begin(key, device, MeterName.VENTILATION_H, at_ms=sample.event_ms)
        else:
            length_ms = elapsed_ms(before, sample)
            if length_ms <= 0:
                device.late += 1
                return
            for derived in device.derived.values():
                if derived.add(before, sample, length_ms):
                    self._fleet.touch_days(key)
        device.last = sample
        device.state = usage.state
        if before is not None and _is_same_moment(before, sample):
            return
        if (asset := self._fleet.directory.asset_of(key, sample.event_ms)) is not None:
            judge_asset(self._fleet, asset, at_ms=sample.event_ms, silence=False)

    def _report(self, key: AliasKey, device: Device, reading: MeterReading, *, event_ms: int) -> None:
        name = reported_key(reading.meter, reading.provenance)
        meter = device.reported.get(name)
        if meter is not None and self._fleet.directory.holders(key):
            was = self._fleet.directory.asset_of(key, meter.event_ms)
            if event_ms > meter.event_ms and was != self._fleet.directory.asset_of(key, event_ms):
                device.put_aside((name,))
                meter = None
        if meter is None:
            device.reported[name] = ReportedMeter(reading.value, event_ms, event_ms)
        else:
            meter.tell(reading.value, event_ms=event_ms)

    def _edge(self, key: AliasKey, device: Device, body: Alarm | Fault, record: Journaled) -> None:
        episode, edge = hear(device.episodes, body, event_ms=record.event_ms)
        if edge is Edge.LATE:
            device.late += 1
        elif edge is Edge.BEGAN and episode.alarm_kind is AlarmKind.PHYSIOLOGICAL:
            device.physiological += 1
        at_ms = record.event_ms
        asset = self._fleet.directory.asset_of(key, at_ms)
        holder = self._fleet.directory.holder_of(key) if asset is None else None
        if holder is not None and holder.begin_ms > at_ms and episode.life is Life.ACTIVE:
            # heard after a claim that begins later: it stands then, as what stands when a device is claimed
            asset, at_ms = holder.asset, holder.begin_ms
        if asset is not None:
            judge_episode(self._fleet, asset, device, episode, edge=edge, at_ms=at_ms)


def _is_same_moment(before: Sample, sample: Sample) -> bool:
    """Whether meters were judged a moment ago: in the same minute and state."""
    return before.state is sample.state and before.event_ms // MINUTE_MS == sample.event_ms // MINUTE_MS
