"""Tries the devices, gateways and ports of a settings file, and leaves alone what a running host has."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

import aiohttp

from adapters import registry
from adapters.host.host import Listen, transport_of
from adapters.host.letterbox import Letterbox
from desk.config_check import Finding, Verdict, ok
from desk.config_check_files import is_held, outbox_lock
from desk.devices import device_of
from desk.gateways import gateway_of
from desk.settings import Device, Gateway, Settings
from telemetry.errors import SettingsError

_ANSWER_S = 3.0
"""A page of ours answers within."""


async def device(settings: Settings, one: Device) -> Sequence[Finding]:
    """Whether its protocol is known and it can be reached; it is told nothing.

    Many devices and serial servers serve one client at a time: while a host is at work they are left to it.
    """
    what = f"device {one.name}"
    known = registry.protocols()
    asked = device_of(one, known)
    if is_held(outbox_lock(settings)):
        return [
            Finding(
                what, Verdict.UNKNOWN, "left to the adapter host that is at work", "see `hourmeter devices`"
            )
        ]
    if isinstance(asked.reached, Listen):  # devices share the port, and are tried at the same time
        port = asked.reached.port
        await Letterbox(port).attempt(asked.reached.host)
        return [ok(what, f"can be listened for: {port} is free")]
    transport = transport_of(asked, known[one.protocol].info.line, {})
    connection = await transport.connect()
    await connection.close()
    return [ok(what, f"{transport.place} can be reached")]


async def gateway(settings: Settings, one: Gateway) -> Sequence[Finding]:
    """Whether its port can be listened on, or a host that is at work listens there, and its files be read."""
    asked = gateway_of(one)
    if asked.certificate is not None:
        await asyncio.to_thread(_check_certificate, one)
    if _is_free(one.host, one.port, f"gateway {one.name!r}"):
        return [ok(f"gateway {one.name}", f"{one.host}:{one.port} is free")]
    if is_held(outbox_lock(settings)):
        return [
            ok(f"gateway {one.name}", f"{one.host}:{one.port} is in use while the adapter host is at work")
        ]
    raise SettingsError(
        where=f"gateway {one.name!r}: port",
        found=f"{one.host}:{one.port} is in use by another program",
        expected="a port that nobody listens on",
    )


def _check_certificate(one: Gateway) -> None:
    if one.cert_file is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(one.cert_file, one.key_file)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            where=f"gateway {one.name!r}: cert_file",
            found=f"{one.cert_file} with {one.key_file}: {error.strerror or error}",
            expected="readable PEM files of a certificate and its key",
        ) from error


async def page(settings: Settings) -> Sequence[Finding]:
    """Whether the page's port can be listened on, or the page is served there."""
    return await _port("page", "desk", settings.desk.host, settings.desk.port)


async def health(settings: Settings) -> Sequence[Finding]:
    """The same of the port on which a process without a page tells how it is."""
    return await _port("health", "health", settings.health.host, settings.health.port or 0)


async def _port(what: str, table: str, host: str, port: int) -> Sequence[Finding]:
    if not port:
        return [ok(what, "takes any free port")]
    if _is_free(host, port, f"{table}.host"):
        return [ok(what, f"{host}:{port} is free")]
    if await _is_ours(host, port):
        return [ok(what, f"is served at {host}:{port}")]
    raise SettingsError(
        where=f"{table}.port",
        found=f"{host} port {port} is in use by another program",
        expected="a port that nobody listens on, or 0 for any free one",
    )


def _is_free(host: str, port: int, where: str) -> bool:
    """Whether the address can be listened on; it is let go at once. Raises SettingsError if it never can."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except PermissionError as error:
        raise SettingsError(
            where=where, found=f"port {port} is not for this user", expected="a port above 1023"
        ) from error
    except socket.gaierror as error:
        raise SettingsError(
            where=where, found=f"{host}: {error.strerror}", expected="an address of this machine"
        ) from error
    except OSError as error:
        if "in use" in (error.strerror or ""):
            return False
        raise SettingsError(
            where=where, found=f"{host}: {error.strerror}", expected="an address of this machine"
        ) from error
    return True


async def _is_ours(host: str, port: int) -> bool:
    """Whether what listens there answers as desk/health.py does."""
    address = f"[{host}]" if ":" in host else host
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as http,
            http.get(f"http://{address}:{port}/healthz") as answer,
        ):
            return await answer.text() == "alive\n"
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
        return False
