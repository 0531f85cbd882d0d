"""The messages of the load: usage of devices in turn, and alarm edges, as MQTT packets ready to be sent.

Some messages are alarm edges in the urgent lane, so that rules have something to conclude: each device in
turn has one that starts, and in its next turn one that ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import mqtt5

from telemetry import topics
from telemetry.envelope import Envelope
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Alias,
    Condition,
    Message,
    OperatingState,
    Phase,
    Priority,
    Usage,
    encode,
)
from telemetry.times import from_ms

CODE = "122"
"""Low O2 supply, for which the demonstration's rules open a ticket."""
PHYSIOLOGICAL = "107"
"""An alarm about a patient, which is counted and opens nothing."""


def boot(stream: str) -> str:
    """The publisher's boot of a run: each run's monotonic clock begins anew."""
    return f"bench-{stream}"


def packet(topic: str, payload: bytes, place: Envelope | None, packet_id: int) -> bytes:
    """The bytes of a PUBLISH with QoS 1."""
    return mqtt5.PublishPacket(
        topic,
        payload,
        qos=mqtt5.QoS.AT_LEAST_ONCE,
        packet_id=packet_id,
        user_properties=place.properties() if place else [],
    ).write()


def _alarm(stream: str, turn: int, *, technical: bool) -> Alarm:
    starts = turn % 2 == 0
    code = CODE if technical else PHYSIOLOGICAL
    return Alarm(
        key=f"{code}.{stream}.{turn // 2}",
        code=code,
        text="low O2 supply" if technical else "",
        alarm_kind=AlarmKind.TECHNICAL if technical else AlarmKind.PHYSIOLOGICAL,
        priority=Priority.LOW,
        phase=Phase.START if starts else Phase.END,
        condition=Condition.ACTIVE if starts else Condition.INACTIVE,
    )


def packets(
    *,
    publisher: str,
    stream: str,
    count: int,
    devices: range,
    start_ms: int,
    alarm_every: int = 100,
    technical_every: int = 1,
) -> Iterator[tuple[bytes, str]]:
    """`count` messages of one publisher in two lanes, with the name of the device where one begins an alarm.

    One in `technical_every` devices has technical alarms, the others physiological ones.

    Each device speaks in turn; its clock goes on by one millisecond from turn to turn, so that no two
    messages of it share a time and none lies ahead of the collector's clock.
    """
    urgent = bulk = 0
    for n in range(count):
        ms = n // len(devices)
        body: Alarm | Usage
        begins = False
        if n % alarm_every == alarm_every - 1:
            device, turn = devices[urgent % len(devices)], urgent // len(devices)
            urgent += 1
            lane, seq, body = "u", urgent, _alarm(stream, turn, technical=device % technical_every == 0)
            begins = body.phase is Phase.START
        else:
            device = devices[bulk % len(devices)]
            bulk += 1
            lane, seq = "b", bulk
            body = Usage(state=OperatingState.IN_USE, period_s=60)
        identifier = f"{publisher}-{device}"
        alias = Alias(protocol="puritan-bennett", namespace="840", identifier=identifier)
        message = Message(alias=alias, observed_at=from_ms(start_ms + ms), body=body)
        place = Envelope(f"{lane}-{stream}", seq, boot(stream), ms)
        topic = f"{topics.ROOT}/{publisher}/v{device}/{body.kind}"
        yield packet(topic, encode(message), place, n % 60_000 + 1), identifier if begins else ""
