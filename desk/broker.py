"""The broker as hourmeter wants it: Mosquitto's settings and access list, and one as a child process."""

from __future__ import annotations

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from desk.child import LOOPBACK, Child, free_port, listens
from telemetry import topics
from telemetry.errors import SettingsError, Unavailable

COLLECTOR = "collector"
"""The user name under which the collector speaks to the broker."""
MESSAGE_SIZE_LIMIT = 256 * 1024
"""Largest message the broker takes, in bytes: above what publishers send, below what the collector reads."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of the broker's certificate and its key; with them the broker speaks TLS only."""

    chain: Path
    key: Path


def acl_text(collector: str = COLLECTOR) -> str:
    """The access list: a publisher speaks for itself only; the collector hears all, and it alone confirms."""
    return "\n".join(
        (
            f"pattern write {topics.ROOT}/%u/+/+",
            f"pattern read {topics.confirmed('%u')}",
            "",
            f"user {collector}",
            f"topic read {topics.EVERYTHING}",
            f"topic write {topics.confirmed('+')}",
            "",
        )
    )


def config_text(
    *, folder: Path, port: int, autosave_interval_s: int = 1, certificate: Certificate | None = None
) -> str:
    """Settings of a broker that listens on the loopback address and keeps everything in one folder.

    `max_queued_*` are real bounds (influxdb.md section 4: the default of 1000 drops silently, none takes all
    memory); `user root` leaves the files of a broker that root started to root, and means nothing else.
    """
    tls = (f"certfile {certificate.chain}", f"keyfile {certificate.key}") if certificate else ()
    return "\n".join(
        (
            f"listener {port} {LOOPBACK}",
            *tls,
            "user root",
            "allow_anonymous false",
            f"password_file {folder / 'passwords'}",
            f"acl_file {folder / 'acl'}",
            "persistence true",
            f"persistence_location {folder / 'store'}/",
            f"autosave_interval {autosave_interval_s}",
            f"message_size_limit {MESSAGE_SIZE_LIMIT}",
            "max_inflight_messages 1000",
            "max_queued_messages 500000",
            f"max_queued_bytes {512 * 1024 * 1024}",
            "set_tcp_nodelay true",
            "log_dest stdout",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "",
        )
    )


def find_mosquitto() -> str | None:
    """Path of the installed broker; Debian keeps it where only root's PATH looks."""
    return shutil.which("mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))


class Broker:
    """One Mosquitto of our own on a free port of the loopback address, all it has in one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        accounts: Mapping[str, str],
        collector: str = COLLECTOR,
        autosave_interval_s: int = 1,
        certificate: Certificate | None = None,
    ) -> None:
        """Accounts are passwords by user name; the collector's is among them."""
        self.port = free_port()
        self.accounts = accounts
        self._folder = folder
        self._collector = collector
        self._config = config_text(
            folder=folder, port=self.port, autosave_interval_s=autosave_interval_s, certificate=certificate
        )
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """Process id while the broker runs, else None."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start on the same port as before, with what the folder holds. Raises SettingsError, Unavailable."""
        program = find_mosquitto()
        if program is None:
            raise SettingsError(
                where="PATH", found="holds no mosquitto", expected="install it: `apt-get install mosquitto`"
            )
        await self._write_files()
        self._child = Child(
            (program, "-c", str(self._folder / "mosquitto.conf")),
            log=self._folder / "mosquitto.log",
            ready=lambda: listens(self.port),
        )
        await self._child.start()

    async def stop(self) -> None:
        """End it cleanly; it saves its store."""
        if self._child:
            await self._child.stop()

    async def kill(self) -> None:
        """End it with SIGKILL; its store is what it last saved."""
        if self._child:
            await self._child.kill()

    def wipe(self) -> None:
        """Delete the store of a broker that is not running: sessions, queues and retained messages."""
        shutil.rmtree(self._folder / "store", ignore_errors=True)

    async def _write_files(self) -> None:
        (self._folder / "store").mkdir(parents=True, exist_ok=True)
        (self._folder / "mosquitto.conf").write_text(self._config)
        (self._folder / "acl").write_text(acl_text(self._collector))
        passwords = self._folder / "passwords"
        passwords.unlink(missing_ok=True)
        passwords.touch(mode=0o600)
        passwords.write_text("".join(f"{user}:{password}\n" for user, password in self.accounts.items()))
        hashing = await asyncio.create_subprocess_exec(
            "mosquitto_passwd", "-U", str(passwords), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )
        _, said = await hashing.communicate()
        if hashing.returncode:
            raise Unavailable("mosquitto_passwd", why=said.decode(errors="replace").strip())
