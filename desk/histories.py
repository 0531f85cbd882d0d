"""The history of a site: which store its settings ask for, and with what."""

from __future__ import annotations

from typing import Literal

from collector.embedded import EmbeddedHistory
from collector.history import History as Store
from collector.influx import InfluxHistory, InfluxSettings
from collector.influx2 import Influx2History, Influx2Settings
from desk.settings import History, Settings
from telemetry.clock import Clock
from telemetry.errors import SettingsError


def check_days(settings: Settings) -> None:
    """Raises SettingsError if the journal may write again what the embedded history no longer takes."""
    raw_days, retention_days = settings.history.raw_days, settings.journal.retention_days
    if settings.history.store == "embedded" and raw_days <= retention_days:
        raise SettingsError(
            where="history.raw_days",
            found=f"is {raw_days}, and journal.retention_days {retention_days:g}",
            expected="more days than the journal keeps: what it writes again would be refused",
        )


def history_of(history: History, *, clock: Clock | None = None) -> Store:
    """A history, not yet asked for anything; made inside a running event loop.

    The embedded one forgets old points by that clock, and none without. Raises SettingsError for what is
    missing or cannot work.
    """
    match history.store:
        case "embedded":
            return EmbeddedHistory(history.file, clock=clock, raw_days=history.raw_days)
        case "influxdb1":
            return InfluxHistory(
                InfluxSettings(
                    url=history.url,
                    database=history.database,
                    user=history.user,
                    password=history.secret("history") or "",
                    verify_tls=history.verify_tls,
                    ca_file=history.ca_file,
                )
            )
        case "influxdb2":
            _required(history.org, "org", "the organization of InfluxDB 2, as `influx org list` shows it")
            return Influx2History(_settings(history, version=2))
        case "influxdb3":
            return Influx2History(_settings(history, version=3))


def _settings(history: History, *, version: Literal[2, 3]) -> Influx2Settings:
    expected = f"a file with the token for {history.store}, or HOURMETER_HISTORY__TOKEN in the environment"
    return Influx2Settings(
        version=version,
        url=history.url,
        database=history.database,
        token=_required(history.secret_token(), "token_file", expected),
        org=history.org,
        verify_tls=history.verify_tls,
        ca_file=history.ca_file,
    )


def _required(value: str | None, key: str, expected: str) -> str:
    if not value:
        raise SettingsError(where=f"history.{key}", found="is not set", expected=expected)
    return value
