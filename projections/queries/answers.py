"""The answers to queries, computed on a copy of the acknowledged state.

Entities are immutable, so a shallow copy is enough, and the writer goes on while an answer is computed from it.
Pages are in the order of ids: `after` is the last id of the page before.
"""

from __future__ import annotations

import heapq
import statistics
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import pydantic_core

from domain.lifecycles import TERMINAL
from domain.policies.load_balancing import LoadStatus, load_status, loads_since
from domain.statuses import AgentStatus, TaskStatus
from domain.task import Task
from domain.timestamps import seconds_between
from domain.values import Priority
from projections.queries.cursors import backlog_cursor, named_row, place_in_backlog, unknown_cursor
from projections.queries.documents import (
    agent_document,
    lease_phase,
    lease_summary,
    steal_document,
    task_summary,
    workload_document,
)
from projections.queries.questions import (
    AgentsQuery,
    BacklogQuery,
    LeasesQuery,
    StatisticsQuery,
    StealsQuery,
    TasksQuery,
    WorkloadsQuery,
)
from projections.state.backlog import is_delayed, listing_order
from projections.state.pool_state import ended_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from domain.agent import Agent
    from domain.pool import Pool
    from domain.steal import Steal
    from projections.queries.questions import Page, Query
    from projections.state.pool_state import PoolState

PAGE_BYTES = 768 * 1024
"""The size limit of a page; a page has at least one row."""


class PoolCopy(NamedTuple):
    """The acknowledged state at one position, as queries read it."""

    position: int
    now: datetime
    warning_s: float
    loads_since: datetime
    """Loads reported before it count no more."""
    pool: Pool
    tasks: Mapping[str, Task]
    """Live tasks."""
    recent: Mapping[str, Task]
    """Lately ended tasks."""
    agents: Mapping[str, Agent]
    steals: Mapping[str, Steal]
    held: Mapping[str, int]
    heard: Mapping[str, datetime | None]
    totals: Mapping[str, Any]
    ended_through: int = 0
    """The highest position at which a task ended that left memory."""
    aging_s: float = 0.0
    """Seconds of waiting after which a queued task counts as one priority more urgent; 0: never."""


def copy_of(
    state: PoolState, now: datetime, totals: Mapping[str, Any], heard_at: Callable[[str], datetime | None]
) -> PoolCopy:
    """Copy what queries read; costs a shallow copy of the live entities."""
    recent = state.recent.items()
    return PoolCopy(
        position=state.position,
        now=now,
        warning_s=state.rules.warning_s,
        loads_since=loads_since(now, state.rules.load_valid_s),
        pool=state.pool,
        tasks=dict(state.tasks),
        recent={key[1]: each for key, each in recent if isinstance(each, Task)},
        agents=dict(state.agents),
        steals={**state.ended_steals, **state.steals},
        held={agent_id: state.tasks_held(agent_id) for agent_id in state.agents},
        heard={agent_id: heard_at(agent_id) for agent_id in state.agents},
        totals=totals,
        ended_through=state.ended_through,
        aging_s=state.rules.priority_aging_s,
    )


def answer(query: Query, copy: PoolCopy) -> dict[str, Any]:
    """Return the result of a query that needs nothing but the copy."""
    match query:
        case TasksQuery():
            return _tasks(query, copy)
        case LeasesQuery():
            return _leases(query, copy)
        case AgentsQuery():
            return _agents(query, copy)
        case WorkloadsQuery():
            return _workloads(query, copy)
        case BacklogQuery():
            return _backlog(query, copy)
        case StealsQuery():
            return _steals(query, copy)
        case StatisticsQuery():
            return statistics_document(copy)
    msg = f"no answer is known to {type(query).__name__}"
    raise TypeError(msg)


def _page(query: Page, ids: Iterable[str], row: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Return one page of rows and the cursor of the next one."""
    if query.after is not None and named_row(query.view, query.after) is None:
        raise unknown_cursor("is no `next` of a page of this view")
    wanted = (each for each in ids if query.after is None or each > query.after)
    chosen = heapq.nsmallest(query.limit + 1, wanted)
    return _cut(query.view, chosen, query.limit, row)


def _cut(name: str, chosen: list[str], limit: int, row: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    size = 0
    for each in chosen[:limit]:
        document = row(each)
        size += len(pydantic_core.to_json(document))
        if rows and size > PAGE_BYTES:
            break
        rows.append(document)
    complete = len(rows) == len(chosen)
    return {name: rows, "next": None if complete else chosen[len(rows) - 1]}


def _tasks(query: TasksQuery, copy: PoolCopy) -> dict[str, Any]:
    # A task that was looked up is in memory by chance: the pages of the log list it, with others that ended then.
    recent = {task_id: task for task_id, task in copy.recent.items() if ended_at(task) > copy.ended_through}
    everything = {**recent, **copy.tasks}
    ids = (task_id for task_id, task in everything.items() if task.fits(query.status, query.priority, query.label))
    return {
        **_page(query, ids, lambda task_id: task_summary(everything[task_id])),
        "all_ended": not copy.ended_through or not query.lists_ended,
    }


def _leases(query: LeasesQuery, copy: PoolCopy) -> dict[str, Any]:
    def fits(task: Task) -> bool:
        lease = task.lease
        if lease is None or (query.agent_id is not None and lease.agent_id != query.agent_id):
            return False
        return query.status is None or lease_phase(lease, copy.pool, copy.now, copy.warning_s) == query.status

    def row(task_id: str) -> dict[str, Any]:
        task = copy.tasks[task_id]
        return lease_summary(task, task.held_lease, copy.pool, copy.now, copy.warning_s)

    return _page(query, (task_id for task_id, task in copy.tasks.items() if fits(task)), row)


def _agents(query: AgentsQuery, copy: PoolCopy) -> dict[str, Any]:
    held: dict[str, list[tuple[int, Task]]] = {}
    for task in copy.tasks.values():
        if task.lease is not None:
            held.setdefault(task.lease.agent_id, []).append((task.lease.token, task))

    def row(agent_id: str) -> dict[str, Any]:
        # In the order of the grants; tokens differ.
        tasks = [task for _, task in sorted(held.get(agent_id, ()), key=itemgetter(0))]
        return agent_document(copy.agents[agent_id], copy.held[agent_id], tasks, copy.heard[agent_id])

    ids = (
        agent_id
        for agent_id, agent in copy.agents.items()
        if query.agent_id in {None, agent_id} and (query.lost or agent.status is not AgentStatus.LOST)
    )
    return _page(query, ids, row)


def _workloads(query: WorkloadsQuery, copy: PoolCopy) -> dict[str, Any]:
    def row(agent_id: str) -> dict[str, Any]:
        return workload_document(copy.agents[agent_id], copy.held[agent_id], copy.pool, copy.loads_since)

    return _page(query, (each for each in copy.agents if query.agent_id in {None, each}), row)


def _backlog(query: BacklogQuery, copy: PoolCopy) -> dict[str, Any]:
    queued = [task for task in copy.tasks.values() if task.status is TaskStatus.QUEUED]
    order = {task.task_id: listing_order(task, copy.now, copy.aging_s) for task in queued}
    after = place_in_backlog(query.after, order) if query.after is not None else None
    rest = (task_id for task_id in order if after is None or order[task_id] > after)
    chosen = heapq.nsmallest(query.limit + 1, rest, key=order.__getitem__)
    page = _cut("tasks", chosen, query.limit, lambda task_id: task_summary(copy.tasks[task_id]))
    if page["next"] is not None:
        # The place and not the task, which may have been granted when the next page is asked for.
        page["next"] = backlog_cursor(order[page["next"]])
    by_priority = {priority.value: 0 for priority in Priority}
    for task in queued:
        by_priority[task.definition.priority.value] += 1
    oldest = min((task.status_since for task in queued), default=None)
    return {
        **page,
        "queued": len(queued),
        "delayed": sum(is_delayed(task, copy.now) for task in queued),
        "by_priority": by_priority,
        "oldest_s": None if oldest is None else max(seconds_between(oldest, copy.now), 0.0),
    }


def _steals(query: StealsQuery, copy: PoolCopy) -> dict[str, Any]:
    def fits(steal: Steal) -> bool:
        return query.agent_id in {None, steal.plan.from_agent, steal.plan.to_agent}

    ids = (operation_id for operation_id, steal in copy.steals.items() if fits(steal))
    return _page(query, ids, lambda each: steal_document(copy.steals[each]))


def statistics_document(copy: PoolCopy) -> dict[str, Any]:
    """Return counts of the live entities, and the totals since the log began."""
    by_status = {status.value: 0 for status in TaskStatus if status not in {TaskStatus.NEW, TaskStatus.UNHELD}}
    phases = {"active": 0, "expiring_soon": 0, "in_grace": 0, "stopped": 0}
    renewals: list[int] = []
    escalated = stalled = delayed = 0
    for task in copy.tasks.values():
        status = task.status.value
        delayed += is_delayed(task, copy.now)
        # A task is `unheld` only between events of one append, where `custody at` can look, but no live query.
        by_status[status] = by_status.get(status, 0) + 1
        lease = task.lease
        if lease is None:
            continue
        renewals.append(lease.reports + lease.renewals)
        escalated += lease.escalated
        stalled += lease.stalled_at is not None
        phase = lease_phase(lease, copy.pool, copy.now, copy.warning_s)
        phases["in_grace" if phase == "expired" else phase] += 1
    for ended in TERMINAL:
        by_status[ended.value] = copy.totals[ended.value]
    return {
        "tasks": by_status,
        "delayed": delayed,
        "leases": {
            "held": len(renewals),
            **phases,
            "renewals_mean": statistics.fmean(renewals) if renewals else 0.0,
            "renewals_high": max(renewals, default=0),
            "escalated": escalated,
            "stalled": stalled,
        },
        "agents": len(copy.agents),
        "loads": _loads(copy),
        "totals": {name: each for name, each in copy.totals.items() if not isinstance(each, dict)},
        **{name: each for name, each in copy.totals.items() if isinstance(each, dict)},
    }


def _loads(copy: PoolCopy) -> dict[str, int]:
    """Return how many agents that are not lost have each load status."""
    counts = {status.value: 0 for status in LoadStatus}
    for agent_id, agent in copy.agents.items():
        if agent.status is not AgentStatus.LOST:
            counts[load_status(copy.held[agent_id], agent.cpu_since(copy.loads_since)).value] += 1
    return counts
