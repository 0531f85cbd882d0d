"""Philips IntelliVue monitors: the connect indication, listened to; alarms by Data Export where configured.

The layout of the messages as bytes stands in `adapters.intellivue_layout`, that of a session's begin and end
in `adapters.intellivue_association`; what is looked at in `adapters.intellivue_monitor` and `_alerts`.

Rule 1: nothing is sent to a monitor unless the operator has switched alarms on and named who agreed to it.
Rule 2: a monitor that is heard is present, and no more: only demonstration, service and standby are states.
Rule 3: names, numbers and beds of people are in attributes that are not looked at.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field, ValidationInfo, field_validator

from adapters import intellivue_alerts as alerts
from adapters import intellivue_association as association
from adapters import intellivue_layout as layout
from adapters import intellivue_monitor as monitor
from adapters import intellivue_writing as writing
from adapters.contract import Evidence, Example, Model, Options, ProtocolInfo, Table, Way
from adapters.intellivue_alerts import PHYSIOLOGICAL, TECHNICAL
from adapters.intellivue_device import IntelliVue
from adapters.intellivue_layout import (
    ALERT_MONITOR,
    CONNECT_INDICATION,
    MDS,
    MDS_CREATED,
    Alert,
    Polled,
    Told,
)
from adapters.intellivue_redactor import Redactor
from adapters.intellivue_session import KEEP_S, WAIT_S, Session
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Body,
    Condition,
    OperatingState,
    Phase,
    Priority,
    Usage,
)

_SOURCE: Final = "one capture of a connect indication; public clients; the maker's guide was not read"

INFO: Final = ProtocolInfo(
    id=monitor.PROTOCOL,
    manufacturer=monitor.MAKER,
    title="Philips IntelliVue: connect indication; alarms by Data Export",
    source=_SOURCE,
    poll_s=30.0,
    ways=(Way.LISTEN, Way.UDP),
    usual_port=24005,
    models=(
        Model(
            "IntelliVue 866062",
            Evidence.CAPTURE,
            "one connect indication, software L.01.18, recorded by others; no session with it",
        ),
        Model(
            "IntelliVue MP and MX series",
            Evidence.MANUAL,
            "sessions and alarm lists as public clients read and send them; bytes of a session are theirs",
        ),
    ),
    sends=(
        "Listening (port 24005): nothing, ever.",
        (
            "With `alerts = true` (port 24105): the request for an association, the answer to the event "
            "that the monitor begins a session with, single polls of the alert monitor each period and of"
            f" the monitor itself every {KEEP_S:g} s (which keeps the session alive), and the release at "
            "the end."
        ),
    ),
    bedside=(
        "Nothing shows at the bedside, neither while we listen nor when we fall silent. A session that we"
        " leave without a word ends by itself after ten seconds; until then the monitor may refuse "
        "others."
    ),
    notes=(
        (
            "**Alarms by polling may displace another system.** A monitor serves few sessions, often one."
            " An information system of the hospital that takes its data from the same port can lose it to"
            " us. So alarms are off; who switches them on sets `alerts = true` and `alerts_confirmed_by`,"
            " the name of who made sure that nothing else takes data from this monitor. If the monitor "
            f"refuses a session or breaks it off, it is left alone for {WAIT_S / 60:g} minutes, and the "
            "log says so."
        ),
        (
            "Alarms are asked for at another port than indications come to: with them, a device has "
            "`port = 24105`."
        ),
        (
            "A monitor repeats its connect indication until it is associated with somebody, to everybody or "
            'to a multicast group (`group = "224.0.23.63"` in the capture). One that is served by an '
            "information centre falls silent here and is *mute*, not off."
        ),
        (
            "Identity is model and serial number; the system id is told beside it. Part numbers stand in "
            "brackets behind the software that they name."
        ),
        (
            "Use: that a monitor speaks, or is in its monitoring mode, says nothing about a patient, so "
            "its state is *unknown*. Demonstration, service, configuration and standby are told where the"
            " operating mode is, which is in a session; no indication seen so far carries it."
        ),
        (
            "Alarms: technical ones by edges of the list of each poll; physiological ones are counted, by"
            " number alone. The texts of the monitor are dropped. Those of a monitor or an entry in test "
            "or demonstration begin nothing."
        ),
        ("Not looked at, and blotted out of recordings: bed label, patient data, measurements, addresses."),
    ),
)


class IntelliVueOptions(Options):
    """What may be set of an IntelliVue monitor."""

    alerts: bool = False
    """Poll the alarms in a session of our own (`udp`, port 24105); may displace another system."""
    alerts_confirmed_by: Annotated[str, Field(validate_default=True)] = ""
    """Who made sure that no other system takes data from this monitor; needed for `alerts`."""

    @field_validator("alerts_confirmed_by")
    @classmethod
    def _is_confirmed(cls, name: str, info: ValidationInfo) -> str:
        if info.data.get("alerts") and not name.strip():
            raise ValueError(
                "a session may displace the hospital's own information system: "
                "name who made sure that no other system takes data from this monitor"
            )
        return name

    @property
    def way(self) -> Way:
        """Listening, or a session."""
        return Way.UDP if self.alerts else Way.LISTEN

    def __call__(self, *, period_s: float) -> IntelliVue:
        """An adapter set so."""
        return IntelliVue(period_s=period_s, session=Session() if self.alerts else None)


OPTIONS: Final = IntelliVueOptions


def adapter(*, period_s: float) -> IntelliVue:
    """An adapter that listens to one monitor and sends nothing."""
    return IntelliVue(period_s=period_s)


def redactor() -> Redactor:
    """A redactor for one link."""
    return Redactor()


TABLES: Final = (
    Table(
        "Attributes that are looked at",
        _SOURCE,
        ("id", "meaning"),
        (
            *((f"{number:04X}", meaning) for number, meaning in monitor.ATTRIBUTES.items()),
            *((f"{number:04X}", f"list of {kind} alarms") for number, kind in alerts.LISTS.items()),
        ),
    ),
    Table(
        "Rows of the production specification (092D)",
        _SOURCE,
        ("type", "meaning"),
        tuple((str(number), meaning) for number, meaning in monitor.SPECIFICATIONS.items()),
    ),
    Table(
        "Operating mode (0946)",
        _SOURCE,
        ("bit", "state"),
        tuple((f"{bit:04X}", state.value) for bit, state in monitor.MODES.items()),
    ),
    Table(
        "Type of an alarm",
        _SOURCE,
        ("bit", "priority"),
        tuple((f"{bit:04X}", priority.value) for bit, priority in alerts.PRIORITIES.items()),
    ),
    Table(
        "State of an alarm",
        _SOURCE,
        ("bit", "meaning"),
        tuple((f"{bit:04X}", meaning) for bit, meaning in alerts.STATES.items()),
    ),
    Table(
        "Codes with a text of ours",
        "IEEE 11073-10101, partition 3; the last bit of a code belongs to its source",
        ("code", "reference id", "text"),
        tuple((str(number), name, text) for number, (name, text) in alerts.KNOWN.items()),
    ),
)


# -- examples ---------------------------------------------------------------------------------------------

_ALIAS: Final = Alias(protocol=INFO.id, namespace="866062", identifier="DE00000001")
_OTHER: Final = Alias(protocol=INFO.id, namespace="866062", identifier="DE00000002")
_ITSELF: Final = bytes((0, 0x23, 0, 0, 0, 0))
_AT: Final = datetime(2026, 1, 9, 7, 30)  # noqa: DTZ001 - the monitor tells no zone
_TOLD: Final = monitor.attributes_of(serial="DE00000001", bed="Nguyễn Văn An")
_IN_SESSION: Final = monitor.attributes_of(serial="DE00000001", mode=0x4000, time=_AT)
_IDENTITY: Final = monitor.facts_of(_TOLD).identity
_SOFTWARE: Final = monitor.attributes_of(
    serial="DE00000001", software={"S-M8003-0001A": "L.00.20", "S-M8003-0002A": "A.10.01"}
)


def _indication(attributes: layout.Attributes = _TOLD) -> bytes:
    return writing.told_of(Told(CONNECT_INDICATION, 0, _ITSELF, 600, attributes))


def _polled(*objects: layout.Attributes, of: int = ALERT_MONITOR, time: int = 0x2F00, part: int = 0) -> bytes:
    return writing.polled_of(Polled(7, part, of, time, objects))


def _lists(*technical: Alert, physiological: tuple[Alert, ...] = ()) -> layout.Attributes:
    name = "Nguyễn".encode("utf-16-be")
    return {
        TECHNICAL: writing.rows_of(writing.alert_of(row, writing.text_of(name)) for row in technical),
        PHYSIOLOGICAL: writing.rows_of(writing.alert_of(row, writing.text_of(name)) for row in physiological),
    }


_BATTERY: Final = Alert(source=4105, code=194, type=2, state=0x0008)
_HIGH_RATE: Final = Alert(source=0x4182, code=40, type=0x0400, state=0)
_SESSION: Final = writing.told_of(Told(MDS_CREATED, 1, _ITSELF, 700, {})) + _polled(_IN_SESSION, of=MDS)


def _usage(state: OperatingState = OperatingState.UNKNOWN) -> Usage:
    return Usage(state=state, period_s=INFO.poll_s)


def _battery(phase: Phase, condition: Condition, priority: Priority, raw: str, *, key: str) -> Alarm:
    return Alarm(
        key=f"196802/DE00000001/{key}",
        code="196802",
        reference_id="MDC_EVT_BATT_LO",
        text="battery low",
        alarm_kind=AlarmKind.TECHNICAL,
        priority=priority,
        phase=phase,
        condition=condition,
        raw=raw,
    )


_BEGUN: Final[tuple[Body, ...]] = (_IDENTITY, _usage())

EXAMPLES: Final = (
    Example(
        "a connect indication is identity and presence; the bed label is dropped",
        _indication(),
        bodies=_BEGUN,
        alias=_ALIAS,
    ),
    Example(
        "repeated it says nothing new; other software on the same monitor is told once",
        2 * _indication() + 2 * _indication(_SOFTWARE),
        bodies=(
            *_BEGUN,
            _IDENTITY.model_copy(
                update={"software_revision": "L.00.20 (S-M8003-0001A), A.10.01 (S-M8003-0002A)"}
            ),
        ),
        alias=_ALIAS,
    ),
    Example(
        "another monitor on the same link is another device",
        _indication() + _indication(monitor.attributes_of(serial="DE00000002")),
        bodies=(
            *_BEGUN,
            monitor.facts_of(monitor.attributes_of(serial="DE00000002")).identity,
            _usage(),
        ),
        alias=_ALIAS,
        others=(_OTHER,),
    ),
    Example(
        "an indication that tells demonstration",
        _indication(monitor.attributes_of(serial="DE00000001", mode=0x2000)),
        bodies=(_IDENTITY, _usage(OperatingState.DEMO)),
        alias=_ALIAS,
    ),
    Example(
        "a session is read as it comes: the monitor's clock, an alarm present, silenced and gone",
        _polled(_IN_SESSION, of=MDS)
        + _polled(_lists(_BATTERY))
        + _polled(_lists(_BATTERY._replace(state=0x1000)), time=0x3000)
        + _polled(_lists(_BATTERY._replace(state=0x1000)), time=0x3100)
        + _polled(_lists(), time=0x3200)
        + _polled(_IN_SESSION, of=MDS),
        bodies=(
            *_BEGUN,
            _battery(Phase.PRESENT, Condition.ACTIVE, Priority.MEDIUM, "4105:0000", key="2f00/1"),
            _battery(Phase.UPDATE, Condition.ACTIVE, Priority.MEDIUM, "4105:1000", key="2f00/1"),
            _battery(Phase.END, Condition.INACTIVE, Priority.MEDIUM, "", key="2f00/1"),
        ),
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "a physiological alarm is its number; one in test begins nothing",
        _polled(_IN_SESSION, of=MDS)
        + _polled(_lists())
        + _polled(_lists(_BATTERY._replace(state=0x0400), physiological=(_HIGH_RATE,))),
        bodies=(
            *_BEGUN,
            Alarm(
                key="P196648/DE00000001/2f00/1",
                code="P196648",
                text="physiological alarm",
                alarm_kind=AlarmKind.PHYSIOLOGICAL,
                priority=Priority.HIGH,
                phase=Phase.START,
                condition=Condition.ACTIVE,
                raw="16770:0000",
            ),
        ),
        alias=_ALIAS,
    ),
    Example(
        "lists that are not told leave their alarms unknown; an answer in several messages is one",
        _polled(_IN_SESSION, of=MDS)
        + _polled(_lists(_BATTERY), part=1)
        + _polled()
        + _polled({})
        + _polled(_lists(_BATTERY)),
        bodies=(
            *_BEGUN,
            _battery(Phase.PRESENT, Condition.ACTIVE, Priority.MEDIUM, "4105:0000", key="2f00/1"),
            _battery(Phase.UPDATE, Condition.UNKNOWN, Priority.UNKNOWN, "", key="2f00/1"),
            _battery(Phase.UPDATE, Condition.ACTIVE, Priority.MEDIUM, "4105:0000", key="2f00/1"),
        ),
        alias=_ALIAS,
    ),
    Example(
        "a message of an answer in several is missing: nothing ends by that",
        _polled(_IN_SESSION, of=MDS) + _polled(_lists(_BATTERY)) + _polled(_lists(), part=2),
        bodies=(
            *_BEGUN,
            _battery(Phase.PRESENT, Condition.ACTIVE, Priority.MEDIUM, "4105:0000", key="2f00/1"),
        ),
        alias=_ALIAS,
        refusal="in several is missing",
    ),
    Example(
        "what follows garbage, and an Ethernet frame's heads, is heard",
        b"\x01\x00\x5e\x00\x17\x3f\x00\x09\xfb\x88" + _indication(),
        bodies=_BEGUN,
        alias=_ALIAS,
        refusal="begin no message",
    ),
    Example(
        "a datagram cut short does not cost the next one",
        _indication()[:200] + _indication(),
        bodies=_BEGUN,
        alias=_ALIAS,
        refusal="there",
    ),
    Example("an indication without its end", _indication()[:-40], refusal="unfinished message"),
    Example(
        "a length inside that does not fit",
        _indication().replace(b"\x09\x28\x00", b"\x09\x28\x01"),
        refusal="told",
    ),
    Example(
        "neither serial number nor system id",
        _indication({}),
        refusal="tells neither model and serial number nor system id",
    ),
    Example(
        "an association refused, without a session of ours",
        association.refuse() + b"\xfe",
        refusal="begin no",
    ),
)
