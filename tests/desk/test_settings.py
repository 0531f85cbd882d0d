"""Settings are read with the environment above the file, and a wrong one says what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from desk import settings
from telemetry.errors import SettingsError


def _load(folder: Path, text: str) -> settings.Settings:
    file = folder / "hourmeter.toml"
    file.write_text(text)
    return settings.load(file)


def test_paths_are_relative_to_the_file_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOURMETER_BROKER__PORT", "8883")
    monkeypatch.setenv("HOURMETER_BROKER__PASSWORD", "s3cret")
    read = _load(tmp_path, '[broker]\nhost = "b"\nport = 1\n[rules]\nfolders = ["mine"]\n')
    assert (read.broker.host, read.broker.port, read.broker.secret("broker")) == ("b", 8883, "s3cret")
    assert read.journal.folder == tmp_path / "data/journal"
    assert read.rules.folders == (tmp_path / "mine",)
    assert "s3cret" not in repr(read)


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("[broker]\nport = 99999", "broker.port", "less than or equal to 65535"),
        ("[broker]\nprot = 1", "broker.prot", "port, perhaps"),
        ("[brokr]\nport = 1", "brokr", "broker, perhaps"),
        ('[[asset]]\nid = "A-1"\nzzz = 1', "asset.0.zzz", "one of: id, label, ward"),
        ('[[device]]\nname = "v1"', "device.0.protocol", "Field required"),
        ('[broker]\npassword = "x"', "broker.password", "broker.password_file"),
        ("[broker", "hourmeter.toml", "a TOML file"),
        ('[[asset]]\nid = "A-1"\n[[asset]]\nid = "A-1"', "asset", "asset id 'A-1' is given twice"),
        ('[[device]]\nname = "a b"\nprotocol = "x"', "device.0.name", "match pattern"),
    ],
)
def test_a_wrong_setting_names_its_place_and_what_would_be_right(
    tmp_path: Path, text: str, where: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        _load(tmp_path, text)
    assert where in caught.value.where
    assert expected in caught.value.expected
    assert "\n" not in str(caught.value)


def test_a_secret_under_a_mistyped_name_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"broker.passwd: is no setting") as caught:
        _load(tmp_path, '[broker]\npasswd = "hunter2"')
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("HOURMETER_BROKER__PASWD", "hunter2")
    with pytest.raises(SettingsError, match="environment: HOURMETER_BROKER__PASWD: is no setting") as caught:
        _load(tmp_path, "")
    assert "hunter2" not in str(caught.value)


def test_all_that_is_wrong_can_be_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "hourmeter.toml"
    file.write_text('[broker]\nport = 0\n[desk]\nprot = 1\n[histroy]\nuser = "x"')
    assert [fault.where.rpartition(" ")[2] for fault in settings.faults(file)] == [
        "broker.port",
        "desk.prot",
        "histroy",
    ]
    file.write_text('[broker]\npassword = "x"\n[host]\npassword = "y"')
    assert len(settings.faults(file)) == 2
    file.write_text("")
    assert settings.faults(file) == ()


def test_a_list_in_the_environment_that_is_no_json_names_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOURMETER_DEVICE", "foo")
    with pytest.raises(SettingsError, match=r"environment: .*device"):
        _load(tmp_path, "")


def test_a_password_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    read = _load(tmp_path, '[broker]\npassword_file = "secret"')
    with pytest.raises(SettingsError, match="is no text in UTF-8"):
        read.broker.secret("broker")


def test_a_missing_password_file_is_named(tmp_path: Path) -> None:
    read = _load(tmp_path, '[broker]\npassword_file = "nowhere"')
    with pytest.raises(SettingsError, match=r"broker.password_file: .*nowhere: No such file"):
        read.broker.secret("broker")
