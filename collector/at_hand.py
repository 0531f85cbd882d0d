"""Journal records in memory, as they were last written or read, for the consumers that want them next.

Rule 1: what stands here stands in the journal on disk, the same records at the same positions.
Rule 2: it is bounded by records and by bytes of payload; whatever has gone is read from the disk.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from operator import itemgetter
from threading import Lock
from typing import Final

from telemetry.records import Journaled, Record

_FIRST: Final = itemgetter(0)


class AtHand:
    """Stretches of the journal; written by one thread, read by others."""

    def __init__(self, *, records: int, size_bytes: int) -> None:
        self._records = records
        self._size_bytes = size_bytes
        self._stretches: list[tuple[int, tuple[Record, ...], int]] = []
        self._held = self._held_bytes = 0
        self._lock = Lock()
        self.end = 0
        """The position behind the last record that was added, 0 before the first."""

    def add(self, records: Sequence[Record]) -> None:
        """Take a stretch in; the earliest positions make room for it."""
        if not records:
            return
        first = records[0].position
        size = sum([len(record.payload) for record in records if isinstance(record, Journaled)])
        with self._lock:
            insort(self._stretches, (first, tuple(records), size), key=_FIRST)
            self._held += len(records)
            self._held_bytes += size
            while self._held > self._records or self._held_bytes > self._size_bytes:
                _, gone, gone_bytes = self._stretches.pop(0)
                self._held -= len(gone)
                self._held_bytes -= gone_bytes
            self.end = max(self.end, first + len(records))

    def read(self, position: int, *, limit: int) -> tuple[Record, ...]:
        """At most `limit` records from a position on, in order; none if it is not here."""
        found: list[Record] = []
        with self._lock:
            index = max(bisect_right(self._stretches, position, key=_FIRST) - 1, 0)
            while index < len(self._stretches) and len(found) < limit:
                first, records, _ = self._stretches[index]
                at = position + len(found) - first
                if not 0 <= at < len(records):
                    break
                found.extend(records[at : at + limit - len(found)])
                index += 1
        return tuple(found)
