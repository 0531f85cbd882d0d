"""What an operator does about answers of InfluxDB 2 and 3 that are neither success nor refused lines.

Commands are those of `influx` and `influxdb3` (InfluxData, command line references of both versions).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from collector.history import Misconfigured
from collector.influx_answers import Answer
from telemetry.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Advice:
    """The words for one bucket of InfluxDB 2 or one database of 3."""

    where: str
    version: Literal[2, 3]
    database: str
    org: str

    def trouble(self, answer: Answer) -> Misconfigured | Unavailable:
        """What an answer over HTTP means."""
        return self.said(answer.told, status=answer.status)

    def said(self, said: str, *, status: int) -> Misconfigured | Unavailable:
        """What InfluxDB's words mean."""
        if "organization" in said and "not found" in said:
            return self._settle(said, "give history.org as `influx org list` shows it")
        if ("bucket" in said or "database" in said) and "not found" in said:
            return self.missing(said)
        if "file limit" in said:
            return self._settle(said, "start InfluxDB 3 with a higher --query-file-limit")
        if status in {401, 403}:
            return self._settle(said, f"give a token that may (history.token_file): {self._token}")
        if status in {408, 429} or status >= 500:
            return Unavailable(self.where, why=said)
        return self.stranger(said)

    def missing(self, found: str) -> Misconfigured:
        """There is no such bucket or database, or none that the token may see."""
        if self.version == 2:
            create = f"influx bucket create --org {self._org} --name {self._database} --retention 0"
        else:
            create = f"influxdb3 create database {self._database}"
        return self._settle(
            found,
            f"run `{create}` as an administrator or mend history.database, and give a token that may"
            f" (history.token_file): {self._token}",
        )

    def unmapped(self, bucket_id: str) -> Misconfigured:
        """The bucket is there, but InfluxQL does not know it, as in an older InfluxDB 2."""
        command = f"influx v1 dbrp create --org {self._org} --db {self._database} --rp autogen --default"
        return self._settle(
            "the bucket has no name in InfluxQL", f"run `{command} --bucket-id {shlex.quote(bucket_id)}`"
        )

    def stranger(self, found: str) -> Misconfigured:
        """Somebody else answers."""
        expected = (
            f"in history.url the address of InfluxDB {self.version} itself, scheme, port and path right"
        )
        return self._settle(found, f'{expected} (InfluxDB 1.x is store = "influxdb1")')

    @property
    def _token(self) -> str:
        if self.version == 2:
            return f"`influx auth create --org {self._org} --read-bucket ID --write-bucket ID`"
        return (
            f'`influxdb3 create token --permission "db:{self.database}:read,write" --name hourmeter`'
            " (Core: --admin)"
        )

    @property
    def _database(self) -> str:
        return shlex.quote(self.database)

    @property
    def _org(self) -> str:
        return shlex.quote(self.org)

    def _settle(self, found: str, expected: str) -> Misconfigured:
        return Misconfigured(where=self.where, found=found, expected=expected)
