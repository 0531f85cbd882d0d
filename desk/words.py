"""The words of the page in English and Vietnamese, and how it tells figures, ages and what is due."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from desk.views import MeterRow
from rules.words import Standing
from telemetry.messages import MeterName
from telemetry.times import from_ms


class Language(StrEnum):
    """What the page speaks; its value is also the tag in HTML."""

    EN = "en"
    VI = "vi"


def language(text: str) -> Language:
    """The language of a tag; English for anything that is not one."""
    return Language.VI if text == Language.VI else Language.EN


WORDS: Final = MappingProxyType({
    "tickets": ("Open tickets", "Phiếu công việc đang mở"),
    "ticket": ("Ticket", "Phiếu công việc"),
    "fleet": ("Devices by ward", "Thiết bị theo khoa/phòng"),
    "unclaimed": ("Unclaimed devices", "Thiết bị chưa khai báo"),
    "accounting": ("Where every message is", "Số lượng tin nhắn"),
    "count.devices": ("devices", "thiết bị"),
    "count.in_use": ("in use", "đang dùng"),
    "count.unheard": ("not online", "không trực tuyến"),
    "count.overdue": ("past due", "quá hạn"),
    "count.tickets": ("open tickets", "phiếu công việc đang mở"),
    "as_of": ("As of", "Lúc"),
    "refreshes": ("Loads itself anew every {n} s", "Tự tải lại mỗi {n} giây"),
    "back": ("All devices", "Tất cả thiết bị"),
    "skip": ("To the devices", "Đến danh sách thiết bị"),
    "no_ward": ("No ward entered", "Chưa ghi khoa/phòng"),
    "asset": ("Asset", "Mã thiết bị"),
    "why": ("Why", "Lý do"),
    "checklist": ("Checklist", "Danh mục công việc"),
    "events": ("What happened", "Diễn biến"),
    "when_done": ("When the work is done", "Khi làm xong"),
    "opened": ("opened", "mở"),
    "last_seen": ("last seen", "gặp lần cuối"),
    "seen": ("seen {n}×", "gặp {n} lần"),
    "last_known": ("last known", "lần cuối"),
    "never": ("never heard", "chưa từng nhận tin"),
    "heard": ("heard {age}", "nhận tin {age}"),
    "through": ("through", "qua"),
    "coverage": ("coverage {n} %", "độ phủ dữ liệu {n} %"),
    "no_meter": ("No meter yet", "Chưa có số giờ"),
    "age.now": ("just now", "vừa xong"),
    "age.min": ("{n} min ago", "{n} phút trước"),
    "age.h": ("{n} h ago", "{n} giờ trước"),
    "age.d": ("{n} d ago", "{n} ngày trước"),
    "unit.h": ("{n} h", "{n} giờ"),
    "unit.cycles": ("{n} cycles", "{n} chu kỳ"),
    "due.in": ("due in {n}", "còn {n} đến hạn"),
    "due.now": ("due now", "đến hạn"),
    "due.over": ("past due by {n}", "quá hạn {n}"),
    "due.maybe": ("may be due: take a reading", "có thể đã đến hạn: cần ghi chỉ số"),
    "due.asked": ("take a reading", "cần ghi chỉ số"),
    "due.unknown": ("cannot be evaluated", "không đánh giá được"),
    "due.off": ("rule is off", "quy tắc đang tắt"),
    "provenance.derived": ("counted", "tự đếm"),
    "provenance.reported": ("reported by the device", "thiết bị báo"),
    "provenance.manual": ("read by a person", "người ghi"),
    "meter.power_on_h": ("Power-on hours", "Số giờ bật máy"),
    "meter.ventilation_h": ("Ventilation hours", "Số giờ thở máy"),
    "meter.blower_h": ("Blower hours", "Số giờ chạy quạt gió"),
    "meter.compressor_h": ("Compressor hours", "Số giờ chạy máy nén"),
    "meter.hours_since_service": ("Hours since service", "Số giờ từ lần bảo dưỡng trước"),
    "meter.hours_to_next_service": ("Hours to next service", "Số giờ đến lần bảo dưỡng sau"),
    "meter.battery_cycles": ("Battery cycles", "Số chu kỳ pin"),
    "meter.operating_cycles": ("Operating cycles", "Số chu kỳ hoạt động"),
    "link.online": ("Online", "Trực tuyến"),
    "link.mute": ("Mute (its port answers)", "Im lặng (cổng có trả lời)"),
    "link.offline": ("Offline", "Mất kết nối"),
    "link.unknown": ("No link", "Không kết nối"),
    "state.in_use": ("In use", "Đang dùng"),
    "state.standby": ("Standby", "Chờ"),
    "state.idle": ("Idle", "Không dùng"),
    "state.off": ("Off", "Tắt"),
    "state.test": ("Test", "Đang thử"),
    "state.service": ("Service", "Đang bảo dưỡng"),
    "state.demo": ("Demo", "Trình diễn"),
    "state.unknown": ("Unknown", "Không rõ"),
    "kind.pm": ("Preventive maintenance", "Bảo dưỡng định kỳ"),
    "kind.repair": ("Repair", "Sửa chữa"),
    "kind.inspection": ("Inspection", "Kiểm định"),
    "kind.metrological_verification": ("Metrological verification", "Kiểm định đo lường"),
    "kind.calibration": ("Calibration", "Hiệu chuẩn"),
    "kind.acceptance": ("Acceptance", "Nghiệm thu"),
    "kind.recall": ("Recall", "Thu hồi"),
    "kind.incident": ("Incident", "Sự cố"),
    "kind.data": ("Reading or record", "Ghi chỉ số, hồ sơ"),
    "ticket.open": ("Open", "Mới mở"),
    "ticket.acknowledged": ("Acknowledged", "Đã nhận"),
    "ticket.in_progress": ("In progress", "Đang làm"),
    "ticket.waiting": ("Waiting", "Đang chờ"),
    "ticket.resolved": ("Resolved", "Đã xử lý"),
    "ticket.closed": ("Closed", "Đã đóng"),
    "ticket.cancelled": ("Cancelled", "Đã hủy"),
    "numbers.received": ("received", "đã nhận"),
    "numbers.stored": ("stored", "đã lưu"),
    "numbers.pending": ("pending", "đang chờ"),
    "numbers.dead_lettered": ("unreadable, kept", "không đọc được, đã giữ"),
    "numbers.duplicate": ("duplicate", "trùng lặp"),
    "numbers.quarantined": ("quarantined", "cách ly"),
    "numbers.privacy": ("dropped for privacy", "bỏ để bảo mật"),
    "numbers.missing": ("missing, asked for again", "thiếu, đang yêu cầu gửi lại"),
    "numbers.lost": ("lost", "đã mất"),
    "halted": ("Messages are not being acknowledged.", "Tin nhắn đang không được xác nhận."),
    "halted.next": (
        "Adapter hosts keep them in their outboxes meanwhile.",
        "Các máy thu vẫn giữ tin nhắn trong hàng đợi.",
    ),
    "no_tickets": ("No open ticket.", "Không có phiếu công việc nào đang mở."),
    "no_tickets.next": (
        "One appears here by itself when a confirmed rule asks for work: see [rules] in the settings.",
        "Phiếu tự hiện ở đây khi một quy tắc đã xác nhận yêu cầu công việc: xem [rules] trong cài đặt.",
    ),
    "no_devices": ("No device is entered yet.", "Chưa khai báo thiết bị nào."),
    "no_devices.next": (
        "Enter each as [[asset]] in the settings file; its aliases are the names under which it speaks.",
        "Hãy khai báo từng máy dưới [[asset]] trong tệp cài đặt; aliases là các tên mà máy dùng khi gửi tin.",
    ),
    "unclaimed.next": (
        "All they say is kept, and no rule judges it. To claim one, give its alias to an [[asset]].",
        "Mọi tin của máy đều được giữ, chưa quy tắc nào đánh giá. Để nhận máy, hãy ghi alias vào [[asset]].",
    ),
    "no_alarm_system": (
        "hourmeter is no alarm system for patients. The alarms at the bedside are the only clinical alarms.",
        "hourmeter không phải hệ thống báo động người bệnh. Chỉ báo động tại giường là báo động lâm sàng.",
    ),
})  # fmt: skip
"""Each word as (English, Vietnamese); `{n}` and `{age}` are filled in."""

_CYCLES: Final = frozenset({MeterName.BATTERY_CYCLES, MeterName.OPERATING_CYCLES})
_SWAPPED: Final = str.maketrans(",.", ".,")
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class Speech:
    """Says things in one language; `now_ms` is what ages are told by."""

    language: Language
    now_ms: int

    def __call__(self, key: str, **given: object) -> str:
        """The word of WORDS with what it is filled in with. Raises KeyError if there is none."""
        english, vietnamese = WORDS[key]
        return (english if self.language is Language.EN else vietnamese).format(**given)

    def age(self, at_ms: int) -> str:
        """How long ago that was, in the largest unit of which at least one has passed."""
        ago_ms = self.now_ms - at_ms
        if ago_ms < _MINUTE_MS:
            return self("age.now")
        if ago_ms < _HOUR_MS:
            return self("age.min", n=ago_ms // _MINUTE_MS)
        if ago_ms < 2 * _DAY_MS:
            return self("age.h", n=ago_ms // _HOUR_MS)
        return self("age.d", n=ago_ms // _DAY_MS)

    def moment(self, at_ms: int) -> str:
        """Date and time in UTC, to the minute."""
        return from_ms(at_ms).strftime("%Y-%m-%d %H:%M UTC")

    def number(self, value: float) -> str:
        """A figure with at most one decimal, separated as the language does."""
        text = f"{value:,.1f}".removesuffix(".0")
        return text if self.language is Language.EN else text.translate(_SWAPPED)

    def coverage(self, share: float) -> str:
        """Coverage in whole per cent, rounded down: only all is 100."""
        return self("coverage", n=int(share * 100 + 1e-9))

    def reading(self, meter: MeterRow) -> str:
        """What the meter shows: one figure, or at least and at most where they differ."""
        return self._span(meter, meter.low_h, meter.high_h)

    def due(self, meter: MeterRow) -> str:
        """How far it is until work is due; empty if no rule counts on the meter."""
        if meter.standing is Standing.OFF or meter.standing is Standing.UNKNOWN:
            return self(f"due.{meter.standing}")
        if meter.due_h is None:
            return ""
        if meter.is_overdue:
            over = meter.low_h - meter.due_h
            return self("due.over", n=self._span(meter, _whole(over))) if over >= 0.05 else self("due.now")
        if meter.high_h >= meter.due_h:
            return self("due.maybe")
        least, most = _whole(meter.due_h - meter.high_h), _whole(meter.due_h - meter.low_h)
        left = self("due.in", n=self._span(meter, least, most))
        return f"{left}; {self('due.asked')}" if meter.standing is Standing.ASKED else left

    def _span(self, meter: MeterRow, *figures: float) -> str:
        texts = dict.fromkeys(map(self.number, figures))
        return self("unit.cycles" if meter.name in _CYCLES else "unit.h", n="–".join(texts))


def _whole(left: float) -> float:
    """What is left of ten hours and more, in whole hours: rounded down, as one who plans would."""
    return float(int(left)) if left >= 10 else left
