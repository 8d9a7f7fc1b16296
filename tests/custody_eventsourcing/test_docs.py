"""docs/eventsourcing.md from its first line to its last: its files are written, its commands typed into terminals."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.conftest import environment
from tests.docs.pages import blocks, read, steps
from tests.docs.terminal import Terminal
from tests.docs.walking import walk
from tests.support.checkout import ROOT
from tests.support.ports import free_port

PAGE = read("docs/eventsourcing.md")
BROKER, PORT = "nats-server --addr 127.0.0.1 --port 4222", "4222"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where a reader begins: beside a checkout, in which `bootstrap.py` has made the environment."""
    (tmp_path / "custody").mkdir()
    (tmp_path / "custody" / ".venv").symlink_to(sys.prefix)
    (tmp_path / "custody" / "bootstrap.py").symlink_to(ROOT / "bootstrap.py")
    return tmp_path


@pytest.fixture
def env() -> Mapping[str, str]:
    return {
        name: value
        for name, value in environment().items()
        if "NATS_" not in name and name not in {"PERSISTENCE_MODULE", "CREATE_TABLE"}
    }


@pytest.mark.slow
@pytest.mark.system
def test_the_page_is_walked_through(home: Path, env: Mapping[str, str]) -> None:
    kennel = home / "kennel"
    kennel.mkdir()
    assert BROKER in PAGE
    walk(PAGE.replace(PORT, str(free_port())), kennel, env)


@pytest.mark.system
def test_it_is_installed_as_the_page_says(home: Path, env: Mapping[str, str]) -> None:
    (block,) = blocks(PAGE, "install")
    first, *rest = block.text.splitlines()
    assert first.split("#", maxsplit=1)[0].split() == ["python3", "custody/bootstrap.py", "setup"]
    with Terminal(home, env) as terminal:
        for line in rest:
            terminal.type(steps(f"$ {line}")[0], ends=True)
        terminal.type(steps("$ pwd\n" + str(home / "kennel"))[0], ends=True)
        terminal.type(steps("$ python -c 'import custody_eventsourcing, eventsourcing'")[0], ends=True)


def test_every_block_of_the_page_is_run() -> None:
    assert [block for block in blocks(PAGE) if not block.mark.startswith(("file ", "terminal ", "install"))] == []
