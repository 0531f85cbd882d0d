"""How the page tells figures, ages and what is due, in one language.

Rule: an age is filled in last, so that what is written about a device stays the same while only time passes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from markupsafe import Markup

from desk.views import MeterRow
from desk.words import WORDS, Language
from rules.words import Standing
from telemetry.messages import MeterName
from telemetry.times import from_ms, iso, to_ms

_CYCLES: Final = frozenset({MeterName.BATTERY_CYCLES, MeterName.OPERATING_CYCLES})
_SWAPPED: Final = str.maketrans(",.", ".,")
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS
_BLANK: Final = re.compile(r'<time class="age" (?:id="([^"]+)"|datetime="([^"]+)")></time>')


@dataclass(frozen=True, slots=True)
class Speech:
    """Says things in one language; `now_ms` is what ages are told by."""

    language: Language
    now_ms: int

    def __call__(self, key: str, **given: object) -> str:
        """The word of WORDS with what it is filled in with. Raises KeyError if there is none."""
        return self._word(key).format(**given)

    def mark(self, key: str, **given: object) -> Markup:
        """The same as HTML, for what is filled in with elements. Raises KeyError if there is none."""
        return Markup(self._word(key)).format(**given)  # noqa: S704 - our own word; format escapes the rest

    def _word(self, key: str) -> str:
        english, vietnamese = WORDS[key]
        return english if self.language is Language.EN else vietnamese

    def age(self, at_ms: int) -> str:
        """How long ago that was, in the largest unit of which at least one has passed."""
        ago_ms = self.now_ms - at_ms
        if ago_ms < _MINUTE_MS:
            return self("age.now")
        if ago_ms < _HOUR_MS:
            return self("age.min", n=ago_ms // _MINUTE_MS)
        if ago_ms < 2 * _DAY_MS:
            return self("age.h", n=ago_ms // _HOUR_MS)
        return self("age.d", n=ago_ms // _DAY_MS)

    def since(self, at_ms: int) -> Markup:
        """A blank for the age of a moment, which `with_ages` fills in."""
        return Markup('<time class="age" datetime="{}"></time>').format(iso(at_ms))

    def since_part(self, part: str) -> Markup:
        """A blank for the age of the moment that stands under the name of a part."""
        return Markup('<time class="age" id="{}"></time>').format(part)

    def with_ages(self, html: str, moments: Mapping[str, int]) -> str:
        """The text with its blanks filled in; `moments` are those that stand under a name."""

        def filled(blank: re.Match[str]) -> str:
            part, told = blank.groups()
            at_ms = moments[part] if part else to_ms(datetime.fromisoformat(told))
            named = f'id="{part}" ' if part else ""
            return f'<time class="age" {named}datetime="{iso(at_ms)}">{self.age(at_ms)}</time>'

        return _BLANK.sub(filled, html)

    def is_past(self, day: str) -> bool:
        """Whether a day, as YYYY-MM-DD, is over."""
        return day < from_ms(self.now_ms).strftime("%Y-%m-%d")

    def moment(self, at_ms: int) -> str:
        """Date and time in UTC, to the minute."""
        return from_ms(at_ms).strftime("%Y-%m-%d %H:%M UTC")

    def clock(self, at_ms: int) -> str:
        """Date and time in UTC, to the second."""
        return from_ms(at_ms).strftime("%Y-%m-%d %H:%M:%S UTC")

    def second(self, at_ms: int) -> str:
        """The same, without the date where that is today's."""
        today = from_ms(at_ms).date() == from_ms(self.now_ms).date()
        return self.clock(at_ms).partition(" ")[2] if today else self.clock(at_ms)

    def number(self, value: float) -> str:
        """A figure with at most one decimal, separated as the language does."""
        text = f"{value:,.1f}".removesuffix(".0")
        return text if self.language is Language.EN else text.translate(_SWAPPED)

    def coverage(self, share: float) -> str:
        """Coverage in whole per cent, rounded down: only all is 100."""
        return self("coverage", n=self.percent(share))

    def percent(self, share: float) -> str:
        """A share in whole per cent, rounded down."""
        return f"{int(share * 100 + 1e-9)} %"

    def reading(self, meter: MeterRow) -> str:
        """What the meter shows: one figure, or at least and at most where they differ."""
        return self.span(meter.name, meter.low_h, meter.high_h)

    def due(self, meter: MeterRow) -> str:
        """How far it is until work is due; empty if no rule counts on the meter."""
        if meter.standing is Standing.OFF or meter.standing is Standing.UNKNOWN:
            return self(f"due.{meter.standing}")
        if meter.due_h is None:
            return ""
        if meter.is_overdue:
            over = meter.low_h - meter.due_h
            return (
                self("due.over", n=self.span(meter.name, _whole(over))) if over >= 0.05 else self("due.now")
            )
        if meter.high_h >= meter.due_h:
            return self("due.maybe")
        least, most = _whole(meter.due_h - meter.high_h), _whole(meter.due_h - meter.low_h)
        left = self("due.in", n=self.span(meter.name, least, most))
        return f"{left}; {self('due.asked')}" if meter.standing is Standing.ASKED else left

    def span(self, meter: MeterName, *figures: float) -> str:
        """One figure of a meter with its unit, or two where they can be told apart."""
        texts = dict.fromkeys(map(self.number, figures))
        return self("unit.cycles" if meter in _CYCLES else "unit.h", n="–".join(texts))


def _whole(left: float) -> float:
    """What is left of ten hours and more, in whole hours: rounded down, as one who plans would."""
    return float(int(left)) if left >= 10 else left
