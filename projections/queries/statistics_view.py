"""`query.statistics`: from counts that are kept at every event, or computed from every live task.

The service keeps them; what folds a log to compare, or to say how it was at a moment, computes them. A test holds both
together.
"""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.lifecycles import TERMINAL
from domain.policies.load_balancing import LoadStatus, loads_since
from domain.statuses import AgentStatus, TaskStatus
from projections.queries.documents import lease_phase
from projections.state.backlog import is_delayed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from domain.agent import Agent
    from domain.policies.load_balancing import StealConfig
    from projections.queries.pool_copy import PoolCopy
    from projections.state.pool_state import PoolState

_PHASES = ("active", "expiring_soon", "in_grace", "stopped")


class LiveFigures(NamedTuple):
    """What is counted of live tasks and their leases."""

    statuses: Mapping[TaskStatus, int]
    delayed: int
    held: int
    phases: Mapping[str, int]
    renewals_mean: float
    renewals_high: int
    escalated: int
    stalled: int


def kept_statistics(state: PoolState, totals: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the statistics of a state that is acknowledged as a whole; the cost follows the agents, not the tasks."""
    backlog, counts = state.indexes.backlog, state.indexes.counts
    backlog.advance(now)
    warning_s = state.rules.warning_s
    *known, unclear = counts.phases(state.pool, now, warning_s)
    phases = dict(zip(_PHASES, known, strict=True))
    for task_id in unclear:
        phases[_phase(lease_phase(state.tasks[task_id].held_lease, state.pool, now, warning_s))] += 1
    figures = LiveFigures(
        statuses=counts.statuses,
        delayed=backlog.delayed,
        held=counts.held,
        phases=phases,
        renewals_mean=counts.renewals_mean,
        renewals_high=counts.renewals_high,
        escalated=counts.escalated,
        stalled=counts.stalled,
    )
    loads = _loads(state.agents, state.tasks_held, state.rules.steal, loads_since(now, state.rules.load_valid_s))
    return _document(figures, len(state.agents), loads, totals)


def statistics_document(copy: PoolCopy) -> dict[str, Any]:
    """Return the same, computed."""
    statuses = Counter(task.status for task in copy.tasks.values())
    leases = [task.lease for task in copy.tasks.values() if task.lease is not None]
    renewals = [lease.reports + lease.renewals for lease in leases]
    figures = LiveFigures(
        statuses=statuses,
        delayed=sum(is_delayed(task, copy.now) for task in copy.tasks.values()),
        held=len(leases),
        phases=Counter(_phase(lease_phase(lease, copy.pool, copy.now, copy.warning_s)) for lease in leases),
        renewals_mean=statistics.fmean(renewals) if renewals else 0.0,
        renewals_high=max(renewals, default=0),
        escalated=sum(lease.escalated for lease in leases),
        stalled=sum(lease.stalled_at is not None for lease in leases),
    )
    return _document(
        figures, len(copy.agents), _loads(copy.agents, copy.held.__getitem__, copy.steal, copy.loads_since), copy.totals
    )


def _document(figures: LiveFigures, agents: int, loads: Mapping[str, int], totals: Mapping[str, Any]) -> dict[str, Any]:
    by_status = {status.value: 0 for status in TaskStatus if status not in {TaskStatus.NEW, TaskStatus.UNHELD}}
    # A task is `unheld` only between events of one append, where `custody at` can look, but no live query.
    by_status |= {status.value: count for status, count in figures.statuses.items() if count}
    for ended in TERMINAL:
        by_status[ended.value] = totals[ended.value]
    return {
        "tasks": by_status,
        "delayed": figures.delayed,
        "leases": {
            "held": figures.held,
            **{phase: figures.phases.get(phase, 0) for phase in _PHASES},
            "renewals_mean": figures.renewals_mean,
            "renewals_high": figures.renewals_high,
            "escalated": figures.escalated,
            "stalled": figures.stalled,
        },
        "agents": agents,
        "loads": loads,
        "totals": {name: each for name, each in totals.items() if not isinstance(each, dict)},
        **{name: each for name, each in totals.items() if isinstance(each, dict)},
    }


def _phase(phase: str) -> str:
    return "in_grace" if phase == "expired" else phase


def _loads(
    agents: Mapping[str, Agent], held: Callable[[str], int], steal: StealConfig, since: datetime
) -> dict[str, int]:
    """Return how many agents that are not lost have each load status; loads reported before `since` count no more."""
    counts = {status.value: 0 for status in LoadStatus}
    for agent_id, agent in agents.items():
        if agent.status is not AgentStatus.LOST:
            counts[steal.load_status(held(agent_id), agent.cpu_since(since)).value] += 1
    return counts
