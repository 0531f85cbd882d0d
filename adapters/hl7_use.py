"""Judges what a device does from a report: in use, standby, idle, off, test, service, demo or unknown.

Rule 1: in use needs evidence: a pump that infuses, or a ventilator with a fresh figure above zero (a breath
rate in the ventilator's own channel is a setting and no evidence). *Idle* takes all its figures to be fresh
and zero, or a pump that says so. All else is *unknown*; a monitor tells no use.
Rule 2: a fresh figure was observed at most FRESH_PERIODS periods before or after its report was made.
Rule 3: the figures are looked at and dropped.

IHE Devices TF Rev 10.0, TF-3 table 3.5-1, 7.1 and 7.2; IPEC supplement rev 1.5 (PCD-10).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from adapters import hl7_time
from adapters.hl7_codes import VENTILATOR_CHANNEL, VENTILATORS, Fact, term
from adapters.hl7_reports import Report, Row
from telemetry.messages import OperatingState

FRESH_PERIODS: Final = 3

_STATES: Final[Mapping[str, OperatingState]] = MappingProxyType({
    "pump-status-infusing": OperatingState.IN_USE,
    "pump-status-kvo": OperatingState.IN_USE,
    "pump-status-not-infusing": OperatingState.IDLE,
    "pump-status-ready": OperatingState.IDLE,
    "pump-status-paused": OperatingState.IDLE,
    "pump-status-standby": OperatingState.STANDBY,
    "pump-delivery-status-delivering": OperatingState.IN_USE,
    "pump-delivery-status-not-delivering": OperatingState.IDLE,
    "mdc_evt_pump_deliv_start": OperatingState.IN_USE,
    "mdc_evt_pump_deliv_stop": OperatingState.IDLE,
    "mdc_evt_pump_deliv_comp": OperatingState.IDLE,
    "197288": OperatingState.IN_USE,
    "197292": OperatingState.IDLE,
    "demo": OperatingState.DEMO,
    "service": OperatingState.SERVICE,
    "maintenance": OperatingState.SERVICE,
    "config": OperatingState.SERVICE,
    "test": OperatingState.TEST,
    "standby": OperatingState.STANDBY,
    "mdcx_dmc_attr_power_state_off": OperatingState.OFF,
    "off": OperatingState.OFF,
    "disconnected": OperatingState.UNKNOWN,
    "disassociating": OperatingState.UNKNOWN,
    "terminating": OperatingState.UNKNOWN,
})  # fmt: skip
_ORDER: Final = (Fact.CONNECTION, Fact.POWER_STATE, Fact.MODE, Fact.INFUSING, Fact.EVENT, Fact.DELIVERY)
"""What is believed first where rows tell different states."""


def state_of(report: Report, rows: Iterable[Row], period_s: float) -> OperatingState | None:
    """The state that these rows of a report are evidence of; None if they are of none."""
    found: dict[Fact, set[OperatingState]] = {}
    for row in rows:
        if row.term.fact in _ORDER:
            words = _event(report, row) if row.term.fact is Fact.EVENT else row.words(report.message)
            found.setdefault(row.term.fact, set()).update(_STATES[word] for word in words if word in _STATES)
    for fact in _ORDER:
        if states := found.get(fact):
            return OperatingState.IN_USE if OperatingState.IN_USE in states else min(states)
    return _ventilation(report, rows, period_s) if report.device in VENTILATORS else None


def _event(report: Report, row: Row) -> tuple[str, ...]:
    event = term(report.message, row.value)
    return (event.reference_id.lower() or str(event.number),)


def _ventilation(report: Report, rows: Iterable[Row], period_s: float) -> OperatingState | None:
    own = {row.path for row in report.rows if row.term.device == VENTILATOR_CHANNEL}
    figures = [
        row.figure if _is_fresh(report, row, period_s) else None
        for row in rows
        if row.term.fact is Fact.MINUTE_VOLUME or (row.term.fact is Fact.RATE and row.path[:-1] not in own)
    ]
    if any(figure is not None and figure > 0 for figure in figures):
        return OperatingState.IN_USE
    return OperatingState.IDLE if figures and all(figure == 0 for figure in figures) else None


def _is_fresh(report: Report, row: Row, period_s: float) -> bool:
    observed, sent = report.observed(row), report.sent
    if observed is None or sent is None:
        return False
    return abs(hl7_time.seconds_between(observed, sent)) <= FRESH_PERIODS * period_s


def state_rows() -> tuple[tuple[str, str], ...]:
    """Every word that is evidence of use, and the state that it tells."""
    return tuple((word, state.value) for word, state in _STATES.items())
