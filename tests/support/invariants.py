"""Invariants of a pool: of its log after every append, and of its state and indexes at every moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from domain.agent import Agent
from domain.due import due_at
from domain.events import Entity
from domain.events.task import Leased, Stolen
from domain.lifecycles import HELD, RANK, TERMINAL, AgentStatus, TaskStatus
from domain.limits import MAX_PAGE
from domain.policies.load_balancing import LoadStatus, loads_since
from domain.recorded import Recorded
from domain.task import Task
from projections.queries.answers import answer
from projections.queries.backlog_view import backlog_of, kept_backlog
from projections.queries.pool_copy import copy_of
from projections.queries.questions import BacklogQuery, TasksQuery
from projections.queries.statistics_view import kept_statistics, statistics_document
from projections.queries.tasks_view import kept_tasks
from projections.state.backlog import is_delayed, queue_order
from projections.state.pool_state import PoolState
from projections.state.statistics import Statistics

EVERYTHING = 1_000_000
LATEST = datetime.max.replace(tzinfo=UTC)
TOKENS = range(1, 9)
"""Their shares of the jitter are spread evenly."""


class AppendRules:
    """Follows a log append by append; raises AssertionError where one breaks a promise."""

    def __init__(self) -> None:
        self.position = 0
        self.last_time: datetime | None = None
        self.versions: dict[str, int] = {}
        self.tokens: dict[str, int] = {}
        self.ranks: dict[str, tuple[int, int]] = {}
        self.ended: dict[str, TaskStatus] = {}
        self.expiries: dict[int, datetime] = {}
        self.floors: dict[int, datetime] = {}

    def check(self, records: Sequence[Recorded], after: PoolState) -> None:
        """Check one append, given the state that it leads to."""
        for recorded in records:
            self.check_envelope(recorded)
            if recorded.entity is Entity.TASK:
                self.check_task_event(recorded)
        for task_id in {recorded.entity_id for recorded in records if recorded.entity is Entity.TASK}:
            task = after.task(task_id)
            assert task is not None or after.ended.evicted_through, f"{task_id} left memory"
            if task is not None:
                self._check_task(task)
        for token in TOKENS:
            floor = after.pool.floor(token)
            before = self.floors.get(token)
            assert before is None or (floor is not None and floor >= before), "a floor is never lowered"
            if floor is not None:
                self.floors[token] = floor

    def check_envelope(self, recorded: Recorded) -> None:
        assert recorded.position == self.position + 1, "positions are contiguous"
        assert self.last_time is None or recorded.time >= self.last_time, "event times never go backwards"
        assert recorded.version == self.versions.get(recorded.originator_id, 0) + 1, "versions are contiguous"
        self.position, self.last_time = recorded.position, recorded.time
        self.versions[recorded.originator_id] = recorded.version

    def check_task_event(self, recorded: Recorded) -> None:
        event, task_id = recorded.event, recorded.entity_id
        if task_id in self.ended:
            assert event.name in {"late_progress", "noted"}, f"{task_id} had ended, and {event.name} happened"
        if isinstance(event, Leased | Stolen):
            assert event.token == recorded.position, "a token is its event's own position"
            assert event.token > self.tokens.get(task_id, 0), "tokens rise"
            self.tokens[task_id] = event.token

    def _check_task(self, task: Task) -> None:
        assert task.status is not TaskStatus.UNHELD, f"{task.task_id} rests unheld after an append"
        rank = (task.attempt, RANK[task.status])
        assert rank >= self.ranks.get(task.task_id, (0, 0)), f"{task.task_id} fell from {self.ranks} to {rank}"
        self.ranks[task.task_id] = rank
        assert self.ended.get(task.task_id, task.status) is task.status, f"{task.task_id} ended twice"
        if task.status in TERMINAL:
            self.ended[task.task_id] = task.status
        assert (task.lease is not None) == (task.status in HELD), "a task is held if and only if it has a lease"
        if task.lease is not None:
            assert task.lease.token == self.tokens[task.task_id], "one valid token: the newest"
            assert task.lease.attempt == task.attempt
            known = self.expiries.get(task.lease.token, task.lease.expires_at)
            assert task.lease.expires_at >= known, "nothing shortens a lease"
            self.expiries[task.lease.token] = task.lease.expires_at
        tokens = [former.token for former in task.former]
        assert tokens == sorted(set(tokens)), "former leases in the order of their tokens"


def check_equal(live: PoolState, fold: PoolState) -> None:
    """The live state is the fold of the log; what has ended may have left the memory of either."""
    assert live.position == fold.position
    assert live.last_time == fold.last_time
    assert live.pool == fold.pool
    assert live.tasks == fold.tasks
    assert live.agents == fold.agents
    assert live.steals == fold.steals
    assert live.ended.steals == fold.ended.steals
    if not (live.ended.evicted_through or fold.ended.evicted_through):
        assert live.ended.recent.keys() == fold.ended.recent.keys()
    for key in live.ended.recent.keys() & fold.ended.recent.keys():
        assert live.ended.recent[key] == fold.ended.recent[key]


def check_indexes(state: PoolState, now: datetime) -> None:
    """Every index gives what a scan of all tasks gives."""
    tasks = list(state.tasks.values())
    _check_workloads(state, tasks, now)
    _check_backlog(state, tasks, max(now, state.indexes.backlog.as_of))
    _check_due(state, tasks, now)
    _check_kept_views(state, max(now, state.indexes.backlog.as_of))


def _check_kept_views(state: PoolState, now: datetime) -> None:
    """The answers that are read off indexes are those that are computed from every live task."""
    totals = Statistics().totals() | {status.value: 0 for status in TERMINAL}
    copy = copy_of(state, now, totals, lambda _: None)
    assert kept_statistics(state, totals, now) == statistics_document(copy)
    whole = backlog_of(BacklogQuery(limit=MAX_PAGE), copy)
    assert kept_backlog(BacklogQuery(limit=MAX_PAGE), state, now) == whole
    if state.position == state.committed_position:
        # Only then are the live tasks without those that have ended.
        everything = answer(TasksQuery(limit=MAX_PAGE), copy)
        assert kept_tasks(TasksQuery(limit=MAX_PAGE), state) == everything
        for row in everything["tasks"][-2:]:
            rest = TasksQuery(limit=1, after=row["task_id"])
            assert kept_tasks(rest, state) == answer(rest, copy)
    for row in whole["tasks"][:2]:
        after = BacklogQuery(limit=1, after=row["task_id"])
        page = backlog_of(after, copy)
        assert kept_backlog(after, state, now) == page
        if page["next"] is not None:
            after = BacklogQuery(limit=2, after=page["next"])
            assert kept_backlog(after, state, now) == backlog_of(after, copy)


def _check_workloads(state: PoolState, tasks: Iterable[Task], now: datetime) -> None:
    held: dict[str, list[tuple[int, str]]] = {}
    for task in tasks:
        if task.lease is not None:
            held.setdefault(task.lease.agent_id, []).append((task.lease.token, task.task_id))
    assert set(state.workloads.holders()) == held.keys()
    for agent_id in {*held, *state.agents}:
        expected = [task_id for _, task_id in sorted(held.get(agent_id, []))]
        assert list(state.held_by(agent_id)) == expected
        assert state.tasks_held(agent_id) == len(expected)
    _check_unstarted(state, held)
    agents = sorted(state.agents.values(), key=lambda agent: agent.registered_position)
    counts = {agent.agent_id: len(held.get(agent.agent_id, [])) for agent in agents}
    requirements: set[frozenset[str]] = {frozenset(), *(agent.capabilities for agent in agents)}
    for required in requirements:
        assert state.best_agent(required) == naive_best_agent(required, agents, counts)
    since = loads_since(max(now, state.last_time), state.rules.load_valid_s)
    for status in LoadStatus:
        expected = [
            agent.agent_id
            for agent in agents
            if state.rules.steal.load_status(counts[agent.agent_id], agent.cpu_since(since)) is status
            and (agent.may_be_stolen_from if status is LoadStatus.OVERLOADED else agent.accepts_grants)
        ]
        assert list(state.workloads.with_load(status, since)) == expected

    idle_lost = sorted(
        (agent.last_heard_at, agent.agent_id)
        for agent in agents
        if agent.status is AgentStatus.LOST and agent.last_heard_at is not None and not counts[agent.agent_id]
    )
    assert list(state.lost_agents(LATEST, len(idle_lost) + 1)) == [agent_id for _, agent_id in idle_lost]


def _check_unstarted(state: PoolState, held: Mapping[str, list[tuple[int, str]]]) -> None:
    unstarted = state.workloads.unstarted
    sources: list[tuple[int, str]] = []
    for agent_id in {*held, *state.agents}:
        own = sorted(held.get(agent_id, []), reverse=True)
        assigned = [task_id for _, task_id in own if state.tasks[task_id].status is TaskStatus.ASSIGNED]
        assert unstarted.latest(agent_id, EVERYTHING) == assigned
        assert unstarted.count(agent_id) == len(assigned)
        assert set(unstarted.begun(agent_id)) == {task_id for _, task_id in own} - set(assigned)
        if assigned and len(own) > 1:
            sources.append((-len(assigned), agent_id))
    assert unstarted.sources(EVERYTHING) == [agent_id for _, agent_id in sorted(sources)]
    assert bool(unstarted) is bool(sources)


def naive_best_agent(required: frozenset[str], agents: Iterable[Agent], counts: Mapping[str, int]) -> str | None:
    """Look at every agent, in registration order: of those that are able and have room, the first with the fewest."""
    able = [
        agent
        for agent in agents
        if agent.accepts_grants and counts[agent.agent_id] < agent.capacity and required <= agent.capabilities
    ]
    return min(able, key=lambda agent: counts[agent.agent_id]).agent_id if able else None


def _check_backlog(state: PoolState, tasks: Iterable[Task], now: datetime) -> None:
    queued = [task for task in tasks if task.status is TaskStatus.QUEUED]
    assert len(state.indexes.backlog) == len(queued)
    ready = [task for task in queued if not is_delayed(task, now)]
    state.indexes.backlog.advance(now)
    assert state.indexes.backlog.queued_longest_since() == min((task.status_since for task in queued), default=None)
    assert state.indexes.backlog.ready_longest_since() == min((task.waits_since for task in ready), default=None)
    requirements = {frozenset(task.definition.required_capabilities) for task in queued}
    able_to = {
        required: sum(agent.accepts_grants and required <= agent.capabilities for agent in state.agents.values())
        for required in requirements
    }
    aging_s = state.rules.priority_aging_s
    ready.sort(key=lambda task: _granting_order(task, able_to, now, aging_s))
    everything = frozenset().union(*(task.definition.required_capabilities for task in queued))
    able_to_all = Agent("able to all", 1, 1, 0, AgentStatus.LIVE, capabilities=everything)
    assert list(state.queued_for(able_to_all, EVERYTHING, now)) == ready
    for required in requirements:
        kind = [task for task in ready if required == frozenset(task.definition.required_capabilities)]
        assert state.indexes.backlog.count(required) == len(kind)
        left = {agent_id for agent_id in state.agents if kind and all(_left(state, t, agent_id, now) for t in kind)}
        assert {state.left_to_others(required)} - {None} == left
    moments = [moment for task in queued for moment in (task.not_before, task.avoids_until) if moment is not None]
    state.indexes.backlog.take_newly_ready_kinds()
    assert state.indexes.backlog.next_ready_at() == min((moment for moment in moments if moment > now), default=None)
    for agent in state.agents.values():
        able = [task for task in ready if agent.capabilities.issuperset(task.definition.required_capabilities)]
        mine = [task for task in able if not _left(state, task, agent.agent_id, now)]
        assert list(state.queued_for(agent, 3, now)) == mine[:3]


def _granting_order(
    task: Task, able_to: Mapping[frozenset[str], int], now: datetime, aging_s: float
) -> tuple[int, int, int]:
    """Most urgent first, then what the fewest agents can do, then in the order of submission."""
    urgency, position = queue_order(task, now, aging_s)
    return urgency, able_to[frozenset(task.definition.required_capabilities)], position


def _left(state: PoolState, task: Task, agent_id: str, now: datetime) -> bool:
    """Return whether the task should go to another agent than this one, and one can take it."""
    if task.avoids != agent_id or task.avoids_until is None or task.avoids_until <= now:
        return False
    return any(
        agent.accepts_grants
        and state.tasks_held(agent.agent_id) < agent.capacity
        and agent.capabilities.issuperset(task.definition.required_capabilities)
        for agent in state.agents.values()
        if agent.agent_id != agent_id
    )


def _check_due(state: PoolState, tasks: Iterable[Task], now: datetime) -> None:
    moments = {task.task_id: due_at(task, state.pool, state.rules) for task in tasks}
    due = {task_id for task_id, moment in moments.items() if moment is not None and moment <= now}
    found = state.due(now, EVERYTHING)
    assert len(found) == len(set(found))
    assert set(found) == due
    assert state.next_due_at() == min((moment for moment in moments.values() if moment is not None), default=None)
