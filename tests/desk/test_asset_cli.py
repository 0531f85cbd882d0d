"""The commands of `assets` answer in lines for people and pipes, and say what they cannot take."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector.conclude import resume, sync_registry
from collector.intake import Intake
from collector.journal import open_journal
from collector.ledger import open_ledger
from desk import cli, reading
from desk.asset_beside import day
from desk.settings import Settings, load
from rules.attributes import Attribute, Value
from rules.inputs import AmendAsset, ClaimAlias, DeskInput, EnterAssets, NewAsset
from telemetry.errors import SettingsError
from telemetry.messages import Alias
from tests.collector.journals import ROOMY, T0_MS, usage

MINUTE_MS = 60_000
NOW_MS = T0_MS + 30 * MINUTE_MS
DEVICE = ("puritan-bennett", "840", "3510000001")
PORT = Alias(protocol="medibus", namespace="port", identifier="evita-1")
SAID: tuple[DeskInput, ...] = (
    EnterAssets(
        at_ms=NOW_MS,
        by="Lan",
        reason="imported",
        batch="fleet-1",
        assets=(
            NewAsset(
                id="HN01-1",
                values=(
                    Value(attribute=Attribute.WARD, value="ICU", from_ms=T0_MS),
                    Value(attribute=Attribute.OWNER, value="Sở Y tế"),
                ),
            ),
            NewAsset(id="HN01-2", values=(Value(attribute=Attribute.LIFE_CYCLE, value="in_store"),)),
        ),
    ),
    ClaimAlias(at_ms=NOW_MS, by="Lan", reason="seen", asset="HN01-1", alias=PORT, from_ms=T0_MS),
    AmendAsset(
        at_ms=NOW_MS,
        by="Minh",
        reason="transfer",
        asset="HN01-1",
        values=(Value(attribute=Attribute.WARD, value="Cấp cứu"),),
    ),
)


def _run(site: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["assets", *arguments, "--settings", str(site)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that has heard one device for half an hour, and two assets; nothing runs any more."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "hourmeter.toml").write_text("")
    asyncio.run(_build(load(folder / "hourmeter.toml")))
    return folder


@pytest.fixture
def site(built: Path, tmp_path: Path) -> Path:
    """The settings file of such a site, for one test."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return tmp_path / "hourmeter.toml"


async def _build(settings: Settings) -> None:
    journal = open_journal(settings.journal.folder, limits=ROOMY, new_epoch=lambda: "e1")
    intake = Intake(journal.store)
    for minute in range(31):
        at_ms = T0_MS + minute * MINUTE_MS
        intake.take([usage(minute + 1, observed_ms=at_ms, mono_ms=minute * MINUTE_MS)], received_ms=at_ms)
        intake.tick(at_ms + 1_000)
    async with open_ledger(settings.ledger.file) as ledger:
        await sync_registry(ledger)
        for said in SAID:
            await ledger.append_input(said)
        concluder = await resume(journal, ledger, mono_ms=lambda: 0)
        while await concluder.step():
            continue
        await concluder.settle()
        for number in range(1, 4):
            line = await ledger.input(number)
            assert line is not None
            assert line.refused == ""
    journal.close()


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing runs that could answer, so nobody waits for it."""
    monkeypatch.setattr(reading, "APPLIED_WITHIN_S", 0.05)
    monkeypatch.setattr("desk.asset_telling.STEP_S", 0.0)
    return iter(())


def test_assets_are_listed_and_narrowed_down(site: Path) -> None:
    code, out = _run(site, "list")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert [row[:4] for row in rows] == [
        ["asset", "label", "ward", "state"],
        ["HN01-1", "", "Cấp cứu", "in_service"],
        ["HN01-2", "", "", "in_store"],
    ]
    assert [line.split("\t")[0] for line in _run(site, "list", "--state", "in_store")[1].splitlines()] == [
        "asset",
        "HN01-2",
    ]
    assert len(_run(site, "list", "--ward", "ICU")[1].splitlines()) == 1
    assert [one["id"] for one in json.loads(_run(site, "list", "--ward", "", "--json")[1])] == ["HN01-2"]


def test_an_unclaimed_device_is_listed_with_the_command_that_claims_it(site: Path) -> None:
    _, out = _run(site, "list", "--unclaimed")
    _, row, command = out.splitlines()
    assert row.split("\t")[:4] == [*DEVICE, "strong"]
    assert "ventilation_h 0.5" in row
    assert command == "hourmeter assets claim ASSET puritan-bennett 840 3510000001"
    (told,) = json.loads(_run(site, "list", "--unclaimed", "--json")[1])
    assert (told["identifier"], told["claim"], told["meters"][0]["low_h"]) == (DEVICE[2], command, 0.5)


def test_an_asset_is_shown_with_its_history_and_the_validity_of_its_names(site: Path) -> None:
    _, out = _run(site, "show", "HN01-1")
    lines = out.splitlines()
    assert "ward          Cấp cứu" in lines
    assert "owner         Sở Y tế" in lines
    assert f"medibus port evita-1\tweak\t{day(T0_MS)}\t\tnot confirmed" in lines
    assert any("ward: ICU → Cấp cứu\tMinh" in line and line.endswith("transfer") for line in lines)
    told = json.loads(_run(site, "show", "HN01-1", "--json")[1])
    assert (told["ward"], told["life_cycle"], told["aliases"][0]["to"]) == ("Cấp cứu", "in_service", None)
    assert [change["attribute"] for change in told["changes"]][-1] == "ward"
    with pytest.raises(SettingsError, match=r"there is no HN01-9; an id that `hourmeter assets list` shows"):
        _run(site, "show", "HN01-9")


@pytest.mark.usefixtures("in_haste")
def test_what_is_said_while_nothing_runs_is_kept_and_takes_effect_later(site: Path) -> None:
    kept = "recorded; it takes effect when `hourmeter conclude` (or `run`) runs"
    for said in (
        ("claim", "HN01-1", *DEVICE),
        ("confirm", "HN01-1", "medibus", "port", "evita-1"),
        ("release", "HN01-1", "medibus", "port", "evita-1"),
        ("move", "HN01-2", "ICU", "--on", "2026-11-01"),
        ("amend", "HN01-2", "owner=Sở Y tế", "warranty_end=15/03/2027", "supplier="),
        ("retire", "HN01-2", "thanh lý", "--reason", "decision 12/2026"),
    ):
        assert _run(site, *said) == (0, f"{said[1]}: {kept}\n")
    sheet = site.parent / "fleet.csv"
    sheet.write_text("id,ward\nHN01-1,Hồi sức\nHN01-3,ICU\n")
    assert f"1 new, 1 changed, 0 same; {kept}" in _run(site, "import", str(sheet))[1]


def test_a_dry_run_shows_what_would_be_entered_and_changed(site: Path) -> None:
    sheet = site.parent / "fleet.csv"
    sheet.write_text("Mã thiết bị;Khoa;Ghi chú\nHN01-1;Hồi sức;x\nHN01-2;;x\nHN01-3;ICU;x\n")
    _, out = _run(site, "import", str(sheet), "--dry-run")
    assert out.splitlines() == [
        "row\tasset\tlabel\tbecomes\tchanges",
        "2\tHN01-1\t\tchanged\tward: Cấp cứu → Hồi sức",
        "4\tHN01-3\t\tnew\t",
        "columns not taken: Ghi chú",
        "1 new, 1 changed, 1 same; a dry run: nothing was entered",
    ]
    told = json.loads(_run(site, "import", str(sheet), "--dry-run", "--json")[1])
    assert (told["new"], told["changed"], told["same"], told["entered"]) == (1, 1, 1, False)
    assert told["assets"][0]["differences"] == [{"field": "ward", "old": "Cấp cứu", "new": "Hồi sức"}]


def test_a_file_that_names_what_is_anothers_is_refused_with_its_row(site: Path) -> None:
    sheet = site.parent / "fleet.csv"
    sheet.write_text(
        "id,protocol,namespace,identifier,since\nHN01-2,medibus,port,evita-1,2026-11-01\n"
        "HN01-3,medibus,port,evita-2,2026-11-01\n"
    )
    with pytest.raises(SettingsError, match="1 row with 1 fault, so nothing was entered"):
        _run(site, "import", str(sheet), "--dry-run")


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (("move", "HN01-9", "ICU"), "there is no HN01-9"),
        (("move", "HN01-1", "ICU", "--on", "yesterday"), "--on: 'yesterday'; a day as 15/03/2027"),
        (("move", "HN01-1", "ICU", "--by", ""), "--by: 0 characters"),
        (("move", "HN01-1", "ICU", "--reason", ""), "--reason: 0 characters"),
        (("move", "HN01-1", "x" * 300), "ward: has 300 characters"),
        (("move", "HN01-1", "I\u200bCU"), "U\\+200B"),
        (("amend", "HN01-1"), "nothing to change"),
        (("amend", "HN01-1", "colour=red"), "a field of label, ward"),
        (("amend", "HN01-1", "life_cycle="), "one of received"),
        (("amend", "HN01-1", "--reading", "5"), "half of a reading"),
        (
            ("amend", "HN01-1", "--meter", "miles", "--reading", "5", "--last-done", "0"),
            "--meter: 'miles'; one of power_on_h",
        ),
        (("retire", "HN01-1", "in store", "--reason", "x"), "in_store is no end; disposed or lost"),
        (("release", "HN01-1", *DEVICE, "--never", "--to", "2026-11-01"), "--never and --to"),
        (("claim", "HN01-1", "medi bus", "", "x"), "'medi bus'; a protocol id"),
        (("claim", "HN01-1", "medibus", "", ""), "1 to 64 characters"),
        (("import", "fleet.csv", "--map", "Khoa"), "field is one of id"),
    ],
)
def test_what_cannot_be_taken_is_told_before_it_is_said(
    site: Path, said: tuple[str, ...], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.parent)
    (site.parent / "fleet.csv").write_text("id,Khoa\nHN01-1,ICU\n")
    monkeypatch.setattr("desk.asset_telling.STEP_S", 0.0)
    with pytest.raises(SettingsError, match=wrong):
        _run(site, *said)


def test_without_ids_and_without_a_site_code_an_import_says_what_would_help(site: Path) -> None:
    sheet = site.parent / "fleet.csv"
    sheet.write_text("Mã tài sản,Khoa\nTS-1,ICU\n")
    with pytest.raises(SettingsError, match=r"no column holds ids.*--site CODE"):
        _run(site, "import", str(sheet), "--dry-run")
    with pytest.raises(SettingsError, match="--site: 'HN 01'"):
        _run(site, "import", str(sheet), "--dry-run", "--site", "HN 01")
    assert "2\tHN01-TS-1\tTS-1\tnew" in _run(site, "import", str(sheet), "--dry-run", "--site", "HN01")[1]
    sheet.write_text("id,Khoa\n")
    with pytest.raises(SettingsError, match="no row below the header in row 1"):
        _run(site, "import", str(sheet))
