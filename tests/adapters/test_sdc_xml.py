"""SDC documents: cut at NUL, bounded, without DTD, and only what is listed is ever made of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Refusal
from adapters.sdc_terms import MESSAGES, PARTICIPANT
from adapters.sdc_xml import MOST_BYTES, MOST_DEPTH, MOST_ELEMENTS, Cut, Documents, read, written
from telemetry.errors import MessageError

SPACES = f'xmlns="{MESSAGES}" xmlns:pm="{PARTICIPANT}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def mdib(inner: str, more: str = "") -> bytes:
    return f'<GetMdibResponse {SPACES} SequenceId="s"{more}><Mdib>{inner}</Mdib></GetMdibResponse>'.encode()


def reason(data: bytes) -> str:
    with pytest.raises(MessageError) as caught:
        read(data)
    return caught.value.reason


@given(st.lists(st.binary(max_size=30)), st.lists(st.integers(0, 200)))
def test_however_a_stream_is_cut_its_documents_are_the_same(told: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(one.replace(b"\0", b"0") + b"\0" for one in told)
    whole = list(Documents().feed(stream))
    places = sorted({0, len(stream), *(place % (len(stream) + 1) for place in cuts)})
    pieces = Documents()
    parted = [cut for begin, end in pairwise(places) for cut in pieces.feed(stream[begin:end])]
    assert parted == whole
    assert all(isinstance(cut, Cut) and stream[cut.offset :].startswith(cut.data) for cut in whole)


def test_a_document_beyond_the_limit_is_refused_once_and_the_next_one_read() -> None:
    documents = Documents()
    found = [cut for _ in range(5) for cut in documents.feed(b"x" * (MOST_BYTES // 4 + 1))]
    found += documents.feed(b"\0<a/>\0")
    refusal, after = found
    assert refusal == Refusal(0, f"a document of more than {MOST_BYTES} bytes")
    assert after == Cut(5 * (MOST_BYTES // 4 + 1) + 1, b"<a/>")


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>',
        b"<!DOCTYPE a><a/>",
    ],
)
def test_a_dtd_is_refused_so_that_nothing_is_defined_or_fetched(data: bytes) -> None:
    assert "DTD" in reason(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no element found"),
        (b"<a>", "no element found"),
        (b"<a></b>", "mismatched tag"),
        (b"&who;", "not XML"),
        (b"<a>&nobody;</a>", "undefined entity"),
        (b"<a>\xff</a>", "not XML"),
        (b"<a>" * (MOST_DEPTH + 1), "deep"),
        (b"<a>" + b"<b/>" * MOST_ELEMENTS + b"</a>", "elements"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words_that_quote_nothing(data: bytes, said: str) -> None:
    assert said in reason(data)


def test_an_encoding_that_is_told_changes_nothing() -> None:
    told = b'<?xml version="1.0" encoding="ISO-8859-1"?>' + mdib("")
    assert read(told) == read(mdib(""))


def test_only_what_is_listed_becomes_a_value() -> None:
    root = read(
        mdib(
            '<pm:MdState pm:Handle="h" Nurse="Hoa"><pm:State xsi:type="pm:MdsState" DescriptorHandle="m"/>'
            '<pm:State xsi:type="pm:NumericMetricState"><pm:MetricValue Value="88"/></pm:State>'
            '<pm:State xsi:type="pm:PatientContextState" Handle="Nam">'
            "<pm:CoreData>Nam</pm:CoreData></pm:State>"
            '<pm:Note>Nam</pm:Note><Mdib xmlns="urn:another">Nam</Mdib></pm:MdState>'
        )
    )
    assert root is not None
    assert [element.name for element in root.within()] == ["GetMdibResponse", "Mdib", "MdState", "State"]
    assert "Nam" not in repr(root)
    assert "Hoa" not in repr(root)


def test_a_document_of_another_kind_is_none() -> None:
    assert read(f"<EpisodicMetricReport {SPACES}/>".encode()) is None
    assert read(b"<html/>") is None


@pytest.mark.parametrize(
    ("patient", "text"),
    [
        ("Tran Filter Van", ""),
        ("Trần Văn", "Air FILTER clogged"),
        ('" Root="clogged', ""),
        ("Fíltẽr", ""),
        ("Fi\u0301lter", ""),
        ("Ái Air", ""),
    ],
)
def test_a_text_that_shares_a_word_with_a_person_is_let_go(patient: str, text: str) -> None:
    described = "<pm:MdDescription><pm:Type><pm:ConceptDescription>Air FILTER clogged</pm:ConceptDescription>"
    person = f'<pm:State xsi:type="pm:PatientContextState" A="{patient}"/>'
    root = read(mdib(f"{described}</pm:Type></pm:MdDescription><pm:MdState>{person}</pm:MdState>"))
    assert root is not None
    assert [one.text for one in root.within() if one.name == "ConceptDescription"] == [text]


@given(st.text(max_size=300), st.text(max_size=300))
def test_what_is_written_again_reads_the_same(attribute: str, text: str) -> None:
    clean = str.maketrans("", "", "".join(map(chr, range(32))) + "\x7f\ufffe\uffff" + '"<&')
    told = f'<pm:MetaData Handle="{attribute.translate(clean)}">'
    data = mdib(f"{told}<pm:ModelName>{text.translate(clean).replace('>', '')}</pm:ModelName></pm:MetaData>")
    try:
        root = read(data.decode().encode())
    except (MessageError, UnicodeError):
        return
    assert root is not None
    assert read(written(root)) == root
