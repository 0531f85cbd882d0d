"""Every command and setting is documented, and the sample shows the real defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from adapters.registry import protocols
from desk import adapter_pages, metrics
from desk.broker import acl_text
from desk.settings import Settings
from tests.house import documents
from tests.house.tree import ROOT


def _golden(file: Path, text: str, *, update: bool) -> None:
    """Compare a file with what the code says, or write it anew."""
    if update:
        file.write_text(text, encoding="utf-8")
    said = file.read_text(encoding="utf-8") if file.exists() else ""
    assert said == text, f"{file.name} is out of date: run pytest tests/house/test_docs.py --update"


def test_every_command_and_option_is_documented(request: pytest.FixtureRequest) -> None:
    text = documents.commands("desk.cli", folder=ROOT)
    assert documents.without_meaning(text) == ()
    _golden(ROOT / "docs/commands.md", text, update=bool(request.config.getoption("--update")))


def test_every_setting_is_documented(request: pytest.FixtureRequest) -> None:
    unexplained = [
        f"{setting.table} {setting.key}" for setting in documents.walk(Settings) if not setting.meaning
    ]
    assert unexplained == []
    text = documents.settings(Settings)
    _golden(ROOT / "docs/settings.md", text, update=bool(request.config.getoption("--update")))


def test_every_metric_is_documented(request: pytest.FixtureRequest) -> None:
    update = bool(request.config.getoption("--update"))
    _golden(ROOT / "docs/metrics.md", metrics.document(), update=update)


DEVICES = ROOT / "docs/devices"


def test_every_page_of_a_device_is_written_from_its_protocol_file(request: pytest.FixtureRequest) -> None:
    """A protocol file whose page was not written yet is none the worse for it."""
    files = protocols()
    update = bool(request.config.getoption("--update"))
    orphans = sorted(page.name for page in DEVICES.iterdir() if page.stem not in files)
    if update:
        for orphan in orphans:
            (DEVICES / orphan).unlink()
    for name, file in files.items():
        if update or (DEVICES / f"{name}.md").exists():
            _golden(DEVICES / f"{name}.md", adapter_pages.page(file), update=update)
    assert update or orphans == []


@pytest.mark.parametrize(("name", "folder"), [("README.md", "docs/devices"), ("docs/index.md", "devices")])
def test_every_page_of_a_device_is_in_the_table_that_leads_there(
    request: pytest.FixtureRequest, name: str, folder: str
) -> None:
    before, begin, rest = (ROOT / name).read_text(encoding="utf-8").partition("<!-- devices -->\n")
    end = "<!-- end of devices -->"
    infos = [file.info for file in protocols().values() if (DEVICES / f"{file.info.id}.md").exists()]
    grid = adapter_pages.index(infos, folder=folder)
    text = f"{before}{begin}{grid}\n{end}{rest.partition(end)[2]}"
    _golden(ROOT / name, text, update=bool(request.config.getoption("--update")))


def test_the_sample_names_every_setting_and_its_default() -> None:
    sample = (ROOT / "deploy/hourmeter.toml").read_text(encoding="utf-8")
    assert documents.sample_faults(sample, Settings) == ()


class _Small(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Broker(_Small):
    """The broker."""

    host: str = ""
    """Name of
    the broker."""
    port: int = 1883
    """TCP port."""
    ca_file: Path | None = None
    """Authority."""
    password: SecretStr | None = None
    """Secret."""


class _Name(_Small):
    identifier: str
    """Serial."""


class _Asset(_Small):
    id: str
    """Its name."""
    ward: str = Field("", alias="room")
    """Where."""
    aliases: tuple[_Name, ...] = ()


class _Settings(_Small):
    rate: float = 60
    """Rate."""
    broker: _Broker = _Broker(port=8883)
    asset: tuple[_Asset, ...] = ()


SAMPLE = """## A sample.
# rate = 60

[broker]
## Who carries.
# host = ""
# port = 8883
# ca_file = "ca.pem"

# [[asset]]
# id = "A-1"
# room = "ICU"
# [[asset.aliases]]
# identifier = "35B1"
"""


def test_the_walk_finds_every_setting_with_the_default_that_holds() -> None:
    found = {(setting.table, setting.key): setting.default for setting in documents.walk(_Settings)}
    assert found == {
        ((), "rate"): 60,
        (("broker",), "host"): "",
        (("broker",), "port"): 8883,
        (("broker",), "ca_file"): None,
        (("broker",), "password"): None,
        (("asset[]",), "id"): None,
        (("asset[]",), "room"): "",
        (("asset[]", "aliases[]"), "identifier"): None,
    }


def test_the_page_of_settings_has_a_row_for_each() -> None:
    page = documents.settings(_Settings)
    assert "## `[broker]`\n\nThe broker.\n\n| key | default | meaning |\n|---|---|---|\n" in page
    assert '| `host` | `""` | Name of the broker. |\n| `port` | `8883` | TCP port. |' in page
    assert "| `password` | environment only | Secret. |" in page
    assert "## `[[asset.aliases]]`" in page
    assert "| `identifier` | required | Serial. |" in page


def test_a_sample_that_agrees_has_no_faults() -> None:
    assert documents.sample_faults(SAMPLE, _Settings) == ()


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        ("# port = 8883", "# port = 1883", "[broker] port is 1883, not 8883"),
        ("# port = 8883\n", "", "[broker] port is missing"),
        ("# port = 8883", "port = 8883", "[broker] is live"),
        ("# rate = 60", "rate = 60", "[rate] is live"),
        ('# room = "ICU"\n', "", "[[asset]] room is missing"),
        ("# ca_file", '# password = "x"\n# ca_file', "[broker] password is a secret"),
    ],
)
def test_a_sample_that_differs_is_found(good: str, bad: str, fault: str) -> None:
    assert documents.sample_faults(SAMPLE.replace(good, bad), _Settings) == (fault,)


@pytest.mark.parametrize("line", ["# prot = 1", "# some prose", "# rate = 'x'"])
def test_a_sample_with_a_line_that_no_file_may_have_is_an_error(line: str) -> None:
    with pytest.raises((ValueError, ValidationError)):
        documents.sample_faults(f"{line}\n", _Settings)


def test_commands_are_written_with_their_options_and_those_without_meaning_are_found(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(
        "import typer\n"
        "from typing import Annotated\n"
        "app = typer.Typer(help='Says things.')\n"
        "@app.command()\n"
        "def show(clear: Annotated[int, typer.Option(help='Is clear.')] = 1, dark: int = 2) -> None:\n"
        "    'Shows a ticket.'\n"
        "@app.command()\n"
        "def mute() -> None: ...\n"
    )
    text = documents.commands("small.py", folder=tmp_path)
    assert "## `hourmeter show`" in text
    assert "Is clear." in text
    mute, dark = documents.without_meaning(text)
    assert "mute" in mute
    assert "--dark" in dark


def test_the_access_list_in_the_documentation_is_the_one_that_is_tested() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    told = [
        line.strip() for line in page.partition("```")[2].partition("```")[0].splitlines() if line.strip()
    ]
    assert told == [line for line in acl_text().splitlines() if line]
