"""Every protocol file proves itself by its examples."""

from __future__ import annotations

import pytest

from adapters.contract import UNTOLD, Answer, Example, Heard, ProtocolFile
from adapters.registry import find, protocols
from telemetry.errors import SettingsError
from tests.adapters.ventilators import bodies, hear, refusals

FILES = tuple(protocols().values())
CASES = tuple(
    pytest.param(file, example, id=f"{file.info.id}: {example.description}")
    for file in FILES
    for example in file.examples
)


def check(file: ProtocolFile, example: Example, chunks: tuple[bytes, ...]) -> None:
    said = hear(file.adapter(period_s=file.info.poll_s), chunks)
    assert bodies(said) == example.bodies
    heard = [one for one in said if isinstance(one, Heard)]
    assert {one.alias for one in heard} == ({example.alias or UNTOLD, *example.others} if heard else set())
    assert (heard[-1].device_time if heard else None) == example.device_time
    assert tuple(one.data for one in said if isinstance(one, Answer)) == example.answers
    refused = refusals(said)
    if example.refusal is None:
        assert refused == ()
    else:
        assert len(refused) == 1
        assert example.refusal in refused[0].reason
        assert 0 <= refused[0].offset < len(example.input)


@pytest.mark.parametrize(("file", "example"), CASES)
def test_an_example_yields_exactly_what_it_says(file: ProtocolFile, example: Example) -> None:
    check(file, example, (example.input,))


@pytest.mark.parametrize(("file", "example"), CASES)
def test_an_example_fed_byte_by_byte_yields_the_same(file: ProtocolFile, example: Example) -> None:
    check(file, example, tuple(bytes([byte]) for byte in example.input))


@pytest.mark.parametrize(("file", "example"), CASES)
def test_trailing_bytes_take_nothing_away(file: ProtocolFile, example: Example) -> None:
    said = hear(file.adapter(period_s=file.info.poll_s), (example.input + b"\xfe trailing",))
    assert bodies(said) == example.bodies
    assert len(refusals(said)) >= 1


@pytest.mark.parametrize(("file", "example"), CASES)
def test_what_is_heard_says_where_its_frame_begins(file: ProtocolFile, example: Example) -> None:
    """A fresh adapter fed from a heard frame's offset on hears a frame at once."""
    said = hear(file.adapter(period_s=file.info.poll_s), (example.input,))
    places = [(one.offset, one.unit) for one in said if isinstance(one, Heard)]
    offsets = [offset for offset, _ in places]
    assert len(set(places)) == len(places)
    assert offsets == sorted(offsets)
    for offset in offsets:
        again = hear(file.adapter(period_s=file.info.poll_s), (example.input[offset:],))
        first = next(one for one in again if not isinstance(one, Answer))
        assert isinstance(first, Heard)
        assert first.offset == 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.info.id)
def test_every_protocol_has_accepted_and_refused_examples(file: ProtocolFile) -> None:
    assert any(example.bodies and example.refusal is None for example in file.examples)
    assert any(example.refusal and not example.bodies for example in file.examples)
    descriptions = [example.description for example in file.examples]
    assert len(set(descriptions)) == len(descriptions)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.info.id)
def test_every_alias_is_of_its_own_protocol(file: ProtocolFile) -> None:
    aliases = [example.alias for example in file.examples if example.alias]
    assert {alias.protocol for alias in aliases} <= {file.info.id}


def test_the_puritan_bennett_file_is_found_because_it_exists() -> None:
    assert find("puritan-bennett").info.manufacturer == "Puritan Bennett"


def test_an_unknown_protocol_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="puritan-bennett") as raised:
        find("puritan")
    assert "'puritan' is not known" in raised.value.found
