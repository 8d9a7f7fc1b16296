"""The demo, compared with the log that it leaves; and its check, on logs that must fail it."""

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from custody_demo import DEFAULT_AGENTS, DEFAULT_SECONDS, DEFAULT_SEED, DEFAULT_TASKS
from custody_demo.demo import conclude, run_demo
from custody_demo.incidents import UNLOGGED, Incident, Tally
from custody_demo.kept_demo import CONFIG
from custody_demo.log_check import LogInspection, inspect_log
from custody_demo.plan import Script, limits_problem, make_plan
from custody_demo.summary import DemoResult, percentile
from handlers.ports import StoredMessage
from infra.broker.embedded import EmbeddedBroker
from infra.codec import CloudEventsCodec
from infra.host.shell import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from infra.nats.auth import Auth
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.settings.settings import Settings
from tests.infra.cli.conftest import invoke
from tests.support.broker import FAST
from tests.support.cases import case
from tests.support.checkout import ROOT
from tests.support.scenario import OPS, Scenario

POOL = "shown"
AGENTS, TASKS, SECONDS = 10, 60, 9.0
TOLD = ("crashed, holding", "fell silent", "is back", "started again", "is refused, stale_token", "goes on at")
DATA_DIR = re.compile(r"^kept in +(\S+)$", re.MULTILINE)


def _left_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def _inspected(data_dir: Path) -> LogInspection:
    """Read a kept demo's log with a broker of our own."""
    settings = Settings(pool=POOL)
    inspection = LogInspection(POOL, settings.rules(), CloudEventsCodec(POOL))
    async with EmbeddedBroker(data_dir, FAST) as broker:
        user = broker.credentials("operator")
        connection = await connect(broker.url, name="test", auth=Auth(user=user["user"], password=user["password"]))
        log = await NatsEventLog.open(connection, POOL)
        await inspect_log(inspection, log)
        await log.close()
        await connection.close()
    return inspection


class Shown(NamedTuple):
    """A demo that has ended."""

    data_dir: Path
    log: LogInspection
    missing: list[str]
    """What did not happen, or was not told."""


async def _shown(seconds: float, capsys: pytest.CaptureFixture[str]) -> Shown:
    settings = Settings(pool=POOL, broker_sync_interval="2m")
    status = await run_demo(settings, agents=AGENTS, tasks=TASKS, seconds=seconds, seed=DEFAULT_SEED, keep=True)
    output = capsys.readouterr()
    assert status == EXIT_OK, output
    assert "passed: all " in output.out
    assert "\x1b" not in output.out, "no colour codes without a terminal"
    assert len(output.out.splitlines()) < 5 * len(Incident) + 40, "the lines of each kind are limited"
    kept = DATA_DIR.search(output.out)
    assert kept is not None
    log = await _inspected(Path(kept[1]))
    missing = [kind.value for kind in Incident if kind not in UNLOGGED and not log.tally[kind]]
    missing += [each for each in TOLD if each not in output.out]
    if len(log.statuses) < TASKS:
        missing.append(f"{TASKS - len(log.statuses)} submissions")
    return Shown(Path(kept[1]), log, missing)


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_everything_that_can_happen_happens_and_the_log_stands_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    demo = await _shown(SECONDS, capsys)
    if demo.missing:
        # On a busy machine a short run ends before all was submitted, or an agent is too late for what it was to do.
        demo = await _shown(4 * SECONDS, capsys)
    assert not demo.missing, f"never happened: {demo.missing}"

    config = str(demo.data_dir / CONFIG)
    page = tmp_path / "demo.html"
    asked = await asyncio.to_thread(invoke, "postmortem", "--config", config, "--output", str(page))
    assert (asked.status, page.exists()) == (0, True), asked.err
    shown = json.loads((await asyncio.to_thread(invoke, "config", "--config", config, "--json")).out)
    assert (shown["pool"]["value"], shown["stuck_threshold_s"]["from"]) == (POOL, config)
    replayed = json.loads((await asyncio.to_thread(invoke, "whatif", "--config", config, "--json")).out)
    assert replayed["agreement"]["whole"], replayed["agreement"]
    assert replayed["agreement"]["recorded"] == demo.log.tally[Incident.EXPIRED] > 0
    assert (await asyncio.to_thread(invoke, "whatif", "--config", config)).err == ""


@pytest.mark.system
async def test_it_does_not_begin_in_a_directory_that_is_in_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broker").mkdir()
    status = await run_demo(Settings(), agents=8, tasks=60, seconds=8, seed=1, keep=True, into=tmp_path)
    assert status == EXIT_FAILED
    assert capsys.readouterr().err == (
        f"custody: {tmp_path} is not empty: a demonstration begins with an empty directory\n"
    )


@pytest.mark.system
async def test_a_size_that_cannot_be_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert await run_demo(Settings(), agents=1, tasks=60, seconds=8, seed=1, keep=False) == EXIT_USAGE
    assert "8 to 200 agents, not 1" in capsys.readouterr().err
    assert not _left_in(tmp_path)


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_an_interrupt_or_a_closed_terminal_ends_it_and_nothing_is_left(
    number: signal.Signals, tmp_path: Path
) -> None:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.cli.main", "demo", "--seconds", "30"),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(60):
            assert running.stdout
            while not (await running.stdout.readline()).startswith(b"broker "):
                assert running.returncode is None
            assert _left_in(tmp_path)
            running.send_signal(number)
            output, errors = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert (running.returncode, errors) == (EXIT_INTERRUPTED, b"")
    assert output.endswith(b"interrupted; the broker is stopped\n")
    assert not _left_in(tmp_path)


@pytest.mark.parametrize(
    ("agents", "tasks", "seconds"),
    [(DEFAULT_AGENTS, DEFAULT_TASKS, DEFAULT_SECONDS), (8, 50, 6.0), (200, 5_000, 600.0), (50, 50, 30.0)],
)
def test_every_script_has_its_task_in_every_plan(agents: int, tasks: int, seconds: float) -> None:
    assert limits_problem(agents, tasks, seconds) is None
    plan = make_plan(agents=agents, tasks=tasks, seconds=seconds, seed=DEFAULT_SEED)
    assert {task.body["payload"]["script"] for task in plan.tasks} == set(Script)
    assert (len(plan.tasks), len(plan.agents)) == (tasks, agents)
    assert len(set(plan.task_ids)) == tasks
    assert len({agent.name for agent in plan.agents}) == agents
    plan.timings.settings(Settings()).rules()


def test_a_seed_gives_one_plan() -> None:
    def plan(seed: int) -> object:
        return make_plan(agents=20, tasks=300, seconds=40, seed=seed)

    assert plan(1) == plan(1)
    assert plan(1) != plan(2)


def test_percentiles() -> None:
    hundred = [float(n) for n in range(100, 0, -1)]
    assert (percentile(hundred, 0.99), percentile(hundred, 0.5), percentile([], 0.5)) == (99.0, 50.0, 0.0)


@pytest.fixture
def scenario() -> Scenario:
    """A pool with a finished task and one that is being worked on."""
    s = Scenario()
    s.given("ada", "register", capacity=2)
    s.given(OPS, "submit", task_id="T1")
    s.given(OPS, "submit", task_id="T2")
    token = s.given("ada", "claim", max=2).result["leases"][0]["token"]
    s.given("ada", "complete", task_id="T1", token=token)
    return s


def _verdict_status(scenario: Scenario, messages: list[StoredMessage], *submitted: str) -> int:
    inspection = LogInspection("default", scenario.rules, CloudEventsCodec("default"))
    for message in messages:
        inspection.take(message)
    verdict = inspection.verdict(submitted, scenario.state)
    plan = make_plan(agents=20, tasks=300, seconds=40, seed=1)
    return conclude(DemoResult(plan, verdict, Tally(), {}, [0.001], 1.0, durable=True))


def test_an_honest_log_passes(scenario: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    assert _verdict_status(scenario, scenario.messages, "T1", "T2") == EXIT_OK
    printed = capsys.readouterr().out
    assert "still open when time was up: T2 (assigned)" in printed
    assert max(map(len, printed.splitlines())) < 80


def test_a_submission_that_was_not_answered_may_be_in_the_log_or_not(scenario: Scenario) -> None:
    inspection = LogInspection("default", scenario.rules, CloudEventsCodec("default"))
    for message in scenario.messages:
        inspection.take(message)
    for unanswered in ((), ("T3",), ("T2", "T3")):
        with case(str(unanswered)):
            submitted = [task_id for task_id in ("T1", "T2") if task_id not in unanswered]
            assert inspection.verdict(submitted, scenario.state, unanswered=unanswered).ok


def _changed(messages: list[StoredMessage]) -> list[StoredMessage]:
    last = messages[-1]
    body = last.body.replace(b'"actor":"agent/ada"', b'"actor":"agent/bob"')
    assert body != last.body
    return [*messages[:-1], StoredMessage(last.position, last.subject, body, last.headers)]


@pytest.mark.parametrize(
    ("tamper", "submitted", "finding"),
    [
        pytest.param(_changed, ("T1", "T2"), "Custody-Hash is", id="a changed event"),
        pytest.param(lambda log: log[:-1], ("T1", "T2"), "and the log ends at", id="a cut-off tail"),
        pytest.param(lambda log: [*log[:2], *log[3:]], ("T1", "T2"), "position 3 is missing", id="a removed event"),
        pytest.param(lambda log: log, ("T1", "T2", "T3"), "task T3 was accepted, but is not", id="a lost task"),
        pytest.param(
            lambda log: log, ("T1",), "task T2 is in the log, but was not", id="a task that was not submitted"
        ),
    ],
)
def test_a_log_that_is_not_what_it_should_be_gives_status_1_and_the_first_finding(
    scenario: Scenario,
    capsys: pytest.CaptureFixture[str],
    tamper: Callable[[list[StoredMessage]], list[StoredMessage]],
    submitted: tuple[str, ...],
    finding: str,
) -> None:
    assert _verdict_status(scenario, tamper(list(scenario.messages)), *submitted) == EXIT_FAILED
    output = capsys.readouterr()
    assert "FAILED" in output.out
    assert "passed" not in output.out
    assert output.err.startswith("custody: the check failed: ")
    assert finding in output.err


def test_a_service_whose_memory_differs_from_its_log_gives_status_1(
    scenario: Scenario, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = scenario.state.tasks["T2"]
    monkeypatch.setitem(scenario.state.tasks, "T2", replace(task, attempt=7))
    assert _verdict_status(scenario, scenario.messages, "T1", "T2") == EXIT_FAILED
    assert "the service's task T2 differs from the fold of the log" in capsys.readouterr().err
