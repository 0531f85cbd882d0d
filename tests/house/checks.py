"""The rules of the house that a source text can break: each check reads one text and tells what it finds."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Finding:
    """A breach: the line, counted from 1, and what stands there."""

    line: int
    what: str


Check = Callable[[str], tuple[Finding, ...]]

PURE_IMPORTS = frozenset({
    "__future__", "abc", "base64", "binascii", "bisect", "collections", "contextlib", "copy", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "itertools",
    "json", "math", "operator", "pathlib.PurePath", "pathlib.PurePosixPath", "re", "statistics", "string",
    "struct", "textwrap", "types", "typing", "unicodedata", "zlib", "annotated_types", "orjson", "pydantic",
    "pydantic_core", "yaml", "html.escape", "xml.parsers.expat",
})  # fmt: skip
"""What a pure room may import besides rooms of ours: values in, values out. Grows only by such."""

_TOUCHES_THE_WORLD = frozenset({
    "open", "input", "print", "exec", "eval", "compile", "__import__", "breakpoint",
})  # fmt: skip

CLOCKS = frozenset({
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
    "time.time", "time.time_ns", "time.sleep", "time.localtime", "time.gmtime", "time.ctime",
    "time.strftime",
})  # fmt: skip
"""Readings of the wall clock, and sleeping that blocks."""

_MUTABLE_CALLS = frozenset({
    "list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict",
    "WeakKeyDictionary", "WeakValueDictionary", "WeakSet",
})  # fmt: skip
_MUTABLE_LITERALS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)

PATIENT_WORDS = frozenset({
    "patient", "patients", "mrn", "birth", "birthday", "birthdate", "dob", "surname", "forename", "gender",
    "sex", "diagnosis", "admission", "encounter", "drug", "medication", "dose", "waveform", "spo2", "ecg",
    "pulse",
})  # fmt: skip
"""Words that only a field about a patient carries; a field's name is cut into words at its underscores."""

_UNFINISHED = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
_PLACES = re.compile(
    "|".join((
        r"(?<![\w.])/(?:home|root|Users)/\w",
        r"(?<![\w.])/wo" + r"rk/(?:main|shared|\.)",
        r"(?<![\w.])/opt" + "/wheels",
        r"\.lib" + r"rary\b",
        "/tm" + "p/",
        "py" + r"pi\.org",
        "python" + "hosted",
        "deb" + r"ian\.org",
        "ubu" + r"ntu\.com",
        "find" + "-links",
        "--(?:extra-)?index" + "-url",
    ))
)  # fmt: skip
_UNEXPLAINED = re.compile(
    r"#\s*(?:noqa(?!: [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)* - \S)"
    r"|type: ignore(?!\[[a-z, -]+\]\s+# \S))"
)


def _origins(tree: ast.AST) -> MappingProxyType[str, str]:
    """Where each imported name comes from: `dt` → `datetime.datetime`."""
    origins: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                origins[name.asname or name.name.split(".")[0]] = (
                    name.name if name.asname else name.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                origins[name.asname or name.name] = f"{node.module}.{name.name}"
    return MappingProxyType(origins)


def _dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute, empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def _resolved(node: ast.expr, origins: MappingProxyType[str, str]) -> str:
    """`_dotted` with the first part replaced by what was imported under that name."""
    head, _, rest = _dotted(node).partition(".")
    head = origins.get(head, head)
    return f"{head}.{rest}" if rest else head


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, wherever it stands; `from a import b` is `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{name.name}") for name in node.names)


def impure(
    source: str, *, rooms: frozenset[str], besides: frozenset[str] = frozenset()
) -> tuple[Finding, ...]:
    """Imports outside PURE_IMPORTS, `rooms` of ours and `besides`, and calls that touch the world."""
    tree = ast.parse(source)
    allowed = PURE_IMPORTS | rooms | besides
    found = [
        Finding(line, f"imports {name}")
        for line, name in imported(tree)
        if not {name, name.split(".")[0]} & allowed
    ]
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    names = ((call.lineno, _dotted(call.func)) for call in calls)
    return (*found, *(Finding(line, f"calls {name}()") for line, name in names if name in _TOUCHES_THE_WORLD))


def clock_readings(source: str) -> tuple[Finding, ...]:
    """Every use of CLOCKS, called or handed on, under whatever name it was imported."""
    tree = ast.parse(source)
    origins = _origins(tree)
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name))
    return tuple(
        Finding(node.lineno, _resolved(node, origins)) for node in names if _resolved(node, origins) in CLOCKS
    )


def _module_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run at import, also in `if` and `try`, but not in functions and classes."""
    for statement in body:
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for part in ("body", "orelse", "finalbody"):
                yield from _module_level(getattr(statement, part, []))
            for handler in getattr(statement, "handlers", []):
                yield from _module_level(handler.body)


def _is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return _dotted(value.func).rpartition(".")[2] in _MUTABLE_CALLS
    return isinstance(value, _MUTABLE_LITERALS)


def mutable_state(source: str) -> tuple[Finding, ...]:
    """Module-level names bound to something that can change, and `global`."""
    tree = ast.parse(source)
    found = [Finding(node.lineno, "global") for node in ast.walk(tree) if isinstance(node, ast.Global)]
    for statement in _module_level(tree.body):
        if isinstance(statement, ast.Assign):
            names = ", ".join(_dotted(target) for target in statement.targets)
        elif isinstance(statement, ast.AnnAssign):
            names = _dotted(statement.target)
        else:
            continue
        if names != "__all__" and _is_mutable(statement.value):
            found.append(Finding(statement.lineno, f"{names} can be changed"))
    return tuple(found)


def broad_excepts(source: str) -> tuple[Finding, ...]:
    """Handlers of everything, unless they end in a bare `raise`, and suppress(Exception)."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            last = node.body[-1]
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = ["" if kind is None else _dotted(kind) for kind in kinds]
            passed_on = isinstance(last, ast.Raise) and last.exc is None
            broad = [name for name in names if name in {"", "Exception", "BaseException"}]
            if broad and not passed_on:
                found.append(Finding(node.lineno, f"except {broad[0]}".strip()))
        elif isinstance(node, ast.Call) and _dotted(node.func).endswith("suppress"):
            broad = [_dotted(kind) for kind in node.args if _dotted(kind) in {"Exception", "BaseException"}]
            found += [Finding(node.lineno, f"suppress {name}") for name in broad]
    return tuple(found)


def prints(source: str) -> tuple[Finding, ...]:
    """Calls of print; only the desk speaks to a terminal."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return tuple(Finding(node.lineno, "print()") for node in calls if _dotted(node.func) == "print")


def _named(node: ast.ClassDef | ast.Call) -> Iterator[str]:
    """The fields of a class; the names that a call makes a column or a field with."""
    if isinstance(node, ast.ClassDef):
        yield from (_dotted(part.target) for part in node.body if isinstance(part, ast.AnnAssign))
    elif _dotted(node.func).rpartition(".")[2] in {"Column", "mapped_column", "Field"}:
        texts = [*node.args[:1], *(word.value for word in node.keywords if word.arg in {"alias", "name"})]
        yield from (
            text.value for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)
        )


def patient_fields(source: str) -> tuple[Finding, ...]:
    """Fields of classes and columns of tables whose names tell of a patient."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef | ast.Call))
    named = ((node.lineno, name) for node in nodes for name in _named(node))
    return tuple(Finding(line, name) for line, name in named if PATIENT_WORDS & set(name.lower().split("_")))


def _lines(text: str, pattern: re.Pattern[str]) -> tuple[Finding, ...]:
    numbered = enumerate(text.splitlines(), start=1)
    return tuple(Finding(number, match[0]) for number, line in numbered if (match := pattern.search(line)))


def unfinished(text: str) -> tuple[Finding, ...]:
    """Notes of work left undone."""
    return _lines(text, _UNFINISHED)


def places(text: str) -> tuple[Finding, ...]:
    """Paths of somebody's machine and addresses of package indexes."""
    return _lines(text, _PLACES)


def unexplained(text: str) -> tuple[Finding, ...]:
    """`noqa` and `type: ignore` without a code and a reason."""
    return _lines(text, _UNEXPLAINED)
