"""What `hourmeter decode` is given to print."""

from __future__ import annotations

import json

import pytest

from adapters.decode import LineKind, decode
from telemetry.errors import SettingsError
from tests.adapters.ventilators import report, twin_of_capture


def test_a_capture_becomes_one_json_line_for_each_body() -> None:
    data = twin_of_capture()
    lines = list(decode("puritan-bennett", (data[at : at + 1000] for at in range(0, len(data), 1000))))
    assert {line.kind for line in lines} == {LineKind.BODY}
    kinds = [json.loads(line.text)["kind"] for line in lines]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "identity": 1,
        "usage": 33,
        "metrics": 1,
        "alarm": 1,
    }
    assert not any("\n" in line.text for line in lines)


def test_a_refusal_names_its_byte_and_stands_in_its_place() -> None:
    lines = list(decode("puritan-bennett", [report(), b"noise", report(), report()[:9]]))
    assert [(place, line.text) for place, line in enumerate(lines) if line.kind is LineKind.REFUSAL] == [
        (3, "byte 1244: bytes that begin no MISCF, or MISCA, frame"),
        (5, "byte 2493: unfinished frame: it ends after 9 bytes"),
    ]


def test_an_unknown_protocol_is_refused_before_anything_is_read() -> None:
    with pytest.raises(SettingsError, match="puritan-bennett"):
        decode("pb", [])
