"""The talk with one SDC device: what it is and how it stood, to tell edges from repetition.

Rule 1: a document with an older MdibVersion than one heard before is skipped; the same version is compared.
Rule 2: another SequenceId or InstanceId means that the device has started anew: the description is asked for
again, and alerts are compared as on a new link; counters may begin anew, which the rules judge.
Rule 3: a report that names what is not described yet is a sign of life, and the description is asked for.
Rule 4: alerts, battery and meters in demo mode are made up and not carried; what was open is unknown.
Rule 5: an alert first seen when it is but latched is `present`.
Rule 6: usage and battery are told with each GetMdib answer, and in between when they change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from adapters import sdc_terms as terms
from adapters.contract import UNTOLD, Answer, Heard, Outcome, Refusal, Skipped
from adapters.edges import Edge, Occurrences, Reading
from adapters.sdc_description import (
    AlertRow,
    Component,
    Description,
    Endpoint,
    Version,
    description_of,
    endpoint_of,
    short,
    version_of,
)
from adapters.sdc_states import alert_reading, clock_of, meters_of, metrics_of, state_of, states_of
from adapters.sdc_xml import END, Cut, Documents, Element, read
from telemetry.errors import MessageError
from telemetry.messages import (
    AlarmKind,
    Alias,
    Body,
    Condition,
    Effect,
    Metrics,
    OperatingState,
    Phase,
    Priority,
    Usage,
)

GET_MDIB: Final = b"GetMdib" + END
"""What asks the link for the whole MDIB."""
_NOT_TOLD: Final = Reading(Condition.UNKNOWN, Priority.UNKNOWN, "")
_SOUND: Final = Reading(Condition.INACTIVE, Priority.UNKNOWN, "")
_FAILED: Final = Reading(Condition.ACTIVE, Priority.UNKNOWN, terms.FAILED)
_FAIL: Final = "fail/"


class Talk:
    """One device behind one endpoint."""

    def __init__(self, *, period_s: float, on_is_use: bool) -> None:
        """`period_s`: how often the MDIB is asked for."""
        self._period_s = period_s
        self._on_is_use = on_is_use
        self._documents = Documents()
        self._alias: Alias | None = None
        self._occurrences = Occurrences()
        self._told: set[str] = set()
        self._rows: dict[str, AlertRow | Component] = {}
        """What is open, as it was described when it was told."""
        self._last: dict[str, Body] = {}
        """By kind, what was told last and is not repeated while it stays."""
        self._forget_link()

    def _forget_link(self) -> None:
        self._told.clear()
        self._endpoint = Endpoint()
        self._description: Description | None = None
        self._version: Version | None = None
        self._states: dict[str, Element] = {}
        self._is_asked = False

    def connected(self) -> tuple[Outcome, ...]:
        """Who answers now may be another device, or the same after a start; alerts are compared anew."""
        unfinished = self.closed()
        self._forget_link()
        return unfinished

    def poll(self) -> bytes:
        """The whole MDIB: proof of life, and of what a lost report would have said."""
        return GET_MDIB

    def feed(self, data: bytes) -> tuple[Outcome, ...]:
        """All that the documents say which these bytes complete."""
        return tuple(said for cut in self._documents.feed(data) for said in self._outcomes(cut))

    def closed(self) -> tuple[Outcome, ...]:
        """A document that was begun is refused."""
        return self._documents.close()

    def _outcomes(self, cut: Cut | Refusal) -> Iterator[Outcome]:
        if isinstance(cut, Refusal):
            yield cut
            return
        try:
            root = read(cut.data)
            if root is not None and root.name == terms.METADATA:
                self._endpoint = endpoint_of(root)
                yield Skipped(cut.offset, "who the endpoint is: told with the description of its device")
            elif root is not None and root.name == terms.MDIB:
                yield self._mdib(root, cut.offset)
            elif root is not None and root.name in terms.REPORTS:
                yield from self._report(root, cut.offset)
            else:
                yield Skipped(cut.offset, "a document that tells nothing of equipment")
        except MessageError as error:
            yield Refusal(cut.offset, error.reason)

    # -- documents ----------------------------------------------------------------------------------------

    def _mdib(self, root: Element, offset: int) -> Heard | Skipped:
        version = version_of(root)
        if self._is_older(version):
            return Skipped(offset, "an MDIB older than what was heard before")
        description = description_of(root, self._endpoint)
        parts = [part for mdib in root.all("Mdib") for part in mdib.all("MdState")]
        states = dict(states_of(parts))
        alias = description.alias or UNTOLD
        if self._version is None or self._version.sequence != version.sequence:
            self._told.clear()
        if alias != self._alias:
            self._occurrences.forget()
            self._rows.clear()
            self._told.clear()
            self._last.clear()
        self._alias, self._version, self._description = alias, version, description
        self._states = {handle: state for handle, state in states.items() if handle in description.handles}
        self._is_asked = False
        bodies = (
            *self._changed(description.identity),
            *self._standing(description),
            *self._edges(description, version),
        )
        return Heard(alias, clock_of(self._states.values()), bodies, offset)

    def _report(self, root: Element, offset: int) -> Iterator[Outcome]:
        version, description = version_of(root), self._description
        if description is None or self._version is None or self._version.sequence != version.sequence:
            yield Heard(self._alias or UNTOLD, None, (), offset)
            yield from self._ask()
            return
        if self._is_older(version):
            yield Skipped(offset, "a report older than what was heard before")
            return
        self._version = version
        told = dict(states_of(root.all("ReportPart")))
        self._states |= {handle: state for handle, state in told.items() if handle in description.handles}
        before = dict(self._last)
        standing = (body for body in self._standing(description) if before.get(body.kind) != body)
        bodies = (*standing, *self._edges(description, version))
        yield Heard(self._alias or UNTOLD, clock_of(told.values()), bodies, offset)
        if not told.keys() <= description.handles:
            yield from self._ask()

    def _ask(self) -> Iterator[Answer]:
        """Ask for the description, once until it comes."""
        if not self._is_asked:
            self._is_asked = True
            yield Answer(GET_MDIB)

    def _is_older(self, version: Version) -> bool:
        before = self._version
        return before is not None and before.sequence == version.sequence and version.number < before.number

    # -- what they say ------------------------------------------------------------------------------------

    def _changed(self, body: Body) -> tuple[Body, ...]:
        """The body, unless it was told last."""
        before, self._last[body.kind] = self._last.get(body.kind), body
        return () if body == before else (body,)

    def _standing(self, description: Description) -> tuple[Body, ...]:
        """What the device does, its meters and its batteries; remembered as told."""
        state = state_of(description, self._states, on_is_use=self._on_is_use)
        is_demo = state is OperatingState.DEMO
        meters = () if is_demo else meters_of(description, self._states)
        metrics = () if is_demo else metrics_of(description, self._states)
        usage = Usage(state=state, period_s=self._period_s, meters=meters)
        told: tuple[Body, ...] = (usage, Metrics(values=metrics)) if metrics else (usage,)
        for body in told:
            self._changed(body)
        return told

    def _edges(self, description: Description, version: Version) -> Iterator[Body]:
        """What has changed of alerts and failures."""
        if state_of(description, self._states, on_is_use=False) is OperatingState.DEMO:
            self._told.clear()
            now = {}
        else:
            now = dict(self._readings(description))
        rows = {key: row for key, (row, _) in now.items()}
        readings = {key: reading for key, (_, reading) in now.items()}
        before = self._occurrences.open
        missing = dict.fromkeys(sorted(before - readings.keys()), _NOT_TOLD)
        for key, reading in (readings | missing).items():
            edge = self._occurrences.compare(key, reading, first=key not in self._told, stamp=version.stamp)
            if edge is not None:
                if key not in before and edge.reading.condition is Condition.LATCHED:
                    edge = replace(edge, phase=Phase.PRESENT)
                yield _body(rows.get(key) or self._rows[key], edge)
        self._told |= readings.keys()
        self._rows = {key: rows.get(key) or self._rows[key] for key in self._occurrences.open}

    def _readings(
        self, description: Description
    ) -> Iterator[tuple[str, tuple[AlertRow | Component, Reading]]]:
        for handle, alert in description.alerts.items():
            if (state := self._states.get(handle)) is not None:
                yield short(handle), (alert, alert_reading(alert, self._states, state))
        for handle, component in description.components.items():
            if (state := self._states.get(handle)) is not None:
                failed = state.get("ActivationState") == terms.FAILED
                yield f"{_FAIL}{short(handle)}", (component, _FAILED if failed else _SOUND)


def _body(row: AlertRow | Component, edge: Edge) -> Body:
    if isinstance(row, Component):
        return edge.fault(
            "ActivationState/Fail",
            f"the {row.name} says that it has failed",
            Effect.REMOVAL_ADVISED if row.name == terms.COMPONENTS["Mds"] else Effect.SERVICE_HIGH,
            subsystem=f"{row.name} {row.code}"[:64],
        )
    kind = terms.KINDS.get(row.kind, AlarmKind.UNKNOWN)
    return edge.alarm(row.code, row.text, kind, reference_id=row.reference_id)
