"""The indexes over a pool's live entities: each is made of them alone, and follows every change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.state.backlog import Backlog
from projections.state.due_times import DueTimes
from projections.state.live_counts import LiveCounts
from projections.state.workloads import Workloads

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.agent import Agent
    from domain.pool import Pool
    from domain.rules import Rules
    from domain.task import Task


class Indexes:
    """Finds queued tasks, agents with room, counts and due times without a walk over the pool."""

    def __init__(self, rules: Rules, tasks: Mapping[str, Task]) -> None:
        """`tasks`: the live ones, kept by the caller."""
        self._tasks = tasks
        self.backlog = Backlog(rules.priority_aging_s)
        self.workloads = Workloads(rules.steal)
        self.counts = LiveCounts()
        self.due_times = DueTimes(rules, tasks.get)

    def fill(self, agents: Mapping[str, Agent], now: datetime) -> None:
        """Index all live entities, into empty indexes; delayed tasks as of `now`."""
        self.backlog.advance(now)
        for agent_id, agent in agents.items():
            self.workloads.replace_agent(agent_id, None, agent)
        self.backlog.fill(self._tasks.values())
        self.counts.fill(self._tasks.values())
        for task_id, task in self._tasks.items():
            if task.lease is not None:
                self.workloads.replace_task(task_id, None, task)
            if task.lease is not None or task.definition.deadline is not None:
                self.due_times.replace(task_id, task)

    def replace_task(self, task_id: str, old: Task | None, new: Task | None) -> None:
        """Follow a task's change."""
        if old is not None and new is not None and _same_holder_and_status(old, new):
            # A report may shorten the median interval, which excuses less silence, so the due time has to be updated.
            self.due_times.replace(task_id, new)
            self.counts.replace_lease(task_id, old.lease, new.lease)
            return
        self.backlog.replace(old, new)
        self.workloads.replace_task(task_id, old, new)
        self.counts.replace(task_id, old, new)
        self.due_times.replace(task_id, new)

    def replace_agent(self, agent_id: str, old: Agent | None, new: Agent | None) -> None:
        """Follow an agent's change."""
        self.workloads.replace_agent(agent_id, old, new)

    def replace_pool(self, old: Pool, new: Pool) -> None:
        """Follow a change of the pool itself."""
        self.due_times.replace_pool(old, new, self._tasks)


def _same_holder_and_status(old: Task, new: Task) -> bool:
    """Return whether holder and status are unchanged, as after most reports."""
    before, now = old.lease, new.lease
    return before is not None and now is not None and now.token == before.token and new.status is old.status
