"""Stand-ins for clock, broker, collector, device and adapter, checked in test_fakes.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from adapters.contract import Heard, Outcome, Refusal
from adapters.host.link import Connection, Will
from telemetry.control import Confirmed, Sync, read_sync
from telemetry.errors import Unavailable
from telemetry.messages import Alias, OperatingState, Usage
from telemetry.topics import SYNC, parse


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until it holds; fails after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def dice(seed: int) -> Random:
    """Chance that can be repeated."""
    return Random(seed)  # noqa: S311 - nothing here is secret


class StillClock:
    """Stands still until it is moved; who sleeps wakes when the time has come."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def sleepers(self) -> int:
        """How many sleep now."""
        return sum(not future.done() for _, future in self._sleepers)

    def now_ms(self) -> int:
        """Civil time."""
        return self.ms

    def mono_ms(self) -> int:
        """Monotonic time, counted from an hour before."""
        return self.ms - 1_699_996_400_000

    def boot(self) -> str:
        """One boot for ever."""
        return "boot-1"

    async def sleep(self, seconds: float) -> None:
        """Wait for `move`."""
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.ms + round(seconds * 1000), future))
        if seconds > 0:
            await future

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.ms += round(seconds * 1000)
        for wake_ms, future in self._sleepers:
            if wake_ms <= self.ms and not future.done():
                future.set_result(None)


@dataclass(frozen=True, slots=True)
class Published:
    """One message as the broker got it."""

    topic: str
    payload: bytes
    properties: tuple[tuple[str, str], ...]
    retain: bool

    @property
    def place(self) -> tuple[str, int] | None:
        """Stream and number of its envelope."""
        envelope = dict(self.properties)
        return (envelope["stream"], int(envelope["seq"])) if envelope else None


class FakeCollector:
    """Keeps every sequenced message once, and knows what it may confirm."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.streams: dict[str, dict[int, bytes]] = {}
        self.floors: dict[str, int] = {}
        self.duplicates = 0

    def take(self, message: Published) -> None:
        """Take in one message."""
        if parse(message.topic).kind == SYNC:
            for lane in read_sync(message.payload).streams:
                self.streams.setdefault(lane.stream, {})
                self.floors[lane.stream] = max(self.floors.get(lane.stream, 0), lane.held_from - 1)
        elif message.place is not None:
            stream, seq = message.place
            self.duplicates += seq in self.streams.setdefault(stream, {})
            assert self.streams[stream].setdefault(seq, message.payload) == message.payload

    def marks(self) -> dict[str, int]:
        """Per stream the number up to which everything is here or gone."""
        marks = {}
        for stream, held in self.streams.items():
            mark = self.floors.get(stream, 0)
            while mark + 1 in held:
                mark += 1
            marks[stream] = mark
        return marks

    def confirmation(self) -> bytes:
        """The payload of its confirmation."""
        return Confirmed(epoch=self.epoch, streams=self.marks()).model_dump_json().encode()

    def payloads(self) -> list[bytes]:
        """All messages of all streams, in order of streams and numbers."""
        return [held[seq] for held in self.streams.values() for seq in sorted(held)]


@dataclass
class FakeBroker:
    """The broker as one publisher sees it, with the collector behind it if there is one."""

    collector: FakeCollector | None = None
    loses: Callable[[Published], bool] = lambda _: False
    """Which messages it acknowledges and then forgets."""
    refusals: list[Exception] = field(default_factory=list)
    """Raised by the next connects, one each."""
    published: list[Published] = field(default_factory=list)
    wills: list[Will] = field(default_factory=list)
    """Of all connections made."""
    spoken_wills: list[Will] = field(default_factory=list)
    retained: bytes | None = None
    pubacks: asyncio.Event = field(default_factory=asyncio.Event)
    """While clear, no publish is acknowledged."""
    line: FakeConnection | None = None

    def __post_init__(self) -> None:
        """Acknowledge from the start."""
        self.pubacks.set()

    @asynccontextmanager
    async def connect(self, will: Will) -> AsyncIterator[Connection]:
        """A connection until it is left or cut."""
        if self.refusals:
            raise self.refusals.pop(0)
        self.wills.append(will)
        self.line = FakeConnection(self)
        if self.retained is not None:
            self.line.inbox.put_nowait(self.retained)
        try:
            yield self.line
        finally:
            if self.line.is_cut:
                self.spoken_wills.append(will)
            self.line = None

    def cut(self) -> None:
        """Lose the connection."""
        assert self.line is not None
        self.line.is_cut = True
        self.line.inbox.put_nowait(None)

    def confirm(self, payload: bytes) -> None:
        """Publish a retained confirmation."""
        self.retained = payload
        if self.line is not None:
            self.line.inbox.put_nowait(payload)

    def syncs(self) -> list[Sync]:
        """All syncs in order."""
        return [read_sync(one.payload) for one in self.published if parse(one.topic).kind == SYNC]

    def sequenced(self) -> list[Published]:
        """All messages with an envelope, in order."""
        return [one for one in self.published if one.place is not None]


class FakeConnection:
    """One connection to the fake broker."""

    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.is_cut = False

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        properties: Sequence[tuple[str, str]],
        retain: bool,
        expires_s: int | None = None,  # noqa: ARG002 - nothing waits in this broker
    ) -> None:
        """Hand over one message; what is cut off before its acknowledgement may have arrived."""
        if self.is_cut:
            raise Unavailable("broker", why="the line is cut")
        message = Published(topic, payload, tuple(properties), retain)
        self.broker.published.append(message)
        if self.broker.collector is not None and not self.broker.loses(message):
            self.broker.collector.take(message)
            self.broker.confirm(self.broker.collector.confirmation())
        await self.broker.pubacks.wait()
        if self.is_cut:
            raise Unavailable("broker", why="the line was cut")

    async def confirmations(self) -> AsyncIterator[bytes]:
        """What was confirmed, until the line is cut."""
        while (payload := await self.inbox.get()) is not None:
            yield payload
        raise Unavailable("broker", why="the line is cut")


ALIAS = Alias(protocol="fake", namespace="model", identifier="4711")


class FakeAdapter:
    """Understands `h` as a reading and `x` as a fault of the device; `!` meets a bug of its own."""

    def __init__(self) -> None:
        self.fed = 0

    def connected(self) -> tuple[Outcome, ...]:
        """Nothing to greet with."""
        return ()

    def poll(self) -> bytes:
        """Ask."""
        return b"?"

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """One outcome for each byte."""
        said: list[Outcome] = []
        for byte in data:
            self.fed += 1
            if byte == ord("!"):
                raise ZeroDivisionError
            if byte == ord("x"):
                said.append(Refusal(self.fed - 1, "no reading"))
            else:
                usage = Usage(state=OperatingState.IN_USE, period_s=60)
                said.append(Heard(ALIAS, None, (usage,), self.fed - 1))
        return tuple(said)

    def closed(self) -> tuple[Outcome, ...]:
        """Nothing was left."""
        return ()


class FakeLine:
    """One open link to a fake device: what the test puts in is read, what is written is kept."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.written: list[bytes] = []
        self.is_closed = False

    async def read(self) -> bytes:
        """The next piece, or the next failure."""
        piece = await self.incoming.get()
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def write(self, data: bytes) -> None:
        """Keep it."""
        self.written.append(data)

    async def close(self) -> None:
        """Note it."""
        self.is_closed = True


class FakeTransport:
    """Gives these links one after the other, an error where one stands, and none after the last."""

    place = "bench"

    def __init__(self, *lines: FakeLine | Exception) -> None:
        self.lines = list(lines)

    async def connect(self) -> FakeLine:
        """The next link."""
        line = self.lines.pop(0) if self.lines else Unavailable("bench", why="nobody is there")
        if isinstance(line, Exception):
            raise line
        return line
