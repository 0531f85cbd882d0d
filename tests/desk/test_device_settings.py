"""A device has one way to it that its protocol knows; all else is said in a line before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from adapters import registry
from adapters.contract import Adapter, Options, Parity, ProtocolFile, ProtocolInfo, SerialLine, Way
from adapters.host.host import DeviceSettings, Listen, Port, Replay, SerialPort, Tcp, Udp
from adapters.host.ways import Reached
from desk.devices import device_of
from desk.settings import Device, load
from telemetry.errors import SettingsError
from tests.adapters.host.fakes import FakeAdapter


def way(folder: Path, lines: str) -> Reached:
    file = folder / "hourmeter.toml"
    file.write_text(f'[[device]]\nname = "vent-1"\nprotocol = "puritan-bennett"\n{lines}\n')
    (device,) = load(file).device
    return device_of(device, registry.protocols()).reached


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


def protocol_adapter(*, period_s: float) -> Adapter:
    assert period_s > 0
    return FakeAdapter()


class Loudness(Options):
    """What can be set of a made-up protocol."""

    loud: bool = False
    """Whether it is."""
    level: int = Field(default=1, ge=0, le=9)
    """How much."""

    def __call__(self, *, period_s: float) -> Adapter:
        """An adapter set so."""
        return protocol_adapter(period_s=period_s)


def protocol(*ways: Way, **info: Any) -> ProtocolFile:  # noqa: ANN401 - fields of ProtocolInfo
    options = info.pop("options", None)
    about = ProtocolInfo("made-up", "nobody", "Made up", "", 60, ways=ways, **info)
    return ProtocolFile(about, protocol_adapter, (), options=options)


LINE = SerialLine(9600)


def made(made_up: ProtocolFile, **given: Any) -> DeviceSettings:  # noqa: ANN401 - fields of Device
    return device_of(Device(name="dev-1", protocol="made-up", **given), {"made-up": made_up})


@pytest.mark.parametrize(
    ("made_up", "given", "expected"),
    [
        (protocol(Way.TCP, usual_port=4601), {"host": "h"}, Tcp("h", 4601)),
        (protocol(Way.TCP, usual_port=4601), {"host": "h", "port": 1}, Tcp("h", 1)),
        (protocol(Way.UDP), {"host": "h", "port": 1}, Udp("h", 1)),
        (protocol(Way.LISTEN, usual_port=24005), {"host": "h"}, Listen("h", Port("0.0.0.0", 24005))),  # noqa: S104 - bound by nobody
        (
            protocol(Way.LISTEN, Way.UDP, usual_port=24005),
            {"host": "h", "transport": "listen", "listen_host": "10.0.0.9", "group": "224.0.23.63"},
            Listen("h", Port("10.0.0.9", 24005, "224.0.23.63")),
        ),
        (protocol(Way.LISTEN, Way.UDP), {"host": "h", "port": 7, "transport": "udp"}, Udp("h", 7)),
        (
            protocol(Way.SERIAL, Way.TCP, line=LINE, one_client=True),
            {"host": "h", "port": 7, "sole_reader_confirmed_by": "Lan"},
            Tcp("h", 7),
        ),
        (protocol(Way.TCP, one_client=True), {"replay": Path("a.bin")}, Replay(Path("a.bin"))),
        (protocol(Way.SDC), {"replay": Path("a.bin")}, Replay(Path("a.bin"))),
    ],
)
def test_each_way_that_a_protocol_knows_is_taken(
    made_up: ProtocolFile, given: dict[str, Any], expected: Reached
) -> None:
    assert made(made_up, **given).reached == expected


@pytest.mark.parametrize(
    ("made_up", "given", "said"),
    [
        (
            protocol(Way.GATEWAY),
            {"host": "h", "port": 1},
            "'made-up' comes from gateways that connect to this machine; a [[gateway]] with name = \"dev-1\"",
        ),
        (
            protocol(Way.TCP),
            {"serial": Path("/dev/ttyS0")},
            "dev-1': serial: protocol 'made-up' is not spoken over a serial port; host and port, or replay",
        ),
        (
            protocol(Way.SERIAL, line=LINE),
            {"host": "h", "port": 1},
            "is not spoken over host and port; serial port, or replay",
        ),
        (
            protocol(Way.LISTEN, Way.UDP),
            {"host": "h", "port": 1},
            "transport: protocol 'made-up' is spoken in several ways and none is chosen; one of: listen, udp",
        ),
        (
            protocol(Way.TCP),
            {"host": "h", "port": 1, "transport": "udp"},
            "is not spoken over 'udp'; one of: tcp",
        ),
        (
            protocol(Way.LISTEN, Way.UDP, usual_port=24005),
            {"host": "h", "transport": "udp"},
            "is not reached",
        ),
        (
            protocol(Way.TCP, one_client=True),
            {"host": "h", "port": 1, "sole_reader_confirmed_by": " "},
            'nobody has confirmed that no other system reads it; sole_reader_confirmed_by = "NAME"',
        ),
        (protocol(Way.TCP), {"host": "h", "port": 1, "group": "224.0.23.63"}, "joins a group"),
        (
            protocol(Way.LISTEN),
            {"host": "h", "port": 1, "group": "10.0.0.1"},
            "group: '10.0.0.1' is no multicast group",
        ),
        (protocol(Way.LISTEN), {"host": "h", "port": 1, "group": "ward"}, "group: 'ward' is no multicast"),
        (protocol(Way.LISTEN), {"host": "h", "port": 1, "listen_host": "eth0"}, "listen_host: 'eth0' is no"),
        (protocol(Way.TCP), {"host": "h", "port": 1, "options": {"a": 1}}, "nothing that can be set"),
        (
            protocol(Way.TCP, options=Loudness),
            {"host": "h", "port": 1, "options": {"laud": True}},
            "device 'dev-1': options.laud: is no option; one of: loud, level",
        ),
        (
            protocol(Way.TCP, options=Loudness),
            {"host": "h", "port": 1, "options": {"level": 12}},
            "device 'dev-1': options.level: is 12; Input should be less than or equal to 9",
        ),
    ],
)
def test_what_does_not_fit_the_protocol_is_said_with_what_would(
    made_up: ProtocolFile, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        made(made_up, **given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_reach_the_maker_of_adapters() -> None:
    set_so = made(protocol(Way.TCP, options=Loudness), host="h", port=1, options={"loud": True})
    assert set_so.options == Loudness(loud=True)
    assert made(protocol(Way.TCP, options=Loudness), host="h", port=1).options is None


def test_an_unknown_protocol_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="'made-up' is not known; one of: fake"):
        device_of(Device(name="dev-1", protocol="made-up"), {"fake": protocol(Way.TCP)})


def test_options_stand_in_a_table_of_their_device(tmp_path: Path) -> None:
    file = tmp_path / "hourmeter.toml"
    file.write_text(
        '[[device]]\nname = "a"\nprotocol = "made-up"\nhost = "h"\nport = 1\n[device.options]\nlevel = 3\n'
        '[[device]]\nname = "b"\nprotocol = "made-up"\nhost = "h"\nport = 2\n'
    )
    found = [
        device_of(one, {"made-up": protocol(Way.TCP, options=Loudness)}).options for one in load(file).device
    ]
    assert found == [Loudness(level=3), None]


def test_what_is_set_of_the_protocol_decides_the_way() -> None:
    """An IntelliVue is listened to; alarms, where somebody agreed, are polled at a port of its own."""
    known = registry.protocols()
    common = {"name": "m", "protocol": "intellivue", "host": "192.0.2.7"}
    agreed = {"options": {"alerts": True, "alerts_confirmed_by": "Hoa"}, "port": 24105}
    heard = device_of(Device(**common, listen_host="192.0.2.9"), known)
    assert heard.reached == Listen("192.0.2.7", Port("192.0.2.9", 24005, ""))
    assert device_of(Device(**common, **agreed), known).reached == Udp("192.0.2.7", 24105)
    with pytest.raises(SettingsError, match="with its options so, is not spoken over 'listen'"):
        device_of(Device(**common, **agreed, transport="listen"), known)
    with pytest.raises(SettingsError, match="is not spoken over 'udp'"):
        device_of(Device(**common, transport="udp"), known)
