"""Queries of statistics, steals and health."""

from __future__ import annotations

import pytest

from domain.hash_chain import chain_hash
from handlers.ports import NewMessage
from tests.support.pool_harness import PoolHarness

HEALTH = {"leader", "leading", "position", "lag", "live_tasks", "agents", "unreadable_events", "guarantees"}


async def test_statistics_tell_failures_steals_loads_durations_and_findings(pool: PoolHarness) -> None:
    tokens = {task_id: await pool.holds("a", task_id, budgets={"failures": 1}) for task_id in ("done", "bad", "worse")}
    await pool.submit("late", deadline_s=5)
    await pool.register("b", "c")
    await pool.given("agent.c.heartbeat", load={"cpu": 90})
    await pool.holds("a", "moves")
    await pool.given("ops.steal", from_="a", to="b", task_ids=["moves"])
    await pool.advance(10)
    await pool.given("agent.a.complete", task_id="done", token=tokens["done"])
    await pool.given("agent.a.fail", task_id="bad", token=tokens["bad"], error="no")
    await pool.given("agent.a.fail", task_id="worse", token=tokens["worse"], error="no", retryable=False)

    shown = await pool.given("query.statistics")

    assert shown["failures"] == {"deadline": 1, "budget": 1, "gave_up": 1}
    assert shown["steals"] == {"planned": 1, "completed": 1, "failed": 0, "tasks_moved": 1}
    assert shown["average_duration_by_agent_s"] == {"a": 10.0}
    assert shown["loads"] == {"overloaded": 1, "normal": 0, "underloaded": 2}
    assert shown["sweeper"]["deadline_exceeded"] == 1
    assert shown["sweeper"]["already_finished"] == 0
    await pool.restart()
    again = await pool.given("query.statistics")
    assert {name: again[name] for name in ("totals", "failures", "steals", "average_duration_by_agent_s")} == {
        name: shown[name] for name in ("totals", "failures", "steals", "average_duration_by_agent_s")
    }


async def test_statistics_count_what_happened(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T", "U")
    await pool.advance(10)
    await pool.given("agent.a.complete", task_id="U", token=token)
    await pool.submit("V")
    await pool.given("ops.cancel", task_id="V")
    shown = await pool.given("query.statistics")
    totals = shown["totals"]
    assert (totals["submitted"], totals["granted"], totals["completed"], totals["cancelled"]) == (3, 2, 1, 1)
    assert totals["average_duration_s"] == 10.0
    assert (shown["tasks"]["assigned"], shown["tasks"]["completed"], shown["agents"]) == (1, 1, 1)
    await pool.restart()
    assert (await pool.given("query.statistics"))["totals"] == totals


async def test_steals(pool: PoolHarness) -> None:
    await pool.holds("a", "T", "U")
    await pool.register("b", "c")
    operation = (await pool.given("ops.steal", from_="a", to="b", task_ids=["T"], reason="mine"))["operation_id"]
    (shown,) = (await pool.given("query.steals"))["steals"]
    assert (shown["operation_id"], shown["status"], shown["by"]) == (operation, "completed", "ops")
    assert (shown["plan"]["reason"], shown["outcome"]["moved"]) == ("mine", 1)
    assert shown["ended_at"] == shown["planned_at"]
    for agent_id, count in (("a", 1), ("b", 1), ("c", 0)):
        assert len((await pool.given("query.steals", agent_id=agent_id))["steals"]) == count


async def test_health(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    reply = await pool.request("query.health")
    shown = reply.result
    assert shown.keys() >= HEALTH
    assert (shown["leader"], shown["leading"], shown["lag"]) == ("host:1:1", True, 0)
    assert (shown["position"], shown["live_tasks"], shown["agents"]) == (pool.position, 1, 1)
    assert shown["unreadable_events"] == 0
    await pool.given("ops.pause")
    assert (await pool.given("query.health"))["intake"] == "paused"


async def test_health_says_for_how_long_the_broker_has_confirmed_nothing(pool: PoolHarness) -> None:
    await pool.submit("T")
    position = pool.position
    with pool.log.held():
        pool.post("ops.submit")
        await pool.advance(3)
        asked = pool.post("query.health")
        await pool.advance(6)
        answer = asked.answer
        assert answer.code == "unavailable"
        assert answer["error"]["details"] == {
            "leader": "host:1:1",
            "position": position,
            "unconfirmed_s": pytest.approx(8, abs=1),
        }
        assert f"position {position} is the last that it confirmed" in answer["error"]["message"]
    await pool.rest()
    assert (await pool.request("query.health")).ok


async def test_health_and_one_warning_say_that_the_clock_was_set_back(
    pool: PoolHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.advance(3600)
    await pool.submit("T")
    assert (await pool.given("query.health"))["clock_behind_s"] == 0
    pool.clock.set_back(600)
    await pool.restart()
    await pool.advance(60)
    shown = await pool.given("query.health")
    assert (shown["last_event_at"], shown["clock_behind_s"]) == ("2026-11-21T09:00:00.000000Z", 540)
    assert caplog.text.count("behind the log's last event; leases last longer until it has caught up") == 1
    await pool.advance(600)
    assert (await pool.given("query.health"))["clock_behind_s"] == 0


async def test_health_says_that_the_broker_does_not_answer(pool: PoolHarness) -> None:
    pool.log.fail_reads(1)
    answer = await pool.request("query.health")
    assert (answer.code, answer["error"]["details"]["unconfirmed_s"]) == ("unavailable", 0)
    assert "the broker did not answer" in answer["error"]["message"]


async def test_unreadable_events_are_skipped_and_shown(pool: PoolHarness, caplog: pytest.LogCaptureFixture) -> None:
    await pool.submit("T")
    subject, body = "custody.p.evt.task.T.leased", b"not an event"
    previous = pool.log.messages[-1].headers["Custody-Hash"]
    hashed = chain_hash(previous, pool.position + 1, subject, body)
    pool.log.append_foreign(NewMessage(subject, body, {"Custody-Hash": hashed}))
    pool.foreign = True
    await pool.submit("U")
    shown = await pool.given("query.health")
    assert (shown["unreadable_events"], [each["position"] for each in shown["unreadable"]]) == (1, [4])
    assert "skipped position 4" in caplog.text
    await pool.restart()
    assert (await pool.given("query.health"))["unreadable_events"] == 1
