"""What the README shows is what happens: its session is run on a fresh service, and outputs are compared.

Moments, durations, hashes, addresses and process ids are not; everything else is, to the letter.
"""

import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.conftest import Place, environment, up
from tests.support.checkout import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (?P<mark>[^>]+) -->\n```\w+\n(?P<text>.*?)\n```", re.DOTALL)
VARYING = [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{6})?Z", "<moment>"),
    (r"\b\d+h \d+m\b|\b\d+m \d+s\b|\b\d+(\.\d+)?m?s\b", "<duration>"),
    (r"\bin \d+[hm]\b", "in <duration>"),
    (r"\b[0-9a-f]{64}\b", "<hash>"),
    (r"127\.0\.0\.1:\d+", "<address>"),
    (r"leader \S+:\d+:\d+", "leader <process>"),
    (r"/\S+/\.custody", "<data>"),
    (r"nats-server \d+\.\d+\.\d+", "nats-server <version>"),
]


class Step(NamedTuple):
    command: str
    output: str


def blocks(mark: str) -> list[str]:
    return [match["text"] for match in BLOCK.finditer(README) if match["mark"] == mark]


def steps(text: str) -> list[Step]:
    """The commands of a console block, each with what it printed."""
    found = [part.partition("\n") for part in re.split(r"(?m)^\$ ", text) if part]
    return [Step(command, output.rstrip("\n")) for command, _, output in found]


def constant(output: str) -> str:
    """An output less what differs from run to run."""
    for pattern, name in VARYING:
        output = re.sub(pattern, name, output)
    return output.rstrip("\n")


@pytest.mark.slow
@pytest.mark.system
def test_the_first_session_is_what_happens(tmp_path: Path) -> None:
    ((command, output),) = steps(*blocks("up"))
    session = [step for text in blocks("session") for step in steps(text)]
    assert len(session) >= 7
    program, verb, *options = shlex.split(command)
    assert (program, verb) == ("custody", "up")
    with up(tmp_path, *options) as said:
        assert constant("".join(said)) == constant(output)
        fresh = Place(tmp_path, environment())
        for step in session:
            ran = fresh.run(*shlex.split(step.command))
            assert ran.returncode == 0, ran.stderr
            assert constant(ran.stdout) == constant(step.output), step.command


def test_the_code_shown_is_the_examples() -> None:
    marks = [match["mark"] for match in BLOCK.finditer(README) if match["mark"].startswith("from ")]
    assert marks == [f"from examples/{name}.py" for name in ("worker", "submit", "hello")]
    for mark in marks:
        (shown,) = blocks(mark)
        assert shown in (ROOT / mark.removeprefix("from ")).read_text()


def test_the_commands_for_a_checkout_exist(place: Place) -> None:
    for command in ("demo", "test"):
        assert f"python3 bootstrap.py {command}" in README
    listed = place.run(sys.executable, str(ROOT / "bootstrap.py"), "--help").stdout
    assert "{demo,test,setup}" in listed


def test_every_subcommand_that_the_pages_name_exists(place: Place) -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"`custody (\w+)", page.read_text(encoding="utf-8"))}
    listed = place.run("custody", "--help-all").stdout
    assert {name for name in named if not re.search(rf"(?m)^  {name} ", listed)} == set()


def test_every_path_that_the_pages_name_exists() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    places = r"`((?:domain|handlers|projections|infra|tests|docs|examples|requirements|\.ci)/[\w./-]*)`"
    named = {name for page in pages for name in re.findall(places, page.read_text(encoding="utf-8"))}
    assert {name for name in named if not (ROOT / name).exists()} == set()
