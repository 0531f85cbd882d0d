"""The line of a simulated gateway: HL7 messages over MLLP, with answers, over a bad network if asked.

Rule 1: what is not answered in time is sent again, the same bytes, until it is; after a cut all of that is.
Rule 2: the faults of the network come from a seed, and strike what is sent, never the count of it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TextIO

from adapters.host.pace import backoff_s
from adapters.host.transports import Dial, Incoming, Outgoing
from adapters.simulators.hl7_gateway_fleet import Said

START, END = b"\x0b", b"\x1c\r"


@dataclass(frozen=True, slots=True)
class Network:
    """What the way to the listener does to messages and answers."""

    lost_answers: float = 0.0
    """Share of the answers that never arrive."""
    reorder: int = 1
    """Of so many messages that wait, any may be the next one sent."""
    piece_bytes: int = 0
    """Bytes sent at a time, each after a pause; 0 for all at once."""
    piece_s: float = 0.0
    cuts_after: tuple[int, ...] = ()
    """Counts of messages sent, repetitions included, after which the connection is cut once each."""


@dataclass(slots=True, eq=False)
class Sent:
    """One distinct message that was pushed."""

    said: Said
    tries: int = 0
    sent_at: float = 0.0
    """When its last byte was given to the network last, in loop time."""
    is_heard: bool = False
    """Whether an answer to the last try came, be it lost on the way to us or not."""
    slowest_s: float = 0.0
    """Longest wait for an answer that came."""
    answer: str = ""
    """MSA-1 of the answer that was taken; empty while there is none."""


@dataclass(slots=True)
class Record:
    """Every distinct message pushed, in the order in which it first waited; also as JSON lines in a log."""

    log: TextIO | None = None
    messages: dict[str, Sent] = field(default_factory=dict)
    connections: int = 0
    sent: int = 0
    """Messages given to the network, repetitions included."""
    lost_answers: int = 0
    repetitions: int = 0
    late: int = 0
    """Times that a message was given up because nothing came, not even an answer that was then lost."""
    unknown_answers: int = 0
    """Answers that could not be read, or to no message of ours."""

    @property
    def slowest_s(self) -> float:
        """Longest wait for an answer."""
        return max((one.slowest_s for one in self.messages.values()), default=0.0)

    @property
    def unanswered(self) -> int:
        """Messages without an answer."""
        return sum(not one.answer for one in self.messages.values())

    def note(self, said: Said) -> Sent:
        """A message is about to be pushed."""
        sent = self.messages[said.control_id] = Sent(said)
        if self.log is not None:
            line = {"control_id": said.control_id, "serial": said.serial, "profile": said.profile.name}
            self.log.write(json.dumps(line) + "\n")
            self.log.flush()
        return sent


@dataclass(slots=True)
class Pusher:
    """The pushing side of one connection at a time."""

    host: str
    port: int
    rng: Random
    record: Record
    network: Network = field(default_factory=Network)
    window: int = 1
    """Messages that may wait for their answers at a time."""
    answer_s: float = 10.0
    """Real time after which a message without an answer is sent again."""
    dial: Dial = asyncio.open_connection
    _waiting: deque[Sent] = field(default_factory=deque, init=False)
    _out: dict[str, Sent] = field(default_factory=dict, init=False)
    """Sent and not answered, by control id, longest first."""
    _change: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _idle: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def push(self, messages: Iterable[Said]) -> None:
        """Let messages wait to be sent."""
        self._waiting.extend(map(self.record.note, messages))
        self._idle.clear()
        self._change.set()

    async def all_answered(self) -> None:
        """Wait until everything pushed is answered."""
        await self._idle.wait()

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        cuts = deque(sorted(self.network.cuts_after))
        attempt = 0
        while True:
            with suppress(OSError):  # the listener is away: its business, not an error of the gateway
                reader, writer = await self.dial(self.host, self.port)
                self.record.connections += 1
                attempt = 0
                try:
                    await self._talk(reader, writer, cuts)
                finally:
                    writer.transport.abort()
            self._waiting.extendleft(reversed(self._out.values()))
            self._out.clear()
            await asyncio.sleep(backoff_s(attempt, first_s=0.05, most_s=5.0, rng=self.rng))
            attempt += 1

    async def _talk(self, reader: Incoming, writer: Outgoing, cuts: deque[int]) -> None:
        """Send and take answers until the link is cut or lost."""
        hearing = asyncio.create_task(self._hear(reader))
        sending = asyncio.create_task(self._send(writer, cuts))
        try:
            await asyncio.wait((hearing, sending), return_when=asyncio.FIRST_COMPLETED)
            for task in (hearing, sending):
                if task.done():
                    task.result()
        finally:
            for task in (hearing, sending):
                task.cancel()
            await asyncio.gather(hearing, sending, return_exceptions=True)

    async def _send(self, writer: Outgoing, cuts: deque[int]) -> None:
        while True:
            if cuts and self.record.sent >= cuts[0]:
                cuts.popleft()
                return
            self._give_up_late_ones()
            if self._waiting and len(self._out) < self.window:
                await self._send_one(writer, self._next())
                continue
            self._change.clear()
            wait_s = self._patience()
            with suppress(TimeoutError):  # then something is sent again
                async with asyncio.timeout(wait_s):
                    await self._change.wait()

    def _next(self) -> Sent:
        """The next message: any of the first `reorder`."""
        place = self.rng.randrange(min(len(self._waiting), self.network.reorder))
        chosen = self._waiting[place]
        del self._waiting[place]
        return chosen

    async def _send_one(self, writer: Outgoing, one: Sent) -> None:
        data = START + one.said.data + END
        one.tries += 1
        self.record.sent += 1
        self.record.repetitions += one.tries > 1
        one.sent_at, one.is_heard = _now(), False
        self._out[one.said.control_id] = one
        size = self.network.piece_bytes or len(data)
        for start in range(0, len(data), size):
            if self.network.piece_bytes:
                await asyncio.sleep(self.network.piece_s)
            one.sent_at = _now()
            writer.write(data[start : start + size])
            await writer.drain()

    def _give_up_late_ones(self) -> None:
        """What was not answered in time waits again."""
        late = [one for one in self._out.values() if _now() - one.sent_at >= self.answer_s]
        for one in late:
            self.record.late += not one.is_heard
            del self._out[one.said.control_id]
        self._waiting.extendleft(reversed(late))

    def _patience(self) -> float | None:
        """Until the first message out is late; None if none is."""
        if not self._out:
            return None
        return max(0.0, min(one.sent_at for one in self._out.values()) + self.answer_s - _now())

    async def _hear(self, reader: Incoming) -> None:
        rest = b""
        while data := await reader.read(4096):
            *frames, rest = (rest + data).split(END)
            for frame in frames:
                self._take(frame.lstrip(START))
            self._change.set()

    def _take(self, answer: bytes) -> None:
        fields = next(
            (part.split("|") for part in answer.decode("latin-1").split("\r") if part.startswith("MSA|")), []
        )
        one = self.record.messages.get(fields[2]) if len(fields) > 2 else None
        if one is None:
            self.record.unknown_answers += 1
            return
        one.slowest_s = max(one.slowest_s, _now() - one.sent_at)
        one.is_heard = True
        if self.rng.random() < self.network.lost_answers:
            self.record.lost_answers += 1
            return
        one.answer = fields[1]
        if self._out.pop(one.said.control_id, None) is None:
            with suppress(ValueError):  # it may wait to be sent again
                self._waiting.remove(one)
        if not self._out and not self._waiting:
            self._idle.set()


def _now() -> float:
    return asyncio.get_running_loop().time()
