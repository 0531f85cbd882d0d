"""A serial line that is not there: the far end of a pair of pseudo-terminals, which take any line setting."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.host.transports import Incoming, Outgoing


@asynccontextmanager
async def serial_line() -> AsyncIterator[tuple[Path, Incoming, Outgoing]]:
    """The port that a host opens, and what a device at the other end reads and writes.

    The port stays while hosts come and go; it is gone when this ends, like an adapter that is unplugged.
    For asyncio's own loop: the pipes of uvloop take no terminal.
    """
    far, near = os.openpty()
    tty.setraw(near)  # held open here too: without any holder the far end reads an error
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    reading, protocol = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(far, "rb", buffering=0)
    )
    writing, _ = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()),
        os.fdopen(os.dup(far), "wb", buffering=0),
    )
    writer = asyncio.StreamWriter(writing, protocol, reader, loop)
    try:
        yield Path(os.ttyname(near)), reader, writer
    finally:
        writing.abort()
        reading.close()
        os.close(near)
