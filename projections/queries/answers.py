"""The answers to queries, computed on a copy of the acknowledged state.

Pages are in the order of ids: `after` is the last id of the page before.
"""

from __future__ import annotations

import heapq
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from domain.statuses import AgentStatus
from projections.queries.backlog_view import backlog_of
from projections.queries.cursors import named_row, unknown_cursor
from projections.queries.documents import (
    agent_document,
    lease_phase,
    lease_summary,
    steal_document,
    task_summary,
    workload_document,
)
from projections.queries.pages import cut_page
from projections.queries.questions import (
    AgentsQuery,
    BacklogQuery,
    LeasesQuery,
    StatisticsQuery,
    StealsQuery,
    TasksQuery,
    WorkloadsQuery,
)
from projections.queries.statistics_view import statistics_document
from projections.state.ended_entities import ended_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from domain.steal import Steal
    from domain.task import Task
    from projections.queries.pool_copy import PoolCopy
    from projections.queries.questions import Page, Query


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
            return backlog_of(query, copy)
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
    return cut_page(query.view, chosen, query.limit, row)


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
        return workload_document(copy.agents[agent_id], copy.held[agent_id], copy.pool, copy.steal, copy.loads_since)

    return _page(query, (each for each in copy.agents if query.agent_id in {None, each}), row)


def _steals(query: StealsQuery, copy: PoolCopy) -> dict[str, Any]:
    def fits(steal: Steal) -> bool:
        return query.agent_id in {None, steal.plan.from_agent, steal.plan.to_agent}

    ids = (operation_id for operation_id, steal in copy.steals.items() if fits(steal))
    return _page(query, ids, lambda each: steal_document(copy.steals[each]))
