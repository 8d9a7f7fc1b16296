"""Events that link and apply, with moments and numbers that no writer of ours would choose, stop no pool."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime

import pytest

from domain.events import Event
from domain.events import pool as pool_ev
from domain.events import task as ev
from tests.support.pool_harness import POOL, PoolHarness

BEGINNING, END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HUGE = 1e300


def granted(token: int, *, lease_s: float = 60.0, grace_s: float = 0.0, expires_at: datetime = NOW) -> Event:
    return ev.Leased(token=token, agent_id="a", attempt=1, lease_s=lease_s, grace_s=grace_s, expires_at=expires_at)


def reported(token: int, *, lease_s: float = 60.0, grace_s: float = 0.0, expires_at: datetime = NOW) -> Event:
    return ev.Progressed(token=token, percent=1, reports=1, lease_s=lease_s, grace_s=grace_s, expires_at=expires_at)


def silenced(token: int, until: datetime) -> Event:
    return ev.Silenced(token=token, for_s=HUGE, until=until, reason="x", grace_s=0.0, expires_at=until)


TASK_EVENTS = {
    "expires at the end of time": lambda token: [granted(token, grace_s=60.0, expires_at=END)],
    "expired at the beginning of time": lambda token: [granted(token, expires_at=BEGINNING)],
    "a grace beyond all time": lambda token: [granted(token, grace_s=HUGE)],
    "an endless grace": lambda token: [granted(token, grace_s=math.inf)],
    "a grace before all time": lambda token: [granted(token, grace_s=-HUGE)],
    "an endless term": lambda token: [granted(token, lease_s=math.inf)],
    "a report that renews for ever": lambda token: [granted(token), reported(token, grace_s=HUGE, expires_at=END)],
    "silent until the end of time": lambda token: [granted(token), silenced(token, END)],
    "silent until the beginning of time": lambda token: [granted(token), silenced(token, BEGINNING)],
}
POOL_EVENTS = {
    "a floor at the end of time": pool_ev.Rearmed(reason="x", not_before=END, blind_s=HUGE, jitter_s=HUGE),
    "a floor with endless jitter": pool_ev.Rearmed(reason="x", not_before=NOW, blind_s=1.0, jitter_s=math.inf),
}
VIEWS = ("tasks", "leases", "agents", "workloads", "backlog", "statistics", "steals", "health")


async def walk(pool: PoolHarness, token: int) -> None:
    """Ask everything that looks at the task, and let time pass."""
    for _ in range(5):
        await pool.advance(60)
        for view in VIEWS:
            assert (await pool.request(f"query.{view}")).ok
        assert (await pool.request("query.task", {"task_id": "T"})).ok
        assert (await pool.request("agent.a.heartbeat")).ok
        assert (await pool.request("agent.a.progress", {"task_id": "T", "token": token, "percent": 2})).code in {
            None,
            "stale_token",
        }
    assert {"writer", "sweeper", "stealer"} <= {task.get_name() for task in asyncio.all_tasks()}


@pytest.mark.parametrize("name", TASK_EVENTS)
async def test_a_task_beyond_bounds_stops_no_other(pool: PoolHarness, name: str) -> None:
    await pool.register("a")
    short = {"mode": "fixed", "lease_s": 1, "grace_s": 0}
    await pool.holds("b", "U", lease=short)
    await pool.submit("T")
    token = pool.position + 1
    pool.log.append_foreign(*pool.by_another(*(("task/T", event) for event in TASK_EVENTS[name](token))))
    await pool.submit("V")
    await walk(pool, token)
    assert pool.task("U").attempt == 2, "it expired, and is queued again"
    await pool.restart()
    await walk(pool, token)


@pytest.mark.parametrize("name", POOL_EVENTS)
async def test_a_floor_beyond_bounds_stops_no_pool(pool: PoolHarness, name: str) -> None:
    await pool.register("a")
    token = await pool.holds("a", "T", lease={"mode": "fixed", "lease_s": 1, "grace_s": 0})
    pool.log.append_foreign(*pool.by_another((f"pool/{POOL}", POOL_EVENTS[name])))
    await pool.submit("V")
    await walk(pool, token)
    await pool.restart()
    await walk(pool, token)
