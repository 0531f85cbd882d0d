"""Stand-ins for a gateway's connections and for its adapter, so that unit tests open no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from adapters.contract import Answer, Heard, Outcome, Refusal, Skipped
from adapters.host.lanes import Unsent
from telemetry.errors import Unavailable
from telemetry.messages import Alias, Body, Message, OperatingState, Status, Usage, decode


class FakeMemory:
    """Remembers messages by their text."""

    def __init__(self) -> None:
        self.marks: list[bytes] = []

    @property
    def newest(self) -> bytes | None:
        """The last one."""
        return self.marks[-1] if self.marks else None

    def forget(self, mark: bytes) -> None:
        """No longer know it."""
        self.marks.remove(mark)


class FakeHl7:
    """Understands frames `0B device/number 1C`, a device or several with `+`; answers `<number>`.

    `x` in place of a device is refused, `y` is not even answered, `?` wants no answer, `!` meets a bug.
    """

    def __init__(self, memory: FakeMemory) -> None:
        self.memory = memory
        self.rest = b""

    def connected(self) -> tuple[Outcome, ...]:
        """Nothing to greet with."""
        return ()

    def poll(self) -> bytes:
        """It speaks by itself."""
        return b""

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """All whole frames."""
        *frames, self.rest = (self.rest + data).split(b"\x1c")
        return tuple(outcome for frame in frames for outcome in self._outcomes(frame.strip(b"\r\x0b")))

    def closed(self) -> tuple[Outcome, ...]:
        """A frame that was begun is refused."""
        rest, self.rest = self.rest.strip(), b""
        return (Refusal(0, "unfinished"),) if rest else ()

    def _outcomes(self, frame: bytes) -> tuple[Outcome, ...]:
        devices, _, number = frame.decode().partition("/")
        answer = Answer(f"<{number}>".encode())
        if devices == "!":
            raise ZeroDivisionError
        if devices == "y":
            return (Refusal(0, "no message"),)
        if devices == "x":
            return Refusal(0, "no device"), answer
        if frame in self.memory.marks:
            return Skipped(0, "repetition"), answer
        self.memory.marks.append(frame)
        heard = tuple(Heard(alias(one.strip("?")), None, (USAGE,), 0) for one in devices.split("+"))
        return heard if devices.startswith("?") else (*heard, answer)


USAGE = Usage(state=OperatingState.IN_USE, period_s=60)


def alias(name: str) -> Alias:
    """The device of that name."""
    return Alias(protocol="hl7", namespace="", identifier=name)


def frame(text: str) -> bytes:
    """One message as it goes over the line."""
    return b"\x0b" + text.encode() + b"\x1c\r"


class FakeLink(asyncio.WriteTransport):
    """Knows whether it was closed, and whether it was cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = self.is_aborted = False

    def close(self) -> None:
        """Close in peace."""
        self.is_closed = True

    def abort(self) -> None:
        """Cut."""
        self.is_closed = self.is_aborted = True


class FakeSender:
    """One connection of a sender: what it says is put in, what it is answered is kept."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        self.address = address
        self.incoming: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        self.answers: list[str] = []
        self.takes = asyncio.Event()
        """While clear, it takes no answer."""
        self.takes.set()
        self.transport = FakeLink()

    def say(self, *texts: str) -> None:
        """Send messages in one piece."""
        self.incoming.put_nowait(b"".join(map(frame, texts)))

    def hang_up(self) -> None:
        """Close the connection."""
        self.incoming.put_nowait(b"")

    async def read(self, n: int) -> bytes:
        """The next piece."""
        piece = await self.incoming.get()
        if isinstance(piece, OSError):
            raise piece
        assert len(piece) <= n
        return piece

    def write(self, data: bytes) -> None:
        """Take an answer."""
        self.answers.append(data.decode())

    async def drain(self) -> None:
        """Wait until it is taken."""
        await self.takes.wait()

    async def wait_closed(self) -> None:
        """It is."""
        assert self.transport.is_closed

    def get_extra_info(self, name: str) -> object:
        """Its address."""
        return (self.address, 40_000) if name == "peername" else None


class FakeServer:
    """A listener without a socket."""

    def __init__(self, *, error: OSError | None = None) -> None:
        self.error = error
        self.accept: Callable[[FakeSender, FakeSender], None] | None = None
        self.options: dict[str, object] = {}
        self.sockets = (self,)

    def getsockname(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", 2575

    async def start(
        self, accept: Callable[[FakeSender, FakeSender], None], host: str, port: int, **options: object
    ) -> FakeServer:
        """Listen, or fail."""
        if self.error:
            raise self.error
        self.accept, self.options = accept, {"host": host, "port": port, **options}
        return self

    def connect(self, sender: FakeSender) -> FakeSender:
        """Let a sender connect."""
        assert self.accept is not None
        self.accept(sender, sender)
        return sender

    def close(self) -> None:
        """Stop listening."""
        self.accept = None


@dataclass
class FakeOutbox:
    """An outbox in memory, with as much room as the test gives it, and a disk that may stand still."""

    most: int = 1_000_000
    held: list[Unsent] = field(default_factory=list)
    puts: list[int] = field(default_factory=list)
    """How many messages each put had."""
    disk: asyncio.Event = field(default_factory=asyncio.Event)
    """While clear, no put ends."""

    def __post_init__(self) -> None:
        """The disk moves."""
        self.disk.set()

    async def put_many(self, messages: Sequence[Unsent]) -> None:
        """Keep all or none."""
        await self.disk.wait()
        if len(self.held) + len(messages) > self.most:
            raise Unavailable("outbox", why="is full")
        self.held.extend(messages)
        self.puts.append(len(messages))

    def said(self, device: str = "") -> list[Message]:
        """Messages of a device, or all."""
        return [decode(one.payload) for one in self.held if device in {"", one.device}]

    def bodies(self, kind: type[Body]) -> list[Body]:
        """Bodies of one kind."""
        return [one.body for one in self.said() if isinstance(one.body, kind)]

    def links(self, device: str) -> list[tuple[str, str]]:
        """Link states told of a device, with their reasons."""
        return [
            (one.body.link.value, one.body.reason)
            for one in self.said(device)
            if isinstance(one.body, Status)
        ]
