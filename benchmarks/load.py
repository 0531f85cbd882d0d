"""A publisher of usage messages over MQTT 5 with QoS 1, at a rate or flat out; prints one JSON line.

The load comes from the I/O-free codec over a plain socket: aiomqtt would cost more than what it loads.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import sys
import time
from pathlib import Path

import mqtt5

from benchmarks.packets import boot, packet, packets
from collector.mqtt_codec import frame_size, is_publish
from telemetry import topics
from telemetry.control import StreamSync, Sync, read_confirmed

WINDOW = 1000
_BURST = 200
_SYNC_AGAIN_S = 0.5
_PUBACK = b"\x40\x02"
_WELCOME = mqtt5.ConnAckReasonCode.SUCCESS
_TAKEN = (mqtt5.PubAckReasonCode.SUCCESS, mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS)
_SUBSCRIBE_ID, _SYNC_ID = 1, 65_000


class _Connection:
    """A blocking MQTT 5 connection that counts PUBACKs and hears the collector's confirmations."""

    def __init__(self, port: int, *, user: str, password: str, streams: tuple[str, ...]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.acknowledged = 0
        self.known = False
        """Whether the collector has told that it knows our streams."""
        self.confirmed = 0
        """Messages of our streams that the collector has told are on its disk."""
        self._streams = streams
        self._rest = bytearray()
        connect = mqtt5.ConnectPacket(
            f"load-{os.getpid()}", username=user, password=password.encode(), clean_start=True
        )
        self.socket.sendall(connect.write())
        while not self._rest:
            self._rest += self.socket.recv(4096)
        answer, used = mqtt5.read(memoryview(bytes(self._rest)))
        del self._rest[:used]
        if not isinstance(answer, mqtt5.ConnAckPacket) or answer.reason_code is not _WELCOME:
            sys.exit(f"broker refuses the load: {answer}")
        wanted = mqtt5.TopicFilter(topics.confirmed(user), max_qos=mqtt5.QoS.AT_MOST_ONCE)
        self.socket.sendall(mqtt5.SubscribePacket(_SUBSCRIBE_ID, [wanted]).write())
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.socket, selectors.EVENT_READ)

    def read(self, timeout_s: float) -> None:
        """Take what has come, waiting at most so long for the first byte."""
        if not self._selector.select(timeout_s):
            return
        data = self.socket.recv(1 << 16)
        if not data:
            sys.exit("the broker closed the connection")
        self._rest += data
        view = bytes(self._rest)
        at = 0
        while True:
            if view.startswith(_PUBACK, at) and at + 4 <= len(view):
                self.acknowledged += 1
                at += 4
                continue
            size = frame_size(memoryview(view), at, len(view))
            if size == 0 or at + size > len(view):
                break
            self._heed(view[at : at + size])
            at += size
        del self._rest[:at]

    def _heed(self, frame: bytes) -> None:
        heard, _ = mqtt5.read(memoryview(frame))
        if isinstance(heard, mqtt5.PubAckPacket):
            if heard.reason_code not in _TAKEN:
                sys.exit(f"the broker refuses a message: {heard}")
            self.acknowledged += 1
        elif is_publish(frame[0]) and isinstance(heard, mqtt5.PublishPacket):
            told = read_confirmed(heard.payload).streams
            self.known = all(stream in told for stream in self._streams)
            self.confirmed = sum(told.get(stream, 0) for stream in self._streams)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--user", required=True, help="its password stands in LOAD_PASSWORD")
    options.add_argument("--count", type=int, required=True)
    options.add_argument("--rate", type=float, default=0.0, help="messages a second; 0: flat out")
    options.add_argument("--stream", required=True, help="a name that no earlier run has used")
    options.add_argument("--supersedes", default="", help="name of the run before")
    options.add_argument("--first-device", type=int, default=0)
    options.add_argument("--devices", type=int, default=100)
    options.add_argument("--alarm-every", type=int, default=100, help="every so many messages an alarm edge")
    options.add_argument("--technical-every", type=int, default=1, help="one in so many devices has them")
    options.add_argument("--confirmed", action="store_true", help="wait for the collector's confirmation")
    options.add_argument("--within", type=float, default=120.0, help="seconds for everything")
    options.add_argument("--stamps", type=Path, help="file for device and time of each start of an alarm")
    return options.parse_args()


def _sync(given: argparse.Namespace, start_ms: int) -> bytes:
    lanes = tuple(
        StreamSync(
            stream=f"{lane}-{given.stream}",
            held_from=1,
            sent_through=0,
            supersedes=f"{lane}-{given.supersedes}" if given.supersedes else None,
        )
        for lane in ("u", "b")
    )
    sync = Sync(boot=boot(given.stream), mono_ms=0, clock_ms=start_ms, streams=lanes)
    payload = sync.model_dump_json().encode()
    return packet(f"{topics.ROOT}/{given.user}/{topics.LINK}/{topics.SYNC}", payload, None, _SYNC_ID)


def _greet(connection: _Connection, sync: bytes, *, known: bool, deadline: float) -> None:
    """Say `sync` once, or again and again until the collector has told that it knows our streams."""
    while True:
        connection.socket.sendall(sync)
        taken, again = connection.acknowledged, time.perf_counter() + _SYNC_AGAIN_S
        while connection.acknowledged == taken or (known and not connection.known):
            if time.perf_counter() > deadline:
                sys.exit("the collector does not answer a sync")
            if time.perf_counter() > again and connection.acknowledged > taken:
                break
            connection.read(0.01)
        else:
            return


def main() -> None:
    """Publish and report; times are of the machine's monotonic clock, in nanoseconds."""
    given = _options()
    deadline = time.perf_counter() + given.within
    start_ms = time.time_ns() // 1_000_000
    prepared = list(
        packets(
            publisher=given.user,
            stream=given.stream,
            count=given.count,
            devices=range(given.first_device, given.first_device + given.devices),
            start_ms=start_ms,
            alarm_every=given.alarm_every,
            technical_every=given.technical_every,
        )
    )
    connection = _Connection(
        given.port,
        user=given.user,
        password=os.environ["LOAD_PASSWORD"],
        streams=(f"u-{given.stream}", f"b-{given.stream}"),
    )
    _greet(connection, _sync(given, start_ms), known=given.confirmed, deadline=deadline)
    connection.acknowledged = 0
    stamps: list[str] = []
    began = time.monotonic_ns()
    sent = 0
    while sent < given.count and time.perf_counter() < deadline:
        due = given.count
        if given.rate:
            due = min(due, int((time.monotonic_ns() - began) * given.rate / 1e9))
        room = min(due, connection.acknowledged + WINDOW) - sent
        if room > 0:
            burst = prepared[sent : sent + min(room, _BURST)]
            now = time.monotonic_ns()
            connection.socket.sendall(b"".join(data for data, _ in burst))
            stamps.extend(f"{device} {now}\n" for _, device in burst if device)
            sent += len(burst)
        connection.read(0.0 if room > _BURST else 0.001)
    while connection.acknowledged < given.count and time.perf_counter() < deadline:
        connection.read(0.1)
    taken = time.monotonic_ns()
    while given.confirmed and connection.confirmed < given.count and time.perf_counter() < deadline:
        connection.read(0.1)
    if given.stamps:
        given.stamps.write_text("".join(stamps))
    seconds = (taken - began) / 1e9
    report = {
        "count": given.count,
        "acknowledged": connection.acknowledged,
        "seconds": seconds,
        "rate": given.count / seconds,
        "began_ns": began,
        "confirmed": connection.confirmed,
        "confirmed_ns": time.monotonic_ns(),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
