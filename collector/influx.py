"""History in InfluxDB 1.x: `/write` for points, InfluxQL over `/query` for the little that is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiohttp

from collector import influxql
from collector.history import MARKER, Marker, Misconfigured, Point, Refused
from collector.influx_answers import Answer, Pause, checked, tls, weathered
from collector.influx_posts import MOST_BYTES, MOST_POINTS, Refusal, store
from telemetry.errors import SettingsError, Unavailable

_T = TypeVar("_T")

_ANSWER_BYTES = 1 << 20
"""More of an answer is not read."""


@dataclass(frozen=True, slots=True)
class InfluxSettings:
    """Where InfluxDB 1.x is and how much it is given at once."""

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
    ca_file: Path | None = None
    """PEM file of the authority that signed the server's certificate; None: the system's authorities."""
    timeout_s: float = 30.0
    """For one post or query, real seconds."""
    batch_bytes: int = MOST_BYTES
    batch_points: int = MOST_POINTS


class InfluxHistory:
    """A history in one InfluxDB 1.x database, made inside a running event loop.

    Raises SettingsError for an address that cannot be used.
    """

    def __init__(self, settings: InfluxSettings, *, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._where = checked(settings.url, settings.database)
        if ":" in settings.user:
            raise SettingsError(where="history.user", found="it holds a colon", expected="a name without one")
        self._pause = Pause(now)
        user, password = settings.user, settings.password
        self._http = aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth(user, password)} if user else {},
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s),
            connector=aiohttp.TCPConnector(ssl=tls(settings.ca_file, verify=settings.verify_tls), limit=2),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def prepare(self) -> None:
        """Create the database if it is missing and the user may; otherwise Misconfigured says how."""
        if self._settings.database in await self._query("SHOW DATABASES", influxql.names_of):
            return
        try:
            create = f"CREATE DATABASE {influxql.quoted(self._settings.database)}"
            await self._query(create, influxql.names_of, method="POST")
        except Misconfigured as error:
            raise self._missing(error.found) from error

    async def write(self, points: Sequence[Point]) -> tuple[Refused, ...]:
        """Store points in posts of bounded size, two in flight until one is refused."""
        settings = self._settings
        return await store(
            points, post=self._post, most_bytes=settings.batch_bytes, most_points=settings.batch_points
        )

    async def marker(self, epoch: str) -> Marker | None:
        """The furthest marker of that journal epoch."""
        statement = influxql.select_marker(self._from(MARKER), epoch)
        return await self._query(statement, partial(influxql.marker_of, epoch=epoch))

    async def count(self, measurement: str) -> int:
        """Points of a measurement: the count of the field that most of them have."""
        return await self._query(influxql.select_count(self._from(measurement)), influxql.count_of)

    def _from(self, measurement: str) -> str:
        policy, name = self._settings.retention_policy, influxql.quoted(measurement)
        return f"{influxql.quoted(policy)}.{name}" if policy else name

    async def _post(self, body: bytes) -> Refusal | None:
        params = {"db": self._settings.database, "precision": "ns"}
        if self._settings.retention_policy:
            params["rp"] = self._settings.retention_policy
        answer = await self._ask("POST", "/write", params=params, data=body)
        if answer.status == 204:
            return None
        refusal = answer.refusal(size=len(body))
        if refusal is None:
            raise self._trouble(answer)
        return refusal

    async def _query(
        self, statement: str, reading: Callable[[influxql.Rows], _T], *, method: str = "GET"
    ) -> _T:
        answer = await self._ask(method, "/query", params={"db": self._settings.database, "q": statement})
        if answer.status != 200:
            raise self._trouble(answer)
        try:
            return influxql.read(answer.body, reading)
        except influxql.QueryError as error:
            raise self._said(str(error), status=500) from error
        except ValueError as error:
            raise self._stranger(str(error)) from error

    async def _ask(
        self, method: str, path: str, *, params: Mapping[str, str], data: bytes | None = None
    ) -> Answer:
        self._pause.check(self._where)
        url = self._settings.url.rstrip("/") + path
        with weathered(self._where, timeout_s=self._settings.timeout_s):
            async with self._http.request(
                method, url, params=params, data=data, allow_redirects=False
            ) as response:
                body = b""
                while part := await response.content.read(_ANSWER_BYTES - len(body)):
                    body += part
                answer = Answer(response.status, body, response.headers.get("Retry-After", ""))
        self._pause.note(answer)
        return answer

    # -- what an answer means that is neither success nor refused lines -------------------------------------

    def _trouble(self, answer: Answer) -> Misconfigured | Unavailable:
        return self._said(answer.told, status=answer.status)

    def _said(self, said: str, *, status: int) -> Misconfigured | Unavailable:
        if said.startswith("database not found"):
            return self._missing(said)
        if said.startswith("retention policy not found"):
            return self._settle(said, f"create it in database {self._settings.database!r}, or name another")
        if status == 401:
            return self._settle(
                said,
                "give the user and password that InfluxDB knows: history.user, and the password in "
                "history.password_file",
            )
        if status == 403 or "not authorized" in said or "requires admin" in said:
            return self._settle(
                said, f"grant user {self._settings.user!r} (history.user) ALL on that database"
            )
        if status in {408, 429} or status >= 500:
            return Unavailable(self._where, why=said)
        return self._stranger(said)

    def _settle(self, found: str, expected: str) -> Misconfigured:
        return Misconfigured(where=self._where, found=found, expected=expected)

    def _missing(self, found: str) -> Misconfigured:
        create = f"CREATE DATABASE {influxql.quoted(self._settings.database)}"
        return self._settle(
            found,
            f"run `{create}` as an administrator of InfluxDB, restore its backup, or mend history.database",
        )

    def _stranger(self, found: str) -> Misconfigured:
        return self._settle(
            found, "the address of InfluxDB itself in history.url, with the right scheme, port and path"
        )
