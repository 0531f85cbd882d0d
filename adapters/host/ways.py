"""The ways to a device as its operator describes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from adapters.contract import Parity, SerialLine
from adapters.host import serial_port, transports, udp
from adapters.host.letterbox import Letterbox, Port
from adapters.host.sdc_link import SdcPeer
from adapters.host.transports import Transport


@dataclass(frozen=True, slots=True)
class Tcp:
    """A device behind a serial-device server, or one that listens on TCP."""

    host: str
    port: int
    connect_timeout_s: float = 5.0

    def transport(self) -> Transport:
        """The way there."""
        return transports.tcp(self.host, self.port, connect_timeout_s=self.connect_timeout_s)


@dataclass(frozen=True, slots=True)
class Udp:
    """A device that answers datagrams."""

    host: str
    port: int

    def transport(self) -> Transport:
        """The way there."""
        return udp.udp(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Listen:
    """A device that sends datagrams to a port of ours unasked."""

    host: str
    """Its address: what comes from elsewhere is another's."""
    port: Port

    def transport(self, box: Letterbox) -> Transport:
        """The way from there; the port is shared with the other devices that send to it."""
        return box.device(self.host)


@dataclass(frozen=True, slots=True)
class Replay:
    """A capture file, played once."""

    path: Path

    def transport(self, protocol: str) -> Transport:
        """The way there; a capture must be of that protocol."""
        return transports.replay(self.path, protocol=protocol)


@dataclass(frozen=True, slots=True)
class SerialPort:
    """A device at a serial port of this machine; what is None is set as its protocol says."""

    path: Path
    baud_rate: int | None = None
    data_bits: int | None = None
    parity: Parity | None = None
    stop_bits: int | None = None

    def transport(self, usual: SerialLine) -> Transport:
        """The way there."""
        line = replace(
            usual,
            baud_rate=self.baud_rate or usual.baud_rate,
            data_bits=self.data_bits or usual.data_bits,
            parity=self.parity or usual.parity,
            stop_bits=self.stop_bits or usual.stop_bits,
        )
        return serial_port.serial(self.path, line)


Reached = Tcp | Udp | Listen | Replay | SerialPort | SdcPeer
