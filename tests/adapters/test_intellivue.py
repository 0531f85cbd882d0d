"""IntelliVue: what a real indication yields, messages as others send them, alarms and identity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from adapters import intellivue_association as association
from adapters import intellivue_layout as layout
from adapters import intellivue_writing as writing
from adapters.contract import UNTOLD, Answer, Conversing, Heard, Skipped
from adapters.intellivue_alerts import PHYSIOLOGICAL, TECHNICAL
from adapters.intellivue_association import Control
from adapters.intellivue_layout import (
    ALERT_MONITOR,
    CONNECT_INDICATION,
    MDS,
    MDS_CREATED,
    Alert,
    Polled,
    Told,
)
from adapters.intellivue_monitor import attributes_of, facts_of, state_of, text_of, time_of
from adapters.protocols.intellivue import OPTIONS, adapter, redactor
from telemetry.errors import MessageError
from telemetry.messages import Alarm, Condition, Identity, OperatingState, Phase, Usage
from tests.adapters.ventilators import bodies, edges, hear, refusals

SAMPLES = Path(__file__).parents[2].parent / "shared/samples/intellivue"
needs_samples = pytest.mark.skipif(not SAMPLES.exists(), reason="the shared samples are not here")
ITSELF = bytes((0, MDS, 0, 0, 0, 0))
SERIAL = "DE00000001"


def indication(attributes: layout.Attributes | None = None) -> bytes:
    told = attributes_of(serial=SERIAL) if attributes is None else attributes
    return writing.told_of(Told(CONNECT_INDICATION, 0, ITSELF, 1, told))


def polled(*objects: layout.Attributes, of: int = ALERT_MONITOR, time: int = 1, number: int = 1) -> bytes:
    return writing.polled_of(Polled(number, 0, of, time, objects))


def lists(*technical: Alert, physiological: Iterable[Alert] = ()) -> layout.Attributes:
    return {
        TECHNICAL: writing.rows_of(map(writing.alert_of, technical)),
        PHYSIOLOGICAL: writing.rows_of(map(writing.alert_of, physiological)),
    }


KNOWN = polled(attributes_of(serial=SERIAL, mode=0x4000), of=MDS)
BATTERY = Alert(source=4105, code=194, type=1, state=0)


# -- what others recorded -----------------------------------------------------------------------------------


@needs_samples
def test_the_recorded_indication_is_a_monitor_with_its_numbers_and_revisions() -> None:
    data = (SAMPLES / "connect_indication_udp_payload.bin").read_bytes()
    (heard,) = hear(adapter(period_s=30.0), [data])
    assert isinstance(heard, Heard)
    assert (heard.alias.namespace, heard.alias.identifier) == ("866062", "DE351A4061")
    identity, usage = heard.bodies
    assert identity == Identity(
        manufacturer="Philips",
        model="866062",
        serial="DE351A4061",
        hardware_revision="A.00.30",
        software_revision="L.01.18 (S-M8003-1402A)",
        device_type=69965,
        unique_ids=("0009FBFFFF88C1BD",),
    )
    assert usage == Usage(state=OperatingState.UNKNOWN, period_s=30.0)
    told = layout.read(data)
    assert isinstance(told, Told)
    assert writing.told_of(told) == data
    facts = facts_of(told.attributes)
    assert (facts.software, facts.firmware) == ((("L.01.18", "S-M8003-1402A"),), "")
    assert facts.data_export_port == 24105


@needs_samples
def test_within_its_ethernet_frame_it_is_found_behind_the_heads() -> None:
    data = (SAMPLES / "connect_indication_ethernet_frame.bin").read_bytes()
    said = hear(adapter(period_s=30.0), [data])
    assert [(type(one).__name__, getattr(one, "offset", None)) for one in said] == [
        ("Refusal", 0),
        ("Heard", 42),
    ]


@needs_samples
def test_what_we_send_is_what_a_working_client_sends_byte_by_byte() -> None:
    lines = (SAMPLES / "session_messages.txt").read_text().splitlines()
    sent = {line.split()[0]: bytes.fromhex(line.rsplit("|", 1)[1]) for line in lines if "|" in line}
    theirs = association.request(period_ticks=2500, receive=2500, send=1000, extension=0x8C000000)
    assert theirs == sent["aarq_msg"]
    assert association.release() == sent["rlrq_msg"]
    assert association.released() == sent["rlrq_resp_msg"]
    assert association.abort() == sent["assoc_abort_resp_msg"]
    assert writing.poll_request(MDS, 0x080C, number=1) == sent["poll_request_msg2"]
    created = Told(MDS_CREATED, 1, ITSELF, 0x000ABD00, {})
    assert writing.created_result(created) == sent["mds_create_resp_msg"]


def test_our_request_differs_from_theirs_in_period_sizes_and_figures_alone() -> None:
    ours, theirs = association.request(), association.request(receive=1000, send=1000, extension=0)
    changed = [place for place, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one != other]
    sizes = ours.index(association.PERIOD_TICKS.to_bytes(4, "big")) + 4
    assert changed == [sizes + 2, sizes + 3, sizes + 6, sizes + 7, sizes + 24]


# -- identity and mode --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"DE351A4061\x00\t", "DE351A4061"),
        (b" A.00.30", "A.00.30"),
        (b"L.01.18\n", "L.01.18"),
        (b"--------", ""),
        (b"\x00\x00", ""),
        ("Nguyễn".encode(), ""),
        (b"A" * 33, ""),
        (b"Nguyen Van An", ""),
    ],
)
def test_a_text_is_trimmed_and_one_that_is_none_of_a_device_is_absent(data: bytes, text: str) -> None:
    assert text_of(data) == text


def test_without_a_serial_number_the_system_id_is_the_name() -> None:
    told = {**attributes_of(serial=SERIAL), 0x092D: writing.rows_of(())}
    (heard,) = hear(adapter(period_s=30.0), [indication(told)])
    assert isinstance(heard, Heard)
    assert (heard.alias.namespace, heard.alias.identifier) == ("system-id", "0009FBFF30303031")


def test_the_product_speaks_before_its_boards() -> None:
    rows = ((1, 0x58, b"BOARD-0001"), (1, 8, b"DE00000009"), (3, 0x10, b"B.1"))
    told = {0x092D: writing.rows_of(writing.specification_of(*row) for row in rows)}
    assert (facts_of(told).serial, facts_of(told).hardware) == ("DE00000009", "B.1")


@pytest.mark.parametrize(
    ("mode", "state"),
    [
        (0x4000, OperatingState.UNKNOWN),
        (0x6000, OperatingState.DEMO),
        (0x1000, OperatingState.SERVICE),
        (0x0001, OperatingState.SERVICE),
        (0x4002, OperatingState.STANDBY),
        (0x0000, OperatingState.UNKNOWN),
    ],
)
def test_the_operating_mode_tells_demonstration_service_and_standby_and_never_use(
    mode: int, state: OperatingState
) -> None:
    assert state_of(attributes_of(serial=SERIAL, mode=mode)) is state


def test_the_clock_is_read_as_it_is_told_and_an_impossible_one_is_none() -> None:
    at = datetime(2024, 3, 11, 10, 46, 48, 120_000)  # noqa: DTZ001 - the monitor tells no zone
    assert time_of(attributes_of(serial=SERIAL, time=at)) == at
    for value in (
        b"\xff" * 8,
        bytes.fromhex("2024133110464800"),
        b"\x20\x24",
        bytes.fromhex("20240311104648a0"),
    ):
        assert time_of({0x0987: value}) is None


def test_the_state_is_told_when_it_changes_and_once_a_period() -> None:
    one = adapter(period_s=60.0)
    one.connected()
    told = []
    for seconds, mode in (
        (0, None),
        (20, None),
        (39.9, None),
        (0.2, None),
        (5, 0x2000),
        (5, 0x2000),
        (60, 0x2000),
    ):
        one.elapsed(seconds)
        told.append([
            body.state
            for body in bodies(one.feed(indication(attributes_of(serial=SERIAL, mode=mode))))
            if isinstance(body, Usage)
        ])  # fmt: skip
    assert told == [["unknown"], [], [], ["unknown"], ["demo"], [], ["demo"]]


# -- alarms -------------------------------------------------------------------------------------------------


def test_an_alarm_of_several_sources_is_one_and_tells_the_highest_priority() -> None:
    rows = (BATTERY, Alert(4106, 195, 4, 0x1008), Alert(4107, 194, 2, 0))
    said = hear(adapter(period_s=30.0), [KNOWN, polled(lists()), polled(lists(*rows))])
    (alarm,) = [body for body in bodies(said) if isinstance(body, Alarm)]
    assert (alarm.code, alarm.priority, alarm.phase) == ("196802", "high", Phase.START)
    assert alarm.raw == "4105:0000 4106:1000 4107:0000"


def test_a_link_lost_repeats_nothing_that_stays_and_tells_present_what_came_meanwhile() -> None:
    one = adapter(period_s=30.0)
    hear(one, [KNOWN, polled(lists(BATTERY))])
    said = hear(one, [polled(lists(BATTERY, Alert(1, 40, 2, 0)))])
    assert edges(said) == (("196648", Phase.PRESENT, Condition.ACTIVE, "1:0000"),)


@pytest.mark.parametrize("mode", [0x2000, 0x1000, 0x0001])
def test_a_monitor_in_demonstration_or_service_begins_no_alarm_and_leaves_open_ones_in_doubt(
    mode: int,
) -> None:
    unreal = polled(attributes_of(serial=SERIAL, mode=mode), of=MDS)
    new = Alert(1, 40, 2, 0)
    said = hear(adapter(period_s=30.0), [KNOWN, polled(lists(BATTERY)), unreal, polled(lists(BATTERY, new))])
    assert [edge[:3] for edge in edges(said)] == [
        ("196802", Phase.PRESENT, Condition.ACTIVE),
        ("196802", Phase.UPDATE, Condition.UNKNOWN),
    ]


def test_before_the_monitor_is_known_its_alarms_are_not_told() -> None:
    (heard,) = hear(adapter(period_s=30.0), [polled(lists(BATTERY))])
    assert isinstance(heard, Heard)
    assert (heard.alias, heard.bodies) == (UNTOLD, ())


def test_another_monitor_on_the_link_has_alarms_of_its_own() -> None:
    other = polled(attributes_of(serial="DE00000002"), of=MDS)
    said = hear(adapter(period_s=30.0), [KNOWN, polled(lists(BATTERY)), other, polled(lists())])
    assert [edge[:2] for edge in edges(said)] == [("196802", Phase.PRESENT)]


# -- the stream ---------------------------------------------------------------------------------------------


def test_garbage_that_looks_like_a_head_is_known_by_its_lengths_and_holds_nothing_up() -> None:
    """Of what follows such a head only so much is waited for as tells its lengths apart."""
    for head in (indication()[:8], KNOWN[:8], b"\x0e\x20", b"\x0c\xff\x0f\x00", b"\xe1\x00\x00\x02\x00\x01"):
        said = adapter(period_s=30.0).feed(head + indication())
        assert [type(one).__name__ for one in said][-1] == "Heard", head


def test_what_is_longer_than_any_message_is_none() -> None:
    huge = bytearray(polled({0xF00D: bytes(5000 - 60)}))
    assert layout.fits(bytes(huge[: layout.HEAD_BYTES]))
    assert len(huge) > layout.LONGEST
    del huge[layout.HEAD_BYTES :]
    said = adapter(period_s=30.0).feed(bytes(huge) + indication())
    assert [type(one).__name__ for one in said] == ["Refusal", "Heard"]


@pytest.mark.parametrize("place", range(28, len(KNOWN), 3))
def test_a_length_that_was_tampered_with_is_refused_or_heard_and_the_next_message_is_heard(
    place: int,
) -> None:
    data = bytearray(KNOWN)
    data[place] ^= 0x5A
    said = hear(adapter(period_s=30.0), [bytes(data) + indication()])
    assert any(isinstance(one, Heard) for one in said)
    assert len(refusals(said)) <= 2


def test_messages_of_sessions_that_are_not_ours_are_skipped() -> None:
    talk = association.accept() + association.released() + association.abort()
    said = hear(adapter(period_s=30.0), [talk])
    assert [type(one) for one in said] == [Skipped] * 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no message"),
        (b"\x0e\x02\x05\x00", "without its contents"),
        (b"\x0e\x04\xc1\x02\x00\x00", "agrees to nothing"),
        (b"\x09\x03\xc1\x09\x00", "longer than its message"),
    ],
)
def test_a_broken_message_of_a_session_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        association.read(data)


def test_every_control_is_read_as_what_it_is() -> None:
    made = {
        Control.REQUEST: association.request(),
        Control.ACCEPT: association.accept(),
        Control.REFUSE: association.refuse(),
        Control.RELEASE: association.release(),
        Control.RELEASED: association.released(),
        Control.ABORT: association.abort(),
    }
    assert {control: association.read(data) for control, data in made.items()} == {
        one: one for one in Control
    }


# -- options and privacy ------------------------------------------------------------------------------------


def test_alarms_take_a_person_who_answers_for_them() -> None:
    with pytest.raises(ValueError, match="may displace the hospital's own information"):
        OPTIONS(alerts=True)
    with pytest.raises(ValueError, match="alerts_confirmed_by"):
        OPTIONS(alerts=True, alerts_confirmed_by=" ")
    asking = OPTIONS(alerts=True, alerts_confirmed_by="Trần Bình")(period_s=10.0)
    assert asking.connected() == (Answer(association.request()),)


def test_without_alarms_nothing_is_ever_sent() -> None:
    one = OPTIONS()(period_s=10.0)
    assert isinstance(one, Conversing)
    created = writing.told_of(Told(MDS_CREATED, 1, ITSELF, 1, attributes_of(serial=SERIAL)))
    said = [*one.connected(), *one.feed(indication() + association.accept() + created + KNOWN)]
    said += [*one.elapsed(3600.0), *one.closed()]
    assert not [outcome for outcome in said if isinstance(outcome, Answer)]
    assert (one.poll(), one.farewell(), one.due_s()) == (b"", b"", None)


def test_bed_label_texts_and_unread_attributes_are_in_no_body_and_in_no_recording() -> None:
    name = "Nguyễn Thị Hồng Nhung"
    told = {
        **attributes_of(serial=SERIAL, bed=name),
        0x095C: writing.text_of(name.encode("utf-16-be")),
        0xF00D: name.encode(),
    }
    row = writing.rows_of((writing.alert_of(BATTERY, writing.text_of(name.encode("utf-16-be"))),))
    stream = indication(told) + polled({TECHNICAL: row, PHYSIOLOGICAL: row}) + name.encode()
    made = redactor()
    kept = made.feed(stream) + made.closed()
    said = hear(adapter(period_s=30.0), [stream])
    for word in name.split():
        for encoded in (word.encode(), word.encode("utf-16-be")):
            assert encoded in stream
            assert encoded not in kept
        assert word not in repr(said)
    assert bodies(hear(adapter(period_s=30.0), [kept])) == bodies(said)
    assert len(edges(said)) == 2


def test_words_where_numbers_belong_are_in_no_body_and_in_no_recording() -> None:
    name = b"NGUYENVANAN 1961"
    row = writing.specification_of
    sound = attributes_of(serial=SERIAL)
    told = {
        **sound,
        0x0928: writing.text_of(name) + writing.text_of(b"866062") + writing.text_of(name),
        0x092D: writing.rows_of((row(1, 8, SERIAL.encode()), row(9, 8, name))),
        0x0984: writing.text_of(name) + writing.text_of(name[:8]),
        0x0986: name,
        0x0946: name,
        0x0987: name[:8],
        0xF101: writing.rows_of((name[:8], b"\0\1\0\1\x5e\x29AN")),
    }
    made = redactor()
    kept = made.feed(indication(told)) + made.closed()
    said = hear(adapter(period_s=30.0), [indication(told)])
    assert not [part for part in (b"NGUYEN", b"1961", b"AN") if part in kept]
    assert b"NGUYEN".hex().upper() not in repr(said)
    assert bodies(hear(adapter(period_s=30.0), [kept])) == bodies(said) != ()


def test_software_beyond_what_a_body_carries_is_cut_off() -> None:
    many = {f"S-M8003-{number:04}A": f"L.{number:02}.00" for number in range(20)}
    identity = facts_of(attributes_of(serial=SERIAL, software=many)).identity
    assert len(identity.software_revision) == 256
    assert (
        replace(facts_of(attributes_of(serial=SERIAL, software=many)), software=()).identity.software_revision
        == ""
    )
