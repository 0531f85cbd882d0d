"""The words of inventories, English and Vietnamese: what columns, states, types and meters are called.

Words are compared as `folded`: without accents, capitals and signs, so that NFC and NFD, `Sê-ri` and `SERI`
are alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from rules.attributes import Funding, LifeCycle
from telemetry.messages import MeterName

_T = TypeVar("_T")
_PARTS: Final = re.compile(r"[/|;,()\[\]\n–-]+")
_SIGNS: Final = re.compile(r"[\W_]+")


class Column(StrEnum):
    """What a column may hold; the value is the name of the field in commands and in `--map`."""

    ID = "id"
    LABEL = "label"
    DEVICE_TYPE = "device_type"
    MANUFACTURER = "manufacturer"
    MODEL = "model"
    SERIAL = "serial"
    WARD = "ward"
    OWNER = "owner"
    LIFE_CYCLE = "life_cycle"
    ACQUIRED = "acquired"
    WARRANTY_END = "warranty_end"
    CONTRACT_END = "contract_end"
    SUPPLIER = "supplier"
    FUNDING = "funding"
    PROTOCOL = "protocol"
    NAMESPACE = "namespace"
    IDENTIFIER = "identifier"
    SINCE = "since"
    METER = "meter"
    READING = "reading"
    LAST_DONE = "last_done"


def folded(text: str) -> str:
    """A text as words are compared: letters and digits of one case without accents, one space between."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    return _SIGNS.sub(" ", plain.casefold().replace("đ", "d")).strip()


def table_of(words: Mapping[_T, str]) -> Mapping[str, _T]:
    """From each folded word to what it means. Raises ValueError where one means two things."""
    found: dict[str, _T] = {}
    for meant, told in words.items():
        for word in map(folded, told.split(",")):
            if found.setdefault(word, meant) != meant:
                raise ValueError(f"{word!r} means {found[word]} and {meant}")
    return MappingProxyType(found)


COLUMNS: Final = table_of(
    {
        Column.ID: "id, asset, asset id, mã thiết bị, mã máy, mã TB",
        Column.LABEL: (
            "label, tag, asset tag, asset no, asset number, inventory label, inventory number, inventory no,"
            "mã tài sản, mã TS, số tài sản, số thẻ tài sản, số thẻ, nhãn, mã kiểm kê, số kiểm kê, mã quản lý"
        ),
        Column.DEVICE_TYPE: (
            "type, device, device type, device name, equipment, equipment name, name, description,"
            "tên thiết bị, tên máy, tên TTB, tên tài sản, loại, loại thiết bị, loại máy, chủng loại"
        ),
        Column.MANUFACTURER: (
            "manufacturer, maker, make, brand,hãng, hãng SX, hãng sản xuất, nhà sản xuất, nhà SX"
        ),
        Column.MODEL: "model, model name, model no, model number, ký hiệu, mã hiệu, kiểu máy",
        Column.SERIAL: (
            "serial, serial no, serial number, S/N, SN,"
            "số sê-ri, số seri, số sê ri, số xê-ri, số serial, sê-ri, seri, số máy"
        ),
        Column.WARD: (
            "ward, department, dept, unit, location,"
            "khoa/phòng, khoa, phòng, khoa phòng sử dụng, khoa sử dụng, đơn vị sử dụng, nơi sử dụng,"
            "nơi đặt, vị trí, đơn vị"
        ),
        Column.OWNER: "owner, owned by, chủ sở hữu, sở hữu, đơn vị sở hữu, đơn vị chủ quản",
        Column.LIFE_CYCLE: (
            "state, status, condition, life-cycle state, life cycle, lifecycle state,"
            "trạng thái, tình trạng, tình trạng sử dụng, hiện trạng, tình trạng thiết bị, tình trạng máy"
        ),
        Column.ACQUIRED: (
            "acquired, date acquired, acquisition date, purchase date, date of purchase, in use since,"
            "ngày mua, ngày nhập, ngày trang bị, ngày sử dụng, ngày đưa vào sử dụng, ngày tiếp nhận"
        ),
        Column.WARRANTY_END: (
            "warranty end, warranty until, warranty expiry, warranty expires, end of warranty, warranty,"
            "ngày hết bảo hành, hết bảo hành, hạn bảo hành, ngày hết hạn bảo hành, thời hạn bảo hành,"
            "bảo hành đến, bảo hành đến ngày"
        ),
        Column.CONTRACT_END: (
            "contract end, contract until, contract expiry, service contract end, end of contract,"
            "ngày hết hợp đồng, hết hợp đồng, hạn hợp đồng, ngày hết hạn hợp đồng, hợp đồng đến,"
            "hết hạn hợp đồng, ngày hết hợp đồng bảo trì, hạn hợp đồng bảo trì"
        ),
        Column.SUPPLIER: "supplier, vendor, nhà cung cấp, đơn vị cung cấp, nhà thầu, công ty cung cấp",
        Column.FUNDING: (
            "funding, funding source, source of funding, nguồn vốn, nguồn kinh phí, nguồn, nguồn gốc vốn"
        ),
        Column.PROTOCOL: "protocol, giao thức",
        Column.NAMESPACE: "namespace, không gian tên",
        Column.IDENTIFIER: "identifier, alias, aliases, tên khi gửi tin, mã nhận dạng",
        Column.SINCE: "since, alias from, valid from, từ ngày, có hiệu lực từ",
        Column.METER: "meter, counter, đồng hồ, loại chỉ số",
        Column.READING: (
            "reading, meter reading, hours, run hours, running hours, operating hours,"
            "chỉ số, số giờ, số giờ chạy, số giờ hoạt động, giờ hoạt động"
        ),
        Column.LAST_DONE: (
            "last done, last service, last service reading, last service hours, last pm,"
            "lần làm trước, số giờ bảo dưỡng gần nhất, số giờ lần bảo dưỡng trước, chỉ số bảo dưỡng gần nhất"
        ),
    }
)
"""From the folded name of a column to what it holds."""

STATES: Final = table_of(
    {
        LifeCycle.RECEIVED: "received, đã nhận, mới nhận, tiếp nhận, chờ nghiệm thu",
        LifeCycle.ACCEPTED: "accepted, đã nghiệm thu, nghiệm thu",
        LifeCycle.IN_SERVICE: (
            "in service, in use, active, working,"
            "đang sử dụng, đang dùng, sử dụng, hoạt động, đang hoạt động, hoạt động tốt, sử dụng tốt, tốt"
        ),
        LifeCycle.RESTRICTED: "restricted, restricted use, hạn chế, hạn chế sử dụng, sử dụng hạn chế",
        LifeCycle.IN_STORE: "in store, in storage, stored, trong kho, lưu kho, cất kho, ở kho, dự phòng",
        LifeCycle.ON_LOAN: "on loan, loaned, lent, cho mượn, đang cho mượn",
        LifeCycle.AT_VENDOR: (
            "at vendor, at the vendor, at workshop, gửi hãng, tại hãng, gửi sửa, gửi sửa chữa,"
            "đang sửa chữa ở hãng, ở hãng"
        ),
        LifeCycle.OUT_OF_SERVICE: (
            "out of service, broken, not working, out of order,"
            "ngừng sử dụng, ngưng sử dụng, không sử dụng, ngừng hoạt động, không hoạt động, hỏng, hư hỏng"
        ),
        LifeCycle.AWAITING_DISPOSAL: "awaiting disposal, for disposal, chờ thanh lý, đề nghị thanh lý",
        LifeCycle.DISPOSED: "disposed, disposed of, scrapped, đã thanh lý, thanh lý",
        LifeCycle.LOST: "lost, missing, mất, thất lạc, bị mất",
    }
)
"""From folded words to the life-cycle states."""

FUNDINGS: Final = table_of(
    {
        Funding.BUDGET: "budget, state budget, ngân sách, ngân sách nhà nước, NSNN, vốn ngân sách",
        Funding.OWN: (
            "own, own funds, hospital funds, tự có, vốn tự có, nguồn thu, thu sự nghiệp, quỹ phát triển,"
            "quỹ phát triển sự nghiệp, quỹ phát triển hoạt động sự nghiệp, bệnh viện"
        ),
        Funding.PROJECT: "project, loan project, ODA, dự án, vốn dự án, vốn vay, vốn ODA",
        Funding.DONATION: (
            "donation, donated, gift, tài trợ, viện trợ, tặng, cho tặng, biếu tặng, hiến tặng, được tặng"
        ),
        Funding.LEASE: "lease, leased, rented, rental, thuê, đi thuê, đặt máy, liên doanh liên kết, liên kết",
        Funding.OTHER: "other, khác, nguồn khác, xã hội hóa, xã hội hoá, XHH",
    }
)
"""From folded words to the sources of funding."""

TYPES: Final = table_of(
    {
        "ventilator": "ventilator, máy thở, máy giúp thở, máy thở xâm nhập",
        "CPAP": "cpap, máy cpap, máy thở cpap, máy thở áp lực dương liên tục",
        "high-frequency ventilator": "high frequency ventilator, máy thở cao tần",
        "patient monitor": (
            "patient monitor, monitor, máy theo dõi bệnh nhân, monitor theo dõi bệnh nhân, máy monitor,"
            "máy theo dõi người bệnh, monitor theo dõi người bệnh"
        ),
        "infusion pump": "infusion pump, bơm truyền dịch, máy truyền dịch, máy bơm truyền dịch",
        "syringe pump": "syringe pump, bơm tiêm điện, máy bơm tiêm điện, bơm tiêm tự động",
        "suction pump": "suction pump, suction, máy hút dịch, máy hút, máy hút đờm",
        "anesthesia machine": "anesthesia machine, anaesthesia machine, máy gây mê, máy gây mê kèm thở",
        "defibrillator": "defibrillator, máy phá rung, máy sốc tim, máy phá rung tim",
        "electrocardiograph": "electrocardiograph, ecg machine, máy điện tim",
        "infant incubator": "infant incubator, incubator, lồng ấp, lồng ấp trẻ sơ sinh",
        "oxygen concentrator": "oxygen concentrator, máy tạo oxy, máy tạo ô-xy",
        "dialysis machine": "dialysis machine, máy chạy thận, máy thận nhân tạo, máy lọc thận",
        "ultrasound": "ultrasound, ultrasound machine, máy siêu âm",
    }
)
"""From folded words to the device types that rules choose by."""

METERS: Final = table_of(
    {
        MeterName.POWER_ON_H: "power_on_h, power-on hours, hours on, số giờ bật máy, giờ bật máy",
        MeterName.VENTILATION_H: (
            "ventilation_h, ventilation hours, run hours, operating hours,"
            "số giờ thở máy, số giờ chạy, giờ chạy, số giờ hoạt động"
        ),
        MeterName.BLOWER_H: "blower_h, blower hours, số giờ chạy quạt gió",
        MeterName.COMPRESSOR_H: "compressor_h, compressor hours, số giờ chạy máy nén",
        MeterName.BATTERY_CYCLES: "battery_cycles, battery cycles, số chu kỳ pin",
        MeterName.OPERATING_CYCLES: "operating_cycles, operating cycles, số chu kỳ hoạt động",
        MeterName.HOURS_SINCE_SERVICE: "hours_since_service, hours since service",
        MeterName.HOURS_TO_NEXT_SERVICE: "hours_to_next_service, hours to next service",
    }
)
"""From folded words to meters."""


def column_of(name: str) -> Column | None:
    """What a column of that name holds; a name in two languages or with a remark, by its parts."""
    if (whole := COLUMNS.get(folded(name))) is not None:
        return whole
    found = {COLUMNS[part] for part in map(folded, _PARTS.split(name)) if part in COLUMNS}
    return found.pop() if len(found) == 1 else None


def type_of(text: str) -> str:
    """The device type that a text names or begins with, by the longest; the text itself if it names none."""
    words = folded(text).split()
    for count in range(len(words), 0, -1):
        if (known := TYPES.get(" ".join(words[:count]))) is not None:
            return known
    return text
