"""A ticket tells in sentences why it exists."""

from __future__ import annotations

from rules.engine import Engine
from rules.explain import sentences
from rules.inputs import CloseTicket
from rules.state import State
from telemetry.messages import Phase
from tests.rules.scene import (
    HOUR,
    Journal,
    alarm,
    fault,
    open_tickets,
    ready,
    registry,
    rules_in_force,
    service_rule,
    usage,
)

METER = (
    "Meter ventilation_h, counted by hourmeter from what the device was seen doing, stood at 4,739 h "
    "on 2026-01-01 01:00 UTC."
)


def test_a_service_ticket_tells_meter_last_work_interval_and_rule() -> None:
    engine, journal = Engine(State()), Journal()
    engine.take(rules_in_force())
    engine.take(registry(reading=4739, last_done=4000))
    for _ in range(3):
        engine.apply(journal.say(usage(), after_ms=HOUR))
    (ticket,) = open_tickets(engine)
    assert sentences(ticket) == (
        "T-1 asks for preventive maintenance of V-1: Service every 250 hours.",
        METER,
        "Work was last completed at 4,000 h.",
        "The interval is 250 h, so it is due at 4,250 h; the ticket opens 10 h before.",
        "1 whole interval was missed before it.",
        "To do: Service it",
        f"Rule service, version {service_rule().version}; source: made up (this project's own default).",
    )


def test_a_request_for_a_reading_tells_what_went_unobserved() -> None:
    engine, journal = ready(), Journal()
    for _ in range(226):
        engine.apply(journal.say(usage(), after_ms=HOUR))
    engine.apply(journal.tick(25 * HOUR))
    (ticket,) = open_tickets(engine)
    told = sentences(ticket)
    assert told[0] == "T-1 asks for a reading of V-1: Reading wanted for: Service every 250 hours."
    assert told[2].startswith("No completed work is on record: hours count from 2026-01-01 01:00 UTC")
    assert told[4] == (
        "Another 25 h went unobserved since 2026-01-01 01:00 UTC: the meter may stand as high as 250 h. "
        "Coverage is 90 %."
    )
    assert told[5].endswith("a reading at the device decides.")


def test_a_fault_ticket_tells_code_onset_repeats_and_return() -> None:
    engine, journal = ready(), Journal()
    engine.apply(journal.say(alarm(phase=Phase.PRESENT)))
    told = sentences(open_tickets(engine)[0])
    assert told[1] == "host/pb-1 said alarm 122 (low O2 supply), low."
    assert told[2] == ("It stood already when first seen on 2026-01-01 00:00 UTC; its onset is not known.")
    engine.take(CloseTicket(at_ms=journal.now_ms, ticket="T-1", by="An"))
    engine.apply(journal.say(alarm(phase=Phase.END)))
    engine.apply(journal.say(fault(), after_ms=HOUR))
    engine.apply(journal.say(fault(phase=Phase.END), after_ms=HOUR))
    told = sentences(open_tickets(engine)[0])
    assert told[1:6] == (
        "host/pb-1 said fault A5 (technical malfunction), removal advised.",
        "It began on 2026-01-01 01:00 UTC.",
        "Seen 2 times, last on 2026-01-01 01:00 UTC.",
        "Reopened once: the same cause came back within 72 hours of closing.",
        "It went away by itself on 2026-01-01 02:00 UTC; the ticket stays until closed.",
    )
