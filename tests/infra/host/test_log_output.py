"""Log records on standard error: as text, or as JSON with one object a line, whatever is in them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.host.log_output import JsonFormatter
from tests.support.checkout import ROOT

ALWAYS = {"time", "level", "logger", "message"}


def lines(message: str, *arguments: object, **options: Any) -> list[dict[str, Any]]:
    """What a record becomes."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("custody.test")
    logger.addHandler(handler)
    try:
        logger.error(message, *arguments, **options)
    finally:
        logger.removeHandler(handler)
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_record_is_an_object_with_the_same_keys_each_time() -> None:
    (record,) = lines("task %s expired after %.1f s", "T1", 5)
    assert record.keys() == ALWAYS
    assert record["message"] == "task T1 expired after 5.0 s"
    assert (record["level"], record["logger"]) == ("error", "custody.test")
    assert record["time"].endswith("+00:00")


def test_an_exception_comes_with_its_traceback_in_the_same_object() -> None:
    with pytest.raises(ValueError, match="Expecting") as failed:
        json.loads("two\nlines")
    (record,) = lines("it failed", exc_info=failed.value, stack_info=True)
    assert record.keys() == ALWAYS | {"exception", "stack"}
    assert "json.decoder.JSONDecodeError: " in record["exception"].splitlines()[-1]


@given(st.text())
def test_hostile_text_stays_one_line_and_comes_back(text: str) -> None:
    found = lines("%s", text)
    assert [record["message"] for record in found] == [text]


@pytest.mark.parametrize("text", ["\n{}", "\u2028", "\x1b[2J", "\x00", "\u202egnp", '"}', "\ud800"], ids=ascii)
def test_what_controls_a_terminal_is_escaped(text: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, text, (), None)
    assert JsonFormatter().format(record).isprintable()


PROGRAM = """
import logging, sys, warnings
from infra.host.log_output import configure_logging, logs_json
configure_logging("info", as_json=True)
assert logs_json()
logging.getLogger("a").info("one")
logging.getLogger("a").debug("none")
warnings.warn("two")
raise RuntimeError("three")
"""


def test_each_line_of_a_process_is_an_object_to_its_very_end() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    records = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(each["level"], each["logger"]) for each in records] == [
        ("info", "a"),
        ("warning", "py.warnings"),
        ("critical", "infra.host.log_output"),
    ]
    assert "two" in records[1]["message"]
    assert records[2]["exception"].endswith("RuntimeError: three")


def test_as_text_a_record_is_a_line() -> None:
    program = """
import logging
from infra.host.log_output import configure_logging, logs_json
configure_logging("info", as_json=False)
assert not logs_json()
logging.getLogger("a").info("one\\x1b")
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert ran.stderr.endswith(r"INFO a: one\x1b" + "\n")
