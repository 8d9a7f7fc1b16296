"""The examples of the client's README, run as they stand."""

import ast
import asyncio
import os
import re
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import custody_client
from custody_client import Client
from custody_client.testing import Custody
from tests.client.conftest import Place
from tests.support.checkout import ROOT

README = (ROOT / "client" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?s)```python\n(.*?)```", README)
WORKER, CLIENT, OWN_LOOP, SYNC, TESTING = BLOCKS
RESULT_S = 60.0


@asynccontextmanager
async def running(place: Place, directory: Path, code: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that finds the pool by its environment; it is stopped at the end."""
    file = directory / "program.py"
    file.write_text(code)
    environment = {**os.environ, "CUSTODY_NATS": place.url, "CUSTODY_POOL": place.pool}
    process = await asyncio.create_subprocess_exec(
        sys.executable, file, env=environment, stdout=asyncio.subprocess.PIPE, cwd=directory
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


def wrapped(code: str) -> str:
    """Code with `async with` at its top, as a program."""
    imports = [line for line in code.splitlines() if line.startswith("from ")]
    rest = "\n".join(line for line in code.splitlines() if not line.startswith("from "))
    return "\n".join(
        [*imports, "import asyncio", "async def main():", textwrap.indent(rest, "    "), "asyncio.run(main())"]
    )


async def test_the_worker_and_the_client(place: Place, tmp_path: Path) -> None:
    report = "import sys\nfrom dataclasses import dataclass\n@dataclass\nclass Report:\n    pages: int\n"
    client = report + wrapped(CLIENT.replace("timeout_s=60))", "timeout_s=60), flush=True)"))
    (tmp_path / "client").mkdir()
    async with running(place, tmp_path, WORKER), running(place, tmp_path / "client", client) as submitted:
        assert submitted.stdout is not None
        async with asyncio.timeout(RESULT_S):
            assert await submitted.stdout.readline() == b"report.pdf\n"
    assert (await place.ask.task("report-1"))["outcome"]["result"] == "report.pdf"


async def test_the_loop_of_ones_own(place: Place, client: Client, tmp_path: Path) -> None:
    task = await client.submit("python")
    async with running(place, tmp_path, wrapped("from custody_client import Worker\n" + OWN_LOOP)):
        assert await task.result(RESULT_S) == {"commit": "4f2a"}


async def test_the_client_without_asyncio(place: Place, tmp_path: Path) -> None:
    async with running(place, tmp_path, SYNC) as program:
        assert program.stdout is not None
        async with asyncio.timeout(RESULT_S):
            while not (queued := (await place.ask.done("query.backlog"))["tasks"]):
                continue
            await place.ask.done("ops.complete", task_id=queued[0]["task_id"], result="report.pdf")
            assert await program.stdout.readline() == b"report.pdf\n"


async def test_the_test_of_a_worker(custody: Custody) -> None:
    names: dict[str, object] = {}
    for name in ("worker", "another_worker"):
        worker = custody_client.Worker(name.replace("_", "-"))

        @worker.task("report")
        async def report(job: dict[str, int], name: str = name) -> str:
            if name == "worker":
                await asyncio.Event().wait()
            return "report.pdf"

        names[name] = worker
    exec(TESTING, names)  # noqa: S102 - the page's own code
    test = names["test_a_report_survives_its_worker"]
    assert callable(test)
    await test(custody)


@pytest.mark.parametrize("code", BLOCKS)
def test_each_block_is_python(code: str) -> None:
    compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_every_public_name_is_on_the_page() -> None:
    described = "and a class for each code"
    assert described in README
    codes = {each.__name__ for each in custody_client.Refused.all_codes.values()}
    assert {name for name in custody_client.__all__ if f"`{name}`" not in README} - codes == set()
