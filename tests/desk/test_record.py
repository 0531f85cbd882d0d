"""`hourmeter record` takes one device of the settings, and refuses what it should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.host.disk import locked
from desk import cli
from telemetry.errors import SettingsError, Unavailable
from tests.adapters.ventilators import report


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The settings of a host with a ventilator that was recorded before, and a gateway."""
    (tmp_path / "raw.bin").write_bytes(report({72: "9.876"}) + report({72: "9.876", 121: "LOW"}))
    (tmp_path / "none.bin").write_bytes(b"")
    device = '[[device]]\nname = "{0}"\nprotocol = "puritan-bennett"\nreplay = "{0}.bin"\npoll_s = 0.01\n'
    (tmp_path / "hourmeter.toml").write_text(
        f'[host]\noutbox = "outbox.db"\n{device.format("raw")}{device.format("none")}'
        '[[gateway]]\nname = "gw"\nport = 2575\n'
    )
    return tmp_path


def record(site: Path, name: str, *more: str) -> str:
    arguments = ("--to", str(site / "a.capture"), "--settings", str(site / "hourmeter.toml"))
    return run("record", name, *arguments, *more)


def test_a_device_is_recorded_and_decoded_and_played_again(site: Path) -> None:
    said = record(site, "raw")
    assert "2 frames heard, 0 refused" in said
    capture = (site / "a.capture").read_text()
    assert b"9.876".hex() not in capture
    decoded = [
        json.loads(line) for line in run("decode", "puritan-bennett", str(site / "a.capture")).splitlines()
    ]
    assert [one["kind"] for one in decoded] == ["identity", "usage", "metrics", "usage", "alarm"]
    settings = site / "hourmeter.toml"
    settings.write_text(settings.read_text().replace("raw.bin", "a.capture"))
    again = run("record", "raw", "--to", str(site / "b.capture"), "--settings", str(settings))
    assert "2 frames heard, 0 refused" in again


def test_what_is_there_is_not_written_over(site: Path) -> None:
    (site / "a.capture").write_text("mine")
    with pytest.raises(SettingsError, match="none is written over"):
        record(site, "raw")
    assert (site / "a.capture").read_text() == "mine"


def test_a_host_that_runs_is_not_disturbed(site: Path) -> None:
    with locked(site / "outbox.db"), pytest.raises(SettingsError, match="in use by another adapter host"):
        record(site, "raw")
    assert not (site / "a.capture").exists()


@pytest.mark.parametrize(
    ("name", "found"), [("other", "is not known; one of: raw, none"), ("gw", r"is a \[\[gateway\]\]")]
)
def test_only_devices_of_the_settings_are_recorded(site: Path, name: str, found: str) -> None:
    with pytest.raises(SettingsError, match=found):
        record(site, name)


def test_a_device_that_says_nothing_is_told_as_such(site: Path) -> None:
    with pytest.raises(Unavailable, match="end of input"):
        record(site, "none")


def test_a_capture_of_another_protocol_is_not_played(site: Path) -> None:
    record(site, "raw")
    with pytest.raises(SettingsError, match="a capture of puritan-bennett; a capture of v60"):
        run("decode", "v60", str(site / "a.capture"))
