"""The pages of devices say what their protocol files say, and commands show them."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from adapters.contract import Evidence, Model, ProtocolFile, Way
from adapters.registry import protocols
from desk import cli, settings
from desk.adapter_pages import WORDS, fitting, index, page, rank
from desk.devices import device_of

FILES = protocols()
PB = FILES["puritan-bennett"]


def with_models(*models: Model) -> ProtocolFile:
    return replace(PB, info=replace(PB.info, models=models))


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, ["adapters", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("name", FILES)
def test_a_page_tells_first_what_it_was_tried_against_and_then_all_that_the_file_says(name: str) -> None:
    file, text = FILES[name], page(FILES[name])
    first = text.partition("\n## ")[2].partition("\n## ")[0]
    assert first.startswith("What it was tried against")
    assert [word for word in (WORDS[model.evidence] for model in file.info.models) if word not in first] == []
    assert [one for one in (*file.info.sends, *file.info.notes, file.info.bedside) if one not in text] == []
    assert [table.title for table in file.tables if f"## {table.title}\n" not in text] == []
    assert text.count("\n") > 20


@pytest.mark.parametrize("name", FILES)
def test_the_settings_that_a_page_shows_are_taken_as_they_stand(name: str) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", page(FILES[name]), re.DOTALL)
    for block in blocks:
        (table,) = tomllib.loads(block)["device"]
        assert device_of(settings.Device.model_validate(table), FILES).protocol == name
    ways = [way for way in fitting(FILES[name]) if way is not Way.GATEWAY]
    assert len(blocks) == len(ways)


def test_models_stand_best_evidence_first_and_a_real_device_is_said_to_be_one() -> None:
    models = (
        Model("A", Evidence.MANUAL),
        Model("B", Evidence.DEVICE, "firmware 2.1"),
        Model("C", Evidence.CAPTURE),
    )
    assert [model.name for model in rank(models)] == ["B", "C", "A"]
    text = page(with_models(*models))
    assert "| B | **seen on a real device** | firmware 2.1 |" in text
    assert "No model was seen on a real device" not in text
    assert "device: B; capture: C; manual: A" in index([with_models(*models).info], folder="x")


def test_a_file_that_names_no_model_says_that_it_was_not_tried() -> None:
    assert "**Not tried against anything.**" in page(with_models())
    assert "not tried against anything" in index([with_models().info], folder="x")


def test_what_would_break_a_table_is_escaped() -> None:
    assert "| a\\|b | **only against a manual** | c d |" in page(
        with_models(Model("a|b", Evidence.MANUAL, "c\nd"))
    )


def test_the_list_names_every_protocol_and_what_each_model_was_tried_against() -> None:
    rows = [line.split("\t") for line in run("list").splitlines()]
    assert rows[0] == ["id", "title", "ways", "model", "tried"]
    told = {(row[0], row[3], row[4]) for row in rows[1:]}
    assert told == {
        (name, model.name, WORDS[model.evidence])
        for name, file in FILES.items()
        for model in file.info.models
    }
    assert any("(one reader)" in row[2] for row in rows)


def test_the_list_as_json_is_for_programs() -> None:
    (one,) = [one for one in json.loads(run("list", "--json")) if one["id"] == "puritan-bennett"]
    assert one["ways"] == ["serial", "tcp"]
    assert one["one_client"] is False
    assert one["models"][0] == {
        "name": "840, SNDF of 1225 bytes",
        "evidence": "capture",
        "note": "33 reports of one ventilator, 2023",
    }


def test_show_prints_the_page() -> None:
    assert run("show", "puritan-bennett") == page(PB)
