"""What the README shows is what happens: its session is run on a fresh service, and outputs are compared.

Moments, durations, hashes, addresses and process ids are not; everything else is, to the letter.
"""

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.docs.conftest import Place, environment, up
from tests.docs.pages import PAGES, blocks, constant, name_of, read, steps
from tests.support.checkout import ROOT

README = read("README.md")


@pytest.mark.slow
@pytest.mark.system
def test_the_first_session_is_what_happens(tmp_path: Path) -> None:
    ((command, output),) = (step for block in blocks(README, "up") for step in steps(block.text))
    session = [step for block in blocks(README, "session") for step in steps(block.text)]
    assert len(session) >= 7
    program, verb, *options = shlex.split(command)
    assert (program, verb) == ("custody", "up")
    # A service that stood still for two seconds records that, and every position after it is another one.
    with up(tmp_path, *options, "--rearm-max-s", "0", dashboard=True) as said:
        assert constant("".join(said)) == constant(output)
        fresh = Place(tmp_path, environment())
        for step in session:
            ran = fresh.run(*shlex.split(step.command))
            assert ran.returncode == 0, ran.stderr
            assert constant(ran.stdout) == constant(step.output), step.command


def test_the_code_shown_is_the_examples() -> None:
    shown = {}
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.mark.startswith("from "):
                shown[block.mark.removeprefix("from ")] = name_of(page)
                assert block.text in read(block.mark.removeprefix("from ")), block.mark
    readme = [name for name, page in shown.items() if page == "README.md"]
    assert readme == ["examples/worker.py", "examples/submit.py"]


def test_the_commands_for_a_checkout_exist(place: Place) -> None:
    for command in ("demo", "test"):
        assert f"python3 bootstrap.py {command}" in README
    listed = place.run(sys.executable, str(ROOT / "bootstrap.py"), "--help").stdout
    assert "{demo,test,setup}" in listed


def test_every_subcommand_that_the_pages_name_exists(place: Place) -> None:
    named = {name for page in PAGES for name in re.findall(r"`custody (\w+)", page.read_text(encoding="utf-8"))}
    listed = place.run("custody", "--help-all").stdout
    assert {name for name in named if not re.search(rf"(?m)^  {name} ", listed)} == set()


def test_every_path_that_the_pages_name_exists() -> None:
    places = r"`((?:domain|handlers|projections|infra|tests|docs|examples|requirements|\.ci)/[\w./-]*)`"
    named = {name for page in PAGES for name in re.findall(places, page.read_text(encoding="utf-8"))}
    assert {name for name in named if not (ROOT / name).exists()} == set()
