"""JSON Schemas (2020-12) of what goes over MQTT, written from the models, and a checker for what they use."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from telemetry.control import Confirmed, Sync
from telemetry.messages import KINDS, Message

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ZONELESS = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?$"
"""RFC 3339 has no word for a time without a zone."""


class _Plain(GenerateJsonSchema):
    """Titles are for models; a field has its name."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - the shape that pydantic asks for
        return False


def _nodes(schema: object) -> Iterator[Schema]:
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _nodes(part)


def _of(model: type[BaseModel]) -> Schema:
    """The schema of a model, in the words of the standard."""
    schema = TypeAdapter(model).json_schema(schema_generator=_Plain)
    for node in _nodes(schema):
        if "patternProperties" in node:  # which leaves names that differ alone
            ((names, values),) = node.pop("patternProperties").items()
            node["propertyNames"] = {**node["propertyNames"], "pattern": names}
            node["additionalProperties"] = values
        if isinstance(node.get("pattern"), str):
            node["pattern"] = node["pattern"].replace(r"\z", "$")
        if isinstance(node.get("description"), str):
            node["description"] = " ".join(node["description"].split())
        kind = node.get("properties", {}).get("kind", {}) if "required" in node else {}
        if "const" in kind:
            node["required"] = ["kind", *node["required"]]
            del kind["default"]
    return schema


def _with_used_defs(schema: Schema) -> Schema:
    """The schema without definitions that nothing in it refers to."""
    definitions, used = schema.pop("$defs"), set[str]()
    left: list[Schema] = [schema]
    while left:
        names = {node["$ref"].rpartition("/")[2] for node in _nodes(left.pop()) if "$ref" in node} - used
        used |= names
        left.extend(definitions[name] for name in names)
    return {**schema, "$defs": {name: definitions[name] for name in sorted(used)}}


def _message() -> Schema:
    schema = _of(Message)
    schema["properties"]["body"] = {"oneOf": schema["properties"]["body"]["oneOf"]}
    [device_time] = [one for one in schema["properties"]["device_time"]["anyOf"] if one["type"] == "string"]
    del device_time["format"]
    device_time["pattern"] = ZONELESS
    return schema


def _of_kind(message: Schema, kind: str) -> Schema:
    """The schema of the messages of one kind."""
    schema = copy.deepcopy(message)
    name = kind.title()
    body = schema["$defs"].pop(name)
    schema["properties"]["body"] = body
    return {**schema, "title": f"{schema['title']} of kind {kind}"}


def schemas() -> Mapping[str, str]:
    """File names and texts of all schemas."""
    message = _message()
    documents = {kind: _of_kind(message, kind) for kind in KINDS}
    documents |= {"message": message, "sync": _of(Sync), "confirmed": _of(Confirmed)}
    return MappingProxyType({f"{name}.json": _text(schema) for name, schema in documents.items()})


def _text(schema: Schema) -> str:
    whole = _with_used_defs(schema) if "$defs" in schema else schema
    return json.dumps({"$schema": DIALECT, **whole}, indent=2, ensure_ascii=False) + "\n"


# -- the checker ------------------------------------------------------------------------------------------

_TYPES: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "number": (int, float),
        "integer": (int,),
        "boolean": (bool,),
        "null": (type(None),),
    }
)
_SILENT = frozenset({"$schema", "$defs", "title", "description", "default"})
"""Keywords that tell people something and refuse nothing."""


def faults(value: object, schema: Schema, *, root: Schema | None = None) -> tuple[str, ...]:
    """Keywords of a schema that a JSON value breaks. Raises KeyError for a keyword that is unknown here."""
    whole = schema if root is None else root
    return tuple(
        keyword
        for keyword, wanted in schema.items()
        if keyword not in _SILENT and not _CHECKS[keyword](value, wanted, schema, whole)
    )


def _fits(value: object, schema: Schema, root: Schema) -> bool:
    return not faults(value, schema, root=root)


def _is(value: object, type_: str) -> bool:
    return isinstance(value, _TYPES[type_]) and (type_ == "boolean" or not isinstance(value, bool))


def _matches(text: object, pattern: str) -> bool:
    r"""Whether a text has the pattern; `$` is the end in JSON Schema, as `\Z` is in Python."""
    return not isinstance(text, str) or re.search(pattern.replace("$", r"\Z"), text) is not None


def _is_instant(text: object) -> bool:
    if not isinstance(text, str):
        return True
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text):
        return False
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


def _size(value: object, *kinds: type) -> int | None:
    return len(value) if isinstance(value, kinds) and isinstance(value, dict | list | str) else None


def _figure(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _others(value: object, schema: Schema) -> list[object]:
    """Values of an object under names that its properties do not tell."""
    known = schema.get("properties", {})
    return [part for name, part in value.items() if name not in known] if isinstance(value, dict) else []


def _all_fit(value: object, parts: Mapping[str, Schema], root: Schema) -> bool:
    return not isinstance(value, dict) or all(
        _fits(value[name], part, root) for name, part in parts.items() if name in value
    )


_CHECKS: Mapping[str, Callable[[Any, Any, Schema, Schema], bool]] = MappingProxyType(
    {
        "type": lambda value, wanted, _, __: _is(value, wanted),
        "const": lambda value, wanted, _, __: value == wanted and type(value) is type(wanted),
        "enum": lambda value, wanted, _, __: value in wanted,
        "pattern": lambda value, wanted, _, __: _matches(value, wanted),
        "format": lambda value, wanted, _, __: wanted == "date-time" and _is_instant(value),
        "minLength": lambda value, wanted, _, __: (_size(value, str) or 0) >= wanted,
        "maxLength": lambda value, wanted, _, __: (_size(value, str) or 0) <= wanted,
        "minItems": lambda value, wanted, _, __: (_size(value, list) or 0) >= wanted,
        "maxItems": lambda value, wanted, _, __: (_size(value, list) or 0) <= wanted,
        "minimum": lambda value, wanted, _, __: not _figure(value) < wanted,
        "maximum": lambda value, wanted, _, __: not _figure(value) > wanted,
        "exclusiveMinimum": lambda value, wanted, _, __: not _figure(value) <= wanted,
        "exclusiveMaximum": lambda value, wanted, _, __: not _figure(value) >= wanted,
        "required": lambda value, wanted, _, __: not isinstance(value, dict) or set(wanted) <= value.keys(),
        "properties": lambda value, wanted, _, root: _all_fit(value, wanted, root),
        "propertyNames": lambda value, wanted, _, root: all(
            _fits(name, wanted, root) for name in (value if isinstance(value, dict) else ())
        ),
        "additionalProperties": lambda value, wanted, schema, root: all(
            wanted is not False and _fits(other, wanted, root) for other in _others(value, schema)
        ),
        "items": lambda value, wanted, _, root: all(
            _fits(item, wanted, root) for item in (value if isinstance(value, list) else ())
        ),
        "anyOf": lambda value, wanted, _, root: any(_fits(value, one, root) for one in wanted),
        "oneOf": lambda value, wanted, _, root: sum(_fits(value, one, root) for one in wanted) == 1,
        "$ref": lambda value, wanted, _, root: _fits(value, root["$defs"][wanted.rpartition("/")[2]], root),
    }
)
