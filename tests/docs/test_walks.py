"""The pages for those who write workers, walked through: files written, commands typed, handlers called."""

import importlib.util
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from custody_client import TaskFailed
from custody_client.testing import Custody
from tests.client.conftest import KEPT
from tests.docs.conftest import environment, up
from tests.docs.pages import PICTURES, blocks, read, steps
from tests.docs.terminal import Terminal
from tests.docs.walking import walk
from tests.support.cases import case
from tests.support.checkout import ROOT

WRITE, WRAP, TEST = "docs/write-a-worker.md", "docs/wrap-a-program.md", "docs/test-your-worker.md"
RESULT_S = 60.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where a reader begins: `custody` is the checkout with its environment, `reports` the reader's own directory."""
    commands = tmp_path / "custody" / ".venv" / "bin"
    commands.mkdir(parents=True)
    (commands / "custody").symlink_to(Path(sys.executable).with_name("custody"))
    for name in ("client", "bootstrap.py"):
        (tmp_path / "custody" / name).symlink_to(ROOT / name)
    (tmp_path / "reports").mkdir()
    return tmp_path


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    """The reader's environment; the command `my-agent` answers what it was asked."""
    (home / "bin").mkdir()
    agent = home / "bin" / "my-agent"
    agent.write_text('#!/bin/sh\necho "asked: $(cat)"\n')
    agent.chmod(0o755)
    found = environment()
    return {**found, "HOME": str(home), "PATH": f"{agent.parent}{os.pathsep}{found['PATH']}"}


def module_of(page: str, name: str, directory: Path) -> ModuleType:
    """Return the module that the parts of a page make."""
    code = "\n\n".join(block.text for block in blocks(read(page), f"part of {name}"))
    (directory / name).write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(Path(name).stem, directory / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.system
def test_a_worker_of_ones_own(home: Path, env: dict[str, str]) -> None:
    walk(read(WRITE), home / "reports", env)


@pytest.mark.slow
@pytest.mark.system
def test_programs_are_workers(home: Path, env: dict[str, str]) -> None:
    reports = home / "reports"
    with up(reports, "--broker-sync-interval", "2m"):
        walk(read(WRAP), reports, env)
        assert (reports / "answer-fix-17.txt").read_text() == 'asked: "Make the tests of issue 17 pass."\n'
        (block,) = blocks(read(WRAP), "crontab")
        line = block.text.split(maxsplit=5)[5].replace("\\%", "%")
        for _ in range(2):
            subprocess.run(["/bin/sh", "-c", line], env=env, check=True, timeout=RESULT_S)
        (done,) = (reports / "backups.txt").read_text().splitlines()
        assert done.startswith("backup-")
        assert done.endswith(", attempt 1")


@pytest.mark.slow
@pytest.mark.system
def test_a_worker_is_tested(home: Path, env: dict[str, str]) -> None:
    (block,) = blocks(read(TEST), "install")
    pinned = read("requirements/dev.txt")
    assert block.text.startswith("pip install ")
    assert [name for name in block.text.split()[2:] if f"\n{name}==" not in pinned] == []
    walk(read(TEST), home / "reports", env)


async def test_the_handlers_of_the_page_do_what_it_says(custody: Custody, tmp_path: Path) -> None:
    handlers = module_of(WRITE, "handlers.py", tmp_path)
    async with custody.client() as client, custody.working(handlers.worker):
        fetched = await client.submit("fetch", {"url": "https://example.org", "night": True}, lease=KEPT)
        assert await fetched.result(RESULT_S) == "fetched in attempt 2"
        for payload, said in (({"url": "ftp://a"}, "no address of the web"), ({"uri": "b"}, "does not fit Fetch")):
            with case(said), pytest.raises(TaskFailed, match=said):
                await (await client.submit("fetch", payload, lease=KEPT)).result(RESULT_S)
        assert await (await client.submit("build", lease=KEPT)).result(RESULT_S) == "built"
        assert await (await client.submit("long", 3, lease=KEPT)).result(RESULT_S) == 3
        assert await (await client.submit("measure", 3, lease=KEPT)).result(RESULT_S) == 3


def test_an_old_token_writes_nothing(tmp_path: Path) -> None:
    handlers = module_of(WRITE, "handlers.py", tmp_path)
    database = sqlite3.connect(":memory:")
    database.execute("create table pages (page integer primary key, text text, fence integer)")
    for fence in (5, 9, 9):
        handlers.write(database, 1, f"by {fence}", fence)
    with pytest.raises(RuntimeError, match="token 5 is an old one"):
        handlers.write(database, 1, "late", 5)
    assert database.execute("select text, fence from pages").fetchall() == [("by 9", 9)]
    database.close()


@pytest.mark.slow
@pytest.mark.system
def test_the_worker_is_installed_as_the_page_says(home: Path, env: dict[str, str]) -> None:
    (block,) = blocks(read(WRITE), "install")
    (home / "reports").rmdir()
    site = next(path for path in sys.path if path.endswith("site-packages"))
    # Without a network: pip finds what it builds with, and what is needed, in the environment of the tests.
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_DEPS": "1", "PYTHONPATH": site}
    first, *rest = block.text.splitlines()
    assert first.split("#", maxsplit=1)[0].split() == ["python3", "custody/bootstrap.py", "setup"]
    with Terminal(home, {**env, **offline}) as terminal:
        for line in [*rest, "python -c 'import custody_client; print(custody_client.__file__)'"]:
            shown = f"{home}/reports/.venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
            output = f"{shown}/custody_client/__init__.py" if "import" in line else ""
            terminal.type(steps(f"$ {line}\n{output}")[0], ends=True)


@pytest.mark.parametrize("page", [WRITE, WRAP, TEST])
def test_every_block_of_a_page_is_run(page: str) -> None:
    known = ("file ", "part of ", "terminal ", "from ", "install", "crontab")
    assert [
        block for block in blocks(read(page)) if not block.mark.startswith(known) and block.kind not in PICTURES
    ] == []
