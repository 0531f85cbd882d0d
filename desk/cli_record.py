"""Command that records one device into a capture."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Annotated, NoReturn, Optional, TextIO

import typer

from desk.clock import system_clock
from desk.options import SettingsFile, chosen
from desk.terminal import say, ticking
from telemetry.errors import SettingsError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.contract import ProtocolFile
    from adapters.host.host_settings import DeviceSettings
    from adapters.host.recording import Recording
    from desk.settings import Settings

MIB = 1 << 20


def record(
    name: Annotated[str, typer.Argument(help="Name of a [[device]] of the settings.")],
    to: Annotated[Path, typer.Option("--to", help="New file for the capture; none is written over.")],
    file: SettingsFile = None,
    seconds: Annotated[
        Optional[float],
        typer.Option("--for", min=0.1, help="Stop after so many seconds; without it, Ctrl-C stops."),
    ] = None,
    limit_mib: Annotated[int, typer.Option(min=1, help="Stop at this size of the file.")] = 64,
) -> None:
    """Record a device into a capture, without what is a patient's; for `decode`, `replay` and tests.

    It is talked to as the adapter host does, which must not run meanwhile: many ports serve one reader.
    """
    from adapters import registry
    from adapters.host.disk import locked
    from adapters.host.recording import new_file, redactor_of
    from desk.devices import device_of

    settings = chosen(file)
    known = {device.name: device for device in settings.device}
    if name not in known:
        _refuse(name, settings)
    protocols = registry.protocols()
    device = device_of(known[name], protocols)
    protocol = protocols[device.protocol]
    redactor_of(protocol)
    with locked(settings.host.outbox), new_file(to) as capture, ticking(f"recording {name}") as show:
        done = asyncio.run(
            _recorded(
                device,
                protocol,
                lambda one: show(_told(one)),
                file=capture,
                seconds=seconds,
                limit=limit_mib * MIB,
            )
        )
    say(f"{to}: {_told(done)}")
    if not done.health.heard:
        raise Unavailable(done.health.place, why=done.trouble or "nothing was heard")


def _refuse(name: str, settings: Settings) -> NoReturn:
    gateways = {gateway.name for gateway in settings.gateway}
    found = "is a [[gateway]], whose senders connect to us" if name in gateways else "is not known"
    names = ", ".join(device.name for device in settings.device)
    raise SettingsError(
        where=f"device {name!r}",
        found=found,
        expected=f"one of: {names}" if names else "a [[device]] in the settings",
    )


async def _recorded(
    device: DeviceSettings,
    protocol: ProtocolFile,
    tell: Callable[[Recording], None],
    *,
    file: TextIO,
    seconds: float | None,
    limit: int,
) -> Recording:
    from adapters.host.recording import record as record_device

    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a lost terminal too: a farewell is owed
        if signal.getsignal(sign) is not signal.SIG_IGN:  # as nohup asks
            loop.add_signal_handler(sign, stopping.set)
    if seconds is not None:
        loop.call_later(seconds, stopping.set)
    return await record_device(
        device,
        protocol,
        file=file,
        limit_bytes=limit,
        clock=system_clock(),
        rng=SystemRandom(),
        stopping=stopping,
        tell=tell,
    )


def _told(one: Recording) -> str:
    health = one.health
    trouble = f"; {one.trouble}" if one.trouble and not health.heard else ""
    return (
        f"{one.seconds:.0f} s, {health.heard} frames heard, {health.refusals} refused,"
        f" {one.written} bytes{trouble}"
    )
