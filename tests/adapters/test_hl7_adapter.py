"""Every message whose MSH can be read is answered as its sender asks, and heard once."""

from __future__ import annotations

import re

import pytest

from adapters.contract import Answer, Heard, Outcome, Refusal, Skipped
from adapters.decode import LineKind, decode
from adapters.hl7_adapter import Hl7Adapter, Seen
from adapters.hl7_mllp import framed
from adapters.hl7_sender import LEAST_BYTES, Answers, RefusedAs, Sender
from telemetry.errors import SettingsError
from tests.adapters.hl7_messages import (
    alert,
    bodies,
    codes,
    facets,
    header,
    message,
    reasons,
    report,
    row,
    told,
)

DEVICE = row("70001^MDC_DEV_SYS_PT_VENT_MDS^MDC", "1.0.0.0", device="D-1")
GOOD = report(DEVICE)
STRICT = Sender(refused=RefusedAs.ERROR)


def asking(asks: str, *rows: str) -> str:
    return report(*(rows or (DEVICE,)), head=header(asks=asks))


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        ("AL|NE", ("CA|1",)),
        ("al|NE", ("CA|1",)),
        ("SU|NE", ("CA|1",)),
        ("ER|NE", ()),
        ("NE|NE", ()),
        ("NE|AL", ()),
        ("AL|AL", ("CA|1",)),
        ("|AL", ("AA|1",)),
        ("|NE", ()),
        ("|", ("AA|1",)),
        ("??|", ("CA|1",)),
    ],
)
def test_a_good_message_is_answered_as_msh_15_and_16_ask(asks: str, expected: tuple[str, ...]) -> None:
    assert codes(told(asking(asks))) == expected


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        ("AL|NE", ("CE|1",)),
        ("ER|NE", ("CE|1",)),
        ("SU|NE", ()),
        ("NE|NE", ()),
        ("|", ("AE|1",)),
        ("|ER", ("AE|1",)),
        ("|SU", ()),
    ],
)
def test_a_refused_message_is_told_so_only_where_the_settings_want_it(
    asks: str, expected: tuple[str, ...]
) -> None:
    nameless = row("70001^MDC_DEV_SYS_PT_VENT_MDS^MDC", "1.0.0.0")
    assert codes(told(asking(asks, nameless), sender=STRICT)) == expected
    accepted = codes(told(asking(asks, nameless)))
    assert all(code.endswith("A|1") for code in accepted)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [(Answers.APPLICATION, ("AA|1",)), (Answers.COMMIT, ("CA|1",)), (Answers.NONE, ())],
)
@pytest.mark.parametrize("asks", ["AL|NE", "NE|NE", "|", "ER|ER"])
def test_the_settings_outweigh_what_a_message_asks(
    answers: Answers, expected: tuple[str, ...], asks: str
) -> None:
    assert codes(told(asking(asks), sender=Sender(answers=answers))) == expected


def test_an_answer_goes_back_where_the_message_came_from_under_an_id_of_its_own() -> None:
    (answer,) = [one.data for one in told(GOOD) if isinstance(one, Answer)]
    assert answer.startswith(b"\x0b")
    assert answer.endswith(b"\r\x1c\r")
    head, msa, _ = answer[1:].decode().split("\r", 2)
    fields = head.split("|")
    assert fields[2:6] == ["HM", "SITE", "GW^00AB^EUI-64", "WARD"]
    assert fields[6] == "20260109073000+0700"
    assert fields[8] == "ACK^R01^ACK"
    assert re.fullmatch("[0-9A-F]{20}", fields[9])
    assert fields[10:12] == ["P", "2.6"]
    assert msa == "MSA|CA|1"


def test_an_answer_uses_the_separators_and_the_encoding_of_its_message() -> None:
    text = report(DEVICE, head=header(number="Nứa").replace("|HM|", "|Hồ|")).translate(
        str.maketrans("|^", "#*")
    )
    (answer,) = [one.data.decode() for one in told(text) if isinstance(one, Answer)]
    assert "#Hồ#" not in answer.split("\r")[1]
    assert answer.split("\r")[0].startswith("\x0bMSH#*~\\&#Hồ#SITE#GW*00AB*EUI-64#WARD#")
    assert answer.split("\r")[1] == "MSA#CA#Nứa"


def test_a_trigger_is_answered_as_such_and_none_as_none() -> None:
    kinds = [header("ORU^R40^ORU_R40"), header("ORU"), header("ACK")]
    answers = [
        one.data.decode() for head in kinds for one in told(message(head=head)) if isinstance(one, Answer)
    ]
    assert [answer.split("|")[8] for answer in answers] == ["ACK^R40^ACK", "ACK", "ACK"]


def test_what_a_message_says_stands_before_its_answer_and_messages_keep_their_order() -> None:
    texts = [report(DEVICE, head=header(number=str(number))) for number in range(3)]
    data = b"".join(framed(text.encode()) for text in texts)
    said = Hl7Adapter(period_s=60).feed(data)
    assert [type(one) for one in said] == [Heard, Answer] * 3
    assert codes(said) == ("CA|0", "CA|1", "CA|2")


# -- tests and repetitions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "is_heard"), [("P", True), ("", True), ("T", False), ("D", False), ("t", False), ("T^I", False)]
)
def test_a_test_is_answered_and_never_counted(mode: str, is_heard: bool) -> None:  # noqa: FBT001 - a column of the table
    said = told(report(DEVICE, head=header(mode=mode)))
    assert bool(bodies(said)) is is_heard
    assert codes(said) == ("CA|1",)
    assert [type(one) for one in said] == [Heard if is_heard else Skipped, Answer]


def test_a_repetition_gets_the_same_answer_and_is_not_heard_again() -> None:
    first, again = (told(GOOD, adapter=adapter) for adapter in [Hl7Adapter(period_s=60)] * 2)
    assert [type(one) for one in first] == [Heard, Answer]
    assert [type(one) for one in again] == [Skipped, Answer]
    assert reasons(again) == ("a repetition",)
    assert first[-1] == again[-1]


def test_a_repetition_is_known_on_another_connection_of_the_same_gateway() -> None:
    seen = Seen()
    one, other = (Hl7Adapter(seen=seen, period_s=60) for _ in range(2))
    assert bodies(told(GOOD, adapter=one))
    assert not bodies(told(GOOD, adapter=other))


def test_a_message_that_was_put_into_another_header_time_is_a_repetition() -> None:
    adapter = Hl7Adapter(period_s=60)
    later = report(DEVICE, head=header(time="20260109073100+0700"))
    assert [type(one) for one in told(GOOD, later, adapter=adapter)] == [Heard, Answer, Skipped, Answer]


@pytest.mark.parametrize(
    "other",
    [
        report(DEVICE, head=header(number="2")),
        GOOD.replace("GW^00AB", "GW^00AC"),
        GOOD.replace("D-1", "D-2"),
    ],
)
def test_another_number_sender_or_content_is_no_repetition(other: str) -> None:
    assert [type(one) for one in told(GOOD, other)] == [Heard, Answer] * 2


def test_a_message_without_a_number_is_never_a_repetition() -> None:
    text = report(DEVICE, head=header(number=""))
    assert [type(one) for one in told(text, text)] == [Heard, Answer] * 2


def test_what_was_refused_is_refused_again() -> None:
    nameless = report(row("70001^MDC_DEV_SYS_PT_VENT_MDS^MDC", "1.0.0.0"))
    assert codes(told(nameless, nameless, sender=STRICT)) == ("CE|1", "CE|1")


def test_the_memory_for_repetitions_is_bounded_and_can_forget() -> None:
    seen = Seen(most=3)
    texts = [report(DEVICE, head=header(number=str(number))) for number in range(5)]
    adapter = Hl7Adapter(seen=seen, period_s=60)
    told(*texts, adapter=adapter)
    assert len(seen) == 3
    assert [type(one) for one in told(texts[4], texts[0], adapter=adapter)] == [
        Skipped,
        Answer,
        Heard,
        Answer,
    ]
    mark = seen.newest
    assert mark is not None
    seen.forget(mark)
    assert seen.newest != mark
    assert [type(one) for one in told(texts[0], adapter=adapter)] == [Heard, Answer]
    assert seen.newest == mark


# -- what cannot be read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"hello", ()),
        (b"", ()),
        (b"MSH", ()),
        (b"MSH|^~\\&", ("AA|",)),
        (header().encode() + b"\rOBX" + b"|" * 500, ("CE|1",)),
        (header().encode() + b"\r" + b"OBX\r" * 6000, ("CE|1",)),
        (header().encode() + b"\r" + b"x" * 2_000_000, ("CR|1",)),
        (header().encode() + b"x" * 2_000_000, ()),
    ],
)
def test_what_cannot_be_read_is_answered_if_its_msh_can_be(data: bytes, expected: tuple[str, ...]) -> None:
    said = told(data, sender=STRICT)
    assert codes(said) == expected
    assert len(reasons(said)) == 1
    assert codes(told(data)) == tuple(code[0] + "A" + code[2:] for code in expected)


def test_a_frame_is_given_up_when_the_link_comes_back() -> None:
    adapter = Hl7Adapter(period_s=60)
    half = framed(GOOD.encode())[:50]
    assert adapter.feed(half) == ()
    (refusal,) = adapter.connected()
    assert isinstance(refusal, Refusal)
    assert adapter.poll() == b""
    assert [type(one) for one in told(GOOD, adapter=adapter)] == [Heard, Answer]


def test_the_limit_of_a_sender_holds() -> None:
    text = message("NTE|1||" + "x" * LEAST_BYTES, DEVICE)
    assert bodies(told(text))
    assert reasons(told(text, sender=Sender(max_message_bytes=LEAST_BYTES))) == (
        f"message of more than {LEAST_BYTES} bytes",
    )
    with pytest.raises(SettingsError, match="max_message_bytes"):
        Sender(max_message_bytes=100)


def test_the_encoding_of_a_sender_holds() -> None:
    event = "196802^MDC_EVT_BATT_LO^MDC^^^^^^Ắc quy yếu"
    data = alert(*facets(event=event)).encode("utf-16-le").decode("utf-16-le").encode("utf-8")
    mistaken = data.replace(b"UNICODE UTF-8", b"8859/1")
    texts = [
        [getattr(body, "text", "") for body in bodies(told(mistaken, sender=sender))]
        for sender in (Sender(), Sender(encoding="utf-8"))
    ]
    assert texts[0] != texts[1] == ["Ắc quy yếu"]


# -- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_file_of_bare_messages_says_the_same_as_frames(end: str) -> None:
    texts = [alert(*facets(), number=str(number)) for number in range(3)]
    expected = [body.model_dump_json(exclude_none=True) for body in bodies(told(*texts))]
    data = "".join(text.replace("\r", end) for text in texts).encode()
    for pieces in ([data], [data[:500], data[500:]], [bytes([byte]) for byte in data]):
        assert [line.text for line in decode("hl7", pieces)] == expected
    frames = b"".join(framed(text.encode()) for text in texts)
    assert [line.text for line in decode("hl7", [frames])] == expected


def test_what_is_skipped_in_a_file_is_a_note_with_its_byte() -> None:
    lines = list(decode("hl7", [(GOOD + GOOD + message(head=header("ADT^A01"))).encode()]))
    notes = [line.text for line in lines if line.kind is LineKind.NOTE]
    assert notes == [
        f"byte {len(GOOD)}: skipped: a repetition",
        f"byte {2 * len(GOOD)}: skipped: a kind of message that tells nothing of equipment",
    ]


def test_bytes_that_are_no_message_are_refused_in_a_file_and_on_a_link() -> None:
    (line,) = decode("hl7", [b"hello\r\nthere"])
    assert (line.kind, line.text) == (LineKind.REFUSAL, "byte 0: message does not begin with MSH")
    said: tuple[Outcome, ...] = Hl7Adapter(period_s=60).feed(GOOD.encode())
    assert [type(one) for one in said] == [Refusal]
