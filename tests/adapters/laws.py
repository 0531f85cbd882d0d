"""What every adapter must obey: ways to feed it, to spoil its bytes, and to judge what it says."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import pairwise
from random import Random
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

from adapters.contract import (
    UNTOLD,
    Adapter,
    Answer,
    Conversing,
    Heard,
    MakeAdapter,
    Outcome,
    ProtocolFile,
    Refusal,
    Skipped,
)
from telemetry.messages import Alarm, Alias, Body, Condition, Fault, Message, Phase, decode, encode

NOON = datetime(2026, 1, 9, 12, tzinfo=UTC)
_UNIT = re.compile(r"[A-Za-z0-9_-]{0,32}")
_LONGEST_REASON = 200
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, partial)


# -- feeding ----------------------------------------------------------------------------------------------


def makers(file: ProtocolFile) -> tuple[MakeAdapter, ...]:
    """The makers of adapters that a protocol file has: of a link, and of files where they differ."""
    return (file.adapter,) if file.file_adapter is None else (file.adapter, file.file_adapter)


def cut(data: bytes, places: Iterable[int]) -> tuple[bytes, ...]:
    """The data in pieces, cut at these places, taken modulo its length."""
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return tuple(data[begin:end] for begin, end in pairwise(ends))


def say(adapter: Adapter, chunks: Iterable[bytes]) -> tuple[Outcome, ...]:
    """All that an adapter says of one link that carries these pieces, its greeting included."""
    said = [*adapter.connected()]
    for chunk in chunks:
        said += adapter.feed(chunk)
    return (*said, *adapter.closed())


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that befalls an adapter: bytes, time, or a turn of its link."""

    data: bytes = b""
    seconds: float = 0.0
    turn: str = ""
    """`connected`, `closed`, `poll` or `farewell`; empty: bytes."""


def live(adapter: Adapter, steps: Iterable[Step]) -> Iterator[Outcome]:
    """All that an adapter says in a life of many links, told its time as the host does."""
    for step in (Step(turn="connected"), *steps, Step(turn="closed")):
        if isinstance(adapter, Conversing):
            due = adapter.due_s()
            assert due is None or due >= 0
            yield from adapter.elapsed(step.seconds)
        match step.turn:
            case "connected":
                yield from adapter.connected()
            case "closed":
                yield from adapter.closed()
            case "poll":
                assert isinstance(adapter.poll(), bytes)
            case "farewell" if isinstance(adapter, Conversing):
                assert isinstance(adapter.farewell(), bytes)
            case _:
                yield from adapter.feed(step.data)


# -- spoiling ---------------------------------------------------------------------------------------------


def frames(file: ProtocolFile) -> tuple[bytes, ...]:
    """The frames of a protocol's examples; bytes that are no frame stay with the frame before them."""
    found: dict[bytes, None] = {}
    for example in file.examples:
        said = say(file.adapter(period_s=file.info.poll_s), [example.input])
        offsets = sorted({one.offset for one in said if isinstance(one, Heard)})
        ends = [0, *(offset for offset in offsets if offset), len(example.input)]
        found |= dict.fromkeys(example.input[begin:end] for begin, end in pairwise(ends))
    return tuple(frame for frame in found if frame)


def spoilt(some: Sequence[bytes], rng: Random) -> bytes:
    """A few frames in any order, with none to four faults of a line, or noise in their place."""
    data = bytearray(b"".join(rng.choices(some, k=rng.randint(1, 4))))
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 1, 2, 8, 60)))
        match rng.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:to]
            case 2:
                data[at:at] = rng.randbytes(rng.choice((1, 1, 3, 20)))
            case 3:
                data[at:at] = data[at:to]
            case 4:
                other = rng.choice(some)
                data[at:at] = other[: rng.randrange(len(other) + 1)]
            case 5:
                back = rng.randrange(len(data) + 1)
                data[at:to], data[back:back] = b"", bytes(data[at:to])
            case _:
                data[at:to] = rng.randbytes(to - at)
    return bytes(data)


# -- judging ----------------------------------------------------------------------------------------------


def faults(said: Iterable[Outcome], *, file: ProtocolFile, fed: int) -> list[str]:
    """What is wrong with outcomes whatever was fed, of so many bytes."""
    found: list[str] = []
    for one in said:
        match one:
            case Answer():
                found += [] if one.data else ["an answer of no bytes"]
            case Refusal() | Skipped():
                found += _misplaced(one.offset, fed)
                if not one.reason.isprintable() or not 0 < len(one.reason) <= _LONGEST_REASON:
                    found.append(f"reason {one.reason!r}")
            case Heard():
                found += _misplaced(one.offset, fed)
                if one.alias != UNTOLD and one.alias.protocol != file.info.id:
                    found.append(f"alias {one.alias}")
                if not _UNIT.fullmatch(one.unit):
                    found.append(f"unit {one.unit!r}")
                if one.device_time is not None and one.device_time.tzinfo is not None:
                    found.append(f"device time {one.device_time}")
                found += [
                    f"not the same when carried: {body!r}"
                    for body in one.bodies
                    if not _is_carried(one.alias, body)
                ]
    return found


@lru_cache(maxsize=100_000)
def _is_carried(alias: Alias, body: Body) -> bool:
    """Whether a message with it is within all bounds, and read as it was written."""
    message = Message(alias=alias, observed_at=NOON, body=body)
    return decode(encode(message)) == message


def _misplaced(offset: int, fed: int) -> list[str]:
    return [] if 0 <= offset <= fed else [f"offset {offset} of {fed}"]


@dataclass(slots=True)
class _Known:
    is_open: bool = False
    was_active: bool = False


def broken_occurrences(said: Iterable[Outcome]) -> list[str]:
    """Edges that contradict those before: an end without a begin, a second start, life after the end."""
    known: dict[tuple[Alias, str, str], _Known] = {}
    found: list[str] = []
    heard = ((one, body) for one in said if isinstance(one, Heard) for body in one.bodies)
    for one, body in heard:
        if not isinstance(body, Alarm | Fault):
            continue
        key = (one.alias, one.unit, body.key)
        is_new = key not in known
        occurrence = known.setdefault(key, _Known())
        what = f"{body.phase} of {body.key}"
        match body.phase:
            case Phase.START if not is_new:
                found.append(f"{what}, known before")
            case Phase.PRESENT if not is_new and (not occurrence.is_open or occurrence.was_active):
                found.append(f"{what}, known to be active")
            case Phase.UPDATE if is_new and body.condition is not Condition.UNKNOWN:
                found.append(f"{what}, never begun")
            case Phase.UPDATE | Phase.END if not is_new and not occurrence.is_open:
                found.append(f"{what}, ended before")
            case Phase.END if is_new:
                found.append(f"{what}, never begun")
        occurrence.is_open = body.phase is not Phase.END
        occurrence.was_active |= body.condition is Condition.ACTIVE
    return found


def told(said: Iterable[Outcome]) -> list[tuple[Alias, str, datetime | None, tuple[Body, ...]]]:
    """What was heard, without the places in the stream."""
    return [(one.alias, one.unit, one.device_time, one.bodies) for one in said if isinstance(one, Heard)]


def held_bytes(root: object) -> int:
    """The memory that only this object and what it refers to take; code and what modules share left out."""
    seen: set[int] = set()
    left = [root]
    total = 0
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        left += gc.get_referents(one)
    return total
