"""What is said comes back as it was said, and nothing else is let in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from telemetry.control import Confirmed, StreamSync, Sync, read_confirmed, read_sync
from telemetry.envelope import Envelope, Envelopes
from telemetry.envelope import parse as parse_envelope
from telemetry.errors import MessageError, SettingsError, Unavailable
from telemetry.messages import (
    KINDS,
    MAX_PAYLOAD_BYTES,
    Alias,
    Body,
    Identity,
    Message,
    Metric,
    Metrics,
    OperatingState,
    Quantity,
    Usage,
    decode,
    encode,
)
from telemetry.times import from_ms, iso, to_ms
from telemetry.topics import Topic, confirmed, parse

ALIAS = Alias(protocol="puritan-bennett", namespace="840", identifier="3510000001")
USAGE = Message(
    alias=ALIAS,
    observed_at=datetime(2026, 11, 22, 4, 30, tzinfo=UTC),
    device_time=datetime(2023, 4, 4, 16, 1),  # noqa: DTZ001 - a device clock has no zone
    body=Usage(state=OperatingState.IN_USE, period_s=60),
)


def test_a_message_comes_back_as_it_was_said() -> None:
    assert decode(encode(USAGE)) == USAGE


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.builds(Metric, quantity=st.sampled_from(Quantity), value=FINITE), min_size=1, max_size=32))
def test_every_set_of_equipment_quantities_comes_back(values: list[Metric]) -> None:
    message = Message(alias=ALIAS, body=Metrics(values=tuple(values)))
    assert decode(encode(message)) == message


def _reads_or_refuses(payload: bytes) -> bool:
    try:
        return decode(payload).v == 1
    except MessageError as error:
        return bool(error.reason)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused_with_a_reason(data: bytes) -> None:
    assert _reads_or_refuses(data)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_flipped_byte_is_read_or_refused(at: int, value: int) -> None:
    payload = bytearray(encode(USAGE))
    payload[at % len(payload)] = value
    assert _reads_or_refuses(bytes(payload))


def _changed(**changes: object) -> bytes:
    data = json.loads(encode(USAGE))
    data["body"].update(changes)
    return json.dumps(data).encode()


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_figures_that_are_not_finite_are_refused(figure: str) -> None:
    payload = encode(Message(body=Metrics(values=(Metric(quantity=Quantity.TEMPERATURE_C, value=7.5),))))
    with pytest.raises(MessageError, match="finite"):
        decode(payload.replace(b"7.5", figure.encode()))


@pytest.mark.parametrize(
    "changed", [{"patient": "Nguyen"}, {"Nguyen": 1}, {"kind": "Nguyen"}, {"state": "Nguyen"}]
)
def test_names_and_values_of_the_senders_own_are_refused_without_quoting_them(
    changed: dict[str, object],
) -> None:
    with pytest.raises(MessageError, match=r"^body") as caught:
        decode(_changed(**changed))
    assert "Nguyen" not in str(caught.value)


def test_text_where_a_number_belongs_is_refused() -> None:
    with pytest.raises(MessageError, match="period_s"):
        decode(_changed(period_s="60"))


def test_a_payload_over_the_cap_is_refused_on_both_sides() -> None:
    with pytest.raises(MessageError, match=f"at most {MAX_PAYLOAD_BYTES}"):
        decode(b" " * (MAX_PAYLOAD_BYTES + 1))
    with pytest.raises(MessageError, match=f"at most {MAX_PAYLOAD_BYTES}"):
        encode(USAGE.model_copy(update={"alias": ALIAS.model_copy(update={"namespace": "x" * 70_000})}))


def test_codes_cannot_carry_a_line_break_into_a_database() -> None:
    with pytest.raises(ValueError, match="pattern"):
        Alias(protocol="pb\n", identifier="1")
    assert Identity(manufacturer="a", model="b")


def test_kinds_are_those_of_the_bodies() -> None:
    schema = TypeAdapter[object](Body).json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(KINDS)


def test_topics_are_read_as_written_and_nothing_else_is_a_topic() -> None:
    topic = Topic("hn01-icu", "vent-3", "usage")
    assert parse(str(topic)) == topic
    for wrong in ("", "hourmeter/1/a/b", "hourmeter/2/a/b/c", "hourmeter/1/a/b/c/d", "hourmeter/1/a//c"):
        with pytest.raises(MessageError):
            parse(wrong)
    with pytest.raises(MessageError):
        parse("hourmeter/1/a/b/c\n")
    with pytest.raises(MessageError):
        parse(confirmed("hn01-icu"))


@given(st.integers(1, 10**18 - 1), st.integers(0, 10**18 - 1))
def test_an_envelope_comes_back_from_its_properties(seq: int, mono_ms: int) -> None:
    envelope = Envelope("u-0a1b", seq, "boot", mono_ms)
    assert parse_envelope([("other", "x"), *envelope.properties()]) == envelope


@pytest.mark.parametrize(
    "properties",
    [
        [("seq", "1")],
        [("stream", "s"), ("seq", "0"), ("boot", "b"), ("mono_ms", "0")],
        [("stream", "s"), ("seq", "-1"), ("boot", "b"), ("mono_ms", "0")],
        [("stream", "s"), ("seq", "1\n"), ("boot", "b"), ("mono_ms", "0")],
        [("stream", "s s"), ("seq", "1"), ("boot", "b"), ("mono_ms", "0")],
        [("stream", "s"), ("seq", "1" * 19), ("boot", "b"), ("mono_ms", "0")],
    ],
)
def test_a_broken_envelope_is_refused(properties: list[tuple[str, str]]) -> None:
    with pytest.raises(MessageError, match="envelope"):
        parse_envelope(properties)


TEXTS = st.sampled_from(
    ("s", "b", "stream", "1", "01", "0", "007", "1" * 18, "1" * 19, "-1", "1\n", "s s", "", "١")
)
PROPERTIES = st.lists(
    st.tuples(st.sampled_from(("stream", "seq", "boot", "mono_ms", "other")), TEXTS), max_size=5
)
IN_ORDER = st.tuples(TEXTS, TEXTS, TEXTS, TEXTS).map(
    lambda texts: list(zip(("stream", "seq", "boot", "mono_ms"), texts, strict=True))
)


def _envelope(properties: list[tuple[str, str]], envelopes: Envelopes | None) -> Envelope | str | None:
    try:
        return envelopes.read(properties) if envelopes else parse_envelope(properties)
    except MessageError as error:
        return error.reason


@given(st.lists(PROPERTIES | IN_ORDER, max_size=20))
def test_envelopes_are_read_the_same_with_and_without_a_memory(found: list[list[tuple[str, str]]]) -> None:
    envelopes = Envelopes(remember=2)
    for properties in found:
        assert _envelope(properties, envelopes) == _envelope(properties, None)


def test_no_envelope_is_no_fault() -> None:
    assert parse_envelope([("content", "json")]) is None


def test_control_messages_come_back_and_garbage_is_refused() -> None:
    sync = Sync(
        boot="b", mono_ms=1, clock_ms=2, streams=(StreamSync(stream="s", held_from=1, sent_through=0),)
    )
    assert read_sync(sync.model_dump_json().encode()) == sync
    confirmation = Confirmed(epoch="e", streams={"s": 5})
    assert read_confirmed(confirmation.model_dump_json().encode()) == confirmation
    for read in (read_sync, read_confirmed):
        with pytest.raises(MessageError):
            read(b'{"epoch":"e","streams":{"s":-1}}')


@given(st.integers(0, 10**13))
def test_milliseconds_and_instants_are_the_same(ms: int) -> None:
    assert to_ms(from_ms(ms)) == ms
    assert to_ms(datetime.fromisoformat(iso(ms))) == ms


def test_errors_are_one_line_that_says_what_would_be_right() -> None:
    assert str(SettingsError(where="a", found="b", expected="c")) == "a: b; c"
    assert str(Unavailable("a", why="b", advice="c")) == "a: b; c"
    assert str(MessageError("b", subject="a")) == "a: b"
