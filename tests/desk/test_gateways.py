"""What the settings of a gateway become in the adapter host."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from adapters.host.mllp_settings import GatewaySettings, Overflow
from desk.gateways import gateway_of
from desk.settings import Gateway, load
from telemetry.errors import SettingsError


def test_the_defaults_are_those_of_the_adapter_host() -> None:
    assert gateway_of(Gateway(name="icu", port=2575)) == GatewaySettings("icu", 2575)


def test_a_file_is_read_with_its_units(tmp_path: Path) -> None:
    file = tmp_path / "hourmeter.toml"
    file.write_text(
        '[[gateway]]\nname = "icu"\nport = 6661\npeers = ["192.0.2.0/24"]\noverflow = "withhold"\n'
        'room_mib = 2\nanswer_within_s = 1.5\ncert_file = "gw.pem"\nkey_file = "gw.key"\n'
    )
    (one,) = map(gateway_of, load(file).gateway)
    assert (one.peers, one.overflow, one.room_bytes) == (
        (ip_network("192.0.2.0/24"),),
        Overflow.WITHHOLD,
        2 << 20,
    )
    assert one.times.answer_s == 1.5
    assert one.certificate is not None
    assert one.certificate.cert == tmp_path / "gw.pem"


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(SettingsError, match=r"gateway 'icu'.*key_file"):
        gateway_of(Gateway(name="icu", port=2575, cert_file=Path("gw.pem")))


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('peers = ["here"]', "peers"),
        ('overflow = "drop"', "overflow"),
        ("answer_within_s = 0", "answer_within_s"),
        ('name = "a b"', "name"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, line: str, key: str) -> None:
    file = tmp_path / "hourmeter.toml"
    name = "" if key == "name" else 'name = "icu"\n'
    file.write_text(f"[[gateway]]\n{name}port = 2575\n{line}\n")
    with pytest.raises(SettingsError, match=rf"gateway.0.{key}"):
        load(file)
