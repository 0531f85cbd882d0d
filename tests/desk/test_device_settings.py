"""A device has one way to it: none, several or half of one is said in a line before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.contract import Parity
from adapters.host.host import Replay, SerialPort, Tcp
from desk.compose import reached
from desk.settings import load
from telemetry.errors import SettingsError


def way(folder: Path, lines: str) -> Tcp | Replay | SerialPort:
    file = folder / "hourmeter.toml"
    file.write_text(f'[[device]]\nname = "vent-1"\nprotocol = "puritan-bennett"\n{lines}\n')
    (device,) = load(file).device
    return reached(device)


def test_each_way_is_read_from_the_settings(tmp_path: Path) -> None:
    assert way(tmp_path, 'host = "192.0.2.10"\nport = 4001') == Tcp("192.0.2.10", 4001)
    assert way(tmp_path, 'replay = "capture.bin"') == Replay(tmp_path / "capture.bin")
    assert way(tmp_path, 'serial = "/dev/ttyUSB0"') == SerialPort(Path("/dev/ttyUSB0"))
    assert way(
        tmp_path,
        'serial = "/dev/ttyS0"\nbaud_rate = 38400\ndata_bits = 7\nparity = "even"\nstop_bits = 2',
    ) == SerialPort(Path("/dev/ttyS0"), 38400, 7, Parity.EVEN, 2)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "device 'vent-1': is not reached: no host with port, serial or replay; host and port of"),
        ('host = "192.0.2.10"', "is not reached"),
        ("port = 4001", "is not reached"),
        ('host = "h"\nport = 1\nserial = "/dev/ttyS0"', "has host and serial; one of host with port, serial"),
        ('serial = "/dev/ttyS0"\nreplay = "a.bin"', "has serial and replay"),
        ('port = 1\nreplay = "a.bin"', "has host and replay"),
        ('host = "h"\nport = 1\nserial = "/dev/ttyS0"\nreplay = "a"', "has host and serial and replay"),
        ('host = "h"\nport = 1\nbaud_rate = 9600', "sets a serial port but names none"),
        ('replay = "a.bin"\nparity = "none"', "sets a serial port but names none"),
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(tmp_path: Path, lines: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        way(tmp_path, lines)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ('parity = "mark"', "device.0.parity"),
        ("data_bits = 9", "device.0.data_bits"),
        ("stop_bits = 3", "device.0.stop_bits"),
        ("baud_rate = 0", "device.0.baud_rate"),
    ],
)
def test_a_line_setting_that_no_port_has_names_its_place(tmp_path: Path, line: str, where: str) -> None:
    with pytest.raises(SettingsError) as caught:
        way(tmp_path, f'serial = "/dev/ttyS0"\n{line}')
    assert where in caught.value.where
