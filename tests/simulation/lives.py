"""Lives of a whole pool that a seed or a draw tells: agents at work, silent, late; operators; restarts and stalls."""

from __future__ import annotations

import asyncio
import functools
from random import Random
from typing import Any

from domain.recorded import Recorded
from domain.rules import Rules
from tests.support.pool_harness import POOL, PoolHarness

__all__ = ["POOL", "life", "live"]

AGENTS = "ABC"
SUBMISSIONS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"on_silence": "stuck"},
    {"deadline_s": 300.0},
    {"lease": {"mode": "fixed", "lease_s": 30.0, "grace_s": 5.0}},
    {"lease": {"mode": "fixed", "lease_s": 900.0}},
    {"lease": {"max_lease_s": 400.0}},
    {"lease": {"mode": "estimated", "default_hours": 0.1, "min_hours": 0.05}},
)
WORDS: tuple[tuple[str, dict[str, Any]], ...] = (
    *[("progress", {"percent": 30})] * 5,
    ("progress", {"percent": 80, "checkpoint": {"at": 1}}),
    ("start", {}),
    ("lease", {}),
    ("complete", {}),
    ("release", {}),
    ("fail", {"error": "no"}),
    ("block", {"reason": "no key"}),
    ("silence", {"for_s": 90.0, "reason": "build"}),
)
PAUSES_S = (0.0, 1.0, 7.3, 20.0, 40.0, 61.0, 130.0)


async def live(chance: Random, rules: Rules, *, steps: int) -> list[Recorded]:
    """Return the log of a pool in which so many things happened."""
    pool = PoolHarness(rules)
    await live_in(pool, chance, steps=steps)
    await pool.finish()
    return pool.records()


async def live_in(pool: PoolHarness, chance: Random, *, steps: int) -> None:
    """Serve the pool, and let so many things happen in it."""
    await pool.start()
    await pool.register(*AGENTS, capacity=4)
    for number in range(steps):
        await pool.advance(chance.choice(PAUSES_S))
        await _happen(pool, chance, number)
        await pool.rest()
    await pool.advance(40)


@functools.cache
def life(seed: int, *, steps: int = 80) -> tuple[Recorded, ...]:
    """Return the log of the life that the seed tells, under the default rules."""
    return tuple(asyncio.run(live(Random(seed), Rules(), steps=steps)))


async def _happen(pool: PoolHarness, chance: Random, number: int) -> None:
    agent = chance.choice(AGENTS)
    lot = chance.random()
    if lot < 0.2:
        await pool.submit(f"T{number}", **chance.choice(SUBMISSIONS))
    elif lot < 0.35:
        pool.post(f"agent.{agent}.claim", {"max": 2, "wait_s": chance.choice([0.0, 5.0, 30.0])})
    elif lot < 0.42:
        pool.post(f"agent.{agent}.heartbeat")
    elif lot < 0.88:
        _speak(pool, chance)
    elif lot < 0.94 and pool.state.tasks:
        verb = chance.choice(["cancel", "requeue", "requeue", "unblock", "unblock", "revoke"])
        pool.post(f"ops.{verb}", {"task_id": chance.choice(list(pool.state.tasks))})
    elif lot < 0.96:
        pool.post(f"agent.{agent}.deregister")
        await pool.rest()
        await pool.register(agent, capacity=4)
    elif lot < 0.98:
        await pool.restart(after_s=chance.choice([0.0, 1.0, 100.0]))
    else:
        await pool.clock.stall(60)


def _speak(pool: PoolHarness, chance: Random) -> None:
    """Let a present or former holder send a command on its task."""
    known = [task for task in pool.state.tasks.values() if task.lease or task.former]
    if not known:
        return
    task = chance.choice(known)
    verb, body = chance.choice(WORDS)
    if task.lease is not None and (chance.random() < 0.8 or not task.former):
        token, agent_id = task.lease.token, task.lease.agent_id
    else:
        token, agent_id = task.former[-1].token, task.former[-1].agent_id
    pool.post(f"agent.{agent_id}.{verb}", {"task_id": task.task_id, "token": token, **body})
