"""The trace context of a command goes into its events; that of a task's submission is told to its holders."""

from __future__ import annotations

import pytest

from tests.support.pool_harness import PoolHarness

SUBMITTED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CLAIMED = "00-11111111111111111111111111111111-2222222222222222-00"


async def test_each_event_has_the_trace_context_of_its_command(pool: PoolHarness) -> None:
    await pool.request("agent.a.register")
    await pool.request("ops.submit", {"task_id": "T"}, headers={"traceparent": SUBMITTED})
    await pool.request("agent.a.claim", headers={"traceparent": CLAIMED})
    named = {recorded.name: recorded.traceparent for recorded in pool.records()}
    assert (named["registered"], named["submitted"], named["leased"]) == ("", SUBMITTED, CLAIMED)


async def test_a_holder_is_told_in_which_trace_its_task_was_submitted(pool: PoolHarness) -> None:
    await pool.request("agent.a.register")
    await pool.request("ops.submit_many", {"tasks": [{"task_id": "T"}]}, headers={"traceparent": SUBMITTED})
    claimed = await pool.request("agent.a.claim", headers={"traceparent": CLAIMED})
    assert [lease["traceparent"] for lease in claimed.result["leases"]] == [SUBMITTED]
    assert (await pool.request("query.task", {"task_id": "T"})).result["traceparent"] == SUBMITTED


async def test_both_parts_of_a_steal_have_its_trace_context(pool: PoolHarness) -> None:
    for agent in ("a", "b"):
        await pool.request(f"agent.{agent}.register")
    await pool.request("ops.submit", {"task_id": "T"})
    await pool.request("ops.assign", {"task_id": "T", "agent_id": "a"})
    before = len(pool.records())
    stolen = await pool.request(
        "ops.steal", {"from": "a", "to": "b", "task_ids": ["T"]}, headers={"traceparent": CLAIMED}
    )
    assert stolen.ok, stolen
    assert {recorded.traceparent for recorded in pool.records()[before:]} == {CLAIMED}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(SUBMITTED.upper(), id="upper case"),
        pytest.param(SUBMITTED[:-1], id="too short"),
        pytest.param(SUBMITTED + "-00", id="too long"),
        pytest.param(SUBMITTED.replace("00-4", "ff-4"), id="the version that is forbidden"),
        pytest.param("00-" + "0" * 32 + SUBMITTED[35:], id="a trace of zeros"),
        pytest.param(SUBMITTED[:36] + "0" * 16 + "-01", id="a parent of zeros"),
        pytest.param('"}', id="something else"),
    ],
)
async def test_a_trace_context_that_is_not_valid_is_ignored(pool: PoolHarness, given: str) -> None:
    assert (await pool.request("ops.submit", {"task_id": "T"}, headers={"traceparent": given})).ok
    assert pool.records()[-1].traceparent == ""
    assert (await pool.request("query.task", {"task_id": "T"})).result["traceparent"] is None
