"""A task's id is what people have: every command takes it as it is, and the broker has it escaped."""

import json
from pathlib import Path

import pytest

from domain.subjects import subject_token
from infra.broker.embedded import EmbeddedBroker
from infra.host.shell import EXIT_USAGE
from tests.infra.cli.conftest import Run
from tests.support.broker import Connect

IDS = [
    "owner/repo#12", "..", "*", ">", "a.b.c", "%2F", '"quoted"', "back\\slash", "{task_id}", "$x", "x" * 128, "~<&>'",
]  # fmt: skip


def entries(directory: Path) -> list[str]:
    return [each.name for each in directory.iterdir()]


@pytest.mark.parametrize("task_id", IDS)
async def test_a_life_under_any_id(task_id: str, ask: Run, tmp_path: Path) -> None:
    await ask("agent", "register", "a1")
    assert (await ask("submit", task_id, "--json")).json["result"]["task_id"] == task_id
    (lease,) = (await ask("agent", "claim", "a1", "--json")).json["result"]["leases"]
    assert lease["task_id"] == task_id
    token = str(lease["token"])
    await ask("agent", "start", "a1", task_id, "--token", token)
    await ask("agent", "progress", "a1", task_id, "--token", token, "--percent", "40")
    assert (await ask("query", "task", task_id, "--json")).json["result"]["task_id"] == task_id
    assert (await ask("explain", task_id, "--json")).json["task_id"] == task_id
    assert (await ask("at", "now", "--task", task_id)).out.startswith(f"{task_id} at ")
    await ask("agent", "complete", "a1", task_id, "--token", token)
    history = [json.loads(line) for line in (await ask("history", task_id, "--json")).lines]
    assert [each["event"] for each in history] == ["submitted", "leased", "started", "progressed", "completed"]
    assert {each["subject"] for each in history} == {f"task/{task_id}"}
    rows = [json.loads(line) for line in (await ask("audit", "--task", task_id, "--json")).lines]
    assert {row["id"] for row in rows} == {task_id}
    tailed = await ask("tail", "--after", "0", "--id", task_id, "--count", "5", "--json")
    assert [json.loads(line)["subject"] for line in tailed.lines] == [f"task/{task_id}"] * 5
    assert (await ask("query", "task", task_id, "--json")).json["result"]["status"] == "completed"
    await ask("postmortem", "--task", task_id)
    assert entries(tmp_path) == [f"postmortem-{subject_token(task_id)}.html"]
    assert (await ask("verify", "--json")).json["ok"]
    await ask("export", "log.custody")
    exported = (await ask("history", task_id, "--file", "log.custody", "--json")).lines
    assert [json.loads(line) for line in exported] == history


async def test_the_broker_has_it_escaped(ask: Run, at_broker: EmbeddedBroker, connect: Connect, pool: str) -> None:
    await ask("submit", "owner/repo#12")
    reader = await connect("operator")
    message = await reader.jetstream().get_last_msg(
        f"CUSTODY_{pool}", f"custody.{pool}.evt.task.owner%2Frepo%2312.submitted"
    )
    assert json.loads(message.data or b"")["subject"] == "task/owner/repo#12"


async def test_a_retry_of_it_is_named_after_it(ask: Run) -> None:
    await ask("submit", "owner/repo#12")
    await ask("cancel", "owner/repo#12")
    assert (await ask("retry", "owner/repo#12", "--json")).json["result"]["task_id"] == "owner/repo#12-r1"


@pytest.mark.parametrize("task_id", ["a b", "", "x" * 129, "\u00fc", "tab\there", "line\nbreak"])
async def test_what_is_no_id(task_id: str, run: Run) -> None:
    refused = await run("submit", "--task-id", task_id)
    assert refused.status == EXIT_USAGE
    assert "is no task's id: 1 to 128 printable ASCII characters without blanks" in refused.err
