"""Tries everything that a settings file names, all at once, and says of each what is wrong.

Rule 1: nothing at work is disturbed: no session, lock, port, file or device is taken from whoever has it.
Rule 2: what cannot be known without disturbing is said to be unknown, and is no fault.
Rule 3: by whose fault: `wrong` the operator can mend, `unavailable` may mend itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from telemetry.errors import SettingsError, Unavailable

WITHIN_S = 10.0
"""Longest time that one check is given, in seconds."""
_AT_ONCE = 64


class Verdict(StrEnum):
    """How something was found."""

    OK = "ok"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried."""

    what: str
    verdict: Verdict
    found: str
    expected: str = ""
    """What would be right, or what to do; empty where all is well."""


class Check(NamedTuple):
    """One thing to try; what it raises is told as a finding too."""

    what: str
    ask: Callable[[], Awaitable[Sequence[Finding]]]


def ok(what: str, found: str) -> Finding:
    """All is well."""
    return Finding(what, Verdict.OK, found)


def wrong(what: str, error: SettingsError) -> Finding:
    """The operator can mend it."""
    return Finding(what, Verdict.WRONG, f"{error.where}: {error.found}", error.expected)


def unavailable(what: str, error: Unavailable) -> Finding:
    """It is not to be had now."""
    return Finding(what, Verdict.UNAVAILABLE, f"{error.what}: {error.why}", error.advice)


async def attempt(check: Check, *, within_s: float = WITHIN_S) -> tuple[Finding, ...]:
    """What a check finds, within its time."""
    try:
        async with asyncio.timeout(within_s):
            return tuple(await check.ask())
    except SettingsError as error:
        return (wrong(check.what, error),)
    except Unavailable as error:
        return (unavailable(check.what, error),)
    except TimeoutError:
        return (Finding(check.what, Verdict.UNAVAILABLE, f"no answer within {within_s:g} s", "does it run?"),)


async def run(
    checks: Sequence[Check], *, done: Callable[[], None], within_s: float = WITHIN_S
) -> tuple[Finding, ...]:
    """All findings in the order of the checks, many tried at a time; `done` is called after each."""
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(check: Check) -> tuple[Finding, ...]:
        async with at_once:
            found = await attempt(check, within_s=within_s)
        done()
        return found

    found = await asyncio.gather(*map(one, checks))
    return tuple(finding for findings in found for finding in findings)


def exit_code(findings: Sequence[Finding]) -> int:
    """0 if all is well, 2 if the operator can mend something, 3 if something is only not to be had."""
    verdicts = {finding.verdict for finding in findings}
    if Verdict.WRONG in verdicts:
        return 2
    return 3 if Verdict.UNAVAILABLE in verdicts else 0
