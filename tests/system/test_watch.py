"""`hourmeter adapt --watch` in a terminal: drawn while it runs, left as it was found."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import termios
from pathlib import Path

import pytest

from desk.child import LOOPBACK, free_port
from tests.system.stand import HOURMETER

pytestmark = pytest.mark.system

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
"""A terminal's other screen, which leaves the first one as it was (xterm, ctlseqs)."""


async def test_it_is_drawn_in_a_terminal_and_ends_in_order_with_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "hourmeter.toml").write_text(
        f'[broker]\nhost = "{LOOPBACK}"\nport = {free_port()}\n[host]\npublisher = "HN01-icu"\n'
        + "".join(
            f'[[device]]\nname = "vent-{number}"\nprotocol = "puritan-bennett"\n'
            f'host = "{LOOPBACK}"\nport = {free_port()}\n'
            for number in range(9)
        )
    )
    near, far = os.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 80, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(HOURMETER, "adapt", "--watch"),
        stdin=far,
        stdout=far,
        stderr=far,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "TERM": "xterm-256color"},
    )
    os.close(far)
    seen = bytearray()
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            seen.extend(os.read(near, 65_536))
        except OSError:  # the process has ended
            loop.remove_reader(near)

    loop.add_reader(near, read)
    try:
        async with asyncio.timeout(20):
            while b"more, " not in seen or b"offline" not in seen:
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
            while LEAVE not in seen:
                await asyncio.sleep(0.02)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(near)
        os.close(near)
    assert seen.index(ENTER) < seen.index(b"vent-0") < seen.index(LEAVE)
    assert b"broker not connected" in seen
    assert b"Traceback" not in seen
