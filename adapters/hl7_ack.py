"""Writes the acknowledgement of an HL7 message, in the mode that its sender expects.

Rule 1: enhanced mode (MSH-15 or MSH-16 told) answers CA, CE or CR by MSH-15, or AA, AE or AR by MSH-16 where
MSH-15 is empty; original mode answers AA, AE or AR. AL always, NE never, ER only errors, SU only success.
Rule 2: there is no clock and no chance here: MSH-7 is that of the message, and MSH-10 is derived from its
MSH-3 and MSH-10, so a message that is sent again gets the same answer again.

HL7 v2.6 chapter 2.9; IHE Devices TF-2 appendix G.1.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapters.hl7 import Message
from adapters.hl7_sender import Answers, RefusedAs, Sender

_ID_LETTERS: Final = 20
"""MSH-10 was that long before version 2.7."""
_FORCED: Final = MappingProxyType({
    Answers.COMMIT: ("C", "AL"),
    Answers.APPLICATION: ("A", "AL"),
    Answers.NONE: ("A", "NE"),
})  # fmt: skip


class Verdict(StrEnum):
    """Second letter of the acknowledgement code."""

    ACCEPTED = "A"
    ERROR = "E"
    REJECTED = "R"


def acknowledgement(message: Message, verdict: Verdict, *, sender: Sender) -> bytes | None:
    """The answer to a message without the marks of a frame; None if its sender wants none.

    Under RefusedAs.ACCEPT every verdict is told as accepted.
    """
    if sender.refused is RefusedAs.ACCEPT:
        verdict = Verdict.ACCEPTED
    mode, when = _FORCED[sender.answers] if sender.answers in _FORCED else _asked(message)
    if when == "NE" or ((when == "ER") is (verdict is Verdict.ACCEPTED) and when in {"ER", "SU"}):
        return None
    field, component = message.separators.field, message.separators.component
    header = message.header
    trigger = message.components(header.field(9))[1:2]
    lines = (
        field.join((
            "MSH",
            "".join(message.separators[1:]),
            *(header.field(number) for number in (5, 6, 3, 4, 7)),
            "",
            component.join(("ACK", *trigger, "ACK") if trigger else ("ACK",)),
            _own_id(message),
            header.field(11),
            header.field(12),
            *([""] * 5),
            header.field(18),
        )).rstrip(field),
        field.join(("MSA", mode + verdict, header.field(10))),
    )  # fmt: skip
    text = "".join(line + "\r" for line in lines)
    return text.encode(message.codec, errors="replace").translate(None, b"\x0b\x1c")


def _asked(message: Message) -> tuple[str, str]:
    accept = message.header.field(15).strip().upper()
    application = message.header.field(16).strip().upper()
    if accept:
        return "C", accept
    return "A", application or "AL"


def _own_id(message: Message) -> str:
    told = f"{message.header.field(3)}\n{message.header.field(10)}"
    return hashlib.sha256(told.encode(errors="replace")).hexdigest()[:_ID_LETTERS].upper()
