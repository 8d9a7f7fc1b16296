"""The two promises of the layout: `domain` and `projections` are pure, and imports point one way."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

PURE_PACKAGES = ("domain", "projections")

PURE_MODULES = frozenset(
    {
        *("__future__", "abc", "bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "enum"),
        *("fractions", "functools", "hashlib", "heapq", "itertools", "json", "math", "operator", "re", "statistics"),
        *("string", "types", "typing"),
        # Models, records and state machines: none of them reads or writes anything outside its arguments.
        *("pydantic", "pydantic_core", "msgspec", "statemachine"),
        *PURE_PACKAGES,
    }
)
"""What pure code may import. No clock, randomness, input, output, log or thread is on it."""

IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})
CLOCK_READINGS = frozenset({"now", "utcnow", "today"})


def impurities(source: str) -> Iterator[str]:
    """Every line of `source` that makes its outcome depend on more than its arguments."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names, lineno=line):
                yield from (f"line {line}: imports {name.name}" for name in names if not is_pure_module(name.name))
            case ast.ImportFrom(module=str(module), level=0, lineno=line) if not is_pure_module(module):
                yield f"line {line}: imports {module}"
            case ast.AsyncFunctionDef(lineno=line) | ast.Await(lineno=line):
                yield f"line {line}: is asynchronous"
            case ast.Call(func=ast.Name(id=name), lineno=line) if name in IMPURE_CALLS:
                yield f"line {line}: calls {name}"
            case ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr=attr, lineno=line) if (
                attr in CLOCK_READINGS and name in {"datetime", "date"}
            ):
                yield f"line {line}: reads the clock"
            case _:
                pass


def is_pure_module(name: str) -> bool:
    return name.partition(".")[0] in PURE_MODULES


def pure_files() -> list[Path]:
    return sorted(path.relative_to(ROOT) for package in PURE_PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_there_are_files_to_check() -> None:
    assert {path.parts[0] for path in pure_files()} == set(PURE_PACKAGES)


@pytest.mark.parametrize("path", pure_files(), ids=str)
def test_is_pure(path: Path) -> None:
    assert list(impurities((ROOT / path).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os.path",
        "from random import choice",
        "from uuid import uuid4",
        "import logging",
        "import asyncio",
        "def f():\n    import secrets",
        "from infra.host.clock import now",
        "x = datetime.now(UTC)",
        "x = dt.datetime.utcnow()",
        "x = date.today()",
        "default_factory = datetime.now",
        "print(1)",
        "open('x')",
        "async def f(): ...",
    ],
)
def test_impurity_is_noticed(source: str) -> None:
    assert list(impurities(source))


@pytest.mark.parametrize(
    "source",
    ["from collections.abc import Mapping", "x = now + timedelta(seconds=1)", "x = state.now", "x = clock.now()"],
)
def test_purity_is_not_denied(source: str) -> None:
    assert not list(impurities(source))


def test_imports_point_one_way() -> None:
    # In a process of its own: the linter switches off every logger that exists.
    lint = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    outcome = subprocess.run([sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
