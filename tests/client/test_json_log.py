"""A worker's log as JSON: each record with the task that it is about."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from custody_client.json_log import JsonFormatter
from tests.support.checkout import ROOT


def record(**fields: object) -> logging.LogRecord:
    made = logging.LogRecord("custody_client", logging.WARNING, "", 0, "it is\n%s", ("late",), None)
    vars(made).update(fields)
    return made


def test_a_record_is_one_line_with_the_task_that_it_is_about() -> None:
    line = JsonFormatter().format(record(agent="a", task_id="T1", token=7, attempt=1))
    assert "\n" not in line
    said = json.loads(line)
    assert said.pop("time")
    assert said == {
        "level": "warning",
        "logger": "custody_client",
        "message": "it is\nlate",
        "agent": "a",
        "task_id": "T1",
        "token": 7,
        "attempt": 1,
    }


def test_outside_of_a_task_it_has_no_such_fields() -> None:
    said = json.loads(JsonFormatter().format(record(agent="", task_id="", token="", attempt="")))
    assert said.keys() == {"time", "level", "logger", "message"}


def test_an_exception_comes_in_the_same_object() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    try:
        json.loads("{")
    except ValueError:
        handler.emit(record(exc_info=sys.exc_info()))
    (line,) = written.getvalue().splitlines()
    assert "JSONDecodeError" in json.loads(line)["exception"]


@pytest.mark.parametrize("module", ["custody_client.cli", "custody_mcp.cli"])
def test_both_commands_take_the_option(module: str, tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "client")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "--log-format {text,json}" in shown.stdout
