"""The way to an SDC device: the library's consumer runs in threads, its documents come as bytes.

Each document that the device sends, as it came, is followed by one NUL. What is written to the link asks:
the only question is `GetMdib`, ended by NUL. The library is the extra `hourmeter[sdc]`; without it only the
making of a link fails. What is done with it stands in `adapters.host.sdc_consumer`.

Rule 1: nothing blocks the event loop, and no device another: each call of the library's has a thread of its
own, and the library's own threads hand over.
Rule 2: what comes faster than it is taken is bounded: beyond that the link is lost, and everything is
compared anew on the next.
Rule 3: without TLS only where somebody says so, or within this machine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit

from adapters.host.transports import Connection, Transport
from telemetry.errors import SettingsError, Unavailable

_T = TypeVar("_T")
END: Final = b"\x00"
GET_MDIB: Final = b"GetMdib" + END
MOST_HELD: Final = 16 * 1024 * 1024
"""Bytes of documents that wait to be read at most."""
ANY: Final = "0.0.0.0"  # noqa: S104 - stands for every network in a search; nothing listens there


@dataclass(frozen=True, slots=True)
class SdcPeer:
    """An SDC device as its operator describes it."""

    endpoint: str
    """Its endpoint reference, `urn:uuid:...`, to be searched for; or its address, `https://host:port/path`."""
    our_address: str = ANY
    """Address of this machine on the network in which it is searched for; 0.0.0.0: on all its networks."""
    certificate: Path | None = None
    """PEM files of our certificate, its key, and the authority that the device's certificate comes from."""
    key: Path | None = None
    authority: Path | None = None
    is_plain: bool = False
    """Whether to speak without TLS although the device is another machine."""

    @property
    def is_address(self) -> bool:
        """Whether the endpoint is given by its address, so that nothing is searched for."""
        return self.endpoint.startswith(("http://", "https://"))

    def transport(self) -> Transport:
        """The way there. Raises SettingsError if the library is not installed, or TLS is wanting."""
        where = f"SDC endpoint {self.endpoint}"
        if find_spec("sdc11073") is None:
            raise SettingsError(
                where=where, found="the SDC library is not installed", expected="pip install hourmeter[sdc]"
            )
        given = [path for path in (self.certificate, self.key, self.authority) if path is not None]
        if given and len(given) < 3:
            raise SettingsError(where=where, found="half of TLS", expected="cert_file, key_file and ca_file")
        if self.is_address:
            check_way(self, self.endpoint)
        return sdc(self)


def check_way(peer: SdcPeer, address: str) -> None:
    """Raises SettingsError if that address of the peer is not to be spoken to."""
    way = urlsplit(address)
    if not way.hostname:
        raise SettingsError(
            where=f"SDC endpoint {peer.endpoint}",
            found="names no machine",
            expected="https://host:port/path, or urn:uuid:...",
        )
    if way.scheme == "https" and peer.certificate is None:
        raise SettingsError(
            where=f"SDC endpoint {peer.endpoint}",
            found="it speaks TLS and we have no certificate",
            expected="cert_file, key_file and ca_file",
        )
    if way.scheme != "https" and not peer.is_plain and not _is_here(way.hostname or ""):
        raise SettingsError(
            where=f"SDC endpoint {peer.endpoint}",
            found="it does not speak TLS",
            expected="plain = true if the network between is trusted, or an https address",
        )


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Inbox:
    """What threads put in and the event loop takes out, in order."""

    def __init__(self, place: str, *, most: int = MOST_HELD) -> None:
        """To be made in the event loop that takes out."""
        self._place = place
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()
        self._documents: deque[bytes] = deque()
        self._held = 0
        self._lost: Unavailable | None = None

    def put(self, document: bytes) -> None:
        """A document has come; from any thread."""
        self._loop.call_soon_threadsafe(self._put, document)

    def lose(self, why: str, advice: str = "") -> None:
        """The link is lost; from any thread, the first reason counts."""
        self._loop.call_soon_threadsafe(self._lose, why, advice)

    async def take(self) -> bytes:
        """The next document and its end. Raises Unavailable when all is taken and the link is lost."""
        while not self._documents:
            if self._lost is not None:
                raise self._lost
            self._came.clear()
            await self._came.wait()
        document = self._documents.popleft()
        self._held -= len(document)
        return document + END

    def _put(self, document: bytes) -> None:
        if self._lost is not None:
            return
        self._held += len(document)
        if self._held > self._most:
            self._lose(f"more than {self._most} bytes of reports wait to be read", "")
            return
        self._documents.append(document)
        self._came.set()

    def _lose(self, why: str, advice: str) -> None:
        if self._lost is None:
            self._lost = Unavailable(self._place, why=why, advice=advice)
        self._came.set()


class Session(Protocol):
    """A consumer at work; every call blocks."""

    def ask(self) -> None:
        """Ask for the whole MDIB; the answer comes as a document, a failure as a lost link."""

    def close(self) -> None:
        """Unsubscribe and let go; never raises for a link that is lost already."""


OpenSession = Callable[[SdcPeer, Inbox], Session]
"""Find, connect and subscribe; blocks. Raises Unavailable, SettingsError."""


def _open(peer: SdcPeer, inbox: Inbox) -> Session:
    from adapters.host.sdc_consumer import open_session  # noqa: PLC0415 - only with the extra installed

    return open_session(peer, inbox)


def sdc(peer: SdcPeer, *, open_session: OpenSession = _open) -> Transport:
    """An SDC device; its links are opened, asked and closed in threads."""
    return _Sdc(peer, open_session)


@dataclass(frozen=True, slots=True)
class _Sdc:
    peer: SdcPeer
    open_session: OpenSession

    @property
    def place(self) -> str:
        return self.peer.endpoint

    async def connect(self) -> Connection:
        inbox = Inbox(self.place)
        opening = asyncio.create_task(_apart(partial(self.open_session, self.peer, inbox)))
        try:
            session = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_closed_later)
            raise
        return _Link(inbox, session)


async def _apart(call: Callable[[], _T]) -> _T:
    """The result of a call in a thread of its own, for which nobody else ever waits."""
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, call)
    finally:
        pool.shutdown(wait=False)


def _closed_later(opening: asyncio.Task[Session]) -> None:
    """Nobody waits for this link any more: let go of it when it has come about."""
    if not opening.cancelled() and opening.exception() is None:
        Thread(target=opening.result().close).start()


class _Link:
    def __init__(self, inbox: Inbox, session: Session) -> None:
        self._inbox = inbox
        self._session = session
        self._asking: asyncio.Task[None] | None = None

    async def read(self) -> bytes:
        return await self._inbox.take()

    async def write(self, data: bytes) -> None:
        """One question at a time: while one is open, another is the same."""
        if self._asking is not None and self._asking.done():
            self._asking.result()
            self._asking = None
        if data == GET_MDIB and self._asking is None:
            self._asking = asyncio.create_task(_apart(self._session.ask))

    async def close(self) -> None:
        if self._asking is not None:
            await asyncio.wait((self._asking,))
        await _apart(self._session.close)
