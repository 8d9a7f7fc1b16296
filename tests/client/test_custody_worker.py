"""The command `custody-worker`: any program as a worker, workers of modules, lengths, and starting anew."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from custody_client import Client, Held, Retry, TaskFailed, Worker
from custody_client.cli import load, main
from custody_client.lengths import seconds
from custody_client.program import Program
from tests.client.conftest import Place, eventually
from tests.support.process_state import is_running

RESULT_S = 60.0


@pytest.fixture
def out() -> io.StringIO:
    """What programs print beside their reports."""
    return io.StringIO()


@asynccontextmanager
async def program(place: Place, script: str, out: io.StringIO) -> AsyncIterator[Worker]:
    """A worker that runs a shell script for each task."""
    ran = Program(["sh", "-c", script], kill_after_s=2.0, out=out)
    worker = place.worker()

    @worker.task("sh")
    async def run(held: Held[Any]) -> Any:
        return await ran.work(held)

    async with place.working(worker):
        yield worker


async def test_a_program_gets_its_task_and_what_it_prints_is_its_report(
    place: Place, client: Client, out: io.StringIO
) -> None:
    script = """
        echo "in: $(cat)"; echo "file: $(cat "$CUSTODY_PAYLOAD")"
        echo "$CUSTODY_TASK_ID $CUSTODY_ATTEMPT at '$CUSTODY_CHECKPOINT' $CUSTODY_TITLE"
        echo "::progress 40 tests green"
        echo '::checkpoint {"page": 3}'
        echo "::quiet 600 a long build"
        echo "::progress many"
        echo "::unknown"
        echo '::result {"file": "report.pdf"}'
        printf 'no newline'
    """
    async with program(place, script, out):
        task = await client.submit("sh", {"pages": 3}, task_id="T", title="A report")
        assert await task.result(RESULT_S) == {"file": "report.pdf"}
    assert out.getvalue().splitlines() == [
        'in: {"pages":3}',
        'file: {"pages":3}',
        "T 1 at '' A report",
        "::progress many",
        "::unknown",
        "no newline",
    ]
    seen = [(event.name, event.data) async for event in client_events(client, "T")]
    reports = [data for name, data in seen if name == "progressed"]
    assert (reports[0]["percent"], reports[0]["message"]) == (40, "tests green")
    assert (reports[-1]["percent"], reports[-1]["checkpoint"]) == (40, {"page": 3})
    assert [data["reason"] for name, data in seen if name == "silenced"] == ["a long build"]


async def client_events(client: Client, task_id: str) -> AsyncIterator[Any]:
    async for event in client.watch(task_id=task_id, after=0):
        yield event
        if event.name == "completed":
            return


@pytest.mark.parametrize(
    ("script", "said", "failures"),
    [
        pytest.param("echo no disk >&2; exit 3", "exit status 3: no disk", 2, id="any status: it is tried again"),
        pytest.param("exit 65", "exit status 65", 1, id="65: it failed for good"),
        pytest.param("kill -9 $$", "ended by signal 9", 2, id="a signal"),
    ],
)
async def test_an_exit_status_is_an_outcome(
    place: Place, client: Client, out: io.StringIO, script: str, said: str, failures: int
) -> None:
    async with program(place, script, out):
        task = await client.submit("sh", retry=Retry(2, delay_s=0))
        with pytest.raises(TaskFailed, match=said):
            await task.result(RESULT_S)
        assert (await task.state()).attempt == failures


async def test_status_75_gives_the_task_back_with_its_checkpoint(
    place: Place, client: Client, out: io.StringIO
) -> None:
    script = 'echo "::checkpoint 7"; [ "$CUSTODY_CHECKPOINT" = 7 ] || exit 75; echo "::result $CUSTODY_ATTEMPT"'
    async with program(place, script, out):
        task = await client.submit("sh")
        assert await task.result(RESULT_S) == 2
    state = await task.state()
    assert (state.failures, state.releases) == (0, 1)


async def test_a_program_that_cannot_be_started_fails_the_task(place: Place, client: Client) -> None:
    ran = Program(["no-such-program"], kill_after_s=1.0)
    worker = place.worker()
    worker.task("sh", retry=Retry(1))(ran.work)
    async with place.working(worker):
        task = await client.submit("sh")
        with pytest.raises(TaskFailed, match="FileNotFoundError"):
            await task.result(RESULT_S)


async def test_a_program_that_ignores_sigterm_is_killed(place: Place, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    ran = Program(["sh", "-c", f"trap '' TERM; echo $$ > {file}; while :; do sleep 0.05; done"], kill_after_s=0.2)
    worker = place.worker()
    worker.task("sh")(ran.work)
    async with place.working(worker):
        task = await client.submit("sh")
        await eventually(lambda: file.exists() and bool(file.read_text().strip()))
        await task.cancel()
        await eventually(lambda: not is_running(int(file.read_text())))


async def test_it_works_as_a_command_and_drains(place: Place, client: Client) -> None:
    environment = {**os.environ, "CUSTODY_NATS": place.url, "CUSTODY_POOL": place.pool}
    command = (Path(sys.executable).with_name("custody-worker"), "exec", "--agent", "sh-1", "--kind", "sh")
    process = await asyncio.create_subprocess_exec(
        *command, "--drain", "0s", "--", "sh", "-c", 'echo "::result $(cat)"', env=environment
    )
    assert await (await client.submit("sh", 7)).result(RESULT_S) == 7
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert not (await place.ask.done("query.agents", agent_id="sh-1"))["agents"]


async def test_a_burst_ends_when_nothing_is_left(place: Place, client: Client, tmp_path: Path) -> None:
    (tmp_path / "my_tasks.py").write_text(
        "from custody_client import Worker\n"
        "worker = Worker()\n"
        "@worker.task('k')\n"
        "def k(job: int) -> int:\n"
        "    return job + 1\n"
    )
    tasks = [await client.submit("k", number) for number in range(5)]
    environment = {**os.environ, "CUSTODY_NATS": place.url, "CUSTODY_POOL": place.pool, "CUSTODY_AGENT": "w1"}
    command = (sys.executable, "-m", "custody_client.cli", "my_tasks:worker", "--burst", "--slots", "2")
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=environment)
    assert await process.wait() == 0
    assert [await task.result(RESULT_S) for task in tasks] == [1, 2, 3, 4, 5]


async def test_it_starts_again_when_a_file_changes(place: Place, client: Client, tmp_path: Path) -> None:
    lines = ("from custody_client import Worker", "worker = Worker()", "@worker.task('k')", "async def k() -> str:")
    source = "\n".join([*lines, "    return {!r}", ""])
    file = tmp_path / "my_tasks.py"
    file.write_text(source.format("before"))
    environment = {**os.environ, "CUSTODY_NATS": place.url, "CUSTODY_POOL": place.pool, "CUSTODY_AGENT": "w1"}
    command = (sys.executable, "-m", "custody_client.cli", "my_tasks.py:worker", "--reload", "--drain", "0s")
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=environment)
    assert await (await client.submit("k")).result(RESULT_S) == "before"
    file.write_text(source.format("after"))
    async with asyncio.timeout(RESULT_S):
        while True:
            if await (await client.submit("k")).result(RESULT_S) == "after":
                break
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("text", "length_s"), [("60", 60), ("60s", 60), ("10m", 600), ("1.5h", 5400), ("500ms", 0.5), ("1d", 86400)]
)
def test_lengths_are_written_as_people_do(text: str, length_s: float) -> None:
    assert seconds(text) == length_s


@pytest.mark.parametrize("text", ["", "soon", "10 apples", "-5s"])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no length of time"):
        seconds(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["exec", "--agent", "a"], "name the program behind `--`"),
        (["no_such_module:worker"], "No module named"),
        (["no_such_file.py:worker"], "there is no file"),
        (["json:dumps"], "and no Worker"),
        (["json:worker"], "has no attribute"),
        (["json:dumps", "--drain", "soon"], "is no length of time"),
    ],
)
def test_wrong_usage_is_said(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custody_client.cli._set_up_logging", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_worker_is_found_in_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_sync.py").write_text("from custody_client import SyncWorker\nworker = SyncWorker('s')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert load("of_sync.py").name == "s"
