"""One command of every verb that appends something, each with what must have happened before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from tests.support.pool_harness import PoolHarness

Prepare = Callable[[PoolHarness], Awaitable[dict[str, Any]]]


class Case(NamedTuple):
    """A command: its subject, and how to come to its body."""

    subject: str
    prepare: Prepare


def held(**body: Any) -> Prepare:
    """`a` holds `T`; the body names it with its token."""

    async def prepare(pool: PoolHarness) -> dict[str, Any]:
        token = await pool.holds("a", "T", payload={"n": 1})
        return {"task_id": "T", "token": token, **body}

    return prepare


def held_and_more(**body: Any) -> Prepare:
    """As `held`, after a while, with a second task: the command renews that one on the side."""

    async def prepare(pool: PoolHarness) -> dict[str, Any]:
        await pool.holds("a", "other")
        token = await pool.holds("a", "T")
        await pool.advance(100)
        return {"task_id": "T", "token": token, **body}

    return prepare


def draining(**body: Any) -> Prepare:
    """As `held`, and the agent is asked to hand over."""

    async def prepare(pool: PoolHarness) -> dict[str, Any]:
        result = await held(**body)(pool)
        await pool.given("ops.drain", agent_id="a")
        return result

    return prepare


def overdue(**body: Any) -> Prepare:
    """As `held`, with a sweeper that is off and a deadline that has passed."""

    async def prepare(pool: PoolHarness) -> dict[str, Any]:
        token = await pool.holds("a", "T", deadline_s=20.0)
        await pool.advance(19.9)
        return {"task_id": "T", "token": token, **body}

    return prepare


def stuck(**body: Any) -> Prepare:
    """`a` holds `T`, which is stuck."""

    async def prepare(pool: PoolHarness) -> dict[str, Any]:
        token = await pool.holds("a", "T", on_silence="stuck")
        await pool.advance(400)
        assert pool.task("T").status == "stuck"
        return {"task_id": "T", "token": token, **body}

    return prepare


def late(**body: Any) -> Prepare:
    """`a` held `T` until its lease expired."""

    async def prepare(pool: PoolHarness) -> dict[str, Any]:
        token = await pool.holds("a", "T")
        await pool.advance(400)
        assert pool.task("T").status == "queued"
        return {"task_id": "T", "token": token, **body}

    return prepare


def ops(*, held_by_a: bool = True, **body: Any) -> Prepare:
    """There are tasks `T` and `U`, held by `a` or queued; `from_` stands for `from`."""
    body = {"from" if name == "from_" else name: value for name, value in body.items()}

    async def prepare(pool: PoolHarness) -> dict[str, Any]:
        if held_by_a:
            await pool.holds("a", "T", "U")
            await pool.register("b")
        else:
            await pool.register("a")
            await pool.submit("T", "U")
        return body

    return prepare


async def _blocked(pool: PoolHarness) -> dict[str, Any]:
    token = await pool.holds("a", "T")
    await pool.given("agent.a.block", task_id="T", token=token, reason="no key")
    return {"task_id": "T"}


async def _quarantined(pool: PoolHarness) -> dict[str, Any]:
    token = await pool.holds("a", "T", budgets={"releases": 1})
    await pool.given("agent.a.release", task_id="T", token=token)
    assert pool.task("T").status == "quarantined"
    return {"task_id": "T"}


async def _lost(pool: PoolHarness) -> dict[str, Any]:
    await pool.register("a")
    await pool.advance(700)
    assert pool.agent("a").status == "lost"
    await pool.submit("T", payload=[1, {"x": "y"}])
    return {"max": 3}


async def _failed(pool: PoolHarness) -> dict[str, Any]:
    token = await pool.holds("a", "T")
    await pool.given("agent.a.fail", task_id="T", token=token, error="no", retryable=False)
    return {"task_id": "T"}


async def _gone(pool: PoolHarness) -> dict[str, Any]:
    await pool.register("a")
    await pool.advance(700)
    assert pool.agent("a").status == "lost"
    return {"older_than_s": 600}


async def _labelled(pool: PoolHarness) -> dict[str, Any]:
    await pool.holds("a", "T", labels=["x"])
    await pool.submit("U", labels=["x"])
    await pool.submit("V")
    return {"label": "x"}


async def _stuck_and_labelled(pool: PoolHarness) -> dict[str, Any]:
    await pool.holds("a", "T", "U", labels=["x"], on_silence="stuck")
    await pool.advance(400)
    return {"label": "x", "status": "stuck"}


async def _drained_agent(pool: PoolHarness) -> dict[str, Any]:
    await pool.register("a")
    await pool.given("ops.drain", agent_id="a")
    return {"agent_id": "a"}


async def _drained_pool(pool: PoolHarness) -> dict[str, Any]:
    await pool.given("ops.drain")
    return {}


async def _nothing(_pool: PoolHarness) -> dict[str, Any]:
    return {}


CASES: dict[str, Case] = {
    "claim": Case("agent.a.claim", ops(held_by_a=False, max=5)),
    "claim by a lost agent": Case("agent.a.claim", _lost),
    "start": Case("agent.a.start", held()),
    "start, draining": Case("agent.a.start", draining()),
    "start, and renewals on the side": Case("agent.a.start", held_and_more()),
    "progress": Case("agent.a.progress", held(percent=30, message="so far", checkpoint={"at": 3})),
    "progress, draining": Case("agent.a.progress", draining(percent=30)),
    "progress on a stuck task": Case("agent.a.progress", stuck(percent=30)),
    "silence": Case("agent.a.silence", held(for_s=60.0, reason="build")),
    "silence, draining": Case("agent.a.silence", draining(for_s=60.0, reason="build")),
    "silence before a deadline": Case("agent.a.silence", overdue(for_s=60.0, reason="build")),
    "release": Case("agent.a.release", held(checkpoint=[1], reason="tired")),
    "block": Case("agent.a.block", held_and_more(reason="no key")),
    "complete": Case("agent.a.complete", held(result={"ok": True})),
    "late completion": Case("agent.a.complete", late(result={"ok": True})),
    "fail": Case("agent.a.fail", held(error="no")),
    "fail for good": Case("agent.a.fail", held(error="no", retryable=False)),
    "deregister": Case("agent.a.deregister", ops()),
    "submit": Case("ops.submit", ops(task_id="new", title="x")),
    "submit without an id": Case("ops.submit", ops(title="x")),
    "assign": Case("ops.assign", ops(held_by_a=False, task_id="T", agent_id="a")),
    "assign to the best": Case("ops.assign", ops(held_by_a=False, task_id="T")),
    "cancel": Case("ops.cancel", ops(task_id="T", reason="why not")),
    "cancel what is queued": Case("ops.cancel", ops(held_by_a=False, task_id="T")),
    "requeue": Case("ops.requeue", _quarantined),
    "requeue what is stuck": Case("ops.requeue", stuck()),
    "cancel by filter": Case("ops.cancel", _labelled),
    "requeue by filter": Case("ops.requeue", _stuck_and_labelled),
    "unblock": Case("ops.unblock", _blocked),
    "revoke": Case("ops.revoke", ops(task_id="T", reason="mine")),
    "complete for another": Case("ops.complete", ops(task_id="T", result=1)),
    "fail for another": Case("ops.fail", ops(task_id="T", error="elsewhere")),
    "block for another": Case("ops.block", ops(task_id="T", reason="no key", question="which?")),
    "submit many": Case("ops.submit_many", ops(tasks=[{"task_id": "T"}, {"task_id": "new"}, {}, {"title": "x"}])),
    "update": Case("ops.update", ops(task_id="T", priority="low", labels=["x"])),
    "retry": Case("ops.retry", _failed),
    "annotate a task": Case("ops.annotate", ops(task_id="T", kind="review", data=[1])),
    "annotate an agent": Case("ops.annotate", ops(agent_id="a", kind="hardware", note="a new disk")),
    "deregister another": Case("ops.deregister", ops(agent_id="a", reason="replaced")),
    "forget": Case("ops.forget", _gone),
    "steal": Case("ops.steal", ops(from_="a", to="b", count=2)),
    "steal by name": Case("ops.steal", ops(from_="a", to="b", task_ids=["T"])),
    "drain an agent": Case("ops.drain", ops(agent_id="a")),
    "drain an agent by a deadline": Case("ops.drain", ops(agent_id="a", deadline_s=60)),
    "pause an agent": Case("ops.pause", ops(agent_id="a", reason="lunch")),
    "resume an agent": Case("ops.resume", _drained_agent),
    "load": Case("ops.load", ops(agent_id="a", load={"cpu": 90.0})),
    "drain the pool": Case("ops.drain", _nothing),
    "pause the pool": Case("ops.pause", _nothing),
    "resume the pool": Case("ops.resume", _drained_pool),
}
"""Every verb but `register` and `heartbeat`, whose result is a view."""
