"""Commands with their envelope, decisions, and the draft that collects a decision's events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from domain.agent import Agent, evolve_agent
from domain.errors import RefusalCode
from domain.events import Entity
from domain.policies.load_balancing import loads_since
from domain.pool import Pool, evolve_pool
from domain.recorded import Recorded
from domain.steal import Steal, evolve_steal
from domain.task import Task, evolve_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.commands.command import Command
    from domain.commands.service_commands import ServiceCommand
    from domain.events.agent import AgentEvent
    from domain.events.pool import PoolEvent
    from domain.events.steal import StealEvent
    from domain.events.task import TaskEvent
    from domain.pool_view import PoolView
    from domain.rules import Rules

EntityState = Task | Agent | Steal | Pool
EntityKey = tuple[Entity, str]

_State = TypeVar("_State", bound=EntityState | None)
"""An entity before an event; None before its first."""
_After = TypeVar("_After", bound=EntityState)


class Request(msgspec.Struct, frozen=True):
    """A command with its envelope: who sent it, and as an effect of what."""

    command: Command | ServiceCommand
    actor: str
    """`agent/<id>`, `ops/<name>`, `ops`, `sweeper`, `stealer` or `writer`."""
    causation_id: str
    """The caller's `command_id`, or one made for it."""
    agent_id: str | None = None
    """The agent that the subject names, if one does."""
    new_id: str = ""
    """A new id, for a command that creates an entity and does not name it."""
    verb: str = ""
    keyed: bool = False
    """Whether the caller chose `causation_id`."""
    digest: str = ""
    """Digest of the body of a keyed command, by which the same id with another body is noticed."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a command was refused."""

    code: RefusalCode
    message: str
    details: dict[str, Any]


class Refused(Exception):  # noqa: N818 - an outcome of a command, not an error
    """Ends a decision with a refusal. `keep_events`: the draft's events are evidence and are recorded all the same."""

    def __init__(self, code: RefusalCode, message: str, *, keep_events: bool = False, **details: Any) -> None:
        super().__init__(message)
        self.refusal = Refusal(code, message, details)
        self.keep_events = keep_events


def invalid_field(field: str, message: str) -> Refused:
    """Return the refusal for one field: it is malformed, or contradicts the state or the other fields."""
    return Refused(RefusalCode.INVALID_COMMAND, f"{field}: {message}", fields=[{"field": field, "message": message}])


class Decision(msgspec.Struct, frozen=True):
    """The outcome of a command on one state.

    The events are to be appended atomically right after the position that was decided on. `after` holds each entity
    that they change as it is after them.
    """

    records: list[Recorded]
    after: dict[EntityKey, EntityState]
    result: dict[str, Any] | None = None
    refusal: Refusal | None = None
    waits: bool = False
    """Whether this is an empty claim that asked to wait for work."""
    follow_up: Request | None = None
    """The request to decide next, once these events are acknowledged and before the caller is answered."""
    begins_life: bool = False
    """Whether this registration begins a new life of the agent, and so ends the waiting claims of the earlier one."""


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
        begins_life: bool = False,
    ) -> Decision:
        """Return the finished decision."""
        return Decision(self.records, self.after, result, refusal, waits, follow_up, begins_life)

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
        )
        after = evolve(before, recorded)
        self.records.append(recorded)
        self.after[entity, entity_id] = after
        return after
