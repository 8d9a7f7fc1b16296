"""A test whose time is up fails, whatever is running then, and the next one runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.support.checkout import ROOT

STUCK = {
    "in the test": "async def test_stuck():\n    signal.pause()",
    "in a task beside it": """
async def test_stuck():
    async def beside():
        signal.pause()
    works = asyncio.create_task(beside())
    await asyncio.Event().wait()
""",
    "in a coroutine that waits for another": """
async def never():
    await asyncio.Event().wait()

async def test_stuck():
    await never()
""",
    "in an example of Hypothesis": """
@given(st.integers())
def test_stuck(number):
    signal.pause()
""",
    "in a fixture": """
@pytest.fixture
async def hangs():
    signal.pause()

async def test_stuck(hangs):
    pass
""",
    "in the clean-up of a test that failed": """
@pytest.fixture
async def hangs():
    yield
    signal.pause()

async def test_stuck(hangs):
    signal.pause()
""",
}
"""How a test may hang, for good: only its timer's signal ends that."""
TIMEOUT_S = 0.5
CONFIGURATION = f"""
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
timeout = {TIMEOUT_S}
addopts = -p tests.support.timeouts -p no:cacheprovider
"""
HEAD = """
import asyncio, signal
import pytest
from hypothesis import given, strategies as st
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of a module for each way to hang, in which another test follows."""
    place = tmp_path_factory.mktemp("stuck")
    (place / "pytest.ini").write_text(CONFIGURATION, encoding="utf-8")
    for number, code in enumerate(STUCK.values()):
        module = f"{HEAD}\n{code}\n\n@pytest.mark.timeout(60)\ndef test_next():\n    pass\n"
        (place / f"test_{number}.py").write_text(module, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-n0"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    ran = subprocess.run(command, cwd=place, env=env, check=False, capture_output=True, text=True, timeout=110)
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("number", [pytest.param(number, id=where) for number, where in enumerate(STUCK)])
def test_a_test_that_hangs_fails_and_the_next_one_runs(number: int, said: str) -> None:
    ends = [line for line in said.splitlines() if f" test_{number}.py::test_stuck - " in line]
    assert ends, said
    for end in ends:
        assert end.endswith(f"Failed: the test took longer than {TIMEOUT_S} s"), end
    assert f"PASSED test_{number}.py::test_next" in said


def test_it_is_told_where_the_tasks_waited(said: str) -> None:
    assert re.search(r"(?m)^--+ Captured tasks call --+$", said)
    assert re.search(
        r"(?m)^  \S+test_2\.py:\d+ in test_stuck\n  \S+test_2\.py:\d+ in never\n  \S+ in Event\.wait$", said
    )
