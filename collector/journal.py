"""The journal as the event loop sees it: the store behind one thread for writing and one for reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from collector.at_hand import AtHand
from collector.consumers import Consumers
from collector.cursors import Cursor, DeadLetter
from collector.journal_file import JournalFile, Limits
from collector.store import Store
from telemetry.errors import MessageError
from telemetry.records import Record
from telemetry.told import Reader, Told

_P = ParamSpec("_P")
_T = TypeVar("_T")

READ_AGAIN = 10_000
READ_AGAIN_BYTES = 4 << 20
"""Records, and bytes of their payloads, that one consumer read from disk and another may want."""
POLL_S = 0.05
"""How often a reader looks for records that another process has written, in real seconds."""


class Journal:
    """One journal, opened by `open_journal`; any number of readers, one writer.

    Reading and writing do not wait for each other. Every method raises Unavailable for disk trouble.
    """

    def __init__(self, writer: Store, reader: Store) -> None:
        self._writer = writer
        self._reader = reader
        self._writer_consumers = Consumers(writer)
        self._reader_consumers = Consumers(reader)
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="journal-write")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="journal-read")
        self._appended = asyncio.Condition()
        self._words = Reader()
        self._read_again = AtHand(records=READ_AGAIN, size_bytes=READ_AGAIN_BYTES)

    @property
    def epoch(self) -> str:
        """The identity of this journal since it was created or restored."""
        return self._writer.file.epoch

    async def write(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a function that uses the writing store in its thread, then wake the readers."""
        loop = asyncio.get_running_loop()
        work = partial(function, *args, **kwargs)
        result = await loop.run_in_executor(self._writing, _weathered, self._writer, work)
        async with self._appended:
            self._appended.notify_all()
        return result

    async def _read(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        loop = asyncio.get_running_loop()
        work = partial(function, *args, **kwargs)
        return await loop.run_in_executor(self._reading, _weathered, self._reader, work)

    async def read(self, position: int, *, limit: int) -> tuple[Record, ...]:
        """At most `limit` records from a position on, in order, each payload read once for all consumers."""
        if self._has_written_up_to(position):
            return ()
        return (
            self._writer.written.read(position, limit=limit)
            or self._read_again.read(position, limit=limit)
            or await self._read(self._read_from_disk, position, limit=limit)
        )

    def _has_written_up_to(self, position: int) -> bool:
        """Whether this process is the one that writes, and has written nothing from that position on."""
        return 0 < self._writer.written.end <= position

    def _read_from_disk(self, position: int, *, limit: int) -> tuple[Record, ...]:
        records = self._reader.read(position, limit=limit, tell=self._tell)
        self._read_again.add(records)
        return records

    def _tell(self, payload: bytes) -> Told | None:
        """What a payload says, None if it cannot be read: then its consumers find out why."""
        try:
            return self._words.read(payload)
        except MessageError:
            return None

    async def head(self) -> int:
        """The position that the next record will get."""
        return await self._read(self._reader.file.head)

    async def first(self) -> int:
        """The oldest position kept."""
        return await self._read(self._reader.file.first)

    async def wait(self, position: int) -> None:
        """Return once there is a record at this position."""
        while self._has_written_up_to(position) or await self.head() <= position:
            try:
                async with asyncio.timeout(POLL_S), self._appended:
                    await self._appended.wait()
            except TimeoutError:
                continue

    async def history_cursor(self) -> Cursor:
        """Where history stands. Raises CursorError where the journal cannot answer from there."""
        return await self._read(self._reader_consumers.cursor, "history")

    async def check(self, consumer: str, cursor: Cursor) -> None:
        """Raises CursorError unless the journal can answer from this cursor on."""
        await self._read(self._reader_consumers.check, consumer, cursor)

    async def passed(self, consumer: str, cursor: Cursor) -> None:
        """Remember that a consumer with a cursor of its own no longer needs what lies before it."""
        await self.write(self._writer_consumers.passed, consumer, cursor)

    async def commit_history(
        self, *, cursor: Cursor, stored: Mapping[str, int], dead: Sequence[DeadLetter]
    ) -> None:
        """Move the history cursor together with its counters and dead letters."""
        await self.write(self._writer_consumers.commit_history, cursor=cursor, stored=stored, dead=dead)

    async def rewind_history(self, position: int) -> None:
        """Set history back to a position, at most to the first one kept."""
        await self.write(self._writer_consumers.rewind, "history", position)

    async def prune(self, *, before_ms: int, batches_at_most: int = 50) -> int:
        """Delete some old batches that every consumer has passed; their number is returned."""
        return await self.write(
            self._writer_consumers.prune, before_ms=before_ms, batches_at_most=batches_at_most
        )

    @property
    def store(self) -> Store:
        """The writing store; only for functions given to `write`."""
        return self._writer

    def close(self) -> None:
        """Let running work end, then close the file."""
        self._writing.shutdown()
        self._reading.shutdown()
        self._writer.file.close()
        self._reader.file.close()


def _weathered(store: Store, work: Callable[[], _T]) -> _T:
    """Do it; trouble with disk or file is Unavailable, wherever it shows."""
    with store.file.weather("cannot be used"):
        return work()


def open_journal(folder: Path, *, limits: Limits, new_epoch: Callable[[], str]) -> Journal:
    """Open the journal of a folder, creating it if it is new. Raises Unavailable for disk trouble."""
    writer, reader = (Store(JournalFile(folder, limits=limits, new_epoch=new_epoch)) for _ in range(2))
    return Journal(writer, reader)
