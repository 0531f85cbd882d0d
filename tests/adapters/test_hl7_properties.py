"""Whatever a line or a sender does to the bytes, the HL7 adapter hears, skips or refuses; it never raises."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.contract import Answer, Heard, Outcome, Refusal, Skipped
from adapters.hl7_adapter import Hl7Adapter
from adapters.hl7_mllp import framed
from adapters.hl7_sender import Answers, RefusedAs, Sender
from tests.adapters.hl7_messages import SAMPLES, alert, codes, facets, header, message, report, row
from tests.adapters.test_hl7_facts import CHARGE, MODE, PERCENT, RATE, VENTILATOR, VOLUME

REPORT = report(
    row(VENTILATOR, "1.0.0.0", device="D-1^NS^UNI^DNS"),
    row("67880^MDC_ATTR_ID_MODEL^MDC", "1.0.0.1", "manufacturer=Acme model=Air 3"),
    row(CHARGE, "1.0.0.2", "64", unit=PERCENT),
    row(MODE, "1.0.0.3", "normal"),
    row(RATE, "1.1.2.1", "14", time="20260109073000"),
    row(VOLUME, "1.1.2.2", "7.1"),
    row("68018^MDC_ATTR_BATT_CHARGE_CYCLES^MDC", "1.2.0.4", "311"),
    head=header(number="R"),
)
ALERT = alert(*facets(event="196802^MDC_EVT_BATT_LO^MDC^^^^^^Battery low"), number="A")
WHOLE = tuple(text.encode() for text in (REPORT, ALERT))
if SAMPLES.is_dir():
    WHOLE += tuple(file.read_bytes().replace(b"\n", b"\r") for file in sorted(SAMPLES.iterdir()))

SCRAPS = st.sampled_from([
    b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b"\x0b", b"\x1c", b"\x1c\r", b"\r\r", b"||||", b"\x00",
    b"\xff", b"MSH|^~\\&", b"\rMSH|^~\\&|", b"\rOBR|1", b"\rOBX|", b"OBX", b"\rPID|", b"^MDC",
    b"^MDCX_EVT_A", b"0^",
    b"\\X", b"\\XFF\\", b"\\F\\", b"ORU^R40", b"UNICODE UTF-8", b"8859/1", b"GB 18030-2000",
    b"20260109073000+0700", b"9" * 30, b"-1", b"1e9", b"nan", b"1.0.0.0", b"....", b"\xc3\xa9", b"\xc3",
    b"x" * 300, b"4294967296^MDC_X^MDC", b"tpoint", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80",
])  # fmt: skip
EDITS = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 40), st.one_of(SCRAPS, st.binary(max_size=8))),
    max_size=6,
)
SENDERS = st.builds(
    Sender,
    answers=st.sampled_from(Answers),
    refused=st.sampled_from(RefusedAs),
    encoding=st.sampled_from(["", "utf-8", "cp1258", "gb18030", "utf-7", "shift_jis", "latin-1"]),
    max_message_bytes=st.sampled_from([4096, 1024 * 1024]),
)
CUTS = st.lists(st.integers(0, 10_000), max_size=6)


def edited(data: bytes, edits: Iterable[tuple[int, int, bytes]]) -> bytes:
    for place, length, scrap in edits:
        at = place % (len(data) + 1)
        data = data[:at] + scrap + data[at + length :]
    return data


def say(
    data: bytes, cuts: Iterable[int] = (), *, sender: Sender, is_file: bool = False
) -> tuple[Outcome, ...]:
    adapter = Hl7Adapter(sender=sender, period_s=60, is_file=is_file)
    ends = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(ends)]
    return (
        *adapter.connected(),
        *(one for piece in pieces for one in adapter.feed(piece)),
        *adapter.closed(),
    )


def check(said: tuple[Outcome, ...], length: int) -> None:
    """What must hold whatever was sent: every body can be encoded, every offset lies in the input."""
    for one in said:
        if isinstance(one, Answer):
            assert one.data.startswith(b"\x0bMSH")
            assert one.data.endswith(b"\x1c\r")
            assert not re.search(rb"[\x0b\x1c]", one.data[1:-2])
        else:
            assert 0 <= one.offset < length
        if isinstance(one, Heard):
            one.alias.model_dump_json()
            for body in one.bodies:
                assert type(body).model_validate_json(body.model_dump_json()) == body
        if isinstance(one, Refusal | Skipped):
            assert one.reason.isprintable()
            assert len(one.reason) < 100


@given(st.binary(max_size=3000), SENDERS, st.booleans())
def test_random_bytes_never_raise(data: bytes, sender: Sender, is_file: bool) -> None:  # noqa: FBT001 - drawn
    check(say(data, sender=sender, is_file=is_file), len(data))


@given(st.binary(max_size=500), SENDERS, CUTS)
def test_random_bytes_in_a_frame_behind_a_sound_msh_never_raise(
    data: bytes, sender: Sender, cuts: list[int]
) -> None:
    whole = framed(header().encode() + b"\r" + data) + framed(WHOLE[0])
    said = say(whole, cuts, sender=sender)
    check(said, len(whole))
    assert said == say(whole, sender=sender)


@settings(max_examples=400)
@given(st.sampled_from(WHOLE), EDITS, SENDERS, CUTS, st.booleans())
@example(WHOLE[0], [(0, 0, b"\x0b")], Sender(), [1], False)
def test_a_mutated_message_never_raises_and_how_it_is_cut_changes_nothing(
    data: bytes,
    edits: list[tuple[int, int, bytes]],
    sender: Sender,
    cuts: list[int],
    is_file: bool,  # noqa: FBT001 - drawn
) -> None:
    whole = edited(data, edits) if is_file else edited(framed(data), edits)
    said = say(whole, cuts, sender=sender, is_file=is_file)
    check(said, max(1, len(whole)))
    assert said == say(whole, sender=sender, is_file=is_file)


@given(st.sampled_from(WHOLE), EDITS)
def test_a_mutated_message_costs_no_neighbour(data: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    damaged = edited(data, edits).translate(None, b"\x0b\x1c")
    after = report(row(VENTILATOR, "1.0.0.0", device="OTHER"), head=header(number="after"))
    said = say(framed(damaged) + framed(after.encode()), sender=Sender())
    assert isinstance(said[-2], Heard)
    assert said[-2].alias.identifier == "OTHER"
    assert codes(said)[-1] == "CA|after"


@given(st.lists(st.sampled_from(WHOLE), max_size=6), CUTS)
def test_every_sound_message_is_answered_once_in_order(messages: list[bytes], cuts: list[int]) -> None:
    said = say(b"".join(map(framed, messages)), cuts, sender=Sender())
    numbers = [data.split(b"|")[9].decode() for data in messages]
    assert [code.partition("|")[2] for code in codes(said)] == numbers
    assert not [one for one in said if isinstance(one, Refusal)]


# -- nothing about a person gets through ------------------------------------------------------------------

SECRETS = ("Zyxplanted", "Qwsecret", "83.2917", "SECRET-MRN-55")
_NAMES, _PLACE, _VALUE, _NUMBER = SECRETS
VITALS = (
    RATE,
    VOLUME,
    "150456^MDC_PULS_OXIM_SAT_O2^MDC",
    "147842^MDC_ECG_CARD_BEAT_RATE^MDC",
    "150021^MDC_PRESS_BLD_NONINV_SYS^MDC",
    "184514^MDC_DRUG_NAME_LABEL^MDC",
    "68063^MDC_ATTR_PT_WEIGHT^MDC",
    "68546^MDC_ATTR_ALERT_TEXT^MDC",
    "0^MDCX_ANYTHING^MDC",
    "8867-4^Heart rate^LN",
    "196670^MDC_EVT_LO^MDC",
)
PERSONS = st.lists(
    st.sampled_from(
        [
            f"PID|||{_NUMBER}^^^^MR||{_NAMES}^Alba|{_NAMES}|19610203|F",
            f"PV1||I|{_PLACE}^12^3|||||||||||||||{_NUMBER}",
            f"NTE|1||{_NAMES} in {_PLACE}",
            f"NK1|1|{_NAMES}",
            f"ORC|NW|{_NUMBER}",
            f"ZPI|{_NAMES}",
        ]
    ),
    max_size=4,
)
KINDS = st.sampled_from(["ORU^R01^ORU_R01", "ORU^R40^ORU_R40", "ORU^R42^ORU_R01", "ADT^A01", "ORU"])


@st.composite
def observations(draw: st.DrawFn) -> list[str]:
    """Rows of vital values, and of equipment whose text names the person."""
    rows = [row(VENTILATOR, "1.0.0.0", device="D-1")]
    for place in range(draw(st.integers(1, 4))):
        term = draw(st.sampled_from(VITALS))
        value = draw(st.sampled_from([_VALUE, f"{_NAMES}", f"1^{_NAMES}^L", f"{_VALUE}^{_PLACE}"]))
        flags = draw(st.sampled_from(["", "SP~PM", "L"]))
        rows.append(row(term, f"1.1.{place}.1", value, flags=flags))
    kind = draw(st.sampled_from(["SP", "ST", "SA", ""]))
    event = draw(st.sampled_from(["196670^MDC_EVT_LO^MDC", "196802^MDC_EVT_BATT_LO^MDC", "E1^Fan^99ACME"]))
    phrase = draw(st.sampled_from([f"{_NAMES} has {_VALUE}", f"sensor {_VALUE}"]))
    rows.append(row("150456^MDC_PULS_OXIM_SAT_O2^MDC", "1.3.1.1", _VALUE, kind="NM"))
    if draw(st.booleans()):
        rows += facets(event=f"{event}^^^^^^{phrase}", kind=kind)
    return draw(st.permutations(rows))


@settings(max_examples=300)
@given(
    KINDS,
    st.sampled_from([VENTILATOR, "196616^MDC_EVT_ALARM^MDC", "69135^MDC_OBS_MEM^MDC"]),
    PERSONS,
    observations(),
)
def test_nothing_planted_about_a_person_or_in_a_vital_value_is_in_any_outcome(
    kind: str, about: str, persons: list[str], rows: list[str]
) -> None:
    person = f"PID|||{_NUMBER}||{_NAMES}^A"
    text = message(
        person, *persons, f"OBR|1||A1|{about}|||20260109073000", *rows, *persons, head=header(kind)
    )
    said = say(framed(text.encode()), sender=Sender())
    assert said
    for one in said:
        shown = repr(one)
        assert not [secret for secret in SECRETS if secret.casefold() in shown.casefold()]


def test_the_property_above_can_fail() -> None:
    """What is planted where a device is named does come through."""
    said = say(framed(report(row(VENTILATOR, "1.0.0.0", device=_NAMES)).encode()), sender=Sender())
    assert _NAMES in repr(said)


@pytest.mark.parametrize("data", WHOLE)
def test_the_messages_that_are_mutated_are_sound(data: bytes) -> None:
    assert [type(one) for one in say(framed(data), sender=Sender())] == [Heard, Answer]


def test_a_place_of_any_length_costs_no_more_than_its_length() -> None:
    deep = report(row(VENTILATOR, "1.0.0.0", device="D1^^ns"), row(RATE, "1" + ".1" * 200_000, "14"))
    begun = process_time()
    assert [one for one in Hl7Adapter(period_s=60).feed(framed(deep.encode())) if isinstance(one, Heard)]
    assert process_time() - begun < 5.0


def test_alerts_without_end_in_a_message_that_says_much_of_people_cost_no_more_than_their_number() -> None:
    stands = "{}^X^MDC^^^^^^Filter 7 clogged"
    rows = [
        row("68012^MDC_ATTR_AL_COND^MDC", f"1.1.{n}", stands.format(196_000 + n), flags="ST")
        for n in range(2_000)
    ]
    text = report(row(VENTILATOR, "1.0.0.0", device="D1^^ns"), *rows) + "\rNTE|1||" + "abc def " * 60_000
    begun = process_time()
    assert [one for one in Hl7Adapter(period_s=60).feed(framed(text.encode())) if isinstance(one, Heard)]
    assert process_time() - begun < 5.0
