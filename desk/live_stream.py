"""Server-sent events: one page kept as it is for a browser that stays.

Rule 1: a reader who is owed nothing hears that, every few seconds: silence means that the line is cut.
Rule 2: nothing is written for a reader before it has taken what was written before.
Rule 3: there are only so many readers; one more is told so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from desk.live import Live
from desk.live_parts import Asked
from desk.live_sheet import Place, event, trouble
from telemetry.errors import HourmeterError

READERS: Final = 100
"""Pages that are kept live at the same time, at most."""
BEAT_S: Final = 5.0
"""A reader hears something at least that often; the page waits three times as long (live.js)."""
RETRY_S: Final = 2
"""How long a reader waits before it asks again."""
LEAST_S: Final = 0.05


@dataclass(slots=True)
class Readers:
    """Who is reading along now."""

    most: int = READERS
    count: int = 0
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the desk closes: every reader is let go."""

    async def wait(self, seconds: float) -> bool:
        """Wait for that long, and say whether to go on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ending.wait()
        return not self.ending.is_set()


async def events(
    live: Live,
    asked: Asked,
    *,
    at: Place,
    build: str,
    elapsed_s: Callable[[], float],
    wait: Callable[[float], Awaitable[bool]],
) -> AsyncGenerator[bytes, None]:
    """What a reader at a place is owed, look by look, for as long as `wait` says to go on."""
    yield b"retry: %d\n\n" % (RETRY_S * 1000)
    told_s: float | None = None
    while True:
        try:
            sheet = (await live.shown(asked)).sheet
        except HourmeterError as error:
            yield trouble(str(error))
            told_s = elapsed_s()
        else:
            owed = told_s is None or elapsed_s() - told_s >= BEAT_S or sheet.changes(at.within(live.run))
            if owed:
                yield event(sheet, after=at, run=live.run, build=build)
                told_s, at = elapsed_s(), Place(live.run, sheet.look)
        beat_s = BEAT_S if told_s is None else told_s + BEAT_S - elapsed_s()
        if not await wait(max(LEAST_S, min(live.due_in_s(), beat_s))):
            return


class Stream(StreamingResponse):
    """Events as an answer, for one of so many readers."""

    media_type = "text/event-stream"

    def __init__(
        self, found: AsyncGenerator[bytes, None], *, readers: Readers, headers: Mapping[str, str]
    ) -> None:
        # a proxy in between shall hand each event on at once
        super().__init__(found, headers={**headers, "X-Accel-Buffering": "no"})
        self._found = found
        self._readers = readers
        self._own_headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse where there are too many."""
        if self._readers.count >= self._readers.most:
            await self._refusal()(scope, receive, send)
            return
        self._readers.count += 1
        try:
            async with aclosing(self._found):
                await super().__call__(scope, receive, send)
        finally:
            self._readers.count -= 1

    def _refusal(self) -> Response:
        return PlainTextResponse(
            f"Already {self._readers.most} pages are kept live; close one that nobody looks at.\n",
            status_code=HTTPStatus.SERVICE_UNAVAILABLE,
            headers={**self._own_headers, "Retry-After": str(RETRY_S)},
        )
