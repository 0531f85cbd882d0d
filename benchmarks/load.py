"""A publisher of usage messages over MQTT 5 with QoS 1, at a rate or flat out; prints one JSON line.

The load comes from the I/O-free codec over a plain socket: aiomqtt would cost more than what it loads.
Every hundredth message is an alarm edge in the urgent lane, so that rules have something to conclude.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator

import mqtt5

from telemetry.control import StreamSync, Sync
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

WINDOW = 1000


def _packet(topic: str, payload: bytes, place: Envelope | None, packet_id: int) -> bytes:
    return mqtt5.PublishPacket(
        topic,
        payload,
        qos=mqtt5.QoS.AT_LEAST_ONCE,
        packet_id=packet_id,
        user_properties=place.properties() if place else [],
    ).write()


def packets(
    *, publisher: str, stream: str, count: int, devices: int, start_ms: int, first: int = 1
) -> Iterator[bytes]:
    """`count` messages of one publisher in two lanes, spread over its devices in turn."""
    seqs = {"u": first - 1, "b": first - 1}
    for n in range(count):
        device = n % devices
        urgent = n % 100 == 99
        lane = "u" if urgent else "b"
        seqs[lane] += 1
        body: Alarm | Usage
        if urgent:
            body = Alarm(
                key=f"122.{n}",
                code="122",
                text="low O2 supply",
                alarm_kind=AlarmKind.TECHNICAL,
                priority=Priority.LOW,
                phase=Phase.START,
                condition=Condition.ACTIVE,
            )
        else:
            body = Usage(state=OperatingState.IN_USE, period_s=60)
        alias = Alias(protocol="puritan-bennett", namespace="840", identifier=f"{publisher}-{device}")
        message = Message(alias=alias, observed_at=from_ms(start_ms + n), body=body)
        place = Envelope(f"{lane}-{stream}", seqs[lane], "bench", n)
        topic = f"hourmeter/1/{publisher}/v{device}/{body.kind}"
        yield _packet(topic, encode(message), place, n % 60_000 + 1)


class _Connection:
    """A blocking MQTT 5 connection that counts PUBACKs."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.acknowledged = 0
        self._rest = bytearray()
        connect = mqtt5.ConnectPacket(
            f"load-{os.getpid()}", username=user, password=password.encode(), clean_start=True
        )
        self.socket.sendall(connect.write())
        while not self._rest:
            self._rest += self.socket.recv(4096)
        answer, used = mqtt5.read(memoryview(bytes(self._rest)))
        del self._rest[:used]
        if not isinstance(answer, mqtt5.ConnAckPacket) or answer.reason_code:
            sys.exit(f"broker refuses the load: {answer}")
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.socket, selectors.EVENT_READ)

    def read(self, timeout_s: float) -> None:
        """Take what PUBACKs have come, waiting at most so long for the first."""
        if not self._selector.select(timeout_s):
            return
        data = self.socket.recv(1 << 16)
        if not data:
            sys.exit("the broker closed the connection")
        self._rest += data
        view = bytes(self._rest)
        at = 0
        while len(view) - at >= 2 and len(view) - at >= 2 + view[at + 1]:
            self.acknowledged += view[at] >> 4 == 4
            at += 2 + view[at + 1]
        del self._rest[:at]


def main() -> None:
    """Publish and report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--user", required=True)
    options.add_argument("--count", type=int, required=True)
    options.add_argument("--rate", type=float, default=0.0, help="messages a second; 0: flat out")
    options.add_argument("--stream", required=True)
    options.add_argument("--devices", type=int, default=100)
    options.add_argument("--stamps", help="file for the time at which each alarm was sent, a line each")
    given = options.parse_args()
    connection = _Connection(given.port, given.user, os.environ["LOAD_PASSWORD"])
    start_ms = time.time_ns() // 1_000_000
    prepared = list(
        packets(
            publisher=given.user,
            stream=given.stream,
            count=given.count,
            devices=given.devices,
            start_ms=start_ms,
        )
    )
    lanes = tuple(
        StreamSync(stream=f"{lane}-{given.stream}", held_from=1, sent_through=0) for lane in ("u", "b")
    )
    sync = Sync(boot="bench", mono_ms=0, clock_ms=start_ms, streams=lanes).model_dump_json().encode()
    connection.socket.sendall(_packet(f"hourmeter/1/{given.user}/_link/sync", sync, None, 65_000))
    while connection.acknowledged < 1:
        connection.read(1.0)
    began = time.perf_counter()
    sent = 0
    while sent < given.count:
        due = (
            given.count
            if not given.rate
            else min(given.count, int((time.perf_counter() - began) * given.rate))
        )
        room = min(due, connection.acknowledged - 1 + WINDOW) - sent
        if room > 0:
            burst = prepared[sent : sent + min(room, 200)]
            connection.socket.sendall(b"".join(burst))
            sent += len(burst)
        connection.read(0.0 if room > 200 else 0.001)
    while connection.acknowledged < given.count + 1:
        connection.read(1.0)
    took = time.perf_counter() - began
    sys.stdout.write(json.dumps({"count": given.count, "seconds": took, "rate": given.count / took}) + "\n")


if __name__ == "__main__":
    main()
