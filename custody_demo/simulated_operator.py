"""The simulated operator: submits tasks, handles stuck and blocked ones, drains an agent, cancels some tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from custody_demo.plan import PLAIN_LABEL, seeded_random
from domain.events import task as ev
from infra.nats.contract_client import CustodyError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from custody_demo.demo_context import DemoContext, TimedClient
    from domain.recorded import Recorded

ACTOR = "demo"
_RETRY_S = 0.2


class SimulatedOperator:
    """Sends the commands that an operator would send."""

    def __init__(self, context: DemoContext, client: TimedClient) -> None:
        self._context = context
        self._client = client
        self._random = seeded_random(context.plan.seed, "operator")
        self._reactions: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Do everything that is planned for the operator."""
        plan = self._context.plan
        async with asyncio.TaskGroup() as group:
            group.create_task(self._submit_all())
            for at_s, agent in plan.drains:
                group.create_task(self._drain(at_s, agent))
            for number, at_s in enumerate(plan.cancels_at_s):
                group.create_task(self._cancel(at_s, "in_progress" if number % 2 == 0 else "queued"))

    def observe(self, recorded: Recorded) -> None:
        """Take an event of the feed; react to blocked and stuck tasks, after some time."""
        match recorded.event:
            case ev.Blocked():
                self._react_later("unblock", recorded.entity_id, "decided: MIT", self._context.plan.timings.reaction_s)
            case ev.Stuck():
                # Longer than the holder's silence, so that only tasks of agents that do not come back are requeued.
                wait_s = self._context.plan.timings.long_nap_s
                self._react_later("requeue", recorded.entity_id, "its holder does not come back", wait_s)
            case _:
                return

    def close(self) -> None:
        """Cancel the reactions that are still to come."""
        for reaction in self._reactions:
            reaction.cancel()

    async def _submit_all(self) -> None:
        plan = self._context.plan
        for number, task in enumerate(plan.tasks):
            if number == plan.initial_tasks:
                self._context.initial_tasks_submitted.set()
            await self._until(task.at_s)
            self._context.submitted[task.task_id] = False
            await self._send_until_done("submit", {"task_id": task.task_id, **task.body})
            self._context.submitted[task.task_id] = True
        self._context.all_tasks_submitted.set()

    async def _drain(self, at_s: float, agent: str) -> None:
        await self._until(at_s)
        await self._send_until_done("drain", {"agent_id": agent, "reason": "its machine gets an update"})
        await asyncio.sleep(3 * self._context.plan.timings.reaction_s)
        await self._send_until_done("resume", {"agent_id": agent, "reason": "updated"})

    async def _cancel(self, at_s: float, status: str) -> None:
        """Cancel one plain task, queued or in progress; try again while there is none."""
        await self._until(at_s)
        while True:
            try:
                found = await self._client.ask("query.tasks", {"status": status, "label": PLAIN_LABEL})
                if found["tasks"]:
                    task = self._random.choice(found["tasks"])
                    await self._ops("cancel", {"task_id": task["task_id"], "reason": "no longer needed"})
                    return
            except CustodyError:
                pass
            await asyncio.sleep(_RETRY_S)
            if self._context.elapsed_s() > self._context.plan.timings.seconds * 0.7:
                status = "in_progress"

    def _react_later(self, verb: str, task_id: str, reason: str, after_s: float) -> None:
        reaction = asyncio.get_running_loop().create_task(self._react(verb, task_id, reason, after_s))
        self._reactions.add(reaction)
        reaction.add_done_callback(self._reactions.discard)

    async def _react(self, verb: str, task_id: str, reason: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        try:
            await self._ops(verb, {"task_id": task_id, "reason": reason})
        except CustodyError:
            # The holder came back first, or the task has ended.
            return

    async def _send_until_done(self, verb: str, body: dict[str, Any]) -> None:
        """Send the command until it succeeds; its command_id makes sure that it is carried out once."""
        command_id = f"demo-{verb}-{body.get('task_id') or body.get('agent_id')}"
        while True:
            try:
                await self._ops(verb, {**body, "command_id": command_id})
            except CustodyError:
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def _ops(self, verb: str, body: dict[str, Any]) -> Coroutine[Any, Any, dict[str, Any]]:
        return self._client.ask(f"ops.{verb}", body, actor=ACTOR)

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(at_s - self._context.elapsed_s(), 0.0))
