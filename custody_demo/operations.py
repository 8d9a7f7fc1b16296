"""The simulated operator: submits the work, sees to what is stuck or blocked, drains an agent, cancels some tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from custody_demo.plan import PLAIN_LABEL, seeded
from domain.events import task as ev
from infra.nats.contract_client import CustodyError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from custody_demo.world import Asker, World
    from domain.recorded import Recorded

ACTOR = "demo"
_RETRY_S = 0.2


class SimulatedOperator:
    """A person with a terminal, or a service that stands in for one."""

    def __init__(self, world: World, asker: Asker) -> None:
        self._world = world
        self._asker = asker
        self._chance = seeded(world.plan.seed, "operator")
        self._chores: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Do everything that the plan has for an operator."""
        plan = self._world.plan
        async with asyncio.TaskGroup() as group:
            group.create_task(self._submit_all())
            for at_s, agent in plan.drains:
                group.create_task(self._drain(at_s, agent))
            for number, at_s in enumerate(plan.cancels_at_s):
                group.create_task(self._cancel(at_s, "in_progress" if number % 2 == 0 else "queued"))

    def see(self, recorded: Recorded) -> None:
        """Look at one event of the feed; some ask for a person, who takes a while to come."""
        match recorded.event:
            case ev.Blocked():
                self._later("unblock", recorded.entity_id, "decided: MIT", self._world.plan.pace.reaction_s)
            case ev.Stuck():
                # Longer than the holder's nap, so that only those who will not come back are given up.
                wait_s = self._world.plan.pace.long_nap_s
                self._later("requeue", recorded.entity_id, "its holder does not come back", wait_s)
            case _:
                return

    def close(self) -> None:
        """Leave what is not seen to yet."""
        for chore in self._chores:
            chore.cancel()

    async def _submit_all(self) -> None:
        plan = self._world.plan
        for number, task in enumerate(plan.tasks):
            if number == plan.opening:
                self._world.opened.set()
            await self._until(task.at_s)
            await self._insist("submit", {"task_id": task.task_id, **task.body})

    async def _drain(self, at_s: float, agent: str) -> None:
        await self._until(at_s)
        await self._insist("drain", {"agent_id": agent, "reason": "its machine gets an update"})
        await asyncio.sleep(3 * self._world.plan.pace.reaction_s)
        await self._insist("resume", {"agent_id": agent, "reason": "updated"})

    async def _cancel(self, at_s: float, status: str) -> None:
        """Call off one plain task, queued or being worked on; try again while there is none."""
        await self._until(at_s)
        while True:
            try:
                found = await self._asker.ask("query.tasks", {"status": status, "label": PLAIN_LABEL})
                if found["tasks"]:
                    task = self._chance.choice(found["tasks"])
                    await self._ops("cancel", {"task_id": task["task_id"], "reason": "no longer needed"})
                    return
            except CustodyError:
                pass
            await asyncio.sleep(_RETRY_S)
            if self._world.elapsed_s() > self._world.plan.pace.seconds * 0.7:
                status = "in_progress"

    def _later(self, verb: str, task_id: str, reason: str, after_s: float) -> None:
        chore = asyncio.get_running_loop().create_task(self._chore(verb, task_id, reason, after_s))
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    async def _chore(self, verb: str, task_id: str, reason: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        try:
            await self._ops(verb, {"task_id": task_id, "reason": reason})
        except CustodyError:
            # Somebody was quicker: the holder came back, or the task has ended.
            return

    async def _insist(self, verb: str, body: dict[str, Any]) -> None:
        """Ask until it is done; the command's id makes sure that it is done once."""
        command_id = f"demo-{verb}-{body.get('task_id') or body.get('agent_id')}"
        while True:
            try:
                await self._ops(verb, {**body, "command_id": command_id})
            except CustodyError:
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def _ops(self, verb: str, body: dict[str, Any]) -> Coroutine[Any, Any, dict[str, Any]]:
        return self._asker.ask(f"ops.{verb}", body, actor=ACTOR)

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(at_s - self._world.elapsed_s(), 0.0))
