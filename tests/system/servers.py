"""Real servers for tests and benchmarks: child processes on the loopback address, each in its folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from desk.broker import COLLECTOR, Broker, Certificate, find_mosquitto
from desk.child import LOOPBACK, Child, free_port, listens

PUBLISHERS = ("host-a", "host-b")
"""Users of adapter hosts that every broker of a test knows; `password` tells their passwords."""

Row = dict[str, str | int | float | bool | None]
_INFINITY = re.compile(r"(?<=[\[,])\+?(-?)Inf(?=[\],])")
"""As VictoriaMetrics writes it among figures."""


def find_postgres() -> Path | None:
    """The newest PostgreSQL, which Debian keeps off the PATH; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    return found[-1] if found else Path(on_path) if on_path else None


def missing(name: str) -> str | None:
    """A sentence on how to get a program, as `mosquitto` or `influxd`; None if it is installed."""
    finders = {"mosquitto": find_mosquitto, "postgres": find_postgres}
    found = finders[name]() if name in finders else shutil.which(name)
    package = {
        "mosquitto": "mosquitto",
        "influxd": "influxdb",
        "openssl": "openssl",
        "postgres": "postgresql",
        "victoria-metrics": "victoria-metrics",
        "mosquitto_pub": "mosquitto-clients",
    }[name]
    return None if found else f"{name} is not installed: `apt-get install {package}`"


def password(user: str) -> str:
    """The password of a user of the tests' broker."""
    return f"secret of {user}"


def mosquitto(
    folder: Path,
    *,
    publishers: tuple[str, ...] = PUBLISHERS,
    autosave_interval_s: int = 1,
    certificate: Certificate | None = None,
) -> Broker:
    """A broker with the collector's account and one for each publisher; not started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    return Broker(
        folder,
        accounts={user: password(user) for user in (COLLECTOR, *publishers)},
        autosave_interval_s=autosave_interval_s,
        certificate=certificate,
    )


def _influx_config(folder: Path, *, port: int, rpc_port: int, auth: bool) -> str:
    return f"""\
reporting-enabled = false
bind-address = "{LOOPBACK}:{rpc_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[subscriber]
  enabled = false
[http]
  bind-address = "{LOOPBACK}:{port}"
  auth-enabled = {"true" if auth else "false"}
  log-enabled = false
[logging]
  level = "warn"
"""


class Influx:
    """One InfluxDB 1.x on a free port, all it has in one folder; with a user, it asks for the password."""

    def __init__(self, folder: Path, *, user: str = "", database: str = "hourmeter") -> None:
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.user = user
        self.database = database
        self._folder = folder
        self._config = _influx_config(folder, port=self.port, rpc_port=free_port(), auth=bool(user))
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        return self._child.pid if self._child else None

    @property
    def auth(self) -> dict[str, str]:
        """Headers that a client has to show."""
        if not self.user:
            return {}
        return {"Authorization": aiohttp.encode_basic_auth(self.user, password(self.user))}

    async def start(self) -> None:
        """Start on the same port as before, with what the folder holds; the database exists on return."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "influxdb.conf"
        config.write_text(self._config)
        self._child = Child(
            (shutil.which("influxd") or "influxd", "run", "-config", str(config)),
            log=self._folder / "influxd.log",
            ready=self._answers,
        )
        await self._child.start()
        if self.user:
            await self.query(
                f"CREATE USER \"{self.user}\" WITH PASSWORD '{password(self.user)}' WITH ALL PRIVILEGES"
            )
        await self.create(self.database)

    async def stop(self) -> None:
        """End it cleanly."""
        if self._child:
            await self._child.stop()

    async def kill(self) -> None:
        """End it with SIGKILL."""
        if self._child:
            await self._child.kill()

    def wipe(self) -> None:
        """Delete all data of a server that is not running."""
        for part in ("meta", "data", "wal"):
            shutil.rmtree(self._folder / part, ignore_errors=True)

    async def create(self, database: str) -> None:
        """Create a database; one that exists is left as it is."""
        await self.query(f'CREATE DATABASE "{database}"')

    async def query(self, statement: str, *, database: str | None = None) -> tuple[Row, ...]:
        """Rows of one InfluxQL statement, tags of a GROUP BY among the columns, time in nanoseconds."""
        answer = await self._ask("/query", {"db": database or self.database, "epoch": "ns", "q": statement})
        result = answer["results"][0]
        if "error" in result:
            raise ValueError(result["error"])
        return tuple(
            {**series.get("tags", {}), **dict(zip(series["columns"], values, strict=True))}
            for series in result.get("series", ())
            for values in series["values"]
        )

    async def _answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self.url}/ping") as answer:
                return answer.status == 204
        except aiohttp.ClientConnectionError:
            return False

    async def _ask(self, path: str, fields: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON of another's making
        async with (
            aiohttp.ClientSession(headers=self.auth) as http,
            http.post(self.url + path, data=fields) as answer,
        ):
            return await answer.json()


class Victoria:
    """One VictoriaMetrics on a free port: it takes the write API of InfluxDB 2, whatever the token.

    A line that it cannot read is dropped with a 204, a text is kept as the figure that it begins with or as
    0, times are cut to milliseconds, and of samples of one series and time the last is kept. What it
    acknowledged does not survive a kill.
    """

    def __init__(self, folder: Path, *, database: str = "hourmeter") -> None:
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        self._child = Child(
            (
                shutil.which("victoria-metrics") or "victoria-metrics",
                f"-storageDataPath={folder / 'data'}",
                f"-httpListenAddr={LOOPBACK}:{self.port}",
                f"-influx.databaseNames={database}",
                "-dedup.minScrapeInterval=1ms",
                "-retentionPeriod=100y",
            ),
            log=folder / "victoria-metrics.log",
            ready=lambda: listens(self.port),
        )

    async def start(self) -> None:
        """Start on the same port as before, with what the folder holds."""
        await self._child.start()

    async def stop(self) -> None:
        """End it cleanly."""
        await self._child.stop()

    async def kill(self) -> None:
        """End it with SIGKILL."""
        await self._child.kill()

    async def samples(self, measurement: str) -> tuple[tuple[dict[str, str], int, float], ...]:
        """What it holds of a measurement: tags with `__name__` (measurement_field), time in ms, value."""
        await self._get("/internal/force_flush")
        match = {"match[]": f'{{__name__=~"{measurement}_.+"}}', "start": "0"}
        text = _INFINITY.sub(r"\1Infinity", await self._get("/api/v1/export", **match))
        series = map(json.loads, text.splitlines())
        return tuple(
            (one["metric"], time_ms, value)
            for one in series
            for time_ms, value in zip(one["timestamps"], one["values"], strict=True)
        )

    async def invalid_lines(self) -> int:
        """Lines that it could not read and dropped."""
        (line,) = (
            line
            for line in (await self._get("/metrics")).splitlines()
            if line.startswith('vm_rows_invalid_total{type="influx"}')
        )
        return int(line.split()[-1])

    async def _get(self, path: str, **params: str) -> str:
        async with aiohttp.ClientSession() as http, http.get(self.url + path, params=params) as answer:
            assert answer.status == 200
            return await answer.text()
