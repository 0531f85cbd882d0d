"""What was received and is not acknowledged yet: bounded by messages and by bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection


class Window:
    """Full beyond its bounds, and until it is down to half of both."""

    def __init__(self, *, messages: int, size_bytes: int) -> None:
        self._messages = messages
        self._size_bytes = size_bytes
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._full = False

    def add(self, sizes: Collection[int]) -> None:
        """Count messages of so many bytes each."""
        self._sizes.extend(sizes)
        self._bytes += sum(sizes)

    def drop(self, count: int) -> None:
        """Forget so many messages, the oldest first."""
        for _ in range(count):
            self._bytes -= self._sizes.popleft()

    def is_full(self) -> bool:
        """Whether no more should come in for now."""
        share = 2 if self._full else 1
        self._full = len(self._sizes) > self._messages // share or self._bytes > self._size_bytes // share
        return self._full
