"""The schemas in docs/schema are those of the models, and say of every payload what the models say."""

from __future__ import annotations

import copy
import json
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from telemetry import control, messages
from telemetry.control import Confirmed, StreamSync, Sync
from telemetry.errors import MessageError
from telemetry.messages import KINDS, Message
from tests.house import schemas
from tests.house.tree import ROOT

FOLDER = ROOT / "docs/schema"
TEXTS = schemas.schemas()

_HEAD: dict[str, object] = {
    "v": 1,
    "alias": {"protocol": "acme", "namespace": "x1", "identifier": "SN-1", "strength": "strong"},
    "observed_at": "2026-11-22T04:30:00.123Z",
    "device_time": "2026-11-22T11:29:10",
}
_EDGE = {"key": "k-1", "code": "E.12", "text": "fan", "phase": "start", "condition": "active", "raw": "ON"}
BODIES: dict[str, dict[str, Any]] = {
    "identity": {
        "kind": "identity",
        "manufacturer": "Acme",
        "model": "X1",
        "serial": "SN-1",
        "device_type": 70001,
        "unique_ids": ["(01)0123"],
    },
    "status": {"kind": "status", "link": "mute", "connection": "c-1", "reason": "no answer"},
    "usage": {
        "kind": "usage",
        "state": "in_use",
        "period_s": 60,
        "meters": [{"meter": "blower_h", "provenance": "reported", "value": 1042.5}],
    },
    "alarm": {"kind": "alarm", **_EDGE, "reference_id": "", "alarm_kind": "technical", "priority": "low"},
    "fault": {"kind": "fault", **_EDGE, "subsystem": "blower", "effect": "service_high", "mapped": False},
    "metrics": {"kind": "metrics", "values": [{"quantity": "battery_charge_pct", "value": 80}]},
}
CONTROL: dict[str, dict[str, Any]] = {
    "sync": Sync(
        boot="b1",
        mono_ms=1,
        clock_ms=2,
        streams=(StreamSync(stream="a", held_from=1, sent_through=4, supersedes="b"),),
    ).model_dump(mode="json"),
    "confirmed": Confirmed(epoch="e1", streams={"a": 4}).model_dump(mode="json"),
}


def example(kind: str, **changes: object) -> dict[str, Any]:
    """A message of a kind with every field set; `a__b` changes b in a."""
    message = copy.deepcopy({**_HEAD, "body": BODIES[kind]})
    for path, value in changes.items():
        *way, last = path.split("__")
        place: Any = message
        for name in way:
            place = place[int(name) if name.isdigit() else name]
        place[last] = value
    return message


def reads(value: object) -> bool:
    """Whether the collector can read a payload."""
    try:
        messages.decode(json.dumps(value).encode())
    except MessageError:
        return False
    return True


def schema(name: str) -> schemas.Schema:
    """A schema as it stands in the folder."""
    return dict(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def accepts(name: str, value: object) -> bool:
    """Whether a schema lets a value pass."""
    return schemas.faults(value, schema(name)) == ()


# -- drift ------------------------------------------------------------------------------------------------


def test_the_folder_holds_the_schemas_of_the_models(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update"):
        for name, text in TEXTS.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
    held = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
    stale = sorted(name for name in held.keys() | TEXTS.keys() if held.get(name) != TEXTS.get(name))
    assert stale == [], "out of date: run pytest tests/house/test_schema.py --update"


def test_every_kind_and_every_control_message_has_one() -> None:
    models = {
        name: model
        for name, model in vars(control).items()
        if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == control.__name__
    }
    assert set(BODIES) == set(KINDS)
    assert {f"{name}.json" for name in (*KINDS, "message", *CONTROL)} == set(TEXTS)
    assert {name.lower() for name in models if name != "StreamSync"} == set(CONTROL)


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and all that stand in it."""
    yield model
    left = [field.annotation for field in model.model_fields.values()]
    while left:
        part = left.pop()
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield from _models(part)
        left.extend(typing.get_args(part))


@pytest.mark.parametrize(("name", "model"), [("message", Message), ("sync", Sync), ("confirmed", Confirmed)])
def test_what_the_code_says_of_models_and_fields_stands_in_the_schema(
    name: str, model: type[BaseModel]
) -> None:
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    said = [model.__doc__ or "" for model in _models(model)]
    said += [field.description or "" for model in _models(model) for field in model.model_fields.values()]
    told = {" ".join(one.split()) for one in said if one}
    assert told
    assert [one for one in told if json.dumps(one, ensure_ascii=False)[1:-1] not in text] == []


def _nodes(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(part)


@pytest.mark.parametrize("name", TEXTS)
def test_a_schema_is_closed_and_speaks_the_standards_language(name: str) -> None:
    whole = json.loads(TEXTS[name])
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for node in _nodes(whole):
        if node.get("type") == "object" and "properties" in node:
            assert node["additionalProperties"] is False, node["title"]
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in whole["$defs"]
        assert "discriminator" not in node
        assert r"\z" not in str(node.get("pattern", ""))


# -- what schemas say of payloads -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_of_every_kind_passes(kind: str) -> None:
    full, small = example(kind), {"body": BODIES[kind]}
    for payload in (full, small, json.loads(messages.encode(Message.model_validate(full)))):
        assert accepts(kind, payload)
        assert accepts("message", payload)
        assert reads(payload)
    others = [other for other in KINDS if other != kind]
    assert not any(accepts(other, full) for other in others)


@pytest.mark.parametrize(
    "wrong",
    [
        example("usage", v=2),
        example("usage", ward="ICU"),
        example("usage", alias__identifier=""),
        example("usage", alias__protocol="two words"),
        example("usage", observed_at="2026-11-22T04:30:00"),
        example("usage", observed_at=1_700_000_000),
        example("usage", device_time="2026-11-22T04:30:00Z"),
        example("usage", body__state="busy"),
        example("usage", body__period_s=0),
        example("usage", body__period_s="60"),
        example("usage", body__meters=[{"meter": "hours", "provenance": "reported", "value": 1}]),
        example("usage", body__meters__0__value=-1),
        example("usage", body__patient="A B"),
        example("usage", body__kind="alarm"),
        example("usage", body={"state": "in_use", "period_s": 60}),
        example("alarm", body__key=""),
        example("alarm", body__code="1\n"),
        example("alarm", body__text="x" * 257),
        example("alarm", body__priority=None),
        example("fault", body__mapped="no"),
        example("identity", body__device_type=2**32),
        example("identity", body__unique_ids=["x"] * 9),
        example("metrics", body__values=[]),
        example("metrics", body__values__0__quantity="spo2_pct"),
        {},
        [],
        None,
    ],
)
def test_what_schemas_refuse_the_collector_refuses(wrong: object) -> None:
    assert not any(accepts(name, wrong) for name in (*KINDS, "message"))
    assert not reads(wrong)


@pytest.mark.parametrize("name", CONTROL)
def test_sync_and_confirmed_have_theirs(name: str) -> None:
    read = {"sync": control.read_sync, "confirmed": control.read_confirmed}[name]
    right = CONTROL[name]
    assert accepts(name, right)
    read(json.dumps(right).encode())
    for wrong in (
        {**right, "more": 1},
        {**right, "streams": {"a b": 1}},
        {**right, "streams": [{"stream": "a"}]},
        {key: value for key, value in right.items() if key != "streams"},
    ):
        assert not accepts(name, wrong)
        with pytest.raises(MessageError):
            read(json.dumps(wrong).encode())


ODD: st.SearchStrategy[object] = st.sampled_from(
    (
        *("", "in_use", "end", "x" * 300, "é", "1", 0, -1, 1, 1.5, 10**9, True, False, None, [], {}, ["a"]),
        *("2026-11-22T04:30:00Z", "2026-11-22T04:30:00+07:00", "2026-13-22T04:30:00Z", "2026-11-22T04:30:00"),
    )
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """An example of a kind, changed at one to three places."""
    kind = draw(st.sampled_from(KINDS))
    message = example(kind)
    for _ in range(draw(st.integers(1, 3))):
        nodes = [node for node in _nodes(message) if node]
        node = draw(st.sampled_from(nodes))
        name = draw(st.sampled_from([*sorted(node), "other"]))
        if draw(st.booleans()) and name in node:
            del node[name]
        else:
            node[name] = draw(ODD)
    return kind, message


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_whatever_a_schema_accepts_the_collector_reads(found: tuple[str, dict[str, Any]]) -> None:
    kind, message = found
    if accepts(kind, message):
        assert reads(message), message
        assert accepts("message", message)


def test_the_checker_knows_every_keyword_and_refuses_one_that_it_does_not_know() -> None:
    for text in TEXTS.values():
        schemas.faults({}, json.loads(text))
    with pytest.raises(KeyError):
        schemas.faults(1, {"multipleOf": 2})
