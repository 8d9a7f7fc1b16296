"""The draft of a decision: collects the events of one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from domain.agent import Agent, evolve_agent
from domain.decision import Decision
from domain.entities import EntityState
from domain.events import Entity
from domain.policies.load_balancing import loads_since
from domain.pool import Pool, evolve_pool
from domain.recorded import Recorded
from domain.steal import Steal, evolve_steal
from domain.task import Task, evolve_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.entities import EntityKey
    from domain.events.agent import AgentEvent
    from domain.events.pool import PoolEvent
    from domain.events.steal import StealEvent
    from domain.events.task import TaskEvent
    from domain.pool_view import PoolView
    from domain.refusal import Refusal
    from domain.request import Request
    from domain.rules import Rules

_State = TypeVar("_State", bound=EntityState | None)
"""An entity before an event; None before its first."""
_After = TypeVar("_After", bound=EntityState)


class Draft:
    """Collects the events of one command. Their positions are predicted: they follow the view's position."""

    __slots__ = ("_digest", "after", "now", "records", "remembers_outcome", "request", "rules", "view")

    def __init__(self, view: PoolView, request: Request, now: datetime, rules: Rules) -> None:
        self.view = view
        self.request = request
        self.now = now
        self.rules = rules
        self.records: list[Recorded] = []
        self.after: dict[EntityKey, EntityState] = {}
        self.remembers_outcome = True
        """Whether events added from now on are the outcome with which a repeat of a keyed command is answered."""
        self._digest = request.digest

    @property
    def next_position(self) -> int:
        """The position of the next event, which is also the token of a lease that it grants."""
        return self.view.position + len(self.records) + 1

    def cpu_of(self, agent: Agent) -> float:
        """Return an agent's cpu in percent as it counts now: 0 if it was reported too long ago."""
        return agent.cpu_since(loads_since(self.now, self.rules.load_valid_s))

    def task(self, task_id: str) -> Task | None:
        """Return the task after the draft's events so far."""
        state = self.after.get((Entity.TASK, task_id))
        return state if isinstance(state, Task) else self.view.task(task_id)

    def agent(self, agent_id: str) -> Agent | None:
        """Return the agent after the draft's events so far."""
        state = self.after.get((Entity.AGENT, agent_id))
        return state if isinstance(state, Agent) else self.view.agent(agent_id)

    def record_task(self, task_id: str, event: TaskEvent) -> Task:
        """Add an event about a task; return the task after it."""
        return self._record(Entity.TASK, task_id, self.task(task_id), event, evolve_task)

    def record_agent(self, agent_id: str, event: AgentEvent) -> Agent:
        """Add an event about an agent; return the agent after it."""
        return self._record(Entity.AGENT, agent_id, self.agent(agent_id), event, evolve_agent)

    def record_steal(self, operation_id: str, event: StealEvent) -> Steal:
        """Add an event about a steal operation; return the operation after it."""
        state = self.after.get((Entity.STEAL, operation_id))
        before = state if isinstance(state, Steal) else self.view.steal(operation_id)
        return self._record(Entity.STEAL, operation_id, before, event, evolve_steal)

    def record_pool(self, event: PoolEvent) -> Pool:
        """Add an event about the pool; return the pool after it."""
        pool_id = self.view.pool.pool_id
        state = self.after.get((Entity.POOL, pool_id))
        before = state if isinstance(state, Pool) else self.view.pool
        return self._record(Entity.POOL, pool_id, before, event, evolve_pool)

    def decided(
        self,
        result: dict[str, Any] | None = None,
        *,
        refusal: Refusal | None = None,
        waits: bool = False,
        follow_up: Request | None = None,
        begins_session: bool = False,
    ) -> Decision:
        """Return the finished decision."""
        return Decision(self.records, self.after, result, refusal, waits, follow_up, begins_session)

    def _record(
        self,
        entity: Entity,
        entity_id: str,
        before: _State,
        event: TaskEvent | AgentEvent | StealEvent | PoolEvent,
        evolve: Callable[[_State, Recorded], _After],
    ) -> _After:
        request = self.request
        keyed = request.keyed and self.remembers_outcome
        digest = ""
        if keyed:
            digest, self._digest = self._digest, ""
        recorded = Recorded(
            position=self.next_position,
            entity=entity,
            entity_id=entity_id,
            version=before.version + 1 if before is not None else 1,
            time=self.now,
            actor=request.actor,
            causation_id=request.causation_id,
            event=event,
            verb=request.verb,
            keyed=keyed,
            digest=digest,
            traceparent=request.traceparent,
        )
        after = evolve(before, recorded)
        self.records.append(recorded)
        self.after[entity, entity_id] = after
        return after
