"""What InfluxDB of any version answers, and what it means when nothing comes back.

Rule: only an answer in InfluxDB's own form condemns a line; anything else that is no success is a fault of
settings (kept, told, tried again) or of the weather (tried again).
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from collector.history import Misconfigured
from collector.influx_posts import Refusal
from telemetry.errors import SettingsError, Unavailable

REASON_CHARS = 300
"""More of what a server says is not told."""
_ADVICE = "does it run, and is history.url right?"
LONGEST_PAUSE_S = 600
"""A server that asks to be left alone for longer is asked again after this."""


class Answer(NamedTuple):
    """One answer over HTTP."""

    status: int
    body: bytes
    retry_after: str = ""
    """The header of that name."""

    @property
    def error(self) -> str:
        """What InfluxDB says in its own form: `error` (1.x, 3) or `message` (2.x), else empty."""
        said = _json(self.body)
        error = (said.get("error") or said.get("message")) if isinstance(said, dict) else None
        return error[:REASON_CHARS] if isinstance(error, str) else ""

    @property
    def told(self) -> str:
        """What there is to tell an operator."""
        return self.error or f"answers {self.status}"

    def refusal(self, *, size: int) -> Refusal | None:
        """Why lines of that many bytes were refused; None for an answer that condemns none of them."""
        if self.status == 413:
            return Refusal(f"{size} bytes are too many for the server (413)")
        if self.status not in {400, 422} or not self.error:
            return None
        return _refusal(_json(self.body), self.error)

    @property
    def is_weather(self) -> bool:
        """Whether it means: later."""
        return self.status in {408, 429} or self.status >= 500


def _json(body: bytes) -> Any:  # noqa: ANN401 - JSON of another's making
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _refusal(said: dict[str, Any], error: str) -> Refusal:
    """The reason and the lines that the server names, counted by it from 1.

    InfluxDB 2: `line`, the first one that cannot be read (API reference, LineProtocolError).
    InfluxDB 3: `data`, one fault or a list of at most 100, each with `line_number` and `error_message`
    (InfluxDB 3 Core, "Troubleshoot issues writing data", partial writes).
    """
    data = said.get("data")
    faults = [fault for fault in (data if isinstance(data, list) else [data]) if isinstance(fault, dict)]
    numbers = [said.get("line"), *(fault.get("line_number") for fault in faults)]
    lines = tuple(number - 1 for number in numbers if isinstance(number, int))
    reasons = [str(fault["error_message"]) for fault in faults if fault.get("error_message")]
    return Refusal(reasons[0][:REASON_CHARS] if reasons else error, lines)


@dataclass(slots=True)
class Pause:
    """Leaves a server alone for as long as it asked by `Retry-After`."""

    now: Callable[[], float]
    """Seconds of a clock that only goes forward."""
    until: float = float("-inf")

    def note(self, answer: Answer) -> None:
        """Take the header in, if it is one of seconds."""
        asked = answer.retry_after.strip()
        if answer.is_weather and asked.isascii() and asked.isdecimal():
            self.until = self.now() + min(int(asked[:9]), LONGEST_PAUSE_S)

    def check(self, where: str) -> None:
        """Raises Unavailable while the server wants to be left alone."""
        left_s = self.until - self.now()
        if left_s > 0:
            raise Unavailable(where, why=f"asked to be left alone for {left_s:.0f} s more (Retry-After)")


@contextmanager
def weathered(where: str, *, timeout_s: float) -> Iterator[None]:
    """Trouble of network and TLS in the operator's words."""
    try:
        yield
    except aiohttp.ClientSSLError as error:
        raise Misconfigured(
            where=where,
            found=f"its certificate or TLS is not accepted ({error})"[:REASON_CHARS],
            expected="a certificate that this machine trusts for that name",
        ) from error
    except TimeoutError as error:
        raise Unavailable(where, why=f"no answer within {timeout_s:g} s", advice=_ADVICE) from error
    except aiohttp.ClientError as error:
        raise Unavailable(where, why=str(error) or type(error).__name__, advice=_ADVICE) from error


def checked(url: str, database: str) -> str:
    """Both as errors name them, if the URL can be used and shown. Raises SettingsError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise SettingsError(
            where="history.url", found="it is no address", expected="such as http://localhost:8086"
        )
    if parts.username is not None or parts.password is not None:
        raise SettingsError(
            where="history.url", found="it holds a user", expected="give user and password as settings"
        )
    if not database:
        raise SettingsError(where="history.database", found="it has no name", expected="such as hourmeter")
    return f"history {url}, database {database!r}"


def tls(ca_file: Path | None, *, verify: bool) -> ssl.SSLContext:
    """How the server proves who it is. Raises SettingsError for a file of no authority."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SettingsError(
            where="history.ca_file", found=f"{ca_file}: {error}", expected="a PEM file of the authority"
        ) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
