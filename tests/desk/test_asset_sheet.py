"""A sheet of assets is read from any bytes, or refused in a sentence."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk.asset_file import Reading, read_file
from desk.asset_sheet import MAX_COLUMNS, MAX_ROWS, MAX_TEXT, Encoding, Row, Separator, Sheet, Spoiled
from desk.asset_xlsx import MAX_UNPACKED
from telemetry.errors import SettingsError
from tests.desk.sheets import INVENTORY, read, workbook


def _cells(sheet: Sheet) -> list[tuple[object, ...]]:
    return [row.cells for row in sheet.rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_csv_is_read_as_utf_8_or_as_its_first_bytes_say(encoding: str) -> None:
    data = INVENTORY.encode(encoding)
    if encoding == "utf-16-le":
        data = b"\xff\xfe" + data
    assert _cells(read(data)) == [tuple(line.split(";")) for line in INVENTORY.splitlines()]


def test_accents_are_read_alike_however_they_are_composed() -> None:
    assert read(unicodedata.normalize("NFD", INVENTORY)) == read(INVENTORY)


def test_vietnamese_of_windows_is_read_where_it_is_said_so() -> None:
    data = b"id;owner\nA-1;S\xf5\xd2 Y t\xea\xec\n"
    told = _cells(read(data, Reading(encoding=Encoding.CP1258)))
    assert told[1] == ("A-1", "Sở Y tế")
    with pytest.raises(SettingsError, match=r"line 2 holds a byte that is no UTF-8.*--encoding cp1258"):
        read(data)


def test_a_byte_that_a_named_encoding_does_not_have_is_told_with_its_line() -> None:
    with pytest.raises(SettingsError, match="line 2 holds a byte that is no WINDOWS-1252"):
        read(b"a,b\n\x81,c\n", Reading(encoding=Encoding.WINDOWS_1252))


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_the_separator_is_recognised(sign: str) -> None:
    data = f'Danh mục thiết bị\nid{sign}ward{sign}label\nA-1{sign}"ICU, 2; A"{sign}x\n'
    assert _cells(read(data))[2] == ("A-1", "ICU, 2; A", "x")


def test_a_separator_that_is_given_is_taken() -> None:
    assert _cells(read("a;b,c\n", Reading(separator=Separator.COMMA))) == [("a;b", "c")]


def test_rows_keep_the_numbers_that_a_spreadsheet_shows() -> None:
    sheet = read('id,ward\n\nA-1,"two\nlines"\n,,\nA-2, spaced   out \n')
    assert sheet.rows == (
        Row(1, ("id", "ward")),
        Row(3, ("A-1", "two lines")),
        Row(5, ("A-2", "spaced out")),
    )


def test_csv_that_is_none_is_told_with_its_line() -> None:
    with pytest.raises(SettingsError, match="line 2 cannot be read as CSV"):
        read('a,b\n"c"d,e\n')


def test_cells_of_a_workbook_are_read_as_they_are_shown() -> None:
    data = workbook(
        ["id", None, True],
        [51559, 12.5, 1250.0],
        [date(2027, 3, 15), datetime(2027, 3, 15, 8, tzinfo=UTC).replace(tzinfo=None), "  Khoa\nNội "],
    )
    assert read(data) == Sheet(
        "Thiết bị",
        (
            Row(1, ("id", "", "TRUE")),
            Row(2, ("51559", "12.5", "1250")),
            Row(3, ("2027-03-15", "2027-03-15", "Khoa Nội")),
        ),
    )


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("=A1", "formula without a saved value"),
        (35100724671234567, "more than 15 digits"),
        (time(8, 30), "time of day"),
        ("#N/A", "error of the spreadsheet"),
        ("x" * (MAX_TEXT + 1), "characters"),
        ("A\N{ZERO WIDTH SPACE}1", "U+200B"),
    ],
)
def test_a_cell_that_cannot_be_taken_is_kept_as_spoiled(value: object, found: str) -> None:
    (row,) = read(workbook(["A-1", value])).rows
    told = row.cells[1]
    assert isinstance(told, Spoiled)
    assert found in told.found


def test_a_formula_with_a_saved_value_is_that_value() -> None:
    made = zipfile.ZipFile(io.BytesIO(workbook(["A-1", "=1+1"])))
    data = _packed(
        {
            name: made.read(name)
            .replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>")
            .replace(b"<f>1+1</f><v></v>", b"<f>1+1</f><v>2</v>")
            for name in made.namelist()
        }
    )
    assert _cells(read(data)) == [("A-1", "2")]


def test_the_sheet_that_is_named_is_read() -> None:
    data = workbook(["A-1", "x"], title="Kho")
    assert read(data, Reading(sheet="Kho")).name == "Kho"
    with pytest.raises(SettingsError, match="one of 'Kho'"):
        read(data, Reading(sheet="Khoa"))


def _packed(parts: dict[str, bytes]) -> bytes:
    told = io.BytesIO()
    with zipfile.ZipFile(told, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in parts.items():
            packed.writestr(name, data)
    return told.getvalue()


def _with_rows(rows: bytes) -> bytes:
    """A workbook whose sheet holds these rows as they stand."""
    made = zipfile.ZipFile(io.BytesIO(workbook(["A-1"])))
    parts = {name: made.read(name) for name in made.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    head, _, rest = sheet.partition(b"<sheetData>")
    _, _, tail = rest.partition(b"</sheetData>")
    parts["xl/worksheets/sheet1.xml"] = head + b"<sheetData>" + rows + b"</sheetData>" + tail
    return _packed(parts)


def test_what_a_sheet_says_of_its_own_size_is_not_believed() -> None:
    data = _with_rows(b'<row r="1048576"><c r="A1048576" t="inlineStr"><is><t>x</t></is></c></row>')
    with pytest.raises(SettingsError, match=f"more than {MAX_ROWS:,} rows"):
        read(data)
    wide = b'<row r="1"><c r="XFD1"><v>1</v></c></row>'
    with pytest.raises(SettingsError, match=f"more than {MAX_COLUMNS} columns"):
        read(_with_rows(wide))


def test_rows_of_empty_cells_without_end_are_bounded() -> None:
    rows = b"".join(b'<row r="%d"><c r="XFD%d"/></row>' % (at, at) for at in range(1, 2_000))
    with pytest.raises(SettingsError, match="cells"):
        read(_with_rows(rows))


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    data = _packed({"xl/worksheets/sheet1.xml": bytes(MAX_UNPACKED + 1)})
    assert len(data) < 1 << 20
    with pytest.raises(SettingsError, match="MiB in the workbook, unpacked"):
        read(data)


def test_entities_that_multiply_are_refused() -> None:
    laughs = b"".join(
        b'<!ENTITY l%d "%s">' % (at, b"&l%d;" % (at - 1) * 10 if at else b"ha" * 50) for at in range(10)
    )
    made = zipfile.ZipFile(io.BytesIO(_with_rows(b'<row r="1"><c r="A1" t="str"><v>&l9;</v></c></row>')))
    parts = {name: made.read(name) for name in made.namelist()}
    parts["xl/worksheets/sheet1.xml"] = b"<!DOCTYPE x [" + laughs + b"]>" + parts["xl/worksheets/sheet1.xml"]
    with pytest.raises(SettingsError, match="cannot be read as a workbook"):
        read(_packed(parts))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (bytes.fromhex("D0CF11E0A1B11AE1") + bytes(512), "old .xls workbook or one with a password"),
        (b"PK\x03\x04 and then nothing", "cannot be read as a workbook"),
        (_packed({"word/document.xml": b"<x/>"}), "cannot be read as a workbook"),
        (bytes((16 << 20) + 1), "more than 16 MiB"),
        (b"a\n" * (MAX_ROWS + 1), f"more than {MAX_ROWS:,} rows"),
        (b"," * 300 + b"x", f"more than {MAX_COLUMNS} columns"),
    ],
)
def test_a_file_that_is_no_sheet_is_refused(data: bytes, found: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(data)
    assert found in refused.value.found


def test_a_file_that_is_not_there_is_the_operators(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_file(tmp_path / "none.csv")


@given(st.binary(max_size=400))
def test_any_bytes_are_rows_or_a_refusal(data: bytes) -> None:
    _read_or_refuse(data)


@given(st.text(st.sampled_from('a1;,\t"\n\r ê\x00\ufeff'), max_size=80))
def test_any_text_is_rows_or_a_refusal(text: str) -> None:
    _read_or_refuse(text.encode())


_WORKBOOK = workbook(["id", "ward"], ["A-1", 5], [date(2027, 1, 2), "=1"])
_PARTS = {
    name: zipfile.ZipFile(io.BytesIO(_WORKBOOK)).read(name)
    for name in zipfile.ZipFile(io.BytesIO(_WORKBOOK)).namelist()
}


@settings(max_examples=150)
@given(st.data())
def test_a_workbook_with_other_bytes_is_rows_or_a_refusal(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(_PARTS)))
    part = bytearray(_PARTS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(part) - 1))
        part[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b"<", b">", b'"', b"9", b"99999999", b"-1", b"\xff", b"s", b"/"])
        )
    _read_or_refuse(_packed({**_PARTS, name: bytes(part)}))


@given(st.integers(0, len(_WORKBOOK) - 1), st.binary(min_size=1, max_size=4))
def test_a_packed_file_with_other_bytes_is_rows_or_a_refusal(at: int, other: bytes) -> None:
    _read_or_refuse(_WORKBOOK[:at] + other + _WORKBOOK[at + len(other) :])


def _read_or_refuse(data: bytes) -> None:
    try:
        sheet = read(data)
    except SettingsError:
        return
    for row in sheet.rows:
        for told in row.cells:
            assert isinstance(told, Spoiled) or (told.isprintable() and told == told.strip())
