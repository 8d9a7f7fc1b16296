"""What the layout promises: pure rooms, one import direction, and one place for each kind of change."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.checkout import PACKAGES, ROOT

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


def found_in(paths: Iterable[Path], search: Callable[[str], Iterator[str]]) -> list[str]:
    """Return what `search` finds in the files, each with the file's path."""
    return [f"{path}: {each}" for path in paths for each in search((ROOT / path).read_text(encoding="utf-8"))]


def test_there_are_files_to_check() -> None:
    assert {path.parts[0] for path in pure_files()} == set(PURE_PACKAGES)


def test_the_core_is_pure() -> None:
    assert found_in(pure_files(), impurities) == []


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


STATE_CHANGES = frozenset(
    {"fold", "fold_all", "apply", "commit", "undo", "skip", "load", "begin_rebuild", "end_rebuild"}
)
CHANGE_STATE = Path("handlers", "memory")


def state_changes(source: str) -> Iterator[str]:
    """Every call that changes a pool's state: `state.commit(...)`, `self._pool.state.undo()`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="state") | ast.Attribute(attr="state"), attr=attr), lineno=line
            ) if attr in STATE_CHANGES:
                yield f"line {line}: calls {attr}"
            case _:
                pass


def handler_files() -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / "handlers").rglob("*.py"))


def test_only_the_memory_changes_the_pools_state() -> None:
    assert found_in([path for path in handler_files() if CHANGE_STATE not in path.parents], state_changes) == []


@pytest.mark.parametrize("source", ["self.memory.state.undo()", "state.apply(decision)"])
def test_a_change_of_state_is_noticed(source: str) -> None:
    assert list(state_changes(source))


JOB_FIELDS = frozenset(
    {
        *("request", "received_at", "callers", "on_timeout", "absent", "looked_up_at", "wait_until", "place", "prior"),
        *("alone", "session_number"),
    }
)
JOBS = Path("handlers", "writer", "jobs.py")


def job_changes(source: str) -> Iterator[str]:
    """Every assignment to a job's field, or to what may be one: `job.alone = True`, `each.request = ...`."""
    for node in ast.walk(ast.parse(source)):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Attribute) and target.attr in JOB_FIELDS:
                yield f"line {target.lineno}: sets {target.attr}"


def test_a_job_is_changed_by_its_own_methods_only() -> None:
    assert found_in([path for path in handler_files() if path != JOBS], job_changes) == []


def test_a_change_of_a_job_is_noticed() -> None:
    assert list(job_changes("job.alone = True"))
    assert list(job_changes("job.prior += records"))


SHARED_NAMES = {
    "agent.py": "the entity, its events, and the commands of agents",
    "checkpoint.py": "the proof, and the command that makes it",
    "demo.py": "the demonstration, and the command that runs it",
    "diff.py": "the report, and the command that prints it",
    "explain.py": "the report, and the command that prints it",
    "history.py": "what happened, as the command prints it and as it is shown live",
    "lanes.py": "leases as bars in lanes, of a post-mortem and of what is shown live",
    "pool.py": "the entity and its events",
    "pools.py": "the persistence module under its present and its earlier name",
    "steal.py": "the entity and its events",
    "top.py": "the pool in a terminal, and the command that runs it",
}


def test_two_files_share_a_name_only_where_they_share_a_concept() -> None:
    names = Counter(path.name for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    assert {name for name, count in names.items() if count > 1} == {"__init__.py", *SHARED_NAMES}


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """What each module imports of the others, at run time or for its annotations, at any place in it.

    `sources` has each module's text by its dotted name, packages by the name of their folder. The packages that an
    import runs through on its way are not counted: they are loaded, and nothing is taken from them.
    """
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        graph[module] = set()
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Import(names=names):
                    graph[module] |= {each.name for each in names} & sources.keys()
                case ast.ImportFrom(module=str(base), names=names, level=0):
                    submodules = {f"{base}.{each.name}" for each in names} & sources.keys()
                    graph[module] |= submodules
                    if base in sources and len(submodules) < len(names):
                        graph[module].add(base)
                case _:
                    pass
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of modules each of which imports, by way of others, every one of its group."""
    reached = {module: reachable(graph, module) for module in graph}
    groups = {
        tuple(sorted(other for other in reached[module] if module in reached[other]))
        for module in graph
        if module in reached[module]
    }
    return [list(group) for group in sorted(groups)]


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        new = graph[todo.pop()] - found
        found |= new
        todo += new
    return found


def sources_of_all_packages() -> dict[str, str]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }


def test_no_files_import_each_other() -> None:
    graph = import_graph(sources_of_all_packages())
    assert {module.partition(".")[0] for module in graph} == set(PACKAGES)
    assert circles(graph) == []


def test_no_files_of_the_client_import_each_other() -> None:
    root = ROOT / "client"
    sources = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
        for path in (root / "custody_client").rglob("*.py")
    }
    assert len(sources) > 20
    assert circles(import_graph(sources)) == []


def test_a_circle_is_noticed_wherever_its_imports_stand() -> None:
    sources = {
        "p": "from p.a import x",
        "p.a": "from __future__ import annotations\nif TYPE_CHECKING:\n    from p import b",
        "p.b": "def f():\n    import p.c",
        "p.c": "from p.a import x\nfrom p import d",
        "p.d": "import json",
    }
    assert circles(import_graph(sources)) == [["p.a", "p.b", "p.c"]]
    assert circles(import_graph({"p": "from p.a import x", "p.a": "from p import x"})) == [["p", "p.a"]]
