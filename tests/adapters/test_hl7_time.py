"""Every form of time that was seen in the field is read, and nothing else is taken for one."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import hl7_time
from adapters.hl7_time import Moment


def clock(text: str) -> str:
    found = hl7_time.read(text)
    assert found is not None
    return found.clock.isoformat()


def zone_h(text: str) -> float | None:
    found = hl7_time.read(text)
    assert found is not None
    if found.zone is None:
        return None
    return (found.zone.utcoffset(None) or timedelta()).total_seconds() / 3600


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018", "2018-01-01T00:00:00"),
        ("201803", "2018-03-01T00:00:00"),
        ("20180304", "2018-03-04T00:00:00"),
        ("2018030405", "2018-03-04T05:00:00"),
        ("201803040506", "2018-03-04T05:06:00"),
        ("20180304050607", "2018-03-04T05:06:07"),
        ("20180304050607.8", "2018-03-04T05:06:07.800000"),
        ("20180304050607.8010-0700", "2018-03-04T05:06:07.801000"),
        (" 20180304050607 ", "2018-03-04T05:06:07"),
    ],
)
def test_every_precision_is_read(text: str, expected: str) -> None:
    assert clock(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20180304050607", None),
        ("20180304050607+0700", 7),
        ("20180304050607-0630", -6.5),
        ("20180304050607- 0000", 0),
        ("20180304050607 +0100", 1),
    ],
)
def test_the_zone_may_be_missing_or_stand_behind_a_blank(text: str, expected: float | None) -> None:
    assert zone_h(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00000000000000",
        "201",
        "20181",
        "2018-13",
        "20181301",
        "20180230",
        "2018030405060",
        "20180304050607+07",
        "20180304050607+9900",
        "201803040506.5",
        "now",
        "２０１８",
        "2" * 70,
    ],
)
def test_what_cannot_be_a_time_is_none(text: str) -> None:
    assert hl7_time.read(text) is None


@given(st.text(max_size=30))
def test_no_text_raises(text: str) -> None:
    hl7_time.read(text)


@given(st.datetimes(min_value=datetime(1, 1, 1)))  # noqa: DTZ001 - the clock of a device tells no zone
def test_a_time_that_is_written_is_read(time: datetime) -> None:
    text = f"{time.year:04}{time:%m%d%H%M%S.%f}"
    assert hl7_time.read(text) == Moment(time, None, to_the_minute=True)


def test_a_time_to_the_hour_is_known_to_be_no_better() -> None:
    assert [hl7_time.read(text).to_the_minute for text in ("2018030405", "201803040506")] == [False, True]  # type: ignore[union-attr]  # both are times


def test_a_zone_is_taken_from_the_nearest_report_that_tells_one() -> None:
    own, obr, msh = map(hl7_time.read, ("20180304050607", "20180304050608", "20180304050609+0700"))
    inherited = hl7_time.in_zone_of(own, obr, msh)
    assert own is not None
    assert msh is not None
    assert inherited == own._replace(zone=msh.zone)
    assert hl7_time.in_zone_of(msh, hl7_time.read("20180304+0100")) == msh
    assert hl7_time.in_zone_of(None, msh) is None


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("20180304050607", "20180304050610"),
        ("20180304050607+0700", "20180303230610+0100"),
        ("20180304050607+0700", "20180304050610"),
    ],
)
def test_zones_count_only_where_both_are_told(earlier: str, later: str) -> None:
    first, second = hl7_time.read(earlier), hl7_time.read(later)
    assert first is not None
    assert second is not None
    assert hl7_time.seconds_between(first, second) == 3


def test_the_ends_of_time_are_no_trouble() -> None:
    first, last = hl7_time.read("0001010100+1400"), hl7_time.read("99991231235959-1400")
    assert first is not None
    assert last is not None
    assert hl7_time.seconds_between(first, last) == (3652059 * 24 + 28) * 3600 - 1
