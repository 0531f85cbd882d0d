"""B. Braun Space stations over BCC: the pumps in their racks, each a unit of its own behind one link.

    seconds since the station's start , address , parameter , value   1E   ...
                                        501xy: pillar x 1 to 3, slot y 1 to 9 and A to O; 50100 the station

The frame stands in `adapters.bcc_frames`, what is read in `adapters.bcc_tables`, what it means for a pump in
`adapters.bcc_pumps`, when an answer is complete in `adapters.bcc_station`, our part of the talk and its waits
in `adapters.bcc_talk`.

Rule 1: names of drugs, rates, volumes, weights, ids of patients and nurses never leave this file: only the
parameters of the allow-list are looked at.
Rule 2: the station has no clock but its seconds since start: no device time is told.
Rule 3: a station and a pump without a serial number are known by their port and place, a weak alias.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapters.bcc_frames import Block, Frames, Item, Noise, Signal, frame_of
from adapters.bcc_pumps import INFUSION_PUMP, MANUFACTURER
from adapters.bcc_redactor import BccRedactor
from adapters.bcc_station import Station
from adapters.bcc_tables import ALARMS, ERRORS, READ, REQUEST, SEPARATOR, STATION, VERSION, Told, quadruples
from adapters.bcc_talk import Kind, Talk
from adapters.contract import (
    UNTOLD,
    Answer,
    Evidence,
    Example,
    Model,
    Options,
    Outcome,
    ProtocolInfo,
    Refusal,
    SerialLine,
    Skipped,
    Table,
    Way,
)
from telemetry.errors import MessageError
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Body,
    Condition,
    Effect,
    Fault,
    Identity,
    LinkState,
    Metric,
    Metrics,
    OperatingState,
    Phase,
    Priority,
    Quantity,
    Status,
    Usage,
)

_DOCUMENT: Final = "BCC interface specification I0022_000030 v4.0 (2019)"
_SENDS: Final = (
    "`ADMIN:ALIVE` once on a link, or again if nothing is answered: brings the bed id of all later requests",
    "`ADMIN:VERSION` once on a link: which version of the protocol the station speaks",
    "`MEM:GET` at each poll, at least 0.5 s apart: what all pumps tell",
    "`ACK` at least 0.1 s after a block that has more behind it: brings the next; `NAK` repeats one",
)
_NOTES: Final = (
    (
        "Each pump is a unit of its own, named by its address (50111: pillar 1, slot 1), and known by its "
        "serial number among pumps of its type number. A pump that tells the serial 51559 here and I51559 "
        "elsewhere is one asset with two aliases; the registry joins them."
    ),
    (
        "In use is a pump that pumps or gives a bolus. INM3 is 1 for purging too: where RUNSTATE (3.3x and "
        "later) says that it does not run, the state is unknown. INTIME stands still at 6000 and is reset by "
        "users, so no hours are reported; hours are derived from the states."
    ),
    (
        "A pump missing from a complete answer to `MEM:GET`, or reported as taken out, is offline and its "
        "alarms are unknown, not ended. What a station pushes is never taken to be complete."
    ),
    (
        "LASTDA is the pump's memory of its last device alarm: what it holds when first read is present, "
        "what appears later has a start, what is replaced ends. The meaning of its codes 1000 to 2999 is in "
        "no source read: each is kept, unmapped."
    ),
    (
        "A pump tells about a kilobyte, with at least 0.1 s between two: a rack of 24 takes three seconds "
        "over TCP and half a minute over a serial line at 9600 bits per second. A poll waits for the answer "
        "to the one before; set `poll_s` above that time."
    ),
    "Newer stations may tell DATE and TIME; their form is in no source read, so they are not read.",
    "Dropped: drug names and ids, rates, doses, volumes, pressures, weights, ids of patients and nurses.",
)

INFO: Final = ProtocolInfo(
    id="bbraun-bcc",
    manufacturer=MANUFACTURER,
    title="B. Braun Space pumps over BCC (SpaceCom)",
    source=(
        f"{_DOCUMENT} and the exchanges printed in it (3.2.6.3, 3.2.6.4); two public clients, icu_devices and"
        " patient-monitor-datalogger; no capture of a station"
    ),
    poll_s=30.0,
    ways=(Way.TCP, Way.SERIAL),
    line=SerialLine(baud_rate=9600),
    usual_port=4001,
    one_client=True,
    units=True,
    models=(
        Model(
            "Infusomat Space and Perfusor Space in a SpaceStation with SpaceCom",
            Evidence.MANUAL,
            "BCC 3.30, from exchanges that the document prints; their lengths and sums were computed anew",
        ),
        Model("Compact plus", Evidence.MANUAL, "only that its unique id has 12 characters"),
    ),
    sends=_SENDS,
    bedside=(
        "The documents name no message or alarm at the station or a pump for a client that falls silent; not "
        "tried on a device. The station keeps one client: after a cut cable its place may stay taken until "
        "it notices. Another system that uses this port (patient data management, a central alarm display) "
        "loses it to us, so a named person must confirm that there is none."
    ),
    notes=_NOTES,
)

TABLES: Final = (
    Table(
        "What is read",
        f"{_DOCUMENT}; the list of icu_devices (bbraun_const.h)",
        ("parameter", "meaning"),
        tuple((row.name, row.meaning) for row in READ.values()),
    ),
    Table(
        "Alarms",
        f"{_DOCUMENT}; the list of icu_devices (bbraun_const.h); the kinds are ours",
        ("parameter", "condition", "kind"),
        tuple((name, alarm.text, alarm.kind.value) for name, alarm in ALARMS.items()),
    ),
    Table(
        "Errors (GNERR)",
        "a public client (patient-monitor-datalogger), not read in the document",
        ("code", "meaning"),
        tuple(ERRORS.items()),
    ),
)


class OPTIONS(Options):
    """How a station is set."""

    stuffing: bool = False
    """Whether the station is set to character stuffing: for what we send; what comes is read either way."""
    cyclic: bool = False
    """Whether the station pushes by itself (3.3x and later): it is greeted and acknowledged, never polled."""

    def __call__(self, *, period_s: float) -> Bcc:
        """An adapter for one station."""
        return Bcc(period_s=period_s, options=self)


class Bcc:
    """The talk with one station."""

    def __init__(self, *, period_s: float, options: OPTIONS) -> None:
        self._frames = Frames()
        self._station = Station(period_s=period_s, rest_s=period_s if options.cyclic else 0.0)
        self._talk = Talk(stuffing=options.stuffing, cyclic=options.cyclic)

    def connected(self) -> tuple[Outcome, ...]:
        """The greeting first; pumps and alarms of the link before are compared with what comes."""
        given_up = self.closed()
        self._station.reconnected()
        return (*given_up, Answer(self._talk.begin()))

    def poll(self) -> bytes:
        """MEM:GET, or nothing while the talk is at something else: then it follows as soon as it may."""
        return self._talk.poll()

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """One `Heard` for each place, when all of it has come."""
        if data:
            self._talk.hears()
        return tuple(said for item in self._frames.feed(data) for said in self._hear(item))

    def closed(self) -> tuple[Outcome, ...]:
        """Blocks of an answer that goes no further are told; a frame that was begun is refused."""
        told = tuple(self._station.tell(offset=0))
        return (*told, *(item for item in self._frames.close() if isinstance(item, Refusal)))

    def due_s(self) -> float | None:
        """Until an acknowledgement or a question is due, or an answer is missing."""
        return self._talk.due_s()

    def elapsed(self, seconds: float) -> tuple[Outcome, ...]:
        """What is due is sent; an answer that is missing is given up, its blocks told."""
        what = self._talk.elapsed(seconds)
        told = () if self._talk.awaits else tuple(self._station.tell(offset=0))
        return (*told, Answer(what)) if what else told

    def farewell(self) -> bytes:
        """Nothing is owed: the station does not wait for us."""
        return b""

    def _hear(self, item: Item) -> Iterator[Outcome]:
        match item:
            case Refusal():
                self._talk.spoilt()
                yield item
            case Signal.NAK:
                self._talk.refused()
            case Block() if REQUEST.fullmatch(item.info):
                yield Skipped(item.offset, "a request, not an answer")
            case Block():
                yield from self._block(item)
            case Noise() | Signal():
                pass

    def _block(self, block: Block) -> Iterator[Outcome]:
        try:
            told = tuple(quadruples(block.info))
        except MessageError as error:
            self._talk.spoilt()
            yield Refusal(block.offset, error.reason)
            return
        yield from self._station.take(told, offset=block.offset)
        complete = self._talk.is_listing and not block.more
        kind = _kind(told)
        self._talk.block(block.bed, more=block.more, of=kind)
        if not block.more:
            yield from self._station.tell(offset=block.offset, complete=complete and kind is Kind.LIST)


def _kind(told: tuple[Told, ...]) -> Kind:
    names = {one.name for one in told}
    if VERSION in names:
        return Kind.VERSION
    return Kind.GREETING if "GNACK" in names else Kind.LIST


def adapter(*, period_s: float) -> Bcc:
    """An adapter for the station at the end of one link, asked every `period_s` seconds."""
    return OPTIONS()(period_s=period_s)


def redactor() -> BccRedactor:
    """A redactor for one station's link."""
    return BccRedactor()


# -- examples ---------------------------------------------------------------------------------------------

STATION_VALUES: Final = (("FMNOR", "1"), ("FMSTAT", "00051"), ("FMBANY", "_NV"), ("FMRSTAT", "00051"))
QUIET_VALUES: Final = (
    ("GNMODEL", "688F030006"),
    ("INRT", "1.50"),
    ("INSOL", "Noradrenalin"),
    ("INTIME", "6000"),
    ("INNR", "6000A0E6"),
    ("INSTBY", "1434"),
    ("INSERNUM", "41190"),
    ("INDTNR", "6144"),
    ("INAKKU", "1440"),
    ("DSSTATUS", "00051"),
    ("INM1", "0"),
    ("INM2", "0"),
    ("INM3", "1"),
    ("INM6", "0"),
    ("INM8", "1"),
    *((name, "_NV" if name in {"INA6", "INA10", "INA13"} else "0") for name in ALARMS),
    ("LASTDA", "0"),
)
"""A self-made syringe pump that pumps, with nothing amiss."""


def told_by(address: str, values: tuple[tuple[str, str], ...], *, seconds: int = 214) -> bytes:
    """The quadruples of one place."""
    return SEPARATOR.join(f"{seconds},{address},{name},{value}".encode() for name, value in values)


def pump(address: str = "50111", *, seconds: int = 214, **changes: str) -> bytes:
    """The quadruples of a self-made pump with these values changed or added."""
    return told_by(address, tuple((dict(QUIET_VALUES) | changes).items()), seconds=seconds)


def _block(*parts: bytes, more: bool = False, stuffing: bool = False) -> bytes:
    return frame_of(SEPARATOR.join(parts), bed=b"ComSystem", more=more, stuffing=stuffing)


def _alias(serial: str) -> Alias:
    return Alias(protocol=INFO.id, namespace="6144", identifier=serial)


def _identity(serial: str, unique: str) -> Identity:
    return Identity(
        manufacturer=MANUFACTURER,
        model="688F030006",
        serial=serial,
        device_type=INFUSION_PUMP,
        unique_ids=(unique,),
    )


def _use(state: OperatingState) -> Usage:
    return Usage(state=state, period_s=INFO.poll_s)


def _power(*, mains: float, minutes: float) -> Metrics:
    return Metrics(
        values=(
            Metric(quantity=Quantity.ON_MAINS_BOOL, value=mains),
            Metric(quantity=Quantity.BATTERY_REMAINING_MIN, value=minutes),
        )
    )


def _alarm(code: str, phase: Phase, condition: Condition, raw: str, *, seconds: int) -> Alarm:
    return Alarm(
        key=f"{code}/41190/50111/{seconds}/1",
        code=code,
        text=ALARMS[code].text,
        alarm_kind=AlarmKind.TECHNICAL,
        priority=Priority.UNKNOWN,
        phase=phase,
        condition=condition,
        raw=raw,
    )


def _last(code: str, phase: Phase, condition: Condition, raw: str, *, number: int, seconds: int) -> Fault:
    return Fault(
        key=f"{code}/41190/50111/{seconds}/{number}",
        code=code,
        text=f"last device alarm {code}",
        effect=Effect.SERVICE_HIGH,
        mapped=False,
        phase=phase,
        condition=condition,
        raw=raw,
    )


_OWN: Final = told_by(STATION, STATION_VALUES)
_OTHER: Final = pump("5011B", INSERNUM="I51559", INNR="6000C967", DSSTATUS="00050", INM3="0", INTIME="0")
_ALIAS: Final = _alias("41190")
_IN_USE: Final = _use(OperatingState.IN_USE)
_STATION_BODIES: Final[tuple[Body, ...]] = (
    Identity(manufacturer=MANUFACTURER, model="SpaceCom"),
    _use(OperatingState.UNKNOWN),
)
_GREETING: Final[tuple[Body, ...]] = (
    _identity("41190", "6000A0E6"),
    _IN_USE,
    _power(mains=1.0, minutes=1440.0),
)

EXAMPLES: Final = (
    Example(
        "two pumps in two blocks: one pumps (6000 minutes stand still), one is switched off",
        _block(_OWN, pump(), more=True) + _block(_OTHER),
        bodies=(
            *_STATION_BODIES,
            *_GREETING,
            _identity("I51559", "6000C967"),
            _use(OperatingState.OFF),
            _power(mains=1.0, minutes=1440.0),
        ),
        alias=_ALIAS,
        others=(UNTOLD, _alias("I51559")),
    ),
    Example(
        "an answer that breaks off: its sound block is told",
        _block(pump(), more=True),
        bodies=_GREETING,
        alias=_ALIAS,
    ),
    Example(
        "with character stuffing, and a slot as two digits: the same place",
        _block(pump("501112"), stuffing=True),
        bodies=_GREETING,
        alias=_ALIAS,
    ),
    Example(
        "a battery pre-alarm found standing is present, mains return, it ends; the drug's name is not told",
        _block(pump(INM8="0", INA11="1", INAKKU="12", INSOL="Kali clorid"))
        + _block(pump(seconds=244, INM8="1", INA11="1", INAKKU="12"))
        + _block(pump(seconds=274, INM8="1", INA11="0", INAKKU="15")),
        bodies=(
            *_GREETING[:2],
            _power(mains=0.0, minutes=12.0),
            _alarm("INA11", Phase.PRESENT, Condition.ACTIVE, "1", seconds=214),
            _IN_USE,
            _power(mains=1.0, minutes=12.0),
            _IN_USE,
            _power(mains=1.0, minutes=15.0),
            _alarm("INA11", Phase.END, Condition.INACTIVE, "0", seconds=214),
        ),
        alias=_ALIAS,
    ),
    Example(
        "air in the line begins; the value is not available for a while: unknown, not ended",
        _block(pump()) + _block(pump(seconds=244, INA15="1")) + _block(pump(seconds=274, INA15="_NA")),
        bodies=(
            *_GREETING,
            _IN_USE,
            _alarm("INA15", Phase.START, Condition.ACTIVE, "1", seconds=244),
            _IN_USE,
            _alarm("INA15", Phase.UPDATE, Condition.UNKNOWN, "", seconds=244),
        ),
        alias=_ALIAS,
    ),
    Example(
        "the last device alarm found in its memory is present; another takes its place",
        _block(pump(LASTDA="1234")) + _block(pump(seconds=244, LASTDA="2001")),
        bodies=(
            *_GREETING,
            _last("1234", Phase.PRESENT, Condition.ACTIVE, "1234", number=1, seconds=214),
            _IN_USE,
            _last("1234", Phase.END, Condition.INACTIVE, "2001", number=1, seconds=214),
            _last("2001", Phase.START, Condition.ACTIVE, "2001", number=2, seconds=244),
        ),
        alias=_ALIAS,
    ),
    Example(
        "standby, and then pumping that RUNSTATE contradicts: it may be purging",
        _block(pump(INM3="0", INM6="1", RUNSTATE="1")) + _block(pump(seconds=244, INM3="1", RUNSTATE="1")),
        bodies=(
            _GREETING[0],
            _use(OperatingState.STANDBY),
            _GREETING[2],
            _use(OperatingState.UNKNOWN),
        ),
        alias=_ALIAS,
    ),
    Example(
        "another pump in the place ends what was known there, and is told with the next answer",
        _block(pump())
        + _block(pump(seconds=244, GNNEW="688F030006", INSERNUM="41191"))
        + _block(pump(seconds=274, INSERNUM="41191", INNR="6000A0E7")),
        bodies=(
            *_GREETING,
            Status(link=LinkState.OFFLINE, reason="another pump in its place"),
            _identity("41191", "6000A0E7"),
            _IN_USE,
            _GREETING[2],
        ),
        alias=_ALIAS,
        others=(_alias("41191"),),
    ),
    Example(
        "a pump taken out while an alarm stood: offline, the alarm unknown",
        _block(pump(INA13="1")) + _block(b"244,50111,GNERR,39"),
        bodies=(
            *_GREETING,
            _alarm("INA13", Phase.PRESENT, Condition.ACTIVE, "1", seconds=214),
            Status(link=LinkState.OFFLINE, reason=ERRORS["39"]),
            _alarm("INA13", Phase.UPDATE, Condition.UNKNOWN, "", seconds=214),
        ),
        alias=_ALIAS,
    ),
    Example(
        "a pump that tells no serial number is known by its place",
        _block(told_by("50121", (("GNMODEL", "688F030006"), ("DSSTATUS", "00051"), ("INM3", "0")))),
        bodies=(_use(OperatingState.IDLE),),
    ),
    Example(
        "what follows garbage is heard",
        b"\xff noise" + _block(pump()),
        bodies=_GREETING,
        alias=_ALIAS,
        refusal="bytes that begin no frame",
    ),
    Example(
        "a block cut short does not cost the next one",
        _block(pump())[:300] + _block(pump()),
        bodies=_GREETING,
        alias=_ALIAS,
        refusal="cut off after 300 bytes",
    ),
    Example(
        "a greeting and a version tell nothing of a pump",
        _block(b"206,50100,GNACK,0") + _block(b"207,50100,V3.30"),
    ),
    Example("a sum that is wrong", _block(pump()).replace(b"INM3,1", b"INM3,0"), refusal="checksum"),
    Example("a length that is wrong", _block(pump()).replace(b"41190", b"4119"), refusal="bytes instead of"),
    Example("a frame that never ends", _block(pump())[:-1], refusal="unfinished frame"),
    Example(
        "a quadruple of a place that there is not", _block(b"214,50141,INM3,1"), refusal="without an address"
    ),
    Example("an error that the station reports", _block(b"214,50100,GNERR,68"), refusal="wrong syntax"),
)
