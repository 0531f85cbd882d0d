"""The talk with one HL7 sender: frames in, what they say and their acknowledgements out.

Rule 1: of each message first what it says, then its answer: who sends the answer has had the rest in hand.
Rule 2: tests (MSH-11 T or D), repetitions and kinds that tell nothing of equipment are answered and skipped.
Rule 3: a repetition has MSH-3, MSH-10 and everything behind MSH in common with a message heard before; a
gateway that counts from 1 again, or knows no numbers, is heard.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from adapters import hl7
from adapters.contract import Answer, Heard, Outcome, Refusal, Skipped
from adapters.hl7_ack import Verdict, acknowledgement
from adapters.hl7_devices import Devices
from adapters.hl7_mllp import Capture, Cut, Framed, Frames, Overlong, framed
from adapters.hl7_sender import Sender
from telemetry.errors import MessageError

_ORDINARY: Final = Sender()
_TESTS: Final = frozenset({"T", "D"})
MOST_REMEMBERED: Final = 10_000


class Seen:
    """The last messages of one sender, to know a repetition; may be shared by all its connections."""

    def __init__(self, *, most: int = MOST_REMEMBERED) -> None:
        """`most`: messages remembered; 16 bytes each."""
        self._most = most
        self._marks: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        """Messages remembered."""
        return len(self._marks)

    @property
    def newest(self) -> bytes | None:
        """The mark of the message remembered last."""
        return next(reversed(self._marks), None)

    def forget(self, mark: bytes) -> None:
        """Hear that message anew when it is repeated."""
        self._marks.pop(mark, None)

    def __contains__(self, mark: bytes) -> bool:
        """Whether a message with this mark has been heard."""
        return mark in self._marks

    def add(self, mark: bytes) -> None:
        """Remember a message that has been heard; the oldest makes room."""
        self._marks[mark] = None
        if len(self._marks) > self._most:
            self._marks.popitem(last=False)


def mark_of(message: hl7.Message, data: bytes) -> bytes:
    """What a message and its repetition share; empty for one without MSH-10, which is never a repetition."""
    if not message.header.field(10):
        return b""
    told = f"{message.header.field(3)}\n{message.header.field(10)}".encode(errors="replace")
    behind = min(at for at in (data.find(b"\r"), data.find(b"\n"), len(data)) if at >= 0)
    return hashlib.blake2b(told + data[behind:], digest_size=16).digest()


class Hl7Adapter:
    """One connection of one sender; what it knows of messages and devices outlives it, and may be shared."""

    def __init__(
        self,
        *,
        sender: Sender = _ORDINARY,
        seen: Seen | None = None,
        devices: Devices | None = None,
        period_s: float,
        is_file: bool = False,
    ) -> None:
        """`period_s`: how often a device reports. `seen`, `devices`: shared by the connections of a gateway.

        `is_file`: messages may stand in it without frames.
        """
        self._sender = sender
        self._seen = Seen() if seen is None else seen
        self._devices = Devices(period_s=period_s) if devices is None else devices
        self._cutter = (Capture if is_file else Frames)(limit=sender.max_message_bytes)

    def connected(self) -> tuple[Outcome, ...]:
        """Nothing is sent first; a frame of the link before is given up."""
        return self.closed()

    def poll(self) -> bytes:
        """A sender speaks by itself."""
        return b""

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """All that the messages say which these bytes complete, each followed by its answer."""
        return tuple(said for cut in self._cutter.feed(data) for said in self._outcomes(cut))

    def closed(self) -> tuple[Outcome, ...]:
        """A frame that was begun is refused; in a file the last message ends."""
        return tuple(said for cut in self._cutter.close() for said in self._outcomes(cut))

    def _outcomes(self, cut: Cut) -> Iterator[Outcome]:
        match cut:
            case Refusal():
                yield cut
            case Overlong():
                yield from self._answer(cut.head, Verdict.REJECTED)
            case Framed():
                yield from self._message(cut)

    def _message(self, cut: Framed) -> Iterator[Outcome]:
        try:
            message = hl7.read(cut.data, encoding=self._sender.encoding)
            mark = mark_of(message, cut.data)
            said = tuple(self._hear(message, mark, cut.offset))
        except MessageError as error:
            yield Refusal(cut.offset, error.reason)
            yield from self._answer(cut.data, Verdict.ERROR)
            return
        yield from said
        if mark and any(isinstance(one, Heard) for one in said):
            self._seen.add(mark)
        is_refused = any(isinstance(one, Refusal) for one in said)
        yield from self._acknowledge(message, Verdict.ERROR if is_refused else Verdict.ACCEPTED)

    def _hear(self, message: hl7.Message, mark: bytes, offset: int) -> Iterator[Heard | Refusal | Skipped]:
        mode = message.components(message.header.field(11))[0].strip().upper()
        if mode in _TESTS:
            yield Skipped(offset, f"a test (MSH-11 is {mode})")
        elif mark in self._seen:
            yield Skipped(offset, "a repetition")
        else:
            yield from self._devices.hear(message, offset=offset)

    def _answer(self, head: bytes, verdict: Verdict) -> Iterator[Answer]:
        """Answer what could not be read, if its MSH can be."""
        try:
            header = hl7.header_of(head)
        except MessageError:
            return
        yield from self._acknowledge(header, verdict)

    def _acknowledge(self, message: hl7.Message, verdict: Verdict) -> Iterator[Answer]:
        answer = acknowledgement(message, verdict, sender=self._sender)
        if answer is not None:
            yield Answer(framed(answer))
