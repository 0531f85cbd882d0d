"""One MEDIBUS device: what it is asked in rounds, and what its responses say of the equipment.

Rule 1: no measured value of a patient, no setting and no text leaves this file. Rate and minute volume are
looked at to judge use, and dropped; of texts the code alone is read; devices that can be asked for some
values and texts only are asked for those.
Rule 2: the state is told with the measured values, if texts and alarms of page 2 were heard since the last
time.
Rule 3: a response that cannot be read ends nothing and changes nothing.
Rule 4: measured values that nobody asked for, as a second answer to a repeated question, tell nothing.
Rule 5: a round that was asked for is asked again after a new start-up; else none is asked without a poll.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapters.contract import UNTOLD, Answer, Heard, Outcome, Refusal, Skipped
from adapters.medibus_alarms import Alarms
from adapters.medibus_codes import (
    BLIND,
    COMPUTER,
    DEVICE,
    MEASURED,
    MODELS,
    STANDBY,
    TEXTS,
    UNKNOWN_FAMILY,
    X_FAMILY,
    Family,
    Row,
)
from adapters.medibus_frames import COMMAND, Damaged, Flow, Frame, Frames, frame_of
from adapters.medibus_records import (
    Identification,
    alarms,
    clock,
    figure,
    identification,
    is_clock,
    name_of,
    text_codes,
    values,
)
from adapters.medibus_talk import ID, Conversation
from adapters.medibus_use import quantities_of, state_of
from telemetry.messages import (
    AlarmKind,
    Body,
    Identity,
    Metric,
    Metrics,
    Quantity,
    Usage,
)

VALUES: Final = 0x24
ALARMS_1: Final = 0x27
CLOCK: Final = 0x28
TEXT: Final = 0x2A
ALARMS_2: Final = 0x2E
CONFIGURE: Final = 0x4A
WHO_WE_ARE: Final = COMPUTER.encode() + b"'hourmeter'01.00:04.00"
WITH_ARGUMENTS: Final = "03.00"
"""MEDIBUS of the device from which on its commands may have arguments."""
VENTILATOR: Final = 70001
"""MDC_DEV_SYS_PT_VENT_MDS of IEEE 11073-10101, context-free."""
MANUFACTURER: Final = "Draeger"
_CHECKS: Final = (
    ("91", Row("device check: conditionally functional", AlarmKind.ADVISORY)),
    ("92", Row("device check: not functional", AlarmKind.TECHNICAL, DEVICE)),
)
_PASSED: Final = MappingProxyType({"90": 1.0, "92": 0.0})


def family_of(who: Identification | None, *, others: Family) -> Family:
    """The tables of a model; `others` of one whose number is not known."""
    known = MODELS.get(who.number) if who else None
    return known.family if known else others


class Medibus:
    """The talk with one device, and what it said last, to tell edges from repetition."""

    def __init__(self, *, period_s: float, others: Family = UNKNOWN_FAMILY) -> None:
        """`others`: how models are read whose number is not known."""
        self._period_s = period_s
        self._others = others
        self._frames = Frames()
        self._talk = Conversation(identification=WHO_WE_ARE)
        self._who: Identification | None = None
        self._identity: tuple[Identity, ...] = ()
        self._family = others
        self._alarms = Alarms()
        self._wanted: bool | None = None
        """Whether a round that was asked for goes on; None where nobody asks, as for a recording."""
        self._texts: frozenset[str] | None = None
        self._standby: bool | None = None
        self._device_time: datetime | None = None
        self._clock: datetime | None = None
        self._told: dict[Quantity, float] = {}
        self._passed_s = 0.0

    # -- the contract -------------------------------------------------------------------------------------

    def connected(self) -> tuple[Outcome, ...]:
        """ICC at once; what was active before stays the same occurrence if it is active still."""
        refused = self.closed()
        self._alarms.begin_link()
        self._told.clear()
        self._texts = self._standby = self._device_time = self._clock = None
        return (*refused, *_answers(self._talk.begin()))

    def poll(self) -> bytes:
        """The first question of a round; nothing while the talk is not open or a round goes on."""
        self._wanted = True
        if not self._talk.is_open or self._talk.is_busy:
            return b""
        return b"".join(self._talk.ask(self._round()))

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """One `Heard` for each response that tells of the equipment; an answer to each command."""
        if data:
            self._talk.heard()
        return tuple(outcome for item in self._frames.feed(data) for outcome in self._take(item))

    def closed(self) -> tuple[Outcome, ...]:
        """What was begun is refused; nobody is there to be spoken to."""
        self._talk.end()
        return self._frames.close()

    def due_s(self) -> float | None:
        """Until something has to be said or given up."""
        return self._talk.due_s()

    def elapsed(self, seconds: float) -> tuple[Outcome, ...]:
        """What has to be said by now."""
        self._passed_s += seconds
        return _answers(self._talk.elapsed(seconds))

    def farewell(self) -> bytes:
        """STOP: the device does not look for us."""
        return self._talk.farewell()

    # -- the talk -----------------------------------------------------------------------------------------

    def _take(self, item: Frame | Damaged | Flow | Refusal) -> Iterable[Outcome]:
        match item:
            case Frame(start=start, code=code) if start == COMMAND:
                yield from _answers(self._talk.command(code))
            case Frame():
                yield from self._hear(item)
            case Damaged(start=start, refusal=refusal):
                yield refusal
                is_command = start == COMMAND
                yield from _answers(
                    self._talk.corrupt_command() if is_command else self._talk.corrupt_response()
                )
            case Flow():
                yield from _answers(self._talk.flow(item))
            case Refusal():
                yield item

    def _hear(self, frame: Frame) -> Iterable[Outcome]:
        """What a response says, and what is asked next."""
        was_asked = self._talk.waits_for(frame.code)
        if frame.code == VALUES and self._wanted is not None and not was_asked:
            yield Heard(UNTOLD, None, (), frame.offset)
        else:
            yield from self._said(frame)
        yield from _answers(self._talk.response(frame.code))
        if frame.code == ID and was_asked:
            questions = self._preparation() + (self._round() if self._wanted else ())
            yield from _answers(self._talk.ask(questions))

    def _round(self) -> tuple[bytes, ...]:
        clock = (CLOCK,) if self._family.has_clock else ()
        return tuple(frame_of(COMMAND, code) for code in (ALARMS_1, ALARMS_2, TEXT, *clock, VALUES))

    def _preparation(self) -> tuple[bytes, ...]:
        """What is asked once: the clock, to name occurrences by; and to send no more than we read."""
        clock = (frame_of(COMMAND, CLOCK),) if self._family.has_clock else ()
        if self._who is None or self._who.medibus < WITH_ARGUMENTS:
            return clock
        wanted = ((VALUES, MEASURED), (TEXT, TEXTS))
        return clock + tuple(
            frame_of(COMMAND, CONFIGURE, bytes((code,)) + "".join(codes).encode()) for code, codes in wanted
        )

    # -- what responses say -------------------------------------------------------------------------------

    def _said(self, frame: Frame) -> Iterable[Outcome]:
        """At most one outcome; none for a response that tells nothing of the equipment."""
        at, data = frame.offset, frame.data
        match frame.code:
            case 0x52:
                yield self._identified(data, at)
            case 0x27 | 0x2E:
                yield self._alarm_list(frame)
            case 0x2A:
                yield self._text_list(data, at)
            case 0x28:
                if not is_clock(data):
                    yield Refusal(at, f"date and time of {len(data)} bytes in no known form")
                else:
                    self._device_time = self._clock = clock(data)
                    yield Heard(UNTOLD, self._device_time, (), at)
            case 0x24:
                yield self._measured(data, at)

    def _identified(self, data: bytes, at: int) -> Outcome:
        who = identification(data)
        if data and who is None:
            return Refusal(at, f"identification of {len(data)} bytes is not number, name and revisions")
        if who is not None and who.number == COMPUTER:
            return Skipped(at, "the identification of a computer, as we are one")
        identity = (_identity(who),) if who else ()
        self._who = who
        if identity == self._identity:
            return Heard(UNTOLD, None, (), at)
        self._identity, self._family = identity, family_of(who, others=self._others)
        self._alarms.forget()
        self._told.clear()
        self._texts = self._standby = self._device_time = self._clock = None
        return Heard(UNTOLD, None, identity, at)

    def _alarm_list(self, frame: Frame) -> Outcome:
        page = "CP1" if frame.code == ALARMS_1 else "CP2"
        records = alarms(frame.data)
        if records is None:
            return Refusal(frame.offset, f"alarms of {page} in {len(frame.data)} bytes are no rows of 15")
        if page == "CP2":
            self._standby = any(f"{page}-{record.code}" == STANDBY for record in records)
        bodies = self._alarms.page(page, records, family=self._family, stamp=self._stamp())
        return Heard(UNTOLD, None, tuple(bodies), frame.offset)

    def _text_list(self, data: bytes, at: int) -> Outcome:
        codes = text_codes(data)
        if codes is None:
            return Refusal(at, f"texts of {len(data)} bytes are no rows of code, length, text and 03")
        self._texts = codes
        if self._family is not X_FAMILY:
            return Heard(UNTOLD, None, (), at)
        passed = [value for code, value in _PASSED.items() if code in codes]
        metrics = {Quantity.SELF_TEST_PASSED_BOOL: min(passed)} if passed else {}
        checks = {f"TXT-{code}": row for code, row in _CHECKS if code in codes}
        bodies = (*self._changed(metrics), *self._alarms.checks(checks, stamp=self._stamp()))
        return Heard(UNTOLD, None, bodies, at)

    def _measured(self, data: bytes, at: int) -> Outcome:
        words = values(data)
        if words is None:
            return Refusal(at, f"measured values of {len(data)} bytes are no rows of six")
        figures = {code: figure(word) for code, word in words.items()}
        state = state_of(
            figures,
            texts=self._texts,
            standby=self._standby,
            family=self._family,
            is_blind=self._alarms.stands(BLIND),
        )
        usage = Usage(state=state, period_s=self._period_s)
        metrics = quantities_of(figures, family=self._family)
        said = Heard(UNTOLD, self._device_time, (usage, *self._changed(metrics)), at)
        self._texts = self._standby = self._device_time = None
        if self._wanted:
            self._wanted = False
        return said

    def _changed(self, values: dict[Quantity, float]) -> tuple[Body, ...]:
        changed = {quantity: value for quantity, value in values.items() if self._told.get(quantity) != value}
        self._told |= changed
        if not changed:
            return ()
        return (Metrics(values=tuple(Metric(quantity=name, value=value) for name, value in changed.items())),)

    def _stamp(self) -> str:
        """What tells our occurrences from those of an earlier run: the device's clock, and how long we run.

        The clock alone would not do: without its battery it begins at the same date each time.
        """
        number = self._who.number if self._who else "no-number"
        clock = self._clock.isoformat(timespec="minutes") if self._clock else "no-clock"
        return f"{number}/{clock}-{round(self._passed_s * 1000)}"


def _identity(who: Identification) -> Identity:
    known = MODELS.get(who.number)
    return Identity(
        manufacturer=MANUFACTURER,
        model=f"{known.name if known else name_of(who)} {who.number}".strip(),
        software_revision=who.revision,
        firmware_revision=f"MEDIBUS {who.medibus}",
        device_type=VENTILATOR if known and known.is_ventilator else None,
    )


def _answers(frames: Iterable[bytes]) -> tuple[Answer, ...]:
    return tuple(map(Answer, frames))
