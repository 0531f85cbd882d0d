"""Settings of one HL7 sender: how it is answered and read where it departs from the standard.

Rule 1: a sender must never be blocked by us: without settings everything whose MSH can be read is accepted,
what cannot be used included; the loss is counted here, the gateway goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from telemetry.errors import SettingsError

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""Largest message unless the settings say otherwise, between the marks of its frame."""
LEAST_BYTES: Final = 4096
"""A limit below this would refuse ordinary messages."""


class Answers(StrEnum):
    """Which acknowledgement a sender expects: by its MSH-15 and MSH-16, or always the same."""

    AUTO = "auto"
    COMMIT = "commit"
    """CA, CE, CR whatever MSH-15 says."""
    APPLICATION = "application"
    """AA, AE, AR whatever MSH-15 says; some senders expect it to IHE messages as well."""
    NONE = "none"


class RefusedAs(StrEnum):
    """How a message that cannot be used is answered; many senders repeat for ever what is not accepted."""

    ACCEPT = "accept"
    ERROR = "error"
    """CE or AE; CR or AR for what exceeds a limit."""


@dataclass(frozen=True, slots=True)
class Sender:
    """What is known of one sender besides its messages. Raises SettingsError for an impossible value."""

    answers: Answers = Answers.AUTO
    refused: RefusedAs = RefusedAs.ACCEPT
    encoding: str = ""
    """Encoding that the sender really uses, by its Python name, if MSH-18 is wrong; empty believes MSH-18."""
    max_message_bytes: int = MAX_MESSAGE_BYTES

    def __post_init__(self) -> None:
        """Refuse what no sender can be."""
        if self.max_message_bytes < LEAST_BYTES:
            raise SettingsError(
                where="max_message_bytes",
                found=str(self.max_message_bytes),
                expected=f"at least {LEAST_BYTES}",
            )
        try:
            plain = "MSH|".encode(self.encoding or "ascii")
        except (LookupError, ValueError):
            plain = b""
        if plain != b"MSH|":
            raise SettingsError(
                where="encoding",
                found=f"{self.encoding!r} is no encoding that HL7 can be read in",
                expected="a name such as utf-8, cp1258 or gb18030, or empty to believe MSH-18",
            )
