"""A device at a serial port of this machine, reached through serialx.

Rule 1: the port is ours alone while it is open, as far as other programs ask before they open it (flock).
Rule 2: a port that is not there, not permitted or in use is weather: adapters are plugged in and out, and
rights are given. What is no port, or cannot be set so, is a matter of settings.
Rule 3: serialx quotes at debug level what it reads; it is not let, for a device may say a patient's values.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import MappingProxyType

import serialx

from adapters.contract import Parity, SerialLine
from adapters.host.transports import Connection, Incoming, Outgoing, Transport, stream, words_of
from telemetry.errors import SettingsError, Unavailable

_NO_PORT = frozenset({errno.ENOTTY, errno.EISDIR})
"""What the system says of a file or a folder."""
Open = Callable[[Path, SerialLine], Awaitable[tuple[Incoming, Outgoing]]]

_PARITY = MappingProxyType(
    {Parity.NONE: serialx.Parity.NONE, Parity.EVEN: serialx.Parity.EVEN, Parity.ODD: serialx.Parity.ODD}
)
_ADVICE = MappingProxyType(
    {
        errno.ENOENT: ("no such port", "check its cable and name; /dev/serial/by-id/ lists those plugged in"),
        errno.ENXIO: ("no such port", "check its cable and name; /dev/serial/by-id/ lists those plugged in"),
        errno.EACCES: ("permission denied", "add hourmeter's user to the group dialout"),
        errno.EPERM: ("permission denied", "add hourmeter's user to the group dialout"),
        errno.EBUSY: ("in use by another program", "end that program, or read the device there"),
    }
)
"""By error number: what is wrong, and what to do about it."""


async def _open(path: Path, line: SerialLine) -> tuple[Incoming, Outgoing]:
    """The port as a pair of streams; as a path, whatever it looks like, never as an address."""
    logging.getLogger("serialx").setLevel(logging.INFO)
    return await serialx.open_serial_connection(
        url=str(path),
        transport_cls=serialx.SerialTransport,
        baudrate=line.baud_rate,
        byte_size=line.data_bits,
        parity=_PARITY[line.parity],
        stopbits=serialx.StopBits(line.stop_bits),
    )


def serial(path: Path, line: SerialLine, *, open_port: Open = _open) -> Transport:
    """A serial port of this machine, set as `line` says."""
    return _Serial(path, line, open_port)


class _Serial:
    def __init__(self, path: Path, line: SerialLine, open_port: Open) -> None:
        self._path = path
        self._line = line
        self._open = open_port

    @property
    def place(self) -> str:
        return str(self._path)

    async def connect(self) -> Connection:
        try:
            reader, writer = await self._open(self._path, self._line)
        except serialx.UnsupportedSetting as error:
            raise SettingsError(
                where=self.place, found=str(error), expected="what this port can be set to"
            ) from error
        except OSError as error:
            if error.errno in _NO_PORT:
                raise SettingsError(
                    where=self.place, found="is no serial port", expected='a port, as "/dev/ttyUSB0"'
                ) from error
            found, advice = _ADVICE.get(error.errno or 0, (words_of(error), "check its cable and settings"))
            raise Unavailable(self.place, why=found, advice=advice) from error
        return stream(self.place, reader, writer)
