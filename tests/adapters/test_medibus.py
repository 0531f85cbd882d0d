"""What a MEDIBUS device says of itself: states, alarms, faults, values; and what of it is never told."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Example, Heard, Outcome, Refusal
from adapters.decode import LineKind, decode
from adapters.medibus_codes import (
    EVITA,
    EVITA_4,
    MEDIBUS_X,
    MODELS,
    SAVINA,
    STANDBY,
    TEXTS,
    X_FAMILY,
    CodeTable,
    priority_of,
)
from adapters.medibus_frames import RESPONSE, Frame, Frames, frame_of
from adapters.medibus_records import alarm_row, clock, figure, is_clock, phrase_of, text_row
from adapters.protocols.medibus import EXAMPLES, INFO, MedibusOptions, adapter, redactor
from adapters.simulators.medibus_device import AT_WORK, KINDS, STANDING_BY, Kind, Shows
from adapters.simulators.medibus_device import EVITA_4 as EVITA_4_DEVICE
from telemetry.messages import Alarm, AlarmKind, Fault, Metrics, OperatingState, Priority, Usage
from tests.adapters.medibus_line import SAMPLES, WORKED, Line, device, dice, worked
from tests.adapters.ventilators import bodies, edges, refusals

DATES = SAMPLES / "mdpnp_date_time_strings.txt"
NAMES = ("NGUYEN VAN AN", "Nguyễn Thị Hồng Ánh", "Trần Đức Lương", "PHAM THI BE", "Lê Văn Đạt")
SAVINA_ID = b"8250'Savina'03.10:04.00"
EVITA_ID = b"8210'Evita'02.00:03.00"
X_ID = b"0900'X'01.00:06.00"


def says(code: int, data: bytes = b"") -> bytes:
    return frame_of(RESPONSE, code, data)


def hear(*responses: bytes, who: bytes = SAVINA_ID, codes: str = "number") -> tuple[Outcome, ...]:
    """What is heard of these responses after the identification."""
    talk = MedibusOptions.model_validate({"codes": codes})(period_s=30)
    talk.connected()
    talk.feed(says(0x52, who))
    return tuple(outcome for response in responses for outcome in talk.feed(response))


def state(*responses: bytes, who: bytes = SAVINA_ID, codes: str = "number") -> OperatingState:
    """The state that a round with these responses tells; those not given are empty."""
    given_codes = {response[1] for response in responses}
    others = tuple(says(code) for code in (0x27, 0x2E, 0x2A) if code not in given_codes)
    values = tuple(response for response in responses if response[1] == 0x24) or (says(0x24),)
    before = tuple(response for response in responses if response[1] != 0x24)
    said = hear(*others, *before, *values, who=who, codes=codes)
    (usage,) = (body for body in bodies(said) if isinstance(body, Usage))
    return usage.state


def text(code: str, words: str = "x") -> bytes:
    return says(0x2A, text_row(code, words.encode()))


# -- the manual's frames ----------------------------------------------------------------------------------


@pytest.mark.skipif(not WORKED.exists(), reason="the shared samples are not here")
def test_of_the_frames_that_the_manual_works_out_only_its_four_misprints_are_refused() -> None:
    computed, printed = (b"".join(frames) for frames in zip(*worked(), strict=True))
    for stream, refused in ((computed, 0), (printed, 4)):
        lines = tuple(decode("medibus", [stream]))
        assert sum(line.kind is LineKind.REFUSAL for line in lines) == refused
    said = [line.text for line in decode("medibus", [computed]) if line.kind is LineKind.BODY]
    assert '"model":"Draeger Device 8888"' in said[0]
    assert all('"state":"unknown"' in text for text in said[1:])


# -- clocks -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not DATES.exists(), reason="the shared samples are not here")
def test_every_form_of_date_that_devices_were_seen_to_send_is_read() -> None:
    rows = re.findall(r'^"(.*:.*)"\|([0-9T:-]+)', DATES.read_text(), re.MULTILINE)
    assert len(rows) == 6
    for told, meant in rows:
        (heard,) = hear(says(0x28, told.encode()))
        assert isinstance(heard, Heard)
        assert heard.device_time == datetime.fromisoformat(meant)


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("11:11:1911-NOV-93", "1993-11-11T11:11:19"),
        ("23:59:5931-DEZ-89", "2089-12-31T23:59:59"),
        ("00:00:0001-JAN-90", "1990-01-01T00:00:00"),
        ("10:20 9-MAI-26", "2026-05-09T10:20:00"),
        (" 1:02:03 4-MAR  0", "2000-03-04T01:02:03"),
        ("00:00:0030-FEB-24", None),
        ("24:00:0001-JAN-24", None),
        ("00:00:0001-XYZ-24", None),
        ("", None),
    ],
)
def test_two_digits_of_a_year_are_of_this_century_but_for_the_nineties(told: str, meant: str | None) -> None:
    assert is_clock(told.encode())
    assert clock(told.encode()) == (None if meant is None else datetime.fromisoformat(meant))


def test_a_clock_wrong_by_years_is_told_as_it_is_and_changes_nothing_else() -> None:
    right, wrong = (
        hear(says(0x27), says(0x2E), says(0x2A), says(0x28, told), says(0x24, b"D6  14"))
        for told in (b"07:30:1509-JAN-26", b"07:30:1509-JAN-03")
    )
    assert bodies(right) == bodies(wrong)
    (*_, last) = wrong
    assert isinstance(last, Heard)
    assert last.device_time == datetime(2003, 1, 9, 7, 30, 15)  # noqa: DTZ001 - the device tells no zone


# -- tables -----------------------------------------------------------------------------------------------


def test_the_tables_hold_every_code_of_the_documents_once() -> None:
    found = Counter((code[:3], row.kind) for code, row in MEDIBUS_X.items())
    kinds = (AlarmKind.TECHNICAL, AlarmKind.PHYSIOLOGICAL, AlarmKind.ADVISORY)
    assert [found[page, kind] for page in ("CP1", "CP2") for kind in kinds] == [92, 114, 23, 76, 38, 42]
    for table in (SAVINA, EVITA_4, EVITA, MEDIBUS_X):
        assert all(re.fullmatch("CP[12]-[0-9A-F]{2}", code) for code in table)
        assert all(phrase_of(row.phrase.upper().encode()) for row in table.values())
        assert STANDBY not in table


@pytest.mark.parametrize("table", [SAVINA, EVITA_4, EVITA, MEDIBUS_X])
def test_the_faults_of_the_catalogue_are_faults_where_the_table_has_them(table: CodeTable) -> None:
    catalogue = ("CP1-9F", "CP1-C2", "CP1-C7", "CP1-C8", "CP1-C9", "CP2-94", "CP2-96")
    assert all(table[code].is_fault for code in catalogue if code in table)
    assert {"CP1-9F", "CP1-C7"} <= table.keys()


def test_one_code_means_what_the_model_says() -> None:
    record = says(0x27, alarm_row(1, "40", b"x"))
    (evita,) = bodies(hear(record, who=EVITA_ID))
    (other,) = bodies(hear(record, who=X_ID, codes="medibus-x"))
    (unknown,) = bodies(hear(record, who=X_ID))
    told = [(one.text, one.alarm_kind) for one in (evita, other, unknown) if one.kind == "alarm"]
    assert told == [
        ("TACHYPN ALARM OFF", AlarmKind.ADVISORY),
        ("DIAS GP2 HI", AlarmKind.PHYSIOLOGICAL),
        ("code CP1-40", AlarmKind.UNKNOWN),
    ]


@pytest.mark.parametrize("number", MODELS)
def test_every_known_number_tells_its_model(number: str) -> None:
    talk = adapter(period_s=30)
    (identity,) = bodies(talk.feed(says(0x52, f"{number}'anything'01.02:03.04".encode())))
    assert identity.model_dump(include={"manufacturer", "model", "serial", "software_revision"}) == {
        "manufacturer": "Draeger",
        "model": f"{MODELS[number].name} {number}",
        "serial": "",
        "software_revision": "01.02",
    }


def test_another_device_at_the_same_port_begins_anew() -> None:
    low = says(0x2E, alarm_row(6, "5A", b"INT BATT ON"))
    said = bodies(hear(says(0x2E), low, says(0x52, X_ID), says(0x52, X_ID), says(0x2E)))
    assert [body.kind for body in said] == ["alarm", "identity"]


def test_occurrences_of_another_device_are_not_named_by_the_clock_of_the_one_before() -> None:
    talk = adapter(period_s=30)
    talk.connected()
    low = says(0x2E, alarm_row(6, "5A", b"INT BATT ON"))
    said = talk.feed(says(0x52, SAVINA_ID) + says(0x28, b"07:30:1509-JAN-24") + says(0x52, X_ID) + low)
    assert [body.key for body in bodies(said) if isinstance(body, Alarm)] == ["CP2-5A/0900/no-clock-0/1"]


def test_a_clock_that_begins_at_one_date_after_each_loss_of_power_gives_no_key_twice() -> None:
    def keys(after_s: float) -> list[str]:
        talk = adapter(period_s=30)
        talk.connected()
        talk.elapsed(after_s)
        clock, low = says(0x28, b"00:01:0201-JAN-00"), says(0x2E, alarm_row(6, "5A", b"INT BATT ON"))
        said = talk.feed(says(0x52, SAVINA_ID) + clock + low)
        return [body.key for body in bodies(said) if isinstance(body, Alarm)]

    assert len({*keys(0.412), *keys(0.435)}) == 2


# -- alarms -----------------------------------------------------------------------------------------------


def test_priorities_are_read_in_three_classes_and_kept_as_told() -> None:
    classes = Counter(priority_of(number) for number in range(1, 32))
    assert classes == {Priority.LOW: 10, Priority.MEDIUM: 14, Priority.HIGH: 7}
    assert edges(hear(says(0x2E, alarm_row(21, "5C", b"BATTERY $&")))) == (
        ("CP2-5C", "present", "active", "21"),
    )


def test_alarms_of_one_page_say_nothing_of_the_other_and_a_refused_list_ends_nothing() -> None:
    low = says(0x2E, alarm_row(6, "5A", b"INT BATT ON"))
    said = hear(low, says(0x27), says(0x2E, b"half"), b"\x01\x2e00\r", low, says(0x2E))
    assert [edge[1] for edge in edges(said)] == ["present", "end"]
    assert len(refusals(said)) == 2


@pytest.mark.parametrize("priorities", [(8, 27), (27, 8)])
def test_a_code_twice_in_one_list_is_one_alarm_of_the_higher_priority(priorities: tuple[int, int]) -> None:
    said = hear(says(0x27, b"".join(alarm_row(priority, "A4", b"VOL ERR") for priority in priorities)))
    assert edges(said) == (("CP1-A4", "present", "active", "27"),)


def test_after_a_lost_link_what_stands_is_the_same_and_what_is_new_is_present() -> None:
    talk = adapter(period_s=30)
    talk.connected()
    battery, error = alarm_row(6, "5A", b"INT BATT ON"), alarm_row(21, "94", b"CHECK SAVINA")
    said = [*talk.feed(says(0x52, SAVINA_ID) + says(0x2E) + says(0x2E, battery))]
    talk.connected()
    said += talk.feed(says(0x52, SAVINA_ID) + says(0x2E, battery + error))
    assert [(edge[0], edge[1]) for edge in edges(said)] == [("CP2-5A", "start"), ("CP2-94", "present")]


def test_standby_is_never_an_alarm_whatever_its_priority() -> None:
    for priority in (1, 31):
        assert edges(hear(says(0x2E, alarm_row(priority, "95", b"SAVINA STDBY")))) == ()


def test_device_checks_of_medibus_x_are_told_as_they_are() -> None:
    said = hear(text("90"), text("91"), text("92"), text("92"), text("90"), who=X_ID, codes="medibus-x")
    assert [(edge[0], edge[1]) for edge in edges(said)] == [
        ("TXT-91", "start"),
        ("TXT-92", "start"),
        ("TXT-91", "end"),
        ("TXT-92", "end"),
    ]
    assert [one.values[0].value for one in bodies(said) if isinstance(one, Metrics)] == [1.0, 0.0, 1.0]
    assert bodies(hear(text("92"))) == ()


def test_a_fault_carries_its_subsystem_and_a_fixed_class() -> None:
    (fault,) = bodies(hear(says(0x27, alarm_row(27, "CA", b"FAN ERR"))))
    assert isinstance(fault, Fault)
    assert (fault.subsystem, fault.effect, fault.mapped, fault.text) == (
        "device",
        "service_high",
        True,
        "FAN ERR",
    )


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"% O2 $&     ", "% O2 LOW"),
        (b"TACHYPN'@OFF", "TACHYPN ALARM OFF"),
        (b'PAW "#      ', "PAW HIGH"),
        (b"Nguyen V An ", ""),
        (b"            ", ""),
    ],
)
def test_phrases_are_spelt_out_and_kept_only_if_made_of_their_letters(raw: bytes, read: str) -> None:
    assert phrase_of(raw) == read


# -- use --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("responses", "expected"),
    [
        ((says(0x24, b"D6  14B9 7.2"),), OperatingState.IN_USE),
        ((says(0x24, b"D6   0B9 7.2"),), OperatingState.IN_USE),
        ((says(0x24, b"B8 0.1"),), OperatingState.IN_USE),
        ((says(0x24, b"D6   0B9 0.0"),), OperatingState.IDLE),
        ((says(0x24, b"7D  21"),), OperatingState.IDLE),
        ((says(0x24, b"D6****"),), OperatingState.UNKNOWN),
        ((says(0x27, alarm_row(30, "42", b"FLOW SENSOR?")),), OperatingState.UNKNOWN),
        ((text("1E"), says(0x24, b"D6  14")), OperatingState.STANDBY),
        ((text("54"),), OperatingState.STANDBY),
        ((says(0x2E, alarm_row(31, "95", b"x")), says(0x24, b"D6  14")), OperatingState.STANDBY),
        ((text("12"),), OperatingState.TEST),
        ((text("53"), says(0x24, b"D6  14")), OperatingState.TEST),
        ((text("62"), says(0x24, b"D6  14")), OperatingState.DEMO),
        ((says(0x2A, text_row("1E", b"a") + text_row("62", b"b")),), OperatingState.DEMO),
        ((text("20"), says(0x24, b"D6  14")), OperatingState.IN_USE),
    ],
)
def test_the_state_is_what_the_device_says_and_else_what_it_measures(
    responses: tuple[bytes, ...], expected: OperatingState
) -> None:
    assert state(*responses) is expected


def test_the_emergency_switch_is_a_word_of_medibus_x_alone() -> None:
    assert state(text("63"), who=X_ID, codes="medibus-x") is OperatingState.OFF
    assert state(text("63")) is OperatingState.IDLE


def test_of_a_model_that_is_not_known_no_values_are_no_rest() -> None:
    assert state(says(0x24), who=X_ID) is OperatingState.UNKNOWN
    assert state(says(0x24, b"D6  14"), who=X_ID) is OperatingState.IN_USE
    assert state(says(0x24, b"D6   0"), who=X_ID) is OperatingState.IDLE


def test_a_list_of_texts_that_cannot_be_read_makes_the_state_unknown_once() -> None:
    quiet, values = (says(0x2E), says(0x2A)), says(0x24, b"D6  14")
    said = hear(says(0x2E), says(0x2A, b"1E9"), values, *quiet, values)
    assert [body.state for body in bodies(said) if isinstance(body, Usage)] == ["unknown", "in_use"]


def test_texts_and_alarms_count_for_one_reading_of_the_values_only() -> None:
    values = says(0x24, b"D6  14")
    said = hear(says(0x2E), says(0x2A), values, values)
    assert [body.state for body in bodies(said) if isinstance(body, Usage)] == ["in_use", "unknown"]


def test_a_name_with_diacritics_hides_no_other_text() -> None:
    """Its bytes of 80 and above are let go as realtime values, so it is shorter than it says."""
    texts = _framed(0x2A, _text("60", "Nguyễn Thị Ánh".encode()) + _text("62", b"SIMULATION"))
    assert state(texts, says(0x24, b"D6  14")) is OperatingState.DEMO


def test_battery_and_supply_are_told_when_they_change() -> None:
    told = [
        says(0x24, data) for data in (b"C6  870F4200", b"C6  870F4200", b"C6  860F4200", b"C6 1200F- 80", b"")
    ]
    found = [body for body in bodies(hear(*told)) if isinstance(body, Metrics)]
    assert [[(one.quantity.value, one.value) for one in body.values] for body in found] == [
        [("battery_charge_pct", 87.0), ("supply_pressure_kpa", 420.0)],
        [("battery_charge_pct", 86.0)],
    ]


@pytest.mark.parametrize(
    ("word", "value"), [(b" 7.2", 7.2), (b"-  8", -8.0), (b"1013", 1013.0), (b" .5 ", 0.5), (b"----", None)]
)
def test_a_minus_stands_in_the_first_blank(word: bytes, value: float | None) -> None:
    assert figure(word) == value


# -- what is never told -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("who", [SAVINA_ID, X_ID])
def test_nothing_of_a_name_is_told_or_kept(name: str, who: bytes) -> None:
    """As text 60 and 61, as any other text, as a phrase of an alarm that the table has, as a model's name."""
    raw = name.encode()
    texts = b"".join(_text(code, raw) for code in ("60", "61", "1E", "99"))
    phrases = alarm_row(31, "9F", raw[:12] if raw.isascii() else raw[:6])
    stream = b"".join(
        (
            _framed(0x52, b"8250'" + raw + b"'03.10:04.00"),
            _framed(0x2A, texts),
            _framed(0x27, phrases),
            _framed(0x29, b"01" + raw),
            _framed(0x24, b"D6  14B9 7.2"),
        )
    )
    talk = MedibusOptions.model_validate({"codes": "medibus-x"})(period_s=30)
    talk.connected()
    talk.feed(says(0x52, who))
    told = repr((talk.feed(stream), talk.closed()))
    kept = _kept(stream)
    for word in (name, *name.split()):
        assert word not in told
        assert word.encode() not in kept


def _text(code: str, raw: bytes) -> bytes:
    return code.encode() + bytes((0x30 + min(len(raw), 32),)) + raw[:32] + b"\x03"


def _framed(code: int, data: bytes) -> bytes:
    """A frame with the bytes of 80 and above in their places, and a checksum without them."""
    plain = frame_of(RESPONSE, code, bytes(byte for byte in data if byte < 0x80))
    return plain[:2] + data + plain[-3:]


def _kept(stream: bytes) -> bytes:
    one = redactor()
    return one.feed(stream) + one.closed()


@pytest.mark.parametrize("codes", ["number", "medibus-x"])
def test_every_phrase_of_medibus_x_is_heard_the_same_from_what_is_kept(codes: str) -> None:
    for page, command in (("CP1", 0x27), ("CP2", 0x2E)):
        rows = (
            alarm_row(5, code[4:], row.phrase.encode()[:12])
            for code, row in MEDIBUS_X.items()
            if code.startswith(page)
        )
        listed = says(command, b"".join(rows))
        kept = redactor().feed(says(0x52, X_ID) + listed).removeprefix(says(0x52, X_ID))
        assert edges(hear(kept, who=X_ID, codes=codes)) == edges(hear(listed, who=X_ID, codes=codes))


def test_what_is_kept_holds_no_measured_value_of_a_patient() -> None:
    stream = says(0x52, SAVINA_ID) + says(0x24, b"D6  14B9 7.2C6  87EB  98") + says(0x29, b"01  0.5")
    (who, measured, settings) = (item for item in Frames().feed(_kept(stream)) if isinstance(item, Frame))
    assert who.data == SAVINA_ID
    assert measured.data == b"D6   1B9   1C6  87"
    assert settings.data == b""


@given(st.sampled_from(EXAMPLES), st.lists(st.integers(0, 400), max_size=4))
def test_realtime_values_are_not_kept(example: Example, places: list[int]) -> None:
    stream = bytearray(example.input)
    for place in sorted((place % (len(stream) + 1) for place in places), reverse=True):
        stream[place:place] = b"\xd0\x81"
    assert all(byte < 0x80 for byte in _kept(bytes(stream)))


def test_refusals_never_quote_the_device() -> None:
    for code in (0x24, 0x27, 0x28, 0x2A, 0x2E, 0x52):
        (refusal,) = hear(says(code, b"NGUYEN VAN A"))
        assert isinstance(refusal, Refusal)
        assert "NGUYEN" not in refusal.reason


def test_texts_that_are_looked_at_are_those_that_mean_something() -> None:
    assert {"60", "61"}.isdisjoint(TEXTS)
    assert X_FAMILY.table is MEDIBUS_X
    assert INFO.one_client


# -- with the simulated device ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_talk_with_a_device_tells_model_state_and_alarms_and_asks_for_nothing_else(kind: Kind) -> None:
    shows = Shows(
        alarms_1=((31, "9F", "VENT ERR"), (30, "10", "PAW HIGH")),
        values=AT_WORK.values,
        texts=(("60", "NGUYEN"),),
    )
    line = Line(device(kind, shows=shows), dice(3))
    line.connect()
    line.run(65)
    kinds = Counter(body.kind for body in bodies(line.said))
    assert kinds["usage"] == 3
    assert (kinds["identity"], kinds["alarm"] + kinds["fault"]) == (1, 2)
    assert line.device.tally.communication_errors == line.device.tally.too_early == 0
    assert set(line.device.tally.asked) <= {0x51, 0x52, 0x30, 0x24, 0x27, 0x28, 0x2A, 0x2E, 0x4A}
    assert (0x28 in line.device.tally.asked) == (kind.number == "8250")


def test_standby_of_an_evita_4_is_told_as_such() -> None:
    line = Line(device(EVITA_4_DEVICE, shows=STANDING_BY), dice(4))
    line.connect()
    line.run(10)
    assert [body.state for body in bodies(line.said) if isinstance(body, Usage)] == [OperatingState.STANDBY]
    assert edges(line.said) == ()
