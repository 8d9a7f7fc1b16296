"""The writer's own state of a pool: entities, the indexes over them, and an undo for what is not acknowledged.

It is not a view for reading: it holds tentative changes. Replays and tools use it too, by folding only.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from domain.agent import Agent, evolve_agent
from domain.errors import FoldError
from domain.events import Entity
from domain.events.agent import AgentNoted
from domain.events.task import OUTSIDE_LIFECYCLE
from domain.lifecycles import TERMINAL, AgentStatus, IllegalTransitionError
from domain.pool import Pool, evolve_pool
from domain.steal import Steal, evolve_steal
from domain.task import Task, evolve_task
from domain.timestamps import EPOCH, seconds_between
from projections.state.backlog import Backlog
from projections.state.due_times import DueTimes
from projections.state.live_counts import LiveCounts
from projections.state.task_capture import TaskCapture
from projections.state.workloads import Workloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from domain.decision import Decision
    from domain.entities import EntityKey, EntityState
    from domain.recorded import Recorded
    from domain.rules import Rules

Unapplied: TypeAlias = "tuple[Recorded, FoldError | IllegalTransitionError]"
"""An event that does not link or apply, and why."""

RECENT_ENTITIES = 1_000
"""Ended tasks and agents that stay in memory; older ones are read from the log when a command names them."""
RECENT_STEALS = 1_000
"""Ended steal operations that stay in memory, however many tasks ended meanwhile and however old they are."""
STEALS_KEPT_S = 86_400.0
"""Those that ended so long before the last one, or less, stay too: those of the last day."""
MOST_STEALS = 10_000
"""No more stay, however many there were in a day."""

_MAY_BE_MISSED = OUTSIDE_LIFECYCLE | {AgentNoted}
"""Events that a fold passes over where their entity has left memory: they change nothing that it keeps."""


class Live(NamedTuple):
    """The entities that have not ended."""

    tasks: Iterable[Task]
    agents: Iterable[Agent] = ()
    steals: Iterable[Steal] = ()


class PoolState:
    """Live entities at one position; implements the domain's `SearchablePoolView`.

    Changes come in two ways: `fold` applies what the log holds, `apply` what the writer is about to append. The latter
    can be undone as a whole until `commit`. In a service only `handlers.memory` calls these.
    """

    def __init__(self, pool_id: str, rules: Rules) -> None:
        self.rules = rules
        self.position = 0
        self.last_time: datetime = EPOCH
        self.pool = Pool(pool_id)
        self.tasks: dict[str, Task] = {}
        self.agents: dict[str, Agent] = {}
        self.steals: dict[str, Steal] = {}
        self.recent: OrderedDict[EntityKey, EntityState] = OrderedDict()
        self.just_ended: dict[str, Task] = {}
        """Tasks that ended in the last `fold_all` or `commit`, also those that have left memory by now."""
        self.ended_steals: OrderedDict[str, Steal] = OrderedDict()
        self._drain_deadlines: dict[str, datetime] = {}
        """Of the agents that drain and have one."""
        self.evicted_through = 0
        """The highest position of an ended entity that left memory; a look-up in the log that is newer misses none."""
        self.ended_through = 0
        """The highest position at which a task ended that left memory: all that ended later are in memory."""
        self.backlog = Backlog(rules.priority_aging_s)
        self.workloads = Workloads()
        self.counts = LiveCounts()
        self.due_times = DueTimes(rules, self.tasks.get)
        self.silence_of: Callable[[str], float | None] = _unknown_silence
        """How long each agent has been silent now. No part of the state: the writer knows it, the log does not."""
        self._capture: TaskCapture | None = None
        self._indexed = True
        self._undo: deque[tuple[EntityKey, EntityState | None]] = deque()
        self._committed = (0, self.last_time)

    @classmethod
    def restored(
        cls,
        pool: Pool,
        rules: Rules,
        *,
        live: Live,
        recent: Mapping[EntityKey, EntityState],
        committed: tuple[int, datetime],
        evicted_through: int,
        ended_through: int,
    ) -> PoolState:
        """Return the state of these entities at a position and a time, its indexes made anew."""
        state = cls(pool.pool_id, rules)
        state.begin_rebuild()
        state.pool = pool
        state.tasks.update({task.task_id: task for task in live.tasks})
        state.steals.update({steal.operation_id: steal for steal in live.steals})
        for agent in live.agents:
            state._put_agent(agent.agent_id, agent)
        for key, entity in recent.items():
            if isinstance(entity, Steal):
                state.ended_steals[key[1]] = entity
            else:
                state.recent[key] = entity
        state.evicted_through = evicted_through
        state.ended_through = ended_through
        state.position, state.last_time = state._committed = committed
        state.end_rebuild()
        return state

    def task(self, task_id: str) -> Task | None:
        """Return a task that is in memory: every live one, and lately ended ones."""
        task = self.tasks.get(task_id)
        if task is not None:
            return task
        recent = self.recent.get((Entity.TASK, task_id))
        return recent if isinstance(recent, Task) else None

    def agent(self, agent_id: str) -> Agent | None:
        """Return an agent that is in memory: every registered one, and lately deregistered ones."""
        agent = self.agents.get(agent_id)
        if agent is not None:
            return agent
        recent = self.recent.get((Entity.AGENT, agent_id))
        return recent if isinstance(recent, Agent) else None

    def steal(self, operation_id: str) -> Steal | None:
        """Return a steal operation that is in memory: every open one, and lately ended ones."""
        steal = self.steals.get(operation_id)
        if steal is not None:
            return steal
        return self.ended_steals.get(operation_id)

    def held_by(self, agent_id: str) -> Sequence[str]:
        """Return the ids of the tasks that the agent holds, oldest grant first."""
        return self.workloads.held_by(agent_id)

    def tasks_held(self, agent_id: str) -> int:
        """Return how many tasks the agent holds."""
        return self.workloads.count(agent_id)

    def queued_for(self, agent: Agent, limit: int, now: datetime) -> Sequence[Task]:
        """Return the first queued tasks that the agent can do and whose time has come, at most `limit`."""
        self.backlog.advance(now)
        return [self.tasks[task_id] for task_id in self.backlog.first(agent, limit, self.workloads)]

    def left_to_others(self, required: frozenset[str]) -> str | None:
        """Return the agent that is granted no task of a kind now, because each should go to another, available one."""
        agent_id = self.backlog.avoided_by_all(required)
        return agent_id if agent_id is not None and self.workloads.another_available(required, agent_id) else None

    def best_agent(self, required: frozenset[str], may_receive: Callable[[Agent], bool] | None = None) -> str | None:
        """Return the agent to assign a task to, or None if no live agent with room has every capability.

        Only agents for which `may_receive` is true; None: any.
        """
        return self.workloads.best_agent(required, may_receive)

    def silence_s(self, agent_id: str) -> float | None:
        """Return for how many seconds the agent has not been heard, or None if that is unknown."""
        return self.silence_of(agent_id)

    def available_capabilities(self, agent_id: str) -> frozenset[str] | None:
        """Return the capabilities of an agent that takes grants and has room; None for any other."""
        return self.workloads.available_capabilities(agent_id)

    def lost_agents(self, heard_before: datetime, limit: int) -> Sequence[str]:
        """Return at most `limit` lost agents that hold nothing and were last heard before the moment, oldest first."""
        return self.workloads.idle_lost(heard_before, limit)

    def due(self, now: datetime, limit: int) -> Sequence[str]:
        """Return the ids of at most `limit` tasks on which a judgement is due."""
        return self.due_times.due(now, limit, self.pool)

    def next_due_at(self) -> datetime | None:
        """Return the moment at which the next judgement falls due."""
        return self.due_times.next_at(self.pool)

    def drains_to_end(self) -> Sequence[tuple[datetime, str]]:
        """Return the draining agents that hold something and have a deadline, with it; the first one first."""
        return sorted((at, agent_id) for agent_id, at in self._drain_deadlines.items() if self.tasks_held(agent_id))

    def may_fall_due_before(self, moment: datetime) -> bool:
        """Return whether a judgement may fall due before the moment; cheap, and never wrong when it says no."""
        return self.due_times.may_fall_due_before(moment)

    def fold(self, recorded: Recorded) -> None:
        """Apply an event that the log holds.

        Raises:
            FoldError, IllegalTransitionError: it does not link or apply; nothing has changed. The caller skips it,
                as every fold does, with `skip`.
        """
        unapplied = self.fold_all((recorded,))
        if unapplied:
            # Don't bind the error: error -> traceback -> frame -> error would be a reference cycle.
            raise unapplied.pop()[1]

    def fold_all(self, records: Sequence[Recorded]) -> list[Unapplied]:
        """Apply events that the log holds, in order; return those that do not link or apply: they changed nothing.

        A fifth quicker than `fold` for each.
        """
        self.just_ended.clear()
        tasks, last_time, position, capture = self.tasks, self.last_time, self.position, self._capture
        unapplied: list[Unapplied] = []
        for recorded in records:
            try:
                if recorded.entity is Entity.TASK:
                    task_id = recorded.entity_id
                    before = tasks.get(task_id) or self.task(task_id)
                    if before is not None or not self._missed(recorded):
                        after = evolve_task(before, recorded)
                        if capture is not None:
                            capture.changed(task_id, before)
                        tasks[task_id] = after
                        if self._indexed:
                            self._index(task_id, before, after)
                        if after.status in TERMINAL:
                            self._retire((Entity.TASK, task_id))
                else:
                    key = (recorded.entity, recorded.entity_id)
                    if type(recorded.event) is not AgentNoted or self.knows(key) or not self._missed(recorded):
                        self._put(key, self._evolved(key, recorded))
                        self._retire(key)
            except (FoldError, IllegalTransitionError) as error:
                # Without its traceback, which would be a reference cycle through this frame while gc is off.
                unapplied.append((recorded, error.with_traceback(None)))
                continue
            position = recorded.position
            if recorded.time > last_time:  # noqa: PLR1730 # calling max costs three times as much, for every event
                last_time = recorded.time
        self.position, self.last_time = self._committed = (position, last_time)
        return unapplied

    def begin_capture(self) -> TaskCapture:
        """Begin to copy the live tasks, of a state that is acknowledged as a whole; until `end_capture`."""
        self._capture = TaskCapture(self.tasks, self.counts.ids)
        return self._capture

    def end_capture(self) -> None:
        """Keep nothing more for a copy."""
        self._capture = None

    def begin_rebuild(self) -> None:
        """Stop keeping the indexes until `end_rebuild`; they must not be read meanwhile.

        A copy of the tasks that has begun is broken then. Indexing every live entity once, instead of at each of its
        events, saves two fifths of the folding.
        """
        self._indexed = False
        if self._capture is not None:
            self._capture.broken = True

    def end_rebuild(self) -> None:
        """Make the indexes of all live entities, and keep them from now on."""
        self._indexed = True
        self.backlog, self.workloads = Backlog(self.rules.priority_aging_s), Workloads()
        self.backlog.advance(self.last_time)
        self.counts = LiveCounts()
        self.due_times = DueTimes(self.rules, self.tasks.get)
        for agent_id, agent in self.agents.items():
            self.workloads.replace_agent(agent_id, None, agent)
        self.backlog.fill(self.tasks.values())
        self.counts.fill(self.tasks.values())
        for task_id, task in self.tasks.items():
            if task.lease is not None:
                self.workloads.replace_task(task_id, None, task)
            if task.lease is not None or task.definition.deadline is not None:
                self.due_times.replace(task_id, task)

    def skip(self, position: int) -> None:
        """Move past a message of the log that could not be read or applied."""
        self.position = position
        self._committed = (self.position, self.last_time)

    def apply(self, decision: Decision) -> None:
        """Apply what was decided on this state, tentatively."""
        if not decision.records:
            return
        for key, after in decision.after.items():
            self._undo.append((key, self._put(key, after)))
        last = decision.records[-1]
        self.position = last.position
        self.last_time = max(self.last_time, last.time)

    def ended_task(self, task_id: str) -> Task | None:
        """Return a task that an event ended which was acknowledged last.

        One that a later event ended, which is not acknowledged yet, may have left the live tasks before.
        """
        return self.just_ended.get(task_id) or self.task(task_id)

    @property
    def committed_position(self) -> int:
        """The position up to which the log has acknowledged what is here."""
        return self._committed[0]

    def commit(
        self, changes: int | None = None, position: int | None = None, last_time: datetime | None = None
    ) -> None:
        """Make what was applied first final: the log has acknowledged it. Ended entities leave the live ones.

        `changes` entities were replaced by it, and it ends at `position`, at `last_time`; without: all of it.
        """
        self.just_ended.clear()
        for _ in range(len(self._undo) if changes is None else changes):
            self._retire(self._undo.popleft()[0])
        self._committed = (
            self.position if position is None else position,
            self.last_time if last_time is None else last_time,
        )

    def undo(self) -> None:
        """Take back everything applied since the last commit."""
        while self._undo:
            key, before = self._undo.pop()
            self._put(key, before)
            self._retire(key)
        self.position, self.last_time = self._committed

    def knows_all(self, keys: Iterable[EntityKey]) -> bool:
        """Return whether all of these entities are in memory."""
        tasks, agents = self.tasks, self.agents
        for key in keys:
            entity, entity_id = key
            if (entity is Entity.TASK and entity_id in tasks) or (entity is Entity.AGENT and entity_id in agents):
                continue
            if not self.knows(key):
                return False
        return True

    def knows(self, key: EntityKey) -> bool:
        """Return whether an entity is in memory."""
        entity, entity_id = key
        if entity is Entity.TASK:
            return entity_id in self.tasks or key in self.recent
        if entity is Entity.AGENT:
            return entity_id in self.agents or key in self.recent
        return self._get(key) is not None

    def load(self, key: EntityKey, entity: EntityState) -> None:
        """Bring an ended entity back into memory that was read from the log, unless it is there."""
        if self._get(key) is None:
            self._remember(key, entity)

    def entities(self) -> Mapping[EntityKey, EntityState]:
        """Return every entity in memory by key, for comparing states."""
        return {
            **{(Entity.TASK, key): task for key, task in self.tasks.items()},
            **{(Entity.AGENT, key): agent for key, agent in self.agents.items()},
            **{(Entity.STEAL, key): steal for key, steal in self.steals.items()},
            **{(Entity.STEAL, key): steal for key, steal in self.ended_steals.items()},
            **self.recent,
            (Entity.POOL, self.pool.pool_id): self.pool,
        }

    def _missed(self, recorded: Recorded) -> bool:
        """Return whether this is a late report or a note on a task or agent that left memory.

        It changes nothing here; a command that names it has it looked up in the log.
        """
        return self.evicted_through > 0 and type(recorded.event) in _MAY_BE_MISSED

    def _evolved(self, key: EntityKey, recorded: Recorded) -> EntityState:
        entity, entity_id = key
        if entity is Entity.AGENT:
            return evolve_agent(self.agent(entity_id), recorded)
        if entity is Entity.STEAL:
            return evolve_steal(self.steal(entity_id), recorded)
        return evolve_pool(self.pool, recorded)

    def _get(self, key: EntityKey) -> EntityState | None:
        entity, entity_id = key
        if entity is Entity.TASK:
            return self.task(entity_id)
        if entity is Entity.AGENT:
            return self.agent(entity_id)
        if entity is Entity.STEAL:
            return self.steal(entity_id)
        return self.pool

    def _put(self, key: EntityKey, new: EntityState | None) -> EntityState | None:
        """Replace an entity, or with None take it out; return what was there."""
        entity, entity_id = key
        if entity is Entity.TASK:
            return self._put_task(entity_id, new if isinstance(new, Task) else None)
        if entity is Entity.AGENT:
            return self._put_agent(entity_id, new if isinstance(new, Agent) else None)
        if entity is Entity.STEAL:
            steal = self.steal(entity_id)
            if isinstance(new, Steal):
                self.steals[entity_id] = new
            else:
                self.steals.pop(entity_id, None)
            return steal
        pool = self.pool
        if isinstance(new, Pool):
            self.pool = new
            if self._indexed:
                self.due_times.replace_pool(pool, new, self.tasks)
        return pool

    def _put_task(self, task_id: str, new: Task | None) -> Task | None:
        old = self.tasks.get(task_id) or self.task(task_id)
        if self._capture is not None:
            self._capture.changed(task_id, old)
        if new is None:
            self.tasks.pop(task_id, None)
        else:
            self.tasks[task_id] = new
        if self._indexed:
            self._index(task_id, old, new)
        return old

    def _index(self, task_id: str, old: Task | None, new: Task | None) -> None:
        if old is not None and new is not None and _same_holder_and_status(old, new):
            # A report may shorten the median interval, which excuses less silence, so the due time has to be updated.
            self.due_times.replace(task_id, new)
            self.counts.replace_lease(task_id, old.lease, new.lease)
            return
        self.backlog.replace(old, new)
        self.workloads.replace_task(task_id, old, new)
        self.counts.replace(task_id, old, new)
        self.due_times.replace(task_id, new)

    def _put_agent(self, agent_id: str, new: Agent | None) -> Agent | None:
        old = self.agents.get(agent_id)
        before = old or self.agent(agent_id)
        if new is None:
            self.agents.pop(agent_id, None)
        else:
            self.agents[agent_id] = new
        if new is not None and new.drain_deadline is not None:
            self._drain_deadlines[agent_id] = new.drain_deadline
        elif self._drain_deadlines:
            self._drain_deadlines.pop(agent_id, None)
        if self._indexed:
            self.workloads.replace_agent(agent_id, old, new)
        return before

    def _retire(self, key: EntityKey) -> None:
        """Move an ended entity from the live ones to the recent ones; drop the oldest of those."""
        entity, entity_id = key
        if entity is Entity.TASK:
            task = self.tasks.get(entity_id)
            if task is not None and task.terminal:
                del self.tasks[entity_id]
                self.just_ended[entity_id] = task
                self._remember(key, task)
            elif task is not None:
                self.recent.pop(key, None)
        elif entity is Entity.AGENT:
            agent = self.agents.get(entity_id)
            if agent is not None and agent.status is AgentStatus.DEREGISTERED:
                self._put_agent(entity_id, None)
                self._remember(key, agent)
            elif agent is not None:
                self.recent.pop(key, None)
        elif entity is Entity.STEAL:
            self._retire_steal(entity_id)

    def _retire_steal(self, operation_id: str) -> None:
        steal = self.steals.get(operation_id)
        if steal is not None and steal.over:
            del self.steals[operation_id]
            self.ended_steals[operation_id] = steal
            self._forget_steals()
        elif steal is not None:
            self.ended_steals.pop(operation_id, None)

    def _forget_steals(self) -> None:
        ended = self.ended_steals
        last = next(reversed(ended.values())).ended_at
        while len(ended) > RECENT_STEALS:
            first = next(iter(ended.values())).ended_at
            of_the_last_day = first is not None and last is not None and seconds_between(first, last) <= STEALS_KEPT_S
            if of_the_last_day and len(ended) <= MOST_STEALS:
                break
            ended.popitem(last=False)

    def _remember(self, key: EntityKey, entity: EntityState) -> None:
        self.recent[key] = entity
        self.recent.move_to_end(key)
        while len(self.recent) > RECENT_ENTITIES:
            _, evicted = self.recent.popitem(last=False)
            self.evicted_through = max(self.evicted_through, evicted.position)
            if isinstance(evicted, Task):
                self.ended_through = max(self.ended_through, ended_at(evicted))


def _unknown_silence(agent_id: str) -> None:  # noqa: ARG001 - of no agent it is known
    return None


def _same_holder_and_status(old: Task, new: Task) -> bool:
    """Return whether holder and status are unchanged, as after most reports."""
    before, now = old.lease, new.lease
    return before is not None and now is not None and now.token == before.token and new.status is old.status


def ended_at(task: Task) -> int:
    """Return the position of the event that ended a task."""
    return task.outcome.position if task.outcome is not None else task.position


def is_over(entity: EntityState) -> bool:
    """Return whether a task has ended, or an agent was deregistered."""
    if isinstance(entity, Task):
        return entity.terminal
    return isinstance(entity, Agent) and entity.status is AgentStatus.DEREGISTERED
