"""A real PostgreSQL for tests: a cluster of its own on the loopback address, never run by root."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from collector.ledger_server import LedgerDatabase
from desk.child import LOOPBACK, Child, free_port
from telemetry.errors import Unavailable
from tests.system.servers import find_postgres, password

ADMIN = "admin"
ROLE = "hourmeter"
"""Owns its databases and may nothing else."""
_RESTARTS = 100
"""Tries until the processes of a server that was killed have let go of its memory."""


def _run_by() -> pwd.struct_passwd | None:
    """Who runs the server; None: we ourselves. PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    names = {user.pw_name: user for user in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


class Postgresql:
    """One cluster; its folder must be where the user `postgres` may go."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        """Only a durable server writes through to the disk; tests that kill nothing are faster without."""
        self.port = free_port()
        self._folder = folder
        self._durable = durable
        self._user = _run_by()
        self._child: Child | None = None

    def database(self, name: str, *, said: str | None = None) -> LedgerDatabase:
        """A database as settings name it, with the role's password or another one."""
        url = f"postgresql://{ROLE}@{LOOPBACK}:{self.port}/{name}"
        return LedgerDatabase(url, password(ROLE) if said is None else said)

    def _as_user(self, program: str, *arguments: str) -> tuple[str, ...]:
        found = find_postgres()
        if found is None:
            raise AssertionError("`need` was not asked")
        call = (str(found.parent / program), *arguments)
        if self._user is None:
            return call
        change = (f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups")
        return ("setpriv", *change, "--", *call)

    async def start(self) -> None:
        """Start on the same port as before with what the folder holds; answers on return."""
        data = self._folder / "data"
        if not data.exists():
            await self._lay_out(data)
        durable = "on" if self._durable else "off"
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": durable,
            "full_page_writes": durable,
        }
        self._child = Child(
            self._as_user(
                "postgres", "-D", str(data), *(f"--{key}={value}" for key, value in settings.items())
            ),
            log=self._folder / "postgres.log",
            ready=self._answers,
        )
        for attempt in range(_RESTARTS):
            try:
                await self._child.start()
            except Unavailable:
                if attempt == _RESTARTS - 1:
                    raise
            else:
                return

    async def stop(self) -> None:
        """End it once its clients have gone."""
        if self._child:
            await self._child.stop()

    async def kill(self) -> None:
        """End it with SIGKILL, as a power cut would; what it had begun ends by itself."""
        if self._child:
            await self._child.kill()

    async def create(self, name: str) -> LedgerDatabase:
        """A new database that belongs to the role."""
        await self.ask(f"CREATE DATABASE {name} OWNER {ROLE}")
        return self.database(name)

    async def ask(self, statement: str, *, database: str = "postgres") -> tuple[tuple[object, ...], ...]:
        """Rows of one statement of the administrator, outside any transaction."""
        async with await self._connect(database) as connection:
            found = await connection.execute(statement.encode())
            return tuple(await found.fetchall()) if found.description else ()

    async def _connect(self, database: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(
            host=LOOPBACK,
            port=self.port,
            user=ADMIN,
            password=password(ADMIN),
            dbname=database,
            autocommit=True,
        )

    async def _answers(self) -> bool:
        try:
            await self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    async def _lay_out(self, data: Path) -> None:
        secret, log = self._folder / "admin.password", self._folder / "initdb.log"
        secret.write_text(password(ADMIN))
        if self._user:
            for path in (self._folder, secret):
                shutil.chown(path, self._user.pw_uid, self._user.pw_gid)
        options = (f"--pgdata={data}", f"--username={ADMIN}", f"--pwfile={secret}", "--auth=scram-sha-256")
        call = self._as_user("initdb", *options, "--encoding=UTF8", "--locale=C", "--no-sync")
        with log.open("wb") as said:
            process = await asyncio.create_subprocess_exec(*call, stdout=said, stderr=said)
            if await process.wait():
                raise AssertionError(log.read_text())


@asynccontextmanager
async def running_postgresql(*, durable: bool = False) -> AsyncIterator[Postgresql]:
    """A running server with the role, in a folder that goes with it."""
    with TemporaryDirectory(prefix="hourmeter-postgresql-", ignore_cleanup_errors=True) as folder:
        server = Postgresql(Path(folder), durable=durable)
        try:
            await server.start()
            await server.ask(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password(ROLE)}'")
            yield server
        finally:
            await server.stop()
