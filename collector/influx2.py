"""History in InfluxDB 2 and 3: points through influxdb-client's `/api/v2/write`, InfluxQL over `/query`.

Lines are ours and go as they are, never as the client's own points. Both versions take the same token in the
same header, answer the same InfluxQL, and know what is called a bucket in 2 and a database in 3 by its name.
Source: InfluxData, "InfluxDB API" v2 (write, buckets, orgs) and "InfluxDB 3 Core API" (configure/database).
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from collector import influxql
from collector.history import MARKER, Marker, Point, Refused
from collector.influx2_advice import Advice
from collector.influx_answers import Answer, Pause, checked, tls, weathered
from collector.influx_posts import MOST_BYTES, MOST_POINTS, Refusal, store
from telemetry.errors import SettingsError

_T = TypeVar("_T")

_DAYS_BACK = 31
"""How far the last marker is looked for where InfluxDB 3 Core refuses to look at all days at once: it opens
at most 432 files a query unless told otherwise, which is some three days of markers."""


@dataclass(frozen=True, slots=True)
class Influx2Settings:
    """Where InfluxDB 2 or 3 is and how much it is given at once."""

    version: Literal[2, 3]
    url: str
    """Scheme, host and port, perhaps a path before `/api`; no user, no query."""
    database: str
    """The bucket in 2, the database in 3."""
    token: str = field(repr=False)
    """May read and write that bucket or database."""
    org: str = ""
    """Name of the organization in 2; 3 has none."""
    verify_tls: bool = True
    ca_file: Path | None = None
    """PEM file of the authority that signed the server's certificate; None: the system's authorities."""
    timeout_s: float = 30.0
    """For one post or query, real seconds."""
    batch_bytes: int = MOST_BYTES
    batch_points: int = MOST_POINTS


class Influx2History:
    """A history in one bucket of InfluxDB 2 or one database of 3, made inside a running event loop.

    Raises SettingsError for an address or token that cannot be used.
    """

    def __init__(self, settings: Influx2Settings, *, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._where = checked(settings.url, settings.database)
        if not settings.token or not all("!" <= sign <= "~" for sign in settings.token):
            raise SettingsError(
                where="history.token_file", found="it is empty or holds a space", expected="the token alone"
            )
        self._advice = Advice(self._where, settings.version, settings.database, settings.org)
        self._pause = Pause(now)
        self._client = InfluxDBClientAsync(
            settings.url,
            settings.token,
            settings.org,
            timeout=int(settings.timeout_s * 1_000),
            ssl_context=tls(settings.ca_file, verify=settings.verify_tls),
            allow_redirects=False,
            connection_pool_maxsize=2,
        )
        self._lines = self._client.write_api()
        self._api: Any = self._client.api_client  # without types in the library

    async def close(self) -> None:
        """Close the connections."""
        await self._client.__aexit__(None, None, None)

    async def prepare(self) -> None:
        """Create the bucket or database if it is missing and the token may; Misconfigured says how else."""
        async with self._asking() as answers:
            await self._client.ping()
        if answers:
            raise self._advice.trouble(answers[0])
        if self._settings.database in await self._query("SHOW DATABASES", influxql.names_of):
            return
        await (self._create_bucket() if self._settings.version == 2 else self._create_database())

    async def write(self, points: Sequence[Point]) -> tuple[Refused, ...]:
        """Store points in posts of bounded size, two in flight until one is refused."""
        settings = self._settings
        return await store(
            points, post=self._post, most_bytes=settings.batch_bytes, most_points=settings.batch_points
        )

    async def marker(self, epoch: str) -> Marker | None:
        """The furthest marker of that journal epoch."""
        statement = influxql.select_marker(influxql.quoted(MARKER), epoch)
        reading = partial(influxql.marker_of, epoch=epoch)
        answer = await self._ask_query(statement)
        if b"file limit" not in answer.body:
            return self._read(answer, reading)
        for day in range(1, _DAYS_BACK + 1):
            until = f" AND time <= now() - {day - 1}d" if day > 1 else ""
            found = await self._query(f"{statement} AND time > now() - {day}d{until}", reading)
            if found is not None:
                return found
        return None

    async def count(self, measurement: str) -> int:
        """Points of a measurement: the count of the field that most of them have."""
        return await self._query(influxql.select_count(influxql.quoted(measurement)), influxql.count_of)

    # -- asking ---------------------------------------------------------------------------------------------

    async def _post(self, body: bytes) -> Refusal | None:
        taken = False
        async with self._asking() as answers:
            taken = await self._lines.write(self._settings.database, self._settings.org, body)
        if taken:
            return None
        answer = answers[0] if answers else Answer(200, b"")
        refusal = answer.refusal(size=len(body))
        if refusal is None:
            raise self._advice.trouble(answer)
        return refusal

    async def _query(self, statement: str, reading: Callable[[influxql.Rows], _T]) -> _T:
        return self._read(await self._ask_query(statement), reading)

    async def _ask_query(self, statement: str) -> Answer:
        params = {"db": self._settings.database, "q": statement}
        if self._settings.version == 2:
            params["org"] = self._settings.org
        return await self._ask("GET", "/query", params)

    def _read(self, answer: Answer, reading: Callable[[influxql.Rows], _T]) -> _T:
        if answer.status != 200:
            raise self._advice.trouble(answer)
        try:
            return influxql.read(answer.body, reading)
        except influxql.QueryError as error:
            raise self._advice.said(str(error), status=500) from error
        except ValueError as error:
            raise self._advice.stranger(str(error)) from error

    async def _ask(
        self, method: str, path: str, params: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> Answer:
        async with self._asking() as answers:
            response = await self._api.request(
                method,
                self._settings.url.rstrip("/") + path,
                query_params=dict(params),
                headers={"Accept": "application/json", **self._api.default_headers},
                body=body,
            )
            return Answer(response.status, response.data)
        return answers[0]

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[list[Answer]]:
        """Something asked through the client; an answer that is no success is in the list afterwards."""
        self._pause.check(self._where)
        answers: list[Answer] = []
        with weathered(self._where, timeout_s=self._settings.timeout_s):
            try:
                yield answers
            except ApiException as error:
                answers.append(Answer(error.status or 0, error.body or b"", error.retry_after or ""))
                self._pause.note(answers[0])

    # -- preparing ------------------------------------------------------------------------------------------

    async def _create_bucket(self) -> None:
        """Make a bucket of InfluxDB 2, which InfluxQL then knows by its name (a virtual DBRP mapping)."""
        bucket, org = self._settings.database, self._settings.org
        known = await self._first("/api/v2/buckets", {"name": bucket, "org": org}, "buckets")
        if known:
            raise self._advice.unmapped(known)
        new = {"orgID": await self._first("/api/v2/orgs", {"org": org}, "orgs"), "name": bucket}
        self._created(await self._ask("POST", "/api/v2/buckets", {}, {**new, "retentionRules": []}))

    async def _first(self, path: str, params: Mapping[str, str], many: str) -> str:
        """The id of the first of what a list holds, empty if it holds none or we may not see it."""
        answer = await self._ask("GET", path, params)
        if answer.status in {401, 403, 404} and answer.error:
            return ""
        if answer.status != 200:
            raise self._advice.trouble(answer)
        try:
            found = json.loads(answer.body)[many]
            return str(found[0]["id"]) if found else ""
        except (ValueError, LookupError, TypeError) as error:
            raise self._advice.stranger(f"lists {many}, but not as InfluxDB does") from error

    async def _create_database(self) -> None:
        """Make a database of InfluxDB 3."""
        path = "/api/v3/configure/database"
        self._created(await self._ask("POST", path, {}, {"db": self._settings.database}))

    def _created(self, answer: Answer) -> None:
        """Raises what an answer to a creation means that was none."""
        if answer.status in {200, 201}:
            return
        refused = answer.error and not answer.is_weather
        raise self._advice.missing(answer.told) if refused else self._advice.trouble(answer)
