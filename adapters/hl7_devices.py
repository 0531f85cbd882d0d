"""Turns the reports of one HL7 sender into bodies, remembering what each device behind it said of itself.

Rule 1: an identity is told when a device is first heard and when it changes; what one kind of message leaves
out of it stays as another told it.
Rule 2: a periodic report always tells a state, *unknown* without evidence; an alert never does, nor does a
report about the management of a device (PCD-15) or an event (PCD-10) without evidence.
Rule 3: alerts that stand are compared over the periodic reports of a device.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from adapters.contract import Heard, Refusal, Skipped
from adapters.hl7 import Message
from adapters.hl7_alerts import What, alarms, embedded, is_alert
from adapters.hl7_codes import MANAGEMENT, term
from adapters.hl7_facts import Names, facts_of
from adapters.hl7_reports import Report, reports
from adapters.hl7_standing import Standing
from telemetry.errors import MessageError
from telemetry.messages import Alarm, Alias, Body, Identity, LinkState, Metrics, OperatingState, Status, Usage

MOST_DEVICES: Final = 5_000
"""Devices remembered behind one sender; the one heard longest ago makes room."""
_TRIGGERS: Final = frozenset({"R01", "R40", "R42", ""})
_MANAGEMENT_PROFILES: Final = ("1.3.6.1.4.1.19376.1.6.1.15.", "1.3.6.1.4.1.19376.1.6.4.15")


@dataclass(slots=True)
class _Known:
    names: Names | None = None
    is_gone: bool = False
    is_first: bool = True
    """Whether no periodic report has been heard."""
    standing: Standing | None = None
    """None while its reports have never told an alert."""

    def edges(self, told: Mapping[str, What], *, stamp: str) -> Iterator[Alarm]:
        """What a periodic report says of alerts that stand."""
        first, self.is_first = self.is_first, False
        if told and self.standing is None:
            self.standing = Standing()
        if self.standing is not None:
            yield from self.standing.compare(told, first=first, stamp=stamp)


class Devices:
    """The devices behind one sender."""

    def __init__(self, *, period_s: float) -> None:
        """`period_s`: how often a device reports."""
        self._period_s = period_s
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    def hear(self, message: Message, *, offset: int) -> Iterator[Heard | Refusal | Skipped]:
        """What a message says, device by device. Raises MessageError for one beyond all limits."""
        kind, trigger, *_ = (*message.components(message.header.field(9)), "")
        if kind != "ORU" or trigger not in _TRIGGERS:
            yield Skipped(offset, "a kind of message that tells nothing of equipment")
            return
        told = tuple(reports(message))
        if not told:
            yield Skipped(offset, "no observations")
        for report in told:
            yield self._report(report, trigger=trigger, offset=offset)

    def _report(self, report: Report, *, trigger: str, offset: int) -> Heard | Refusal | Skipped:
        try:
            alias = report.alias
            if alias is None:
                return Refusal(offset, "no device is named: neither OBX-18, nor a system id, nor a bed")
            alert = is_alert(report)
            bodies = alarms(report) if alert else self._facts(report, alias, trigger)
        except MessageError as error:
            return Refusal(offset, error.reason)
        if alert and not bodies:
            return Skipped(offset, "a sign of life without an alert")
        time = report.time
        return Heard(alias, time.clock if time and time.to_the_minute else None, bodies, offset)

    def _facts(self, report: Report, alias: Alias, trigger: str) -> tuple[Body, ...]:
        facts = facts_of(report, period_s=self._period_s)
        known = self._remembered(alias)
        bodies: list[Body] = [*_changed(known, facts.names, alias.identifier)]
        if facts.is_gone is not None and facts.is_gone != known.is_gone:
            known.is_gone = facts.is_gone
            bodies.append(_link(is_gone=facts.is_gone))
        is_periodic = trigger in {"R01", ""} and not _is_management(report)
        if is_periodic or facts.state is not None or facts.meters:
            state = facts.state or OperatingState.UNKNOWN
            bodies.append(Usage(state=state, period_s=self._period_s, meters=facts.meters))
        if facts.metrics:
            bodies.append(Metrics(values=facts.metrics))
        if is_periodic:
            bodies += known.edges(embedded(report), stamp=_stamp(report, alias))
        return tuple(bodies)

    def _remembered(self, alias: Alias) -> _Known:
        key = (alias.namespace, alias.identifier)
        known = self._known.setdefault(key, _Known())
        self._known.move_to_end(key)
        if len(self._known) > MOST_DEVICES:
            self._known.popitem(last=False)
        return known


def _changed(known: _Known, told: Names | None, serial: str) -> tuple[Identity, ...]:
    """The identity to be told, if anything in it is new."""
    before = known.names
    if told is None:
        return ()
    if before is not None:
        left_out = (name for name in Names._fields if not getattr(told, name))
        told = told._replace(**{name: getattr(before, name) for name in left_out})
    known.names = told
    return () if told == before else (told.identity(serial),)


def _link(*, is_gone: bool) -> Status:
    if is_gone:
        return Status(link=LinkState.MUTE, reason="its gateway says that it has lost the device")
    return Status(link=LinkState.ONLINE)


def _stamp(report: Report, alias: Alias) -> str:
    """A word that no other report of any device has."""
    time = report.time
    device = hashlib.sha256(f"{alias.namespace}/{alias.identifier}".encode()).hexdigest()[:8]
    return f"{device}.{time.clock:%Y%m%dT%H%M%S}" if time else f"{device}.no-clock"


def _is_management(report: Report) -> bool:
    """Whether it is PCD-15: by OBR-4, or by the profile in MSH-21."""
    if term(report.message, report.obr.field(4)).reference_id in MANAGEMENT:
        return True
    profile = (*report.message.components(report.message.header.field(21)), "", "", "")[2]
    return profile.startswith(_MANAGEMENT_PROFILES)
