"""Frames, identity, use, alarms and privacy of the BCC adapter; the exchanges that its document prints."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.bcc_frames import Block, Frames, Noise, Signal, checksum, frame_of, stuff, unstuff
from adapters.bcc_tables import ALARMS, READ, SEPARATOR, quadruples, slot
from adapters.contract import UNTOLD, Heard, Outcome, Refusal, Skipped
from adapters.protocols.bbraun_bcc import OPTIONS, QUIET_VALUES, adapter, pump, redactor, told_by
from adapters.simulators.bcc_station import DRUG, NURSE, WEIGHT
from telemetry.errors import MessageError
from telemetry.messages import (
    Alarm,
    AlarmKind,
    Fault,
    Identity,
    Metrics,
    OperatingState,
    Quantity,
    Status,
    Usage,
)
from tests.adapters.stations import SAMPLES, block, heard
from tests.adapters.ventilators import bodies, edges, hear, refusals

TEXTS = st.text("DdEeXx1,ắĐ\ue021\x1e", max_size=60)


def said_of(*answers: bytes) -> tuple[Outcome, ...]:
    return hear(adapter(period_s=30.0), answers)


def states(*answers: bytes) -> list[str]:
    return [str(body.state) for body in bodies(said_of(*answers)) if isinstance(body, Usage)]


def told_of(values: Mapping[str, str]) -> bytes:
    """The self-made pump with these values."""
    return told_by("50111", tuple({**dict(QUIET_VALUES), **values}.items()))


def gauges(outcomes: tuple[Outcome, ...]) -> list[tuple[Quantity, float]]:
    told = (body for body in bodies(outcomes) if isinstance(body, Metrics))
    return [(one.quantity, one.value) for body in told for one in body.values]


# -- the samples ------------------------------------------------------------------------------------------


def sample(*numbers: int) -> bytes:
    files = sorted(SAMPLES.glob("reframed_*.bin"))
    return b"".join(files[number - 1].read_bytes() for number in numbers)


BESIDE = pytest.mark.skipif(not SAMPLES.exists(), reason="the printed exchanges are beside the project")


def check_list(outcomes: tuple[Outcome, ...]) -> None:
    told = {one.unit: one for one in heard(outcomes)}
    assert list(told) == ["50100", "50111", "50113", "50114"]
    assert told["50100"].alias == UNTOLD
    serials = {unit: one.alias.identifier for unit, one in told.items() if unit != "50100"}
    assert serials == {"50111": "36248", "50113": "40864", "50114": "1815"}
    assert {one.alias.namespace for unit, one in told.items() if unit != "50100"} == {"6144"}
    use = {
        unit: [str(body.state) for body in one.bodies if isinstance(body, Usage)]
        for unit, one in told.items()
    }
    assert use == {"50100": ["unknown"], "50111": ["off"], "50113": ["in_use"], "50114": ["in_use"]}
    identities = [body for body in bodies(outcomes) if isinstance(body, Identity) and body.serial]
    assert [body.unique_ids for body in identities] == [("60008D98",), ("60009FA0",), ("60000717",)]
    assert {body.model for body in identities} == {"688F030006"}
    assert gauges(outcomes) == [(Quantity.ON_MAINS_BOOL, 1.0)] * 3
    assert refusals(outcomes) == ()
    assert edges(outcomes) == ()


@BESIDE
def test_the_printed_list_tells_three_pumps_one_off_one_pumping_one_pumping_since_6000_minutes() -> None:
    check_list(said_of(sample(6, 7, 8)))


@BESIDE
def test_a_block_of_the_printed_list_alone_tells_its_pumps() -> None:
    for number, units in ((6, ["50100", "50111"]), (7, ["50113"]), (8, ["50114"]), (12, ["50100", "50113"])):
        assert [one.unit for one in heard(said_of(sample(number)))] == units


@BESIDE
def test_the_whole_printed_exchange_is_read_and_requests_in_it_are_skipped() -> None:
    outcomes = said_of(sample(*range(1, 13)))
    assert refusals(outcomes) == ()
    reasons = [one.reason for one in outcomes if isinstance(one, Skipped)]
    assert sum("request" in reason for reason in reasons) == 4
    assert sum("version" in reason for reason in reasons) == 2
    (station,) = (body for body in bodies(outcomes) if isinstance(body, Identity) and not body.serial)
    assert station.software_revision == "BCC 3.30"


@BESIDE
def test_our_frame_builder_writes_the_printed_bytes() -> None:
    for number in range(1, 13):
        (told,) = Frames().feed(sample(number))
        assert isinstance(told, Block)
        assert frame_of(told.info, bed=told.bed, more=told.more) == sample(number)


@BESIDE
def test_the_drugs_of_the_printed_exchange_are_not_told() -> None:
    text = repr(said_of(sample(*range(1, 13))))
    assert not any(word in text for word in ("Arter", "Beloc", "47.64", "800.00", "ComSystem"))


@BESIDE
def test_the_addresses_of_the_table_are_read() -> None:
    rows = (SAMPLES / "pump_index_cases.txt").read_text().splitlines()
    cases = [row.split("|") for row in rows if row and not row.startswith("#")]
    assert len(cases) == 6
    for address, pillar, number in cases:
        assert slot(address) == (int(pillar), int(number))


def test_a_self_made_twin_of_the_printed_list_tells_the_same() -> None:
    off = pump(
        "50111",
        INSERNUM="36248",
        INNR="60008D98",
        DSSTATUS="00050",
        INM3="0",
        INTIME="0",
        INA13="_NV",
        INAKKU="_NV",
    )
    on = pump("50113", INSERNUM="40864", INNR="60009FA0", INTIME="97", INA13="_NV", INAKKU="_NV")
    long = pump("50114", INSERNUM="1815", INNR="60000717", INA13="_NV", INAKKU="_NV")
    check_list(said_of(block(b"214,50100,FMSTAT,00051", off, more=True), block(on, more=True), block(long)))


# -- frames -----------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_what_is_stuffed_is_undone(data: bytes) -> None:
    assert unstuff(stuff(data)) == data
    assert not any(letter in stuff(data) for letter in b"Dd")


def test_stuffing_is_undone_from_left_to_right_in_one_pass() -> None:
    assert stuff(b"EX") == b"EEX"
    assert unstuff(b"EEX") == b"EX"
    assert unstuff(b"EXEEex") == b"DEd"


@given(
    text=TEXTS,
    more=st.booleans(),
    stuffing=st.booleans(),
    places=st.lists(st.integers(0, 400), max_size=5),
)
def test_a_frame_is_read_as_it_was_built_however_it_is_cut(
    *, text: str, more: bool, stuffing: bool, places: list[int]
) -> None:
    data = frame_of(text.encode(), bed=b"Deed", more=more, stuffing=stuffing)
    ends = sorted(place % (len(data) + 1) for place in places)
    frames = Frames()
    pieces = (data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True))
    (told,) = (item for piece in pieces for item in frames.feed(piece))
    assert told == Block(0, b"Deed", text.encode(), more=more, stuffed=stuffing)


@given(st.integers(0, 5000), st.integers(1, 255))
def test_no_single_changed_byte_is_taken_for_the_frame(place: int, change: int) -> None:
    data = bytearray(block(pump()))
    data[place % len(data)] ^= change
    assert not [one for one in heard(said_of(bytes(data))) if one.unit == "50111" and one.bodies]


def test_length_and_sum_are_those_of_the_unstuffed_frame() -> None:
    plain = block(b"214,50111,INSOL,Dede")
    stuffed = block(b"214,50111,INSOL,Dede", stuffing=True)
    assert len(stuffed) == len(plain) + 5
    assert int(stuffed[1:6]) == int(plain[1:6]) == len(plain)
    assert int(stuffed[-6:-1]) == int(plain[-6:-1]) == checksum(plain[:-6])


def test_signals_between_frames_are_none_of_the_garbage() -> None:
    items = list(Frames().feed(b"\x06" + block(pump()) + b"\x15\xff\x06\x15" + block(pump())))
    assert items[0] is Signal.ACK
    assert items[2] is Signal.NAK
    assert items[4] == Noise(b"\xff\x06\x15")
    assert sum(isinstance(item, Refusal) for item in items) == 1


@pytest.mark.parametrize(
    "info",
    [
        b"",
        b"214",
        b"x,50111,INM3,1",
        b"214,50111",
        b"214,5011P,INM3,1",
        b"214,50101,INM3,1",
        b"214,50110,INM3,1",
        b"214,501125,INM3,1",
        "214,50111,ĐẶNG,1".encode(),
        b"214,50111,INM3,1\x1e",
    ],
)
def test_a_sound_frame_that_tells_no_quadruples_is_refused_whole_and_not_quoted(info: bytes) -> None:
    (refused,) = (one for one in said_of(block(info)) if isinstance(one, Refusal))
    assert "quadruple" in refused.reason


def test_an_address_that_is_none_is_said_so() -> None:
    with pytest.raises(MessageError, match="without an address"):
        slot("60111")


def test_an_answer_split_at_every_point_with_garbage_between_its_blocks_says_the_same() -> None:
    off = pump("50112", INSERNUM="I51559", DSSTATUS="00050")
    data = b"\xff" + block(pump(INA11="1"), more=True) + b"noise\x15" + block(off, stuffing=True) + b"\x06"
    whole = said_of(data)
    assert [one.unit for one in heard(whole)] == ["50111", "50112"]
    assert len(refusals(whole)) == 2
    assert all(said_of(data[:place], data[place:]) == whole for place in range(len(data)))


def test_a_place_is_told_as_soon_as_the_next_one_comes() -> None:
    one = adapter(period_s=30.0)
    one.connected()
    assert one.feed(block(pump("50111"), more=True)) == ()
    assert [told.unit for told in heard(one.feed(block(pump("50112"), pump("50113"), more=True)))] == [
        "50111"
    ]
    assert [told.unit for told in heard(one.feed(block(pump("50113"))))] == ["50112", "50113"]


# -- who --------------------------------------------------------------------------------------------------


def test_two_types_of_pumps_with_one_serial_number_are_two_devices() -> None:
    one, other = heard(said_of(block(pump("50111"), pump("50112", INDTNR="6150"))))
    assert one.alias.identifier == other.alias.identifier
    assert one.alias.namespace != other.alias.namespace


@pytest.mark.parametrize("serial", ["51559", "I51559"])
def test_a_serial_number_is_told_as_the_pump_tells_it(serial: str) -> None:
    (one,) = heard(said_of(block(pump(INSERNUM=serial))))
    assert one.alias.identifier == serial


def test_a_serial_number_that_is_not_available_for_a_while_is_still_the_same_pump() -> None:
    outcomes = said_of(block(pump()), block(pump(INSERNUM="_NA")), block(told_by("50111", (("INM3", "1"),))))
    assert {one.alias.identifier for one in heard(outcomes)} == {"41190"}
    assert sum(isinstance(body, Identity) for body in bodies(outcomes)) == 1


def test_a_new_pump_without_a_serial_number_is_not_taken_for_the_one_before() -> None:
    values = tuple((name, value) for name, value in QUIET_VALUES if name not in {"INSERNUM", "GNMODEL"})
    unnamed = told_by("50111", (("GNNEW", "688F030006"), *values))
    first, left, second = heard(said_of(block(pump()), block(unnamed), block(unnamed)))
    assert [first.alias.identifier, left.alias.identifier, second.alias] == ["41190", "41190", UNTOLD]
    assert isinstance(left.bodies[0], Status)


def test_a_text_that_is_no_serial_number_is_not_one() -> None:
    (one,) = heard(said_of(block(pump(INSERNUM="NguyenVanA", INNR="Lan", GNMODEL="BN 12"))))
    assert one.alias == UNTOLD
    assert "Nguyen" not in repr(one)


# -- use --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"DSSTATUS": "00050", "INM3": "1"}, "off"),
        ({"INM3": "1"}, "in_use"),
        ({"INM3": "1", "INM6": "1"}, "in_use"),
        ({"INM3": "0", "INM2": "1"}, "in_use"),
        ({"INM3": "0"}, "idle"),
        ({"INM3": "0", "DSSTATUS": "_NA"}, "unknown"),
        ({"INM3": "0", "INM6": "1"}, "standby"),
        ({"INM3": "_NV"}, "unknown"),
        ({"INM3": "_NV", "INM6": "1"}, "standby"),
        ({"INM3": "_NV", "RUNSTATE": "2"}, "in_use"),
        ({"INM3": "_NV", "RUNSTATE": "6"}, "in_use"),
        ({"INM3": "_NV", "RUNSTATE": "8"}, "in_use"),
        ({"INM3": "_NV", "RUNSTATE": "1"}, "idle"),
        ({"INM3": "1", "RUNSTATE": "1"}, "unknown"),
        ({"INM3": "0", "RUNSTATE": "2"}, "unknown"),
        ({"INM3": "yes"}, "unknown"),
        ({"INM3": "yes", "RUNSTATE": "ab"}, "unknown"),
    ],
)
def test_use_is_what_the_pump_says_of_its_running(values: dict[str, str], state: str) -> None:
    assert states(block(told_of(values))) == [state]


def test_infusion_time_that_rises_is_evidence_where_nothing_else_is_told_and_standing_still_is_none() -> None:
    minutes = ("10", "11", "11", "6000", "6000", "3", "_NV", "4")
    assert states(*(block(pump(INM3="_NV", INTIME=one)) for one in minutes)) == [
        "unknown",
        "in_use",
        "unknown",
        "in_use",
        "unknown",
        "unknown",
        "unknown",
        "in_use",
    ]


def test_minutes_of_standby_left_are_no_standby() -> None:
    assert states(block(pump(INSTBY="1434"))) == ["in_use"]


def test_no_hours_are_reported() -> None:
    assert not [body for body in bodies(said_of(block(pump()))) if isinstance(body, Usage) and body.meters]


def test_power_and_battery_are_told_first_and_when_they_change() -> None:
    rows = [{"INM8": "1"}, {"INM8": "1"}, {"INM8": "0", "INAKKU": "90"}, {"INM8": "_NA", "INAKKU": "9999"}]
    outcomes = said_of(*(block(told_of(row)) for row in rows))
    mains, minutes = Quantity.ON_MAINS_BOOL, Quantity.BATTERY_REMAINING_MIN
    assert gauges(outcomes) == [(mains, 1.0), (minutes, 1440.0), (mains, 0.0), (minutes, 90.0)]


def test_a_cyclic_station_does_not_repeat_a_state_within_the_period() -> None:
    cyclic = OPTIONS(cyclic=True)(period_s=30.0)
    outcomes = hear(
        cyclic,
        [
            block(pump(seconds=at, INM3="0" if at == 220 else "1"))
            for at in (205, 210, 215, 220, 225, 230, 255, 5)
        ],
    )
    told = [body.state for body in bodies(outcomes) if isinstance(body, Usage)]
    assert told == [OperatingState.IN_USE, OperatingState.IDLE, *[OperatingState.IN_USE] * 3]


# -- alarms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", list(ALARMS))
def test_each_alarm_parameter_is_an_alarm_of_the_right_kind(code: str) -> None:
    (alarm,) = (body for body in bodies(said_of(block(told_of({code: "1"})))) if isinstance(body, Alarm))
    technical = {"INA1", "INA3", "INA9", "INA11", "INA13", "INA14", "INA15"}
    advisory = {"INA2", "INA4", "INA5", "INA7", "INA8", "INA12", "INA16"}
    wanted = AlarmKind.TECHNICAL if code in technical else AlarmKind.UNKNOWN
    assert (alarm.code, alarm.alarm_kind) == (code, AlarmKind.ADVISORY if code in advisory else wanted)
    assert alarm.phase == "present"


def test_no_alarm_of_a_pump_is_physiological() -> None:
    assert AlarmKind.PHYSIOLOGICAL not in {alarm.kind for alarm in ALARMS.values()}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("0110", [("start", "active"), ("end", "inactive")]),
        ("101", [("present", "active"), ("end", "inactive"), ("start", "active")]),
        ("V1", [("present", "active")]),
        ("1VV1", [("present", "active"), ("update", "unknown"), ("update", "active")]),
        ("1A0", [("present", "active"), ("update", "unknown"), ("end", "inactive")]),
        ("0?1", [("update", "unknown"), ("present", "active")]),
        ("VVA", []),
    ],
)  # fmt: skip
def test_words_of_an_alarm_become_edges(words: str, wanted: list[tuple[str, str]]) -> None:
    values = {"V": "_NV", "A": "_NA", "?": "Lan", "0": "0", "1": "1"}
    outcomes = said_of(*(block(pump(INA15=values[word])) for word in words))
    assert [(phase, condition) for _, phase, condition, _ in edges(outcomes)] == wanted


def test_an_alarm_left_out_of_a_push_goes_on() -> None:
    outcomes = said_of(
        block(pump(INA13="1")), block(told_by("50111", (("INM3", "1"),))), block(pump(INA13="1"))
    )
    assert [edge[:2] for edge in edges(outcomes)] == [("INA13", "present")]


FIRST = (("1234", "start", "active"),)


@pytest.mark.parametrize(
    ("codes", "wanted"),
    [
        (["1234", "1234"], [("1234", "present", "active")]),
        (["0", "1234"], [("1234", "start", "active")]),
        (["_NV", "1234"], [("1234", "present", "active")]),
        (["1234", "0"], [("1234", "present", "active"), ("1234", "end", "inactive")]),
        (["0", "1234", "2001"], [*FIRST, ("1234", "end", "inactive"), ("2001", "start", "active")]),
        (["0", "1234", "_NA", "1234"], [*FIRST, ("1234", "update", "unknown"), ("1234", "update", "active")]),
        (["999", "3000", "Lan"], []),
    ],
)  # fmt: skip
def test_the_last_device_alarm_is_a_memory_whose_code_appears_stands_and_leaves(
    codes: list[str], wanted: list[tuple[str, str, str]]
) -> None:
    outcomes = said_of(*(block(pump(LASTDA=code)) for code in codes))
    assert [edge[:3] for edge in edges(outcomes)] == wanted
    faults = [body for body in bodies(outcomes) if isinstance(body, Fault)]
    assert {(fault.mapped, str(fault.effect)) for fault in faults} <= {(False, "service_high")}


def test_a_pump_that_moves_takes_its_alarms_along_as_present() -> None:
    here, there = pump("50111", INA11="1"), pump("50121", INA11="1", seconds=244)
    outcomes = said_of(block(here), block(b"244,50111,GNERR,39", there))
    told = [
        (one.unit, body.phase) for one in heard(outcomes) for body in one.bodies if isinstance(body, Alarm)
    ]
    assert told == [("50111", "present"), ("50111", "update"), ("50121", "present")]


@pytest.mark.parametrize(
    ("code", "words"), [("68", "syntax"), ("811", "address"), ("4711", "not known"), ("x", "not known")]
)
def test_an_error_of_the_station_is_refused_in_our_words(code: str, words: str) -> None:
    (refused,) = refusals(said_of(block(f"214,50100,GNERR,{code}".encode())))
    assert words in refused.reason
    assert code not in refused.reason


def test_an_empty_system_is_no_refusal() -> None:
    outcomes = said_of(block(b"214,50100,GNERR,11"))
    assert refusals(outcomes) == ()
    assert any(isinstance(one, Skipped) for one in outcomes)


# -- privacy ----------------------------------------------------------------------------------------------

PLANTED = ("Đặng Thị Ánh", "Nguyễn Văn A", "BN-2026-0042", DRUG, WEIGHT, NURSE, "Kali clorid 10%")
HIDDEN = (
    "INSOL",
    "INSOLSN",
    "INSOLID",
    "INPATW",
    "PATID",
    "PATW",
    "NURSEID",
    "FMBANY",
    "DRUGORDERNO",
    "INRT",
)


@pytest.mark.parametrize("word", PLANTED)
@pytest.mark.parametrize("stuffing", [False, True])
def test_no_word_about_a_person_or_a_drug_leaves_the_adapter_or_the_redactor(
    *, word: str, stuffing: bool
) -> None:
    """In values that are not read, and in those that are."""
    values = (*((name, word) for name in HIDDEN), *((name, word) for name in READ))
    quadruple = SEPARATOR.join(f"214,50111,{name},{value}".encode() for name, value in values)
    named = f"214,50111,{word},1".encode()
    data = block(pump(), quadruple, stuffing=stuffing) + block(named) + word.encode() + block(pump())
    outcomes = said_of(data)
    text = repr(outcomes) + "".join(body.model_dump_json() for body in bodies(outcomes))
    blots = redactor()
    kept = blots.feed(data) + blots.closed()
    for part in (word, word.split(maxsplit=1)[0]):
        assert part not in text
        assert part.encode() not in kept
        assert part.encode() not in unstuff(kept)
    assert any(isinstance(one, Heard) for one in outcomes)


def test_what_is_kept_tells_the_same_in_frames_of_the_right_length_and_sum() -> None:
    data = block(pump(INSOL=DRUG), more=True) + block(pump("50112", INSERNUM="41191"), stuffing=True)
    blots = redactor()
    kept = blots.feed(data) + blots.closed()
    assert [(one.unit, one.bodies) for one in heard(said_of(kept))] == [
        (one.unit, one.bodies) for one in heard(said_of(data))
    ]
    first, second = Frames().feed(kept)
    assert isinstance(first, Block)
    assert isinstance(second, Block)
    assert (first.more, second.stuffed, first.bed) == (True, True, b"1")
    assert {told.name for told in quadruples(first.info)} >= {"INSERNUM", ""}
