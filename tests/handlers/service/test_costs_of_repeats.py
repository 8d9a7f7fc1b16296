"""A repeat costs what its own events cost, a look-up is shared and kept, and neither holds up others."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events import task as ev
from handlers.memory import log_reads
from projections.state import ended_entities
from tests.support.pool_harness import Asked, PoolHarness, Reply

REPORTS = 600
LONG = {"lease": {"mode": "fixed", "lease_s": 10_000.0, "grace_s": 5.0}}


class LongTask:
    """A task with a long history, and the first answers of its commands by their id."""

    def __init__(self, pool: PoolHarness) -> None:
        self.pool = pool
        self.first: dict[str, tuple[str, dict[str, Any], Reply]] = {}

    async def ask(self, command_id: str, subject: str, **body: Any) -> Reply:
        """Send a command, and remember its answer."""
        body |= {"command_id": command_id}
        reply = await self.pool.request(subject, body)
        self.first[command_id] = (subject, body, reply)
        return reply

    async def again(self, command_id: str) -> tuple[int, int]:
        """Repeat a command, check its answer; return how many reads it took, and how many messages these held."""
        subject, body, first = self.first[command_id]
        log = self.pool.log
        reads, messages = log.reads, log.messages_matched
        assert (await self.pool.request(subject, body)).raw == first.raw
        return log.reads - reads, log.messages_matched - messages


async def worked_on(pool: PoolHarness, reports: int = REPORTS) -> LongTask:
    """Return a task of two attempts that was reported on so often, with an announced silence in the middle."""
    task = LongTask(pool)
    await pool.register("a", "b")
    await pool.submit("T", payload={"n": 1}, **LONG)
    for attempt in (1, 2):
        lease = (await task.ask(f"claim {attempt}", "agent.a.claim"))["result"]["leases"][0]
        body = {"task_id": "T", "token": lease["token"]}
        await task.ask(f"start {attempt}", "agent.a.start", **body)
        for number in range(reports // 2):
            await task.ask(f"report {attempt} {number}", "agent.a.progress", **body, percent=40, message="compiling")
        await task.ask(f"silence {attempt}", "agent.a.silence", **body, for_s=10.0, reason="build")
        await pool.advance(2_000)
        await pool.given("agent.a.lease", **body)
        if attempt == 1:
            await task.ask("revoke", "ops.revoke", task_id="T", reason="mine")
    body = {"task_id": "T", "token": pool.lease("T").token}
    await task.ask("complete", "agent.a.complete", **body, result=[1])
    await task.ask("late", "agent.a.progress", task_id="T", token=task.first["claim 1"][2].result["leases"][0]["token"])
    return task


async def test_a_repeat_reads_no_reports_that_are_not_its_own(pool: PoolHarness) -> None:
    task = await worked_on(pool)
    assert len(pool.events(ev.Progressed)) == REPORTS
    await pool.restart()

    for command_id, (subject, _, first) in task.first.items():
        assert first.ok or command_id == "late"
        reads, messages = await task.again(command_id)
        assert messages <= 20, (command_id, messages)
        assert reads <= 10 + 2 * len(first.get("events", ())), (command_id, subject, reads)


async def test_a_repeated_report_reads_its_own_event_only(pool: PoolHarness) -> None:
    task = await worked_on(pool)
    await pool.restart()

    assert await task.again("report 2 17") == (1, 0)
    assert await task.again("complete") == (2, 0), "its own event and the grant"


async def test_repeats_at_once_share_one_look_up(pool: PoolHarness) -> None:
    task = await worked_on(pool, reports=20)
    await pool.restart()
    subject, body, first = task.first["claim 2"]
    reads = pool.log.reads

    asked = [pool.post(subject, body) for _ in range(log_reads.MAX_REQUESTS)]
    await pool.rest()

    assert {each.answer.raw for each in asked} == {first.raw}
    assert pool.log.reads - reads < log_reads.MAX_REQUESTS


@pytest.fixture
def _short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_entities, "RECENT_ENTITIES", 1)


async def ended(pool: PoolHarness) -> LongTask:
    """Return a long task that has ended and left memory."""
    task = await worked_on(pool)
    await pool.submit("other")
    await pool.given("ops.cancel", task_id="other")
    assert pool.state.task("T") is None
    return task


@pytest.mark.usefixtures("_short_memory")
async def test_a_look_up_of_what_ended_is_shared_and_kept(pool: PoolHarness) -> None:
    await ended(pool)
    messages = pool.log.messages_matched

    asked = [pool.post("query.task", {"task_id": "T"}) for _ in range(50)]
    asked += [pool.post("ops.cancel", {"task_id": "T"}) for _ in range(50)]
    await pool.rest()

    assert {each.answer.code for each in asked} == {None, "task_finished"}
    history = sum(recorded.entity_id == "T" for recorded in pool.records())
    assert pool.log.messages_matched - messages == history
    await pool.given("query.task", task_id="T")
    assert pool.log.messages_matched - messages == history


@pytest.mark.usefixtures("_short_memory")
async def test_what_is_kept_follows_later_events(pool: PoolHarness) -> None:
    task = await ended(pool)
    before = await pool.given("query.task", task_id="T")
    token = task.first["claim 1"][2].result["leases"][0]["token"]
    await pool.request("agent.a.progress", {"task_id": "T", "token": token, "percent": 77})
    await pool.submit("another")
    await pool.given("ops.cancel", task_id="another")
    assert pool.state.task("T") is None
    messages = pool.log.messages_matched

    after = await pool.given("query.task", task_id="T")

    assert after["version"] == before["version"] + 1
    assert after["former_leases"][0]["late_reports"] == before["former_leases"][0]["late_reports"] + 1
    assert pool.log.messages_matched - messages <= 1, "only what is new is read"


@pytest.mark.usefixtures("_short_memory")
async def test_commands_are_carried_out_while_a_long_history_is_read(pool: PoolHarness) -> None:
    await ended(pool)
    answered: list[Asked] = []
    pool.on_reply = answered.append

    queries = [pool.post("query.task", {"task_id": "T"}) for _ in range(3)]
    commands = [pool.post("ops.submit", {"task_id": f"N{number}"}) for number in range(3)]
    await pool.rest()

    assert {id(each) for each in answered[:3]} == {id(each) for each in commands}
    assert all(each.answer.ok for each in (*queries, *commands))
