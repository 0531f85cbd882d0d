"""IEEE 11073 SDC devices: their MDIB and the reports of what changes in it, as the SDC library receives them.

    GetMdibResponse  SequenceId MdibVersion          what the device is, and how everything stands
    Episodic...Report SequenceId MdibVersion         states that have changed since
    Metadata         ThisModel ThisDevice Host       who the endpoint is (DPWS)

each in its SOAP envelope or without, and ended by one NUL. Discovery, TLS, subscriptions and requests are the
library's (`adapters.host.sdc_link`); this file needs neither it nor the network. What is read stands in
`adapters.sdc_terms`, how XML is read in `adapters.sdc_xml`, the talk in `adapters.sdc_talk`.

Rule 1: patients, places, orders, measured values, waveforms and settings are skipped before anything is made
of them; a physiological alert is its code alone.
Rule 2: `On` is use only where the device tells it, never where the standard implies it, and never of a
monitor, which may be on and watch nobody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from adapters import sdc_terms as terms
from adapters.contract import Evidence, Example, Model, Options, ProtocolInfo, Table, Way
from adapters.sdc_redactor import SdcRedactor
from adapters.sdc_talk import GET_MDIB, Talk
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Body,
    Condition,
    Effect,
    Fault,
    Identity,
    MeterName,
    MeterReading,
    Metric,
    Metrics,
    OperatingState,
    Phase,
    Priority,
    Provenance,
    Quantity,
    Strength,
    Usage,
)

INFO: Final = ProtocolInfo(
    id="sdc",
    manufacturer="",
    title="IEEE 11073 SDC (BICEPS over MDPWS)",
    source="IEEE 11073-10207, -20701, -20702 as schemas; the provider of sdc11073 3.0.0; no device",
    poll_s=60.0,
    ways=(Way.SDC,),
    models=(
        Model(
            "any SDC provider",
            Evidence.MANUAL,
            "tried against the provider of the library sdc11073 only, with an MDIB of ours",
        ),
    ),
    sends=(
        "WS-Discovery Probe (multicast), where only an endpoint reference is configured: to find its address",
        "TransferGet and GetMetadata: which services there are",
        "GetMdib once a period and after the device has started anew: what it is and how it stands",
        "Subscribe, Renew, Unsubscribe for the reports of components and alerts: to hear changes at once",
        "nothing else: no Set, Activate or Context operation is ever sent",
    ),
    bedside=(
        "Nothing: a device that loses a listener ends its subscription when it runs out, within a minute. "
        "Alarms are delegated to listeners that take them over, which this one never does."
    ),
    notes=(
        (
            "Needs the extra `hourmeter[sdc]`. The device connects back to this machine to deliver its "
            "reports, to a port that the system chooses: a firewall between them must let it."
        ),
        (
            "OperatingHours of the device (MDS) is told as power_on_h, reported: the standard gives it no "
            "more meaning, and no part's hours are taken for ventilation or blower hours. OperatingCycles "
            "is operating_cycles; ChargeCycles of the battery with the most is battery_cycles."
        ),
        (
            "In use is ActivationState `On` in OperatingMode `Nml`, if the device tells it. A monitor that"
            " is on, or any device with `on_is_use = false`, is unknown instead: it tells its hours alone."
        ),
        (
            "In demo mode only that is told. A module, channel, battery or device with ActivationState "
            "`Fail` is a fault. A condition that is over while its signal is latched is latched until that"
            " is over too."
        ),
        (
            "The device's clock is in UTC, as SDC tells it. CapacityRemaining becomes a percentage only "
            "where it is told in percent, or together with CapacityFullCharge."
        ),
        "One endpoint is one device: of several MDS the first is its identity, its state and its hours.",
        (
            "A technical alert carries the text of its own code, unless that shares a word with what the "
            "MDIB says of a patient, a place or an order."
        ),
    ),
)


class SdcOptions(Options):
    """What can be set of an SDC device."""

    on_is_use: bool = True
    """Whether ActivationState `On` means that it is used; false for models that stay on between patients."""

    def __call__(self, *, period_s: float) -> Talk:
        """An adapter for one endpoint, whose MDIB is asked for every `period_s` seconds."""
        return Talk(period_s=period_s, on_is_use=self.on_is_use)


OPTIONS: Final = SdcOptions
adapter: Final = SdcOptions()
redactor: Final = SdcRedactor


TABLES: Final = (
    Table(
        "OperatingMode of the device",
        "IEEE 11073-10207, MdsOperatingMode",
        ("word", "state"),
        tuple((word, state or "by ActivationState") for word, state in terms.MODES.items()),
    ),
    Table(
        "ActivationState of the device",
        "IEEE 11073-10207, ComponentActivation",
        ("word", "state"),
        tuple((word or "(not told)", state) for word, state in terms.ACTIVATIONS.items()),
    ),
    Table(
        "Kind of an alert condition",
        "IEEE 11073-10207, AlertConditionKind",
        ("word", "kind"),
        tuple(terms.KINDS.items()),
    ),
    Table(
        "Priority of an alert condition",
        "IEEE 11073-10207, AlertConditionPriority",
        ("word", "priority"),
        tuple(terms.PRIORITIES.items()),
    ),
    Table(
        "Figures of a battery",
        "IEEE 11073-10207, BatteryState; units of IEEE 11073-10101 and UCUM",
        ("element", "quantity", "units"),
        tuple(
            (element, quantity, " ".join(units))
            for element, (quantity, units, _, _) in terms.MEASUREMENTS.items()
        ),
    ),
    Table(
        "States that are read; all others are skipped",
        "IEEE 11073-10207",
        ("type",),
        tuple((name,) for name in sorted(terms.STATES)),
    ),
)

_NAMESPACES: Final = (
    f'xmlns:msg="{terms.MESSAGES}" xmlns:pm="{terms.PARTICIPANT}" xmlns:xsi="{terms.INSTANCE}"'
)
_SEQUENCE: Final = "urn:uuid:7f6b8a2e-0000-4000-8000-000000000001"
_ANEW: Final = "urn:uuid:7f6b8a2e-0000-4000-8000-000000000002"
_START: Final = "65660ebb"
"""What stands for _SEQUENCE in keys."""
_ENDPOINT: Final = "urn:uuid:1c0ffee0-0000-4000-8000-00000000a001"


def _type(code: str, text: str, *more: str) -> str:
    words = f'<pm:ConceptDescription Lang="en-US">{text}</pm:ConceptDescription>'
    return f'<pm:Type Code="{code}"{"".join(more)}>{words}</pm:Type>'


_DEVICE: Final = (
    '<pm:Mds Handle="mds0">' + _type("70001", "Ventilator") + "<pm:ProductionSpecification>"
    '<pm:SpecType Code="531975"/><pm:ProductionSpec>3.1</pm:ProductionSpec></pm:ProductionSpecification>'
    '<pm:AlertSystem Handle="as0"><pm:AlertCondition Handle="ac.batt" Kind="Tec" Priority="Me">'
    + _type("196802", "Battery low")
    + '</pm:AlertCondition><pm:AlertCondition Handle="ac.spo2" Kind="Phy" Priority="Hi">'
    + _type("196670", "Saturation low")
    + '</pm:AlertCondition><pm:AlertCondition Handle="ac.own" Kind="Tec" Priority="Lo">'
    + _type("E-17", "Filter clogged", ' CodingSystem="urn:oid:1.3.6.1.4.1.99999"')
    + '</pm:AlertCondition><pm:AlertSignal Handle="sig.batt" ConditionSignaled="ac.batt"/></pm:AlertSystem>'
    '<pm:MetaData><pm:Manufacturer Lang="en-US">Acme</pm:Manufacturer>'
    '<pm:ModelName Lang="en-US">Air 5</pm:ModelName>{serial}</pm:MetaData>'
    '<pm:SystemContext Handle="sc"><pm:PatientContext Handle="pc"/></pm:SystemContext>'
    '<pm:Clock Handle="clock"/><pm:Battery Handle="bat0"><pm:CapacityFullCharge MeasuredValue="5.2">'
    '<pm:MeasurementUnit Code="268224"/></pm:CapacityFullCharge><pm:CapacitySpecified MeasuredValue="6.5">'
    '<pm:MeasurementUnit Code="268224"/></pm:CapacitySpecified></pm:Battery>'
    '<pm:Vmd Handle="vmd0"><pm:Channel Handle="ch0"><pm:Metric Handle="spo2"/></pm:Channel></pm:Vmd></pm:Mds>'
)
_SERIAL: Final = "<pm:SerialNumber>AIR-0042</pm:SerialNumber>"


def _states(name: str, *states: tuple[str, str, str]) -> str:
    """States as `name`: type, handle, attributes; children may follow the attributes behind `>`."""
    return "".join(
        f'<{name} xsi:type="pm:{kind}" DescriptorHandle="{handle}" {told}'
        + (f"</{name}>" if ">" in told else "/>")
        for kind, handle, told in states
    )


_PATIENT: Final = (
    "PatientContextState",
    "pc",
    'Handle="p1"><pm:CoreData><pm:Givenname>Saturday</pm:Givenname></pm:CoreData>',
)
_MEASURED: Final = ("NumericMetricState", "spo2", '><pm:MetricValue Value="88"/>')
_ON: Final = ("MdsState", "mds0", 'ActivationState="On" OperatingHours="9120" OperatingCycles="48"')
_ON_MAINS: Final = (
    "BatteryState",
    "bat0",
    (
        'ActivationState="StndBy" ChargeCycles="311"><pm:CapacityRemaining MeasuredValue="2.6">'
        '<pm:MeasurementUnit Code="268224"/></pm:CapacityRemaining><pm:RemainingBatteryTime '
        'MeasuredValue="1.5"><pm:MeasurementUnit Code="264384"/></pm:RemainingBatteryTime>'
    ),
)
_NOT_LOW: Final = ("AlertConditionState", "ac.batt", 'ActivationState="On"')
_QUIET: Final = (
    _ON,
    _ON_MAINS,
    ("VmdState", "vmd0", ""),
    ("ClockState", "clock", 'DateAndTime="1767943800000"'),
    _NOT_LOW,
    ("LimitAlertConditionState", "ac.spo2", 'ActivationState="On" Presence="false"'),
    ("AlertConditionState", "ac.own", 'ActivationState="On" Presence="false"'),
    ("AlertSignalState", "sig.batt", 'ActivationState="On" Presence="Off"'),
    _PATIENT,
    _MEASURED,
)


def _enveloped(document: str) -> bytes:
    return f'<s:Envelope xmlns:s="{terms.SOAP}"><s:Body>{document}</s:Body></s:Envelope>'.encode() + b"\x00"


def _mdib(
    *changed: tuple[str, str, str], version: int = 7, sequence: str = _SEQUENCE, serial: str = _SERIAL
) -> bytes:
    """A GetMdib answer of a ventilator in use with nothing amiss but these states."""
    states = {handle: (kind, handle, told) for kind, handle, told in (*_QUIET, *changed)}
    told = f'MdibVersion="{version}" SequenceId="{sequence}"'
    return _enveloped(
        f"<msg:GetMdibResponse {_NAMESPACES} {told}><msg:Mdib {told}><pm:MdDescription>"
        f"{_DEVICE.replace('{serial}', serial)}</pm:MdDescription><pm:MdState>"
        f"{_states('pm:State', *states.values())}</pm:MdState></msg:Mdib></msg:GetMdibResponse>"
    )


def _report(*states: tuple[str, str, str], version: int, sequence: str = _SEQUENCE) -> bytes:
    """A report of these states, all of alerts or all of components."""
    kind = "Alert" if states[0][0].startswith(("Alert", "LimitAlert")) else "Component"
    return _enveloped(
        f'<msg:Episodic{kind}Report {_NAMESPACES} MdibVersion="{version}" SequenceId="{sequence}">'
        f"<msg:ReportPart>{_states(f'msg:{kind}State', *states)}</msg:ReportPart></msg:Episodic{kind}Report>"
    )


def _endpoint(serial: str) -> bytes:
    """Metadata of an endpoint."""
    spaces = f'xmlns:x="{terms.METADATA_EXCHANGE}" xmlns:d="{terms.DPWS}" xmlns:a="{terms.ADDRESSING}"'
    return _enveloped(
        f"<x:Metadata {spaces}><x:MetadataSection><d:ThisModel><d:Manufacturer>Acme</d:Manufacturer>"
        f"</d:ThisModel></x:MetadataSection><x:MetadataSection><d:ThisDevice><d:FriendlyName>Bed 4"
        f"</d:FriendlyName><d:FirmwareVersion>9.2</d:FirmwareVersion>{serial}</d:ThisDevice>"
        f"</x:MetadataSection><x:MetadataSection><d:Relationship><d:Host><a:EndpointReference><a:Address>"
        f"{_ENDPOINT}</a:Address></a:EndpointReference></d:Host></d:Relationship></x:MetadataSection>"
        "</x:Metadata>"
    )


_ALIAS: Final = Alias(protocol=INFO.id, namespace="Acme", identifier="AIR-0042")
_AT: Final = datetime(2026, 1, 9, 7, 30)  # noqa: DTZ001 - UTC, as the device tells it
_IDENTITY: Final = Identity(
    manufacturer="Acme", model="Air 5", serial="AIR-0042", software_revision="3.1", device_type=70001
)


def _usage(state: OperatingState, hours: float = 9120.0) -> Usage:
    figures = (
        (MeterName.POWER_ON_H, hours),
        (MeterName.OPERATING_CYCLES, 48.0),
        (MeterName.BATTERY_CYCLES, 311.0),
    )
    return Usage(
        state=state,
        period_s=INFO.poll_s,
        meters=tuple(
            MeterReading(meter=meter, provenance=Provenance.REPORTED, value=value) for meter, value in figures
        ),
    )


def _battery(*, on_mains: float) -> Metrics:
    figures = (
        (Quantity.BATTERY_CAPACITY_MAH, 5200.0),
        (Quantity.BATTERY_CHARGE_PCT, 50.0),
        (Quantity.BATTERY_HEALTH_PCT, 80.0),
        (Quantity.BATTERY_REMAINING_MIN, 90.0),
        (Quantity.ON_MAINS_BOOL, on_mains),
    )
    return Metrics(values=tuple(Metric(quantity=quantity, value=value) for quantity, value in figures))


_STANDING: Final[tuple[Body, ...]] = (_usage(OperatingState.IN_USE), _battery(on_mains=1.0))
_GREETING: Final[tuple[Body, ...]] = (_IDENTITY, *_STANDING)
_LOW: Final = ("AlertConditionState", "ac.batt", 'ActivationState="On" Presence="true"')


def _low(phase: Phase, raw: str, key: str, condition: Condition = Condition.ACTIVE) -> Alarm:
    """The battery's alert."""
    return Alarm(
        key=key,
        code="196802",
        reference_id="MDC_EVT_BATT_LO",
        text="Battery low",
        alarm_kind=AlarmKind.TECHNICAL,
        priority=Priority.MEDIUM,
        phase=phase,
        condition=condition,
        raw=raw,
    )


_FROM_THE_FIRST: Final = f"ac.batt/{_START}.7/1"
_STARTED: Final = f"ac.batt/{_START}.8/1"

EXAMPLES: Final = (
    Example(
        "a ventilator in use with nothing amiss: patient and measured values are not looked at",
        _mdib(),
        bodies=_GREETING,
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "a battery alert seen from the first answer is present; a standing one is not repeated; it ends",
        _mdib(_LOW) + _mdib(_LOW) + _mdib(version=8),
        bodies=(
            *_GREETING,
            _low(Phase.PRESENT, "present", _FROM_THE_FIRST),
            *_STANDING,
            *_STANDING,
            _low(Phase.END, "absent", _FROM_THE_FIRST, Condition.INACTIVE),
        ),
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "a report starts it; acknowledged, latched and over as its signal says",
        _mdib()
        + _report(_LOW, version=8)
        + _report(("AlertSignalState", "sig.batt", 'Presence="Ack"'), version=9)
        + _report(_NOT_LOW, ("AlertSignalState", "sig.batt", 'Presence="Latch"'), version=10)
        + _report(("AlertSignalState", "sig.batt", 'Presence="Off"'), version=11),
        bodies=(
            *_GREETING,
            _low(Phase.START, "present", _STARTED),
            _low(Phase.UPDATE, "present Ack", _STARTED),
            _low(Phase.UPDATE, "absent Latch", _STARTED, Condition.LATCHED),
            _low(Phase.END, "absent", _STARTED, Condition.INACTIVE),
        ),
        alias=_ALIAS,
    ),
    Example(
        "a physiological alert is its code alone; a code of the maker's own stands with its coding system",
        _mdib()
        + _report(
            (
                "LimitAlertConditionState",
                "ac.spo2",
                'Presence="true" ActualPriority="Me"><pm:Limits Lower="90"/>',
            ),
            ("AlertConditionState", "ac.own", 'Presence="true"'),
            version=8,
        ),
        bodies=(
            *_GREETING,
            Alarm(
                key=f"ac.spo2/{_START}.8/1",
                code="196670",
                reference_id="MDC_EVT_LO",
                text="MDC_EVT_LO",
                alarm_kind=AlarmKind.PHYSIOLOGICAL,
                priority=Priority.MEDIUM,
                phase=Phase.START,
                condition=Condition.ACTIVE,
                raw="present",
            ),
            Alarm(
                key=f"ac.own/{_START}.8/2",
                code="urn:oid:1.3.6.1.4.1.99999:E-17",
                text="Filter clogged",
                alarm_kind=AlarmKind.TECHNICAL,
                priority=Priority.LOW,
                phase=Phase.START,
                condition=Condition.ACTIVE,
                raw="present",
            ),
        ),
        alias=_ALIAS,
    ),
    Example(
        "reports change state, hours and power; what stays is not repeated",
        _mdib()
        + _report(
            ("MdsState", "mds0", 'ActivationState="StndBy" OperatingHours="9121" OperatingCycles="48"'),
            version=8,
        )
        + _report(("BatteryState", "bat0", _ON_MAINS[2].replace("StndBy", "On")), version=9)
        + _report(("ClockState", "clock", 'DateAndTime="-1"'), version=10),
        bodies=(
            *_GREETING,
            _usage(OperatingState.STANDBY, 9121.0),
            _battery(on_mains=0.0),
        ),
        alias=_ALIAS,
    ),
    Example(
        "an ActivationState that is only implied is no evidence of use",
        _mdib(("MdsState", "mds0", 'OperatingHours="9120" OperatingCycles="48"')),
        bodies=(_IDENTITY, _usage(OperatingState.UNKNOWN), _battery(on_mains=1.0)),
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "service mode does not count as use; in demo mode nothing but that is told",
        _mdib(("MdsState", "mds0", f'{_ON[2]} OperatingMode="Srv"'))
        + _mdib(("MdsState", "mds0", f'{_ON[2]} OperatingMode="Dmo"'), _LOW, version=8),
        bodies=(
            _IDENTITY,
            _usage(OperatingState.SERVICE),
            _battery(on_mains=1.0),
            Usage(state=OperatingState.DEMO, period_s=INFO.poll_s),
        ),
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "a part that says that it has failed is a fault",
        _mdib() + _report(("VmdState", "vmd0", 'ActivationState="Fail"'), version=8),
        bodies=(
            *_GREETING,
            Fault(
                key=f"fail/vmd0/{_START}.8/1",
                code="ActivationState/Fail",
                subsystem="module untyped",
                text="the module says that it has failed",
                effect=Effect.SERVICE_HIGH,
                phase=Phase.START,
                condition=Condition.ACTIVE,
                raw="Fail",
            ),
        ),
        alias=_ALIAS,
    ),
    Example(
        "started anew: the description is asked for, alerts are compared, hours may begin anew",
        _mdib(_LOW)
        + _report(("MdsState", "mds0", 'ActivationState="On"'), version=1, sequence=_ANEW)
        + _mdib(
            _LOW,
            ("MdsState", "mds0", 'ActivationState="On" OperatingHours="0" OperatingCycles="48"'),
            version=2,
            sequence=_ANEW,
        ),
        bodies=(
            *_GREETING,
            _low(Phase.PRESENT, "present", _FROM_THE_FIRST),
            _usage(OperatingState.IN_USE, 0.0),
            _battery(on_mains=1.0),
        ),
        alias=_ALIAS,
        device_time=_AT,
        answers=(GET_MDIB,),
    ),
    Example(
        "a report that comes late is passed over",
        _mdib(version=9) + _report(_LOW, version=8),
        bodies=_GREETING,
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "without a serial number in its MDIB the endpoint's own serves",
        _endpoint("<d:SerialNumber>AIR-0042</d:SerialNumber>") + _mdib(serial="<pm:SerialNumber/>"),
        bodies=(
            _IDENTITY.model_copy(update={"firmware_revision": "9.2", "unique_ids": (f"EPR {_ENDPOINT}",)}),
            *_STANDING,
        ),
        alias=_ALIAS,
        device_time=_AT,
    ),
    Example(
        "with no serial number at all its endpoint reference is a weak alias",
        _endpoint("") + _mdib(serial=""),
        bodies=(
            _IDENTITY.model_copy(
                update={"serial": "", "firmware_revision": "9.2", "unique_ids": (f"EPR {_ENDPOINT}",)}
            ),
            *_STANDING,
        ),
        alias=Alias(protocol=INFO.id, namespace="epr", identifier=_ENDPOINT, strength=Strength.WEAK),
        device_time=_AT,
    ),
    Example(
        "a report before the description is a sign of life",
        _report(_LOW, version=8),
        answers=(GET_MDIB,),
    ),
    Example("a document that is no XML", b"<msg:GetMdibResponse \x00", refusal="not XML"),
    Example(
        "a document with a DTD",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>\x00',
        refusal="a DTD",
    ),
    Example("a document that never ends", _mdib()[:-1], refusal="unfinished document"),
    Example(
        "what follows garbage is heard",
        b"\xff\xfe\x00" + _mdib(),
        bodies=_GREETING,
        alias=_ALIAS,
        device_time=_AT,
        refusal="not XML",
    ),
    Example(
        "an MDIB without a device",
        _enveloped(f'<msg:GetMdibResponse {_NAMESPACES} SequenceId="a"/>'),
        refusal="describes no device",
    ),
    Example(
        "a report without a sequence",
        _enveloped(f"<msg:EpisodicAlertReport {_NAMESPACES}/>"),
        refusal="without SequenceId",
    ),
)
