"""What ended long ago has left memory; commands that name it are answered from the log."""

from __future__ import annotations

import asyncio

import pytest

from domain.entities import EntityKey, EntityState
from domain.events.agent import Registered
from handlers.memory.lookup import Lookup
from projections.state import ended_entities
from tests.support.pool_harness import PoolHarness


@pytest.fixture(autouse=True)
def _short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_entities, "RECENT_ENTITIES", 3)


async def forget(pool: PoolHarness, prefix: str = "X") -> None:
    """Let so many tasks end that everything that ended before has left memory."""
    for number in range(4):
        await pool.submit(f"{prefix}{number}")
        await pool.given("ops.cancel", task_id=f"{prefix}{number}")


async def test_a_finished_task_is_still_known(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T", payload={"x": 1})
    await pool.given("agent.a.complete", task_id="T", token=token, result=[1])
    await forget(pool)
    assert pool.state.task("T") is None
    position = pool.position

    shown = await pool.given("query.task", task_id="T")
    assert (shown["status"], shown["payload"], shown["outcome"]["result"]) == ("completed", {"x": 1}, [1])
    assert (await pool.request("ops.submit", {"task_id": "T", "payload": {"x": 1}})).ok
    await forget(pool, "Y")
    assert (await pool.request("ops.submit", {"task_id": "T", "payload": {"x": 2}})).code == "task_exists"
    position += 8
    refusals: list[tuple[str, dict[str, object]]] = [
        ("agent.a.start", {"token": token}),
        ("agent.a.lease", {"token": token}),
        ("ops.cancel", {}),
        ("ops.requeue", {}),
        ("ops.assign", {"agent_id": "a"}),
        ("ops.revoke", {}),
        ("ops.unblock", {}),
    ]
    for subject, body in refusals:
        refused = await pool.request(subject, {"task_id": "T", **body})
        assert refused.code == "task_finished", subject
        assert refused["error"]["details"]["status"] == "completed"
    refused = await pool.request("agent.a.complete", {"task_id": "T", "token": token})
    assert refused.code == "task_finished"
    await pool.register("b")
    stolen = await pool.request("ops.steal", {"from": "a", "to": "b", "task_ids": ["T"]})
    assert stolen.code == "task_finished"
    assert pool.position == position + 1


async def test_what_comes_while_a_query_looks_is_shown_with_its_own_position(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await pool.holds("a", "T")
    await pool.given("agent.a.complete", task_id="T", token=token)
    await forget(pool)
    look_up = Lookup.entity

    async def annotated_first(self: Lookup, key: EntityKey) -> EntityState | None:
        monkeypatch.setattr(Lookup, "entity", look_up)
        noted = asyncio.Event()
        pool.on_reply = lambda _: noted.set()
        pool.post("ops.annotate", {"task_id": "T", "kind": "k", "note": "n"})
        await noted.wait()
        return await look_up(self, key)

    monkeypatch.setattr(Lookup, "entity", annotated_first)
    asked = await pool.request("query.task", {"task_id": "T"})
    assert asked["position"] == pool.position


async def test_late_reports_on_it_are_kept_and_counted(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.given("ops.cancel", task_id="T")
    for number in range(12):
        await forget(pool, f"X{number}-")
        report = {"task_id": "T", "token": token, "percent": number, "command_id": str(number)}
        assert (await pool.request("agent.a.progress", report)).code == "task_finished"
    assert pool.names().count("late_progress") == 10, "at most ten a token"
    await pool.restart()
    assert pool.service.memory.unreadable_count == 0
    await forget(pool)
    report = {"task_id": "T", "token": token, "percent": 3, "command_id": "3"}
    assert (await pool.request("agent.a.progress", report)).code == "task_finished"
    assert pool.names().count("late_progress") == 10


async def test_many_old_tasks_submitted_again_at_once_are_all_known(pool: PoolHarness) -> None:
    tasks = [f"T{number}" for number in range(12)]
    for task_id in tasks:
        await pool.submit(task_id, title="x")
        await pool.given("ops.cancel", task_id=task_id)
    position = pool.position

    asked = [pool.post("ops.submit", {"task_id": task_id, "title": "x"}) for task_id in tasks]
    await pool.rest()

    assert [each.answer.names for each in asked] == [[]] * len(tasks)
    assert pool.position == position, "no task is made twice"


async def test_a_task_that_leaves_memory_while_its_command_waits_is_looked_up_again(pool: PoolHarness) -> None:
    await pool.submit("T", title="x")
    await pool.given("ops.cancel", task_id="T")
    for number in range(4):
        await pool.submit(f"X{number}")
    assert pool.state.task("T") is not None
    with pool.log.held():
        pool.post("ops.submit")
        await pool.rest()
        for number in range(4):
            pool.post("ops.cancel", {"task_id": f"X{number}"})
        await pool.rest()
        again = pool.post("ops.submit", {"task_id": "T", "title": "x"})
    await pool.rest()

    assert again.answer.names == []


async def test_all_that_a_command_names_is_looked_up_at_once(pool: PoolHarness) -> None:
    before, turns = pool.log.reads, 20
    asked = pool.post("ops.submit_many", {"tasks": [{"task_id": f"T{number}"} for number in range(50)]})
    for _ in range(turns):
        await asyncio.sleep(0)
    assert pool.log.reads - before >= 50, "each read takes a turn at least"
    await pool.rest()
    assert len(asked.answer["events"]) == 50


async def test_an_agent_that_left_long_ago_comes_back(pool: PoolHarness) -> None:
    await pool.register("a", capacity=3)
    await pool.given("agent.a.deregister")
    await forget(pool)
    assert pool.state.agent("a") is None
    assert (await pool.request("agent.a.claim")).code == "unknown_agent"

    await forget(pool, "Y")
    await pool.register("a", capacity=4)
    token = await pool.holds("a", "T")

    assert [r.version for r in pool.events(Registered)] == [1, 3]
    await pool.restart()
    assert pool.agent("a").capacity == 4
    assert (await pool.request("agent.a.start", {"task_id": "T", "token": token})).ok


async def test_a_look_up_that_fails_is_told_and_leaves_nothing(pool: PoolHarness) -> None:
    pool.log.fail_reads(1)
    body = {"task_id": "T", "command_id": "same"}
    assert (await pool.request("ops.submit", body)).code == "unavailable"
    assert (await pool.request("ops.submit", body)).ok
    pool.log.fail_reads(1)
    assert (await pool.request("query.task", {"task_id": "never"})).code == "unavailable"
    assert (await pool.request("query.task", {"task_id": "never"})).code == "unknown_task"


async def test_a_fault_in_a_look_up_is_told_too(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_self: Lookup, _key: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Lookup, "entity", broken)
    body = {"task_id": "T", "command_id": "same"}
    assert (await pool.request("ops.submit", body)).code == "unavailable"
    assert (await pool.request("query.task", {"task_id": "never"})).code == "unavailable"
    monkeypatch.undo()
    assert "could not be answered" in caplog.text
    assert (await pool.request("ops.submit", body)).ok


async def test_a_claim_that_renewed_a_lease_is_never_told_that_nothing_was_done(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pool.holds("a", "T")
    await pool.advance(60)
    claim = pool.post("agent.a.claim", {"wait_s": 30.0})
    await pool.rest()
    assert pool.names()[-1] == "renewed"
    # The agent leaves the pool and its memory, so the claim is looked up again, and there is no room for that.
    monkeypatch.setattr(ended_entities, "RECENT_ENTITIES", 0)
    monkeypatch.setattr("handlers.service.guarded_tasks.MAX_TASKS", 0)
    await pool.given("ops.deregister", agent_id="a")
    await pool.rest()
    assert claim.answer.code == "unavailable"
    assert "unknown" in claim.answer["error"]["message"]
