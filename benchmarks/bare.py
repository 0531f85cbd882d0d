"""A bare acknowledging client: reads with the collector's codec, sends PUBACKs at once, does nothing else.

It is what the collector is measured against, so it has every advantage: a blocking socket without an event
loop, one write for all PUBACKs of a read, and the collector's own rest after a small read.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time

import mqtt5

from collector.mqtt_codec import Frames, is_publish, pubacks, read_frame
from collector.mqtt_settings import PACKET_LIMIT
from telemetry import topics

REST_S = 0.01
SMALL_READ_BYTES = 64 * 1024
"""Both as in collector/mqtt_link.py: without the rest a wake-up per message would make this client dearer."""
_SILENT_S = 60.0


class _Client:
    def __init__(self, port: int, *, user: str, password: str, client_id: str, clean_start: bool) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_SILENT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._frames = Frames(limit=PACKET_LIMIT)
        self._answers: set[type] = set()
        self.received = 0
        connect = mqtt5.ConnectPacket(
            client_id,
            username=user,
            password=password.encode(),
            clean_start=clean_start,
            session_expiry_interval=0 if clean_start else 60,
            max_packet_size=PACKET_LIMIT,
        )
        self._socket.sendall(connect.write())
        self._until(mqtt5.ConnAckPacket)

    def subscribe(self) -> None:
        """Subscribe to what the collector subscribes to."""
        wanted = mqtt5.TopicFilter(topics.EVERYTHING, max_qos=mqtt5.QoS.AT_LEAST_ONCE)
        self._socket.sendall(mqtt5.SubscribePacket(1, [wanted]).write())
        self._until(mqtt5.SubAckPacket)

    def serve(self, count: int) -> None:
        """Receive and acknowledge until so many messages have come."""
        while self.received < count:
            if self._read() < SMALL_READ_BYTES:
                time.sleep(REST_S)

    def linger(self, seconds: float) -> None:
        """Receive and acknowledge until it has been silent for so long."""
        self._socket.settimeout(seconds)
        try:
            while self._read():
                pass
        except TimeoutError:
            return

    def _until(self, kind: type) -> None:
        while kind not in self._answers:
            self._read()

    def _read(self) -> int:
        nbytes = self._socket.recv_into(self._frames.room())
        if not nbytes:
            sys.exit("the broker closed the connection")
        identifiers: list[int] = []
        for frame in self._frames.cut(nbytes):
            packet = read_frame(frame)
            if is_publish(frame[0]) and isinstance(packet, mqtt5.PublishPacket) and packet.packet_id:
                identifiers.append(packet.packet_id)
            else:
                self._answers.add(type(packet))
        if identifiers:
            self._socket.sendall(pubacks(identifiers))
            self.received += len(identifiers)
        return nbytes


def left_over(port: int, *, user: str, password: str, client_id: str) -> int:
    """Messages that the broker still holds for a session: what its client has not acknowledged."""
    client = _Client(port, user=user, password=password, client_id=client_id, clean_start=False)
    client.linger(0.5)
    return client.received


def main() -> None:
    """Say `ready`, serve so many messages, and tell in one JSON line what that took."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--user", required=True, help="its password stands in BARE_PASSWORD")
    options.add_argument("--count", type=int, required=True)
    given = options.parse_args()
    client = _Client(
        given.port,
        user=given.user,
        password=os.environ["BARE_PASSWORD"],
        client_id="bare",
        clean_start=True,
    )
    client.subscribe()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    before = time.process_time()
    client.serve(given.count)
    report = {
        "count": client.received,
        "cpu_s": time.process_time() - before,
        "ended_ns": time.monotonic_ns(),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
