"""`hourmeter decode` says of every sample what the samples' README says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from adapters import decode as decoding

SAMPLES = Path(__file__).parents[2].parent / "shared/samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the folder of samples is not here")
WORKED = SAMPLES / "medibus/spec_4.03_worked_frames.txt"


def decode(protocol: str, data: bytes) -> tuple[list[dict[str, Any]], list[str]]:
    """The bodies that `hourmeter decode` prints, and its lines on standard error."""
    lines = list(decoding.decode(protocol, [data]))
    told = [json.loads(line.text) for line in lines if line.kind is decoding.LineKind.BODY]
    return told, [line.text for line in lines if line.kind is not decoding.LineKind.BODY]


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def of_kind(bodies: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [body for body in bodies if body["kind"] == kind]


def test_thirty_three_reports_of_a_puritan_bennett_840() -> None:
    bodies, lines = decode(
        "puritan-bennett", sample("puritan_bennett/miscf_840_3510072467_20230404_33frames.bin")
    )
    assert lines == []
    assert Counter(body["kind"] for body in bodies) == {"identity": 1, "usage": 33, "metrics": 1, "alarm": 1}
    assert of_kind(bodies, "identity")[0]["serial"] == "3510072467"
    assert {body["state"] for body in of_kind(bodies, "usage")} == {"in_use"}
    (alarm,) = of_kind(bodies, "alarm")
    assert (alarm["code"], alarm["phase"], alarm["priority"]) == ("122", "present", "low")
    assert of_kind(bodies, "metrics")[0]["values"] == [{"quantity": "o2_sensor_enabled_bool", "value": 0.0}]


def test_the_puritan_bennett_capture_is_nothing_to_a_v60() -> None:
    bodies, lines = decode("v60", sample("puritan_bennett/miscf_840_3510072467_20230404_33frames.bin"))
    assert bodies == []
    assert lines


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ihe_pcd01_e11_physio_monitor.hl7", ["identity", "usage"]),
        ("ihe_pcd04_e31_spo2_low_start.hl7", ["alarm"]),
        ("ihe_pcd04_e32_occlusion_start.hl7", ["alarm"]),
        ("ihe_pcd04_e32_occlusion_end.hl7", ["alarm"]),
        ("ihe_pcd04_e32_occlusion_start.AS_PRINTED.txt", ["alarm"]),
    ],
)
def test_the_printed_examples_of_ihe(name: str, kinds: list[str]) -> None:
    """What each says is looked into by test_hl7_samples.py."""
    bodies, lines = decode("hl7", sample(f"ihe/{name}"))
    assert ([body["kind"] for body in bodies], lines) == (kinds, [])


def _rows() -> list[list[str]]:
    """Name, body, printed checksum, computed one, and the frame with it, of the worked frames of MEDIBUS."""
    lines = WORKED.read_text().splitlines() if WORKED.exists() else []
    return [line.split(" | ") for line in lines if line.count(" | ") == 4 and not line.startswith("#")]


def test_there_are_twenty_two_worked_frames_of_medibus() -> None:
    assert len(_rows()) == 22


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row[0])
def test_a_worked_frame_of_medibus_is_accepted_as_computed_and_refused_as_misprinted(row: list[str]) -> None:
    _, body, printed, computed, frame = row
    _, lines = decode("medibus", bytes.fromhex(frame))
    assert not [line for line in lines if "skipped" not in line]
    if printed != computed:
        misprinted = bytes.fromhex(body) + printed.encode() + b"\r"
        bodies, lines = decode("medibus", misprinted)
        assert bodies == []
        assert "checksum" in lines[0]


def test_four_of_them_are_misprinted() -> None:
    assert sum(printed != computed for _, _, printed, computed, _ in _rows()) == 4


@pytest.mark.parametrize(
    ("name", "serial", "state"),
    [
        ("reframed_06_FMNOR_1152.bin", "36248", "off"),
        ("reframed_07_GNNEW_1064.bin", "40864", "in_use"),
        ("reframed_08_GNNEW_1063.bin", "1815", "in_use"),
        ("reframed_12_FMNOR_1198.bin", "40864", "in_use"),
    ],
)
def test_the_pumps_of_the_bcc_manual(name: str, serial: str, state: str) -> None:
    """A time that is saturated (1815) is not read as stopped."""
    bodies, lines = decode("bbraun-bcc", sample(f"bbraun_bcc/{name}"))
    assert lines == []
    assert [body["serial"] for body in of_kind(bodies, "identity")][-1] == serial
    assert [body["state"] for body in of_kind(bodies, "usage")][-1] == state


def test_all_exchanges_of_the_bcc_manual_one_behind_the_other_are_read_without_a_refusal() -> None:
    data = b"".join(path.read_bytes() for path in sorted((SAMPLES / "bbraun_bcc").glob("reframed_*.bin")))
    bodies, lines = decode("bbraun-bcc", data)
    assert {body["serial"] for body in of_kind(bodies, "identity")} >= {"36248", "40864", "1815"}
    assert all("skipped" in line for line in lines)


def test_the_connect_indication_of_an_intellivue_monitor() -> None:
    bodies, lines = decode("intellivue", sample("intellivue/connect_indication_udp_payload.bin"))
    (identity,) = of_kind(bodies, "identity")
    assert lines == []
    assert (identity["manufacturer"], identity["model"], identity["serial"]) == (
        "Philips",
        "866062",
        "DE351A4061",
    )
    assert (identity["hardware_revision"], identity["firmware_revision"]) == ("A.00.30", "")
    assert identity["software_revision"] == "L.01.18 (S-M8003-1402A)"
    assert identity["unique_ids"] == ["0009FBFFFF88C1BD"]


def test_the_same_indication_in_its_ethernet_frame_costs_one_refusal() -> None:
    bodies, lines = decode("intellivue", sample("intellivue/connect_indication_ethernet_frame.bin"))
    assert [body["serial"] for body in of_kind(bodies, "identity")] == ["DE351A4061"]
    assert lines == ["byte 0: bytes that begin no message"]
