"""A wake-up is never lost, whatever happens in whatever order: random commands beside agents that wait for work."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest

from domain.rules import Rules
from domain.values import OnStall
from tests.handlers.conftest import EITHER_WAY, MakePool
from tests.support.pool_harness import Asked, PoolHarness

AGENTS = ("a", "b", "c", "d")
ABLE: tuple[list[str], ...] = ([], ["gpu"], ["gpu", "x"])
LONG = {"mode": "fixed", "lease_s": 20.0, "grace_s": 1.0}
ENDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("complete", {}),
    ("fail", {"error": "no"}),
    ("release", {}),
    ("release", {"delay_s": 2}),
    ("block", {"reason": "r"}),
    ("progress", {"percent": 40}),
)
OF_OPERATORS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("unblock", {}),
    ("requeue", {}),
    ("revoke", {}),
    ("cancel", {}),
    ("block", {"reason": "r"}),
    ("fail", {"error": "no"}),
    ("update", {"delay_s": 0}),
    ("update", {"delay_s": 4}),
)


class Crowd:
    """Agents that wait for work in one pool, and what happens around them."""

    def __init__(self, pool: PoolHarness, seed: int) -> None:
        self._pool = pool
        self._chance = random.Random(seed)
        self._sessions = dict.fromkeys(AGENTS, "first")
        self._waits: dict[str, list[Asked]] = {agent_id: [] for agent_id in AGENTS}
        self._submitted = 0

    async def round(self) -> None:
        """Let some commands come, with the log slow to answer or not, and time pass."""
        with self._pool.log.held() if self._chance.random() < 0.5 else contextlib.nullcontext():
            for _ in range(self._chance.randint(1, 4)):
                self._pool.post(*self._something())
                if self._chance.random() < 0.4:
                    await self._pool.rest()
            self._wait_for_work()
            await self._pool.rest()
        await self._pool.rest()
        await self._pool.advance(self._chance.choice([0.0, 0.5, 2.0, 6.0]))
        await self._pool.rest()

    def idle_beside_work(self) -> list[tuple[str, str]]:
        """Return the agents that wait beside a task that a claim would be granted, each with the task."""
        state, now = self._pool.state, self._pool.clock.now()
        state.indexes.backlog.advance(now)
        found = []
        for agent_id, waits in self._waits.items():
            waiting = any(not each.replies for each in waits)
            if waiting and state.pool.accepts_grants and state.available_capabilities(agent_id) is not None:
                found += [(agent_id, task.task_id) for task in state.queued_for(self._pool.agent(agent_id), 1, now)]
        return found

    def _wait_for_work(self) -> None:
        for agent_id, waits in self._waits.items():
            waits[:] = [each for each in waits if not each.replies]
            if len(waits) < 2 and self._chance.random() < 0.6:
                body = {"wait_s": 30.0, "session": self._sessions[agent_id], "max": self._chance.choice([1, 1, 3])}
                waits.append(self._pool.post(f"agent.{agent_id}.claim", body))

    def _something(self) -> tuple[str, dict[str, Any]]:
        """Return a request; it may well be refused."""
        tasks = list(self._pool.state.tasks.values())
        kinds = [self._submit, self._submit, self._gate, self._registration]
        if tasks:
            kinds += [self._command_of_an_operator, self._assignment, *[self._command_of_a_holder] * 3]
        return self._chance.choice(kinds)()

    def _submit(self) -> tuple[str, dict[str, Any]]:
        self._submitted += 1
        return "ops.submit", {
            "task_id": f"T{self._submitted}",
            "required_capabilities": self._chance.choice(ABLE),
            "priority": self._chance.choice(["low", "high"]),
            "delay_s": self._chance.choice([0, 0, 3]),
            "retry": {"delay_s": self._chance.choice([0, 2]), "backoff": 1},
            "stall_s": 5.0,
            "lease": LONG,
        }

    def _gate(self) -> tuple[str, dict[str, Any]]:
        verb = self._chance.choice(["pause", "drain", *["resume"] * 4])
        return f"ops.{verb}", {"agent_id": self._chance.choice(AGENTS)} if self._chance.random() < 0.7 else {}

    def _registration(self) -> tuple[str, dict[str, Any]]:
        agent_id = self._chance.choice(AGENTS)
        if self._chance.random() < 0.3:
            self._sessions[agent_id] = f"after-{self._submitted}"
        return f"agent.{agent_id}.register", {
            "session": self._sessions[agent_id],
            "capacity": self._chance.randint(1, 3),
            "capabilities": self._chance.choice(ABLE),
        }

    def _command_of_an_operator(self) -> tuple[str, dict[str, Any]]:
        verb, body = self._chance.choice(OF_OPERATORS)
        return f"ops.{verb}", {"task_id": self._chance.choice(list(self._pool.state.tasks)), **body}

    def _command_of_a_holder(self) -> tuple[str, dict[str, Any]]:
        held = [task for task in self._pool.state.tasks.values() if task.held]
        if not held:
            return self._assignment()
        task = self._chance.choice(held)
        verb, body = self._chance.choice(ENDS)
        of_lease = {"task_id": task.task_id, "token": task.token, "session": self._sessions[task.holder or ""]}
        return f"agent.{task.holder}.{verb}", of_lease | body

    def _assignment(self) -> tuple[str, dict[str, Any]]:
        task_id = self._chance.choice(list(self._pool.state.tasks))
        return "ops.assign", {"task_id": task_id, "agent_id": self._chance.choice(AGENTS)}


@EITHER_WAY
@pytest.mark.parametrize("seed", [*range(12), 332])
async def test_no_agent_waits_beside_work(make_pool: MakePool, seed: int) -> None:
    aging_s = 20.0 if seed % 2 else 0.0
    pool = await make_pool(Rules(priority_aging_s=aging_s, on_stall=OnStall.REQUEUE, lost_after_s=100.0))
    for agent_id in AGENTS:
        await pool.register(agent_id, capacity=2, session="first")
    crowd = Crowd(pool, seed)
    for number in range(100):
        await crowd.round()
        assert crowd.idle_beside_work() == [], f"round {number}"
    await pool.advance(60)
