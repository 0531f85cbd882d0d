"""Every figure that /metrics tells, with its meaning: the one list that answer and document are made from.

Rule 1: no label's values grow with the site but `device`, `gateway` and `port`, of the adapter host's own
health: as many as its settings name.
Rule 2: what can go back is a gauge: messages change their place when a person or a rewind moves them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

from adapters.host.device_health import DeviceHealth
from adapters.host.host import HostHealth
from adapters.host.mllp_health import GatewayHealth
from adapters.host.publisher import PublisherHealth
from collector.accounting import COUNTED
from desk.vitals import CollectorVitals, JournalVitals, Vitals
from rules.words import TicketKind, TicketPriority
from telemetry.messages import LinkState

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the figure."""


class Kind(StrEnum):
    """*Counter*: only grows while its source lives; *gauge*: as it stands."""

    COUNTER = "counter"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    read: Callable[[Vitals], Iterable[Sample]]


def _collector(name: str, kind: Kind, meaning: str, read: Callable[[CollectorVitals], float]) -> Figure:
    def samples(vitals: Vitals) -> Iterator[Sample]:
        if vitals.collector is not None:
            yield (), read(vitals.collector)

    return Figure(name, kind, (), meaning, samples)


def _journal(
    name: str,
    kind: Kind,
    meaning: str,
    read: Callable[[JournalVitals], Iterable[Sample]],
    *,
    labels: tuple[str, ...] = (),
) -> Figure:
    def samples(vitals: Vitals) -> Iterable[Sample]:
        return () if vitals.journal is None else read(vitals.journal)

    return Figure(name, kind, labels, meaning, samples)


def _publisher(name: str, kind: Kind, meaning: str, read: Callable[[PublisherHealth], float]) -> Figure:
    def samples(vitals: Vitals) -> Iterator[Sample]:
        if vitals.host is not None:
            yield (), read(vitals.host.publisher)

    return Figure(name, kind, (), meaning, samples)


def _device(name: str, meaning: str, read: Callable[[DeviceHealth], float | None]) -> Figure:
    def samples(vitals: Vitals) -> Iterator[Sample]:
        for device in vitals.host.devices if vitals.host is not None else ():
            if (figure := read(device)) is not None:
                yield (device.name,), figure

    return Figure(name, Kind.GAUGE, ("device",), meaning, samples)


def _gateway(what: str, meaning: str, read: Callable[[GatewayHealth], float]) -> Figure:
    def samples(vitals: Vitals) -> Iterator[Sample]:
        for gateway in vitals.host.gateways if vitals.host is not None else ():
            yield (gateway.name,), read(gateway)

    return Figure(f"hourmeter_gateway_{what}", Kind.GAUGE, ("gateway",), meaning, samples)


def _device_links(vitals: Vitals) -> Iterator[Sample]:
    for device in vitals.host.devices if vitals.host is not None else ():
        for state in (*LinkState, None):
            yield (device.name, device.protocol, state or "unknown"), state is device.state


def _units(vitals: Vitals) -> Iterator[Sample]:
    for device in vitals.host.devices if vitals.host is not None else ():
        states = [unit.state for unit in device.units]
        for state in LinkState if states else ():
            yield (device.name, state), states.count(state)


def _gateway_links(vitals: Vitals) -> Iterator[Sample]:
    for gateway in vitals.host.gateways if vitals.host is not None else ():
        for state in (*LinkState, None):
            yield (gateway.name, state or "unknown"), state is gateway.link


def _strangers(vitals: Vitals) -> Iterator[Sample]:
    for box in vitals.host.letterboxes if vitals.host is not None else ():
        yield (box.place,), box.unknown


def _counted(
    who: str, tallies: Callable[[HostHealth], Iterable[tuple[tuple[str, ...], object]]], **meanings: str
) -> Iterator[Figure]:
    """A counter for each field of a tally, under the field's name."""

    def samples(what: str, vitals: Vitals) -> Iterator[Sample]:
        for labels, tally in tallies(vitals.host) if vitals.host is not None else ():
            yield labels, getattr(tally, what)

    labels = () if who == "publisher" else (who,)
    for what, meaning in meanings.items():
        name = f"hourmeter_{who}_{what}_total"
        yield Figure(name, Kind.COUNTER, labels, meaning, partial(samples, what))


def _received(journal: JournalVitals) -> Iterator[Sample]:
    for kind, line in journal.accounting.kinds.items():
        yield (kind,), line.received


def _places(journal: JournalVitals) -> Iterator[Sample]:
    for kind, line in journal.accounting.kinds.items():
        for place in COUNTED:
            yield (kind, place), getattr(line, place)


def _conclusions(journal: JournalVitals) -> Iterator[Sample]:
    if (rules := journal.accounting.rules) is not None:
        for outcome in ("concluded", "pending", "failed"):
            yield (outcome,), getattr(rules, outcome)


def _unaccounted(journal: JournalVitals) -> Iterator[Sample]:
    yield ("messages",), journal.accounting.total.unaccounted
    if (rules := journal.accounting.rules) is not None:
        yield ("rules",), rules.unaccounted


def _consumers(read: Callable[[JournalVitals, str], float]) -> Callable[[JournalVitals], Iterator[Sample]]:
    def samples(journal: JournalVitals) -> Iterator[Sample]:
        for consumer in journal.standing.behind:
            yield (consumer,), read(journal, consumer)

    return samples


def _one(read: Callable[[JournalVitals], float]) -> Callable[[JournalVitals], Iterator[Sample]]:
    def samples(journal: JournalVitals) -> Iterator[Sample]:
        yield (), read(journal)

    return samples


def _tickets(vitals: Vitals) -> Iterator[Sample]:
    """Every priority and kind, so that what has no ticket is told as zero."""
    if vitals.ledger is not None:
        for priority in TicketPriority:
            for kind in TicketKind:
                yield (priority, kind), vitals.ledger.open_tickets.get((priority, kind), 0)


def _links(vitals: Vitals) -> Iterator[Sample]:
    if vitals.ledger is not None:
        for link in LinkState:
            yield (link,), vitals.ledger.links.get(link, 0)


def _states(vitals: Vitals) -> Iterator[Sample]:
    if vitals.host is not None:
        states = [device.state for device in vitals.host.devices]
        for state in (*LinkState, None):
            yield (state or "unknown",), states.count(state)


FIGURES: Final = (
    # -- where every message is: received is the sum over all places
    _journal(
        "hourmeter_messages_received_total",
        Kind.COUNTER,
        "Messages that the journal has ever decided on.",
        _received,
        labels=("kind",),
    ),
    _journal(
        "hourmeter_messages",
        Kind.GAUGE,
        "Where they are; the sum over the places is what was received. "
        "`pending`: history has not stored them yet.",
        _places,
        labels=("kind", "place"),
    ),
    _journal(
        "hourmeter_rules_messages",
        Kind.GAUGE,
        "Journaled messages as the rules see them: `concluded`, `pending`, `failed`.",
        _conclusions,
        labels=("outcome",),
    ),
    _journal(
        "hourmeter_unaccounted",
        Kind.GAUGE,
        "By how many the two identities do not add up: always 0, or there is a bug.",
        _unaccounted,
        labels=("identity",),
    ),
    _journal(
        "hourmeter_messages_missing",
        Kind.GAUGE,
        "Sent, not here, still held by their publishers: asked for again.",
        _one(lambda journal: journal.accounting.missing),
    ),
    _journal(
        "hourmeter_messages_lost_total",
        Kind.COUNTER,
        "Lost for good: nobody holds them any more.",
        _one(lambda journal: journal.accounting.lost),
    ),
    _journal(
        "hourmeter_dead_letters",
        Kind.GAUGE,
        "Dead letters kept now.",
        _one(lambda journal: journal.standing.dead_letters),
    ),
    # -- the journal
    _journal(
        "hourmeter_journal_head_position",
        Kind.GAUGE,
        "Position that the next record will get; it grows each second by a tick while a collector runs.",
        _one(lambda journal: journal.standing.head),
    ),
    _journal(
        "hourmeter_journal_first_position",
        Kind.GAUGE,
        "Oldest position kept.",
        _one(lambda journal: journal.standing.first),
    ),
    _journal(
        "hourmeter_journal_used_bytes",
        Kind.GAUGE,
        "What the journal uses of its disk.",
        _one(lambda journal: journal.standing.used_bytes),
    ),
    _journal(
        "hourmeter_journal_cap_bytes",
        Kind.GAUGE,
        "At that size nothing more is acknowledged.",
        _one(lambda journal: journal.cap_bytes),
    ),
    _journal(
        "hourmeter_journal_disk_free_bytes",
        Kind.GAUGE,
        "Free space on the journal's disk.",
        _one(lambda journal: journal.standing.disk_free_bytes),
    ),
    _journal(
        "hourmeter_journal_disk_reserve_bytes",
        Kind.GAUGE,
        "With less than that free nothing more is acknowledged.",
        _one(lambda journal: journal.reserve_bytes),
    ),
    _journal(
        "hourmeter_consumer_behind_records",
        Kind.GAUGE,
        "Records between the journal's head and what `history` or `rules` have passed, ticks among them.",
        _consumers(lambda journal, consumer: journal.standing.behind[consumer].records),
        labels=("consumer",),
    ),
    _journal(
        "hourmeter_consumer_lag_seconds",
        Kind.GAUGE,
        "How long the oldest message has waited that `history` or `rules` have not passed; 0: none waits.",
        _consumers(lambda journal, consumer: journal.lag_s[consumer]),
        labels=("consumer",),
    ),
    # -- the collector of this process
    _collector(
        "hourmeter_acknowledging",
        Kind.GAUGE,
        "1 while the journal takes what comes in, 0 while nothing is acknowledged.",
        lambda collector: not collector.stopped,
    ),
    _collector(
        "hourmeter_broker_connected",
        Kind.GAUGE,
        "1 while the collector is connected to the broker.",
        lambda collector: collector.connected,
    ),
    _collector(
        "hourmeter_broker_sessions_lost_total",
        Kind.COUNTER,
        "How often the broker had forgotten our session although we had one.",
        lambda collector: collector.sessions_lost,
    ),
    _collector(
        "hourmeter_history_trouble",
        Kind.GAUGE,
        "1 while history stores nothing, for whatever reason; /readyz tells it.",
        lambda collector: bool(collector.history_trouble),
    ),
    _collector(
        "hourmeter_history_rewinds_total",
        Kind.COUNTER,
        "How often the history had lost what was written into it, and was written again.",
        lambda collector: collector.rewinds,
    ),
    # -- the ledger
    Figure("hourmeter_tickets_open", Kind.GAUGE, ("priority", "kind"), "Open tickets.", _tickets),
    Figure(
        "hourmeter_publishers", Kind.GAUGE, ("link",), "Adapter hosts by the state of their link.", _links
    ),
    # -- the adapter host of this process
    Figure(
        "hourmeter_devices",
        Kind.GAUGE,
        ("state",),
        "Devices of this host by their link; `unknown` before anything is known.",
        _states,
    ),
    _publisher(
        "hourmeter_publisher_connected",
        Kind.GAUGE,
        "1 while this host is connected to the broker.",
        lambda publisher: publisher.connected,
    ),
    _publisher(
        "hourmeter_outbox_held_messages",
        Kind.GAUGE,
        "Messages in the outbox that the collector has not confirmed.",
        lambda publisher: publisher.unconfirmed,
    ),
    _publisher(
        "hourmeter_outbox_confirmed_total",
        Kind.COUNTER,
        "Messages confirmed.",
        lambda publisher: publisher.confirmed,
    ),
    *_counted(
        "publisher",
        lambda host: (((), host.publisher.tally),),
        connections="Connections to the broker.",
        sent="Messages handed to the broker, those sent again included.",
        resent="Messages sent again.",
        standstills="How often the confirmed mark stood still so long that messages were sent again.",
        refused_confirmations="Confirmations that could not be read, or confirmed what was never sent.",
        renewals="How often the journal was of another epoch than before: restored or made anew.",
    ),
    # -- its devices
    Figure(
        "hourmeter_device_link",
        Kind.GAUGE,
        ("device", "protocol", "state"),
        "1 at the state of its link, 0 at the others; `unknown` before anything is known.",
        _device_links,
    ),
    Figure(
        "hourmeter_device_units",
        Kind.GAUGE,
        ("device", "state"),
        "Units that were heard behind its link, by their state; absent where there are none.",
        _units,
    ),
    Figure(
        "hourmeter_port_strangers_total",
        Kind.COUNTER,
        ("port",),
        "Datagrams that came to a port of ours from an address that is no device of this host.",
        _strangers,
    ),
    _device(
        "hourmeter_device_last_heard_timestamp_seconds",
        "When it was last heard, by this host's clock; absent before that.",
        lambda device: None if device.last_heard_ms is None else device.last_heard_ms / 1000,
    ),
    _device(
        "hourmeter_device_stalled",
        "1 while what it said waits for room in the outbox; it is not polled meanwhile.",
        lambda device: bool(device.stalled),
    ),
    *_counted(
        "device",
        lambda host: (((device.name,), device) for device in host.devices),
        links="Links made to it.",
        polls="Polls sent.",
        heard="Frames that could be read.",
        refusals="Stretches of bytes that could not be read.",
        skipped="Messages read and not carried on purpose.",
        stalls="Tries that the outbox refused what it said.",
        lost="Messages, or datagrams, for which there was no room and which could not be kept waiting.",
        faults="Bugs of hourmeter that ended a link to it.",
    ),
    # -- its gateways
    Figure(
        "hourmeter_gateway_link",
        Kind.GAUGE,
        ("gateway", "state"),
        "1 at the state of its link as it was told last, 0 at the others.",
        _gateway_links,
    ),
    _gateway("connections", "Open connections.", lambda gateway: gateway.connections),
    _gateway("devices", "Devices behind it that are known.", lambda gateway: gateway.devices),
    _gateway("devices_online", "Those of them that were told to be online.", lambda gateway: gateway.online),
    _gateway(
        "waiting_messages",
        "Messages in memory that are not in the outbox yet.",
        lambda gateway: gateway.waiting,
    ),
    _gateway(
        "slowest_answer_seconds",
        "Longest time from the last byte of an HL7 message to its answer.",
        lambda gateway: gateway.tally.slowest_answer_s,
    ),
    *_counted(
        "gateway",
        lambda host: (((gateway.name,), gateway.tally) for gateway in host.gateways),
        accepted="Connections taken.",
        turned_away="Connections closed at once: of a peer that is not allowed.",
        displaced="Connections closed to make room for another.",
        heard="HL7 messages that said something of a device.",
        refusals="Stretches of bytes, or HL7 messages, that could not be read or carried.",
        skipped="HL7 messages read and not taken: repetitions, tests.",
        answered="Answers sent.",
        withheld="Answers not sent, so that the sender keeps its message.",
        lost="HL7 messages that were acknowledged, or wanted no answer, and could not be kept.",
        lost_bodies="What these would have become in the outbox, in messages of ours.",
        beyond="Times that a device was heard for which there is no place.",
        faults="Bugs of hourmeter that ended a connection.",
    ),
)
"""All of them, in the order of the document."""
