"""MQTT bytes become messages however they are cut; no bytes make anything but a message or a lost link."""

from __future__ import annotations

import asyncio

import mqtt5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import mqtt_codec
from collector.inbound import Received
from collector.mqtt_claim import Claim
from collector.mqtt_codec import Unreadable
from collector.mqtt_link import Link
from collector.mqtt_settings import PACKET_LIMIT
from telemetry.errors import SettingsError, Unavailable
from tests.collector.wire import RUN, SETTINGS, Wire

# the codec's panic also leaves its cause to sys.unraisablehook, which pytest makes a warning
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ENVELOPE = (("stream", "u-0123456789ab"), ("seq", "7"), ("boot", "b1"), ("mono_ms", "12"))
MESSAGES = (
    Received("hourmeter/1/h/v1/usage", b"{}", ENVELOPE, False, 1),
    Received("hourmeter/1/h/v1/alarm", b"", (), False, None),
    Received("hourmeter/1/h/v1/status", b"x" * 200, ENVELOPE, True, 0xFFFF),
    Received("hourmeter/1/h/v1/metrics", b"y" * 20_000, (), False, 300),
    Received("hourmeter/1/h/bệnh/usage", bytes(range(256)), (("ghi chú", "máy thở"),), False, 2),
)


def publish(message: Received) -> bytes:
    """The frame of a message as a broker sends it."""
    packet_id = message.token if isinstance(message.token, int) else None
    return mqtt5.PublishPacket(
        message.topic,
        message.payload,
        qos=mqtt5.QoS.AT_MOST_ONCE if packet_id is None else mqtt5.QoS.AT_LEAST_ONCE,
        retain=message.retain,
        packet_id=packet_id,
        user_properties=list(message.properties),
    ).write()


STREAM = b"".join(map(publish, MESSAGES))
BAD_TEXT = publish(MESSAGES[0]).replace(b"hourmeter", b"hour\xff\xfe\xfder")


def linked() -> tuple[Link, Wire]:
    """A link on a wire."""
    link = Link(SETTINGS, claim=Claim(user=SETTINGS.user, run=RUN))
    return link, Wire(link)


async def taken(link: Link) -> tuple[Received, ...]:
    """What the link holds ready."""
    async with asyncio.timeout(5):
        return tuple(await link.receive())


@pytest.mark.parametrize("piece", [None, 1, 2, 3, 7, 4096])
async def test_messages_are_the_same_however_the_bytes_are_cut(piece: int | None) -> None:
    link, wire = linked()
    wire.feed(STREAM, piece=piece)
    assert await taken(link) == MESSAGES


@given(st.integers(0, len(STREAM)))
def test_a_prefix_yields_the_whole_frames_in_it_and_the_rest_yields_the_others(cut: int) -> None:
    async def prove() -> None:
        link, wire = linked()
        wire.feed(STREAM[:cut])
        ends = [sum(len(publish(m)) for m in MESSAGES[: n + 1]) for n in range(len(MESSAGES))]
        whole = sum(end <= cut for end in ends)
        if whole:
            assert await taken(link) == MESSAGES[:whole]
        wire.feed(STREAM[cut:])
        if whole < len(MESSAGES):
            assert await taken(link) == MESSAGES[whole:]

    asyncio.run(prove())


async def test_every_prefix_of_a_frame_waits_for_the_rest_of_it() -> None:
    frame = publish(MESSAGES[0])
    for cut in range(1, len(frame)):
        link, wire = linked()
        wire.feed(publish(MESSAGES[1]) + frame[:cut])
        assert await taken(link) == MESSAGES[1:2]
        wire.feed(frame[cut:] + b"\x32")
        assert await taken(link) == MESSAGES[:1]


async def test_a_packet_larger_than_the_buffer_is_taken_and_smaller_ones_after_it() -> None:
    large = Received("hourmeter/1/h/v1/usage", b"z" * 900_000, (), False, 9)
    link, wire = linked()
    wire.feed(publish(MESSAGES[0]) + publish(large) + STREAM)
    assert await taken(link) == (MESSAGES[0], large, *MESSAGES)


@pytest.mark.parametrize(
    "head",
    [b"\x32" + b"\xff\xff\xff\x7f", b"\x32" + b"\xff\xff\xff\xff\x01", b"\x32\xfd\xff\x3f"],
    ids=["256 MB", "length of five bytes", "just above the limit"],
)
async def test_a_packet_above_the_limit_ends_the_link_before_it_is_read(head: bytes) -> None:
    link, wire = linked()
    wire.feed(head)
    with pytest.raises(Unavailable, match="larger than we take"):
        await taken(link)
    assert len(link.get_buffer(-1)) < PACKET_LIMIT


@given(st.integers(0, 2**28 - 1), st.binary(max_size=3))
def test_the_size_of_a_frame_is_its_header_and_its_remaining_length(length: int, before: bytes) -> None:
    coded, rest = bytearray(), length
    while True:
        rest, low = divmod(rest, 128)
        coded.append(low | (0x80 if rest else 0))
        if not rest:
            break
    buffer = memoryview(before + b"\x30" + coded)
    assert mqtt_codec.frame_size(buffer, len(before), len(buffer)) == 1 + len(coded) + length
    for end in range(len(before) + 1, len(buffer)):
        assert mqtt_codec.frame_size(buffer, len(before), end) == 0


@given(st.lists(st.integers(1, 0xFFFF), max_size=50))
def test_joined_acknowledgements_are_what_the_codec_writes_one_by_one(packet_ids: list[int]) -> None:
    one_by_one = b"".join(mqtt5.PubAckPacket(packet_id).write() for packet_id in packet_ids)
    assert mqtt_codec.pubacks(packet_ids) == one_by_one


@pytest.mark.parametrize(
    "frame",
    [
        BAD_TEXT,
        publish(MESSAGES[0]).replace(b"seq", b"s\xc3q"),
        publish(MESSAGES[0]).replace(b"b1", b"\xff1"),
    ],
    ids=["topic", "name of a property", "value of a property"],
)
async def test_the_codecs_panic_on_bad_text_yields_a_message_without_topic(frame: bytes) -> None:
    link, wire = linked()
    wire.feed(frame + STREAM)
    received = await taken(link)
    assert received == (Received("", frame, (), False, 1), *MESSAGES)
    link.acknowledge(received)
    assert [p.packet_id for p in wire.said if isinstance(p, mqtt5.PubAckPacket)] == [1, 1, 0xFFFF, 300, 2]


async def test_an_unreadable_packet_of_qos_0_is_a_message_that_needs_no_acknowledgement() -> None:
    frame = b"\x31\x04\x00\x09ab"
    link, wire = linked()
    wire.feed(frame)
    received = await taken(link)
    assert received == (Received("", frame, (), True, None),)
    link.acknowledge(received)
    assert wire.said == []


@pytest.mark.parametrize(
    "frame",
    [
        b"\x32\x00",
        b"\x32\x01\x00",
        b"\x32\x04\x00\x09ab",
        b"\x32\x05\x00\x01\xff\x00\x00",
        b"\x34\x06\x00\x01a\x00\x01\x00",
        b"\x36\x06\x00\x01a\x00\x01\x00",
        b"\x00\x00",
        b"\x40\x01\x00",
        b"\x90\x03\x00\x01\x00",
        b"\xd0\x01\x00",
        b"\xf0\x00",
        b"\x15\x03\x01\x00\x02\x02\x46",
        mqtt5.PingReqPacket().write(),
    ],
    ids=[
        "publish without a topic",
        "half a topic length",
        "topic beyond the frame",
        "packet identifier 0",
        "QoS 2",
        "QoS 3",
        "packet type 0",
        "short PUBACK",
        "SUBACK without a reason",
        "long PINGRESP",
        "AUTH",
        "TLS alert",
        "what only a client says",
    ],
)
async def test_a_frame_that_is_no_message_and_no_answer_ends_the_link(frame: bytes) -> None:
    link, wire = linked()
    wire.feed(frame + STREAM)
    with pytest.raises(Unavailable, match="against the protocol"):
        await taken(link)
    assert wire.is_closing()


@settings(deadline=None)
@given(st.integers(0, len(publish(MESSAGES[0])) - 1), st.integers(1, 255))
def test_a_flipped_byte_yields_a_message_or_a_lost_link_and_nothing_else(place: int, flip: int) -> None:
    flipped = bytearray(publish(MESSAGES[0]))
    flipped[place] ^= flip

    async def prove() -> None:
        link, wire = linked()
        try:
            wire.feed(bytes(flipped))
            wire.feed(publish(MESSAGES[1]))
            wire.lose()
            await taken(link)
        except (Unavailable, SettingsError):
            return

    asyncio.run(prove())


@settings(deadline=None)
@given(st.integers(2, len(publish(MESSAGES[0])) - 1), st.integers(1, 255))
def test_a_flip_behind_the_length_never_harms_the_next_message(place: int, flip: int) -> None:
    frame = publish(MESSAGES[0])
    start = len(frame) - mqtt_codec.frame_size(memoryview(frame), 0, len(frame)) + 2
    flipped = bytearray(frame)
    flipped[max(place, start)] ^= flip

    async def prove() -> None:
        link, wire = linked()
        wire.feed(bytes(flipped) + publish(MESSAGES[1]))
        try:
            received = await taken(link)
        except Unavailable as error:
            assert "packet identifier" in str(error)  # noqa: PT017 - only this refusal is allowed
        else:
            assert received[1:] == MESSAGES[1:2]

    asyncio.run(prove())


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_yield_messages_or_a_lost_link_and_nothing_else(noise: bytes) -> None:
    async def prove() -> None:
        link, wire = linked()
        wire.feed(noise)
        wire.lose()
        with pytest.raises((Unavailable, SettingsError)):
            await taken(link)

    asyncio.run(prove())


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, MemoryError])
def test_only_the_codecs_panic_is_contained(
    monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]
) -> None:
    def read(_: memoryview) -> tuple[mqtt5.Packet, int]:
        raise raised

    monkeypatch.setattr(mqtt5, "read", read)
    with pytest.raises(raised):
        mqtt_codec.read_frame(memoryview(b"\xd0\x00"))


def test_a_frame_that_the_codec_reads_only_in_part_is_refused() -> None:
    assert isinstance(mqtt_codec.read_frame(memoryview(b"\xd0\x00\xd0\x00")), Unreadable)
