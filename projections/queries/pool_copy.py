"""What queries are computed on: a copy of the acknowledged state.

Entities are immutable, so a shallow copy is enough, and the writer goes on while an answer is computed from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.policies.load_balancing import loads_since
from domain.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from domain.agent import Agent
    from domain.policies.load_balancing import StealConfig
    from domain.pool import Pool
    from domain.steal import Steal
    from projections.state.pool_state import PoolState


class PoolCopy(NamedTuple):
    """The acknowledged state at one position, as queries read it."""

    position: int
    now: datetime
    warning_s: float
    steal: StealConfig
    """Says which loads are too much."""
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
    state: PoolState,
    now: datetime,
    totals: Mapping[str, Any],
    heard_at: Callable[[str], datetime | None],
    tasks: Mapping[str, Task] | None = None,
) -> PoolCopy:
    """Copy what queries read; costs a shallow copy of the entities.

    `tasks`: the live tasks that will be read, where it need not be all of them.
    """
    recent = state.ended.recent.items()
    return PoolCopy(
        position=state.position,
        now=now,
        warning_s=state.rules.warning_s,
        steal=state.rules.steal,
        loads_since=loads_since(now, state.rules.load_valid_s),
        pool=state.pool,
        tasks=dict(state.tasks) if tasks is None else tasks,
        recent={key[1]: each for key, each in recent if isinstance(each, Task)},
        agents=dict(state.agents),
        steals={**state.ended.steals, **state.steals},
        held={agent_id: state.tasks_held(agent_id) for agent_id in state.agents},
        heard={agent_id: heard_at(agent_id) for agent_id in state.agents},
        totals=totals,
        ended_through=state.ended.ended_through,
        aging_s=state.rules.priority_aging_s,
    )
