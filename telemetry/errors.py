"""Errors by whose fault they are; anything else that is raised is a bug of ours and crashes loudly."""

from __future__ import annotations


class HourmeterError(Exception):
    """Common ancestor, for the one place that turns errors into a line and an exit code."""


class MessageError(HourmeterError):
    """The device or its adapter said something that cannot be read: kept, counted, never fatal."""

    def __init__(self, reason: str, *, subject: str = "") -> None:
        self.reason = reason
        self.subject = subject
        super().__init__(f"{subject}: {reason}" if subject else reason)


class SettingsError(HourmeterError):
    """The operator can mend this: names where, what was found and what would be right."""

    def __init__(self, *, where: str, found: str, expected: str) -> None:
        self.where = where
        self.found = found
        self.expected = expected
        super().__init__(f"{where}: {found}; {expected}")


class Unavailable(HourmeterError):  # noqa: N818 - the word of the design: the weather is not an error of anyone
    """A network, server or disk is not to be had now: tried again with jitter, nothing given up."""

    def __init__(self, what: str, *, why: str, advice: str = "") -> None:
        self.what = what
        self.why = why
        self.advice = advice
        super().__init__(f"{what}: {why}" + (f"; {advice}" if advice else ""))
