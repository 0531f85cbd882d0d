"""The real tree keeps the rules of the house; `test_checks` proves that each rule can be broken."""

from __future__ import annotations

from collections import Counter
from functools import partial
from types import MappingProxyType

import pytest

from tests.house import checks
from tests.house.tree import FOLDERS, ROOMS, ROOT, breaches, is_pure, product, texts

_ADAPTERS = frozenset({"telemetry", "adapters"})
_MAY_USE = MappingProxyType(
    {"telemetry": frozenset({"telemetry"}), "rules": frozenset({"telemetry", "rules"})}
)
_BESIDES = MappingProxyType({
    # finds the protocol files among the installed modules
    "adapters/registry.py": frozenset({"importlib", "pkgutil"}),
})  # fmt: skip
_CLOCKS = frozenset({
    "desk/clock.py",
    # a simulator may be a process of its own, without a desk to hand it a clock
    "adapters/simulators/puritan_bennett.py",
    "adapters/simulators/hl7_gateway.py",
    "adapters/simulators/serving.py",
})  # fmt: skip
_PURE = tuple(path for path, _ in product() if is_pure(path))

# the one supervisor, and the one call whose codec panics with a BaseException of its own
_MAY_CATCH_ALL = MappingProxyType({"adapters/host/devices.py": 1, "collector/mqtt_codec.py": 1})


@pytest.mark.parametrize("path", _PURE)
def test_a_pure_file_knows_neither_network_nor_disk_nor_clock(path: str) -> None:
    rooms = _MAY_USE.get(path.split("/", 1)[0], _ADAPTERS)
    check = partial(checks.impure, rooms=rooms, besides=_BESIDES.get(path, frozenset()))
    assert not breaches(iter([(path, (ROOT / path).read_text())]), check)


def test_pure_files_are_found() -> None:
    assert {"telemetry/messages.py", "adapters/contract.py", "rules/__init__.py"} <= set(_PURE)
    assert not any("/host/" in path or "/simulators/" in path for path in _PURE)


def test_the_clock_on_the_wall_is_read_where_clocks_are_made_only() -> None:
    files = ((path, text) for path, text in product() if path not in _CLOCKS)
    assert not breaches(files, checks.clock_readings)


def test_no_module_has_state_that_changes() -> None:
    assert not breaches(product(), checks.mutable_state)


def test_everything_is_caught_in_the_supervisor_only() -> None:
    found = breaches(product(), checks.broad_excepts)
    by_file = Counter(breach.split(":", 1)[0] for breach in found)
    assert not [
        breach for breach in found if by_file[(path := breach.split(":", 1)[0])] > _MAY_CATCH_ALL.get(path, 0)
    ]


def test_only_the_desk_prints() -> None:
    assert not breaches(
        ((path, text) for path, text in product() if not path.startswith("desk/")), checks.prints
    )


def test_no_field_is_about_a_patient() -> None:
    assert not breaches(product(), checks.patient_fields)


@pytest.mark.parametrize("check", [checks.unfinished, checks.places])
def test_no_file_has_unfinished_work_or_names_a_place(check: checks.Check) -> None:
    assert not breaches(texts(), check)


def test_every_exception_from_the_linters_says_why() -> None:
    assert not breaches(((path, text) for path, text in texts() if path.endswith(".py")), checks.unexplained)


def test_the_tree_has_its_rooms_and_nothing_else() -> None:
    folders = {file.name for file in ROOT.iterdir() if file.is_dir() and any(file.glob("*.py"))}
    assert set(ROOMS) <= folders <= set(FOLDERS)
    assert all((ROOT / room / "__init__.py").is_file() for room in ROOMS)
