"""Rows of an inventory become assets, and everything that is wrong with them is named."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.asset_columns import mapped_of
from desk.asset_rows import Fault, drafts_of
from desk.asset_sheet import Row, Sheet, cell
from desk.asset_values import UnfitError, day_of, figure_of, id_for, moment_of, value_of
from desk.asset_words import Column, column_of, table_of, type_of
from rules.attributes import Attribute, Funding, LifeCycle, Value
from rules.inputs import Baseline
from telemetry.errors import SettingsError
from telemetry.messages import Alias, MeterName, Strength
from telemetry.times import iso
from tests.desk.sheets import INVENTORY, drafts, header, read, workbook

KNOWN = {
    "Mã thiết bị": Column.ID,
    "MÃ TÀI SẢN": Column.LABEL,
    "Tên thiết bị": Column.DEVICE_TYPE,
    "Số sê-ri": Column.SERIAL,
    "Số seri": Column.SERIAL,
    "Serial No. / Số máy": Column.SERIAL,
    "Khoa/phòng": Column.WARD,
    "Khoa, phòng sử dụng": Column.WARD,
    "Hãng sản xuất": Column.MANUFACTURER,
    "Model/Ký hiệu": Column.MODEL,
    "Ngày hết bảo hành (dd/mm/yyyy)": Column.WARRANTY_END,
    "Nhà cung cấp": Column.SUPPLIER,
    "Nguồn vốn": Column.FUNDING,
    "Chủ sở hữu": Column.OWNER,
    "Tình trạng": Column.LIFE_CYCLE,
    "Warranty end": Column.WARRANTY_END,
    "DEPARTMENT": Column.WARD,
    "Inventory_Label": Column.LABEL,
    "STT": None,
    "Ghi chú": None,
    "Hãng / Khoa": None,
}


@pytest.mark.parametrize(("name", "column"), KNOWN.items())
def test_columns_are_known_by_their_names(name: str, column: Column | None) -> None:
    for form in ("NFC", "NFD"):
        assert column_of(unicodedata.normalize(form, name)) is column


def test_every_field_is_known_by_its_own_name() -> None:
    assert {column: column_of(column) for column in Column} == {column: column for column in Column}
    assert {Column(attribute) for attribute in Attribute} <= set(Column)


def test_no_word_means_two_things() -> None:
    with pytest.raises(ValueError, match="'tot' means good and bad"):
        table_of({"good": "tốt, fine", "bad": "TỘT"})


def test_a_type_is_known_by_how_a_name_begins() -> None:
    assert type_of("Máy thở Puritan Bennett 840") == "ventilator"
    assert type_of("MÁY THỞ CPAP trẻ em") == "CPAP"
    assert type_of("Bàn mổ") == "Bàn mổ"


def test_an_inventory_is_read_whole() -> None:
    found = drafts(INVENTORY)
    assert found.faults == ()
    first, second = found.drafts
    assert (first.row, first.id) == (2, "HN01-0042")
    assert {value.attribute: value.value for value in first.values} == {
        Attribute.DEVICE_TYPE: "ventilator",
        Attribute.MANUFACTURER: "Puritan Bennett",
        Attribute.MODEL: "840",
        Attribute.SERIAL: "3510072467",
        Attribute.WARD: "Hồi sức",
        Attribute.LIFE_CYCLE: LifeCycle.IN_SERVICE,
        Attribute.WARRANTY_END: "2027-03-15",
        Attribute.FUNDING: Funding.DONATION,
    }
    assert Value(attribute=Attribute.LIFE_CYCLE, value="in_store") in second.values
    assert Attribute.WARRANTY_END not in {value.attribute for value in second.values}


def test_a_header_stands_below_titles() -> None:
    data = workbook(
        ["BỆNH VIỆN ĐA KHOA"], ["DANH MỤC THIẾT BỊ"], [], ["STT", "Mã thiết bị", "Khoa"], [1, "A-1", "ICU"]
    )
    told = header(read(data))
    assert (told.row, told.left_out) == (4, ("STT",))
    assert drafts(data).drafts[0].row == 5


def test_a_sheet_without_known_names_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"no row with names of columns.*--map COLUMN=field"):
        header(read("x,y\n1,2\n"))


def test_columns_are_what_somebody_says() -> None:
    sheet = read("Mã thiết bị,Vị trí,Khoa\nA-1,Kho 3,ICU\n")
    with pytest.raises(SettingsError, match=r"'Vị trí' and 'Khoa' both hold ward.*--map 'Khoa'= leaves"):
        header(sheet)
    assert header(sheet, **mapped_of(["VI TRI="])).names[Column.WARD] == "Khoa"
    assert header(sheet, **mapped_of(["Vị trí=owner"])).names[Column.OWNER] == "Vị trí"


@pytest.mark.parametrize("given", ["Khoa", "=ward", "Khoa=room"])
def test_a_wrong_mapping_names_the_fields(given: str) -> None:
    with pytest.raises(SettingsError, match="field is one of id, label"):
        mapped_of([given])


def test_a_mapping_of_a_column_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(SettingsError, match=r"there is no column 'phong'; one of row 1: 'id', 'ward'"):
        header(read("id,ward\nA-1,x\n"), **mapped_of(["Phòng=ward"]))


def test_every_fault_is_named_and_not_only_the_first() -> None:
    found = drafts(
        "Mã thiết bị,Khoa,Tình trạng,Ngày hết bảo hành,Chỉ số\n"
        "A 1,ICU,đang bay,31/02/2027,12\n"
        ",ICU,,,\n"
        "A-2,ICU,,03/15/2027,\n"
        "A-2,ICU,,46096,12.345\n"
    )
    told = [(fault.row, fault.column, fault.found) for fault in found.faults]
    assert told == [
        (2, "Mã thiết bị", "'A 1'"),
        (2, "Tình trạng", "'đang bay'"),
        (2, "Ngày hết bảo hành", "31/02/2027: there is no day 31 of month 2"),
        (2, "last_done", "is empty"),
        (3, "Mã thiết bị", "is empty"),
        (4, "Ngày hết bảo hành", "03/15/2027: there is no day 3 of month 15"),
        (5, "Ngày hết bảo hành", "46096, a day kept as a number"),
        (5, "Chỉ số", "12.345: thousands or decimals?"),
        (5, "Mã thiết bị", "A-2 stands in row 4 already"),
    ]
    assert all(fault.expected for fault in found.faults)
    assert "received, accepted, in_service" in found.faults[1].expected


def test_a_spoiled_cell_is_a_fault_only_where_it_is_wanted() -> None:
    found = drafts(workbook(["id", "ward", "Ghi chú"], ["A-1", "=B9", "=C9"]))
    assert [(fault.row, fault.column) for fault in found.faults] == [(2, "ward")]


def test_several_names_of_one_asset_stand_in_one_cell() -> None:
    found = drafts("id,protocol,identifier\nHN01-7,bbraun-bcc,51559; I51559\n")
    assert [said.alias for said in found.drafts[0].aliases] == [
        Alias(protocol="bbraun-bcc", identifier="51559"),
        Alias(protocol="bbraun-bcc", identifier="I51559"),
    ]


def test_protocol_and_namespace_may_be_one_for_each_name() -> None:
    found = drafts("id,protocol,namespace,identifier\nA-1,hl7;v60,;x,S1;S2\n")
    assert found.faults == ()
    assert [said.alias.protocol for said in found.drafts[0].aliases] == ["hl7", "v60"]
    found = drafts("id,protocol,identifier\nA-1,hl7;v60;sdc,S1;S2\nA-2,,S3\nA-3,hl7,\n")
    assert [(fault.row, fault.column, fault.found) for fault in found.faults] == [
        (2, "protocol", "3 for 2 identifiers"),
        (3, "protocol", "0 for 1 identifiers"),
        (4, "identifier", "is empty"),
    ]


def test_a_port_needs_the_day_since_which_the_device_hangs_there() -> None:
    rows = "id,protocol,namespace,identifier,since\n"
    (fault,) = drafts(rows + "A-1,medibus,port,evita-1,\n").faults
    assert fault == Fault(2, "since", "is empty, and 'evita-1' is but a port", fault.expected)
    (draft,) = drafts(rows + "A-1,medibus,port,evita-1,20/11/2026\n").drafts
    (said,) = draft.aliases
    assert said.alias.strength is Strength.WEAK
    assert said.from_ms is not None
    assert iso(said.from_ms) == "2026-11-20T00:00:00.000Z"


def test_a_name_that_two_rows_claim_is_a_fault_of_the_second() -> None:
    found = drafts("id,protocol,identifier\nA-1,sdc,S1\nA-2,sdc,S1\n")
    assert [(fault.row, fault.found) for fault in found.faults] == [(3, "S1 stands in row 2 already")]


def test_readings_are_baselines_of_their_meter() -> None:
    found = drafts("id,meter,reading,last done\nA-1,Số giờ thở máy,1250.5,1000\n")
    assert found.drafts[0].baselines == (
        Baseline(meter=MeterName.VENTILATION_H, reading=1250.5, last_done=1000),
    )
    found = drafts("id,Power-on hours,last done\nA-1,21840,0\n")
    assert found.drafts[0].baselines[0].meter is MeterName.POWER_ON_H


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("ventilation_h,,100", "is empty"),
        (",100,50", "is empty"),
        ("ventilation_h,100,500", "500 is more than the reading 100"),
        ("furlongs,100,50", "'furlongs'"),
        ("ventilation_h,-5,0", "'-5'"),
        ("ventilation_h,1e9,0", "'1e9'"),
    ],
)
def test_half_a_reading_is_a_fault(row: str, found: str) -> None:
    assert found in [fault.found for fault in drafts(f"id,meter,reading,last done\nA-1,{row}\n").faults]


def test_ids_are_made_of_site_and_label() -> None:
    found = drafts("Mã tài sản,Khoa\nTS.0123/ĐK,ICU\n", site="HN01")
    assert (found.drafts[0].id, found.faults) == ("HN01-TS.0123-DK", ())
    assert Value(attribute=Attribute.LABEL, value="TS.0123/ĐK") in found.drafts[0].values
    with pytest.raises(UnfitError):
        id_for("///", site="HN01")


def test_labels_that_make_one_id_are_a_fault() -> None:
    found = drafts("label,ward\nTS/1,x\nTS 1,x\n", site="HN01")
    assert [(fault.row, fault.found) for fault in found.faults] == [(3, "HN01-TS-1 stands in row 2 already")]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2027-03-05", date(2027, 3, 5)),
        ("05/03/2027", date(2027, 3, 5)),
        ("5.3.2027", date(2027, 3, 5)),
        ("05-03-2027", date(2027, 3, 5)),
        ("2027/3/5", date(2027, 3, 5)),
    ],
)
def test_days_are_written_year_first_or_day_first(text: str, day: date) -> None:
    assert day_of(text) == day


@pytest.mark.parametrize("text", ["5/3/27", "2019", "March 2027", "2027-13-01", "05/03/1027", "٠٥/٠٣/٢٠٢٧x"])
def test_other_days_are_refused(text: str) -> None:
    with pytest.raises(UnfitError, match="2027-03-15"):
        day_of(text)


def test_a_moment_has_a_zone_or_is_the_beginning_of_a_day_in_utc() -> None:
    assert iso(moment_of("20/11/2026")) == iso(moment_of("2026-11-20")) == "2026-11-20T00:00:00.000Z"
    assert iso(moment_of("2026-11-20T08:00+07:00")) == "2026-11-20T01:00:00.000Z"
    with pytest.raises(UnfitError, match="with its zone"):
        moment_of("2026-11-20T08:00")


@pytest.mark.parametrize(
    ("text", "figure"), [("1250", 1250), ("1250,5", 1250.5), ("12.5", 12.5), ("12345.678", 12345.678)]
)
def test_a_figure_has_a_decimal_comma_or_point(text: str, figure: float) -> None:
    assert figure_of(text) == figure


@pytest.mark.parametrize("text", ["3,51E+09", "3.5100724E9"])
def test_a_serial_that_a_spreadsheet_shortened_is_refused(text: str) -> None:
    with pytest.raises(UnfitError, match="shortened"):
        value_of(Attribute.SERIAL, text)


@given(st.sampled_from([*Attribute]), st.text(min_size=1, max_size=300))
def test_any_text_is_a_value_that_the_registry_takes_or_a_fault(attribute: Attribute, text: str) -> None:
    try:
        taken = value_of(attribute, text)
    except UnfitError:
        return
    assert Value(attribute=attribute, value=taken).value == taken


@given(st.text(max_size=20))
def test_any_text_is_a_moment_and_a_figure_or_a_fault(text: str) -> None:
    for read_text in (moment_of, figure_of):
        try:
            assert read_text(text) > -(2**40)
        except UnfitError:
            continue


_LINES = st.lists(
    st.lists(
        st.one_of(
            st.sampled_from(["A-1", "1250", "hl7", "x;y", "15/03/2027", "mất", ""]), st.text(max_size=8)
        ),
        max_size=9,
    ),
    max_size=6,
)


@given(_LINES)
def test_any_rows_are_assets_or_faults(lines: list[list[str]]) -> None:
    names = ["id", "state", "since", "protocol", "namespace", "identifier", "meter", "reading", "last done"]
    found = drafts_of(_sheet(names, *lines), header(_sheet(names)), site="")
    for fault in found.faults:
        assert fault.row > 1
        assert fault.expected
    if not found.faults:
        assert all(draft.id for draft in found.drafts)


def _sheet(*rows: list[str]) -> Sheet:
    return Sheet("", tuple(Row(at, tuple(map(cell, row))) for at, row in enumerate(rows, 1)))
