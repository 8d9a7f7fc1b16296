"""The writer's own state of a pool: entities, the indexes over them, and an undo for what is not acknowledged.

It is not a view for reading: it holds tentative changes. Replays and tools use it too, by folding only.
"""

from __future__ import annotations

from collections import deque
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
from projections.state.indexes import Indexes
from projections.state.searchable_state import SearchableState
from projections.state.task_capture import TaskCapture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from domain.decision import Decision
    from domain.entities import EntityKey, EntityState
    from domain.recorded import Recorded
    from domain.rules import Rules

Unapplied: TypeAlias = "tuple[Recorded, FoldError | IllegalTransitionError]"
"""An event that does not link or apply, and why."""

_MAY_BE_MISSED = OUTSIDE_LIFECYCLE | {AgentNoted}
"""Events that a fold passes over where their entity has left memory: they change nothing that it keeps."""


class Live(NamedTuple):
    """The entities that have not ended."""

    tasks: Iterable[Task]
    agents: Iterable[Agent] = ()
    steals: Iterable[Steal] = ()


class PoolState(SearchableState):
    """A pool's entities, as they change with its log.

    Changes come in two ways: `fold` applies what the log holds, `apply` what the writer is about to append. The latter
    can be undone as a whole until `commit`. In a service only `handlers.memory` calls these.
    """

    def __init__(self, pool_id: str, rules: Rules) -> None:
        super().__init__(pool_id, rules)
        self._capture: TaskCapture | None = None
        self._indexed = True
        self._undo: deque[tuple[EntityKey, EntityState | None]] = deque()

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
            state.ended.restore(key, entity)
        state.ended.evicted_through = evicted_through
        state.ended.ended_through = ended_through
        state.position, state.last_time = state._committed = committed
        state.end_rebuild()
        return state

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
                            self.indexes.replace_task(task_id, before, after)
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
        self._capture = TaskCapture(self.tasks, self.indexes.counts.ids)
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

    @property
    def is_indexed(self) -> bool:
        """Whether the indexes are those of the entities: they are not during a rebuild."""
        return self._indexed

    def end_rebuild(self) -> None:
        """Make the indexes of all live entities, and keep them from now on."""
        indexes = Indexes(self.rules, self.tasks)
        indexes.fill(self.agents, self.last_time)
        self.indexes, self._indexed = indexes, True

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

    def load(self, key: EntityKey, entity: EntityState) -> None:
        """Bring an ended entity back into memory that was read from the log, unless it is there."""
        if self._get(key) is None:
            self.ended.remember(key, entity)

    def _missed(self, recorded: Recorded) -> bool:
        """Return whether this is a late report or a note on a task or agent that left memory.

        It changes nothing here; a command that names it has it looked up in the log.
        """
        return self.ended.evicted_through > 0 and type(recorded.event) in _MAY_BE_MISSED

    def _evolved(self, key: EntityKey, recorded: Recorded) -> EntityState:
        entity, entity_id = key
        if entity is Entity.AGENT:
            return evolve_agent(self.agent(entity_id), recorded)
        if entity is Entity.STEAL:
            return evolve_steal(self.steal(entity_id), recorded)
        return evolve_pool(self.pool, recorded)

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
                self.indexes.replace_pool(pool, new)
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
            self.indexes.replace_task(task_id, old, new)
        return old

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
            self.indexes.replace_agent(agent_id, old, new)
        return before

    def _retire(self, key: EntityKey) -> None:
        """Move an ended entity from the live ones to the recent ones; drop the oldest of those."""
        entity, entity_id = key
        if entity is Entity.TASK:
            task = self.tasks.get(entity_id)
            if task is not None and task.terminal:
                del self.tasks[entity_id]
                self.just_ended[entity_id] = task
                self.ended.remember(key, task)
            elif task is not None:
                self.ended.recent.pop(key, None)
        elif entity is Entity.AGENT:
            agent = self.agents.get(entity_id)
            if agent is not None and agent.status is AgentStatus.DEREGISTERED:
                self._put_agent(entity_id, None)
                self.ended.remember(key, agent)
            elif agent is not None:
                self.ended.recent.pop(key, None)
        elif entity is Entity.STEAL:
            self._retire_steal(entity_id)

    def _retire_steal(self, operation_id: str) -> None:
        steal = self.steals.get(operation_id)
        if steal is not None and steal.over:
            del self.steals[operation_id]
            self.ended.remember_steal(steal)
        elif steal is not None:
            self.ended.steals.pop(operation_id, None)
