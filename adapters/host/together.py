"""Several pieces of work that live and end as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


async def together(*work: Awaitable[None]) -> None:
    """Run all until the first ends or fails; the others are cancelled and its error is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
