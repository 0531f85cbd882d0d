"""Every check finds a planted breach, and leaves its honest twin alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.house import checks
from tests.house.tree import ROOMS, ROOT

_impure = partial(checks.impure, rooms=frozenset({"telemetry"}))

BREACHES: tuple[tuple[checks.Check, str], ...] = (
    (_impure, "import socket"),
    (_impure, "from os import path"),
    (_impure, "from pathlib import Path"),
    (_impure, "def f():\n    import random"),
    (_impure, "from collector import journal"),
    (_impure, "text = open('a').read()"),
    (checks.clock_readings, "from datetime import datetime as moment\nmoment.now()"),
    (checks.clock_readings, "import datetime\ndatetime.datetime.utcnow()"),
    (checks.clock_readings, "import time as t\nt.sleep(1)"),
    (checks.clock_readings, "from time import time\nclock = time"),
    (checks.mutable_state, "cache = {}"),
    (checks.mutable_state, "seen: Final[set[str]] = set()"),
    (checks.mutable_state, "if True:\n    queue = collections.deque()"),
    (checks.mutable_state, "def f():\n    global count\n    count = 1"),
    (checks.broad_excepts, "try:\n    f()\nexcept:\n    pass"),
    (checks.broad_excepts, "try:\n    f()\nexcept (OSError, Exception) as e:\n    log(e)"),
    (checks.broad_excepts, "with contextlib.suppress(Exception):\n    f()"),
    (checks.prints, "print('here')"),
    (checks.patient_fields, "class Seen:\n    patient_name: str"),
    (checks.patient_fields, "table = Column('birth_date', Text)"),
    (checks.patient_fields, "class Seen:\n    name: str = Field(alias='MRN')"),
    (checks.unfinished, "# TO" + "DO later"),
    (checks.places, "file = '/ho" + "me/me/data'"),
    (checks.places, "--index" + "-url https://example.org"),
    (checks.unexplained, "import a  # no" + "qa: F401"),
    (checks.unexplained, "f(1)  # type" + ": ignore[arg-type]"),
)

HONEST: tuple[tuple[checks.Check, str], ...] = (
    (_impure, "from pathlib import PurePath\nfrom telemetry.times import iso\nimport re"),
    (checks.clock_readings, "clock.now()\nawait asyncio.sleep(1)\ndatetime.fromtimestamp(5, UTC)"),
    (checks.mutable_state, "names = ('a', 'b')\ntable = MappingProxyType({'a': 1})\n__all__ = ['names']"),
    (checks.mutable_state, "def f():\n    seen = []\n    return seen"),
    (checks.broad_excepts, "try:\n    f()\nexcept BaseException:\n    undo()\n    raise"),
    (checks.prints, "console.print('here')"),
    (checks.patient_fields, "class Alarm:\n    text: str\ndef f(patient_circuit: str): ..."),
    (checks.unfinished, "todos = 0"),
    (checks.places, "href='/orders?home=1' # scripts/lock"),
    (checks.unexplained, "import a  # no" + "qa: F401 - read by the registry"),
)


@pytest.mark.parametrize(("check", "breach"), BREACHES)
def test_a_planted_breach_is_found(check: checks.Check, breach: str) -> None:
    assert check(breach)


@pytest.mark.parametrize(("check", "source"), HONEST)
def test_an_honest_twin_is_left_alone(check: checks.Check, source: str) -> None:
    assert check(source) == ()


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--config", ".importlinter"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the rooms and their contracts, to plant breaches in."""
    folder = tmp_path_factory.mktemp("copy")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", folder)
    (folder / "adapters/protocols/planted.py").write_text('"""A second protocol file."""\n')
    return folder


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("telemetry/times.py", "import rules.words", "Rooms import downwards only"),
        ("collector/cursors.py", "import desk.clock", "Rooms import downwards only"),
        ("collector/cursors.py", "import adapters.contract", "Rooms import downwards only"),
        ("adapters/framing.py", "import rules.words", "Adapters never import rules"),
        (
            "adapters/protocols/planted.py",
            "import adapters.protocols.puritan_bennett",
            "One protocol file never",
        ),
        (
            "adapters/protocols/planted.py",
            "import adapters.host.outbox",
            "import neither host nor simulators",
        ),
    ],
)
def test_a_planted_import_breaks_its_contract(copy: Path, file: str, line: str, contract: str) -> None:
    before = (copy / file).read_text()
    (copy / file).write_text(f"{before}\n{line}\n")
    try:
        linted = _lint_imports(copy)
    finally:
        (copy / file).write_text(before)
    broken = [said for said in linted.stdout.splitlines() if said.endswith("BROKEN")]
    assert linted.returncode == 1
    assert contract in " ".join(broken)


def test_the_contracts_hold(copy: Path) -> None:
    linted = _lint_imports(copy)
    assert (linted.returncode, "BROKEN" in linted.stdout) == (0, False), linted.stdout
