"""The order of the queue, and tasks that wait for their time."""

import pytest

from tests.system.caller import Caller
from tests.system.streams import moment, read_log
from tests.system.test_contract_waiting import waiting

pytestmark = pytest.mark.system


async def test_what_comes_back_goes_before_what_was_submitted_after_it(ask: Caller) -> None:
    lease = await ask.lease(task_id="T1")
    await ask.done("ops.submit", task_id="T2")
    await ask.done("agent.a1.release", task_id="T1", token=lease["token"])
    assert [each["task_id"] for each in (await ask.done("query.backlog"))["tasks"]] == ["T1", "T2"]
    assert [each["task_id"] for each in (await ask.done("agent.a1.claim", max=2))["leases"]] == ["T1", "T2"]


async def test_an_agent_takes_first_what_the_fewest_can_do(ask: Caller) -> None:
    await ask.done("agent.a1.register", capabilities=["gpu"], capacity=5)
    await ask.done("agent.a2.register")
    await ask.done("ops.submit", task_id="T1")
    await ask.done("ops.submit", task_id="T2", required_capabilities=["gpu"])
    await ask.done("ops.submit", task_id="T3", priority="high")
    leases = (await ask.done("agent.a1.claim", max=3))["leases"]
    assert [each["task_id"] for each in leases] == ["T3", "T2", "T1"]


async def test_a_task_for_later_is_granted_when_its_time_comes(ask: Caller) -> None:
    await ask.done("agent.a1.register")
    claim = await waiting(ask)
    await ask.done("ops.submit", task_id="T1", delay_s=60)
    task = await ask.task("T1")
    assert task["status"] == "queued"
    details = await ask.refused("ops.assign", "illegal_transition", task_id="T1", agent_id="a1")
    assert details["not_before"] == task["not_before"]
    assert (await ask.done("query.backlog"))["delayed"] == (await ask.done("query.statistics"))["delayed"] == 1
    assert (await ask.done("agent.a1.claim"))["leases"] == []
    await ask.done("ops.update", task_id="T1", delay_s=0.7)
    assert (await claim).result["leases"][0]["task_id"] == "T1"
    updated, leased = (await read_log(ask.nc, ask.pool))[-2:]
    assert (updated.name, leased.name) == ("task.updated", "task.leased")
    assert moment(updated.body["time"]) < moment(updated.data["not_before"]) <= moment(leased.body["time"])
    assert (await ask.refused("ops.submit", "invalid_command", delay_s=1, not_before="2030-01-01T00:00:00Z"))["fields"]


async def test_the_time_of_a_task_may_be_changed(ask: Caller) -> None:
    await ask.done("agent.a1.register")
    claim = await waiting(ask)
    await ask.done("ops.submit", task_id="T1", delay_s=60)
    fields = (await ask.refused("ops.update", "invalid_command", task_id="T1", deadline_s=50))["fields"]
    assert [each["field"] for each in fields] == ["deadline_s"]
    await ask.done("ops.update", task_id="T1", not_before="2030-01-01T00:00:00Z")
    assert (await ask.task("T1"))["not_before"] == "2030-01-01T00:00:00.000000Z"
    assert not claim.done()
    reply = await ask.ask("ops.update", task_id="T1", delay_s=0)
    assert reply.events == ["task.updated"]
    assert (await claim).result["leases"][0]["task_id"] == "T1"
    await ask.refused("ops.update", "illegal_transition", task_id="T1", delay_s=5)


async def test_a_failed_task_is_assigned_to_another_agent(ask: Caller) -> None:
    await ask.done("agent.a1.register", capacity=5)
    await ask.done("agent.a2.register", capacity=5)
    await ask.done("ops.submit", task_id="T1", retry={"delay_s": 0})
    token = (await ask.done("ops.assign", task_id="T1"))["token"]
    await ask.done("agent.a1.fail", task_id="T1", token=token, error="E")
    await ask.done("ops.assign", task_id="T1")
    assert (await ask.task("T1"))["agent_id"] == "a2"


async def test_a_released_task_may_be_snoozed(ask: Caller) -> None:
    lease = await ask.lease(task_id="T1")
    await ask.done("agent.a1.release", task_id="T1", token=lease["token"], delay_s=60)
    assert (await ask.done("agent.a1.claim"))["leases"] == []
    await ask.done("ops.update", task_id="T1", delay_s=0.5)
    assert (await ask.done("agent.a1.claim", wait_s=10))["leases"][0]["attempt"] == 2


async def test_a_failed_task_waits_and_goes_to_another_agent_first(ask: Caller) -> None:
    lease = await ask.lease(task_id="T1", retry={"delay_s": 0.4, "backoff": 1})
    await ask.done("agent.a2.register")
    first, second = await waiting(ask, "a1"), await waiting(ask, "a2")
    await ask.done("agent.a1.fail", task_id="T1", token=lease["token"], error="E")
    assert (await second).result["leases"][0]["attempt"] == 2
    assert not first.done()
    (failed,) = [event for event in await read_log(ask.nc, ask.pool) if event.name == "task.requeued"]
    waits_s = (moment(failed.data["not_before"]) - moment(failed.body["time"])).total_seconds()
    assert 0.4 <= waits_s <= 0.5
    await ask.done("ops.submit", task_id="T2")
    assert (await first).result["leases"][0]["task_id"] == "T2"
