"""A pass of the stealer: the loads that it reads from the views, and the next move that it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from domain.commands.service_commands import PlanSteal
from domain.policies.load_balancing import Load, LoadStatus, next_target, overloaded_sources, target_score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from domain.agent import Agent
    from domain.policies.load_balancing import StealConfig
    from projections.state.workloads import Workloads

_SCORE_DECIMALS = 6


class LoadsView(Protocol):
    """What a pass reads: agents and their workloads."""

    @property
    def workloads(self) -> Workloads:
        """The agents by what they hold."""
        ...

    def agent(self, agent_id: str) -> Agent | None:
        """Return an agent."""
        ...


def sources(state: LoadsView, config: StealConfig, since: datetime) -> Sequence[Load]:
    """Return the agents that a pass takes tasks from, if it begins now, in registration order.

    `since`: loads reported before it count no more.
    """
    return overloaded_sources(config, _loads(state, LoadStatus.OVERLOADED, since))


def move_from(
    state: LoadsView,
    config: StealConfig,
    source: Load,
    operation_id: str,
    since: datetime,
    may_receive: Callable[[Agent], bool] | None = None,
) -> PlanSteal | None:
    """Return the move that relieves a source as the loads stand now, or None if there is none.

    `since`: loads reported before it count no more. Only to agents for which `may_receive` is true; None: to any.
    """
    targets = _loads(state, LoadStatus.UNDERLOADED, since, may_receive)
    move = next_target(config, source, targets)
    if move is None:
        return None
    target = next(each for each in targets if each.agent_id == move.target)
    score = round(target_score(source, target), _SCORE_DECIMALS)
    return PlanSteal(operation_id, move.source, move.target, move.count, score)


def _loads(
    state: LoadsView, status: LoadStatus, since: datetime, may_receive: Callable[[Agent], bool] | None = None
) -> list[Load]:
    found = ((agent_id, state.agent(agent_id)) for agent_id in state.workloads.with_load(status, since))
    return [
        Load(
            agent_id=agent_id,
            tasks=state.workloads.count(agent_id),
            cpu=agent.cpu_since(since),
            capabilities=agent.capabilities,
            priority=agent.priority,
            capacity=agent.capacity,
        )
        for agent_id, agent in found
        if agent is not None and (may_receive is None or may_receive(agent))
    ]
