"""What may be asked of the views, with paging, and what the answers hold."""

import asyncio
import json

import pytest

from tests.support.broker import Connect
from tests.system.caller import Caller
from tests.system.conftest import Serve
from tests.system.streams import last_position, moment

pytestmark = pytest.mark.system


async def fill(ask: Caller) -> None:
    for agent, capabilities in (("a1", ["x"]), ("a2", [])):
        await ask.done(f"agent.{agent}.register", capabilities=capabilities, capacity=9)
    for number in range(12):
        priority = ("low", "medium", "high", "critical")[number % 4]
        await ask.done("ops.submit", task_id=f"T{number:02}", priority=priority, labels=[f"l{number % 2}"])
    for number in range(4):
        await ask.done("ops.assign", task_id=f"T{number:02}", agent_id="a1" if number < 3 else "a2")
    token = (await ask.task("T00"))["token"]
    await ask.done("agent.a1.complete", task_id="T00", token=token)
    await ask.done("ops.cancel", task_id="T11")


async def pages(ask: Caller, view: str, limit: int, **fields: str) -> list[str]:
    """All ids of a view, page by page."""
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        result = await ask.done(f"query.{view}", {**after, **fields}, limit=limit)
        name = "tasks" if view == "backlog" else view
        rows = result[name]
        assert len(rows) <= limit
        key = {"agents": "agent_id", "workloads": "agent_id", "steals": "operation_id"}.get(name, "task_id")
        found += [row[key] for row in rows]
        if result["next"] is None:
            return found
        assert rows
        after = {"after": result["next"]}


@pytest.mark.parametrize("limit", [1, 3, 5, 12, 1000])
async def test_pages_add_up_to_the_whole(ask: Caller, limit: int) -> None:
    await fill(ask)
    assert await pages(ask, "tasks", limit) == [f"T{number:02}" for number in range(12)]
    assert await pages(ask, "leases", limit) == ["T01", "T02", "T03"]
    assert await pages(ask, "agents", limit) == ["a1", "a2"]
    assert await pages(ask, "workloads", limit) == ["a1", "a2"]
    assert await pages(ask, "backlog", limit) == ["T07", "T06", "T10", "T05", "T09", "T04", "T08"]
    assert await pages(ask, "steals", limit) == []


async def test_a_page_has_a_hundred_rows_unless_told(ask: Caller) -> None:
    await asyncio.gather(*(ask.done("ops.submit") for _ in range(101)))
    result = await ask.done("query.tasks")
    assert len(result["tasks"]) == 100
    assert len((await ask.done("query.tasks", after=result["next"]))["tasks"]) == 1


async def test_tasks_are_found_by_status_priority_and_label(ask: Caller) -> None:
    await fill(ask)
    assert await pages(ask, "tasks", 2, status="assigned") == ["T01", "T02", "T03"]
    assert await pages(ask, "tasks", 2, status="completed") == ["T00"]
    assert await pages(ask, "tasks", 2, status="cancelled") == ["T11"]
    assert await pages(ask, "tasks", 2, priority="critical") == ["T03", "T07", "T11"]
    assert await pages(ask, "tasks", 2, priority="urgent", label="l1", status="queued") == ["T07"]
    assert await pages(ask, "tasks", 2, label="nope") == []


async def test_leases_are_found_by_agent_and_status(ask: Caller) -> None:
    await fill(ask)
    assert await pages(ask, "leases", 2, agent_id="a1") == ["T01", "T02"]
    assert await pages(ask, "leases", 2, status="active") == ["T01", "T02", "T03"]
    await ask.assigned("a1", task_id="soon", lease={"mode": "fixed", "lease_s": 59, "grace_s": 60})
    await ask.assigned("a1", task_id="grace", lease={"mode": "fixed", "lease_s": 0.1, "grace_s": 60})
    assert await pages(ask, "leases", 2, agent_id="a1", status="expiring_soon") in (["soon"], ["grace", "soon"])
    while await pages(ask, "leases", 9, status="expired") != ["grace"]:
        assert (await ask.task("grace"))["status"] == "assigned"
    totals = await ask.done("query.statistics")
    assert totals["leases"].items() >= {"held": 5, "active": 3, "expiring_soon": 1, "in_grace": 1}.items()


async def test_one_agent_only(ask: Caller) -> None:
    await fill(ask)
    await ask.done("ops.steal", {"from": "a1", "to": "a2", "count": 1})
    for view in ("agents", "workloads"):
        assert await pages(ask, view, 5, agent_id="a2") == ["a2"]
        assert await pages(ask, view, 5, agent_id="nobody") == []
    assert len(await pages(ask, "steals", 5, agent_id="a2")) == 1
    assert await pages(ask, "steals", 5, agent_id="a3") == []


async def test_a_task_is_shown_whole_also_when_it_finished(ask: Caller) -> None:
    lease = await ask.lease(task_id="T1", payload={"p": 1})
    held = await ask.task("T1")
    assert held["lease"]["token"] == lease["token"]
    assert moment(held["lease"]["expires_at"]) > moment(held["lease"]["granted_at"])
    await ask.done("agent.a1.complete", task_id="T1", token=lease["token"], result="R")
    done = await ask.task("T1")
    assert (done["payload"], done["outcome"]["result"], done["lease"]) == ({"p": 1}, "R", None)
    assert [each["ended"] for each in done["former_leases"]] == ["completed"]


async def test_health_says_who_leads_and_what_an_answer_is_worth(ask: Caller, connect: Connect, pool: str) -> None:
    await fill(ask)
    reply = await ask.ask("query.health")
    health = reply.result
    host, pid, start = health["leader"].rsplit(":", 2)
    assert host
    assert int(pid) > 1
    assert int(start) > 1_700_000_000
    assert health["leading"] is True
    assert health["position"] == reply.position == await last_position(await connect(), pool)
    assert (health["lag"], health["live_tasks"], health["agents"], health["unreadable_events"]) == (0, 10, 2, 0)
    assert health["guarantees"].items() >= {"replicas": 1, "storage": "file", "compression": "none"}.items()
    assert reply.events == []


async def test_statistics_count(ask: Caller) -> None:
    await fill(ask)
    tasks = (await ask.done("query.statistics"))["tasks"]
    assert tasks.items() >= {"queued": 7, "assigned": 3, "completed": 1, "cancelled": 1, "failed": 0}.items()


async def test_no_reply_exceeds_a_mebibyte(serve: Serve, connect: Connect, pool: str) -> None:
    await serve()
    ask = Caller(await connect(), pool)
    await ask.done("agent.a1.register", capacity=100)
    payload = "x" * (64 * 1024 - 2)
    for number in range(20):
        await ask.done("ops.submit", task_id=f"T{number:02}", payload=payload, title="é" * 256)
    reply = await ask.ask("agent.a1.claim", max=100)
    assert 512 * 1024 <= len(json.dumps(reply.body)) <= 1024 * 1024
    assert len(reply.result["leases"]) == 8, "a claim stops granting at 512 KiB"
    again = await ask.ask("agent.a1.claim", max=100, command_id="c")
    assert (await ask.ask("agent.a1.claim", max=100, command_id="c")).body == again.body
    wide = {"title": "t" * 256, "labels": ["l" * 64] * 32}
    await asyncio.gather(*(ask.done("ops.submit", wide, task_id=f"U{number:03}") for number in range(400)))
    assert (await pages(ask, "tasks", 1000))[20:] == [f"U{number:03}" for number in range(400)]
