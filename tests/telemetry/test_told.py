"""Reading with a memory answers what reading without one does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.errors import MessageError
from telemetry.messages import (
    Alias,
    Body,
    Message,
    MeterName,
    MeterReading,
    OperatingState,
    Provenance,
    Status,
    Usage,
    encode,
)
from telemetry.messages import LinkState as Link
from telemetry.told import Reader, Told, read

ALIAS = Alias(protocol="puritan-bennett", namespace="840", identifier='35"},"observed_at":"x')
BODIES: tuple[Body, ...] = (
    Usage(state=OperatingState.IN_USE, period_s=10),
    Usage(
        state=OperatingState.STANDBY,
        period_s=10,
        meters=(MeterReading(meter=MeterName.POWER_ON_H, provenance=Provenance.REPORTED, value=7.5),),
    ),
    Status(link=Link.ONLINE, reason='"},"body":{'),
)
TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001 - naive on purpose
MESSAGES = st.builds(
    Message,
    alias=st.sampled_from((ALIAS, Alias(protocol="p", identifier="máy"), None)),
    observed_at=st.none() | TIMES.map(lambda time: time.replace(tzinfo=UTC)),
    device_time=st.none() | TIMES,
    body=st.sampled_from(BODIES),
)


def answer(payload: bytes, reader: Reader | None) -> Told | str:
    try:
        return reader.read(payload) if reader else read(payload)
    except MessageError as error:
        return error.reason


@given(st.lists(MESSAGES, max_size=20), st.integers(1, 3))
def test_messages_of_ours_are_read_the_same_with_and_without_a_memory(
    messages: list[Message], remember: int
) -> None:
    for reader in (Reader(), Reader(remember=remember)):
        for payload in map(encode, messages * 2):
            assert answer(payload, reader) == answer(payload, None)


PIECES = (
    b'{"v":1,"alias":',
    b'{"v":1, "alias":',
    b'{"v":2,"alias":',
    b'{"protocol":"p","identifier":"1"}',
    b'{"protocol":"p","identifier":"1","patient":"x"}',
    b'{"protocol":"p","identifier":"1"},"v":2',
    b"null",
    b',"observed_at":"',
    b"2026-11-22T07:26:23",
    b"2026-11-22t07:26:23",
    b"2026-02-30T07:26:23",
    b"2026-11-22T07:26:60",
    b"0000-11-22T07:26:23",
    b"Z",
    b".5Z",
    b".1234567Z",
    b".12_3Z",
    b"+07:00",
    b'"',
    b',"device_time":"2026-11-22T07:26:23"',
    b',"device_time":"2026-11-22T07:26:23.5"',
    b',"device_time":"2026-11-22 07:26:23"',
    b',"device_time":"2026-11-22T07:26:23Z"',
    b',"body":',
    b'{"kind":"usage","state":"in_use","period_s":10}',
    b'{"kind":"usage","state":"in_use","period_s":"10"}',
    b'{"kind":"usage","state":"in_use","period_s":10},"v":1',
    b"}",
    b" ",
)
WHOLE = (0, 3, 7, 8, 13, 18, 19, 23, 24, 27)
"""The pieces of a message that is well."""


@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.sampled_from(PIECES)), max_size=3), st.booleans()
)
def test_payloads_put_together_of_any_parts_are_read_the_same(
    changes: list[tuple[int, bytes]],
    inserted: bool,  # noqa: FBT001 - drawn
) -> None:
    reader = Reader()
    whole = [PIECES[index] for index in WHOLE]
    reader.read(b"".join(whole))
    for at, piece in changes:
        whole[at : at + (0 if inserted else 1)] = [piece]
        payload = b"".join(whole)
        expected = answer(payload, None)
        assert answer(payload, reader) == expected
        assert answer(payload, reader) == expected
    for piece in PIECES:
        assert answer(piece, reader) == answer(piece, None)


def test_the_parts_of_a_message_are_the_same_values_each_time() -> None:
    reader = Reader()
    first, second = (
        reader.read(
            encode(
                Message(alias=ALIAS, observed_at=datetime(2026, 11, 22, 7, 26, s, tzinfo=UTC), body=BODIES[0])
            )
        )
        for s in (1, 2)
    )
    assert first.alias is second.alias
    assert first.body is second.body
    assert second.observed_us is not None
    assert second.observed_us - (first.observed_us or 0) == 1_000_000


def test_what_is_remembered_is_bounded() -> None:
    reader = Reader(remember=10)
    for number in range(100):
        alias = Alias(protocol="p", identifier=str(number))
        at = datetime(2026, 11, 22, 7, number % 60, number % 60, tzinfo=UTC)
        reader.read(encode(Message(alias=alias, observed_at=at, body=BODIES[0])))
        assert reader.remembered <= 30


def test_a_message_that_is_refused_says_why_as_ever() -> None:
    with pytest.raises(MessageError, match="observed_at"):
        Reader().read(
            b'{"v":1,"alias":null,"observed_at":"x","body":{"kind":"usage","state":"off","period_s":1}}'
        )
