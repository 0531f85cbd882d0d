"""One station and the pumps in its racks: blocks are gathered until all of a place has come, then told.

Rule 1: an answer that names every place (to MEM:GET, unspoilt, to its end) is complete: a pump that it does
not name is gone. What a station pushes, a spoilt answer and an answer for one slot may leave pumps out.
Rule 2: a place is told when a block follows that does not name it, or when the answer ends or breaks off; a
large rack takes minutes over a serial line.
Rule 3: another pump in a place is told with the next answer, so that what was known there can end first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from adapters.bcc_pumps import MANUFACTURER, Place
from adapters.bcc_tables import ERRORS, NOTHING, REMOVED, STATION, VERSION, Told
from adapters.contract import UNTOLD, Heard, Outcome, Refusal, Skipped
from telemetry.messages import Body, Identity, OperatingState, Usage

_GONE: Final = "not in the station's list"


@dataclass(slots=True)
class _Part:
    """What an answer has told of one address so far."""

    offset: int
    seconds: int
    values: dict[str, str] = field(default_factory=dict)


class Station:
    """What is known behind one link."""

    def __init__(self, *, period_s: float, rest_s: float) -> None:
        """`rest_s`: how long a state that does not change is not repeated, of a station that pushes."""
        self._period_s = period_s
        self._rest_s = rest_s
        self._places: dict[str, Place] = {}
        self._parts: dict[str, _Part] = {}
        self._named: set[str] = set()
        """Addresses that the answer has named so far."""
        self._is_error = False
        """Whether the answer is an error in the place of a list."""
        self._version = ""
        self._identity: Identity | None = None

    def reconnected(self) -> None:
        """A new link: everything is compared again."""
        for place in self._places.values():
            place.reconnected()

    def take(self, told: tuple[Told, ...], *, offset: int) -> Iterator[Outcome]:
        """A sound block of an answer; tells the places that it does not name."""
        here = {one.address for one in told}
        for address in [known for known in self._parts if known not in here]:
            yield from self._tell(address, self._parts.pop(address))
        self._named |= here
        self._is_error |= any(
            (one.address, one.name) == (STATION, "GNERR") and one.value != NOTHING for one in told
        )
        for one in told:
            part = self._parts.setdefault(one.address, _Part(offset, one.seconds))
            if one.name:
                part.values[one.name] = one.value

    def tell(self, *, offset: int, complete: bool = False) -> Iterator[Outcome]:
        """The answer has ended with the block at this place, or will not go on."""
        parts, self._parts = self._parts, {}
        named, self._named = self._named, set()
        complete, self._is_error = complete and not self._is_error, False
        for address, part in parts.items():
            yield from self._tell(address, part)
        if complete:
            for address, place in sorted(self._places.items()):
                if address not in named and place.alias is not None:
                    yield self._left(address, place, offset=offset, reason=_GONE)

    def _tell(self, address: str, part: _Part) -> Iterator[Outcome]:
        error = part.values.pop("GNERR", None)
        if address == STATION:
            yield from self._station(part, error)
            return
        place = self._places.setdefault(address, Place(address, period_s=self._period_s))
        if error == REMOVED:
            yield self._left(address, place, offset=part.offset, reason=ERRORS[REMOVED])
        elif error is not None:
            yield _error(error, part.offset)
        elif place.is_anothers(part.values):
            yield self._left(address, place, offset=part.offset, reason="another pump in its place")
        else:
            alias, bodies = place.hear(part.values, seconds=part.seconds, rest_s=self._rest_s)
            yield Heard(alias, None, bodies, part.offset, address)

    def _left(self, address: str, place: Place, *, offset: int, reason: str) -> Heard:
        alias = place.alias or UNTOLD
        return Heard(alias, None, tuple(place.leave(reason)), offset, address)

    # -- the station itself -------------------------------------------------------------------------------

    def _station(self, part: _Part, error: str | None) -> Iterator[Outcome]:
        values = part.values
        if error is not None:
            yield _error(error, part.offset)
        elif VERSION in values:
            self._version = values[VERSION]
            yield Skipped(part.offset, "the version of the protocol")
        elif "GNACK" in values:
            yield Skipped(part.offset, "the answer to our greeting")
        else:
            yield Heard(UNTOLD, None, tuple(self._own(values)), part.offset, STATION)

    def _own(self, values: dict[str, str]) -> Iterator[Body]:
        software = f"BCC {self._version}" if self._version else ""
        told = Identity(manufacturer=MANUFACTURER, model="SpaceCom", software_revision=software)
        if told != self._identity:
            self._identity = told
            yield told
        is_off = values.get("FMSTAT") == "00050"
        state = OperatingState.OFF if is_off else OperatingState.UNKNOWN
        yield Usage(state=state, period_s=self._period_s)


def _error(code: str, offset: int) -> Refusal | Skipped:
    """What an error in the place of data means; a number that is not known is not quoted."""
    if code == NOTHING:
        return Skipped(offset, f"the station says: {ERRORS[NOTHING]}")
    return Refusal(offset, f"the station says: {ERRORS.get(code, 'an error that is not known')}")
