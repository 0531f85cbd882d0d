"""Self-made HL7 messages and ways to hear them, shared by the tests of the reader."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from adapters.contract import Answer, Heard, Outcome, Refusal, Skipped
from adapters.hl7_adapter import Hl7Adapter
from adapters.hl7_mllp import framed
from adapters.hl7_sender import Sender
from telemetry.messages import Alarm, Body

SAMPLES = Path(__file__).parents[2].parent / "shared/samples/ihe"
ORDINARY = Sender()
GATEWAY = "GW^00AB^EUI-64"
PERSON = ("PID|||PN-4711^^^^MR||Planted^Alba^Mae^^^^L||19610203|F", "PV1||I|Wardname^Roomnumber^Bedname")
PUMP = "P6013^^0012^EUI-64"


def header(
    kind: str = "ORU^R01^ORU_R01",
    number: str = "1",
    *,
    mode: str = "P",
    asks: str = "AL|NE",
    encoding: str = "UNICODE UTF-8",
    time: str = "20260109073000+0700",
) -> str:
    """An MSH of a gateway."""
    return f"MSH|^~\\&|{GATEWAY}|WARD|HM|SITE|{time}||{kind}|{number}|{mode}|2.6|||{asks}||{encoding}"


def row(
    term: str,
    place: str,
    value: str = "",
    *,
    kind: str = "ST",
    unit: str = "",
    flags: str = "",
    result: str = "F",
    time: str = "",
    device: str = "",
) -> str:
    """An OBX."""
    return f"OBX|1|{kind}|{term}|{place}|{value}|{unit}||{flags}|||{result}|||{time}||||{device}".rstrip("|")


def message(*segments: str, head: str | None = None, end: str = "\r") -> str:
    """A message with segments about a person, and these."""
    return "".join(f"{segment}{end}" for segment in (head or header(), *PERSON, *segments))


def report(*rows: str, about: str = "70001^MDC_DEV_SYS_PT_VENT_MDS^MDC", head: str | None = None) -> str:
    """A report of one device."""
    return message(f"OBR|1||R1|{about}|||20260109073000", *rows, head=head)


def alert(
    *rows: str, id_: str = "A27^GW^00AB^EUI-64", onset: str = "", device: str = PUMP, number: str = "1"
) -> str:
    """An alert whose rows these are, in their order, behind a row that names the device."""
    obr = f"OBR|1||{id_}|196616^MDC_EVT_ALARM^MDC|||20260109073000{'|' * 22}{onset}".rstrip("|")
    named = row("69985^MDC_DEV_PUMP_INFUS_MDS^MDC", "1.0.0.0", device=device, result="X")
    return message(obr, *rows, named, head=header("ORU^R40^ORU_R40", number))


def facets(
    *,
    event: str = "196802^MDC_EVT_BATT_LO^MDC",
    phase: str = "start",
    state: str = "active",
    kind: str = "ST",
    priority: str = "PM",
) -> tuple[str, ...]:
    """The facets of an alert, each in a row of its own; empty ones are left out."""
    told = (
        ("196616^MDC_EVT_ALARM^MDC", event),
        ("68481^MDC_ATTR_EVENT_PHASE^MDC", phase),
        ("68482^MDC_ATTR_ALARM_STATE^MDC", state),
        ("68484^MDC_ATTR_ALARM_PRIORITY^MDC", priority),
        ("68485^MDC_ATTR_ALERT_TYPE^MDC", kind),
    )
    return tuple(row(term, f"1.0.0.0.{place}", value) for place, (term, value) in enumerate(told, 1) if value)


def told(
    *texts: str | bytes, sender: Sender = ORDINARY, adapter: Hl7Adapter | None = None, period_s: float = 60.0
) -> tuple[Outcome, ...]:
    """All that an adapter says of these messages, each in its frame."""
    made = adapter or Hl7Adapter(sender=sender, period_s=period_s)
    said: list[Outcome] = []
    for text in texts:
        said += made.feed(framed(text.encode() if isinstance(text, str) else text))
    return tuple(said)


def heard(outcomes: Iterable[Outcome]) -> tuple[Heard, ...]:
    """What was heard, device by device."""
    return tuple(one for one in outcomes if isinstance(one, Heard))


def bodies(outcomes: Iterable[Outcome]) -> tuple[Body, ...]:
    """Every body in order."""
    return tuple(body for one in heard(outcomes) for body in one.bodies)


def alarms(*texts: str) -> tuple[Alarm, ...]:
    """The alarms that these messages tell."""
    return tuple(body for body in bodies(told(*texts)) if isinstance(body, Alarm))


def reasons(outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """Why something was refused or skipped, in order."""
    return tuple(one.reason for one in outcomes if isinstance(one, Refusal | Skipped))


def codes(outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """MSA-1 and MSA-2 of every answer."""
    answers = (one.data.decode("latin-1") for one in outcomes if isinstance(one, Answer))
    return tuple("|".join(answer.split("\r")[1].split("|")[1:3]) for answer in answers)
