"""Commands and queries against a real service: what they print, and what they end with."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS
from domain.events import EVENT_TYPES, Entity
from handlers.service import filtered_commands
from infra.broker.embedded import EmbeddedBroker
from infra.cli.terminal.refusal_text import AGENT_VERBS, OPERATOR_VERBS, refusal_text
from infra.nats.connection import NatsConnection, connect
from infra.nats.contract_client import CustodyClient
from infra.service.serving import PoolServer
from tests.infra.cli.conftest import Run, invoke


async def test_a_task_goes_from_submission_to_completion(ask: Run) -> None:
    assert (await ask("submit", "T1", "--title", "Build it", "--payload", '{"n":1}', "--label", "x")).lines == [
        "submit: task.submitted at 3",
        "task_id  T1",
        "was      new",
    ]
    await ask("agent", "register", "a1", "--capacity", "2", "--capability", "git")
    claimed = (await ask("agent", "claim", "a1", "--max", "2")).out
    assert "T1       5      1" in claimed
    assert 'payload of T1  {"n": 1}' in claimed
    progress = await ask("agent", "progress", "a1", "--task-id", "T1", "--token", "5", "--percent", "40")
    assert progress.lines[0] == "progress: task.progressed at 6"
    assert progress.lines[-1] == "directive   continue"
    assert (await ask("agent", "complete", "a1", "T1", "--token", "5", "--result", "[1]")).lines[0] == (
        "complete: task.completed at 7"
    )
    task = await ask("query", "task", "T1")
    assert "status                           completed" in task.lines


async def test_json_is_the_exact_reply(ask: Run) -> None:
    reply = (await ask("submit", "--task-id", "T1", "--json")).json
    assert reply == {
        "ok": True,
        "position": 3,
        "events": [{"type": "custody.task.submitted.v1", "position": 3}],
        "result": {"task_id": "T1", "was": "new"},
    }


async def test_an_operator_is_named_by_actor(ask: Run) -> None:
    await ask("submit", "T1", "--actor", "jo", "--command-id", "c-1")
    assert "  ops/jo  submit c-1  " in (await ask("history", "T1")).out


async def test_who_gives_no_actor_is_named_by_the_users_name(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for task_id, name, recorded in (("T1", "ann", "ops/ann"), ("T2", "Zo\u00eb A", "ops/ZoA"), ("T3", "\u4e2d", "ops")):
        monkeypatch.setenv("LOGNAME", name)
        await ask("submit", task_id)
        assert f"  submitted  {recorded}  submit  " in (await ask("history", task_id)).out
    monkeypatch.setattr("getpass.getuser", _unknown)
    await ask("submit", "unknown")
    assert "  submitted  ops  submit  " in (await ask("history", "unknown")).out


def _unknown() -> str:
    raise OSError


def takes_grants(service: PoolServer) -> bool:
    return service.pool.memory.state.pool.accepts_grants


@pytest.mark.parametrize("verb", ["drain", "pause"])
async def test_only_who_says_so_stops_the_whole_pool(ask: Run, run: Run, service: PoolServer, verb: str) -> None:
    refused = await run(verb)
    assert refused.status == 2
    assert f"needed to {verb} the whole pool" in " ".join(refused.err.replace("│", " ").split())
    assert takes_grants(service)
    await ask("agent", "register", "a1")
    assert (await run(verb, "a1", "--pool-wide")).status == 2
    await ask(verb, "a1")
    assert takes_grants(service)
    await ask(verb, "--pool-wide")
    assert not takes_grants(service)
    await ask("resume")
    assert takes_grants(service)
    await ask(verb, "--pool-wide")
    await ask("resume", "--pool-wide")
    assert takes_grants(service)
    assert (await run("resume", "a1", "--pool-wide")).status == 2


async def test_an_idempotent_repeat_answers_the_same(ask: Run) -> None:
    first, second = [await ask("submit", "T1", "--command-id", "c", "--json") for _ in range(2)]
    assert first.out == second.out


async def test_a_refusal_is_one_line_and_status_1(run: Run, service: PoolServer) -> None:
    refused = await run("cancel", "NOPE")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == "custody: unknown_task: no task NOPE was submitted to this pool\n"
    as_json = await run("cancel", "NOPE", "--json")
    assert as_json.status == 1
    assert as_json.json["error"]["code"] == "unknown_task"


def test_the_verbs_that_a_refusal_names_exist_and_write_events_that_exist() -> None:
    events = {event.name for event in EVENT_TYPES.values() if event.entity is Entity.TASK}
    for verbs, commands in ((AGENT_VERBS, AGENT_COMMANDS), (OPERATOR_VERBS, OPS_COMMANDS)):
        assert set(verbs) <= events
        assert set(verbs.values()) <= commands.keys()


def test_an_agent_is_told_of_its_own_commands() -> None:
    message = "task T1 is stuck: started is not possible from there"
    details = {"task_id": "T1", "state": "stuck", "event": "started", "allowed": ["expired", "failed", "progressed"]}
    assert refusal_text("illegal_transition", message, details, "start", of_agent=True) == (
        "illegal_transition: task T1 is stuck: `start` is not possible then; possible: fail, progress"
    )


def test_seconds_in_the_details_have_their_unit_behind_the_number() -> None:
    details = {"leader": "h:1:2", "position": 7, "unconfirmed_s": 6.2}
    assert refusal_text("unavailable", "the broker has not confirmed an append", details, "health") == (
        "unavailable: the broker has not confirmed an append (leader h:1:2, position 7, unconfirmed 6.2 s)"
    )


async def test_a_refusal_is_in_the_words_of_the_command_line(ask: Run, run: Run) -> None:
    async def said(*arguments: str) -> str:
        refused = await run(*arguments)
        assert (refused.status, refused.err.count("\n")) == (1, 1)
        return refused.err.strip().removeprefix("custody: ")

    await ask("agent", "register", "a1")
    await ask("submit", "T1", "--title", "one", "--command-id", "c")
    assert await said("unblock", "T1") == (
        "illegal_transition: task T1 is queued: `unblock` is not possible then; possible: block, cancel, complete,"
        " fail, assign, update"
    )
    assert "choose another id" in await said("submit", "T1", "--title", "two")
    assert (await said("submit", "T2", "--command-id", "c")).startswith("command_conflict: --command-id c came before")
    token = (await ask("agent", "claim", "a1", "--json")).json["result"]["leases"][0]["token"]
    assert (await said("agent", "start", "a1", "T1", "--token", "1")).startswith(
        "stale_token: token 1 is not the current one of task T1, which is assigned; stop working on it"
        f" (attempt 1, holder a1, token {token}, held since 20"
    )
    await ask("agent", "start", "a1", "T1", "--token", str(token))
    assert (await said("assign", "T1")).startswith(
        "illegal_transition: task T1 is in_progress: `assign` is not possible then; possible: block, cancel, complete,"
    )
    assert "--lease goes with --lease-mode fixed" in await said("submit", "T3", "--lease", "5s")
    for option in ("--not-before", "--delay"):
        refusal = await said("submit", "T3", "--deadline", "10m", option, "20m")
        assert f": {option}: the wait must end before the --deadline" in refusal
    as_json = await run("unblock", "T1", "--json")
    assert as_json.json["error"]["details"]["event"] == "unblocked"
    await ask("submit", "owner/repo#12")
    assert (await said("unblock", "owner/repo#12")).endswith("update")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["agent", "progress", "a1", "T1", "--token", "1", "--percent", "140"], "should be less than or equal to 100"),
        (["agent", "progress", "a1", "T1", "--token", "x", "--percent", "1"], "'--token': should be a whole number\n"),
        (["query", "tasks", "--timeout", "x"], "'--timeout': should be a number\n"),
        (["submit", "--label", ""], "Invalid value for --label: should have at least 1 character\n"),
        (["submit_many", "--tasks", '[{"task_id": "a b"}]'], "0.task_id: 'a b' is no task's id"),
        (["submit", "--deadline", "99999d"], "Invalid value for --deadline: should be less than"),
        (["submit", "--deadline-s", "99999d"], "Invalid value for --deadline-s: should be less than"),
        (["submit", "--not-before", "99999d"], "Invalid value for --not-before: should be less than"),
        (["submit", "--delay", "99999d"], "Invalid value for --delay: should be less than"),
        (["agent", "progress", "a1", "T1", "--percent", "1"], "--token"),
        (["agent", "claim"], "agent"),
        (["agent", "claim", "a 1"], "'a 1' is no name: 1 to 64 letters"),
        (["agent", "start", "a1", "--token", "1"], "needed, as TASK_ID or as --task-id"),
        (["cancel", "T1", "--task-id", "T2"], "'T2', and 'T1' without the flag"),
        (["steal", "--from", "a", "--to", "a"], "--from and --to must differ"),
        (["submit", "a b"], "Invalid value for TASK_ID: 'a b' is no task's id"),
        (["submit", "--task-id", "a b"], "Invalid value for --task-id"),
        (["submit", "--deadline", "10m", "--deadline-s", "5"], "the same was given with"),
        (["submit", "--deadline", "2999-01-01", "--deadline-s", "5"], "--deadline and --deadline-s exclude each other"),
        (
            ["submit", "--retry-delay", "9m", "--retry-max-delay", "5"],
            "--retry-max-delay must be at least --retry-delay",
        ),
        (["submit", "--stall", "10x"], "'10x' is no length of time, such as 90"),
        (["update", "T1"], "name at least one of --priority, --title, --label, --deadline, "),
        (["update", "T1", "--no-labels", "--label", "y"], "--no-labels: excludes --label"),
        (["cancel", "T1", "--dry-run"], "--task-id excludes --label, --status, --priority and --dry-run"),
        (["agent", "heartbeat", "a1", "--tasks", "[]", "--no-alive"], "leave them out with --no-alive"),
        (["drain", "--pool-wide", "--deadline", "10m"], "--deadline goes with --agent-id"),
        (["submit", "--payload", "{x"], "not JSON"),
        (["submit", "--deadline", "someday"], "--deadline"),
        (
            ["submit", "--lease-mode", "adaptive", "--lease-s", "5"],
            "--lease goes with --lease-mode fixed",
        ),
        (["query", "tasks", "--status", "odd"], "--status"),
        (["query", "health", "--pool", "a b"], "pool from --pool: 'a b' should be"),
        (["query", "health", "--config", "absent.toml"], "there is no file absent.toml"),
        (["submit", "--nosuch"], "--nosuch"),
        (["submit_many", "--tasks", '[{"task_id": "T"}, {"nosuch": 1}]'], "1.nosuch: there is no such field"),
        (["submit_many", "--tasks", '[{"priority": "odd"}]'], "0.priority: should be 'low', "),
        (["submit_many", "--tasks", "[]"], "at least 1 item"),
    ],
)
async def test_wrong_usage_is_status_2_and_sends_no_request(arguments: list[str], said: str, run: Run) -> None:
    result = await run(*arguments)
    assert (result.status, result.out) == (2, "")
    assert said in result.err


async def test_no_service_is_status_3(run: Run, pool: str, at_broker: EmbeddedBroker) -> None:
    result = await run("query", "health")
    assert result.status == 3
    assert result.err == (
        f"custody: no custody service answers for pool {pool} at {at_broker.url}; start one with `custody up`\n"
    )


async def test_no_broker_is_status_3(run: Run) -> None:
    result = await run("query", "health", "--nats", "nats://127.0.0.1:1")
    assert result.status == 3
    assert result.err == (
        "custody: cannot use the broker at nats://127.0.0.1:1: connection refused; "
        "start one with `custody up`, or name one with --nats\n"
    )


def test_without_an_address_it_is_said_where_a_broker_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.cli.session.broker_access.DEFAULT_URL", "nats://127.0.0.1:1")
    result = invoke("query", "health", "--data-dir", str(tmp_path))
    assert f"connection refused (none runs on {tmp_path}); start one with" in result.err


async def test_refused_credentials_are_status_3(run: Run) -> None:
    result = await run("query", "health", "--nats-user", "operator", "--nats-password", "wrong")
    assert result.status == 3
    assert result.err.endswith(": it refuses the credentials\n"), "and no advice to start a broker"
    assert "wrong" not in result.err


async def test_next_to_up_address_and_password_come_from_the_data_directory(
    ask: Run, at_broker: EmbeddedBroker, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUSTODY_NATS")
    monkeypatch.delenv("CUSTODY_OPERATOR_PASSWORD")
    root = str(at_broker.directory.root)
    assert (await ask("query", "health", "--data-dir", root, "--json")).json["result"]["leading"]
    port = at_broker.url.rpartition(":")[2]
    await ask("query", "health", "--data-dir", root, "--nats", f"localhost:{port}")


async def test_views_are_tables_and_pages(ask: Run) -> None:
    for task_id in ("T1", "T2", "T3"):
        await ask("submit", task_id, "--title", f"Number {task_id}")
    page = (await ask("query", "tasks", "--limit", "2")).lines
    assert page[0].split() == ["task_id", "status", "attempt", "title", "priority", "submitted_at", "status_since"]
    assert page[1].startswith("T1       queued  1        Number T1  medium    20")
    assert page[-1] == "more with --after T2"
    assert (await ask("query", "tasks", "--after", "T2")).lines[1].startswith("T3 ")
    assert (await ask("query", "tasks", "--status", "completed")).lines == ["no tasks"]
    statistics = (await ask("query", "statistics")).lines
    assert ["tasks", "queued", "3"] in [line.split() for line in statistics]
    assert (await ask("query", "leases")).lines == ["no leases"]


async def test_a_page_without_rows_that_leads_on_says_so(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.state.ended_entities.RECENT_ENTITIES", 1)
    monkeypatch.setattr("handlers.answering.ended_tasks.MAX_LOOKED_UP", 2)
    for number in range(5):
        await ask("submit", f"T{number}")
        await ask("cancel", f"T{number}")
    first, second = (await ask("query", "tasks", "--label", "x")).lines
    assert first == "no tasks on this page"
    assert second.startswith("more with --after 'ended: ")
    assert (await ask("query", "tasks", "--status", "quarantined")).lines == ["no tasks"]


async def test_who_acts_on_all_that_fit_is_told_how_to_go_on(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(filtered_commands._MOST, "cancel", 2)  # noqa: SLF001 - a thousand tasks show no more
    tasks = [{"task_id": f"T{number}", "labels": ["x"]} for number in range(3)]
    assert (await ask("submit_many", "--tasks", json.dumps(tasks))).lines == [
        "submit_many: task.submitted at 3, task.submitted at 4, task.submitted at 5",
        "tasks",
        "task_id  was",
        "T0       new",
        "T1       new",
        "T2       new",
    ]
    assert (await ask("cancel", "--label", "x", "--dry-run")).lines == [
        "cancel: a dry run, nothing was changed",
        "task_ids  T0, T1",
        "count     3",
        "more      yes",
        "one command changes 2 of the 3; give it again while others fit",
    ]
    assert (await ask("cancel", "--label", "x")).lines == [
        "cancel: task.cancelled at 6, task.cancelled at 7",
        "task_ids  T0, T1",
        "count     2",
        "more      yes",
        "others fit too: give the command again, with another --command-id if it had one",
    ]
    assert (await ask("cancel", "--label", "x")).lines[-1] == "more      no"
    assert (await ask("cancel", "--label", "x", "--dry-run")).lines == [
        "cancel: a dry run, nothing was changed",
        "count  0",
        "more   no",
    ]
    assert (await ask("cancel", "--label", "x")).lines[0] == "cancel: nothing new to record"


@pytest.mark.parametrize("terminal", [False, True], ids=["plain", "terminal"])
async def test_what_others_wrote_cannot_steer_the_terminal(ask: Run, *, terminal: bool) -> None:
    await ask("submit", "T1", "--title", "\x1b[35mred\x9b1m [bold]\nnext")
    for arguments in ("query tasks", "query task T1", "history T1", "tail --after 2 --count 1", "explain T1", "replay"):
        shown = (await ask(*arguments.split(), terminal=terminal)).out
        assert "\x1b[35m" not in shown
        assert "\x9b" not in shown
        if not terminal and arguments != "explain T1":
            assert r"\x1b[35mred\x9b1m [bold]\nnext" in shown


async def test_a_terminal_gets_relative_times_and_columns_that_fit(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    await ask("submit", "T1", "--title", "A title of some length", "--deadline-s", "90")
    shown = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in (await ask("query", "tasks", terminal=True)).lines]
    assert all(len(line) <= 60 for line in shown)
    assert "T1" in "".join(shown)
    assert "in 1m" in (await ask("query", "task", "T1", terminal=True)).out


async def test_a_wait_for_work_lengthens_the_patience(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, float] = {}
    original = CustodyClient.request

    async def spy(self: CustodyClient, *arguments: Any, **options: Any) -> dict[str, Any]:
        asked["timeout_s"] = options["timeout"]
        return await original(self, *arguments, **options)

    async def connect_spy(url: str, **options: Any) -> NatsConnection:
        asked["deadline_s"] = options["deadline_s"]
        return await connect(url, **options)

    await ask("agent", "register", "a1")
    await ask("submit", "T1")
    monkeypatch.setattr(CustodyClient, "request", spy)
    monkeypatch.setattr("infra.nats.connection.connect", connect_spy)
    await ask("agent", "claim", "a1", "--wait-s", "20", "--timeout", "3")
    assert asked == {"deadline_s": 3, "timeout_s": 23}, "only the reply is waited for longer, not the broker"


async def test_a_nested_field_goes_into_its_place(ask: Run) -> None:
    await ask("agent", "register", "a1")
    await ask("agent", "heartbeat", "a1", "--load-cpu", "95")
    rows = (await ask("query", "workloads", "--json")).json["result"]["workloads"]
    assert (rows[0]["load"]["cpu"], rows[0]["load_status"]) == (95, "overloaded")
