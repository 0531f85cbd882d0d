"""A message is read by its own separators and encoding, however its lines end and its text is escaped."""

from __future__ import annotations

import pytest

from adapters import hl7
from telemetry.errors import MessageError, SettingsError
from tests.adapters.hl7_messages import alarms, alert, facets, header, row


def lines(text: str) -> tuple[str, ...]:
    return hl7.read(text.encode()).lines


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r\n"])
def test_lines_may_end_in_cr_lf_or_both(end: str) -> None:
    assert lines(end.join((header(), "OBR|1", "OBX|1", ""))) == ("OBR|1", "OBX|1")


def test_a_line_that_begins_no_segment_goes_on_with_the_one_before() -> None:
    text = f"{header()}\rOBR|1||EUI-\r64|x\rNTE|1||first\nsecond line\r\rthird\rOBX\rOBXX|1\robx|2"
    assert lines(text) == ("OBR|1||EUI-64|x", "NTE|1||firstsecond linethird", "OBXOBXX|1obx|2")
    assert hl7.read(b"MSH|^~\\&|A\rB|\rC").header.field(3) == "AB"


def test_separators_are_those_of_msh() -> None:
    usual = alert(*facets(event="196940^MDC_EVT_FLUID_LINE_OCCL^MDC^^^^^^Occlusion"))
    swapped = usual.translate(str.maketrans("|^~\\&", "#*!?%"))
    assert "|" not in swapped
    (body,) = alarms(swapped)
    assert (body.code, body.text, body.key) == ("196940", "Occlusion", "A27&GW&00AB&EUI-64")


@pytest.mark.parametrize("told", ["|", "|^", "|^~\\", "|^~\\&|", "|^~\\&#|"])
def test_what_msh_2_leaves_out_is_as_usual_and_a_truncation_mark_is_let_pass(told: str) -> None:
    assert hl7.read(f"MSH{told}|x".encode()).separators == hl7.Separators("|", "^", "~", "\\", "&")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begin with MSH"),
        ("MSH", "begin with MSH"),
        ("PID|1", "begin with MSH"),
        ("MSHxabcde", "separators"),
        ("MSH|^^^^|", "separators"),
        ("MSH|^|~&|", "|"),
        ("MSH|^~\\&" + "|" * 600, "fields"),
        ("MSH|^~\\&|" + "x" * 5000, "characters"),
    ],
)
def test_what_is_no_message_is_refused_without_being_quoted(text: str, reason: str) -> None:
    if reason == "|":
        hl7.read(text.encode())  # MSH-2 ends at the next field separator
        return
    with pytest.raises(MessageError, match=reason) as raised:
        hl7.read(text.encode())
    assert "xabc" not in str(raised.value)


@pytest.mark.parametrize(
    ("told", "written", "codec"),
    [
        ("UNICODE UTF-8", "utf-8", "utf-8"),
        ("8859/1", "latin-1", "iso8859-1"),
        ("8859/15", "iso8859-15", "iso8859-15"),
        ("ASCII", "utf-8", "utf-8"),
        ("ASCII", "latin-1", "latin-1"),
        ("", "utf-8", "utf-8"),
        ("", "latin-1", "latin-1"),
        ("UNICODE UTF-8", "latin-1", "latin-1"),
        ("no such", "utf-8", "utf-8"),
        ("GB 18030-2000", "gb18030", "gb18030"),
        ("UNICODE UTF-8~8859/1", "utf-8", "utf-8"),
    ],
)
def test_text_is_read_by_msh_18_then_as_utf_8_then_as_latin_1(told: str, written: str, codec: str) -> None:
    found = hl7.read(f"{header(encoding=told)}\rOBX|1|ST|Türe".encode(written))
    assert found.codec == codec
    assert found.lines == ("OBX|1|ST|Türe",)


def test_the_encoding_that_the_settings_name_comes_first() -> None:
    data = f"{header(encoding='8859/1')}\rOBX|1|ST|Báo động".encode()
    assert hl7.read(data, encoding="utf-8").lines == ("OBX|1|ST|Báo động",)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("one\\.br\\two", "one two"),
        ("\\X41\\\\X42\\", "AB"),
        ("\\XC3A9\\", "é"),
        ("\\H\\bold\\N\\", "bold"),
        ("\\XZZ\\x", "x"),
        ("open \\ end", "open \\ end"),
        (" blanks and\tcontrols\x00 ", "blanks and controls"),
        ("\\X0D\\\\X1B\\x", "x"),
    ],
)
def test_escapes_are_undone_and_nothing_unprintable_is_left(part: str, text: str) -> None:
    assert hl7.read(header().encode()).text(part) == text


def test_a_field_is_empty_where_it_is_absent() -> None:
    (segment,) = hl7.read(f"{header()}\rOBX|1|ST".encode()).segments("OBX")
    assert (segment.name, segment.field(2), segment.field(3), segment.field(18)) == ("OBX", "ST", "", "")


def test_msh_is_numbered_as_the_standard_does() -> None:
    found = hl7.read(header(number="N1").encode()).header
    assert [found.field(number) for number in (1, 2, 10, 11, 12)] == ["|", "^~\\&", "N1", "P", "2.6"]


def test_nothing_is_looked_at_before_it_is_asked_for() -> None:
    found = hl7.read(f"{header()}\rPID{'|' * 9999}\rOBX|1".encode())
    assert [segment.name for segment in found.segments("OBX")] == ["OBX"]
    with pytest.raises(MessageError, match="segment 2 has more"):
        list(found.segments("PID"))


def test_a_megabyte_of_segments_is_read_without_being_split() -> None:
    text = "\r".join((header(), *[row("150456^MDC_PULS_OXIM_SAT_O2^MDC", "1.1.1.1", "x" * 150)] * 4900))
    assert len(text) > 1_000_000
    assert len(lines(text)) == 4900


@pytest.mark.parametrize("encoding", ["klingon", "utf-16", "cp037", "base64", "a\0b"])
def test_an_encoding_in_which_msh_cannot_be_found_is_refused_as_a_setting(encoding: str) -> None:
    from adapters.hl7_sender import Sender  # noqa: PLC0415 - only its refusal is looked at here

    with pytest.raises(SettingsError, match="encoding"):
        Sender(encoding=encoding)
