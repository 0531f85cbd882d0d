"""Self-made SDC documents for tests: an MDIB from its parts, reports, metadata of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from adapters.sdc_terms import ADDRESSING, DPWS, INSTANCE, MESSAGES, METADATA_EXCHANGE, PARTICIPANT

SPACES = f'xmlns="{MESSAGES}" xmlns:pm="{PARTICIPANT}" xmlns:xsi="{INSTANCE}"'
FIRST = "urn:uuid:first"
MDS = "mds"
BATTERY = "bat"
ALERT = "low"
SIGNAL = "beep"
STATES: Mapping[str, str] = MappingProxyType({
    MDS: 'xsi:type="pm:MdsState" ActivationState="On" OperatingHours="100"/',
    BATTERY: 'xsi:type="pm:BatteryState" ActivationState="Off"/',
    ALERT: 'xsi:type="pm:AlertConditionState" Presence="false"/',
    SIGNAL: 'xsi:type="pm:AlertSignalState" Presence="Off"/',
})  # fmt: skip
"""By handle: what stands in the tag behind the handle, and the slash if it has no children."""
TYPE = '<pm:Type Code="196802"><pm:ConceptDescription>Battery low</pm:ConceptDescription></pm:Type>'


def state(name: str, handle: str, told: str) -> str:
    """A state; `told` may go on behind the tag."""
    end = "" if told.endswith("/") and ">" not in told else f"</{name}"
    return f'<{name} DescriptorHandle="{handle}" {told}{end}>'


def device(
    *,
    kind: str = "70001",
    about: str = "<pm:SerialNumber>S-1</pm:SerialNumber>",
    alert: str = f'Kind="Tec" Priority="Me">{TYPE}',
    parts: str = "",
) -> str:
    """An MDS with a battery and an alert."""
    return (
        f'<pm:Mds Handle="{MDS}"><pm:Type Code="{kind}"/><pm:AlertSystem Handle="as">'
        f'<pm:AlertCondition Handle="{ALERT}" {alert}</pm:AlertCondition>'
        f'<pm:AlertSignal Handle="{SIGNAL}" ConditionSignaled="{ALERT}"/></pm:AlertSystem><pm:MetaData>'
        f"<pm:Manufacturer>Acme</pm:Manufacturer>{about}</pm:MetaData>"
        f'<pm:Battery Handle="{BATTERY}"/>{parts}</pm:Mds>'
    )


def mdib(
    states: Mapping[str, str] = MappingProxyType({}),
    *,
    version: int = 1,
    sequence: str = FIRST,
    described: str = "",
    more: str = "",
) -> bytes:
    """A GetMdib answer, in which nothing is amiss but these states; `more` is further XML among states."""
    told = "".join(state("pm:State", handle, what) for handle, what in {**STATES, **states}.items())
    return (
        f'<GetMdibResponse {SPACES} MdibVersion="{version}" SequenceId="{sequence}"><Mdib><pm:MdDescription>'
        f"{described or device()}</pm:MdDescription><pm:MdState>{told}{more}</pm:MdState></Mdib>"
        "</GetMdibResponse>\0"
    ).encode()


def report(
    states: Mapping[str, str], *, version: int, sequence: str = FIRST, kind: str = "EpisodicAlertReport"
) -> bytes:
    """A report of these states."""
    name = "AlertState" if "Alert" in kind else "ComponentState"
    told = "".join(state(name, handle, what) for handle, what in states.items())
    return (
        f'<{kind} {SPACES} MdibVersion="{version}" SequenceId="{sequence}"><ReportPart>{told}</ReportPart>'
        f"</{kind}>\0"
    ).encode()


def metadata(*, reference: str, serial: str = "") -> bytes:
    """What an endpoint tells of itself."""
    return (
        f'<Metadata xmlns="{METADATA_EXCHANGE}" xmlns:d="{DPWS}" xmlns:a="{ADDRESSING}"><MetadataSection>'
        f"<d:Relationship><d:Host><a:EndpointReference><a:Address>{reference}</a:Address>"
        "</a:EndpointReference></d:Host></d:Relationship></MetadataSection><MetadataSection><d:ThisDevice>"
        f"<d:SerialNumber>{serial}</d:SerialNumber></d:ThisDevice></MetadataSection></Metadata>\0"
    ).encode()
