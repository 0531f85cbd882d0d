"""Serves a web application inside someone's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import uvicorn
from fastapi import FastAPI

from telemetry.errors import SettingsError

GRACE_S: Final = 1
"""Seconds that an answer in the making is given when the page stops."""
DEAF_MS: Final = 30_000
"""A reader that takes nothing of what it is sent for so long is cut off, by the kernel itself."""


async def serve(
    application: FastAPI,
    *,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    on_stop: Callable[[], None] = lambda: None,
    table: str = "desk",
    deaf_ms: int = DEAF_MS,
) -> None:
    """Serve until cancelled; `on_ready` is told the address once connections are taken.

    `on_stop` is called first when it stops, to end answers that would go on for ever. Port 0 takes any
    free one. Signals are left to whoever runs us. Raises SettingsError if the address cannot be listened on.
    """
    with _listen(host, port, deaf_ms=deaf_ms, table=table) as listener:
        config = uvicorn.Config(
            application,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        server = _Server(config)
        # whoever connects from here on waits in the listener's queue until uvicorn accepts
        on_ready(_address(listener))
        try:
            await server.serve(sockets=[listener])
        except asyncio.CancelledError:
            on_stop()
            if server.started:
                await server.shutdown(sockets=[listener])
            raise


class _Server(uvicorn.Server):
    """A server that is a guest in someone's event loop."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override] # a generator there
        return nullcontext()


def _listen(host: str, port: int, *, deaf_ms: int, table: str) -> AbstractContextManager[socket.socket]:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except socket.gaierror as error:
        raise SettingsError(
            where=f"{table}.host", found=f"{host}: {error.strerror}", expected="an address of this machine"
        ) from error
    try:
        listener = socket.create_server((host, port), family=family)
    except PermissionError as error:
        raise SettingsError(
            where=f"{table}.port", found=f"port {port} is not for this user", expected="a port above 1023"
        ) from error
    except OSError as error:
        raise SettingsError(
            where=f"{table}.port",
            found=f"{host} port {port}: {error.strerror}",
            expected="a port that nobody listens on, or 0 for any free one",
        ) from error
    # what is accepted inherits it: tcp(7), TCP_USER_TIMEOUT
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, deaf_ms)
    listener.setblocking(False)
    return contextlib.closing(listener)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
