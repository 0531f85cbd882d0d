"""Patients who do not exist, planted where each protocol carries patients, and ways to find them again.

What is planted: names with the letters of the country, an id, a drug, a vital value; as the encodings of old
and new devices write them. A protocol's builder gives a stream of sound frames that hold them, and between
them what an encoding spoils; with one frame of equipment before and behind, so that something is heard.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

from adapters import intellivue_layout as philips
from adapters import intellivue_monitor as monitor
from adapters import intellivue_writing as writing
from adapters import puritan_bennett_reports as pb
from adapters import v60_reports
from adapters.bcc_frames import frame_of as bcc_frame
from adapters.bcc_tables import SEPARATOR
from adapters.hl7_mllp import framed
from adapters.medibus_frames import RESPONSE, frame_of
from adapters.medibus_records import alarm_row, text_row
from adapters.mindray_pds_messages import Kind, Listed, alarm_of, figure_of, message_of, place_of
from adapters.protocols.bbraun_bcc import QUIET_VALUES, pump
from tests.adapters import hl7_messages, sdc_documents
from tests.adapters.ventilators import quiet, report, short_report

NAME = "ZYXANHTHU"
NUMBER = "MR7719358"
DRUG = "DOBUZYXAM"
VALUE = "83.291"
FAMILY = "Nguyễn Bưởi"
"""Fits twelve letters; its accents are one letter or two (NFC, NFD)."""
TEXTS = (NAME, NUMBER, DRUG, VALUE, FAMILY)
_TCVN = b"Nguy\xd4n B\xad\xebi"
"""The family name as fonts of the nineties wrote it (TCVN 5712, one byte a letter)."""
_MARK = "PLANTED"


def _cp1258(text: str) -> bytes:
    """The text in the code page of Vietnam: tones are characters of their own."""
    tones = frozenset("\u0300\u0301\u0303\u0309\u0323")
    parts = []
    for char in unicodedata.normalize("NFC", text):
        apart = unicodedata.normalize("NFD", char)
        plain = "".join(one for one in apart if one not in tones)
        parts.append(unicodedata.normalize("NFC", plain) + "".join(one for one in apart if one in tones))
    return "".join(parts).encode("cp1258")


def forms(text: str) -> tuple[bytes, ...]:
    """The text as devices may write it."""
    if text.isascii():
        return (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be"))
    composed, apart = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    return (
        composed.encode(),
        apart.encode(),
        _cp1258(text),
        _TCVN,
        composed.encode("utf-16-le"),
        composed.encode("utf-16-be"),
    )


WORDS: tuple[bytes, ...] = tuple(form for text in TEXTS for form in forms(text))


# -- finding ----------------------------------------------------------------------------------------------


def _in_base64(data: bytes) -> Iterator[bytes]:
    """What base64 makes of the data wherever it begins, without the letters that its neighbours share."""
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + data + b"\0" * (-(before + len(data)) % 3))
        first = (0, 2, 3)[before]
        last = len(whole) - (0, 3, 2)[(before + len(data)) % 3]
        yield whole[first:last]


def needles(text: str) -> frozenset[bytes]:
    """By what the text is found: as it is written, and as files and messages quote what they carry."""
    found: set[bytes] = set()
    for word in (text, *text.split()):
        if len(word) < 5:
            continue
        for data in forms(word) if word == text or not word.isascii() else (word.encode(),):
            found |= {data, data.hex().encode(), data.hex().upper().encode(), quote(data).encode()}
            found |= set(_in_base64(data))
            decoded = data.decode("latin-1")
            found |= {decoded.encode(), json.dumps(decoded)[1:-1].encode()}
        for form in ("NFC", "NFD"):
            said = unicodedata.normalize(form, word)
            found |= {json.dumps(said)[1:-1].encode(), said.casefold().encode(), said.upper().encode()}
    return frozenset(one for one in found if len(one) >= 5)


def found_in(data: bytes, text: str) -> bool:
    """Whether the text stands in the data in any way that is looked for."""
    return any(needle in data for needle in needles(text))


# -- planting ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Planted:
    """A stream with patients in it."""

    data: bytes
    control: str
    """What it says of equipment, to be found wherever messages are kept; empty where the port names it."""


def _puritan_bennett() -> bytes:
    """Settings and figures: every field that is no clock, no identity and no alarm."""
    frames = [report()]
    not_read = [*range(8, 106), *range(154, 160), 161]
    wide = dict(zip(pb.SNDF.fields, pb.SNDF.widths, strict=True))
    frames.append(report({field: VALUE for field in not_read if field not in {9, 55}}))
    frames += [report({53: NAME, 8: NAME, 50: NUMBER, 66: DRUG, 60: VALUE, 9: NAME[:6]})]
    for word in WORDS:
        place = report({53: _MARK})
        frames.append(place.replace(f"{_MARK:<18}".encode(), word[: wide[53]].ljust(wide[53])))
    short = dict.fromkeys(range(10, 48), VALUE) | {62: NAME, 100: NUMBER}
    return b"".join((*frames, short_report(short), report({122: "LOW"})))


def _v60() -> bytes:
    """The same places of its two reports; and the one that holds the identity of others."""
    whole = pb.frame_of({**quiet(pb.SNDA), 6: ""}, layout=pb.SNDA)
    frames = [whole]
    frames += [
        pb.frame_of({**quiet(pb.SNDA), 6: text, 62: text, 100: text, 35: VALUE}, layout=pb.SNDA)
        for text in (NAME, NUMBER, DRUG)
    ]
    frames.append(pb.frame_of({57: "CPAP", **dict.fromkeys(range(60, 100), VALUE)}, layout=v60_reports.VRPT))
    place = pb.frame_of({**quiet(pb.SNDA), 6: _MARK}, layout=pb.SNDA)
    frames += [place.replace(f"{_MARK:<18}".encode(), word[:18].ljust(18)) for word in WORDS]
    return b"".join((*frames, whole))


def _medibus() -> bytes:
    """Texts, phrases of alarms, realtime bytes, and words where figures and clocks stand."""

    def says(code: int, data: bytes = b"") -> bytes:
        return frame_of(RESPONSE, code, data)

    begin = says(0x52, b"8250'Savina'03.10:04.00") + says(0x2E)
    frames = [begin, says(0x24, b"D6  14B9 7.2C6  87")]
    for word in WORDS:
        if word.isascii() and b"\0" not in word:
            frames.append(says(0x2A, text_row("60", word) + text_row("61", word) + text_row("A0", word)))
            frames += [says(0x27, alarm_row(31, "9F", word)), says(0x27), says(0x28, word), says(0x24, word)]
            frames += [says(0x25, word), says(0x30, word)]
        else:
            frames += [b"\x01\x2a60" + word + b"\x03" + b"00\r", word + b"\r"]
    return b"".join((*frames, begin))


def _bcc() -> bytes:
    """Drugs, ids of patients and nurses, weights, rates, the bed; and a word in place of every name."""
    hidden = ("INSOL", "INSOLSN", "INSOLID", "INPATW", "PATID", "NURSEID", "FMBANY", "DRUGORDERNO", "INRT")
    frames = [bcc_frame(pump(), bed=b"ComSystem")]
    for word in WORDS:
        told = SEPARATOR.join(b"214,50111,%b,%b" % (name.encode(), word) for name in hidden)
        frames.append(bcc_frame(SEPARATOR.join((pump(), told)), bed=b"ComSystem"))
        frames.append(bcc_frame(pump(), bed=word[:15]))
        frames += [bcc_frame(b"214,50111," + word + b",1", bed=b"ComSystem"), word]
    return b"".join((*frames, bcc_frame(pump(), bed=b"ComSystem", stuffing=True)))


def _mindray() -> bytes:
    """PID and PV1, bed and ward, vital values, and texts of alarms."""
    here = place_of("192.168.8.188", ward=_MARK, bed=_MARK)
    person = f"PID|||{_MARK}||{_MARK}^{_MARK}||19610101|M"
    begin = message_of(Kind.PLACE, place_of("192.168.8.188"))
    holders = (
        message_of(Kind.PLACE, person, here, f"OBX||ST|2308^BedNoStr||{_MARK}||||||F"),
        message_of(Kind.PERIODIC, person, figure_of("101", 83.291), f"OBX||NM|102^{_MARK}||{VALUE}||||||F"),
        message_of(Kind.TECHNICAL, alarm_of(Kind.TECHNICAL, Listed("77", "", _MARK, None))),
        message_of(
            Kind.PHYSIOLOGICAL, alarm_of(Kind.PHYSIOLOGICAL, Listed("10002", "1", f"**{_MARK} {VALUE}", None))
        ),
        message_of(Kind.TECHNICAL),
    )
    frames = [one.replace(_MARK.encode(), word) for word in WORDS for one in holders]
    return b"".join((begin, *frames, begin))


def _intellivue() -> bytes:
    """The bed label, attributes of a patient, texts of alarms in the monitor's language."""
    serial = monitor.attributes_of(serial="DE00000042")
    itself = bytes((0, 0x23, 0, 0, 0, 0))
    patients = (monitor.BED_LABEL, 0x095A, 0x095C, 0x095D, 0x0957, 0x0950)

    def indication(attributes: philips.Attributes) -> bytes:
        return writing.told_of(philips.Told(philips.CONNECT_INDICATION, 0, itself, 600, attributes))

    frames = [indication(serial)]
    for word in WORDS:
        text = writing.text_of(word + b"\0" * (len(word) % 2))
        frames.append(indication({**serial, **dict.fromkeys(patients, text)}))
        alert = writing.alert_of(philips.Alert(source=4105, code=194, type=2, state=0x0008), text)
        lists = {number: writing.rows_of((alert,)) for number in (0x0902, 0x0904)}
        polled = philips.Polled(
            7, 0, philips.ALERT_MONITOR, 0x2F00, ({**dict.fromkeys(patients, text), **lists},)
        )
        frames += [writing.polled_of(polled), word]
    return b"".join((*frames, indication(serial)))


def _sdc() -> bytes:
    """Contexts of patient and place, measured values, and texts of conditions that name one."""
    person = (
        f'<pm:State xsi:type="pm:PatientContextState" DescriptorHandle="pc" Handle="{_MARK}"><pm:CoreData>'
        f"<pm:Givenname>{_MARK}</pm:Givenname><pm:Familyname>{_MARK}</pm:Familyname></pm:CoreData></pm:State>"
        f'<pm:State xsi:type="pm:LocationContextState"><pm:LocationDetail Bed="{_MARK}"/></pm:State>'
        f'<pm:State xsi:type="pm:NumericMetricState"><pm:MetricValue Value="{VALUE}"/></pm:State>'
        f'<pm:State xsi:type="pm:StringMetricState"><pm:MetricValue Value="{_MARK}"/></pm:State>'
    )
    alert = f'Kind="Tec"><pm:Type Code="9"><pm:ConceptDescription>{_MARK}</pm:ConceptDescription></pm:Type>'
    begin = sdc_documents.mdib()
    documents = (
        sdc_documents.mdib(described=sdc_documents.device(alert=alert), more=person),
        sdc_documents.mdib(more=person, version=2),
    )
    frames = [one.replace(_MARK.encode(), word) for word in WORDS for one in documents]
    return b"".join((begin, *frames, begin))


def _hl7() -> bytes:
    """PID, PV1, NTE, OBX of vital values and drugs, and phrases of alerts that name the patient."""
    row = hl7_messages.row
    ventilator = row("70001^MDC_DEV_SYS_PT_VENT_MDS^MDC", "1.0.0.0", device="P6013^^0012^EUI-64")
    persons = (
        f"PID|||{_MARK}^^^^MR||{_MARK}^{_MARK}|{_MARK}|19610203|F",
        f"PV1||I|{_MARK}^12^3|||||||||||||||{_MARK}",
        f"NTE|1||{_MARK}",
        f"PRT||UC||RO|N1^{_MARK}^Van",
    )
    vitals = (
        row("150456^MDC_PULS_OXIM_SAT_O2^MDC", "1.3.1.1", VALUE, kind="NM"),
        row("184514^MDC_DRUG_NAME_LABEL^MDC", "1.3.1.2", _MARK),
        row("68546^MDC_ATTR_ALERT_TEXT^MDC", "1.3.1.3", f"{_MARK} {VALUE}"),
        row(f"0^MDCX_{NAME}^MDC", "1.3.1.4", _MARK),
        row("151562^MDC_RESP_RATE^MDC", "1.2.1.1", VALUE, kind="NM"),
    )
    obr = "OBR|1||R1|70001^MDC_DEV_SYS_PT_VENT_MDS^MDC|||20260109073000"
    kinds = ("ST", "SA", "SP", "")
    texts = [
        hl7_messages.message(*persons, obr, ventilator, *vitals, head=hl7_messages.header(number="@")),
        *(
            hl7_messages.message(
                *persons,
                f"OBR|1||A{number}|196616^MDC_EVT_ALARM^MDC|||20260109073000",
                ventilator,
                *hl7_messages.facets(event=f"196802^MDC_EVT_BATT_LO^MDC^^^^^^{_MARK} has {VALUE}", kind=kind),
                vitals[0],
                head=hl7_messages.header("ORU^R40^ORU_R40", "@"),
            )
            for number, kind in enumerate(kinds)
        ),
        hl7_messages.message(*persons, head=hl7_messages.header("ADT^A01", "@")),
    ]
    frames, number = [], 0
    for word in WORDS:
        for text in texts:
            number += 1
            told = text.encode().replace(b"@", b"%d" % number, 1).replace(_MARK.encode(), word)
            frames.append(framed(told))
    return b"".join(frames)


PLANTED: Mapping[str, Callable[[], Planted]] = MappingProxyType(
    {
        "bbraun-bcc": lambda: Planted(_bcc(), dict(QUIET_VALUES)["INSERNUM"]),
        "hl7": lambda: Planted(_hl7(), "P6013"),
        "intellivue": lambda: Planted(_intellivue(), "DE00000042"),
        "medibus": lambda: Planted(_medibus(), ""),
        "mindray-pds": lambda: Planted(_mindray(), "192.168.8.188"),
        "puritan-bennett": lambda: Planted(_puritan_bennett(), "3510000001"),
        "sdc": lambda: Planted(_sdc(), "S-1"),
        "v60": lambda: Planted(_v60(), ""),
    }
)
"""By protocol: the stream. A protocol of the tutorial's manner has none and needs none here."""
