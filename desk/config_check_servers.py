"""Tries the servers of a settings file: broker, history, ledger, and the clocks that they show."""

from __future__ import annotations

import asyncio
import email.utils
import secrets
from collections.abc import Sequence

import aiohttp

from collector.history import Marker, marker_point
from collector.influx_answers import tls as influx_tls
from collector.ledger_server import LedgerDatabase, LedgerServer
from collector.ledger_store import BUSY_MS
from collector.mqtt_probe import probe
from collector.mqtt_settings import MqttSettings
from desk import reading
from desk.compose import broker_tls
from desk.config_check import Finding, Verdict, ok, wrong
from desk.histories import history_of
from desk.journal_clock import APART_MS
from desk.settings import Settings
from telemetry import topics
from telemetry.clock import Clock
from telemetry.errors import SettingsError

EPOCH = "config-check"
"""Epoch of the marker that is written to try the history: no journal has it, so nobody reads that marker."""
_NOBODY = "hourmeter-config-check"
"""A publisher that does not exist: what is published to it has no reader."""
_RIGHTS = """
SELECT current_user, has_schema_privilege(current_schema(), 'CREATE'),
    to_regclass('alembic_version') IS NOT NULL, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)
"""


async def broker_as_collector(settings: Settings) -> Sequence[Finding]:
    """Whether the collector may connect, read all messages and write confirmations."""
    what, broker = "broker, as collector", settings.broker
    heard = await probe(
        _mqtt(settings, user=broker.user, password=broker.secret("broker"), table="broker"),
        read=topics.EVERYTHING,
        write=topics.confirmed(_NOBODY),
        tls=broker_tls(settings),
    )
    found = f"{broker.host}:{broker.port} takes user {broker.user}, who may write confirmations"
    return [
        ok(what, f"{found} and read messages") if heard else ok(what, found),
        *_reading(what, broker.user, heard),
    ]


def _reading(what: str, user: str, heard: int) -> Sequence[Finding]:
    if heard:
        return []
    return [
        Finding(
            what,
            Verdict.UNKNOWN,
            "it grants reading, and nothing was heard: Mosquitto grants it whatever its access list says",
            f"its access list (ACL) needs `topic read {topics.EVERYTHING}` for user {user}",
        )
    ]


async def broker_as_host(settings: Settings, publisher: str) -> Sequence[Finding]:
    """Whether the adapter host may connect and read its confirmations."""
    what, broker = f"broker, as {publisher}", settings.broker
    heard = await probe(
        _mqtt(settings, user=publisher, password=settings.host.secret("host"), table="host"),
        read=topics.confirmed(publisher),
        tls=broker_tls(settings),
    )
    place = f"{broker.host}:{broker.port} takes user {publisher}"
    if heard:
        return [ok(what, f"{place}, whose messages the collector has confirmed before")]
    return [
        ok(what, place),
        Finding(
            what,
            Verdict.UNKNOWN,
            "whether it may publish and read confirmations shows with its first message: any that were sent "
            "to try would be kept",
            f"the access list (ACL) needs `pattern write {topics.ROOT}/%u/+/+` and "
            f"`pattern read {topics.confirmed('%u')}`",
        ),
    ]


def _mqtt(settings: Settings, *, user: str, password: str | None, table: str) -> MqttSettings:
    return MqttSettings(
        host=settings.broker.host,
        port=settings.broker.port,
        user=user,
        password=password or "",
        password_from=f"{table}.password_file",
        user_from="broker.user" if table == "broker" else "host.publisher",
        client_id=f"hourmeter-check-{secrets.token_hex(4)}",
        connect_within_s=8,
    )


async def history(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """Whether the history answers, has or may make the database, and takes a point."""
    store = history_of(settings.history)
    try:
        await store.prepare()
        refused = await store.write((marker_point(Marker(EPOCH, 0, clock.now_ms())),))
    finally:
        await store.close()
    if refused:
        raise SettingsError(
            where="history", found=f"it refuses a point: {refused[0].reason}", expected="mend that first"
        )
    asked = settings.history
    return [ok("history", f"{asked.store} at {asked.url} takes points into {asked.database!r}")]


async def clock_of_history(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """This machine's clock against the `Date` that InfluxDB's answers bear (RFC 9110, 6.6.1)."""
    asked = settings.history
    trust = influx_tls(asked.ca_file, verify=asked.verify_tls)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http,
            http.get(f"{asked.url.rstrip('/')}/ping", allow_redirects=False) as answer,
        ):
            date = answer.headers.get("Date", "")
    except (aiohttp.ClientError, ValueError):
        date = ""  # what is wrong is told of the history
    if not date:
        return [Finding("clock", Verdict.UNKNOWN, f"{asked.url} tells no time")]
    theirs = email.utils.parsedate_to_datetime(date)
    return compared("clock", f"{asked.url}", theirs_ms=int(theirs.timestamp() * 1000), now_ms=clock.now_ms())


def compared(what: str, other: str, *, theirs_ms: int, now_ms: int) -> Sequence[Finding]:
    """This machine's clock against another's, which may itself be the one that is wrong."""
    ahead_s = round((now_ms - theirs_ms) / 1000)
    if abs(now_ms - theirs_ms) <= APART_MS:
        return [ok(what, f"within {max(1, abs(ahead_s))} s of {other}")]
    way = "ahead of" if ahead_s > 0 else "behind"
    error = SettingsError(
        where="clock of this machine",
        found=f"is {abs(ahead_s)} s {way} {other}",
        expected="set the clock that is wrong (timedatectl), and let both keep time by NTP",
    )
    return [wrong(what, error)]


async def ledger_server(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """Whether the ledger's server is reached, and our user may do there what it must; nothing is made."""
    return await asyncio.to_thread(_ledger_server, settings, clock)


def _ledger_server(settings: Settings, clock: Clock) -> Sequence[Finding]:
    place = reading.ledger_place(settings)
    if not isinstance(place, LedgerDatabase):
        raise TypeError(place)
    server = LedgerServer(place, busy_ms=BUSY_MS)
    try:
        with server.transaction("read") as connection:
            user, may_create, is_there, now_ms = connection.exec_driver_sql(_RIGHTS).one()
    finally:
        server.close()
    if not may_create:
        raise SettingsError(
            where="ledger.url",
            found=f"user {user!r} may not create tables in {server.name}",
            expected=f'`GRANT CREATE ON SCHEMA public TO "{user}"`, or a database that this user owns',
        )
    found = "there" if is_there else "to be made at the first start"
    return [
        ok("ledger", f"{server.name}: reached, its tables are {found}"),
        *compared("clock", server.name, theirs_ms=int(now_ms), now_ms=clock.now_ms()),
    ]
