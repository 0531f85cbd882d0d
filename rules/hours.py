"""Whose hours are whose: what a device counted, cut out by the intervals in which it speaks for an asset.

Rule 1: each hour of a device belongs to the one asset that held its alias then, or to none.
Rule 2: devices that speak for an asset at the same time say the same twice: the one that counted most is
believed, never the sum. What they counted one after the other is added up.
Rule 3: between them, and since the asset's last reading, time that nobody observed is unknown; so is the time
before and after the one that is believed, of which only those know that are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rules.assets import EVER_MS, NEVER_MS
from rules.meters import AssetMeter, Count, DerivedMeter, Level, trailing_ms
from rules.state import Device
from rules.words import HOUR_MS
from telemetry.messages import MeterName


class Span(NamedTuple):
    """An interval in which a device speaks for an asset."""

    begin_ms: int
    end_ms: int
    device: Device
    provisional: bool
    """Whether that is under a weak alias that nobody stands for."""


class _Piece(NamedTuple):
    """What one device counted in its part of a span."""

    begin_ms: int
    end_ms: int
    ran: Count
    span: Span


class _Heard(NamedTuple):
    """A time of which one device told, or several at once."""

    begin_ms: int
    end_ms: int
    best: _Piece
    """Of the device that counted most."""


def derived_level(
    name: MeterName, spans: Sequence[Span], written: AssetMeter | None, *, now_ms: int | None
) -> Level | None:
    """An asset's meter that is counted by us; None if nothing was ever counted for it.

    `written` is what the asset's meter was last written down to be. With `now_ms` the time since the last
    reading counts as unknown; without, it is not judged.
    """
    since_ms = EVER_MS if written is None else written.since_ms
    pieces = _pieces(name, spans, since_ms=since_ms)
    if not pieces:
        return None
    counted = known = unknown = 0
    end_ms = since_ms
    for heard in _heard(pieces):
        best = heard.best
        if end_ms != EVER_MS:
            unknown += _gap(best, heard.begin_ms - end_ms)
        unknown += _gap(best, best.begin_ms - heard.begin_ms) + _gap(best, heard.end_ms - best.end_ms)
        counted += best.ran.counted_ms
        known += best.ran.known_ms
        unknown += best.ran.unknown_ms
        end_ms = heard.end_ms
    latest = max(pieces, key=lambda piece: piece.end_ms)
    if now_ms is not None:
        unknown += _trailing(latest, now_ms=now_ms)
    low_ms = counted + (written.reading_ms if written else 0)
    elapsed = known + unknown
    return Level(
        low_h=low_ms / HOUR_MS,
        high_h=(low_ms + unknown) / HOUR_MS,
        coverage=known / elapsed if elapsed else 1.0,
        since_ms=since_ms if written else pieces[0].begin_ms,
        elapsed_h=elapsed / HOUR_MS,
        provisional=any(piece.span.provisional and piece.ran.counted_ms for piece in pieces),
    )


def _pieces(name: MeterName, spans: Iterable[Span], *, since_ms: int) -> list[_Piece]:
    found = []
    for span in spans:
        meter = span.device.derived.get(name)
        if meter is None:
            continue
        begin_ms = max(span.begin_ms, since_ms, meter.since_ms)
        end_ms = min(span.end_ms, meter.last_ms)
        if end_ms >= begin_ms:
            found.append(_Piece(begin_ms, end_ms, _within(meter, begin_ms, span.end_ms), span))
        elif span.end_ms == NEVER_MS:
            found.append(_Piece(begin_ms, begin_ms, Count(), span))
    return found


def _within(meter: DerivedMeter, begin_ms: int, end_ms: int) -> Count:
    """What a device counted from a time on until another."""
    until = meter.total if end_ms == NEVER_MS else meter.at(end_ms)
    return until if begin_ms <= meter.since_ms else until.minus(meter.at(begin_ms))


def _heard(pieces: Iterable[_Piece]) -> list[_Heard]:
    """The times of which anyone told, in order; pieces that overlap are one."""
    found: list[_Heard] = []
    for piece in sorted(pieces, key=lambda piece: (piece.begin_ms, piece.end_ms)):
        if found and piece.begin_ms < found[-1].end_ms:
            begin_ms, end_ms, best = found[-1]
            best = max(best, piece, key=lambda one: (one.ran, one.end_ms))
            found[-1] = _Heard(begin_ms, max(end_ms, piece.end_ms), best)
        else:
            found.append(_Heard(piece.begin_ms, piece.end_ms, piece))
    return found


def _gap(piece: _Piece, length_ms: int) -> int:
    """Time that a device leaves unobserved: none while that is no longer than between two readings."""
    last = piece.span.device.last
    return length_ms if last is not None and length_ms > last.gap_ms else 0


def _trailing(latest: _Piece, *, now_ms: int) -> int:
    """Time without a reading that stands until now."""
    if latest.span.end_ms == NEVER_MS:
        return trailing_ms(latest.span.device.last, now_ms=now_ms, since_ms=latest.begin_ms)
    return max(0, now_ms - latest.end_ms)


def counted_ms(name: MeterName, device: Device, *, begin_ms: int, end_ms: int) -> int:
    """Observed use of a device between two times."""
    meter = device.derived.get(name)
    if meter is None or end_ms <= meter.since_ms or end_ms <= begin_ms:
        return 0
    return _within(meter, begin_ms, end_ms).counted_ms
