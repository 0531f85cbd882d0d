"""Sheets of assets as people keep them, made for tests."""

from __future__ import annotations

import io
from collections.abc import Sequence

from openpyxl import Workbook

from desk.asset_columns import Header, header_of
from desk.asset_file import AS_FOUND, Reading, read_sheet
from desk.asset_rows import Drafts, drafts_of
from desk.asset_sheet import Sheet
from desk.asset_words import Column

INVENTORY = """\
Mã thiết bị;Tên thiết bị;Hãng sản xuất;Model;Số sê-ri;Khoa/Phòng;Tình trạng;Ngày hết bảo hành;Nguồn vốn
HN01-0042;Máy thở Puritan Bennett;Puritan Bennett;840;3510072467;Hồi sức;Đang sử dụng;15/03/2027;Viện trợ
HN01-0043;Bơm tiêm điện;B.Braun;Perfusor Space;51559;Cấp cứu;Trong kho;;Ngân sách nhà nước
"""


def workbook(*rows: Sequence[object], title: str = "Thiết bị") -> bytes:
    """An XLSX file of these rows."""
    made = Workbook()
    sheet = made.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    told = io.BytesIO()
    made.save(told)
    return told.getvalue()


def read(data: bytes | str, reading: Reading = AS_FOUND) -> Sheet:
    """The rows of a file's bytes."""
    return read_sheet(data.encode() if isinstance(data, str) else data, where="sheet", reading=reading)


def header(sheet: Sheet, **mapped: Column | None) -> Header:
    """The header of a sheet."""
    return header_of(sheet, mapped=mapped, where="sheet")


def drafts(data: bytes | str, *, site: str = "") -> Drafts:
    """What a file says of assets."""
    sheet = read(data)
    return drafts_of(sheet, header(sheet), site=site)
