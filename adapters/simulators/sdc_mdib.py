"""The MDIB of a made-up SDC ventilator as XML: a battery, a clock, three alerts, a patient, a vital value."""

from __future__ import annotations

from xml.sax.saxutils import escape

from adapters.sdc_terms import INSTANCE, MESSAGES, PARTICIPANT

DEVICE = "mds0"
MODULE = "vmd0"
BATTERY = "battery0"
CLOCK = "clock0"
PATIENT = "patient0"
VITAL = "spo2"
BATTERY_LOW = "alert.battery"
SATURATION_LOW = "alert.spo2"
FILTER_CLOGGED = "alert.filter"
MANUFACTURER = "Hourmeter Works"
MODEL = "Sim Vent S"


def mdib(*, serial: str) -> bytes:
    """Description of the ventilator, without states; valid by the schema of IEEE 11073-10207."""
    return (
        f'<msg:GetMdibResponse xmlns:msg="{MESSAGES}" xmlns:pm="{PARTICIPANT}" xmlns:xsi="{INSTANCE}" '
        'SequenceId="urn:uuid:0"><msg:Mdib SequenceId="urn:uuid:0"><pm:MdDescription>'
        f'<pm:Mds Handle="{DEVICE}">{_type(70001, "Ventilator")}{_software("2.4")}'
        '<pm:AlertSystem Handle="as0">'
        f"{_condition(BATTERY_LOW, 196802, 'Battery low', kind='Tec', priority='Me')}"
        f"{_condition(SATURATION_LOW, 196670, 'Saturation low', kind='Phy', priority='Hi')}"
        f"{_condition(FILTER_CLOGGED, 198000, 'Air filter clogged', kind='Tec', priority='Lo')}"
        f"{_signal(BATTERY_LOW)}{_signal(SATURATION_LOW)}{_signal(FILTER_CLOGGED)}</pm:AlertSystem>"
        f'<pm:MetaData><pm:Manufacturer Lang="en-US">{MANUFACTURER}</pm:Manufacturer>'
        f'<pm:ModelName Lang="en-US">{MODEL}</pm:ModelName><pm:ModelNumber>1</pm:ModelNumber>'
        f"<pm:SerialNumber>{escape(serial)}</pm:SerialNumber></pm:MetaData>"
        f'<pm:SystemContext Handle="sc0"><pm:PatientContext Handle="{PATIENT}"/>'
        f'<pm:LocationContext Handle="location0"/></pm:SystemContext><pm:Clock Handle="{CLOCK}"/>'
        f'<pm:Battery Handle="{BATTERY}"><pm:CapacityFullCharge MeasuredValue="5.2">{_AMPERE_HOURS}'
        f'</pm:CapacityFullCharge><pm:CapacitySpecified MeasuredValue="6.5">{_AMPERE_HOURS}'
        f'</pm:CapacitySpecified></pm:Battery><pm:Vmd Handle="{MODULE}"><pm:Channel Handle="channel0">'
        f'<pm:Metric xsi:type="pm:NumericMetricDescriptor" Handle="{VITAL}" MetricCategory="Msrmt" '
        f'MetricAvailability="Cont" Resolution="1">{_type(150456, "Saturation")}<pm:Unit Code="262688"/>'
        "</pm:Metric></pm:Channel></pm:Vmd></pm:Mds></pm:MdDescription></msg:Mdib></msg:GetMdibResponse>"
    ).encode()


_AMPERE_HOURS = '<pm:MeasurementUnit Code="268224"/>'


def _type(code: int, text: str) -> str:
    words = f'<pm:ConceptDescription Lang="en-US">{text}</pm:ConceptDescription>'
    return f'<pm:Type Code="{code}">{words}</pm:Type>'


def _software(version: str) -> str:
    return (
        '<pm:ProductionSpecification><pm:SpecType Code="531975"/>'
        f"<pm:ProductionSpec>{version}</pm:ProductionSpec></pm:ProductionSpecification>"
    )


def _condition(handle: str, code: int, text: str, *, kind: str, priority: str) -> str:
    return (
        f'<pm:AlertCondition Handle="{handle}" Kind="{kind}" Priority="{priority}">{_type(code, text)}'
        "</pm:AlertCondition>"
    )


def _signal(condition: str) -> str:
    return (
        f'<pm:AlertSignal Handle="{signal_of(condition)}" ConditionSignaled="{condition}" '
        'Manifestation="Aud" Latching="true"/>'
    )


def signal_of(condition: str) -> str:
    """The handle of the signal that tells an alert condition."""
    return f"signal.{condition}"
