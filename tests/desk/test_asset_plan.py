"""An import is planned beside what is on record; what the rules would refuse is a fault of its row."""

from __future__ import annotations

from pathlib import Path

import pytest

from desk.asset_file import AS_FOUND
from desk.asset_import import batch_of, facts, found_in, planned
from desk.asset_plan import Plan, Verdict
from rules.assets import Asset, Said, amended, changed, claimed
from rules.attributes import Attribute, LifeCycle, Value
from rules.inputs import AmendAsset, Baseline, ClaimAlias, EnterAssets, RetireAsset
from rules.state import State
from telemetry.errors import MessageError
from telemetry.messages import Alias, MeterName

T0_MS = 1_763_000_000_000
SAID = Said(at_ms=T0_MS, by="Lan", reason="inventory")
SERIAL = Alias(protocol="bbraun-bcc", identifier="51559")


def _asset(number: str = "HN01-1", **values: str) -> Asset:
    told = [Value(attribute=Attribute(name), value=value) for name, value in values.items()]
    return amended(Asset(id=number), told, said=SAID)


def _with_alias(asset: Asset, from_ms: int | None = None) -> Asset:
    return claimed(asset, SERIAL, from_ms=from_ms, to_ms=None, confirmed_by=None, said=SAID)


def _plan(tmp_path: Path, text: str, *assets: Asset, site: str = "") -> Plan:
    file = tmp_path / "Kiểm kê 2026.csv"
    file.write_text(text)
    found = found_in(file, mapped=(), site=site, reading=AS_FOUND)
    assert found.drafts.faults == ()
    state = State(assets={asset.id: asset for asset in assets})
    return planned(found, state, at_ms=T0_MS + 1, by="Lan", reason="")


def test_new_assets_are_one_input(tmp_path: Path) -> None:
    plan = _plan(tmp_path, "id,ward,meter,reading,last done\nA-1,ICU,ventilation_h,1250,1000\nA-2,,,,\n")
    (entered,) = plan.inputs
    assert isinstance(entered, EnterAssets)
    assert [asset.id for asset in entered.assets] == ["A-1", "A-2"]
    assert entered.assets[0].baselines == (
        Baseline(meter=MeterName.VENTILATION_H, reading=1250, last_done=1000),
    )
    assert (entered.by, entered.reason) == ("Lan", "imported from Kiểm kê 2026.csv")
    assert entered.batch.startswith("kiem-ke-2026-")


def test_an_import_has_another_name_when_its_rows_are_others(tmp_path: Path) -> None:
    names = set()
    for text in ("id\nA-1\n", "id\nA-2\n", "\ufeffid\nA-1\n"):
        file = tmp_path / "fleet.csv"
        file.write_text(text)
        names.add(batch_of(found_in(file, mapped=(), site="", reading=AS_FOUND)))
    assert len(names) == 2


def test_what_differs_amends_and_what_is_empty_stays(tmp_path: Path) -> None:
    asset = _asset(ward="ICU", owner="Sở Y tế", life_cycle="in_service")
    plan = _plan(tmp_path, "id,ward,owner,state\nHN01-1,Cấp cứu,,in store\nHN01-2,ICU,,\n", asset)
    assert [(line.id, line.verdict) for line in plan.lines] == [
        ("HN01-1", Verdict.CHANGED),
        ("HN01-2", Verdict.NEW),
    ]
    assert [str(one) for one in plan.lines[0].differences] == [
        "ward: ICU → Cấp cứu",
        "life_cycle: in_service → in_store",
    ]
    entered, amend = plan.inputs
    assert isinstance(entered, EnterAssets)
    assert isinstance(amend, AmendAsset)
    assert [(value.attribute, value.value) for value in amend.values] == [
        (Attribute.WARD, "Cấp cứu"),
        (Attribute.LIFE_CYCLE, "in_store"),
    ]


def test_a_file_imported_again_changes_nothing(tmp_path: Path) -> None:
    text = (
        "id,ward,state,protocol,identifier,meter,reading,last done\n"
        "HN01-1,ICU,,bbraun-bcc,51559,ventilation_h,1250,1000\n"
    )
    base = Baseline(meter=MeterName.VENTILATION_H, reading=1250, last_done=1000, read_ms=T0_MS)
    asset = changed(_with_alias(_asset(ward="ICU")), baselines=(base,))
    plan = _plan(tmp_path, text, asset)
    assert (plan.inputs, plan.count(Verdict.SAME), plan.faults) == ((), 1, ())


def test_a_reading_that_is_filled_in_later_amends(tmp_path: Path) -> None:
    (amend,) = _plan(
        tmp_path, "id,meter,reading,last done\nHN01-1,ventilation_h,1250,1000\n", _asset()
    ).inputs
    assert isinstance(amend, AmendAsset)
    assert amend.baselines[0].reading == 1250


def test_a_name_on_record_is_not_claimed_again_unless_since_another_day(tmp_path: Path) -> None:
    asset = _with_alias(_asset())
    rows = "id,protocol,identifier,since\nHN01-1,bbraun-bcc,51559;I51559,"
    plan = _plan(tmp_path, rows + "\n", asset)
    (claim,) = plan.inputs
    assert isinstance(claim, ClaimAlias)
    assert (claim.alias.identifier, claim.from_ms) == ("I51559", None)
    assert str(plan.lines[0].differences[0]) == "alias bbraun-bcc I51559: (nothing) → since its first message"
    again = _plan(tmp_path, rows + "01/11/2026\n", asset)
    assert str(again.lines[0].differences[0]) == (
        "alias bbraun-bcc 51559: since its first message → since 2026-11-01"
    )


def test_a_name_of_another_asset_is_a_fault(tmp_path: Path) -> None:
    plan = _plan(tmp_path, "id,protocol,identifier\nHN01-2,bbraun-bcc,51559\n", _with_alias(_asset()))
    assert plan.inputs == ()
    assert [(fault.row, fault.column, fault.found) for fault in plan.faults] == [
        (2, "identifier", "51559 speaks for HN01-1")
    ]


def test_the_end_of_a_life_is_told_as_one_and_cannot_be_amended_away(tmp_path: Path) -> None:
    (end,) = _plan(tmp_path, "id,state\nHN01-1,đã thanh lý\n", _asset()).inputs
    assert isinstance(end, RetireAsset)
    assert end.life_cycle is LifeCycle.DISPOSED
    plan = _plan(tmp_path, "id,state\nHN01-1,đang dùng\n", _asset(life_cycle="disposed"))
    assert [fault.found for fault in plan.faults] == ["HN01-1 is disposed"]


def test_without_ids_an_asset_is_known_by_its_label(tmp_path: Path) -> None:
    text = "Mã tài sản,Khoa\nTS 0123,Cấp cứu\nTS 0124,ICU\n"
    asset = _asset("HN01-7", label="TS 0123", ward="ICU")
    plan = _plan(tmp_path, text, asset, site="HN01")
    assert [(line.id, line.verdict) for line in plan.lines] == [
        ("HN01-7", Verdict.CHANGED),
        ("HN01-TS-0124", Verdict.NEW),
    ]


def test_an_id_that_a_label_makes_may_not_be_another_assets(tmp_path: Path) -> None:
    plan = _plan(tmp_path, "label,ward\nTS 0124,ICU\n", _asset("HN01-TS-0124", label="TS/0124"), site="HN01")
    assert [(fault.row, fault.found) for fault in plan.faults] == [
        (2, "it makes the id HN01-TS-0124, which is that of 'TS/0124'")
    ]


def test_what_no_row_can_be_blamed_for_is_refused_as_the_rules_would(tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    file.write_text("id\nHN01-1\n")
    found = found_in(file, mapped=(), site="", reading=AS_FOUND)
    entered = State(assets={"HN01-9": Asset(id="HN01-9", batch=batch_of(found))})
    with pytest.raises(MessageError, match=r"fleet.csv: the batch fleet-\w+ has been entered already"):
        planned(found, entered, at_ms=T0_MS, by="Lan", reason="")


def test_facts_of_a_plan_are_plain(tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    file.write_text("id,ward,note\nHN01-1,ICU,x\n")
    found = found_in(file, mapped=(), site="", reading=AS_FOUND)
    plan = planned(found, State(), at_ms=T0_MS, by="Lan", reason="")
    told = facts(found, plan, faults=(), entered=False)
    assert (told["new"], told["columns"], told["left_out"]) == (1, {"id": "id", "ward": "ward"}, ["note"])


def test_a_label_of_two_assets_names_none_unless_one_of_them_is_disposed_of(tmp_path: Path) -> None:
    text = "label,ward\nTS 0123,ER\n"
    one, other = (_asset(number, label="TS 0123", ward="ICU") for number in ("HN01-7", "HN01-8"))
    plan = _plan(tmp_path, text, one, other, site="HN01")
    assert [(fault.row, fault.column, fault.found) for fault in plan.faults] == [
        (2, "label", "it is the label of HN01-7 and HN01-8")
    ]
    gone = _asset("HN01-8", label="TS 0123", ward="ICU", life_cycle="disposed")
    plan = _plan(tmp_path, text, one, gone, site="HN01")
    assert [(line.id, line.verdict) for line in plan.lines] == [("HN01-7", Verdict.CHANGED)]
