"""Finds the protocol files: a file in `adapters.protocols` is registered by being there."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType, ModuleType

import adapters.protocols
from adapters.contract import ProtocolFile
from telemetry.errors import SettingsError


def protocols() -> Mapping[str, ProtocolFile]:
    """Every protocol by its id, in the order of ids."""
    found: dict[str, ProtocolFile] = {}
    for module in pkgutil.iter_modules(adapters.protocols.__path__):
        file = _read(importlib.import_module(f"adapters.protocols.{module.name}"))
        if file.info.id.replace("-", "_") != module.name:
            raise ValueError(f"adapters/protocols/{module.name}.py calls itself {file.info.id}")
        found[file.info.id] = file
    return MappingProxyType(dict(sorted(found.items())))


def find(name: str) -> ProtocolFile:
    """The protocol of that id. Raises SettingsError that names the known ones."""
    known = protocols()
    if name not in known:
        raise SettingsError(
            where="protocol", found=f"{name!r} is not known", expected=f"use one of: {', '.join(known)}"
        )
    return known[name]


def _read(module: ModuleType) -> ProtocolFile:
    return ProtocolFile(
        info=module.INFO,
        adapter=module.adapter,
        examples=module.EXAMPLES,
        file_adapter=getattr(module, "file_adapter", None),
        options=getattr(module, "OPTIONS", None),
        tables=getattr(module, "TABLES", ()),
        redactor=getattr(module, "redactor", None),
        about=module.__doc__ or "",
    )
