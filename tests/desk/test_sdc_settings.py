"""An SDC device is named by its endpoint; TLS, plain and our address are read from its settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import registry
from adapters.host.sdc_link import SdcPeer
from adapters.host.ways import Reached
from adapters.protocols.sdc import SdcOptions
from desk.devices import device_of
from desk.settings import load
from telemetry.errors import SettingsError

URN = "urn:uuid:00000000-0000-0000-0000-000000000001"


def way(folder: Path, lines: str, protocol: str = "sdc") -> Reached:
    file = folder / "hourmeter.toml"
    file.write_text(f'[[device]]\nname = "vent-1"\nprotocol = "{protocol}"\n{lines}\n')
    (device,) = load(file).device
    return device_of(device, registry.protocols()).reached


def test_an_endpoint_is_read_with_what_it_takes_to_speak_to_it(tmp_path: Path) -> None:
    assert way(tmp_path, f'endpoint = "{URN}"') == SdcPeer(URN)
    assert way(tmp_path, 'endpoint = "http://10.0.0.9/a"\nplain = true') == SdcPeer(
        "http://10.0.0.9/a", is_plain=True
    )
    files = 'cert_file = "a.pem"\nkey_file = "a.key"\nca_file = "ca.pem"\nlisten_host = "10.0.0.2"'
    assert way(tmp_path, f'endpoint = "https://10.0.0.9/a"\n{files}') == SdcPeer(
        "https://10.0.0.9/a",
        our_address="10.0.0.2",
        certificate=tmp_path / "a.pem",
        key=tmp_path / "a.key",
        authority=tmp_path / "ca.pem",
    )


@pytest.mark.parametrize(
    ("lines", "protocol", "said"),
    [
        ("", "sdc", "is no endpoint of SDC"),
        ('endpoint = "10.0.0.9"', "sdc", "is no endpoint of SDC"),
        (f'endpoint = "{URN}"\nhost = "h"\nport = 1', "sdc", "has host and endpoint"),
        (f'endpoint = "{URN}"\nlisten_host = "here"', "sdc", "is no IPv4 address"),
        (f'endpoint = "{URN}"', "puritan-bennett", "is not spoken to an SDC endpoint"),
    ],
)
def test_anything_else_is_refused_in_a_line(tmp_path: Path, lines: str, protocol: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        way(tmp_path, lines, protocol)
    assert said in str(caught.value)


def test_its_option_is_read(tmp_path: Path) -> None:
    file = tmp_path / "hourmeter.toml"
    file.write_text(
        f'[[device]]\nname = "a"\nprotocol = "sdc"\nendpoint = "{URN}"\n[device.options]\non_is_use = false\n'
    )
    (device,) = load(file).device
    assert device_of(device, registry.protocols()).options == SdcOptions(on_is_use=False)
