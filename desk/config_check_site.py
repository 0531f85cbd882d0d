"""Which checks a settings file asks for: those of the parts that it is for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from desk import config_check_files as files
from desk import config_check_host as host
from desk import config_check_servers as servers
from desk.compose import Part
from desk.config_check import Check, Finding
from desk.histories import check_days
from desk.settings import Settings
from telemetry.clock import Clock
from telemetry.errors import SettingsError

_COLLECTORS = frozenset({"journal", "history", "ledger", "rules", "desk", "asset"})
"""Tables that only the collector's machine has a use for."""


def parts_of(settings: Settings, *, tables: frozenset[str]) -> frozenset[Part]:
    """What the settings are for: an adapter host's file has none of the collector's tables."""
    adapts = bool(settings.device or settings.gateway or settings.host.publisher)
    broker = settings.broker
    collects = bool(_COLLECTORS & tables) or bool(broker.password or broker.password_file)
    back = (
        frozenset({Part.COLLECT, Part.CONCLUDE, Part.DESK}) if collects or not adapts else frozenset[Part]()
    )
    return back | (frozenset({Part.ADAPT}) if adapts else frozenset[Part]())


def checks_of(settings: Settings, parts: frozenset[Part], *, clock: Clock) -> tuple[Check, ...]:
    """What to try for those parts, in the order in which it is told."""
    checks: list[Check] = []

    def add(what: str, ask: Callable[..., Coroutine[Any, Any, Sequence[Finding]]], *about: object) -> None:
        checks.append(Check(what, partial(ask, settings, *about)))

    checks.append(Check("broker", partial(_broker, settings, parts)))
    if Part.COLLECT in parts:
        if settings.broker.host:
            add("broker, as collector", servers.broker_as_collector)
        add("journal", files.journal)
        add("clock", files.clock_of_journal, clock)
        if settings.history.store == "embedded":
            add("history", _embedded)
        else:
            add("history", servers.history, clock)
            add("clock", servers.clock_of_history, clock)
    if parts & {Part.COLLECT, Part.CONCLUDE, Part.DESK}:
        if settings.ledger.url:
            add("ledger", servers.ledger_server, clock)
        else:
            add("ledger", files.ledger_file)
    if Part.CONCLUDE in parts:
        add("rules", files.rules, clock)
    if Part.DESK in parts:
        add("page", host.page)
    if settings.health.port:
        add("health", host.health)
    if Part.ADAPT in parts:
        if settings.broker.host:
            add("broker, as adapter host", _as_host)
        add("outbox", files.outbox)
        for device in settings.device:
            add(f"device {device.name}", host.device, device)
        for gateway in settings.gateway:
            add(f"gateway {gateway.name}", host.gateway, gateway)
    return tuple(checks)


async def _broker(settings: Settings, parts: frozenset[Part]) -> Sequence[Finding]:
    """Whether there is any way for messages to come."""
    if settings.broker.host:
        return ()
    if parts == {Part.ADAPT} or (Part.COLLECT in parts and Part.ADAPT not in parts):
        raise SettingsError(
            where="broker.host",
            found="is not set, and nothing else brings messages",
            expected="the broker's name or address, or a [[device]] for `hourmeter run` to read by itself",
        )
    return ()


async def _embedded(settings: Settings) -> Sequence[Finding]:
    check_days(settings)
    return await files.history_file(settings)


async def _as_host(settings: Settings) -> Sequence[Finding]:
    if not settings.host.publisher:
        raise SettingsError(
            where="host.publisher", found="is not set", expected="the MQTT user of this adapter host"
        )
    return await servers.broker_as_host(settings, settings.host.publisher)
