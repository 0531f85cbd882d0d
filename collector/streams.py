"""What has arrived of a publisher's stream: pure bookkeeping of sequence numbers.

Rule 1: a number is new once; every later arrival of it has been seen.
Rule 2: `through` is what a confirmation may promise: every number up to it is here, or can never come.
Rule 3: a number counts as lost only when its publisher no longer holds it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

Span = tuple[int, int]
"""First and last number, both included."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Sequence numbers of one stream as one journal epoch knows them."""

    publisher: str
    name: str
    through: int = 0
    beyond: tuple[Span, ...] = ()
    """Arrived above `through`, ascending, with a hole before each."""
    gone: tuple[Span, ...] = ()
    """At or below `through` but lost: never arrived, and no longer held by the publisher; ascending."""
    elsewhere: tuple[Span, ...] = ()
    """At or below `through` but not here: an earlier epoch of the journal confirmed them; ascending."""
    sent_through: int = 0
    """Highest number that the publisher says it has sent."""
    known: bool = False
    """Whether it has been synchronised in this epoch: from then on what its publisher lets go is lost."""
    superseded: bool = False

    @property
    def lost(self) -> int:
        """Numbers that can never come."""
        return _size(self.gone)

    @property
    def missing(self) -> int:
        """Numbers sent but not here, which the publisher still holds and will send again."""
        last = max(self.sent_through, self.beyond[-1][1] if self.beyond else 0)
        return max(0, last - self.through) - _size(self.beyond)


def _size(spans: tuple[Span, ...]) -> int:
    return sum(last - first + 1 for first, last in spans)


def _has(spans: tuple[Span, ...], seq: int) -> bool:
    return any(first <= seq <= last for first, last in spans)


def _with(spans: tuple[Span, ...], span: Span) -> tuple[Span, ...]:
    """The ascending spans with one more, which overlaps none of them, merged with its neighbours."""
    merged: list[Span] = []
    for first, last in sorted((*spans, span)):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def _without(spans: tuple[Span, ...], seq: int) -> tuple[Span, ...]:
    kept: list[Span] = []
    for first, last in spans:
        if not first <= seq <= last:
            kept.append((first, last))
            continue
        if first < seq:
            kept.append((first, seq - 1))
        if seq < last:
            kept.append((seq + 1, last))
    return tuple(kept)


def has_seen(stream: Stream, seq: int) -> bool:
    """Whether this number arrived before."""
    if seq <= stream.through:
        return not (_has(stream.gone, seq) or _has(stream.elsewhere, seq))
    return _has(stream.beyond, seq)


def arrived(stream: Stream, seq: int) -> Stream:
    """The stream after a number that it had not seen. A number thought lost is found again."""
    if seq <= stream.through:
        return replace(stream, gone=_without(stream.gone, seq), elsewhere=_without(stream.elsewhere, seq))
    if seq == stream.through + 1:
        return _advance(replace(stream, through=seq))
    return replace(stream, beyond=_with(stream.beyond, (seq, seq)))


def _advance(stream: Stream) -> Stream:
    """Take what lies next to `through` into it."""
    through, beyond = stream.through, stream.beyond
    while beyond and beyond[0][0] <= through + 1:
        through = max(through, beyond[0][1])
        beyond = beyond[1:]
    return replace(stream, through=through, beyond=beyond)


def _give_up(stream: Stream, below: int, *, lost: bool) -> Stream:
    """Stop waiting for the holes below a number."""
    holes: list[Span] = []
    at = stream.through + 1
    for first, last in stream.beyond:
        if at >= below:
            break
        if at < first:
            holes.append((at, min(first, below) - 1))
        at = last + 1
    if at < below:
        holes.append((at, below - 1))
    if not holes:
        return stream
    gone, elsewhere = stream.gone, stream.elsewhere
    for hole in holes:
        if lost:
            gone = _with(gone, hole)
        else:
            elsewhere = _with(elsewhere, hole)
    through = max(stream.through, holes[-1][1])
    return _advance(replace(stream, through=through, gone=gone, elsewhere=elsewhere))


def synchronised(stream: Stream, *, held_from: int, sent_through: int) -> Stream:
    """The stream after its publisher said what it holds and has sent.

    What it no longer holds and we never had is lost, unless it is synchronised for the first time in
    this epoch: then an earlier epoch confirmed it.
    """
    given_up = _give_up(stream, held_from, lost=stream.known)
    return replace(given_up, sent_through=max(stream.sent_through, sent_through), known=True)


def superseded(stream: Stream) -> Stream:
    """The stream after its publisher gave it up: nobody can fill its holes any more."""
    last = max(stream.sent_through, stream.beyond[-1][1] if stream.beyond else 0, stream.through)
    return replace(_give_up(stream, last + 1, lost=True), superseded=True)


class Run:
    """A stream within one commit: numbers in a row, which nearly all are, are only counted."""

    __slots__ = ("_first", "_last", "_next", "_stream")

    def __init__(self, stream: Stream) -> None:
        self._first = self._last = 0
        self._settle(stream)

    def _settle(self, stream: Stream) -> None:
        self._stream = stream
        self._next = 0 if stream.beyond else stream.through + 1

    def take(self, seq: int) -> bool:
        """Note that a number has come; False if it came before."""
        if seq == self._next:
            self._next += 1
        else:
            stream = self.stream
            if has_seen(stream, seq):
                return False
            self._settle(arrived(stream, seq))
        self._first = min(self._first or seq, seq)
        self._last = max(self._last, seq)
        return True

    def synchronise(self, *, held_from: int, sent_through: int) -> None:
        """Note what its publisher says that it holds and has sent."""
        self._settle(synchronised(self.stream, held_from=held_from, sent_through=sent_through))

    def supersede(self) -> None:
        """Note that its publisher gave it up."""
        self._settle(superseded(self.stream))

    @property
    def stream(self) -> Stream:
        """The stream as it stands."""
        if self._next > self._stream.through + 1:
            self._settle(replace(self._stream, through=self._next - 1))
        return self._stream

    @property
    def span(self) -> Span | None:
        """The least and the greatest number that came, None if none did."""
        return (self._first, self._last) if self._first else None
