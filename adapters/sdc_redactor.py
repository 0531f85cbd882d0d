"""Makes the documents of an SDC device fit to be kept: only what its adapter reads is written again."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Refusal
from adapters.sdc_xml import END, Documents, read, written
from telemetry.errors import MessageError

_UNREAD = b"<unread/>"
"""In place of a document of a kind that is not read."""


class SdcRedactor:
    """One link: documents in, what may be kept of them out."""

    def __init__(self) -> None:
        self._documents = Documents()

    def feed(self, data: bytes) -> bytes:
        """Every document that these bytes end, without what the adapter skips."""
        return b"".join(self._kept(data))

    def closed(self) -> bytes:
        """A document that was begun is blotted out."""
        return b"?" if self._documents.close() else b""

    def _kept(self, data: bytes) -> Iterator[bytes]:
        for cut in self._documents.feed(data):
            if isinstance(cut, Refusal):
                yield b"?" + END
                continue
            try:
                root = read(cut.data)
            except MessageError:
                yield b"?" + END
            else:
                yield (_UNREAD if root is None else written(root)) + END
