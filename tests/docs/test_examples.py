"""The examples, run as their first lines say, beside a real service."""

import asyncio
import importlib.util
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import pytest

from tests.docs.conftest import Place
from tests.docs.pages import read
from tests.support.checkout import ROOT
from tests.system.caller import Caller

pytestmark = pytest.mark.system
EXAMPLES = ROOT / "examples"
WORKER = "worker.py"
"""Unlike the other examples it waits for a service that is not there yet."""
ENDLESS: dict[str, Any] = {"steps": 1_000_000, "step_s": 0.05}
"""Longer than any test: it ends when the test says so."""
AGENT, WATCH = str(EXAMPLES / "agent.py"), str(EXAMPLES / "submit_and_watch.py")


@contextmanager
def working(place: Place, name: str) -> Iterator[subprocess.Popen[str]]:
    """An agent at work; it must end well when it is asked to."""
    agent = place.start(sys.executable, AGENT, name)
    try:
        yield agent
    finally:
        agent.send_signal(signal.SIGTERM)
        output = agent.communicate(timeout=30)[0]
        assert agent.returncode == 0, output
        assert output.endswith(f"{name}: left\n"), output


def heard(agent: subprocess.Popen[str], words: str) -> str:
    """Read what the agent says until it says these words; return that line."""
    assert agent.stdout is not None
    for line in agent.stdout:
        if words in line:
            return line
    raise AssertionError(f"the agent never said {words!r}")


def ask(place: Place, subject: str, **body: Any) -> Any:
    """Ask the service as its operator, and return the result."""

    async def asked() -> Any:
        url = json.loads((place.path / ".custody" / "broker.json").read_text())["url"]
        password = json.loads((place.path / ".custody" / "credentials.json").read_text())["operator"]
        nc = await nats.connect(url, user="operator", password=password, inbox_prefix=b"_INBOX.operator")
        try:
            return await Caller(nc, "default").done(subject, body)
        finally:
            await nc.close()

    return asyncio.run(asked())


def submitted(place: Place, *, failures: int = 3, **payload: Any) -> str:
    definition = {"required_capabilities": ["example"], "payload": payload, "budgets": {"failures": failures}}
    task_id: str = ask(place, "ops.submit", **definition)["task_id"]
    return task_id


def task(place: Place, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(place, "query.task", task_id=task_id)
    return found


def test_an_agent_completes_what_is_submitted_and_the_watcher_sees_it(place: Place) -> None:
    with working(place, "alice") as agent:
        watched = place.run(sys.executable, WATCH, "3")
        heard(agent, "completed")
    assert watched.returncode == 0, watched.stdout + watched.stderr
    seen = [line.split() for line in watched.stdout.splitlines()]
    of_watcher = {subject for _, _, subject, name, actor in seen if name == "submitted" and actor == "ops/example"}
    # The agent may also take what another test left in the queue.
    assert len([subject for _, _, subject, name, _ in seen if name == "completed" and subject in of_watcher]) == 3
    positions = [int(position) for position, *_ in seen]
    assert positions == list(range(positions[0], positions[0] + len(positions)))


def test_an_agent_that_is_asked_to_end_gives_its_task_back_and_the_next_one_goes_on(place: Place) -> None:
    task_id = submitted(place, **ENDLESS)
    with working(place, "bob") as agent:
        heard(agent, f"began {task_id}")
        while not task(place, task_id)["lease"]["reports"]:
            pass
    done = task(place, task_id)["handoff"]["last_checkpoint"]["done"]
    assert done > 0
    with working(place, "carol") as agent:
        assert f"attempt 2, at step {done}" in heard(agent, f"began {task_id}")
        ask(place, "ops.cancel", task_id=task_id)
        heard(agent, f"lost {task_id}")


def loaded(path: str) -> Any:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location("example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_watcher_sees_what_happened_before_it_subscribed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(place.path / ".custody"))
    watcher = loaded(WATCH)

    async def watched() -> list[str]:
        nc = await watcher.connect()
        names = []
        try:
            start = (await watcher.ask(nc, "query.health"))["position"]
            task_id = (await watcher.ask(nc, "ops.submit"))["result"]["task_id"]
            await watcher.ask(nc, "ops.cancel", task_id=task_id)
            async with asyncio.timeout(20):
                async for event in watcher.events(nc, start):
                    names += [event["type"].split(".")[2]] if event["subject"] == f"task/{task_id}" else []
                    if names[-1:] == ["cancelled"]:
                        return names
        finally:
            await nc.close()
        return names

    assert asyncio.run(watched()) == ["submitted", "cancelled"]


def test_an_agent_does_not_stop_a_lease_for_an_order_on_an_earlier_one() -> None:
    agent = loaded(AGENT).Agent(None, "gail")
    asked = []

    async def ask(verb: str, **_: Any) -> dict[str, Any]:
        asked.append(verb)
        return {"directive": "continue"}

    agent.ask = ask
    agent.orders = {"T": "stop"}
    payload = {"steps": 2, "step_s": 0.0}
    asyncio.run(agent.work({"task_id": "T", "token": 9, "attempt": 2, "payload": payload, "handoff": None}))
    assert asked == ["progress", "progress", "complete"]


def test_an_agent_reports_a_failure(place: Place) -> None:
    task_id = submitted(place, steps=1, fail="no such thing", failures=1)
    with working(place, "dave") as agent:
        heard(agent, f"failed {task_id}")
    assert task(place, task_id)["status"] == "failed"


def test_an_agent_hands_over_when_it_drains(place: Place) -> None:
    task_id = submitted(place, **ENDLESS)
    with working(place, "erin") as agent:
        heard(agent, f"began {task_id}")
        ask(place, "ops.drain", agent_id="erin")
        heard(agent, f"released {task_id}")
        ask(place, "ops.cancel", task_id=task_id)


def test_an_agent_lets_go_of_what_it_has_lost(place: Place) -> None:
    task_id = submitted(place, **ENDLESS)
    with working(place, "frank") as agent:
        heard(agent, f"began {task_id}")
        ask(place, "ops.cancel", task_id=task_id)
        heard(agent, f"lost {task_id}")


def test_hello(place: Place) -> None:
    # Its agent claims whatever waits, and another page's tasks have no payload of its kind.
    ask(place, "ops.cancel", status="queued")
    for _ in range(2):
        hello = place.run(sys.executable, str(EXAMPLES / "hello.py"))
        assert hello.returncode == 0, hello.stderr
        assert re.search(r"^agent\.alice\.complete -> .*'status': 'completed'", hello.stdout, re.MULTILINE)
    ask(place, "agent.alice.deregister")


def test_the_examples_use_nothing_of_custodys_own_code() -> None:
    for path in EXAMPLES.glob("*.py"):
        imported = {line.split()[1].split(".")[0] for line in path.read_text().splitlines() if _imports(line)}
        assert not imported & {each.name for each in ROOT.iterdir() if each.is_dir()}, path


def _imports(line: str) -> bool:
    return line.startswith(("import ", "from "))


WORKERS = {
    "worker": (sys.executable, str(EXAMPLES / "worker.py")),
    "shell": ("custody-worker", "exec", "--agent", "shell-1", "--kind", "report", "--", str(EXAMPLES / "report.sh")),
}


@pytest.mark.parametrize(("worker", "file"), [("worker", "report.pdf"), ("shell", "report.txt")])
def test_a_worker_of_the_library_makes_what_is_submitted(place: Place, worker: str, file: str) -> None:
    working = place.start(*WORKERS[worker])
    try:
        submitted = place.run(sys.executable, str(EXAMPLES / "submit.py"), "3")
    finally:
        working.send_signal(signal.SIGTERM)
        output = working.communicate(timeout=30)[0]
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr + output
    assert submitted.stdout.startswith(f"{file}\n")
    assert "completed at" in submitted.stdout
    assert "page 3" in output
    assert working.returncode == 0, output


def test_every_example_is_named_in_the_readme_or_among_the_raw_subjects() -> None:
    named = read("README.md") + read("docs/raw-subjects.md")
    assert [path.name for path in Path(EXAMPLES).glob("*.py") if f"examples/{path.name}" not in named] == []


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != WORKER))
def test_an_example_without_a_service_says_what_to_start(example: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, EXAMPLES / example], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert "custody up" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_the_worker_waits_for_a_service_and_says_what_to_start(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, EXAMPLES / WORKER], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as ran:
        assert ran.stderr is not None
        said = ran.stderr.readline()
        ran.terminate()
        rest = ran.stderr.read()
    assert "waiting" in said
    assert "custody up" in said
    assert rest == ""
    assert ran.returncode == 0
