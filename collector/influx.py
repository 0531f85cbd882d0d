"""History in InfluxDB 1.x: `/write` for points, InfluxQL over `/query` for the little that is read.

Rule 1: only a 204 means stored. A 400 or 422 does not tell what was stored, so the lines are posted again in
halves, one post in flight, down to the lines at fault; rewriting overwrites.
Rule 2: only an answer in InfluxDB's own form condemns a line; anything else that is no success is a fault of
settings (kept, told, tried again) or of the weather (tried again).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from collector.history import MARKER, Marker, Misconfigured, Point, Refused
from collector.lineprotocol import encode
from telemetry.errors import MessageError, SettingsError, Unavailable

_ANSWER_BYTES = 1 << 20
"""More of an answer is not read."""
_REASON_CHARS = 300


@dataclass(frozen=True, slots=True)
class InfluxSettings:
    """Where InfluxDB is and how much it is given at once."""

    url: str
    """Scheme, host and port, perhaps a path before `/write`; no user, no query."""
    database: str
    user: str = ""
    """Without a user no credentials are sent."""
    password: str = field(default="", repr=False)
    """Password, or the token where InfluxDB 2 or 3 serves this interface."""
    retention_policy: str = ""
    """The database's default one if empty."""
    verify_tls: bool = True
    timeout_s: float = 30.0
    """For one post or query, real seconds."""
    batch_bytes: int = 1 << 20
    """Largest post; InfluxDB 1.x refuses more than 25 MB."""
    batch_points: int = 5_000


@dataclass(frozen=True, slots=True)
class _Line:
    index: int
    text: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    error: str
    """What InfluxDB says in its own form, else empty."""
    body: bytes


class InfluxHistory:
    """A history in one InfluxDB database, made inside a running event loop.

    Raises SettingsError for an address that cannot be used.
    """

    def __init__(self, settings: InfluxSettings) -> None:
        self._settings = settings
        self._where = f"history {_checked(settings)}, database {settings.database!r}"
        user, password = settings.user, settings.password
        self._http = aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth(user, password)} if user else {},
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s),
            connector=aiohttp.TCPConnector(ssl=settings.verify_tls, limit=2),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def prepare(self) -> None:
        """Create the database if it is missing and the user may; otherwise Misconfigured says how."""
        rows = await self._query("SHOW DATABASES", method="GET")
        if [self._settings.database] in rows:
            return
        try:
            await self._query(f"CREATE DATABASE {_quoted(self._settings.database)}", method="POST")
        except Misconfigured as error:
            raise self._missing(error.found) from error

    async def write(self, points: Sequence[Point]) -> tuple[Refused, ...]:
        """Store points in posts of bounded size, one after another."""
        lines: list[_Line] = []
        refused: list[Refused] = []
        for index, point in enumerate(points):
            try:
                lines.append(_Line(index, encode(point)))
            except MessageError as error:
                refused.append(Refused(index, error.reason))
        for batch in self._batches(lines):
            refused.extend(await self._store(batch))
        return tuple(sorted(refused, key=lambda one: one.index))

    async def marker(self, epoch: str) -> Marker | None:
        """The furthest marker of that journal epoch."""
        rows = await self._query(
            f"SELECT max(position), at_ms FROM {self._from(MARKER)} WHERE epoch = $epoch",  # noqa: S608 - names of ours; the value is bound
            params={"epoch": epoch},
        )
        return Marker(epoch, int(rows[0][1]), int(rows[0][2])) if rows else None

    async def count(self, measurement: str) -> int:
        """Points of a measurement: the count of the field that most of them have."""
        rows = await self._query(f"SELECT count(*) FROM {self._from(measurement)}")  # noqa: S608 - quoted
        return max(map(int, rows[0][1:])) if rows else 0

    # -- writing ------------------------------------------------------------------------------------------

    def _batches(self, lines: Sequence[_Line]) -> Iterator[Sequence[_Line]]:
        start = size = 0
        for place, line in enumerate(lines):
            full = size + len(line.text) > self._settings.batch_bytes
            if place > start and (full or place - start >= self._settings.batch_points):
                yield lines[start:place]
                start, size = place, 0
            size += len(line.text) + 1
        if lines:
            yield lines[start:]

    async def _store(self, lines: Sequence[_Line]) -> list[Refused]:
        """Post lines; when refused, their halves: at most two posts a level for each line at fault."""
        reason = await self._post(b"\n".join(line.text for line in lines))
        if not reason:
            return []
        if len(lines) == 1:
            return [Refused(lines[0].index, reason)]
        middle = len(lines) // 2
        return await self._store(lines[:middle]) + await self._store(lines[middle:])

    async def _post(self, body: bytes) -> str:
        """Why the lines were refused, empty if all are stored."""
        params = {"db": self._settings.database, "precision": "ns"}
        if self._settings.retention_policy:
            params["rp"] = self._settings.retention_policy
        answer = await self._ask("POST", "/write", params=params, data=body)
        if answer.status == 204:
            return ""
        if answer.status == 413:
            return f"{len(body)} bytes are too many for the server (413)"
        if answer.status in {400, 422} and answer.error:
            return answer.error[:_REASON_CHARS]
        raise self._trouble(answer)

    # -- reading ------------------------------------------------------------------------------------------

    def _from(self, measurement: str) -> str:
        policy = self._settings.retention_policy
        return f"{_quoted(policy)}.{_quoted(measurement)}" if policy else _quoted(measurement)

    async def _query(
        self, statement: str, *, method: str = "GET", params: Mapping[str, str] | None = None
    ) -> list[list[Any]]:
        """Rows of the first series of one statement."""
        query = {"db": self._settings.database, "q": statement, "params": json.dumps(params or {})}
        answer = await self._ask(method, "/query", params=query)
        if answer.status != 200:
            raise self._trouble(answer)
        try:
            result = json.loads(answer.body)["results"][0]
            error: str = result.get("error", "")
            rows: list[list[Any]] = result.get("series", [{}])[0].get("values", [])
        except (ValueError, LookupError, TypeError, AttributeError):
            raise self._stranger("answers a query, but not as InfluxDB does") from None
        if error:
            raise self._trouble(_Answer(500, error, b""))
        return rows

    # -- asking -------------------------------------------------------------------------------------------

    async def _ask(
        self, method: str, path: str, *, params: Mapping[str, str], data: bytes | None = None
    ) -> _Answer:
        url = self._settings.url.rstrip("/") + path
        try:
            async with self._http.request(
                method, url, params=params, data=data, allow_redirects=False
            ) as response:
                body = b""
                while part := await response.content.read(_ANSWER_BYTES - len(body)):
                    body += part
                return _Answer(response.status, _error(body), body)
        except aiohttp.ClientSSLError as error:
            raise Misconfigured(
                where=self._where,
                found=f"its certificate or TLS is not accepted ({error})"[:_REASON_CHARS],
                expected="a certificate that this machine trusts for that name",
            ) from error
        except TimeoutError as error:
            raise Unavailable(self._where, why=f"no answer within {self._settings.timeout_s:g} s") from error
        except aiohttp.ClientError as error:
            raise Unavailable(self._where, why=str(error) or type(error).__name__) from error

    def _trouble(self, answer: _Answer) -> Misconfigured | Unavailable:
        """What an answer means that is neither success nor refused lines."""
        said = answer.error[:_REASON_CHARS] or f"answers {answer.status}"
        status = answer.status
        if answer.error.startswith("database not found"):
            return self._missing(said)
        if answer.error.startswith("retention policy not found"):
            return self._settle(said, f"create it in database {self._settings.database!r}, or name another")
        if status == 401:
            return self._settle(said, "give the user and password that InfluxDB knows")
        if status == 403 or "not authorized" in answer.error or "requires admin" in answer.error:
            return self._settle(said, f"grant user {self._settings.user!r} ALL on that database")
        if status in {408, 429} or status >= 500:
            return Unavailable(self._where, why=said)
        return self._stranger(said)

    def _settle(self, found: str, expected: str) -> Misconfigured:
        return Misconfigured(where=self._where, found=found, expected=expected)

    def _missing(self, found: str) -> Misconfigured:
        create = f"CREATE DATABASE {_quoted(self._settings.database)}"
        return self._settle(found, f"run `{create}` as an administrator of InfluxDB, or restore its backup")

    def _stranger(self, found: str) -> Misconfigured:
        return self._settle(found, "the address of InfluxDB itself, with the right scheme, port and path")


def _checked(settings: InfluxSettings) -> str:
    """The URL if it can be used and shown. Raises SettingsError."""
    try:
        parts = urlsplit(settings.url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise SettingsError(
            where="history url", found="it is no address", expected="such as http://localhost:8086"
        )
    if parts.username is not None or parts.password is not None:
        raise SettingsError(
            where="history url", found="it holds a user", expected="give user and password as settings"
        )
    if ":" in settings.user:
        raise SettingsError(where="history user", found="it holds a colon", expected="a name without one")
    if not settings.database:
        raise SettingsError(where="history database", found="it has no name", expected="such as hourmeter")
    return settings.url


def _error(body: bytes) -> str:
    """The `error` (1.x, 3) or `message` (2.x) of an answer in InfluxDB's form, else empty."""
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(said, dict):
        return ""
    error = said.get("error") or said.get("message")
    return error if isinstance(error, str) else ""


def _quoted(name: str) -> str:
    """An InfluxQL identifier."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
