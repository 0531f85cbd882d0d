"""No adapter says, and no redactor keeps, anything of the patients that are planted in every protocol."""

from __future__ import annotations

import base64
import json
import unicodedata
from urllib.parse import quote

import pytest

from adapters.contract import Answer, Heard, Outcome, Refusal, Skipped
from adapters.registry import protocols
from tests.adapters.laws import say, told
from tests.adapters.planted import FAMILY, NAME, PLANTED, TEXTS, VALUE, found_in
from tests.house.tree import ROOT

FILES = protocols()


def shown(said: tuple[Outcome, ...]) -> bytes:
    """All that leaves an adapter, as it would be sent, logged or written to the device."""
    parts: list[bytes] = []
    for one in said:
        match one:
            case Heard():
                parts += [one.alias.model_dump_json().encode(), one.unit.encode()]
                parts += [body.model_dump_json().encode() for body in one.bodies]
            case Refusal() | Skipped():
                parts.append(one.reason.encode())
            case Answer():
                parts.append(one.data)
    return b"\n".join(parts)


def test_every_protocol_with_a_page_has_patients_planted() -> None:
    pages = {page.stem for page in (ROOT / "docs/devices").glob("*.md")}
    assert pages <= PLANTED.keys() <= FILES.keys()


@pytest.mark.parametrize("name", PLANTED)
def test_nothing_planted_leaves_the_adapter(name: str) -> None:
    file, planted = FILES[name], PLANTED[name]()
    said = say(file.adapter(period_s=file.info.poll_s), [planted.data])
    left = shown(said)
    assert [text for text in TEXTS if found_in(left, text)] == []
    assert planted.control.encode() in left
    assert any(isinstance(one, Heard) for one in said)


@pytest.mark.parametrize("name", [name for name in PLANTED if FILES[name].redactor])
def test_nothing_planted_is_kept_by_the_redactor(name: str) -> None:
    make, planted = FILES[name].redactor, PLANTED[name]()
    assert make is not None
    redactor = make()
    kept = redactor.feed(planted.data) + redactor.closed()
    assert [text for text in TEXTS if found_in(kept, text)] == []
    raw, again = (told(say(FILES[name].adapter(period_s=60), [data])) for data in (planted.data, kept))
    assert again == raw != []


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_there(name: str) -> None:
    """The search finds each of them in the bytes of the device."""
    data = PLANTED[name]().data
    assert [text for text in TEXTS if not found_in(data, text)] == []


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "quoted",
    [
        lambda text: text.encode(),
        lambda text: unicodedata.normalize("NFD", text).encode(),
        lambda text: json.dumps(text).encode(),
        lambda text: quote(text).encode(),
        lambda text: text.encode().hex().encode(),
        lambda text: base64.b64encode(b"x" + text.encode() + b"yz"),
        lambda text: base64.b64encode(text.encode()),
        lambda text: text.casefold().encode(),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode().decode("latin-1").encode(),
    ],
    ids=[
        "plain",
        "NFD",
        "JSON",
        "percent",
        "hex",
        "base64 inside",
        "base64",
        "small letters",
        "UTF-16",
        "twice",
    ],
)
def test_the_search_finds_what_is_quoted(text: str, quoted: object) -> None:
    assert callable(quoted)
    assert found_in(b"... " + quoted(text) + b" ...", text)


def test_the_search_does_not_find_what_is_not_there() -> None:
    honest = b"usage of P6013 at 83.2, battery low, \xc3\xa9, " + base64.b64encode(bytes(range(256)))
    assert [text for text in TEXTS if found_in(honest, text)] == []
    assert found_in(honest + FAMILY.split()[0].encode(), FAMILY)
    assert not found_in(NAME.encode(), VALUE)
